/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_SCHED_H
#define BROKER_SCHED_H
/* sched: who is given the next task. Pure. What the administrator's rules say about stages and
 * projects (`schedule` in the configuration); sched.c keeps to them.
 *
 * A worker that serves several stages is given the task whose project's turn it is (queue.h),
 * whatever its stage; among those of one project the furthest. Not given out is what is paused,
 * or beyond a limit of its project. Tool calls and asks are no stages and heed neither: a worker
 * waits for a call, a person for an ask. Calls go before everything. */
#include "broker/job.h"

enum { RULES_MAX = 1024, WEIGHT_MAX = 1000 };

struct stage_rule {
    char name[PAWL_NAME_MAX + 1]; /* stage or lane */
    uint32_t limit;               /* tasks at once; 0: no limit */
    uint32_t tasks_per_minute;    /* given out; 0: no limit */
    uint64_t tokens_per_minute;   /* reported by their workers; 0: no limit */
    int64_t affinity_ms;          /* how long a task waits for its job's last worker; 0: not */
};

struct project_rule {
    char name[PAWL_NAME_MAX + 1]; /* "*": all that have no rule of their own */
    uint32_t weight;              /* share of the workers, 1 … WEIGHT_MAX; 0: 1 */
    uint32_t limit;               /* tasks at once, in all stages together; 0: no limit */
    enum job_class klass;         /* of jobs whose submission says none */
};

/* Owned by whoever made them; they outlive the core. */
struct sched_rules {
    const struct stage_rule *stages;
    uint32_t stages_n;
    const struct project_rule *projects;
    uint32_t projects_n;
};
#endif
