/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_JOB_H
#define BROKER_JOB_H
/* job: what the broker remembers of a job and of its tasks, the one function that assigns a job's
 * state, and the record that is stored. Pure. A job owns everything it points to except its
 * pipeline and the tasks of calls. */
#include "broker/pipeline.h"
#include "broker/timer.h"
#include "common/hash.h"
#include "common/msg.h"

enum job_state {
#define X(id, name, kind, meaning) JOB_##id,
#include "schemas/states.def"
#undef X
    JOB_STATES
};

const char *job_state_name(enum job_state s);
bool job_state_ended(enum job_state s);
bool job_state_find(struct str name, enum job_state *out);
bool job_may(enum job_state from, enum job_state to);

/* Classes go before each other whatever their projects; urgent is for administrators. */
enum job_class { CLASS_URGENT, CLASS_NORMAL, CLASS_BACKGROUND, CLASSES };
const char *job_class_name(enum job_class k);
bool job_class_find(struct str name, enum job_class *out);

enum {
    REASON_MAX = 512,
    FAILURES_MAX = 8,
    CRASHES_MAX = 3,
    OVERLOADS_MAX = 100,
    QUESTIONS_MAX = 32
};

/* Spans and shares; see schemas/config.def loop.* */
struct budget {
    uint32_t rounds, patience; /* >= 1 */
    uint32_t measures, judge;  /* targets, per mille */
    uint64_t tokens;           /* > 0 */
    int64_t wall_ms, question_ms;
};

/* schemas/documents.def, record verdict */
struct verdict {
    bool gates;
    int32_t measures, judge; /* per mille; judge -1: not judged */
    uint32_t errors, warnings;
    char candidate[HASH_HEX + 1]; /* "" when unknown */
};

/* Where the newest, the one before, and the best version of a document are. run 0, round 0: sent
 * with the submission; run UINT16_MAX: there is none. */
struct doc_place {
    uint16_t run, round;
};
#define NO_PLACE ((struct doc_place){ UINT16_MAX, UINT16_MAX })
static inline bool place_is(struct doc_place p)
{
    return p.run != UINT16_MAX;
}

struct doc_ref {
    char name[PAWL_NAME_MAX + 1];
    struct doc_place newest, before, best;
};

struct question {
    char *id, *text, *otherwise;
    char *raw; /* the question as encoded by its stage */
    size_t raw_n;
    int64_t due_ms; /* wall clock */
    bool settled;
    char *answer;         /* settled: what holds; NULL: as before it was kept */
    char by[16], via[33]; /* user or default; cli, file, …, or "" */
};

struct failure {
    char task[PAWL_KEY_MAX + 1];
    uint32_t attempt;
    char fault[16]; /* retryable, permanent, overloaded, lost */
    char *text;
    char worker[PAWL_NAME_MAX + 1];
    int64_t at_ms; /* wall clock */
};

enum task_kind { TASK_STAGE, TASK_ASK, TASK_CALL };
enum task_phase { PHASE_IDLE, PHASE_READY, PHASE_LEASED, PHASE_DELAYED };

/* What a ready queue orders by; filled in when something is put there. */
struct rank {
    int64_t priority;
    uint64_t age;
    uint32_t slot;
    uint16_t run, round;
    bool cold; /* inside a struct cold, not a struct task */
};

struct call; /* lease.c: frame and caller of a call task */

struct task {
    enum task_kind kind;
    enum task_phase phase;
    struct job *job;
    uint32_t run, round, pass; /* pass: number of the ask or call; 0 for stages */
    const struct stage_def *def;
    uint32_t attempts;  /* failed ones that were charged */
    uint32_t crashes;   /* workers that it outlived */
    uint32_t overloads; /* uncharged delays */
    int64_t due_ms;     /* delayed: wall clock of the next try */
    /* steps: which requests have a record, and what all attempts have counted so far */
    uint64_t *steps;
    uint32_t steps_n, steps_cap;
    uint64_t steps_in, steps_out;
    /* lease */
    struct fence fence; /* of the lease, or of the last one */
    struct fence spent; /* of the last lease that its worker ended by FAIL or RELEASE */
    uint64_t seq;       /* its TASK's number on the peer's connection */
    bool named;         /* its worker has named it: it has begun */
    bool lost;          /* this lease was lost, and that was counted */
    struct fence made;  /* incarnation and last counter when the task came to be; 0: unknown */
    uint64_t given[2];  /* later incarnations that gave it to a worker, newest first */
    uint64_t peer;      /* 0: nobody is connected for it */
    char worker[PAWL_NAME_MAX + 1];
    int64_t since_ms;                     /* wall clock */
    int64_t until_ms;                     /* monotonic: total_ms is over then */
    uint64_t base_in, base_out;           /* steps_in, steps_out when the lease began */
    char *note;                           /* where it stands, from BEAT; may be NULL */
    struct task *lease_prev, *lease_next; /* of the same peer */
    uint64_t keeper;                      /* ready, set aside for this peer; 0: in the queue */
    int64_t kept_until;                   /* monotonic; 0: not yet set aside */
    struct timer timer;                   /* lease, delay, or the question's deadline */
    struct rank rank;                     /* in the ready queue */
    uint64_t age;                         /* order of becoming ready */
    struct task *next;                    /* asks of a job; calls of a caller */
    struct task *calls;                   /* made by this task, transient */
    struct call *call;                    /* kind TASK_CALL */
};

