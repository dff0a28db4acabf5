/* SPDX-License-Identifier: Apache-2.0 */
/* roster: who is connected, what they serve, how much more they take. */
#include "broker/core_in.h"

#include "common/mp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct peer_state *roster_find(const struct core *c, uint64_t id)
{
    return idmap_get(&c->peers, id);
}

/* Absolute credit minus what was sent since: a READY may cross a TASK on the wire. */
uint64_t roster_credit(const struct peer_state *p)
{
    if (p->full)
        return 0;
    uint64_t since = p->seq > p->credit_seq ? p->seq - p->credit_seq : 0;
    for (uint32_t i = 0; i < p->unsent_n && since > 0; i++) {
        uint64_t to = p->unsent[i].to, from = p->unsent[i].from;
        if (from <= p->credit_seq)
            from = p->credit_seq + 1;
        uint64_t n = to >= from ? to - from + 1 : 0;
        since -= n < since ? n : since;
    }
    return p->credit > since ? p->credit - since : 0;
}

void roster_unsent(struct peer_state *p, uint64_t seq)
{
    if (p->unsent_n && p->unsent[p->unsent_n - 1].to + 1 == seq) {
        p->unsent[p->unsent_n - 1].to = seq;
        return;
    }
    if (p->unsent_n == UNSENT_MAX)
        memmove(p->unsent, p->unsent + 1, --p->unsent_n * sizeof *p->unsent);
    p->unsent[p->unsent_n].from = p->unsent[p->unsent_n].to = seq;
    p->unsent_n++;
}

/* The worker with most free slots; among equals the one that was idle longest. */
static bool seat_before(const void *va, const void *vb)
{
    const struct peer_state *a = ((const struct seat *)va)->peer,
                            *b = ((const struct seat *)vb)->peer;
    uint64_t x = roster_credit(a), y = roster_credit(b);
    if (x != y)
        return x > y;
    return a->picked != b->picked ? a->picked < b->picked : a->id < b->id;
}

static uint32_t *seat_slot(void *seat)
{
    return &((struct seat *)seat)->slot;
}

void roster_init_lane(struct lane *l)
{
    heap_init(&l->seats, seat_before, seat_slot);
}

struct peer_state *roster_pick(const struct core *c, uint32_t lane)
{
    const struct seat *s = heap_top(&c->lanes[lane].seats);
    return s && roster_credit(s->peer) > 0 ? s->peer : NULL;
}

uint32_t roster_serving(const struct core *c, uint32_t lane)
{
    return c->lanes[lane].seats.len;
}

void roster_sort(struct core *c, struct peer_state *p)
{
    for (uint32_t i = 0; i < p->seats_n; i++) {
        bool put = heap_put(&c->lanes[p->seats[i].lane].seats, &p->seats[i]);
        assert(put); /* present ones need no memory, new ones were made room for by seat() */
        (void)put;
    }
    if (p->kept && roster_credit(p) > 0)
        home_return_all(c, p); /* those in excess are set aside again */
}

static void unseat(struct core *c, struct peer_state *p)
{
    for (uint32_t i = 0; i < p->seats_n; i++)
        heap_remove(&c->lanes[p->seats[i].lane].seats, &p->seats[i]);
    free(p->seats);
    p->seats = NULL;
    p->seats_n = 0;
}

/* A seat in every lane that it serves. */
static void seat(struct core *c, struct peer_state *p)
{
    uint32_t n = (uint32_t)__builtin_popcountll(p->serves);
    unseat(c, p);
    if (!p->worker || n == 0)
        return;
    p->seats = calloc(n, sizeof *p->seats);
    assert(p->seats);
    for (uint32_t i = 0; i < c->lanes_n; i++) {
        if (p->serves >> i & 1)
            p->seats[p->seats_n++] = (struct seat){ p, i, HEAP_NONE };
    }
    roster_sort(c, p);
}

static void peer_free(struct peer_state *p)
{
    free(p->seats);
    free(p->stages);
    free(p->tags);
    free(p);
}

static void list_remove(struct core *c, struct peer_state *p)
{
    struct peer_state **head = p->worker ? &c->workers : &c->clients;
    if (p->prev)
        p->prev->next = p->next;
    else
        *head = p->next;
    if (p->next)
        p->next->prev = p->prev;
    uint64_t *count = p->worker ? &c->counts.workers : &c->counts.clients;
    --*count;
}

static void list_add(struct core *c, struct peer_state *p)
{
    struct peer_state **head = p->worker ? &c->workers : &c->clients;
    p->prev = NULL;
    p->next = *head;
    if (*head)
        (*head)->prev = p;
    *head = p;
    uint64_t *count = p->worker ? &c->counts.workers : &c->counts.clients;
    ++*count;
}

