/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_WORKFLOW_H
#define PAWL_OPENSPEC_WORKFLOW_H
/* workflow: a workflow schema: which artifacts a change consists of. "spec-driven" is built in, others
 * (or a spec-driven of the project's own) lie in openspec/schemas/<name>/schema.yaml. Internal. */
#include "common/openspec/pool.h"
#include "common/openspec/workspace.h"

struct workflow {
    bool exists;  /* by that name */
    bool builtin; /* the one that ships with OpenSpec */
    bool loads;   /* its schema.yaml is good */
    struct str reason; /* why not, as far as we say it */
    struct str_list generates;
    struct str tasks; /* glob of the tracked task files; empty: none */
};

/* `exact`: the name must be that of a schema ("spec-driven.yaml" is not). */
struct workflow workflow_find(struct pool *p, const struct ws *ws, struct str name, bool exact);

/* Paths below `dir` (ends with '/') that match the glob (*, **, ?, [..], {a,b}), as views without
 * `dir`, in path order. */
struct str_list workflow_outputs(struct pool *p, const struct ws *ws, struct str dir,
                                 struct str glob);
/* Does one path match? Bounded work. */
bool glob_match(struct str glob, struct str path);
#endif
