/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_LOGLINE_H
#define PAWL_LOGLINE_H
/* logline: one line per event on stderr, one write(2) each: time, level, role, message, then
 * key=value pairs (logfmt), or one JSON object per line. Control characters are escaped, values are
 * cut at 2 KiB. Never log a prompt or a secret. */
#include "common/status.h"

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log {
    enum log_level level; /* lines below are dropped */
    bool json;
    int fd;               /* usually 2 */
    char role[32];        /* "broker", "generate", … */
};

void log_init(struct log *log, const char *role, const char *level, bool json);
/* Pairs: key, value, …, NULL; values are C strings. log may be NULL: nothing happens.
 * log_line(log, LOG_INFO, "task done", "task", key, "ms", ms_text, NULL) */
void log_line(struct log *log, enum log_level level, const char *msg, ...) __attribute__((sentinel));
/* Formatted message without pairs. */
void log_printf(struct log *log, enum log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);
#endif
