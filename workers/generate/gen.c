/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/gen.h"

#include "workers/generate/state.h"
#include "workers/problem.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A step that would leave the draft without requirements, or with far too many, is not taken. */
static const double planned_already = 0.75;

/* A sentence of the problem counts when so much of it needs an answer (workers/problem.h). */
static const double counts_from = 0.5;

/* So much of a statement makes a requirement one about it. */
static const double statement_from = 0.34;

/* So many words in common with the problem make a capability its home without asking. */
static const size_t home_from = 3;

/* ---- life ---------------------------------------------------------------------------------------- */

void sources_add(struct item *it, const char *id)
{
    for (size_t i = 0; i < json_array_size(it->sources); i++) {
        if (strcmp(json_string_value(json_array_get(it->sources, i)), id) == 0)
            return;
    }
    if (*id && json_array_size(it->sources) < 50)
        js_push_z(it->sources, id);
}

void item_words(struct gen *g, struct item *it)
{
    char *all = arena_printf(g->arena, "%s\n%s\n%s\n%s", it->name, it->intent,
                             it->text ? it->text : "", it->wish ? it->wish : "");
    it->words = words_of(g, str_of(all ? all : it->name));
}

struct item *item_new(struct gen *g, struct str name, struct str intent)
{
    if (g->items_n == ITEMS_MAX)
        return NULL;
    struct item *it = &g->items[g->items_n++];
    *it = (struct item){
        .state = ITEM_TEXT, .op = "added", .scenarios = json_array(), .sources = json_array()
    };
    it->intent = text_line(g->arena, intent, LINE_MAX);
    it->name = clean_name(g, name, it->intent);
    item_words(g, it);
    return it;
}

static void load_facts(struct gen *g, const json_t *insight)
{
    const char *id = js_str(insight, "id");
    struct str rest = js_view(insight, "excerpt");
    while (rest.n > 0 && g->facts_n < FACTS_MAX) {
        const char *nl = memchr(rest.p, '\n', rest.n);
        struct str line = blank_trim((struct str){ rest.p, nl ? (size_t)(nl - rest.p) : rest.n });
        size_t eaten = nl ? (size_t)(nl - rest.p) + 1 : rest.n;
        rest = (struct str){ rest.p + eaten, rest.n - eaten };
        struct words w = words_of(g, line);
        /* A line that has nothing to do with the problem is none of a small model's business. */
        if (w.n < 2 || words_common(&w, &g->problem_words) == 0)
            continue;
        g->facts[g->facts_n++] = (struct fact){ id, line, w };
    }
}

static void fact_words(struct gen *g)
{
    struct buf b;
    buf_init(&b, 1 << 22);
    for (size_t i = 0; i < g->facts_n; i++) {
        buf_view(&b, g->facts[i].line);
        buf_char(&b, '\n');
    }
    char *z = arena_dup(g->arena, buf_z(&b), b.len);
    g->fact_words = words_of(g, str_of(z ? z : ""));
    buf_fini(&b);
}

void gen_add_insight(struct gen *g, const json_t *insight)
{
    js_push(g->extra, json_deep_copy(insight));
    load_facts(g, js_at(g->extra, js_count(g->extra) - 1));
    fact_words(g);
}

static void load_wish_words(struct gen *g)
{
    struct buf b;
    const json_t *lists[] = { js_list(g->in.comments, "items"), js_list(g->in.answers, "items") };
    buf_init(&b, 1 << 22);
    for (size_t l = 0; l < COUNT(lists); l++) {
        for (size_t i = 0; i < js_count(lists[l]); i++)
            buf_printf(&b, "%s\n%s\n", js_str(js_at(lists[l], i), "text"),
                       js_str(js_at(lists[l], i), "question"));
    }
    char *z = arena_dup(g->arena, buf_z(&b), b.len);
    g->wish_words = words_of(g, str_of(z ? z : ""));
    buf_fini(&b);
}

/* "If it is silent …", "exempt from that limit": it points at what was said before. "Items that members
 * lose stay on their account" does not. */
static bool refers_back(const struct cues *c, const struct point *p)
{
    enum { START = 3 };
    for (size_t i = 0; i < p->words_n; i++) {
        const struct word *next = i + 1 < p->words_n ? &p->words[i + 1] : NULL;
        bool alone = !next || p->words[i].after || i + 2 == p->words_n ||
                     cue_is(c, CUE_WISH, next) || cue_is(c, CUE_DUTY, next);
        if (cue_is(c, CUE_POINTING, &p->words[i]) ||
            (i < START && cue_is(c, CUE_ANAPHOR, &p->words[i])) ||
            (str_is(p->words[i].text, "that") && alone))
            return true;
    }
    return false;
}

