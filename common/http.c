/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http.h"

#include "common/curl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    HEADERS_MAX = 16384,
    CONNECT_MS = 5000,
    READ_BYTES = 8192,
    IDLE_CONNECTIONS = 64,
    REST_MS = 20, /* after a read: what streams come with meanwhile is read at once */
    READS_PER_TURN = 64,
};

struct http_call {
    struct http_call *next, *prev;
    struct http *http;
    CURL *easy;
    struct curl_slist *headers;
    http_data_fn *data;
    http_done_fn *done;
    void *ctx;
    size_t answer_max, received;
    int64_t first_ms, stall_ms;
    struct mono heard; /* start, then the newest byte of the body */
    struct mux_timer silence;
    struct buf answer_headers; /* lines, each ended by NUL */
    enum status stopped;       /* why we ended it ourselves, or OK */
    bool added;                /* curl's multi handle knows it */
    bool cancelled;            /* no callback may follow */
    bool ending;               /* its done callback runs; it is freed right after */
    char text[256];            /* about `stopped` */
    char curl_text[CURL_ERROR_SIZE];
};

struct http {
    struct mux *mux;
    struct curl curl;
    CURLM *multi;
    struct mux_timer timer;
    struct mux_timer sweep; /* for what curl does not allow inside its callbacks */
    struct http_call *calls;
    int inputs;            /* epoll: the sockets that only wait for input */
    struct mux_timer rest; /* runs: nobody looks at the inputs until then */
    bool inside; /* curl is running: its handles must not be added or removed */
};

/* ---- one call -------------------------------------------------------------------------------- */

static void call_free(struct http_call *c)
{
    struct http *h = c->http;
    if (c->prev)
        c->prev->next = c->next;
    else
        h->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    mux_timer_stop(h->mux, &c->silence);
    if (c->added)
        h->curl.multi_remove_handle(h->multi, c->easy);
    h->curl.easy_cleanup(c->easy);
    h->curl.slist_free_all(c->headers);
    buf_fini(&c->answer_headers);
    free(c);
}

/* End a call from our side; its owner hears of it in a turn of its own. */
static void call_stop(struct http_call *c, enum status st, const char *text)
{
    if (c->stopped == OK) {
        c->stopped = st;
        snprintf(c->text, sizeof c->text, "%s", text);
    }
    mux_timer_in(c->http->mux, &c->http->sweep, 0);
}

static void on_silence(void *ctx)
{
    struct http_call *c = ctx;
    int64_t allowed = c->received ? c->stall_ms : c->first_ms;
    int64_t silent = mux_now(c->http->mux).ms - c->heard.ms;
    char text[128];
    if (allowed <= 0)
        return;
    if (silent < allowed) { /* bytes came meanwhile: cheaper than moving the timer for each */
        mux_timer_in(c->http->mux, &c->silence, allowed - silent);
        return;
    }
    snprintf(text, sizeof text,
             c->received ? "silent for %lld s in the middle of the answer"
                         : "no answer within %lld s",
             (long long)(allowed / 1000));
    call_stop(c, ERR_TIMEOUT, text);
}

static size_t on_body(char *bytes, size_t one, size_t n, void *ctx)
{
    struct http_call *c = ctx;
    size_t size = one * n;
    if (c->cancelled || c->stopped != OK)
        return 0;
    if (c->received == 0 && c->stall_ms > 0)
        mux_timer_in(c->http->mux, &c->silence, c->stall_ms);
    c->heard = mux_now(c->http->mux);
    if (size > c->answer_max - c->received) {
        call_stop(c, ERR_LIMIT, "the answer is larger than allowed");
        return 0;
    }
    c->received += size;
    enum status st = c->data ? c->data(c->ctx, c, (struct str){ bytes, size }) : OK;
    if (c->cancelled)
        return 0;
    if (st != OK)
        call_stop(c, st, status_text(st));
    return st == OK ? size : 0;
}

static size_t on_header(char *bytes, size_t one, size_t n, void *ctx)
{
    struct http_call *c = ctx;
    size_t size = one * n, line = size;
    if (size >= 5 && memcmp(bytes, "HTTP/", 5) == 0)
        buf_clear(&c->answer_headers); /* after "100 Continue" the real ones begin */
    while (line > 0 && (bytes[line - 1] == '\n' || bytes[line - 1] == '\r'))
        line--;
    if (line > 0 && buf_append(&c->answer_headers, bytes, line) == OK)
        buf_char(&c->answer_headers, '\0');
    return size;
}

static bool is_loopback(const char *url)
{
    static const char *const hosts[] = { "://127.", "://localhost", "://[::1]" };
    for (size_t i = 0; i < COUNT(hosts); i++) {
        if (strstr(url, hosts[i]))
            return true;
    }
    return false;
}

static bool add_header(struct http_call *c, const char *line)
{
    struct curl_slist *more = c->http->curl.slist_append(c->headers, line);
    if (more)
        c->headers = more;
    return more != NULL;
}

