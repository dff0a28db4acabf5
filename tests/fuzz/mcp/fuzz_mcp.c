/* SPDX-License-Identifier: Apache-2.0 */
/* A whole session against a server that says anything: the first byte chooses the options and the
 * cuts, the bytes 0xf8 to 0xff stand for ids that the client gives out, so that answers can match.
 * Whatever is said, every call ends exactly once and everything written is one message a line. */
#include "common/mcp/client.h"
#include "common/mcp/rpc.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct talk {
    struct mcp *m;
    struct mono now;
    int open[CALLS];
    bool broken;
};

static void check_out(struct mcp *m)
{
    struct buf *out = mcp_out(m);
    while (out->len > 0) {
        const char *nl = memchr(out->data, '\n', out->len);
        assert(nl);
        size_t n = (size_t)(nl - out->data);
        json_t *v = js_parse((struct str){ out->data, n }, NULL);
        struct rpc_msg msg;
        enum status st = v ? rpc_read(v, &msg, NULL) : ERR_DATA;
        assert(st == OK);
        json_decref(v);
        buf_consume(out, n + 1);
    }
}

static void take_events(struct talk *t)
{
    struct mcp_event ev;
    while (mcp_next(t->m, t->now, &ev)) {
        assert(ev.text && ev.fix && !t->broken);
        if (ev.kind == MCP_DONE) {
            int *open = ev.user;
            assert(*open == 1);
            *open = 0;
            assert((ev.fault == MCP_ANSWERED) == (ev.result != NULL));
        }
        if (ev.kind == MCP_DONE && ev.result) {
            struct buf text;
            buf_init(&text, 1 << 20);
            mcp_text(ev.result, &text);
            buf_fini(&text);
        }
        t->broken = ev.kind == MCP_BROKEN;
    }
    check_out(t->m);
}

static void call_all(struct talk *t)
{
    for (int i = 0; i < CALLS; i++) {
        struct mcp_call c = { "echo", NULL, 0, &t->open[i] };
        if (!t->open[i] && mcp_call(t->m, &c, t->now, NULL) == OK)
            t->open[i] = 1;
    }
}

static void feed(struct talk *t, const uint8_t *data, size_t n)
{
    /* initialize, tools/list, the first four calls, two later ones: see session.h */
    static const int ids[] = { 256, 512, 768, 1025, 1282, 1539, 1792, 2051 };
    char id[32];
    for (size_t i = 0; i < n; i++) {
        struct str s = { (const char *)data + i, 1 };
        if (data[i] >= 0xf8) { /* never in UTF-8: an id that may well be in flight */
            int length = snprintf(id, sizeof id, "%d", ids[data[i] - 0xf8]);
            s = (struct str){ id, (size_t)length };
        }
        mcp_feed(t->m, s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct mcp_options o = { .era = (enum mcp_era)(data[0] % 3), .line_max = data[0] & 4 ? 64 : 0 };
    struct talk t = { .now = { 1 } };
    size_t step = 1 + data[0] / 8;
    t.m = mcp_new(&o, t.now);
    assert(t.m);
    for (size_t at = 1; at < size; at += step) {
        feed(&t, data + at, size - at < step ? size - at : step);
        t.now.ms += 100;
        take_events(&t);
        call_all(&t);
    }
    mcp_lost(t.m, "over", "");
    take_events(&t);
    assert(t.broken && mcp_in_flight(t.m) == 0);
    for (int i = 0; i < CALLS; i++)
        assert(!t.open[i]);
    mcp_free(t.m);
    return 0;
}
