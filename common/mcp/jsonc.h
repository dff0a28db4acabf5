/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MCP_JSONC_H
#define PAWL_MCP_JSONC_H
/* jsonc: JSON as people write it in configuration files: with comments, trailing commas and a byte
 * order mark; and where in the text a value stands. */
#include "common/buf.h"

/* Overwrite with blanks what JSON does not have; positions stay as they are. */
void jsonc_plain(char *text, size_t n);

/* Line and column (from 1, columns in bytes) of the value at this path of keys and decimal indexes.
 * `text` is valid JSON. A step that is not found gives the place of the last one that was. */
void jsonc_locate(struct str text, const char *const *path, size_t path_n, int *line, int *column);
#endif
