/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/state.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A sentence of the problem counts as dealt with when this share of its words is in the draft. */
static const double dealt_with = 0.34;

enum { INSTRUCT_MAX = 300 };

/* ---- what is missing --------------------------------------------------------------------------- */

static struct words words_so_far(struct gen *g)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < g->items_n; i++) {
        const struct item *it = &g->items[i];
        if (it->state != ITEM_OUT)
            buf_printf(&b, "%s\n%s\n%s\n", it->name, it->intent ? it->intent : "",
                       it->text ? it->text : "");
    }
    char *z = arena_dup(g->arena, buf_z(&b), b.len);
    buf_fini(&b);
    return words_of(g, str_of(z ? z : ""));
}

size_t missed_find(struct gen *g)
{
    struct words have = words_so_far(g);
    const struct words *sets[] = { &have };
    size_t missed = 0;
    for (size_t i = 0; i < g->statements_n; i++) {
        struct statement *s = &g->statements[i];
        s->missed = s->kind != STATEMENT_BACKGROUND && s->words.n >= 2 &&
                    (words_figures_missing(&s->words, sets, 1, NULL) > 0 ||
                     words_share(&s->words, &have) < dealt_with);
        missed += s->missed;
    }
    return missed;
}

/* ---- starting from the best draft --------------------------------------------------------------- */

static const struct known *known_find(const struct gen *g, const char *capability, const char *name)
{
    for (size_t i = 0; i < g->known_n; i++) {
        if (strcmp(g->known[i].name, name) == 0 && strcmp(g->known[i].capability, capability) == 0)
            return &g->known[i];
    }
    return NULL;
}

static void load_item(struct gen *g, const json_t *r)
{
    struct item *it = item_new(g, js_view(r, "name"), js_view(r, "text"));
    if (!it)
        return;
    static const char *const ops[] = { "added", "modified", "removed", "renamed" };
    it->op = ops[0];
    for (size_t i = 0; i < COUNT(ops); i++) {
        if (strcmp(js_str(r, "op"), ops[i]) == 0)
            it->op = ops[i];
    }
    it->name = arena_dup(g->arena, js_str(r, "name"), strlen(js_str(r, "name")));
    it->text = arena_dup(g->arena, js_str(r, "text"), strlen(js_str(r, "text")));
    it->capability = js_str(r, "capability");
    it->from = js_str(r, "from");
    it->reason = js_str(r, "reason");
    it->migration = js_str(r, "migration");
    it->answers = js_str(r, "statement");
    json_decref(it->scenarios);
    it->scenarios = json_deep_copy(js_list(r, "scenarios"));
    if (!it->scenarios)
        it->scenarios = json_array();
    const json_t *sources = js_list(r, "sources");
    for (size_t i = 0; i < js_count(sources); i++) {
        if (json_is_string(js_at(sources, i)))
            sources_add(it, json_string_value(js_at(sources, i)));
    }
    if (strcmp(it->op, "modified") == 0) {
        const struct known *k = known_find(g, it->capability, it->name);
        if (k)
            g->known[k - g->known].taken = true;
    }
    it->state = ITEM_READY;
    item_words(g, it);
}

/* The user's words that led to a requirement of an earlier round. */
static const char *wish_behind(const struct gen *g, const struct item *it)
{
    const json_t *items = js_list(g->in.comments, "items");
    for (size_t i = js_count(items); i-- > 0;) {
        for (size_t k = 0; k < json_array_size(it->sources); k++) {
            if (strcmp(json_string_value(json_array_get(it->sources, k)),
                       js_str(js_at(items, i), "id")) == 0)
                return js_str(js_at(items, i), "text");
        }
    }
    return NULL;
}

/* From the statement that it is about, when there is one and no wish of the user took its place.
 * Scenarios show a sentence: with another sentence they are written anew. What changes an existing
 * requirement keeps its scenarios, by name. */
