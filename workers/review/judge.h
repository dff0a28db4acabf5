/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_REVIEW_JUDGE_H
#define PAWL_REVIEW_JUDGE_H
/* judge: the prompts of a model that judges, and what its replies are worth; pure. Two calls: free
 * critique first, then a short extraction with a schema, small integers, the reason before the score
 * (a small model that must keep to a format while it thinks thinks worse). What is judged is given
 * between marks and is data, whatever it says. */
#include "common/arena.h"
#include "common/js.h"

struct judge_input {
    const json_t *brief, *draft;
    const json_t *insights, *comments; /* may be NULL */
    uint64_t nonce;                    /* makes the marks around untrusted text unguessable */
};

/* New references: a list of messages. */
json_t *judge_critique(const struct judge_input *in);
json_t *judge_extract(const struct judge_input *in, const char *critique);
/* The schema of the extraction for a draft of n requirements. New reference. */
json_t *judge_schema(size_t n);

struct judgement {
    int64_t points;   /* 0 to 1000 */
    json_t *scores;   /* by name, 0 to 5; new reference */
    json_t *findings; /* new reference */
};

/* value: the extraction, or NULL (then points is -1: not judged). doubtful: bit per requirement that
 * the measures have doubts about; only there does "causes" cost points, a small judge says it too
 * easily. */
void judge_read(const struct judge_input *in, const json_t *value, uint64_t doubtful,
                struct judgement *out);
#endif
