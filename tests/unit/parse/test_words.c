/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "workers/words.h"

#include <stdlib.h>
#include <string.h>

static struct word_list scan(struct arena *a, const char *text)
{
    struct word_list l;
    arena_init(a, 16 << 20);
    assert_int_equal(words_scan(a, str_of(text), LANG_NONE, &l), OK);
    return l;
}

static uint64_t only_key(const char *text, enum words_lang lang)
{
    struct arena a;
    struct word_list l;
    arena_init(&a, 1 << 20);
    assert_int_equal(words_scan(&a, str_of(text), lang, &l), OK);
    assert_true(l.n >= 1);
    uint64_t key = l.at[0].key;
    arena_fini(&a);
    return key;
}

static void forms_of_a_word_have_one_key(void **state)
{
    static const char *const same[][2] = {
        { "charge", "charges" },     { "charge", "Charged" },      { "charge", "charging" },
        { "cap", "capped" },         { "add", "added" },           { "reserve", "reservation" },
        { "copy", "copies" },        { "notify", "notification" }, { "cancel", "cancelled" },
        { "send", "sent" },          { "box", "boxes" },           { "address", "addresses" },
        { "collect", "collection" }, { "die", "dying" },           { "Gebühr", "Gebühren" },
        { "Karte", "Karten" },       { "melden", "gemeldet" },     { "ÉTÉ", "été" },
        { "member", "member's" },    { "member’s", "member" },
    };
    static const char *const other[][2] = {
        { "late", "latest" }, { "bus", "bush" }, { "nation", "native" }, { "red", "read" }
    };
    (void)state;
    for (size_t i = 0; i < COUNT(same); i++) {
        if (words_key(str_of(same[i][0])) != words_key(str_of(same[i][1])))
            print_error("%s, %s\n", same[i][0], same[i][1]);
        assert_true(words_key(str_of(same[i][0])) == words_key(str_of(same[i][1])));
    }
    for (size_t i = 0; i < COUNT(other); i++)
        assert_true(words_key(str_of(other[i][0])) != words_key(str_of(other[i][1])));
}

static void figures_are_equal_by_value_and_unit(void **state)
{
    static const char *const same[][2] = {
        { "72 hours", "3 days" },
        { "60 s", "1 minute" },
        { "60s", "60 seconds" },
        { "25 €", "25 EUR" },
        { "1,340 items", "1340 items" },
        { "19.000 Euro", "19000 euro" },
        { "0.30 euros", "30 cents" },
        { "0,3", "0.3" },
        { "5.8 percent", "5.8%" },
        { "12 months", "1 year" },
        { "30-minute", "30 minutes" },
        { "1.340,50", "1340.5" },
        { "3rd", "3" },
    };
    static const char *const other[][2] = {
        { "25 euros", "25 days" }, { "25 euros", "250 euros" }, { "0.300", "300" }, { "8:00", "8" }
    };
    (void)state;
    for (size_t i = 0; i < COUNT(same); i++) {
        if (only_key(same[i][0], LANG_EN) != only_key(same[i][1], LANG_EN))
            print_error("%s, %s\n", same[i][0], same[i][1]);
        assert_true(only_key(same[i][0], LANG_EN) == only_key(same[i][1], LANG_EN));
    }
    for (size_t i = 0; i < COUNT(other); i++)
        assert_true(only_key(other[i][0], LANG_EN) != only_key(other[i][1], LANG_EN));
    assert_true(only_key("three days", LANG_EN) == only_key("3 days", LANG_EN));
    assert_true(only_key("zwölf Uhr", LANG_DE) == only_key("12 Uhr", LANG_DE));
}

static void a_currency_in_front_counts(void **state)
{
    struct arena a;
    struct word_list l = scan(&a, "It costs €25 today.");
    (void)state;
    bool found = false;
    for (size_t i = 0; i < l.n; i++)
        found = found ||
                ((l.at[i].flags & WORD_FIGURE) && l.at[i].key == only_key("25 euros", LANG_EN));
    assert_true(found);
    arena_fini(&a);
}

