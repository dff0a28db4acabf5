/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_PROBLEM_H
#define PAWL_PROBLEM_H
/* problem: a problem statement read clause by clause, without a model. Some clauses say what is
 * wanted, others tell a story and complain. A draft has to do what is wanted; figures and names of the
 * story ("340 fees last winter") need not be in it, and a requirement that makes the story come true
 * is worse than none.
 *
 *   wish       has a word of wanting (should, must, soll, doit, …), is an order ("lock the account"),
 *              or stands below a heading such as "Wanted"
 *   more       no such word, but it follows a wish and neither complains nor tells of the past
 *   story      all else, the title too
 *
 * When nothing is wanted in words, what is said to be missing or impossible counts, else what is
 * stated without complaint, else everything. */
#include "workers/cues.h"

enum point_kind { POINT_STORY, POINT_MORE, POINT_WISH };

enum { POINTS_MAX = 256 };

struct term {
    uint64_t key;
    uint64_t low; /* figures: of the value alone */
    const struct word *word;
    double weight; /* 0: needs no answer */
    bool figure;
    bool result; /* what shall come of it: behind the word of wanting, not in a condition */
    bool negated;
};

struct point {
    struct str sentence;
    struct str text;          /* the sentence, or the clause when each says something wanted */
    const struct word *words; /* of the clause */
    size_t words_n;
    enum point_kind kind;
    bool heading;
    bool complains;  /* story: it has a word of trouble, or of the past */
    bool suppresses; /* it has a word that keeps something from happening */
    bool negates;
    struct term *terms; /* content words, distinct */
    size_t n;
    const struct word *verb; /* what shall be done ("should be capped"); NULL: not plain to see */
    struct word_set keys;    /* of the terms */
    double share;            /* how much of it needs an answer: 1 all, 0 nothing */
    double weight;           /* sum of the terms, times share */
};

struct problem {
    struct word_list list;
    struct point *points;
    size_t n;
    bool wishes;
    bool complains; /* and nothing else: what is wanted has to be guessed */
    double weight;  /* sum of the points */
};

/* `known`: words that the specs have. ERR_LIMIT: no memory. */
enum status problem_read(struct arena *a, const struct cues *cues, struct str text,
                         const struct word_set *known, struct problem *out) MUST_USE;

/* Does word i turn round what follows: "not", "without", "fails to"? */
bool word_negates(const struct cues *cues, const struct word *w, size_t n, size_t i);
/* For each word: does it stand under a negation? Up to four content words after it, to the end of
 * the clause. out has room for n. */
void words_negated(const struct cues *cues, const struct word *w, size_t n, bool *out);
/* For each word: does it belong to a condition ("when …", "wenn …")? */
void words_conditional(const struct cues *cues, const struct word *w, size_t n, bool *out);
#endif
