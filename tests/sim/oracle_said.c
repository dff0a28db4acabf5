/* SPDX-License-Identifier: Apache-2.0 */
/* oracle_said: what the broker says. A task is whole and given to one worker; what is acknowledged
 * is stored; a broker that was replaced is silent. */
#include "tests/sim/oracle_in.h"

#include <stdio.h>

enum {
    LEADER_LEASE_MS = 3000 + 1, /* times are truncated */
    RATE_SLACK_MS = 25000       /* a broker is suspended, commits come together */
};

static void said_task_docs(struct oracle *o, const struct msg_TASK *m, const struct job *j,
                           const struct task_key *k, const struct str *frames, uint32_t n)
{
    uint64_t key = digest(m->task);
    struct str steps = { 0 };
    bool problem = false, brief = false, draft = false;
    for (uint32_t i = 0; i < m->docs.n && i < n; i++) {
        if (str_is(m->docs.v[i], "steps"))
            steps = frames[i];
        problem = problem || (str_is(m->docs.v[i], "problem") && frames[i].n > 2);
        brief = brief || (str_is(m->docs.v[i], "brief") && frames[i].n > 2);
        draft = draft || (str_is(m->docs.v[i], "draft") && frames[i].n > 2);
    }
    if ((str_is(k->stage, "parse") && !problem) || (str_is(k->stage, "analyze") && !brief) ||
        (str_is(k->stage, "review") && !draft))
        oracle_broken(o, "task %.*s was given without what it works on", STR_ARG(m->task));
    /* What a slow worker adds after the task was given to another one comes too late. */
    bool known = fence_eq(j->r.fence, m->fence);
    for (size_t i = 0; known && i < o->steps_n; i++) {
        char hex[HASH_HEX + 1];
        if (o->steps[i].key != key || o->steps[i].at >= j->grant_commit)
            continue;
        snprintf(hex, sizeof hex, "%016llx", (unsigned long long)o->steps[i].hash);
        if (!holds_text(steps, hex))
            oracle_broken(o, "task %.*s was given without the acknowledged call %s",
                          STR_ARG(m->task), hex);
    }
}

/* The best so far, and nothing else under its name. */
static void said_best(struct oracle *o, const struct msg_TASK *m, const struct job *j,
                      const struct str *frames, uint32_t n)
{
    for (uint32_t i = 0; i < m->docs.n && i < n; i++) {
        struct str name = m->docs.v[i];
        if (name.n < 6 || memcmp(name.p + name.n - 5, "@best", 5) != 0)
            continue;
        struct str doc = oracle_field(o, j->id, "%llu/%llu/%.*s", (unsigned long long)j->r.best_run,
                                      (unsigned long long)j->r.best_round, (int)name.n - 5, name.p);
        if (digest(doc) != digest(frames[i]))
            oracle_broken(o, "task %.*s was given another %.*s", STR_ARG(m->task), STR_ARG(name));
    }
}

/* Without rules that hold things back: nothing of a higher class waits, in no stage of its worker. */
static void judge_class(struct oracle *o, uint64_t peer, const struct msg_TASK *m,
                        const struct job *j)
{
    const struct oracle_rules *r = &o->conf.rules;
    char id[16];
    bool held =
        r->affinity_ms || o->halted || o->halted_before || o->halts_commit >= j->grant_commit;
    for (uint32_t i = 0; i < PROJECTS; i++)
        held = held || r->limit[i];
    for (uint32_t i = 0; i < STAGES; i++)
        held = held || r->stage_limit[i] || r->stage_rate[i];
    for (uint32_t i = 0; i < o->jobs_n && !held; i++) {
        const struct job *q = &o->jobs[i];
        if (q->exists && q->r.state == S_QUEUED && q->r.klass < j->r.klass &&
            q->at_commit < j->grant_commit && oracle_serves(o, peer, q->r.stage))
            oracle_broken(o, "task %.*s was given to a worker before job %s of a higher class",
                          STR_ARG(m->task), job_name(q, id));
    }
}

