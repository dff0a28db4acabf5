/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/text.h"

#include <string.h>

struct lower_run {
    uint32_t first, last, step;
    int32_t delta;
};

struct cp_range {
    uint32_t first, last;
};

#include "common/openspec/unicode.inc"

static const struct str replacement = { "\xef\xbf\xbd", 3 };

/* Length of the well-formed sequence at s[i]; 0 when it is ill-formed, *bad is then the number of
 * bytes that one U+FFFD stands for (the longest prefix of something well-formed, at least one). */
static size_t sequence(struct str s, size_t i, size_t *bad)
{
    unsigned char c = (unsigned char)s.p[i];
    *bad = 1;
    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    size_t need = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    for (size_t k = 1; k <= need; k++) {
        unsigned char next = i + k < s.n ? (unsigned char)s.p[i + k] : 0;
        if (next < low || next > high)
            return 0;
        *bad = k + 1;
        low = 0x80;
        high = 0xbf;
    }
    return need + 1;
}

struct str text_decode(struct pool *p, struct str bytes)
{
    size_t bad = 0, first_bad;
    if (utf8_valid(bytes, &first_bad))
        return bytes;
    struct buf out;
    buf_init(&out, SIZE_MAX / 2);
    size_t from = 0;
    for (size_t i = first_bad; i < bytes.n;) {
        size_t n = sequence(bytes, i, &bad);
        if (n > 0) {
            i += n;
            continue;
        }
        buf_append(&out, bytes.p + from, i - from);
        buf_view(&out, replacement);
        i += bad;
        from = i;
    }
    buf_append(&out, bytes.p + from, bytes.n - from);
    return pool_take(p, &out);
}

struct str text_lf(struct pool *p, struct str s)
{
    const char *cr = s.n ? memchr(s.p, '\r', s.n) : NULL;
    if (!cr)
        return s;
    char *out = pool_alloc(p, s.n + 1);
    if (!out)
        return (struct str){ 0 };
    size_t n = (size_t)(cr - s.p);
    memcpy(out, s.p, n);
    for (size_t i = n; i < s.n; i++) {
        if (s.p[i] == '\n' && i > 0 && s.p[i - 1] == '\r')
            continue;
        out[n++] = s.p[i] == '\r' ? '\n' : s.p[i];
    }
    return (struct str){ out, n };
}

struct str text_no_bom(struct str s)
{
    return text_starts(s, "\xef\xbb\xbf") ? text_from(s, 3) : s;
}

uint32_t text_cp(struct str s, size_t i, size_t *len)
{
    const unsigned char *c = (const unsigned char *)s.p + i;
    if (c[0] < 0x80 || i + 1 >= s.n) {
        *len = 1;
        return c[0];
    }
    if (c[0] < 0xe0 || i + 2 >= s.n) {
        *len = 2;
        return (uint32_t)(c[0] & 0x1f) << 6 | (c[1] & 0x3f);
    }
    if (c[0] < 0xf0 || i + 3 >= s.n) {
        *len = 3;
        return (uint32_t)(c[0] & 0x0f) << 12 | (uint32_t)(c[1] & 0x3f) << 6 | (c[2] & 0x3f);
    }
    *len = 4;
    return (uint32_t)(c[0] & 0x07) << 18 | (uint32_t)(c[1] & 0x3f) << 12 |
           (uint32_t)(c[2] & 0x3f) << 6 | (c[3] & 0x3f);
}

bool cp_space(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= '\t' && cp <= '\r');
    return cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 ||
           cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000 || cp == 0xfeff;
}

bool cp_line_break(uint32_t cp)
{
    return cp == '\n' || cp == '\r' || cp == 0x2028 || cp == 0x2029;
}

static bool in_ranges(uint32_t cp, const struct cp_range *ranges, size_t n)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (cp > ranges[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && cp >= ranges[low].first;
}

bool cp_word(uint32_t cp)
{
    return in_ranges(cp, word_ranges, COUNT(word_ranges));
}

size_t text_u16(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        n += (c & 0xc0) != 0x80;
        n += c >= 0xf0;
    }
    return n;
}

