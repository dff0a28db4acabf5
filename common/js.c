/* SPDX-License-Identifier: Apache-2.0 */
#include "common/js.h"

#include "common/bounds.h"
#include "common/mp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

json_t *js_parse(struct str text, struct err *err)
{
    json_error_t je;
    size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *v = json_loadb(text.p ? text.p : "", text.n, flags, &je);
    if (!v)
        err_set(err, ERR_DATA, "line %d, column %d: %s", je.line, je.column, je.text);
    return v;
}

static int append(const char *data, size_t n, void *out)
{
    return buf_append(out, data, n) == OK ? 0 : -1;
}

static enum status dump(const json_t *v, size_t flags, struct buf *out)
{
    if (json_dump_callback(v, append, out, flags | JSON_ENCODE_ANY) != 0 && out->status == OK)
        return ERR_INTERNAL;
    return out->status;
}

enum status js_dump(const json_t *v, struct buf *out)
{
    return dump(v, JSON_COMPACT | JSON_SORT_KEYS, out);
}

enum status js_dump_pretty(const json_t *v, struct buf *out)
{
    return dump(v, JSON_INDENT(2), out);
}

const char *js_str(const json_t *obj, const char *key)
{
    const char *z = json_string_value(json_object_get(obj, key));
    return z ? z : "";
}

struct str js_view(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    return (struct str){ json_string_value(v), json_string_length(v) };
}

int64_t js_int(const json_t *obj, const char *key, int64_t otherwise)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

double js_real(const json_t *obj, const char *key, double otherwise)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

bool js_bool(const json_t *obj, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

const json_t *js_list(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_array(v) ? v : NULL;
}

const json_t *js_obj(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_object(v) ? v : NULL;
}

size_t js_count(const json_t *list)
{
    return list ? json_array_size(list) : 0;
}

const json_t *js_at(const json_t *list, size_t i)
{
    return list ? json_array_get(list, i) : NULL;
}

const json_t *js_path(const json_t *v, const char *path)
{
    while (v && *path) {
        size_t n = strcspn(path, ".");
        char step[256];
        if (n >= sizeof step)
            return NULL;
        memcpy(step, path, n);
        step[n] = '\0';
        if (json_is_array(v)) {
            char *end;
            unsigned long i = strtoul(step, &end, 10);
            v = *step && !*end ? json_array_get(v, i) : NULL;
        } else {
            v = json_object_get(v, step);
        }
        path += n + (path[n] == '.');
    }
    return v;
}

/* Length of the valid UTF-8 sequence at p, or 0. Unicode 15, table 3-7. */
static size_t sequence(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t want = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 :
                  p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
    if (want == 0 || want > n)
        return 0;
    for (size_t i = 1; i < want; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool outside = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return overlong || outside ? 0 : want;
}

/* Bytes of ASCII at the start, in steps of eight. */
static size_t ascii_run(struct str s)
{
    size_t i = 0;
    for (uint64_t eight; i + sizeof eight <= s.n; i += sizeof eight) {
        memcpy(&eight, s.p + i, sizeof eight);
        if (eight & 0x8080808080808080u)
            break;
    }
    return i;
}

bool utf8_valid(struct str s, size_t *bad_at)
{
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0; i < s.n;) {
        size_t n = ascii_run((struct str){ s.p + i, s.n - i });
        n = n ? n : sequence(p + i, s.n - i);
        if (n == 0) {
            if (bad_at)
                *bad_at = i;
            return false;
        }
        i += n;
    }
    return true;
}

json_t *js_string(struct str s)
{
    if (utf8_valid(s, NULL)) {
        json_t *v = json_stringn_nocheck(s.p ? s.p : "", s.n);
        assert(v);
        return v;
    }
    struct buf clean;
    buf_init(&clean, s.n * 3);
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0; i < s.n;) {
        size_t n = sequence(p + i, s.n - i);
        buf_append(&clean, n ? s.p + i : "\xef\xbf\xbd", n ? n : 3);
        i += n ? n : 1;
    }
    json_t *v = json_stringn_nocheck(buf_z(&clean), clean.len);
    buf_fini(&clean);
    assert(v);
    return v;
}

void js_set(json_t *obj, const char *key, json_t *v)
{
    int rc = json_object_set_new(obj, key, v);
    assert(rc == 0);
    (void)rc;
}

void js_push(json_t *list, json_t *v)
{
    int rc = json_array_append_new(list, v);
    assert(rc == 0);
    (void)rc;
}

void js_set_str(json_t *obj, const char *key, struct str s)
{
    js_set(obj, key, js_string(s));
}

