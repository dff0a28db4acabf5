/* SPDX-License-Identifier: Apache-2.0 */
/* result: what workers say about tasks: DONE, FAIL, RELEASE, STEP. The first result of a key is
 * committed, whatever its fence; all others are told so (rules 5 and 6). */
#include "broker/core_in.h"

#include "broker/policy.h"
#include "broker/retry.h"
#include "common/mp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FREE_RELEASES = 2, RELEASE_DELAY_MS = 1000, STEP_HEAD_MAX = 256, REPLY_MAX = 128 * 1024 };

/* ---- tokens ------------------------------------------------------------------------------- */

static void spend(struct job *j, uint64_t in, uint64_t out)
{
    const uint64_t most = (uint64_t)1
                          << 48; /* a worker's word: bounded, so that sums cannot wrap */
    in = in < most ? in : most;
    out = out < most ? out : most;
    j->tokens_in += in;
    j->tokens_out += out;
    j->round_in += in;
    j->round_out += out;
    j->total_in += in;
    j->total_out += out;
}

/* What an attempt reports beyond its steps, which are counted already. */
static void spend_rest(struct core *c, struct task *t, struct task_cost cost, bool same_lease)
{
    uint64_t base_in = same_lease ? t->base_in : 0, base_out = same_lease ? t->base_out : 0;
    uint64_t in = t->steps_in - base_in, out = t->steps_out - base_out;
    uint64_t more_in = cost.tokens_in > in ? cost.tokens_in - in : 0,
             more_out = cost.tokens_out > out ? cost.tokens_out - out : 0;
    spend(t->job, more_in, more_out);
    sched_spent(c, t, more_in + more_out);
}

/* ---- documents ---------------------------------------------------------------------------- */

static void store_doc(struct job *j, const char *field, struct str frame, struct effects *fx)
{
    struct fx *f;
    struct str copy = effects_copy(fx, str_of(field));
    f = effects_add(fx, FX_DOC);
    f->job = j->id;
    f->field = copy;
    f->bytes = frame;
}

static void store_docs(struct task *t, const struct strs *names, const struct event *ev,
                       struct effects *fx)
{
    struct doc_place at = { (uint16_t)t->run, (uint16_t)t->round };
    char field[FIELD_MAX];
    assert(names->n == ev->frames_n);
    for (uint32_t i = 0; i < names->n; i++) {
        bool noted = job_note_doc(t->job, names->v[i], at);
        assert(noted);
        (void)noted;
        field_doc(field, at, names->v[i]);
        store_doc(t->job, field, ev->frames[i], fx);
    }
}

/* The records of a finished task's steps are not needed any more. */
static void forget_steps(struct task *t, struct effects *fx)
{
    char prefix[FIELD_MAX];
    if (t->steps_n == 0)
        return;
    field_step(prefix, t, 0);
    struct str copy = effects_copy(fx, str_of(prefix));
    struct fx *f = effects_add(fx, FX_UNDOC);
    f->job = t->job->id;
    f->field = copy;
    f->count = t->steps_n;
    task_steps_clear(t);
}

/* ---- the end of an ask -------------------------------------------------------------------- */

static struct str failure_reply(const struct task *t, const struct reply *r, struct buf *b)
{
    char id[16];
    ask_id(t->pass, id);
    buf_init(b, REPLY_MAX);
    buf_char(b, '\0'); /* codec: plain */
    mp_map(b, 3);
    mp_z(b, "id");
    mp_z(b, id);
    mp_z(b, "question");
    mp_str(b, r->question.n ? r->question : str_of("?"));
    mp_z(b, "text");
    struct buf text;
    buf_init(&text, REPLY_MAX / 2);
    buf_str(&text, "No answer: ");
    buf_view(&text, r->text);
    mp_str(b, buf_get(&text));
    buf_fini(&text);
    return buf_get(b);
}

void ask_finish(struct core *c, struct task *t, const struct reply *reply, struct str frame,
                struct effects *fx)
{
    struct job *j = t->job;
    char field[FIELD_MAX];
    struct buf made = { 0 };
    struct reply said = *reply;
    assert(t->kind == TASK_ASK);
    if (reply->fault) {
        frame = effects_copy(fx, failure_reply(t, reply, &made));
        buf_fini(&made);
    }
    field_ask(field, "reply", t->pass);
    store_doc(j, field, frame, fx);
    forget_steps(t, fx);
    tell_reply(c, t, &said, fx);
    task_drop(c, t, "cancelled", fx);
    struct task **at = &j->asks;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    free(t->steps);
    free(t->note);
    free(t);
    job_touch(c, j);
}

/* ---- failing ------------------------------------------------------------------------------ */

