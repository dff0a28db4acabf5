/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mcp/rpc.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FEED_MAX = 1024 * 1024, ID_DIGITS_MAX = 18 };

/* ---- lines ----------------------------------------------------------------------------------- */

void rpc_reader_init(struct rpc_reader *r, size_t line_max, size_t skip_max)
{
    *r = (struct rpc_reader){ .line_max = line_max, .skip_max = skip_max };
    buf_init(&r->in, line_max + FEED_MAX);
}

void rpc_reader_fini(struct rpc_reader *r)
{
    buf_fini(&r->in);
}

enum status rpc_feed(struct rpc_reader *r, struct str bytes)
{
    if (r->start > 0) {
        buf_consume(&r->in, r->start);
        r->scanned -= r->start;
        r->start = 0;
    }
    return buf_view(&r->in, bytes);
}

static void keep_head(struct rpc_reader *r, const char *p, size_t n)
{
    r->head_n = n < RPC_ENDS ? n : RPC_ENDS;
    memcpy(r->head, p, r->head_n);
    r->tail_n = 0;
}

static void keep_tail(struct rpc_reader *r, const char *p, size_t n)
{
    if (n >= RPC_ENDS) {
        memcpy(r->tail, p + n - RPC_ENDS, RPC_ENDS);
        r->tail_n = RPC_ENDS;
        return;
    }
    size_t old = r->tail_n < RPC_ENDS - n ? r->tail_n : RPC_ENDS - n;
    memmove(r->tail, r->tail + r->tail_n - old, old);
    memcpy(r->tail + old, p, n);
    r->tail_n = old + n;
}

/* All bytes up to `end` belong to a line that is too long: note its ends, drop the rest. */
static void skip_to(struct rpc_reader *r, size_t end)
{
    const char *p = r->in.data + r->start;
    size_t n = end - r->start;
    if (r->skipped == 0)
        keep_head(r, p, n);
    keep_tail(r, p, n);
    r->skipped += n;
    r->start = r->scanned = end;
}

enum rpc_found rpc_line(struct rpc_reader *r, struct str *line)
{
    if (r->skipped > r->skip_max)
        return RPC_ENDLESS;
    size_t rest = r->in.len - r->scanned;
    const char *nl = rest ? memchr(r->in.data + r->scanned, '\n', rest) : NULL;
    if (!nl) {
        r->scanned = r->in.len;
        if (r->skipped > 0 || r->in.len - r->start > r->line_max)
            skip_to(r, r->in.len);
        return r->skipped > r->skip_max ? RPC_ENDLESS : RPC_NOTHING;
    }
    size_t end = (size_t)(nl - r->in.data);
    if (r->skipped > 0 || end - r->start > r->line_max) {
        skip_to(r, end);
        r->start = r->scanned = end + 1;
        r->skipped = 0;
        return RPC_LONG;
    }
    *line = (struct str){ r->in.data + r->start, end - r->start };
    r->start = r->scanned = end + 1;
    if (line->n > 0 && line->p[line->n - 1] == '\r')
        line->n--;
    return RPC_LINE;
}

static size_t digits(struct str s, int64_t *v)
{
    size_t n = 0;
    *v = 0;
    while (n < s.n && n < ID_DIGITS_MAX && s.p[n] >= '0' && s.p[n] <= '9')
        *v = *v * 10 + (s.p[n++] - '0');
    return n;
}

static bool skip_text(struct str *s, const char *z)
{
    size_t n = strlen(z);
    if (s->n < n || memcmp(s->p, z, n) != 0)
        return false;
    *s = (struct str){ s->p + n, s->n - n };
    return true;
}

static void skip_blanks(struct str *s)
{
    while (s->n > 0 && s->p[0] == ' ') {
        s->p++;
        s->n--;
    }
}

/* A member's name and colon; some writers put blanks around the punctuation. */
static bool skip_key(struct str *s, const char *quoted)
{
    struct str t = *s;
    skip_blanks(&t);
    if (!skip_text(&t, quoted))
        return false;
    skip_blanks(&t);
    if (!skip_text(&t, ":"))
        return false;
    skip_blanks(&t);
    *s = t;
    return true;
}

/* {"jsonrpc":"2.0","id":7, or {"id":7, */
static bool id_of_head(struct str s, int64_t *id)
{
    if (!skip_text(&s, "{"))
        return false;
    if (skip_key(&s, "\"jsonrpc\"") &&
        !(skip_text(&s, "\"2.0\"") && (skip_blanks(&s), skip_text(&s, ","))))
        return false;
    if (!skip_key(&s, "\"id\""))
        return false;
    size_t n = digits(s, id);
    s = (struct str){ s.p + n, s.n - n };
    skip_blanks(&s);
    return n > 0 && s.n > 0 && s.p[0] == ',';
}

/* The end of s without trailing blanks. */
static void cut_blanks(struct str *s)
{
    while (s->n > 0 && (s->p[s->n - 1] == '\r' || s->p[s->n - 1] == ' '))
        s->n--;
}

static bool cut_text(struct str *s, const char *z)
{
    size_t n = strlen(z);
    cut_blanks(s);
    if (s->n < n || memcmp(s->p + s->n - n, z, n) != 0)
        return false;
    s->n -= n;
    return true;
}

