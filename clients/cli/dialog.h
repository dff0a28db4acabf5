/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_DIALOG_H
#define PAWL_CLI_DIALOG_H
/* dialog: keeps openspec/changes/<change>/questions.md in step with a job while somebody watches it.
 * What is to be done is dialog_plan.h's; here are the file, the broker and the clock. The file is
 * looked at when it was saved (inotify, and every two seconds where that tells nothing) and has
 * rested for a moment; it is replaced as a whole, under the claim of all writers below openspec/, and
 * never when it was saved meanwhile. */
#include "clients/cli/cli.h"
#include "clients/cli/link.h"

struct dialog;

struct dialog_how {
    struct talk *talk;
    const char *root; /* of the OpenSpec repository */
    bool make;        /* the change's folder, when a question comes and it is not there */
    /* For the user; without line end. */
    void (*say)(void *ctx, bool warning, const char *line);
    /* File and job agree, or nothing can be done about it now. `job` as it was then. */
    void (*idle)(void *ctx, const json_t *job);
    void *ctx;
};

/* `job`: a whole id. `how` is copied. NULL: out of memory. */
struct dialog *dialog_new(const char *job, const struct dialog_how *how);
/* The job has changed: bring both together soon. False: there is no change that could have the file,
 * and none is to be made. */
bool dialog_look(struct dialog *d);
void dialog_free(struct dialog *d); /* NULL is fine; the link must not be turned afterwards */
#endif