static void note_failure(struct core *c, const struct task *t, const char *fault, struct str text)
{
    struct failure f = { .attempt = t->attempts + t->crashes + 1, .at_ms = c->wall_ms };
    char *z = strndup(text.p ? text.p : "", text.n < 1024 ? text.n : 1024);
    task_key_write(t, f.task);
    memcpy(f.worker, t->worker, sizeof f.worker);
    memcpy(f.fault, fault, strnlen(fault, sizeof f.fault - 1));
    f.text = z;
    job_fail_note(t->job, &f);
    free(z);
}

/* The task will not be tried again. */
static void give_up(struct core *c, struct task *t, const char *fault, struct str text,
                    struct effects *fx)
{
    char reason[REASON_MAX];
    size_t n = text.n < sizeof reason - 1 ? text.n : sizeof reason - 1;
    memcpy(reason, text.p ? text.p : "", n);
    reason[n] = '\0';
    if (t->kind == TASK_STAGE) {
        job_end(c, t->job, JOB_FAILED, reason, fx);
    } else if (t->kind == TASK_ASK) {
        struct reply r = { .text = text, .fault = fault };
        ask_finish(c, t, &r, (struct str){ 0 }, fx);
    } else {
        call_answer(c, t, fault, text, (struct str){ 0 }, fx);
    }
}

static void wait_again(struct core *c, struct task *t, int64_t delay_ms, struct str text,
                       struct effects *fx)
{
    struct job *j = t->job;
    if (t->kind == TASK_STAGE && j->state == JOB_RUNNING) {
        char reason[REASON_MAX];
        size_t n = text.n < sizeof reason - 1 ? text.n : sizeof reason - 1;
        memcpy(reason, text.p ? text.p : "", n);
        reason[n] = '\0';
        if (j->hold) {
            j->hold = false;
            job_move(c, j, JOB_PAUSED, "paused", fx);
            return;
        }
        job_move(c, j, JOB_DELAYED, reason, fx);
    }
    task_delay(c, t, delay_ms);
    if (t->kind != TASK_CALL)
        job_touch(c, j);
}

static uint64_t chance(const struct core *c, const struct task *t)
{
    return c->conf.seed ^ t->job->id ^ ((uint64_t)t->run << 48) ^ ((uint64_t)t->round << 32) ^
           ((uint64_t)t->pass << 24) ^ ((uint64_t)t->overloads << 16) ^ t->attempts;
}

/* One more attempt is spent. The lease is over. */
void task_charge(struct core *c, struct task *t, const char *fault, struct str text,
                 struct effects *fx)
{
    struct job *j = t->job;
    note_failure(c, t, fault, text);
    t->attempts++;
    if (t->attempts >= t->def->attempts) {
        give_up(c, t, fault, text, fx);
        return;
    }
    if (t->kind == TASK_STAGE && j->tokens_in + j->tokens_out >= j->budget.tokens) {
        job_end(c, j, policy_end_state(j), "all tokens are spent", fx);
        return;
    }
    c->counts.retried++;
    wait_again(c, t, retry_delay_ms(t->attempts, chance(c, t)), text, fx);
}

static void overloaded(struct core *c, struct task *t, const struct msg_FAIL *m, struct effects *fx)
{
    if (t->overloads >= OVERLOADS_MAX) {
        task_charge(c, t, "overloaded", m->text, fx);
        return;
    }
    int64_t delay = overload_delay_ms(m->retry_after_ms, t->overloads, chance(c, t));
    t->overloads++;
    wait_again(c, t, delay, m->text, fx);
}

/* Back into the queue, uncharged; after a few times not at once, or two sides could spin. */
static void give_back(struct core *c, struct task *t, struct str why, struct effects *fx)
{
    struct job *j = t->job;
    t->overloads++;
    if (t->overloads > OVERLOADS_MAX) {
        task_charge(c, t, "retryable", why, fx);
        return;
    }
    if (t->overloads > FREE_RELEASES) {
        wait_again(c, t, RELEASE_DELAY_MS, why, fx);
        return;
    }
    if (t->kind == TASK_STAGE && j->hold) {
        j->hold = false;
        job_move(c, j, JOB_PAUSED, "paused", fx);
        return;
    }
    if (t->kind == TASK_STAGE)
        job_move(c, j, JOB_QUEUED, "its worker gave it back", fx);
    if (t->kind != TASK_CALL)
        job_touch(c, j);
    task_ready(c, t);
}

static void end_lease(struct core *c, struct task *t, struct effects *fx)
{
    t->spent = t->fence;
    calls_cancel(c, t, fx);
    task_idle(c, t);
}

/* ---- DONE --------------------------------------------------------------------------------- */

