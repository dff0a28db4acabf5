/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/review/claims.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Word lists are data of the languages, blank-separated, lower case, matched whole. */
static const char wanting[] =
    " should must need needs needed want wants wanted shall ought may can could require requires required expect expects "
    "expected let allow allows please wish wishes has-to have-to supposed "
    "soll sollen sollte sollten muss müssen darf dürfen kann können möchte möchten braucht brauchen "
    "doit doivent devrait devraient faut peut peuvent souhaite debe deben debería deberían puede pueden necesita necesitan "
    "deve devono dovrebbe moet moeten ";
static const char trouble[] =
    " die dies died dying dead lose loses lost losing loss miss misses missed missing forget forgets forgot forgotten fail fails failed "
    "failing failure error errors wrong wrongly complain complains complained complaint complaints angry slow slowly late wait waits waited "
    "waiting crash crashes crashed broke broken break breaks leak leaks guess guesses guessed steal steals stole stolen attack attacks spam "
    "confuse confuses confused confusing ignore ignores ignored annoy annoys annoyed mad freeze freezes froze frozen stuck stale vanish "
    "vanishes disappear disappears disappeared overflow overflows flood floods flooded silent silently unlimited endless endlessly twice "
    "duplicate duplicates left leave leaves gone problem problems trouble manually hand drift drifts drifted nobody nothing never no not "
    "without cannot can't doesn't don't isn't aren't won't unable "
    "verloren verliert verlieren vergessen vergisst fehlt fehlen falsch beschwert beschweren wartet warten kaputt langsam niemand nichts nie "
    "kein keine keinen nicht ohne stirbt sterben ausfall "
    "perdu perdre perdent faux lent attendre attend personne rien jamais sans pas mourir meurent "
    "pierde pierden perdido falta faltan lento espera esperan nadie nada nunca sin mueren muere ";
static const char negators[] =
    " not no never without nobody nothing none cannot can't doesn't don't isn't aren't won't neither nor "
    "kein keine keinen keiner nicht nie niemals ohne niemand nichts ne pas jamais sans aucun aucune rien no nunca sin nadie ningún ninguna "
    "non mai senza geen niet nooit zonder ";
/* Verbs that undo what follows them: a requirement with one of them is against it. */
static const char undoing[] =
    " prevent prevents avoid avoids stop stops stopping refuse refuses reject rejects block blocks forbid forbids eliminate eliminates "
    "reduce reduces limit limits cap caps restrict restricts suppress suppresses discard discards remove removes end ends cancel cancels "
    "warn warns detect detects correct corrects fix fixes replace replaces instead "
    "verhindert verhindern vermeidet vermeiden stoppt ablehnen lehnt begrenzt begrenzen "
    "empêche empêcher évite éviter refuse limite limiter evita evitar impide impedir rechaza limita ";

struct token {
    struct str as;
    bool clause_end; /* a mark that ends a clause stands before it */
};

struct tokens {
    struct token *v;
    size_t n;
};

static bool word_byte(unsigned char c)
{
    return isalnum(c) || c >= 0x80 || c == '\'';
}

static struct tokens tokens_of(struct arena *a, struct str t)
{
    struct tokens out = { 0 };
    size_t cap = 0;
    bool ended = false;
    for (size_t i = 0; i < t.n && out.n < 20000;) {
        if (!word_byte((unsigned char)t.p[i])) {
            ended = ended || strchr(".;:!?\n", t.p[i]) != NULL || (t.p[i] == ',' && i + 1 < t.n && t.p[i + 1] == ' ');
            i++;
            continue;
        }
        size_t from = i;
        while (i < t.n && word_byte((unsigned char)t.p[i]))
            i++;
        if (!(out.v = arena_grow(a, out.v, out.n, &cap, sizeof *out.v)))
            return (struct tokens){ 0 };
        out.v[out.n++] = (struct token){ { t.p + from, i - from }, ended };
        ended = false;
    }
    return out;
}

static bool listed(const char *list, struct str word)
{
    char probe[40];
    if (word.n == 0 || word.n > sizeof probe - 3)
        return false;
    probe[0] = ' ';
    for (size_t i = 0; i < word.n; i++)
        probe[i + 1] = (char)tolower((unsigned char)word.p[i]);
    probe[word.n + 1] = ' ';
    probe[word.n + 2] = '\0';
    return strstr(list, probe) != NULL;
}

