/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_MERGE_H
#define PAWL_OPENSPEC_MERGE_H
/* merge: one delta spec applied to one main spec: RENAMED, REMOVED, MODIFIED, ADDED, in this order.
 * A pure function, byte for byte that of OpenSpec 1.13.2. */
#include "common/openspec/workspace.h"

struct merge_in {
    struct str id;     /* capability */
    struct str change; /* name of the change; appears in the placeholder Purpose only */
    struct str delta;  /* bytes of the delta spec */
    bool has_main;
    struct str main;      /* bytes of the current spec */
    struct str main_path; /* as warnings shall name it */
};

struct merge_out {
    bool refused;
    struct str refusal;      /* the original's text, when refused */
    size_t refusal_line;     /* in the delta (or, when refusal_in_main, in the main spec); 0 unknown */
    bool refusal_in_main;
    struct str requirement;  /* the one it is about, when refused; may be empty */
    struct str rebuilt;      /* LF line ends, as the check of the rebuilt spec reads it */
    struct str bytes;        /* as written: with the line ends of the current spec */
    size_t added, modified, removed, renamed;
    struct str_list warnings;
    bool no_requirements;        /* nothing is left */
    struct str_list unaccounted; /* lines that a retirement would delete without naming them */
};

/* ERR_LIMIT: no memory. A refusal is OK with out->refused. */
enum status merge_spec(struct arena *a, const struct merge_in *in, struct merge_out *out) MUST_USE;
#endif