void roster_free(struct core *c)
{
    struct peer_state *p;
    size_t at = 0;
    while ((p = idmap_next(&c->peers, &at)) != NULL) {
        timer_stop(&c->timers, &p->timer);
        peer_free(p);
    }
    idmap_fini(&c->peers);
}

void roster_gone(struct core *c, struct peer_state *p, const char *why, struct effects *fx)
{
    while (p->leases) {
        struct task *t = p->leases;
        lease_lost(c, t, why, fx);
        assert(p->leases != t);
    }
    home_return_all(c, p);
    timer_stop(&c->timers, &p->timer);
    unseat(c, p);
    list_remove(c, p);
    idmap_remove(&c->peers, p->id);
    effects_add(fx, FX_GONE)->peer = p->id;
    peer_free(p);
}

/* ---- HELLO -------------------------------------------------------------------------------- */

static void copy_name(char to[PAWL_NAME_MAX + 1], struct str s)
{
    size_t n = s.n < PAWL_NAME_MAX ? s.n : PAWL_NAME_MAX;
    memcpy(to, s.p ? s.p : "", n);
    to[n] = '\0';
}

static void *copy_names(const struct strs *v, uint32_t *n)
{
    char(*out)[PAWL_NAME_MAX + 1] = calloc(v->n + 1, sizeof *out);
    assert(out);
    for (uint32_t i = 0; i < v->n; i++)
        copy_name(out[i], v->v[i]);
    *n = v->n;
    return out;
}

static void fill(struct core *c, struct peer_state *p, const struct event *ev)
{
    const struct msg_HELLO *m = &ev->msg->HELLO;
    copy_name(p->name, m->name);
    copy_name(p->version, m->version);
    copy_name(p->role, ev->role);
    free(p->stages);
    free(p->tags);
    p->stages = copy_names(&m->stages, &p->stages_n);
    p->tags = copy_names(&m->tags, &p->tags_n);
    p->serves = 0;
    for (uint32_t i = 0; i < c->lanes_n; i++) {
        for (uint32_t k = 0; k < p->stages_n; k++)
            p->serves |= strcmp(c->lanes[i].name, p->stages[k]) == 0 ? (uint64_t)1 << i : 0;
    }
    p->slots = m->slots < PAWL_SLOTS_MAX ? m->slots : PAWL_SLOTS_MAX;
    p->credit = 0;
    p->base_seq = p->credit_seq = p->seq;
    p->unsent_n = 0;
    p->full = false;
    seat(c, p);
}

static struct peer_state *peer_new(struct core *c, const struct event *ev, bool worker)
{
    struct peer_state *p = calloc(1, sizeof *p);
    if (!p || !idmap_put(&c->peers, ev->peer, p)) {
        free(p);
        return NULL;
    }
    p->id = ev->peer;
    p->worker = worker;
    p->since_wall_ms = c->wall_ms;
    p->timer = (struct timer){ .slot = HEAP_NONE, .owner = p };
    list_add(c, p);
    return p;
}

static void say_welcome(struct core *c, const struct peer_state *p, struct effects *fx)
{
    struct msg m = { .type = MSG_WELCOME };
    m.WELCOME = (struct msg_WELCOME){ .version = str_of(PAWL_VERSION),
                                      .heartbeat_ms = (uint64_t)c->conf.heartbeat_ms,
                                      .silence_ms = (uint64_t)c->conf.silence_ms };
    for (uint32_t i = 0; i < c->lanes_n && m.WELCOME.stages.n < PAWL_LIST_MAX; i++) {
        if (roster_serving(c, i))
            m.WELCOME.stages.v[m.WELCOME.stages.n++] = str_of(c->lanes[i].name);
    }
    say(fx, p->id, &m, false);
}

static void take_lease(struct core *c, struct task *t, struct peer_state *p, struct fence fence,
                       struct effects *fx)
{
    bool held = t->phase == PHASE_LEASED;
    struct job *j = t->job;
    if (t->kind == TASK_STAGE && j->state == JOB_PAUSED) {
        job_move(c, j, JOB_QUEUED, "a worker still has it", fx);
        j->hold = true;
    }
    lease_attach(c, t, p, fence);
    if (!held && t->kind == TASK_STAGE)
        job_move(c, j, JOB_RUNNING, "its worker is back", fx);
    if (t->kind != TASK_CALL)
        job_touch(c, j);
}

