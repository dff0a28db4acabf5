/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 64 };

static const char *const function_words[] = {
    "a",       "about", "after", "again",  "all",    "also",  "an",   "and",   "any",   "are",
    "as",      "at",    "be",    "been",   "before", "but",   "by",   "can",   "could", "do",
    "does",    "each",  "every", "for",    "from",   "get",   "had",  "has",   "have",  "if",
    "in",      "into",  "is",    "it",     "its",    "may",   "more", "most",  "must",  "no",
    "not",     "of",    "on",    "only",   "or",     "our",   "out",  "over",  "shall", "should",
    "so",      "some",  "such",  "system", "than",   "that",  "the",  "their", "them",  "then",
    "there",   "these", "they",  "this",   "to",     "too",   "up",   "us",    "was",   "we",
    "were",    "what",  "when",  "where",  "which",  "while", "who",  "will",  "with",  "within",
    "without", "would", "you",   "your",
};

static const char *const numerals[] = { "two",   "three", "four", "five",   "six",   "seven",
                                        "eight", "nine",  "ten",  "eleven", "twelve" };

static int compare_z(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

static uint64_t hash_bytes(const char *p, size_t n)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 1099511628211u;
    return h;
}

/* Take English endings off, so that "locked", "locks" and "locking" are one word. */
static size_t stem(char *w, size_t n)
{
    static const char *const endings[] = { "ing", "ed", "es", "s" };
    for (size_t i = 0; i < COUNT(endings); i++) {
        size_t k = strlen(endings[i]);
        if (n < k + 3 || memcmp(w + n - k, endings[i], k) != 0 || (k == 1 && w[n - 2] == 's'))
            continue;
        n -= k;
        break;
    }
    if (n > 3 && w[n - 1] == 'e')
        n--;
    if (n > 3 && w[n - 1] == 'i') /* "tries", "tried" */
        w[n - 1] = 'y';
    return n > 4 && w[n - 1] == w[n - 2] && w[n - 1] != 's' ? n - 1 : n; /* "stopp" */
}

/* Fold one word; false: it weighs nothing. */
static bool fold(struct str as, struct word *out)
{
    char w[WORD_MAX + 1];
    size_t n = 0;
    bool figure = false, ascii = true;
    for (size_t i = 0; i < as.n && n < WORD_MAX; i++) {
        unsigned char c = (unsigned char)as.p[i];
        figure = figure || isdigit(c);
        ascii = ascii && c < 0x80;
        if (c == ',' && i + 1 < as.n)
            continue; /* 1,000 */
        w[n++] = (char)tolower(c);
    }
    w[n] = '\0';
    for (size_t i = 0; i < COUNT(numerals) && !figure; i++) {
        if (strcmp(w, numerals[i]) == 0) {
            n = i + 2 < 10 ? 1 : 2;
            w[0] = n == 1 ? (char)('2' + i) : '1';
            w[1] = n == 1 ? '\0' : (char)('0' + (i + 2 - 10));
            figure = true;
        }
    }
    if (!figure) {
        if ((ascii && n < 3) ||
            bsearch(w, function_words, COUNT(function_words), sizeof *function_words, compare_z))
            return false;
        n = ascii ? stem(w, n) : n;
    }
    *out = (struct word){ hash_bytes(w, n), as, figure };
    return true;
}

static bool is_word_byte(unsigned char c)
{
    return isalnum(c) || c >= 0x80;
}

/* Points and commas inside a figure belong to it: 99.9, 1,000; 12:30 is two. */
static bool joins(struct str t, size_t i)
{
    return (t.p[i] == '.' || t.p[i] == ',') && i > 0 && isdigit((unsigned char)t.p[i - 1]) &&
           i + 1 < t.n && isdigit((unsigned char)t.p[i + 1]);
}

static int compare_words(const void *a, const void *b)
{
    uint64_t x = ((const struct word *)a)->key, y = ((const struct word *)b)->key;
    return x < y ? -1 : x > y;
}

/* "30-day" and "15min": a figure ends where the letters begin. */
static size_t word_end(struct str t, size_t i)
{
    bool number = isdigit((unsigned char)t.p[i]);
    size_t from = i;
    while (i < t.n && (is_word_byte((unsigned char)t.p[i]) || joins(t, i))) {
        if (number && i > from && isalpha((unsigned char)t.p[i]))
            break;
        i++;
    }
    return i;
}

