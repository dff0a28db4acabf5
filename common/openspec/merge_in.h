/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_MERGE_IN_H
#define PAWL_OPENSPEC_MERGE_IN_H
/* merge_in: what the two halves of merging share: applying the operations (merge.c) and writing the
 * new text (merge_text.c). Internal. */
#include "common/openspec/block.h"
#include "common/openspec/merge.h"

/* One merge: what came in, decoded, and the requirements of the spec by name as they change. */
struct merge {
    struct pool *p;
    const struct merge_in *in;
    struct merge_out *out;
    struct delta d;
    struct str main; /* the current spec, or the skeleton of a new one */
    struct slices parts;
    struct str *order; /* the name that each of parts.blocks has now */
    struct map blocks; /* name -> struct block */
    struct map folds;  /* folded name -> size_t, how many of `blocks` */
};

void merge_warn(struct merge *m, struct str text);
/* The requirement of that key as it is now; NULL. */
struct block *merge_get(struct merge *m, struct str key);
/* The whole new spec, LF. Sets out->no_requirements, and warns of what the blocks took away. */
struct str merge_recompose(struct merge *m);
/* The text with the line ends that `like` mostly has; CRLF wins a tie, none means LF. */
struct str merge_match_ends(struct pool *p, struct str text, struct str like);
#endif
