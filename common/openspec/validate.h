/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_VALIDATE_H
#define PAWL_OPENSPEC_VALIDATE_H
/* validate: the rules of OpenSpec 1.13.2 with its levels, paths, lines, messages and order.
 * Strict changes the verdict only: warnings count too. */
#include "common/openspec/finding.h"
#include "common/openspec/workspace.h"

struct spec_report {
    bool valid;
    struct spec_findings findings;
};

/* A main spec from its bytes. `file` of the findings is specs/<id>/spec.md. */
enum status validate_spec(struct arena *a, struct str id, struct str bytes, bool strict,
                          struct spec_report *out) MUST_USE;
/* An active change of the workspace, as `openspec validate <change>` does. ERR_NOT_FOUND. */
enum status validate_change(struct arena *a, const struct ws *ws, struct str change, bool strict,
                            struct spec_report *out) MUST_USE;
#endif
