/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MCP_MCPJSON_H
#define PAWL_MCP_MCPJSON_H
/* mcpjson: mcp.json as LM Studio, Claude Desktop and Cursor write it. One object per server below
 * `mcpServers` (or `servers`): command, args, env, cwd, timeout (ms), disabled; url and headers are
 * read and reported as not supported. Comments, trailing commas and a byte order mark are fine.
 * ${NAME}, ${NAME:-otherwise} and ${env:NAME} are replaced in command, args, env and cwd; bare
 * $NAME never is. Unknown keys are ignored. */
#include "common/arena.h"
#include "common/js.h"

enum {
    MCP_JSON_MAX = 1 << 20, /* bytes of the file */
    MCP_SERVERS_MAX = 64,
    MCP_ARGS_MAX = 1000,
    MCP_ENV_MAX = 200,
    MCP_NAME_MAX = 64, /* bytes of a server's name */
};

/* One server. Strings live in the arena of the struct mcp_json. */
struct mcp_server_conf {
    const char *name;
    char **argv; /* NULL-terminated; argv[0] is the command. NULL when fault is set */
    char **env;  /* "NAME=value", NULL-terminated, beside the minimal environment */
    const char *cwd; /* NULL: the worker's */
    int64_t timeout_ms; /* 0: not said */
    bool disabled;
    const char *fault, *fix; /* NULL, or why this server cannot be used */
    int line, column;        /* where it is written */
};

struct mcp_json {
    struct arena arena;
    struct mcp_server_conf servers[MCP_SERVERS_MAX];
    size_t servers_n;
    int line, column; /* of the error, when reading failed; 0: of the file as a whole */
};

/* The value of an environment variable, or NULL. */
typedef const char *mcp_env_fn(void *ctx, const char *name);

/* Read the text of `file` (its name is for messages). ERR_DATA: err says file:line:column and what
 * to do. The caller calls mcp_json_fini() in any case. */
enum status mcp_json_read(struct mcp_json *out, const char *file, struct str text, mcp_env_fn *env,
                          void *ctx, struct err *err) MUST_USE;
void mcp_json_fini(struct mcp_json *j);
#endif
