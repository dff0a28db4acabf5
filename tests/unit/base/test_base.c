/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/hash.h"
#include "common/heap.h"

#include <stdlib.h>
#include <string.h>

static void a_buf_grows_to_its_ceiling_and_no_further(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    for (int i = 0; i < 10; i++)
        assert_int_equal(buf_str(&b, "0123456789"), OK);
    assert_int_equal(b.len, 100);
    assert_int_equal(buf_char(&b, 'x'), ERR_LIMIT);
    assert_int_equal(buf_str(&b, "y"), ERR_LIMIT); /* the failure stays */
    assert_null(b.data);
    assert_null(buf_take(&b, NULL));
    buf_clear(&b);
    assert_int_equal(buf_printf(&b, "%d-%s", 7, "seven"), OK);
    assert_string_equal(buf_z(&b), "7-seven");
    buf_consume(&b, 2);
    assert_string_equal(buf_z(&b), "seven");
    size_t n = 0;
    char *taken = buf_take(&b, &n);
    assert_int_equal(n, 5);
    assert_string_equal(taken, "seven");
    free(taken);
    buf_fini(&b);
}

static void an_empty_buf_is_an_empty_string(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_string_equal(buf_z(&b), "");
    char *taken = buf_take(&b, NULL);
    assert_string_equal(taken, "");
    free(taken);
}

static void an_arena_has_a_ceiling_and_zeroed_memory(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 100000);
    char *p = arena_alloc(&a, 50000);
    assert_non_null(p);
    for (int i = 0; i < 50000; i++)
        assert_int_equal(p[i], 0);
    assert_null(arena_alloc(&a, 50001));
    assert_non_null(arena_alloc(&a, 50000));
    arena_reset(&a);
    assert_string_equal(arena_printf(&a, "%s-%d", "x", 3), "x-3");
    int *list = NULL;
    size_t cap = 0;
    for (int i = 0; i < 100; i++) {
        list = arena_grow(&a, list, (size_t)i, &cap, sizeof *list);
        assert_non_null(list);
        list[i] = i;
    }
    for (int i = 0; i < 100; i++)
        assert_int_equal(list[i], i);
    arena_fini(&a);
}

struct item {
    int key;
    uint32_t slot;
};

static bool before(const void *a, const void *b)
{
    return ((const struct item *)a)->key < ((const struct item *)b)->key;
}

static uint32_t *slot(void *i)
{
    return &((struct item *)i)->slot;
}

static void a_heap_orders_and_forgets(void **state)
{
    (void)state;
    enum { N = 500 };
    struct item items[N];
    struct heap h;
    heap_init(&h, before, slot);
    for (int i = 0; i < N; i++) {
        items[i] = (struct item){ (i * 7919) % 1009, HEAP_NONE };
        assert_true(heap_put(&h, &items[i]));
    }
    for (int i = 0; i < N; i += 3) {
        heap_remove(&h, &items[i]);
        heap_remove(&h, &items[i]); /* twice is fine */
    }
    items[1].key = -1;
    assert_true(heap_put(&h, &items[1])); /* re-sort in place */
    assert_ptr_equal(heap_top(&h), &items[1]);
    int last = -2;
    size_t n = 0;
    for (struct item *top; (top = heap_top(&h)); n++) {
        assert_true(top->key >= last);
        last = top->key;
        heap_remove(&h, top);
    }
    assert_int_equal(n, N - (N + 2) / 3);
    heap_fini(&h);
}

static void hashes_and_ids_have_one_text(void **state)
{
    (void)state;
    struct hash h = hash_of(str_of("abc")), again;
    char hex[HASH_HEX + 1];
    hash_hex(&h, hex); /* FIPS 180-4, example B.1 */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(hash_from_hex(str_of(hex), &again));
    assert_true(hash_eq(&h, &again));
    assert_false(hash_from_hex(str_of("zz"), &again));
    char id[ID_CHARS + 1];
    uint64_t v = 0, back = 0;
    v = 0xfedcba987654321 & ((1ULL << 60) - 1);
    id_text(v, id);
    assert_int_equal(strlen(id), ID_CHARS);
    assert_true(id_parse(str_of(id), &back));
    assert_true(v == back);
    assert_true(id_parse(str_of("OOOOOOOOOOIL"), &back)); /* what people mistype */
    assert_true(back == (1u << 5 | 1u));
    assert_false(id_parse(str_of("00000000000"), &back));
    assert_false(id_parse(str_of("0000000000-0"), &back));
}

static void zstd_states_its_size_and_is_held_to_it(void **state)
{
    (void)state;
    struct buf plain, packed, back;
    buf_init(&plain, 1 << 20);
    buf_init(&packed, 1 << 20);
    buf_init(&back, 1 << 20);
    for (int i = 0; i < 10000; i++)
        buf_str(&plain, "abcdefgh");
    assert_int_equal(zpack(buf_get(&plain), &packed), OK);
    assert_true(packed.len < plain.len / 10);
    assert_int_equal(zunpack(buf_get(&packed), plain.len - 1, &back), ERR_LIMIT);
    assert_int_equal(zunpack(buf_get(&packed), plain.len, &back), OK);
    assert_true(str_eq(buf_get(&plain), buf_get(&back)));
    buf_clear(&back);
    packed.data[packed.len / 2] ^= 0x55;
    assert_int_not_equal(zunpack(buf_get(&packed), 1 << 20, &back), ERR_LIMIT);
    assert_int_equal(zunpack(str_of("not zstd at all"), 1 << 20, &back), ERR_DATA);
    buf_fini(&plain);
    buf_fini(&packed);
    buf_fini(&back);
}

static void an_error_keeps_its_text_and_takes_prefixes(void **state)
{
    (void)state;
    struct err e = { 0 };
    assert_int_equal(err_set(&e, ERR_DATA, "line %d: bad", 3), ERR_DATA);
    err_prefix(&e, "%s", "file.md");
    assert_string_equal(e.text, "file.md: line 3: bad");
    assert_int_equal(err_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
    char longer[2000];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    err_prefix(&e, "%s", longer);
    assert_true(strlen(e.text) < sizeof e.text);
    assert_int_equal(status_exit(ERR_NOT_FOUND), 66);
    assert_string_equal(status_name(ERR_BUSY), "busy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buf_grows_to_its_ceiling_and_no_further),
        cmocka_unit_test(an_empty_buf_is_an_empty_string),
        cmocka_unit_test(an_arena_has_a_ceiling_and_zeroed_memory),
        cmocka_unit_test(a_heap_orders_and_forgets),
        cmocka_unit_test(hashes_and_ids_have_one_text),
        cmocka_unit_test(zstd_states_its_size_and_is_held_to_it),
        cmocka_unit_test(an_error_keeps_its_text_and_takes_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
