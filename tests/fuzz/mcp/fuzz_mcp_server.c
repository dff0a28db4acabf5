/* SPDX-License-Identifier: Apache-2.0 */
/* A client that says anything, in pieces: the first byte says how long they are, and what becomes of
 * calls. Whatever is said, everything written is one message a line, every answer has an id that was
 * asked, and a call ends once. */
#include "common/mcp/rpc.h"
#include "common/mcp/server.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mcp_offer tools[] = { { "a", "A", "Says it.", true, false, true },
                                          { "b", "B", "Takes nothing.", false, true, false } };
static const struct mcp_arg args[] = {
    { 0, "s", MCP_ARG_STR, true, 1, 5, NULL, "text" },
    { 0, "i", MCP_ARG_INT, false, -2, 9, NULL, "number" },
    { 0, "f", MCP_ARG_BOOL, false, 0, 0, NULL, "flag" },
    { 0, "e", MCP_ARG_STR, false, 0, 0, "x|y", "one of" },
};
static const struct mcp_server_options options = { "n",   "N",          "1",  "I",
                                                   tools, COUNT(tools), args, COUNT(args) };

static void check_out(struct mcp_server *s)
{
    struct buf *out = mcp_server_out(s);
    while (out->len > 0) {
        const char *nl = memchr(out->data, '\n', out->len);
        assert(nl);
        size_t n = (size_t)(nl - out->data);
        json_t *v = js_parse((struct str){ out->data, n }, NULL);
        struct rpc_msg m;
        enum status st = v ? rpc_read(v, &m, NULL) : ERR_DATA;
        assert(st == OK && m.kind != RPC_REQUEST);
        json_decref(v);
        buf_consume(out, n + 1);
    }
}

static void take(struct mcp_server *s, uint8_t how, uint64_t held[4])
{
    struct mcp_server_event ev;
    struct err err = { .text = "no", .fix = "" };
    while (mcp_server_next(s, &ev)) {
        assert(ev.kind == MCP_SERVE_REMARK || ev.call != 0);
        if (ev.kind != MCP_SERVE_CALL)
            continue;
        assert(ev.tool < COUNT(tools) && json_is_object(ev.args));
        assert(ev.tool == 1 || json_string_length(json_object_get(ev.args, "s")) > 0);
        uint64_t *slot = &held[ev.call % 4];
        mcp_server_progress(s, *slot, "p");
        if (how & 1)
            mcp_server_answer(s, *slot, ev.args);
        else
            mcp_server_fail(s, *slot, &err);
        *slot = ev.call;
        if (how & 2)
            mcp_server_answer(s, ev.call, ev.args);
    }
    check_out(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t held[4] = { 0 };
    if (size == 0)
        return 0;
    struct mcp_server *s = mcp_server_new(&options);
    size_t step = 1 + data[0] / 4;
    assert(s);
    for (size_t at = 1; at < size; at += step) {
        mcp_server_feed(
            s, (struct str){ (const char *)data + at, size - at < step ? size - at : step });
        take(s, data[0], held);
    }
    mcp_server_feed(s, str_of("\n"));
    take(s, data[0], held);
    assert(mcp_server_in_flight(s) <= MCP_SERVER_CALLS_MAX);
    mcp_server_free(s);
    return 0;
}
