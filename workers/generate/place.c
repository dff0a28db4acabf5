/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/state.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Likeness above which a requirement is shown beside an existing one, is taken for the same, and
 * places a new one into the other's capability. */
static const double near_from = 0.34, near_from_small = 0.5, same_from = 0.8, place_from = 0.3;
/* The same among a draft's own requirements; and what may be a new figure for an old rule. */
static const double own_same_from = 0.65, all_of_it = 0.85, contradicts_from = 0.5,
                    nothing_else = 0.6;

enum { KNOWN_MAX = 5000 };

void known_load(struct gen *g)
{
    const json_t *caps = js_list(g->in.brief, "capabilities");
    size_t n = 0;
    for (size_t i = 0; i < js_count(caps); i++)
        n += js_count(js_list(js_at(caps, i), "requirements"));
    n = n < KNOWN_MAX ? n : KNOWN_MAX;
    g->known = n ? arena_alloc(g->arena, n * sizeof *g->known) : NULL;
    for (size_t i = 0; g->known && i < js_count(caps); i++) {
        const json_t *list = js_list(js_at(caps, i), "requirements");
        for (size_t k = 0; k < js_count(list) && g->known_n < n; k++) {
            const json_t *r = js_at(list, k);
            struct known *known = &g->known[g->known_n++];
            *known = (struct known){ .capability = js_str(js_at(caps, i), "id"),
                                     .name = js_str(r, "name"),
                                     .text = js_view(r, "text"),
                                     .scenarios = js_list(r, "scenarios") };
            char *all = arena_printf(g->arena, "%s\n%s", known->name, js_str(r, "text"));
            known->words = words_of(g, str_of(all ? all : known->name));
        }
    }
}

static struct words own_words(const struct gen *g, const struct item *it)
{
    char *all = arena_printf(g->arena, "%s\n%s", it->name, it->text ? it->text : it->intent);
    return words_of(g, str_of(all ? all : it->name));
}

void place_rank(struct gen *g, struct item *it)
{
    struct words mine = own_words(g, it);
    double best[NEAR_MAX] = { 0 };
    memset(it->near, 0, sizeof it->near);
    it->near_n = 0;
    for (size_t i = 0; i < g->known_n; i++) {
        const struct known *k = &g->known[i];
        double like = k->taken ? 0 : words_like(&mine, &k->words);
        if (like < (g->in.large ? near_from : near_from_small))
            continue;
        size_t at = it->near_n < NEAR_MAX ? it->near_n++ : NEAR_MAX - 1;
        if (at == NEAR_MAX - 1 && it->near[at] && best[at] >= like)
            continue;
        best[at] = like;
        it->near[at] = k;
        for (; at > 0 && best[at] > best[at - 1]; at--) {
            const struct known *swap = it->near[at];
            double d = best[at];
            it->near[at] = it->near[at - 1];
            best[at] = best[at - 1];
            it->near[at - 1] = swap;
            best[at - 1] = d;
        }
    }
}

/* Every word of substance is there already, and no figure is new. */
static bool says_the_same(const struct words *mine, const struct words *other)
{
    const struct words *sets[] = { other };
    return mine->n >= 3 && words_share(mine, other) >= same_from &&
           words_figures_missing(mine, sets, 1, NULL) == 0;
}

bool place_repeats(const struct gen *g, const struct item *it)
{
    struct words mine = words_of(g, str_of(it->text));
    for (size_t i = 0; i < g->known_n && !it->target; i++) {
        if (says_the_same(&mine, &g->known[i].words))
            return true;
    }
    return false;
}

/* What an item says and is to say: one that leaves a part of its statement out does not repeat what has
 * that part. */
static struct words meant(const struct gen *g, const struct item *it)
{
    char *all = arena_printf(g->arena, "%s\n%s", it->text, it->about ? it->intent : "");
    return words_of(g, str_of(all ? all : it->text));
}

/* One draft's own requirements are about one thing: less likeness is enough to be a repetition, but not
 * for two statements of the problem. */
static bool within(const struct words *mine, const struct words *other, bool two)
{
    const struct words *sets[] = { other };
    return mine->n >= 3 && words_share(mine, other) >= (two ? all_of_it : own_same_from) &&
           words_figures_missing(mine, sets, 1, NULL) == 0;
}

void place_dedupe(struct gen *g)
{
    for (size_t i = 0; i < g->items_n; i++) {
        struct item *it = &g->items[i];
        if (it->state != ITEM_READY || !it->text || strcmp(it->op, "added") != 0)
            continue;
        struct words mine = meant(g, it);
        for (size_t k = 0; k < g->items_n && it->state == ITEM_READY; k++) {
            const struct item *o = &g->items[k];
            if (k == i || o->state != ITEM_READY || !o->text)
                continue;
            struct words other = words_of(g, str_of(o->text));
            bool two = it->about && o->about && it->about != o->about;
            if (!within(&mine, &other, two))
                continue;
            /* Either says the other: the one that is closer to the problem stays, then the earlier. */
            size_t near = words_common(&mine, &g->problem_words),
                   far = words_common(&other, &g->problem_words);
            if (!within(&other, &mine, two) || far > near || (far == near && k < i))
                it->state = ITEM_OUT;
        }
    }
}

