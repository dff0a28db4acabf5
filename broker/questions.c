/* SPDX-License-Identifier: Apache-2.0 */
/* questions: a job waits for the user; the first answer wins, the default holds at the deadline. */
#include "broker/core_in.h"

#include "common/mp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 16384 };

void job_settle_question(struct core *c, struct job *j, struct question *q, struct str text,
                         const char *by, struct effects *fx)
{
    assert(!q->settled);
    struct buf b;
    buf_init(&b, ANSWER_MAX);
    mp_map(&b, q->via[0] ? 5 : 4);
    mp_z(&b, "id");
    mp_z(&b, q->id);
    mp_z(&b, "question");
    mp_z(&b, q->text);
    mp_z(&b, "text");
    mp_str(&b, text);
    mp_z(&b, "by");
    mp_z(&b, by);
    if (q->via[0]) {
        mp_z(&b, "via");
        mp_z(&b, q->via);
    }
    assert(b.status == OK);
    q->settled = true;
    free(q->answer); /* read back from a record: empty */
    q->answer = strndup(text.p, text.n);
    assert(q->answer && strlen(by) < sizeof q->by);
    memcpy(q->by, by, strlen(by) + 1);
    job_append(c, j, "answers", &j->answers_n, buf_get(&b), fx);
    tell_facts(c, j, "answer", buf_get(&b), fx);
    buf_fini(&b);
}

static const struct question *first_due(const struct job *j)
{
    const struct question *first = NULL;
    for (uint32_t i = 0; i < j->questions_n; i++) {
        const struct question *q = &j->questions[i];
        if (!q->settled && (!first || q->due_ms < first->due_ms))
            first = q;
    }
    return first;
}

void job_resume_if_answered(struct core *c, struct job *j, struct effects *fx)
{
    if (j->state != JOB_WAITING || first_due(j))
        return;
    timer_stop(&c->timers, &j->main.timer);
    if (j->hold) { /* paused while the stage that asked was running */
        j->hold = false;
        job_move(c, j, JOB_PAUSED, "paused", fx);
        return;
    }
    job_move(c, j, JOB_QUEUED, "answered", fx);
    job_queue_stage(c, j);
}

/* Settle what is due by its default, and set the clock for the rest. */
void questions_due(struct core *c, struct job *j, struct effects *fx)
{
    assert(j->state == JOB_WAITING);
    for (uint32_t i = 0; i < j->questions_n; i++) {
        struct question *q = &j->questions[i];
        if (!q->settled && q->due_ms <= c->wall_ms)
            job_settle_question(c, j, q, str_of(q->otherwise), "default", fx);
    }
    const struct question *next = first_due(j);
    if (next)
        timer_set(&c->timers, &j->main.timer, TIMER_QUESTION,
                  c->now_ms + (next->due_ms - c->wall_ms));
    else
        job_resume_if_answered(c, j, fx);
}
