/* SPDX-License-Identifier: Apache-2.0 */
/* http against the simulated model server, both on one loop. */
#include "bench/llm-sim/sim.h"
#include "common/http.h"
#include "common/llm/chat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct world {
    struct mux *mux;
    struct sim *sim;
    struct http *http;
    char base[64];
};

/* What became of one request. */
struct seen {
    struct world *w;
    struct http_call *call;
    struct chat_answer answer;
    enum status st;
    long code;
    char text[256];
    int done;
    size_t bytes, cancel_after;
};

static void open_world(struct world *w, struct sim_conf conf)
{
    struct err err = { 0 };
    conf.host = "127.0.0.1";
    conf.model = "sim";
    w->mux = mux_new(&err);
    w->sim = sim_open(w->mux, &conf, &err);
    w->http = http_new(w->mux, &err);
    assert_non_null(w->mux);
    assert_non_null(w->sim);
    assert_non_null(w->http);
    snprintf(w->base, sizeof w->base, "http://127.0.0.1:%d", sim_port(w->sim));
}

static void close_world(struct world *w)
{
    http_free(w->http);
    sim_close(w->sim);
    mux_free(w->mux);
}

static enum status on_data(void *ctx, struct http_call *c, struct str piece)
{
    struct seen *s = ctx;
    s->bytes += piece.n;
    if (s->cancel_after && s->bytes >= s->cancel_after) {
        http_cancel(c); /* from inside: no callback may follow */
        s->call = NULL;
        s->cancel_after = 0;
        return OK;
    }
    return chat_feed(&s->answer, piece, NULL, NULL);
}

static void on_done(void *ctx, struct http_call *c, enum status st, const char *text)
{
    struct seen *s = ctx;
    s->st = st;
    s->code = http_code(c);
    snprintf(s->text, sizeof s->text, "%s", text);
    s->done++;
    chat_end(&s->answer);
}

static void ask(struct world *w, struct seen *s, const char *url, struct http_request more)
{
    static const char *const headers[] = { "Content-Type: application/json", NULL };
    char full[512];
    snprintf(full, sizeof full, "%s%s", strncmp(url, "http", 4) == 0 ? "" : w->base, url);
    s->w = w;
    chat_init(&s->answer, 1 << 20);
    more.url = full;
    more.headers = headers;
    if (!more.method) {
        more.method = "POST";
        more.body = str_of("{\"messages\":[{\"role\":\"user\",\"content\":\"Say something about "
                           "six fine words.\"}],\"stream\":true}");
    }
    if (!more.answer_max)
        more.answer_max = 1 << 20;
    s->call = http_start(w->http, &more, on_data, on_done, s);
    assert_non_null(s->call);
}

static void turn_until(struct world *w, const int *flag)
{
    struct err err = { 0 };
    int64_t deadline = mono_now().ms + 10000;
    while (!*flag && mono_now().ms < deadline)
        assert_int_equal(mux_turn(w->mux, 100, &err), OK);
    assert_true(*flag);
}

static void a_stream_arrives(void **state)
{
    struct world w;
    struct seen s = { 0 };
    (void)state;
    open_world(&w, (struct sim_conf){ .slots = 2, .tokens_per_s = 2000 });
    ask(&w, &s, "/v1/chat/completions", (struct http_request){ 0 });
    turn_until(&w, &s.done);
    assert_int_equal(s.st, OK);
    assert_int_equal(s.code, 200);
    assert_true(s.answer.done);
    assert_non_null(strstr(buf_z(&s.answer.content), "six fine words"));
    assert_true(s.answer.usage.told);
    chat_fini(&s.answer);
    close_world(&w);
}