/* UTF-8 sorts as code points; UTF-16 puts those above U+FFFF (surrogates, D800…) before E000-FFFF. */
int text_u16_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++) {
        unsigned char x = (unsigned char)a.p[i], y = (unsigned char)b.p[i];
        if (x == y)
            continue;
        bool x_high = x >= 0xf0, y_high = y >= 0xf0;
        if (x_high != y_high && x >= 0xee && y >= 0xee)
            return x_high ? -1 : 1;
        return x < y ? -1 : 1;
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

struct str text_from(struct str s, size_t i)
{
    if (i >= s.n)
        return (struct str){ s.n ? s.p + s.n : s.p, 0 };
    return (struct str){ s.p + i, s.n - i };
}

size_t text_spaces(struct str s)
{
    size_t i = 0, len;
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i]; /* the most are ASCII */
        if (c > ' ' && c < 0x80)
            break;
        if (!cp_space(text_cp(s, i, &len)))
            break;
        i += len;
    }
    return i;
}

size_t text_blanks(struct str s)
{
    size_t i = 0;
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
        i++;
    return i;
}

struct str text_trim_start(struct str s)
{
    return text_from(s, text_spaces(s));
}

struct str text_trim_end(struct str s)
{
    while (s.n > 0) {
        size_t i = s.n - 1, len;
        while (i > 0 && ((unsigned char)s.p[i] & 0xc0) == 0x80)
            i--;
        if (!cp_space(text_cp(s, i, &len)))
            break;
        s.n = i;
    }
    return s;
}

struct str text_trim(struct str s)
{
    return text_trim_end(text_trim_start(s));
}

bool text_blank(struct str s)
{
    return text_spaces(s) == s.n;
}

bool text_starts_str(struct str s, struct str head)
{
    return s.n >= head.n && (head.n == 0 || memcmp(s.p, head.p, head.n) == 0);
}

bool text_ends_str(struct str s, struct str tail)
{
    return s.n >= tail.n && (tail.n == 0 || memcmp(s.p + s.n - tail.n, tail.p, tail.n) == 0);
}

bool text_starts(struct str s, const char *z)
{
    return text_starts_str(s, str_of(z));
}

