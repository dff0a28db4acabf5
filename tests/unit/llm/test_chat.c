/* SPDX-License-Identifier: Apache-2.0 */
#include "common/llm/chat.h"
#include "common/llm/chunk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define DONE "data: [DONE]\n\n"
#define HEAD                                                                                       \
    "data: "                                                                                       \
    "{\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"role\":\"assistant\","         \
    "\"content\":null}}],\"created\":1,\"id\":\"x\",\"model\":\"m\",\"system_fingerprint\":"       \
    "\"b1\",\"object\":\"chat.completion.chunk\"}\n\n"
#define SAY(t)                                                                                     \
    "data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":\"" t          \
    "\"}}],\"created\":1,\"id\":\"x\",\"model\":\"m\",\"object\":\"chat.completion.chunk\"}\n\n"
#define END(r)                                                                                     \
    "data: {\"choices\":[{\"finish_reason\":\"" r                                                  \
    "\",\"index\":0,\"delta\":{}}],\"id\":\"x\",\"timings\":{\"prompt_n\":3}}\n\n"
#define USAGE                                                                                      \
    "data: "                                                                                       \
    "{\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":34,\"prompt_tokens_"    \
    "details\":{\"cached_tokens\":5}}}\n\n"

struct quirk {
    const char *what;
    long code;
    enum status transport;
    const char *body;
    enum chat_class class;
    const char *text; /* of a good one, or part of the error */
};

