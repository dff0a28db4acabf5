/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_HOST_IN_H
#define SIM_HOST_IN_H
/* host_in: what the parts of a host share. host.c: its life and the turns of its loop; host_store.c:
 * its connection to the store; host_ends.c: clocks, timers, sockets and the log of the broker. */
#include "broker/broker.h"
#include "tests/sim/server.h"

#include <assert.h>
#include <stddef.h>

enum { TIMERS_MAX = 8 };

struct get;

struct host {
    struct world *w;
    uint32_t no;
    struct broker *b; /* NULL: it does not run */
    char name[32], dead[32];
    uint64_t life;
    bool listens, socket_on, dying, ended;
    int64_t stopped_us;  /* suspended until then */
    bool lost;           /* its store connection broke while it was suspended */
    bool durable, reads; /* it is being told that a turn is durable, or what it has read */
    int64_t wake_us;
    struct mux_timer *timers[TIMERS_MAX];
    uint32_t timers_n, batch; /* messages that this turn may still take */
    struct packet *inbox, **inbox_end;
    /* connection to the store */
    uint64_t conns, conn, conn_life; /* conn 0: none */
    uint64_t cut;                    /* requests of connections up to this one are lost */
    int64_t asked_us, told_us;
    struct get *gets;
    uint64_t gets_n;
    struct project_rule projects[RULED_PROJECTS];
    struct stage_rule stages[RULED_STAGES];
};

/* ---- host.c */
void host_wake(struct host *h, int64_t at_us); /* a turn of its loop then, at the latest */
/* Does it die here? Before and after every effect. */
bool host_dies(struct host *h);
void host_turn_over(struct host *h); /* after any of its callbacks: the end of a turn of its loop */
/* Until it goes on, and then fn is called; false: it is not suspended. */
bool host_suspended(struct host *h, happen_fn *fn, void *ctx, uint64_t arg);
struct packet *host_inbox_take(struct host *h);

/* ---- host_store.c */
struct store host_store(struct host *h);
void host_gets_drop(struct host *h); /* what it wanted to read is not to be had */
#endif
