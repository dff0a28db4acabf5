/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_BUCKET_H
#define BROKER_BUCKET_H
/* bucket: a token bucket: so many units a minute, evenly, and what is not used within a second (or
 * for a single unit) is not saved up. May be overdrawn by what was used before it was known: then
 * it is closed until that has flowed in again. Pure; times are monotonic milliseconds. */
#include <stdint.h>

struct bucket {
    uint64_t per_minute; /* 0: no limit */
    int64_t level;       /* units * 60000, at … */
    int64_t at_ms;
};

void bucket_init(struct bucket *b, uint64_t per_minute, int64_t now_ms); /* full */
/* When `units` can be taken (1: when anything is there): now_ms or later. */
int64_t bucket_when(const struct bucket *b, uint64_t units, int64_t now_ms);
/* Take them, whatever is there. */
void bucket_take(struct bucket *b, uint64_t units, int64_t now_ms);
#endif
