/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/gen.h"

#include "workers/generate/state.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    ID_ITEM = 1 << 12,    /* ids: a whole step; ID_ITEM + item; ID_COMMENT + comment */
    ID_COMMENT = 1 << 16,
    SECTIONS_MAX = 64 * 1024,
};

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
    char *all = arena_printf(g->arena, "%s\n%s\n%s\n%s", it->name, it->intent, it->text ? it->text : "",
                             it->wish ? it->wish : "");
    it->words = words_of(g->arena, str_of(all ? all : it->name));
}

struct item *item_new(struct gen *g, struct str name, struct str intent)
{
    if (g->items_n == ITEMS_MAX)
        return NULL;
    struct item *it = &g->items[g->items_n++];
    *it = (struct item){ .state = ITEM_TEXT, .op = "added", .scenarios = json_array(), .sources = json_array() };
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
            buf_printf(&b, "%s\n%s\n", js_str(js_at(lists[l], i), "text"), js_str(js_at(lists[l], i), "question"));
    }
    char *z = arena_dup(g->arena, buf_z(&b), b.len);
    g->wish_words = words_of(g->arena, str_of(z ? z : ""));
    buf_fini(&b);
}

static bool has_word(struct str s, const char *const *words, size_t words_n)
{
    for (size_t i = 0; i < s.n;) {
        size_t n = 0;
        while (i + n < s.n && (isalpha((unsigned char)s.p[i + n]) || (unsigned char)s.p[i + n] >= 0x80))
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
        "must", "shall", "should", "may", "can", "cannot", "only", "never", "need", "needs", "wants", "want",
        "allow", "allowed", "soll", "sollen", "muss", "m\xc3\xbcssen", "darf", "d\xc3\xbcrfen", "kann",
        "k\xc3\xb6nnen", "nur", "doit", "doivent", "peut", "peuvent", "debe", "deben", "puede", "pueden", "deve",
        "devono",
    };
    return has_word(s, cues, COUNT(cues));
}

