/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_FAILPOINT_H
#define PAWL_FAILPOINT_H
/* failpoint: places where a test has the process killed. Only in builds with -DPAWL_FAILPOINTS=ON;
 * elsewhere nothing of it is compiled.
 *
 * PAWL_FAILPOINT=NAME or NAME:N in the environment: the process kills itself with SIGKILL when it
 * passes the place of that name (failpoint.def) for the N-th time, N from 1. */
#include "common/buf.h"

enum failpoint {
#define AT(name, program) AT_##name,
#include "common/failpoint.def"
    FAILPOINT_COUNT
};

#ifdef PAWL_FAILPOINTS
void failpoint(enum failpoint at);
/* A message was taken from the socket, and what was taken before it has been handled.
 * n = 0: there is none. */
void failpoint_recv(struct str header);
void failpoint_send(struct str header, bool after);
#else
static inline void failpoint(enum failpoint at)
{
    (void)at;
}
static inline void failpoint_recv(struct str header)
{
    (void)header;
}
static inline void failpoint_send(struct str header, bool after)
{
    (void)header;
    (void)after;
}
#endif
#endif
