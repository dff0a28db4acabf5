/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/review/measures.h"

#include "common/doc.h"
#include "workers/review/claims.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    REQUIREMENTS_MAX = 500,
    REPEAT_POINTS = 250, REPEAT_OWN_POINTS = 150, GRIEVANCE_POINTS = 300, PASTE_POINTS = 250,
    INVENTED_POINTS = 100, INVENTED_MAX = 3, DEGENERATE_POINTS = 50, DEGENERATE_MAX = 4, ECHO_POINTS = 100,
    ECHO_RUN = 7, SENTENCES_PER_REQUIREMENT = 2,
};

static const double like_existing = 0.5, like_earlier = 0.6;

/* One requirement of the draft, read once. */
struct entry {
    const json_t *json;
    const char *name, *op, *capability;
    struct str text;      /* the normative text */
    struct words words;   /* of the text */
    struct words behaves; /* of the text and the results of its good scenarios */
    struct str whole;     /* text and scenarios */
    size_t good_scenarios;
    bool counts;          /* may cover something */
};

struct work {
    struct arena *a;
    const struct measures_input *in;
    struct str problem;
    struct claims claims;
    struct entry *e;
    size_t n;
    struct measures_result *out;
    int64_t score;
};

/* ---- telling --------------------------------------------------------------------------------- */

/* Where the requirement's header stands in the rendered change. */
static void locate(const struct work *w, const struct entry *e, json_t *finding)
{
    char path[1200], header[1200];
    const json_t *files = js_list(w->in->change, "files");
    snprintf(path, sizeof path, "specs/%s/spec.md", e->capability);
    int n = snprintf(header, sizeof header, "### Requirement: %s", e->name);
    for (size_t i = 0; i < js_count(files); i++) {
        const json_t *f = js_at(files, i);
        if (strcmp(js_str(f, "path"), path) != 0)
            continue;
        const char *text = js_str(f, "text"), *at = strstr(text, header);
        if (!at || (at[n] != '\n' && at[n] != '\0'))
            return;
        int line = 1;
        for (const char *p = text; p < at; p++)
            line += *p == '\n';
        char full[1600];
        snprintf(full, sizeof full, "changes/%s/%s", js_str(w->in->change, "name"), path);
        finding_at(finding, full, line, 1);
        return;
    }
}

static json_t *tell(struct work *w, const char *severity, const char *code, const struct entry *e, const char *message,
                    const char *fix)
{
    json_t *f = finding_new(severity, code, message, fix);
    if (e) {
        js_set_z(f, "requirement", e->name);
        locate(w, e, f);
    }
    js_push(w->out->findings, f);
    return f;
}

static const char *say(struct work *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

static const char *say(struct work *w, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    char *copy = arena_dup(w->a, text, strlen(text));
    return copy ? copy : "";
}

/* A measure of the review; negative points come off the score. */
static void record(struct work *w, const char *code, double value, int64_t points, json_t *detail)
{
    json_t *m = json_object();
    js_set_z(m, "code", code);
    js_set_real(m, "value", value);
    js_set_int(m, "points", points);
    js_set(m, "detail", detail);
    js_push(w->out->list, m);
    w->score += points;
}

/* ---- reading the draft ----------------------------------------------------------------------- */

static struct str joined(struct arena *a, const json_t *lists[], size_t n)
{
    struct buf b;
    buf_init(&b, 1 << 22);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < js_count(lists[i]); k++) {
            const json_t *s = js_at(lists[i], k);
            if (json_is_string(s))
                buf_append(&b, json_string_value(s), json_string_length(s));
            buf_char(&b, '\n');
        }
    }
    char *copy = arena_dup(a, buf_z(&b), b.len);
    struct str out = { copy, copy ? b.len : 0 };
    buf_fini(&b);
    return out;
}

static double dice(const struct words *a, const struct words *b)
{
    size_t all = a->n + b->n;
    return all ? 2.0 * (double)words_common(a, b) / (double)all : 0;
}

