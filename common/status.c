/* SPDX-License-Identifier: Apache-2.0 */
#include "common/status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct row {
    const char *name;
    const char *text;
    int exit_code;
};

static const struct row rows[] = {
#define X(id, name, exit_code, text) [id] = { name, text, exit_code },
#include "schemas/statuses.def"
#undef X
};
_Static_assert(COUNT(rows) == STATUS_COUNT, "describe every status");

static const struct row *row_of(enum status st)
{
    assert((unsigned)st < STATUS_COUNT);
    return &rows[st];
}

const char *status_name(enum status st)
{
    return row_of(st)->name;
}

const char *status_text(enum status st)
{
    return row_of(st)->text;
}

int status_exit(enum status st)
{
    return row_of(st)->exit_code;
}

enum status err_set(struct err *err, enum status st, const char *fmt, ...)
{
    if (!err)
        return st;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    err->status = st;
    err->fix[0] = '\0';
    return st;
}

void err_fix(struct err *err, const char *fmt, ...)
{
    if (!err)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->fix, sizeof err->fix, fmt, ap);
    va_end(ap);
}

void err_prefix(struct err *err, const char *fmt, ...)
{
    if (!err)
        return;
    char old[sizeof err->text];
    memcpy(old, err->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", old);
}
