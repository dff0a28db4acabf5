/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_UNIFIED_H
#define PAWL_CLI_UNIFIED_H
/* unified: the difference of two texts as `diff -u` prints it, three lines of context, lines split at
 * LF. Shortest by Myers (An O(ND) Difference Algorithm, 1986) as long as the texts differ in at most
 * UNIFIED_EDITS lines; beyond that what lies between their common head and tail is replaced whole.
 * Pure. */
#include "common/buf.h"

enum { UNIFIED_EDITS = 2000, UNIFIED_LINES = 200000 };

struct unified_names {
    struct str before, after; /* paths; empty: the file does not exist there */
};

/* Appends nothing when the texts are equal. */
enum status unified_diff(const struct unified_names *names, struct str before, struct str after,
                         bool color, struct buf *out);
#endif
