/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_REVIEW_MEASURES_H
#define PAWL_REVIEW_MEASURES_H
/* measures: what can be counted of a draft without a model, pure. The score, per mille:
 *
 *   coverage     the share of the problem that the draft's behaviour covers, 0 to 1000. Words of
 *                wishes weigh 1, figures 1.5, words that the specs have already 0.3; words of
 *                complaints nearly nothing. A requirement counts only if it has a scenario with a
 *                condition and an observable result of its own, and covers at most two sentences.
 *   repeats      -250 for each requirement that repeats an existing one, -150 an earlier one
 *   grievance    -300 for each requirement that makes a complaint come true
 *   paste        -250 for each requirement that contains the problem whole
 *   invented     -100 for each figure that nobody gave, at most 3
 *   degenerate   -50 for each scenario without condition or result, or a copy, at most 4
 *   echoes       -100 for each requirement that quotes a finding
 * One rule for all problems. Requirements that repeat, paste or grieve cover nothing. */
#include "common/arena.h"
#include "common/js.h"

struct measures_input {
    const json_t *brief, *draft;                               /* needed */
    const json_t *insights, *comments, *answers, *earlier;     /* may be NULL; earlier: a review */
    const json_t *change;                                      /* for file and line of findings */
};

struct measures_result {
    int64_t score;      /* 0 to 1000 */
    json_t *list;       /* of measure records; new reference */
    json_t *findings;   /* highest rank first; new reference */
    uint64_t doubtful;  /* bit per requirement (the first 64): a judge should say what it causes */
};

enum status measures_take(struct arena *a, const struct measures_input *in, struct measures_result *out) MUST_USE;
#endif
