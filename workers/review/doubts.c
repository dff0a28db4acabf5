/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/review/measures_in.h"

#include <string.h>

enum { COMPARE_WORDS = 1500, RUN_PASTE = 8, RUN_SIDE = 3, SENTENCE_TERMS = 4 };

static const double makes_it_so = 0.6, near_it = 0.4, as_told = 0.8, about_wish = 0.5,
                    contained = 0.85;

static bool content(const struct word *w)
{
    return !(w->flags & (WORD_STOP | WORD_UNIT));
}

static const struct term *term_of(const struct point *p, uint64_t key)
{
    if (!words_in(&p->keys, key))
        return NULL;
    for (size_t i = 0; i < p->n; i++) {
        if (p->terms[i].key == key)
            return &p->terms[i];
    }
    return NULL;
}

/* ---- the complaint under a SHALL ----------------------------------------------------------------- */

static bool says_something(const struct work *w, const struct demand *d, size_t i, bool conditions)
{
    const struct word *x = &d->words[i];
    return content(x) && (conditions || !d->conditional[i]) && !cue_is(w->cues, CUE_FRAME, x) &&
           !cue_is(w->cues, CUE_WISH, x) && !word_negates(w->cues, d->words, d->n, i);
}

struct agreement {
    size_t n, shared, flips;
};

/* How many of the demand's words the point has, and how many of those under the other sign. */
static struct agreement agree(const struct work *w, const struct demand *d, const struct point *p)
{
    struct agreement out = { 0 };
    for (int conditions = 0; conditions < 2; conditions++) {
        out = (struct agreement){ 0 };
        for (size_t i = 0; i < d->n; i++) {
            if (!says_something(w, d, i, conditions != 0))
                continue;
            const struct term *t = term_of(p, d->words[i].key);
            out.n++;
            out.shared += t != NULL;
            out.flips += t && t->negated != d->negated[i];
        }
        if (out.n >= 2)
            break; /* a main clause of one word needs its condition */
    }
    return out;
}

static size_t negators(const struct work *w, const struct word *x, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += word_negates(w->cues, x, n, i);
    return count;
}

/* Does the demand work against the point: by the other sign of a word that they share ("cannot
 * export" - "let users export"), or by a word that the point does not have? */
static bool is_remedy(const struct work *w, const struct demand *d, const struct point *p,
                      size_t flips)
{
    size_t mine = negators(w, d->words, d->n), theirs_n = negators(w, p->words, p->words_n);
    theirs_n += cue_any(w->cues, CUE_LACK, p->words, p->words_n);
    if (flips > 0 && (mine == 0 || (mine ^ theirs_n) & 1))
        return true;
    for (size_t i = 0; i < d->n; i++) {
        const struct word *x = &d->words[i];
        bool against = cue_is(w->cues, CUE_NEGATOR, x) ||
                       (i > d->modal && !d->negated[i] && cue_is(w->cues, CUE_SUPPRESS, x));
        if (!against)
            continue;
        bool theirs = cue_is(w->cues, CUE_NEGATOR, x) ? p->negates : term_of(p, x->key) != NULL;
        if (!theirs)
            return true;
    }
    return false;
}

static double wish_share(const struct work *w, const struct demand *d)
{
    double best = 0;
    for (size_t i = 0; i < w->problem.n; i++) {
        const struct point *p = &w->problem.points[i];
        if (p->kind == POINT_STORY)
            continue;
        struct agreement g = agree(w, d, p);
        double share = g.n ? (double)g.shared / (double)g.n : 0;
        best = share > best ? share : best;
    }
    return best;
}

/* "SHALL ensure that <what the problem tells>": a statement made a demand as it stands. */
const struct point *doubt_told(const struct work *w, const struct req *q)
{
    for (size_t k = 0; k < q->demands_n && w->problem.wishes; k++) {
        const struct demand *d = &q->demands[k];
        double wish = wish_share(w, d);
        if (!cue_any(w->cues, CUE_LETTING, d->words + d->modal, d->n - d->modal))
            continue;
        for (size_t i = 0; i < w->problem.n; i++) {
            const struct point *p = &w->problem.points[i];
            struct agreement g = agree(w, d, p);
            double share = g.n ? (double)g.shared / (double)g.n : 0;
            bool same = p->kind == POINT_STORY && share > wish && share >= as_told;
            if (same && g.shared >= (g.n <= 3 ? 2u : 3u) && !is_remedy(w, d, p, g.flips))
                return p;
        }
    }
    return NULL;
}

