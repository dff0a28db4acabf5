/* SPDX-License-Identifier: Apache-2.0 */
/* oracle_store: every cell that changes, and every commit. Documents are written once and made of
 * what the job has; a change of state and its event are one commit, without a gap; indexes name
 * what is stored; turns are a chain. */
#include "tests/sim/oracle_in.h"

#include <stdio.h>

/* Each result is made of what its stage was given: drafts of a lost past are not reviewed. */
static void judge_made_of(struct oracle *o, const struct job *j, const char *field, struct str v)
{
    unsigned run, round;
    char name[32], id[16];
    uint64_t want = 0;
    const char *in = v.p ? memmem(v.p, v.n, " in ", 4) : NULL;
    if (sscanf(field, "%u/%u/%31s", &run, &round, name) != 3 || run == 0 || !in)
        return;
    if (strcmp(name, "brief") == 0) {
        want = oracle_digest(0, oracle_field(o, j->id, "0/0/problem"));
    } else if (strcmp(name, "insights") == 0) {
        want = oracle_digest(0, oracle_field(o, j->id, "%u/1/brief", run));
    } else if (strcmp(name, "draft") == 0) {
        want = oracle_digest(0, oracle_field(o, j->id, "%u/1/brief", run));
        want = oracle_digest(want, oracle_field(o, j->id, "%u/%u/insights", run, round));
    } else if (strcmp(name, "review") == 0) {
        want = oracle_digest(0, oracle_field(o, j->id, "%u/%u/draft", run, round));
    } else {
        return;
    }
    char hex[17] = "";
    memcpy(hex, in + 4, 16);
    if (strtoull(hex, NULL, 16) != want)
        oracle_broken(o, "job %s: %s was not made of what the job has", job_name(j, id), field);
}

/* An item of its ledger: they are written once, and go with their job. */
static void cell_entry(struct oracle *o, struct job *j, struct str v)
{
    uint64_t in, out;
    char id[16];
    if (!v.p)
        return;
    if (!oracle_read_entry(v, &in, &out))
        oracle_broken(o, "the ledger of job %s cannot be read", job_name(j, id));
    j->ledger_in += in;
    j->ledger_out += out;
}

static void cell_doc(struct oracle *o, uint64_t id, const char *field, struct str v)
{
    struct job *j = oracle_job(o, id, true);
    if (strncmp(field, "ledger#", 7) == 0)
        cell_entry(o, j, v);
    char text[16];
    unsigned run, round;
    if (field[0] < '1' || field[0] > '9' || sscanf(field, "%u/%u/", &run, &round) != 2)
        return;
    uint64_t *first = table_slot(&o->once, digest(str_of(field)) ^ id);
    if (!v.p || o->loading) {
        *first = v.p ? digest(v) : 0; /* removed with its job */
    } else {
        uint64_t now = digest(v);
        if (*first && *first != now)
            oracle_broken(o, "job %s: %s was committed twice", job_name(j, text), field);
        *first = now;
        if (j->exists && state_ended(j->r.state) && j->r.run >= run)
            oracle_broken(o, "job %s: %s was written after the run had ended", job_name(j, text),
                          field);
        judge_made_of(o, j, field, v);
        o->n.committed++;
    }
}

/* Those of a job's states are without a gap. */
static void cell_event(struct oracle *o, struct str bytes)
{
    struct state_event e;
    bool read = oracle_read_event(bytes, &e);
    if (read && !e.of_state)
        return;
    struct job *j = oracle_job_named(o, e.job);
    if (!read || !j)
        oracle_broken(o, "an event of a state cannot be read");
    if (j->exists && j->told_commit && e.from != j->told)
        j->gap_commit = o->commits + 1;
    j->told = e.to;
    j->told_commit = o->commits + 1;
}

static void cell_halts(struct oracle *o, struct str bytes)
{
    if (!oracle_read_halts(bytes, &o->halted))
        oracle_broken(o, "the record of what is paused cannot be read");
    o->halts_commit = o->commits + 1;
}

static int64_t decimal(struct str text)
{
    char z[24];
    snprintf(z, sizeof z, "%.*s", STR_ARG(text));
    return strtoll(z, NULL, 10);
}

static void cell_index(struct oracle *o, const char *index, const char *id, struct str score)
{
    static const char *const names[INDEXES] = { "all",     "open",    "ended",
                                                "waiting", "delayed", "failed" };
    uint64_t number_;
    if (!id_parse(str_of(id), &number_))
        return;
    struct job *j = oracle_job(o, number_, true);
    for (size_t i = 0; i < COUNT(names); i++) {
        if (strcmp(names[i], index) != 0)
            continue;
        j->indexes = score.p ? j->indexes | 1u << i : j->indexes & ~(1u << i);
        j->scores[i] = decimal(score);
    }
}

