/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_BECAUSE_H
#define PAWL_CLI_BECAUSE_H
/* because: why a requirement is in a change: the sentence of the problem that it answers, the insights
 * and comments that it rests on, what reviews said of it. Pure. */
#include "common/js.h"
#include "common/status.h"

/* The requirement of a draft with that name, whatever its case; or else the only one whose name
 * contains it. ERR_NOT_FOUND names those that there are, ERR_DATA those that it could be. */
enum status because_find(const json_t *draft, const char *name, const json_t **out,
                         struct err *err) MUST_USE;

struct because_record {
    const json_t *insights;           /* of the round that the draft is of; may be NULL */
    const json_t *comments, *answers; /* lists; may be NULL */
    const json_t *reviews;            /* list of {round, findings} */
};
/* {requirement, op, capability, statement, insights, comments, answers, findings: [{round, …}]}. */
json_t *because_of(const json_t *requirement, const struct because_record *r);
void because_print(const json_t *because, bool color, struct buf *out);
#endif
