/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_DRAFT_H
#define PAWL_OPENSPEC_DRAFT_H
/* draft: the `draft` document (schemas/documents.def) rendered as the files of an OpenSpec change.
 * Whatever a model writes into it stays text: it cannot open a header, a fence, a comment, a delta
 * marker or a list item of its own. What is rendered reads back to the same structure, and is
 * strictly valid when every requirement that needs them has SHALL or MUST text and scenarios. */
#include "common/openspec/workspace.h"

/* Files: proposal.md, tasks.md, design.md (when there are decisions), .openspec.yaml, and
 * specs/<capability>/spec.md. `base` is the workspace that the change starts from: it decides which
 * capabilities are new and gives the fingerprints. `created` is YYYY-MM-DD, empty for none.
 * *out is a `change` document, new reference. ERR_DATA: the draft cannot be rendered (a capability
 * id that is no path, a requirement whose name is empty once cleaned, the same name twice). */
enum status draft_render(struct arena *a, const struct ws *base, const json_t *draft,
                         struct str created, json_t **out, struct err *err) MUST_USE;

/* Make a modified requirement whole: scenarios that the current spec has under names that the
 * requirement does not use are added to it, in the order of the spec, since the merge refuses to
 * drop them. A "modified" requirement that the spec does not have becomes "added", an "added" one
 * that it has becomes "modified". `requirement` is one of draft.requirements and is changed. */
enum status draft_complete(struct arena *a, const struct ws *base, json_t *requirement) MUST_USE;
/* The same for all requirements of a draft. */
enum status draft_complete_all(struct arena *a, const struct ws *base, json_t *draft) MUST_USE;

/* Text as one line that is safe anywhere in a line: line breaks and control characters become
 * blanks, runs of blanks one, comment openers are broken up. */
struct str draft_line(struct arena *a, struct str text);
/* The name a requirement or scenario will have once it is rendered and read back. */
struct str draft_name(struct arena *a, struct str name);

/* Fingerprints of the base requirements that a change modifies, removes or renames:
 * {capability: {name: sha256 hex}}, new reference; NULL on no memory. */
json_t *openspec_base(struct arena *a, const struct ws *base, const json_t *draft);

/* The texts of those that it modifies, for merging three ways later: {capability: {name: the block
 * from its header on}}, new reference; NULL on no memory. */
json_t *openspec_base_texts(struct arena *a, const struct ws *base, const json_t *draft);

enum base_state { BASE_SAME, BASE_CHANGED, BASE_GONE };

struct base_move {
    struct str capability;
    struct str requirement;
    enum base_state state; /* never BASE_SAME in a list of moves */
};

struct base_moves {
    bool known; /* false: the change has no fingerprints */
    struct base_move *at;
    size_t n;
    size_t cap;
};

/* What moved below a change since it was written: `base` as openspec_base() made it (or as stored
 * in .openspec.yaml, see meta_pawl()), NULL for a change without. */
enum status openspec_base_moved(struct arena *a, const struct ws *now, const json_t *base,
                                struct base_moves *out) MUST_USE;
#endif
