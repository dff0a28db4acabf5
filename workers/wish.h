/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_WISH_H
#define PAWL_WISH_H
/* wish: a problem that only complains ("the list freezes every morning") does not say what is wanted.
 * parse asks the user; what he answers belongs to the problem from then on, for generate as for
 * review. Without an answer the opposite of each complaint is taken as wanted. Pure. */
#include "workers/problem.h"

#include "common/js.h"

/* The `questions` document with the one question, or NULL when there is nothing to ask: something is
 * wanted in words, said to be missing, or stated without complaint; or the user was asked before.
 * `answers` may be NULL. New reference. */
json_t *wish_ask(struct arena *a, struct str problem, const json_t *answers);

/* The brief with the user's wish below its problem. New reference. */
json_t *wish_brief(const json_t *brief, const json_t *answers);
#endif
