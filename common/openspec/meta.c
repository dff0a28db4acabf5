/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/config.h"
#include "common/openspec/text.h"
#include "common/openspec/workflow.h"
#include "common/openspec/yaml.h"

#include <stdio.h>
#include <string.h>

enum { REASON_MAX = 256 };

static const struct ws_file *meta_file(struct pool *p, const struct ws *ws, struct str change)
{
    return ws_find(ws, pool_cat(p, LIT("changes/"), change, LIT("/.openspec.yaml")));
}

static const char *type_name(const json_t *v)
{
    return !v                  ? "undefined"
           : json_is_null(v)   ? "null"
           : json_is_array(v)  ? "array"
           : json_is_object(v) ? "object"
           : json_is_string(v) ? "string"
           : json_is_number(v) ? "number"
                               : "boolean";
}

/* The first fault of the metadata in the order of the original's schema, in its words. */
struct fault {
    char text[REASON_MAX];
};

static bool expected(struct fault *f, const char *path, const char *type, const json_t *v)
{
    snprintf(f->text, sizeof f->text, "%s%sInvalid input: expected %s, received %s", path,
             *path ? ": " : "", type, type_name(v));
    return false;
}

static bool says(struct fault *f, const char *path, const char *what)
{
    snprintf(f->text, sizeof f->text, "%s: %s", path, what);
    return false;
}

#define TOO_SMALL "Too small: expected string to have >=1 characters"

static bool date_like(const char *z)
{
    if (strlen(z) != sizeof "2000-01-01" - 1)
        return false;
    for (size_t i = 0; z[i]; i++) {
        bool dash = i == 4 || i == 7;
        if (dash ? z[i] != '-' : z[i] < '0' || z[i] > '9')
            return false;
    }
    return true;
}

static bool kebab(const char *z)
{
    bool fresh = true;
    for (; *z; z++) {
        bool letter = (*z >= 'a' && *z <= 'z') || (*z >= '0' && *z <= '9');
        if (!letter && (*z != '-' || fresh))
            return false;
        fresh = !letter;
    }
    return !fresh;
}

static bool initiative_ok(struct fault *f, const json_t *v)
{
    static const char *const keys[] = { "store", "id" }, *const labels[] = { "Store", "Initiative" };
    if (!json_is_object(v))
        return expected(f, "initiative", "object", v);
    for (size_t i = 0; i < COUNT(keys); i++) {
        const json_t *s = json_object_get(v, keys[i]);
        char path[32], what[128];
        snprintf(path, sizeof path, "initiative.%s", keys[i]);
        if (!json_is_string(s))
            return expected(f, path, "string", s);
        snprintf(what, sizeof what,
                 "%s id must be kebab-case with lowercase letters, numbers, and single hyphen "
                 "separators",
                 labels[i]);
        if (!kebab(json_string_value(s)))
            return says(f, path, what);
    }
    if (json_object_size(v) > COUNT(keys))
        return says(f, "initiative", "Unrecognized key");
    return true;
}

static bool areas_ok(struct fault *f, const json_t *v)
{
    if (!json_is_array(v))
        return expected(f, "affected_areas", "array", v);
    for (size_t i = 0; i < js_count(v); i++) {
        char path[64];
        snprintf(path, sizeof path, "affected_areas.%zu", i);
        if (!json_is_string(js_at(v, i)))
            return expected(f, path, "string", js_at(v, i));
        if (json_string_length(js_at(v, i)) == 0)
            return says(f, path, TOO_SMALL);
    }
    return true;
}

static bool meta_ok(struct fault *f, const json_t *doc)
{
    if (!json_is_object(doc))
        return expected(f, "", "object", doc);
    const json_t *schema = json_object_get(doc, "schema"), *created = json_object_get(doc, "created");
    const json_t *goal = json_object_get(doc, "goal"), *areas = json_object_get(doc, "affected_areas");
    const json_t *initiative = json_object_get(doc, "initiative");
    if (!json_is_string(schema))
        return expected(f, "schema", "string", schema);
    if (json_string_length(schema) == 0)
        return says(f, "schema", "schema is required");
    if (created && !json_is_string(created))
        return expected(f, "created", "string", created);
    if (created && !date_like(json_string_value(created)))
        return says(f, "created", "created must be YYYY-MM-DD format");
    if (goal && !json_is_string(goal))
        return expected(f, "goal", "string", goal);
    if (goal && json_string_length(goal) == 0)
        return says(f, "goal", TOO_SMALL);
    if ((areas && !areas_ok(f, areas)) || (initiative && !initiative_ok(f, initiative)))
        return false;
    static const char *const flags[] = { "skip_specs", "retire_capabilities" };
    for (size_t i = 0; i < COUNT(flags); i++) {
        const json_t *v = json_object_get(doc, flags[i]);
        if (v && !json_is_boolean(v))
            return expected(f, flags[i], "boolean", v);
    }
    return true;
}

