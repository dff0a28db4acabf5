/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/review/measures_in.h"

#include "common/doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    REPEAT_POINTS = 250,
    REPEAT_OWN_POINTS = 150,
    SECOND_RULE_POINTS = 100,
    PASTE_POINTS = 250,
    GRIEVANCE_POINTS = 300,
    TOLD_POINTS = 225,
    HOLLOW_POINTS = 50,
    HOLLOW_MAX = 4,
    OFF_TOPIC_POINTS = 75,
    OFF_TOPIC_MAX = 4,
    FIGURE_POINTS = 100,
    NAME_POINTS = 50,
    INVENTED_POINTS_MAX = 300,
    DEGENERATE_POINTS = 50,
    DEGENERATE_MAX = 4,
    ECHO_POINTS = 100,
    ECHO_RUN = 7,
    COMMENT_POINTS = 250,
    COMMENT_MAX = 2,
    FINDINGS_MAX = 400,
    ARGUMENT_MAX = 300,
    GIVEN_SORT = 1 << 18,
};

static const double asked_to_remove = 0.5, comment_shown = 0.5, comment_cited = 0.25,
                    comment_gone = 0.6;

/* ---- telling ------------------------------------------------------------------------------------ */

const char *say(struct work *w, const char *fmt, ...)
{
    char text[4000];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    const char *copy = arena_dup(w->a, text, len);
    return copy ? copy : "";
}

const char *quote(struct work *w, struct str text, size_t max)
{
    char *out = arena_alloc(w->a, max + 8);
    size_t n = 0;
    if (!out)
        return "";
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool blank = c <= ' ' || c == 0x7f;
        if (n >= max && (c & 0xc0) != 0x80) {
            memcpy(out + n, " …", sizeof " …");
            return out;
        }
        if (blank && (n == 0 || out[n - 1] == ' '))
            continue;
        if (n < max + 3)
            out[n++] = blank ? ' ' : (char)c;
    }
    out[n] = '\0';
    return out;
}

/* Where the requirement's header stands in the rendered change. */
static void locate(const struct work *w, const struct req *q, json_t *finding)
{
    char path[1200], header[1200], full[1600];
    const json_t *files = js_list(w->in->change, "files");
    snprintf(path, sizeof path, "specs/%.1000s/spec.md", q->capability);
    int n = snprintf(header, sizeof header, "### Requirement: %.1024s", q->name);
    for (size_t i = 0; i < js_count(files); i++) {
        const json_t *f = js_at(files, i);
        if (strcmp(js_str(f, "path"), path) != 0)
            continue;
        int line = 1;
        for (const char *p = js_str(f, "text"); *p; line++) {
            size_t len = strcspn(p, "\n");
            if (len == (size_t)n && memcmp(p, header, len) == 0) {
                snprintf(full, sizeof full, "changes/%.200s/%.1200s", js_str(w->in->change, "name"),
                         path);
                finding_at(finding, full, line, 1);
                return;
            }
            p += len + (p[len] == '\n');
        }
        return;
    }
}

void tell(struct work *w, const char *severity, const char *code, const struct req *q,
          const char *message, const char *fix)
{
    if (json_array_size(w->out->findings) >= FINDINGS_MAX)
        return;
    json_t *f = finding_new(severity, code, message, fix);
    if (q) {
        js_set_z(f, "requirement", q->name);
        locate(w, q, f);
    }
    js_push(w->out->findings, f);
}

static void record(struct work *w, const char *code, double value, int64_t points, json_t *detail)
{
    json_t *m = json_object();
    js_set_z(m, "code", code);
    js_set_real(m, "value", value);
    js_set_int(m, "points", points);
    while (json_array_size(detail) > 200)
        json_array_remove(detail, json_array_size(detail) - 1);
    if (json_array_size(detail))
        js_set(m, "detail", detail);
    else
        json_decref(detail);
    js_push(w->out->list, m);
    w->score += points;
}

