/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/review/measures_in.h"

#include <string.h>

enum { POINTS_PER_REQ = 2, WORDS_TOLD = 300, QUOTE_MAX = 400 };

/* This share of a clause's words counts as all of it; figures have to be there. */
static const double enough = 0.8;
static const double told_missing = 0.3, told_partly = 0.75, loose_figure = 0.5, on_topic = 0.34,
                    foreign_point = 0.2, most_of = 0.5, said_share = 0.3;

static double match_of(const struct req *q, const struct term *t)
{
    if (words_in(&q->behaves, t->key))
        return 1;
    return t->figure && words_in(&q->lows, t->low) ? loose_figure : 0;
}

/* Does the demand, or a result, have something of what is wanted there? A synonym in its place is
 * forgiven where half of the clause is there. */
static bool hits_result(const struct req *q, const struct point *p)
{
    size_t wanted = 0, hits = 0;
    double has = 0;
    for (size_t i = 0; i < p->n; i++) {
        bool hit = words_in(&q->main, p->terms[i].key);
        has += hit ? p->terms[i].weight : 0;
        wanted += p->terms[i].result;
        hits += p->terms[i].result && hit;
    }
    return wanted == 0 || hits * 4 >= wanted || (hits > 0 && wanted < 4) ||
           has >= most_of * p->weight;
}

static bool has_term(const struct point *p, uint64_t key)
{
    return words_in(&p->keys, key);
}

/* "is capped", "to be capped" */
static bool is_auxiliary(const struct word *w)
{
    static const char *const words[] = { "be", "is", "are", "being", "gets", "get" };
    for (size_t k = 0; k < COUNT(words); k++) {
        if (str_is(w->text, words[k]))
            return true;
    }
    return false;
}

/* A verb stands behind SHALL or MUST, behind a conjunction, or behind "be". */
static bool is_verb_of(const struct demand *d, uint64_t key)
{
    bool slot = true;
    for (size_t i = d->modal + 1; i < d->n; i++) {
        const struct word *x = &d->words[i];
        if ((slot || is_auxiliary(x - 1)) && x->key == key)
            return true;
        bool joins = str_is(x->text, "and") || str_is(x->text, "or") || str_is(x->text, "SHALL") ||
                     str_is(x->text, "MUST");
        slot = joins || (slot && (x->flags & WORD_STOP)) || x == d->verb;
        if (x == d->verb)
            slot = false;
    }
    return false;
}

/* "show a page about", "a note that" */
static bool speaks_about(const struct word *w, size_t n)
{
    static const char *const words[] = {
        "about", "that", "regarding", "concerning", "über", "dass"
    };
    for (size_t i = 0; i < n && i < 4; i++) {
        for (size_t k = 0; k < COUNT(words); k++) {
            if (str_is(w[i].text, words[k]))
                return true;
        }
    }
    return false;
}

/* "support exporting": the verb comes behind it. */
static bool leads_on(const struct word *w, size_t n)
{
    for (size_t i = 0; i < n && i < 4; i++) {
        if (!(w[i].flags & WORD_STOP))
            return w[i].text.n > 5 && memcmp(w[i].text.p + w[i].text.n - 3, "ing", 3) == 0;
    }
    return false;
}

/* "It should stand above all others": what it is about is said elsewhere. */
static bool is_pronoun(const struct word *w)
{
    static const char *const words[] = { "it",    "It",    "they", "They", "this", "This",
                                         "these", "These", "he",   "He",   "she",  "She",
                                         "er",    "Er",    "es",   "Es",   "sie",  "Sie" };
    for (size_t k = 0; k < COUNT(words); k++) {
        if (str_is(w->text, words[k]))
            return true;
    }
    return false;
}

/* Does the demand only speak of the point: "show a page about", "handle", "optionally", or the verb of
 * the wish somewhere under another verb? */
static bool only_speaks(const struct work *w, const struct demand *d, const struct point *p)
{
    const struct cues *c = w->cues;
    bool own_verb = d->verb && has_term(p, d->verb->key),
         letting = cue_any(c, CUE_LETTING, d->words + d->modal, d->n - d->modal);
    for (size_t i = 0; i < d->n; i++) {
        if (cue_is(c, CUE_ESCAPE, &d->words[i]) && !has_term(p, d->words[i].key))
            return true;
    }
    if (!d->verb || own_verb)
        return false;
    size_t behind = (size_t)(d->verb - d->words) + 1;
    if (cue_is(c, CUE_HOLLOW, d->verb))
        return !leads_on(d->words + behind, d->n - behind);
    if (cue_is(c, CUE_TELLING, d->verb) && !is_pronoun(&p->words[0]) &&
        (!cue_any(c, CUE_SEEING, p->words, p->words_n) ||
         speaks_about(d->words + behind, d->n - behind)))
        return true;
    if (cue_is(c, CUE_LIGHT, d->verb))
        return false;
    return p->verb && !letting && words_in(&d->keys, p->verb->key) && !is_verb_of(d, p->verb->key);
}

/* What the demands themselves say of the point: scenarios illustrate, they do not demand. */
static double weight_said(const struct work *w, const struct req *q, const struct point *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->n; i++) {
        bool said = false;
        for (size_t k = 0; k < q->demands_n && !said; k++) {
            const struct demand *d = &q->demands[k];
            said = d->shown && words_in(&d->keys, p->terms[i].key) && !only_speaks(w, d, p);
        }
        sum += said ? p->terms[i].weight : 0;
    }
    return sum;
}

