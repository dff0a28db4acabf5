/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_SIM_H
#define SIM_SIM_H
/* sim: a seeded world around the real broker. What is real: everything of broker/ but its ends
 * (the core, the turn loop, the edge, fetching, connections, recovery, the in-memory store). What is
 * simulated: clocks, sockets, the wire, the store's server, workers, clients, and what goes wrong.
 * A step is one happening: an arrival, a turn, a commit, an act of a peer, a fault. The same seed,
 * steps and rates give the same world, whatever machine runs it. */
#include "common/hash.h"
#include "common/msg.h"
#include "tests/sim/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world;

/* ---- chance ------------------------------------------------------------------------------- */

uint64_t chance_next(struct world *w);
uint32_t chance_below(struct world *w, uint32_t n); /* 0 … n - 1; n > 0 */
int64_t chance_between(struct world *w, int64_t least, int64_t most);
bool chance_of(struct world *w, uint32_t per_100k);

/* Faults, each with a rate per 100,000 occasions. */
#define FAULTS(X)                                                                                  \
    X(CUT, "cut", 400, "a message breaks its connection, and what is behind it is lost")           \
    X(BUSY, "busy", 100, "a socket's queue is full: the message is not sent")                       \
    X(SLOW_WIRE, "slow-wire", 500, "a message takes up to a second")                               \
    X(CRASH, "crash", 40, "the broker dies before or after an effect")                             \
    X(STOP, "stop", 30, "the broker is suspended for up to 20 seconds")                             \
    X(REQUEST_LOST, "request-lost", 60, "the store's connection breaks before a commit arrives")   \
    X(REPLY_LOST, "reply-lost", 60, "… after a commit is made, before its reply")                  \
    X(STORE_ERROR, "store-error", 30, "the store refuses a commit")                                \
    X(STORE_BAD, "store-bad", 20, "the store cannot make one operation of a batch")                \
    X(STORE_DUP, "store-dup", 100, "a commit arrives twice")                                       \
    X(STORE_DOWN, "store-down", 20, "the store is away for up to 5 seconds")                        \
    X(READ_FAIL, "read-fail", 60, "a read fails, or a load")                                       \
    X(FAILOVER, "failover", 30, "the store's newest writes are lost")                               \
    X(CLOCK, "clock", 50, "the wall clock jumps")                                                  \
    X(DIE, "die", 1500, "a worker dies")                                                            \
    X(HANG, "hang", 800, "a worker hangs, and wakes up much later or never")                        \
    X(AMNESIA, "amnesia", 1500, "a worker forgets a task but lives on")                              \
    X(LAZY, "lazy", 600, "a step takes longer than a lease may be silent; the worker beats on")    \
    X(FAIL, "fail", 4000, "a task fails, overloads or is given back")                              \
    X(TWICE, "twice", 1000, "a peer says something twice")
enum fault {
#define X(id, name, rate, meaning) FAULT_##id,
    FAULTS(X)
#undef X
        FAULT_COUNT
};

struct sim_conf {
    uint64_t seed;
    uint64_t steps;  /* with faults; the calm that follows is not counted */
    uint32_t rate[FAULT_COUNT];
    uint32_t projects, jobs, workers, hosts; /* 0: from the seed */
    bool calm;       /* afterwards, without faults, every job must end */
    bool trace;
    uint32_t check_every; /* steps between whole checks; 0: never */
};
const char *fault_name(enum fault f);
void conf_default(struct sim_conf *c);

/* ---- what happens next -------------------------------------------------------------------- */

typedef void happen_fn(struct world *w, void *ctx, uint64_t arg);
void world_at(struct world *w, int64_t at_us, happen_fn *fn, void *ctx, uint64_t arg);
void world_in(struct world *w, int64_t delay_us, happen_fn *fn, void *ctx, uint64_t arg);
int64_t wire_delay_us(struct world *w);
int64_t sim_wall_ms(const struct world *w);

/* ---- the wire ----------------------------------------------------------------------------- */

enum { PACKET_FRAMES = 12 };
struct packet {
    struct packet *next;
    uint64_t link; /* by which it travels */
    bool early;    /* nobody listened: it is in its sender's queue */
    uint32_t n;
    struct str frame[PACKET_FRAMES]; /* header first */
};
struct packet *packet_new(struct str header, const struct str *frames, uint32_t n);
void packet_free(struct packet *p);

/* A worker or a client as the wire sees it. */
struct end {
    struct world *w;
    uint32_t no;
    uint32_t host;  /* the broker that it talks to */
    uint64_t link;  /* name of its connection; another one after each break */
    int64_t out_us, in_us; /* first in, first out */
    int64_t broken_us;
    void (*hear)(struct end *e, const struct msg *m, const struct str *frames, uint32_t n);
    bool deaf; /* dead or hung: what arrives is lost, or waits */
    bool hung;
};
/* Send to the broker of this end. */
void end_say(struct end *e, const struct msg *m, const struct str *frames, uint32_t n);
void end_relink(struct end *e); /* the connection is a new one */
/* The broker's side: OK, ERR_BUSY, ERR_NOT_FOUND as peer_send_raw(). */
enum status wire_to_end(struct world *w, uint64_t link, struct str header, const struct str *frames,
                        uint32_t n);
struct end *wire_end(struct world *w, uint64_t link); /* NULL: no such end ever */

/* ---- parts -------------------------------------------------------------------------------- */

struct host;   /* host.c: a broker's process */
struct server; /* server.c: the store's server */
struct worker; /* worker.c */
struct client; /* client.c */

struct host *host_new(struct world *w, uint32_t no);
void host_free(struct host *h);
void host_start(struct host *h); /* if it does not run */
void host_deliver(struct host *h, struct packet *p); /* takes the packet */
void host_check(const struct host *h); /* core_check */
void host_kill(struct host *h);
void host_stop(struct host *h, int64_t ms);

struct server *server_new(struct world *w);
void server_free(struct server *s);
void server_fail_over(struct server *s);
void server_down(struct server *s, int64_t ms);
void server_heal(struct server *s);

struct worker *worker_new(struct world *w, uint32_t no, uint32_t stages);
void worker_free(struct worker *k);
void worker_calm(struct worker *k); /* no more faults of its own */
enum { STAGE_KINDS = 6 };           /* bit per name of stage_names */
extern const char *const stage_names[STAGE_KINDS];

struct client *client_new(struct world *w, uint32_t no);
void client_free(struct client *c);
void client_calm(struct client *c);

struct world {
    struct sim_conf conf;
    uint64_t chance;
    int64_t now_us;
    int64_t wall_skew_ms;
    uint64_t steps, order;
    struct happening *queue;
    size_t queue_n, queue_cap;
    bool calm; /* faults have stopped */
    struct oracle *oracle;
    struct server *server;
    struct host *hosts[2];
    struct worker **workers;
    struct client *client;
    struct end **ends;
    uint32_t ends_n;
    uint64_t names; /* unique numbers for processes, texts, requests */
    uint64_t told[FAULT_COUNT]; /* faults that happened */
    struct oracle_rules rules;
};

bool world_fault(struct world *w, enum fault f); /* does it happen now? */
void world_trace(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Run one world. False: a promise was broken; it was printed. */
bool world_run(const struct sim_conf *conf);
/* A broken promise: print it with seed and step, and end the process. */
_Noreturn void world_broken(struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
extern struct world *the_world; /* the one that runs: the ends of the broker have no context */
void end_add(struct world *w, struct end *e);
struct str sim_frame(const char *text, char *space); /* {text: …} as a plain document */
bool sim_text(struct str frame, struct str *text);   /* back */
#endif
