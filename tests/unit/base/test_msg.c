/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/hash.h"
#include "common/js.h"
#include "common/msg.h"

#include <stdlib.h>
#include <string.h>

static json_t *load_vectors(const char *path)
{
    json_error_t e;
    json_t *v = json_load_file(path, 0, &e);
    assert_non_null(v);
    return v;
}

static size_t unhex(const char *hex, char *out)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        char pair[3] = { hex[2 * i], hex[2 * i + 1], 0 };
        out[i] = (char)strtoul(pair, NULL, 16);
    }
    return n;
}

/* The bytes of a vector, in out. */
static struct str vector_frame(const json_t *v, char out[8192])
{
    return (struct str){ out, unhex(js_str(v, "hex"), out) };
}

static void every_vector_decodes_and_encodes_to_the_same_bytes(void **state)
{
    (void)state;
    json_t *vectors = load_vectors("schemas/vectors/messages.json");
    assert_true(json_array_size(vectors) >= 90);
    for (size_t i = 0; i < json_array_size(vectors); i++) {
        const json_t *v = json_array_get(vectors, i);
        char bytes[8192];
        struct str frame = vector_frame(v, bytes);
        struct msg m;
        struct err err = { 0 };
        struct buf again;
        assert_int_equal(msg_decode(frame, &m, &err), OK);
        assert_string_equal(msg_name(m.type), js_str(v, "type"));
        buf_init(&again, PAWL_HEADER_MAX);
        assert_int_equal(msg_encode(&m, &again), OK);
        assert_true(str_eq(frame, buf_get(&again)));
        buf_fini(&again);
        for (size_t n = 0; n < frame.n; n++) /* cut anywhere: refused, never read past the end */
            assert_int_not_equal(msg_decode((struct str){ bytes, n }, &m, &err), OK);
    }
    json_decref(vectors);
}

/* The fields of a header, behind the head of its list. */
static struct str inside(struct str header)
{
    struct mp in;
    struct mp_value list;
    mp_init(&in, header);
    assert_int_equal(mp_want(&in, MP_ARRAY, &list), OK);
    return (struct str){ header.p + in.at, header.n - in.at };
}

/* Revisions of a version talk to each other: what an earlier one says is understood, and what this
 * one says begins with the fields that the earlier one knows, in its order. */
static void earlier_revisions_understand_and_are_understood(void **state)
{
    (void)state;
    json_t *vectors = load_vectors("schemas/vectors/earlier/2026-11-23-first.json");
    size_t longer = 0;
    assert_true(json_array_size(vectors) >= 90);
    for (size_t i = 0; i < json_array_size(vectors); i++) {
        const json_t *v = json_array_get(vectors, i);
        char bytes[8192];
        struct str frame = vector_frame(v, bytes);
        struct msg m;
        struct err err = { 0 };
        struct buf now;
        if (msg_decode(frame, &m, &err) != OK)
            fail_msg("%s of an earlier revision: %s", js_str(v, "type"), err.text);
        assert_string_equal(msg_name(m.type), js_str(v, "type"));
        buf_init(&now, PAWL_HEADER_MAX);
        assert_int_equal(msg_encode(&m, &now), OK);
        struct str said = inside(frame), say = inside(buf_get(&now));
        assert_true(say.n >= said.n && memcmp(say.p, said.p, said.n) == 0);
        longer += say.n > said.n;
        buf_fini(&now);
    }
    assert_true(longer > 0); /* else these are not vectors of an earlier revision */
    json_decref(vectors);
}

static void begin(struct buf *b, size_t fields, uint64_t version, uint64_t number)
{
    buf_clear(b);
    mp_array(b, fields + 3);
    mp_uint(b, version);
    mp_uint(b, number);
    mp_uint(b, 0);
}

static void missing_fields_are_zero_and_extra_ones_ignored(void **state)
{
    (void)state;
    struct buf b;
    struct msg m;
    buf_init(&b, 1 << 20);
    begin(&b, 1, 1, MSG_READY);
    mp_uint(&b, 3);
    assert_int_equal(msg_decode(buf_get(&b), &m, NULL), OK);
    assert_int_equal(m.READY.credit, 3);
    assert_int_equal(m.READY.seen, 0);
    begin(&b, 4, 1, MSG_READY);
    mp_uint(&b, 3);
    mp_uint(&b, 4);
    mp_array(&b, 1);
    mp_nil(&b);
    mp_z(&b, "from a later version");
    assert_int_equal(msg_decode(buf_get(&b), &m, NULL), OK);
    assert_int_equal(m.READY.seen, 4);
    buf_fini(&b);
}

