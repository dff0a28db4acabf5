/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/cli.h"

/* clang-format off */
#define NONE { FLAG_COUNT }
/* clang-format on */

/* Parser, help, docs/cli.md and completion all come from this table. */
const struct command command_table[] = {
#include "clients/cli/commands.def"
};
const size_t command_count = COUNT(command_table);
