/* SPDX-License-Identifier: Apache-2.0 */
/* standby: a broker that waits until nobody leads, and then does. It listens nowhere meanwhile: its
 * peers find it by trying the endpoints they know. */
#include "broker/broker.h"

#include <stdio.h>
#include <string.h>

enum { AGAIN_MS = 300 };

struct waiting {
    struct broker *b;
    enum lease_is is;
    char said[256]; /* each state is logged once */
};

static void say_once(struct waiting *w, enum lease_is is, const char *what)
{
    if (strncmp(w->said, what, sizeof w->said - 1) == 0)
        return;
    snprintf(w->said, sizeof w->said, "%s", what);
    if (is == LEASE_HELD)
        log_line(&w->b->log, LOG_INFO, "standing by", "leader", what, NULL);
    else
        log_line(&w->b->log, LOG_WARN, "standing by", "trouble", what, NULL);
}

static void on_lease(void *ctx, enum lease_is is, const char *what)
{
    struct waiting *w = ctx;
    w->is = is;
    if (is != LEASE_FREE)
        say_once(w, is, what);
}

/* Until nobody leads, or the broker is to stop. */
static enum status wait_lease(struct waiting *w, struct err *err)
{
    struct broker *b = w->b;
    struct lease_watch *watch = lease_watch_new(b->redis, on_lease, w);
    enum status st = watch ? OK : err_set(err, ERR_NOMEM, "out of memory");
    w->is = LEASE_UNKNOWN;
    while (st == OK && !b->stopping && w->is != LEASE_FREE)
        st = mux_turn(b->mux, -1, err);
    lease_watch_free(watch);
    return st;
}

static enum status pause_for(struct broker *b, int64_t ms, struct err *err)
{
    int64_t until = mono_now().ms + ms;
    enum status st = OK;
    while (st == OK && !b->stopping && mono_now().ms < until)
        st = mux_turn(b->mux, until - mono_now().ms, err);
    return st;
}

enum status standby_lead(struct broker *b, struct err *err)
{
    struct waiting w = { .b = b };
    for (;;) {
        enum status st = wait_lease(&w, err);
        if (st != OK || b->stopping)
            return st;
        memset(err, 0, sizeof *err);
        if ((st = broker_listen(b, err)) == OK && broker_recover(b, err))
            return OK;
        st = err->status;
        broker_unlisten(b);
        /* Another one was faster, Redis went away again, or a stopped leader has the endpoint. */
        if (st != ERR_BUSY && st != ERR_UNAVAILABLE)
            return st;
        say_once(&w, LEASE_UNKNOWN, err->text);
        if ((st = pause_for(b, AGAIN_MS, err)) != OK)
            return st;
    }
}
