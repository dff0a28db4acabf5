/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_POLICY_H
#define BROKER_POLICY_H
/* policy: what becomes of a candidate after its review, and whether the loop goes on. Pure.
 * A candidate replaces best only if its gates hold and it is better, compared in the order
 * measures, judge (the judge counts only where both were judged). */
#include "broker/job.h"

/* > 0: a is better than b; 0: equal. */
int verdict_compare(const struct verdict *a, const struct verdict *b);
/* Gates hold, no error is open, and both targets are met; what was not judged has no judge target. */
bool verdict_meets(const struct verdict *v, const struct budget *b);

struct ruling {
    bool keep;            /* the candidate of this round is best now */
    const char *kept;     /* why, or why not */
    bool end;             /* the run is over */
    enum job_state state; /* how it ends */
    const char *reason;   /* why it ends */
};

/* At the end of a round. job->last is its verdict (has_last false: nothing reviewed it);
 * job is not changed. */
struct ruling policy_round(const struct job *j, int64_t wall_ms);
/* How a run ends that is stopped between rounds (wall time, tokens). */
enum job_state policy_end_state(const struct job *j);
#endif