/* Why a scenario says nothing, or NULL. */
static const char *degenerate(struct arena *a, const json_t *s, const struct words *text)
{
    const json_t *conditions[] = { js_list(s, "given"), js_list(s, "when") }, *results[] = { js_list(s, "then") };
    struct str when = joined(a, conditions, 2), then = joined(a, results, 1);
    struct words w = words_of(a, when), t = words_of(a, then);
    if (w.n == 0)
        return "it has no condition";
    if (t.n == 0)
        return "it has no observable result";
    if (dice(&w, &t) > 0.95)
        return "its result is its condition";
    if (t.n >= 3 && dice(&t, text) > 0.98 && dice(&w, text) > 0.8)
        return "it only says the requirement again";
    return NULL;
}

static void read_entry(struct work *w, struct entry *e, json_t *bad, size_t number)
{
    const json_t *scenarios = js_list(e->json, "scenarios");
    struct buf behaves, whole;
    buf_init(&behaves, 1 << 20);
    buf_init(&whole, 1 << 20);
    buf_view(&behaves, e->text);
    buf_view(&whole, e->text);
    for (size_t i = 0; i < js_count(scenarios); i++) {
        const json_t *s = js_at(scenarios, i);
        const json_t *lists[] = { js_list(s, "given"), js_list(s, "when"), js_list(s, "then") };
        struct str steps = joined(w->a, lists, 3), then = joined(w->a, lists + 2, 1);
        const char *why = degenerate(w->a, s, &e->words);
        for (size_t k = 0; k < i && !why; k++) {
            const json_t *other = js_at(scenarios, k);
            const json_t *theirs[] = { js_list(other, "given"), js_list(other, "when"), js_list(other, "then") };
            if (str_eq(steps, joined(w->a, theirs, 3)))
                why = "it is a copy of another one";
        }
        buf_char(&whole, '\n');
        buf_view(&whole, steps);
        if (!why) {
            e->good_scenarios++;
            buf_char(&behaves, '\n');
            buf_view(&behaves, then);
            continue;
        }
        js_push_z(bad, say(w, "%s / %s: %s", e->name, js_str(s, "name"), why));
        tell(w, "warning", "measure.degenerate", e, say(w, "scenario \"%s\": %s", js_str(s, "name"), why),
             say(w, "Write scenario \"%s\" of requirement %zu anew: WHEN a concrete condition, THEN a result that somebody can see.",
                 js_str(s, "name"), number));
    }
    e->behaves = words_of(w->a, str_of(arena_dup(w->a, buf_z(&behaves), behaves.len)));
    e->whole = str_of(arena_dup(w->a, buf_z(&whole), whole.len));
    buf_fini(&behaves);
    buf_fini(&whole);
}

static enum status read_draft(struct work *w)
{
    const json_t *list = js_list(w->in->draft, "requirements");
    json_t *bad = json_array();
    w->e = arena_alloc(w->a, (js_count(list) + 1) * sizeof *w->e);
    if (!w->e)
        return ERR_LIMIT;
    for (size_t i = 0; i < js_count(list) && i < REQUIREMENTS_MAX; i++) {
        const json_t *r = js_at(list, i);
        struct entry *e = &w->e[w->n++];
        *e = (struct entry){ .json = r, .name = js_str(r, "name"), .op = js_str(r, "op"),
                             .capability = js_str(r, "capability"), .text = js_view(r, "text") };
        e->words = words_of(w->a, e->text);
        bool says = strcmp(e->op, "added") == 0 || strcmp(e->op, "modified") == 0;
        if (says)
            read_entry(w, e, bad, w->n);
        e->counts = says && e->good_scenarios > 0;
    }
    int64_t n = (int64_t)json_array_size(bad);
    record(w, "degenerate", (double)n, -DEGENERATE_POINTS * (n < DEGENERATE_MAX ? n : DEGENERATE_MAX), bad);
    return OK;
}