static void judge_rate(struct oracle *o, const struct msg_TASK *m, int64_t at_ms)
{
    for (uint32_t s = 0; s < STAGES; s++) {
        uint32_t rate = o->conf.rules.stage_rate[s];
        if (rate == 0 || !str_is(m->stage, oracle_stages[s]))
            continue;
        int64_t *then = &o->rated[s][o->rated_n[s]++ % TASKS_RATED];
        if (o->rated_n[s] > TASKS_RATED &&
            TASKS_RATED > 1 + (at_ms - *then + RATE_SLACK_MS) * rate / 60000)
            oracle_broken(o, "stage %s is given more tasks than its rate allows", oracle_stages[s]);
        *then = at_ms;
    }
}

static void said_task(struct oracle *o, uint64_t peer, const struct msg_TASK *m,
                      const struct str *frames, uint32_t n, int64_t at_ms)
{
    struct task_key k;
    struct str fence = { (const char *)&m->fence, sizeof m->fence };
    uint64_t key = digest(m->task),
             mine = oracle_digest(key, (struct str){ (const char *)&peer, 8 });
    if (!task_key_parse(m->task, &k))
        oracle_broken(o, "a task has the key %.*s", STR_ARG(m->task));
    uint64_t *used = table_slot(&o->fences, digest(fence));
    if (*used && *used != mine)
        oracle_broken(o, "the fence %llx-%llu was given twice",
                      (unsigned long long)m->fence.incarnation,
                      (unsigned long long)m->fence.counter);
    *used = mine;
    struct job *j = oracle_job(o, k.job, false);
    if (!j)
        oracle_broken(o, "a task of an unknown job was given");
    oracle_judge_credit(o, peer, m);
    judge_rate(o, m, at_ms);
    struct lease *l = oracle_lease(o, key);
    if (l && lease_living(o, l, at_ms) && !fence_eq(l->fence, m->fence))
        oracle_broken(o, "task %.*s was given away while its worker lives", STR_ARG(m->task));
    if (l && !l->ended && at_ms < l->grace_ms && !fence_eq(l->fence, m->fence) &&
        l->since_ms + l->total_ms > at_ms + NEAR_MS)
        oracle_broken(o, "task %.*s was given away before its worker could come back",
                      STR_ARG(m->task));
    if (!l) {
        o->leases = array_more(o->leases, o->leases_n, &o->leases_cap, sizeof *o->leases);
        l = &o->leases[o->leases_n++];
    }
    *l = (struct lease){ .key = key,
                         .fence = m->fence,
                         .peer = peer,
                         .job = k.job,
                         .since_ms = at_ms,
                         .beat_ms = at_ms,
                         .total_ms = (int64_t)m->total_ms };
    if (oracle_job_at_position(o, m->task, &k))
        j->grants++;
    said_task_docs(o, m, j, &k, frames, n);
    if (!str_is(k.stage, "ask") && !str_is(k.stage, "call") && fence_eq(j->r.fence, m->fence)) {
        said_best(o, m, j, frames, n);
        judge_class(o, peer, m, j);
    }
    o->n.tasks++;
}

static void said_stepped(struct oracle *o, const struct msg_STEPPED *m)
{
    struct task_key k;
    struct hash h;
    char hex[HASH_HEX + 1], prefix[17] = "";
    struct job *j = oracle_job_at_position(o, m->task, &k);
    if (!j || state_ended(j->r.state) || m->hash.n != HASH_BYTES)
        return;
    memcpy(h.b, m->hash.p, HASH_BYTES);
    hash_hex(&h, hex);
    memcpy(prefix, hex, 16);
    for (unsigned i = 1;; i++) {
        struct str s = oracle_field(o, j->id, "step/%u/%u/%.*s/%u#%u", k.run, k.round,
                                    STR_ARG(k.stage), k.pass, i);
        if (!s.p)
            oracle_broken(o, "a call of %.*s was acknowledged and is not stored", STR_ARG(m->task));
        if (holds_text(s, hex))
            break;
    }
    uint64_t key = digest(m->task), hash = strtoull(prefix, NULL, 16);
    for (size_t i = 0; i < o->steps_n; i++) {
        if (o->steps[i].key == key && o->steps[i].hash == hash)
            return;
    }
    o->steps = array_more(o->steps, o->steps_n, &o->steps_cap, sizeof *o->steps);
    o->steps[o->steps_n++] = (struct step){ j->id, key, hash, o->commits };
}