static const struct quirk quirks[] = {
    { "llama-server", 200, OK,
      HEAD SAY("Hel") SAY("lo\\n\\u00e9 \\ud83d\\ude00") END("stop") USAGE DONE, CHAT_GOOD,
      "Hello\n\xc3\xa9 \xf0\x9f\x98\x80" },
    { "finish_reason and a clean end without [DONE]", 200, OK, HEAD SAY("ok") END("stop"),
      CHAT_GOOD, "ok" },
    { "[DONE], then a reset", 200, ERR_UNAVAILABLE, HEAD SAY("ok") END("stop") DONE, CHAT_GOOD,
      "ok" },
    { "ping comments", 200, OK, ": ping\n\n" HEAD ": ping\n\n" SAY("ok") END("stop") DONE,
      CHAT_GOOD, "ok" },
    { "one chunk with everything, no usage", 200, OK,
      "data: "
      "{\"id\":\"c\",\"model\":\"gpt-4\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\","
      "\"role\":\"assistant\"},\"finish_reason\":\"stop\"}]}\n\n" DONE,
      CHAT_GOOD, "Hi" },
    { "plain JSON to a stream request", 200, OK,
      "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"whole\"},\"finish_reason\":"
      "\"stop\"}]}",
      CHAT_GOOD, "whole" },
    { "JSON in reasoning_content only", 200, OK,
      "data: "
      "{\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"{\\\"a\\\":1}\"},\"finish_"
      "reason\":null}]}\n\n" END("stop") DONE,
      CHAT_GOOD, "{\"a\":1}" },
    { "reasoning, as new vLLM and Ollama say it", 200, OK,
      "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"hm\"}}]}\n\n" SAY("answer")
          END("stop") DONE,
      CHAT_GOOD, "answer" },
    { "reasoning before the role", 200, OK,
      "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n" HEAD SAY(
          "a") END("stop") DONE,
      CHAT_GOOD, "a" },
    { "the last event without a blank line", 200, OK,
      HEAD SAY("ok") "data: {\"choices\":[{\"finish_reason\":\"stop\",\"index\":0,\"delta\":{}}]}",
      CHAT_GOOD, "ok" },
    { "cut in mid-token", 200, ERR_UNAVAILABLE, HEAD SAY("half a") "data: {\"choi", CHAT_RETRYABLE,
      "cut off" },
    { "clean end, nothing said about it", 200, OK, HEAD SAY("half a"), CHAT_RETRYABLE,
      "without saying so" },
    { "zero deltas and [DONE]", 200, OK, DONE, CHAT_RETRYABLE, "empty answer" },
    { "empty content", 200, OK, HEAD END("stop") DONE, CHAT_RETRYABLE, "empty answer" },
    { "nothing at all", 200, OK, "", CHAT_RETRYABLE, "nothing at all" },
    { "error event", 200, OK,
      HEAD SAY("par") "data: {\"error\":{\"message\":\"engine died\",\"type\":\"internal\"}}\n\n",
      CHAT_RETRYABLE, "engine died" },
    { "named error event", 200, OK, "event: error\ndata: {\"message\":\"boom\"}\n\n" DONE,
      CHAT_RETRYABLE, "boom" },
    { "error string inside a 200", 200, OK,
      "{\"error\":\"Unexpected endpoint or method. (POST /chat/completions)\"}", CHAT_PERMANENT,
      "ending in /v1" },
    { "overflow inside a 200", 200, OK,
      "{\"error\":\"Trying to keep the first 5000 tokens when context the overflows. However, the "
      "model is loaded with context length of only 4096 tokens\"}",
      CHAT_PERMANENT, "larger context" },
    { "overflow, llama-server", 400, OK,
      "{\"error\":{\"code\":400,\"message\":\"request (1516 tokens) exceeds the available context "
      "size (1024 tokens), try increasing "
      "it\",\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":1516,\"n_ctx\":1024}}",
      CHAT_PERMANENT, "larger context" },
    { "overflow, vLLM flat", 400, OK,
      "{\"object\":\"error\",\"message\":\"This model's maximum context length is "
      "4096\",\"type\":\"BadRequestError\",\"code\":400}",
      CHAT_PERMANENT, "larger context" },
    { "no model", 400, OK,
      "{\"error\":\"No models loaded. Please load a model in the developer page or use the 'lms "
      "load' command.\"}",
      CHAT_PERMANENT, "load the model" },
    { "unknown model", 404, OK, "{\"error\":{\"message\":\"model 'nope' not found\",\"code\":404}}",
      CHAT_PERMANENT, "model.name" },
    { "404", 404, OK, "{\"detail\":\"Not Found\"}", CHAT_PERMANENT, "ending in /v1" },
    { "401", 401, OK,
      "{\"error\":{\"message\":\"Invalid API "
      "Key\",\"type\":\"authentication_error\",\"code\":401}}",
      CHAT_PERMANENT, "model.key_file" },
    { "429", 429, OK, "{\"error\":{\"message\":\"slow down\"}}", CHAT_OVERLOADED, "slow down" },
    { "loading", 503, OK,
      "{\"error\":{\"message\":\"Loading model\",\"type\":\"unavailable_error\",\"code\":503}}",
      CHAT_OVERLOADED, "being loaded" },
    { "Ollama's queue is full", 503, OK,
      "{\"error\":{\"message\":\"server busy, please try again.  maximum pending requests "
      "exceeded\"}}",
      CHAT_OVERLOADED, "busy" },
    { "Dynamo", 529, OK, "", CHAT_OVERLOADED, "busy" },
    { "500", 500, OK,
      "{\"error\":{\"message\":\"[json.exception.parse_error.101]\",\"type\":\"server_error\"}}",
      CHAT_RETRYABLE, "HTTP 500" },
    { "HTML", 200, OK, "\n<!DOCTYPE html><html>", CHAT_PERMANENT, "HTML instead of JSON" },
    { "HTML, 502", 502, OK, "<html>Bad Gateway</html>", CHAT_RETRYABLE, "HTTP 502" },
    { "plain text", 200, OK, "Ollama is running", CHAT_PERMANENT, "plain text" },
    { "malformed chunk", 200, OK, HEAD "data: {malformed json: <<<chaos>>>\n\n" END("stop") DONE,
      CHAT_RETRYABLE, "malformed" },
    { "redirect", 301, OK, "", CHAT_PERMANENT, "redirect" },
    { "nobody there", 0, ERR_UNAVAILABLE, "", CHAT_RETRYABLE, "start the model server" },
    { "no first byte", 0, ERR_TIMEOUT, "", CHAT_RETRYABLE, "model.first" },
    { "bad address", 0, ERR_CONFIG, "", CHAT_PERMANENT, "must look like" },
};

static void on_text(void *ctx, struct str text)
{
    buf_view(ctx, text);
}

static struct chat_verdict run(const struct quirk *q, size_t step, struct chat_answer *a,
                               struct buf *heard)
{
    struct chat_transport t = { .status = q->transport,
                                .text = "why",
                                .code = q->code,
                                .type = "",
                                .retry_after = "7",
                                .url = "http://h/v1",
                                .model = "m" };
    chat_init(a, 1 << 20);
    size_t n = strlen(q->body);
    for (size_t i = 0; i < n; i += step) {
        struct str piece = { q->body + i, n - i < step ? n - i : step };
        assert_int_equal(chat_feed(a, piece, on_text, heard), OK);
    }
    chat_end(a);
    return chat_judge(a, &t);
}

static void every_quirk_is_judged_rightly_however_it_is_cut(void **state)
{
    static const size_t steps[] = { 1, 2, 3, 7, 16, 61, 1000000 };
    (void)state;
    for (size_t i = 0; i < COUNT(quirks); i++) {
        for (size_t k = 0; k < COUNT(steps); k++) {
            struct chat_answer a;
            struct buf heard;
            char all[1200];
            buf_init(&heard, 1 << 20);
            struct chat_verdict v = run(&quirks[i], steps[k], &a, &heard);
            snprintf(all, sizeof all, "%s; %s", v.err.text, v.err.fix);
            if (v.class != quirks[i].class)
                fail_msg("%s (step %zu): class %d: %s", quirks[i].what, steps[k], (int)v.class,
                         all);
            if (v.class == CHAT_GOOD && !str_is(chat_text(&a), quirks[i].text))
                fail_msg("%s (step %zu): '%.*s'", quirks[i].what, steps[k], STR_ARG(chat_text(&a)));
            if (v.class != CHAT_GOOD &&
                (!strstr(all, quirks[i].text) || !strstr(all, "http://h/v1")))
                fail_msg("%s: said '%s'", quirks[i].what, all);
            if (v.class == CHAT_GOOD && a.content.len && a.form == CHAT_EVENTS)
                assert_true(str_eq(buf_get(&heard), buf_get(&a.content)));
            chat_fini(&a);
            buf_fini(&heard);
        }
    }
}

static void usage_truncation_and_retry_after_are_told(void **state)
{
    struct chat_answer a;
    struct buf heard;
    (void)state;
    buf_init(&heard, 1 << 20);
    struct quirk q = { "x", 200, OK, HEAD SAY("a") END("length") USAGE DONE, CHAT_GOOD, "a" };
    struct chat_verdict v = run(&q, 5, &a, &heard);
    assert_true(v.truncated);
    assert_int_equal(a.usage.in, 12);
    assert_int_equal(a.usage.out, 34);
    assert_int_equal(a.usage.cached, 5);
    chat_fini(&a);
    q = (struct quirk){ "x", 200, OK, HEAD SAY("a") SAY("b") END("stop") DONE, CHAT_GOOD, "ab" };
    v = run(&q, 50, &a, &heard);
    assert_false(a.usage.told);
    assert_int_equal(a.usage.out, 2);
    chat_fini(&a);
    q = (struct quirk){ "x", 429, OK, "", CHAT_OVERLOADED, "" };
    v = run(&q, 50, &a, &heard);
    assert_int_equal(v.retry_after_ms, 7000);
    chat_fini(&a);
    buf_fini(&heard);
    assert_int_equal(chat_retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", 784111777 - 30), 30000);
    assert_int_equal(chat_retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", 784111777 + 30), 0);
    assert_int_equal(chat_retry_after_ms("1.5", 0), 1500);
    assert_int_equal(chat_retry_after_ms("99999999", 0), 3600000);
    assert_int_equal(chat_retry_after_ms("nan", 0), 0);
    assert_int_equal(chat_retry_after_ms("soon", 0), 0);
}

static void tool_calls_come_in_pieces_or_whole(void **state)
{
    struct chat_answer a;
    struct buf heard;
    (void)state;
    buf_init(&heard, 1 << 20);
    struct quirk q = {
        "pieces",
        200,
        OK,
        "data: "
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":"
        "\"function\",\"function\":{\"name\":\"read\",\"arguments\":\"\"}}]}}]}\n\n"
        "data: "
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
        "\"arguments\":\"{\\\"pa\"}}]}}]}\n\n"
        "data: "
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
        "\"arguments\":\"th\\\":1}\"}},{\"index\":1,\"id\":\"c2\",\"function\":{\"name\":\"ls\","
        "\"arguments\":{\"b\":2}}}]}}]}\n\n" END("tool_calls") DONE,
        CHAT_GOOD,
        ""
    };
    struct chat_verdict v = run(&q, 9, &a, &heard);
    assert_int_equal(v.class, CHAT_GOOD);
    assert_int_equal(a.calls_n, 2);
    assert_string_equal(a.calls[0].name, "read");
    assert_string_equal(buf_z(&a.calls[0].arguments), "{\"path\":1}");
    assert_string_equal(a.calls[1].name, "ls");
    assert_string_equal(buf_z(&a.calls[1].arguments), "{\"b\":2}");
    chat_fini(&a);
    buf_fini(&heard);
}

static void an_answer_that_does_not_end_is_refused(void **state)
{
    struct chat_answer a;
    enum status st = OK;
    (void)state;
    chat_init(&a, 2000);
    for (int i = 0; i < 1000 && st == OK; i++)
        st = chat_feed(&a, str_of(SAY("aaaaaaaaaa")), NULL, NULL);
    assert_int_equal(st, ERR_LIMIT);
    chat_fini(&a);
}

static void the_fast_path_agrees_with_the_parser(void **state)
{
    static const struct {
        const char *json;
        enum chunk_kind kind;
        const char *text;
    } cases[] = {
        { "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\\"\\\\\\n\\u0041\"}}]}",
          CHUNK_TEXT, "a\"\\\nA" },
        { "{ \"id\" : \"x\" , \"choices\" : [ { \"delta\" : { \"content\" : \"b\" } } ] }",
          CHUNK_TEXT, "b" },
        { "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null}}]}", CHUNK_NOTHING,
          "" },
        { "{\"choices\":[{\"delta\":{\"content\":\"x\",\"reasoning_content\":null,\"tool_calls\":"
          "null}}],\"usage\":null}",
          CHUNK_TEXT, "x" },
        { "{\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}", CHUNK_OTHER,
          "" },
        { "{\"choices\":[{\"delta\":{\"content\":\"x\",\"reasoning\":\"y\"}}]}", CHUNK_OTHER, "" },
        { "{\"choices\":[{\"delta\":{\"content\":\"\\ud83d\\ude00\"}}]}", CHUNK_OTHER, "" },
        { "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"x\"}}]}", CHUNK_OTHER, "" },
        { "{\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"error\":\"e\"}", CHUNK_OTHER, "" },
        { "{\"choices\":[{\"delta\":{\"content\":\"x\"}}]} x", CHUNK_OTHER, "" },
        { "{\"choices\":[{\"delta\":{\"content\":\"x", CHUNK_OTHER, "" },
        { "{\"choices\":[{\"delta\":{\"content\":\"x\\", CHUNK_OTHER, "" },
        { "{\"choices\":[]}", CHUNK_OTHER, "" },
        { "{", CHUNK_OTHER, "" },
        { "", CHUNK_OTHER, "" },
        { "{\"choices\":[{\"delta\":{\"content\":\"\\u00", CHUNK_OTHER, "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t n = strlen(cases[i].json);
        char *exact = test_malloc(n + 1); /* so that a read beyond the end is seen */
        memcpy(exact, cases[i].json, n);
        struct buf b;
        buf_init(&b, 1000);
        buf_str(&b, "before ");
        enum chunk_kind kind = chunk_read((struct str){ exact, n }, &b);
        if (kind != cases[i].kind || strcmp(buf_z(&b) + 7, cases[i].text) != 0)
            fail_msg("%s: kind %d, '%s'", cases[i].json, (int)kind, buf_z(&b));
        buf_fini(&b);
        test_free(exact);
    }
}

static void json_is_found_in_what_models_say(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "{\"a\":1}", "{\"a\":1}" },
        { "```json\n{\"a\":1}\n```", "{\"a\":1}" },
        { "Sure! Here it is: {\"a\":\"}\"} hope it helps {", "{\"a\":\"}\"}" },
        { "<think>maybe {\"a\":0}?</think>\n{\"a\":1}", "{\"a\":1}" },
        { "use {x} and then [1,2]", "[1,2]" },
        { "no json", NULL },
        { "", NULL },
        { "{\"a\":", NULL },
        { "\"text\"", NULL },
        { "]]]", NULL },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *v = chat_json(str_of(cases[i].text));
        json_t *want = cases[i].want ? js_parse(str_of(cases[i].want), NULL) : NULL;
        if (!v != !want || (v && !json_equal(v, want)))
            fail_msg("case %zu", i);
        json_decref(v);
        json_decref(want);
    }
}

static void the_request_is_what_all_servers_take(void **state)
{
    json_t *messages = js_parse(str_of("[{\"role\":\"user\",\"content\":\"hi\"}]"), NULL);
    json_t *schema = js_parse(str_of("{\"type\":\"object\",\"properties\":{\"z\":{\"type\":"
                                     "\"string\"},\"a\":{\"type\":\"string\"}}}"),
                              NULL);
    struct chat_request r = { .model = "m",
                              .messages = messages,
                              .schema = schema,
                              .schema_name = "plan",
                              .tokens_max = 100,
                              .temperature = 0.5,
                              .seed = UINT64_MAX };
    struct buf wire, canon;
    (void)state;
    buf_init(&wire, 10000);
    buf_init(&canon, 10000);
    json_t *body = chat_body(&r);
    assert_int_equal(chat_wire(body, &wire), OK);
    assert_int_equal(chat_canonical(body, &canon), OK);
    assert_null(strstr(buf_z(&canon), "stream"));
    json_t *v = js_parse(buf_get(&wire), NULL);
    assert_true(js_bool(v, "stream", false));
    assert_true(js_bool(js_obj(v, "stream_options"), "include_usage", false));
    assert_string_equal(js_str(js_obj(v, "response_format"), "type"), "json_schema");
    assert_int_equal(js_int(v, "max_tokens", 0), 100);
    assert_true(js_int(v, "seed", 0) > 0 && js_int(v, "seed", 0) <= INT32_MAX);
    assert_true(strstr(buf_z(&wire), "\"z\":") <
                strstr(buf_z(&wire), "\"a\":")); /* generation follows it */
    json_decref(v);
    json_decref(body);
    json_decref(messages);
    json_decref(schema);
    buf_fini(&wire);
    buf_fini(&canon);
}

static void lists_of_models_and_slots_are_read(void **state)
{
    struct chat_model m;
    struct err err = { 0 };
    (void)state;
    struct str list = str_of("{\"object\":\"list\",\"data\":[{\"id\":\"text-embedding-nomic\"},{"
                             "\"id\":\"Qwen2.5\",\"owned_by\":\"llamacpp\"},{\"id\":\"b\"}]}");
    assert_int_equal(chat_models(list, "", &m, &err), OK);
    assert_string_equal(m.name, "Qwen2.5");
    assert_string_equal(m.owner, "llamacpp");
    assert_int_equal(chat_models(list, "qwen2.5", &m, &err), OK);
    assert_string_equal(m.name, "Qwen2.5");
    assert_int_equal(chat_models(list, "c", &m, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "Qwen2.5, b"));
    assert_int_equal(chat_models(str_of("{\"error\":\"Unexpected endpoint\"}"), "", &m, &err),
                     ERR_DATA);
    assert_int_equal(chat_models(str_of("<html>"), "", &m, &err), ERR_DATA);
    assert_int_equal(chat_models(str_of("{\"data\":[]}"), "", &m, &err), ERR_NOT_FOUND);
    assert_int_equal(chat_slots(str_of("{\"total_slots\":3}"), "x"), 3);
    assert_int_equal(chat_slots(str_of("{\"models\":[{\"key\":\"g\",\"loaded_instances\":[{\"id\":"
                                       "\"g\",\"config\":{\"parallel\":4}}]}]}"),
                                "g"),
                     4);
    assert_int_equal(chat_slots(str_of("{\"error\":\"no\"}"), "x"), 0);
    assert_true(chat_size_of("qwen2.5-coder-1.5b-instruct") == 1.5);
    assert_true(chat_size_of("Qwen3-30B-A3B") == 30);
    assert_true(chat_size_of("llama3.1:70b") == 70);
    assert_true(chat_size_of("gpt-oss") == 0 && chat_size_of("phi-4") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_quirk_is_judged_rightly_however_it_is_cut),
        cmocka_unit_test(usage_truncation_and_retry_after_are_told),
        cmocka_unit_test(tool_calls_come_in_pieces_or_whole),
        cmocka_unit_test(an_answer_that_does_not_end_is_refused),
        cmocka_unit_test(the_fast_path_agrees_with_the_parser),
        cmocka_unit_test(json_is_found_in_what_models_say),
        cmocka_unit_test(the_request_is_what_all_servers_take),
        cmocka_unit_test(lists_of_models_and_slots_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
