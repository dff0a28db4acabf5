/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mcp/jsonc.h"

#include <stdio.h>
#include <string.h>

/* ---- blanking -------------------------------------------------------------------------------- */

static void blank(char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '\n')
            p[i] = ' ';
    }
}

static size_t string_end(const char *p, size_t n, size_t i)
{
    for (i++; i < n && p[i] != '"' && p[i] != '\n'; i++)
        i += p[i] == '\\' && i + 1 < n;
    return i < n ? i + 1 : n;
}

/* Length of the comment at p, 0 when there is none; SIZE_MAX when it does not end. */
static size_t comment(const char *p, size_t n)
{
    if (n < 2 || p[0] != '/')
        return 0;
    if (p[1] == '/') {
        const char *nl = memchr(p, '\n', n);
        return nl ? (size_t)(nl - p) : n;
    }
    if (p[1] != '*')
        return 0;
    const char *end = memmem(p + 2, n - 2, "*/", 2);
    return end ? (size_t)(end - p) + 2 : SIZE_MAX;
}

static void place_of(const char *p, size_t at, int *line, int *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < at; i++) {
        if (p[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)p[i] & 0xc0) != 0x80) {
            ++*column;
        }
    }
}

enum status jsonc_blank(char *text, size_t n, struct err *err)
{
    size_t comma = SIZE_MAX, i = 0; /* comma: where one stands that nothing has followed yet */
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        blank(text, 3);
    while (i < n) {
        size_t length = comment(text + i, n - i);
        if (length == SIZE_MAX) {
            int line, column;
            place_of(text, i, &line, &column);
            return err_set(err, ERR_DATA, "line %d, column %d: a comment without end", line,
                           column);
        }
        if (length > 0) {
            blank(text + i, length);
            i += length;
            continue;
        }
        char c = text[i];
        if ((c == ']' || c == '}') && comma != SIZE_MAX)
            text[comma] = ' ';
        if (c == ',')
            comma = i;
        else if (!strchr(" \t\r\n", c) || !c)
            comma = SIZE_MAX;
        i = c == '"' ? string_end(text, n, i) : i + 1;
    }
    return OK;
}

/* ---- places ---------------------------------------------------------------------------------- */

struct scan {
    const char *p;
    size_t n, at;
};

static void skip_space(struct scan *s)
{
    while (s->at < s->n && strchr(" \t\r\n", s->p[s->at]) && s->p[s->at])
        s->at++;
}

static char peek(struct scan *s)
{
    skip_space(s);
    return s->at < s->n ? s->p[s->at] : '\0';
}

/* Pass one value; brackets are counted, so depth costs no stack. */
static void skip_value(struct scan *s)
{
    int depth = 0;
    do {
        char c = peek(s);
        if (c == '\0')
            return;
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        if (c == '"') {
            s->at = string_end(s->p, s->n, s->at);
        } else if (strchr("{}[],:", c)) {
            s->at++;
        } else {
            while (s->at < s->n && !strchr(" \t\r\n{}[],:\"", s->p[s->at]))
                s->at++;
        }
    } while (depth > 0);
}

/* Does the JSON string at [from, to), quotes included, spell this key? */
static bool spells(const struct scan *s, size_t from, size_t to, const char *key)
{
    json_t *v = js_parse((struct str){ s->p + from, to - from }, NULL);
    const char *text = json_string_value(v);
    bool same = text && strcmp(text, key) == 0;
    json_decref(v);
    return same;
}

static bool enter_object(struct scan *s, const char *step, bool want_key)
{
    s->at++;
    while (peek(s) == '"') {
        size_t from = s->at;
        s->at = string_end(s->p, s->n, from);
        if (spells(s, from, s->at, step)) {
            if (want_key) {
                s->at = from;
            } else if (peek(s) == ':') {
                s->at++;
                skip_space(s);
            }
            return true;
        }
        if (peek(s) == ':')
            s->at++;
        skip_value(s);
        if (peek(s) == ',')
            s->at++;
    }
    return false;
}

static bool enter_list(struct scan *s, const char *step)
{
    char index[16];
    s->at++;
    for (int i = 0; peek(s) != ']' && s->at < s->n; i++) {
        snprintf(index, sizeof index, "%d", i);
        if (strcmp(index, step) == 0)
            return true;
        skip_value(s);
        if (peek(s) == ',')
            s->at++;
    }
    return false;
}

bool jsonc_where(struct str text, const struct jsonc_path *path, int *line, int *column)
{
    struct scan s = { text.p, text.n, 0 };
    skip_space(&s);
    for (size_t i = 0; i < path->n; i++) {
        char c = peek(&s);
        bool found = c == '{'   ? enter_object(&s, path->steps[i], path->key && i + 1 == path->n)
                     : c == '[' ? enter_list(&s, path->steps[i])
                                : false;
        if (!found)
            return false;
    }
    place_of(s.p, s.at, line, column);
    return true;
}
