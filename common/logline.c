/* SPDX-License-Identifier: Apache-2.0 */
#include "common/logline.h"

#include "common/buf.h"
#include "common/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 16 * 1024, VALUE_MAX_BYTES = 2048 };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

void log_init(struct log *log, const char *role, const char *level, bool json)
{
    *log = (struct log){ .level = LOG_INFO, .json = json, .fd = STDERR_FILENO };
    snprintf(log->role, sizeof log->role, "%s", role);
    for (size_t i = 0; i < COUNT(level_names); i++) {
        if (strcmp(level, level_names[i]) == 0)
            log->level = (enum log_level)i;
    }
}

/* JSON string escapes serve both forms: no line break or control character reaches the terminal. */
static void escaped(struct buf *out, const char *z)
{
    size_t n = strnlen(z, VALUE_MAX_BYTES);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)z[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_str(out, "\\n");
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\u%04x", c);
        else
            buf_char(out, (char)c);
    }
    if (z[n])
        buf_str(out, "…");
}

static bool plain_word(const char *z)
{
    return *z && strlen(z) < VALUE_MAX_BYTES && !strpbrk(z, " \"\\=\n\r\t\x1b\x7f");
}

static void pair(struct buf *out, bool json, const char *key, const char *value)
{
    if (json) {
        buf_printf(out, ",\"%s\":\"", key);
        escaped(out, value);
        buf_char(out, '"');
        return;
    }
    buf_printf(out, " %s=", key);
    bool bare = plain_word(value);
    if (!bare)
        buf_char(out, '"');
    escaped(out, value);
    if (!bare)
        buf_char(out, '"');
}

static void head(struct buf *out, const struct log *log, enum log_level level, const char *msg)
{
    char at[32];
    wall_text(wall_now(), at);
    if (log->json) {
        buf_printf(out, "{\"ts\":\"%s\"", at);
        pair(out, true, "level", level_names[level]);
    } else {
        buf_printf(out, "%s %-5s", at, level_names[level]);
    }
    pair(out, log->json, "role", log->role);
    pair(out, log->json, "msg", msg);
}

static void finish(struct buf *out, const struct log *log)
{
    buf_str(out, log->json ? "}\n" : "\n");
    if (out->status == OK) {
        ssize_t n = write(log->fd, out->data, out->len);
        (void)n; /* there is no other place to complain */
    }
    buf_fini(out);
}

void log_line(struct log *log, enum log_level level, const char *msg, ...)
{
    if (!log || level < log->level)
        return;
    struct buf out;
    buf_init(&out, LINE_MAX_BYTES);
    head(&out, log, level, msg);
    va_list ap;
    va_start(ap, msg);
    for (const char *key; (key = va_arg(ap, const char *));) {
        const char *value = va_arg(ap, const char *);
        pair(&out, log->json, key, value ? value : "");
    }
    va_end(ap);
    finish(&out, log);
}

void log_printf(struct log *log, enum log_level level, const char *fmt, ...)
{
    if (!log || level < log->level)
        return;
    char msg[VALUE_MAX_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    log_line(log, level, msg, NULL);
}
