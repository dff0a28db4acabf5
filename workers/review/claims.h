/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_REVIEW_CLAIMS_H
#define PAWL_REVIEW_CLAIMS_H
/* claims: a problem statement read sentence by sentence, without a model. Some sentences say what is
 * wanted, some complain, some only tell. A draft has to do what is wanted; a requirement that makes
 * a complaint come true is worse than none.
 *
 *   wish       has a word of wanting (should, must, need, may, at most, soll, doit, debe, …)
 *   complaint  no wish, and a word of trouble (die, lose, wait, wrong, …) or a negation
 *   telling    neither
 * Negation is kept per word: "without warning" is `warning` negated. */
#include "workers/generate/text.h"

enum claim_kind { CLAIM_WISH, CLAIM_COMPLAINT, CLAIM_TELLING };

struct claim {
    struct str text;      /* the sentence */
    enum claim_kind kind;
    struct words words;
    struct words negated; /* those of `words` under a negation */
    double weight;        /* of each of its words: 1 for a wish, less for the others */
};

struct claims {
    struct claim *v;
    size_t n;
    bool wishes; /* there is at least one; otherwise every sentence weighs fully */
};

enum { CLAIMS_MAX = 64 };

struct claims claims_of(struct arena *a, struct str problem);

/* "should", "wants", "soll": says that something is wanted, not what; weighs nothing. */
bool claims_only_wants(struct str word);

/* The words of a text that stand under a negation (not, never, without, no, prevent, avoid, …): up
 * to three content words after it, not beyond the end of the clause. */
struct words negated_words(struct arena *a, struct str text);

/* Does the requirement make a complaint of the problem come true? It has most of its content words
 * from the complaint, each under the same negation, and no wish is nearer. `why` (may be NULL): the
 * complaint. `doubt` (may be NULL): near, but not certain: a judge may decide. */
bool claims_grievance(struct arena *a, const struct claims *c, struct str requirement, struct str *why, bool *doubt);

/* Does the text contain the problem more or less whole? Longest common run of words, and the share
 * of the problem in runs of six words or more. */
bool text_pastes(struct str text, struct str problem);
/* Longest run of words that two texts have in common, function words included. */
size_t text_common_run(struct str a, struct str b);
#endif
