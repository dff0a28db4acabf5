/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/bucket.h"

static const int64_t UNIT = 60000;                    /* a unit a minute is this much an ms: 1 */
static const int64_t LEVEL_MOST = (int64_t)1 << 62;   /* sums cannot wrap */
static const uint64_t UNITS_MOST = (uint64_t)1 << 44; /* … nor products */

static int64_t capacity(const struct bucket *b)
{
    int64_t second = (int64_t)b->per_minute * 1000;
    return second > UNIT ? second : UNIT;
}

static int64_t level(const struct bucket *b, int64_t now_ms)
{
    int64_t most = capacity(b), room = most - b->level;
    int64_t past = now_ms > b->at_ms ? now_ms - b->at_ms : 0;
    if (past >= room / (int64_t)b->per_minute + 1)
        return most;
    int64_t now = b->level + past * (int64_t)b->per_minute;
    return now < most ? now : most;
}

void bucket_init(struct bucket *b, uint64_t per_minute, int64_t now_ms)
{
    *b = (struct bucket){ .per_minute = per_minute < UNITS_MOST ? per_minute : UNITS_MOST };
    b->level = per_minute ? capacity(b) : 0;
    b->at_ms = now_ms;
}

int64_t bucket_when(const struct bucket *b, uint64_t units, int64_t now_ms)
{
    if (b->per_minute == 0)
        return now_ms;
    int64_t missing = (int64_t)units * UNIT - level(b, now_ms), rate = (int64_t)b->per_minute;
    return missing > 0 ? now_ms + (missing + rate - 1) / rate : now_ms;
}

void bucket_take(struct bucket *b, uint64_t units, int64_t now_ms)
{
    if (b->per_minute == 0)
        return;
    int64_t n = (int64_t)(units < UNITS_MOST ? units : UNITS_MOST) * UNIT;
    b->level = level(b, now_ms);
    b->at_ms = now_ms;
    b->level = b->level > n - LEVEL_MOST ? b->level - n : -LEVEL_MOST;
}
