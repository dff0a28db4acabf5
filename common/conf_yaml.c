/* SPDX-License-Identifier: Apache-2.0 */
#include "common/conf_in.h"

#include "common/bounds.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { FILE_BYTES_MAX = 1 << 20, NODES_MAX = 100000 };

struct reader {
    struct conf *conf;
    const char *path;
    char dir[PATH_MAX];
    struct buf text;
    yaml_parser_t parser;
    yaml_event_t event;
    bool have_event;
    int nodes;
    struct err *err;
};

/* "file:line:column: what", then the source line with a caret under the column. */
static enum status complain(struct reader *r, yaml_mark_t at, const char *what)
{
    const char *line = buf_z(&r->text);
    for (size_t i = 0; i < at.line && line; i++) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    char shown[121];
    size_t n = line ? strcspn(line, "\n") : 0;
    n = n < sizeof shown ? n : sizeof shown - 1;
    for (size_t i = 0; i < n; i++) /* tabs would move the caret, escapes the terminal */
        shown[i] = (unsigned char)line[i] < ' ' || line[i] == 127 ? ' ' : line[i];
    shown[n] = '\0';
    err_set(r->err, ERR_CONFIG, "%s:%zu:%zu: error: %s\n  %4zu | %s\n       | %*s^", r->path,
            at.line + 1, at.column + 1, what, at.line + 1, shown,
            at.column > 110 ? 0 : (int)at.column, "");
    return ERR_CONFIG;
}

static yaml_mark_t mark_of(const struct buf *text, size_t offset)
{
    yaml_mark_t at = { .index = offset };
    for (size_t i = 0; i < offset && i < text->len; i++) {
        at.column++;
        if (text->data[i] == '\n') {
            at.line++;
            at.column = 0;
        }
    }
    return at;
}

static enum status next(struct reader *r)
{
    if (r->have_event)
        yaml_event_delete(&r->event);
    r->have_event = false;
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        yaml_mark_t at = r->parser.problem_mark;
        if (r->parser.error == YAML_READER_ERROR)
            at = mark_of(&r->text,
                         r->parser.problem_offset); /* no mark yet: bytes, not characters */
        return complain(r, at, r->parser.problem ? r->parser.problem : "not YAML");
    }
    r->have_event = true;
    yaml_mark_t at = r->event.start_mark;
    if (++r->nodes > NODES_MAX)
        return complain(r, at, "too many values");
    if (r->event.type == YAML_ALIAS_EVENT)
        return complain(r, at, "aliases are not allowed here");
    bool anchor =
        (r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.anchor) ||
        (r->event.type == YAML_MAPPING_START_EVENT && r->event.data.mapping_start.anchor) ||
        (r->event.type == YAML_SEQUENCE_START_EVENT && r->event.data.sequence_start.anchor);
    if (anchor)
        return complain(r, at, "anchors are not allowed here");
    bool tag = (r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.tag) ||
               (r->event.type == YAML_MAPPING_START_EVENT && r->event.data.mapping_start.tag) ||
               (r->event.type == YAML_SEQUENCE_START_EVENT && r->event.data.sequence_start.tag);
    return tag ? complain(r, at, "tags are not allowed here") : OK;
}

static struct str scalar(const struct reader *r)
{
    return (struct str){ (const char *)r->event.data.scalar.value, r->event.data.scalar.length };
}

/* A plain scalar of a TREE takes JSON's types; a quoted one is a string. */
static json_t *typed(const struct reader *r)
{
    struct str s = scalar(r);
    if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        if (str_is(s, "true") || str_is(s, "false"))
            return json_boolean(s.p[0] == 't');
        if (str_is(s, "null") || str_is(s, "~") || s.n == 0)
            return json_null();
        char *end;
        errno = 0;
        long long i = strtoll(s.p, &end, 10);
        if (end == s.p + s.n && !errno)
            return json_integer(i);
        double d = strtod(s.p, &end);
        if (end == s.p + s.n && strspn(s.p, "0123456789.eE+-") == s.n)
            return json_real(d);
    }
    return js_string(s);
}

struct where {
    json_t *lines; /* path -> line */
    char path[512];
};

static enum status tree(struct reader *r, struct where *w, int depth, json_t **out);

static void step_into(struct where *w, size_t *was, struct str name)
{
    *was = strlen(w->path);
    snprintf(w->path + *was, sizeof w->path - *was, "%s%.*s", *was ? "." : "", STR_ARG(name));
}

