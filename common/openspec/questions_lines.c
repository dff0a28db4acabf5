/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/questions_in.h"
#include "common/openspec/text.h"

#include <string.h>

struct question_lines question_lines_of(struct str text)
{
    size_t bom = text_starts(text, "\xef\xbb\xbf") ? 3 : 0;
    return (struct question_lines){ .text = text, .at = bom };
}

struct str question_trim(struct str s)
{
    s = text_from(s, text_blanks(s));
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* Without an indentation of up to three blanks; more is code. */
static bool unindent(struct str *s)
{
    size_t n = 0;
    while (n < s->n && s->p[n] == ' ')
        n++;
    *s = text_from(*s, n);
    return n <= 3;
}

static bool has_comment_end(struct str s, struct str *rest)
{
    size_t at = text_find(s, LIT("-->"), 0);
    if (at == SIZE_MAX)
        return false;
    *rest = question_trim(text_from(s, at + 3));
    return true;
}

/* Does the line open or close a fence, or is it inside one? */
static bool fence_line(struct question_lines *l, struct str s)
{
    bool flat = unindent(&s);
    char mark = s.n ? s.p[0] : 0;
    size_t n = 0;
    while (flat && n < s.n && s.p[n] == mark)
        n++;
    struct str rest = question_trim(text_from(s, n));
    bool run = flat && n >= 3 && (mark == '`' || mark == '~');
    if (l->fence) {
        if (run && mark == l->fence && n >= l->fence_n && rest.n == 0)
            l->fence = 0;
        return true;
    }
    if (!run || (mark == '`' && text_find(rest, LIT("`"), 0) != SIZE_MAX))
        return false;
    l->fence = mark;
    l->fence_n = n;
    l->open_line = l->number;
    return true;
}

/* The same for comments; `kind` is TEXT when something follows the end of the comment. */
static bool comment_line(struct question_lines *l, struct str s, enum question_line_kind *kind)
{
    struct str rest = { 0 };
    if (!l->comment) {
        if (!unindent(&s) || !text_starts(s, "<!--"))
            return false;
        l->comment = true;
        l->open_line = l->number;
    }
    if (has_comment_end(s, &rest))
        l->comment = false;
    *kind = rest.n ? LINE_TEXT : LINE_COMMENT;
    return true;
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (unsigned char)c >= 0x80;
}

/* A word, in any case, that ends there; the rest is trimmed. */
static bool starts_word(struct str s, const char *word, struct str *rest)
{
    size_t n = strlen(word);
    if (!text_starts_ci(s, word) || (s.n > n && word_char(s.p[n])))
        return false;
    *rest = question_trim(text_from(s, n));
    return true;
}

static enum question_line_kind heading(struct str s, struct str *rest)
{
    size_t n = 0;
    if (!unindent(&s))
        return LINE_TEXT;
    while (n < s.n && s.p[n] == '#')
        n++;
    struct str title = text_from(s, n);
    if (n == 0 || n > 3 || (title.n > 0 && title.p[0] != ' ' && title.p[0] != '\t'))
        return LINE_TEXT;
    title = question_trim(title);
    if (n == 3)
        return starts_word(title, "Answer", rest) && rest->n == 0 ? LINE_ANSWER : LINE_TEXT;
    return n == 2 && starts_word(title, "Question", rest) ? LINE_QUESTION : LINE_HEADING;
}

static enum question_line_kind kind_of(struct question_lines *l, struct str s, struct str *rest)
{
    enum question_line_kind kind = LINE_TEXT;
    bool blank = question_trim(s).n == 0;
    if (l->comment) {
        comment_line(l, s, &kind);
        return blank ? LINE_BLANK : kind;
    }
    if (fence_line(l, s))
        return blank ? LINE_BLANK : LINE_TEXT;
    if (comment_line(l, s, &kind))
        return kind;
    return blank ? LINE_BLANK : heading(s, rest);
}

bool question_line_next(struct question_lines *l, struct question_line *out)
{
    if (l->at >= l->text.n)
        return false;
    size_t end = l->at;
    while (end < l->text.n && l->text.p[end] != '\n' && l->text.p[end] != '\r')
        end++;
    size_t next = end + (end < l->text.n);
    if (next < l->text.n && l->text.p[end] == '\r' && l->text.p[next] == '\n')
        next++;
    l->number++;
    *out = (struct question_line){
        .s = { l->text.p + l->at, end - l->at }, .from = l->at, .next = next, .number = l->number
    };
    out->kind = kind_of(l, out->s, &out->rest);
    l->at = next;
    return true;
}

bool question_id(struct str s)
{
    if (s.n == 0 || s.n > QUESTIONS_ID_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (unsigned char)c < 0x80 && word_char(c);
        if (!letter && (i == 0 || (c != '.' && c != '_' && c != '-')))
            return false;
    }
    return true;
}

/* n digits at *at as a number, then one of `end` (any, when that is empty). */
static bool digits(struct str s, size_t *at, size_t n, const char *end, int *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++, ++*at) {
        if (*at >= s.n || s.p[*at] < '0' || s.p[*at] > '9')
            return false;
        *out = *out * 10 + (s.p[*at] - '0');
    }
    if (!*end)
        return true;
    return *at < s.n && strchr(end, s.p[(*at)++]) && s.p[*at - 1] != '\0';
}

static int days_of_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = year - 1; /* whole years before, from 1 on; year 0 gives -1 */
    int64_t days = y * 365 + (y >= 0 ? y / 4 - y / 100 + y / 400 : -1) - 719162;
    for (int m = 1; m < month; m++)
        days += days_of_month(year, m);
    return days + day - 1;
}

/* "Z" or "+hh:mm", up to the end: seconds east. */
static bool offset_of(struct str s, size_t at, int *out)
{
    int hours, minutes;
    *out = 0;
    if (at >= s.n)
        return false;
    char sign = s.p[at++];
    if (sign == 'Z' || sign == 'z')
        return at == s.n;
    if (sign != '+' && sign != '-')
        return false;
    if (!digits(s, &at, 2, ":", &hours) || !digits(s, &at, 2, "", &minutes) || at != s.n)
        return false;
    *out = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
    return hours <= 23 && minutes <= 59;
}

bool question_time(struct str s, int64_t *out)
{
    int year, month, day, hour, minute, second, offset;
    size_t at = 0;
    *out = 0;
    if (!digits(s, &at, 4, "-", &year) || !digits(s, &at, 2, "-", &month) ||
        !digits(s, &at, 2, "Tt", &day) || !digits(s, &at, 2, ":", &hour) ||
        !digits(s, &at, 2, ":", &minute) || !digits(s, &at, 2, "", &second))
        return false;
    if (at < s.n && s.p[at] == '.') {
        size_t from = ++at;
        while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
            at++;
        if (at == from)
            return false;
    }
    if (!offset_of(s, at, &offset) || month < 1 || month > 12 || day < 1 ||
        day > days_of_month(year, month) || hour > 23 || minute > 59 || second > 60)
        return false;
    *out = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    return true;
}
