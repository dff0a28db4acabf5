/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_GENERATE_RENDER_H
#define PAWL_GENERATE_RENDER_H
/* render: between drafts and the files of an OpenSpec change, by the library in common/openspec. */
#include "workers/harness.h"

/* The change document of a draft, new reference. The draft is completed on the way: scenarios that a
 * changed requirement must keep, added or modified as the specs demand. Without the workspace among
 * the task's documents the brief stands in for it, and the change carries no fingerprints. */
enum status render_change(struct task *t, const json_t *brief, json_t *draft, json_t **out,
                          struct err *err) MUST_USE;
/* What the existing change in brief.base says, as a draft; new reference. NULL: there is none. */
json_t *base_draft(struct arena *a, const json_t *brief);
#endif
