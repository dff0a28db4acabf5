/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOUBLED_MAX = 4096 }; /* above, it grows by half */

struct str str_of(const char *z)
{
    return (struct str){ z, z ? strlen(z) : 0 };
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_is(struct str a, const char *z)
{
    return str_eq(a, str_of(z));
}

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){ .max = max };
}

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){ .max = b->max };
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->status = OK;
    if (b->data)
        b->data[0] = '\0';
}

static enum status fail(struct buf *b, enum status st)
{
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
    b->status = st;
    return st;
}

char *buf_room(struct buf *b, size_t n)
{
    if (b->status != OK)
        return NULL;
    if (n > b->max || b->len > b->max - n) {
        fail(b, ERR_LIMIT);
        return NULL;
    }
    size_t need = b->len + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap < 64 ? 64 : b->cap;
        while (cap < need)
            cap += cap < DOUBLED_MAX ? cap : cap / 2 + 1;
        if (cap > b->max + 1)
            cap = b->max + 1;
        char *data = realloc(b->data, cap);
        if (!data) {
            fail(b, ERR_NOMEM);
            return NULL;
        }
        b->data = data;
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_grown(struct buf *b, size_t n)
{
    assert(b->data && b->len + n < b->cap);
    b->len += n;
    b->data[b->len] = '\0';
}

enum status buf_append_slow(struct buf *b, const void *data, size_t n)
{
    char *room = buf_room(b, n);
    if (!room)
        return b->status;
    if (n > 0)
        memcpy(room, data, n);
    buf_grown(b, n);
    return OK;
}

enum status buf_str(struct buf *b, const char *z)
{
    return buf_append(b, z, strlen(z));
}

enum status buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *room = n < 0 ? NULL : buf_room(b, (size_t)n);
    if (room) {
        vsnprintf(room, (size_t)n + 1, fmt, again);
        buf_grown(b, (size_t)n);
    }
    va_end(again);
    return b->status;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->len);
    if (n == 0)
        return;
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

struct str buf_get(const struct buf *b)
{
    return (struct str){ b->data, b->len };
}

char *buf_take(struct buf *b, size_t *len)
{
    if (!buf_room(b, 0))
        return NULL;
    char *data = b->data;
    data[b->len] = '\0';
    if (len)
        *len = b->len;
    *b = (struct buf){ .max = b->max };
    return data;
}

const char *buf_z(const struct buf *b)
{
    return b->data ? b->data : "";
}
