/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MCP_JSONC_H
#define PAWL_MCP_JSONC_H
/* jsonc: JSON as people write it by hand. Comments, trailing commas and a byte order mark are
 * blanked out, so that every other byte keeps its place and errors can name it. */
#include "common/js.h"

/* Replace what is not JSON by blanks, in place; newlines stay. ERR_DATA for a comment without end. */
enum status jsonc_blank(char *text, size_t n, struct err *err) MUST_USE;

/* Line and column, both from 1, of the value that path leads to, in blanked text that parses.
 * Steps are object keys, or list indexes as text; n 0 is the whole value. `key` asks for the place
 * of the last step's key instead of its value. False when there is no such value. */
struct jsonc_path {
    const char *const *steps;
    size_t n;
    bool key;
};
bool jsonc_where(struct str text, const struct jsonc_path *path, int *line, int *column);
#endif