void js_set_z(json_t *obj, const char *key, const char *z)
{
    js_set(obj, key, js_string(str_of(z)));
}

void js_set_int(json_t *obj, const char *key, int64_t v)
{
    js_set(obj, key, json_integer(v));
}

void js_set_real(json_t *obj, const char *key, double v)
{
    js_set(obj, key, json_real(v));
}

void js_set_bool(json_t *obj, const char *key, bool v)
{
    js_set(obj, key, json_boolean(v));
}

void js_push_z(json_t *list, const char *z)
{
    js_push(list, js_string(str_of(z)));
}

static enum status write_mp(const json_t *v, struct buf *out, int depth)
{
    if (depth > PAWL_DEPTH_MAX)
        return ERR_LIMIT;
    switch (json_typeof(v)) {
    case JSON_NULL: return mp_nil(out);
    case JSON_TRUE: return mp_bool(out, true);
    case JSON_FALSE: return mp_bool(out, false);
    case JSON_INTEGER: return mp_int(out, json_integer_value(v));
    case JSON_REAL: return mp_real(out, json_real_value(v));
    case JSON_STRING:
        return mp_str(out, (struct str){ json_string_value(v), json_string_length(v) });
    case JSON_ARRAY: {
        enum status st = mp_array(out, json_array_size(v));
        for (size_t i = 0; st == OK && i < json_array_size(v); i++)
            st = write_mp(json_array_get(v, i), out, depth + 1);
        return st;
    }
    case JSON_OBJECT: {
        enum status st = mp_map(out, json_object_size(v));
        void *it = json_object_iter((json_t *)(uintptr_t)v);
        for (; st == OK && it; it = json_object_iter_next((json_t *)(uintptr_t)v, it)) {
            st = mp_str(out, str_of(json_object_iter_key(it)));
            if (st == OK)
                st = write_mp(json_object_iter_value(it), out, depth + 1);
        }
        return st;
    }
    }
    return ERR_INTERNAL;
}

enum status js_to_mp(const json_t *v, struct buf *out)
{
    return write_mp(v, out, 0);
}

static enum status read_mp(struct mp *r, json_t **out);

static enum status read_array(struct mp *r, size_t n, json_t **out)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *v = NULL;
        enum status st = read_mp(r, &v);
        if (st != OK) {
            json_decref(list);
            return st;
        }
        js_push(list, v);
    }
    *out = list;
    return OK;
}

static enum status read_map(struct mp *r, size_t n, json_t **out)
{
    json_t *obj = json_object();
    enum status st = OK;
    for (size_t i = 0; i < n && st == OK; i++) {
        struct mp_value key;
        json_t *v = NULL;
        st = mp_next(r, &key);
        if (st == OK && (key.type != MP_STR || memchr(key.str.p, 0, key.str.n) || !utf8_valid(key.str, NULL)))
            st = ERR_DATA;
        if (st == OK)
            st = read_mp(r, &v);
        if (st != OK)
            break;
        char *z = strndup(key.str.p, key.str.n);
        js_set(obj, z, v);
        free(z);
    }
    if (st != OK) {
        json_decref(obj);
        return st;
    }
    *out = obj;
    return OK;
}

static enum status read_mp(struct mp *r, json_t **out)
{
    struct mp_value v;
    enum status st = mp_next(r, &v);
    if (st != OK)
        return st;
    switch (v.type) {
    case MP_NIL: *out = json_null(); return OK;
    case MP_BOOL: *out = json_boolean(v.b); return OK;
    case MP_INT: *out = json_integer(v.i); return OK;
    case MP_UINT: return ERR_DATA; /* above 2^63: JSON's integers end there */
    case MP_REAL:
        *out = json_real(v.d);
        return *out ? OK : ERR_DATA; /* NaN and infinities have no JSON form */
    case MP_STR:
        if (!utf8_valid(v.str, NULL))
            return ERR_DATA;
        *out = js_string(v.str);
        return OK;
    case MP_BIN: return ERR_DATA;
    case MP_ARRAY: return read_array(r, v.n, out);
    case MP_MAP: return read_map(r, v.n, out);
    }
    return ERR_DATA;
}

enum status js_from_mp(struct str bytes, json_t **out, struct err *err)
{
    struct mp r;
    *out = NULL;
    mp_init(&r, bytes);
    enum status st = mp_check(bytes); /* bounds first, then allocation */
    if (st == OK)
        st = read_mp(&r, out);
    if (st != OK)
        return err_set(err, st, "not a document: byte %zu of %zu: %s", r.at, bytes.n,
                       st == ERR_LIMIT ? "too deep or too many items" : "malformed msgpack");
    return OK;
}