/* The word after a figure, as its unit: "24 hours". */
static uint64_t unit_of(const struct gen *g, struct str text, const struct word *figure)
{
    const char *from = figure->text.p + figure->text.n, *end = text.p + text.n;
    size_t n = (size_t)(end - from) < 24 ? (size_t)(end - from) : 24;
    struct str rest = { from, n };
    while (rest.n && (isspace((unsigned char)rest.p[0]) || rest.p[0] == '-'))
        rest = (struct str){ rest.p + 1, rest.n - 1 };
    size_t len = 0;
    while (len < rest.n && isalpha((unsigned char)rest.p[len]))
        len++;
    struct words w = words_of(g, (struct str){ rest.p, len });
    return w.n == 1 && !word_figure(&w.v[0]) ? w.v[0].key : 0;
}

/* The text with one figure in place of another, wherever it stands as a word. */
static char *swap_figure(const struct gen *g, struct str text, struct str old, struct str new)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < text.n;) {
        bool here = text.n - i >= old.n && memcmp(text.p + i, old.p, old.n) == 0 &&
                    (i == 0 || !isalnum((unsigned char)text.p[i - 1])) &&
                    (i + old.n == text.n || !isdigit((unsigned char)text.p[i + old.n]));
        if (here)
            buf_view(&b, new);
        else
            buf_char(&b, text.p[i]);
        i += here ? old.n : 1;
    }
    char *z = arena_dup(g->arena, buf_z(&b), b.len);
    buf_fini(&b);
    return z;
}

/* A figure of the item and one of the rule with the same unit, each missing on the other side. */
static bool figures_differ(const struct gen *g, struct item *it, const struct known *k)
{
    struct words mine = words_of(g, str_of(it->text)), theirs = words_of(g, k->text);
    for (size_t i = 0; i < mine.n; i++) {
        uint64_t unit = word_figure(&mine.v[i]) ? unit_of(g, str_of(it->text), &mine.v[i]) : 0;
        if (unit == 0 || words_hold(&theirs, &mine.v[i]))
            continue;
        for (size_t o = 0; o < theirs.n; o++) {
            if (word_figure(&theirs.v[o]) && !words_hold(&mine, &theirs.v[o]) &&
                unit_of(g, k->text, &theirs.v[o]) == unit) {
                it->old_figure = theirs.v[o].text;
                it->new_figure = mine.v[i].text;
                return true;
            }
        }
    }
    return false;
}

const struct known *place_contradicts(struct gen *g, struct item *it)
{
    struct words mine = words_of(g, str_of(it->text));
    const struct known *k = it->near_n ? it->near[0] : NULL;
    if (!k || words_like(&mine, &k->words) < contradicts_from || !figures_differ(g, it, k))
        return NULL;
    char *swapped = swap_figure(g, k->text, it->old_figure, it->new_figure);
    struct words now = words_of(g, str_of(swapped ? swapped : ""));
    const struct words *sets[] = { &now };
    if (swapped && js_count(k->scenarios) > 0 && words_share(&mine, &now) >= nothing_else &&
        words_figures_missing(&mine, sets, 1, NULL) == 0) {
        it->text = text_line(g->arena, str_of(swapped), TEXT_MAX_BYTES);
        it->text_swapped = true;
    }
    return k;
}

const char *place_capability(const struct gen *g, const struct item *it)
{
    struct words mine = own_words(g, it);
    const char *best = NULL;
    double most = place_from;
    for (size_t i = 0; i < g->known_n; i++) {
        double like = words_like(&mine, &g->known[i].words);
        if (like >= most) {
            most = like;
            best = g->known[i].capability;
        }
    }
    return best;
}

const char *place_home(const struct gen *g, size_t *common)
{
    const json_t *caps = js_list(g->in.brief, "capabilities");
    const char *best = NULL;
    *common = 0;
    for (size_t i = 0; i < js_count(caps); i++) {
        const json_t *c = js_at(caps, i);
        struct buf b;
        buf_init(&b, 1 << 22);
        buf_printf(&b, "%s\n%s\n", js_str(c, "id"), js_str(c, "purpose"));
        for (size_t k = 0; k < g->known_n; k++) {
            if (strcmp(g->known[k].capability, js_str(c, "id")) == 0)
                buf_printf(&b, "%s\n%.2000s\n", g->known[k].name,
                           g->known[k].text.p ? g->known[k].text.p : "");
        }
        struct words w = words_of(g, str_of(buf_z(&b)));
        size_t n = 0;
        for (size_t k = 0; k < w.n; k++)
            n += !word_figure(&w.v[k]) && words_have(&g->problem_words, w.v[k].key);
        buf_fini(&b);
        if (n > *common) {
            *common = n;
            best = js_str(c, "id");
        }
    }
    return best;
}

