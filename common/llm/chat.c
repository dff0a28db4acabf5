/* SPDX-License-Identifier: Apache-2.0 */
#include "common/llm/chat.h"

#include "common/llm/chunk.h"

#include <stdio.h>
#include <string.h>

/* ---- requests -------------------------------------------------------------------------------- */

json_t *chat_body(const struct chat_request *r)
{
    json_t *body = json_object();
    js_set_z(body, "model", r->model);
    js_set(body, "messages", json_incref(r->messages));
    js_set_int(body, "max_tokens", r->tokens_max);
    js_set_real(body, "temperature", r->temperature);
    js_set_int(body, "seed",
               (int64_t)(r->seed & 0x7fffffff)); /* 32 bits, and not the "random" one */
    if (r->schema) {
        json_t *form = json_object(), *named = json_object();
        js_set_z(named, "name", r->schema_name ? r->schema_name : "reply");
        js_set_bool(named, "strict", true);
        js_set(named, "schema", json_deep_copy(r->schema));
        js_set_z(form, "type", "json_schema"); /* LM Studio refuses json_object */
        js_set(form, "json_schema", named);
        js_set(body, "response_format", form);
    }
    if (r->tools)
        js_set(body, "tools", json_incref(r->tools));
    return body;
}

static int append(const char *data, size_t n, void *out)
{
    return buf_append(out, data, n) == OK ? 0 : -1;
}

enum status chat_canonical(const json_t *body, struct buf *out)
{
    json_dump_callback(body, append, out, JSON_COMPACT);
    return out->status;
}

enum status chat_wire(const json_t *body, struct buf *out)
{
    json_t *wire = json_copy((json_t *)(uintptr_t)body);
    js_set_bool(wire, "stream", true);
    js_set(wire, "stream_options", json_pack("{s:b}", "include_usage", 1));
    enum status st = chat_canonical(wire, out);
    json_decref(wire);
    return st;
}

/* ---- the answer as it arrives ---------------------------------------------------------------- */

void chat_init(struct chat_answer *a, size_t answer_max)
{
    memset(a, 0, sizeof *a);
    sse_init(&a->sse, answer_max);
    buf_init(&a->content, answer_max);
    buf_init(&a->reasoning, answer_max);
    buf_init(&a->whole, answer_max);
    for (size_t i = 0; i < CHAT_CALLS_MAX; i++)
        buf_init(&a->calls[i].arguments, answer_max);
}

void chat_fini(struct chat_answer *a)
{
    sse_fini(&a->sse);
    buf_fini(&a->content);
    buf_fini(&a->reasoning);
    buf_fini(&a->whole);
    for (size_t i = 0; i < CHAT_CALLS_MAX; i++)
        buf_fini(&a->calls[i].arguments);
}

struct feed {
    struct chat_answer *a;
    chat_text_fn *text;
    void *ctx;
};

static void say(const struct feed *f, size_t from)
{
    const struct buf *c = &f->a->content;
    if (f->text && c->len > from)
        f->text(f->ctx, (struct str){ c->data + from, c->len - from });
}

static void note_error(struct chat_answer *a, const json_t *v)
{
    const json_t *e = json_object_get(v, "error");
    const char *message = json_is_string(e) ? json_string_value(e) : js_str(e, "message");
    const char *flat = js_str(v, "message"); /* older vLLM: {"object":"error","message":…} */
    if (json_is_null(e) ||
        (!e && strcmp(js_str(v, "object"), "error") != 0 && !json_object_get(v, "detail")))
        return;
    if (!*message)
        message = *flat                  ? flat
                  : *js_str(v, "detail") ? js_str(v, "detail")
                                         : "an error without words";
    snprintf(a->error, sizeof a->error, "%s", message);
    const json_t *from = json_is_object(e) ? e : v;
    const char *kind = *js_str(from, "code") ? js_str(from, "code") : js_str(from, "type");
    snprintf(a->error_kind, sizeof a->error_kind, "%s", kind);
}

static void note_usage(struct chat_answer *a, const json_t *v)
{
    const json_t *u = js_obj(v, "usage");
    if (!u)
        return;
    a->usage.told = true;
    a->usage.in = js_int(u, "prompt_tokens", 0);
    a->usage.out = js_int(u, "completion_tokens", 0);
    a->usage.cached = js_int(js_obj(u, "prompt_tokens_details"), "cached_tokens", 0);
}

