/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/llm-sim/sim.h"

#include "bench/llm-sim/words.h"
#include "common/js.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_MAX = 80 * 1024 * 1024, OUT_MAX = 64 * 1024 * 1024, PIECE = 4, BACKLOG = 1024 };

struct conn {
    struct conn *next, *prev;
    struct sim *sim;
    int fd;
    struct buf in, out;
    struct mux_timer timer;
    enum { IDLE, WAITING, RUNNING, CLOSING, HUNG } state;
    uint64_t ticket; /* WAITING: who came first */
    /* RUNNING */
    enum sim_fault fault;
    struct buf text;
    size_t said; /* bytes of text said so far */
    size_t tokens, prompt_tokens;
    int64_t began_ms; /* when the first token is due */
    bool stream;
};

struct sim {
    struct mux *mux;
    struct sim_conf conf;
    int fd, port;
    struct conn *conns;
    int running, waiting;
    uint64_t tickets, completions, aborted, tokens;
    int64_t since_ms, slot_ms; /* busy slots integrated over time */
};

static const struct {
    const char *name, *help;
} faults[] = {
#define X(id, name, help) [SIM_FAULT_##id] = { name, help },
    SIM_FAULTS(X)
#undef X
};

enum sim_fault sim_fault_of(const char *name, size_t n)
{
    enum sim_fault f = SIM_FAULT_NONE;
    while (f < SIM_FAULT_COUNT &&
           (strlen(faults[f].name) != n || memcmp(faults[f].name, name, n) != 0))
        f++;
    return f;
}

const char *sim_fault_name(enum sim_fault f)
{
    return faults[f].name;
}

const char *sim_fault_help(enum sim_fault f)
{
    return faults[f].help;
}

static void conn_turn(struct conn *c);
static void start_waiting(struct sim *s);

/* ---- bytes out ------------------------------------------------------------------------------- */

static void count_running(struct sim *s, int change)
{
    int64_t now = mono_now().ms;
    s->slot_ms += (now - s->since_ms) * s->running;
    s->since_ms = now;
    s->running += change;
}

static void conn_close(struct conn *c)
{
    struct sim *s = c->sim;
    if (c->prev)
        c->prev->next = c->next;
    else
        s->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    if (c->state == RUNNING) {
        count_running(s, -1);
        s->aborted++;
    }
    s->waiting -= c->state == WAITING;
    mux_timer_stop(s->mux, &c->timer);
    mux_fd_remove(s->mux, c->fd);
    close(c->fd);
    buf_fini(&c->in);
    buf_fini(&c->out);
    buf_fini(&c->text);
    free(c);
    start_waiting(s);
}

static void on_conn(void *ctx, int fd, int events);

/* False: the connection is gone. */
static bool flush(struct conn *c)
{
    while (c->out.len > 0) {
        ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            conn_close(c);
            return false;
        }
        buf_consume(&c->out, (size_t)n);
    }
    if (c->out.len == 0 && c->state == CLOSING) {
        conn_close(c);
        return false;
    }
    int events = MUX_IN | (c->out.len ? MUX_OUT : 0);
    if (mux_fd(c->sim->mux, c->fd, events, on_conn, c) != OK) {
        conn_close(c);
        return false;
    }
    return true;
}

static void answer(struct conn *c, int code, const char *type, const char *more, struct str body)
{
    buf_printf(&c->out,
               "HTTP/1.1 %d %s\r\nServer: llm-sim (simulation)\r\nContent-Type: %s\r\n%s"
               "Content-Length: %zu\r\n\r\n",
               code, code == 200 ? "OK" : "Error", type, more, body.n);
    buf_view(&c->out, body);
}

static void answer_json(struct conn *c, int code, const char *more, json_t *v)
{
    struct buf b;
    buf_init(&b, OUT_MAX);
    js_dump(v, &b);
    answer(c, code, "application/json", more, buf_get(&b));
    buf_fini(&b);
    json_decref(v);
}

