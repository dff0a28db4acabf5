/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/policy.h"

#include <assert.h>
#include <string.h>

int verdict_compare(const struct verdict *a, const struct verdict *b)
{
    if (a->gates != b->gates)
        return a->gates ? 1 : -1;
    if (a->measures != b->measures)
        return a->measures > b->measures ? 1 : -1;
    if (a->judge < 0 || b->judge < 0 || a->judge == b->judge)
        return 0;
    return a->judge > b->judge ? 1 : -1;
}

bool verdict_meets(const struct verdict *v, const struct budget *b)
{
    return v->gates && v->errors == 0 && v->measures >= (int32_t)b->measures &&
           (v->judge < 0 || v->judge >= (int32_t)b->judge);
}

static bool seen_before(const struct job *j)
{
    if (!j->last.candidate[0])
        return false;
    uint64_t prefix = hash_prefix(str_of(j->last.candidate));
    for (uint32_t i = 0; i < j->seen_n; i++) {
        if (j->seen[i] == prefix)
            return true;
    }
    return false;
}

static void judge_candidate(const struct job *j, struct ruling *r)
{
    if (!j->last.gates) {
        r->kept = "a gate does not hold";
    } else if (!j->has_best) {
        r->keep = true;
        r->kept = "the first candidate whose gates hold";
    } else if (j->best_stale) {
        r->keep = true;
        r->kept = "the first candidate since the comment whose gates hold";
    } else if (verdict_compare(&j->last, &j->best) > 0) {
        r->keep = true;
        r->kept = "better than the best before";
    } else {
        r->kept = "not better than the best";
    }
}

static enum job_state end_state(bool has_best, bool stale, const struct verdict *best,
                                const struct budget *b)
{
    if (!has_best)
        return JOB_FAILED;
    return !stale && verdict_meets(best, b) ? JOB_ACCEPTED : JOB_EXHAUSTED;
}

enum job_state policy_end_state(const struct job *j)
{
    return end_state(j->has_best, j->best_stale, &j->best, &j->budget);
}

static void stop(struct ruling *r, const char *reason)
{
    if (!r->end)
        r->reason = reason;
    r->end = true;
}

/* Rules in the order in which their reason is told. */
static void stop_rules(const struct job *j, int64_t wall_ms, struct ruling *r)
{
    const struct budget *b = &j->budget;
    uint32_t dry = r->keep ? 0 : j->dry + 1;
    bool spent = j->round >= b->rounds || j->tokens_in + j->tokens_out >= b->tokens ||
                 job_wall_used(j, wall_ms) >= b->wall_ms;
    bool heard = !j->comment_waits || spent; /* a comment that nobody has read yet gets its round */
    if (heard && r->keep && verdict_meets(&j->last, b))
        stop(r, "the target is met");
    if (heard && j->last.gates && j->last.errors == 0 && j->last.warnings == 0)
        stop(r, "the review found nothing more to say");
    if (j->round >= b->rounds)
        stop(r, "all rounds are spent");
    if (j->tokens_in + j->tokens_out >= b->tokens)
        stop(r, "all tokens are spent");
    if (job_wall_used(j, wall_ms) >= b->wall_ms)
        stop(r, "the wall time is spent");
    if (heard && seen_before(j))
        stop(r, "the same candidate came again");
    if (heard && dry >= b->patience)
        stop(r, "patience is spent: no better candidate");
}

struct ruling policy_round(const struct job *j, int64_t wall_ms)
{
    struct ruling r = { .kept = "nothing reviewed it", .reason = "" };
    if (!j->has_last) {
        /* A pipeline without a review has no loop: it ends when its stages are done. */
        stop(&r, "every stage is done; no stage reviews");
        r.state = JOB_ACCEPTED;
        return r;
    }
    judge_candidate(j, &r);
    stop_rules(j, wall_ms, &r);
    if (r.end) {
        bool stale = j->best_stale && !r.keep;
        r.state = end_state(j->has_best || r.keep, stale, r.keep ? &j->last : &j->best, &j->budget);
    }
    assert(!r.keep || j->last.gates);
    return r;
}