static const struct result *result_of(const struct oracle *o, uint64_t peer, uint64_t key,
                                      struct fence fence, bool failed)
{
    for (size_t i = 0; i < RING; i++) {
        const struct result *r = &o->results[i];
        if (r->key == key && r->peer == peer && r->failed == failed && fence_eq(r->fence, fence))
            return r;
    }
    return NULL;
}

/* What was used is charged, also by what failed; what failed for good is over. */
static void said_charged(struct oracle *o, uint64_t peer, const struct msg_TAKEN *m)
{
    struct task_key k;
    char id[16];
    const struct job *j = task_key_parse(m->task, &k) ? oracle_job(o, k.job, false) : NULL;
    bool taken = j && j->exists && str_is(m->outcome, "committed");
    for (int failed = 0; failed < 2 && taken; failed++) {
        const struct result *r = result_of(o, peer, digest(m->task), m->fence, failed);
        if (!r)
            continue;
        if (!r->malformed && j->r.total_in < r->least)
            oracle_broken(o, "job %s: what task %.*s has used is not charged", job_name(j, id),
                          STR_ARG(m->task));
        if (r->permanent && j->r.run == k.run && !state_ended(j->r.state) &&
            !str_is(k.stage, "ask") && !str_is(k.stage, "call"))
            oracle_broken(o, "job %s goes on, it failed for good", job_name(j, id));
    }
}

static void said_taken(struct oracle *o, uint64_t peer, const struct msg_TAKEN *m)
{
    said_charged(o, peer, m);
    static const char *const docs[STAGES] = { "brief", "insights", "draft", "review" };
    struct task_key k;
    const struct result *r = result_of(o, peer, digest(m->task), m->fence, false);
    struct job *j = task_key_parse(m->task, &k) ? oracle_job(o, k.job, false) : NULL;
    int stage = -1;
    for (int i = 0; i < STAGES; i++)
        stage = str_is(k.stage, oracle_stages[i]) ? i : stage;
    if (!r || !j || !j->exists || stage < 0 || k.run != j->r.run)
        return;
    struct str doc = oracle_field(o, k.job, "%u/%u/%s", k.run, k.round, docs[stage]);
    if (str_is(m->outcome, "committed") && !r->malformed && digest(doc) != r->doc)
        oracle_broken(o, "the result of %.*s was acknowledged and is not stored", STR_ARG(m->task));
    if (str_is(m->outcome, "already") && !r->malformed && !doc.p && o->fell == 0)
        oracle_broken(o, "a result of %.*s was refused for one that does not exist",
                      STR_ARG(m->task));
    bool refused = str_is(m->outcome, "stale") || str_is(m->outcome, "gone");
    if (refused && doc.p && digest(doc) == r->doc)
        oracle_broken(o, "the result of %.*s was committed and is denied", STR_ARG(m->task));
    if (refused && !r->malformed && oracle_job_at_position(o, m->task, &k) &&
        !state_ended(j->r.state) && j->r.state != S_WAITING && o->fell == 0)
        oracle_broken(o, "the finished result of %.*s was thrown away", STR_ARG(m->task));
}

static const struct request *request_of(const struct oracle *o, uint64_t peer, uint64_t req)
{
    for (size_t i = 0; i < RING; i++) {
        const struct request *r = &o->requests[(o->requests_n + i) % RING]; /* oldest first */
        if (r->peer == peer && r->req == req)
            return r;
    }
    return NULL;
}

