/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/review/behaviour.h"

#include <string.h>

enum { REQS_MAX = 500, SCENES_MAX = 50, WHOLE_MAX = 1 << 20, SALAD_WORDS = 10 };

static const double same_scene = 0.9, copy_share = 0.9, salad_stops = 0.2;

struct reader {
    struct arena *a;
    const struct cues *cues;
    const struct setting *set;
    enum words_lang lang; /* of the draft */
    bool failed;
};

static bool content(const struct word *w)
{
    return !(w->flags & (WORD_STOP | WORD_UNIT));
}

const struct held *held_of(const struct helds *h, const char *capability, const char *name)
{
    for (size_t i = 0; i < h->n; i++) {
        if (strcmp(h->at[i].capability, capability) == 0 && strcmp(h->at[i].name, name) == 0)
            return &h->at[i];
    }
    return NULL;
}

static void scan(struct reader *r, struct str text, struct word_list *out)
{
    if (words_scan(r->a, text, r->lang, out) != OK)
        r->failed = true;
}

static void add_set(struct reader *r, struct word_set *to, const struct word_set *from)
{
    for (size_t i = 0; i < from->n; i++)
        words_add(r->a, to, from->at[i]);
    words_sort(to);
    r->failed = r->failed || to->failed;
}

/* ---- demands ------------------------------------------------------------------------------------ */

static size_t modal_of(const struct word *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_is(w[i].text, "SHALL") || str_is(w[i].text, "MUST"))
            return i;
    }
    return n;
}

static void read_demands(struct reader *r, struct req *q)
{
    q->demands = arena_alloc(r->a, (q->list.sentences_n + 1) * sizeof *q->demands);
    if (!q->demands) {
        r->failed = true;
        return;
    }
    for (size_t i = 0; i < q->list.sentences_n; i++) {
        const struct sentence *s = &q->list.sentences[i];
        const struct word *w = q->list.at + s->first;
        struct demand d = { .text = s->text, .words = w, .n = s->n, .modal = modal_of(w, s->n) };
        if (d.modal == s->n)
            continue;
        d.negated = arena_alloc(r->a, s->n);
        d.conditional = arena_alloc(r->a, s->n);
        if (!d.negated || !d.conditional) {
            r->failed = true;
            return;
        }
        words_negated(r->cues, w, s->n, d.negated);
        words_conditional(r->cues, w, s->n, d.conditional);
        words_collect(r->a, w, s->n, &d.keys);
        q->demands[q->demands_n++] = d;
        add_set(r, &q->demanded, &d.keys);
    }
}

/* The first content word behind the modal verb that says something. */
static const struct word *verb_of(const struct reader *r, const struct demand *d)
{
    for (int conditions = 0; conditions < 2; conditions++) {
        for (size_t i = d->modal + 1; i < d->n; i++) {
            if (content(&d->words[i]) && !cue_is(r->cues, CUE_FRAME, &d->words[i]) &&
                (conditions || !d->conditional[i]))
                return &d->words[i];
        }
    }
    return NULL;
}

/* "The team SHALL investigate whether …": work, not what comes of it. */
static bool is_study(const struct reader *r, const struct demand *d, const struct word *verb)
{
    return cue_is(r->cues, CUE_STUDY, verb) &&
           (cue_any(r->cues, CUE_PROJECT, d->words, d->modal) ||
            cue_any(r->cues, CUE_WHETHER, d->words + d->modal, d->n - d->modal));
}

/* "The system SHALL be improved": is every demand about the project, or about nothing? */
static bool is_meta(const struct reader *r, const struct req *q)
{
    for (size_t i = 0; i < q->demands_n; i++) {
        const struct demand *d = &q->demands[i];
        const struct word *verb = verb_of(r, d);
        size_t says = 0;
        for (size_t k = d->modal + 1; k < d->n; k++)
            says += content(&d->words[k]) && !cue_is(r->cues, CUE_FRAME, &d->words[k]) &&
                    !cue_is(r->cues, CUE_VACUOUS, &d->words[k]);
        if (verb && says > 0 && !cue_is(r->cues, CUE_META, verb) && !is_study(r, d, verb))
            return false;
    }
    return q->demands_n > 0;
}

