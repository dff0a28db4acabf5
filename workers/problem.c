/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/problem.h"

#include <string.h>

enum { NEGATION_REACH = 4, INSTEAD_REACH = 4, PARTS_MAX = 8, CLAUSE_WORDS = 400 };

static const double more_share = 0.6, reason_share = 0.2, frame_share = 0.3, trouble_share = 0.3,
                    heading_share = 0.5, beside_share = 0.1;

static bool content(const struct word *w)
{
    return !(w->flags & (WORD_STOP | WORD_UNIT));
}

static bool ends_clause(const struct word *w)
{
    return w->after == ',' || w->after == ':' || w->after == '(';
}

static bool joins(const struct word *w)
{
    static const char *const words[] = { "and",  "but", "or",   "und", "aber", "oder", "et",
                                         "mais", "y",   "pero", "e",   "ma",   "en",   "maar" };
    for (size_t i = 0; i < COUNT(words); i++) {
        if (str_is(w->text, words[i]))
            return true;
    }
    return false;
}

bool word_negates(const struct cues *cues, const struct word *w, size_t n, size_t i)
{
    return cue_is(cues, CUE_NEGATOR, &w[i]) ||
           (i + 1 < n && cue_is(cues, CUE_FAILING, &w[i]) && str_is(w[i + 1].text, "to"));
}

void words_negated(const struct cues *cues, const struct word *w, size_t n, bool *out)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        out[i] = false;
        if (joins(&w[i]))
            left = 0;
        if (word_negates(cues, w, n, i))
            left = NEGATION_REACH;
        else if (left > 0 && content(&w[i])) {
            out[i] = true;
            left--;
        }
        if (ends_clause(&w[i]))
            left = 0;
    }
}

/* A condition in front ends at a comma or at the modal verb of the main clause; one that trails the
 * main clause goes on to the end, or to another modal verb. */
void words_conditional(const struct cues *cues, const struct word *w, size_t n, bool *out)
{
    bool in = false, behind = false, said = false;
    for (size_t i = 0; i < n; i++) {
        bool modal = cue_is(cues, CUE_WISH, &w[i]) || cue_is(cues, CUE_DUTY, &w[i]);
        bool after = i == 0 && (str_is(w[i].text, "After") || str_is(w[i].text, "Nach") ||
                                str_is(w[i].text, "Après"));
        if (after || cue_is(cues, CUE_CONDITION, &w[i]))
            in = true;
        else if (modal)
            in = said = false;
        behind = behind || modal;
        out[i] = in;
        said = said || (behind && !in && content(&w[i]));
        if (ends_clause(&w[i]) && !said)
            in = false;
    }
}

/* ---- kinds -------------------------------------------------------------------------------------- */

static bool plain_to(const struct word *w)
{
    return str_is(w->text, "to");
}

/* Where the clause says that something is wanted: index + 1, 0: nowhere. */
static size_t wish_at(const struct cues *c, const struct word *w, size_t n, bool hardship,
                      bool wished)
{
    for (size_t i = 0; i < n; i++) {
        if (cue_is(c, CUE_WISH, &w[i]))
            return i + 1;
        /* "have to" begins a hardship as often as a wish; behind a wish it goes on with it. */
        bool have = wished && (str_is(w[i].text, "has") || str_is(w[i].text, "have"));
        bool duty = cue_is(c, CUE_DUTY, &w[i]) || (have && i + 1 < n && plain_to(&w[i + 1]));
        if (duty && !hardship)
            return i + 1;
        bool start = i == 0 || w[i - 1].after == ',' || str_is(w[i - 1].text, "then");
        if (start && cue_is(c, CUE_IMPERATIVE, &w[i]) && !cue_any(c, CUE_TROUBLE, w + i, n - i) &&
            !cue_any(c, CUE_PAST, w + i, n - i))
            return i + 1;
    }
    return 0;
}

static bool past_tense(const struct cues *c, const struct word *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool year = (w[i].flags & WORD_FIGURE) && w[i].value >= 1990 && w[i].value < 2100 &&
                    w[i].text.n == 4;
        if (year || cue_is(c, CUE_PAST, &w[i]) || cue_is(c, CUE_AGO, &w[i]) ||
            cue_is(c, CUE_HARDSHIP, &w[i]))
            return true;
    }
    return false;
}

