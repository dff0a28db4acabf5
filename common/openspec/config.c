/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/config.h"

#include "common/openspec/text.h"
#include "common/openspec/yaml.h"

enum { CONTEXT_MAX = 50 * 1024 };

struct reading {
    struct pool *p;
    struct spec_config *out;
    struct spec_findings *findings; /* may be NULL */
};

static void note(struct reading *r, const char *code, struct str message, const char *fix)
{
    struct spec_finding f = { .severity = SPEC_WARNING, .code = code, .path = r->out->file,
                              .file = r->out->file, .message = message, .fix = str_of(fix) };
    if (r->findings)
        pool_push(r->p, r->findings, f);
}

static struct str text_of(const json_t *v)
{
    return (struct str){ json_string_value(v), json_string_length(v) };
}

static void read_schema(struct reading *r, const json_t *v)
{
    if (!v)
        return;
    if (json_is_string(v) && json_string_length(v) > 0)
        r->out->schema = pool_copy(r->p, text_of(v));
    else
        note(r, "config.schema", LIT("Invalid 'schema' field in config (must be non-empty string)"),
             "name a workflow schema, for instance `schema: spec-driven`");
}

static void read_context(struct reading *r, const json_t *v)
{
    if (!v)
        return;
    if (!json_is_string(v))
        note(r, "config.context", LIT("Invalid 'context' field in config (must be string)"),
             "write the context as one text, for instance with `context: |`");
    else if (json_string_length(v) > CONTEXT_MAX)
        note(r, "config.context", LIT("Context too large (limit: 50KB), ignoring it"),
             "shorten the context");
    else
        r->out->context = pool_copy(r->p, text_of(v));
}

/* The texts of a list; false when it is none, or holds anything else. */
static bool texts(struct pool *p, const json_t *list, struct str_list *out)
{
    if (!json_is_array(list))
        return false;
    for (size_t i = 0; i < js_count(list); i++) {
        const json_t *v = js_at(list, i);
        if (!json_is_string(v))
            return false;
        struct str s = pool_copy(p, text_of(v));
        if (s.n > 0)
            pool_push(p, out, s);
    }
    return true;
}

static void read_rules(struct reading *r, json_t *v)
{
    const char *artifact;
    json_t *list;
    size_t cap = 0;
    if (!v)
        return;
    if (!json_is_object(v)) {
        note(r, "config.rules", LIT("Invalid 'rules' field in config (must be object)"),
             "write rules as a map from artifact to a list of texts");
        return;
    }
    json_object_foreach(v, artifact, list) {
        struct config_rules rules = { .artifact = pool_copy(r->p, str_of(artifact)) };
        if (!texts(r->p, list, &rules.items)) {
            note(r, "config.rules",
                 pool_cat(r->p, LIT("Rules for '"), rules.artifact,
                          LIT("' must be an array of strings, ignoring this artifact's rules")),
                 "write one text per list item");
            continue;
        }
        struct config_rules *at =
            rules.items.n ? pool_grow(r->p, r->out->rules, r->out->rules_n, &cap, sizeof *at) : NULL;
        if (!at)
            continue;
        r->out->rules = at;
        at[r->out->rules_n++] = rules;
    }
}

enum status config_read(struct arena *a, const struct ws *ws, struct spec_config *out,
                        struct spec_findings *findings)
{
    struct pool p = pool_of(a);
    struct reading r = { &p, out, findings };
    struct err err = { 0 };
    json_t *doc = NULL;
    const struct ws_file *f = ws_find(ws, LIT("config.yaml"));
    f = f ? f : ws_find(ws, LIT("config.yml"));
    *out = (struct spec_config){ .schema = LIT("spec-driven") };
    if (!f)
        return OK;
    out->file = f->path;
    if (yaml_read(text_decode(&p, f->bytes), &doc, &err) != OK) {
        note(&r, "config.yaml", pool_cat(&p, LIT("not YAML, ignored: "), str_of(err.text)),
             "correct the file; until then it counts as absent");
        return pool_status(&p);
    }
    if (!json_is_object(doc)) {
        note(&r, "config.yaml", LIT("openspec/config.yaml is not a valid YAML object"),
             "write keys and values, for instance `schema: spec-driven`");
    } else {
        read_schema(&r, json_object_get(doc, "schema"));
        read_context(&r, json_object_get(doc, "context"));
        read_rules(&r, json_object_get(doc, "rules"));
    }
    json_decref(doc);
    return pool_status(&p);
}

json_t *config_rules_json(const struct spec_config *config)
{
    json_t *out = json_object();
    for (size_t i = 0; i < config->rules_n; i++) {
        const struct config_rules *r = &config->rules[i];
        json_t *list = json_array();
        for (size_t k = 0; k < r->items.n; k++)
            js_push(list, js_string(r->items.at[k]));
        json_object_setn_nocheck(out, r->artifact.p, r->artifact.n, list);
        json_decref(list);
    }
    return out;
}
