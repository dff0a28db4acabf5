/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_DRAFT_RENDER_H
#define PAWL_OPENSPEC_DRAFT_RENDER_H
/* draft_render: the files of a change, one function for each. Internal. */
#include "common/openspec/draft_in.h"

/* One requirement of the draft, its names as they will be read back. */
struct draft_item {
    const json_t *def;
    enum touch_op op;
    struct str capability;
    struct str name;
    struct str from;
    const struct spec_requirement *now; /* in the current spec; NULL: not there */
};

struct render {
    struct pool *p;
    struct targets targets;
    const json_t *draft;
    struct draft_item *items;
    size_t items_n;
    struct str_list capabilities; /* in the order of the draft */
    struct render_files {
        struct ws_file *at;
        size_t n, cap;
    } files;
    struct err *err;
};

void render_file(struct render *r, struct str path, struct str text);
void render_delta(struct render *r, struct str capability);
void render_proposal(struct render *r);
void render_tasks(struct render *r);
void render_design(struct render *r);
#endif
