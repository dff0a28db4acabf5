/* SPDX-License-Identifier: Apache-2.0 */
/* oracle_record: reads what the store keeps, field by field, with a decoder of its own. */
#include "tests/sim/oracle_in.h"

#include <stdio.h>

struct reader {
    struct mp in;
    bool bad;
};

static struct mp_value value(struct reader *r)
{
    struct mp_value v = { 0 };
    r->bad = r->bad || mp_next(&r->in, &v) != OK;
    return v;
}

static uint64_t number(struct reader *r)
{
    struct mp_value v = value(r);
    return v.type == MP_UINT ? v.u : (uint64_t)v.i;
}

static void pass(struct reader *r, uint64_t n)
{
    for (; n && !r->bad; n--)
        value(r);
}

static struct score score(struct reader *r)
{
    struct score s = { .gates = value(r).b };
    s.measures = (int64_t)number(r);
    s.judge = (int64_t)number(r);
    s.errors = (int64_t)number(r);
    pass(r, 2);
    return s;
}

static void read_task(struct reader *r, struct record *out)
{
    out->phase = number(r);
    pass(r, 3);
    out->attempts = number(r);
    out->crashes = number(r);
    pass(r, 2);
    pass(r, value(r).n);
    pass(r, 4);
    out->fence.incarnation = number(r);
    out->fence.counter = number(r);
    pass(r, 4);
    out->age = number(r);
}

/* Field by field in the order in which they are kept. */
bool oracle_read_record(struct str bytes, struct record *out, uint64_t *id, struct str *project)
{
    struct reader r = { .bad = bytes.n < 10 };
    mp_init(&r.in, (struct str){ bytes.p + 10, bytes.n - 10 });
    pass(&r, 1);
    *id = number(&r);
    out->version = number(&r);
    pass(&r, 1);
    *project = value(&r).str;
    struct str key = value(&r).str;
    snprintf(out->key, sizeof out->key, "%.*s", STR_ARG(key));
    pass(&r, 1);
    out->priority = (int64_t)number(&r);
    out->rounds = number(&r);
    out->patience = number(&r);
    out->budget_measures = (int64_t)number(&r);
    out->budget_judge = (int64_t)number(&r);
    out->budget_tokens = number(&r);
    out->budget_wall = (int64_t)number(&r);
    pass(&r, 2);
    struct str workspace = value(&r).str;
    snprintf(out->workspace, sizeof out->workspace, "%.*s", STR_ARG(workspace));
    out->created_ms = (int64_t)number(&r);
    out->updated_ms = (int64_t)number(&r);
    out->ended_ms = (int64_t)number(&r);
    uint64_t state = number(&r);
    out->state = (enum state)(state < S_COUNT ? state : 0);
    out->reason = digest(value(&r).str);
    out->run = number(&r);
    out->round = number(&r);
    out->stage = number(&r);
    out->wall_used = (int64_t)number(&r);
    out->wall_from = (int64_t)number(&r);
    out->tokens_in = number(&r);
    out->tokens_out = number(&r);
    out->total_in = number(&r);
    out->total_out = number(&r);
    pass(&r, 4);
    out->has_best = value(&r).b;
    out->stale = value(&r).b;
    pass(&r, 1);
    out->hold = value(&r).b;
    out->best_run = number(&r);
    out->best_round = number(&r);
    out->best = score(&r);
    pass(&r, 1 + 6);
    pass(&r, value(&r).n);
    pass(&r, 7 * (uint64_t)value(&r).n);
    pass(&r, 1);
    out->comments = number(&r);
    pass(&r, 1);
    out->asks = number(&r);
    out->questions = value(&r).n;
    for (uint64_t i = 0; i < out->questions && !r.bad; i++) {
        pass(&r, 5);
        out->unsettled += !value(&r).b;
    }
    pass(&r, 6 * (uint64_t)value(&r).n);
    read_task(&r, out);
    out->open_asks = value(&r).n;
    for (uint64_t i = 0; i < out->open_asks && !r.bad; i++) {
        struct record ask;
        read_task(&r, &ask);
    }
    pass(&r, 4 + 4 * out->open_asks);
    out->klass = number(&r);
    out->start_ms = (int64_t)number(&r);
    return !r.bad && state < S_COUNT;
}

static enum state state_named(struct str name)
{
    static const char *const names[S_COUNT] = {
#define X(id, name, kind, meaning) [S_##id] = name,
#include "schemas/states.def"
#undef X
    };
    int i = 0;
    while (i < S_COUNT && !str_is(name, names[i]))
        i++;
    return (enum state)i;
}

/* [kind, job, project, at_ms, {from, to, …}] */
bool oracle_read_event(struct str bytes, struct state_event *out)
{
    struct reader r = { .bad = false };
    mp_init(&r.in, bytes);
    pass(&r, 1);
    struct str kind = value(&r).str;
    *out = (struct state_event){ .of_state = str_is(kind, "job.state"), .job = value(&r).str };
    if (!out->of_state)
        return true;
    pass(&r, 2 + 2);
    out->from = state_named(value(&r).str);
    pass(&r, 1);
    out->to = state_named(value(&r).str);
    return !r.bad && out->from != S_COUNT && out->to != S_COUNT;
}

/* {run, round, parent, tokens_in, tokens_out, …} */
bool oracle_read_entry(struct str bytes, uint64_t *tokens_in, uint64_t *tokens_out)
{
    struct reader r = { .bad = false };
    mp_init(&r.in, bytes);
    pass(&r, 1 + 3 * 2);
    bool in = str_is(value(&r).str, "tokens_in");
    *tokens_in = number(&r);
    bool out = str_is(value(&r).str, "tokens_out");
    *tokens_out = number(&r);
    return !r.bad && in && out;
}

/* {stages: [name…], projects: [name…]} */
bool oracle_read_halts(struct str bytes, uint32_t *halted)
{
    struct reader r = { .bad = false };
    struct str none = { 0 };
    mp_init(&r.in, bytes);
    *halted = 0;
    pass(&r, 2);
    for (uint32_t n = value(&r).n; n && !r.bad; n--)
        *halted |= 1u << oracle_queue(value(&r).str, none);
    pass(&r, 1);
    for (uint32_t n = value(&r).n; n && !r.bad; n--)
        *halted |= 1u << oracle_queue(none, value(&r).str);
    return !r.bad;
}