static void write_again(struct gen *g, struct item *it)
{
    const char *wish = wish_behind(g, it);
    const struct statement *s = it->about ? it->about : statement_near(g, &it->words);
    it->state = ITEM_TEXT;
    if (wish)
        it->wish = text_line(g->arena, str_of(wish), LINE_MAX);
    else if (s)
        item_about(g, it, s);
    json_array_clear(it->scenarios);
    if (strcmp(it->op, "modified") == 0)
        it->target = known_find(g, it->capability, it->name);
}

/* Findings name their requirement; some only mention it. */
static struct item *item_of_finding(struct gen *g, const json_t *f)
{
    const char *name = js_str(f, "requirement"), *message = js_str(f, "message");
    struct item *best = NULL;
    for (size_t i = 0; i < g->items_n; i++) {
        struct item *it = &g->items[i];
        bool hit = *name ? strcasecmp(name, it->name) == 0 : strstr(message, it->name) != NULL;
        if (hit && (!best || strlen(it->name) > strlen(best->name)))
            best = it;
    }
    return best;
}

static size_t items_in(const struct gen *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->items_n; i++)
        n += g->items[i].state != ITEM_OUT;
    return n;
}

/* The requirement that is about a statement more than about any other. */
static struct item *item_for(struct gen *g, const struct statement *s)
{
    struct item *best = NULL;
    double most = 0;
    for (size_t k = 0; k < g->items_n; k++) {
        struct item *it = &g->items[k];
        double share = words_share(&s->words, &it->words);
        if (it->state != ITEM_OUT && share > most && statement_near(g, &it->words) == s) {
            most = share;
            best = it;
        }
    }
    return best;
}

/* A statement is not, or only partly, dealt with: the requirement about it is written again, else it gets
 * one of its own. */
static void apply_coverage(struct gen *g, const char *message)
{
    const char *missing = strstr(message, "(missing: ");
    for (size_t i = 0; i < g->statements_n; i++) {
        struct statement *s = &g->statements[i];
        if (!memmem(message, strlen(message), s->text.p, s->text.n < 200 ? s->text.n : 200))
            continue;
        struct item *it = item_for(g, s);
        if (!it)
            it = item_new(g, s->text, s->text);
        if (!it)
            return;
        it->about = s;
        write_again(g, it);
        if (missing)
            it->instruct = arena_printf(g->arena, "Say also: %.*s.",
                                        (int)strcspn(missing + 10, ")"), missing + 10);
        return;
    }
}

/* What a finding asks us to do with its requirement. A finding of a requirement that only restates
 * another is dealt with by leaving it out; asking a small model to rephrase does not help. */
static void apply_finding(struct gen *g, const json_t *f)
{
    struct item *it = item_of_finding(g, f);
    const char *code = js_str(f, "code"), *fix = js_str(f, "fix");
    if (!it && strcasestr(code, "coverage") && strcmp(js_str(f, "severity"), "info") != 0)
        apply_coverage(g, js_str(f, "message"));
    if (!it || it->state == ITEM_OUT || strcmp(js_str(f, "severity"), "info") == 0)
        return;
    bool leave = strcasestr(code, "repeat") || strcasestr(fix, "leave it out") ||
                 strcasestr(fix, "remove it");
    bool scenario = strcasestr(code, "degenerate") || strcasestr(code, "scenario");
    if (leave && items_in(g) > 1) {
        it->state = ITEM_OUT;
        return;
    }
    struct str say = js_view(f, *fix ? "fix" : "message");
    it->instruct = text_line(g->arena, say, INSTRUCT_MAX);
    if (!scenario)
        write_again(g, it);
    else if (it->state == ITEM_READY)
        it->state = ITEM_SCENARIOS;
}

