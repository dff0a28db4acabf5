/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_POOL_H
#define PAWL_OPENSPEC_POOL_H
/* pool: an arena that remembers that it ran out, so that readers of text need one check at their
 * end. After a failure allocations give NULL, copies the empty view, pushes are dropped; whoever
 * made the pool answers pool_status(). Internal to common/openspec. */
#include "common/arena.h"

struct pool {
    struct arena *a;
    bool failed;
};

static inline struct pool pool_of(struct arena *a)
{
    return (struct pool){ .a = a };
}

enum status pool_status(const struct pool *p); /* OK or ERR_LIMIT */
void *pool_alloc(struct pool *p, size_t n);    /* zeroed; NULL: failed */
void *pool_grow(struct pool *p, void *items, size_t n, size_t *cap, size_t size);
struct str pool_copy(struct pool *p, struct str s);
struct str pool_cat_n(struct pool *p, const struct str *parts, size_t n);
struct str pool_num(struct pool *p, size_t v);
/* Give the bytes of a buf to the pool and free it. A failed buf fails the pool. */
struct str pool_take(struct pool *p, struct buf *b);

#define LIT(z) ((struct str){ "" z, sizeof(z) - 1 })
/* The parts one after the other. */
#define pool_cat(p, ...)                                                   \
    pool_cat_n((p), (const struct str[]){ __VA_ARGS__ },                   \
               sizeof((const struct str[]){ __VA_ARGS__ }) / sizeof(struct str))
/* Append to a list {at, n, cap}. */
#define pool_push(p, list, ...)                                                              \
    do {                                                                                     \
        void *at_ = pool_grow((p), (list)->at, (list)->n, &(list)->cap, sizeof *(list)->at); \
        if (at_) {                                                                           \
            (list)->at = at_;                                                                \
            (list)->at[(list)->n++] = __VA_ARGS__;                                           \
        }                                                                                    \
    } while (0)

/* str -> number, in the order of insertion; a name may be deleted and set again (then it is last),
 * as a JavaScript Map. */
struct map_entry {
    struct str key;
    uint64_t hash;
    void *value; /* NULL: deleted */
};

struct map {
    struct map_entry *at;
    size_t n;
    size_t cap;
    uint32_t *slots; /* index + 1 into `at`; 0: free */
    size_t slots_n;  /* a power of two */
};

void *map_get(const struct map *m, struct str key);
/* value must not be NULL. An existing key keeps its place. */
void map_set(struct pool *p, struct map *m, struct str key, void *value);
void map_delete(struct map *m, struct str key);
/* As a set: was the key new? */
bool map_add(struct pool *p, struct map *m, struct str key);
uint64_t str_hash(struct str s);
#endif
