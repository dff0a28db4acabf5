/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/link.h"

#include "common/doc.h"
#include "common/endpoints.h"
#include "common/hash.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { GREETING_MS = 5000, MOVING_MS = 10000 };

static void on_signal(void *ctx, int signo)
{
    struct talk *t = ctx;
    t->interrupted = true;
    t->signo = signo;
}

/* Nobody listens on a unix socket: known at once, without waiting for a greeting. */
static bool nobody_there(const char *endpoint)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    if (strncmp(endpoint, "ipc://", 6) != 0 || strlen(endpoint + 6) >= sizeof to.sun_path)
        return false;
    memcpy(to.sun_path, endpoint + 6, strlen(endpoint + 6) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool refused = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0 &&
                   (errno == ENOENT || errno == ECONNREFUSED);
    if (fd >= 0)
        close(fd);
    return refused;
}

static bool nobody_anywhere(const char *list)
{
    struct endpoints ends;
    struct err err = { 0 };
    if (endpoints_parse(&ends, list, 0, &err) != OK)
        return false; /* link_new() says what is wrong */
    for (uint32_t i = 0; i < ends.n; i++) {
        if (!nobody_there(ends.all[i]))
            return false;
    }
    return true;
}

static enum status unreachable(const char *endpoint, const char *how, struct err *err)
{
    err_set(err, ERR_UNAVAILABLE, "%s: %s", endpoint, how);
    err_fix(err, "`pawl up` starts a broker on this machine; --broker URL names another one");
    return ERR_UNAVAILABLE;
}

void talk_absent(const struct link *l, const struct conf *conf, struct err *err)
{
    const char *endpoint = conf_endpoint(conf);
    if (link_refusal(l)) {
        *err = *link_refusal(l);
    } else if (*link_trouble(l)) {
        err_set(err, ERR_UNAVAILABLE, "%s: the broker is there, but %s", endpoint, link_trouble(l));
        err_fix(err, "start Redis again: jobs go on by themselves when it is back");
    } else {
        unreachable(endpoint,
                    nobody_anywhere(endpoint) ? "no broker runs there" : "the broker does not answer",
                    err);
    }
}

enum status talk_open(struct talk *t, const struct conf *conf, int64_t timeout_ms, bool signals,
                      struct err *err)
{
    const char *endpoint = conf_endpoint(conf);
    /* One of several may be about to lead. */
    const bool several = strchr(endpoint, ',');
    const int64_t most_ms = several ? MOVING_MS : GREETING_MS;
    *t = (struct talk){ .timeout_ms = timeout_ms };
    if (nobody_anywhere(endpoint))
        return unreachable(endpoint, "no broker runs there", err);
    if (!(t->mux = mux_new(err)))
        return err->status;
    enum status st = OK;
    if (signals && (mux_signal(t->mux, SIGINT, on_signal, t) != OK ||
                    mux_signal(t->mux, SIGTERM, on_signal, t) != OK))
        st = err_set(err, ERR_INTERNAL, "signals cannot be caught");
    if (st == OK)
        st = link_new(&t->link, t->mux, conf, err);
    int64_t until = mono_now().ms + (timeout_ms && timeout_ms < most_ms ? timeout_ms : most_ms);
    while (st == OK && !link_up(t->link)) {
        int64_t left = until - mono_now().ms;
        bool refused = link_refusal(t->link), away = *link_trouble(t->link);
        if (left > 0 && !refused && (!away || several)) {
            st = talk_turn(t, left, err);
        } else {
            t->store_away = away && !refused;
            talk_absent(t->link, conf, err);
            st = err->status;
        }
    }
    if (st != OK)
        talk_close(t);
    return st;
}

void talk_close(struct talk *t)
{
    if (t->held)
        peer_in_free(&t->in);
    link_free(t->link);
    mux_free(t->mux);
    t->held = false;
    t->link = NULL;
    t->mux = NULL;
}

