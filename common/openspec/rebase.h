/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_REBASE_H
#define PAWL_OPENSPEC_REBASE_H
/* rebase: a change brought onto the specs of today. A MODIFIED requirement replaces the whole block of
 * the spec, so what the spec has got since the change was written would be undone. Each such block is
 * merged three ways: the text that it was written against (pawl.text in .openspec.yaml), what the
 * change makes of it, and what the spec says now. Pure. */
#include "common/openspec/workspace.h"

enum rebase_state {
    REBASE_SAME,     /* the spec has not moved */
    REBASE_MERGED,   /* it has, and the block took it up */
    REBASE_COLLIDES, /* both changed the same lines */
    REBASE_GONE,     /* the spec has no such requirement any more */
    REBASE_UNKNOWN,  /* what it was written against is not known */
};

struct rebase_block {
    struct str capability, requirement;
    enum rebase_state state;
    struct str file;         /* the delta spec, below openspec/ */
    size_t line;             /* of the block, or of its first collision */
    struct str ours, theirs; /* of the first collision: the change's lines, the spec's */
};

struct rebase {
    struct rebase_block *at;
    size_t n, cap;
    struct ws_file *files; /* those that change: delta specs and .openspec.yaml */
    size_t files_n, files_cap;
};

/* `mine`: where both changed the same lines the change has its way, else the spec. Everything lives
 * in the arena. ERR_NOT_FOUND: no such change. */
enum status rebase_change(struct arena *a, const struct ws *ws, struct str change, bool mine,
                          struct rebase *out) MUST_USE;
const char *rebase_state_name(enum rebase_state s); /* static */
#endif