static void said_submitted(struct oracle *o, uint64_t peer, const struct msg_SUBMITTED *m)
{
    const struct request *r = request_of(o, peer, m->req);
    struct job *j = oracle_job_named(o, m->job);
    if (!j || !j->exists)
        oracle_broken(o, "job %.*s was acknowledged and is not stored", STR_ARG(m->job));
    if (!r)
        return;
    struct str problem = oracle_field(o, j->id, "0/0/problem");
    if (strcmp(j->r.key, r->text) != 0)
        oracle_broken(o, "job %.*s is not what was submitted", STR_ARG(m->job));
    if (digest(problem) != r->doc)
        oracle_broken(o, "the problem of job %.*s is not what was submitted", STR_ARG(m->job));
    char blob[80];
    snprintf(blob, sizeof blob, "b:%s", j->r.workspace);
    if (j->r.workspace[0] && !o->conf.look(o->conf.ctx, blob, "").p)
        oracle_broken(o, "job %.*s was taken without its workspace", STR_ARG(m->job));
    if (!m->existing && j->submitted)
        oracle_broken(o, "job %.*s was made twice", STR_ARG(m->job));
    j->submitted = true;
}

static void okay_list(struct oracle *o, const struct request *r, uint64_t id, const char *list,
                      struct str said)
{
    unsigned long no = said.n > 1 ? strtoul(said.p + 1, NULL, 10) : 0;
    char field[64], key[32] = "d:";
    snprintf(field, sizeof field, "%s%lu", list, no);
    id_text(id, key + 2);
    if (!holds_text(o->conf.look(o->conf.ctx, key, field), r->text))
        oracle_broken(o, "%s of job %s was acknowledged and is not stored", field, r->job);
}

static void said_okay(struct oracle *o, uint64_t peer, const struct msg_OKAY *m)
{
    const struct request *r = request_of(o, peer, m->req);
    struct job *j = r ? oracle_job_named(o, str_of(r->job)) : NULL;
    if (r && r->type == MSG_PUT) {
        char key[80];
        snprintf(key, sizeof key, "b:%s", r->hash);
        if (!o->conf.look(o->conf.ctx, key, "").p)
            oracle_broken(o, "the blob %s was acknowledged and is not stored", r->hash);
    }
    if (r && r->type == MSG_PAUSE && r->queue >= 0 && r->pauses == o->switches[r->queue] &&
        r->hold != (o->halted >> r->queue & 1))
        oracle_broken(o, "%s %d was to be %s and is not", r->queue < STAGES ? "stage" : "project",
                      r->queue % STAGES, r->hold ? "paused" : "resumed");
    if (!j || !j->exists)
        return;
    if (r->type == MSG_CANCEL && !state_ended(j->r.state) && j->r.run == r->run)
        oracle_broken(o, "job %s was cancelled and goes on", r->job);
    if (r->type == MSG_RETRY && r->run && j->r.run <= r->run && o->fell == 0)
        oracle_broken(o, "job %s was to be tried again and is not", r->job);
    if (r->type == MSG_COMMENT)
        okay_list(o, r, j->id, "comments#", m->id);
    if (r->type == MSG_ASK)
        okay_list(o, r, j->id, "ask/a", m->id);
    if (r->type == MSG_PAUSE && r->hold && r->pauses == j->pauses && j->r.run == r->run &&
        !state_ended(j->r.state) && j->r.state != S_PAUSED &&
        !((j->r.state == S_RUNNING || j->r.state == S_WAITING) && j->r.hold))
        oracle_broken(o, "job %s was paused and is not", r->job);
}

