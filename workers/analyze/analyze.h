/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_ANALYZE_ANALYZE_H
#define PAWL_ANALYZE_ANALYZE_H
/* analyze: the stage that asks MCP tools. Lane `analyze` runs the probes of the configuration and
 * gives insights; lane `call` calls one tool on behalf of another task. */
#include "workers/analyze/pins.h"
#include "workers/analyze/probe.h"
#include "workers/analyze/server.h"
#include "workers/harness.h"

extern const struct stage_ops analyze_ops;

struct round;

struct analyze {
    struct worker *worker;
    struct probes probes;
    const json_t *allow; /* analyze.allow; NULL: nothing */
    int64_t timeout_ms;
    char file[4096]; /* of mcp.json; "": none */
    bool broken;     /* mcp.json cannot be used; `why` and `place` say what is wrong */
    struct err why;
    struct mcp_place place;
    struct mcp_file json;
    struct server *servers[MCPJSON_SERVERS_MAX];
    size_t servers_n;
    struct pins pins;
    char said[sizeof((struct pins *)0)->path + 256]; /* why a changed tool is not called */
    struct round *rounds;                            /* analyze tasks in hand */
    struct mux_timer settle; /* until then the first tasks wait for servers that start */
    bool settled;
};

/* Read mcp.json again if it could not be used before; starts the servers when it can be now. */
void analyze_reload(struct analyze *a);
struct server *analyze_server(const struct analyze *a,
                              const char *name); /* NULL: not in mcp.json */

/* Is this tool as it was when it was first seen? */
bool analyze_pinned(struct analyze *a, const struct server *s, const struct mcp_tool *tool);

/* round.c */
void round_begin(struct analyze *a, struct task *t);
void round_cancel(struct analyze *a, struct task *t);
void rounds_look(struct analyze *a); /* some server changed: who can finish? */
#endif