/* Control characters become '?': the reason is printed. */
static struct str printable(struct pool *p, struct str s)
{
    struct str copy = pool_copy(p, s);
    for (size_t i = 0; i < copy.n; i++) {
        unsigned char c = (unsigned char)copy.p[i];
        if (c < 0x20 || c == 0x7f)
            ((char *)copy.p)[i] = '?';
    }
    return copy;
}

/* ^\s*(['"]?)KEY\1\s*: on some line */
static bool mentions(struct pool *p, struct str text, const char *key)
{
    struct lines l = lines_of(p, text_lf(p, text));
    for (size_t i = 0; i < l.n; i++) {
        struct str s = text_trim_start(l.at[i]);
        char quote = s.n > 0 && (s.p[0] == '\'' || s.p[0] == '"') ? s.p[0] : 0;
        s = text_from(s, quote != 0);
        if (!text_starts(s, key))
            continue;
        s = text_from(s, strlen(key));
        if (quote && (s.n == 0 || s.p[0] != quote))
            continue;
        if (text_starts(text_trim_start(text_from(s, quote != 0)), ":"))
            return true;
    }
    return false;
}

struct meta_doc {
    json_t *doc; /* NULL: not YAML */
    bool ok;
    struct fault fault;
    struct str text;
};

static struct change_marker marker(struct pool *p, const struct meta_doc *m,
                                   const struct workflow *w, const char *key)
{
    const json_t *v = json_object_get(m->doc, key);
    if (!m->doc)
        return (struct change_marker){
            .invalid = mentions(p, m->text, key) ? LIT("the file is not valid YAML") : LIT("") };
    if (!m->ok) {
        if (!v || json_is_false(v))
            return (struct change_marker){ 0 };
        return (struct change_marker){ .invalid = printable(p, str_of(m->fault.text)) };
    }
    if (!json_is_true(v))
        return (struct change_marker){ 0 };
    if (!w->exists)
        return (struct change_marker){
            .invalid = printable(p, pool_cat(p, LIT("schema: unknown schema '"),
                                             js_view(m->doc, "schema"), LIT("'"))) };
    if (!w->loads)
        return (struct change_marker){ .invalid = printable(p, w->reason) };
    return (struct change_marker){ .declared = true };
}

enum status meta_read(struct arena *a, const struct ws *ws, struct str change,
                      struct change_meta *out)
{
    struct pool p = pool_of(a);
    struct spec_config config;
    struct err err = { 0 };
    *out = (struct change_meta){ .valid = true };
    const struct ws_file *f = meta_file(&p, ws, change);
    struct meta_doc m = { 0 };
    struct workflow w = { 0 };
    out->exists = f;
    if (f) {
        m.text = text_decode(&p, f->bytes);
        m.ok = yaml_read(m.text, &m.doc, &err) == OK && meta_ok(&m.fault, m.doc);
    }
    if (m.ok) {
        out->schema = pool_copy(&p, js_view(m.doc, "schema"));
        out->created = pool_copy(&p, js_view(m.doc, "created"));
        w = workflow_find(&p, ws, out->schema, true);
    } else {
        enum status st = config_read(a, ws, &config, NULL);
        if (st != OK) {
            json_decref(m.doc);
            return st;
        }
        out->schema = config.schema;
    }
    out->valid = !f || (m.ok && w.exists);
    if (f) {
        out->skip_specs = marker(&p, &m, &w, "skip_specs");
        out->retire_capabilities = marker(&p, &m, &w, "retire_capabilities");
    }
    out->schema_builtin = out->valid && workflow_find(&p, ws, out->schema, false).builtin;
    json_decref(m.doc);
    return pool_status(&p);
}

json_t *meta_pawl(const struct ws *ws, struct str change)
{
    struct arena a;
    struct err err = { 0 };
    json_t *doc = NULL, *own = NULL;
    arena_init(&a, 4 * (size_t)YAML_BYTES_MAX);
    struct pool p = pool_of(&a);
    const struct ws_file *f = meta_file(&p, ws, change);
    if (f && f->bytes.n <= YAML_BYTES_MAX && yaml_read(text_decode(&p, f->bytes), &doc, &err) == OK)
        own = json_incref(json_object_get(doc, "pawl"));
    json_decref(doc);
    arena_fini(&a);
    return own;
}