/* One task that a worker says it holds, by BEAT or HELLO. */
static void on_hold(struct core *c, struct peer_state *p, const struct task_ref *ref,
                    struct effects *fx)
{
    struct task_key k;
    struct job *j;
    struct task *t = core_task(c, ref->task, &k, &j);
    if (!t) {
        /* A finished result is forgotten by the first, unfinished work is stopped by the second. */
        if (j && key_committed(j, &k))
            say_taken(fx, p->id, ref->task, ref->fence, "already");
        say_drop(fx, p->id, ref->task, ref->fence,
                 j && job_state_ended(j->state) ? "cancelled" : "expired");
        return;
    }
    bool same = fence_eq(t->fence, ref->fence);
    if (t->phase == PHASE_LEASED && same) {
        if (t->peer == p->id)
            lease_extend(c, t);
        else
            take_lease(c, t, p, ref->fence, fx);
    } else if (fence_eq(t->spent, ref->fence)) {
        say_taken(fx, p->id, ref->task, ref->fence, "already");
    } else if (same && t->kind != TASK_CALL) {
        take_lease(c, t, p, ref->fence, fx); /* nobody else has begun: finish it */
    } else {
        say_drop(fx, p->id, ref->task, ref->fence,
                 "expired"); /* a finished result is kept and adopted */
    }
}

static void on_holds(struct core *c, struct peer_state *p, const struct task_list *list,
                     struct effects *fx)
{
    struct task_ref ref;
    size_t at = 0;
    while (msg_task_next(list, &at, &ref))
        on_hold(c, p, &ref, fx);
}

void on_gone(struct core *c, const struct event *ev, struct effects *fx)
{
    static const char died[] = "its worker died: ";
    struct peer_state *p = roster_find(c, ev->peer);
    char how[LOST_MAX] = "its worker's connection is gone";
    size_t n = ev->died.n < sizeof how - sizeof died ? ev->died.n : sizeof how - sizeof died;
    while (n < ev->died.n && n > 0 && ((unsigned char)ev->died.p[n] & 0xc0) == 0x80)
        n--; /* not in the middle of a character */
    if (n > 0) {
        memcpy(how, died, sizeof died);
        memcpy(how + sizeof died - 1, ev->died.p, n);
        how[sizeof died - 1 + n] = '\0';
    }
    if (p)
        roster_gone(c, p, how, fx);
}

void on_hello(struct core *c, const struct event *ev, struct effects *fx)
{
    const struct msg_HELLO *m = &ev->msg->HELLO;
    bool worker = str_is(m->role, "worker");
    if (!worker && !str_is(m->role, "client")) {
        say_refused(fx, ev->peer, 0, ERR_PROTOCOL, "HELLO.role is worker or client", "");
        return;
    }
    struct peer_state *p = roster_find(c, ev->peer);
    if (p && p->worker != worker) {
        say_refused(fx, ev->peer, 0, ERR_PROTOCOL, "a connection keeps its role",
                    "open another one");
        return;
    }
    if (!p)
        p = peer_new(c, ev, worker);
    if (!p) {
        say_refused(fx, ev->peer, 0, ERR_BUSY, "no memory for another peer", "");
        return;
    }
    fill(c, p, ev);
    p->heard_ms = c->now_ms;
    timer_set(&c->timers, &p->timer, TIMER_PEER, c->now_ms + c->conf.silence_ms);
    say_welcome(c, p, fx);
    /* Leases follow their worker to its new connection. One that it does not name any more is lost
     * with the old connection: two workers under one name must not throw each other out. */
    if (worker)
        on_holds(c, p, &m->holds, fx);
}

/* ---- READY, BEAT, BYE --------------------------------------------------------------------- */

void on_ready(struct core *c, const struct event *ev, struct effects *fx)
{
    struct peer_state *p = roster_find(c, ev->peer);
    const struct msg_READY *m = &ev->msg->READY;
    (void)fx;
    p->credit = m->credit < p->slots ? m->credit : p->slots;
    p->credit_seq = m->seen > p->base_seq ? m->seen : p->base_seq;
    if (p->credit_seq > p->seq)
        p->credit_seq = p->seq; /* nobody has seen what was not sent */
    p->full = false;
    roster_sort(c, p);
}

static void take_note(struct core *c, struct str key, struct str text, struct peer_state *p,
                      struct effects *fx)
{
    struct task_key k;
    struct job *j;
    struct task *t = core_task(c, key, &k, &j);
    if (!t || t->phase != PHASE_LEASED || t->peer != p->id)
        return;
    if (text.n > 512)
        text.n = 512;
    char *note = strndup(text.p ? text.p : "", text.n);
    if (!note)
        return;
    free(t->note);
    t->note = note;
    if (t->kind != TASK_CALL)
        tell_note(c, t, fx);
}

