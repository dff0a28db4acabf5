/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_BUF_H
#define PAWL_BUF_H
/* buf: bytes that grow up to a ceiling, and str: a borrowed view of bytes.
 * A buf that hits its ceiling or runs out of memory frees what it holds, remembers the failure and
 * refuses everything that follows, so a chain of appends needs one check at its end. The bytes are
 * always followed by a NUL that `len` does not count. */
#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes owned by somebody else; not NUL-terminated in general. p may be NULL when n is 0. */
struct str {
    const char *p;
    size_t n;
};

struct str str_of(const char *z); /* view of a C string; NULL gives the empty view */
bool str_eq(struct str a, struct str b);
bool str_is(struct str a, const char *z);
/* Printf helper: printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)((s).n > 4096 ? 4096 : (s).n), (s).p ? (s).p : ""

struct buf {
    char *data; /* NULL until the first append */
    size_t len;
    size_t cap;
    size_t max;         /* ceiling in bytes for len */
    enum status status; /* OK, ERR_LIMIT or ERR_NOMEM; sticky until buf_fini */
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);  /* frees; the buf may be initialised again */
void buf_clear(struct buf *b); /* empty, keeps the memory; also clears the failure */

enum status buf_append_slow(struct buf *b, const void *data, size_t n); /* there is no room yet */
static inline enum status buf_append(struct buf *b, const void *data, size_t n)
{
    if (n >= b->cap - b->len) /* of a buf that failed, too */
        return buf_append_slow(b, data, n);
    if (n > 0)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
    return OK;
}
enum status buf_str(struct buf *b, const char *z);
static inline enum status buf_view(struct buf *b, struct str s)
{
    return buf_append(b, s.p, s.n);
}
static inline enum status buf_char(struct buf *b, char c)
{
    return buf_append(b, &c, 1);
}
enum status buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Drop the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);
/* Make room for n more bytes and return where they go; buf_grown() counts them in. NULL: failed. */
char *buf_room(struct buf *b, size_t n);
void buf_grown(struct buf *b, size_t n);

struct str buf_get(const struct buf *b); /* view, valid until the next change */
/* Give the NUL-terminated bytes away; the caller frees them with free(). NULL if the buf failed. */
char *buf_take(struct buf *b, size_t *len);
/* The bytes as a C string, "" when empty or failed; valid until the next change. */
const char *buf_z(const struct buf *b);
#endif
