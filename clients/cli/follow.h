/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_FOLLOW_H
#define PAWL_CLI_FOLLOW_H
/* follow: wait until jobs have ended, showing how they go. Survives restarts of the broker. */
#include "clients/cli/cli.h"
#include "clients/cli/link.h"

enum { FOLLOW_MAX = 1024 };

struct follow_how {
    bool show;          /* false: wait in silence (--wait) */
    bool result_out;    /* the lines are the result: stdout; else they are messages: stderr */
    int64_t timeout_ms; /* 0: none */
    const char
        *root; /* of the OpenSpec repository whose questions.md is kept in step; NULL: none */
    bool make; /* the change's folder in it, when a question comes */
};

/* `ids`: whole ids or prefixes. Returns the exit code: the verdict of the worst job, 124 when time ran
 * out, 130 on Ctrl-C (the jobs go on), or that of an error, which has been told. */
int follow(struct cli *cli, struct talk *talk, const char *const *ids, int n,
           const struct follow_how *how);
#endif