struct job {
    uint64_t id;
    void *alike; /* prefix.c */
    char *project, *key, *label;
    uint32_t project_no;
    int64_t priority;
    enum job_class klass;
    int64_t start_ms; /* wall clock: not before; 0: at once */
    struct budget budget;
    const struct pipeline *pipe;
    uint8_t workspace[HASH_BYTES];
    bool has_workspace;
    int64_t created_ms, updated_ms, ended_ms; /* wall clock */
    enum job_state state;                     /* assigned by job_move() alone */
    char reason[REASON_MAX];
    uint32_t run, round, stage; /* the position; stage == stages_n: all of the round is committed */
    uint64_t version;           /* of the record in the store; 0: none yet */
    bool dirty, known;          /* known: the store has a record (or will, by an earlier turn) */
    uint32_t indexed;           /* indexes that the stored record is in */
    /* this run */
    int64_t wall_used_ms;
    int64_t wall_from_ms; /* wall clock; 0: it stands still */
    uint64_t tokens_in, tokens_out, total_in, total_out, round_in, round_out;
    int64_t round_from_ms;
    uint32_t dry; /* rounds without a better candidate */
    bool has_best, best_stale, comment_waits, hold;
    uint32_t best_run, best_round;
    struct verdict best;
    bool has_last;
    struct verdict last; /* of this round */
    uint64_t *seen;      /* candidates of this run */
    uint32_t seen_n;
    struct doc_ref *docs;
    uint32_t docs_n;
    uint32_t ledger_n, comments_n, answers_n, asks_n;
    struct question *questions;
    uint32_t questions_n;
    struct failure *failures;
    uint32_t failures_n;
    struct task main;
    struct task *asks;
    struct timer wall; /* wall budget while open; place among the ended afterwards */
};

struct job *job_new(uint64_t id);
void job_free(struct job *j); /* NULL is fine; tasks must be out of every queue */

/* Is the key behind the job's position: has it been committed? */
bool job_committed(const struct job *j, uint32_t run, uint32_t round, uint32_t stage);
/* Wall time used until now. */
int64_t job_wall_used(const struct job *j, int64_t wall_ms);
/* Note that a document now exists at the job's position (or at the submission). */
bool job_note_doc(struct job *j, struct str name, struct doc_place at);
const struct doc_ref *job_doc(const struct job *j, const char *name);
/* The documents of this round are best from now on. */
void job_mark_best(struct job *j);
void job_questions_clear(struct job *j);
/* Add to the history, dropping the oldest. */
void job_fail_note(struct job *j, const struct failure *f);
/* A short name of a request or candidate hash, never 0. */
uint64_t hash_prefix(struct str hash);
/* False: it was there. */
bool task_step_note(struct task *t, uint64_t prefix);
void task_steps_clear(struct task *t);
/* Was this fence given to this very task? After a failover another one may bear the same key. */
bool task_gave(const struct task *t, struct fence f);
void task_note_given(struct task *t, uint64_t incarnation);
void task_key_write(const struct task *t, char out[PAWL_KEY_MAX + 1]);

/* The stored record, msgpack. Decoding checks everything; pipelines are found through `find`. */
enum { RECORD_OLDEST = 1, RECORD_VERSION = 4, RECORD_MAX = 4 * 1024 * 1024 };
void record_encode(const struct job *j, struct buf *out);
typedef const struct pipeline *pipeline_find_fn(void *ctx, uint64_t id);
struct job *record_decode(struct str bytes, pipeline_find_fn *find, void *ctx, struct err *err);
/* Do the parts of a decoded record go together: state, phase of its task, position? */
bool record_fits(const struct job *j);
/* The indexes that list a job in its state, as bits: INDEXES in effects.h. */
uint32_t index_bits(const struct job *j);

/* Where a document is inside a job's documents: "run/round/name", "ledger#3", "step/…#2". */
enum { FIELD_MAX = PAWL_KEY_MAX + 32 };
void field_doc(char out[FIELD_MAX], struct doc_place at, struct str name);
void field_item(char out[FIELD_MAX], const char *list, uint32_t number);
void field_ask(char out[FIELD_MAX], const char *what, uint32_t number); /* "ask/a1", "reply/a1" */
void field_step(char out[FIELD_MAX], const struct task *t, uint32_t number);
#endif
