/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MCP_MCPJSON_H
#define PAWL_MCP_MCPJSON_H
/* mcpjson: the file in which hosts list MCP servers, as LM Studio, Claude Desktop, Cursor and VS
 * Code write it. JSON with comments, trailing commas and a byte order mark; `mcpServers` or
 * `servers`; per server: type, command, args, env, cwd (working_dir), url (http_url), headers,
 * disabled (enabled), timeout (request_timeout_ms), startup_timeout_ms, protocol.
 *
 * Text values may hold ${NAME}, ${NAME:-otherwise}, ${env:NAME}, ${userHome}, ${workspaceFolder};
 * $${ is a literal ${. A variable that is not set fails that one server: a literal "${TOKEN}" is
 * never sent as a credential. Nothing here prints what a variable holds.
 *
 * A malformed file is an error with file:line:column. What is wrong with one server (unset variable,
 * no command, transport that is not served) is that server's `fault`; the others work. */
#include "common/arena.h"
#include "common/js.h"
#include "common/mcp/client.h"

enum {
    MCPJSON_BYTES_MAX = 1024 * 1024,
    MCPJSON_SERVERS_MAX = 64,
    MCPJSON_LIST_MAX = 256, /* arguments, environment variables of one server */
    MCPJSON_VALUE_MAX = 65536,
};

struct mcp_server {
    const char *name; /* 1 to 64 of [A-Za-z0-9_.-] */
    const char *command;
    const char *const *argv; /* argv[0] is command; NULL-terminated */
    const char *const *env;  /* "NAME=value"; NULL-terminated */
    const char *cwd; /* where it runs: vars.folder, or what cwd says, below that unless absolute */
    const char *url; /* "" when absent */
    int64_t timeout_ms; /* of a call; 0: not given */
    int64_t start_ms;   /* until it is ready; 0: not given */
    enum mcp_era era;
    bool disabled;
    int line, column;  /* of its name */
    const char *fault; /* why it cannot be started, NULL when it can: "FILE:LINE:COLUMN: …" */
    const char *fix;   /* what to do about the fault, never NULL */
};

struct mcp_file {
    struct arena arena; /* holds everything below */
    struct mcp_server *servers;
    size_t n;
    const char *remarks[16]; /* unknown keys and the like, for the log; each with its place */
    size_t remarks_n;
};

/* What variables stand for. */
struct mcp_vars {
    const char *(*get)(void *ctx, const char *name); /* NULL: not set */
    void *ctx;
    const char *folder; /* ${workspaceFolder}; may be "" */
};

/* `name` is the file's name for messages. On failure *out is empty and *line and *column (which may
 * be NULL) tell the place that the text of the error begins with. ERR_DATA, ERR_LIMIT. */
struct mcp_place {
    int line, column;
};
enum status mcpjson_read(struct str text, const char *name, const struct mcp_vars *vars,
                         struct mcp_file *out, struct mcp_place *place, struct err *err) MUST_USE;
void mcpjson_fini(struct mcp_file *f);
const struct mcp_server *mcpjson_find(const struct mcp_file *f, const char *server);
#endif
