/* SPDX-License-Identifier: Apache-2.0 */
#include "common/linediff.h"

#include <stdlib.h>
#include <string.h>

static bool split(struct str s, struct lineset *l)
{
    size_t lines = 0;
    for (size_t i = 0; i < s.n; i++)
        lines += s.p[i] == '\n';
    l->cut = s.n > 0 && s.p[s.n - 1] != '\n';
    l->n = lines + l->cut;
    l->at = l->n <= LINEDIFF_LINES ? malloc((l->n + 1) * sizeof *l->at) : NULL;
    for (size_t i = 0, at = 0; l->at && i < l->n; i++) {
        const char *nl = memchr(s.p + at, '\n', s.n - at);
        size_t end = nl ? (size_t)(nl - s.p) : s.n;
        l->at[i] = (struct str){ s.p + at, end - at };
        at = end + 1;
    }
    return l->at != NULL;
}

/* A last line without LF differs from the same line with one. */
static bool same(const struct linediff *d, size_t i, size_t k)
{
    bool a_cut = d->a.cut && i + 1 == d->a.n, b_cut = d->b.cut && k + 1 == d->b.n;
    return a_cut == b_cut && str_eq(d->a.at[i], d->b.at[k]);
}

/* Furthest points of each diagonal, a row for each number of edits; the way back is read off them. */
struct search {
    const struct linediff *t;
    size_t head, a_n, b_n; /* the middle: from head, so many lines */
    int **rows;
    int edits;
};

static int reach(const struct search *s, const int *v, int d, int k)
{
    bool down = k == -d || (k != d && v[k - 1 + d] < v[k + 1 + d]);
    int x = down ? v[k + 1 + d] : v[k - 1 + d] + 1;
    while (x < (int)s->a_n && x - k < (int)s->b_n &&
           same(s->t, s->head + (size_t)x, s->head + (size_t)(x - k)))
        x++;
    return x;
}

/* Row d holds diagonals -d-1 .. d+1, shifted by d + 1. */
static bool search(struct search *s)
{
    for (int d = 0; d <= LINEDIFF_EDITS; d++) {
        int *row = malloc((size_t)(2 * d + 3) * sizeof *row);
        if (!row)
            return false;
        s->rows[d] = row;
        s->edits = d;
        for (int i = 0; i < 2 * d + 3; i++)
            row[i] = -1;
        for (int k = -d; k <= d; k += 2) {
            int x;
            if (d == 0) {
                int start[3] = { 0, 0, 0 }; /* as if one step down from x = 0 */
                x = reach(s, start + 1, 0, 0);
            } else {
                x = reach(s, s->rows[d - 1], d, k);
            }
            row[k + d + 1] = x;
            if (x >= (int)s->a_n && x - k >= (int)s->b_n)
                return true;
        }
    }
    return false;
}

static void push(struct linediff *s, signed char what, size_t times)
{
    memset(s->script + s->n, what, times);
    s->n += times;
}

/* The script of the middle, backwards from its end. */
static void walk_back(const struct search *s, struct linediff *out)
{
    int x = (int)s->a_n, y = (int)s->b_n;
    size_t from = out->n;
    for (int d = s->edits; d > 0; d--) {
        const int *v = s->rows[d - 1];
        int k = x - y;
        bool down = k == -d || (k != d && v[k - 1 + d] < v[k + 1 + d]);
        int px = down ? v[k + 1 + d] : v[k - 1 + d], py = px - (down ? k + 1 : k - 1);
        int start = down ? px : px + 1;
        push(out, 0, (size_t)(x - start));
        push(out, down ? 1 : -1, 1);
        x = px;
        y = py;
    }
    push(out, 0, (size_t)x);
    for (size_t i = from, k = out->n; i + 1 < k; i++) {
        signed char c = out->script[i];
        out->script[i] = out->script[--k];
        out->script[k] = c;
    }
}

static bool make_script(struct linediff *out)
{
    struct search s = { .t = out };
    size_t tail = 0;
    while (s.head < out->a.n && s.head < out->b.n && same(out, s.head, s.head))
        s.head++;
    while (tail < out->a.n - s.head && tail < out->b.n - s.head &&
           same(out, out->a.n - 1 - tail, out->b.n - 1 - tail))
        tail++;
    s.a_n = out->a.n - s.head - tail;
    s.b_n = out->b.n - s.head - tail;
    out->script = malloc(out->a.n + out->b.n + 1);
    s.rows = calloc(LINEDIFF_EDITS + 1, sizeof *s.rows);
    if (!out->script || !s.rows) {
        free(s.rows);
        return false;
    }
    push(out, 0, s.head);
    if (search(&s)) {
        walk_back(&s, out);
    } else {
        push(out, -1, s.a_n);
        push(out, 1, s.b_n);
    }
    push(out, 0, tail);
    for (int d = 0; d <= LINEDIFF_EDITS; d++)
        free(s.rows[d]);
    free(s.rows);
    return true;
}

enum status linediff_make(struct linediff *d, struct str a, struct str b)
{
    *d = (struct linediff){ 0 };
    bool good = split(a, &d->a) && split(b, &d->b) && make_script(d);
    return good ? OK : ERR_LIMIT;
}