/* Today's hardship is told with "must", too: "clerks must retype every order by hand". */
static bool is_hardship(const struct cues *c, const struct word *w, size_t n)
{
    return cue_any(c, CUE_HARDSHIP, w, n) || cue_any(c, CUE_AGO, w, n);
}

struct reading {
    struct arena *a;
    const struct cues *cues;
    const struct word_set *known;
    struct problem *out;
    bool below_wanted; /* the heading above says that what follows is wanted */
    bool below_told;
    bool wished; /* a wish came before, in this section */
    bool failed;
};

/* "may", but not the month. */
static bool may_be(const struct cues *c, const struct word *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (cue_is(c, CUE_SOFT, &w[i]) && !(w[i].flags & WORD_NAME))
            return true;
    }
    return false;
}

static enum point_kind kind_of(const struct reading *r, const struct word *w, size_t n,
                               bool heading, size_t *modal)
{
    const struct cues *c = r->cues;
    bool past = past_tense(c, w, n),
         trouble = cue_any(c, CUE_TROUBLE, w, n) || cue_any(c, CUE_NEGATOR, w, n);
    *modal = wish_at(c, w, n, is_hardship(c, w, n), r->wished);
    if (*modal)
        return POINT_WISH;
    if (heading || r->below_told)
        return POINT_STORY;
    if (r->below_wanted)
        return POINT_WISH;
    bool soft = may_be(c, w, n);
    if (past || (trouble && !r->wished) || (trouble && !soft && cue_any(c, CUE_TROUBLE, w, n)))
        return POINT_STORY;
    return r->wished || soft ? POINT_MORE : POINT_STORY;
}

/* ---- terms -------------------------------------------------------------------------------------- */

struct marks {
    bool *negated, *conditional, *reason;
};

/* Reasons, and what is named only to be replaced. */
static void mark_reasons(const struct cues *c, const struct word *w, size_t n, bool *out)
{
    bool reason = false;
    size_t instead = 0;
    for (size_t i = 0; i < n; i++) {
        bool so_that = str_is(w[i].text, "so") && i + 1 < n && (w[i + 1].flags & WORD_STOP) &&
                       !ends_clause(&w[i]);
        bool as_they = str_is(w[i].text, "as") && i + 1 < n &&
                       (str_is(w[i + 1].text, "they") || str_is(w[i + 1].text, "we") ||
                        str_is(w[i + 1].text, "it"));
        if (cue_is(c, CUE_REASON, &w[i]) || so_that || as_they)
            reason = true;
        if (cue_is(c, CUE_INSTEAD, &w[i]))
            instead = INSTEAD_REACH + 1;
        out[i] = reason || instead > 0;
        if (instead > 0 && (content(&w[i]) || cue_is(c, CUE_INSTEAD, &w[i])))
            instead--;
        if (ends_clause(&w[i])) {
            instead = 0;
            reason = false;
        }
    }
}

static bool marks_make(struct reading *r, const struct word *w, size_t n, struct marks *m)
{
    m->negated = arena_alloc(r->a, n * sizeof *m->negated);
    m->conditional = arena_alloc(r->a, n * sizeof *m->conditional);
    m->reason = arena_alloc(r->a, n * sizeof *m->reason);
    if (!m->negated || !m->conditional || !m->reason)
        return false;
    words_negated(r->cues, w, n, m->negated);
    words_conditional(r->cues, w, n, m->conditional);
    mark_reasons(r->cues, w, n, m->reason);
    return true;
}

/* "An export is missing": whoever demands it works against the complaint. The clause, no more. */
static void mark_lacks(const struct cues *c, const struct word *w, size_t n, bool *negated)
{
    for (size_t from = 0, i = 0; i < n; i++) {
        bool end = i + 1 == n || ends_clause(&w[i]) || joins(&w[i + 1]);
        if (!end)
            continue;
        if (cue_any(c, CUE_LACK, w + from, i + 1 - from))
            memset(negated + from, true, (i + 1 - from) * sizeof *negated);
        from = i + 1;
    }
}

static double term_weight(const struct reading *r, const struct word *w, bool reason)
{
    const struct cues *c = r->cues;
    double weight = words_weight(w, r->known);
    if (cue_is(c, CUE_WISH, w) || cue_is(c, CUE_DUTY, w) || cue_is(c, CUE_SOFT, w) ||
        cue_is(c, CUE_NEGATOR, w))
        return 0;
    if (cue_is(c, CUE_FRAME, w) && weight > frame_share)
        weight = frame_share;
    return reason ? weight * reason_share : weight;
}

