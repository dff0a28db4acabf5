/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H
/* oracle: holds pawl against docs/guarantees.md. It knows the protocol and the keys of the store
 * (schemas/, the comment of functions.lua) and includes nothing of broker/. It sees what the broker
 * says, what reaches it, and every cell that changes in the store. A broken promise ends the
 * process through `broken`. */
#include "common/msg.h"

struct oracle;

/* What the broker is configured with; by the last digit of the project, by stage. */
enum { RULED_PROJECTS = 8, RULED_STAGES = 4 };
struct oracle_rules {
    uint32_t weight[RULED_PROJECTS];
    uint32_t limit[RULED_PROJECTS], stage_limit[RULED_STAGES]; /* 0: none */
    uint32_t stage_rate[RULED_STAGES]; /* tasks a minute; 0: none */
    uint32_t affinity_ms; /* of all stages; 0: none. Then tasks pass each other */
    uint32_t open_jobs, retain_jobs;
    int64_t retain_age_ms;
};

struct oracle_conf {
    void *ctx;
    /* never returns */
    void (*broken)(void *ctx, const char *what);
    /* a cell of the store; p NULL: absent */
    struct str (*look)(void *ctx, const char *key, const char *field);
    struct oracle_rules rules;
};

struct oracle *oracle_new(const struct oracle_conf *conf);
void oracle_free(struct oracle *o);

/* ---- the store */
void oracle_cell(struct oracle *o, const char *key, const char *field, struct str value);
void oracle_committed(struct oracle *o, uint64_t incarnation, uint64_t turn); /* its cells are told */
/* A broker has read this off its wall clock. */
void oracle_wall(struct oracle *o, int64_t wall_ms);
void oracle_refused(struct oracle *o); /* … or the batch was refused: there are none */
void oracle_led(struct oracle *o, uint64_t incarnation, int64_t at_ms); /* a broker took the lead */
/* A broker has been told by the store that another one leads: it says nothing more. */
void oracle_deposed(struct oracle *o, uint64_t incarnation);
void oracle_before_reload(struct oracle *o); /* the store fell back: forget, then every cell again */
void oracle_reloaded(struct oracle *o);

/* ---- messages. at_ms: simulated time */
/* The broker that leads, or believes so, under `incarnation` has said this. */
void oracle_said(struct oracle *o, uint64_t incarnation, uint64_t peer, const struct msg *m,
                 const struct str *frames, uint32_t n, int64_t at_ms);
/* The broker has read this. */
void oracle_heard(struct oracle *o, uint64_t peer, const struct msg *m, const struct str *frames,
                  uint32_t n, int64_t at_ms);
void oracle_peer_lost(struct oracle *o, uint64_t peer); /* its connection broke */
void oracle_restart(struct oracle *o);                  /* a broker's memory is gone */
/* This broker was suspended in between: what reached it meanwhile it reads from now on. */
void oracle_stalled(struct oracle *o, uint64_t incarnation, int64_t from_ms, int64_t to_ms);
/* A worker has really made this call. */
void oracle_executed(struct oracle *o, struct str task, uint64_t tokens_in, uint64_t tokens_out);
/* What this worker was given is what its result is made of: see oracle_digest(). */
uint64_t oracle_digest(uint64_t have, struct str bytes);

/* ---- progress */
uint32_t oracle_open(const struct oracle *o); /* jobs that have not ended, and asks */
void oracle_stuck(const struct oracle *o, char *out, size_t size); /* names one */
bool oracle_job_at(const struct oracle *o, uint32_t i, char id[16], bool *ended, bool *paused);
/* Is this stage paused, or this project (counted from RULED_STAGES)? */
bool oracle_halted(const struct oracle *o, uint32_t queue);
uint32_t oracle_jobs(const struct oracle *o);
struct oracle_counts {
    uint64_t commits, records, tasks, committed, accepted, exhausted, failed, cancelled;
};
struct oracle_counts oracle_counts(const struct oracle *o);
#endif
