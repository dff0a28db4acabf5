/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/parse/brief_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_LONGEST = 1024, TEXT_LONGEST = 65536, SCENARIOS_MOST = 50, ALL_NAMES = 20000 };

/* A capability is carried when it is at least this relevant beside the best one. */
static const double near_best = 0.3;

struct str text_clip(struct str s, size_t max)
{
    if (s.n <= max)
        return s;
    while (max > 0 && ((unsigned char)s.p[max] & 0xc0) == 0x80)
        max--;
    return (struct str){ s.p, max };
}

static enum status words_into(struct making *m, struct str text, struct word_set *set)
{
    return words_gather(m->a, text, LANG_NONE, set);
}

static enum status words_of_requirement(struct making *m, const struct spec_requirement *r,
                                        struct word_set *set)
{
    enum status st = words_into(m, r->name, set);
    if (st == OK)
        st = words_into(m, r->text, set);
    for (size_t i = 0; i < r->scenarios_n && st == OK; i++) {
        st = words_into(m, r->scenarios[i].name, set);
        if (st == OK)
            st = words_into(m, r->scenarios[i].text, set);
    }
    return st;
}

static void add_all(struct arena *a, struct word_set *to, const struct word_set *from)
{
    for (size_t i = 0; i < from->n; i++)
        words_add(a, to, from->at[i]);
}

static enum status index_all(struct making *m, struct word_index *caps, struct word_index *reqs)
{
    enum status st = OK;
    for (size_t i = 0; i < m->ids.n && st == OK; i++) {
        struct found *f = &m->found[i];
        struct word_set whole = { 0 };
        st = spec_of(m->a, m->ws, m->ids.at[i], &f->spec);
        if (st == OK)
            st = words_into(m, f->spec.id, &whole);
        if (st == OK)
            st = words_into(m, f->spec.purpose, &whole);
        for (size_t k = 0; k < f->spec.n && st == OK; k++) {
            struct word_set one = { 0 };
            st = words_of_requirement(m, &f->spec.requirements[k], &one);
            if (st == OK)
                st = words_index_add(m->a, reqs, &one);
            add_all(m->a, &whole, &one);
        }
        words_sort(&whole);
        if (st == OK)
            st = whole.failed ? ERR_LIMIT : words_index_add(m->a, caps, &whole);
    }
    if (st == OK)
        st = words_index_done(m->a, caps);
    return st == OK ? words_index_done(m->a, reqs) : st;
}

static int by_rank(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank > y->rank ? -1 : 1;
    size_t n = x->spec.id.n < y->spec.id.n ? x->spec.id.n : y->spec.id.n;
    int order = n ? memcmp(x->spec.id.p, y->spec.id.p, n) : 0;
    return order ? order : x->spec.id.n < y->spec.id.n ? -1 : x->spec.id.n > y->spec.id.n;
}

static void choose(struct making *m)
{
    double best = m->ids.n ? m->found[0].rank : 0;
    for (size_t i = 0; i < m->ids.n && i < BRIEF_CAPABILITIES; i++)
        m->found[i].taken = best > 0 ? m->found[i].rank >= near_best * best : i < 3;
}

enum status rank_all(struct making *m)
{
    struct word_index caps = { 0 }, reqs = { 0 };
    if (m->ids.n == 0)
        return OK;
    m->found = arena_alloc(m->a, m->ids.n * sizeof *m->found);
    if (!m->found)
        return ERR_LIMIT;
    enum status st = index_all(m, &caps, &reqs);
    for (size_t i = 0, doc = 0; i < m->ids.n && st == OK; i++) {
        struct found *f = &m->found[i];
        f->ranks = f->spec.n ? arena_alloc(m->a, f->spec.n * sizeof *f->ranks) : NULL;
        if (f->spec.n && !f->ranks)
            return ERR_LIMIT;
        f->rank = words_index_rank(&caps, i, &m->query);
        for (size_t k = 0; k < f->spec.n; k++)
            f->ranks[k] = words_index_rank(&reqs, doc++, &m->query);
    }
    if (st != OK)
        return st;
    qsort(m->found, m->ids.n, sizeof *m->found, by_rank);
    choose(m);
    return OK;
}

/* ---- as JSON ------------------------------------------------------------------------------------ */