/* Sentences need function words; a list of key words has none. */
static bool is_salad(const struct reader *r, const struct req *q)
{
    size_t stops = 0, words = 0;
    if (r->lang == LANG_NONE || r->lang >= LANG_ZH)
        return false;
    for (size_t i = 0; i < q->demands_n; i++) {
        for (size_t k = q->demands[i].modal + 1; k < q->demands[i].n; k++) {
            const struct word *w = &q->demands[i].words[k];
            words += !(w->flags & (WORD_UNIT | WORD_FIGURE));
            stops += (w->flags & WORD_STOP) && !(w->flags & WORD_UNIT);
        }
    }
    return words >= SALAD_WORDS && (double)stops < salad_stops * (double)words;
}

/* ---- scenarios ---------------------------------------------------------------------------------- */

struct parts {
    struct word_list cond, then;
};

static void join_steps(struct reader *r, const json_t *scenario, const char *const *keys,
                       struct word_list *out)
{
    struct buf b;
    buf_init(&b, WHOLE_MAX);
    for (; *keys; keys++) {
        const json_t *steps = js_list(scenario, *keys);
        for (size_t i = 0; i < js_count(steps) && i < 32; i++) {
            buf_view(&b, (struct str){ json_string_value(js_at(steps, i)),
                                       json_string_length(js_at(steps, i)) });
            buf_str(&b, "\n\n");
        }
    }
    char *copy = arena_dup(r->a, buf_z(&b), b.len);
    struct str text = { copy, copy ? b.len : 0 };
    buf_fini(&b);
    scan(r, text, out);
}

/* "a member uses the feature": somebody, but nothing that happens. */
static bool has_condition(const struct reader *r, const struct word_list *l)
{
    size_t saying = 0, hollow = 0;
    for (size_t i = 0; i < l->n; i++) {
        bool vacuous = cue_is(r->cues, CUE_VACUOUS, &l->at[i]);
        hollow += vacuous;
        saying += content(&l->at[i]) && !vacuous;
    }
    return saying >= (hollow > 0 ? 2u : 1u);
}

/* What is said of something: the content word behind "is", "gets", "the system". True when there is
 * such a word and each of them says nothing ("is handled", "the system works"). */
static bool predicates_vacuous(const struct reader *r, const struct word_list *l)
{
    size_t hollow = 0, full = 0;
    for (size_t i = 0; i + 1 < l->n; i++) {
        const struct word *w = &l->at[i];
        if (!cue_is(r->cues, CUE_COPULA, w) && !str_is(w->text, "system") &&
            !str_is(w->text, "System"))
            continue;
        size_t k = i + 1;
        while (k < l->n && !content(&l->at[k]) && !cue_is(r->cues, CUE_NEGATOR, &l->at[k]))
            k++;
        if (k == l->n)
            break;
        if (cue_is(r->cues, CUE_VACUOUS, &l->at[k]))
            hollow++;
        else
            full++;
    }
    /* German puts it at the end. */
    if (l->lang == LANG_DE && l->n && cue_is(r->cues, CUE_VACUOUS, &l->at[l->n - 1]))
        return true;
    return hollow > 0 && full == 0;
}

static bool has_flag(const struct word_list *l, uint16_t flags)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->at[i].flags & flags)
            return true;
    }
    return false;
}

/* A result of its own: a word that the condition does not have and that belongs here, a figure, a
 * quotation, or that something does not happen. */
static bool has_result(const struct reader *r, const struct req *q, const struct scene *s,
                       const struct parts *p)
{
    size_t own = 0, near = 0, saying = 0;
    bool firm = has_flag(&p->then, WORD_FIGURE | WORD_QUOTED | WORD_ID);
    bool negated = cue_any(r->cues, CUE_NEGATOR, p->then.at, p->then.n);
    if (predicates_vacuous(r, &p->then) && !firm)
        return false;
    for (size_t i = 0; i < p->then.n; i++) {
        const struct word *w = &p->then.at[i];
        if (!content(w) || cue_is(r->cues, CUE_VACUOUS, w))
            continue;
        saying++;
        bool mine = !words_in(&s->cond, w->key);
        own += mine;
        near += mine && (words_in(&q->demanded, w->key) || words_in(r->set->known, w->key) ||
                         words_in(r->set->topic, w->key));
    }
    if (saying == 0)
        return false;
    return firm || negated || (own > 0 && (near > 0 || saying >= 2));
}

