/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/stage.h"
#include "workers/generate/text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    REFRESH_MAX = 8,    /* probes asked again for an answer */
    FACTS_BYTES = 6000, /* of all tool results together in the prompt */
    LINES_MAX = 12,     /* of one result */
    PROBLEM_BYTES = 4000,
    DRAFT_BYTES = 9000,
    FINDINGS_MAX = 10,
    REPLY_TOKENS = 700,
    PROMPT_MAX = 256 * 1024,
    TOOL_CALLS = 2,
    REPLY_MAX = 60000,
};

struct question {
    struct generate *stage;
    struct task *task;
    const json_t *ask;
    json_t *facts; /* insights, fresh where they could be had; held by the task */
    json_t *calls; /* of the probes, by position in facts; held too */
    size_t waiting;
};

struct probe {
    struct question *q;
    size_t at;
};

/* ---- the prompt -------------------------------------------------------------------------------- */

/* Lines of a result that have to do with the question or the problem; the first ones when none has. */
static void put_excerpt(struct question *q, struct buf *b, const json_t *fact,
                        const struct words *about)
{
    struct arena *a = task_arena(q->task);
    struct str rest = js_view(fact, "excerpt");
    int put = 0;
    for (int pass = 0; pass < 2 && put == 0; pass++) {
        struct str r = rest;
        while (r.n > 0 && put < LINES_MAX && b->len < FACTS_BYTES) {
            const char *nl = memchr(r.p, '\n', r.n);
            size_t eaten = nl ? (size_t)(nl - r.p) + 1 : r.n;
            struct str line = blank_trim((struct str){ r.p, nl ? eaten - 1 : eaten });
            r = (struct str){ r.p + eaten, r.n - eaten };
            struct words w = text_words(a, LANG_NONE, line);
            if (line.n == 0 || (pass == 0 && words_common(&w, about) == 0))
                continue;
            buf_printf(b, "  %s\n", text_line(a, line, 300));
            put++;
        }
    }
}

static void put_facts(struct question *q, struct buf *out, const struct words *about)
{
    struct buf b;
    buf_init(&b, PROMPT_MAX);
    for (size_t i = 0; i < json_array_size(q->facts) && b.len < FACTS_BYTES; i++) {
        const json_t *f = json_array_get(q->facts, i);
        buf_printf(&b, "[%s] %s%s:\n", js_str(f, "id"),
                   *js_str(f, "title") ? js_str(f, "title") : js_str(f, "tool"),
                   js_bool(f, "stale", false) ? " (as of the last round)" : " (read just now)");
        put_excerpt(q, &b, f, about);
    }
    if (b.len)
        buf_printf(out, "Facts that tools found out:\n%s\n", buf_z(&b));
    buf_fini(&b);
}

static void put_draft(struct question *q, struct buf *b)
{
    struct arena *a = task_arena(q->task);
    const json_t *draft = task_doc(q->task, "draft@best", NULL),
                 *list = js_list(draft, "requirements");
    if (!draft) {
        buf_str(b, "Requirements so far:\nnone yet\n\n");
        return;
    }
    size_t from = b->len;
    buf_printf(b, "Requirements of the change `%s`:\n", js_str(draft, "change_name"));
    for (size_t i = 0; i < js_count(list) && b->len - from < DRAFT_BYTES; i++) {
        const json_t *r = js_at(list, i), *sources = js_list(r, "sources");
        buf_printf(b, "%zu. %s (%s, %s): %s", i + 1, js_str(r, "name"), js_str(r, "op"),
                   js_str(r, "capability"), text_line(a, js_view(r, "text"), 600));
        for (size_t k = 0; k < js_count(sources); k++)
            buf_printf(b, "%s%s%s", k ? ", " : " [rests on ", json_string_value(js_at(sources, k)),
                       k + 1 == js_count(sources) ? "]" : "");
        buf_char(b, '\n');
    }
    buf_char(b, '\n');
}

static void put_review(struct question *q, struct buf *b)
{
    struct arena *a = task_arena(q->task);
    const json_t *review = task_doc(q->task, "review@best", NULL),
                 *list = js_list(review, "findings");
    const json_t *v = js_obj(review, "verdict");
    if (!review)
        return;
    buf_printf(b, "Review of it:\ngates %s, measures %lld of 1000, judge %lld of 1000\n",
               js_bool(v, "gates", false) ? "hold" : "do not hold",
               (long long)js_int(v, "measures", 0), (long long)js_int(v, "judge", -1));
    for (size_t i = 0; i < js_count(list) && i < FINDINGS_MAX; i++)
        buf_printf(b, "- %s: %s\n", js_str(js_at(list, i), "severity"),
                   text_line(a, js_view(js_at(list, i), "message"), 300));
    buf_char(b, '\n');
}