static void on_notes(struct core *c, struct str raw, struct peer_state *p, struct effects *fx)
{
    struct mp in;
    struct mp_value map, key, text;
    mp_init(&in, raw);
    if (raw.n == 0 || mp_want(&in, MP_MAP, &map) != OK)
        return;
    for (uint32_t i = 0; i < map.n; i++) {
        if (mp_want(&in, MP_STR, &key) != OK || mp_want(&in, MP_STR, &text) != OK)
            return;
        take_note(c, key.str, text.str, p, fx);
    }
}

void on_beat(struct core *c, const struct event *ev, struct effects *fx)
{
    struct peer_state *p = roster_find(c, ev->peer);
    if (p->full) { /* an idle worker has no other reason to speak */
        p->full = false;
        roster_sort(c, p);
    }
    on_holds(c, p, &ev->msg->BEAT.holds, fx);
    on_notes(c, ev->msg->BEAT.notes, p, fx);
}

/* A worker that leaves has given back what it held: what is left goes on elsewhere, uncharged. */
void on_bye(struct core *c, const struct event *ev, struct effects *fx)
{
    struct peer_state *p = roster_find(c, ev->peer);
    while (p->leases) {
        struct task *t = p->leases;
        calls_cancel(c, t, fx);
        task_idle(c, t);
        if (t->kind == TASK_STAGE)
            job_move(c, t->job, JOB_QUEUED, "its worker left", fx);
        if (t->kind != TASK_CALL)
            job_touch(c, t->job);
        if (t->kind == TASK_STAGE && t->job->hold) {
            t->job->hold = false;
            job_move(c, t->job, JOB_PAUSED, "paused", fx);
        } else {
            task_ready(c, t);
        }
    }
    roster_gone(c, p, "", fx);
}

void core_each_lease(const struct core *c, uint64_t job, core_lease_fn *fn, void *ctx)
{
    for (const struct peer_state *p = c->workers; p; p = p->next) {
        for (const struct task *t = p->leases; t; t = t->lease_next) {
            char key[PAWL_KEY_MAX + 1];
            if (job && t->job->id != job)
                continue;
            task_key_write(t, key);
            fn(ctx, p->id, str_of(key));
        }
    }
}

/* ---- for people --------------------------------------------------------------------------- */

static void put_names(struct buf *out, const char *key, char (*v)[PAWL_NAME_MAX + 1], uint32_t n)
{
    mp_z(out, key);
    mp_array(out, n);
    for (uint32_t i = 0; i < n; i++)
        mp_z(out, v[i]);
}

static bool shown(const struct task *t, struct str access)
{
    return access.n == 0 || str_is(access, t->job->project);
}

static void put_held(struct buf *out, const struct peer_state *p, struct str access)
{
    uint32_t n = 0;
    for (const struct task *t = p->leases; t; t = t->lease_next)
        n += shown(t, access);
    mp_z(out, "held");
    mp_array(out, n);
    for (const struct task *t = p->leases; t; t = t->lease_next) {
        char key[PAWL_KEY_MAX + 1];
        if (!shown(t, access))
            continue;
        task_key_write(t, key);
        mp_map(out, 5);
        mp_z(out, "task");
        mp_z(out, key);
        mp_z(out, "stage");
        mp_z(out, t->def->name);
        mp_z(out, "attempt");
        mp_uint(out, t->attempts + t->crashes + 1);
        mp_z(out, "since_ms");
        mp_int(out, t->since_ms);
        mp_z(out, "note");
        mp_z(out, t->note ? t->note : "");
    }
}

static void put_peer(struct buf *out, const struct peer_state *p, int64_t now_ms, struct str access)
{
    mp_map(out, 11);
    mp_z(out, "name");
    mp_z(out, p->name);
    mp_z(out, "role");
    mp_z(out, p->worker ? "worker" : "client");
    mp_z(out, "version");
    mp_z(out, p->version);
    put_names(out, "stages", p->stages, p->stages_n);
    put_names(out, "tags", p->tags, p->tags_n);
    mp_z(out, "slots");
    mp_uint(out, p->slots);
    mp_z(out, "credit");
    mp_uint(out, roster_credit(p));
    put_held(out, p, access);
    mp_z(out, "silent_ms");
    mp_int(out, now_ms > p->heard_ms ? now_ms - p->heard_ms : 0);
    mp_z(out, "since_ms");
    mp_int(out, p->since_wall_ms);
    mp_z(out, "access");
    mp_z(out, p->role);
}

void core_workers_map(const struct core *c, int64_t now_ms, struct str access, struct buf *out)
{
    mp_map(out, 2);
    mp_z(out, "workers");
    mp_array(out, c->counts.workers);
    for (const struct peer_state *p = c->workers; p; p = p->next)
        put_peer(out, p, now_ms, access);
    mp_z(out, "clients");
    mp_array(out, c->counts.clients);
    for (const struct peer_state *p = c->clients; p; p = p->next)
        put_peer(out, p, now_ms, access);
}
