/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/words_in.h"

#include <string.h>

/* The state of one walk over a text. Characters are looked at once, from left to right. */
struct scan {
    struct arena *a;
    struct str s;
    size_t i;
    struct word_list *out;
    size_t began; /* byte where the sentence begins */
    size_t first; /* its first word */
    bool heading, item;
    bool quoted;
    bool failed;
};

static uint32_t peek(const struct scan *c, size_t at)
{
    size_t len;
    return at < c->s.n ? char_at(c->s, at, &len) : 0;
}

static struct word *last_word(const struct scan *c)
{
    return c->out->n > c->first ? &c->out->at[c->out->n - 1] : NULL;
}

static struct word *push(struct scan *c, struct str text)
{
    struct word_list *l = c->out;
    if (l->n >= WORDS_MAX || c->failed)
        return NULL;
    struct word *at = arena_grow(c->a, l->at, l->n, &l->cap, sizeof *at);
    if (!at) {
        c->failed = true;
        return NULL;
    }
    l->at = at;
    at[l->n] = (struct word){ .text = text, .flags = c->quoted ? WORD_QUOTED : 0 };
    return &at[l->n++];
}

static struct str trimmed(struct str s)
{
    while (s.n && (unsigned char)s.p[0] <= ' ') {
        s.p++;
        s.n--;
    }
    while (s.n && (unsigned char)s.p[s.n - 1] <= ' ')
        s.n--;
    return s;
}

static void end_sentence(struct scan *c, size_t at)
{
    struct word_list *l = c->out;
    struct str text = trimmed((struct str){ c->s.p + c->began, at - c->began });
    c->began = at;
    c->quoted = false;
    if (l->n == c->first || c->failed)
        return;
    struct sentence *sentences =
        arena_grow(c->a, l->sentences, l->sentences_n, &l->sentences_cap, sizeof *sentences);
    if (!sentences) {
        c->failed = true;
        return;
    }
    l->sentences = sentences;
    sentences[l->sentences_n++] = (struct sentence){ .text = text,
                                                     .first = c->first,
                                                     .n = l->n - c->first,
                                                     .heading = c->heading,
                                                     .item = c->item };
    c->first = l->n;
}

/* ---- figures ------------------------------------------------------------------------------------ */

/* "25 euros": the word belongs to the figure before it. */
static void try_unit(struct scan *c, struct word *w, const char *low)
{
    struct word *figure = c->out->n >= c->first + 2 ? &c->out->at[c->out->n - 2] : NULL;
    if (!figure || !(figure->flags & WORD_FIGURE) || (figure->after && figure->after != '-'))
        return;
    const struct unit *u = unit_find(low);
    if (!u)
        return;
    figure->key = figure_key(figure->value * u->factor, u->dimension);
    w->flags |= WORD_UNIT;
}

static void scan_symbol(struct scan *c, size_t len)
{
    char low[STEM_MAX];
    struct str text = { c->s.p + c->i, len };
    struct word *before = last_word(c);
    word_lower(text, low);
    c->i += len;
    const struct unit *u = unit_find(low);
    if (u && before && (before->flags & WORD_FIGURE)) {
        before->key = figure_key(before->value * u->factor, u->dimension);
        return;
    }
    if (u && char_class_of(peek(c, c->i)) == CHAR_DIGIT) { /* "€25" */
        struct word *w = push(c, text);
        if (w)
            w->flags |= WORD_UNIT | WORD_STOP;
    }
}

static size_t digits_end(const struct scan *c, size_t i)
{
    for (; i < c->s.n; i++) {
        char ch = c->s.p[i];
        bool inner =
            (ch == '.' || ch == ',' || ch == ':') && char_class_of(peek(c, i + 1)) == CHAR_DIGIT;
        if (!inner && char_class_of((unsigned char)ch) != CHAR_DIGIT)
            break;
    }
    return i;
}

/* 2026-11-23: digits with two or more hyphens are one thing. */
static size_t date_end(const struct scan *c, size_t i)
{
    int hyphens = 0;
    while (i + 1 < c->s.n && c->s.p[i] == '-' && char_class_of(peek(c, i + 1)) == CHAR_DIGIT) {
        i = digits_end(c, i + 1);
        hyphens++;
    }
    return hyphens >= 2 ? i : 0;
}

static size_t letters_end(const struct scan *c, size_t i, bool *digit)
{
    for (size_t len; i < c->s.n; i += len) {
        uint32_t cp = char_at(c->s, i, &len);
        enum char_class k = char_class_of(cp), next = char_class_of(peek(c, i + len));
        *digit = *digit || k == CHAR_DIGIT;
        if ((cp == '\'' || cp == 0x2019) && next == CHAR_LETTER)
            continue;
        if (cp == '-' && (next == CHAR_DIGIT || (*digit && next == CHAR_LETTER)))
            continue;
        if (k != CHAR_LETTER && k != CHAR_DIGIT)
            break;
    }
    return i;
}

static void make_id(struct word *w, const char *low, size_t n)
{
    w->key = w->low = hash_bytes(low, n);
    w->flags |= WORD_ID | WORD_NAME;
}

