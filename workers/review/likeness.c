/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/review/measures_in.h"

#include "common/openspec/spec.h"

#include <string.h>

enum { NEWS_WORDS = 2 };

static const double like_existing = 0.5, like_own = 0.6, part_of = 0.8, news_share = 0.25,
                    same_whatever = 0.9;

/* Most of the smaller one is in the other, and they are of about the same size. */
static bool contained(const struct word_set *x, const struct word_set *y, double share)
{
    const struct word_set *small = x->n < y->n ? x : y, *large = x->n < y->n ? y : x;
    return small->n >= 4 && large->n <= small->n * 5 / 2 && words_share_in(small, large) >= share;
}

static bool is_figure_news(const struct work *w, const struct req *q, const struct word_set *theirs)
{
    for (size_t i = 0; i < q->list.n; i++) {
        const struct word *x = &q->list.at[i];
        if ((x->flags & WORD_FIGURE) && !words_in(theirs, x->key) && words_in(&w->topic, x->key))
            return true;
    }
    return false;
}

/* It speaks of what only the problem speaks of: no restatement, however much it shares. */
static bool is_word_news(const struct work *w, const struct req *q, const struct held *h)
{
    size_t news = 0;
    for (size_t i = 0; i < q->demanded.n; i++) {
        uint64_t key = q->demanded.at[i];
        news += !words_in(&h->whole, key) && !words_in(&w->known, key) && words_in(&w->topic, key);
    }
    return news > 0 && (double)news >= news_share * (double)q->demanded.n;
}

const struct held *like_held(const struct work *w, const struct req *q, enum likeness *how)
{
    const struct held *own =
        q->op == REQ_MODIFIED ? held_of(&w->helds, q->capability, q->name) : NULL;
    *how = LIKE_NONE;
    for (size_t i = 0; i < w->helds.n; i++) {
        const struct held *h = &w->helds.at[i];
        bool like = words_dice(&q->demanded, &h->text) >= like_existing ||
                    contained(&q->demanded, &h->text, part_of);
        if (h == own || !like || is_word_news(w, q, h) ||
            (own && words_dice(&own->text, &h->text) >= like_existing))
            continue;
        *how = is_figure_news(w, q, &h->text) ? LIKE_OTHER_FIGURE : LIKE_SAME;
        return h;
    }
    return NULL;
}

const struct req *like_earlier(const struct work *w, const struct req *q)
{
    for (const struct req *o = w->reqs.at; o < q; o++) {
        bool normal = o->op == REQ_ADDED || o->op == REQ_MODIFIED;
        double dice = words_dice(&q->demanded, &o->demanded);
        bool like = dice >= like_own || contained(&q->demanded, &o->demanded, 0.9);
        /* "record loans" and "send recorded loans" share words, but not what they do. */
        if (normal && like && (dice >= same_whatever || words_shared(&q->verbs, &o->verbs) > 0))
            return o;
    }
    return NULL;
}

bool like_base(const struct work *w, const struct req *q)
{
    const struct held *own =
        q->op == REQ_MODIFIED ? held_of(&w->helds, q->capability, q->name) : NULL;
    size_t news = 0;
    if (!own)
        return false;
    for (size_t i = 0; i < q->demanded.n; i++)
        news += !words_in(&own->whole, q->demanded.at[i]);
    return news < NEWS_WORDS && !is_figure_news(w, q, &own->whole);
}

/* ---- what the specs hold ------------------------------------------------------------------------- */

static struct held *add_held(struct work *w)
{
    struct held *at = arena_grow(w->a, w->helds.at, w->helds.n, &w->helds.cap, sizeof *at);
    if (!at) {
        w->failed = true;
        return NULL;
    }
    w->helds.at = at;
    at[w->helds.n] = (struct held){ 0 };
    return &at[w->helds.n++];
}

static void add_words(struct work *w, struct str text, struct word_set *set)
{
    if (words_gather(w->a, text, LANG_NONE, set) != OK)
        w->failed = true;
}

static void know(struct work *w, const struct word_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        words_add(w->a, &w->known, set->at[i]);
}

static void from_ws(struct work *w)
{
    struct str_list ids = { 0 };
    if (ws_spec_ids(w->a, w->in->ws, str_of("specs/"), &ids) != OK)
        w->failed = true;
    for (size_t i = 0; i < ids.n && !w->failed; i++) {
        struct spec spec;
        w->failed = spec_of(w->a, w->in->ws, ids.at[i], &spec) == ERR_LIMIT;
        for (size_t k = 0; k < spec.n && !w->failed; k++) {
            const struct spec_requirement *r = &spec.requirements[k];
            struct held *h = add_held(w);
            if (!h)
                return;
            h->name = arena_dup(w->a, r->name.p ? r->name.p : "", r->name.n);
            h->capability = arena_dup(w->a, spec.id.p, spec.id.n);
            w->failed = w->failed || !h->name || !h->capability;
            add_words(w, r->text, &h->text);
            add_words(w, r->raw, &h->whole);
            know(w, &h->whole);
        }
    }
}

static void from_brief(struct work *w)
{
    const json_t *caps = js_list(w->in->brief, "capabilities");
    for (size_t i = 0; i < js_count(caps); i++) {
        const json_t *known = js_list(js_at(caps, i), "requirements");
        for (size_t k = 0; k < js_count(known); k++) {
            const json_t *r = js_at(known, k), *scenarios = js_list(r, "scenarios");
            struct held *h = add_held(w);
            if (!h)
                return;
            h->name = js_str(r, "name");
            h->capability = js_str(js_at(caps, i), "id");
            add_words(w, js_view(r, "text"), &h->text);
            add_words(w, js_view(r, "text"), &h->whole);
            for (size_t s = 0; s < js_count(scenarios); s++)
                add_words(w,
                          (struct str){ json_string_value(js_at(scenarios, s)),
                                        json_string_length(js_at(scenarios, s)) },
                          &h->whole);
            know(w, &h->whole);
        }
    }
}

enum status helds_read(struct work *w)
{
    if (w->in->ws)
        from_ws(w);
    else
        from_brief(w);
    words_sort(&w->known);
    return w->failed || w->known.failed ? ERR_LIMIT : OK;
}
