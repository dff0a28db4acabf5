/* SPDX-License-Identifier: Apache-2.0 */
/* call: tool calls that one worker makes through another. Tasks of the lane `call`, not durable:
 * they live as long as the lease of their caller, who asks again after a recovery. */
#include "broker/core_in.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS_PER_TASK_MAX = 64 };

struct task *call_find(const struct task *caller, uint32_t number)
{
    struct task *t = caller->calls;
    while (t && t->pass != number)
        t = t->next;
    return t;
}

void call_free(struct core *c, struct task *call)
{
    struct task **at = &call->call->caller->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    task_idle(c, call);
    assert(!call->calls);
    free(call->call->frame);
    free(call->call);
    free(call->steps);
    free(call->note);
    free(call);
}

void calls_cancel(struct core *c, struct task *caller, struct effects *fx)
{
    while (caller->calls) {
        struct task *call = caller->calls;
        task_drop(c, call, "cancelled", fx);
        call_free(c, call);
    }
}

static void say_called(uint64_t peer, const struct msg_CALLED *called, struct str frame,
                       struct effects *fx)
{
    struct msg m = { .type = MSG_CALLED, .CALLED = *called };
    struct fx *f = say(fx, peer, &m, true);
    if (frame.n == 0)
        return;
    f->frames = arena_alloc(&fx->arena, sizeof *f->frames);
    if (!f->frames) {
        fx->failed = true;
        return;
    }
    f->frames[0] = frame;
    f->frames_n = 1;
}

/* The call is over: tell its caller, if it is still there under the same lease. */
void call_answer(struct core *c, struct task *call, const char *fault, struct str text,
                 struct str frame, struct effects *fx)
{
    const struct task *caller = call->call->caller;
    if (caller->phase == PHASE_LEASED && caller->peer &&
        fence_eq(caller->fence, call->call->fence)) {
        char key[PAWL_KEY_MAX + 1];
        task_key_write(caller, key);
        struct msg_CALLED m = { .task = str_of(key),
                                .fence = caller->fence,
                                .call = str_of(call->call->id),
                                .fault = str_of(fault),
                                .text = text };
        say_called(caller->peer, &m, frame, fx);
    }
    task_drop(c, call, "cancelled", fx);
    call_free(c, call);
}

static struct task *call_new(struct core *c, struct task *caller, const struct event *ev)
{
    const struct msg_CALL *m = &ev->msg->CALL;
    struct task *t = calloc(1, sizeof *t);
    struct call *call = calloc(1, sizeof *call);
    char *frame = ev->frames_n ? malloc(ev->frames[0].n + 1) : NULL;
    if (!t || !call || !frame) {
        free(t);
        free(call);
        free(frame);
        return NULL;
    }
    task_init(t, TASK_CALL, caller->job, &c->lanes_pipe->stages[0]);
    t->run = caller->run;
    t->round = caller->round;
    t->pass = (uint32_t)(++c->running_calls % 999999999u) + 1;
    memcpy(frame, ev->frames[0].p, ev->frames[0].n);
    *call = (struct call){
        .caller = caller, .fence = m->fence, .frame = frame, .frame_n = ev->frames[0].n
    };
    memcpy(call->id, m->call.p, m->call.n);
    t->call = call;
    t->next = caller->calls;
    caller->calls = t;
    return t;
}

static void refuse(const struct event *ev, const char *fault, const char *text, struct effects *fx)
{
    const struct msg_CALL *m = &ev->msg->CALL;
    struct msg_CALLED out = { .task = m->task,
                              .fence = m->fence,
                              .call = m->call,
                              .fault = str_of(fault),
                              .text = str_of(text) };
    say_called(ev->peer, &out, (struct str){ 0 }, fx);
}

static bool pending(struct core *c, struct task *caller, const struct msg_CALL *m, uint32_t *n)
{
    (void)c;
    *n = 0;
    for (struct task *t = caller->calls; t; t = t->next) {
        ++*n;
        if (str_is(m->call, t->call->id)) {
            t->call->fence = m->fence; /* asked again after a reconnection */
            return true;
        }
    }
    return false;
}

void on_call(struct core *c, const struct event *ev, struct effects *fx)
{
    const struct msg_CALL *m = &ev->msg->CALL;
    struct task_key k;
    struct job *j;
    uint32_t n;
    struct task *caller = core_task(c, m->task, &k, &j);
    if (!caller || caller->phase != PHASE_LEASED || !fence_eq(caller->fence, m->fence) ||
        caller->kind == TASK_CALL) {
        say_drop(fx, ev->peer, m->task, m->fence, caller ? "superseded" : "cancelled");
        return;
    }
    if (pending(c, caller, m, &n))
        return;
    const struct stage_def *def = &c->lanes_pipe->stages[0];
    if (ev->frames_n == 0) {
        refuse(ev, "permanent", "a call without a document", fx);
    } else if (n >= CALLS_PER_TASK_MAX) {
        refuse(ev, "overloaded", "too many calls of one task at once", fx);
    } else if (roster_serving(c, def->lane) == 0) {
        refuse(ev, "retryable", "no worker serves tool calls: start pawl-analyze with an mcp.json",
               fx);
    } else {
        struct task *t = call_new(c, caller, ev);
        if (t)
            task_ready(c, t);
        else
            refuse(ev, "overloaded", "the broker has no memory for the call", fx);
    }
}
