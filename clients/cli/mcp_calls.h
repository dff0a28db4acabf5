/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_MCP_CALLS_H
#define PAWL_CLI_MCP_CALLS_H
/* mcp_calls: what the tools of `pawl mcp` do, each a few requests to the broker, one after another. A
 * call that finds no broker waits a moment for it, then fails saying how to start one. */
#include "clients/cli/cli.h"
#include "clients/cli/link.h"
#include "common/mcp/server.h"

extern const struct mcp_server_options mcp_offer;

struct call;

struct front {
    struct cli *cli;
    struct mux *mux;
    struct link *link;
    struct mcp_server *server;
    struct call *calls;
};

void call_begin(struct front *f, const struct mcp_server_event *ev);
void call_cancel(struct front *f, uint64_t number);
/* Those that only wait for time to pass end now, as what they are. */
void calls_hurry(struct front *f);
/* The link is up: what waited for it begins. */
void calls_go(struct front *f);
void calls_free(struct front *f); /* after the link */
#endif