void linediff_free(struct linediff *d)
{
    free(d->a.at);
    free(d->b.at);
    free(d->script);
    *d = (struct linediff){ 0 };
}

/* ---- merging --------------------------------------------------------------------------------- */

/* For each line of base: the line of the other text that is the same, or SIZE_MAX. One more at the
 * end: the ends meet. */
static size_t *pairs(const struct linediff *d)
{
    size_t *out = malloc((d->a.n + 1) * sizeof *out), a = 0, b = 0;
    for (size_t i = 0; out && i < d->n; i++) {
        signed char what = d->script[i];
        if (what == 0)
            out[a++] = b++;
        else if (what < 0)
            out[a++] = SIZE_MAX;
        else
            b++;
    }
    if (out)
        out[d->a.n] = d->b.n;
    return out;
}

static bool blank(struct str s)
{
    size_t i = 0;
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\r'))
        i++;
    return i == s.n;
}

/* Blank lines are alike everywhere: one holds its place only beside a line that does. */
static size_t *partners(const struct linediff *d)
{
    size_t *all = pairs(d), *out = all ? malloc((d->a.n + 1) * sizeof *out) : NULL;
    for (size_t i = 0; out && i <= d->a.n; i++) {
        bool before = i == 0 ? all[i] == 0 : all[i - 1] != SIZE_MAX && all[i - 1] + 1 == all[i];
        bool after = i < d->a.n && all[i + 1] == all[i] + 1;
        bool alone = i < d->a.n && all[i] != SIZE_MAX && blank(d->a.at[i]) && !before && !after;
        out[i] = alone ? SIZE_MAX : all[i];
    }
    free(all);
    return out;
}

/* Lines from .. to-1 as they stand in the text, LFs included. */
static struct str stretch(struct str text, const struct lineset *l, size_t from, size_t to)
{
    if (from >= to)
        return (struct str){ text.p ? text.p + text.n : NULL, 0 };
    const char *p = l->at[from].p;
    const char *end = to < l->n ? l->at[to].p : text.p + text.n;
    return (struct str){ p, (size_t)(end - p) };
}

struct three {
    struct str base, ours, theirs;
    struct linediff to_ours, to_theirs;
    size_t *mine, *its; /* partners of base's lines */
    enum merge_side winner;
    struct merged *out;
};

static bool collide(struct three *t, const struct collision *c)
{
    struct merged *m = t->out;
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 8;
        struct collision *more = realloc(m->at, cap * sizeof *more);
        if (!more)
            return false;
        m->at = more;
        m->cap = cap;
    }
    m->at[m->n++] = *c;
    return true;
}

/* What lies between two lines that all three share. */
static bool settle(struct three *t, const size_t from[3], const size_t to[3])
{
    struct collision c = { from[1] + 1, stretch(t->base, &t->to_ours.a, from[0], to[0]),
                           stretch(t->ours, &t->to_ours.b, from[1], to[1]),
                           stretch(t->theirs, &t->to_theirs.b, from[2], to[2]) };
    if (str_eq(c.ours, c.theirs) || str_eq(c.theirs, c.base))
        return buf_view(&t->out->text, c.ours) == OK;
    if (str_eq(c.ours, c.base))
        return buf_view(&t->out->text, c.theirs) == OK;
    return collide(t, &c) &&
           buf_view(&t->out->text, t->winner == MERGE_OURS ? c.ours : c.theirs) == OK;
}

static bool merge(struct three *t)
{
    size_t from[3] = { 0, 0, 0 }, n = t->to_ours.a.n;
    for (size_t i = 0; i <= n; i++) {
        if (t->mine[i] == SIZE_MAX || t->its[i] == SIZE_MAX)
            continue;
        const size_t to[3] = { i, t->mine[i], t->its[i] };
        if (!settle(t, from, to))
            return false;
        if (i < n && buf_view(&t->out->text, stretch(t->base, &t->to_ours.a, i, i + 1)) != OK)
            return false;
        from[0] = i + 1;
        from[1] = t->mine[i] + 1;
        from[2] = t->its[i] + 1;
    }
    return true;
}

enum status merge_texts(struct str base, struct str ours, struct str theirs, enum merge_side winner,
                        struct merged *out)
{
    struct three t = { base, ours, theirs, .winner = winner, .out = out };
    *out = (struct merged){ 0 };
    buf_init(&out->text, SIZE_MAX / 2);
    bool good = linediff_make(&t.to_ours, base, ours) == OK &&
                linediff_make(&t.to_theirs, base, theirs) == OK &&
                (t.mine = partners(&t.to_ours)) && (t.its = partners(&t.to_theirs)) && merge(&t);
    linediff_free(&t.to_ours);
    linediff_free(&t.to_theirs);
    free(t.mine);
    free(t.its);
    return good ? OK : ERR_LIMIT;
}

void merged_free(struct merged *m)
{
    buf_fini(&m->text);
    free(m->at);
    *m = (struct merged){ 0 };
}
