/* SPDX-License-Identifier: Apache-2.0 */
#include "common/doc.h"

#include "common/bounds.h"
#include "common/hash.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum doc_type { T_STR, T_INT, T_REAL, T_BOOL, T_ANY, T_STRS, T_REC, T_LIST };

struct rule {
    const char *record, *key, *of;
    enum doc_type type;
    bool must;
    int64_t max; /* bytes or items; 0: none */
};

enum { MUST_BE = 1, MAY_BE = 0 };
#define NEED_MUST true
#define NEED_MAY false

static const struct rule rules[] = {
#define DOC(id, writer, help)
#define RECORD(id, help)
#define FIELD(record, key, type, of, need, max, help) \
    { #record, #key, #of, T_##type, NEED_##need, max },
#include "schemas/documents.def"
#undef DOC
#undef RECORD
#undef FIELD
};

static const char *const names[] = {
#define DOC(id, writer, help) #id,
#define RECORD(id, help)
#define FIELD(record, key, type, of, need, max, help)
#include "schemas/documents.def"
#undef DOC
#undef RECORD
#undef FIELD
};

bool doc_known(const char *name)
{
    for (size_t i = 0; i < COUNT(names); i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* Where in the document we are, for the message: names and indexes from the root. */
struct place {
    const struct place *up;
    const char *key;
    size_t index;
};

static void place_text(const struct place *at, struct buf *out)
{
    if (!at)
        return;
    place_text(at->up, out);
    if (at->key)
        buf_printf(out, "%s%s", at->up ? "." : "", at->key);
    else
        buf_printf(out, "[%zu]", at->index);
}

static enum status wrong(const struct place *at, enum status st, struct err *err, const char *what)
{
    struct buf text;
    buf_init(&text, 512);
    place_text(at, &text);
    err_set(err, st, "%s: %s", buf_z(&text), what);
    buf_fini(&text);
    return st;
}

static enum status check_record(const char *record, const json_t *v, const struct place *at,
                                struct err *err);

static enum status check_list(const struct rule *r, const json_t *v, const struct place *at,
                              struct err *err)
{
    if (!json_is_array(v))
        return wrong(at, ERR_DATA, err, "not a list");
    if (r->max && json_array_size(v) > (size_t)r->max)
        return wrong(at, ERR_LIMIT, err, "too many items");
    for (size_t i = 0; i < json_array_size(v); i++) {
        struct place here = { at, NULL, i };
        const json_t *item = json_array_get(v, i);
        if (r->type == T_STRS && !json_is_string(item))
            return wrong(&here, ERR_DATA, err, "not a string");
        enum status st = r->type == T_LIST ? check_record(r->of, item, &here, err) : OK;
        if (st != OK)
            return st;
    }
    return OK;
}

static enum status check_value(const struct rule *r, const json_t *v, const struct place *at,
                               struct err *err)
{
    switch (r->type) {
    case T_STR:
        if (!json_is_string(v))
            return wrong(at, ERR_DATA, err, "not a string");
        return r->max && json_string_length(v) > (size_t)r->max
                   ? wrong(at, ERR_LIMIT, err, "too long") : OK;
    case T_INT: return json_is_integer(v) ? OK : wrong(at, ERR_DATA, err, "not an integer");
    case T_REAL: return json_is_number(v) ? OK : wrong(at, ERR_DATA, err, "not a number");
    case T_BOOL: return json_is_boolean(v) ? OK : wrong(at, ERR_DATA, err, "not true or false");
    case T_ANY: return OK;
    case T_STRS:
    case T_LIST: return check_list(r, v, at, err);
    case T_REC: return check_record(r->of, v, at, err);
    }
    return OK;
}

static enum status check_record(const char *record, const json_t *v, const struct place *at,
                                struct err *err)
{
    if (!json_is_object(v))
        return wrong(at, ERR_DATA, err, "not a map");
    for (size_t i = 0; i < COUNT(rules); i++) {
        const struct rule *r = &rules[i];
        if (strcmp(r->record, record) != 0)
            continue;
        struct place here = { at, r->key, 0 };
        const json_t *field = json_object_get(v, r->key);
        if (!field && r->must)
            return wrong(&here, ERR_DATA, err, "missing");
        enum status st = field ? check_value(r, field, &here, err) : OK;
        if (st != OK)
            return st;
    }
    return OK;
}

enum status doc_check(const char *name, const json_t *doc, struct err *err)
{
    struct place root = { NULL, name, 0 };
    return doc_known(name) ? check_record(name, doc, &root, err) : OK;
}

enum { CODEC_PLAIN = 0, CODEC_ZSTD = 1 };

enum status blob_pack(struct str plain, struct buf *frame)
{
    bool pack = plain.n > DOC_PACK_ABOVE;
    enum status st = buf_char(frame, pack ? CODEC_ZSTD : CODEC_PLAIN);
    if (st != OK)
        return st;
    return pack ? zpack(plain, frame) : buf_view(frame, plain);
}

enum status blob_unpack(struct str frame, size_t max, struct buf *plain)
{
    if (frame.n == 0)
        return ERR_DATA;
    struct str rest = { frame.p + 1, frame.n - 1 };
    switch (frame.p[0]) {
    case CODEC_PLAIN: return rest.n <= max ? buf_view(plain, rest) : ERR_LIMIT;
    case CODEC_ZSTD: return zunpack(rest, max, plain);
    default: return ERR_DATA;
    }
}

enum status doc_pack(const char *name, const json_t *doc, struct buf *frame, struct err *err)
{
    enum status st = doc_check(name, doc, err);
    if (st != OK)
        return st;
    struct buf plain;
    buf_init(&plain, PAWL_DOC_MAX);
    st = js_to_mp(doc, &plain);
    if (st == OK)
        st = blob_pack(buf_get(&plain), frame);
    if (st == OK && frame->len > PAWL_FRAME_MAX)
        st = ERR_LIMIT;
    buf_fini(&plain);
    return st == OK ? OK : err_set(err, st, "%s: too large or too deep to send", name);
}

enum status doc_unpack(const char *name, struct str frame, json_t **out, struct err *err)
{
    struct buf plain;
    buf_init(&plain, PAWL_DOC_MAX);
    *out = NULL;
    enum status st = blob_unpack(frame, PAWL_DOC_MAX, &plain);
    if (st != OK) {
        err_set(err, st, "%s: %s", name, st == ERR_LIMIT ? "larger than a document may be" : "not a document frame");
    } else if ((st = js_from_mp(buf_get(&plain), out, err)) != OK) {
        err_prefix(err, "%s", name);
    } else if ((st = doc_check(name, *out, err)) != OK) {
        json_decref(*out);
        *out = NULL;
    }
    buf_fini(&plain);
    return st;
}

json_t *finding_new(const char *severity, const char *code, const char *message, const char *fix)
{
    json_t *f = json_object();
    assert(f);
    js_set_z(f, "severity", severity);
    js_set_z(f, "code", code);
    js_set_z(f, "message", message);
    if (fix && *fix)
        js_set_z(f, "fix", fix);
    return f;
}

void finding_at(json_t *finding, const char *file, int line, int column)
{
    if (file && *file)
        js_set_z(finding, "file", file);
    if (line > 0)
        js_set_int(finding, "line", line);
    if (column > 0)
        js_set_int(finding, "column", column);
}