/* A measure that counts requirements: `each` points for each, at most `max` of them. */
static void record_count(struct work *w, const char *code, json_t *detail, int64_t each,
                         int64_t max)
{
    int64_t n = (int64_t)json_array_size(detail);
    record(w, code, (double)n, -each * (n < max ? n : max), detail);
}

static const char *named(struct work *w, const struct req *q)
{
    return say(w, "requirement %zu \"%.300s\"", q->number, q->name);
}

static bool normal(const struct req *q)
{
    return q->op == REQ_ADDED || q->op == REQ_MODIFIED;
}

static void fault(struct req *q, enum req_fault f)
{
    if (q->fault == REQ_FINE || q->fault == REQ_NO_SCENARIO)
        q->fault = f;
}

/* ---- what exists already -------------------------------------------------------------------------- */

static void tell_repeat(struct work *w, struct req *q, const struct held *h)
{
    fault(q, REQ_REPEATS);
    tell(w, "error", "measure.repeats", q,
         say(w, "it repeats \"%.300s\" of %.200s, which the specs have already", h->name,
             h->capability),
         say(w, "Leave out %s: it repeats what the system does today.", named(w, q)));
}

/* Nobody asked to take it away. */
static bool removes_unasked(const struct work *w, const struct req *q)
{
    struct word_set name = { 0 };
    struct word_list list;
    if (words_scan(w->a, str_of(q->name), LANG_NONE, &list) != OK)
        return false;
    words_collect(w->a, list.at, list.n, &name);
    return !cue_any(w->cues, CUE_REMOVAL, w->problem.list.at, w->problem.list.n) ||
           words_share_in(&name, &w->topic) < asked_to_remove;
}

static void measure_repeats(struct work *w)
{
    json_t *existing = json_array(), *own = json_array(), *second = json_array();
    for (size_t i = 0; i < w->reqs.n; i++) {
        struct req *q = &w->reqs.at[i];
        enum likeness how;
        if (q->op == REQ_REMOVED && removes_unasked(w, q)) {
            js_push_z(existing, q->name);
            tell(w, "error", "measure.removes", q,
                 "it takes away what the problem does not complain of",
                 say(w, "Leave it out: %s removes what nobody asked to remove.", named(w, q)));
        }
        if (!normal(q) || q->demanded.n == 0)
            continue;
        const struct held *h = like_held(w, q, &how);
        const struct req *earlier = like_earlier(w, q);
        if (like_base(w, q))
            h = held_of(&w->helds, q->capability, q->name);
        if (h && how != LIKE_OTHER_FIGURE) {
            js_push_z(existing, q->name);
            tell_repeat(w, q, h);
        } else if (h) {
            js_push_z(second, q->name);
            tell(w, "warning", "measure.second-rule", q,
                 say(w, "it stands beside \"%.300s\" of %.200s with another figure", h->name,
                     h->capability),
                 say(w,
                     "Write %s as a change of \"%.300s\": two rules for one thing contradict each "
                     "other.",
                     named(w, q), h->name));
        } else if (earlier) {
            js_push_z(own, q->name);
            fault(q, REQ_REPEATS);
            tell(w, "error", "measure.repeats", q,
                 say(w, "it repeats requirement %zu \"%.300s\" of this draft", earlier->number,
                     earlier->name),
                 say(w, "Leave out %s: it says the same as requirement %zu.", named(w, q),
                     earlier->number));
        }
    }
    record_count(w, "repeats", existing, REPEAT_POINTS, INT32_MAX);
    record_count(w, "repeats-own", own, REPEAT_OWN_POINTS, INT32_MAX);
    record_count(w, "second-rule", second, SECOND_RULE_POINTS, INT32_MAX);
}

/* ---- what is worse than nothing ------------------------------------------------------------------- */

static void measure_paste(struct work *w)
{
    json_t *list = json_array();
    for (size_t i = 0; i < w->reqs.n; i++) {
        struct req *q = &w->reqs.at[i];
        if (!normal(q) || !doubt_paste(w, q))
            continue;
        js_push_z(list, q->name);
        fault(q, REQ_PASTES);
        tell(w, "error", "measure.paste", q,
             "it contains the problem statement instead of an answer to it",
             say(w,
                 "Rewrite %s: one behaviour of the system that is wanted, in one sentence of your "
                 "own.",
                 named(w, q)));
    }
    record_count(w, "paste", list, PASTE_POINTS, INT32_MAX);
}