static void answer_error(struct conn *c, int code, const char *more, const char *message,
                         const char *type)
{
    answer_json(
        c, code, more,
        json_pack("{s:{s:i,s:s,s:s}}", "error", "code", code, "message", message, "type", type));
}

static void chunk(struct conn *c, struct str data)
{
    buf_printf(&c->out, "%zx\r\n", data.n);
    buf_view(&c->out, data);
    buf_str(&c->out, "\r\n");
}

/* One event of a stream: the frame that llama.cpp sends. */
static void event(struct conn *c, json_t *delta, const char *finish)
{
    struct buf b;
    buf_init(&b, OUT_MAX);
    json_t *v = json_pack("{s:[{s:o?,s:i,s:o}],s:i,s:s,s:s,s:s}", "choices", "finish_reason",
                          finish ? json_string(finish) : json_null(), "index", 0, "delta", delta,
                          "created", 1795400000, "id", "chatcmpl-simulated", "model",
                          c->sim->conf.model, "object", "chat.completion.chunk");
    buf_str(&b, "data: ");
    js_dump(v, &b);
    buf_str(&b, "\n\n");
    chunk(c, buf_get(&b));
    json_decref(v);
    buf_fini(&b);
}

/* ---- a completion ---------------------------------------------------------------------------- */

static json_t *usage(const struct conn *c)
{
    return json_pack("{s:I,s:I,s:I}", "prompt_tokens", (json_int_t)c->prompt_tokens,
                     "completion_tokens", (json_int_t)c->tokens, "total_tokens",
                     (json_int_t)(c->prompt_tokens + c->tokens));
}

static void finish(struct conn *c)
{
    struct buf b;
    buf_init(&b, OUT_MAX);
    if (c->stream) {
        event(c, json_object(), "stop");
        json_t *last = json_pack("{s:[],s:s,s:s,s:o}", "choices", "id", "chatcmpl-simulated",
                                 "object", "chat.completion.chunk", "usage", usage(c));
        buf_str(&b, "data: ");
        js_dump(last, &b);
        buf_str(&b, "\n\ndata: [DONE]\n\n");
        json_decref(last);
        chunk(c, buf_get(&b));
        buf_str(&c->out, "0\r\n\r\n");
    } else {
        json_t *message =
            json_pack("{s:s,s:o}", "role", "assistant", "content", js_string(buf_get(&c->text)));
        answer_json(c, 200, "",
                    json_pack("{s:[{s:i,s:o,s:s}],s:s,s:o}", "choices", "index", 0, "message",
                              message, "finish_reason", "stop", "object", "chat.completion",
                              "usage", usage(c)));
    }
    buf_fini(&b);
    c->state = IDLE;
    c->sim->completions++;
    c->sim->tokens += c->tokens;
    count_running(c->sim, -1);
}

/* Bytes of the next token: a few characters, not ended inside a UTF-8 sequence. */
static size_t piece(const struct conn *c)
{
    size_t n = c->said + PIECE > c->text.len ? c->text.len - c->said : PIECE;
    while (c->said + n < c->text.len && ((unsigned char)c->text.data[c->said + n] & 0xc0) == 0x80)
        n++;
    return n;
}

static void say_token(struct conn *c)
{
    struct str token = { c->text.data + c->said, piece(c) };
    const char *key = c->fault == SIM_FAULT_REASONING ? "reasoning_content" : "content";
    json_t *delta = json_object();
    js_set_str(delta, key, token);
    if (c->stream)
        event(c, delta, NULL);
    else
        json_decref(delta);
    c->said += token.n;
    c->tokens++;
}

/* Say what is due by now. */
static void speak(struct conn *c)
{
    double rate = c->sim->conf.tokens_per_s;
    int64_t now = mono_now().ms;
    while (c->said < c->text.len &&
           (rate <= 0 || (double)c->tokens <= (double)(now - c->began_ms) * rate / 1000))
        say_token(c);
    if (c->fault == SIM_FAULT_CUT && c->said * 2 > c->text.len) {
        buf_str(&c->out, "40\r\ndata: {\"choices\":[{\"delta\":{\"con");
        c->state = CLOSING;
        count_running(c->sim, -1);
        return;
    }
    if (c->said < c->text.len) {
        mux_timer_at(c->sim->mux, &c->timer,
                     (struct mono){ c->began_ms + (int64_t)((double)c->tokens * 1000 / rate) + 1 });
        return;
    }
    finish(c);
}

