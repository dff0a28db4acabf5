/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_CORE_IN_H
#define BROKER_CORE_IN_H
/* core_in: what the files of the core share. Nobody else includes it. */
#include "broker/bucket.h"
#include "broker/core.h"
#include "broker/idmap.h"
#include "broker/prefix.h"
#include "broker/queue.h"

enum { LANES_MAX = 64, PROJECTS_MAX = 65536, UNSENT_MAX = 8, LOST_MAX = 1024 };

/* A stage name, in whatever pipelines, or a lane: what workers serve. */
struct lane {
    char name[PAWL_NAME_MAX + 1];
    struct queue ready;
    const struct stage_rule *rule; /* NULL: none */
    bool calls; /* the lane of tool calls */
    bool paused;
    struct bucket tasks, tokens; /* a minute */
    struct timer rate;           /* when they let a task out again */
    struct heap seats; /* of all workers that serve it: who gets the next task is on top */
    uint32_t running, delayed;
    uint32_t kept; /* ready, and set aside for a worker */
};

struct seat { /* a worker in a lane */
    struct peer_state *peer;
    uint32_t lane, slot;
};

struct peer_state {
    uint64_t id;
    bool worker;
    char name[PAWL_NAME_MAX + 1], version[PAWL_NAME_MAX + 1], role[PAWL_NAME_MAX + 1];
    char (*stages)[PAWL_NAME_MAX + 1], (*tags)[PAWL_NAME_MAX + 1];
    uint32_t stages_n, tags_n;
    uint64_t serves;    /* bit per lane … */
    struct seat *seats; /* … and a seat in each */
    uint32_t seats_n;
    uint64_t slots;
    uint64_t credit;     /* free slots as last said … */
    uint64_t credit_seq; /* … when this many TASKs had been seen */
    uint64_t seq;        /* TASKs sent on this connection */
    uint64_t base_seq;   /* … before its last HELLO */
    struct {
        uint64_t from, to;
    } unsent[UNSENT_MAX]; /* numbers of TASKs that never went out, newest last */
    uint32_t unsent_n;
    bool full; /* the last TASK could not be sent: none until it is heard of again */
    uint64_t picked;     /* order of the last TASK: the longest idle is next */
    int64_t heard_ms, since_wall_ms;
    struct task *leases;
    uint32_t leases_n;
    struct task *kept, *kept_end; /* set aside for it: homes.c */
    struct timer timer;
    struct peer_state *prev, *next;
};

/* A tool call on its way: lives as long as the caller's lease. */
struct call {
    struct task *caller;
    struct fence fence; /* of the caller's lease */
    char id[PAWL_TEXT_MAX + 1];
    char *frame; /* the call document */
    size_t frame_n;
};

struct core {
    struct core_conf conf;
    struct pipeline *pipe; /* of new submissions; also in pipelines */
    struct pipeline *lanes_pipe;
    struct idmap jobs, peers, pipelines;
    struct prefixes by_prefix; /* of jobs */
    struct peer_state *workers, *clients; /* lists */
    struct lane lanes[LANES_MAX];
    uint32_t lanes_n;
    struct project **projects; /* by number; 0: all beyond PROJECTS_MAX */
    uint32_t projects_n, projects_cap;
    struct idmap by_project; /* hash of the name -> struct project */
    struct home *homes; /* NULL: no stage has affinity */
    char *halts; /* as loaded, until core_loaded() */
    size_t halts_n;
    struct heap timers; /* struct timer */
    struct heap ended;  /* job->wall by ended_ms */
    int64_t now_ms, wall_ms;
    int64_t ended_ms; /* of the job that ended last: the next one is not older, whatever the clock */
    int64_t stall_ms; /* deadlines up to here were not listened for */
    uint64_t fences, ages, picks, events;
    uint64_t running_calls;
    struct job **dirty;
    uint32_t dirty_n, dirty_cap;
    struct models models; /* of cold jobs */
    struct job **warm;    /* thawed in this turn; NULL: forgotten */
    uint32_t warm_n, warm_cap;
    uint32_t cold_loaded; /* queued jobs of the recovery */
    struct core_counts counts;
};

