/* SPDX-License-Identifier: Apache-2.0 */
#include "common/llm/schema.h"

#include "common/bounds.h"

#include <stdio.h>
#include <string.h>

struct where {
    char path[256];
    struct err *err;
};

static enum status check(const json_t *schema, const json_t *v, struct where *w, int depth);

static enum status fail(struct where *w, const char *what)
{
    return err_set(w->err, ERR_DATA, "reply%s: %s", w->path, what);
}

static bool has_type(const json_t *v, const char *type)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "object",   [JSON_ARRAY] = "array", [JSON_STRING] = "string",
        [JSON_INTEGER] = "integer", [JSON_REAL] = "number", [JSON_TRUE] = "boolean",
        [JSON_FALSE] = "boolean",   [JSON_NULL] = "null"
    };
    return strcmp(names[json_typeof(v)], type) == 0 ||
           (json_is_integer(v) && strcmp(type, "number") == 0);
}

static enum status check_type(const json_t *type, const json_t *v, struct where *w)
{
    bool good = !type || (json_is_string(type) && has_type(v, json_string_value(type)));
    for (size_t i = 0; json_is_array(type) && i < js_count(type); i++)
        good = good ||
               (json_is_string(js_at(type, i)) && has_type(v, json_string_value(js_at(type, i))));
    return good ? OK : fail(w, "of the wrong type");
}

static enum status check_choice(const json_t *schema, const json_t *v, struct where *w)
{
    const json_t *list = js_list(schema, "enum"), *only = json_object_get(schema, "const");
    bool good = !list;
    for (size_t i = 0; i < js_count(list); i++)
        good = good || json_equal(js_at(list, i), v);
    if (!good)
        return fail(w, "not one of the values allowed");
    return !only || json_equal(only, v) ? OK : fail(w, "not the value required");
}

static int64_t code_points(struct str s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static enum status check_range(const json_t *schema, int64_t n, const char *least, const char *most,
                               struct where *w)
{
    char text[80];
    if (n < js_int(schema, least, 0)) {
        snprintf(text, sizeof text, "fewer than %s %lld", least,
                 (long long)js_int(schema, least, 0));
        return fail(w, text);
    }
    if (n > js_int(schema, most, INT64_MAX)) {
        snprintf(text, sizeof text, "more than %s %lld", most, (long long)js_int(schema, most, 0));
        return fail(w, text);
    }
    return OK;
}

/* Check `v` one step deeper, its place added to the path. */
static enum status inside(const json_t *schema, const json_t *v, const char *step, struct where *w,
                          int depth)
{
    size_t n = strlen(w->path);
    snprintf(w->path + n, sizeof w->path - n, "%s", step);
    enum status st = check(schema, v, w, depth + 1);
    w->path[n] = '\0';
    return st;
}

static enum status check_object(const json_t *schema, const json_t *v, struct where *w, int depth)
{
    const json_t *required = js_list(schema, "required"), *props = js_obj(schema, "properties");
    char step[128];
    for (size_t i = 0; i < js_count(required); i++) {
        const char *key = json_string_value(js_at(required, i));
        if (key && !json_object_get(v, key)) {
            snprintf(step, sizeof step, "'%.80s' is missing", key);
            return fail(w, step);
        }
    }
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)v, key, member)
    {
        const json_t *known = json_object_get(props, key);
        snprintf(step, sizeof step, ".%.80s", key);
        if (!known && !js_bool(schema, "additionalProperties", true)) {
            snprintf(step, sizeof step, "'%.80s' is not allowed", key);
            return fail(w, step);
        }
        enum status st = known ? inside(known, member, step, w, depth) : OK;
        if (st != OK)
            return st;
    }
    return OK;
}

static enum status check_list(const json_t *schema, const json_t *v, struct where *w, int depth)
{
    enum status st = check_range(schema, (int64_t)json_array_size(v), "minItems", "maxItems", w);
    const json_t *items = js_obj(schema, "items");
    for (size_t i = 0; st == OK && items && i < json_array_size(v); i++) {
        char step[32];
        snprintf(step, sizeof step, "[%zu]", i);
        st = inside(items, json_array_get(v, i), step, w, depth);
    }
    return st;
}

static enum status check_number(const json_t *schema, const json_t *v, struct where *w)
{
    double n = json_number_value(v);
    if (n < js_real(schema, "minimum", n))
        return fail(w, "less than the minimum");
    return n > js_real(schema, "maximum", n) ? fail(w, "more than the maximum") : OK;
}

/* oneOf and anyOf alike: alternatives that overlap are the asker's business. */
static enum status check_one_of(const json_t *list, const json_t *v, struct where *w, int depth)
{
    struct err first = { 0 }, *said = w->err;
    enum status st = OK;
    for (size_t i = 0; i < js_count(list); i++) {
        struct err e = { 0 };
        w->err = &e;
        st = check(js_at(list, i), v, w, depth + 1);
        w->err = said;
        if (st == OK)
            return OK;
        if (i == 0)
            first = e;
    }
    return st == OK ? OK : err_set(said, st, "%s (nor another alternative)", first.text);
}

static enum status check(const json_t *schema, const json_t *v, struct where *w, int depth)
{
    if (depth > PAWL_DEPTH_MAX)
        return fail(w, "nested too deeply");
    enum status st = check_type(json_object_get(schema, "type"), v, w);
    if (st == OK)
        st = check_choice(schema, v, w);
    if (st == OK && json_is_string(v))
        st = check_range(schema,
                         code_points((struct str){ json_string_value(v), json_string_length(v) }),
                         "minLength", "maxLength", w);
    if (st == OK && json_is_number(v))
        st = check_number(schema, v, w);
    if (st == OK && json_is_array(v))
        st = check_list(schema, v, w, depth);
    if (st == OK && json_is_object(v))
        st = check_object(schema, v, w, depth);
    if (st == OK)
        st = check_one_of(js_list(schema, "oneOf"), v, w, depth);
    return st == OK ? check_one_of(js_list(schema, "anyOf"), v, w, depth) : st;
}

enum status schema_check(const json_t *schema, const json_t *v, struct err *err)
{
    struct where w = { .err = err };
    return check(schema, v, &w, 0);
}