static enum status tree_list(struct reader *r, struct where *w, int depth, json_t **out)
{
    json_t *list = json_array();
    enum status st;
    while ((st = next(r)) == OK && r->event.type != YAML_SEQUENCE_END_EVENT) {
        char index[24];
        size_t was;
        json_t *v = NULL;
        snprintf(index, sizeof index, "%zu", json_array_size(list));
        step_into(w, &was, str_of(index));
        st = tree(r, w, depth + 1, &v);
        w->path[was] = '\0';
        if (st != OK)
            break;
        js_push(list, v);
    }
    if (st != OK)
        json_decref(list);
    else
        *out = list;
    return st;
}

static enum status tree_map(struct reader *r, struct where *w, int depth, json_t **out)
{
    json_t *obj = json_object();
    enum status st;
    while ((st = next(r)) == OK && r->event.type != YAML_MAPPING_END_EVENT) {
        char key[256];
        size_t was;
        json_t *v = NULL;
        yaml_mark_t at = r->event.start_mark;
        if (r->event.type != YAML_SCALAR_EVENT || scalar(r).n >= sizeof key) {
            st = complain(r, at, "keys are short names");
            break;
        }
        snprintf(key, sizeof key, "%.*s", STR_ARG(scalar(r)));
        if (json_object_get(obj, key)) {
            st = complain(r, at, "the same key twice");
            break;
        }
        if ((st = next(r)) != OK)
            break;
        step_into(w, &was, str_of(key));
        st = tree(r, w, depth + 1, &v);
        w->path[was] = '\0';
        if (st != OK)
            break;
        js_set(obj, key, v);
    }
    if (st != OK)
        json_decref(obj);
    else
        *out = obj;
    return st;
}

/* The value that begins at the current event. */
static enum status tree(struct reader *r, struct where *w, int depth, json_t **out)
{
    if (depth > PAWL_DEPTH_MAX)
        return complain(r, r->event.start_mark, "nested too deep");
    js_set_int(w->lines, w->path, (int64_t)r->event.start_mark.line + 1);
    if (r->event.type == YAML_SCALAR_EVENT) {
        *out = typed(r);
        return OK;
    }
    return r->event.type == YAML_SEQUENCE_START_EVENT ? tree_list(r, w, depth, out)
                                                      : tree_map(r, w, depth, out);
}

/* The value of one known key, which begins at the current event. */
static enum status value(struct reader *r, enum conf_key k)
{
    const char *type = conf_rows[k].type;
    char origin[PATH_MAX + 32];
    yaml_mark_t at = r->event.start_mark;
    snprintf(origin, sizeof origin, "%s:%zu", r->path, at.line + 1);
    if (strcmp(type, "TREE") != 0 && strcmp(type, "STRS") != 0) {
        if (r->event.type != YAML_SCALAR_EVENT)
            return complain(r, at, "one value is wanted here, not a list or a map");
        char *text = strndup(scalar(r).p, scalar(r).n);
        struct err why = { 0 };
        enum status st = conf_set(r->conf, k, text, r->dir, origin, &why);
        free(text);
        if (st == OK)
            return OK;
        complain(r, at, why.text);
        err_fix(r->err, "%s", why.fix);
        return st;
    }
    struct where w = { .lines = json_object() };
    json_t *v = NULL;
    enum status st = tree(r, &w, 0, &v);
    bool strings = st == OK && strcmp(type, "STRS") == 0;
    for (size_t i = 0; strings && i < js_count(v); i++)
        strings = json_is_string(json_array_get(v, i));
    if (st == OK && strcmp(type, "STRS") == 0 && (!json_is_array(v) || !strings))
        st = complain(r, at, "a list of strings is wanted here");
    if (st != OK) {
        json_decref(v);
        json_decref(w.lines);
        return st;
    }
    struct conf_value *slot = &r->conf->values[k];
    conf_value_free(slot);
    struct buf text;
    buf_init(&text, FILE_BYTES_MAX * 2);
    js_dump(v, &text);
    *slot = (struct conf_value){
        .tree = v, .lines = w.lines, .text = strdup(buf_z(&text)), .origin = strdup(origin)
    };
    buf_fini(&text);
    return OK;
}