static void measure_opposites(struct work *w)
{
    json_t *grieves = json_array(), *inverts = json_array(), *tells = json_array();
    for (size_t i = 0; i < w->reqs.n; i++) {
        struct req *q = &w->reqs.at[i];
        if (!normal(q))
            continue;
        const struct point *p = doubt_grievance(w, q), *wish = p ? NULL : doubt_inversion(w, q);
        const struct point *told = p || wish ? NULL : doubt_told(w, q);
        if (q->doubt && i < 64)
            w->out->doubtful |= (uint64_t)1 << i;
        if (p) {
            js_push_z(grieves, q->name);
            fault(q, REQ_GRIEVES);
            tell(w, "error", "measure.grievance", q,
                 say(w, "building it would cause the problem: \"%s\"",
                     quote(w, p->text, ARGUMENT_MAX)),
                 say(w, "Leave it out: %s demands what the problem complains of.", named(w, q)));
        } else if (wish) {
            js_push_z(inverts, q->name);
            fault(q, REQ_INVERTS);
            tell(w, "error", "measure.inverted", q,
                 say(w, "it demands the opposite of \"%s\"", quote(w, wish->text, ARGUMENT_MAX)),
                 say(w, "Turn %s round: the problem wants \"%s\".", named(w, q),
                     quote(w, wish->text, ARGUMENT_MAX)));
        } else if (told) {
            js_push_z(tells, q->name);
            fault(q, REQ_TELLS);
            tell(w, "error", "measure.told", q,
                 say(w, "it demands what the problem only tells: \"%s\"",
                     quote(w, told->text, ARGUMENT_MAX)),
                 say(w, "Leave it out, or rewrite it: %s does not say what shall be different.",
                     named(w, q)));
        }
    }
    record_count(w, "grievance", grieves, GRIEVANCE_POINTS, INT32_MAX);
    record_count(w, "inverted", inverts, GRIEVANCE_POINTS, INT32_MAX);
    record_count(w, "told", tells, TOLD_POINTS, INT32_MAX);
}

static void measure_hollow(struct work *w)
{
    json_t *hollow = json_array(), *foreign = json_array();
    for (size_t i = 0; i < w->reqs.n; i++) {
        struct req *q = &w->reqs.at[i];
        if (!normal(q))
            continue;
        if (q->fault == REQ_META || q->fault == REQ_SALAD || q->fault == REQ_NO_DEMAND) {
            js_push_z(hollow, q->name);
            tell(w, "error", "measure.hollow", q,
                 q->fault == REQ_META    ? "it says nothing that somebody could build"
                 : q->fault == REQ_SALAD ? "it is a list of words, not a sentence"
                                         : "it has no sentence with SHALL or MUST",
                 say(w, "Rewrite %s: name one thing that the system shall do, and when.",
                     named(w, q)));
        } else if (q->fault == REQ_FINE && !cover_on_topic(w, q)) {
            js_push_z(foreign, q->name);
            fault(q, REQ_OFF_TOPIC);
            tell(w, "warning", "measure.off-topic", q, "it is not about the problem",
                 say(w, "Leave it out: %s is not what the problem asks for.", named(w, q)));
        }
    }
    record_count(w, "hollow", hollow, HOLLOW_POINTS, HOLLOW_MAX);
    record_count(w, "off-topic", foreign, OFF_TOPIC_POINTS, OFF_TOPIC_MAX);
}

/* ---- scenarios, figures, echoes -------------------------------------------------------------------- */