bool claims_only_wants(struct str word)
{
    return listed(wanting, word);
}

static bool any_listed(const struct tokens *t, const char *list)
{
    for (size_t i = 0; i < t->n; i++) {
        if (listed(list, t->v[i].as))
            return true;
    }
    return false;
}

struct words negated_words(struct arena *a, struct str text)
{
    struct tokens t = tokens_of(a, text);
    struct buf under;
    int left = 0;
    buf_init(&under, 1 << 20);
    for (size_t i = 0; i < t.n; i++) {
        if (t.v[i].clause_end)
            left = 0;
        if (listed(negators, t.v[i].as) || listed(undoing, t.v[i].as)) {
            left = 3;
            continue;
        }
        if (left == 0)
            continue;
        struct words w = words_of(a, t.v[i].as);
        if (w.n == 0)
            continue; /* a function word does not use the reach up */
        buf_view(&under, t.v[i].as);
        buf_char(&under, ' ');
        left--;
    }
    char *z = arena_dup(a, buf_z(&under), under.len);
    struct words out = z ? words_of(a, str_of(z)) : (struct words){ 0 };
    buf_fini(&under);
    return out;
}

static enum claim_kind kind_of(const struct tokens *t)
{
    /* "has to", "have to": two words */
    for (size_t i = 0; i + 1 < t->n; i++) {
        bool have = str_is(t->v[i].as, "has") || str_is(t->v[i].as, "have");
        if (have && str_is(t->v[i + 1].as, "to"))
            return CLAIM_WISH;
        bool at = str_is(t->v[i].as, "at") || str_is(t->v[i].as, "At");
        if (at && (str_is(t->v[i + 1].as, "most") || str_is(t->v[i + 1].as, "least")))
            return CLAIM_WISH;
    }
    if (any_listed(t, wanting))
        return CLAIM_WISH;
    return any_listed(t, trouble) ? CLAIM_COMPLAINT : CLAIM_TELLING;
}

static void claim_add(struct arena *a, struct claims *c, struct str text)
{
    struct tokens t = tokens_of(a, text);
    struct claim k = { .text = text, .kind = kind_of(&t), .words = words_of(a, text), .negated = negated_words(a, text) };
    if (k.words.n == 0 || c->n == CLAIMS_MAX)
        return;
    c->wishes = c->wishes || k.kind == CLAIM_WISH;
    c->v[c->n++] = k;
}

/* Headings say what it is about, mostly the complaint; they are no sentences. */
static void headings(struct arena *a, struct claims *c, struct str problem)
{
    for (size_t i = 0; i < problem.n;) {
        const char *nl = memchr(problem.p + i, '\n', problem.n - i);
        size_t end = nl ? (size_t)(nl - problem.p) : problem.n;
        struct str line = blank_trim((struct str){ problem.p + i, end - i });
        if (line.n > 0 && line.p[0] == '#')
            claim_add(a, c, line);
        i = end + 1;
    }
}

struct claims claims_of(struct arena *a, struct str problem)
{
    struct str all[CLAIMS_MAX];
    struct claims c = { 0 };
    size_t n = sentences_of(problem, all, CLAIMS_MAX);
    c.v = arena_alloc(a, CLAIMS_MAX * sizeof *c.v);
    if (!c.v)
        return c;
    headings(a, &c, problem);
    for (size_t i = 0; i < n; i++)
        claim_add(a, &c, all[i]);
    for (size_t i = 0; i < c.n; i++) {
        static const double weights[] = { [CLAIM_WISH] = 1.0, [CLAIM_COMPLAINT] = 0.1, [CLAIM_TELLING] = 0.3 };
        c.v[i].weight = c.wishes ? weights[c.v[i].kind] : 1.0;
    }
    return c;
}

/* Share of the words of `req` that the claim has, those with the same negation only. */
static double agreement(const struct words *req, const struct words *req_negated, const struct claim *k, size_t *common)
{
    size_t same = 0;
    for (size_t i = 0; i < req->n; i++) {
        uint64_t key = req->v[i].key;
        bool here = words_have(req_negated, key), there = words_have(&k->negated, key);
        same += words_have(&k->words, key) && here == there;
    }
    *common = same;
    return req->n ? (double)same / (double)req->n : 0;
}

