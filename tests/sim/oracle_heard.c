/* SPDX-License-Identifier: Apache-2.0 */
/* oracle_heard: what the broker reads from workers and clients. */
#include "tests/sim/oracle_in.h"

#include <stdio.h>

/* What somebody says who does not have it any more is nothing. */
static void heard_end(struct oracle *o, struct str task, struct fence fence, struct str fault)
{
    struct task_key k;
    struct job *j = oracle_job_at_position(o, task, &k);
    oracle_lease_over(o, task, &fence);
    if (!j || !fence_eq(j->r.fence, fence))
        return;
    j->permanents += str_is(fault, "permanent");
    j->fails += !str_is(fault, "overloaded") && !str_is(fault, "cancelled");
    j->given_back += str_is(fault, "overloaded") || str_is(fault, "cancelled");
}

static void keep_request(struct oracle *o, uint64_t peer, const struct msg *m, struct str job,
                         struct str text)
{
    struct request *r = &o->requests[o->requests_n++ % RING];
    struct job *j = oracle_job_named(o, job);
    *r = (struct request){ .peer = peer, .req = m->PING.req, .type = m->type, .at_ms = o->now_ms };
    snprintf(r->job, sizeof r->job, "%.*s", STR_ARG(job));
    snprintf(r->text, sizeof r->text, "%.*s", STR_ARG(text));
    r->run = j ? j->r.run : 0;
    if (m->type == MSG_PAUSE) {
        r->hold = m->PAUSE.hold;
        r->pauses = j ? ++j->pauses : 0;
        r->queue = oracle_queue(m->PAUSE.stage, m->PAUSE.project);
        if (r->queue >= 0)
            r->pauses = ++o->switches[r->queue];
        if (r->queue >= 0 && !r->hold)
            o->resumed_ms[r->queue] = o->now_ms;
        if (j && !m->PAUSE.hold)
            j->resumed_ms = o->now_ms;
    }
}

static void heard_request(struct oracle *o, uint64_t peer, const struct msg *m,
                          const struct str *frames, uint32_t n)
{
    struct str none = { 0 };
    if (m->type == MSG_SUBMIT) {
        keep_request(o, peer, m, none, m->SUBMIT.key);
        o->requests[(o->requests_n - 1) % RING].doc = n ? digest(frames[0]) : 0;
    } else if (m->type == MSG_PUT) {
        struct hash h;
        memcpy(h.b, m->PUT.hash.p, m->PUT.hash.n == HASH_BYTES ? HASH_BYTES : 0);
        keep_request(o, peer, m, none, none);
        hash_hex(&h, o->requests[(o->requests_n - 1) % RING].hash);
    } else if (m->type == MSG_CANCEL) {
        keep_request(o, peer, m, m->CANCEL.job, none);
    } else if (m->type == MSG_RETRY) {
        keep_request(o, peer, m, m->RETRY.job, none);
    } else if (m->type == MSG_PAUSE) {
        keep_request(o, peer, m, m->PAUSE.job, none);
    } else if (m->type == MSG_COMMENT) {
        keep_request(o, peer, m, m->COMMENT.job, m->COMMENT.text);
    } else if (m->type == MSG_ASK) {
        keep_request(o, peer, m, m->ASK.job, m->ASK.text);
    } else if (m->type == MSG_ANSWER) {
        keep_request(o, peer, m, m->ANSWER.job, m->ANSWER.text);
    }
}

/* When it is charged, the job has spent at least this much in all. */
static uint64_t charged(struct oracle *o, struct str task, uint64_t tokens_in)
{
    struct task_key k;
    const struct job *j = oracle_job_at_position(o, task, &k);
    return j ? j->begun_in + tokens_in : 0;
}

static void heard_done(struct oracle *o, uint64_t peer, const struct msg_DONE *m,
                       const struct str *frames, uint32_t n)
{
    struct task_key k;
    bool review = task_key_parse(m->task, &k) && str_is(k.stage, "review");
    struct result *r = &o->results[o->results_n++ % RING];
    *r = (struct result){ .peer = peer,
                          .key = digest(m->task),
                          .fence = m->fence,
                          .doc = n ? digest(frames[0]) : 0,
                          .least = charged(o, m->task, m->tokens_in),
                          .malformed = review && m->verdict.n < 2 };
    oracle_lease_over(o, m->task, NULL);
    if (r->malformed)
        heard_end(o, m->task, m->fence, (struct str){ 0 });
}

static void heard_fail(struct oracle *o, uint64_t peer, const struct msg_FAIL *m)
{
    o->results[o->results_n++ % RING] =
        (struct result){ .peer = peer,
                         .key = digest(m->task),
                         .fence = m->fence,
                         .least = charged(o, m->task, m->tokens_in),
                         .failed = true,
                         .permanent = str_is(m->fault, "permanent") };
    heard_end(o, m->task, m->fence, m->fault);
}

static void heard_release(struct oracle *o, struct str task, struct fence fence)
{
    struct lease *l = oracle_lease(o, digest(task));
    if (l && fence_eq(l->fence, fence))
        lease_returned(o, l);
}

void oracle_heard(struct oracle *o, uint64_t peer, const struct msg *m, const struct str *frames,
                  uint32_t n, int64_t at_ms)
{
    uint64_t *heard = table_slot(&o->heard, peer);
    o->now_ms = at_ms;
    if (at_ms - (int64_t)*heard > SILENCE_MS - NEAR_MS)
        oracle_peer_lost(o, peer); /* silent for so long that it was given up, perhaps */
    *heard = (uint64_t)at_ms;
    if (m->type == MSG_BEAT) {
        lease_heard_holds(o, peer, &m->BEAT.holds, at_ms);
        oracle_judge_unnamed(o, peer, at_ms);
    } else if (m->type == MSG_HELLO) {
        credit_heard_hello(o, peer, &m->HELLO);
        lease_heard_holds(o, peer, &m->HELLO.holds, at_ms);
    } else if (m->type == MSG_FAIL) {
        heard_fail(o, peer, &m->FAIL);
    } else if (m->type == MSG_RELEASE) {
        heard_release(o, m->RELEASE.task, m->RELEASE.fence);
        heard_end(o, m->RELEASE.task, m->RELEASE.fence, str_of("cancelled"));
    } else if (m->type == MSG_BYE) {
        for (size_t i = 0; i < o->leases_n; i++) {
            if (o->leases[i].peer == peer)
                lease_returned(o, &o->leases[i]);
        }
        oracle_peer_lost(o, peer);
    } else if (m->type == MSG_READY) {
        credit_heard_ready(o, peer, &m->READY);
    } else if (m->type == MSG_DONE) {
        heard_done(o, peer, &m->DONE, frames, n);
    } else if (m->type >= MSG_SUBMIT) {
        heard_request(o, peer, m, frames, n);
    }
}
