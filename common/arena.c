/* SPDX-License-Identifier: Apache-2.0 */
#include "common/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 16 * 1024, ALIGN = _Alignof(max_align_t) };

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t cap;
    _Alignas(max_align_t) char data[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){ .max = max };
}

void arena_fini(struct arena *a)
{
    for (struct arena_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    a->blocks = NULL;
    a->used = 0;
}

void arena_reset(struct arena *a)
{
    struct arena_block *first = a->blocks;
    while (first && first->next) {
        struct arena_block *b = first;
        first = b->next;
        free(b);
    }
    if (first && first->cap > BLOCK_BYTES) {
        free(first);
        first = NULL;
    }
    if (first)
        first->used = 0;
    a->blocks = first;
    a->used = 0;
}

char *arena_bytes(struct arena *a, size_t n)
{
    if (n > a->max || a->used > a->max - n)
        return NULL;
    size_t size = (n + ALIGN - 1) / ALIGN * ALIGN;
    struct arena_block *b = a->blocks;
    if (!b || b->cap - b->used < size) {
        size_t cap = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        b = malloc(sizeof *b + cap);
        if (!b)
            return NULL;
        *b = (struct arena_block){ .next = a->blocks, .cap = cap };
        a->blocks = b;
    }
    char *p = b->data + b->used;
    b->used += size;
    a->used += n;
    return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
    char *p = arena_bytes(a, n);
    return p ? memset(p, 0, n) : NULL;
}

char *arena_dup(struct arena *a, const void *p, size_t n)
{
    char *copy = n < SIZE_MAX ? arena_bytes(a, n + 1) : NULL;
    if (!copy)
        return NULL;
    if (n > 0)
        memcpy(copy, p, n);
    copy[n] = '\0';
    return copy;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

void *arena_grow(struct arena *a, void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return items;
    size_t wider = *cap ? *cap * 2 : 8;
    if (wider > SIZE_MAX / size)
        return NULL;
    void *moved = arena_alloc(a, wider * size);
    if (!moved)
        return NULL;
    if (count > 0)
        memcpy(moved, items, count * size);
    *cap = wider;
    return moved;
}
