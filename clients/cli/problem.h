/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_PROBLEM_H
#define PAWL_CLI_PROBLEM_H
/* problem: problem statements from the command line, read and checked before anything is sent. */
#include "common/buf.h"

struct problem {
    char *source; /* file name, "-" or "" for text given as an argument */
    struct buf text;
};

struct problems {
    struct problem *v;
    size_t n;
};

/* One argument: `-` (standard input), a file, a directory (its *.md files, sorted), or text that
 * contains a blank. ERR_NOT_FOUND, ERR_DATA (empty, not UTF-8: says byte and line), ERR_LIMIT (more
 * than PAWL_PROBLEM_MAX). Appends. */
enum status problems_add(struct problems *p, const char *argument, struct err *err) MUST_USE;
void problems_free(struct problems *p);
/* Is this text a problem statement at all? `name` is for the message. Pure. */
enum status problem_check(const char *name, struct str text, struct err *err) MUST_USE;
#endif
