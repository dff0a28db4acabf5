/* SPDX-License-Identifier: Apache-2.0 */
/* oracle_job: how the record of a job may change. */
#include "tests/sim/oracle_in.h"

static const uint64_t attempts[STAGES] = {
#define X(name, each, attempts, silence, total, reads, writes, meaning) attempts,
#define L(name, each, attempts, silence, total, reads, writes, meaning)
#include "schemas/stages.def"
#undef X
#undef L
};

enum {
    OVERLOADS_FREE = 100, /* then they are charged */
    ATTEMPTS_LEAST = 3,
    CRASHES = 3,
    SET_BACK_MS = 125000
};

static bool before_position(const struct record *a, const struct record *b)
{
    if (a->run != b->run)
        return a->run < b->run;
    return a->round != b->round ? a->round < b->round : a->stage < b->stage;
}

static int compare(const struct score *a, const struct score *b)
{
    if (a->gates != b->gates)
        return a->gates ? 1 : -1;
    if (a->measures != b->measures)
        return a->measures > b->measures ? 1 : -1;
    if (a->judge < 0 || b->judge < 0 || a->judge == b->judge)
        return 0;
    return a->judge > b->judge ? 1 : -1;
}

/* An ended run stays as it ended; the next one begins from its start. */
static void judge_ended(struct oracle *o, const struct job *j, const struct record *now)
{
    const struct record *was = &j->r;
    char id[16];
    if (now->run == was->run) {
        if (now->state != was->state || now->ended_ms != was->ended_ms ||
            now->reason != was->reason || !same_position(now, was) ||
            now->best_round != was->best_round || now->best_run != was->best_run ||
            now->questions != was->questions)
            oracle_broken(o, "job %s: its run %llu had ended and was changed", job_name(j, id),
                          (unsigned long long)was->run);
    } else if (now->run < was->run) {
        oracle_broken(o, "job %s: run %llu follows run %llu", job_name(j, id),
                      (unsigned long long)now->run, (unsigned long long)was->run);
    }
}

static void judge_failed(struct oracle *o, const struct job *j, const struct record *now)
{
    char id[16];
    /* What has gone by is measured by another clock than the wall's, which is set back at times. */
    int64_t set_back = now->reason == digest(str_of("the wall time is spent")) ? SET_BACK_MS : 0;
    bool spent = now->tokens_in + now->tokens_out >= now->budget_tokens ||
                 now->wall_used + set_back >= now->budget_wall;
    bool policy = now->stage == STAGES || now->round >= now->rounds;
    bool crashes = j->grants + j->given_back >= j->fails + CRASHES && now->crashes >= CRASHES;
    bool fails = j->fails >= ATTEMPTS_LEAST && now->attempts >= ATTEMPTS_LEAST;
    if (j->blur || spent || policy || j->permanents || crashes || fails)
        return;
    oracle_broken(o,
                  "job %s failed after %u failures and %u leases of its stage (says: %llu, %llu)",
                  job_name(j, id), j->fails, j->grants, (unsigned long long)now->attempts,
                  (unsigned long long)now->crashes);
}

static void judge_end(struct oracle *o, const struct job *j, const struct record *now)
{
    char id[16];
    if (now->state == S_ACCEPTED &&
        (!now->has_best || now->stale || !now->best.gates || now->best.errors ||
         now->best.measures < now->budget_measures ||
         (now->best.judge >= 0 && now->best.judge < now->budget_judge)))
        oracle_broken(o, "job %s is accepted and its best does not meet the targets",
                      job_name(j, id));
    if (j->dry_known && j->dry + 1 < now->patience &&
        now->reason == digest(str_of("patience is spent: no better candidate")))
        oracle_broken(o, "job %s has ended and its patience is not spent", job_name(j, id));
    if (now->state == S_EXHAUSTED && !now->has_best)
        oracle_broken(o, "job %s is exhausted without a candidate", job_name(j, id));
    if (now->state == S_FAILED)
        judge_failed(o, j, now);
    o->n.accepted += now->state == S_ACCEPTED;
    o->n.exhausted += now->state == S_EXHAUSTED;
    o->n.failed += now->state == S_FAILED;
    o->n.cancelled += now->state == S_CANCELLED;
}