/* ---- cold jobs: freeze.c. `jobs` and `by_prefix` hold both; see cold.h */
struct job *core_get(struct core *c, uint64_t id); /* thawed if need be; NULL: there is none */
struct job *core_thaw(struct core *c, struct cold *k);
/* Make the job cold if that loses nothing; it may be gone afterwards. */
void core_freeze(struct core *c, struct job *j, struct str record);
void core_cool(struct core *c); /* at the end of a turn: freeze again what was thawed for nothing */
void core_not_warm(struct core *c, const struct job *j);
bool core_load_cold(struct core *c, struct job *j, struct str record);
void core_arm_cold(struct core *c, struct cold *k);

/* ---- job lifecycle: advance.c */
/* The one function that assigns a job's state. `reason` is shown to people. */
void job_move(struct core *c, struct job *j, enum job_state to, const char *reason,
              struct effects *fx);
void job_touch(struct core *c, struct job *j);       /* its record must be written */
void job_enter_stage(struct core *c, struct job *j); /* main task := the stage at its position */
void job_queue_stage(struct core *c, struct job *j); /* into the ready queue */
void job_advance(struct core *c, struct job *j, const struct event *ev, struct effects *fx);
void job_end(struct core *c, struct job *j, enum job_state state, const char *reason,
             struct effects *fx);
void job_new_run(struct core *c, struct job *j, const char *reason, struct effects *fx);
bool job_begun(const struct job *j);
bool job_wall_runs(const struct core *c, const struct job *j);
void job_wall_check(struct core *c, struct job *j);
void job_start_later(struct core *c, struct job *j, const char *reason, struct effects *fx);
void job_forget(struct core *c, struct job *j, struct effects *fx);
void core_retain(struct core *c, struct effects *fx);
void questions_due(struct core *c, struct job *j, struct effects *fx);
void job_append(struct core *c, struct job *j, const char *list, uint32_t *count, struct str item,
                struct effects *fx);
void job_settle_question(struct core *c, struct job *j, struct question *q, struct str text,
                         const char *by, struct effects *fx);
void job_resume_if_answered(struct core *c, struct job *j, struct effects *fx);

/* ---- tasks and leases: lease.c, call.c */
void task_init(struct task *t, enum task_kind kind, struct job *j, const struct stage_def *def);
void task_ready(struct core *c, struct task *t);
void task_delay(struct core *c, struct task *t, int64_t delay_ms);
void task_delay_until(struct core *c, struct task *t, int64_t due_ms); /* wall clock */
void task_idle(struct core *c, struct task *t); /* out of every queue; a lease is let go silently */
void task_drop(struct core *c, struct task *t, const char *reason,
               struct effects *fx); /* idle, telling its worker */
void lease_attach(struct core *c, struct task *t, struct peer_state *p, struct fence fence);
void lease_extend(struct core *c, struct task *t);
void lease_lost(struct core *c, struct task *t, const char *how, struct effects *fx);
void lease_match(struct core *c, struct effects *fx); /* give ready tasks to workers with credit */
struct task *core_task(struct core *c, struct str key, struct task_key *out, struct job **job);
bool key_committed(const struct job *j, const struct task_key *k); /* has this key a result? */
bool task_is_current(const struct task *t); /* may its result still be taken? */
void calls_cancel(struct core *c, struct task *caller, struct effects *fx);
void call_free(struct core *c, struct task *call);
void call_answer(struct core *c, struct task *call, const char *fault, struct str text,
                 struct str frame, struct effects *fx);
struct task *call_find(const struct task *caller, uint32_t number);

/* ---- roster.c */
struct peer_state *roster_find(const struct core *c, uint64_t id);
struct peer_state *roster_pick(const struct core *c, uint32_t lane); /* with credit; NULL */
void roster_sort(struct core *c, struct peer_state *p); /* after its credit or its turn changed */
void roster_init_lane(struct lane *l);
uint64_t roster_credit(const struct peer_state *p);
void roster_unsent(struct peer_state *p, uint64_t seq); /* nobody will ever have seen it */
void roster_gone(struct core *c, struct peer_state *p, const char *why, struct effects *fx);
uint32_t roster_serving(const struct core *c, uint32_t lane);
void on_gone(struct core *c, const struct event *ev, struct effects *fx);
void on_hello(struct core *c, const struct event *ev, struct effects *fx);
void on_ready(struct core *c, const struct event *ev, struct effects *fx);
void on_beat(struct core *c, const struct event *ev, struct effects *fx);
void on_bye(struct core *c, const struct event *ev, struct effects *fx);
void roster_free(struct core *c);

