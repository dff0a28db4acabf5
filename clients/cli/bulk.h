/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_BULK_H
#define PAWL_CLI_BULK_H
/* bulk: one message to every job that a filter names (--state, --project, --label, --limit), after
 * their number was shown and confirmed. */
#include "clients/cli/cli.h"
#include "common/msg.h"

/* Does the command line name jobs by a filter? Naming some one by one as well is an error, told by
 * bulk_run(). */
bool bulk_wanted(const struct cli *cli);
struct bulk_how {
    const char *what;  /* "cancel" */
    const char *done;  /* "is cancelled" */
    const char *state; /* unless --state says another: "open" */
    bool again;        /* may be said twice */
};
/* m: CANCEL or RETRY without its job. Returns the exit code. */
int bulk_run(struct cli *cli, struct msg *m, const struct bulk_how *how);
/* Is it the name of a state, or open, ended, all? */
bool state_known(const char *state);
extern const char state_names[]; /* for people */
#endif
