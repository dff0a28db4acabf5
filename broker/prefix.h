/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_PREFIX_H
#define BROKER_PREFIX_H
/* prefix: jobs by the first characters of their ids. Pure. A table over the highest bits of the id,
 * as large as there are jobs but never finer than the four characters that a prefix has at least:
 * all jobs that begin alike are in one chain. */
#include "broker/cold.h"

struct prefixes {
    void **heads; /* of jobs, or cold ones */
    uint32_t bits; /* the table has 1 << bits heads; 0: none yet */
    size_t len;
};

bool prefix_put(struct prefixes *t, void *item); /* false: no memory */
void prefix_remove(struct prefixes *t, void *item);
void prefix_change(struct prefixes *t, void *from, void *to); /* the same job, cold or not */
/* The chain of all jobs that may begin so; NULL: none, or no more. */
void *prefix_chain(const struct prefixes *t, uint64_t first_of_id);
void *prefix_next(void *item);
void prefix_fini(struct prefixes *t);
#endif