/* Words that tell how things are. */
static bool tells(struct str s)
{
    static const char *const cues[] = { "today", "currently", "now", "often", "again", "heute", "derzeit", "momentan",
                                        "oft", "aujourd", "actuellement", "souvent", "hoy", "actualmente", "oggi" };
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
        if (w.n >= 2)
            {
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
    *g = (struct gen){ .arena = arena, .in = *in, .extra = json_array(), .kept_asks = json_array() };
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

/* ---- the questions --------------------------------------------------------------------------------- */

static void put_instructions(struct buf *b, const char *instruct, const char *wish)
{
    if (instruct)
        buf_printf(b, "Instructions:\n- %s\n\n", instruct);
    if (wish)
        buf_printf(b, "Wishes of the user, to be fulfilled here:\n- %s\n\n", wish);
}

static const char task_plan[] =
          "List the behaviours that the problem asks for, one for each sentence or rule that asks for "
          "something. For each: in behaviour what the software will do; a name of two to six words; in "
          "requirement one sentence \"The system SHALL …\" with all figures, names and conditions that belong to it; "
          "one or two scenarios with concrete values: given (conditions), when (the event), then (a result that "
          "one can observe). Leave out what only describes how things are today.";

static const char task_more[] =
    "The sentences above are not dealt with yet. List the behaviours that they ask for, each whole: behaviour, name, "
    "requirement, scenarios. Give an empty list when they only describe how things are today.";

static const char task_sort[] =
    "For each sentence: is it a complaint about how things are today, or does it say what the new software does? Answer "
    "\"complaint\" or \"new behaviour\".";

static const char task_sentence[] =
    "Write a requirement from this sentence: one sentence in the form \"The system SHALL …\" that says what the software "
    "does. Keep all figures, names and conditions of the sentence. Say what words such as \"it\", \"this\" or \"then\" "
    "stand for, so that it can be understood alone. Then give it a title of two to five words that names the behaviour.";

static const char task_place[] =
    "Decide: is the new requirement an additional rule beside the existing ones, or does it change what an existing "
    "rule says, so that the existing rule as it stands would no longer be true?";

static const char task_merge[] =
    "Write the existing requirement as it reads after the change: one to three sentences with the word SHALL. Keep "
    "what the change does not touch.";

static const char task_scenario[] =
    "Write one scenario that shows this requirement fulfilled: given (the situation before), when (the event), then (what "
    "one can observe afterwards, because of the requirement). Each is one short sentence with concrete values.";

static const char task_scenarios[] =
    "Write two scenarios by which one can check this requirement: an ordinary case, and a case at the limit or where "
    "it must not happen. Each has a short name, given (conditions), when (one event) and then (the result that one can "
    "observe afterwards). Use concrete values; every step is one short sentence.";

static const char task_home[] =
    "To which existing capability do these requirements belong? Choose \"none of them\" only if they are about "
    "something altogether different.";

static const char task_name[] =
    "These requirements found a new part of the software. Say in one or two sentences what this part is for, and give it "
    "a name of one to three words.";

static const char task_why[] =
    "Say in two or three plain sentences why this change is needed: what is wrong today, and what gets better.";

static const char task_tasks[] =
    "Say for each requirement, by its number, what a developer has to build: one short phrase that starts with a verb.";

static const char task_comment[] =
    "Decide what to do about the wish of the user: rewrite one of the requirements, add a new requirement, or leave "
    "one out. Give the number of the requirement that it is about.";

static void put_requirements(const struct gen *g, struct buf *b)
{
    buf_str(b, "Requirements:\n");
    for (size_t i = 0; i < g->items_n; i++) {
        const struct item *it = &g->items[i];
        if (it->state != ITEM_OUT)
            buf_printf(b, "%zu. %s: %s\n", i + 1, it->name, it->text ? it->text : it->intent);
    }
    buf_char(b, '\n');
}

/* The next sentences that nobody has sorted. */
static void put_sentences(struct gen *g, struct buf *b)
{
    g->chunk_n = 0;
    buf_str(b, "Sentences of the problem:\n");
    for (size_t i = 0; i < g->sentences_n && g->chunk_n < PLAN_CHUNK; i++) {
        if (g->sentences[i].kind != SENTENCE_OPEN)
            continue;
        g->chunk[g->chunk_n++] = i;
        buf_printf(b, "%zu. %s\n", g->chunk_n, text_line(g->arena, g->sentences[i].text, LINE_MAX));
    }
    buf_char(b, '\n');
}

static void put_capabilities(const struct gen *g, struct buf *b)
{
    const json_t *caps = js_list(g->in.brief, "capabilities");
    buf_str(b, "Existing capabilities:\n");
    for (size_t i = 0; i < js_count(caps) && i < 4; i++)
        buf_printf(b, "- %s: %s\n", js_str(js_at(caps, i), "id"),
                   text_line(g->arena, js_view(js_at(caps, i), "purpose"), 160));
    buf_char(b, '\n');
}

static void put_near(const struct gen *g, const struct item *it, struct buf *b)
{
    buf_str(b, "Existing rules:\n");
    for (size_t i = 0; i < it->near_n; i++)
        buf_printf(b, "%zu. %s: %s\n", i + 1, it->near[i]->name, text_line(g->arena, it->near[i]->text, LINE_MAX));
    buf_char(b, '\n');
}

/* Fill in one question. Takes the schema. */
static void put(struct gen *g, struct gen_ask *out, const struct buf *sections, const char *task, json_t *schema)
{
    /* A small model takes what it is shown for what it is asked for: a scenario is about one requirement. */
    bool alone = !g->in.large && task == task_scenario;
    json_t *messages = prompt_messages(g, buf_z(sections), task, alone), *both = json_array();
    js_push(both, messages);
    js_push(both, schema);
    js_push(g->kept_asks, both);
    out->messages = messages;
    out->schema = schema;
}

static uint64_t seed_of(const struct gen *g, uint32_t id, int tries)
{
    return g->in.seed * 0x9e3779b97f4a7c15u + id * 0xbf58476d1ce4e5b9u + (uint64_t)tries * 0x94d049bb133111ebu;
}

static void ask_whole(struct gen *g, enum whole w, struct gen_ask *out)
{
    struct buf b;
    buf_init(&b, SECTIONS_MAX);
    out->id = (uint32_t)w;
    out->seed = seed_of(g, out->id, (int)g->items_n);
    g->whole[w].busy = true;
    switch (w) {
    case WHOLE_PLAN:
    case WHOLE_MORE:
        out->name = "plan";
        out->tokens_max = g->in.large ? 4000 : 300;
        if (!g->in.large || w == WHOLE_MORE)
            put_sentences(g, &b);
        if (g->in.large)
            put(g, out, &b, w == WHOLE_MORE ? task_more : task_plan, schema_plan(g));
        else
            put(g, out, &b, task_sort, schema_sort(g));
        break;
    case WHOLE_HOME:
        out->name = "capability";
        out->tokens_max = 60;
        put_capabilities(g, &b);
        put_requirements(g, &b);
        put(g, out, &b, task_home, schema_home(g));
        break;
    case WHOLE_NAME:
        out->name = "purpose";
        out->tokens_max = 250;
        put_requirements(g, &b);
        put(g, out, &b, task_name, schema_name());
        break;
    case WHOLE_WHY:
        out->name = "why";
        out->tokens_max = 300;
        put(g, out, &b, task_why, schema_why());
        break;
    case WHOLE_TASKS:
        out->name = "tasks";
        out->tokens_max = 500;
        put_requirements(g, &b);
        put(g, out, &b, task_tasks, schema_tasks(g));
        break;
    case WHOLE_COUNT: assert(false);
    }
    snprintf(out->note, sizeof out->note, "%s", out->name);
    buf_fini(&b);
}

static void ask_sentence(struct gen *g, struct item *it, struct gen_ask *out)
{
    struct buf b;
    buf_init(&b, SECTIONS_MAX);
    out->name = it->state == ITEM_MERGE ? "merge" : "sentence";
    out->tokens_max = 400;
    if (it->state == ITEM_MERGE) {
        buf_printf(&b, "Existing requirement:\n%s\n\nChange:\n%s\n\n",
                   text_line(g->arena, it->target->text, TEXT_MAX_BYTES), it->text);
        put_instructions(&b, it->instruct, it->wish);
        put(g, out, &b, task_merge, schema_sentence());
    } else {
        buf_str(&b, prompt_facts_for(g, it));
        buf_printf(&b, "Sentence:\n%s\n\n", it->intent);
        put_instructions(&b, it->instruct, it->wish);
        put(g, out, &b, task_sentence, schema_sentence());
    }
    buf_fini(&b);
}

static void ask_item(struct gen *g, struct item *it, struct gen_ask *out)
{
    size_t index = (size_t)(it - g->items);
    struct buf b;
    buf_init(&b, SECTIONS_MAX);
    out->id = ID_ITEM + (uint32_t)index;
    out->seed = seed_of(g, out->id + (uint32_t)it->state * 64, it->tries);
    it->busy = true;
    switch (it->state) {
    case ITEM_TEXT:
    case ITEM_MERGE: ask_sentence(g, it, out); break;
    case ITEM_PLACE:
        out->name = "new-or-change";
        out->tokens_max = 60;
        put_near(g, it, &b);
        buf_printf(&b, "Requirement:\n%s\n\n", it->text);
        put(g, out, &b, task_place, schema_place(it));
        break;
    case ITEM_SCENARIOS:
        out->name = "scenarios";
        out->tokens_max = g->in.large ? 900 : 300;
        if (!g->in.large && strcmp(it->intent, it->text) != 0)
            buf_printf(&b, "The user wrote:\n%s\n\n", it->intent);
        buf_printf(&b, "Requirement:\n%s\n\n", it->text);
        put_instructions(&b, it->instruct, NULL);
        if (g->in.large)
            put(g, out, &b, task_scenarios, schema_scenarios());
        else
            put(g, out, &b, task_scenario, schema_scenario());
        break;
    case ITEM_READY:
    case ITEM_OUT: assert(false);
    }
    snprintf(out->note, sizeof out->note, "requirement %zu of %zu: %s", index + 1, g->items_n, out->name);
    buf_fini(&b);
}

static void ask_comment(struct gen *g, struct comment *c, struct gen_ask *out)
{
    struct buf b;
    buf_init(&b, SECTIONS_MAX);
    put_requirements(g, &b);
    buf_printf(&b, "Wishes of the user:\n- %s\n\n", text_line(g->arena, str_of(c->text), LINE_MAX));
    out->id = ID_COMMENT + (uint32_t)(c - g->comments);
    out->seed = seed_of(g, out->id, 0);
    out->name = "comment";
    out->tokens_max = 60;
    c->busy = true;
    put(g, out, &b, task_comment, schema_comment(g));
    snprintf(out->note, sizeof out->note, "comment %s", c->id);
    buf_fini(&b);
}

/* ---- what comes next ------------------------------------------------------------------------------- */

static bool want(struct gen *g, enum whole w)
{
    g->whole[w].wanted = true;
    return true;
}

static size_t sentences_open(const struct gen *g)
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
        want(g, WHOLE_HOME);
    else if (needs_home(g))
        want(g, WHOLE_NAME);
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

static bool planned(const struct gen *g, struct str text)
{
    struct words w = words_of(g->arena, text);
    for (size_t i = 0; i < g->items_n; i++) {
        struct words o = words_of(g->arena, str_of(g->items[i].intent));
        if (g->items[i].state != ITEM_OUT && (words_share(&w, &o) > planned_already || w.n == 0))
            return true;
    }
    return false;
}

static void take_sentence(struct gen *g, struct sentence *s)
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
            want(g, WHOLE_PLAN);
        break;
    case PHASE_MORE:
        if ((g->in.large || !g->anew) && missed_find(g) > 0 && g->items_n < ITEMS_MAX)
            want(g, WHOLE_MORE);
        break;
    case PHASE_ITEMS:
        if (g->anew && !g->in.large)
            plan_from_sentences(g);
        at_least_one(g);
        break;
    case PHASE_END:
        place_dedupe(g);
        at_least_one(g);
        if (g->items[g->items_n - 1].state < ITEM_READY) { /* just made: once more through the items */
            g->phase = PHASE_ITEMS;
            break;
        }
        find_home(g);
        if (g->anew && g->in.large)
            want(g, WHOLE_WHY);
        want(g, WHOLE_TASKS);
        break;
    case PHASE_COMMENTS:
    case PHASE_DONE: break;
    }
}

