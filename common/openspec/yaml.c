/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/yaml.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct yaml {
    yaml_parser_t parser;
    json_t *anchors; /* name -> value, finished ones only: an alias cannot reach into itself */
    size_t values;
    struct err *err;
};

static enum status complain(struct yaml *y, yaml_mark_t at, const char *what)
{
    return err_set(y->err, ERR_DATA, "%zu:%zu: %s", at.line + 1, at.column + 1, what);
}

static enum status next(struct yaml *y, yaml_event_t *e)
{
    if (!yaml_parser_parse(&y->parser, e))
        return complain(y, y->parser.problem_mark,
                        y->parser.problem ? y->parser.problem : "not YAML");
    if (++y->values > YAML_VALUES_MAX) {
        yaml_mark_t at = e->start_mark;
        yaml_event_delete(e);
        return complain(y, at, "too many values");
    }
    return OK;
}

static bool one_of(const char *z, const char *const *list)
{
    for (; *list; list++) {
        if (strcmp(z, *list) == 0)
            return true;
    }
    return false;
}

static size_t digits(const char *z)
{
    return strspn(z, "0123456789");
}

/* [-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)? , which covers the integers */
static bool decimal(const char *z)
{
    z += *z == '-' || *z == '+';
    size_t whole = digits(z);
    z += whole;
    size_t part = 0;
    if (*z == '.') {
        z++;
        part = digits(z);
        z += part;
    }
    if (whole + part == 0)
        return false;
    if (*z == 'e' || *z == 'E') {
        z++;
        z += *z == '-' || *z == '+';
        if (digits(z) == 0)
            return false;
        z += digits(z);
    }
    return *z == '\0';
}

static bool based(const char *z, char base, const char *allowed)
{
    return z[0] == '0' && z[1] == base && z[2] != '\0' && strspn(z + 2, allowed) == strlen(z + 2);
}

static json_t *plain(const char *z)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
    static const char *const trues[] = { "true", "True", "TRUE", NULL };
    static const char *const falses[] = { "false", "False", "FALSE", NULL };
    static const char *const odd[] = { ".inf",  ".Inf",  ".INF",  "-.inf", "-.Inf", "-.INF",
                                       "+.inf", "+.Inf", "+.INF", ".nan",  ".NaN",  ".NAN",
                                       NULL };
    if (one_of(z, nulls))
        return json_null();
    if (one_of(z, trues))
        return json_true();
    if (one_of(z, falses))
        return json_false();
    if (one_of(z, odd))
        return json_real(0); /* a number; nobody asks which */
    if (based(z, 'o', "01234567"))
        return json_real((double)strtoull(z + 2, NULL, 8));
    if (based(z, 'x', "0123456789abcdefABCDEF"))
        return json_real((double)strtoull(z + 2, NULL, 16));
    if (!decimal(z))
        return NULL;
    double v = strtod(z, NULL);
    return json_real(isfinite(v) ? v : 0);
}

static json_t *scalar(const yaml_event_t *e)
{
    const char *z = (const char *)e->data.scalar.value;
    const char *tag = (const char *)e->data.scalar.tag;
    bool text = strlen(z) != e->data.scalar.length ||
                e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || tag;
    json_t *v = text ? NULL : plain(z);
    return v ? v : js_string((struct str){ z, e->data.scalar.length });
}

static enum status value(struct yaml *y, yaml_event_t *e, int depth, json_t **out);

static enum status sequence(struct yaml *y, int depth, json_t *list)
{
    for (;;) {
        yaml_event_t e;
        json_t *v;
        enum status st = next(y, &e);
        if (st != OK)
            return st;
        if (e.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&e);
            return OK;
        }
        st = value(y, &e, depth + 1, &v);
        if (st != OK)
            return st;
        js_push(list, v);
    }
}

