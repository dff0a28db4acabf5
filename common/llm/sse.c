/* SPDX-License-Identifier: Apache-2.0 */
#include "common/llm/sse.h"

#include <stdio.h>
#include <string.h>

void sse_init(struct sse *s, size_t line_max)
{
    *s = (struct sse){ .begun = false };
    buf_init(&s->line, line_max);
    buf_init(&s->data, line_max);
}

void sse_fini(struct sse *s)
{
    buf_fini(&s->line);
    buf_fini(&s->data);
}

static enum status dispatch(struct sse *s, sse_fn *fn, void *ctx)
{
    enum status st = OK;
    if (s->has_data)
        st = fn(ctx, s->event, s->whole.p ? s->whole : buf_get(&s->data));
    s->has_data = false;
    s->whole = (struct str){ 0 };
    s->event[0] = '\0';
    buf_clear(&s->data);
    return st;
}

/* The event goes on in another piece, or has a second line: it needs a place of its own. */
static enum status keep_whole(struct sse *s)
{
    struct str whole = s->whole;
    s->whole = (struct str){ 0 };
    return whole.p ? buf_view(&s->data, whole) : OK;
}

static enum status add_data(struct sse *s, struct str value)
{
    if (!s->has_data) {
        s->has_data = true;
        s->whole = value.p ? value : str_of("");
        return OK;
    }
    enum status st = keep_whole(s);
    if (st == OK)
        st = buf_char(&s->data, '\n');
    return st == OK ? buf_view(&s->data, value) : st;
}

static enum status on_line(struct sse *s, struct str line, sse_fn *fn, void *ctx)
{
    if (!s->begun && line.n >= 3 && memcmp(line.p, "\xef\xbb\xbf", 3) == 0)
        line = (struct str){ line.p + 3, line.n - 3 };
    s->begun = true;
    if (line.n == 0)
        return dispatch(s, fn, ctx);
    const char *colon = memchr(line.p, ':', line.n);
    size_t name = colon ? (size_t)(colon - line.p) : line.n;
    struct str value = { line.p + name, 0 };
    if (colon)
        value = (struct str){ colon + 1, line.n - name - 1 };
    if (value.n > 0 && value.p[0] == ' ')
        value = (struct str){ value.p + 1, value.n - 1 };
    if (name == 4 && memcmp(line.p, "data", 4) == 0)
        return add_data(s, value);
    if (name == 5 && memcmp(line.p, "event", 5) == 0)
        snprintf(s->event, sizeof s->event, "%.*s", STR_ARG(value));
    return OK; /* comments, id, retry and whatever else there may be */
}

/* The first CR or LF, or NULL. */
static const char *line_end(const char *p, size_t n)
{
    const char *lf = memchr(p, '\n', n);
    const char *cr = memchr(p, '\r', lf ? (size_t)(lf - p) : n);
    return cr ? cr : lf;
}

enum status sse_feed(struct sse *s, struct str piece, sse_fn *fn, void *ctx)
{
    const char *p = piece.p, *end = p + piece.n;
    enum status st = OK;
    while (p < end && st == OK) {
        if (s->after_cr && *p == '\n') {
            s->after_cr = false;
            p++;
            continue;
        }
        s->after_cr = false;
        const char *stop = line_end(p, (size_t)(end - p));
        if (!stop) {
            st = buf_append(&s->line, p, (size_t)(end - p));
            break;
        }
        struct str line = { p, (size_t)(stop - p) };
        s->after_cr = *stop == '\r';
        p = stop + 1;
        if (s->line.len == 0) {
            st = on_line(s, line, fn, ctx);
            continue;
        }
        st = buf_view(&s->line, line);
        if (st == OK)
            st = on_line(s, buf_get(&s->line), fn, ctx);
        if (st == OK)
            st = keep_whole(s); /* it lies in the buffer that the next line overwrites */
        buf_clear(&s->line);
    }
    enum status kept = keep_whole(s);
    return st == OK ? kept : st;
}

enum status sse_end(struct sse *s, sse_fn *fn, void *ctx)
{
    enum status st = OK;
    if (s->line.len > 0) {
        st = on_line(s, buf_get(&s->line), fn, ctx);
        if (st == OK)
            st = keep_whole(s);
        buf_clear(&s->line);
    }
    return st == OK ? dispatch(s, fn, ctx) : st;
}