static void failures_have_a_status_and_words(void **state)
{
    static const struct {
        const char *url;
        struct http_request more;
        enum status st;
        long code;
    } cases[] = {
        { "http://127.0.0.1:1/v1/models", { .method = "GET" }, ERR_UNAVAILABLE, 0 },
        { "file:///etc/passwd", { .method = "GET" }, ERR_CONFIG, 0 },
        { "/v1/models", { .method = "GET", .answer_max = 10 }, ERR_LIMIT, 200 },
        { "/fault/hang/v1/chat/completions", { .first_ms = 50 }, ERR_TIMEOUT, 0 },
        { "/fault/cut/v1/chat/completions", { 0 }, ERR_UNAVAILABLE, 200 },
        { "/fault/refuse/v1/chat/completions", { 0 }, ERR_UNAVAILABLE, 0 },
        { "/fault/429/v1/chat/completions", { 0 }, OK, 429 },
        { "/nowhere", { .method = "GET" }, OK, 404 },
    };
    struct world w;
    (void)state;
    open_world(&w, (struct sim_conf){ .slots = 2 });
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct seen s = { 0 };
        ask(&w, &s, cases[i].url, cases[i].more);
        turn_until(&w, &s.done);
        if (s.st != cases[i].st || s.code != cases[i].code || (s.st != OK && !*s.text))
            fail_msg("%s: %s, %ld, '%s'", cases[i].url, status_name(s.st), s.code, s.text);
        chat_fini(&s.answer);
    }
    close_world(&w);
}

static void a_silent_stream_is_given_up(void **state)
{
    struct world w;
    struct seen s = { 0 };
    (void)state;
    open_world(&w, (struct sim_conf){ .slots = 1, .ttft_ms = 100000 });
    ask(&w, &s, "/v1/chat/completions", (struct http_request){ .stall_ms = 60, .first_ms = 5000 });
    turn_until(&w, &s.done); /* the head of the stream comes at once, then nothing */
    assert_int_equal(s.st, ERR_TIMEOUT);
    assert_non_null(strstr(s.text, "silent"));
    chat_fini(&s.answer);
    close_world(&w);
}

static const char *stats(struct world *w, struct seen *s)
{
    memset(s, 0, sizeof *s);
    ask(w, s, "/sim/stats", (struct http_request){ .method = "GET" });
    turn_until(w, &s->done);
    return buf_z(&s->answer.whole);
}

static void cancelling_frees_the_slot(void **state)
{
    struct world w;
    struct seen slow = { .cancel_after = 300 }, next = { 0 }, st = { 0 };
    (void)state;
    open_world(&w, (struct sim_conf){ .slots = 1, .tokens_per_s = 50 });
    ask(&w, &slow, "/v1/chat/completions", (struct http_request){ 0 });
    struct seen other = { 0 };
    ask(&w, &other, "/v1/chat/completions", (struct http_request){ 0 });
    http_cancel(other.call); /* from outside, before anything was sent */
    ask(&w, &next, "/v1/chat/completions", (struct http_request){ 0 });
    turn_until(&w, &next.done);
    assert_int_equal(next.st, OK);
    assert_int_equal(slow.done, 0);
    assert_int_equal(other.done, 0);
    assert_non_null(strstr(stats(&w, &st), "\"aborted\":1"));
    chat_fini(&slow.answer);
    chat_fini(&other.answer);
    chat_fini(&next.answer);
    chat_fini(&st.answer);
    close_world(&w);
}

static void many_streams_at_once(void **state)
{
    enum { N = 200 };
    static struct seen all[N];
    struct world w;
    (void)state;
    memset(all, 0, sizeof all);
    open_world(&w, (struct sim_conf){ .slots = 50, .tokens_per_s = 4000 });
    for (int i = 0; i < N; i++)
        ask(&w, &all[i], "/v1/chat/completions", (struct http_request){ 0 });
    for (int i = 0; i < N; i++) {
        turn_until(&w, &all[i].done);
        assert_int_equal(all[i].st, OK);
        assert_true(all[i].answer.done);
        chat_fini(&all[i].answer);
    }
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_arrives),
        cmocka_unit_test(failures_have_a_status_and_words),
        cmocka_unit_test(a_silent_stream_is_given_up),
        cmocka_unit_test(cancelling_frees_the_slot),
        cmocka_unit_test(many_streams_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
