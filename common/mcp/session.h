/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MCP_SESSION_H
#define PAWL_MCP_SESSION_H
/* session: the inside of the client. client.c moves messages, handshake.c gets to READY. */
#include "common/mcp/client.h"
#include "common/mcp/rpc.h"

enum step { STEP_INIT, STEP_DISCOVER, STEP_LIST, STEP_READY, STEP_BROKEN };
enum what { WHAT_NONE, WHAT_INIT, WHAT_DISCOVER, WHAT_LIST, WHAT_CALL };

/* A request in flight. Its id is sequence * MCP_CALLS_MAX + slot, so that an answer finds its slot
 * at once and an id that is late finds another one there. */
struct pending {
    enum what what;
    int64_t id;
    int64_t silence_ms;
    struct mono deadline, last; /* last: whatever progress says */
    void *user;
};

struct mcp {
    struct mcp_options options;
    enum step step;
    enum mcp_era era; /* MCP_LEGACY or MCP_MODERN once known */
    struct rpc_reader reader;
    struct buf out;
    struct mono now, next_expiry, refresh_at, start_by;

    struct pending pending[MCP_CALLS_MAX];
    uint16_t free_slots[MCP_CALLS_MAX];
    size_t free_n, in_flight;
    int64_t sequence;

    struct mcp_tools tools, listing; /* as known; as being read */
    struct buf cursor;
    int pages;
    bool list_running, list_stale, retried_version;

    json_t *current; /* the tree that the last event points into */
    json_t *batch;   /* an array being worked off */
    size_t batch_at;

    size_t garbage_bytes, garbage_lines;
    char garbage_first[200]; /* cleaned start of the first line that was no JSON-RPC */
    char version[16];
    char server[160];
    struct err why; /* of STEP_BROKEN */
    bool told;      /* MCP_BROKEN was given out */
    struct err remark;
};

extern const char mcp_modern_meta[];

void session_break(struct mcp *m, enum status st, const char *fix, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* A free request; NULL when all are taken. */
struct pending *session_request(struct mcp *m, enum what what, int64_t silence_ms);
void session_release(struct mcp *m, struct pending *p);

void handshake_start(struct mcp *m);
/* An answer to one of the handshake's requests or of a listing. True: *ev is set. */
bool handshake_answer(struct mcp *m, enum what what, const struct rpc_msg *msg,
                      struct mcp_event *ev);
void handshake_list(struct mcp *m);
#endif
