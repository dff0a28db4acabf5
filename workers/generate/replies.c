/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/state.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* With less of its statement than this a requirement is about something else. */
static const double strays_below = 0.5;

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
        struct statement *s = &g->statements[g->chunk[i]];
        char key[24];
        snprintf(key, sizeof key, "%zu", i + 1);
        const char *kind = js_str(value, key);
        /* Missed in an earlier round although it has a figure: it is about something after all. */
        bool rule =
            strcmp(kind, "new behaviour") == 0 || (w == WHOLE_MORE && words_figures(&s->words) > 0);
        s->kind = rule ? STATEMENT_RULE : STATEMENT_BACKGROUND;
        s->missed = false;
        if (rule && w == WHOLE_MORE)
            take_statement(g, s);
    }
    return statements_open(g) > 0;
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
        gen_want(g, WHOLE_NAME);
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

/* The model wrote about something else, again and again. With the figure of a fact in place of words that
 * name it, a requirement has less of its statement. */
static bool strays(const struct gen *g, const struct item *it)
{
    struct words meant = words_of(g, str_of(it->intent)), said = words_of(g, str_of(it->text));
    const struct words *problem[] = { &g->problem_words };
    return it->about && !it->about->remedy && !it->wish &&
           words_share(&meant, &said) < strays_below &&
           words_figures_missing(&said, problem, 1, NULL) == 0;
}

static void settle_sentence(struct gen *g, struct item *it)
{
    if (!it->text || !*it->text || strays(g, it))
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
    size_t which = n > 0 && decision[n - 1] >= '1' && decision[n - 1] <= '2'
                       ? (size_t)(decision[n - 1] - '1')
                       : NEAR_MAX;
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
    struct words change = words_of(g, str_of(it->text)), merged = words_of(g, str_of(said));
    const struct words *sets[] = { &merged };
    bool good = check_sentence(g, it, said, &instruct) == 0 &&
                words_figures_missing(&change, sets, 1, NULL) == 0 &&
                words_share(&change, &merged) > 0.5;
    if (!good && ++it->tries < TRIES_MAX) {
        it->instruct = instruct;
        return;
    }
    if (good) {
        it->text = said;
    } else { /* nothing of the old rule may get lost */
        char *both = arena_printf(g->arena, "%s %s",
                                  text_line(g->arena, it->target->text, TEXT_MAX_BYTES), it->text);
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
    gen_advance(g);
}