static void advance(struct gen *g)
{
    while (g->phase != PHASE_DONE && phase_over(g))
        enter(g, g->phase + 1);
}

/* An item's step that needs no model is taken at once. */
static void item_quick(struct gen *g, struct item *it)
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
                it->state = json_array_size(it->scenarios) && !it->instruct ? ITEM_READY : ITEM_SCENARIOS;
        }
    }
}

bool gen_take(struct gen *g, struct gen_ask *out)
{
    memset(out, 0, sizeof *out);
    advance(g);
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

/* ---- the replies ------------------------------------------------------------------------------------- */

/* A large model gave the whole requirement at once: what holds is taken, the rest is asked for. */
static void take_large(struct gen *g, struct item *it, const json_t *b)
{
    char *instruct;
    if (!*js_str(b, "requirement"))
        return;
    char *text = repair_sentence(g, js_str(b, "requirement"));
    if (check_sentence(g, it, text, &instruct) > 0) {
        it->instruct = instruct;
        return;
    }
    it->text = text;
    item_words(g, it);
    json_decref(it->scenarios);
    it->scenarios = check_scenarios(g, it, js_list(b, "scenarios"), &instruct);
    it->state = ITEM_PLACE;
    item_quick(g, it);
}

static void give_plan(struct gen *g, const json_t *value)
{
    const json_t *list = js_list(value, "behaviours");
    for (size_t i = 0; i < js_count(list); i++) {
        const json_t *b = js_at(list, i);
        struct str what = blank_trim(js_view(b, "behaviour"));
        if (what.n < 8 || planned(g, what))
            continue;
        struct item *it = item_new(g, js_view(b, "name"), what);
        if (it && g->in.large)
            take_large(g, it, b);
    }
}

/* Each sentence that asks for something becomes a requirement. True: there are more to sort. */
static bool give_sorted(struct gen *g, enum whole w, const json_t *value)
{
    for (size_t i = 0; i < g->chunk_n; i++) {
        struct sentence *s = &g->sentences[g->chunk[i]];
        char key[24];
        snprintf(key, sizeof key, "%zu", i + 1);
        const char *kind = js_str(value, key);
        /* Missed in an earlier round although it has a figure: it is about something after all. */
        bool rule = strcmp(kind, "new behaviour") == 0 || (w == WHOLE_MORE && words_figures(&s->words) > 0);
        s->kind = rule ? SENTENCE_RULE : SENTENCE_BACKGROUND;
        if (rule && w == WHOLE_MORE)
            take_sentence(g, s);
    }
    return sentences_open(g) > 0;
}

static char *kebab(struct gen *g, const char *name)
{
    char *z = text_line(g->arena, str_of(name), 48);
    size_t n = 0;
    for (size_t i = 0; z[i]; i++) {
        bool good = isalnum((unsigned char)z[i]) && (unsigned char)z[i] < 0x80;
        if (good)
            z[n++] = (char)tolower((unsigned char)z[i]);
        else if (n > 0 && z[n - 1] != '-')
            z[n++] = '-';
    }
    while (n > 0 && z[n - 1] == '-')
        n--;
    z[n] = '\0';
    return n >= 3 && isalpha((unsigned char)z[0]) ? z : NULL;
}

static void give_home(struct gen *g, const json_t *value)
{
    const json_t *caps = js_list(g->in.brief, "capabilities");
    const char *chosen = js_str(value, "capability");
    for (size_t i = 0; i < js_count(caps); i++) {
        if (strcmp(js_str(js_at(caps, i), "id"), chosen) == 0)
            g->home = js_str(js_at(caps, i), "id");
    }
    if (!g->home && !value && js_count(caps))
        g->home = js_str(js_at(caps, 0), "id");
    if (!g->home)
        want(g, WHOLE_NAME);
}

static void give_name(struct gen *g, const json_t *value)
{
    const json_t *all = js_list(g->in.brief, "all_capabilities");
    g->home = kebab(g, js_str(value, "name"));
    if (!g->home)
        g->home = js_str(g->in.brief, "change_name");
    g->home_new = true;
    g->purpose = text_line(g->arena, js_view(value, "purpose"), 600);
    for (size_t i = 0; i < js_count(all); i++) { /* it exists after all */
        const char *id = json_string_value(js_at(all, i));
        g->home_new = g->home_new && !(id && strcmp(id, g->home) == 0);
    }
}

static void give_tasks(struct gen *g, const json_t *value)
{
    json_t *out = json_array();
    for (size_t i = 0; i < g->items_n; i++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i + 1);
        char *z = text_line(g->arena, js_view(value, key), 250);
        z += strspn(z, "-*[] .0123456789)");
        bool seen = strlen(z) < 4;
        for (size_t k = 0; k < json_array_size(out); k++)
            seen = seen || strcasecmp(json_string_value(json_array_get(out, k)), z) == 0;
        if (!seen)
            js_push_z(out, z);
    }
    if (json_array_size(out) > 0)
        g->tasks = out;
    else
        json_decref(out);
}

