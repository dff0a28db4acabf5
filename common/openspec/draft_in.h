/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_DRAFT_IN_H
#define PAWL_OPENSPEC_DRAFT_IN_H
/* draft_in: what the parts of draft.h share: the current specs that a draft is about. Internal. */
#include "common/openspec/draft_text.h"
#include "common/openspec/spec.h"
#include "common/openspec/text.h"

/* The specs read so far, by capability. */
struct targets {
    struct pool *p;
    const struct ws *ws;
    struct map specs; /* id -> struct spec */
};

/* NULL: the workspace has no such spec (or memory ran out). */
const struct spec *target_spec(struct targets *t, struct str id);
/* The requirement that a draft means by a name: exactly that, or what differs in blanks and case
 * only, or in what cleaning takes away. */
const struct spec_requirement *target_requirement(struct targets *t, const struct spec *spec,
                                                  struct str name);
#endif
