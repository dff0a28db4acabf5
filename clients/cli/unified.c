/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/unified.h"

#include "clients/cli/out.h"
#include "common/linediff.h"

#include <string.h>

enum { CONTEXT = 3 };

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

static struct place step(const struct linediff *s, struct place p)
{
    signed char what = s->script[p.i++];
    p.a += what <= 0;
    p.b += what >= 0;
    return p;
}

static void put_hunk(const struct linediff *s, struct place from, size_t end, bool color,
                     struct buf *out)
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
        signed char what = s->script[p.i];
        bool cut = what > 0 ? s->b.cut && p.b + 1 == s->b.n : s->a.cut && p.a + 1 == s->a.n;
        put_line(out, color, what, what > 0 ? s->b.at[p.b] : s->a.at[p.a], cut);
    }
}

/* Behind the last change of the hunk that begins with the change at i, and its context. */
static size_t hunk_end(const struct linediff *s, size_t i)
{
    size_t last = i;
    for (size_t k = i; k < s->n && k - last <= 2 * CONTEXT + 1; k++)
        last = s->script[k] ? k : last;
    return last + 1 + CONTEXT < s->n ? last + 1 + CONTEXT : s->n;
}

static void put_hunks(const struct linediff *s, bool color, struct buf *out)
{
    struct place p = { 0 }, back[CONTEXT + 1] = { { 0 } };
    size_t kept = 0;
    while (p.i < s->n) {
        if (s->script[p.i] == 0) {
            memmove(back + 1, back, CONTEXT * sizeof *back);
            back[0] = p;
            kept = kept < CONTEXT ? kept + 1 : kept;
            p = step(s, p);
            continue;
        }
        size_t end = hunk_end(s, p.i);
        put_hunk(s, kept ? back[kept - 1] : p, end, color, out);
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
    struct linediff d;
    if (str_eq(before, after))
        return OK;
    enum status st = linediff_make(&d, before, after);
    if (st == OK) {
        put_name(out, "---", names->before);
        put_name(out, "+++", names->after);
        put_hunks(&d, color, out);
        st = out->status;
    }
    linediff_free(&d);
    return st;
}
