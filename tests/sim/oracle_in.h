/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_ORACLE_IN_H
#define SIM_ORACLE_IN_H
/* oracle_in: what the parts of the oracle share. Each judges one concern:
 *   oracle.c         its memory, restarts and new leaders, how far the jobs are
 *   oracle_record.c  reads what the store keeps: records, events, what is paused
 *   oracle_job.c     how a job's record may change
 *   oracle_store.c   cells and commits: documents, events without a gap, indexes
 *   oracle_order.c   which job is given to a worker: classes, shares, order, limits, pauses
 *   oracle_lease.c   what workers hold, how long, and how much they may be given
 *   oracle_heard.c   what the broker reads
 *   oracle_said.c    what the broker says to workers and clients */
#include "tests/sim/oracle.h"

#include "common/hash.h"

#include <stdlib.h>
#include <string.h>

enum {
    STAGES = RULED_STAGES, /* of the default pipeline, in order */
    PROJECTS = RULED_PROJECTS,
    RING = 512,
    DEPOSED = 16,
    SILENCE_MS = 15000,
    NEAR_MS = 1500,    /* what is this close to a deadline is not judged */
    SETTLED_MS = 2000, /* what was heard this long ago is in the store */
    TASKS_RATED = 24,
    INDEXES = 6
};

enum state {
#define X(id, name, kind, meaning) S_##id,
#include "schemas/states.def"
#undef X
    S_COUNT
};

struct score {
    bool gates;
    int64_t measures, judge, errors;
};

/* The fields of a record that are judged, as the store has them. */
struct record {
    uint64_t version;
    char key[64];
    int64_t priority, budget_measures, budget_judge;
    uint64_t rounds, patience, budget_tokens;
    int64_t budget_wall, created_ms, updated_ms, ended_ms, wall_used, wall_from, start_ms;
    enum state state;
    uint64_t reason; /* digest */
    uint64_t run, round, stage;
    uint64_t tokens_in, tokens_out, total_in, total_out;
    bool has_best, stale, hold;
    uint64_t best_run, best_round;
    struct score best;
    uint64_t phase, attempts, crashes, age;
    struct fence fence;
    uint64_t questions, unsettled, open_asks, asks, comments, klass;
    char workspace[HASH_HEX + 1];
};

struct job {
    uint64_t id;
    bool exists, blur; /* blur: a broker was gone meanwhile: what it counted is not known */
    bool submitted;    /* said to a client */
    uint32_t project;
    struct record r;
    uint64_t at_commit;    /* of its last change */
    bool granted;          /* in that commit */
    uint64_t grant_commit; /* the one that wrote its fence */
    struct record before;  /* … and as it was before */
    uint32_t indexes;      /* bit per index that it is in */
    int64_t scores[INDEXES];
    uint64_t begun_in;              /* tokens in all when it came to its position */
    uint64_t ledger_in, ledger_out; /* of its rounds, as its ledger has them */
    uint64_t executed_in;           /* also in an earlier life under the same key */
    enum state told;                /* by its newest event */
    uint64_t told_commit;
    uint64_t gap_commit; /* an event before that one is missing, unless the job is a new one */
    uint64_t dry;        /* rounds of its run since its best became better … */
    bool dry_known;      /* … unless some of them were not seen */
    /* of the task at its position */
    uint32_t fails, permanents, given_back, grants;
    uint64_t pauses;    /* and resumes, heard */
    int64_t resumed_ms; /* when the last one that lets it go on was heard */
};

struct step { /* acknowledged */
    uint64_t job, key, hash;
    uint64_t at; /* commits so far */
};

struct lease {
    uint64_t key; /* digest of the task key; 0: free */
    struct fence fence;
    uint64_t peer, job;
    int64_t since_ms, beat_ms, total_ms;
    int64_t grace_ms; /* until then it is its worker's, after a recovery; 0: no recovery since */
    bool over, ended; /* ended: by its worker */
    bool returned;    /* … in time, uncharged */
};

struct request {
    uint64_t peer, req, run, pauses;
    int queue; /* PAUSE of a stage or a project */
    enum msg_type type;
    char job[16], text[64], hash[HASH_HEX + 1];
    int64_t at_ms;
    bool hold;
    uint64_t doc;
};

struct result { /* a DONE or FAIL that the broker has read */
    uint64_t peer, key, doc;
    struct fence fence;
    uint64_t least; /* tokens in all when it is charged */
    bool malformed, failed, permanent;
};

enum { READIES = 8, PEERS = 256, SAID = 32 };
struct credit {                                                /* what a worker said last */
    uint64_t peer, credit[READIES], seen[READIES], said[SAID]; /* said: numbers of TASKs */
    uint32_t said_n;
    uint32_t serves;    /* bit per stage */
    uint32_t n, hellos; /* after another HELLO its count begins anew: not judged */
};

struct table { /* digests to numbers */
    uint64_t *keys, *values;
    size_t cap, n;
};