static void measure_degenerate(struct work *w)
{
    json_t *list = json_array();
    for (size_t i = 0; i < w->reqs.n; i++) {
        const struct req *q = &w->reqs.at[i];
        for (size_t s = 0; s < q->scenes_n && normal(q); s++) {
            const struct scene *x = &q->scenes[s];
            if (!x->fault)
                continue;
            js_push_z(list, say(w, "%.200s: %.200s", q->name, x->name));
            tell(w, q->shows_n ? "warning" : "error", "measure.degenerate", q,
                 say(w, "scenario \"%.300s\": %s", x->name, x->fault),
                 say(w,
                     "Write scenario \"%.200s\" of %s anew: a condition, and a result that "
                     "somebody can see.",
                     x->name, named(w, q)));
        }
        if (normal(q) && q->scenes_n == 0) {
            js_push_z(list, say(w, "%.200s: no scenario", q->name));
            tell(w, "error", "measure.degenerate", q, "it has no scenario",
                 say(w, "Give %s a scenario: a condition, and a result that somebody can see.",
                     named(w, q)));
        }
    }
    record_count(w, "degenerate", list, DEGENERATE_POINTS, DEGENERATE_MAX);
}

/* A name in the middle of a sentence that nobody mentioned; German writes every noun like that. */
static bool is_name(const struct req *q, const struct word *x)
{
    bool acronym = x->text.n >= 2 && x->text.p[0] >= 'A' && x->text.p[0] <= 'Z' &&
                   x->text.p[1] >= 'A' && x->text.p[1] <= 'Z';
    return (x->flags & WORD_NAME) && !acronym && q->list.lang == LANG_EN;
}

static void measure_invented(struct work *w)
{
    json_t *list = json_array();
    int64_t points = 0;
    for (size_t i = 0; i < w->reqs.n; i++) {
        const struct req *q = &w->reqs.at[i];
        for (size_t k = 0; k < q->list.n && normal(q); k++) {
            const struct word *x = &q->list.at[k];
            bool figure = (x->flags & WORD_FIGURE) && x->value > 1,
                 name = !(x->flags & WORD_FIGURE) && is_name(q, x);
            if ((!figure && !name) || words_in(&w->given, x->key) || words_in(&w->given, x->low))
                continue;
            points += figure ? FIGURE_POINTS : NAME_POINTS;
            js_push_z(list, say(w, "%.200s: %s", q->name, quote(w, x->text, 60)));
            tell(w, "warning", "measure.invented", q,
                 say(w, "nobody gave the %s %s", figure ? "figure" : "name", quote(w, x->text, 60)),
                 say(w,
                     "Write %s without %s: neither the problem nor the specs nor a tool gave it.",
                     named(w, q), quote(w, x->text, 60)));
        }
    }
    record(w, "invented", (double)json_array_size(list),
           -(points < INVENTED_POINTS_MAX ? points : INVENTED_POINTS_MAX), list);
}

static void measure_echoes(struct work *w)
{
    json_t *list = json_array();
    const json_t *earlier = js_list(w->in->earlier, "findings");
    for (size_t k = 0; k < js_count(earlier) && k < 100; k++) {
        struct word_list fix;
        if (words_scan(w->a, js_view(js_at(earlier, k), "fix"), LANG_NONE, &fix) != OK)
            w->failed = true;
        for (size_t i = 0; i < w->reqs.n && !w->failed; i++) {
            struct req *q = &w->reqs.at[i];
            /* What the finding quotes of the problem may be said: it is the problem's. */
            size_t run = normal(q) && q->fault != REQ_ECHOES ? common_run(&q->list, &fix) : 0;
            if (run < ECHO_RUN || common_run(&q->list, &w->problem.list) >= run)
                continue;
            js_push_z(list, q->name);
            q->fault = REQ_ECHOES;
            tell(w, "error", "measure.echoes", q, "it quotes a finding instead of following it",
                 say(w, "Write %s about the system, not about this review.", named(w, q)));
        }
    }
    record_count(w, "echoes", list, ECHO_POINTS, INT32_MAX);
}

/* ---- comments ---------------------------------------------------------------------------------------- */

