/* SPDX-License-Identifier: Apache-2.0 */
/* WATCH: events under credit. A subscription is live when it has everything up to the newest
 * durable event; otherwise it reads on from the history, a page at a time, as credit allows. */
#include "broker/serve.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 200, SUBS_PER_CONN_MAX = 32 };
static const uint64_t credit_max = 1000000;

struct sub {
    struct sub *next;
    struct broker *b;
    uint64_t conn, req;
    char job[ID_CHARS + 1];          /* "": all */
    char project[PAWL_NAME_MAX + 1]; /* "": all */
    uint64_t credit;
    char at[EVENT_ID_MAX];     /* everything up to here is said; "": nothing of the history yet */
    char newest[EVENT_ID_MAX]; /* the newest durable event when the last read began */
    bool live, reading, gone;
    bool check_gap; /* `since` was given: is it still in the history? */
};

static bool matches(const struct sub *s, struct str job, struct str project)
{
    return (!s->job[0] || str_is(job, s->job)) && (!s->project[0] || str_is(project, s->project));
}

static void say_event(struct sub *s, struct str id, const struct kept_event *e)
{
    struct msg m = { .type = MSG_EVENT };
    m.EVENT = (struct msg_EVENT){ .req = s->req,
                                  .id = id,
                                  .kind = e->kind,
                                  .job = e->job,
                                  .at_ms = e->at_ms,
                                  .facts = e->facts };
    loop_say(s->b, s->conn, &m, NULL, 0);
}

static void set_at(struct sub *s, struct str id)
{
    snprintf(s->at, sizeof s->at, "%.*s", STR_ARG(id));
}

static void say_reset(struct sub *s, struct str since)
{
    struct buf facts;
    buf_init(&facts, 256);
    mp_map(&facts, 1);
    mp_z(&facts, "since");
    mp_str(&facts, since);
    struct kept_event e = { .kind = str_of("reset"),
                            .job = str_of(s->job),
                            .facts = buf_get(&facts),
                            .at_ms = (uint64_t)s->b->wall_ms };
    say_event(s, since, &e);
    buf_fini(&facts);
}

static void read_on(struct sub *s);

/* One event of the history or of now. False: no credit for it, or nothing may be said. */
static bool pass(struct sub *s, struct str id, struct str bytes)
{
    struct kept_event e;
    if (s->b->broken || !broker_sure(s->b))
        return false; /* it would not be said: watch_restart() begins here */
    if (event_decode(bytes, &e) && matches(s, e.job, e.project)) {
        if (s->credit == 0)
            return false;
        s->credit--;
        say_event(s, id, &e);
    }
    set_at(s, id);
    return true;
}

static void sub_remove(struct broker *b, struct sub *s)
{
    struct sub **at = &b->subs;
    while (*at && *at != s)
        at = &(*at)->next;
    if (*at)
        *at = s->next;
    if (s->reading)
        s->gone = true; /* freed when its read comes back */
    else
        free(s);
}

static bool back(struct sub *s, enum status st)
{
    s->reading = false;
    if (s->gone) {
        free(s);
        return false;
    }
    return st == OK && s->b->core != NULL; /* otherwise watch_restart() reads on */
}

static void on_events(void *ctx, enum status st, const struct str *v, uint32_t n)
{
    struct sub *s = ctx;
    if (!back(s, st))
        return;
    bool all = true;
    for (uint32_t i = 0; i + 1 < n && all && !s->gone; i += 2)
        all = pass(s, v[i], v[i + 1]);
    if (!all)
        return; /* goes on with the next credit */
    /* Nothing more to read, and nothing became durable while we read: from now on live. */
    if (n == 0 && strcmp(s->newest, s->b->last_event) == 0)
        s->live = true;
    else
        read_on(s);
}

/* Is the place that was left still there? If not, something may be missing. */
static void on_oldest(void *ctx, enum status st, const struct str *v, uint32_t n)
{
    struct sub *s = ctx;
    if (!back(s, st))
        return;
    s->check_gap = false;
    if (n >= 2 && s->at[0] && event_id_compare(v[0], str_of(s->at)) > 0)
        say_reset(s, str_of(s->at));
    read_on(s);
}

static void read_on(struct sub *s)
{
    if (s->live || s->reading || s->credit == 0 || !s->b->core || s->b->broken)
        return;
    struct str from = str_of(s->at);
    memcpy(s->newest, s->b->last_event, sizeof s->newest);
    struct store_get g = { .kind = s->check_gap ? GET_OLDEST : GET_EVENTS,
                           .names = &from,
                           .names_n = s->check_gap ? 0 : 1,
                           .limit = PAGE };
    s->reading =
        s->b->store.ops->get(s->b->store.self, &g, s->check_gap ? on_oldest : on_events, s) == OK;
}

