/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_SUPERVISE_H
#define PAWL_CLI_SUPERVISE_H
/* supervise: the processes of `pawl up`. Starts them in order (redis, broker, workers), each when the
 * one before is ready; starts a dead one again, later each time; stops them in the reverse order.
 *
 *   REDIS -> BROKER -> WORKERS -> RUNNING -> STOP_WORKERS -> STOP_BROKER -> STOP_REDIS -> STOPPED
 *
 * Any failure leads from where it happened to STOP_WORKERS; a second signal kills what is left. */
#include "clients/cli/cli.h"
#include "clients/cli/link.h"

enum { CHILDREN_MAX = 128, CHILD_ARGS = 160 };

enum child_kind { CHILD_REDIS, CHILD_BROKER, CHILD_WORKER };

enum up_phase {
    UP_REDIS,
    UP_BROKER,
    UP_WORKERS,
    UP_RUNNING,
    UP_STOP_WORKERS,
    UP_STOP_BROKER,
    UP_STOP_REDIS,
    UP_STOPPED
};

struct supervisor;

struct child {
    struct supervisor *sup;
    char name[64];       /* "broker", "generate-1"; its log is NAME.log */
    char full_name[112]; /* a worker's name: HOST/generate-1 */
    enum child_kind kind;
    char path[512], log[512];
    const char *argv[CHILD_ARGS];
    pid_t pid;  /* 0: not running */
    int deaths; /* early ones, in a row */
    char died[900]; /* a worker: how its last life ended, for the next; "": it did not */
    int64_t started_ms;
    struct mux_timer again; /* when it is started again */
    bool seen;              /* a worker: the broker knows it */
};

struct supervisor {
    struct cli *cli;
    struct mux *mux;
    struct link *link;
    struct child children[CHILDREN_MAX];
    int children_n;
    enum up_phase phase;
    char redis_socket[108]; /* "" : Redis is somebody else's */
    char redis_dir[440];
    char broker_lock[512]; /* held by a broker that still runs; "" : not an ipc path */
    int redis_lock;        /* inherited by redis-server; -1: none */
    struct mux_timer step;
    int64_t phase_ms; /* when the phase began */
    bool asked;       /* WORKERS is on its way */
    bool stop_now;    /* a second signal */
    int signo;
    struct err err;                           /* why it ends, unless by a signal */
    void (*say)(void *ctx, const char *text); /* one line for people */
    void (*ready)(void *ctx);                 /* everything runs */
    void *ctx;
};

/* Run until stopped. Returns OK after a signal, else why it ended; nothing is left running. */
enum status supervise(struct supervisor *s, struct err *err) MUST_USE;
/* How long to wait before the nth start in a row, in milliseconds; pure. */
int64_t supervise_backoff(int deaths);
#endif