static const char *scene_fault(const struct reader *r, const struct req *q, const struct scene *s,
                               const struct parts *p)
{
    if (!has_condition(r, &p->cond))
        return "it has no condition";
    if (!has_result(r, q, s, p))
        return "it has no result that could be observed";
    if (words_shared(&s->all, &q->demanded) == 0)
        return "it is not about the requirement";
    bool nothing_own = words_shared(&s->cond, &q->demanded) == s->cond.n;
    bool repeats_all = q->demanded.n >= 4 && words_share_in(&q->demanded, &s->then) >= copy_share;
    if (nothing_own && repeats_all)
        return "it only repeats the requirement";
    if (s->cond.n >= 3 && words_dice(&s->cond, &s->then) >= same_scene)
        return "its result is its condition";
    return NULL;
}

static void read_scene(struct reader *r, struct req *q, const json_t *scenario, struct scene *s)
{
    static const char *const cond[] = { "given", "when", NULL }, *const then[] = { "then", NULL };
    struct parts p;
    *s = (struct scene){ .name = js_str(scenario, "name") };
    join_steps(r, scenario, cond, &p.cond);
    join_steps(r, scenario, then, &p.then);
    words_collect(r->a, p.cond.at, p.cond.n, &s->cond);
    words_collect(r->a, p.then.at, p.then.n, &s->then);
    add_set(r, &s->all, &s->cond);
    add_set(r, &s->all, &s->then);
    s->fault = r->failed ? NULL : scene_fault(r, q, s, &p);
    const struct held *base =
        q->op == REQ_MODIFIED ? held_of(r->set->held, q->capability, q->name) : NULL;
    s->shows = !s->fault && !(base && words_share_in(&s->all, &base->whole) >= 1);
    q->shows_n += s->shows;
}

