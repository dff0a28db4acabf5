/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_CONFLICTS_H
#define PAWL_OPENSPEC_CONFLICTS_H
/* conflicts: active changes of one workspace that touch the same requirement, so that the one that is
 * archived second will be refused or undo the first: modified twice, added twice, removed and
 * modified, renamed and anything else. Findings of severity warning, each with both places: file and
 * line are those of the change that is asked about, `fix` names the other. They are no gate: changes
 * that are made side by side on one spec must not block each other. */
#include "common/openspec/finding.h"
#include "common/openspec/workspace.h"

enum { CONFLICTS_MAX = 1000 };

/* Those that `change` has with others; an empty name: all pairs, each once. ERR_NOT_FOUND. */
enum status conflicts_find(struct arena *a, const struct ws *ws, struct str change,
                           struct spec_findings *out) MUST_USE;
#endif