static void on_timer(void *ctx)
{
    struct conn *c = ctx;
    if (c->state != RUNNING)
        return;
    speak(c);
    bool over = c->state != RUNNING;
    struct sim *s = c->sim;
    if (flush(c) && over)
        conn_turn(c);
    if (over)
        start_waiting(s);
}

static void begin(struct conn *c)
{
    struct sim *s = c->sim;
    c->state = RUNNING;
    count_running(s, 1);
    if (c->stream) {
        buf_str(&c->out, "HTTP/1.1 200 OK\r\nServer: llm-sim (simulation)\r\n"
                         "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        event(c, json_pack("{s:s,s:n}", "role", "assistant", "content"), NULL);
    }
    c->began_ms = mono_now().ms + s->conf.ttft_ms;
    mux_timer_at(s->mux, &c->timer, (struct mono){ c->began_ms });
}

static void start_waiting(struct sim *s)
{
    while (s->waiting > 0 && (s->conf.slots == 0 || s->running < s->conf.slots)) {
        struct conn *first = NULL;
        for (struct conn *c = s->conns; c; c = c->next) {
            if (c->state == WAITING && (!first || c->ticket < first->ticket))
                first = c;
        }
        if (!first)
            return;
        s->waiting--;
        begin(first);
    }
}

/* The faults that are said at once. True: the request is dealt with. */
static bool misbehave(struct conn *c)
{
    static const char page[] = "<!DOCTYPE html><html><body><h1>Welcome to nginx</h1></body></html>";
    static const char overflow[] =
        "request (1516 tokens) exceeds the available context size (1024 tokens), "
        "try increasing it";
    static const char event_error[] =
        "data: {\"error\":{\"message\":\"The model has crashed\",\"type\":\"internal_error\"}}\n\n";
    switch ((int)c->fault) {
    case SIM_FAULT_404: answer_error(c, 404, "", "File Not Found", "not_found_error"); break;
    case SIM_FAULT_401: answer_error(c, 401, "", "Invalid API Key", "authentication_error"); break;
    case SIM_FAULT_429:
        answer_error(c, 429, "Retry-After: 1\r\n", "slow down", "rate_limit");
        break;
    case SIM_FAULT_500: answer_error(c, 500, "", "something broke", "server_error"); break;
    case SIM_FAULT_503: answer_error(c, 503, "", "Loading model", "unavailable_error"); break;
    case SIM_FAULT_OVERFLOW: answer_error(c, 400, "", overflow, "exceed_context_size_error"); break;
    case SIM_FAULT_HTML: answer(c, 200, "text/html", "", str_of(page)); break;
    case SIM_FAULT_ERROR: answer(c, 200, "text/event-stream", "", str_of(event_error)); break;
    case SIM_FAULT_STRING:
        answer_json(
            c, 200, "",
            json_pack("{s:s}", "error", "The model has crashed without additional information."));
        break;
    case SIM_FAULT_HANG: c->state = HUNG; break;
    case SIM_FAULT_REFUSE: c->state = CLOSING; break;
    default: return false;
    }
    return true;
}

static int append(const char *data, size_t n, void *out)
{
    return buf_append(out, data, n) == OK ? 0 : -1;
}

static void compose(struct conn *c, const json_t *req)
{
    const json_t *form = js_obj(req, "response_format");
    const json_t *schema = js_obj(js_obj(form, "json_schema"), "schema");
    const json_t *messages = js_list(req, "messages");
    struct sim_words *w =
        sim_words_new(messages, c->sim->conf.seed ^ (uint64_t)js_int(req, "seed", 0));
    assert(w);
    buf_clear(&c->text);
    if (schema) {
        json_t *v = sim_value(w, schema);
        json_dump_callback(v, append, &c->text, JSON_COMPACT); /* members in the schema's order */
        json_decref(v);
    } else {
        sim_text(w, &c->text);
    }
    sim_words_free(w);
}

static void complete(struct conn *c, struct str body, enum sim_fault fault)
{
    struct sim *s = c->sim;
    json_t *req = js_parse(body, NULL);
    c->fault = fault;
    c->said = c->tokens = 0;
    c->prompt_tokens = body.n / 4;
    if (!js_list(req, "messages")) {
        answer_error(c, 500, "", "messages are missing", "server_error");
    } else if (!misbehave(c)) {
        c->stream = js_bool(req, "stream", false);
        compose(c, req);
        if (c->fault == SIM_FAULT_EMPTY)
            buf_clear(&c->text);
        c->state = WAITING;
        c->ticket = ++s->tickets;
        s->waiting++;
        start_waiting(s);
    }
    json_decref(req);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void stats(struct conn *c)
{
    struct sim *s = c->sim;
    count_running(s, 0);
    answer_json(c, 200, "",
                json_pack("{s:I,s:I,s:I,s:i,s:i,s:I,s:I}", "completions",
                          (json_int_t)s->completions, "aborted", (json_int_t)s->aborted, "tokens",
                          (json_int_t)s->tokens, "running", s->running, "waiting", s->waiting,
                          "slot_ms", (json_int_t)s->slot_ms, "now_ms", (json_int_t)s->since_ms));
}

static bool path_is(struct str path, const char *z)
{
    return path.n == strlen(z) && memcmp(path.p, z, path.n) == 0;
}

/* "/fault/KIND/v1/…" names its fault itself. */
static struct str take_fault(struct str path, enum sim_fault *fault)
{
    if (path.n < 7 || memcmp(path.p, "/fault/", 7) != 0)
        return path;
    const char *kind = path.p + 7, *end = memchr(kind, '/', path.n - 7);
    size_t n = end ? (size_t)(end - kind) : path.n - 7;
    enum sim_fault f = sim_fault_of(kind, n);
    if (f == SIM_FAULT_COUNT)
        return path;
    *fault = f;
    return (struct str){ kind + n, path.n - 7 - n };
}

static enum sim_fault fault_now(const struct sim *s)
{
    bool hit =
        (s->tickets + 1) % (uint64_t)(s->conf.fault_every > 1 ? s->conf.fault_every : 1) == 0;
    return hit ? s->conf.fault : SIM_FAULT_NONE;
}

static void request(struct conn *c, struct str path, struct str body)
{
    struct sim *s = c->sim;
    enum sim_fault fault = fault_now(s);
    path = take_fault(path, &fault);
    if (path_is(path, "/v1/chat/completions")) {
        complete(c, body, fault);
    } else if (path_is(path, "/v1/models")) {
        answer_json(c, 200, "",
                    json_pack("{s:s,s:[{s:s,s:s,s:s}]}", "object", "list", "data", "id",
                              s->conf.model, "object", "model", "owned_by", "llm-sim"));
    } else if (path_is(path, "/props")) {
        answer_json(c, 200, "",
                    json_pack("{s:i,s:s}", "total_slots", s->conf.slots > 0 ? s->conf.slots : 64,
                              "model_path", s->conf.model));
    } else if (path_is(path, "/health")) {
        answer_json(c, 200, "", json_pack("{s:s}", "status", "ok"));
    } else if (path_is(path, "/sim/stats")) {
        stats(c);
    } else if (path.n > 11 && memcmp(path.p, "/sim/fault/", 11) == 0 &&
               sim_fault_of(path.p + 11, path.n - 11) != SIM_FAULT_COUNT) {
        s->conf.fault = sim_fault_of(path.p + 11, path.n - 11);
        answer_json(c, 200, "", json_pack("{s:s}", "fault", sim_fault_name(s->conf.fault)));
    } else {
        answer_error(c, 404, "", "File Not Found", "not_found_error");
    }
}

static size_t content_length(struct str head)
{
    static const char name[] = "\r\ncontent-length:";
    const char *at = head.n ? strcasestr(head.p, name) : NULL;
    return at && at < head.p + head.n ? strtoul(at + sizeof name - 1, NULL, 10) : 0;
}

/* Serve the requests that have arrived, one after the other. */
static void conn_turn(struct conn *c)
{
    while (c->state == IDLE && c->in.len > 0) {
        const char *end = memmem(c->in.data, c->in.len, "\r\n\r\n", 4);
        if (!end)
            return;
        struct str head = { c->in.data, (size_t)(end - c->in.data) + 2 };
        size_t body = content_length(head), all = head.n + 2 + body;
        const char *from = memchr(head.p, ' ', head.n);
        const char *to = from ? memchr(from + 1, ' ', (size_t)(head.p + head.n - from - 1)) : NULL;
        if (!to || body > IN_MAX) {
            c->state = CLOSING;
        } else if (c->in.len < all) {
            return;
        } else {
            request(c, (struct str){ from + 1, (size_t)(to - from - 1) },
                    (struct str){ c->in.data + head.n + 2, body });
            buf_consume(&c->in, all);
        }
    }
    flush(c);
}

static void on_conn(void *ctx, int fd, int events)
{
    struct conn *c = ctx;
    if (events & (MUX_IN | MUX_HUP)) {
        char *room = buf_room(&c->in, 65536);
        ssize_t n = room ? recv(fd, room, 65536, MSG_DONTWAIT) : 0;
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            conn_close(c); /* a client that leaves frees its slot at once */
            return;
        }
        if (n > 0)
            buf_grown(&c->in, (size_t)n);
    }
    if (c->state == IDLE)
        conn_turn(c);
    else
        flush(c);
}

static void on_accept(void *ctx, int fd, int events)
{
    struct sim *s = ctx;
    (void)events;
    for (int one = 1;;) {
        int cfd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (cfd < 0)
            return;
        struct conn *c = calloc(1, sizeof *c);
        if (!c) {
            close(cfd);
            return;
        }
        setsockopt(cfd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        *c = (struct conn){ .sim = s, .fd = cfd, .next = s->conns };
        c->timer = MUX_TIMER(on_timer, c);
        buf_init(&c->in, IN_MAX);
        buf_init(&c->out, OUT_MAX);
        buf_init(&c->text, OUT_MAX);
        if (s->conns)
            s->conns->prev = c;
        s->conns = c;
        if (mux_fd(s->mux, cfd, MUX_IN, on_conn, c) != OK)
            conn_close(c);
    }
}

struct sim *sim_open(struct mux *mux, const struct sim_conf *conf, struct err *err)
{
    struct sim *s = calloc(1, sizeof *s);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)conf->port) };
    socklen_t len = sizeof at;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool good = s && fd >= 0 && inet_pton(AF_INET, conf->host, &at.sin_addr) == 1 &&
                setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, BACKLOG) == 0 &&
                getsockname(fd, (struct sockaddr *)&at, &len) == 0 &&
                mux_fd(mux, fd, MUX_IN, on_accept, s) == OK;
    if (!good) {
        err_set(err, ERR_UNAVAILABLE, "%s:%d: %s", conf->host, conf->port, strerror(errno));
        if (fd >= 0)
            close(fd);
        free(s);
        return NULL;
    }
    *s = (struct sim){
        .mux = mux, .conf = *conf, .fd = fd, .port = ntohs(at.sin_port), .since_ms = mono_now().ms
    };
    return s;
}

void sim_close(struct sim *s)
{
    s->waiting = 0; /* nobody moves up any more */
    for (struct conn *c = s->conns; c; c = c->next)
        c->state = c->state == WAITING ? IDLE : c->state;
    while (s->conns)
        conn_close(s->conns);
    mux_fd_remove(s->mux, s->fd);
    close(s->fd);
    free(s);
}

int sim_port(const struct sim *s)
{
    return s->port;
}
