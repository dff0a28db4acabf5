/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_UNIFIED_H
#define PAWL_CLI_UNIFIED_H
/* unified: the difference of two texts (linediff.h) as `diff -u` prints it, three lines of context. Pure. */
#include "common/buf.h"

struct unified_names {
    struct str before, after; /* paths; empty: the file does not exist there */
};

/* Appends nothing when the texts are equal. */
enum status unified_diff(const struct unified_names *names, struct str before, struct str after,
                         bool color, struct buf *out);
#endif
