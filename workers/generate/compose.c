/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/state.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PURPOSE_MIN = 50, TASKS_PER_SECTION = 30, WHY_MAX = 1000 };

static bool written(const struct item *it)
{
    bool plain = it->op && (strcmp(it->op, "removed") == 0 || strcmp(it->op, "renamed") == 0);
    return it->state != ITEM_OUT && (plain || it->text);
}

static const char *capability_of(const struct gen *g, const struct item *it)
{
    return it->capability && *it->capability ? it->capability : g->home;
}

/* Names are unique in a capability, and an added one must not exist there yet. */
static bool name_taken(const struct gen *g, const struct item *it, const char *name)
{
    const char *cap = capability_of(g, it);
    for (const struct item *o = g->items; o < it; o++) {
        if (written(o) && strcmp(capability_of(g, o), cap) == 0 && strcasecmp(o->name, name) == 0)
            return true;
    }
    for (size_t i = 0; i < g->known_n; i++) {
        if (strcmp(g->known[i].capability, cap) == 0 && strcasecmp(g->known[i].name, name) == 0)
            return true;
    }
    return false;
}

static void unique_name(struct gen *g, struct item *it)
{
    char *base = it->name;
    if (strcmp(it->op, "added") != 0)
        return;
    for (int i = 2; name_taken(g, it, it->name) && i < 100; i++) {
        char *z = arena_printf(g->arena, "%s (%d)", base, i);
        if (!z)
            return;
        it->name = z;
    }
}

/* Which facts a requirement rests on: a figure that only the fact has, or three words in common. */
static void find_sources(const struct gen *g, struct item *it)
{
    struct words text = words_of(g, str_of(it->text ? it->text : ""));
    for (size_t i = 0; i < g->facts_n; i++) {
        const struct fact *f = &g->facts[i];
        bool rests = false;
        size_t common = 0;
        for (size_t k = 0; k < text.n; k++) {
            bool has = words_hold(&f->words, &text.v[k]);
            common += has && !word_figure(&text.v[k]);
            rests = rests ||
                    (has && word_figure(&text.v[k]) && !words_hold(&g->problem_words, &text.v[k]));
        }
        if ((rests && common >= 1) || common >= 3)
            sources_add(it, f->id);
    }
}

static json_t *requirement_of(struct gen *g, struct item *it)
{
    json_t *r = json_object();
    js_set_z(r, "op", it->op);
    js_set_z(r, "capability", capability_of(g, it));
    js_set_z(r, "name", it->name);
    if (it->from && *it->from)
        js_set_z(r, "from", it->from);
    if (it->reason && *it->reason)
        js_set_z(r, "reason", it->reason);
    if (it->migration && *it->migration)
        js_set_z(r, "migration", it->migration);
    if (it->text)
        js_set_z(r, "text", it->text);
    js_set(r, "scenarios",
           it->target && it->state == ITEM_READY && !json_object_get(r, "from")
               ? place_scenarios(g, it)
               : json_deep_copy(it->scenarios));
    if (json_array_size(it->sources))
        js_set(r, "sources", json_deep_copy(it->sources));
    const struct statement *s = it->about ? it->about : statement_near(g, &it->words);
    if (!it->about && it->answers && *it->answers)
        js_set_z(r, "statement", it->answers);
    else if (s)
        js_set_str(r, "statement", s->text);
    return r;
}

static void put_what(struct gen *g, json_t *what, const struct item *it)
{
    static const struct {
        const char *op, *verb;
    } verbs[] = { { "added", "Add" },
                  { "modified", "Change" },
                  { "removed", "Remove" },
                  { "renamed", "Rename" } };
    const char *verb = verbs[0].verb;
    for (size_t i = 0; i < COUNT(verbs); i++) {
        if (strcmp(verbs[i].op, it->op) == 0)
            verb = verbs[i].verb;
    }
    char *z = arena_printf(g->arena, "**%s** (%s): %s", it->name, capability_of(g, it),
                           it->text ? it->text : "");
    char *line = z ? arena_printf(g->arena, "%s %s", verb, z) : NULL;
    js_push_z(what, line ? line : it->name);
}

static json_t *sources_of(const struct gen *g)
{
    json_t *out = json_array();
    const json_t *lists[] = { js_list(g->in.insights, "items"), g->extra };
    for (size_t l = 0; l < COUNT(lists); l++) {
        for (size_t i = 0; i < js_count(lists[l]); i++) {
            const json_t *insight = js_at(lists[l], i);
            bool cited = false;
            for (size_t k = 0; k < g->items_n; k++) {
                const struct item *it = &g->items[k];
                for (size_t s = 0; written(it) && s < json_array_size(it->sources); s++)
                    cited = cited || strcmp(json_string_value(json_array_get(it->sources, s)),
                                            js_str(insight, "id")) == 0;
            }
            if (!cited)
                continue;
            json_t *copy = json_deep_copy(insight);
            js_set_z(copy, "excerpt", "");
            js_push(out, copy);
        }
    }
    return out;
}