/* What the review will ask for is what the draft is planned from: both read the problem alike. */
static void load_statements(struct gen *g)
{
    struct word_set known = { 0 };
    struct problem p = { 0 };
    const struct cues *cues = cues_make(g->arena);
    if (!cues || problem_read(g->arena, cues, g->problem, &known, &p) != OK)
        p = (struct problem){ 0 };
    bool readable = p.wishes || (p.list.lang > LANG_NONE && p.list.lang < LANG_ZH);
    for (size_t i = 0; i < p.n && g->statements_n < STATEMENTS_MAX; i++) {
        const struct point *from = &p.points[i];
        bool counts = from->share >= counts_from;
        struct statement s = {
            .text = str_of(text_line(g->arena, from->text, LINE_MAX)),
            .kind = counts && readable ? STATEMENT_RULE
                    : p.wishes         ? STATEMENT_BACKGROUND
                                       : STATEMENT_OPEN,
            .remedy = from->complains,
            .refers = refers_back(cues, from),
        };
        s.words = words_of(g, s.text);
        if (s.words.n >= 2 && !from->heading)
            g->statements[g->statements_n++] = s;
    }
    if (g->statements_n == 0) /* hardly a word */
        g->statements[g->statements_n++] =
            (struct statement){ .text = str_of(text_line(g->arena, g->problem, LINE_MAX)) };
}

struct gen *gen_new(struct arena *arena, const struct gen_input *in)
{
    struct gen *g = arena_alloc(arena, sizeof *g);
    if (!g)
        return NULL;
    *g =
        (struct gen){ .arena = arena, .in = *in, .extra = json_array(), .kept_asks = json_array() };
    g->problem = js_view(in->brief, "problem");
    g->lang = words_lang_of(g->problem);
    g->lang = g->lang ? g->lang : LANG_EN;
    g->problem_words = words_of(g, g->problem);
    load_statements(g);
    const json_t *items = js_list(in->insights, "items");
    for (size_t i = 0; i < js_count(items); i++)
        load_facts(g, js_at(items, i));
    fact_words(g);
    load_wish_words(g);
    known_load(g);
    revise_load(g);
    g->phase = PHASE_COMMENTS;
    prompt_prefix(g);
    return g;
}

void gen_free(struct gen *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->items_n; i++) {
        json_decref(g->items[i].scenarios);
        json_decref(g->items[i].sources);
    }
    json_decref(g->extra);
    json_decref(g->kept_asks);
    json_decref(g->tasks);
}

/* ---- what comes next ------------------------------------------------------------------------------- */

void gen_want(struct gen *g, enum whole w)
{
    g->whole[w].wanted = true;
}

size_t statements_open(const struct gen *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->statements_n; i++)
        n += g->statements[i].kind == STATEMENT_OPEN &&
             (g->phase != PHASE_MORE || g->statements[i].missed);
    return n;
}

static bool whole_open(const struct gen *g, enum whole w)
{
    return g->whole[w].wanted && !g->whole[w].settled;
}

static bool phase_over(const struct gen *g)
{
    for (size_t w = 0; w < WHOLE_COUNT; w++) {
        if (whole_open(g, (enum whole)w))
            return false;
    }
    for (size_t i = 0; i < g->comments_n; i++) {
        if (!g->comments[i].settled)
            return false;
    }
    for (size_t i = 0; g->phase == PHASE_ITEMS && i < g->items_n; i++) {
        if (g->items[i].state < ITEM_READY)
            return false;
    }
    return true;
}

/* Where requirements go that resemble none: the only capability there is, the model's choice, or, when
 * there is none, a new one. */
static bool needs_home(struct gen *g)
{
    bool open = false;
    for (size_t i = 0; i < g->items_n; i++) {
        struct item *it = &g->items[i];
        if (it->state != ITEM_OUT && (!it->capability || !*it->capability)) {
            it->capability = place_capability(g, it);
            open = open || !it->capability;
        }
    }
    return open && !g->home;
}

static void find_home(struct gen *g)
{
    size_t common;
    const char *best = needs_home(g) ? place_home(g, &common) : NULL;
    if (best && common >= home_from)
        g->home = best;
    else if (best)
        gen_want(g, WHOLE_HOME);
    else if (needs_home(g))
        gen_want(g, WHOLE_NAME);
}

static void at_least_one(struct gen *g)
{
    for (size_t i = 0; i < g->items_n; i++) {
        if (g->items[i].state != ITEM_OUT)
            return;
    }
    const struct statement *best = &g->statements[0]; /* there is one, always */
    size_t most = 0;
    for (size_t i = 0; i < g->statements_n; i++) {
        const struct statement *s = &g->statements[i];
        size_t weight = (s->words.n + 3 * words_figures(&s->words)) *
                        (s->kind != STATEMENT_BACKGROUND ? 10 : 1);
        if (weight > most) {
            most = weight;
            best = s;
        }
    }
    if (g->items_n == ITEMS_MAX)
        g->items_n--; /* all of them are out */
    item_about(g, item_new(g, best->text, best->text), best);
}

bool planned(const struct gen *g, struct str text)
{
    struct words w = words_of(g, text);
    for (size_t i = 0; i < g->items_n; i++) {
        struct words o = words_of(g, str_of(g->items[i].intent));
        if (g->items[i].state != ITEM_OUT && (words_share(&w, &o) > planned_already || w.n == 0))
            return true;
    }
    return false;
}

