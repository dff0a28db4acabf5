/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_STAGES_H
#define BENCH_STAGES_H
/* stages: the parts of bench-stages. */
#include "common/buf.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

enum { STAGES_N = 4 };

/* Between the processes of the bench; in shared memory. */
struct tally {
    _Atomic uint64_t taken;    /* results whose durability was acknowledged */
    _Atomic uint64_t last;     /* of those, results of the last stage */
    _Atomic int64_t last_us;   /* when the newest of them was acknowledged, CLOCK_MONOTONIC */
    _Atomic uint64_t recorded; /* bytes that went to Redis through the recorder */
};

/* ---- noop.c: workers that do nothing, as fast as the protocol allows ------------------------------- */

/* Serves every stage s1 … s4 with so many slots until it is killed. Never returns. */
_Noreturn void noop_run(const char *endpoint, unsigned number, unsigned slots, struct tally *tally);

/* ---- record.c: what a broker says to Redis, and saying it again ------------------------------------ */

/* A process that passes a unix socket on to another and keeps the bytes of each connection's way to
 * Redis in the file DIR/wire.N, N from 0 in the order of the connections. */
pid_t recorder_start(const char *from, const char *to, const char *dir, struct tally *tally);

/* The commits among recorded bytes, said again one after the other, each after the last one's reply.
 * Commits before offset `from` are said first and not measured. */
struct replayed {
    double seconds; /* of the measured part */
    uint64_t commits, bytes;
};
bool replay(const char *redis_socket, const char *file, uint64_t from, struct replayed *out);
#endif
