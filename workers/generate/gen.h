/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_GENERATE_GEN_H
#define PAWL_GENERATE_GEN_H
/* gen: the thinking of the generate stage, pure. Documents in, questions for a model out, replies
 * in, a draft out. A draft is made in short schema-constrained steps, so that even a very small model
 * ends with something strictly valid:
 *
 *   comments --> plan --> more? --> for each statement, all at once:            --> why, tasks --> draft
 *                                     sentence -> new or changes? -> scenarios
 *
 * The plan of a small model is the problem itself: its statements that need an answer, found without a
 * model as the review finds them (workers/problem.h), one requirement each. A large model plans.
 *
 * Context diet: a small model restates the specifications that it is shown, and merges the statements.
 * So each requirement is written from its own statement (and what tools found out) alone; it is then
 * held against its one or two nearest existing requirements, found without a model, in a step of its
 * own. Whatever a reply lacks is asked for again with an instruction, at most twice, then repaired
 * without a model: there is always a draft in the end.
 *
 * A later round starts from the best draft: findings and comments say which requirements to rewrite,
 * leave out or add, the others are kept as they are. When that failed before, or touches nothing, the
 * draft is planned anew. */
#include "common/arena.h"
#include "common/js.h"

struct gen;

struct gen_input {
    const json_t *brief;                            /* needed */
    const json_t *insights, *comments, *answers;    /* may be NULL, as all of these */
    const json_t *best, *best_review, *last_review; /* draft@best, review@best, review@last */
    uint64_t seed;
    int64_t round, parent; /* parent: the round of best; 0: none */
    bool findings;         /* tell what the reviews found */
    bool large;            /* a large model: bigger steps */
};

/* A question for the model. messages and schema are borrowed until gen_give. */
struct gen_ask {
    uint32_t id;
    json_t *messages;
    const json_t *schema;
    const char *name; /* of the step, "plan" */
    char note[96];    /* where the work stands, "requirement 2 of 4" */
    int64_t tokens_max;
    uint64_t seed;
};

/* The input must live as long as the gen. Memory comes from the arena; gen_free drops the JSON. */
struct gen *gen_new(struct arena *arena, const struct gen_input *in);
void gen_free(struct gen *g); /* NULL is fine */

/* What a tool found out on the way counts like an insight from then on. */
void gen_add_insight(struct gen *g, const json_t *insight);

/* The next question that may be asked now. False: none until an answer comes, or done. */
bool gen_take(struct gen *g, struct gen_ask *out);
/* The reply to a question; NULL when the model gave nothing of the right shape. */
void gen_give(struct gen *g, uint32_t id, const json_t *value);
bool gen_done(const struct gen *g);
/* The draft document. New reference; only when done. */
json_t *gen_draft(struct gen *g);
#endif
