/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_GENERATE_TEXT_H
#define PAWL_GENERATE_TEXT_H
/* text: the words of a text as a set, and the shape of a line. What a word, a figure and a function
 * word is, is said by workers/words.h. */
#include "workers/words.h"

enum { TEXT_WORDS_MAX = 4096 }; /* distinct words of one set; the rest is ignored */

struct words {
    struct word *v; /* sorted by key, distinct; their text stands in what was read */
    size_t n;
};

/* The content words of a text in a language (LANG_NONE: found out), in the arena. Empty when out of
 * memory. */
struct words text_words(struct arena *a, enum words_lang lang, struct str text);
bool word_figure(const struct word *w);
bool words_have(const struct words *w, uint64_t key);
/* The same for a word; "30 minutes" is there when somebody says 30, or half an hour. */
bool words_hold(const struct words *w, const struct word *one);
size_t words_common(const struct words *a, const struct words *b);
/* Share of the words of `a` that `b` has, 0 to 1; figures count 1.5. 0 for an empty `a`. */
double words_share(const struct words *a, const struct words *b);
/* Likeness of two texts: common words by the smaller count (at least three). 0 to 1. */
double words_like(const struct words *a, const struct words *b);
/* Figures of `a` that none of the n sets has, in whatever unit; the first is told in *which (may be
 * NULL). */
size_t words_figures_missing(const struct words *a, const struct words *const *sets, size_t n,
                             struct str *which);
size_t words_figures(const struct words *a);

struct str blank_trim(struct str s); /* blanks off both ends */
/* One line: blanks joined, control characters out, at most max bytes and never inside a UTF-8
 * sequence; in the arena. "" when out of memory. */
char *text_line(struct arena *a, struct str s, size_t max);
/* The same, but the line ends are kept. */
char *text_cut(struct arena *a, struct str s, size_t max);
#endif
