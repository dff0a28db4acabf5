/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_EDIT_H
#define PAWL_OPENSPEC_EDIT_H
/* edit: a change that exists is written anew without touching what did not change: the layout, the
 * comments and the files of its author stay, byte for byte. Change documents as in
 * schemas/documents.def. */
#include "common/openspec/workspace.h"

/* `was`: the change as its author has it; `plain`: what we would write for the same content; `made`:
 * the new one as we write it, changed in place. Each file is merged three ways over `plain`; where
 * the author's text and ours both differ from it, ours is taken, since it is what was asked for. A
 * delta spec whose merge would not read as the new one does is taken as it was made. Files that we
 * know nothing of are kept. ERR_LIMIT: no memory. */
enum status edit_keep(struct arena *a, const json_t *was, const json_t *plain,
                      json_t *made) MUST_USE;

/* One change merged three ways, file by file: what was written last (`base`), what the author has
 * made of it (`ours`), what there is now (`theirs`). */
struct edit_collision {
    struct str path; /* of the file, below the change's folder */
    size_t line;     /* of `ours`, from 1; 0: the file as a whole */
    struct str ours, theirs;
};

struct edit_merge {
    json_t *files; /* [{path, text}], the caller's to release */
    struct edit_collision *at;
    size_t n, cap;
};

/* `mine`: the author's text wins where both changed it. Collisions are listed in any case; their
 * texts live as long as the documents. */
enum status edit_merge(struct arena *a, const json_t *base, const json_t *ours,
                       const json_t *theirs, bool mine, struct edit_merge *out) MUST_USE;
#endif