static bool is_section(const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < CONF_COUNT; i++) {
        if (strncmp(conf_rows[i].path, path, n) == 0 && conf_rows[i].path[n] == '.')
            return true;
    }
    return false;
}

/* A mapping whose keys continue `prefix`. */
static enum status section(struct reader *r, const char *prefix, int depth)
{
    json_t *seen = json_object();
    enum status st;
    while ((st = next(r)) == OK && r->event.type != YAML_MAPPING_END_EVENT) {
        char path[256];
        enum conf_key k;
        yaml_mark_t at = r->event.start_mark;
        if (r->event.type != YAML_SCALAR_EVENT) {
            st = complain(r, at, "keys are names");
            break;
        }
        snprintf(path, sizeof path, "%s%s%.*s", prefix, *prefix ? "." : "", STR_ARG(scalar(r)));
        bool twice = json_object_get(seen, path) != NULL;
        bool known = conf_find(path, &k), group = !known && is_section(path) && depth < 8;
        if (twice || (!known && !group)) {
            char what[320];
            snprintf(what, sizeof what, twice ? "'%s' is here twice" : "unknown key '%s'", path);
            st = complain(r, at, what);
            if (!twice)
                conf_suggest(path, r->err);
            break;
        }
        js_set_bool(seen, path, true);
        if ((st = next(r)) != OK)
            break;
        if (known)
            st = value(r, k);
        else if (r->event.type == YAML_MAPPING_START_EVENT)
            st = section(r, path, depth + 1);
        else if (r->event.type != YAML_SCALAR_EVENT || scalar(r).n > 0)
            st = complain(r, r->event.start_mark, "a map of keys is wanted here");
        if (st != OK)
            break;
    }
    json_decref(seen);
    return st;
}

static enum status document(struct reader *r)
{
    enum status st = next(r); /* stream start */
    if (st == OK)
        st = next(r);
    if (st != OK || r->event.type == YAML_STREAM_END_EVENT)
        return st; /* an empty file says nothing */
    if ((st = next(r)) != OK)
        return st;
    bool empty = r->event.type == YAML_SCALAR_EVENT && scalar(r).n == 0;
    if (!empty && r->event.type != YAML_MAPPING_START_EVENT)
        return complain(r, r->event.start_mark, "a map of keys is wanted here");
    if (!empty)
        st = section(r, "", 0);
    if (st == OK)
        st = next(r); /* document end */
    if (st == OK)
        st = next(r);
    if (st == OK && r->event.type != YAML_STREAM_END_EVENT)
        return complain(r, r->event.start_mark, "a second document");
    return st;
}

static enum status slurp(struct reader *r)
{
    FILE *f = fopen(r->path, "re");
    char piece[8192];
    size_t n;
    if (!f)
        return err_set(r->err, ERR_CONFIG, "%s: %s", r->path, strerror(errno));
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_append(&r->text, piece, n);
    bool bad = ferror(f) != 0;
    fclose(f);
    if (bad || r->text.status != OK)
        return err_set(r->err, ERR_CONFIG, "%s: %s", r->path,
                       bad ? strerror(errno) : "larger than 1 MiB");
    return OK;
}

enum status conf_read_file(struct conf *c, const char *path, struct err *err)
{
    struct reader r = { .conf = c, .path = path, .err = err };
    buf_init(&r.text, FILE_BYTES_MAX);
    snprintf(r.dir, sizeof r.dir, "%s", path);
    char *slash = strrchr(r.dir, '/');
    if (slash)
        slash[slash == r.dir] = '\0';
    else
        snprintf(r.dir, sizeof r.dir, "%s", c->cwd);
    if (r.dir[0] != '/') { /* --config with a relative path */
        char absolute[PATH_MAX];
        snprintf(absolute, sizeof absolute, "%.2000s/%.2000s", c->cwd, r.dir);
        memcpy(r.dir, absolute, sizeof r.dir);
    }
    enum status st = slurp(&r);
    if (st == OK && !yaml_parser_initialize(&r.parser))
        st = err_set(err, ERR_NOMEM, "out of memory");
    else if (st == OK) {
        yaml_parser_set_input_string(&r.parser, (const unsigned char *)buf_z(&r.text), r.text.len);
        yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
        st = document(&r);
        if (r.have_event)
            yaml_event_delete(&r.event);
        yaml_parser_delete(&r.parser);
    }
    buf_fini(&r.text);
    return st;
}