static void scan_number(struct scan *c)
{
    char low[STEM_MAX];
    size_t from = c->i, end = digits_end(c, from), date = date_end(c, end);
    bool clock, digit = false;
    size_t letters = date ? end : letters_end(c, end, &digit);
    struct str tail = { c->s.p + end, letters - end };
    size_t n = word_lower(tail, low);
    bool ordinal = n == 2 && (!strcmp(low, "st") || !strcmp(low, "nd") || !strcmp(low, "rd") ||
                              !strcmp(low, "th"));
    const struct unit *u = n ? unit_find(low) : NULL;
    c->i = date ? date : letters;
    struct word *w = push(c, (struct str){ c->s.p + from, c->i - from });
    if (!w)
        return;
    if (date || (n && !ordinal && !u)) {
        n = word_lower(w->text, low);
        make_id(w, low, n);
        return;
    }
    w->value = figure_value((struct str){ c->s.p + from, end - from }, &clock);
    w->low = figure_key(w->value, DIM_NONE);
    w->key = u ? figure_key(w->value * u->factor, u->dimension)
               : figure_key(w->value, clock ? DIM_CLOCK : DIM_NONE);
    w->flags |= WORD_FIGURE;
    struct word *before = c->out->n >= c->first + 2 ? w - 1 : NULL;
    if (before && before->flags == (WORD_UNIT | WORD_STOP)) { /* "€25" */
        word_lower(before->text, low);
        u = unit_find(low);
        w->key = u ? figure_key(w->value * u->factor, u->dimension) : w->key;
    }
}

/* ---- words -------------------------------------------------------------------------------------- */

static bool all_capitals(struct str text)
{
    size_t capitals = 0;
    for (size_t i = 0, len; i < text.n; i += len) {
        uint32_t cp = char_at(text, i, &len);
        if (!char_is_upper(cp) && char_class_of(cp) == CHAR_LETTER && cp != '_')
            return false;
        capitals += char_is_upper(cp);
    }
    return capitals >= 2;
}

static bool keyword(const char *low)
{
    static const char *const words[] = { "shall", "must", "should", "given", "when",
                                         "then",  "and",  "not",    "or",    "may" };
    for (size_t i = 0; i < COUNT(words); i++) {
        if (strcmp(words[i], low) == 0)
            return true;
    }
    return false;
}

static void scan_word(struct scan *c)
{
    char low[STEM_MAX], raw[STEM_MAX];
    bool digit = false;
    size_t from = c->i;
    c->i = letters_end(c, from, &digit);
    bool sentence_start = c->out->n == c->first;
    struct word *w = push(c, (struct str){ c->s.p + from, c->i - from });
    if (!w)
        return;
    size_t n = word_lower(w->text, low);
    if (digit) {
        make_id(w, low, n);
        return;
    }
    w->low = hash_bytes(low, n);
    double number = words_number(c->out->lang, w->low);
    if (number > 0) {
        w->value = number;
        w->key = figure_key(number, DIM_NONE);
        w->low = w->key;
        w->flags |= WORD_FIGURE | WORD_SPELLED;
        return;
    }
    bool capital = char_is_upper(peek(c, from));
    memcpy(raw, low, n + 1);
    if (capital)
        w->flags |= WORD_CAPITAL;
    if (!keyword(low) && ((capital && !sentence_start) || all_capitals(w->text) ||
                          memchr(w->text.p, '_', w->text.n)))
        w->flags |= WORD_NAME;
    if (words_stop(c->out->lang, w->low) || (n == 1 && !(w->flags & WORD_NAME)))
        w->flags |= WORD_STOP;
    if (keyword(low))
        w->flags |= WORD_STOP;
    n = word_stem(low, n);
    w->key = hash_bytes(low, n);
    try_unit(c, w, raw);
}

/* Pairs of characters: 采集站, as 采集 and 集站. */
static void scan_cjk(struct scan *c)
{
    size_t from = c->i, len, next;
    for (bool alone = true;; alone = false) {
        uint32_t cp = peek(c, from);
        if (char_class_of(cp) != CHAR_CJK)
            break;
        char_at(c->s, from, &len);
        next = from + len;
        bool more = char_class_of(peek(c, next)) == CHAR_CJK;
        if (!more && !alone) {
            from = next;
            break;
        }
        size_t both = len;
        if (more) {
            size_t second;
            char_at(c->s, next, &second);
            both += second;
        }
        struct word *w = push(c, (struct str){ c->s.p + from, both });
        if (w)
            w->key = w->low = hash_bytes(c->s.p + from, both);
        from = next;
    }
    c->i = from;
}

/* ---- sentences ---------------------------------------------------------------------------------- */

static bool abbreviation(const struct word *w)
{
    static const char *const words[] = { "dr",   "mr", "mrs", "ms",     "prof", "st",  "nr",
                                         "no",   "vs", "ca",  "approx", "bzw",  "ggf", "inkl",
                                         "evtl", "sr", "sra", "art",    "fig",  "eg",  "ie" };
    char low[STEM_MAX];
    if (!w)
        return true;
    if (w->text.n == 1 && !(w->flags & (WORD_FIGURE | WORD_UNIT)))
        return true;
    word_lower(w->text, low);
    for (size_t i = 0; i < COUNT(words); i++) {
        if (strcmp(words[i], low) == 0)
            return true;
    }
    return false;
}

