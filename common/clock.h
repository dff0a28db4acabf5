/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLOCK_H
#define PAWL_CLOCK_H
/* clock: the only caller of clock_gettime. The two clocks are two types. */
#include <stdint.h>

struct mono { int64_t ms; }; /* CLOCK_MONOTONIC: deadlines */
struct wall { int64_t ms; }; /* CLOCK_REALTIME: people and logs */

struct mono mono_now(void);
int64_t mono_now_us(void);
struct wall wall_now(void);
/* "2026-11-23T05:50:12.123Z" */
void wall_text(struct wall t, char out[32]);
#endif
