/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/unified.h"

#include "clients/cli/out.h"

#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 3 };

struct texts {
    struct str *a, *b; /* lines without LF */
    size_t a_n, b_n;
    bool a_cut, b_cut; /* the last line has no LF */
};

/* One line of the script: 0 both, -1 only before, +1 only after. */
struct script {
    signed char *at;
    size_t n;
};

static struct str *split(struct str s, size_t *n, bool *cut)
{
    size_t lines = 0;
    for (size_t i = 0; i < s.n; i++)
        lines += s.p[i] == '\n';
    *cut = s.n > 0 && s.p[s.n - 1] != '\n';
    *n = lines + *cut;
    struct str *out = *n <= UNIFIED_LINES ? malloc((*n + 1) * sizeof *out) : NULL;
    for (size_t i = 0, at = 0; out && i < *n; i++) {
        const char *nl = memchr(s.p + at, '\n', s.n - at);
        size_t end = nl ? (size_t)(nl - s.p) : s.n;
        out[i] = (struct str){ s.p + at, end - at };
        at = end + 1;
    }
    return out;
}

/* A last line without LF differs from the same line with one. */
static bool same(const struct texts *t, size_t i, size_t k)
{
    bool a_cut = t->a_cut && i + 1 == t->a_n, b_cut = t->b_cut && k + 1 == t->b_n;
    return a_cut == b_cut && str_eq(t->a[i], t->b[k]);
}

/* Furthest points of each diagonal, a row for each number of edits; the way back is read off them. */
struct search {
    const struct texts *t;
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
    for (int d = 0; d <= UNIFIED_EDITS; d++) {
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

static void push(struct script *s, signed char what, size_t times)
{
    memset(s->at + s->n, what, times);
    s->n += times;
}

/* The script of the middle, backwards from its end. */
static void walk_back(const struct search *s, struct script *out)
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
        signed char c = out->at[i];
        out->at[i] = out->at[--k];
        out->at[k] = c;
    }
}

static bool make_script(const struct texts *t, struct script *out)
{
    struct search s = { .t = t };
    size_t tail = 0;
    while (s.head < t->a_n && s.head < t->b_n && same(t, s.head, s.head))
        s.head++;
    while (tail < t->a_n - s.head && tail < t->b_n - s.head &&
           same(t, t->a_n - 1 - tail, t->b_n - 1 - tail))
        tail++;
    s.a_n = t->a_n - s.head - tail;
    s.b_n = t->b_n - s.head - tail;
    out->at = malloc(t->a_n + t->b_n + 1);
    s.rows = calloc(UNIFIED_EDITS + 1, sizeof *s.rows);
    if (!out->at || !s.rows) {
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
    for (int d = 0; d <= UNIFIED_EDITS; d++)
        free(s.rows[d]);
    free(s.rows);
    return true;
}

/* ---- printing -------------------------------------------------------------------------------- */

static void put_line(struct buf *out, bool color, signed char what, struct str line, bool cut)
{
    const char *hue = what < 0 ? "red" : what > 0 ? "green" : NULL;
    buf_str(out, hue ? paint(color, hue) : "");
    buf_char(out, what < 0 ? '-' : what > 0 ? '+' : ' ');
    buf_view(out, line);
    buf_str(out, hue ? paint(color, "off") : "");
    buf_char(out, '\n');
    if (cut)
        buf_str(out, "\\ No newline at end of file\n");
}

/* Where lines of a hunk begin: diff counts from 1, and from 0 when there are none. */
static void put_range(struct buf *out, char sign, size_t from, size_t n)
{
    buf_printf(out, "%c%zu", sign, n ? from + 1 : from);
    if (n != 1)
        buf_printf(out, ",%zu", n);
}

struct place {
    size_t i, a, b; /* in the script and in both texts */
};

static struct place step(const struct script *s, struct place p)
{
    signed char what = s->at[p.i++];
    p.a += what <= 0;
    p.b += what >= 0;
    return p;
}

static void put_hunk(const struct texts *t, const struct script *s, struct place from, size_t end,
                     bool color, struct buf *out)
{
    struct place p = from;
    while (p.i < end)
        p = step(s, p);
    buf_printf(out, "%s@@ ", paint(color, "blue"));
    put_range(out, '-', from.a, p.a - from.a);
    buf_char(out, ' ');
    put_range(out, '+', from.b, p.b - from.b);
    buf_printf(out, " @@%s\n", paint(color, "off"));
    for (p = from; p.i < end; p = step(s, p)) {
        signed char what = s->at[p.i];
        bool cut = what > 0 ? t->b_cut && p.b + 1 == t->b_n : t->a_cut && p.a + 1 == t->a_n;
        put_line(out, color, what, what > 0 ? t->b[p.b] : t->a[p.a], cut);
    }
}

/* Behind the last change of the hunk that begins with the change at i, and its context. */
static size_t hunk_end(const struct script *s, size_t i)
{
    size_t last = i;
    for (size_t k = i; k < s->n && k - last <= 2 * CONTEXT + 1; k++)
        last = s->at[k] ? k : last;
    return last + 1 + CONTEXT < s->n ? last + 1 + CONTEXT : s->n;
}

static void put_hunks(const struct texts *t, const struct script *s, bool color, struct buf *out)
{
    struct place p = { 0 }, back[CONTEXT + 1] = { { 0 } };
    size_t kept = 0;
    while (p.i < s->n) {
        if (s->at[p.i] == 0) {
            memmove(back + 1, back, CONTEXT * sizeof *back);
            back[0] = p;
            kept = kept < CONTEXT ? kept + 1 : kept;
            p = step(s, p);
            continue;
        }
        size_t end = hunk_end(s, p.i);
        put_hunk(t, s, kept ? back[kept - 1] : p, end, color, out);
        while (p.i < end)
            p = step(s, p);
        kept = 0;
    }
}

static void put_name(struct buf *out, const char *sign, struct str path)
{
    buf_printf(out, "%s %s", sign, path.n ? "openspec/" : "/dev/null");
    text_clean(out, path, false);
    buf_char(out, '\n');
}

enum status unified_diff(const struct unified_names *names, struct str before, struct str after,
                         bool color, struct buf *out)
{
    struct texts t = { 0 };
    struct script script = { 0 };
    if (str_eq(before, after))
        return OK;
    t.a = split(before, &t.a_n, &t.a_cut);
    t.b = split(after, &t.b_n, &t.b_cut);
    bool good = t.a && t.b && make_script(&t, &script);
    if (good) {
        put_name(out, "---", names->before);
        put_name(out, "+++", names->after);
        put_hunks(&t, &script, color, out);
    }
    free(script.at);
    free(t.a);
    free(t.b);
    return good ? out->status : ERR_LIMIT;
}