static bool set_up(struct http_call *c, const struct http_request *r)
{
    CURL *e = c->easy;
    const struct curl *curl = &c->http->curl;
    bool post = strcmp(r->method, "POST") == 0;
    bool good = curl->easy_setopt(e, CURLOPT_URL, r->url) == CURLE_OK;
    curl->easy_setopt(e, CURLOPT_PRIVATE, c);
    curl->easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(e, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    curl->easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(e, CURLOPT_WRITEDATA, c);
    curl->easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl->easy_setopt(e, CURLOPT_HEADERDATA, c);
    curl->easy_setopt(e, CURLOPT_ERRORBUFFER, c->curl_text);
    curl->easy_setopt(e, CURLOPT_BUFFERSIZE, (long)READ_BYTES);
    curl->easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(r->connect_ms ? r->connect_ms : CONNECT_MS));
    curl->easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl->easy_setopt(e, CURLOPT_USERAGENT, "pawl/" PAWL_VERSION);
    if (is_loopback(r->url))
        curl->easy_setopt(e, CURLOPT_PROXY, ""); /* a proxy cannot know our loopback */
    if (post) {
        curl->easy_setopt(e, CURLOPT_POST, 1L);
        curl->easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
        good = good &&
               curl->easy_setopt(e, CURLOPT_COPYPOSTFIELDS, r->body.p ? r->body.p : "") == CURLE_OK;
        good = good && add_header(c, "Expect:"); /* no round trip for 100-continue */
    }
    for (size_t i = 0; r->headers && r->headers[i]; i++)
        good = good && add_header(c, r->headers[i]);
    curl->easy_setopt(e, CURLOPT_HTTPHEADER, c->headers);
    return good;
}

static bool add(struct http_call *c)
{
    c->added = c->http->curl.multi_add_handle(c->http->multi, c->easy) == CURLM_OK;
    return c->added;
}

struct http_call *http_start(struct http *h, const struct http_request *r, http_data_fn *data,
                             http_done_fn *done, void *ctx)
{
    struct http_call *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    *c = (struct http_call){ .http = h,
                             .data = data,
                             .done = done,
                             .ctx = ctx,
                             .answer_max = r->answer_max,
                             .first_ms = r->first_ms,
                             .stall_ms = r->stall_ms,
                             .heard = mono_now(),
                             .easy = h->curl.easy_init() };
    c->silence = MUX_TIMER(on_silence, c);
    buf_init(&c->answer_headers, HEADERS_MAX);
    c->next = h->calls;
    if (h->calls)
        h->calls->prev = c;
    h->calls = c;
    if (!c->easy || !set_up(c, r) || (!h->inside && !add(c))) {
        call_free(c);
        return NULL;
    }
    if (h->inside)
        mux_timer_in(h->mux, &h->sweep, 0);
    if (c->first_ms > 0)
        mux_timer_in(h->mux, &c->silence, c->first_ms);
    return c;
}

void http_cancel(struct http_call *c)
{
    if (c->ending)
        return;
    if (!c->http->inside) {
        call_free(c);
        return;
    }
    c->cancelled = true; /* curl is on our stack: free it when it has returned */
    mux_timer_in(c->http->mux, &c->http->sweep, 0);
}

long http_code(const struct http_call *c)
{
    long code = 0;
    c->http->curl.easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &code);
    return code;
}

const char *http_content_type(const struct http_call *c)
{
    return http_header(c, "content-type");
}

const char *http_header(const struct http_call *c, const char *name)
{
    const char *at = buf_z(&c->answer_headers);
    const char *end = at + c->answer_headers.len;
    size_t n = strlen(name);
    for (; at < end; at += strlen(at) + 1) {
        if (strncasecmp(at, name, n) == 0 && at[n] == ':')
            return at + n + 1 + strspn(at + n + 1, " \t");
    }
    return "";
}

/* ---- curl and the mux ------------------------------------------------------------------------ */

static enum status curl_status(CURLcode code)
{
    switch ((int)code) {
    case CURLE_OK: return OK;
    case CURLE_OPERATION_TIMEDOUT: return ERR_TIMEOUT;
    case CURLE_OUT_OF_MEMORY: return ERR_NOMEM;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return ERR_CONFIG;
    default: return ERR_UNAVAILABLE;
    }
}

static void call_end(struct http_call *c, CURLcode code)
{
    enum status st = c->stopped != OK ? c->stopped : curl_status(code);
    const char *text = c->stopped != OK   ? c->text
                       : code == CURLE_OK ? ""
                       : *c->curl_text    ? c->curl_text
                                          : c->http->curl.easy_strerror(code);
    c->ending = true;
    if (!c->cancelled)
        c->done(c->ctx, c, st, text);
    call_free(c);
}

/* One finished call at a time: its callback may start, cancel and finish others. */
static void reap(struct http *h)
{
    CURLMsg *m;
    int left;
    while ((m = h->curl.multi_info_read(h->multi, &left))) {
        char *self = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode code = m->data.result; /* *m dies with the handle */
        h->curl.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &self);
        call_end((struct http_call *)(void *)self, code);
    }
}