static char fold_ascii(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool text_starts_ci(struct str s, const char *z)
{
    size_t n = strlen(z);
    if (s.n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (fold_ascii(s.p[i]) != fold_ascii(z[i]))
            return false;
    }
    return true;
}

bool text_is_ci(struct str s, const char *z)
{
    return s.n == strlen(z) && text_starts_ci(s, z);
}

bool text_has_line_break(struct str s)
{
    for (size_t i = 0, len = 1; i < s.n; i += len) {
        unsigned char c = (unsigned char)s.p[i];
        if (c > '\r' && c < 0x80)
            len = 1;
        else if (cp_line_break(text_cp(s, i, &len)))
            return true;
    }
    return false;
}

size_t text_find(struct str s, struct str needle, size_t from)
{
    if (from > s.n || needle.n > s.n - from)
        return SIZE_MAX;
    if (needle.n == 0)
        return from;
    const char *hit = memmem(s.p + from, s.n - from, needle.p, needle.n);
    return hit ? (size_t)(hit - s.p) : SIZE_MAX;
}

static uint32_t lower_one(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
    size_t low = 0, high = COUNT(lower_runs);
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (cp > lower_runs[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == COUNT(lower_runs) || cp < lower_runs[low].first)
        return cp;
    const struct lower_run *r = &lower_runs[low];
    return (cp - r->first) % r->step == 0 ? (uint32_t)((int64_t)cp + r->delta) : cp;
}

static bool ignorable(uint32_t cp)
{
    return in_ranges(cp, ignorable_ranges, COUNT(ignorable_ranges));
}

static bool cased(uint32_t cp)
{
    return in_ranges(cp, cased_ranges, COUNT(cased_ranges));
}

/* A capital sigma ends a word: a cased letter before it, none after it, case-ignorable ones aside. */
static bool sigma_is_final(struct str s, size_t at)
{
    size_t len;
    bool before = false;
    for (size_t i = at; i > 0 && !before;) {
        i--;
        while (i > 0 && ((unsigned char)s.p[i] & 0xc0) == 0x80)
            i--;
        uint32_t cp = text_cp(s, i, &len);
        if (ignorable(cp))
            continue;
        if (!cased(cp))
            return false;
        before = true;
    }
    for (size_t i = at + 2; before && i < s.n; i += len) {
        uint32_t cp = text_cp(s, i, &len);
        if (!ignorable(cp))
            return !cased(cp);
    }
    return before;
}

static void put_cp(struct buf *out, uint32_t cp)
{
    char c[4];
    size_t n = 0;
    if (cp < 0x80) {
        c[n++] = (char)cp;
    } else if (cp < 0x800) {
        c[n++] = (char)(0xc0 | cp >> 6);
    } else if (cp < 0x10000) {
        c[n++] = (char)(0xe0 | cp >> 12);
        c[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
    } else {
        c[n++] = (char)(0xf0 | cp >> 18);
        c[n++] = (char)(0x80 | (cp >> 12 & 0x3f));
        c[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
    }
    if (cp >= 0x80)
        c[n++] = (char)(0x80 | (cp & 0x3f));
    buf_append(out, c, n);
}

struct str text_lower(struct pool *p, struct str s)
{
    struct buf out;
    buf_init(&out, SIZE_MAX / 2);
    for (size_t i = 0, len; i < s.n; i += len) {
        uint32_t cp = text_cp(s, i, &len);
        if (cp == 0x130)
            buf_append(&out, "i\xcc\x87", 3);
        else if (cp == 0x3a3)
            put_cp(&out, sigma_is_final(s, i) ? 0x3c2 : 0x3c3);
        else
            put_cp(&out, lower_one(cp));
    }
    return pool_take(p, &out);
}

/* ``` or ~~~ with any indentation; the length of the run, 0 when there is none. */
static size_t fence(struct str line, char *marker, struct str *rest)
{
    unsigned char first = line.n < 3 ? 'x' : (unsigned char)line.p[0];
    if (first > ' ' && first < 0x7f && first != '`' && first != '~')
        return 0; /* nearly every line */
    struct str s = text_trim_start(line);
    if (s.n < 3 || (s.p[0] != '`' && s.p[0] != '~'))
        return 0;
    size_t n = 0;
    while (n < s.n && s.p[n] == s.p[0])
        n++;
    *marker = s.p[0];
    *rest = text_from(s, n);
    return n >= 3 ? n : 0;
}

static void mask_fences(struct lines *l)
{
    char mark = 0;
    struct str rest = { 0 };
    for (size_t i = 0; i < l->n; i++) {
        size_t n = fence(l->at[i], &mark, &rest);
        l->fenced[i] = n > 0 || l->open_n > 0;
        if (l->open_n == 0) {
            l->open = mark;
            l->open_n = n;
        } else if (n >= l->open_n && mark == l->open && text_blank(rest)) {
            l->open_n = 0;
        }
    }
}

struct lines lines_of(struct pool *p, struct str s)
{
    struct lines l = { 0 };
    size_t cap = 0;
    for (size_t from = 0; from <= s.n;) {
        const char *end = from < s.n ? memchr(s.p + from, '\n', s.n - from) : NULL;
        size_t to = end ? (size_t)(end - s.p) : s.n;
        if (l.n == cap && !(l.at = pool_grow(p, l.at, l.n, &cap, sizeof *l.at)))
            return (struct lines){ 0 };
        l.at[l.n++] = (struct str){ s.p ? s.p + from : "", to - from };
        from = to + 1;
    }
    l.fenced = pool_alloc(p, l.n * sizeof *l.fenced);
    if (p->failed)
        return (struct lines){ 0 };
    mask_fences(&l);
    return l;
}

struct str lines_run(const struct lines *l, size_t from, size_t to)
{
    if (to > l->n)
        to = l->n;
    if (from >= to)
        return (struct str){ "", 0 };
    const char *end = l->at[to - 1].p + l->at[to - 1].n;
    return (struct str){ l->at[from].p, (size_t)(end - l->at[from].p) };
}
