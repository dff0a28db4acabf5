/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/gen.h"

#include "workers/generate/state.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A step that would leave the draft without requirements, or with far too many, is not taken. */
static const double planned_already = 0.75;

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
    it->words = words_of(g->arena, str_of(all ? all : it->name));
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
        struct words w = words_of(g->arena, line);
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
    g->fact_words = words_of(g->arena, str_of(z ? z : ""));
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
    g->wish_words = words_of(g->arena, str_of(z ? z : ""));
    buf_fini(&b);
}

static bool has_word(struct str s, const char *const *words, size_t words_n)
{
    for (size_t i = 0; i < s.n;) {
        size_t n = 0;
        while (i + n < s.n &&
               (isalpha((unsigned char)s.p[i + n]) || (unsigned char)s.p[i + n] >= 0x80))
            n++;
        for (size_t k = 0; n > 0 && k < words_n; k++) {
            if (strlen(words[k]) == n && strncasecmp(s.p + i, words[k], n) == 0)
                return true;
        }
        i += n ? n : 1;
    }
    return false;
}

/* Words that ask for something, in some languages: no model is needed to see it. */
static bool asks(struct str s)
{
    static const char *const cues[] = {
        "must",          "shall",  "should", "may",           "can",    "cannot",        "only",
        "never",         "need",   "needs",  "wants",         "want",   "allow",         "allowed",
        "soll",          "sollen", "muss",   "m\xc3\xbcssen", "darf",   "d\xc3\xbcrfen", "kann",
        "k\xc3\xb6nnen", "nur",    "doit",   "doivent",       "peut",   "peuvent",       "debe",
        "deben",         "puede",  "pueden", "deve",          "devono",
    };
    return has_word(s, cues, COUNT(cues));
}

/* Words that tell how things are. */
static bool tells(struct str s)
{
    static const char *const cues[] = { "today", "currently",   "now",          "often",
                                        "again", "heute",       "derzeit",      "momentan",
                                        "oft",   "aujourd",     "actuellement", "souvent",
                                        "hoy",   "actualmente", "oggi" };
    return has_word(s, cues, COUNT(cues));
}

static bool in_list(const struct gen *g, struct str s)
{
    const char *p = s.p;
    while (p > g->problem.p && (p[-1] == ' ' || p[-1] == '\t'))
        p--;
    return p > g->problem.p && p < s.p && strchr("-*+", p[-1]);
}

/* Statements begin with how things are and go on with what is wanted. So what asks for something, gives
 * a figure, stands in a list or comes after such a sentence is a rule; the others are for the model. */
static void load_sentences(struct gen *g)
{
    struct str all[SENTENCES_MAX];
    size_t n = sentences_of(g->problem, all, SENTENCES_MAX);
    bool begun = false;
    for (size_t i = 0; i < n; i++) {
        struct words w = words_of(g->arena, all[i]);
        if (w.n >= 2) {
            bool rule = asks(all[i]) || words_figures(&w) > 0 ||
                        ((begun || in_list(g, all[i])) && !tells(all[i]));
            begun = begun || rule;
            g->sentences[g->sentences_n++] =
                (struct sentence){ all[i], w, rule ? SENTENCE_RULE : SENTENCE_OPEN };
        }
    }
    if (g->sentences_n == 0) /* a language without blanks, or hardly a word */
        g->sentences[g->sentences_n++] = (struct sentence){ .text = blank_trim(g->problem) };
}

struct gen *gen_new(struct arena *arena, const struct gen_input *in)
{
    struct gen *g = arena_alloc(arena, sizeof *g);
    if (!g)
        return NULL;
    *g =
        (struct gen){ .arena = arena, .in = *in, .extra = json_array(), .kept_asks = json_array() };
    g->problem = js_view(in->brief, "problem");
    g->problem_words = words_of(arena, g->problem);
    load_sentences(g);
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

size_t sentences_open(const struct gen *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->sentences_n; i++)
        n += g->sentences[i].kind == SENTENCE_OPEN;
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
    struct str all[16], best = g->problem;
    size_t n = sentences_of(g->problem, all, COUNT(all)), most = 0;
    for (size_t i = 0; i < n; i++) {
        struct words w = words_of(g->arena, all[i]);
        size_t weight = w.n + 3 * words_figures(&w);
        if (weight > most) {
            most = weight;
            best = all[i];
        }
    }
    if (g->items_n == ITEMS_MAX)
        g->items_n--; /* all of them are out */
    item_new(g, blank_trim(best), best);
}

bool planned(const struct gen *g, struct str text)
{
    struct words w = words_of(g->arena, text);
    for (size_t i = 0; i < g->items_n; i++) {
        struct words o = words_of(g->arena, str_of(g->items[i].intent));
        if (g->items[i].state != ITEM_OUT && (words_share(&w, &o) > planned_already || w.n == 0))
            return true;
    }
    return false;
}

void take_sentence(struct gen *g, struct sentence *s)
{
    size_t n = 0;
    for (size_t i = 0; i < g->items_n; i++)
        n += g->items[i].state != ITEM_OUT;
    s->kind = SENTENCE_RULE;
    if (n < PLAN_MAX && !planned(g, s->text))
        item_new(g, s->text, s->text);
}

/* In the order of the problem. When nothing asks for anything, everything does. */
static void plan_from_sentences(struct gen *g)
{
    for (int pass = 0; pass < 2 && g->items_n == 0; pass++) {
        for (size_t i = 0; i < g->sentences_n; i++) {
            if (pass || g->sentences[i].kind == SENTENCE_RULE)
                take_sentence(g, &g->sentences[i]);
        }
    }
}

static void enter(struct gen *g, enum phase p)
{
    g->phase = p;
    switch (p) {
    case PHASE_PLAN:
        if (g->anew && (g->in.large || sentences_open(g)))
            gen_want(g, WHOLE_PLAN);
        break;
    case PHASE_MORE:
        if ((g->in.large || !g->anew) && missed_find(g) > 0 && g->items_n < ITEMS_MAX)
            gen_want(g, WHOLE_MORE);
        break;
    case PHASE_ITEMS:
        if (g->anew && !g->in.large)
            plan_from_sentences(g);
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