/* tasks.md: what to build, as the model sees it, then one check for each scenario. */
static json_t *tasks_of(struct gen *g)
{
    json_t *list = json_array(), *build = json_object(), *verify = json_object(),
           *checks = json_array();
    json_t *items = g->tasks ? json_incref(g->tasks) : json_array();
    for (size_t i = 0; i < g->items_n; i++) {
        const struct item *it = &g->items[i];
        if (!written(it))
            continue;
        if (!g->tasks) {
            char *z = arena_printf(g->arena, "Implement “%s”", it->name);
            js_push_z(items, z ? z : it->name);
        }
        char *z = arena_printf(g->arena, "Test “%s” with its scenarios", it->name);
        if (json_array_size(checks) < TASKS_PER_SECTION)
            js_push_z(checks, z ? z : it->name);
    }
    js_set_z(build, "title", "Implementation");
    js_set(build, "items", items);
    js_set_z(verify, "title", "Verification");
    js_set(verify, "items", checks);
    js_push(list, build);
    js_push(list, verify);
    return list;
}

static json_t *purposes_of(struct gen *g)
{
    json_t *out = json_array();
    bool used = false;
    for (size_t i = 0; i < g->items_n; i++)
        used = used || (g->home_new && written(&g->items[i]) &&
                        strcmp(capability_of(g, &g->items[i]), g->home) == 0);
    if (used) {
        json_t *p = json_object();
        const char *text = g->purpose ? g->purpose : "";
        if (strlen(text) < PURPOSE_MIN) {
            const char *title = js_str(g->in.brief, "title");
            char *z = arena_printf(g->arena, "%s%sThis capability holds the rules for: %s.", text,
                                   *text ? " " : "", title);
            text = z ? z : text;
        }
        js_set_z(p, "capability", g->home);
        js_set_z(p, "text", text);
        js_push(out, p);
    } else { /* those of the draft that this one revises */
        const json_t *old = g->anew ? NULL : js_list(g->in.best, "purposes");
        if (old)
            json_array_extend(out, (json_t *)(uintptr_t)old);
    }
    return out;
}

static const char *why_of(struct gen *g)
{
    const char *old = js_str(g->in.best, "why");
    if (g->why && strlen(g->why) >= PURPOSE_MIN)
        return g->why;
    if (!g->anew && *old)
        return old;
    /* The problem's own words: what it says about how things are, else its beginning. */
    struct buf b;
    buf_init(&b, WHY_MAX * 4);
    for (int pass = 0; pass < 2 && b.len < PURPOSE_MIN; pass++) {
        for (size_t i = 0; i < g->statements_n && b.len < (pass ? PURPOSE_MIN : WHY_MAX / 2); i++) {
            const struct statement *s = &g->statements[i];
            if ((s->kind == STATEMENT_BACKGROUND) == (pass == 0))
                buf_printf(&b, "%s%s.", b.len ? " " : "",
                           text_line(g->arena, s->text, WHY_MAX / 2));
        }
    }
    char *z = arena_dup(g->arena, buf_z(&b), b.len);
    buf_fini(&b);
    return z && *z ? z : text_line(g->arena, g->problem, WHY_MAX - 4);
}

json_t *compose(struct gen *g)
{
    json_t *d = json_object(), *what = json_array(), *requirements = json_array(),
           *impact = json_array();
    for (size_t i = 0; i < g->items_n; i++) {
        struct item *it = &g->items[i];
        if (!written(it))
            continue;
        unique_name(g, it);
        find_sources(g, it);
        js_push(requirements, requirement_of(g, it));
        put_what(g, what, it);
        char *z =
            arena_printf(g->arena, "Capability `%s`%s", capability_of(g, it),
                         g->home_new && strcmp(capability_of(g, it), g->home) == 0 ? " (new)" : "");
        bool seen = !z;
        for (size_t k = 0; k < json_array_size(impact) && !seen; k++)
            seen = strcmp(json_string_value(json_array_get(impact, k)), z) == 0;
        if (!seen)
            js_push_z(impact, z);
    }
    js_set_z(d, "change_name", js_str(g->in.brief, "change_name"));
    js_set_z(d, "title", js_str(g->in.brief, "title"));
    js_set_z(d, "why", why_of(g));
    js_set(d, "what", what);
    js_set(d, "impact", impact);
    js_set(d, "requirements", requirements);
    js_set(d, "purposes", purposes_of(g));
    js_set(d, "tasks", tasks_of(g));
    if (!g->anew && js_count(js_list(g->in.best, "decisions")))
        js_set(d, "decisions", json_deep_copy(js_list(g->in.best, "decisions")));
    js_set(d, "sources", sources_of(g));
    return d;
}