void item_about(struct gen *g, struct item *it, const struct statement *s)
{
    it->intent = text_line(g->arena, s->text, LINE_MAX);
    it->about = s;
    item_words(g, it);
}

const struct statement *statement_near(const struct gen *g, const struct words *w)
{
    const struct statement *best = NULL;
    double most = statement_from;
    for (size_t i = 0; i < g->statements_n; i++) {
        double share = words_share(&g->statements[i].words, w);
        if (g->statements[i].kind != STATEMENT_BACKGROUND && share > most) {
            most = share;
            best = &g->statements[i];
        }
    }
    return best;
}

void take_statement(struct gen *g, struct statement *s)
{
    size_t n = 0;
    for (size_t i = 0; i < g->items_n; i++)
        n += g->items[i].state != ITEM_OUT;
    s->kind = STATEMENT_RULE;
    struct item *it = n < PLAN_MAX && !planned(g, s->text) ? item_new(g, s->text, s->text) : NULL;
    if (it)
        item_about(g, it, s);
}

/* In the order of the problem. When nothing asks for anything, everything does. */
static void plan_from_statements(struct gen *g)
{
    for (int pass = 0; pass < 2 && g->items_n == 0; pass++) {
        for (size_t i = 0; i < g->statements_n; i++) {
            if (pass || g->statements[i].kind == STATEMENT_RULE)
                take_statement(g, &g->statements[i]);
        }
    }
}

/* What a plan or an earlier round missed. A large model is told once more; a small one gets each rule as
 * it is. */
static void plan_more(struct gen *g)
{
    for (size_t i = 0; i < g->statements_n && !g->in.large; i++) {
        if (g->statements[i].kind == STATEMENT_RULE && g->statements[i].missed)
            take_statement(g, &g->statements[i]);
    }
    if ((g->in.large || statements_open(g)) && g->items_n < ITEMS_MAX)
        gen_want(g, WHOLE_MORE);
}

static void enter(struct gen *g, enum phase p)
{
    g->phase = p;
    switch (p) {
    case PHASE_PLAN:
        if (g->anew && (g->in.large || statements_open(g)))
            gen_want(g, WHOLE_PLAN);
        break;
    case PHASE_MORE:
        if ((g->in.large || !g->anew) && missed_find(g) > 0)
            plan_more(g);
        break;
    case PHASE_ITEMS:
        if (g->anew && !g->in.large)
            plan_from_statements(g);
        at_least_one(g);
        break;
    case PHASE_END:
        place_dedupe(g);
        at_least_one(g);
        if (g->items[g->items_n - 1].state <
            ITEM_READY) { /* just made: once more through the items */
            g->phase = PHASE_ITEMS;
            break;
        }
        find_home(g);
        if (g->anew && g->in.large)
            gen_want(g, WHOLE_WHY);
        gen_want(g, WHOLE_TASKS);
        break;
    case PHASE_COMMENTS:
    case PHASE_DONE: break;
    }
}

void gen_advance(struct gen *g)
{
    while (g->phase != PHASE_DONE && phase_over(g))
        enter(g, g->phase + 1);
}

/* An item's step that needs no model is taken at once. */
void item_quick(struct gen *g, struct item *it)
{
    if (it->state == ITEM_PLACE) {
        if (it->target || strcmp(it->op, "added") != 0)
            it->state = ITEM_SCENARIOS;
        else if (place_repeats(g, it))
            it->state = ITEM_OUT;
        else {
            place_rank(g, it);
            const struct known *old = place_contradicts(g, it);
            if (old) {
                place_change(g, it, old);
                it->state = it->text_swapped ? ITEM_READY : ITEM_MERGE;
            } else if (it->near_n == 0)
                it->state =
                    json_array_size(it->scenarios) && !it->instruct ? ITEM_READY : ITEM_SCENARIOS;
        }
    }
}

bool gen_take(struct gen *g, struct gen_ask *out)
{
    memset(out, 0, sizeof *out);
    gen_advance(g);
    for (size_t i = 0; i < g->comments_n && g->phase == PHASE_COMMENTS; i++) {
        if (!g->comments[i].busy && !g->comments[i].settled) {
            ask_comment(g, &g->comments[i], out);
            return true;
        }
    }
    for (size_t w = 0; w < WHOLE_COUNT; w++) {
        if (whole_open(g, (enum whole)w) && !g->whole[w].busy) {
            ask_whole(g, (enum whole)w, out);
            return true;
        }
    }
    for (size_t i = 0; g->phase == PHASE_ITEMS && i < g->items_n; i++) {
        if (g->items[i].state < ITEM_READY && !g->items[i].busy) {
            ask_item(g, &g->items[i], out);
            return true;
        }
    }
    return false;
}

bool gen_done(const struct gen *g)
{
    return g->phase == PHASE_DONE;
}

json_t *gen_draft(struct gen *g)
{
    return compose(g);
}