/* ---- what takes points away ------------------------------------------------------------------ */

/* The existing requirement that this one repeats, or NULL. A modified one repeats its own base only
 * if it says nothing new. */
static const json_t *repeated(struct work *w, const struct entry *e, const char **capability)
{
    const json_t *caps = js_list(w->in->brief, "capabilities");
    for (size_t i = 0; i < js_count(caps); i++) {
        const json_t *c = js_at(caps, i), *known = js_list(c, "requirements");
        for (size_t k = 0; k < js_count(known); k++) {
            const json_t *r = js_at(known, k);
            bool own = strcmp(e->op, "modified") == 0 && strcmp(js_str(r, "name"), e->name) == 0 &&
                       strcmp(js_str(c, "id"), e->capability) == 0;
            struct words theirs = words_of(w->a, js_view(r, "text"));
            double like = dice(&e->words, &theirs);
            struct buf all;
            buf_init(&all, 1 << 20);
            buf_view(&all, js_view(r, "text"));
            const json_t *scenarios = js_list(r, "scenarios");
            for (size_t s = 0; s < js_count(scenarios); s++)
                buf_printf(&all, "\n%s", json_string_value(js_at(scenarios, s)));
            struct words whole = words_of(w->a, str_of(arena_dup(w->a, buf_z(&all), all.len))), mine = words_of(w->a, e->whole);
            buf_fini(&all);
            bool nothing_new = words_common(&mine, &whole) == mine.n;
            *capability = js_str(c, "id");
            if (own ? nothing_new : like >= like_existing)
                return r;
        }
    }
    return NULL;
}

static void measure_repeats(struct work *w)
{
    json_t *existing = json_array(), *own = json_array();
    for (size_t i = 0; i < w->n; i++) {
        struct entry *e = &w->e[i];
        const char *capability = "";
        if (e->words.n == 0 || strcmp(e->op, "removed") == 0 || strcmp(e->op, "renamed") == 0)
            continue;
        const json_t *r = repeated(w, e, &capability);
        if (r) {
            js_push_z(existing, e->name);
            e->counts = false;
            tell(w, "error", "measure.repeats", e, say(w, "it repeats \"%s\" of %s, which the specs have already", js_str(r, "name"), capability),
                 say(w, "Leave it out: requirement %zu \"%s\" repeats what the system does today.", i + 1, e->name));
            continue;
        }
        for (size_t k = 0; k < i; k++) {
            if (w->e[k].words.n == 0 || dice(&e->words, &w->e[k].words) < like_earlier)
                continue;
            js_push_z(own, e->name);
            e->counts = false;
            tell(w, "error", "measure.repeats", e, say(w, "it repeats requirement %zu \"%s\" of this draft", k + 1, w->e[k].name),
                 say(w, "Leave it out: requirement %zu \"%s\" says the same as requirement %zu.", i + 1, e->name, k + 1));
            break;
        }
    }
    record(w, "repeats", (double)json_array_size(existing), -REPEAT_POINTS * (int64_t)json_array_size(existing), existing);
    record(w, "repeats-own", (double)json_array_size(own), -REPEAT_OWN_POINTS * (int64_t)json_array_size(own), own);
}

static void measure_paste(struct work *w)
{
    json_t *list = json_array();
    for (size_t i = 0; i < w->n; i++) {
        struct entry *e = &w->e[i];
        if (!text_pastes(e->whole, w->problem))
            continue;
        js_push_z(list, e->name);
        e->counts = false;
        tell(w, "error", "measure.paste", e, "it contains the problem statement instead of an answer to it",
             say(w, "Replace requirement %zu \"%s\" by one requirement for each behaviour that is wanted, each in a sentence of its own.", i + 1, e->name));
    }
    record(w, "paste", (double)json_array_size(list), -PASTE_POINTS * (int64_t)json_array_size(list), list);
}