void oracle_cell(struct oracle *o, const char *key, const char *field, struct str v)
{
    uint64_t id;
    o->written++;
    if ((key[0] == 'j' || key[0] == 'd') && key[1] == ':' && id_parse(str_of(key + 2), &id)) {
        if (key[0] == 'j')
            oracle_cell_record(o, id, v);
        else
            cell_doc(o, id, field, v);
    } else if (strcmp(key, "pipelines") == 0 && strspn(field, "0") == 16 && v.p) {
        cell_halts(o, v);
    } else if (strcmp(key, "e") == 0 && v.p && !o->loading) {
        cell_event(o, v);
    } else if (key[0] == 'x' && key[1] == ':') {
        cell_index(o, key + 2, field, v);
    }
}

static void judge_indexes(struct oracle *o, const struct job *j)
{
    char id[16];
    enum state s = j->r.state;
    uint32_t want = !j->exists ? 0
                               : 1u | (state_ended(s) ? 4u : 2u) | (s == S_WAITING ? 8u : 0) |
                                     (s == S_DELAYED ? 16u : 0) | (s == S_FAILED ? 32u : 0);
    for (uint32_t i = 0; i < INDEXES && j->exists; i++) {
        int64_t score = i == 2 ? j->r.ended_ms : j->r.created_ms;
        if (want & j->indexes & 1u << i && j->scores[i] != score)
            oracle_broken(o, "job %s is listed at a wrong place", job_name(j, id));
    }
    if (j->indexes != want)
        oracle_broken(o, "job %s is listed in %x, not in %x", job_name(j, id), j->indexes, want);
}

/* A change of state and its event are one commit. */
static void judge_told(const struct oracle *o, const struct job *j)
{
    char id[16];
    bool changed = !j->before.version || j->before.state != j->r.state;
    if (j->gap_commit == o->commits)
        oracle_broken(o, "job %s: an event before this one is missing", job_name(j, id));
    if (j->exists && changed && (j->told_commit != o->commits || j->told != j->r.state))
        oracle_broken(o, "job %s changed its state and no event says so", job_name(j, id));
}

/* Its wall time stands still while its queue is paused; its ledger has what was spent, no more. */
static void judge_time(struct oracle *o, const struct job *j)
{
    uint32_t queues = 1u << (STAGES + j->project);
    char id[16];
    if (j->r.stage < STAGES)
        queues |= 1u << j->r.stage;
    if (j->exists && j->r.state == S_QUEUED && j->r.wall_from && o->halted & queues)
        oracle_broken(o, "job %s: its wall time runs while its queue is paused", job_name(j, id));
    if (j->exists && (j->ledger_in > j->r.total_in || j->ledger_out > j->r.total_out))
        oracle_broken(o, "job %s: its ledger has more than was spent", job_name(j, id));
}

/* Jobs are open as long as there is room, and kept by number and age: the oldest goes first. A turn
 * that gives jobs another run had more that had ended. */
static void judge_kept(struct oracle *o, uint32_t made)
{
    const struct oracle_rules *r = &o->conf.rules;
    if (made && o->open_n > r->open_jobs + o->revived_n)
        oracle_broken(o, "a job was taken and %u are open", o->open_n);
    if (o->ended_n > r->retain_jobs)
        oracle_broken(o, "%u jobs that have ended are kept", o->ended_n);
    if (o->removed_n && o->ended_n + o->removed_n + o->revived_n <= r->retain_jobs &&
        o->removed_ms + r->retain_age_ms > o->wall_ms)
        oracle_broken(o, "a job was forgotten before its time");
    for (uint32_t i = 0; i < o->jobs_n && o->removed_n; i++) {
        if (o->jobs[i].exists && state_ended(o->jobs[i].r.state) &&
            o->jobs[i].r.ended_ms < o->removed_ms)
            oracle_broken(o, "a job was forgotten before one that had ended earlier");
    }
    o->removed_n = o->revived_n = 0;
    o->removed_ms = 0;
}

void oracle_committed(struct oracle *o, uint64_t incarnation, uint64_t turn)
{
    if (turn != o->turn + 1)
        oracle_broken(o, "turn %llu was taken after turn %llu", (unsigned long long)turn,
                      (unsigned long long)o->turn);
    o->turn = turn;
    if (o->leader != incarnation)
        oracle_broken(o, "a broker that does not lead has written");
    o->commits++;
    o->n.commits++;
    struct held held = { 0 };
    uint32_t made = 0;
    for (size_t i = 0; i < o->touched_n; i++) {
        const struct job *j = &o->jobs[o->touched[i]];
        judge_indexes(o, j);
        judge_told(o, j);
        judge_time(o, j);
        made += !j->before.version && j->exists;
        oracle_judge_turn(o, j, &held);
    }
    judge_kept(o, made);
    o->touched_n = 0;
    o->written = 0;
    o->halted_before = o->halted;
}

void oracle_refused(struct oracle *o)
{
    if (o->touched_n || o->written)
        oracle_broken(o, "a batch that was refused has been written in part");
}
