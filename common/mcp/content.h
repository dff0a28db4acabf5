/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MCP_CONTENT_H
#define PAWL_MCP_CONTENT_H
/* content: what a server says, as text that is safe to keep: results of tools, lists of tools. */
#include "common/js.h"

/* The text of a tools/call result: text parts and texts of embedded resources, joined by line ends;
 * other parts by a note in brackets; structuredContent as JSON when there is no part. Control
 * characters other than tab and line end are dropped. `out` is initialised by the caller; its
 * ceiling holds. */
enum status mcp_content_text(const json_t *result, struct buf *out);

/* Append s without control characters (line ends and tabs stay unless one_line). */
void mcp_clean(struct str s, bool one_line, struct buf *out);

/* One tool of tools/list as {name, description, input}, bounded. NULL: not a usable definition. */
json_t *mcp_tool_read(const json_t *def);

/* Depth of nesting: a scalar is 0. */
int json_depth(const json_t *v, int max);
#endif
