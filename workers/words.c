/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/words_in.h"

#include <math.h>
#include <string.h>

/* ---- languages ---------------------------------------------------------------------------------- */

static const char *const tags[LANG_COUNT] = {
    [LANG_NONE] = "",
#define LANG(id, tag, stops, numbers) [LANG_##id] = tag,
#include "workers/words.def"
#undef LANG
    [LANG_ZH] = "zh",
    [LANG_JA] = "ja",
};

const char *words_lang_tag(enum words_lang lang)
{
    return lang < LANG_COUNT ? tags[lang] : "";
}

static const struct lexeme lexemes[LEXEME_SLOTS] = {
#include "words_table.inc"
};

const struct lexeme *lexeme_find(uint64_t low)
{
    const struct lexeme *at = &lexemes[low % LEXEME_SLOTS];
    while (at->key != 0 && at->key != low)
        at = at + 1 < lexemes + LEXEME_SLOTS ? at + 1 : lexemes;
    return at;
}

static unsigned bit_of(enum words_lang lang)
{
    return lang > LANG_NONE && lang < LANG_ZH ? 1u << (lang - LANG_NONE - 1) : 0;
}

bool words_stop(enum words_lang lang, uint64_t low)
{
    return lexeme_find(low)->stops & bit_of(lang);
}

double words_number(enum words_lang lang, uint64_t low)
{
    const struct lexeme *l = lexeme_find(low);
    return l->numbers & bit_of(lang) ? l->value : 0;
}

enum { GUESS_WORDS = 400 }; /* the beginning of a text tells its language */

struct guess {
    size_t n; /* words */
    size_t hits[LANG_COUNT];
    size_t kana, han, letters;
};

static void guess_scan(struct str text, struct guess *g)
{
    for (size_t i = 0, len; i < text.n && g->n < GUESS_WORDS && g->han < GUESS_WORDS;) {
        uint32_t cp = char_at(text, i, &len);
        enum char_class k = char_class_of(cp);
        size_t from = i;
        g->kana += k == CHAR_CJK && cp < 0x3100;
        g->han += k == CHAR_CJK;
        if (k != CHAR_LETTER) {
            i += len;
            continue;
        }
        for (; i < text.n; i += len) {
            cp = char_at(text, i, &len);
            if (char_class_of(cp) != CHAR_LETTER && cp != '\'' && cp != 0x2019)
                break;
        }
        char low[STEM_MAX];
        size_t n = word_lower((struct str){ text.p + from, i - from }, low);
        g->letters += n;
        g->n++;
        unsigned stops = lexeme_find(hash_bytes(low, n))->stops;
        for (enum words_lang l = LANG_NONE + 1; stops; l++, stops >>= 1)
            g->hits[l] += stops & 1;
    }
}

enum words_lang words_lang_of(struct str text)
{
    struct guess g = { .n = 0 };
    enum words_lang best = LANG_NONE;
    size_t most = 0;
    guess_scan(text, &g);
    if (g.han * 3 > g.letters)
        return g.han == 0 ? LANG_NONE : g.kana * 5 > g.han ? LANG_JA : LANG_ZH;
    for (enum words_lang l = LANG_NONE + 1; l < LANG_ZH; l++) {
        if (g.hits[l] > most) {
            most = g.hits[l];
            best = l;
        }
    }
    return most >= 2 && most * 10 >= g.n ? best : LANG_NONE;
}

uint64_t words_low(struct str word)
{
    char low[STEM_MAX];
    size_t n = word_lower(word, low);
    return hash_bytes(low, n);
}

uint64_t words_key(struct str word)
{
    char low[STEM_MAX];
    size_t n = word_stem(low, word_lower(word, low));
    return hash_bytes(low, n);
}

/* ---- sets --------------------------------------------------------------------------------------- */

void words_add(struct arena *a, struct word_set *set, uint64_t key)
{
    uint64_t *at = arena_grow(a, set->at, set->n, &set->cap, sizeof *at);
    if (!at) {
        set->failed = true;
        return;
    }
    set->at = at;
    at[set->n++] = key;
}

/* Shell's sort: these sets are made by the hundred, and qsort calls a function for each comparison. */
static void sort_keys(uint64_t *at, size_t n)
{
    size_t gap = 1;
    while (gap < n / 3)
        gap = gap * 3 + 1;
    for (; gap > 0; gap /= 3) {
        for (size_t i = gap; i < n; i++) {
            uint64_t key = at[i];
            size_t k = i;
            for (; k >= gap && at[k - gap] > key; k -= gap)
                at[k] = at[k - gap];
            at[k] = key;
        }
    }
}