struct oracle {
    struct oracle_conf conf;
    struct job *jobs;
    uint32_t jobs_n, jobs_cap;
    struct table by_id, fences, once; /* once: a document -> its first content */
    struct table heard;               /* a peer -> when it last said something */
    struct step *steps;
    size_t steps_n, steps_cap;
    struct lease *leases;
    size_t leases_n, leases_cap;
    struct request requests[RING];
    struct result results[RING];
    size_t requests_n, results_n;
    uint64_t commits, leader, fell; /* fell: how often the store fell back */
    uint64_t turn;                  /* the newest of its leader */
    uint64_t deposed[DEPOSED];      /* incarnations that know that they lead no more */
    uint32_t deposed_n;
    struct {
        uint64_t incarnation;
        int64_t at_ms;
    } replaced[DEPOSED]; /* since when another one leads */
    uint32_t replaced_n;
    uint32_t open_n, ended_n;      /* jobs in the store … */
    uint32_t revived_n, removed_n; /* … and in this commit */
    int64_t removed_ms;            /* when the youngest of those removed had ended */
    int64_t wall_ms;               /* the most that a broker has read off its wall clock */
    bool loading;
    uint64_t written; /* cells since the last commit */
    int64_t now_ms;   /* of the last message */
    uint32_t *touched;
    size_t touched_n, touched_cap;
    uint32_t skipped[STAGES][PROJECTS][PROJECTS];
    int64_t rated[STAGES][TASKS_RATED]; /* when its last tasks were said */
    uint32_t rated_n[STAGES];
    uint64_t halts_commit;                 /* the last one that changed what is paused */
    uint32_t halted, halted_before;        /* bit per stage, then per project; before this commit */
    uint32_t switches[STAGES + PROJECTS];  /* pauses and resumes heard */
    int64_t resumed_ms[STAGES + PROJECTS]; /* when the last resume was heard */
    struct credit credits[PEERS];
    uint32_t credits_n;
    struct oracle_counts n;
};

/* How many main tasks are with workers: before this commit or after it, whichever is more; and
 * after it without those that came back to their workers in it. */
struct held {
    bool counted;
    uint32_t project[PROJECTS], stage[STAGES]; /* after it … */
    uint32_t most[PROJECTS], before[PROJECTS];
};

/* ---- oracle.c: small things */
extern const char *const oracle_stages[STAGES];
bool state_ended(enum state s);

__attribute__((format(printf, 2, 3))) _Noreturn void oracle_broken(const struct oracle *o,
                                                                   const char *fmt, ...);

static inline uint64_t digest(struct str s)
{
    return oracle_digest(0, s);
}

/* The number of this digest, 0 at first. It stays there until the next call. */
uint64_t *table_slot(struct table *t, uint64_t key);
/* The array with room for one more behind n. */
void *array_more(void *v, size_t n, size_t *cap, size_t size);

/* NULL: not known, and not to be made. */
struct job *oracle_job(struct oracle *o, uint64_t id, bool make);
struct job *oracle_job_named(struct oracle *o, struct str text);
/* The job of a task key, if the key is its position now. */
struct job *oracle_job_at_position(struct oracle *o, struct str task, struct task_key *k);
const char *job_name(const struct job *j, char out[16]);
/* A document of that job in the store; p NULL: there is none. */
struct str oracle_field(const struct oracle *o, uint64_t id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool holds_text(struct str bytes, const char *text);
bool same_position(const struct record *a, const struct record *b);
/* Number of that stage, else of that project from STAGES on, else -1. */
int oracle_queue(struct str stage, struct str project);

/* ---- oracle_record.c. False: it cannot be read. */
bool oracle_read_record(struct str bytes, struct record *out, uint64_t *id, struct str *project);
struct state_event {
    bool of_state; /* else it is an event of another kind: nothing more is read */
    struct str job;
    enum state from, to;
};
bool oracle_read_event(struct str bytes, struct state_event *out);
/* False: this item of a ledger cannot be read. */
bool oracle_read_entry(struct str bytes, uint64_t *tokens_in, uint64_t *tokens_out);
bool oracle_read_halts(struct str bytes, uint32_t *halted); /* bit per queue, see oracle_queue() */

/* ---- oracle_job.c */
void oracle_cell_record(struct oracle *o, uint64_t id, struct str bytes);

/* ---- oracle_order.c */
/* A job of this commit: was it its turn? h is counted when it is first needed. */
void oracle_judge_turn(struct oracle *o, const struct job *j, struct held *h);

/* ---- oracle_lease.c */
struct lease *oracle_lease(struct oracle *o, uint64_t key); /* NULL: none */
/* Its worker gives it back, or leaves. */
void lease_returned(struct oracle *o, struct lease *l);
bool oracle_lease_returned(const struct oracle *o, uint64_t job, struct fence f);
void oracle_lease_over(struct oracle *o, struct str task,
                       const struct fence *f); /* NULL: whichever */
/* Of a job that is not given to that worker any more: was it lost, or given back? */
void oracle_judge_taken_away(struct oracle *o, const struct job *j, struct fence f);
/* How many leases of this job have run out of their time. */
uint32_t oracle_leases_late(const struct oracle *o, uint64_t job);
/* Its worker has been heard and has named it, and its time is not up. */
bool lease_living(struct oracle *o, const struct lease *l, int64_t at_ms);
void lease_heard_holds(struct oracle *o, uint64_t peer, const struct task_list *list, int64_t at);
void credit_heard_hello(struct oracle *o, uint64_t peer, const struct msg_HELLO *m);
bool oracle_serves(struct oracle *o, uint64_t peer, uint64_t stage);
void credit_heard_ready(struct oracle *o, uint64_t peer, const struct msg_READY *m);
/* A worker that lives and does not name a lease has lost it. */
void oracle_judge_unnamed(struct oracle *o, uint64_t peer, int64_t at_ms);
/* Some READY allowed for this task. */
void oracle_judge_credit(struct oracle *o, uint64_t peer, const struct msg_TASK *m);
#endif