static void sweep(void *ctx)
{
    struct http *h = ctx;
    for (struct http_call *c = h->calls; c;) {
        bool stopped = c->cancelled || c->stopped != OK;
        if (stopped) {
            call_end(c, CURLE_OK);
            c = h->calls; /* anything may have changed */
            continue;
        }
        if (!c->added && !add(c)) {
            call_stop(c, ERR_NOMEM, "out of memory");
            continue;
        }
        c = c->next;
    }
}

static void act(struct http *h, curl_socket_t fd, int what)
{
    int running;
    h->inside = true;
    h->curl.multi_socket_action(h->multi, fd, what, &running);
    h->inside = false;
    reap(h);
}

static void on_fd(void *ctx, int fd, int events)
{
    int what = (events & (MUX_IN | MUX_HUP) ? CURL_CSELECT_IN : 0) |
               (events & MUX_OUT ? CURL_CSELECT_OUT : 0) |
               (events & MUX_HUP ? CURL_CSELECT_ERR : 0);
    act(ctx, fd, what);
}

/* A model says a token every few milliseconds on each of many connections. To wake up for every one
 * costs ten times what reading it does: so read all that is there, then rest. */
static void on_inputs(void *ctx, int fd, int events)
{
    struct http *h = ctx;
    struct epoll_event ready[READS_PER_TURN];
    (void)events;
    int n = epoll_wait(fd, ready, READS_PER_TURN, 0);
    for (int i = 0; i < n; i++)
        act(h, ready[i].data.fd,
            CURL_CSELECT_IN | (ready[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0));
    bool rest = n > 0 && n < READS_PER_TURN;
    if (rest) {
        mux_fd_remove(h->mux, fd);
        mux_timer_in(h->mux, &h->rest, REST_MS);
    } else if (mux_fd(h->mux, fd, MUX_IN, on_inputs, h) != OK) {
        mux_timer_in(h->mux, &h->rest, REST_MS);
    }
}

static void on_rested(void *ctx)
{
    struct http *h = ctx;
    on_inputs(h, h->inputs, MUX_IN);
}

static void on_timer(void *ctx)
{
    act(ctx, CURL_SOCKET_TIMEOUT, 0);
}

static int want_fd(CURL *easy, curl_socket_t fd, int what, void *ctx, void *fd_ctx)
{
    struct http *h = ctx;
    struct epoll_event in = { .events = EPOLLIN, .data.fd = fd };
    (void)easy;
    (void)fd_ctx;
    if (what == CURL_POLL_IN) {
        mux_fd_remove(h->mux, fd);
        bool added = epoll_ctl(h->inputs, EPOLL_CTL_ADD, fd, &in) == 0 || errno == EEXIST;
        return added ? 0 : -1;
    }
    epoll_ctl(h->inputs, EPOLL_CTL_DEL, fd, NULL); /* fine when it is not there */
    if (what == CURL_POLL_REMOVE) {
        mux_fd_remove(h->mux, fd);
        return 0;
    }
    int events = (what & CURL_POLL_IN ? MUX_IN : 0) | (what & CURL_POLL_OUT ? MUX_OUT : 0);
    return mux_fd(h->mux, fd, events, on_fd, h) == OK ? 0 : -1;
}

static int want_timer(CURLM *multi, long ms, void *ctx)
{
    struct http *h = ctx;
    (void)multi;
    if (ms < 0)
        mux_timer_stop(h->mux, &h->timer);
    else
        mux_timer_in(h->mux, &h->timer, ms);
    return 0;
}

/* Frees what is there. */
static void http_gone(struct http *h)
{
    if (h->multi)
        h->curl.multi_cleanup(h->multi);
    if (h->inputs >= 0)
        close(h->inputs);
    free(h);
}

static void set_up_multi(struct http *h)
{
    h->curl.multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, want_fd);
    h->curl.multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    h->curl.multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, want_timer);
    h->curl.multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    h->curl.multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
}

struct http *http_new(struct mux *mux, struct err *err)
{
    struct http *h = calloc(1, sizeof *h);
    if (!h) {
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    h->mux = mux;
    h->rest = MUX_TIMER(on_rested, h);
    h->timer = MUX_TIMER(on_timer, h);
    h->sweep = MUX_TIMER(sweep, h);
    h->inputs = epoll_create1(EPOLL_CLOEXEC);
    if (curl_load(&h->curl, err) != OK) {
        http_gone(h);
        return NULL;
    }
    if (h->inputs < 0 || h->curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        !(h->multi = h->curl.multi_init()) || mux_fd(mux, h->inputs, MUX_IN, on_inputs, h) != OK) {
        err_set(err, ERR_NOMEM, "the HTTP client cannot be started");
        http_gone(h);
        return NULL;
    }
    set_up_multi(h);
    return h;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    while (h->calls)
        call_free(h->calls);
    h->curl.multi_cleanup(h->multi); /* it may still set timers and watch sockets */
    h->multi = NULL;
    mux_timer_stop(h->mux, &h->timer);
    mux_timer_stop(h->mux, &h->sweep);
    mux_timer_stop(h->mux, &h->rest);
    mux_fd_remove(h->mux, h->inputs);
    http_gone(h);
}