static void give_whole(struct gen *g, enum whole w, const json_t *value)
{
    g->whole[w].busy = false;
    g->whole[w].settled = true;
    switch (w) {
    case WHOLE_PLAN:
    case WHOLE_MORE:
        if (g->in.large)
            give_plan(g, value);
        else
            g->whole[w].settled = !give_sorted(g, w, value);
        break;
    case WHOLE_HOME: give_home(g, value); break;
    case WHOLE_NAME: give_name(g, value); break;
    case WHOLE_WHY: g->why = text_line(g->arena, js_view(value, "why"), 900); break;
    case WHOLE_TASKS: give_tasks(g, value); break;
    case WHOLE_COUNT: break;
    }
}

static void settle_sentence(struct gen *g, struct item *it)
{
    if (!it->text || !*it->text)
        it->text = it->intent;
    it->text = repair_sentence(g, it->text);
    it->instruct = NULL;
    it->tries = 0;
    item_words(g, it);
    it->state = ITEM_PLACE;
    item_quick(g, it);
}

/* Keep the better one of the tries; ask again while there are faults. */
static void give_sentence(struct gen *g, struct item *it, const json_t *value)
{
    const char *said = js_str(value, "requirement");
    char *instruct = NULL;
    int faults = *said ? check_sentence(g, it, said, &instruct) : 100;
    bool first = it->tries == 0;
    if (*said && (first || faults < it->text_faults)) {
        it->text = text_line(g->arena, str_of(said), TEXT_MAX_BYTES);
        it->text_faults = faults;
        if (strcmp(it->op, "added") == 0)
            it->name = clean_name(g, js_view(value, "title"), it->name);
    } else if (first) {
        it->text_faults = 100;
    }
    it->tries++;
    if (faults > 0 && it->tries < TRIES_MAX)
        it->instruct = instruct;
    else
        settle_sentence(g, it);
}