static void measure_grievance(struct work *w)
{
    json_t *list = json_array();
    for (size_t i = 0; i < w->n; i++) {
        struct entry *e = &w->e[i];
        struct str why = { 0 };
        bool doubt = false;
        if (e->words.n == 0 || strcmp(e->op, "removed") == 0)
            continue;
        bool bad = claims_grievance(w->a, &w->claims, e->text, &why, &doubt);
        if ((doubt || bad) && i < 64)
            w->out->doubtful |= (uint64_t)1 << i;
        if (!bad)
            continue;
        js_push_z(list, e->name);
        e->counts = false;
        tell(w, "error", "measure.grievance", e, say(w, "building it would cause the problem: \"%.*s\"", STR_ARG(why)),
             say(w, "Leave it out: requirement %zu \"%s\" demands what the problem complains of. Say what is wanted instead.", i + 1, e->name));
    }
    record(w, "grievance", (double)json_array_size(list), -GRIEVANCE_POINTS * (int64_t)json_array_size(list), list);
}

/* Everything that somebody gave: its figures may be used. */
static struct words given(struct work *w)
{
    struct buf b;
    buf_init(&b, 8 << 20);
    buf_view(&b, w->problem);
    const json_t *caps = js_list(w->in->brief, "capabilities"), *items;
    for (size_t i = 0; i < js_count(caps); i++) {
        const json_t *known = js_list(js_at(caps, i), "requirements");
        for (size_t k = 0; k < js_count(known); k++) {
            const json_t *scenarios = js_list(js_at(known, k), "scenarios");
            buf_printf(&b, "\n%s", js_str(js_at(known, k), "text"));
            for (size_t s = 0; s < js_count(scenarios); s++)
                buf_printf(&b, "\n%s", json_string_value(js_at(scenarios, s)));
        }
    }
    buf_printf(&b, "\n%s", js_str(w->in->brief, "context"));
    items = js_list(w->in->insights, "items");
    for (size_t i = 0; i < js_count(items); i++)
        buf_printf(&b, "\n%s", js_str(js_at(items, i), "excerpt"));
    const json_t *lists[] = { js_list(w->in->comments, "items"), js_list(w->in->answers, "items") };
    for (size_t l = 0; l < COUNT(lists); l++) {
        for (size_t i = 0; i < js_count(lists[l]); i++)
            buf_printf(&b, "\n%s", js_str(js_at(lists[l], i), "text"));
    }
    char *copy = arena_dup(w->a, buf_z(&b), b.len);
    struct words all = copy ? words_of(w->a, str_of(copy)) : (struct words){ 0 };
    buf_fini(&b);
    return all;
}

static void measure_invented(struct work *w)
{
    json_t *list = json_array();
    struct words all = given(w);
    const struct words *sets[] = { &all };
    for (size_t i = 0; i < w->n; i++) {
        struct entry *e = &w->e[i];
        struct str which = { 0 };
        if (words_figures_missing(&e->words, sets, 1, &which) == 0)
            continue;
        js_push_z(list, say(w, "%s: %.*s", e->name, STR_ARG(which)));
        tell(w, "warning", "measure.invented", e, say(w, "the figure %.*s comes from nowhere", STR_ARG(which)),
             say(w, "Write requirement %zu \"%s\" without the figure %.*s: nobody gave it.", i + 1, e->name, STR_ARG(which)));
    }
    int64_t n = (int64_t)json_array_size(list);
    record(w, "invented", (double)n, -INVENTED_POINTS * (n < INVENTED_MAX ? n : INVENTED_MAX), list);
}

static void measure_echoes(struct work *w)
{
    json_t *list = json_array();
    const json_t *earlier = js_list(w->in->earlier, "findings");
    for (size_t i = 0; i < w->n; i++) {
        struct entry *e = &w->e[i];
        for (size_t k = 0; k < js_count(earlier); k++) {
            /* What the finding quotes of the problem may be said: it is the problem's. */
            struct str fix = js_view(js_at(earlier, k), "fix");
            if (text_common_run(e->text, fix) < ECHO_RUN || text_common_run(e->text, w->problem) >= ECHO_RUN)
                continue;
            js_push_z(list, e->name);
            tell(w, "error", "measure.echoes", e, "it quotes a finding instead of following it",
                 say(w, "Write requirement %zu \"%s\" about the system, not about this review.", i + 1, e->name));
            break;
        }
    }
    record(w, "echoes", (double)json_array_size(list), -ECHO_POINTS * (int64_t)json_array_size(list), list);
}

