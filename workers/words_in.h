/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_WORDS_IN_H
#define PAWL_WORDS_IN_H
/* words_in: what the two halves of words share: characters, stems, figures. Internal. */
#include "workers/words.h"

enum { STEM_MAX = 64 }; /* bytes of a word that matter */

enum char_class { CHAR_OTHER, CHAR_SPACE, CHAR_LETTER, CHAR_DIGIT, CHAR_CJK };

/* The code point at s.p[i] and its length; a byte that is not UTF-8 is U+FFFD of length 1. */
uint32_t char_at(struct str s, size_t i, size_t *len);
enum char_class char_class_of(uint32_t cp);
uint32_t char_lower(uint32_t cp);
bool char_is_upper(uint32_t cp);
/* Lower case, typographic apostrophes made plain. At most STEM_MAX - 1 bytes; NUL-terminated. */
size_t word_lower(struct str word, char out[STEM_MAX]);

uint64_t hash_bytes(const void *p, size_t n);
/* Cut the endings off, in place; the new length. */
size_t word_stem(char *w, size_t n);

/* The value of digits with separators: "1,340", "19.000", "0.30", "0,3"; a clock time in minutes. */
double figure_value(struct str digits, bool *clock);
uint64_t figure_key(double value, int dimension);
/* Is this lower-case word a unit? */
struct unit {
    int dimension; /* DIM_… */
    double factor; /* into the unit of the dimension */
};
enum {
    DIM_NONE,
    DIM_SECONDS,
    DIM_MONTHS,
    DIM_PERCENT,
    DIM_EURO,
    DIM_DOLLAR,
    DIM_POUND,
    DIM_BYTES,
    DIM_TIMES,
    DIM_CLOCK
};
const struct unit *unit_find(const char *low);

/* What a lower-case word is in each language; bit 0 is the first language after LANG_NONE. The table
 * is made from words.def by the build. */
enum { LEXEME_SLOTS = 2048 };
struct lexeme {
    uint64_t key; /* the word's low hash; 0: nothing */
    uint8_t stops, numbers;
    uint16_t value; /* of a number word */
};
const struct lexeme *lexeme_find(uint64_t low); /* never NULL: {0} where nothing is known */
bool words_stop(enum words_lang lang, uint64_t low);
/* The value of a number word; 0: it is none. */
double words_number(enum words_lang lang, uint64_t low);
#endif