static void put_history(struct question *q, struct buf *b)
{
    struct arena *a = task_arena(q->task);
    const json_t *ledger = js_list(task_doc(q->task, "ledger", NULL), "items");
    const json_t *comments = js_list(task_doc(q->task, "comments", NULL), "items");
    const json_t *answers = js_list(task_doc(q->task, "answers", NULL), "items");
    for (size_t i = 0; i < js_count(ledger); i++) {
        const json_t *e = js_at(ledger, i);
        buf_printf(b, "%sround %lld: %s: %s\n", i ? "" : "History of the job:\n",
                   (long long)js_int(e, "round", 0),
                   js_bool(e, "kept", false) ? "kept" : "discarded",
                   text_line(a, js_view(e, "reason"), 200));
    }
    for (size_t i = 0; i < js_count(comments); i++)
        buf_printf(b, "%s- %s\n", i ? "" : "\nComments of the user:\n",
                   text_line(a, js_view(js_at(comments, i), "text"), 400));
    for (size_t i = 0; i < js_count(answers); i++)
        buf_printf(b, "%s- %s %s\n", i ? "" : "\nAnswers of the user:\n",
                   text_line(a, js_view(js_at(answers, i), "question"), 200),
                   text_line(a, js_view(js_at(answers, i), "text"), 200));
    buf_char(b, '\n');
}

static struct str problem_of(struct task *t)
{
    struct str p = js_view(task_doc(t, "brief", NULL), "problem");
    return p.n ? p : js_view(task_doc(t, "problem", NULL), "text");
}

static json_t *messages_of(struct question *q)
{
    struct arena *a = task_arena(q->task);
    const char *ask = js_str(q->ask, "text");
    struct buf b, about;
    json_t *list = json_array(), *user = json_object();
    buf_init(&b, PROMPT_MAX);
    buf_init(&about, PROMPT_MAX);
    buf_printf(&about, "%s\n%s", ask, text_cut(a, problem_of(q->task), PROBLEM_BYTES));
    char *all = arena_dup(a, buf_z(&about), about.len);
    struct words words = text_words(a, LANG_NONE, str_of(all ? all : ask));
    buf_printf(&b, "Problem:\n%s\n\n", text_cut(a, problem_of(q->task), PROBLEM_BYTES));
    put_draft(q, &b);
    put_review(q, &b);
    put_history(q, &b);
    put_facts(q, &b, &words);
    buf_printf(&b,
               "Question:\n%s\n\nTask:\nAnswer the question of the user in a few plain sentences, "
               "in the language "
               "of the question, from what is written above. Name the requirement or the fact that "
               "your answer rests "
               "on. Where facts and requirements differ, say so and give the value of the facts. "
               "Say openly when the "
               "answer is not above.",
               text_cut(a, str_of(ask), 4000));
    js_push(list, json_pack("{s:s,s:s}", "role", "system", "content",
                            "You answer questions about a change to a software's requirements, "
                            "briefly and truthfully."));
    js_set_z(user, "role", "user");
    js_set_str(user, "content", buf_get(&b));
    js_push(list, user);
    buf_fini(&b);
    buf_fini(&about);
    return list;
}

/* ---- the answer ---------------------------------------------------------------------------------- */

/* What the answer rests on: a document whose words or figures come up in it. */
static json_t *sources_of(struct question *q, const char *text)
{
    struct arena *a = task_arena(q->task);
    struct words w = text_words(a, LANG_NONE, str_of(text));
    json_t *out = json_array();
    const json_t *list = js_list(task_doc(q->task, "draft@best", NULL), "requirements");
    for (size_t i = 0; i < js_count(list) && json_array_size(out) < 20; i++) {
        const json_t *r = js_at(list, i);
        struct words rw = text_words(a, LANG_NONE, js_view(r, "text"));
        if (strcasestr(text, js_str(r, "name")) || (rw.n >= 3 && words_share(&rw, &w) >= 0.4)) {
            char *z = arena_printf(a, "requirement %s", js_str(r, "name"));
            js_push_z(out, z ? z : "draft");
        }
    }
    for (size_t i = 0; i < json_array_size(q->facts) && json_array_size(out) < 40; i++) {
        const json_t *f = json_array_get(q->facts, i);
        struct words fw = text_words(a, LANG_NONE, js_view(f, "excerpt"));
        bool figure = false;
        for (size_t k = 0; k < w.n; k++)
            figure = figure || (word_figure(&w.v[k]) && words_hold(&fw, &w.v[k]));
        if (figure || words_common(&fw, &w) >= 3) {
            char *z = arena_printf(a, "insight %s (%s/%s)", js_str(f, "id"), js_str(f, "server"),
                                   js_str(f, "tool"));
            js_push_z(out, z ? z : "insights");
        }
    }
    return out;
}