static json_t *known_json(const struct making *m, const struct found *f, size_t k)
{
    const struct spec_requirement *r = &f->spec.requirements[k];
    json_t *v = json_object(), *scenarios = json_array();
    js_set_str(v, "name", text_clip(r->name, NAME_LONGEST));
    js_set_str(v, "text", text_clip(r->text, TEXT_LONGEST));
    for (size_t i = 0; i < r->scenarios_n && i < SCENARIOS_MOST; i++) {
        const struct spec_scenario *s = &r->scenarios[i];
        char *z = arena_printf(m->a, "%.*s\n%.*s", STR_ARG(text_clip(s->name, NAME_LONGEST)),
                               STR_ARG(text_clip(s->text, 4096)));
        if (z)
            js_push_z(scenarios, z);
    }
    js_set(v, "scenarios", scenarios);
    if (r->line)
        js_set_int(v, "line", (int64_t)r->line);
    js_set_real(v, "rank", f->ranks[k]);
    return v;
}

/* The rank that the BRIEF_REQUIREMENTSth best requirement has: those below are left out. */
static double rank_limit(const struct making *m, const struct found *f)
{
    if (f->spec.n <= BRIEF_REQUIREMENTS)
        return -1;
    double *sorted = arena_alloc(m->a, f->spec.n * sizeof *sorted), limit = -1;
    if (!sorted)
        return limit;
    size_t n = 0;
    for (size_t i = 0; i < f->spec.n; i++) { /* the largest ones, by insertion */
        size_t at = n < BRIEF_REQUIREMENTS ? n++ : BRIEF_REQUIREMENTS - 1;
        if (at == BRIEF_REQUIREMENTS - 1 && i >= BRIEF_REQUIREMENTS && f->ranks[i] <= sorted[at])
            continue;
        for (; at > 0 && sorted[at - 1] < f->ranks[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = f->ranks[i];
    }
    limit = sorted[BRIEF_REQUIREMENTS - 1];
    return limit;
}

json_t *rank_json(const struct making *m)
{
    json_t *list = json_array();
    size_t bytes = 0;
    for (size_t i = 0; i < m->ids.n; i++) {
        const struct found *f = &m->found[i];
        if (!f->taken)
            continue;
        json_t *v = json_object(), *requirements = json_array();
        double limit = rank_limit(m, f);
        js_set_str(v, "id", text_clip(f->spec.id, NAME_LONGEST));
        js_set_str(v, "purpose", text_clip(f->spec.purpose, TEXT_LONGEST));
        js_set_real(v, "rank", f->rank);
        for (size_t k = 0; k < f->spec.n && json_array_size(requirements) < BRIEF_REQUIREMENTS;
             k++) {
            const struct spec_requirement *r = &f->spec.requirements[k];
            if (f->ranks[k] < limit || bytes > BRIEF_TEXT_MAX)
                continue;
            bytes += r->raw.n;
            js_push(requirements, known_json(m, f, k));
        }
        js_set(v, "requirements", requirements);
        js_push(list, v);
    }
    return list;
}

/* ---- names -------------------------------------------------------------------------------------- */

enum { DISTANCE_BYTES = 200, NEAR_NAMES = 5 };

static size_t distance(struct str a, struct str b)
{
    size_t row[DISTANCE_BYTES + 1];
    a = text_clip(a, DISTANCE_BYTES);
    b = text_clip(b, DISTANCE_BYTES);
    for (size_t k = 0; k <= b.n; k++)
        row[k] = k;
    for (size_t i = 1; i <= a.n; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b.n; k++) {
            size_t change = corner + (a.p[i - 1] != b.p[k - 1]);
            corner = row[k];
            size_t step = (row[k] < row[k - 1] ? row[k] : row[k - 1]) + 1;
            row[k] = change < step ? change : step;
        }
    }
    return row[b.n];
}

const char *near_names(struct arena *a, struct str name, const struct str_list *list)
{
    const char *text = "";
    size_t shown[NEAR_NAMES], n = 0;
    for (; n < NEAR_NAMES && n < list->n; n++) {
        size_t best = SIZE_MAX, at = 0;
        for (size_t i = 0; i < list->n && i < ALL_NAMES; i++) {
            bool used = false;
            for (size_t k = 0; k < n; k++)
                used = used || shown[k] == i;
            size_t d = used ? SIZE_MAX : distance(name, list->at[i]);
            if (d < best) {
                best = d;
                at = i;
            }
        }
        shown[n] = at;
        const char *longer =
            arena_printf(a, "%s%s%.*s", text, n ? ", " : "", STR_ARG(text_clip(list->at[at], 60)));
        text = longer ? longer : text;
    }
    return text;
}