static struct sub *find(struct broker *b, uint64_t conn, uint64_t req, uint32_t *n)
{
    struct sub *found = NULL;
    *n = 0;
    for (struct sub *s = b->subs; s; s = s->next) {
        *n += s->conn == conn;
        if (s->conn == conn && s->req == req)
            found = s;
    }
    return found;
}

static struct sub *sub_new(struct broker *b, struct conn *c, const struct msg_WATCH *m)
{
    struct sub *s = calloc(1, sizeof *s);
    assert(s);
    s->b = b;
    s->conn = c->id;
    s->req = m->req;
    snprintf(s->project, sizeof s->project, "%.*s", STR_ARG(access_project(c->role)));
    if (m->since.n == 0) {
        memcpy(s->at, b->last_event, sizeof s->at);
        s->live = true;
    } else if (!str_is(m->since, "0")) {
        set_at(s, m->since);
        s->check_gap = true;
    }
    s->next = b->subs;
    b->subs = s;
    return s;
}

static void say_listen(void *ctx, uint64_t peer, struct str task, bool wanted)
{
    struct msg m = { .type = MSG_LISTEN, .LISTEN = { task, wanted } };
    loop_say(ctx, peer, &m, NULL, 0);
}

static void on_lease(void *ctx, uint64_t peer, struct str task)
{
    say_listen(ctx, peer, task, true);
}

void serve_watch(struct broker *b, struct conn *c, const struct msg_WATCH *m)
{
    uint32_t n;
    uint64_t id = 0;
    struct sub *s = find(b, c->id, m->req, &n);
    if (!s && m->job.n && core_find(b->core, m->job, access_project(c->role), &id) != OK) {
        loop_refuse(b, c->id, m->req, ERR_NOT_FOUND, "there is no such job",
                    "`pawl ps` lists the jobs");
        return;
    }
    if (!s && n >= SUBS_PER_CONN_MAX) {
        loop_refuse(b, c->id, m->req, ERR_LIMIT, "too many subscriptions on one connection",
                    "UNWATCH some");
        return;
    }
    if (!s && m->since.n && !str_is(m->since, "0") &&
        event_id_compare(m->since, (struct str){ 0 }) == 0) {
        loop_refuse(b, c->id, m->req, ERR_DATA, "WATCH.since: not the id of an event", "");
        return;
    }
    if (!s) {
        s = sub_new(b, c, m);
        if (id)
            id_text(id, s->job);
        core_each_lease(b->core, id, on_lease, b);
    }
    s->credit = m->credit > credit_max - s->credit ? credit_max : s->credit + m->credit;
    read_on(s);
}

void serve_unwatch(struct broker *b, struct conn *c, uint64_t req)
{
    uint32_t n;
    struct sub *s = find(b, c->id, req, &n);
    if (s)
        sub_remove(b, s);
}

void watch_conn_gone(struct broker *b, uint64_t conn)
{
    for (struct sub *s = b->subs, *next; s; s = next) {
        next = s->next;
        if (s->conn == conn)
            sub_remove(b, s);
    }
}

/* A durable event, for those who are live. Whoever has no credit reads it later. */
void watch_kept(struct broker *b, const struct told *told)
{
    for (struct sub *s = b->subs, *next; s; s = next) {
        next = s->next; /* a gone connection takes its subscriptions with it */
        if (s->live && !pass(s, str_of(told->id), told->bytes))
            s->live = false;
    }
}

/* Token text and notes: for those who keep up; not kept, and no credit of theirs is spent. Text that
 * nobody watches is not asked for: most jobs of a batch are never looked at. */
void watch_live(struct broker *b, const struct fx *f)
{
    char job[ID_CHARS + 1];
    id_text(f->job, job);
    struct kept_event e = { .kind = str_of(f->name),
                            .job = str_of(job),
                            .project = f->project,
                            .facts = f->bytes,
                            .at_ms = (uint64_t)f->at_ms };
    bool watched = false;
    for (struct sub *s = b->subs, *next; s; s = next) {
        next = s->next;
        if (!matches(s, e.job, e.project))
            continue;
        watched = true;
        if (s->live && s->credit > 0)
            say_event(s, (struct str){ 0 }, &e);
    }
    if (!watched && f->task.n)
        say_listen(b, f->peer, f->task, false);
}

void watch_catch_up(struct broker *b)
{
    for (struct sub *s = b->subs, *next; s; s = next) {
        next = s->next;
        read_on(s);
    }
}

void watch_restart(struct broker *b)
{
    for (struct sub *s = b->subs; s; s = s->next) {
        s->live = false;
        s->check_gap = s->at[0] != '\0';
    }
    watch_catch_up(b);
}

void watch_free(struct broker *b)
{
    while (b->subs)
        sub_remove(b, b->subs);
}