static void on_answer(void *ctx, struct task *t, const struct model_reply *reply)
{
    struct question *q = ctx;
    json_t *doc = json_object();
    const char *text = text_cut(task_arena(t), str_of(reply->text), REPLY_MAX);
    js_set_z(doc, "id", js_str(q->ask, "id"));
    js_set_z(doc, "question", js_str(q->ask, "text"));
    js_set_z(doc, "text", text);
    js_set(doc, "sources", sources_of(q, text));
    js_set_z(doc, "model", model_name(q->stage->model));
    task_let_go(t);
    task_put(t, "reply", doc);
    task_done(t);
}

static void on_tools(void *ctx, struct task *t, json_t *found)
{
    struct question *q = ctx;
    for (size_t i = 0; i < js_count(found); i++)
        js_push(q->facts, json_deep_copy(js_at(found, i)));
    json_t *list = messages_of(q);
    struct model_request r = { .messages = list,
                               .tokens_max = REPLY_TOKENS,
                               .temperature = 0.2,
                               .seed = task_seed(t),
                               .stream_text = true };
    task_note(t, "answering");
    model_call(q->stage->model, t, &r, on_answer, q);
    json_decref(list);
}

static void facts_ready(struct question *q)
{
    struct arena *a = task_arena(q->task);
    char *about = arena_printf(a, "Problem:\n%s\n\nQuestion of the user:\n%s",
                               text_cut(a, problem_of(q->task), PROBLEM_BYTES),
                               text_cut(a, js_view(q->ask, "text"), 2000));
    struct agent_want want = { .about = about ? about : "",
                               .insights = task_doc(q->task, "insights", NULL),
                               .calls_max = TOOL_CALLS,
                               .seed = task_seed(q->task) };
    agent_start(q->stage, q->task, &want, on_tools, q);
}

/* ---- fresh facts --------------------------------------------------------------------------------- */

static void on_probe(void *ctx, struct task *t, const json_t *result, const char *fault)
{
    struct probe *p = ctx;
    struct question *q = p->q;
    json_t *old = json_array_get(q->facts, p->at);
    (void)fault;
    if (result && js_bool(result, "ok", false)) {
        json_t *fresh =
            insight_of(task_arena(t), js_str(old, "id"), json_array_get(q->calls, p->at), result);
        if (*js_str(old, "title"))
            js_set_z(fresh, "title", js_str(old, "title"));
        json_array_set_new(q->facts, p->at, fresh);
    } else {
        js_set_bool(old, "stale", true); /* what was known then is better than nothing */
    }
    if (--q->waiting == 0)
        facts_ready(q);
}

static json_t *call_of(const json_t *insight)
{
    json_t *call = json_object();
    const json_t *args = js_obj(insight, "arguments");
    js_set_z(call, "server", js_str(insight, "server"));
    js_set_z(call, "tool", js_str(insight, "tool"));
    js_set(call, "arguments", args ? json_deep_copy(args) : json_object());
    return call;
}

void ask_begin(struct generate *s, struct task *t)
{
    struct err err = { 0 };
    struct question *q = arena_alloc(task_arena(t), sizeof *q);
    const json_t *ask = task_doc(t, "ask", &err);
    if (!q || !ask) {
        task_let_go(t);
        task_fail(t, FAULT_PERMANENT, 0, "no usable question: %s",
                  *err.text ? err.text : "it was not sent");
        return;
    }
    const json_t *items = js_list(task_doc(t, "insights", NULL), "items");
    *q = (struct question){ .stage = s,
                            .task = t,
                            .ask = ask,
                            .calls = task_hold(t, json_array()),
                            .facts = task_hold(t, items ? json_deep_copy(items) : json_array()) };
    size_t n = json_array_size(q->facts);
    q->waiting = n < REFRESH_MAX ? n : REFRESH_MAX;
    for (size_t i = 0; i < n; i++) {
        js_push(q->calls, call_of(json_array_get(q->facts, i)));
        if (i >= REFRESH_MAX)
            js_set_bool(json_array_get(q->facts, i), "stale", true);
    }
    if (q->waiting == 0) {
        facts_ready(q);
        return;
    }
    task_note(t, "asking %zu tools again", q->waiting);
    for (size_t i = 0, waiting = q->waiting; i < waiting; i++) {
        struct probe *p = arena_alloc(task_arena(t), sizeof *p);
        assert(p);
        *p = (struct probe){ q, i };
        task_call(t, json_incref(json_array_get(q->calls, i)), on_probe, p);
    }
}