/* What a requirement is about: its text without the words that every requirement has. */
static struct words about(struct arena *a, struct str requirement)
{
    static const char frame[] = " ensure ensures provide provides support supports system make makes sure guarantee guarantees all keep "
                                "keeps allow allows let lets continue continues remain remains ";
    struct tokens t = tokens_of(a, requirement);
    struct buf rest;
    buf_init(&rest, 1 << 20);
    for (size_t i = 0; i < t.n; i++) {
        if (listed(frame, t.v[i].as))
            continue;
        buf_view(&rest, t.v[i].as);
        buf_char(&rest, ' ');
    }
    char *z = arena_dup(a, buf_z(&rest), rest.len);
    struct words w = z ? words_of(a, str_of(z)) : (struct words){ 0 };
    buf_fini(&rest);
    return w;
}

bool claims_grievance(struct arena *a, const struct claims *c, struct str requirement, struct str *why, bool *doubt)
{
    struct words req = about(a, requirement), negated = negated_words(a, requirement);
    double worst = 0, wish = 0;
    size_t worst_common = 0;
    if (doubt)
        *doubt = false;
    for (size_t i = 0; i < c->n; i++) {
        size_t common;
        double share = agreement(&req, &negated, &c->v[i], &common);
        if (c->v[i].kind == CLAIM_WISH && share > wish)
            wish = share;
        if (c->v[i].kind != CLAIM_COMPLAINT || share <= worst)
            continue;
        worst = share;
        worst_common = common;
        if (why)
            *why = c->v[i].text;
    }
    bool nearer = worst > wish;
    if (doubt)
        *doubt = nearer && worst >= 0.4;
    size_t enough = req.n <= 4 ? 2 : 3;
    return nearer && worst >= 0.6 && worst_common >= enough;
}

/* ---- copies ---------------------------------------------------------------------------------- */

static bool same_word(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (tolower((unsigned char)a.p[i]) != tolower((unsigned char)b.p[i]))
            return false;
    }
    return true;
}

/* run[j]: length of the common run that ends at word j of b and the current word of a. */
static size_t runs(const struct tokens *a, const struct tokens *b, size_t *run, bool *in_run, size_t least)
{
    size_t longest = 0;
    for (size_t i = 0; i < a->n; i++) {
        for (size_t j = b->n; j-- > 0;) {
            size_t before = i && j ? run[j - 1] : 0;
            run[j] = same_word(a->v[i].as, b->v[j].as) ? before + 1 : 0;
            if (run[j] > longest)
                longest = run[j];
            for (size_t k = 0; in_run && run[j] >= least && k < run[j]; k++)
                in_run[j - k] = true;
        }
    }
    return longest;
}

enum { COMPARE_MAX = 2000 };

size_t text_common_run(struct str x, struct str y)
{
    struct arena a;
    arena_init(&a, 8 << 20);
    struct tokens t = tokens_of(&a, x), u = tokens_of(&a, y);
    t.n = t.n < COMPARE_MAX ? t.n : COMPARE_MAX;
    u.n = u.n < COMPARE_MAX ? u.n : COMPARE_MAX;
    size_t *run = arena_alloc(&a, (u.n + 1) * sizeof *run);
    size_t longest = run ? runs(&t, &u, run, NULL, 0) : 0;
    arena_fini(&a);
    return longest;
}

bool text_pastes(struct str text, struct str problem)
{
    struct arena a;
    arena_init(&a, 8 << 20);
    struct tokens t = tokens_of(&a, text), p = tokens_of(&a, problem);
    t.n = t.n < COMPARE_MAX ? t.n : COMPARE_MAX;
    p.n = p.n < COMPARE_MAX ? p.n : COMPARE_MAX;
    size_t *run = arena_alloc(&a, (p.n + 1) * sizeof *run);
    bool *in_run = arena_alloc(&a, p.n + 1);
    size_t longest = run && in_run ? runs(&t, &p, run, in_run, 6) : 0, covered = 0;
    for (size_t i = 0; in_run && i < p.n; i++)
        covered += in_run[i];
    /* A short statement is one sentence: taking it over is no paste. */
    bool pastes = p.n >= 25 && (longest >= 30 || 2 * covered > p.n);
    arena_fini(&a);
    return pastes;
}