void place_change(struct gen *g, struct item *it, const struct known *target)
{
    g->known[target - g->known].taken = true;
    it->target = target;
    it->op = "modified";
    it->capability = target->capability;
    it->name =
        arena_dup(g->arena, target->name, strlen(target->name)); /* exactly: archive compares */
    assert(it->name);
}

/* ---- scenarios of a requirement that is changed -------------------------------------------------- */

static const char *keyword_of(struct str line, size_t *skip)
{
    static const char *const keys[] = { "given", "when", "then", "and" };
    size_t i = 0;
    while (i < line.n && (isspace((unsigned char)line.p[i]) || strchr("-*+_", line.p[i])) &&
           line.p[i])
        i++;
    for (size_t k = 0; k < COUNT(keys); k++) {
        size_t n = strlen(keys[k]);
        if (line.n - i > n && strncasecmp(line.p + i, keys[k], n) == 0 &&
            !isalnum((unsigned char)line.p[i + n])) {
            i += n;
            while (i < line.n && (isspace((unsigned char)line.p[i]) || strchr("*_:,", line.p[i])) &&
                   line.p[i])
                i++;
            *skip = i;
            return keys[k];
        }
    }
    *skip = i;
    return NULL;
}

/* "Name\n- **WHEN** …\n- **THEN** …" as the specs hold it. New reference. */
static json_t *parse_scenario(const struct gen *g, struct str text)
{
    json_t *s = json_object();
    const char *into = "when";
    bool first = true;
    while (text.n > 0) {
        const char *nl = memchr(text.p, '\n', text.n);
        struct str line = { text.p, nl ? (size_t)(nl - text.p) : text.n };
        size_t eaten = line.n + (nl ? 1 : 0), skip;
        text = (struct str){ text.p + eaten, text.n - eaten };
        if (blank_trim(line).n == 0)
            continue;
        if (first) {
            while (line.n && strchr("# ", line.p[0]))
                line = (struct str){ line.p + 1, line.n - 1 };
            if (line.n > 9 && strncasecmp(line.p, "scenario:", 9) == 0)
                line = (struct str){ line.p + 9, line.n - 9 };
            js_set_z(s, "name", text_line(g->arena, line, 1000));
            first = false;
            continue;
        }
        const char *key = keyword_of(line, &skip);
        if (key && strcmp(key, "and") != 0)
            into = key;
        if (!js_list(s, into))
            js_set(s, into, json_array());
        js_push_z(json_object_get(s, into),
                  text_line(g->arena, (struct str){ line.p + skip, line.n - skip }, 1000));
    }
    return s;
}

static void keep_name(const struct gen *g, json_t *scenario, const json_t *text)
{
    json_t *plain =
        parse_scenario(g, (struct str){ json_string_value(text), json_string_length(text) });
    js_set_z(scenario, "name", js_str(plain, "name"));
    json_decref(plain);
}

static bool outdated(const struct gen *g, const struct item *it, struct str scenario)
{
    struct words old = words_of(g, scenario), now = words_of(g, str_of(it->text));
    const struct words *sets[] = { &now, &g->problem_words };
    const struct words *before[] = { &it->target->words };
    for (size_t i = 0; i < old.n; i++) {
        struct words one = { &old.v[i], 1 };
        if (word_figure(&old.v[i]) && words_figures_missing(&one, sets, 2, NULL) &&
            words_figures_missing(&one, before, 1, NULL) == 0)
            return true; /* a figure of the old rule that the new one gave up */
    }
    return false;
}

/* OpenSpec replaces the whole block and refuses to lose a scenario by name: those that still hold stay
 * as they are, one that shows a figure of the old rule takes the steps of a new one. */
json_t *place_scenarios(const struct gen *g, const struct item *it)
{
    json_t *out = json_array();
    size_t next = 0, fresh = json_array_size(it->scenarios);
    for (size_t i = 0; i < js_count(it->target->scenarios); i++) {
        const json_t *v = js_at(it->target->scenarios, i);
        struct str text = { json_string_value(v), json_string_length(v) };
        char *fitted =
            it->old_figure.n ? swap_figure(g, text, it->old_figure, it->new_figure) : NULL;
        text = fitted ? str_of(fitted) : text;
        json_t *old = parse_scenario(g, text);
        if (fitted) /* the name is what archive compares: it stays */
            keep_name(g, old, v);
        if (next < fresh && outdated(g, it, text)) {
            json_t *s = json_deep_copy(json_array_get(it->scenarios, next++));
            js_set_z(s, "name", js_str(old, "name"));
            json_decref(old);
            old = s;
        }
        js_push(out, old);
    }
    for (; next < fresh; next++) {
        json_t *s = json_array_get(it->scenarios, next);
        bool clash = false;
        for (size_t k = 0; k < json_array_size(out); k++)
            clash =
                clash || strcasecmp(js_str(json_array_get(out, k), "name"), js_str(s, "name")) == 0;
        if (!clash)
            js_push(out, json_incref(s));
    }
    return out;
}
