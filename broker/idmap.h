/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_IDMAP_H
#define BROKER_IDMAP_H
/* idmap: 64-bit ids to pointers, open addressing, linear probing. Ids are not zero. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct idmap {
    struct idmap_slot {
        uint64_t id; /* 0: free */
        void *item;
    } * slots;
    size_t cap; /* power of two, or 0 */
    size_t len;
};

void idmap_fini(struct idmap *m);
void *idmap_get(const struct idmap *m, uint64_t id);      /* NULL: absent */
bool idmap_put(struct idmap *m, uint64_t id, void *item); /* false: no memory */
void idmap_change(struct idmap *m, uint64_t id, void *item); /* of an id that is there */
void idmap_remove(struct idmap *m, uint64_t id);          /* fine when absent */
/* Walk: start with *at = 0; NULL at the end. Removing while walking is not allowed. */
void *idmap_next(const struct idmap *m, size_t *at);
#endif