static bool answer_unknown(const struct event *ev, struct str key, struct fence fence,
                           const struct task *t, const struct job *j, const struct task_key *k,
                           struct effects *fx)
{
    if (t)
        return false;
    const char *outcome = !j                          ? "gone"
                          : key_committed(j, k)       ? "already"
                          : job_state_ended(j->state) ? "gone"
                                                      : "stale";
    say_taken(fx, ev->peer, key, fence, outcome);
    return true;
}

/* Why a result cannot be taken, or NULL. */
static const char *malformed(const struct task *t, const struct event *ev)
{
    const struct msg_DONE *m = &ev->msg->DONE;
    if (ev->wrong)
        return ev->wrong;
    for (uint32_t i = 0; i < m->docs.n; i++) {
        bool allowed = stage_writes(t->def, m->docs.v[i]);
        if (!allowed)
            return "the result carries a document that its stage may not write";
    }
    if (t->kind == TASK_STAGE && stage_writes(t->def, str_of("review")) && !ev->has_verdict)
        return "the review gave no verdict";
    if (t->kind != TASK_STAGE && m->docs.n != 1)
        return "the result carries no document";
    return NULL;
}

/* A result under an older fence, or of a task that waits: take it all the same. */
static void adopt(struct core *c, struct task *t, struct effects *fx)
{
    struct job *j = t->job;
    task_drop(c, t, "superseded", fx);
    if (t->kind != TASK_STAGE || j->state == JOB_RUNNING)
        return;
    if (j->state == JOB_PAUSED) {
        job_move(c, j, JOB_QUEUED, "a late result", fx);
        j->hold = true;
    }
    job_move(c, j, JOB_RUNNING, "a late result", fx);
}

static void commit_stage(struct core *c, struct task *t, const struct event *ev, struct effects *fx)
{
    struct job *j = t->job;
    store_docs(t, &ev->msg->DONE.docs, ev, fx);
    if (ev->has_verdict) {
        j->has_last = true;
        j->last = ev->verdict;
    }
    forget_steps(t, fx);
    job_touch(c, j);
    c->counts.committed++;
    job_advance(c, j, ev, fx);
}

static void commit(struct core *c, struct task *t, const struct event *ev, struct effects *fx)
{
    const struct msg_DONE *m = &ev->msg->DONE;
    if (t->kind == TASK_STAGE) {
        commit_stage(c, t, ev, fx);
    } else if (t->kind == TASK_ASK) {
        struct reply r = { .question = ev->reply_question, .text = ev->reply };
        ask_finish(c, t, &r, ev->frames[0], fx);
    } else {
        call_answer(c, t, "", (struct str){ 0 }, ev->frames[0], fx);
    }
    (void)m;
}

/* A late result of another task under the same key: of a past that a failover took away, or of a
 * call of an earlier epoch, whose numbers begin anew. It was made of other things. */
static bool of_this_task(const struct core *c, const struct task *t, struct fence f)
{
    return t->kind == TASK_CALL ? f.incarnation == c->conf.incarnation : task_gave(t, f);
}

void on_done(struct core *c, const struct event *ev, struct effects *fx)
{
    const struct msg_DONE *m = &ev->msg->DONE;
    struct task_cost cost = { m->tokens_in, m->tokens_out };
    struct task_key k;
    struct job *j;
    struct task *t = core_task(c, m->task, &k, &j);
    if (answer_unknown(ev, m->task, m->fence, t, j, &k, fx))
        return;
    bool held = t->phase == PHASE_LEASED && fence_eq(t->fence, m->fence);
    if (!held && !of_this_task(c, t, m->fence)) {
        say_taken(fx, ev->peer, m->task, m->fence, "stale");
        return;
    }
    const char *why = malformed(t, ev);
    say_taken(fx, ev->peer, m->task, m->fence, why ? "stale" : "committed");
    if (why && !held)
        return;
    if (t->kind != TASK_CALL) {
        spend_rest(c, t, cost, held);
        tell_end(c, t, why ? "failed" : "committed", str_of(why), cost, fx);
    }
    if (held)
        end_lease(c, t, fx);
    else
        adopt(c, t, fx);
    if (why)
        task_charge(c, t, "retryable", str_of(why), fx);
    else
        commit(c, t, ev, fx);
}

/* ---- FAIL, RELEASE ------------------------------------------------------------------------ */

static void permanent(struct core *c, struct task *t, const struct event *ev, struct effects *fx)
{
    const struct msg_FAIL *m = &ev->msg->FAIL;
    note_failure(c, t, "permanent", m->text);
    if (t->kind == TASK_STAGE && !ev->wrong && m->docs.n == 1 && str_is(m->docs.v[0], "findings"))
        store_docs(t, &m->docs, ev, fx);
    t->attempts++;
    give_up(c, t, "permanent", m->text, fx);
}