/* ,"id":7} where the brace closes the message, so that the member before it is the message's. */
static bool id_of_tail(struct str s, int64_t *id)
{
    if (!cut_text(&s, "}"))
        return false;
    cut_blanks(&s);
    size_t end = s.n;
    while (s.n > 0 && s.p[s.n - 1] >= '0' && s.p[s.n - 1] <= '9')
        s.n--;
    struct str number = { s.p + s.n, end - s.n };
    return number.n > 0 && cut_text(&s, ":") && cut_text(&s, "\"id\"") && cut_text(&s, ",") &&
           digits(number, id) == number.n;
}

bool rpc_id_of_ends(struct str head, struct str tail, int64_t *id)
{
    return id_of_head(head, id) || id_of_tail(tail, id);
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum status read_answer(const json_t *v, struct rpc_msg *out, struct err *err)
{
    const json_t *error = json_object_get(v, "error");
    out->result = json_object_get(v, "result");
    if (error && out->result)
        return err_set(err, ERR_DATA, "an answer with both result and error");
    if (!error && !out->result)
        return err_set(err, ERR_DATA, "neither method nor result nor error");
    if (!error) {
        out->kind = RPC_RESULT;
        return out->id ? OK : err_set(err, ERR_DATA, "a result without id");
    }
    if (!json_is_object(error))
        return err_set(err, ERR_DATA, "error is not an object");
    out->kind = RPC_ERROR;
    out->code = js_int(error, "code", 0);
    out->message = js_str(error, "message");
    out->data = json_object_get(error, "data");
    return OK;
}

enum status rpc_read(const json_t *v, struct rpc_msg *out, struct err *err)
{
    *out = (struct rpc_msg){ .number = -1, .method = "", .message = "" };
    if (!json_is_object(v))
        return err_set(err, ERR_DATA, "not an object");
    if (!str_is(js_view(v, "jsonrpc"), "2.0"))
        return err_set(err, ERR_DATA, "jsonrpc is not \"2.0\"");
    const json_t *id = json_object_get(v, "id");
    if (id && !json_is_null(id)) {
        if (!json_is_integer(id) && !json_is_string(id))
            return err_set(err, ERR_DATA, "id is neither a string nor an integer");
        out->id = id;
        out->number = json_is_integer(id) ? json_integer_value(id) : -1;
    }
    const json_t *method = json_object_get(v, "method");
    if (!method)
        return read_answer(v, out, err);
    if (!json_is_string(method))
        return err_set(err, ERR_DATA, "method is not a string");
    out->method = json_string_value(method);
    out->params = json_object_get(v, "params");
    out->kind = out->id ? RPC_REQUEST : RPC_NOTIFICATION;
    return OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

void rpc_string(struct buf *out, struct str s)
{
    json_t *v = js_string(s);
    js_dump(v, out);
    json_decref(v);
}

/* Methods are our own constants, so they need no escaping. */
void rpc_open(struct buf *out, int64_t id, const char *method)
{
    buf_str(out, "{\"jsonrpc\":\"2.0\",");
    if (id >= 0)
        buf_printf(out, "\"id\":%" PRId64 ",", id);
    buf_str(out, "\"method\":\"");
    buf_str(out, method);
    buf_str(out, "\",\"params\":");
}

void rpc_close(struct buf *out)
{
    buf_str(out, "}\n");
}

void rpc_request(struct buf *out, int64_t id, const char *method, struct str params)
{
    rpc_open(out, id, method);
    buf_view(out, params.n ? params : str_of("{}"));
    rpc_close(out);
}

void rpc_notify(struct buf *out, const char *method, struct str params)
{
    rpc_request(out, -1, method, params);
}

static void open_answer(struct buf *out, const json_t *id, const char *key)
{
    buf_str(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    if (id)
        js_dump(id, out);
    else
        buf_str(out, "null");
    buf_printf(out, ",\"%s\":", key);
}

void rpc_result(struct buf *out, const json_t *id, struct str result)
{
    assert(id);
    open_answer(out, id, "result");
    buf_view(out, result);
    rpc_close(out);
}

void rpc_error(struct buf *out, const json_t *id, int64_t code, const char *message)
{
    open_answer(out, id, "error");
    buf_printf(out, "{\"code\":%" PRId64 ",\"message\":", code);
    rpc_string(out, str_of(message));
    buf_str(out, "}");
    rpc_close(out);
}

const char *rpc_code_text(int64_t code, char out[64])
{
    static const struct {
        int64_t code;
        const char *text;
    } known[] = {
        { -32700, "parse error" },
        { -32600, "invalid request" },
        { RPC_METHOD_NOT_FOUND, "method not found" },
        { -32602, "invalid params" },
        { -32603, "internal error" },
        { -32021, "a client capability is missing" },
        { RPC_UNSUPPORTED_VERSION, "unsupported protocol version" },
    };
    for (size_t i = 0; i < COUNT(known); i++) {
        if (known[i].code == code) {
            snprintf(out, 64, "%" PRId64 " (%s)", code, known[i].text);
            return out;
        }
    }
    snprintf(out, 64, "%" PRId64, code);
    return out;
}
