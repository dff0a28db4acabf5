/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_ARENA_H
#define PAWL_ARENA_H
/* arena: memory that dies together. One per task, parse or request; nothing inside is freed alone.
 * Running over the ceiling or out of memory returns NULL; callers answer ERR_LIMIT. */
#include "common/buf.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used; /* bytes handed out */
    size_t max;  /* ceiling for used */
};

void arena_init(struct arena *a, size_t max);
void arena_fini(struct arena *a);  /* frees all */
void arena_reset(struct arena *a); /* as fini, but for the first block, which the next use takes */

void *arena_alloc(struct arena *a, size_t n) MUST_USE; /* zeroed, aligned for any type */
char *arena_bytes(struct arena *a, size_t n) MUST_USE; /* the same for bytes, not zeroed */
char *arena_dup(struct arena *a, const void *p, size_t n) MUST_USE; /* copy + NUL */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_USE;

/* An array that doubles inside the arena: make room for one more element of `size` bytes.
 * Returns the (possibly moved) array or NULL. *cap is updated. */
void *arena_grow(struct arena *a, void *items, size_t count, size_t *cap, size_t size) MUST_USE;
#endif