const struct point *doubt_grievance(const struct work *w, struct req *q)
{
    for (size_t k = 0; k < q->demands_n; k++) {
        const struct demand *d = &q->demands[k];
        double wish = wish_share(w, d);
        for (size_t i = 0; i < w->problem.n; i++) {
            const struct point *p = &w->problem.points[i];
            if (p->kind != POINT_STORY || !p->complains)
                continue;
            struct agreement g = agree(w, d, p);
            double share = g.n ? (double)g.shared / (double)g.n : 0;
            if (share <= wish || share < near_it || is_remedy(w, d, p, g.flips))
                continue;
            q->doubt = q->doubt || g.shared >= 2;
            if (share >= makes_it_so && g.shared >= (g.n <= 4 ? 2u : 3u))
                return p;
        }
    }
    return NULL;
}

/* ---- the opposite of a wish ---------------------------------------------------------------------- */

/* Words of which one is the opposite of the other, by stem. */
static const struct {
    const char *one, *other;
} opposites[] = {
    { "cap", "exceed" },
    { "cap", "unlimited" },
    { "limit", "exceed" },
    { "limit", "unlimited" },
    { "stop", "continue" },
    { "accept", "refuse" },
    { "accept", "reject" },
    { "accept", "discard" },
    { "accept", "ignore" },
    { "show", "hide" },
    { "store", "delete" },
    { "store", "discard" },
    { "keep", "delete" },
    { "keep", "discard" },
    { "keep", "lose" },
    { "send", "withhold" },
    { "send", "suppress" },
    { "refund", "keep" },
    { "exempt", "charge" },
    { "start", "stop" },
    { "enable", "disable" },
    { "allow", "forbid" },
    { "allow", "block" },
    { "notify", "ignore" },
    { "answer", "ignore" },
    { "lock", "unlock" },
    { "open", "close" },
    { "increase", "reduce" },
    { "raise", "lower" },
    { "add", "remove" },
    { "begrenzen", "überschreiten" },
    { "anzeigen", "verbergen" },
    { "erlauben", "verbieten" },
    { "annehmen", "ablehnen" },
    { "speichern", "löschen" },
    { "sperren", "entsperren" },
};

static bool demands_word(const struct demand *d, uint64_t key)
{
    for (size_t i = d->modal + 1; i < d->n; i++) {
        if (d->words[i].key == key && !d->conditional[i] && !d->negated[i])
            return true;
    }
    return false;
}

static bool says_opposite(const struct work *w, const struct req *q, const struct demand *d,
                          const struct point *p)
{
    (void)w;
    for (size_t i = 0; i < 2 * COUNT(opposites); i++) {
        const char *want = i & 1 ? opposites[i / 2].other : opposites[i / 2].one;
        const char *got = i & 1 ? opposites[i / 2].one : opposites[i / 2].other;
        const struct term *t = term_of(p, words_key(str_of(want)));
        uint64_t key = words_key(str_of(got));
        if (t && t->result && !t->negated && !words_in(&q->behaves, t->key) && !term_of(p, key) &&
            demands_word(d, key))
            return true;
    }
    return false;
}

static bool has_word(const struct word *w, size_t n, uint64_t key)
{
    for (size_t i = 0; i < n; i++) {
        if (w[i].key == key)
            return true;
    }
    return false;
}