static bool cites(const struct work *w, const char *id)
{
    for (size_t i = 0; i < w->reqs.n; i++) {
        const json_t *sources = js_list(w->reqs.at[i].json, "sources");
        for (size_t k = 0; k < js_count(sources); k++) {
            if (json_is_string(js_at(sources, k)) &&
                strcmp(json_string_value(js_at(sources, k)), id) == 0)
                return true;
        }
    }
    return false;
}

/* What a comment asks for: its words without those about the draft itself. */
static void wanted_by(const struct work *w, const struct word_list *l, struct word_set *want,
                      struct word_set *figures)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct word *x = &l->at[i];
        if (x->flags & WORD_FIGURE)
            words_add(w->a, figures, x->key);
        else if (!(x->flags & (WORD_STOP | WORD_UNIT)) && !cue_is(w->cues, CUE_EDITING, x) &&
                 !cue_is(w->cues, CUE_REMOVAL, x) && !cue_is(w->cues, CUE_NEGATOR, x))
            words_add(w->a, want, x->key);
    }
    words_sort(want);
    words_sort(figures);
}

static bool heeded(const struct work *w, const json_t *comment)
{
    struct word_list l;
    struct word_set want = { 0 }, figures = { 0 }, all = { 0 };
    if (words_scan(w->a, js_view(comment, "text"), LANG_NONE, &l) != OK)
        return false;
    wanted_by(w, &l, &want, &figures);
    bool removal = cue_any(w->cues, CUE_REMOVAL, l.at, l.n < 4 ? l.n : 4);
    for (size_t i = 0; i < w->reqs.n; i++) {
        const struct req *q = &w->reqs.at[i];
        struct word_set mine = { 0 };
        struct word_list name;
        if (words_scan(w->a, str_of(q->name), LANG_NONE, &name) == OK)
            words_collect(w->a, name.at, name.n, &mine);
        words_collect(w->a, q->whole_list.at, q->whole_list.n, &mine);
        words_collect(w->a, q->whole_list.at, q->whole_list.n, &all);
        words_collect(w->a, name.at, name.n, &all);
        if (removal && normal(q) && want.n && words_share_in(&want, &mine) >= comment_gone)
            return false;
    }
    if (removal || (want.n == 0 && figures.n == 0))
        return true;
    size_t has = words_shared(&figures, &all);
    bool either =
        cue_any(w->cues, CUE_NEGATOR, l.at, l.n) || cue_any(w->cues, CUE_INSTEAD, l.at, l.n);
    bool right = has == figures.n || (either && has > 0);
    double share = want.n ? words_share_in(&want, &all) : 1;
    return right && share >= (cites(w, js_str(comment, "id")) ? comment_cited : comment_shown);
}

