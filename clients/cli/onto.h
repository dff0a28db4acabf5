/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_ONTO_H
#define PAWL_CLI_ONTO_H
/* onto: a change applied onto a folder that is there already and that its user has edited: what he
 * changed since the version that lies below stays, what is new comes in, and where both changed the
 * same lines he is asked: at the terminal, or by the folder's questions.md (collide.h). */
#include "clients/cli/cli.h"
#include "common/js.h"

/* Where a change in a user's folder came from, in its .openspec.yaml: pawl.from. */
struct origin {
    char job[32];
    int64_t run, round;
};

/* Writes pawl.from into the .openspec.yaml of a change document; adds the file when it is missing. */
void origin_put(json_t *change, const struct origin *o);
/* Of the change in the folder; false: it says nothing of the kind. */
bool origin_read(const char *root, const char *change, struct origin *out);

/* `base`: the change document that the folder was written from. --keep decides collisions; without
 * it they are asked about. ERR_CREATE: nobody has answered yet, and only the question was written. Files of the
 * folder that are in none of the three stay. */
enum status onto_folder(struct cli *cli, const char *root, const json_t *base, const json_t *theirs,
                        struct err *err) MUST_USE;
#endif
