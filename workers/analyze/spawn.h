/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_ANALYZE_SPAWN_H
#define PAWL_ANALYZE_SPAWN_H
/* spawn: start a program by argv, never through a shell, in a process group of its own, with pipes
 * on its three descriptors and an environment of HOME LOGNAME PATH SHELL TERM USER plus `env`. */
#include "common/status.h"

#include <sys/types.h>

struct spawned {
    pid_t pid;        /* also the process group */
    int in, out, err; /* our ends, non-blocking, closed on exec */
};

/* A program that cannot be run ends with status 127 after a word on its stderr. It gets SIGKILL when
 * this process dies. */
enum status spawn(struct spawned *out, const char *const *argv, const char *const *env,
                  const char *cwd /* "": ours */, struct err *err) MUST_USE;
#endif