static void sentences_end_where_they_should(void **state)
{
    static const struct {
        const char *text;
        size_t n;
    } rows[] = {
        { "One. Two! Three?", 3 },
        { "Dr. Hahn pays 0.30 euros, e.g. at 8.15 p.m. today.", 1 },
        { "# Title\n\nText over\ntwo lines.\n\n- item one\n- item two\n", 4 },
        { "Am 9. Mai kam er. Dann ging er.", 2 },
        { "First; second.", 2 },
        { "See spec.md and config.yaml.", 1 },
        { "", 0 },
        { "...\n\n***\n", 0 },
        { "应该在30分钟内发送。必须保存。", 2 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena a;
        struct word_list l = scan(&a, rows[i].text);
        if (l.sentences_n != rows[i].n)
            print_error("%s: %zu\n", rows[i].text, l.sentences_n);
        assert_int_equal(l.sentences_n, rows[i].n);
        arena_fini(&a);
    }
}

static void flags_tell_what_a_word_is(void **state)
{
    struct arena a;
    struct word_list l = scan(
        &a,
        "The sensor L-0032 in Halbach sends \"low power\" to the API within two hours of the day.");
    uint16_t all = 0;
    (void)state;
    assert_true(l.at[0].flags & WORD_STOP);
    for (size_t i = 0; i < l.n; i++) {
        if (str_is(l.at[i].text, "L-0032"))
            assert_true((l.at[i].flags & (WORD_ID | WORD_NAME)) == (WORD_ID | WORD_NAME));
        if (str_is(l.at[i].text, "Halbach") || str_is(l.at[i].text, "API"))
            assert_true(l.at[i].flags & WORD_NAME);
        if (str_is(l.at[i].text, "power"))
            assert_true(l.at[i].flags & WORD_QUOTED);
        if (str_is(l.at[i].text, "hours"))
            assert_true(l.at[i].flags & WORD_UNIT);
        if (str_is(l.at[i].text, "two"))
            assert_true(l.at[i].flags & WORD_SPELLED);
        all |= l.at[i].flags;
    }
    assert_true(all & WORD_ID);
    arena_fini(&a);
}

static void languages_are_told_apart(void **state)
{
    static const struct {
        const char *text, *tag;
    } rows[] = {
        { "The member should get a receipt by mail.", "en" },
        { "Das Mitglied soll eine Quittung per E-Mail bekommen.", "de" },
        { "Le membre doit recevoir un reçu par courriel dans les 30 minutes.", "fr" },
        { "El socio debe recibir un recibo por correo en los 30 minutos.", "es" },
        { "Il socio deve ricevere una ricevuta per posta entro 30 minuti.", "it" },
        { "Het lid moet binnen 30 minuten een bewijs van de balie krijgen.", "nl" },
        { "O sócio deve receber um recibo por correio até 30 minutos.", "pt" },
        { "会员应该在30分钟内收到收据。", "zh" },
        { "会員は30分以内にレシートを受け取るべきです。", "ja" },
        { "xyzzy", "" },
        { "", "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_string_equal(words_lang_tag(words_lang_of(str_of(rows[i].text))), rows[i].tag);
}

static void rare_words_rank(void **state)
{
    struct arena a;
    struct word_index ix = { 0 };
    struct word_set docs[3], query;
    static const char *const texts[] = { "loans of books and films", "fees for late books",
                                         "reservations of books" };
    (void)state;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_int_equal(words_set_of(&a, str_of(texts[i]), LANG_EN, &docs[i]), OK);
        assert_int_equal(words_index_add(&a, &ix, &docs[i]), OK);
    }
    assert_int_equal(words_index_done(&a, &ix), OK);
    assert_int_equal(words_set_of(&a, str_of("the fee for a book is too high"), LANG_EN, &query),
                     OK);
    double loans = words_index_rank(&ix, 0, &query), fees = words_index_rank(&ix, 1, &query);
    assert_true(fees > loans && loans > 0 && fees <= 1);
    arena_fini(&a);
}

static void likeness_counts_common_words(void **state)
{
    struct arena a;
    struct word_set x, y, none = { 0 };
    (void)state;
    arena_init(&a, 1 << 20);
    assert_int_equal(words_set_of(&a, str_of("red green blue"), LANG_EN, &x), OK);
    assert_int_equal(words_set_of(&a, str_of("green blue black white"), LANG_EN, &y), OK);
    assert_int_equal(words_shared(&x, &y), 2);
    assert_true(words_dice(&x, &y) > 0.57 && words_dice(&x, &y) < 0.58);
    assert_true(words_share_in(&x, &y) > 0.66 && words_share_in(&x, &y) < 0.67);
    assert_true(words_dice(&none, &none) == 0 && words_share_in(&none, &x) == 0);
    arena_fini(&a);
}

/* Whatever the bytes are: no crash, views inside the text, sentences that cover the words. */
static void any_bytes_are_read(void **state)
{
    char text[300];
    uint32_t seed = 7;
    (void)state;
    struct arena none;
    struct word_list nothing;
    arena_init(&none, 1 << 20);
    assert_int_equal(words_scan(&none, (struct str){ 0 }, LANG_NONE, &nothing), OK);
    assert_int_equal(nothing.n, 0);
    arena_fini(&none);
    for (int round = 0; round < 3000; round++) {
        struct arena a;
        struct word_list l;
        size_t n = (size_t)round % sizeof text, covered = 0;
        for (size_t i = 0; i < n; i++) {
            static const char common[] = "ab1 .,:;-#\n\"'`$%(\xe2\x82\xac\xc3\xa9\xe4\xb8\xad\xff";
            seed = seed * 1664525u + 1013904223u;
            text[i] = round % 3 ? common[(seed >> 16) % (sizeof common - 1)] : (char)(seed >> 24);
        }
        arena_init(&a, 8 << 20);
        assert_int_equal(words_scan(&a, (struct str){ text, n }, LANG_NONE, &l), OK);
        for (size_t i = 0; i < l.n; i++)
            assert_true(l.at[i].text.p >= text && l.at[i].text.p + l.at[i].text.n <= text + n);
        for (size_t i = 0; i < l.sentences_n; i++)
            covered += l.sentences[i].n;
        assert_int_equal(covered, l.n);
        arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_of_a_word_have_one_key),
        cmocka_unit_test(figures_are_equal_by_value_and_unit),
        cmocka_unit_test(a_currency_in_front_counts),
        cmocka_unit_test(sentences_end_where_they_should),
        cmocka_unit_test(flags_tell_what_a_word_is),
        cmocka_unit_test(languages_are_told_apart),
        cmocka_unit_test(rare_words_rank),
        cmocka_unit_test(likeness_counts_common_words),
        cmocka_unit_test(any_bytes_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
