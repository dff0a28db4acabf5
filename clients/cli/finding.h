/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_FINDING_H
#define PAWL_CLI_FINDING_H
/* finding: a finding as people read it, with the line of the file that it is about. Pure.
 *
 *   error[gate.no-scenario]: requirement has no scenario
 *     --> openspec/changes/add-otp/specs/auth/spec.md:5:1
 *      |
 *    5 | ### Requirement: One-time codes
 *      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
 *      = fix: add at least one scenario under it                                              */
#include "common/js.h"
#include "common/openspec/workspace.h"

/* `change` (may be NULL): the change document whose files the finding may point into. */
void finding_print(const json_t *finding, const json_t *change, bool color, struct buf *out);
/* The same for a finding about a file of a workspace. */
void finding_print_in(const json_t *finding, const struct ws *ws, bool color, struct buf *out);
/* Text of a line (from 1) of the file at `path` below openspec/; false when it is not in the change. */
bool change_line(const json_t *change, const char *path, int64_t line, struct str *out);
#endif
