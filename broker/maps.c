/* SPDX-License-Identifier: Apache-2.0 */
/* maps: jobs as clients see them (schemas/protocol.md, Maps). */
#include "broker/broker.h"

#include "common/mp.h"

#include <string.h>

static void pair_z(struct buf *b, const char *key, const char *v)
{
    mp_z(b, key);
    mp_z(b, v ? v : "");
}

static void pair_int(struct buf *b, const char *key, int64_t v)
{
    mp_z(b, key);
    mp_int(b, v);
}

static void pair_uint(struct buf *b, const char *key, uint64_t v)
{
    mp_z(b, key);
    mp_uint(b, v);
}

static void put_verdict(struct buf *out, const struct verdict *v)
{
    mp_map(out, 6);
    mp_z(out, "gates");
    mp_bool(out, v->gates);
    pair_int(out, "measures", v->measures);
    pair_int(out, "judge", v->judge);
    pair_uint(out, "errors", v->errors);
    pair_uint(out, "warnings", v->warnings);
    pair_z(out, "candidate", v->candidate);
}

static void put_best(struct buf *out, const struct job *j)
{
    mp_z(out, "best");
    if (!j->has_best) {
        mp_nil(out);
        return;
    }
    mp_map(out, 3);
    pair_uint(out, "run", j->best_run);
    pair_uint(out, "round", j->best_round);
    mp_z(out, "verdict");
    put_verdict(out, &j->best);
}

static int64_t due_of(const struct job *j)
{
    int64_t due = 0;
    if (j->state == JOB_DELAYED)
        return j->main.due_ms;
    for (uint32_t i = 0; j->state == JOB_WAITING && i < j->questions_n; i++) {
        const struct question *q = &j->questions[i];
        if (!q->settled && (due == 0 || q->due_ms < due))
            due = q->due_ms;
    }
    return due;
}

void map_row(struct buf *out, const struct job *j, uint32_t extra)
{
    char id[ID_CHARS + 1];
    bool at = !job_state_ended(j->state) && j->stage < j->pipe->stages_n;
    id_text(j->id, id);
    mp_map(out, 25 + extra);
    pair_z(out, "id", id);
    pair_z(out, "project", j->project);
    pair_z(out, "label", j->label);
    pair_z(out, "key", j->key);
    pair_z(out, "state", job_state_name(j->state));
    pair_z(out, "reason", j->reason);
    pair_uint(out, "run", j->run);
    pair_uint(out, "round", j->round);
    pair_z(out, "stage", at ? j->pipe->stages[j->stage].name : "");
    pair_int(out, "priority", j->priority);
    pair_z(out, "class", job_class_name(j->klass));
    pair_int(out, "start_ms", j->start_ms);
    pair_int(out, "created_ms", j->created_ms);
    pair_int(out, "updated_ms", j->updated_ms);
    pair_int(out, "ended_ms", j->ended_ms);
    pair_uint(out, "rounds_max", j->budget.rounds);
    pair_uint(out, "tokens_max", j->budget.tokens);
    pair_uint(out, "tokens_in", j->tokens_in);
    pair_uint(out, "tokens_out", j->tokens_out);
    pair_uint(out, "total_in", j->total_in);
    pair_uint(out, "total_out", j->total_out);
    pair_uint(out, "attempt", j->main.attempts + j->main.crashes + 1);
    pair_uint(out, "crashes", j->main.crashes);
    put_best(out, j);
    pair_int(out, "due_ms", due_of(j));
}

static void put_budget(struct buf *out, const struct budget *b)
{
    mp_z(out, "budget");
    mp_map(out, 7);
    pair_uint(out, "rounds", b->rounds);
    pair_uint(out, "tokens", b->tokens);
    pair_int(out, "wall_ms", b->wall_ms);
    pair_uint(out, "patience", b->patience);
    pair_uint(out, "measures", b->measures);
    pair_uint(out, "judge", b->judge);
    pair_int(out, "question_ms", b->question_ms);
}

static void put_stage(struct buf *out, const struct stage_def *s)
{
    mp_map(out, 8);
    pair_z(out, "stage", s->name);
    pair_z(out, "each", s->each == EACH_RUN ? "run" : "round");
    pair_uint(out, "attempts", s->attempts);
    pair_int(out, "silence_ms", s->silence_ms);
    pair_int(out, "total_ms", s->total_ms);
    pair_int(out, "start_ms", s->start_ms);
    mp_z(out, "reads");
    mp_array(out, s->reads_n);
    for (uint32_t i = 0; i < s->reads_n; i++)
        mp_z(out, s->reads[i].sent);
    mp_z(out, "writes");
    mp_array(out, s->writes_n);
    for (uint32_t i = 0; i < s->writes_n; i++)
        mp_z(out, s->writes[i]);
}

