/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_ANALYZE_SAID_H
#define PAWL_ANALYZE_SAID_H
/* said: the last bytes of what a process wrote on its stderr, for the texts of failures. */
#include "common/buf.h"

enum { SAID_KEPT = 4096, SAID_LINE_MAX = 300 };

struct said {
    char bytes[SAID_KEPT];
    size_t n;
};

void said_add(struct said *s, struct str bytes);
/* Append the line that tells most, cleaned: the first that speaks of an error, otherwise the last. */
void said_line(const struct said *s, struct buf *out);
#endif
