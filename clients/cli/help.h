/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_HELP_H
#define PAWL_CLI_HELP_H
/* help: every text about commands, flags, exit codes and configuration keys, made from the tables.
 * Pure: text into a buf. docs/cli.md and docs/configuration.md hold the Markdown forms. */
#include "clients/cli/args.h"
#include "common/buf.h"

void help_overview(bool color, struct buf *out);
void help_command(const struct command *c, bool color, struct buf *out);
void help_exit_codes(bool markdown, struct buf *out);
void help_configuration(bool markdown, struct buf *out);
void help_reference(struct buf *out);  /* docs/cli.md, the generated part */
void help_completion(struct buf *out); /* bash */
#endif