static void measure_comments(struct work *w)
{
    const json_t *items = js_list(w->in->comments, "items");
    json_t *list = json_array();
    for (size_t i = js_count(items); i-- > 0;) {
        const json_t *c = js_at(items, i);
        if (heeded(w, c))
            continue;
        const char *text = quote(w, js_view(c, "text"), 1000);
        js_push_z(list, text);
        tell(w, "error", "comment.open", NULL, say(w, "the user asks: %s", text),
             say(w, "Follow the user: %s", text));
    }
    record_count(w, "comments", list, COMMENT_POINTS, COMMENT_MAX);
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static void give(struct work *w, struct str text, bool topic)
{
    struct arena scratch;
    struct word_list l;
    arena_init(&scratch, WORDS_SCRATCH_MAX);
    if (words_scan(&scratch, text, LANG_NONE, &l) != OK) {
        w->failed = true;
        l.n = 0;
    }
    for (size_t i = 0; i < l.n; i++) {
        words_add(w->a, &w->given, l.at[i].key);
        words_add(w->a, &w->given, l.at[i].low);
        if (topic && !(l.at[i].flags & (WORD_STOP | WORD_UNIT)))
            words_add(w->a, &w->topic, l.at[i].key);
    }
    arena_fini(&scratch);
    if (w->given.n > GIVEN_SORT) { /* most of it is said again and again */
        words_sort(&w->given);
        words_sort(&w->topic);
    }
}

/* Everything that somebody gave. */
static void give_all(struct work *w)
{
    const json_t *brief = w->in->brief, *caps = js_list(brief, "capabilities"),
                 *insights = js_list(w->in->insights, "items");
    const json_t *lists[] = { js_list(w->in->comments, "items"), js_list(w->in->answers, "items") };
    give(w, js_view(brief, "problem"), true);
    give(w, js_view(brief, "context"), false);
    for (size_t i = 0; i < js_count(insights); i++)
        give(w, js_view(js_at(insights, i), "excerpt"), true);
    for (size_t k = 0; k < COUNT(lists); k++) {
        for (size_t i = 0; i < js_count(lists[k]); i++)
            give(w, js_view(js_at(lists[k], i), "text"), true);
    }
    for (size_t i = 0; i < js_count(caps); i++) {
        const json_t *known = js_list(js_at(caps, i), "requirements");
        give(w, js_view(js_at(caps, i), "purpose"), false);
        for (size_t k = 0; k < js_count(known); k++) {
            const json_t *scenarios = js_list(js_at(known, k), "scenarios");
            give(w, js_view(js_at(known, k), "text"), false);
            for (size_t s = 0; s < js_count(scenarios); s++)
                give(w,
                     (struct str){ json_string_value(js_at(scenarios, s)),
                                   json_string_length(js_at(scenarios, s)) },
                     false);
        }
    }
    for (size_t i = 0; i < w->known.n; i++)
        words_add(w->a, &w->given, w->known.at[i]);
    words_sort(&w->given);
    words_sort(&w->topic);
    w->failed = w->failed || w->given.failed || w->topic.failed;
}

/* Comments first, then errors, then warnings; each in the order it was found. */
static void sort_findings(struct work *w)
{
    static const char *const ranks[] = { "error", "warning", "info" };
    json_t *ordered = json_array(), *all = w->out->findings;
    for (size_t r = 0; r <= COUNT(ranks); r++) {
        for (size_t i = 0; i < json_array_size(all); i++) {
            json_t *f = json_array_get(all, i);
            bool comment = strcmp(js_str(f, "code"), "comment.open") == 0;
            if (r == 0 ? comment : !comment && strcmp(js_str(f, "severity"), ranks[r - 1]) == 0)
                js_push(ordered, json_incref(f));
        }
    }
    json_decref(all);
    w->out->findings = ordered;
}

static void measure_all(struct work *w)
{
    json_t *missing = json_array();
    measure_repeats(w);
    measure_paste(w);
    measure_opposites(w);
    measure_hollow(w);
    measure_degenerate(w);
    measure_invented(w);
    measure_echoes(w);
    measure_comments(w);
    double covered = cover_problem(w, missing);
    record(w, "coverage", covered, (int64_t)(covered * 1000 + 0.5), missing);
}

static enum status read_all(struct work *w)
{
    if (!(w->cues = cues_make(w->a)))
        return ERR_LIMIT;
    enum status st = helds_read(w);
    if (st == OK)
        st = problem_read(w->a, w->cues, js_view(w->in->brief, "problem"), &w->known, &w->problem);
    if (st == OK)
        give_all(w);
    struct setting setting = { w->cues, &w->helds, &w->known, &w->topic };
    if (st == OK && !w->failed)
        st = reqs_read(w->a, &setting, w->in->draft, &w->reqs);
    return st == OK && w->failed ? ERR_LIMIT : st;
}

enum status measures_take(struct arena *a, const struct measures_input *in,
                          struct measures_result *out)
{
    struct work w = { .a = a, .in = in, .out = out };
    *out = (struct measures_result){ .list = json_array(), .findings = json_array() };
    enum status st = read_all(&w);
    if (st != OK)
        return st;
    measure_all(&w);
    if (w.failed)
        return ERR_LIMIT;
    sort_findings(&w);
    out->score = w.score < 0 ? 0 : w.score > 1000 ? 1000 : w.score;
    return OK;
}