static void add_term(struct point *p, const struct term *t)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->terms[i].key == t->key) {
            p->terms[i].result = p->terms[i].result || t->result;
            p->terms[i].weight = p->terms[i].weight > t->weight ? p->terms[i].weight : t->weight;
            return;
        }
    }
    p->terms[p->n++] = *t;
}

/* The word right behind "should", "should be", "must not be": a verb, in English. Behind an article it
 * would be something else. */
static const struct word *verb_at(const struct reading *r, const struct point *p, size_t modal)
{
    static const char *const between[] = { "be",    "been", "not", "never", "also", "always",
                                           "still", "only", "to",  "able",  "get",  "have" };
    if (r->out->list.lang != LANG_EN || modal == 0 || p->kind != POINT_WISH)
        return NULL;
    for (size_t i = modal; i < p->words_n; i++) {
        bool skip = false;
        for (size_t k = 0; k < COUNT(between); k++)
            skip = skip || str_is(p->words[i].text, between[k]);
        if (skip)
            continue;
        return content(&p->words[i]) && !(p->words[i].flags & WORD_FIGURE) ? &p->words[i] : NULL;
    }
    return NULL;
}

static void put_terms(struct reading *r, struct point *p, size_t modal)
{
    const struct word *w = p->words;
    struct marks m;
    p->terms = arena_alloc(r->a, p->words_n * sizeof *p->terms);
    if (!p->terms || !marks_make(r, w, p->words_n, &m)) {
        r->failed = true;
        return;
    }
    if (p->kind == POINT_STORY)
        mark_lacks(r->cues, w, p->words_n, m.negated);
    for (size_t i = 0; i < p->words_n; i++) {
        if (!content(&w[i]))
            continue;
        struct term t = { .key = w[i].key,
                          .low = w[i].low,
                          .word = &w[i],
                          .negated = m.negated[i],
                          .figure = (w[i].flags & WORD_FIGURE) != 0 };
        t.weight = term_weight(r, &w[i], m.reason[i]);
        t.result = t.weight > 0 && i + 1 >= modal && !m.conditional[i] && !m.reason[i] &&
                   !cue_is(r->cues, CUE_FRAME, &w[i]);
        add_term(p, &t);
        words_add(r->a, &p->keys, t.key);
    }
    words_sort(&p->keys);
    r->failed = r->failed || p->keys.failed;
}

/* ---- clauses ------------------------------------------------------------------------------------ */

/* The sentence, or the part of it that the clause is, without "and". */
static struct str clause_text(const struct sentence *s, const struct word *w, size_t n)
{
    if (n == s->n)
        return s->text;
    const struct word *first = n > 1 && joins(w) ? w + 1 : w, *last = w + n - 1;
    const char *end = last->text.p + last->text.n, *stop = s->text.p + s->text.n;
    while (end < stop && strchr("\"')`", *end)) /* what was opened inside it is closed */
        end++;
    return (struct str){ first->text.p, (size_t)(end - first->text.p) };
}

static void add_point(struct reading *r, const struct sentence *s, const struct word *w, size_t n)
{
    struct problem *out = r->out;
    size_t modal = 0;
    if (out->n >= POINTS_MAX || n == 0 || r->failed)
        return;
    n = n < CLAUSE_WORDS ? n : CLAUSE_WORDS;
    struct point *p = &out->points[out->n];
    *p = (struct point){ .sentence = s->text, .words = w, .words_n = n, .heading = s->heading };
    p->text = clause_text(s, w, n);
    p->kind = kind_of(r, w, n, s->heading, &modal);
    p->complains = p->kind == POINT_STORY &&
                   ((s->heading && cue_any(r->cues, CUE_COPULA, w, n)) ||
                    cue_any(r->cues, CUE_TROUBLE, w, n) || cue_any(r->cues, CUE_NEGATOR, w, n) ||
                    past_tense(r->cues, w, n));
    p->suppresses = cue_any(r->cues, CUE_SUPPRESS, w, n);
    p->negates = cue_any(r->cues, CUE_NEGATOR, w, n) ||
                 (p->kind == POINT_STORY && cue_any(r->cues, CUE_LACK, w, n));
    p->verb = verb_at(r, p, modal);
    put_terms(r, p, modal);
    if (p->n == 0)
        return;
    out->n++;
    out->wishes = out->wishes || p->kind == POINT_WISH;
    r->wished = r->wished || p->kind == POINT_WISH;
}

