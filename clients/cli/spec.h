/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_SPEC_H
#define PAWL_CLI_SPEC_H
/* spec: what the `pawl spec …` commands share. They work on the files here, without a broker. */
#include "clients/cli/cli.h"
#include "clients/cli/repo.h"
#include "common/openspec/show.h"

#include <limits.h>

struct spec_tree {
    struct cli *cli;
    struct repo repo;
    char root[PATH_MAX];
};

/* Reads the OpenSpec repository of -C or the working directory. On failure it has been said, and
 * *code is the exit code. */
bool spec_open(struct spec_tree *t, struct cli *cli, int *code);
void spec_close(struct spec_tree *t);

/* The document with `root` at its end, as the original prints it; one line with -o jsonl. Takes v. */
void spec_print(const struct spec_tree *t, json_t *v);
/* Says a refusal: in JSON as {"status": […]} on stdout, else on stderr. Returns the exit code. */
int spec_refuse(const struct spec_tree *t, const struct show_refusal *refusal);
/* Findings with the lines that they are about. */
void spec_findings_print(const struct spec_tree *t, const struct spec_findings *list,
                         struct buf *out);
/* The change that the first word names; empty after a refusal has been said. */
struct str spec_change(const struct spec_tree *t, int *code);
#endif
