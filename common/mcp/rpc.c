/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mcp/rpc.h"

#include <assert.h>
#include <string.h>

enum { KEEP_MAX = 64 << 10 }; /* a line buffer above this is given back after use */

void rpc_lines_init(struct rpc_lines *l, size_t line_max)
{
    assert(line_max >= RPC_HEAD_MAX);
    *l = (struct rpc_lines){ .max = line_max };
    buf_init(&l->line, line_max);
}

void rpc_lines_fini(struct rpc_lines *l)
{
    buf_fini(&l->line);
}

/* The last RPC_HEAD_MAX bytes of tail ++ piece. */
static void keep_tail(struct rpc_lines *l, size_t had, struct str piece)
{
    size_t max = sizeof l->tail;
    size_t n = piece.n < max ? piece.n : max;
    size_t old = had < max ? had : max;
    size_t stay = old + n > max ? max - n : old;
    memmove(l->tail, l->tail + old - stay, stay);
    memcpy(l->tail + stay, piece.p + piece.n - n, n);
}

static size_t tail_len(uint64_t bytes)
{
    return bytes < RPC_HEAD_MAX ? (size_t)bytes : RPC_HEAD_MAX;
}

static void add(struct rpc_lines *l, struct str piece)
{
    if (piece.n == 0)
        return;
    if (!l->too_long && l->bytes + piece.n <= l->max) {
        buf_view(&l->line, piece);
    } else if (!l->too_long) {
        /* Give the megabytes back, keep the two ends. */
        char head[RPC_HEAD_MAX];
        struct str had = buf_get(&l->line);
        size_t n = had.n < sizeof head ? had.n : sizeof head;
        if (n > 0)
            memcpy(head, had.p, n);
        if (had.n > 0)
            keep_tail(l, 0, had);
        size_t more = piece.n < sizeof head - n ? piece.n : sizeof head - n;
        memcpy(head + n, piece.p, more);
        buf_fini(&l->line);
        buf_init(&l->line, l->max);
        buf_append(&l->line, head, n + more);
        keep_tail(l, tail_len(l->bytes), piece);
        l->too_long = true;
    } else {
        keep_tail(l, tail_len(l->bytes), piece);
    }
    l->bytes += piece.n;
}

static void finish(struct rpc_lines *l, rpc_line_fn *fn, void *ctx)
{
    struct str text = buf_get(&l->line);
    if (!l->too_long && text.n > 0 && text.p[text.n - 1] == '\r')
        text.n--;
    struct rpc_line line = { .text = text, .too_long = l->too_long, .bytes = l->bytes };
    if (l->too_long)
        line.tail = (struct str){ l->tail, tail_len(l->bytes) };
    bool lost = l->line.status != OK; /* out of memory: said as too long */
    line.too_long = line.too_long || lost;
    if (text.n > 0 || lost)
        fn(ctx, &line);
    if (l->line.cap > KEEP_MAX || lost) {
        buf_fini(&l->line);
        buf_init(&l->line, l->max);
    } else {
        buf_clear(&l->line);
    }
    l->bytes = 0;
    l->too_long = false;
}

void rpc_lines_feed(struct rpc_lines *l, struct str bytes, rpc_line_fn *fn, void *ctx)
{
    const char *p = bytes.p, *end = bytes.p + bytes.n;
    while (bytes.n > 0 && p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        add(l, (struct str){ p, (size_t)((nl ? nl : end) - p) });
        if (!nl)
            return;
        finish(l, fn, ctx);
        p = nl + 1;
    }
}

/* ---- messages -------------------------------------------------------------------------------- */

static void read_error(const json_t *e, struct rpc_msg *out)
{
    out->kind = RPC_ERROR;
    out->code = js_int(e, "code", 0);
    out->message = js_str(e, "message");
    out->data = json_object_get(e, "data");
}