static void give_place(struct gen *g, struct item *it, const json_t *value)
{
    const char *decision = js_str(value, "decision");
    size_t n = strlen(decision);
    size_t which = n > 0 && decision[n - 1] >= '1' && decision[n - 1] <= '2' ? (size_t)(decision[n - 1] - '1') : NEAR_MAX;
    it->tries = 0;
    if (which < it->near_n && !it->near[which]->taken) {
        place_change(g, it, it->near[which]);
        it->state = ITEM_MERGE;
    } else {
        it->state = json_array_size(it->scenarios) ? ITEM_READY : ITEM_SCENARIOS;
    }
}

static void give_merge(struct gen *g, struct item *it, const json_t *value)
{
    char *instruct = NULL;
    char *said = repair_sentence(g, js_str(value, "requirement"));
    struct words change = words_of(g->arena, str_of(it->text)), merged = words_of(g->arena, str_of(said));
    const struct words *sets[] = { &merged };
    bool good = check_sentence(g, it, said, &instruct) == 0 && words_figures_missing(&change, sets, 1, NULL) == 0 &&
                words_share(&change, &merged) > 0.5;
    if (!good && ++it->tries < TRIES_MAX) {
        it->instruct = instruct;
        return;
    }
    if (good) {
        it->text = said;
    } else { /* nothing of the old rule may get lost */
        char *both = arena_printf(g->arena, "%s %s", text_line(g->arena, it->target->text, TEXT_MAX_BYTES), it->text);
        it->text = both ? both : it->text;
    }
    it->tries = 0;
    it->instruct = NULL;
    it->state = ITEM_SCENARIOS;
}

