/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MUX_H
#define PAWL_MUX_H
/* mux: the one loop of a process. zmq_poll over the ZeroMQ sockets plus one nested epoll descriptor
 * for all the rest (facts measured: no lost wake-ups, no edge-trigger rules). It sleeps exactly
 * until something is due. Single thread; callbacks may add and remove anything, also themselves. */
#include "common/clock.h"
#include "common/heap.h"
#include "common/status.h"

#include <stdbool.h>
#include <sys/types.h>

struct mux;

struct mux *mux_new(struct err *err); /* blocks SIGPIPE for the process; NULL: failed */
void mux_free(struct mux *m);

/* Descriptors. events: MUX_IN | MUX_OUT. One callback per fd; adding again changes it. */
enum { MUX_IN = 1, MUX_OUT = 2, MUX_HUP = 4 };
typedef void mux_fd_fn(void *ctx, int fd, int events);
enum status mux_fd(struct mux *m, int fd, int events, mux_fd_fn *fn, void *ctx) MUST_USE;
void mux_fd_remove(struct mux *m, int fd); /* before close(fd); fine when absent */

/* A ZeroMQ socket: called while it has input (level-triggered). */
typedef void mux_socket_fn(void *ctx, void *socket);
enum status mux_socket(struct mux *m, void *socket, mux_socket_fn *fn, void *ctx) MUST_USE;
void mux_socket_remove(struct mux *m, void *socket);

/* Timers live in their owner. Zero-initialise with MUX_TIMER(fn, ctx); one shot. */
struct mux_timer {
    struct mono at;
    void (*fn)(void *ctx);
    void *ctx;
    uint32_t slot;
};
#define MUX_TIMER(f, c) ((struct mux_timer){ .fn = (f), .ctx = (c), .slot = HEAP_NONE })
void mux_timer_at(struct mux *m, struct mux_timer *t, struct mono at); /* set or move */
void mux_timer_in(struct mux *m, struct mux_timer *t, int64_t delay_ms);
void mux_timer_stop(struct mux *m, struct mux_timer *t); /* fine when not set */

/* Signals through signalfd: block them before any thread starts, that is before the ZeroMQ context
 * does (mux_new does not). SIGCHLD is handled by mux_child. */
enum status mux_signal(struct mux *m, int signo, void (*fn)(void *ctx, int signo), void *ctx) MUST_USE;
/* Reap this child when it ends. `status` as from waitpid(2). */
enum status mux_child(struct mux *m, pid_t pid, void (*fn)(void *ctx, pid_t pid, int status), void *ctx) MUST_USE;

void mux_child_forget(struct mux *m, pid_t pid); /* no callback; fine when absent */

/* Called at the end of each turn, after all callbacks: the place to flush. One per mux. */
void mux_after(struct mux *m, void (*fn)(void *ctx), void *ctx);

struct mono mux_now(const struct mux *m); /* the time of this turn */
enum status mux_run(struct mux *m, struct err *err) MUST_USE; /* until mux_stop() */
/* One turn: wait at most wait_ms (-1: until something is due), dispatch, return. */
enum status mux_turn(struct mux *m, int64_t wait_ms, struct err *err) MUST_USE;
void mux_stop(struct mux *m);
#endif
