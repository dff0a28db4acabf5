/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_REVIEW_MEASURES_H
#define PAWL_REVIEW_MEASURES_H
/* measures: what can be counted of a draft without a model, pure. The score, per mille:
 *
 *   coverage     the share of what the problem wants that the draft's behaviour covers, 0 to 1000.
 *                Words weigh 1, figures 1.5, words that the specs have already 0.3; the story around
 *                it nothing. A requirement counts only if it has a scenario with a condition and an
 *                observable result of its own; it answers at most two clauses of the problem, and a
 *                clause only if its demand or its results have something of what is wanted there.
 *                Four fifths of a clause's words are all of it: the rest may be said otherwise.
 *   repeats      -250 for each requirement that repeats an existing one, changes nothing, or removes
 *                what nobody asked to remove; repeats-own: -150, an earlier one; -100, a second rule
 *                beside an existing one
 *   paste        -250 for each that contains the statement instead of an answer to it
 *   grievance    -300 for each that makes the story come true
 *   inverted     -300 for each that demands the opposite of a wish
 *   told         -225 for each that demands what the problem only tells
 *   hollow       -50 for each that is about the project, or no sentence, at most 4
 *   off-topic    -75 for each that is about something else, at most 4
 *   invented     -100 for each figure, -50 for each name that nobody gave, at most 300
 *   degenerate   -50 for each scenario without condition or result, or a copy, at most 4
 *   echoes       -100 for each that quotes a finding
 *   comments     -250 for each comment of the user that the draft does not show, at most 2
 * One rule for all problems. */
#include "common/arena.h"
#include "common/js.h"
#include "common/openspec/workspace.h"

struct measures_input {
    const json_t *brief, *draft;                           /* needed */
    const json_t *insights, *comments, *answers, *earlier; /* may be NULL; earlier: a review */
    const json_t *change; /* for file and line of findings; may be NULL */
    const struct ws *ws;  /* the specs; NULL: those requirements that the brief carries */
};

struct measures_result {
    int64_t score;     /* 0 to 1000 */
    json_t *list;      /* of measure records; new reference */
    json_t *findings;  /* highest rank first; new reference */
    uint64_t doubtful; /* bit per requirement (the first 64): a judge should say what it causes */
};

/* ERR_LIMIT: no memory; the result is empty lists then. */
enum status measures_take(struct arena *a, const struct measures_input *in,
                          struct measures_result *out) MUST_USE;
#endif