/* ---- coverage -------------------------------------------------------------------------------- */

struct cover {
    double weight;   /* of the word: the highest that one of its sentences gives it */
    bool covered;
};

static struct words specs_words(struct work *w)
{
    struct buf b;
    buf_init(&b, 8 << 20);
    const json_t *caps = js_list(w->in->brief, "capabilities");
    for (size_t i = 0; i < js_count(caps); i++) {
        const json_t *known = js_list(js_at(caps, i), "requirements");
        for (size_t k = 0; k < js_count(known); k++)
            buf_printf(&b, "\n%s\n%s", js_str(js_at(known, k), "name"), js_str(js_at(known, k), "text"));
    }
    char *copy = arena_dup(w->a, buf_z(&b), b.len);
    struct words all = copy ? words_of(w->a, str_of(copy)) : (struct words){ 0 };
    buf_fini(&b);
    return all;
}

static double word_weight(const struct word *x, const struct words *specs)
{
    if (claims_only_wants(x->as))
        return 0;
    return x->figure ? 1.5 : words_have(specs, x->key) ? 0.3 : 1.0;
}

/* The one or two sentences that a requirement answers: those with which it shares most. */
static void nearest_claims(const struct work *w, const struct entry *e, size_t best[SENTENCES_PER_REQUIREMENT], size_t *n)
{
    double share[SENTENCES_PER_REQUIREMENT] = { 0 };
    *n = 0;
    for (size_t i = 0; i < w->claims.n; i++) {
        double s = words_share(&w->claims.v[i].words, &e->behaves) * w->claims.v[i].weight;
        if (s <= 0)
            continue;
        size_t at = *n;
        while (at > 0 && s > share[at - 1])
            at--;
        if (at >= SENTENCES_PER_REQUIREMENT)
            continue;
        for (size_t k = SENTENCES_PER_REQUIREMENT - 1; k > at; k--) {
            share[k] = share[k - 1];
            best[k] = best[k - 1];
        }
        share[at] = s;
        best[at] = i;
        *n = *n < SENTENCES_PER_REQUIREMENT ? *n + 1 : *n;
    }
}

static void tell_missing(struct work *w, const struct claim *c, bool *covered)
{
    struct buf words;
    size_t missing = 0, figures = 0;
    buf_init(&words, 512);
    for (size_t i = 0; i < c->words.n; i++) {
        if (covered[i] || claims_only_wants(c->words.v[i].as))
            continue;
        missing++;
        figures += c->words.v[i].figure;
        if (words.len < 300)
            buf_printf(&words, "%s%.*s", words.len ? ", " : "", STR_ARG(c->words.v[i].as));
    }
    double share = c->words.n ? (double)(c->words.n - missing) / (double)c->words.n : 1;
    if (missing > 0 && (share < 0.6 || figures > 0)) {
        bool none = share < 0.3;
        tell(w, none ? "error" : "warning", "measure.coverage", NULL,
             say(w, "%s: \"%.400s\" (missing: %s)", none ? "no requirement covers this of the problem" : "only partly covered",
                 say(w, "%.*s", STR_ARG(c->text)), buf_z(&words)),
             say(w, "%s \"%.400s\"", none ? "Add a requirement for:" : "Say all of:", say(w, "%.*s", STR_ARG(c->text))));
    }
    buf_fini(&words);
}

