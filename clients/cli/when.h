/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_WHEN_H
#define PAWL_CLI_WHEN_H
/* when: a time as people write it. */
#include "common/status.h"

#include <stdint.h>

/* "18:30" (the next time it is that), "2026-11-24", "2026-11-24 18:30", "2026-11-24T18:30:00",
 * all in local time unless "Z" or an offset such as "+01:00" follows a date with a time. out:
 * Unix milliseconds. now_ms: the wall clock. */
enum status when_parse(const char *text, int64_t now_ms, int64_t *out, struct err *err) MUST_USE;
#endif
