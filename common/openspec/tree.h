/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_TREE_H
#define PAWL_OPENSPEC_TREE_H
/* tree: reader A, the tree of sections by header level that main specs are listed, shown and
 * validated with. It does not agree with reader B (block.h) everywhere, and must not. Internal. */
#include "common/openspec/text.h"

struct section {
    int level;
    struct str title;
    struct str content; /* up to the next header of the same or a higher level, trimmed */
    size_t line;        /* from 1 */
    size_t parent;      /* index + 1; 0: none */
    size_t children;    /* first child, index + 1 */
    size_t next;        /* next child of the same parent, index + 1 */
};

struct tree {
    struct section *at; /* in document order */
    size_t n;
    size_t cap;
};

struct tree tree_read(struct pool *p, struct str text);
/* The first section of that title, whatever its level; NULL. */
const struct section *tree_find(const struct tree *t, const char *title);

/* A requirement as reader A sees it: any child header of the Requirements section. */
struct tree_requirement {
    struct str text; /* body, or the title when there is none */
    size_t scenarios;
    size_t line;
};

struct tree_spec {
    bool has_purpose;      /* and it is not empty */
    bool has_requirements; /* the section exists */
    struct str purpose;
    size_t purpose_line;
    size_t requirements_line;
    struct tree_requirement *at;
    size_t n;
    size_t cap;
};

struct tree_spec tree_spec(struct pool *p, struct str text);
#endif
