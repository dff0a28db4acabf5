/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_MCP_RESULT_H
#define PAWL_CLI_MCP_RESULT_H
/* mcp_result: what the tools of `pawl mcp` tell of a job. Pure: the broker's maps in, objects out; each
 * is new. Texts of users and models are freed of control characters and cut. */
#include "common/js.h"

enum { MCP_FINDINGS_MOST = 50, MCP_ROUNDS_MOST = 100, MCP_TEXT_MOST = 4000 /* bytes */ };

json_t *mcp_job(const json_t *map);                             /* a row of a list */
json_t *mcp_questions(const json_t *map);                       /* open ones of a job: an array */
json_t *mcp_whole_job(const json_t *map, const json_t *review); /* review: NULL for none */
/* "running generate, round 2" after an event; false: nothing worth telling. */
bool mcp_progress(const char *kind, const json_t *facts, struct buf *out);
#endif
