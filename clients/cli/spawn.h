/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_SPAWN_H
#define PAWL_CLI_SPAWN_H
/* spawn: starting a process that cannot outlive us, its output in a log file. */
#include "common/buf.h"

#include <sys/types.h>

struct spawn {
    const char *path;        /* executable */
    const char *const *argv; /* NULL-terminated */
    const char *log;         /* file, appended to; moved to .1 above 8 MiB */
    const char *died;        /* PAWL_DIED of the child; NULL: none */
    int keep;                /* a descriptor that the child inherits (a held lock), -1: none */
};

/* Its own process group, SIGTERM when this process dies, nothing of ours inherited but `keep`. */
enum status spawn_start(const struct spawn *s, pid_t *pid, struct err *err) MUST_USE;
/* Where an executable is: beside our own, or in PATH. False: nowhere. */
bool spawn_beside(const char *name, char *path, size_t size);
bool spawn_in_path(const char *name, char *path, size_t size);
/* The last lines of a file. */
void spawn_tail(const char *path, int lines, struct buf *out);
/* "signal 9 (Killed)", "exit code 78". */
void spawn_status_text(int status, char *text, size_t size);
#endif