/* "must not be charged" -> "SHALL charge". */
static bool drops_negation(const struct work *w, const struct req *q, const struct point *p)
{
    static const enum cue against[] = { CUE_NEGATOR, CUE_SUPPRESS, CUE_OMIT, CUE_BOUND };
    const struct word_list *l = &q->list;
    size_t shared = 0;
    for (size_t i = 0; i < p->n; i++)
        shared +=
            p->terms[i].negated && p->terms[i].result && words_in(&q->demanded, p->terms[i].key);
    if (!p->negates || shared == 0)
        return false;
    for (size_t i = 0; i < l->n; i++) {
        for (size_t k = 0; k < COUNT(against); k++) {
            bool news = against[k] == CUE_NEGATOR || !has_word(p->words, p->words_n, l->at[i].key);
            if (news && cue_is(w->cues, against[k], &l->at[i]))
                return false;
        }
    }
    return true;
}

/* "SHALL NOT wait longer than …": the prohibition sets a bound that the wish does not name. */
static bool only_limits(const struct work *w, const struct demand *d, const struct point *p)
{
    for (size_t i = d->modal + 1; i < d->n; i++) {
        bool limits = cue_is(w->cues, CUE_LIMITING, &d->words[i]) ||
                      cue_is(w->cues, CUE_EXCEED, &d->words[i]);
        if (limits && !has_word(p->words, p->words_n, d->words[i].key))
            return true;
    }
    return false;
}

/* "capped" and "limit": words of one kind, neither under a negation. */
static bool same_kind(const struct work *w, const struct word *x, const struct point *p)
{
    static const enum cue kinds[] = { CUE_BOUND, CUE_SUPPRESS };
    for (size_t k = 0; k < COUNT(kinds); k++) {
        for (size_t i = 0; i < p->n && cue_is(w->cues, kinds[k], x); i++) {
            if (!p->terms[i].negated && cue_is(w->cues, kinds[k], p->terms[i].word))
                return true;
        }
    }
    return false;
}

/* "SHALL fail to cap", "SHALL stop sending": the word behind it is a verb. */
static bool fails_to(const struct work *w, const struct demand *d, const struct point *p)
{
    for (size_t i = d->modal + 1; i + 2 < d->n; i++) {
        if (!cue_is(w->cues, CUE_FAILING, &d->words[i]) ||
            has_word(p->words, p->words_n, d->words[i].key))
            continue;
        bool to = str_is(d->words[i + 1].text, "to");
        const struct word *verb = &d->words[i + 1 + to];
        bool ing = verb->text.n > 5 && memcmp(verb->text.p + verb->text.n - 3, "ing", 3) == 0;
        size_t shared = 0;
        for (size_t k = i + 1; k < d->n; k++) {
            const struct term *t = term_of(p, d->words[k].key);
            shared += t && t->result && !t->negated;
        }
        if (to || ing)
            return term_of(p, verb->key) || same_kind(w, verb, p) || shared >= 2;
    }
    return false;
}

/* "should get a receipt" -> "SHALL NOT get a receipt". */
static bool adds_negation(const struct work *w, const struct demand *d, const struct point *p)
{
    bool denied = false, first = true;
    size_t shared = 0;
    for (size_t i = d->modal + 1; i < d->n && i <= d->modal + 2; i++)
        denied = denied || cue_is(w->cues, CUE_NEGATOR, &d->words[i]);
    if (!denied || p->negates || only_limits(w, d, p))
        return false;
    for (size_t i = d->modal + 1; i < d->n; i++) {
        if (!d->negated[i] || cue_is(w->cues, CUE_FRAME, &d->words[i]))
            continue;
        const struct term *t = term_of(p, d->words[i].key);
        bool taken_back = t && t->result && !t->negated;
        if (first && (taken_back || same_kind(w, &d->words[i], p)))
            return true;
        shared += taken_back;
        first = false;
    }
    return shared >= 2 && !p->suppresses;
}

const struct point *doubt_inversion(const struct work *w, struct req *q)
{
    const struct point *best = NULL;
    double most = 0;
    for (size_t i = 0; i < w->problem.n; i++) {
        const struct point *p = &w->problem.points[i];
        double share = words_share_in(&p->keys, &q->demanded);
        if (p->kind == POINT_STORY || share < about_wish || share <= most || p->n < 2)
            continue;
        most = share;
        best = p;
    }
    if (!best)
        return NULL;
    bool inverted = drops_negation(w, q, best);
    for (size_t k = 0; k < q->demands_n && !inverted; k++)
        inverted = adds_negation(w, &q->demands[k], best) ||
                   (!best->negates && fails_to(w, &q->demands[k], best)) ||
                   says_opposite(w, q, &q->demands[k], best);
    q->doubt = q->doubt || inverted;
    return inverted ? best : NULL;
}

