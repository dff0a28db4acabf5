/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RETRY_H
#define BROKER_RETRY_H
/* retry: how long to wait before a task is tried again. Pure: chance comes from a seed. */
#include <stdint.h>

enum { DELAY_MAX_MS = 600000, RETRY_BASE_MS = 500, RETRY_CAP_MS = 60000, OVERLOAD_BASE_MS = 2000 };

/* A well-mixed number of a seed; the same seed gives the same number. */
uint64_t mix64(uint64_t seed);
/* Full jitter: evenly between 1 and min(cap, base * 2^(failures - 1)); failures from 1. */
int64_t retry_delay_ms(uint32_t failures, uint64_t seed);
/* The wish of an overloaded host, or our own guess when it has none; at most ten minutes. */
int64_t overload_delay_ms(uint64_t wish_ms, uint32_t times, uint64_t seed);
#endif
