/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_SPEC_H
#define PAWL_OPENSPEC_SPEC_H
/* spec: what the specs of a workspace say, for those who want to know what exists today (the parse
 * stage, the review's measures, the CLI). Requirements are those that merging acts on (reader B of
 * block.h); the Purpose is the one that the validator sees (reader A of tree.h).
 * Views live as long as the arena. */
#include "common/openspec/workspace.h"

struct spec_scenario {
    struct str name; /* without `#### Scenario:` */
    struct str text; /* the lines below the header, trimmed */
    size_t line;     /* of its header */
};

struct spec_requirement {
    struct str name;
    struct str text; /* the body up to the first header: lines trimmed, fences left out */
    struct spec_scenario *scenarios;
    size_t scenarios_n;
    size_t line;    /* of its header, from 1 */
    struct str raw; /* the whole block from its header on, LF line ends, no trailing blanks */
};

struct spec {
    struct str id; /* capability */
    struct str purpose;
    struct spec_requirement *requirements;
    size_t n;
};

/* Never fails on content, only on memory (ERR_LIMIT). */
enum status spec_read(struct arena *a, struct str id, struct str bytes, struct spec *out) MUST_USE;
/* The spec of a capability; ERR_NOT_FOUND when the workspace has none. */
enum status spec_of(struct arena *a, const struct ws *ws, struct str id, struct spec *out) MUST_USE;
/* NULL when there is none of exactly this name. */
const struct spec_requirement *spec_find(const struct spec *spec, struct str name);

/* What an active change does to the specs. */
enum touch_op { TOUCH_ADDED, TOUCH_MODIFIED, TOUCH_REMOVED, TOUCH_RENAMED };

struct touch {
    enum touch_op op;
    struct str change;
    struct str capability;
    struct str requirement; /* renamed: the new name */
    struct str from;        /* renamed: the old name */
    size_t line;            /* in the delta spec */
};

struct touches {
    struct touch *at;
    size_t n;
    size_t cap;
};

const char *touch_op_name(enum touch_op op); /* "added"; static */
/* Append what the change does, capability by capability. */
enum status change_touches(struct arena *a, const struct ws *ws, struct str change,
                           struct touches *out) MUST_USE;
#endif