enum status talk_turn(struct talk *t, int64_t wait_ms, struct err *err)
{
    enum status st = mux_turn(t->mux, wait_ms, err);
    if (st == OK && t->interrupted)
        st = err_set(err, ERR_CANCELLED, "interrupted");
    return st;
}

struct waiting {
    struct talk *talk;
    struct err *err;
    enum status st;
    bool done;
};

/* The answer outlives the callback: its bytes are copied, and decoded again from the copy. */
static void on_reply(void *ctx, const struct link_reply *reply)
{
    struct waiting *w = ctx;
    struct talk *t = w->talk;
    w->done = true;
    t->retry_ms = reply->retry_ms;
    if (!reply->m) {
        *w->err = *reply->err;
        w->st = reply->err->status;
        return;
    }
    if (t->held)
        peer_in_free(&t->in);
    t->held = true;
    t->in = *reply->in;
    reply->in->frames = NULL;
    reply->in->n = 0;
    w->st = msg_decode(peer_frame(&t->in, 0), &t->m, w->err);
}

enum status talk_ask(struct talk *t, struct msg *m, const struct str *frames, uint32_t frames_n,
                     bool again, struct err *err)
{
    /* Lives on when we give up waiting: then the link is closed before anything can be answered. */
    struct waiting w = { .talk = t, .err = err };
    if (!t->link)
        return err_set(err, ERR_UNAVAILABLE, "the connection is closed");
    int64_t until = t->timeout_ms ? mono_now().ms + t->timeout_ms : INT64_MAX;
    enum status st = link_ask(t->link, m, frames, frames_n, again, on_reply, &w);
    if (st != OK)
        return err_set(err, st, "the request is too large");
    while (st == OK && !w.done) {
        int64_t left = until - mono_now().ms;
        if (left <= 0) {
            err_set(err, ERR_TIMEOUT, "no answer from the broker within %lld s",
                    (long long)t->timeout_ms / 1000);
            err_fix(err, "`pawl doctor` looks for the reason");
            st = ERR_TIMEOUT;
        } else {
            st = talk_turn(t, until == INT64_MAX ? -1 : left, err);
        }
    }
    if (!w.done) { /* w goes out of scope: nothing may call back any more */
        link_free(t->link);
        t->link = NULL;
        return st;
    }
    return w.st;
}

struct str talk_frame(const struct talk *t, uint32_t i)
{
    return i + 1 < t->in.n ? peer_frame(&t->in, i + 1) : (struct str){ 0 };
}

enum status talk_map(struct talk *t, json_t **out, struct err *err)
{
    enum status st = js_from_mp(talk_frame(t, 0), out, err);
    if (st != OK)
        err_prefix(err, "the broker's answer");
    return st;
}

enum status talk_show(struct talk *t, const char *job, json_t **out, struct err *err)
{
    struct msg m = { .type = MSG_SHOW, .SHOW = { 0, str_of(job) } };
    enum status st = talk_ask(t, &m, NULL, 0, true, err);
    if (st == ERR_NOT_FOUND) {
        err_prefix(err, "%.60s", job);
        err_fix(err, "`pawl ps --state all` lists the jobs that are kept");
    }
    return st == OK ? talk_map(t, out, err) : st;
}

enum status talk_get(struct talk *t, struct doc_ref ref, json_t **out, struct err *err)
{
    char kind[PAWL_NAME_MAX + 1];
    struct msg m = { .type = MSG_GET };
    m.GET = (struct msg_GET){ 0, str_of(ref.job), str_of(ref.name), (uint64_t)ref.run,
                              (uint64_t)ref.round };
    enum status st = talk_ask(t, &m, NULL, 0, true, err);
    if (st != OK)
        return st;
    snprintf(kind, sizeof kind, "%.*s", (int)strcspn(ref.name, "@/"), ref.name);
    return doc_unpack(kind, talk_frame(t, 0), out, err);
}