static void put_workspace(struct buf *out, const struct job *j)
{
    struct hash h;
    char hex[HASH_HEX + 1] = "";
    memcpy(h.b, j->workspace, sizeof h.b);
    if (j->has_workspace)
        hash_hex(&h, hex);
    pair_z(out, "workspace", hex);
}

static void put_lease(struct buf *out, const struct job *j)
{
    char key[PAWL_KEY_MAX + 1];
    mp_z(out, "lease");
    if (j->state != JOB_RUNNING) {
        mp_nil(out);
        return;
    }
    struct task_key k = { .job = j->id,
                          .run = j->main.run,
                          .round = j->main.round,
                          .stage = str_of(j->pipe->stages[j->stage].name) };
    task_key_text(&k, key);
    mp_map(out, 4);
    pair_z(out, "task", key);
    pair_z(out, "worker", j->main.worker);
    pair_uint(out, "attempt", j->main.attempts + j->main.crashes + 1);
    pair_int(out, "since_ms", j->main.since_ms);
}

/* The question as its stage asked it, and when its default will hold. */
static void put_question(struct buf *out, const struct question *q)
{
    struct mp in;
    struct mp_value head;
    mp_init(&in, (struct str){ q->raw, q->raw_n });
    if (mp_want(&in, MP_MAP, &head) != OK)
        head.n = 0;
    mp_map(out, head.n + 1);
    if (head.n)
        buf_append(out, q->raw + in.at, q->raw_n - in.at);
    pair_int(out, "due_ms", q->due_ms);
}

static void put_questions(struct buf *out, const struct job *j)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < j->questions_n; i++)
        open += !j->questions[i].settled;
    mp_z(out, "questions");
    mp_array(out, open);
    for (uint32_t i = 0; i < j->questions_n; i++) {
        if (!j->questions[i].settled)
            put_question(out, &j->questions[i]);
    }
}

static void put_asks(struct buf *out, const struct job *j)
{
    static const char *const phases[] = { "idle", "ready", "running", "delayed" };
    uint32_t n = 0;
    for (const struct task *t = j->asks; t; t = t->next)
        n++;
    mp_z(out, "asks");
    mp_array(out, n);
    for (const struct task *t = j->asks; t; t = t->next) {
        struct buf id;
        buf_init(&id, 16);
        buf_printf(&id, "a%u", t->pass);
        mp_map(out, 4);
        pair_z(out, "id", buf_z(&id));
        pair_uint(out, "run", t->run);
        pair_uint(out, "round", t->round);
        pair_z(out, "state", phases[t->phase]);
        buf_fini(&id);
    }
}

static void put_failures(struct buf *out, const struct job *j)
{
    mp_z(out, "failures");
    mp_array(out, j->failures_n);
    for (uint32_t i = 0; i < j->failures_n; i++) {
        const struct failure *f = &j->failures[i];
        mp_map(out, 6);
        pair_z(out, "task", f->task);
        pair_uint(out, "attempt", f->attempt);
        pair_z(out, "fault", f->fault);
        pair_z(out, "text", f->text);
        pair_z(out, "worker", f->worker);
        pair_int(out, "at_ms", f->at_ms);
    }
}

void map_job_rest(struct buf *out, const struct job *j, int64_t wall_ms)
{
    put_budget(out, &j->budget);
    pair_int(out, "wall_ms", job_wall_used(j, wall_ms));
    mp_z(out, "pipeline");
    mp_array(out, j->pipe->stages_n);
    for (uint32_t i = 0; i < j->pipe->stages_n; i++)
        put_stage(out, &j->pipe->stages[i]);
    put_workspace(out, j);
    put_lease(out, j);
    put_questions(out, j);
    put_asks(out, j);
    mp_z(out, "counts");
    mp_map(out, 4);
    pair_uint(out, "comments", j->comments_n);
    pair_uint(out, "answers", j->answers_n);
    pair_uint(out, "ledger", j->ledger_n);
    pair_uint(out, "asks", j->asks_n);
    put_failures(out, j);
    mp_z(out, "paused");
    mp_bool(out, j->hold);
}
