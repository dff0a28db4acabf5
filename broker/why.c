/* SPDX-License-Identifier: Apache-2.0 */
/* why: the one condition that a job waits for, out of what the scheduler itself goes by. */
#include "broker/core_in.h"

#include "common/mp.h"

#include <stdlib.h>
#include <string.h>

static const char *const codes[] = {
#define X(id, code) [WHY_##id] = code,
    WHYS(X)
#undef X
};

const char *why_code(enum why_kind k)
{
    return codes[k];
}

static int64_t question_due(const struct job *j, const char **id)
{
    int64_t due = INT64_MAX;
    for (uint32_t i = 0; i < j->questions_n; i++) {
        const struct question *q = &j->questions[i];
        if (q->settled || q->due_ms >= due)
            continue;
        due = q->due_ms;
        *id = q->id;
    }
    return due;
}

static void why_delayed(const struct job *j, struct why *out)
{
    const struct task *t = &j->main;
    bool failed = j->failures_n > 0 && t->attempts > 0;
    out->kind = !job_begun(j) ? WHY_START : failed ? WHY_BACKOFF : WHY_ASKED;
    out->until_ms = t->due_ms;
    out->name = j->reason;
}

static void why_queued(const struct core *c, const struct job *j, struct why *out)
{
    const struct lane *l = &c->lanes[j->main.def->lane];
    const struct project *p = project_at(c, j);
    out->kind = sched_obstacle(c, &j->main);
    if (out->kind == WHY_PROJECT_LIMIT) {
        out->n = p->running;
        out->of = p->limit;
    } else if (out->kind == WHY_STAGE_LIMIT) {
        out->n = l->running;
        out->of = l->rule->limit;
    } else if (out->kind == WHY_AFFINITY) {
        out->name = roster_find(c, j->main.keeper)->name;
        out->until_ms = c->wall_ms + j->main.kept_until - c->now_ms;
    } else if (out->kind == WHY_RATE) {
        out->n = queue_ahead(&l->ready, &j->main) + 1;
        out->of = l->ready.len;
        out->until_ms = c->wall_ms + sched_rate_over(c, j->main.def->lane) - c->now_ms;
    } else if (out->kind == WHY_SLOTS) {
        out->n = queue_ahead(&l->ready, &j->main) + 1;
        out->of = l->ready.len;
    }
}

void core_why(const struct core *c, const struct job *j, struct why *out)
{
    *out = (struct why){ .stage = j->main.def->name, .project = j->project, .name = "" };
    if (job_state_ended(j->state)) {
        out->kind = WHY_ENDED;
        out->name = j->reason;
    } else if (j->state == JOB_RUNNING) {
        out->kind = j->main.peer ? WHY_RUNNING : WHY_RETURN;
        out->name = j->main.worker;
    } else if (j->state == JOB_WAITING) {
        out->kind = WHY_ANSWER;
        out->until_ms = question_due(j, &out->name);
    } else if (j->state == JOB_PAUSED) {
        out->kind = WHY_PAUSED;
    } else if (j->state == JOB_DELAYED) {
        why_delayed(j, out);
    } else {
        why_queued(c, j, out);
    }
}

/* ---- for people --------------------------------------------------------------------------- */

static void text_of(const struct why *w, struct buf *b)
{
    switch (w->kind) {
    case WHY_ENDED: buf_printf(b, "it has ended: %s", w->name); break;
    case WHY_RUNNING: buf_printf(b, "it waits for nothing: worker %s has %s", w->name, w->stage); break;
    case WHY_RETURN:
        buf_printf(b, "worker %s has %s and is not connected: it is given time to come back", w->name,
                   w->stage);
        break;
    case WHY_ANSWER: buf_printf(b, "question %s waits for an answer", w->name); break;
    case WHY_PAUSED: buf_str(b, "the job is paused"); break;
    case WHY_START: buf_str(b, "its start is later"); break;
    case WHY_BACKOFF: buf_printf(b, "%s failed and is tried again: %s", w->stage, w->name); break;
    case WHY_ASKED: buf_printf(b, "the worker of %s asked to wait: %s", w->stage, w->name); break;
    case WHY_PROJECT_PAUSED: buf_printf(b, "project %s is paused", w->project); break;
    case WHY_STAGE_PAUSED: buf_printf(b, "stage %s is paused", w->stage); break;
    case WHY_NO_WORKER: buf_printf(b, "no worker of stage %s is connected", w->stage); break;
    case WHY_PROJECT_LIMIT:
        buf_printf(b, "project %s has its limit of tasks at once: %u/%u", w->project, w->n, w->of);
        break;
    case WHY_STAGE_LIMIT:
        buf_printf(b, "stage %s has its limit of tasks at once: %u/%u", w->stage, w->n, w->of);
        break;
    case WHY_AFFINITY:
        buf_printf(b, "%s prefers worker %s, which is busy: any other one", w->stage, w->name);
        break;
    case WHY_RATE:
        buf_printf(b, "stage %s has its rate a minute; position %u of %u, its next task", w->stage,
                   w->n, w->of);
        break;
    case WHY_SLOTS:
        buf_printf(b, "all slots of stage %s are busy; position %u of %u", w->stage, w->n, w->of);
        break;
    }
}

void core_why_map(const struct core *c, const struct job *j, struct buf *out)
{
    struct why w;
    struct buf text;
    core_why(c, j, &w);
    buf_init(&text, REASON_MAX + 4 * PAWL_NAME_MAX + 256);
    text_of(&w, &text);
    mp_map(out, 7);
    mp_z(out, "code");
    mp_z(out, why_code(w.kind));
    mp_z(out, "text");
    mp_str(out, buf_get(&text));
    mp_z(out, "stage");
    mp_z(out, w.stage);
    mp_z(out, "project");
    mp_z(out, w.project);
    mp_z(out, "until_ms");
    mp_int(out, w.until_ms);
    mp_z(out, "n");
    mp_uint(out, w.n);
    mp_z(out, "of");
    mp_uint(out, w.of);
    buf_fini(&text);
}