struct words words_of(struct arena *a, struct str t)
{
    struct words w = { 0 };
    size_t cap = 0;
    for (size_t i = 0; i < t.n && w.n < TEXT_WORDS_MAX * 4;) {
        if (!is_word_byte((unsigned char)t.p[i])) {
            i++;
            continue;
        }
        size_t end = word_end(t, i);
        struct word one;
        if (fold((struct str){ t.p + i, end - i }, &one)) {
            if (w.n == cap && !(w.v = arena_grow(a, w.v, w.n, &cap, sizeof one)))
                return (struct words){ 0 };
            w.v[w.n++] = one;
        }
        i = end;
    }
    if (w.n == 0)
        return w;
    qsort(w.v, w.n, sizeof *w.v, compare_words);
    size_t kept = 1;
    for (size_t i = 1; i < w.n && kept < TEXT_WORDS_MAX; i++) {
        if (w.v[i].key != w.v[kept - 1].key)
            w.v[kept++] = w.v[i];
    }
    w.n = kept;
    return w;
}

bool words_have(const struct words *w, uint64_t key)
{
    struct word one = { .key = key };
    return w->n > 0 && bsearch(&one, w->v, w->n, sizeof one, compare_words) != NULL;
}

size_t words_common(const struct words *a, const struct words *b)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        n += words_have(b, a->v[i].key);
    return n;
}

double words_share(const struct words *a, const struct words *b)
{
    double all = 0, has = 0;
    for (size_t i = 0; i < a->n; i++) {
        double weight = a->v[i].figure ? 1.5 : 1.0;
        all += weight;
        has += words_have(b, a->v[i].key) ? weight : 0;
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
        bool found = !a->v[i].figure;
        for (size_t k = 0; k < n && !found; k++)
            found = words_have(sets[k], a->v[i].key);
        if (!found && missing++ == 0 && which)
            *which = a->v[i].as;
    }
    return missing;
}

size_t words_figures(const struct words *a)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        n += a->v[i].figure;
    return n;
}

/* ---- sentences ------------------------------------------------------------------------------- */

struct str blank_trim(struct str s)
{
    while (s.n > 0 && isspace((unsigned char)s.p[0]))
        s = (struct str){ s.p + 1, s.n - 1 };
    while (s.n > 0 && isspace((unsigned char)s.p[s.n - 1]))
        s.n--;
    return s;
}

/* The length of an end of a sentence at i: ". ", "。", a line end; 0: it goes on. */
static size_t stop_at(struct str t, size_t i)
{
    static const char *const wide[] = { "\xe3\x80\x82", "\xef\xbc\x81",
                                        "\xef\xbc\x9f" }; /* 。！？ */
    for (size_t k = 0; k < COUNT(wide); k++) {
        if (t.n - i >= 3 && memcmp(t.p + i, wide[k], 3) == 0)
            return 3;
    }
    if (t.p[i] == '\n')
        return 1;
    bool mark = t.p[i] == '.' || t.p[i] == '!' || t.p[i] == '?';
    return mark && (i + 1 == t.n || isspace((unsigned char)t.p[i + 1])) ? 1 : 0;
}

static struct str without_bullet(struct str s)
{
    s = blank_trim(s);
    size_t i = 0;
    while (i < s.n && isdigit((unsigned char)s.p[i]))
        i++;
    if (i > 0 && i + 1 < s.n && (s.p[i] == '.' || s.p[i] == ')') &&
        isspace((unsigned char)s.p[i + 1]))
        s = (struct str){ s.p + i + 1, s.n - i - 1 };
    while (s.n > 0 && (strchr("-*#>+", s.p[0]) || isspace((unsigned char)s.p[0])) && s.p[0])
        s = (struct str){ s.p + 1, s.n - 1 };
    return s;
}

size_t sentences_of(struct str t, struct str *out, size_t max)
{
    size_t n = 0, from = 0, i = 0;
    while (i <= t.n && n < max) {
        size_t stop = i < t.n ? stop_at(t, i) : 1;
        if (stop == 0) {
            i++;
            continue;
        }
        struct str s = blank_trim((struct str){ t.p + from, i - from });
        bool heading = s.n > 0 && s.p[0] == '#';
        s = without_bullet(s);
        if (s.n >= 6 && !heading)
            out[n++] = s;
        i += stop;
        from = i;
    }
    return n;
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