static void note_calls(struct chat_answer *a, const json_t *list)
{
    for (size_t i = 0; i < js_count(list); i++) {
        const json_t *piece = js_at(list, i);
        int64_t at = js_int(piece, "index", (int64_t)i);
        if (at < 0 || at >= CHAT_CALLS_MAX)
            continue;
        struct chat_call *c = &a->calls[at];
        const json_t *fn = js_obj(piece, "function");
        if (a->calls_n < (size_t)at + 1)
            a->calls_n = (size_t)at + 1;
        if (*js_str(piece, "id"))
            snprintf(c->id, sizeof c->id, "%s", js_str(piece, "id"));
        if (*js_str(fn, "name"))
            snprintf(c->name, sizeof c->name, "%s", js_str(fn, "name"));
        const json_t *args = json_object_get(fn, "arguments");
        if (json_is_object(args)) /* some say the tree instead of its text */
            js_dump(args, &c->arguments);
        else
            buf_view(&c->arguments, js_view(fn, "arguments"));
    }
}

/* One chunk or one whole answer, parsed. */
static enum status on_value(const struct feed *f, const json_t *v)
{
    struct chat_answer *a = f->a;
    note_error(a, v);
    note_usage(a, v);
    const json_t *choice = js_at(js_list(v, "choices"), 0);
    if (!choice)
        return OK;
    a->choice = true;
    if (*js_str(choice, "finish_reason"))
        snprintf(a->finish, sizeof a->finish, "%s", js_str(choice, "finish_reason"));
    const json_t *part = js_obj(choice, "delta");
    if (!part)
        part = js_obj(choice, "message");
    size_t from = a->content.len;
    struct str content = js_view(part, "content");
    struct str thought = js_view(part, "reasoning_content");
    if (thought.n == 0)
        thought = js_view(part, "reasoning");
    a->pieces += content.n > 0 || thought.n > 0;
    buf_view(&a->content, content);
    buf_view(&a->reasoning, thought);
    note_calls(a, js_list(part, "tool_calls"));
    say(f, from);
    return a->content.status != OK ? a->content.status : a->reasoning.status;
}

static enum status on_event(void *ctx, const char *event, struct str data)
{
    const struct feed *f = ctx;
    struct chat_answer *a = f->a;
    size_t from = a->content.len;
    if (data.n == 6 && memcmp(data.p, "[DONE]", 6) == 0) {
        a->done = true;
        return OK;
    }
    if (a->done)
        return OK;
    enum chunk_kind kind = chunk_read(data, &a->content);
    if (kind == CHUNK_TEXT || kind == CHUNK_NOTHING) {
        a->choice = true;
        a->pieces += kind == CHUNK_TEXT;
        say(f, from);
        return a->content.status;
    }
    json_t *v = js_parse(data, NULL);
    if (!json_is_object(v)) {
        a->bad = true;
        json_decref(v);
        return OK;
    }
    enum status st = on_value(f, v);
    if (strcmp(event, "error") == 0 && !*a->error)
        snprintf(a->error, sizeof a->error, "%s",
                 *js_str(v, "message") ? js_str(v, "message") : "error event");
    json_decref(v);
    return st;
}

/* The first byte that is not blank tells what it is; content types lie. */
static void sniff(struct chat_answer *a, struct str bytes)
{
    for (size_t i = 0; i < bytes.n && a->form == CHAT_UNKNOWN; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        a->form = c == '{' || c == '['     ? CHAT_JSON
                  : c == '<'               ? CHAT_HTML
                  : strchr("deir:\xef", c) ? CHAT_EVENTS
                                           : CHAT_OTHER;
    }
}

enum status chat_feed(struct chat_answer *a, struct str bytes, chat_text_fn *text, void *ctx)
{
    struct feed f = { a, text, ctx };
    size_t n = sizeof a->head - 1 - a->head_n;
    n = bytes.n < n ? bytes.n : n;
    if (n > 0)
        memcpy(a->head + a->head_n, bytes.p, n);
    a->head_n += n;
    if (a->form == CHAT_UNKNOWN)
        sniff(a, bytes);
    if (a->form == CHAT_EVENTS)
        return sse_feed(&a->sse, bytes, on_event, &f);
    return a->form == CHAT_JSON ? buf_view(&a->whole, bytes) : OK;
}

void chat_end(struct chat_answer *a)
{
    struct feed f = { a, NULL, NULL };
    enum status st = OK;
    if (a->form == CHAT_EVENTS) {
        st = sse_end(&a->sse, on_event, &f);
    } else if (a->form == CHAT_JSON) {
        json_t *v = js_parse(buf_get(&a->whole), NULL);
        st = json_is_object(v) ? on_value(&f, v) : ERR_DATA;
        json_decref(v);
    }
    a->bad = a->bad || st != OK;
    if (!a->usage.told)
        a->usage.out = a->pieces;
}

struct str chat_text(const struct chat_answer *a)
{
    return buf_get(a->content.len ? &a->content : &a->reasoning);
}
