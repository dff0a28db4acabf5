/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_REVIEW_GATES_H
#define PAWL_REVIEW_GATES_H
/* gates: what must hold whatever else is good, pure: the format (strict validation), archivable (the
 * whole merge against the current specs), size. The user's own commands are gates too, commands.h. */
#include "common/openspec/workspace.h"

/* A gate record (documents.def), appended to `gates`. */
void gate_add(json_t *gates, const char *code, bool ok, const char *detail);
/* Do all hold? */
bool gates_hold(const json_t *gates);

/* Check the change on top of the workspace. Appends gate and finding records; *after (may be NULL)
 * is the workspace with the change laid over it, for the user's commands. */
enum status gates_check(struct arena *a, const struct ws *ws, const json_t *change,
                        int64_t bytes_max, json_t *gates, json_t *findings,
                        struct ws *after) MUST_USE;
#endif
