/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool word_figure(const struct word *w)
{
    return (w->flags & WORD_FIGURE) != 0;
}

static int compare_words(const void *a, const void *b)
{
    uint64_t x = ((const struct word *)a)->key, y = ((const struct word *)b)->key;
    return x < y ? -1 : x > y;
}

/* Words being gathered, with repetitions. */
struct heap {
    struct arena *a;
    struct word *v;
    size_t n, cap;
};

static void gather(struct heap *h, struct word w)
{
    struct word *v =
        h->n < TEXT_WORDS_MAX * 4 ? arena_grow(h->a, h->v, h->n, &h->cap, sizeof *v) : NULL;
    if (v) {
        h->v = v;
        v[h->n++] = w;
    }
}

/* max_upload_mb is about uploads, too. */
static void gather_parts(struct heap *h, const struct word *w)
{
    const char *p = w->text.p, *end = p + w->text.n;
    while (p < end && memchr(w->text.p, '_', w->text.n)) {
        const char *to = memchr(p, '_', (size_t)(end - p));
        to = to ? to : end;
        struct str part = { p, (size_t)(to - p) };
        if (part.n > 2 && !isdigit((unsigned char)*p))
            gather(h, (struct word){ .key = words_key(part), .text = part });
        p = to + 1;
    }
}

struct words text_words(struct arena *a, enum words_lang lang, struct str text)
{
    struct arena scratch;
    struct word_list list;
    struct words w = { 0 };
    struct heap h = { .a = &scratch };
    size_t kept = 0;
    arena_init(&scratch, WORDS_SCRATCH_MAX);
    if (words_scan(&scratch, text, lang, &list) != OK)
        list.n = 0;
    for (size_t i = 0; i < list.n; i++) {
        if (list.at[i].flags & (WORD_STOP | WORD_UNIT))
            continue;
        gather(&h, list.at[i]);
        gather_parts(&h, &list.at[i]);
    }
    if (h.n > 1)
        qsort(h.v, h.n, sizeof *h.v, compare_words);
    for (size_t i = 0; i < h.n && kept < TEXT_WORDS_MAX; i++) {
        if (kept == 0 || h.v[i].key != h.v[kept - 1].key)
            h.v[kept++] = h.v[i];
    }
    w.v = kept ? arena_alloc(a, kept * sizeof *w.v) : NULL;
    w.n = w.v ? kept : 0;
    if (w.n)
        memcpy(w.v, h.v, w.n * sizeof *w.v);
    arena_fini(&scratch);
    return w;
}

bool words_have(const struct words *w, uint64_t key)
{
    struct word one = { .key = key };
    return w->n > 0 && bsearch(&one, w->v, w->n, sizeof one, compare_words) != NULL;
}

bool words_hold(const struct words *w, const struct word *one)
{
    if (words_have(w, one->key))
        return true;
    for (size_t i = 0; i < w->n && word_figure(one); i++) {
        if (word_figure(&w->v[i]) && w->v[i].low == one->low)
            return true;
    }
    return false;
}

size_t words_common(const struct words *a, const struct words *b)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        n += words_hold(b, &a->v[i]);
    return n;
}

double words_share(const struct words *a, const struct words *b)
{
    double all = 0, has = 0;
    for (size_t i = 0; i < a->n; i++) {
        double weight = word_figure(&a->v[i]) ? 1.5 : 1.0;
        all += weight;
        has += words_hold(b, &a->v[i]) ? weight : 0;
    }
    return all > 0 ? has / all : 0;
}

double words_like(const struct words *a, const struct words *b)
{
    size_t least = a->n < b->n ? a->n : b->n;
    least = least < 3 ? 3 : least;
    return (double)words_common(a, b) / (double)least;
}

size_t words_figures_missing(const struct words *a, const struct words *const *sets, size_t n,
                             struct str *which)
{
    size_t missing = 0;
    for (size_t i = 0; i < a->n; i++) {
        bool found = !word_figure(&a->v[i]);
        for (size_t k = 0; k < n && !found; k++)
            found = words_hold(sets[k], &a->v[i]);
        if (!found && missing++ == 0 && which)
            *which = a->v[i].text;
    }
    return missing;
}

size_t words_figures(const struct words *a)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        n += word_figure(&a->v[i]);
    return n;
}

/* ---- lines ----------------------------------------------------------------------------------- */

struct str blank_trim(struct str s)
{
    while (s.n > 0 && isspace((unsigned char)s.p[0]))
        s = (struct str){ s.p + 1, s.n - 1 };
    while (s.n > 0 && isspace((unsigned char)s.p[s.n - 1]))
        s.n--;
    return s;
}

static char *copy_clean(struct arena *a, struct str s, size_t max, bool lines)
{
    s = blank_trim(s);
    char *out = arena_alloc(a, (s.n < max ? s.n : max) + 1);
    size_t at = 0;
    if (!out)
        return arena_dup(a, "", 0);
    for (size_t i = 0; i < s.n && at < max; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool blank = c <= ' ' || c == 0x7f;
        bool keep = lines && c == '\n';
        if (blank && !keep && at > 0 && out[at - 1] == ' ')
            continue;
        out[at++] = keep ? '\n' : blank ? ' ' : (char)c;
    }
    if (at == max) { /* cut: not inside a UTF-8 sequence */
        size_t back = at;
        while (back > 0 && ((unsigned char)out[back - 1] & 0xc0) == 0x80)
            back--;
        if (back > 0 && (unsigned char)out[back - 1] >= 0xc0) {
            unsigned char lead = (unsigned char)out[back - 1];
            size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
            at = at - (back - 1) < need ? back - 1 : at;
        }
    }
    while (at > 0 && isspace((unsigned char)out[at - 1]))
        at--;
    out[at] = '\0';
    return out;
}

char *text_line(struct arena *a, struct str s, size_t max)
{
    char *z = copy_clean(a, s, max, false);
    return z ? z : (char *)(uintptr_t) "";
}

char *text_cut(struct arena *a, struct str s, size_t max)
{
    char *z = copy_clean(a, s, max, true);
    return z ? z : (char *)(uintptr_t) "";
}
