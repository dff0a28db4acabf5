/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_ANALYZE_PINS_H
#define PAWL_ANALYZE_PINS_H
/* pins: what tools looked like when they were first seen. A tool that a server describes in another
 * way later may lead a model elsewhere: it is neither offered nor called until somebody has looked
 * at it. Pins outlive the worker, in one small file that a person can read; several workers of a
 * machine share it. A server is its name and its command: with other arguments (another version,
 * say) it is another one, and its tools are seen for the first time. */
#include "common/mcp/content.h"
#include "common/mcp/mcpjson.h"

struct pins {
    char path[4096]; /* "": kept in memory only */
    json_t *seen;    /* "server tool command-hash" -> pin, hex; as in the file */
    json_t *fresh;   /* the same, not yet in the file */
};

/* An absent file is empty; `path` may be "". On failure the pins are empty and kept in memory, and
 * err (ERR_DATA, ERR_IO) says what is wrong with the file. */
enum status pins_open(struct pins *p, const char *path, struct err *err) MUST_USE;
void pins_close(struct pins *p);

/* Is this the tool that was seen first? One that is seen for the first time is noted and is. The file
 * is read again before the answer is no: whoever takes a line out of it approves the change. */
bool pins_see(struct pins *p, const struct mcp_server *server, const struct mcp_tool *tool);
/* Add what is new to the file as it is now. Fine when there is nothing. ERR_BUSY: another worker is
 * writing, try again at the next occasion. */
enum status pins_save(struct pins *p, struct err *err) MUST_USE;
#endif