enum status rpc_read(const json_t *v, struct rpc_msg *out, struct err *err)
{
    *out = (struct rpc_msg){ .message = "" };
    if (!json_is_object(v))
        return err_set(err, ERR_PROTOCOL, "not a JSON-RPC message: not an object");
    if (strcmp(js_str(v, "jsonrpc"), "2.0") != 0)
        return err_set(err, ERR_PROTOCOL, "not a JSON-RPC message: no \"jsonrpc\": \"2.0\"");
    const json_t *id = json_object_get(v, "id"), *method = json_object_get(v, "method");
    out->id = json_is_integer(id) || json_is_string(id) ? id : NULL;
    if (json_is_string(method)) {
        out->method = json_string_value(method);
        out->params = js_obj(v, "params");
        out->kind = out->id ? RPC_REQUEST : RPC_NOTE;
        return OK;
    }
    if (json_is_object(json_object_get(v, "error"))) {
        read_error(json_object_get(v, "error"), out);
        return OK;
    }
    out->result = json_object_get(v, "result");
    if (!out->result || !out->id)
        return err_set(err, ERR_PROTOCOL, "not a JSON-RPC message: neither method, result nor error");
    out->kind = RPC_RESULT;
    return OK;
}

/* `"id":NUMBER` in s, the first or the last one; followed by , or } or the end. */
static bool find_id(struct str s, bool last, int64_t *id)
{
    static const char key[] = "\"id\":";
    size_t n = sizeof key - 1;
    bool found = false;
    for (size_t i = 0; i + n < s.n && !(found && !last); i++) {
        if (memcmp(s.p + i, key, n) != 0)
            continue;
        size_t k = i + n;
        while (k < s.n && s.p[k] == ' ')
            k++;
        int64_t v = 0;
        size_t digits = 0;
        for (; k < s.n && s.p[k] >= '0' && s.p[k] <= '9' && digits < 15; k++, digits++)
            v = v * 10 + (s.p[k] - '0');
        if (digits == 0 || (k < s.n && !strchr(",} \r\t", s.p[k])))
            continue;
        *id = v;
        found = true;
    }
    return found;
}

bool rpc_guess_id(struct str head, struct str tail, int64_t *id)
{
    /* Before the payload: only where the members jsonrpc and id come first. */
    struct str front = { head.p, head.n < 48 ? head.n : 48 };
    struct str back = tail;
    if (back.n > 48)
        back = (struct str){ tail.p + tail.n - 48, 48 };
    const char *payload = front.n ? memmem(front.p, front.n, "\"result\"", 8) : NULL;
    if (payload)
        front.n = (size_t)(payload - front.p);
    return (front.n && front.p[0] == '{' && find_id(front, false, id)) || (back.n && find_id(back, true, id));
}

static enum status put(struct buf *out, json_t *v)
{
    js_dump(v, out);
    json_decref(v);
    return buf_char(out, '\n');
}

static json_t *message(const json_t *id)
{
    json_t *v = json_object();
    assert(v);
    js_set_z(v, "jsonrpc", "2.0");
    if (id)
        js_set(v, "id", json_copy((json_t *)(uintptr_t)id));
    return v;
}

static void set_borrowed(json_t *v, const char *key, const json_t *member)
{
    if (member)
        js_set(v, key, json_incref((json_t *)(uintptr_t)member));
}

enum status rpc_put_request(struct buf *out, int64_t id, const char *method, const json_t *params)
{
    json_t *v = message(NULL);
    js_set_int(v, "id", id);
    js_set_z(v, "method", method);
    set_borrowed(v, "params", params);
    return put(out, v);
}

enum status rpc_put_note(struct buf *out, const char *method, const json_t *params)
{
    json_t *v = message(NULL);
    js_set_z(v, "method", method);
    set_borrowed(v, "params", params);
    return put(out, v);
}

enum status rpc_put_result(struct buf *out, const json_t *id, const json_t *result)
{
    json_t *v = message(id);
    set_borrowed(v, "result", result);
    return put(out, v);
}

enum status rpc_put_error(struct buf *out, const json_t *id, int64_t code, const char *text)
{
    json_t *v = message(id), *e = json_object();
    assert(e);
    js_set_int(e, "code", code);
    js_set_z(e, "message", text);
    js_set(v, "error", e);
    return put(out, v);
}

const char *rpc_code_text(int64_t code)
{
    switch (code) {
    case RPC_PARSE: return "parse error";
    case RPC_INVALID_REQUEST: return "invalid request";
    case RPC_NO_METHOD: return "method not found";
    case RPC_INVALID_PARAMS: return "invalid params";
    case RPC_INTERNAL: return "internal error";
    case RPC_VERSION: return "unsupported protocol version";
    default: return "error";
    }
}
