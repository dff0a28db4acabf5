/* SPDX-License-Identifier: Apache-2.0 */
/* words-table: run by the build. Prints the function and number words of all languages as a hash
 * table of constants, so that no text pays for reading the lists. */
#include "workers/words_in.h"

#include <stdio.h>
#include <string.h>

static bool put(struct lexeme *table, struct str word, struct lexeme what)
{
    uint64_t key = hash_bytes(word.p, word.n);
    struct lexeme *at = &table[key % LEXEME_SLOTS];
    while (at->key != 0 && at->key != key)
        at = at + 1 < table + LEXEME_SLOTS ? at + 1 : table;
    if (what.value && at->value && what.value != at->value) {
        fprintf(stderr, "words.def: %.*s is two numbers\n", STR_ARG(word));
        return false;
    }
    at->key = key;
    at->stops |= what.stops;
    at->numbers |= what.numbers;
    at->value = what.value ? what.value : at->value;
    return true;
}

static bool put_all(struct lexeme *table, const char *stops, const char *numbers, uint8_t bit)
{
    bool good = true;
    size_t n;
    for (const char *at = stops; good && *at; at += n + strspn(at + n, " ")) {
        n = strcspn(at, " ");
        good = put(table, (struct str){ at, n }, (struct lexeme){ .stops = bit });
    }
    for (const char *at = numbers; good && *at; at += n + strspn(at + n, " ")) {
        unsigned value = 0;
        n = strcspn(at, " ");
        size_t word = strcspn(at, "=");
        good = sscanf(at + word, "=%u", &value) == 1 && value > 0 && value <= UINT16_MAX &&
               put(table, (struct str){ at, word },
                   (struct lexeme){ .numbers = bit, .value = (uint16_t)value });
    }
    return good;
}

int main(void)
{
    static const struct {
        const char *stops, *numbers;
        enum words_lang lang;
    } langs[] = {
#define LANG(id, tag, stops, numbers) { stops, numbers, LANG_##id },
#include "workers/words.def"
#undef LANG
    };
    struct lexeme table[LEXEME_SLOTS] = { 0 };
    size_t used = 0;
    for (size_t i = 0; i < COUNT(langs); i++) {
        uint8_t bit = (uint8_t)(1u << (langs[i].lang - LANG_NONE - 1));
        if (!put_all(table, langs[i].stops, langs[i].numbers, bit))
            return 1;
    }
    for (size_t i = 0; i < LEXEME_SLOTS; i++) {
        const struct lexeme *l = &table[i];
        used += l->key != 0;
        if (l->key)
            printf("[%zu] = { 0x%llxu, %u, %u, %u },\n", i, (unsigned long long)l->key, l->stops,
                   l->numbers, l->value);
    }
    if (used * 2 > LEXEME_SLOTS)
        fputs("words.def: LEXEME_SLOTS is too small\n", stderr);
    return used * 2 > LEXEME_SLOTS;
}