/* What is spent in a run is spent; a run without progress ends; a question is waited for. */
static void judge_run(struct oracle *o, struct job *j, const struct record *now)
{
    const struct record *was = &j->r;
    char id[16];
    job_name(j, id);
    if (now->run != was->run) {
        j->dry = 0;
        j->dry_known = true;
    } else if (now->total_in - was->total_in != now->tokens_in - was->tokens_in ||
               now->total_out - was->total_out != now->tokens_out - was->tokens_out) {
        oracle_broken(o, "job %s: what its run has spent is not what it has spent in all", id);
    } else if (now->round > was->round) {
        bool better = now->has_best && now->best_run == was->run && now->best_round == was->round;
        j->dry = better ? 0 : j->dry + 1;
    }
    if (now->comments != was->comments)
        j->dry_known = false; /* a comment gets its round */
    if (j->dry_known && j->dry >= now->patience && !state_ended(now->state))
        oracle_broken(o, "job %s goes on, its patience is spent", id);
    if (now->state == S_WAITING && !now->unsettled)
        oracle_broken(o, "job %s waits, and no question is open", id);
    if (now->unsettled && (now->state == S_QUEUED || now->state == S_RUNNING))
        oracle_broken(o, "job %s goes on, and a question is open", id);
}

/* What was tried at a position is remembered there, and forgotten at the next one. */
static void judge_tries(struct oracle *o, const struct job *j, const struct record *now)
{
    const struct record *was = &j->r;
    bool here = same_position(now, was), open = !state_ended(now->state);
    char id[16];
    job_name(j, id);
    if (here && (now->attempts < was->attempts || now->crashes < was->crashes))
        oracle_broken(o, "job %s: what was tried is forgotten", id);
    if (!here && open && (now->attempts || now->crashes > 1))
        oracle_broken(o, "job %s: its next stage begins with tries of the last one", id);
    if (open && now->stage < STAGES && now->attempts >= attempts[now->stage])
        oracle_broken(o, "job %s goes on after %llu attempts", id,
                      (unsigned long long)now->attempts);
    if (open && now->crashes >= CRASHES)
        oracle_broken(o, "job %s goes on and three workers were lost with it", id);
    if (here && now->attempts > was->attempts && !j->blur && j->given_back <= OVERLOADS_FREE &&
        now->attempts > j->fails + oracle_leases_late(o, j->id))
        oracle_broken(o, "job %s is charged with an attempt that nobody made", id);
    if (here && now->crashes > was->crashes && oracle_lease_returned(o, j->id, was->fence))
        oracle_broken(o, "job %s: a worker that gave it back counts as lost", id);
    if (here && open && was->phase == 2 && (now->phase != 2 || !fence_eq(now->fence, was->fence)))
        oracle_judge_taken_away(o, j, was->fence);
}

/* What a run has spent begins with it; the wall time stands still while nobody is to work. */
static void judge_spent(struct oracle *o, const struct job *j, const struct record *now)
{
    const struct record *was = &j->r;
    char id[16];
    job_name(j, id);
    if (now->run != was->run && (now->tokens_in > now->total_in - was->total_in ||
                                 now->tokens_out > now->total_out - was->total_out))
        oracle_broken(o, "job %s: its new run begins with tokens of the last one", id);
    bool fresh = now->run != was->run && now->state == S_QUEUED && now->fence.counter == 0;
    if (fresh && now->wall_used)
        oracle_broken(o, "job %s: its new run begins with the wall time of the last one", id);
    if (now->wall_from &&
        (state_ended(now->state) || now->state == S_WAITING || now->state == S_PAUSED))
        oracle_broken(o, "job %s: its wall time runs while nobody is to work", id);
    if (now->hold && now->state != S_RUNNING && now->state != S_WAITING)
        oracle_broken(o, "job %s is to be paused and waits for a worker", id);
}

