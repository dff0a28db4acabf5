/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_GENERATE_TEXT_H
#define PAWL_GENERATE_TEXT_H
/* text: words, figures and sentences of natural language, counted without a model. Words are runs of
 * letters, digits and bytes above ASCII, folded to lower case, English endings taken off. Function
 * words and very short words weigh nothing. A figure is a word with a digit ("15", "99.9"); two to
 * twelve in English words count as figures. Other languages work as far as they put blanks between words. */
#include "common/arena.h"

enum { TEXT_WORDS_MAX = 4096 }; /* distinct words of one set; the rest is ignored */

struct word {
    uint64_t key;  /* hash of the folded form */
    struct str as; /* where it stands in the text */
    bool figure;
};

struct words {
    struct word *v; /* sorted by key, distinct */
    size_t n;
};

/* The content words of a text; `v` lives in the arena, `as` in the text. Empty when out of memory. */
struct words words_of(struct arena *a, struct str text);
bool words_have(const struct words *w, uint64_t key);
size_t words_common(const struct words *a, const struct words *b);
/* Share of the words of `a` that `b` has, 0 to 1; figures count 1.5. 0 for an empty `a`. */
double words_share(const struct words *a, const struct words *b);
/* Likeness of two texts: common words by the smaller count (at least three). 0 to 1. */
double words_like(const struct words *a, const struct words *b);
/* Figures of `a` that none of the n sets has; the first is told in *which (may be NULL). */
size_t words_figures_missing(const struct words *a, const struct words *const *sets, size_t n,
                             struct str *which);
size_t words_figures(const struct words *a);

/* Sentences and list items, without bullet and end mark, headings left out; at most `max`.
 * Returns their number. */
size_t sentences_of(struct str text, struct str *out, size_t max);
struct str blank_trim(struct str s); /* blanks off both ends */
/* One line: blanks joined, control characters out, at most max bytes and never inside a UTF-8
 * sequence; in the arena. "" when out of memory. */
char *text_line(struct arena *a, struct str s, size_t max);
/* The same, but the line ends are kept. */
char *text_cut(struct arena *a, struct str s, size_t max);
#endif
