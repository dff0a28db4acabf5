/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mcp/jsonc.h"

#include <stdlib.h>
#include <string.h>

/* The position after the string that begins at i. */
static size_t skip_string(const char *p, size_t n, size_t i)
{
    for (i++; i < n && p[i] != '"'; i++) {
        if (p[i] == '\\')
            i++;
    }
    return i < n ? i + 1 : n;
}

static bool blank(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r';
}

/* Blank a comment that begins at i; the position after it. */
static size_t blank_comment(char *p, size_t n, size_t i)
{
    bool block = p[i + 1] == '*';
    size_t from = i;
    for (i += 2; i < n; i++) {
        if (block ? (p[i] == '/' && p[i - 1] == '*' && i > from + 2) : p[i] == '\n')
            break;
    }
    if (block && i >= n)
        return n; /* never closed: left as it is, JSON will complain there */
    for (size_t k = from; k < n && k < i + block; k++) {
        if (p[k] != '\n' && p[k] != '\r')
            p[k] = ' ';
    }
    return i + block;
}

void jsonc_plain(char *text, size_t n)
{
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        memset(text, ' ', 3);
    for (size_t i = 0; i < n;) {
        if (text[i] == '"')
            i = skip_string(text, n, i);
        else if (text[i] == '/' && i + 1 < n && (text[i + 1] == '/' || text[i + 1] == '*'))
            i = blank_comment(text, n, i);
        else
            i++;
    }
    for (size_t i = 0; i < n;) {
        if (text[i] == '"') {
            i = skip_string(text, n, i);
            continue;
        }
        size_t k = i + 1;
        while (text[i] == ',' && k < n && blank(text[k]))
            k++;
        if (text[i] == ',' && k < n && (text[k] == '}' || text[k] == ']'))
            text[i] = ' ';
        i++;
    }
}

static size_t skip_blanks(struct str t, size_t i)
{
    while (i < t.n && blank(t.p[i]))
        i++;
    return i;
}

/* The position after the value that begins at i. */
static size_t skip_value(struct str t, size_t i)
{
    size_t depth = 0;
    while (i < t.n) {
        char ch = t.p[i];
        if (ch == '"') {
            i = skip_string(t.p, t.n, i);
        } else if (ch == '{' || ch == '[') {
            depth++;
            i++;
        } else if ((ch == '}' || ch == ']' || ch == ',') && depth == 0) {
            return i;
        } else {
            depth -= ch == '}' || ch == ']';
            i++;
        }
        if (depth == 0 && i < t.n && (t.p[i] == ',' || t.p[i] == '}' || t.p[i] == ']'))
            return i;
    }
    return i;
}

/* From the container at i to its member; t.n when there is none. */
static size_t step_into(struct str t, size_t i, const char *step)
{
    bool object = i < t.n && t.p[i] == '{';
    size_t want = strtoul(step, NULL, 10), key_n = strlen(step);
    if (!object && !(i < t.n && t.p[i] == '['))
        return t.n;
    i = skip_blanks(t, i + 1);
    for (size_t index = 0; i < t.n && t.p[i] != '}' && t.p[i] != ']'; index++) {
        bool hit = index == want;
        if (object) {
            size_t after = skip_string(t.p, t.n, i);
            hit = after - i == key_n + 2 && memcmp(t.p + i + 1, step, key_n) == 0;
            i = skip_blanks(t, after);
            i = skip_blanks(t, i < t.n ? i + 1 : i); /* the colon */
        }
        if (hit)
            return i;
        i = skip_blanks(t, skip_value(t, i));
        if (i < t.n && t.p[i] == ',')
            i = skip_blanks(t, i + 1);
    }
    return t.n;
}

void jsonc_locate(struct str text, const char *const *path, size_t path_n, int *line, int *column)
{
    size_t at = skip_blanks(text, 0);
    for (size_t k = 0; k < path_n; k++) {
        size_t next = step_into(text, at, path[k]);
        if (next >= text.n)
            break;
        at = next;
    }
    *line = *column = 1;
    for (size_t i = 0; i < at && i < text.n; i++) {
        *column = text.p[i] == '\n' ? 1 : *column + 1;
        *line += text.p[i] == '\n';
    }
}