static void strangers_are_told_what_is_wrong(void **state)
{
    (void)state;
    struct buf b;
    struct msg m;
    struct err err = { 0 };
    buf_init(&b, 1 << 20);
    begin(&b, 0, 2, MSG_READY);
    assert_int_equal(msg_decode(buf_get(&b), &m, &err), ERR_PROTOCOL);
    assert_non_null(strstr(err.text, "version 2"));
    begin(&b, 0, 1, 999);
    assert_int_equal(msg_decode(buf_get(&b), &m, &err), ERR_PROTOCOL);
    begin(&b, 1, 1, MSG_READY);
    mp_z(&b, "three");
    assert_int_equal(msg_decode(buf_get(&b), &m, &err), ERR_DATA);
    assert_non_null(strstr(err.text, "READY.credit"));
    begin(&b, 2, 1, MSG_REFUSED);
    mp_uint(&b, 1);
    char longer[PAWL_TEXT_MAX + 1];
    memset(longer, 'x', sizeof longer);
    mp_str(&b, (struct str){ longer, sizeof longer });
    assert_int_equal(msg_decode(buf_get(&b), &m, &err), ERR_LIMIT);
    begin(&b, 1, 1, MSG_BEAT);
    mp_array(&b, PAWL_TASKS_MAX + 1);
    for (int i = 0; i <= PAWL_TASKS_MAX; i++)
        mp_nil(&b);
    assert_int_equal(msg_decode(buf_get(&b), &m, &err), ERR_LIMIT);
    assert_int_equal(msg_decode(str_of("GET / HTTP/1.1\r\n\r\n"), &m, &err), ERR_DATA);
    assert_int_equal(msg_decode((struct str){ 0 }, &m, &err), ERR_DATA);
    buf_fini(&b);
}

static void random_bytes_are_never_a_crash(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252ULL;
    for (int round = 0; round < 200000; round++) {
        char bytes[64];
        size_t n = x % sizeof bytes;
        for (size_t i = 0; i < n; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            bytes[i] = (char)x;
        }
        if (n > 4 && round % 2) { /* half of them begin like a header */
            bytes[0] = (char)0x95;
            bytes[1] = 1;
            bytes[2] = (char)(x % 55);
            bytes[3] = 0;
        }
        struct msg m;
        struct buf again;
        if (msg_decode((struct str){ bytes, n }, &m, NULL) != OK)
            continue;
        buf_init(&again, PAWL_HEADER_MAX); /* whatever we accept, we can say again */
        assert_int_equal(msg_encode(&m, &again), OK);
        assert_int_equal(msg_decode(buf_get(&again), &m, NULL), OK);
        buf_fini(&again);
    }
}

static void task_keys_have_one_text(void **state)
{
    (void)state;
    struct task_key k = { .job = 1234567, .run = 1, .round = 12, .pass = 0, .stage = str_of("generate") }, back;
    char text[PAWL_KEY_MAX + 1];
    size_t n = task_key_text(&k, text);
    assert_true(task_key_parse((struct str){ text, n }, &back));
    assert_true(back.job == k.job && back.run == 1 && back.round == 12 && back.pass == 0);
    assert_true(str_is(back.stage, "generate"));
    static const char *const bad[] = { "", "0123456789ab", "0123456789ab/", "0123456789ab/1/2/x", "0123456789ab/1/2//0",
                                       "0123456789ab/1/2/x/0/1", "0123456789ab/1/2/x/-1", "0123456789ab/1/2/x/",
                                       "0123456789ab//2/x/0", "0123456789a!/1/2/x/0", "0123456789ab/1/9999999999/x/0" };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(task_key_parse(str_of(bad[i]), &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_decodes_and_encodes_to_the_same_bytes),
        cmocka_unit_test(earlier_revisions_understand_and_are_understood),
        cmocka_unit_test(missing_fields_are_zero_and_extra_ones_ignored),
        cmocka_unit_test(strangers_are_told_what_is_wrong),
        cmocka_unit_test(random_bytes_are_never_a_crash),
        cmocka_unit_test(task_keys_have_one_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
