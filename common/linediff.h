/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_LINEDIFF_H
#define PAWL_LINEDIFF_H
/* linediff: which lines two texts share, and a third one merged into them. Lines are split at LF; a
 * last line without LF differs from the same line with one. Shortest script by Myers (An O(ND)
 * Difference Algorithm and Its Variations, 1986) as long as at most LINEDIFF_EDITS lines differ;
 * beyond that what lies between the common head and tail is replaced whole. Pure. */
#include "common/buf.h"

enum { LINEDIFF_EDITS = 2000, LINEDIFF_LINES = 200000 };

struct lineset {
    struct str *at; /* without LF */
    size_t n;
    bool cut; /* the last line has no LF */
};

/* For each line of the script: 0 both have it, -1 only the first, +1 only the second. */
struct linediff {
    struct lineset a, b;
    signed char *script;
    size_t n;
};

/* Borrows the texts. ERR_LIMIT: more lines than allowed, or no memory. Free it in any case. */
enum status linediff_make(struct linediff *d, struct str a, struct str b) MUST_USE;
void linediff_free(struct linediff *d);

/* A stretch that both sides changed, each in its own way. */
struct collision {
    size_t line;                   /* of `ours`, from 1: where it begins */
    struct str base, ours, theirs; /* views of the texts given */
};

struct merged {
    struct buf text;
    struct collision *at;
    size_t n, cap;
};

enum merge_side { MERGE_OURS, MERGE_THEIRS };

/* Three-way merge, as diff3: what one side changed is taken, what both changed alike is taken once,
 * what they changed differently is a collision, in which `winner` has its way. *out is initialised;
 * free it with merged_free(). */
enum status merge_texts(struct str base, struct str ours, struct str theirs, enum merge_side winner,
                        struct merged *out) MUST_USE;
void merged_free(struct merged *m);
#endif
