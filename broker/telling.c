/* SPDX-License-Identifier: Apache-2.0 */
/* telling: the events of the history (schemas/events.def), each a small msgpack map. */
#include "broker/core_in.h"

#include "common/mp.h"

#include <assert.h>
#include <string.h>

enum { FACTS_MAX = 128 * 1024, TOLD_MAX = 2048 };

#define X(id, name, facts, meaning) static const char ev_##id[] __attribute__((unused)) = name;
#include "schemas/events.def"
#undef X

static void pair_str(struct buf *b, const char *key, struct str v)
{
    mp_z(b, key);
    mp_str(b, v);
}

static void pair_z(struct buf *b, const char *key, const char *v)
{
    pair_str(b, key, str_of(v));
}

static void pair_uint(struct buf *b, const char *key, uint64_t v)
{
    mp_z(b, key);
    mp_uint(b, v);
}

static void pair_int(struct buf *b, const char *key, int64_t v)
{
    mp_z(b, key);
    mp_int(b, v);
}

/* Cut at a character of UTF-8. */
static struct str told(struct str s)
{
    if (s.n <= TOLD_MAX)
        return s;
    s.n = TOLD_MAX;
    while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
        s.n--;
    return s;
}

static struct fx *tell(struct core *c, const struct job *j, enum fx_kind kind, const char *name,
                       struct str facts, struct effects *fx)
{
    struct fx *f = effects_add(fx, kind);
    f->job = j->id;
    f->name = name;
    f->bytes = effects_copy(fx, facts);
    f->project = effects_copy(fx, str_of(j->project));
    f->at_ms = c->wall_ms;
    return f;
}

static struct str made(const struct buf *facts)
{
    assert(facts->status == OK); /* each of them is bounded */
    return buf_get(facts);
}

void tell_facts(struct core *c, const struct job *j, const char *kind, struct str facts,
                struct effects *fx)
{
    tell(c, j, FX_EVENT, kind, facts, fx);
}

void verdict_put(struct buf *out, const struct verdict *v)
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

static const char *stage_name(const struct job *j)
{
    return j->stage < j->pipe->stages_n && !job_state_ended(j->state)
               ? j->pipe->stages[j->stage].name
               : "";
}

void tell_state(struct core *c, const struct job *j, enum job_state from, struct effects *fx)
{
    struct buf *b = effects_scratch(fx, FACTS_MAX);
    mp_map(b, j->has_best ? 8 : 6);
    pair_z(b, "from", job_state_name(from));
    pair_z(b, "to", job_state_name(j->state));
    pair_z(b, "reason", j->reason);
    pair_uint(b, "run", j->run);
    pair_uint(b, "round", j->round);
    pair_z(b, "stage", stage_name(j));
    if (j->has_best) {
        pair_uint(b, "best", j->best_round);
        mp_z(b, "score");
        verdict_put(b, &j->best);
    }
    tell(c, j, FX_EVENT, ev_STATE, made(b), fx);
}

static void key_pair(struct buf *b, const struct task *t)
{
    char key[PAWL_KEY_MAX + 1];
    task_key_write(t, key);
    pair_z(b, "task", key);
}

void tell_start(struct core *c, const struct task *t, struct effects *fx)
{
    struct buf *b = effects_scratch(fx, FACTS_MAX);
    mp_map(b, 5);
    key_pair(b, t);
    pair_z(b, "stage", t->def->name);
    pair_uint(b, "round", t->round);
    pair_uint(b, "attempt", t->attempts + t->crashes + 1);
    pair_z(b, "worker", t->worker);
    tell(c, t->job, FX_EVENT, ev_TASK, made(b), fx);
}

void tell_end(struct core *c, const struct task *t, const char *outcome, struct str text,
              struct task_cost cost, struct effects *fx)
{
    int64_t ms = t->since_ms && c->wall_ms > t->since_ms ? c->wall_ms - t->since_ms : 0;
    struct buf *b = effects_scratch(fx, FACTS_MAX);
    mp_map(b, 8);
    key_pair(b, t);
    pair_z(b, "stage", t->def->name);
    pair_uint(b, "round", t->round);
    pair_z(b, "outcome", outcome);
    pair_str(b, "text", told(text));
    pair_int(b, "ms", ms);
    pair_uint(b, "tokens_in", cost.tokens_in);
    pair_uint(b, "tokens_out", cost.tokens_out);
    tell(c, t->job, FX_EVENT, ev_ENDED, made(b), fx);
}

void tell_step(struct core *c, const struct task *t, const struct msg_STEP *m, struct effects *fx)
{
    struct hash h = { { 0 } };
    char hex[HASH_HEX + 1];
    memcpy(h.b, m->hash.p, m->hash.n < sizeof h.b ? m->hash.n : sizeof h.b);
    hash_hex(&h, hex);
    struct buf *b = effects_scratch(fx, FACTS_MAX);
    mp_map(b, 5);
    key_pair(b, t);
    pair_z(b, "hash", hex);
    pair_uint(b, "ms", m->ms);
    pair_uint(b, "tokens_in", m->tokens_in);
    pair_uint(b, "tokens_out", m->tokens_out);
    tell(c, t->job, FX_EVENT, ev_STEP, made(b), fx);
}

void tell_note(struct core *c, const struct task *t, struct effects *fx)
{
    struct buf *b = effects_scratch(fx, FACTS_MAX);
    mp_map(b, 2);
    key_pair(b, t);
    pair_str(b, "text", told(str_of(t->note)));
    tell(c, t->job, FX_LIVE, ev_NOTE, made(b), fx);
}

void tell_tokens(struct core *c, const struct task *t, const struct msg_TOKENS *m,
                 struct effects *fx)
{
    struct buf *b = effects_scratch(fx, FACTS_MAX);
    mp_map(b, 3);
    key_pair(b, t);
    pair_uint(b, "offset", m->offset);
    pair_str(b, "text", m->text);
    struct fx *f = tell(c, t->job, FX_LIVE, ev_TOKENS, made(b), fx);
    f->peer = t->peer;
    f->task = effects_copy(fx, m->task);
}

void tell_reply(struct core *c, const struct task *ask, const struct reply *reply,
                struct effects *fx)
{
    char id[16];
    ask_id(ask->pass, id);
    struct buf *b = effects_scratch(fx, FACTS_MAX);
    mp_map(b, reply->fault ? 4 : 3);
    pair_z(b, "id", id);
    pair_str(b, "question", told(reply->question));
    pair_str(b, "text", reply->text);
    if (reply->fault)
        pair_z(b, "fault", reply->fault);
    tell(c, ask->job, FX_EVENT, ev_REPLY, made(b), fx);
}