static void measure_coverage(struct work *w)
{
    struct words specs = specs_words(w);
    bool **covered = arena_alloc(w->a, (w->claims.n + 1) * sizeof *covered);
    json_t *missing = json_array();
    double all = 0, has = 0;
    for (size_t i = 0; covered && i < w->claims.n; i++)
        covered[i] = arena_alloc(w->a, w->claims.v[i].words.n + 1);
    for (size_t i = 0; covered && i < w->n; i++) {
        size_t best[SENTENCES_PER_REQUIREMENT], n = 0;
        if (!w->e[i].counts)
            continue;
        nearest_claims(w, &w->e[i], best, &n);
        for (size_t k = 0; k < n; k++) {
            const struct claim *c = &w->claims.v[best[k]];
            for (size_t x = 0; x < c->words.n; x++) {
                if (words_have(&w->e[i].behaves, c->words.v[x].key))
                    covered[best[k]][x] = true;
            }
        }
    }
    for (size_t i = 0; covered && i < w->claims.n; i++) {
        const struct claim *c = &w->claims.v[i];
        for (size_t x = 0; x < c->words.n; x++) {
            double weight = c->weight * word_weight(&c->words.v[x], &specs);
            all += weight;
            has += covered[i][x] ? weight : 0;
            if (!covered[i][x] && weight >= 1 && json_array_size(missing) < 100)
                js_push(missing, js_string(c->words.v[x].as));
        }
        if (c->weight >= 1)
            tell_missing(w, c, covered[i]);
    }
    double value = all > 0 ? has / all : 0;
    record(w, "coverage", value, (int64_t)(value * 1000 + 0.5), missing);
}

/* ---- comments -------------------------------------------------------------------------------- */

/* What the user asked for comes first, as long as the draft does not show it. */
static void comments_first(struct work *w)
{
    const json_t *items = js_list(w->in->comments, "items");
    json_t *ordered = json_array();
    struct buf b;
    buf_init(&b, 4 << 20);
    for (size_t i = 0; i < w->n; i++)
        buf_printf(&b, "%s\n%.*s\n", w->e[i].name, (int)w->e[i].whole.n, w->e[i].whole.p);
    char *copy = arena_dup(w->a, buf_z(&b), b.len);
    struct words have = words_of(w->a, str_of(copy));
    buf_fini(&b);
    for (size_t i = js_count(items); i-- > 0;) {
        const json_t *c = js_at(items, i);
        struct words want = words_of(w->a, js_view(c, "text"));
        const struct words *sets[] = { &have };
        if (want.n == 0 || (words_share(&want, &have) >= 0.5 && words_figures_missing(&want, sets, 1, NULL) == 0))
            continue;
        js_push(ordered, finding_new("error", "comment.open", say(w, "the user asks: %.1000s", js_str(c, "text")),
                                     say(w, "Follow the user: %.1000s", js_str(c, "text"))));
    }
    static const char *const ranks[] = { "error", "warning", "info" };
    for (size_t r = 0; r < COUNT(ranks); r++) {
        for (size_t i = 0; i < json_array_size(w->out->findings); i++) {
            json_t *f = json_array_get(w->out->findings, i);
            if (strcmp(js_str(f, "severity"), ranks[r]) == 0 && json_array_size(ordered) < 400)
                js_push(ordered, json_incref(f));
        }
    }
    json_decref(w->out->findings);
    w->out->findings = ordered;
}

enum status measures_take(struct arena *a, const struct measures_input *in, struct measures_result *out)
{
    struct work w = { .a = a, .in = in, .problem = js_view(in->brief, "problem"), .out = out };
    *out = (struct measures_result){ .list = json_array(), .findings = json_array() };
    w.claims = claims_of(a, w.problem);
    enum status st = read_draft(&w);
    if (st != OK)
        return st;
    measure_repeats(&w);
    measure_paste(&w);
    measure_grievance(&w);
    measure_invented(&w);
    measure_echoes(&w);
    measure_coverage(&w);
    comments_first(&w);
    out->score = w.score < 0 ? 0 : w.score > 1000 ? 1000 : w.score;
    return OK;
}
