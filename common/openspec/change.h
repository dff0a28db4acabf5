/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_CHANGE_H
#define PAWL_OPENSPEC_CHANGE_H
/* change: one change of a workspace, read for validation and for archiving. Internal. */
#include "common/openspec/block.h"
#include "common/openspec/config.h"
#include "common/openspec/merge.h"
#include "common/openspec/report.h"

struct change_delta {
    struct str id;
    struct str path;  /* "<id>/spec.md" */
    struct str file;  /* below openspec/ */
    struct str bytes;
    struct delta delta;
    struct merge_out *merged; /* by change_merge(); NULL: not yet */
};

struct change {
    struct str name;
    struct str specs; /* "changes/<name>/specs/" */
    struct change_delta *at; /* in the original's order */
    size_t n, cap;
    struct change_meta meta;
};

enum status change_read(struct pool *p, const struct ws *ws, struct str name, struct change *out);
/* The merge of delta i with the current spec of its capability, done once. NULL: no memory. */
const struct merge_out *change_merge(struct pool *p, const struct ws *ws, const struct change *c,
                                     size_t i);

/* validate_change() of a change that was read. */
enum status change_validate(struct pool *p, const struct ws *ws, const struct change *c, bool strict,
                            struct spec_report *out);
/* The checks of `openspec validate` (full) or those that archive makes before it merges. */
void change_check(struct report *r, const struct ws *ws, const struct change *c, bool full);
/* A spec.md right in specs/, or any other Markdown file there with delta sections: never merged. */
bool change_has_root_spec(struct pool *p, const struct ws *ws, const struct change *c);
size_t change_unread(struct report *r, const struct ws *ws, const struct change *c);
/* Is there any visible file below specs/? */
bool change_has_specs(const struct ws *ws, const struct change *c);

/* One delta against itself and, when `main` is not NULL, against the scenarios of that spec. */
void delta_check(struct report *r, const struct change_delta *d, const struct str *main);
#endif
