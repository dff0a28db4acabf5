/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

struct mono mono_now(void)
{
    return (struct mono){ read_us(CLOCK_MONOTONIC) / 1000 };
}

int64_t mono_now_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

struct wall wall_now(void)
{
    return (struct wall){ read_us(CLOCK_REALTIME) / 1000 };
}

void wall_text(struct wall t, char out[32])
{
    time_t seconds = (time_t)(t.ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 32 - n, ".%03dZ", (int)(t.ms % 1000));
}