/* ---- results: result.c */
void on_done(struct core *c, const struct event *ev, struct effects *fx);
void on_fail(struct core *c, const struct event *ev, struct effects *fx);
void on_release(struct core *c, const struct event *ev, struct effects *fx);
void on_step(struct core *c, const struct event *ev, struct effects *fx);
void on_call(struct core *c, const struct event *ev, struct effects *fx);
void task_charge(struct core *c, struct task *t, const char *fault, struct str text,
                 struct effects *fx);
struct reply;
void ask_finish(struct core *c, struct task *t, const struct reply *reply, struct str frame,
                struct effects *fx);

/* ---- requests: submit.c, request.c */
void on_submit(struct core *c, const struct event *ev, struct effects *fx);
void on_submit_all(struct core *c, const struct event *ev, struct effects *fx);
bool stage_hears(const struct stage_def *d); /* is given comments, to make a candidate */
void on_answer(struct core *c, const struct event *ev, struct effects *fx);
void on_comment(struct core *c, const struct event *ev, struct effects *fx);
void on_ask(struct core *c, const struct event *ev, struct effects *fx);
void on_cancel(struct core *c, const struct event *ev, struct effects *fx);
void on_retry(struct core *c, const struct event *ev, struct effects *fx);
void on_pause(struct core *c, const struct event *ev, struct effects *fx);

/* ---- homes.c: affinity */
bool homes_init(struct core *c);
void home_note(struct core *c, const struct task *t, const struct peer_state *p); /* it has it */
struct peer_state *home_of(const struct core *c, const struct task *t); /* NULL: no matter which */
bool home_keep(struct core *c, struct task *t); /* true: set aside, its worker is busy */
void home_unkeep(struct core *c, struct task *t);
void home_return(struct core *c, struct task *t);
void home_return_all(struct core *c, struct peer_state *p);

/* ---- halts.c: paused stages and projects */
bool halts_are(struct str bytes); /* or a pipeline? */
enum status halts_load(struct core *c, struct str bytes, struct err *err);
void halts_apply(struct core *c);
void on_halt(struct core *c, const struct event *ev, struct effects *fx);

/* ---- telling.c: events of the history */
void tell_state(struct core *c, const struct job *j, enum job_state from, struct effects *fx);
void tell_start(struct core *c, const struct task *t, struct effects *fx);
struct task_cost {
    uint64_t tokens_in, tokens_out;
};
void tell_end(struct core *c, const struct task *t, const char *outcome, struct str text,
              struct task_cost cost, struct effects *fx);
void tell_step(struct core *c, const struct task *t, const struct msg_STEP *m, struct effects *fx);
void tell_note(struct core *c, const struct task *t, struct effects *fx);
void tell_tokens(struct core *c, const struct task *t, const struct msg_TOKENS *m,
                 struct effects *fx);
void tell_facts(struct core *c, const struct job *j, const char *kind, struct str facts,
                struct effects *fx);
struct reply {
    struct str question, text;
    const char *fault; /* NULL: answered */
};
void tell_reply(struct core *c, const struct task *ask, const struct reply *reply,
                struct effects *fx);
void verdict_put(struct buf *out, const struct verdict *v);

/* ---- scheduling: sched.c */
uint32_t lane_of(struct core *c, const char *name); /* made on first use; LANES_MAX: too many */
struct project *project_of(struct core *c, const char *name); /* made on first use */
struct project *project_at(const struct core *c, const struct job *j);
void projects_free(struct core *c);
/* A worker and its next task, which is out of its queue and charged to its project. NULL: no task
 * can be given to anybody. */
struct task *sched_next(struct core *c, struct peer_state **p);
/* What keeps a ready task from being given out now: WHY_SLOTS if nothing but those before it. */
enum why_kind sched_obstacle(const struct core *c, const struct task *t);
void sched_spent(struct core *c, const struct task *t, uint64_t tokens); /* its worker says so */
int64_t sched_rate_over(const struct core *c, uint32_t lane); /* monotonic */
bool sched_quiet(const struct core *c); /* nothing can be given to anybody */
bool sched_halted(const struct core *c, const struct job *j); /* its stage or project is paused */
void sched_turn(struct core *c, struct project *p); /* after something that may close or open it */
void sched_queue(struct core *c, struct task *t);   /* it waits for a worker */
void sched_unqueue(struct core *c, struct task *t); /* fine when absent */
void sched_held(struct core *c, struct task *t);    /* a worker has it … */
void sched_let_go(struct core *c, struct task *t);  /* … and not any more */
void ask_id(uint32_t number, char out[16]); /* a1 */
#endif