/* "A should do x, and b must be y": each clause with a word of wanting of its own is a point. */
static void split(struct reading *r, const struct sentence *s)
{
    const struct word *w = r->out->list.at + s->first;
    size_t from = 0, cut = 0, wishes = 0, parts = 0;
    for (size_t i = 0; i < s->n; i++) {
        bool border = i > from && (w[i - 1].after == ',' || joins(&w[i]));
        if (border)
            cut = i;
        if (!cue_is(r->cues, CUE_WISH, &w[i]) && !cue_is(r->cues, CUE_DUTY, &w[i]))
            continue;
        if (wishes++ == 0 || cut <= from || parts >= PARTS_MAX)
            continue;
        add_point(r, s, w + from, cut - from);
        from = cut;
        parts++;
    }
    add_point(r, s, w + from, s->n - from);
}

static void open_section(struct reading *r, const struct sentence *s)
{
    const struct word *w = r->out->list.at + s->first;
    r->below_wanted = s->n <= 6 && cue_any(r->cues, CUE_WANTED, w, s->n);
    r->below_told = !r->below_wanted && s->n <= 6 && cue_any(r->cues, CUE_TOLD, w, s->n);
}

static bool heads(const struct reading *r, const struct sentence *s)
{
    const struct word *w = r->out->list.at + s->first;
    bool colon =
        s->n > 0 && s->n <= 6 && w[s->n - 1].after == ':' && s->text.p[s->text.n - 1] == ':';
    return s->heading || colon;
}

/* "Users cannot export invoices": what is wanted, said as what is not there. */
static bool names_absence(const struct cues *c, const struct point *p)
{
    return p->kind == POINT_STORY && !p->heading &&
           (cue_any(c, CUE_LACK, p->words, p->words_n) ||
            cue_any(c, CUE_INABILITY, p->words, p->words_n));
}

static bool states_plainly(const struct point *p)
{
    return !p->heading && !p->complains;
}

/* What is wanted counts. When nothing is wanted in words, what is said to be missing or impossible
 * does; else what is stated without complaint ("a message is sent"); else everything. */
static double share_of_point(const struct reading *r, const struct point *p, bool absences,
                             bool statements)
{
    if (r->out->wishes)
        return p->kind == POINT_WISH ? 1 : p->kind == POINT_MORE ? more_share : 0;
    if (absences)
        return names_absence(r->cues, p) || p->kind == POINT_MORE ? 1 : beside_share;
    if (statements)
        return states_plainly(p) ? 1 : beside_share;
    return p->heading ? heading_share : 1;
}

static void weigh(struct reading *r)
{
    struct problem *out = r->out;
    bool absences = false, statements = false;
    for (size_t i = 0; i < out->n; i++) {
        absences = absences || names_absence(r->cues, &out->points[i]);
        statements = statements || states_plainly(&out->points[i]);
    }
    out->complains = out->n > 0 && !out->wishes && !absences && !statements;
    for (size_t i = 0; i < out->n; i++) {
        struct point *p = &out->points[i];
        double share = share_of_point(r, p, absences, statements);
        p->share = share;
        for (size_t k = 0; k < p->n; k++) {
            struct term *t = &p->terms[k];
            bool trouble =
                p->kind == POINT_STORY && p->complains &&
                (cue_is(r->cues, CUE_TROUBLE, t->word) || cue_is(r->cues, CUE_LACK, t->word));
            t->weight *= trouble ? share * trouble_share : share;
            p->weight += t->weight;
        }
        out->weight += p->weight;
    }
}

enum status problem_read(struct arena *a, const struct cues *cues, struct str text,
                         const struct word_set *known, struct problem *out)
{
    struct reading r = { .a = a, .cues = cues, .known = known, .out = out };
    *out = (struct problem){ 0 };
    enum status st = words_scan(a, text, LANG_NONE, &out->list);
    if (st != OK)
        return st;
    out->points = arena_alloc(a, POINTS_MAX * sizeof *out->points);
    if (!out->points)
        return ERR_LIMIT;
    for (size_t i = 0; i < out->list.sentences_n; i++) {
        const struct sentence *s = &out->list.sentences[i];
        if (heads(&r, s))
            open_section(&r, s);
        split(&r, s);
    }
    weigh(&r);
    return r.failed ? ERR_LIMIT : OK;
}
