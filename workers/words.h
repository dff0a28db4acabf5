/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_WORDS_H
#define PAWL_WORDS_H
/* words: natural language without a model. A text becomes sentences and words; a word has a key that
 * is equal for equal meanings as far as spelling tells: the stem of a word ("charges", "charged"), the
 * value and dimension of a figure ("72 hours", "3 days", "three days"). Chinese and Japanese, which
 * put no blanks between words, are cut into pairs of characters.
 *
 * Pure; memory comes from the arena, views point into the text, which must be valid UTF-8 (other
 * bytes are passed over). Bounds: WORDS_MAX words of a text, the rest is ignored. */
#include "common/arena.h"

/* Room for reading WORDS_MAX words is enough for any text. */
enum { WORDS_MAX = 262144, WORDS_SCRATCH_MAX = 256 * 1024 * 1024 };

enum words_lang {
    LANG_NONE, /* too little to tell */
#define LANG(id, tag, stops, numbers) LANG_##id,
#include "workers/words.def"
#undef LANG
    LANG_ZH,
    LANG_JA,
    LANG_COUNT
};

const char *words_lang_tag(enum words_lang lang); /* BCP 47, "" for LANG_NONE; static */
enum words_lang words_lang_of(struct str text);

enum word_flag {
    WORD_STOP = 1,     /* a function word, or a letter */
    WORD_FIGURE = 2,   /* a number */
    WORD_SPELLED = 4,  /* a number in letters */
    WORD_UNIT = 8,     /* counted with the figure before it */
    WORD_NAME = 16,    /* capital inside a sentence, acronym, or code */
    WORD_ID = 32,      /* letters and digits: PX-20 */
    WORD_QUOTED = 64,  /* inside quotation marks or back ticks */
    WORD_CAPITAL = 128 /* begins with one */
};

struct word {
    uint64_t key;
    uint64_t low; /* of the lower-case form as it stands; figures: of the value alone */
    struct str text;
    double value; /* figures */
    uint16_t flags;
    char after; /* a comma, colon, bracket or dash that follows; else 0 */
};

struct sentence {
    struct str text; /* trimmed, without heading or list mark */
    size_t first, n; /* its words */
    bool heading;
    bool item; /* of a list */
};

struct word_list {
    struct word *at;
    size_t n, cap;
    struct sentence *sentences;
    size_t sentences_n, sentences_cap;
    enum words_lang lang;
};

/* LANG_NONE: found out from the text. ERR_LIMIT: no memory. */
enum status words_scan(struct arena *a, struct str text, enum words_lang lang,
                       struct word_list *out) MUST_USE;
/* Keys of a lower-case word of a cue list; they equal word.key and word.low of that word. */
uint64_t words_key(struct str word);
uint64_t words_low(struct str word);

/* A set of keys: sorted, distinct. */
struct word_set {
    uint64_t *at;
    size_t n, cap;
    bool failed; /* out of memory: the set is incomplete */
};

void words_add(struct arena *a, struct word_set *set,
               uint64_t key); /* call words_sort at the end */
void words_sort(struct word_set *set);
bool words_in(const struct word_set *set, uint64_t key);
size_t words_shared(const struct word_set *a, const struct word_set *b);
/* Content words (no function words, no units) of a run of words, added and sorted. */
void words_collect(struct arena *a, const struct word *w, size_t n, struct word_set *set);
/* The content words of a text, added to a set and sorted; what the reading takes is given back. */
enum status words_gather(struct arena *a, struct str text, enum words_lang lang,
                         struct word_set *set) MUST_USE;
/* The same, into a new set. */
enum status words_set_of(struct arena *a, struct str text, enum words_lang lang,
                         struct word_set *out) MUST_USE;

/* Weight of a word against what the workspace already talks about: 0 for function words and units,
 * 1.5 for a figure (1 when spelled), 0.3 for a word of `known`, else 1. */
double words_weight(const struct word *w, const struct word_set *known);

/* Likeness of two sets, 0 to 1: twice the common words by all words. */
double words_dice(const struct word_set *a, const struct word_set *b);
/* Share of `a` that `b` has. 0 for an empty `a`. */
double words_share_in(const struct word_set *a, const struct word_set *b);

/* Ranking of texts against a query, rare words first (inverse document frequency). */
struct word_index {
    struct word_set *docs;
    size_t n, cap;
    struct word_set seen; /* with repetitions until words_index_done() */
    uint32_t *counts;     /* documents that have seen.at[i] */
};

enum status words_index_add(struct arena *a, struct word_index *ix,
                            const struct word_set *doc) MUST_USE;
enum status words_index_done(struct arena *a, struct word_index *ix) MUST_USE;
/* Relevance of document i, 0 to 1: the share of the query's weight that it has. */
double words_index_rank(const struct word_index *ix, size_t i, const struct word_set *query);
#endif
