/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_COLD_H
#define BROKER_COLD_H
/* cold: a job that waits for a worker and has nothing in memory that its record does not say, in as
 * few bytes as will do: what it needs to keep its place in the queue, and the difference of its
 * record to one of a few model records. Pure. Reading it back gives the very bytes of the record.
 *
 * Where jobs are kept (by id, by prefix), a pointer is to a struct job, or, with its lowest bit
 * set, to a struct cold. */
#include "broker/job.h"

struct cold {
    uint64_t id;
    void *alike;      /* prefix.c */
    struct rank rank; /* in the ready queue */
    uint32_t project_no;
    uint16_t lane, n; /* n: bytes */
    uint8_t model, klass, stage;
    char bytes[];
};

enum { MODELS_MAX = 32, COLD_BYTES_MAX = 4096 };

struct model {
    char *bytes;
    uint32_t *ends; /* of its tokens */
    uint32_t tokens;
    bool *differs; /* scratch: of the record that is being written */
};

struct models {
    struct model v[MODELS_MAX];
    uint32_t n;
};

void models_free(struct models *m);
/* Everything but rank, lane and project is filled in. NULL: too different from all models, too
 * large, or no memory: let it stay as it is. */
struct cold *cold_new(struct models *m, const struct job *j, struct str record);
/* Append the record. */
void cold_record(const struct models *m, const struct cold *k, struct buf *out);

static inline bool item_is_cold(const void *item)
{
    return ((uintptr_t)item & 1) != 0;
}

static inline struct cold *item_cold(const void *item)
{
    return (struct cold *)((uintptr_t)item - 1);
}

static inline void *cold_item(const struct cold *k)
{
    return (void *)((uintptr_t)k + 1);
}

static inline uint64_t item_id(const void *item)
{
    return item_is_cold(item) ? item_cold(item)->id : ((const struct job *)item)->id;
}
#endif