/* Does the full stop at c->i end the sentence? */
static bool full_stop(const struct scan *c)
{
    size_t i = c->i + 1;
    const struct word *w = last_word(c);
    while (i < c->s.n && c->s.p[i] && strchr("\"')]*_`.", c->s.p[i]))
        i++;
    if (i < c->s.n && char_class_of(peek(c, i)) != CHAR_SPACE && peek(c, i) < 0x2000)
        return false;
    if (abbreviation(w))
        return false;
    while (i < c->s.n && char_class_of(peek(c, i)) == CHAR_SPACE)
        i++;
    uint32_t next = peek(c, i);
    bool ordinal = c->out->lang == LANG_DE && (w->flags & WORD_FIGURE) && w->value <= 31 &&
                   char_is_upper(next);
    return !ordinal && !(next < 0x80 && next >= 'a' && next <= 'z');
}

static void scan_other(struct scan *c, uint32_t cp, size_t len)
{
    struct word *w = last_word(c);
    if (cp == '%' || cp == '$' || cp == 0x20ac || cp == 0xa3) {
        scan_symbol(c, len);
        return;
    }
    bool hard = cp == '!' || cp == '?' || cp == ';' || cp == 0x3002 || cp == 0xff01 ||
                cp == 0xff1f || cp == 0xff1b;
    if (hard || (cp == '.' && full_stop(c))) {
        c->i += len;
        end_sentence(c, c->i);
        return;
    }
    if (cp == '"' || cp == '`' || cp == 0x201c || cp == 0x201d || cp == 0x201e)
        c->quoted = cp == 0x201e || (cp == 0x201c && !c->quoted) ||
                    (cp != 0x201d && cp != 0x201c && !c->quoted);
    bool plain = cp < 0x80 && cp != 0 && strchr(",:()-", (int)cp);
    if (w && !w->after && (plain || cp == 0x2013 || cp == 0x2014 || cp == 0xff0c))
        w->after = plain ? (char)cp : cp == 0xff0c ? ',' : '-';
    c->i += len;
}

/* At the start of a line: what does it begin? Returns with c->i behind its mark. */
static void begin_line(struct scan *c)
{
    size_t i = c->i, mark;
    while (i < c->s.n && (c->s.p[i] == ' ' || c->s.p[i] == '\t' || c->s.p[i] == '>'))
        i++;
    bool blank = i >= c->s.n || c->s.p[i] == '\n' || c->s.p[i] == '\r';
    for (mark = i; mark < c->s.n && c->s.p[mark] == '#';)
        mark++;
    bool heading = mark > i && mark - i <= 6 && mark < c->s.n && c->s.p[mark] == ' ';
    bool item = !heading && i + 1 < c->s.n &&
                (c->s.p[i] == '-' || c->s.p[i] == '*' || c->s.p[i] == '+') && c->s.p[i + 1] == ' ';
    if (item)
        mark = i + 1;
    for (size_t k = i;
         !heading && !item && k < c->s.n && k < i + 3 && c->s.p[k] >= '0' && c->s.p[k] <= '9';
         k++) {
        item = k + 2 < c->s.n && (c->s.p[k + 1] == '.' || c->s.p[k + 1] == ')') &&
               c->s.p[k + 2] == ' ';
        mark = item ? k + 2 : mark;
    }
    bool fence = i + 2 < c->s.n && memcmp(c->s.p + i, "```", 3) == 0;
    if (blank || heading || item || fence || c->heading) {
        end_sentence(c, c->i);
        c->heading = heading;
        c->item = item || (c->item && !blank && !heading);
        if (heading || item)
            c->began = c->i = mark;
    }
}

static void walk(struct scan *c)
{
    begin_line(c);
    while (c->i < c->s.n && !c->failed && c->out->n < WORDS_MAX) {
        size_t len;
        uint32_t cp = char_at(c->s, c->i, &len);
        switch (char_class_of(cp)) {
        case CHAR_LETTER: scan_word(c); break;
        case CHAR_DIGIT: scan_number(c); break;
        case CHAR_CJK: scan_cjk(c); break;
        case CHAR_SPACE:
            c->i += len;
            if (cp == '\n')
                begin_line(c);
            break;
        case CHAR_OTHER: scan_other(c, cp, len); break;
        }
    }
    end_sentence(c, c->i);
}

enum status words_scan(struct arena *a, struct str text, enum words_lang lang,
                       struct word_list *out)
{
    if (text.n == 0)
        text = str_of(""); /* a view of nothing may point nowhere */
    *out = (struct word_list){ .lang = lang ? lang : words_lang_of(text) };
    struct scan c = { .a = a, .s = text, .out = out };
    walk(&c);
    return c.failed ? ERR_LIMIT : OK;
}