static void said_drop(struct oracle *o, uint64_t peer, const struct msg_DROP *m, int64_t at_ms)
{
    struct lease *l = oracle_lease(o, digest(m->task));
    if (!l || !fence_eq(l->fence, m->fence) || l->peer != peer)
        return;
    struct task_key k;
    if (str_is(m->reason, "expired") && lease_living(o, l, at_ms) &&
        oracle_job_at_position(o, m->task, &k))
        oracle_broken(o, "the lease of %.*s expired while its worker lives", STR_ARG(m->task));
    l->over = true;
}

static void said_called(struct oracle *o, const struct msg_CALLED *m, const struct str *frames,
                        uint32_t n)
{
    char want[64];
    if (m->fault.n || m->call.n < 2)
        return;
    snprintf(want, sizeof want, "result call %.*s", (int)m->call.n - 1, m->call.p + 1);
    if (n != 1 || !holds_text(frames[0], want))
        oracle_broken(o, "the call %.*s of %.*s got the result of another one", STR_ARG(m->call),
                      STR_ARG(m->task));
}

/* There is room for what is refused for want of room, whatever is on its way to the store. */
static void said_refused(struct oracle *o, uint64_t peer, const struct msg_REFUSED *m,
                         int64_t at_ms)
{
    enum { ON_ITS_WAY_MS = 20000 };
    const struct request *r = request_of(o, peer, m->req);
    uint64_t open = o->open_n;
    if (!r || r->type != MSG_SUBMIT || !str_is(m->code, "busy"))
        return;
    for (size_t i = 0; i < RING; i++)
        open += o->requests[i].req && at_ms - o->requests[i].at_ms < ON_ITS_WAY_MS;
    if (open < o->conf.rules.open_jobs)
        oracle_broken(o, "a submission was refused and %llu jobs are open at most",
                      (unsigned long long)open);
}

/* Its last word comes before its lease is over, whatever happened to it. Without a store it may
 * say that it has none. */
static void said_in_time(struct oracle *o, uint64_t incarnation, const struct msg *m, int64_t at_ms)
{
    for (uint32_t i = 0; i < DEPOSED; i++) {
        if (incarnation && o->replaced[i].incarnation == incarnation &&
            at_ms > o->replaced[i].at_ms + LEADER_LEASE_MS && m->type != MSG_REFUSED &&
            m->type != MSG_ANSWERED)
            oracle_broken(o, "a broker that was replaced %lld ms ago says %s",
                          (long long)(at_ms - o->replaced[i].at_ms), msg_name(m->type));
    }
}

void oracle_said(struct oracle *o, uint64_t incarnation, uint64_t peer, const struct msg *m,
                 const struct str *frames, uint32_t n, int64_t at_ms)
{
    if (m->epoch != incarnation && m->type != MSG_REFUSED)
        oracle_broken(o, "%s does not carry its broker's epoch", msg_name(m->type));
    o->now_ms = at_ms;
    for (uint32_t i = 0; i < DEPOSED && m->type != MSG_REFUSED; i++) {
        if (incarnation && o->deposed[i] == incarnation)
            oracle_broken(o, "a broker that knows that it was replaced says %s", msg_name(m->type));
    }
    said_in_time(o, incarnation, m, at_ms);
    if (m->type == MSG_CALLED)
        said_called(o, &m->CALLED, frames, n);
    if (incarnation != o->leader)
        return; /* it was true when its turn was made */
    if (m->type == MSG_REFUSED)
        said_refused(o, peer, &m->REFUSED, at_ms);
    else if (m->type == MSG_TASK)
        said_task(o, peer, &m->TASK, frames, n, at_ms);
    else if (m->type == MSG_STEPPED)
        said_stepped(o, &m->STEPPED);
    else if (m->type == MSG_TAKEN)
        said_taken(o, peer, &m->TAKEN);
    else if (m->type == MSG_SUBMITTED)
        said_submitted(o, peer, &m->SUBMITTED);
    else if (m->type == MSG_OKAY)
        said_okay(o, peer, &m->OKAY);
    else if (m->type == MSG_DROP)
        said_drop(o, peer, &m->DROP, at_ms);
}