static void judge_change(struct oracle *o, struct job *j, const struct record *now)
{
    const struct record *was = &j->r;
    char id[16];
    job_name(j, id);
    if (now->version != was->version + 1)
        oracle_broken(o, "job %s: version %llu follows %llu", id, (unsigned long long)now->version,
                      (unsigned long long)was->version);
    if (before_position(now, was))
        oracle_broken(o, "job %s went back from %llu/%llu/%llu", id, (unsigned long long)was->run,
                      (unsigned long long)was->round, (unsigned long long)was->stage);
    if (now->round > now->rounds)
        oracle_broken(o, "job %s is in a round beyond its budget", id);
    if (now->total_in < was->total_in || now->total_out < was->total_out)
        oracle_broken(o, "job %s has spent less than before", id);
    if (now->total_in > j->executed_in)
        oracle_broken(o, "job %s is charged for %llu tokens, %llu were used", id,
                      (unsigned long long)now->total_in, (unsigned long long)j->executed_in);
    if (now->has_best && !now->best.gates)
        oracle_broken(o, "job %s: the gates of its best do not hold", id);
    if (was->has_best && !was->stale && !now->stale && was->comments == now->comments &&
        (!now->has_best || compare(&now->best, &was->best) < 0))
        oracle_broken(o, "job %s: its best became worse", id);
    if (was->run == now->run && now->round > was->round &&
        was->tokens_in + was->tokens_out >= was->budget_tokens)
        oracle_broken(o, "job %s: another round after all tokens were spent", id);
    if (was->hold && was->state == S_WAITING && now->run == was->run &&
        (now->state == S_QUEUED || now->state == S_RUNNING) &&
        o->now_ms - j->resumed_ms > SETTLED_MS)
        oracle_broken(o, "job %s is paused and goes on after an answer", id);
    if (was->hold && !now->hold && now->run == was->run && now->state != S_PAUSED &&
        !state_ended(now->state) && o->now_ms - j->resumed_ms > SETTLED_MS)
        oracle_broken(o, "job %s is paused and goes on", id);
    bool unbegun = was->state == S_PAUSED && now->round == 1 && now->stage == 0;
    if ((was->state == S_DELAYED || unbegun) &&
        (now->state == S_QUEUED || now->state == S_RUNNING) && was->fence.counter == 0 &&
        now->run == 1 && now->updated_ms < now->start_ms)
        oracle_broken(o, "job %s was queued before its start", id);
    judge_tries(o, j, now);
    judge_spent(o, j, now);
    judge_run(o, j, now);
    if (state_ended(was->state))
        judge_ended(o, j, now);
    if (state_ended(now->state) && (!state_ended(was->state) || now->run != was->run))
        judge_end(o, j, now);
}

static void touch(struct oracle *o, struct job *j)
{
    if (j->at_commit == o->commits + 1)
        return;
    o->touched = array_more(o->touched, o->touched_n, &o->touched_cap, sizeof *o->touched);
    o->touched[o->touched_n++] = (uint32_t)(j - o->jobs);
    j->at_commit = o->commits + 1;
    j->before = j->r;
    j->granted = false;
}

/* So many jobs are open, so many have ended. */
static void count(struct oracle *o, const struct job *j, uint32_t more)
{
    if (j->exists && state_ended(j->r.state))
        o->ended_n += more;
    else if (j->exists)
        o->open_n += more;
}

static void removed(struct oracle *o, struct job *j)
{
    o->removed_n++;
    if (o->removed_ms < j->r.ended_ms)
        o->removed_ms = j->r.ended_ms;
    j->exists = j->submitted = false;
    j->gap_commit = j->told_commit = 0; /* what has its key next begins anew */
    j->ledger_in = j->ledger_out = 0;
    j->r = (struct record){ 0 };
}

static void forget_steps(struct oracle *o, uint64_t job)
{
    size_t n = 0;
    for (size_t i = 0; i < o->steps_n; i++) {
        if (o->steps[i].job != job)
            o->steps[n++] = o->steps[i];
    }
    o->steps_n = n;
}

void oracle_cell_record(struct oracle *o, uint64_t id, struct str bytes)
{
    struct record now = { 0 };
    struct str project;
    uint64_t said;
    char text[16];
    id_text(id, text);
    struct job *j = oracle_job(o, id, true);
    if (!o->loading)
        touch(o, j);
    if (!bytes.p) {
        if (!state_ended(j->r.state))
            oracle_broken(o, "job %s was removed before it had ended", text);
        count(o, j, (uint32_t)-1);
        forget_steps(o, id);
        removed(o, j);
        return;
    }
    if (!oracle_read_record(bytes, &now, &said, &project) || said != id)
        oracle_broken(o, "the record of job %s cannot be read", text);
    if (j->exists)
        judge_change(o, j, &now);
    else if (!o->loading && now.version != 1)
        oracle_broken(o, "job %s begins with version %llu", text, (unsigned long long)now.version);
    if (!j->exists || !same_position(&now, &j->r)) {
        j->fails = j->permanents = j->given_back = j->grants = 0;
        j->blur = false;
        j->begun_in = o->loading ? 0 : now.total_in; /* what was charged before is not known */
    }
    count(o, j, (uint32_t)-1);
    o->revived_n += j->exists && now.run > j->r.run;
    bool fresh = now.phase == 2 && !fence_eq(now.fence, j->r.fence);
    j->granted = j->granted || fresh;
    j->grant_commit = fresh ? o->commits + 1 : j->grant_commit;
    if (o->loading) {
        j->told = now.state;
        j->dry_known = false;
    } else if (!j->exists) {
        j->dry = 0;
        j->dry_known = true;
    }
    j->exists = true;
    j->project = (uint32_t)(project.n ? project.p[project.n - 1] - '0' : 0) % PROJECTS;
    j->r = now;
    count(o, j, 1);
    o->n.records++;
}
