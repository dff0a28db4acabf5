/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/retry.h"

#include <assert.h>

enum { OVERLOAD_CAP_MS = 600000, SHIFT_MAX = 20 };

uint64_t mix64(uint64_t seed)
{
    uint64_t z = seed + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int64_t doubled(int64_t base_ms, uint32_t times, int64_t cap_ms)
{
    uint32_t shift = times < SHIFT_MAX ? times : SHIFT_MAX;
    int64_t ms = base_ms << shift;
    return ms < cap_ms ? ms : cap_ms;
}

int64_t retry_delay_ms(uint32_t failures, uint64_t seed)
{
    assert(failures >= 1);
    int64_t most = doubled(RETRY_BASE_MS, failures - 1, RETRY_CAP_MS);
    return 1 + (int64_t)(mix64(seed) % (uint64_t)most);
}

int64_t overload_delay_ms(uint64_t wish_ms, uint32_t times, uint64_t seed)
{
    if (wish_ms > OVERLOAD_CAP_MS)
        return OVERLOAD_CAP_MS;
    if (wish_ms > 0)
        return (int64_t)wish_ms; /* the host knows best */
    int64_t most = doubled(OVERLOAD_BASE_MS, times, RETRY_CAP_MS);
    return most / 2 + (int64_t)(mix64(seed) % (uint64_t)(most / 2 + 1));
}