/* The same scenario twice, under this or another requirement. */
static void mark_copies(struct reqs *out)
{
    for (size_t i = 0; i < out->n; i++) {
        for (size_t s = 0; s < out->at[i].scenes_n; s++) {
            struct scene *mine = &out->at[i].scenes[s];
            for (size_t k = 0; k <= i && !mine->fault; k++) {
                size_t end = k < i ? out->at[k].scenes_n : s;
                for (size_t o = 0; o < end && !mine->fault; o++) {
                    const struct scene *other = &out->at[k].scenes[o];
                    if (mine->all.n < 3 || words_dice(&mine->all, &other->all) < same_scene)
                        continue;
                    mine->fault = "it is a copy of another scenario";
                    out->at[i].shows_n -= mine->shows;
                    mine->shows = false;
                }
            }
        }
    }
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static struct str whole_text(struct reader *r, const json_t *q)
{
    static const char *const parts[] = { "given", "when", "then" };
    const json_t *scenarios = js_list(q, "scenarios");
    struct buf b;
    buf_init(&b, WHOLE_MAX);
    buf_view(&b, js_view(q, "text"));
    for (size_t i = 0; i < js_count(scenarios) && i < SCENES_MAX; i++) {
        for (size_t p = 0; p < COUNT(parts); p++) {
            const json_t *steps = js_list(js_at(scenarios, i), parts[p]);
            for (size_t k = 0; k < js_count(steps) && k < 32; k++)
                buf_printf(&b, "\n\n%s",
                           json_string_value(js_at(steps, k)) ? json_string_value(js_at(steps, k))
                                                              : "");
        }
    }
    char *copy = arena_dup(r->a, buf_z(&b), b.len);
    struct str out = { copy, copy ? b.len : 0 };
    buf_fini(&b);
    return out;
}

static enum req_op op_of(const char *name)
{
    static const char *const names[] = { "added", "modified", "removed", "renamed" };
    for (size_t i = 0; i < COUNT(names); i++) {
        if (strcmp(names[i], name) == 0)
            return (enum req_op)i;
    }
    return REQ_ADDED;
}

/* Does a good scenario show what the demand is about? */
static bool is_shown(const struct req *q, const struct demand *d)
{
    for (size_t i = 0; i < q->scenes_n; i++) {
        if (q->scenes[i].shows &&
            words_shared(&q->scenes[i].all, &d->keys) >= (q->demands_n > 1 ? 2u : 1u))
            return true;
    }
    return false;
}

/* What the requirement does, as far as scenarios show it. */
static void collect(struct reader *r, struct req *q)
{
    for (size_t i = 0; i < q->demands_n; i++) {
        struct demand *d = &q->demands[i];
        d->verb = verb_of(r, d);
        d->shown = is_shown(q, d);
        if (d->verb)
            words_add(r->a, &q->verbs, d->verb->key);
        if (!d->shown)
            continue;
        add_set(r, &q->behaves, &d->keys);
        for (size_t k = 0; k < d->n; k++) {
            const struct word *w = &d->words[k];
            if (content(w) && !d->conditional[k])
                words_add(r->a, &q->main, w->key);
            if (w->flags & WORD_FIGURE)
                words_add(r->a, &q->lows, w->low);
        }
    }
    for (size_t i = 0; i < q->scenes_n; i++) {
        if (!q->scenes[i].shows)
            continue;
        add_set(r, &q->main, &q->scenes[i].then);
        add_set(r, &q->behaves, &q->scenes[i].all);
    }
    words_sort(&q->main);
    words_sort(&q->verbs);
    words_sort(&q->lows);
    r->failed = r->failed || q->main.failed || q->verbs.failed || q->lows.failed;
}

static void read_req(struct reader *r, const json_t *json, size_t number, struct req *q)
{
    const json_t *scenarios = js_list(json, "scenarios");
    size_t n = js_count(scenarios) < SCENES_MAX ? js_count(scenarios) : SCENES_MAX;
    *q = (struct req){ .number = number,
                       .json = json,
                       .name = js_str(json, "name"),
                       .capability = js_str(json, "capability"),
                       .op = op_of(js_str(json, "op")),
                       .text = js_view(json, "text"),
                       .whole = whole_text(r, json) };
    scan(r, q->text, &q->list);
    scan(r, q->whole, &q->whole_list);
    q->scenes = arena_alloc(r->a, (n + 1) * sizeof *q->scenes);
    if (!q->scenes || r->failed) {
        r->failed = true;
        return;
    }
    read_demands(r, q);
    for (; q->scenes_n < n && !r->failed; q->scenes_n++)
        read_scene(r, q, js_at(scenarios, q->scenes_n), &q->scenes[q->scenes_n]);
    if (q->op == REQ_REMOVED || q->op == REQ_RENAMED)
        return;
    if (q->demands_n == 0)
        q->fault = REQ_NO_DEMAND;
    else if (is_meta(r, q))
        q->fault = REQ_META;
    else if (is_salad(r, q))
        q->fault = REQ_SALAD;
}

enum status reqs_read(struct arena *a, const struct setting *setting, const json_t *draft,
                      struct reqs *out)
{
    const json_t *list = js_list(draft, "requirements");
    size_t n = js_count(list) < REQS_MAX ? js_count(list) : REQS_MAX;
    struct reader r = { .a = a, .cues = setting->cues, .set = setting };
    struct buf all;
    *out = (struct reqs){ .at = arena_alloc(a, (n + 1) * sizeof *out->at) };
    if (!out->at)
        return ERR_LIMIT;
    buf_init(&all, WHOLE_MAX);
    for (size_t i = 0; i < n && all.len < 65536; i++)
        buf_printf(&all, "%s\n\n", js_str(js_at(list, i), "text"));
    r.lang = words_lang_of(buf_get(&all));
    buf_fini(&all);
    for (; out->n < n && !r.failed; out->n++)
        read_req(&r, js_at(list, out->n), out->n + 1, &out->at[out->n]);
    mark_copies(out);
    for (size_t i = 0; i < out->n && !r.failed; i++) {
        struct req *q = &out->at[i];
        collect(&r, q);
        bool normal = q->op == REQ_ADDED || q->op == REQ_MODIFIED;
        if (normal && q->fault == REQ_FINE && q->shows_n == 0)
            q->fault = REQ_NO_SCENARIO;
    }
    return r.failed ? ERR_LIMIT : OK;
}
