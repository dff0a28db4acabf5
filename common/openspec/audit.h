/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_AUDIT_H
#define PAWL_OPENSPEC_AUDIT_H
/* audit: what a spec holds besides what merging understands. Deleting the spec of a retired
 * capability would take it along unmentioned, so a retirement is refused while there is any.
 * Internal. */
#include "common/openspec/block.h"
#include "common/openspec/workspace.h"

struct foreign {
    struct str heading; /* trimmed */
    struct str raw;     /* from the heading to the end of the block; empty: there is none */
};

/* A heading of level 1 to 3 inside a requirement's block, below its header. */
struct foreign foreign_tail(struct pool *p, struct str raw);
/* Lines outside title, Purpose, requirement statements and scenario bullets, each once. */
struct str_list unaccounted_lines(struct pool *p, const struct slices *parts);
#endif