void on_fail(struct core *c, const struct event *ev, struct effects *fx)
{
    const struct msg_FAIL *m = &ev->msg->FAIL;
    struct task_cost cost = { m->tokens_in, m->tokens_out };
    struct task_key k;
    struct job *j;
    struct task *t = core_task(c, m->task, &k, &j);
    if (answer_unknown(ev, m->task, m->fence, t, j, &k, fx))
        return;
    if (t->phase != PHASE_LEASED || !fence_eq(t->fence, m->fence)) {
        say_taken(fx, ev->peer, m->task, m->fence,
                  fence_eq(t->spent, m->fence) ? "already" : "stale");
        return;
    }
    say_taken(fx, ev->peer, m->task, m->fence, "committed");
    if (t->kind != TASK_CALL) {
        spend_rest(c, t, cost, true);
        char fault[16] = "";
        memcpy(fault, m->fault.p ? m->fault.p : "", m->fault.n < 15 ? m->fault.n : 15);
        tell_end(c, t, fault, m->text, cost, fx);
    }
    end_lease(c, t, fx);
    if (str_is(m->fault, "permanent"))
        permanent(c, t, ev, fx);
    else if (str_is(m->fault, "overloaded"))
        overloaded(c, t, m, fx);
    else if (str_is(m->fault, "cancelled"))
        give_back(c, t, m->text, fx);
    else
        task_charge(c, t, "retryable", m->text, fx);
}

void on_release(struct core *c, const struct event *ev, struct effects *fx)
{
    const struct msg_RELEASE *m = &ev->msg->RELEASE;
    struct task_key k;
    struct job *j;
    struct task *t = core_task(c, m->task, &k, &j);
    if (answer_unknown(ev, m->task, m->fence, t, j, &k, fx))
        return;
    if (t->phase != PHASE_LEASED || !fence_eq(t->fence, m->fence)) {
        say_taken(fx, ev->peer, m->task, m->fence, "stale");
        return;
    }
    say_taken(fx, ev->peer, m->task, m->fence, "committed");
    if (t->kind != TASK_CALL)
        tell_end(c, t, "released", m->reason, (struct task_cost){ 0 }, fx);
    end_lease(c, t, fx);
    give_back(c, t, m->reason, fx);
}

/* ---- STEP --------------------------------------------------------------------------------- */

static void say_stepped(const struct event *ev, struct effects *fx)
{
    const struct msg_STEP *m = &ev->msg->STEP;
    struct msg out = { .type = MSG_STEPPED, .STEPPED = { m->task, m->fence, m->hash } };
    say(fx, ev->peer, &out, true);
}

/* [hash, tokens_in, tokens_out, ms] and the result's frame as it came. */
static void store_step(struct task *t, const struct event *ev, struct effects *fx)
{
    const struct msg_STEP *m = &ev->msg->STEP;
    struct hash h;
    struct buf b;
    char hex[HASH_HEX + 1], field[FIELD_MAX];
    memcpy(h.b, m->hash.p, sizeof h.b);
    hash_hex(&h, hex);
    buf_init(&b, PAWL_FRAME_MAX + STEP_HEAD_MAX);
    mp_array(&b, 4);
    mp_z(&b, hex);
    mp_uint(&b, m->tokens_in);
    mp_uint(&b, m->tokens_out);
    mp_uint(&b, m->ms);
    if (ev->frames_n)
        buf_view(&b, ev->frames[0]);
    field_step(field, t, t->steps_n);
    store_doc(t->job, field, effects_copy(fx, buf_get(&b)), fx);
    buf_fini(&b);
}

/* A finished call is paid for: its record is kept whoever holds the task now. */
void on_step(struct core *c, const struct event *ev, struct effects *fx)
{
    const struct msg_STEP *m = &ev->msg->STEP;
    struct task_key k;
    struct job *j;
    struct task *t = core_task(c, m->task, &k, &j);
    if (!t) {
        say_drop(fx, ev->peer, m->task, m->fence,
                 j && !job_state_ended(j->state) ? "superseded" : "cancelled");
        return;
    }
    if (m->hash.n != HASH_BYTES) {
        say_refused(fx, ev->peer, 0, ERR_DATA, "STEP.hash is not 32 bytes", "");
        return;
    }
    bool full = t->steps_n >= PAWL_STEPS_MAX;
    if (t->kind != TASK_CALL && !full && task_step_note(t, hash_prefix(m->hash))) {
        store_step(t, ev, fx);
        t->steps_in += m->tokens_in;
        t->steps_out += m->tokens_out;
        spend(t->job, m->tokens_in, m->tokens_out);
        sched_spent(c, t, m->tokens_in + m->tokens_out);
        tell_step(c, t, m, fx);
        job_touch(c, t->job);
    }
    say_stepped(ev, fx);
}