/* Keys are strings, as those of a JavaScript object. */
static enum status key_of(struct yaml *y, yaml_event_t *e, const json_t *map, struct buf *key)
{
    enum status st = OK;
    if (e->type != YAML_SCALAR_EVENT) {
        st = complain(y, e->start_mark, "only plain keys are read");
    } else {
        buf_clear(key);
        buf_append(key, e->data.scalar.value, e->data.scalar.length);
        if (strlen(buf_z(key)) != key->len)
            st = complain(y, e->start_mark, "a key holds a NUL");
        else if (json_object_get(map, buf_z(key)))
            st = complain(y, e->start_mark, "Map keys must be unique");
    }
    yaml_event_delete(e);
    return st;
}

static enum status mapping(struct yaml *y, int depth, json_t *map)
{
    struct buf key;
    enum status st;
    buf_init(&key, YAML_BYTES_MAX);
    for (;;) {
        yaml_event_t e;
        json_t *v;
        if ((st = next(y, &e)) != OK)
            break;
        if (e.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&e);
            break;
        }
        if ((st = key_of(y, &e, map, &key)) != OK || (st = next(y, &e)) != OK ||
            (st = value(y, &e, depth + 1, &v)) != OK)
            break;
        js_set(map, buf_z(&key), v);
    }
    buf_fini(&key);
    return st;
}

static enum status alias(struct yaml *y, const yaml_event_t *e, json_t **out)
{
    *out = json_object_get(y->anchors, (const char *)e->data.alias.anchor);
    if (!*out)
        return complain(y, e->start_mark, "unknown alias");
    json_incref(*out);
    return OK;
}

static const char *anchor_of(const yaml_event_t *e)
{
    const yaml_char_t *a = e->type == YAML_SCALAR_EVENT           ? e->data.scalar.anchor
                           : e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.anchor
                           : e->type == YAML_MAPPING_START_EVENT  ? e->data.mapping_start.anchor
                                                                  : NULL;
    return (const char *)a;
}

/* The value that the event begins; the event is used up. */
static enum status value(struct yaml *y, yaml_event_t *e, int depth, json_t **out)
{
    enum status st = OK;
    *out = NULL;
    if (depth > YAML_DEPTH_MAX) {
        st = complain(y, e->start_mark, "nested too deep");
    } else if (e->type == YAML_ALIAS_EVENT) {
        st = alias(y, e, out);
    } else if (e->type == YAML_SCALAR_EVENT) {
        *out = scalar(e);
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        st = sequence(y, depth, *out = json_array());
    } else if (e->type == YAML_MAPPING_START_EVENT) {
        st = mapping(y, depth, *out = json_object());
    } else {
        st = complain(y, e->start_mark, "not a value");
    }
    if (st == OK && anchor_of(e))
        json_object_set(y->anchors, anchor_of(e), *out);
    if (st != OK && *out) {
        json_decref(*out);
        *out = NULL;
    }
    yaml_event_delete(e);
    return st;
}

/* One document and nothing behind it. */
static enum status document(struct yaml *y, json_t **out)
{
    int documents = 0;
    for (;;) {
        yaml_event_t e;
        enum status st = next(y, &e);
        if (st != OK)
            return st;
        yaml_event_type_t type = e.type;
        yaml_mark_t at = e.start_mark;
        if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT ||
            type == YAML_DOCUMENT_END_EVENT || type == YAML_STREAM_END_EVENT) {
            yaml_event_delete(&e);
            if (type == YAML_STREAM_END_EVENT)
                return OK;
            if (type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
                return complain(y, at, "more than one document");
            continue;
        }
        if ((st = value(y, &e, 1, out)) != OK)
            return st;
    }
}

enum status yaml_read(struct str text, json_t **out, struct err *err)
{
    struct yaml y = { .err = err };
    *out = NULL;
    if (text.n > YAML_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "larger than %d bytes", YAML_BYTES_MAX);
    if (!yaml_parser_initialize(&y.parser))
        return err_set(err, ERR_NOMEM, "no memory for YAML");
    y.anchors = json_object();
    yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&y.parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    enum status st = document(&y, out);
    if (st == OK && !*out)
        *out = json_null();
    if (st != OK && *out) {
        json_decref(*out);
        *out = NULL;
    }
    json_decref(y.anchors);
    yaml_parser_delete(&y.parser);
    return st;
}