void words_sort(struct word_set *set)
{
    size_t n = 0;
    sort_keys(set->at, set->n);
    for (size_t i = 0; i < set->n; i++) {
        if (n == 0 || set->at[n - 1] != set->at[i])
            set->at[n++] = set->at[i];
    }
    set->n = n;
}

static const uint64_t *find_key(const struct word_set *set, uint64_t key)
{
    size_t from = 0, n = set->n;
    while (n > 0) {
        size_t half = n / 2;
        if (set->at[from + half] < key) {
            from += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return from < set->n && set->at[from] == key ? &set->at[from] : NULL;
}

bool words_in(const struct word_set *set, uint64_t key)
{
    return find_key(set, key) != NULL;
}

size_t words_shared(const struct word_set *a, const struct word_set *b)
{
    size_t n = 0;
    for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
        n += a->at[i] == b->at[k];
        uint64_t x = a->at[i], y = b->at[k];
        i += x <= y;
        k += y <= x;
    }
    return n;
}

void words_collect(struct arena *a, const struct word *w, size_t n, struct word_set *set)
{
    for (size_t i = 0; i < n; i++) {
        if (!(w[i].flags & (WORD_STOP | WORD_UNIT)))
            words_add(a, set, w[i].key);
    }
    words_sort(set);
}

enum status words_gather(struct arena *a, struct str text, enum words_lang lang,
                         struct word_set *set)
{
    struct arena scratch;
    struct word_list list;
    arena_init(&scratch, WORDS_SCRATCH_MAX);
    enum status st = words_scan(&scratch, text, lang, &list);
    if (st == OK)
        words_collect(a, list.at, list.n, set);
    arena_fini(&scratch);
    return st == OK && set->failed ? ERR_LIMIT : st;
}

enum status words_set_of(struct arena *a, struct str text, enum words_lang lang,
                         struct word_set *out)
{
    *out = (struct word_set){ 0 };
    return words_gather(a, text, lang, out);
}

double words_weight(const struct word *w, const struct word_set *known)
{
    if (w->flags & (WORD_STOP | WORD_UNIT))
        return 0;
    if (w->flags & WORD_FIGURE)
        return w->flags & WORD_SPELLED ? 1 : 1.5;
    return known && words_in(known, w->key) ? 0.3 : 1;
}

double words_dice(const struct word_set *a, const struct word_set *b)
{
    return a->n + b->n ? 2.0 * (double)words_shared(a, b) / (double)(a->n + b->n) : 0;
}

double words_share_in(const struct word_set *a, const struct word_set *b)
{
    return a->n ? (double)words_shared(a, b) / (double)a->n : 0;
}

/* ---- ranking ------------------------------------------------------------------------------------ */

enum status words_index_add(struct arena *a, struct word_index *ix, const struct word_set *doc)
{
    struct word_set *docs = arena_grow(a, ix->docs, ix->n, &ix->cap, sizeof *docs);
    if (!docs)
        return ERR_LIMIT;
    ix->docs = docs;
    docs[ix->n++] = *doc;
    for (size_t i = 0; i < doc->n; i++)
        words_add(a, &ix->seen, doc->at[i]);
    return ix->seen.failed ? ERR_LIMIT : OK;
}

enum status words_index_done(struct arena *a, struct word_index *ix)
{
    struct word_set *seen = &ix->seen;
    size_t n = 0;
    if (seen->n == 0)
        return OK;
    sort_keys(seen->at, seen->n);
    ix->counts = arena_alloc(a, seen->n * sizeof *ix->counts);
    if (!ix->counts)
        return ERR_LIMIT;
    for (size_t i = 0; i < seen->n; i++) {
        if (n == 0 || seen->at[n - 1] != seen->at[i])
            seen->at[n++] = seen->at[i];
        ix->counts[n - 1]++;
    }
    seen->n = n;
    return OK;
}

static double idf(const struct word_index *ix, uint64_t key)
{
    const uint64_t *at = find_key(&ix->seen, key);
    uint32_t count = at ? ix->counts[at - ix->seen.at] : 0;
    return log(1 + (double)ix->n / (0.5 + count));
}

double words_index_rank(const struct word_index *ix, size_t i, const struct word_set *query)
{
    double has = 0, all = 0;
    for (size_t k = 0; k < query->n; k++) {
        uint64_t key = query->at[k];
        if (!words_in(&ix->seen, key))
            continue; /* nobody has it: it ranks nobody */
        double w = idf(ix, key);
        all += w;
        has += words_in(&ix->docs[i], key) ? w : 0;
    }
    return all > 0 ? has / all : 0;
}