/* A tool says something else today than when the requirement was written. */
static void apply_changed_facts(struct gen *g)
{
    const json_t *then = js_list(g->in.best, "sources"), *now = js_list(g->in.insights, "items");
    for (size_t i = 0; i < js_count(then); i++) {
        const json_t *old = js_at(then, i);
        const char *id = js_str(old, "id");
        bool same = true;
        for (size_t k = 0; k < js_count(now); k++) {
            const json_t *fresh = js_at(now, k);
            if (strcmp(js_str(fresh, "id"), id) == 0)
                same = strcmp(js_str(fresh, "hash"), js_str(old, "hash")) == 0;
        }
        for (size_t k = 0; k < g->items_n && !same; k++) {
            struct item *it = &g->items[k];
            for (size_t s = 0; s < json_array_size(it->sources); s++) {
                if (strcmp(json_string_value(json_array_get(it->sources, s)), id) == 0) {
                    write_again(g, it);
                    it->instruct = text_line(
                        g->arena, str_of("Use the values of the facts that hold today."), 100);
                }
            }
        }
    }
}

static bool comment_settled(const struct gen *g, const char *id)
{
    for (size_t i = 0; i < g->items_n; i++) {
        const json_t *s = g->items[i].sources;
        for (size_t k = 0; k < json_array_size(s); k++) {
            if (strcmp(json_string_value(json_array_get(s, k)), id) == 0)
                return true;
        }
    }
    return false;
}

/* Comments that came after the best draft was made. */
static void load_comments(struct gen *g)
{
    const json_t *items = js_list(g->in.comments, "items");
    for (size_t i = js_count(items); i-- > 0 && g->comments_n < COMMENTS_MAX;) {
        const json_t *c = js_at(items, i);
        bool later = js_int(c, "round", g->in.parent) >= g->in.parent;
        if (later && !comment_settled(g, js_str(c, "id")))
            g->comments[g->comments_n++] =
                (struct comment){ .id = js_str(c, "id"), .text = js_str(c, "text") };
    }
}

void revise_comment(struct gen *g, struct comment *c, const json_t *value)
{
    const char *action = js_str(value, "action");
    size_t number = strtoul(js_str(value, "requirement"), NULL, 10);
    struct item *it = number >= 1 && number <= g->items_n ? &g->items[number - 1] : NULL;
    c->settled = true;
    if (it && strcmp(action, "leave out") == 0 && items_in(g) > 1) {
        it->state = ITEM_OUT;
        return;
    }
    if (!it || strcmp(action, "add") == 0 || it->state == ITEM_OUT) {
        it = item_new(g, str_of(c->text), str_of(c->text));
        if (!it)
            return;
    } else {
        write_again(g, it);
    }
    it->wish = text_line(g->arena, str_of(c->text), LINE_MAX);
    sources_add(it, c->id);
}

static bool revisable(const struct gen *g)
{
    int64_t since = g->in.round - g->in.parent;
    bool new_comment = false;
    const json_t *items = js_list(g->in.comments, "items");
    for (size_t i = 0; i < js_count(items); i++)
        new_comment = new_comment || js_int(js_at(items, i), "round", 0) >= g->in.parent;
    if (!js_count(js_list(g->in.best, "requirements")) || !g->in.findings)
        return new_comment && js_count(js_list(g->in.best, "requirements")) > 0;
    /* Every second failure after the best: try something else altogether. */
    return new_comment || g->in.parent == 0 || since < 2 || since % 2 == 1;
}

/* Load the best draft and mark what has to change; false in g->anew when there is nothing to do so. */
void revise_load(struct gen *g)
{
    g->anew = true;
    if (!revisable(g))
        return;
    const json_t *list = js_list(g->in.best, "requirements");
    for (size_t i = 0; i < js_count(list); i++)
        load_item(g, js_at(list, i));
    const json_t *findings = g->in.findings ? js_list(g->in.best_review, "findings") : NULL;
    for (size_t i = 0; i < js_count(findings); i++)
        apply_finding(g, js_at(findings, i));
    apply_changed_facts(g);
    load_comments(g);
    size_t touched = g->comments_n + missed_find(g);
    for (size_t i = 0; i < g->items_n; i++)
        touched += g->items[i].state != ITEM_READY;
    if (touched > 0) {
        g->anew = false;
        return;
    }
    for (size_t i = 0; i < g->items_n; i++) {
        json_decref(g->items[i].scenarios);
        json_decref(g->items[i].sources);
    }
    for (size_t i = 0; i < g->known_n; i++)
        g->known[i].taken = false;
    g->items_n = 0;
}
