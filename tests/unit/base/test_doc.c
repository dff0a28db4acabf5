/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/bounds.h"
#include "common/doc.h"

#include <stdlib.h>
#include <string.h>

static json_t *good_review(void)
{
    return js_parse(str_of("{\"verdict\":{\"gates\":true,\"measures\":900,\"judge\":-1,\"errors\":0,\"warnings\":0,"
                           "\"candidate\":\"ab\"},\"gates\":[],\"measures\":[{\"code\":\"coverage\",\"value\":1,"
                           "\"points\":1000}],\"findings\":[],\"later\":\"kept\"}"), NULL);
}

static void a_document_survives_the_wire(void **state)
{
    (void)state;
    json_t *doc = good_review(), *back = NULL;
    struct buf frame;
    struct err err = { 0 };
    buf_init(&frame, PAWL_FRAME_MAX);
    assert_int_equal(doc_pack("review", doc, &frame, &err), OK);
    assert_int_equal(frame.data[0], 0); /* small: plain */
    assert_int_equal(doc_unpack("review", buf_get(&frame), &back, &err), OK);
    assert_true(json_equal(doc, back)); /* unknown keys too */
    json_decref(back);
    buf_clear(&frame);
    char *big = malloc(60001);
    memset(big, 'x', 60000);
    big[60000] = '\0';
    js_set_z(doc, "critique", big);
    assert_int_equal(doc_pack("review", doc, &frame, &err), OK);
    assert_int_equal(frame.data[0], 1); /* large: packed */
    assert_true(frame.len < 2000);
    assert_int_equal(doc_unpack("review", buf_get(&frame), &back, &err), OK);
    assert_true(json_equal(doc, back));
    json_decref(back);
    json_decref(doc);
    free(big);
    buf_fini(&frame);
}

static void the_place_of_a_fault_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *doc, *text, *says;
        enum status st;
    } rows[] = {
        { "review", "[]", "review: not a map", ERR_DATA },
        { "review", "{\"verdict\":{}}", "review.verdict.gates: missing", ERR_DATA },
        { "insights", "{\"items\":[{\"id\":\"i1\",\"server\":\"s\",\"tool\":\"t\",\"excerpt\":1,\"hash\":\"\"}]}",
          "insights.items[0].excerpt: not a string", ERR_DATA },
        { "draft", "{\"change_name\":\"x\",\"title\":\"t\",\"why\":\"w\",\"what\":[1]}", "draft.what[0]: not a string", ERR_DATA },
        { "answers", "{\"items\":[{\"id\":\"q1\",\"text\":\"y\",\"by\":7}]}", "answers.items[0].by", ERR_DATA },
        { "call", "{\"server\":\"s\",\"tool\":\"t\"}", "call.arguments: missing", ERR_DATA },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = { 0 };
        json_t *doc = js_parse(str_of(rows[i].text), &err);
        assert_non_null(doc);
        assert_int_equal(doc_check(rows[i].doc, doc, &err), rows[i].st);
        assert_non_null(strstr(err.text, rows[i].says));
        json_decref(doc);
    }
    json_t *anything = json_array();
    assert_int_equal(doc_check("a-custom-document", anything, NULL), OK);
    json_decref(anything);
}

static void sizes_and_counts_are_bounded(void **state)
{
    (void)state;
    struct err err = { 0 };
    json_t *doc = json_pack("{s:s,s:s}", "id", "c1", "text", "x"), *list = json_array(), *all = json_object();
    for (int i = 0; i < 1001; i++)
        js_push(list, json_incref(doc));
    js_set(all, "items", list);
    assert_int_equal(doc_check("comments", all, &err), ERR_LIMIT);
    json_decref(all);
    char *big = malloc(20000);
    memset(big, 'x', 19999);
    big[19999] = '\0';
    js_set_z(doc, "text", big);
    assert_int_equal(doc_check("ask", doc, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "ask.text"));
    free(big);
    json_decref(doc);
}

static void frames_of_strangers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } rows[] = { { "", 0 }, { "\x07\xc0", 2 }, { "\x00", 1 }, { "\x01junkjunk", 9 }, { "\x00\xc0\xc0", 3 } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        json_t *out = NULL;
        struct err err = { 0 };
        assert_int_not_equal(doc_unpack("brief", (struct str){ rows[i].bytes, rows[i].n }, &out, &err), OK);
        assert_null(out);
        assert_non_null(strstr(err.text, "brief"));
    }
}

static void a_packed_frame_cannot_claim_more_than_a_document(void **state)
{
    (void)state;
    /* zstd frame header that claims 1 TiB: magic, single segment with an 8 byte size. */
    static const unsigned char bomb[] = { 1, 0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0 };
    json_t *out = NULL;
    struct err err = { 0 };
    assert_int_equal(doc_unpack("brief", (struct str){ (const char *)bomb, sizeof bomb }, &out, &err), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_survives_the_wire),
        cmocka_unit_test(the_place_of_a_fault_is_named),
        cmocka_unit_test(sizes_and_counts_are_bounded),
        cmocka_unit_test(frames_of_strangers_are_refused),
        cmocka_unit_test(a_packed_frame_cannot_claim_more_than_a_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
