/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_COLLIDE_H
#define PAWL_CLI_COLLIDE_H
/* collide: where a job and the author of a folder changed the same lines, the folder's questions.md
 * asks the author. The collision belongs to the folder, not to the job (the next checkout has others,
 * or none), so its question stands in the folder and the job knows nothing of it. One question for
 * all places of one merge; its id is made of what collides, so that asking again asks nothing new and
 * an answer never counts for another collision. */
#include "common/openspec/edit.h"
#include "common/status.h"

enum keep { KEEP_UNKNOWN, KEEP_YOURS, KEEP_THEIRS };
enum keep keep_named(struct str word); /* "yours", "theirs" in any case; else KEEP_UNKNOWN */

enum { COLLIDE_ID = 32 };
void collide_id(const struct edit_merge *m, char out[COLLIDE_ID]);

/* What root's openspec/changes/<change>/questions.md answers. KEEP_UNKNOWN: nothing yet. ERR_DATA:
 * the answer is neither of the two, or the file cannot be read. */
enum status collide_answer(const char *root, const char *change, const struct edit_merge *m,
                           enum keep *out, struct err *err) MUST_USE;
/* Asks there, unless it is asked already; open questions about other collisions are withdrawn.
 * `shown`: the places, as they are shown to people. */
enum status collide_ask(const char *root, const char *change, const struct edit_merge *m,
                        struct str shown, struct err *err) MUST_USE;
/* The merge has been written as `keep` says: what is open is settled. Without such a question the file
 * is left alone. */
enum status collide_settle(const char *root, const char *change, const struct edit_merge *m,
                           enum keep keep, struct err *err) MUST_USE;
#endif
