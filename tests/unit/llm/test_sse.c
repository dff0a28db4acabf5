/* SPDX-License-Identifier: Apache-2.0 */
#include "common/llm/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static enum status collect(void *ctx, const char *event, struct str data)
{
    struct buf *out = ctx;
    return buf_printf(out, "<%s|%.*s>", event, STR_ARG(data));
}

/* Feed `text` in pieces of `step` bytes and compare what came out. */
static void feed(const char *text, size_t step, const char *want)
{
    struct sse s;
    struct buf out;
    sse_init(&s, 1000);
    buf_init(&out, 10000);
    for (size_t i = 0, n = strlen(text); i < n; i += step) {
        char copy[64]; /* a piece of its own: pointers into an earlier one must not survive */
        size_t k = n - i < step ? n - i : step;
        memcpy(copy, text + i, k);
        assert_int_equal(sse_feed(&s, (struct str){ copy, k }, collect, &out), OK);
        memset(copy, '#', sizeof copy);
    }
    assert_int_equal(sse_end(&s, collect, &out), OK);
    assert_string_equal(buf_z(&out), want);
    sse_fini(&s);
    buf_fini(&out);
}

static void any_cut_gives_the_same_events(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "data: a\n\ndata: b\n\n", "<|a><|b>" },
        { "data: a\r\n\r\ndata:b\r\n\r\n", "<|a><|b>" },
        { "data: a\r\rdata: b\r\r", "<|a><|b>" },
        { ": ping\n\ndata: a\n:x\ndata: b\n\n", "<|a\nb>" },
        { "event: error\ndata: {\"x\":1}\nid: 3\nretry: 5\n\n", "<error|{\"x\":1}>" },
        { "event: nothing\n\ndata: a\n\n", "<|a>" },
        { "data: last without a blank line", "<|last without a blank line>" },
        { "data: a\n\ndata: b\n", "<|a><|b>" },
        { "\xef\xbb\xbf"
          "data: a\n\n",
          "<|a>" },
        { "data\n\ndata:  two blanks\n\n", "<|><| two blanks>" },
        { "data: caf\xc3\xa9 \xe4\xbd\xa0\n\n", "<|caf\xc3\xa9 \xe4\xbd\xa0>" },
        { "data: 1\ndata: 2\ndata: 3\n\n", "<|1\n2\n3>" },
        { "dataset: no\n\nfoo\n\n", "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t step = 1; step < 60; step++)
            feed(cases[i].text, step, cases[i].want);
    }
}

static void an_endless_line_is_refused(void **state)
{
    struct sse s;
    struct buf out;
    enum status st = OK;
    (void)state;
    sse_init(&s, 100);
    buf_init(&out, 1000);
    for (int i = 0; i < 20 && st == OK; i++)
        st = sse_feed(&s, str_of("data: aaaaaaa"), collect, &out);
    assert_int_equal(st, ERR_LIMIT);
    sse_fini(&s);
    sse_init(&s, 100);
    st = OK;
    for (int i = 0; i < 20 && st == OK; i++)
        st = sse_feed(&s, str_of("data: aaaaaaaa\n"), collect, &out);
    assert_int_equal(st, ERR_LIMIT); /* one event of many lines */
    sse_fini(&s);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_gives_the_same_events),
        cmocka_unit_test(an_endless_line_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