static double weight_matched(const struct req *q, const struct point *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->n; i++)
        sum += p->terms[i].weight * match_of(q, &p->terms[i]);
    return sum;
}

/* The clauses that a requirement answers: those of which it has most. */
static size_t answered(const struct work *w, const struct req *q, size_t best[POINTS_PER_REQ])
{
    double has[POINTS_PER_REQ] = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < w->problem.n; i++) {
        const struct point *p = &w->problem.points[i];
        double m = p->weight > 0 && hits_result(q, p) ? weight_matched(q, p) : 0;
        if (m <= 0 || weight_said(w, q, p) < said_share * m)
            continue;
        size_t at = n;
        while (at > 0 && m > has[at - 1])
            at--;
        if (at >= POINTS_PER_REQ)
            continue;
        n = n < POINTS_PER_REQ ? n + 1 : n;
        for (size_t k = n - 1; k > at; k--) {
            has[k] = has[k - 1];
            best[k] = best[k - 1];
        }
        has[at] = m;
        best[at] = i;
    }
    return n;
}

struct cover {
    double *match; /* for each term of the point, 0 to 1 */
};

static double share_of(const struct point *p, const struct cover *c, bool *figure_missing)
{
    double words = 0, has = 0, figures = 0, figures_has = 0;
    *figure_missing = false;
    for (size_t i = 0; i < p->n; i++) {
        const struct term *t = &p->terms[i];
        if (t->figure) {
            figures += t->weight;
            figures_has += t->weight * c->match[i];
            *figure_missing = *figure_missing || (t->weight >= 1 && c->match[i] < 1);
        } else {
            words += t->weight;
            has += t->weight * c->match[i];
        }
    }
    double part = words > 0 ? has / (words * enough) : 0;
    double sum = figures_has + words * (part > 1 ? 1 : part);
    return words + figures > 0 ? sum / (words + figures) : 1;
}

static void tell_missing(struct work *w, const struct point *p, const struct cover *c, double share,
                         bool figure)
{
    struct buf words;
    bool none = share < told_missing;
    if (share >= told_partly && !figure)
        return;
    buf_init(&words, 4096);
    for (size_t i = 0; i < p->n; i++) {
        if (p->terms[i].weight >= 0.3 && c->match[i] < 1 && words.len < WORDS_TOLD)
            buf_printf(&words, "%s%.*s", words.len ? ", " : "", STR_ARG(p->terms[i].word->text));
    }
    const char *text = quote(w, p->text, QUOTE_MAX);
    tell(w, none ? "error" : "warning", "measure.coverage", NULL,
         say(w, "the problem says \"%s\" and %s (missing: %s)", text,
             none ? "no requirement covers it" : "the draft covers only a part of it",
             buf_z(&words)),
         say(w, "%s \"%s\"",
             none ? "Add a requirement for:" : "Say all of it, with its figures, in a requirement:",
             text));
    buf_fini(&words);
}

static bool counts(const struct req *q)
{
    return q->fault == REQ_FINE && (q->op == REQ_ADDED || q->op == REQ_MODIFIED);
}

double cover_problem(struct work *w, json_t *missing)
{
    struct cover *covers = arena_alloc(w->a, (w->problem.n + 1) * sizeof *covers);
    double sum = 0;
    for (size_t i = 0; covers && i < w->problem.n; i++) {
        covers[i].match = arena_alloc(w->a, (w->problem.points[i].n + 1) * sizeof(double));
        w->failed = w->failed || !covers[i].match;
    }
    if (!covers || w->failed) {
        w->failed = true;
        return 0;
    }
    for (size_t i = 0; i < w->reqs.n; i++) {
        size_t best[POINTS_PER_REQ],
            n = counts(&w->reqs.at[i]) ? answered(w, &w->reqs.at[i], best) : 0;
        for (size_t k = 0; k < n; k++) {
            const struct point *p = &w->problem.points[best[k]];
            for (size_t x = 0; x < p->n; x++) {
                double m = match_of(&w->reqs.at[i], &p->terms[x]);
                double *has = &covers[best[k]].match[x];
                *has = m > *has ? m : *has;
            }
        }
    }
    for (size_t i = 0; i < w->problem.n; i++) {
        const struct point *p = &w->problem.points[i];
        bool figure;
        double share = share_of(p, &covers[i], &figure);
        sum += p->weight * share;
        for (size_t x = 0; x < p->n; x++) {
            if (p->terms[x].weight >= 0.5 && covers[i].match[x] < 1 &&
                json_array_size(missing) < 100)
                js_push(missing, js_string(p->terms[x].word->text));
        }
        if (p->weight >= 1 && p->kind != POINT_STORY)
            tell_missing(w, p, &covers[i], share, figure);
    }
    return w->problem.weight > 0 ? sum / w->problem.weight : 0;
}

bool cover_on_topic(const struct work *w, const struct req *q)
{
    if (q->demanded.n == 0 || words_share_in(&q->demanded, &w->topic) >= on_topic)
        return true;
    for (size_t i = 0; i < w->problem.n; i++) {
        const struct point *p = &w->problem.points[i];
        if (p->weight > 0 && weight_matched(q, p) >= foreign_point * p->weight)
            return true;
    }
    return false;
}