static void give_scenarios(struct gen *g, struct item *it, const json_t *value)
{
    char *instruct = NULL;
    json_t *one = json_array();
    if (js_str(value, "then")[0])
        js_push(one, json_deep_copy(value));
    const json_t *many = js_list(value, "scenarios");
    json_t *list = check_scenarios(g, it, many ? many : one, &instruct);
    json_decref(one);
    it->tries++;
    if (json_array_size(list) == 0 && it->tries < TRIES_MAX) {
        it->instruct = instruct;
        json_decref(list);
        return;
    }
    if (json_array_size(list) == 0) {
        json_decref(list);
        list = scenario_from(g, it);
    }
    json_decref(it->scenarios);
    it->scenarios = list;
    it->instruct = NULL;
    it->state = ITEM_READY;
}

static void give_item(struct gen *g, struct item *it, const json_t *value)
{
    it->busy = false;
    switch (it->state) {
    case ITEM_TEXT: give_sentence(g, it, value); break;
    case ITEM_PLACE: give_place(g, it, value); break;
    case ITEM_MERGE: give_merge(g, it, value); break;
    case ITEM_SCENARIOS: give_scenarios(g, it, value); break;
    case ITEM_READY:
    case ITEM_OUT: break;
    }
}

void gen_give(struct gen *g, uint32_t id, const json_t *value)
{
    if (id >= ID_COMMENT) {
        assert(id - ID_COMMENT < g->comments_n);
        revise_comment(g, &g->comments[id - ID_COMMENT], value);
    } else if (id >= ID_ITEM) {
        assert(id - ID_ITEM < g->items_n);
        give_item(g, &g->items[id - ID_ITEM], value);
    } else {
        give_whole(g, (enum whole)id, value);
    }
    advance(g);
}