/* ---- copies -------------------------------------------------------------------------------------- */

struct run {
    size_t end; /* index behind it, in y */
    size_t length;
};

typedef bool run_fn(void *ctx, struct run run);

/* Tell every longest common run of at least `least` words; stops when fn says true. */
static bool each_run(const struct word_list *x, const struct word_list *y, size_t least, run_fn *fn,
                     void *ctx)
{
    size_t rows[2][COMPARE_WORDS + 1] = { 0 };
    size_t n = x->n < COMPARE_WORDS ? x->n : COMPARE_WORDS,
           m = y->n < COMPARE_WORDS ? y->n : COMPARE_WORDS;
    for (size_t i = 0; i < n; i++) {
        size_t *now = rows[i & 1], *before = rows[~i & 1];
        for (size_t k = 0; k < m; k++) {
            now[k + 1] = x->at[i].low == y->at[k].low ? before[k] + 1 : 0;
            bool ended = i + 1 == n || k + 1 == m || x->at[i + 1].low != y->at[k + 1].low;
            if (ended && now[k + 1] >= least && fn(ctx, (struct run){ k + 1, now[k + 1] }))
                return true;
        }
    }
    return false;
}

static bool keep_longest(void *ctx, struct run run)
{
    size_t *longest = ctx;
    *longest = run.length > *longest ? run.length : *longest;
    return false;
}

size_t common_run(const struct word_list *x, const struct word_list *y)
{
    size_t longest = 0;
    each_run(x, y, 1, keep_longest, &longest);
    return longest;
}

/* A run over the end of a sentence, with some words on either side. */
static bool crosses(void *ctx, struct run run)
{
    const struct word_list *problem = ctx;
    size_t from = run.end - run.length;
    for (size_t i = 0; i < problem->sentences_n; i++) {
        size_t end = problem->sentences[i].first + problem->sentences[i].n;
        if (end >= from + RUN_SIDE && end + RUN_SIDE <= run.end)
            return true;
    }
    return false;
}

struct modal_ctx {
    const struct work *w;
};

/* A wish word for word, "should" included: nobody turned it into a demand. */
static bool keeps_modal(void *ctx, struct run run)
{
    const struct modal_ctx *m = ctx;
    const struct word *at = m->w->problem.list.at;
    for (size_t i = run.end - run.length; i < run.end; i++) {
        bool inside = i >= run.end - run.length + 2 && i + RUN_SIDE <= run.end;
        if (inside && cue_is(m->w->cues, CUE_WISH, &at[i]) &&
            at[i].low != words_low(str_of("shall")))
            return true;
    }
    return false;
}

/* How many sentences of the problem does it contain? */
static bool contains_story(const struct work *w, const struct req *q)
{
    struct word_set all = { 0 };
    size_t sentences = 0, inside = 0, stories = 0;
    const char *last = NULL;
    words_collect(w->a, q->whole_list.at, q->whole_list.n, &all);
    for (size_t i = 0; i < w->problem.n; i++) {
        const struct point *p = &w->problem.points[i];
        if (p->n < SENTENCE_TERMS || p->sentence.p == last || p->heading)
            continue;
        last = p->sentence.p;
        sentences++;
        if (words_share_in(&p->keys, &all) < contained)
            continue;
        inside++;
        stories += p->kind == POINT_STORY;
    }
    return (inside >= 3 && stories > 0) || inside >= 4 ||
           (inside == sentences && inside >= 2 && stories > 0);
}

bool doubt_paste(const struct work *w, const struct req *q)
{
    struct modal_ctx m = { w };
    const struct word_list *problem = &w->problem.list;
    if (each_run(&q->whole_list, problem, RUN_PASTE, crosses, (void *)(uintptr_t)problem))
        return true;
    if (each_run(&q->list, problem, RUN_PASTE, keeps_modal, &m))
        return true;
    return contains_story(w, q);
}
