/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/body.h"
#include "common/openspec/draft_in.h"

#include <string.h>

enum { STEPS_MAX = 16 };

/* The lists of a scenario record, filled from the steps of a spec for those who look at the draft;
 * the renderer copies the original text. A line that says no keyword belongs to the one before. */
static void put_steps(struct pool *p, struct str text, json_t *scenario)
{
    static const char *const keys[] = { "given", "when", "then" };
    static const char *const words[] = { "**GIVEN**", "**WHEN**", "**THEN**" };
    struct lines l = lines_of(p, text);
    size_t now = 2;
    for (size_t i = 0; i < l.n && !p->failed; i++) {
        struct str raw = safe_line(p, l.at[i]);
        for (size_t k = 0; k < COUNT(words); k++) {
            if (text_find(raw, str_of(words[k]), 0) <= 2)
                now = k;
        }
        struct str step = safe_step(p, l.at[i]);
        json_t *list = json_object_get(scenario, keys[now]);
        if (step.n == 0 || js_count(list) >= STEPS_MAX)
            continue;
        if (!list) {
            list = json_array();
            js_set(scenario, keys[now], list);
        }
        js_push(list, js_string(step));
    }
}

static json_t *kept(struct pool *p, const struct spec_scenario *s)
{
    json_t *scenario = json_object();
    js_set_str(scenario, "name", s->name);
    js_set_bool(scenario, "keep", true);
    put_steps(p, s->text, scenario);
    return scenario;
}

/* Scenarios of the draft that the spec's scenario `s` goes by, not used yet; n when there is none. */
static size_t same_scenario(struct pool *p, const json_t *list, const bool *used, struct str name)
{
    size_t n = js_count(list);
    struct str safe = safe_scenario(p, name, name);
    for (size_t i = 0; i < n; i++) {
        struct str own = js_view(js_at(list, i), "name");
        if (!used[i] && (str_eq(own, name) || str_eq(safe_scenario(p, own, own), safe)))
            return i;
    }
    return n;
}

/* The scenarios of the spec in their order, each as the draft has it where it does; then the new
 * ones. */
static void complete_scenarios(struct pool *p, const struct spec_requirement *now, json_t *r)
{
    const json_t *list = js_list(r, "scenarios");
    size_t n = js_count(list);
    bool *used = pool_alloc(p, n + 1);
    json_t *all = json_array();
    for (size_t i = 0; used && i < now->scenarios_n; i++) {
        const struct spec_scenario *s = &now->scenarios[i];
        size_t at = same_scenario(p, list, used, s->name);
        if (at == n) {
            js_push(all, kept(p, s));
            continue;
        }
        used[at] = true;
        json_t *mine = json_incref((json_t *)js_at(list, at));
        js_set_str(mine, "name", s->name);
        js_push(all, mine);
    }
    for (size_t i = 0; used && i < n; i++) {
        if (!used[i])
            js_push(all, json_incref((json_t *)js_at(list, i)));
    }
    if (js_count(all) > 0 && !p->failed)
        js_set(r, "scenarios", all);
    else
        json_decref(all);
}

static void complete(struct targets *t, json_t *r)
{
    const char *op = js_str(r, "op");
    const struct spec *spec = target_spec(t, js_view(r, "capability"));
    bool added = strcmp(op, "added") == 0, modified = strcmp(op, "modified") == 0;
    bool renamed = strcmp(op, "renamed") == 0;
    const struct spec_requirement *now =
        spec ? target_requirement(t, spec, js_view(r, renamed ? "from" : "name")) : NULL;
    bool rewrites = renamed && (js_count(js_list(r, "scenarios")) > 0 || js_view(r, "text").n > 0);
    if (!now && modified)
        js_set_z(r, "op", "added");
    if (now && added)
        js_set_z(r, "op", "modified");
    if (!now || !(added || modified || rewrites))
        return;
    if (!renamed)
        js_set_str(r, "name", now->name);
    if (text_blank(js_view(r, "text")))
        js_set_str(r, "text", now->text);
    complete_scenarios(t->p, now, r);
}

enum status draft_complete(struct arena *a, const struct ws *base, json_t *requirement)
{
    struct pool p = pool_of(a);
    struct targets t = { .p = &p, .ws = base };
    complete(&t, requirement);
    return pool_status(&p);
}

enum status draft_complete_all(struct arena *a, const struct ws *base, json_t *draft)
{
    struct pool p = pool_of(a);
    struct targets t = { .p = &p, .ws = base };
    const json_t *list = js_list(draft, "requirements");
    for (size_t i = 0; i < js_count(list) && !p.failed; i++)
        complete(&t, (json_t *)js_at(list, i));
    return pool_status(&p);
}
