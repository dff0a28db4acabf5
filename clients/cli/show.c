/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl show`: everything about one job on a page. */
#include "clients/cli/because.h"
#include "clients/cli/cli.h"
#include "clients/cli/finding.h"
#include "clients/cli/link.h"
#include "clients/cli/live.h"
#include "clients/cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ANSWER_MS = 30000, PAGE_BYTES_MAX = 16 << 20 };

struct page {
    struct cli *cli;
    struct talk talk;
    json_t *job, *problem, *review, *change, *insights, *findings, *draft;
    struct buf out;
};

/* Absent documents stay NULL; anything else that goes wrong is told. */
static json_t *fetch_of(struct page *p, const char *name, int64_t run, int64_t round)
{
    json_t *doc = NULL;
    struct err err = { 0 };
    struct doc_ref ref = { js_str(p->job, "id"), name, run, round };
    enum status st = talk_get(&p->talk, ref, &doc, &err);
    if (st != OK && st != ERR_NOT_FOUND)
        out_warn(p->cli, "%s: %s", name, err.text);
    return doc;
}

static json_t *fetch(struct page *p, const char *name)
{
    return fetch_of(p, name, 0, 0);
}

static void title(struct page *p, const char *text)
{
    buf_printf(&p->out, "\n%s%s%s\n", paint(p->cli->color_out, "bold"), text,
               paint(p->cli->color_out, "off"));
}

static void key(struct page *p, const char *name)
{
    buf_printf(&p->out, "%s%-10s%s", paint(p->cli->color_out, "dim"), name,
               paint(p->cli->color_out, "off"));
}

/* What an open job waits for, if that is not its worker. */
static void waits(struct page *p)
{
    const json_t *w = js_obj(p->job, "why");
    const char *code = js_str(w, "code");
    if (!w || strcmp(code, "ended") == 0 || strcmp(code, "running") == 0)
        return;
    key(p, "waits");
    text_of(&p->out, w, "text");
    if (js_int(w, "until_ms", 0) > 0) {
        buf_str(&p->out, ", until ");
        text_when(&p->out, js_int(w, "until_ms", 0));
    }
    buf_char(&p->out, '\n');
}

static void head(struct page *p)
{
    const json_t *j = p->job, *lease = js_obj(j, "lease");
    const char *state = js_str(j, "state");
    struct buf *b = &p->out;
    key(p, "job");
    text_of(b, j, "id");
    buf_char(b, '\n');
    key(p, "state");
    buf_printf(b, "%s%s%s", paint(p->cli->color_out, paint_state(state)), state,
               paint(p->cli->color_out, "off"));
    if (js_view(j, "reason").n) {
        buf_str(b, ": ");
        text_of(b, j, "reason");
    }
    buf_char(b, '\n');
    if (*js_str(j, "stage")) {
        key(p, "stage");
        text_of(b, j, "stage");
        buf_printf(b, ", round %" PRId64 " of %" PRId64, js_int(j, "round", 0),
                   js_int(j, "rounds_max", 0));
        if (lease) {
            buf_str(b, ", in the hands of ");
            text_of(b, lease, "worker");
        }
        buf_char(b, '\n');
    }
    waits(p);
    if (js_view(j, "label").n) {
        key(p, "label");
        text_of(b, j, "label");
        buf_char(b, '\n');
    }
    key(p, "submitted");
    text_when(b, js_int(j, "created_ms", 0));
    buf_printf(b, ", run %" PRId64 ", project ", js_int(j, "run", 1));
    text_of(b, j, "project");
    buf_char(b, '\n');
    key(p, "spent");
    text_count(b, js_int(j, "tokens_in", 0));
    buf_str(b, " tokens in, ");
    text_count(b, js_int(j, "tokens_out", 0));
    buf_str(b, " out, of ");
    text_count(b, js_int(j, "tokens_max", 0));
    buf_str(b, "; ");
    text_time(b, js_int(j, "wall_ms", 0));
    buf_char(b, '\n');
}

static void problem(struct page *p)
{
    struct str text = js_view(p->problem, "text");
    if (!text.n)
        return;
    title(p, "problem");
    size_t n = text.n, lines = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\n' && ++lines == 12 && !p->cli->verbose) {
            n = i;
            break;
        }
    }
    n = n > 2000 && !p->cli->verbose ? 2000 : n;
    text_clean(&p->out, (struct str){ text.p, n }, true);
    buf_str(&p->out, n < text.n ? "\n… (-v shows all)\n" : "\n");
}

static void rounds(struct page *p)
{
    static const char *const heads[] = { "RUN",      "ROUND", "FROM",   "",     "GATES",
                                         "MEASURES", "JUDGE", "TOKENS", "TIME", "WHY" };
    const json_t *ledger = js_list(p->job, "ledger");
    struct table t;
    if (js_count(ledger) == 0)
        return;
    title(p, "rounds");
    table_init(&t, heads, COUNT(heads));
    for (size_t i = 0; i < js_count(ledger); i++) {
        const json_t *e = js_at(ledger, i), *v = js_obj(e, "verdict");
        struct buf b;
        buf_init(&b, 4096);
        table_cellf(&t, "%" PRId64, js_int(e, "run", 1));
        table_cellf(&t, "%" PRId64, js_int(e, "round", 0));
        table_cellf(&t, js_int(e, "parent", 0) ? "%" PRId64 : "-", js_int(e, "parent", 0));
        table_cell(&t, js_bool(e, "kept", false) ? "kept" : "discarded");
        table_cell(&t, !v ? "-" : js_bool(v, "gates", false) ? "ok" : "failed");
        table_cellf(&t, v ? "%.2f" : "-", (double)js_int(v, "measures", 0) / 1000);
        table_cellf(&t, js_int(v, "judge", -1) >= 0 ? "%.2f" : "-",
                    (double)js_int(v, "judge", 0) / 1000);
        text_count(&b, js_int(e, "tokens_in", 0) + js_int(e, "tokens_out", 0));
        table_cell(&t, buf_z(&b));
        buf_clear(&b);
        text_time(&b, js_int(e, "ms", 0));
        table_cell(&t, buf_z(&b));
        table_cell(&t, js_str(e, "reason"));
        buf_fini(&b);
    }
    table_end(&t, p->cli->out_tty, &p->out);
}

static void change(struct page *p)
{
    const json_t *best = js_obj(p->job, "best"), *files = js_list(p->change, "files");
    if (!best)
        return;
    title(p, "best candidate");
    buf_printf(&p->out, "round %" PRId64 ": ", js_int(best, "round", 0));
    verdict_text(js_obj(best, "verdict"), &p->out);
    buf_char(&p->out, '\n');
    for (size_t i = 0; i < js_count(files); i++) {
        buf_str(&p->out, "  openspec/changes/");
        text_of(&p->out, p->change, "name");
        buf_char(&p->out, '/');
        text_of(&p->out, js_at(files, i), "path");
        buf_char(&p->out, '\n');
    }
}

static void scores(struct page *p)
{
    const json_t *gates = js_list(p->review, "gates"), *measures = js_list(p->review, "measures");
    struct buf *b = &p->out;
    if (!p->review)
        return;
    title(p, "scores");
    for (size_t i = 0; i < js_count(gates); i++) {
        bool ok = js_bool(js_at(gates, i), "ok", false);
        buf_printf(b, "  %s%s%s ", paint(p->cli->color_out, ok ? "green" : "red"),
                   ok ? "ok    " : "failed", paint(p->cli->color_out, "off"));
        text_of(b, js_at(gates, i), "code");
        if (js_view(js_at(gates, i), "detail").n) {
            buf_str(b, ": ");
            text_of(b, js_at(gates, i), "detail");
        }
        buf_char(b, '\n');
    }
    for (size_t i = 0; i < js_count(measures); i++) {
        const json_t *m = js_at(measures, i), *detail = js_list(m, "detail");
        buf_printf(b, "  %+5" PRId64 "  ", js_int(m, "points", 0));
        text_of(b, m, "code");
        buf_printf(b, " %.2f", js_real(m, "value", 0));
        for (size_t k = 0; k < js_count(detail) && k < 12; k++) {
            buf_str(b, k ? ", " : ": ");
            text_clean(b, str_of(json_string_value(js_at(detail, k))), false);
        }
        buf_str(b, js_count(detail) > 12 ? ", …\n" : "\n");
    }
    const json_t *given = js_obj(p->review, "scores");
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)given, name, value) {
        buf_str(b, "  judge ");
        text_clean(b, str_of(name), false);
        buf_printf(b, " %.1f\n", json_number_value(value));
    }
}

static void findings(struct page *p)
{
    const json_t *list =
        p->findings ? js_list(p->findings, "items") : js_list(p->review, "findings");
    if (js_count(list) == 0)
        return;
    title(p, p->findings ? "why it failed" : "findings");
    for (size_t i = 0; i < js_count(list); i++)
        finding_print(js_at(list, i), p->change, p->cli->color_out, &p->out);
}

/* Which requirement rests on which insight. */
static void insights(struct page *p)
{
    const json_t *items = js_list(p->insights, "items"), *all = js_list(p->draft, "requirements");
    if (js_count(items) == 0)
        return;
    title(p, "insights");
    for (size_t i = 0; i < js_count(items); i++) {
        const json_t *x = js_at(items, i);
        size_t cited = 0;
        for (size_t k = 0; k < js_count(all); k++) {
            const json_t *sources = js_list(js_at(all, k), "sources");
            for (size_t s = 0; s < js_count(sources); s++)
                cited += strcmp(json_string_value(js_at(sources, s))
                                    ? json_string_value(js_at(sources, s))
                                    : "",
                                js_str(x, "id")) == 0;
        }
        buf_str(&p->out, "  ");
        text_of(&p->out, x, "id");
        buf_char(&p->out, ' ');
        text_of(&p->out, x, "server");
        buf_char(&p->out, '/');
        text_of(&p->out, x, "tool");
        if (js_view(x, "title").n) {
            buf_str(&p->out, ": ");
            text_of(&p->out, x, "title");
        }
        if (cited)
            buf_printf(&p->out, " (cited by %zu requirement%s)", cited, cited == 1 ? "" : "s");
        buf_char(&p->out, '\n');
        if (p->cli->verbose) {
            text_clean(&p->out, js_view(x, "excerpt"), true);
            buf_char(&p->out, '\n');
        }
    }
}

static void lines(struct page *p, const char *heading, const json_t *list, const char *const *keys)
{
    if (js_count(list) == 0)
        return;
    title(p, heading);
    for (size_t i = 0; i < js_count(list); i++) {
        buf_str(&p->out, "  ");
        for (size_t k = 0; keys[k]; k++) {
            buf_str(&p->out, k == 0 ? "" : k == 1 ? " " : ": ");
            text_of(&p->out, js_at(list, i), keys[k]);
        }
        buf_char(&p->out, '\n');
    }
}

static void open_questions(struct page *p)
{
    const json_t *list = js_list(p->job, "questions");
    if (js_count(list) == 0)
        return;
    title(p, "waits for your answer");
    for (size_t i = 0; i < js_count(list); i++) {
        const json_t *q = js_at(list, i);
        buf_str(&p->out, "  ");
        text_of(&p->out, q, "id");
        buf_char(&p->out, ' ');
        text_of(&p->out, q, "text");
        buf_str(&p->out, "\n    default: ");
        text_of(&p->out, q, "otherwise");
        if (js_int(q, "due_ms", 0)) {
            buf_str(&p->out, ", holds from ");
            text_when(&p->out, js_int(q, "due_ms", 0));
        }
        buf_printf(&p->out, "\n    pawl answer %s ", js_str(p->job, "id"));
        text_of(&p->out, q, "id");
        buf_str(&p->out, " TEXT\n");
    }
}

/* Answered asks are documents of their own. */
static void asks(struct page *p)
{
    const json_t *docs = js_list(p->job, "documents");
    bool first = true;
    for (size_t i = 0; i < js_count(docs); i++) {
        const char *name = js_str(js_at(docs, i), "name");
        if (strncmp(name, "reply/", 6) != 0)
            continue;
        json_t *reply = fetch(p, name);
        if (first)
            title(p, "asked");
        first = false;
        buf_str(&p->out, "  ? ");
        text_of(&p->out, reply, "question");
        buf_str(&p->out, "\n    ");
        text_of(&p->out, reply, "text");
        buf_char(&p->out, '\n');
        json_decref(reply);
    }
}

static void documents(struct page *p)
{
    const json_t *docs = js_list(p->job, "documents");
    if (!p->cli->verbose || js_count(docs) == 0)
        return;
    title(p, "documents");
    for (size_t i = 0; i < js_count(docs); i++) {
        const json_t *d = js_at(docs, i);
        buf_str(&p->out, "  ");
        text_of(&p->out, d, "name");
        buf_printf(&p->out, " run %" PRId64 " round %" PRId64 ", ", js_int(d, "run", 0),
                   js_int(d, "round", 0));
        text_bytes(&p->out, js_int(d, "bytes", 0));
        buf_char(&p->out, '\n');
    }
}

static void print_page(struct page *p)
{
    static const char *const failure[] = { "fault", "task", "text", NULL },
                             *const comment[] = { "id", "text", NULL },
                             *const answer[] = { "id", "question", "text", NULL };
    bool failed = strcmp(js_str(p->job, "state"), "failed") == 0;
    p->problem = fetch(p, "problem");
    p->findings = failed ? fetch(p, "findings") : NULL;
    p->change = fetch(p, js_obj(p->job, "best") ? "change@best" : "change");
    p->review = fetch(p, js_obj(p->job, "best") ? "review@best" : "review");
    p->insights = fetch(p, "insights");
    p->draft = fetch(p, js_obj(p->job, "best") ? "draft@best" : "draft");
    head(p);
    problem(p);
    open_questions(p);
    rounds(p);
    change(p);
    scores(p);
    findings(p);
    insights(p);
    lines(p, "your comments", js_list(p->job, "comments"), comment);
    lines(p, "answers", js_list(p->job, "answers"), answer);
    asks(p);
    lines(p, "failures", js_list(p->job, "failures"), failure);
    documents(p);
    fputs(buf_z(&p->out), stdout);
}

/* Reviews up to the candidate's own, of its run. */
static json_t *reviews_until(struct page *p, int64_t run, int64_t round)
{
    const json_t *ledger = js_list(p->job, "ledger");
    json_t *out = json_array();
    for (size_t i = 0; i < js_count(ledger); i++) {
        const json_t *e = js_at(ledger, i);
        int64_t of = js_int(e, "round", 0);
        if (js_int(e, "run", 1) != run || of > round)
            continue;
        json_t *review = fetch_of(p, "review", run, of);
        if (!review)
            continue;
        js_set_int(review, "round", of);
        js_push(out, review);
    }
    return out;
}

static enum status why(struct page *p, const char *name, struct err *err)
{
    const json_t *best = js_obj(p->job, "best"), *requirement;
    int64_t round = js_int(best, "round", js_int(p->job, "round", 0));
    int64_t run = js_int(best, "run", js_int(p->job, "run", 1));
    p->draft = fetch(p, best ? "draft@best" : "draft");
    if (!p->draft)
        return err_set(err, ERR_NOT_FOUND, "%s has no draft yet (it is %s)", js_str(p->job, "id"),
                       js_str(p->job, "state"));
    enum status st = because_find(p->draft, name, &requirement, err);
    if (st != OK)
        return st;
    p->insights = fetch_of(p, "insights", run, round);
    json_t *reviews = reviews_until(p, run, round);
    struct because_record record = { .insights = p->insights,
                                     .comments = js_list(p->job, "comments"),
                                     .answers = js_list(p->job, "answers"),
                                     .reviews = reviews };
    json_t *because = because_of(requirement, &record);
    json_decref(reviews);
    if (out_is_json(p->cli)) {
        out_json(p->cli, "Because", because);
        return OK;
    }
    because_print(because, p->cli->color_out, &p->out);
    fputs(buf_z(&p->out), stdout);
    json_decref(because);
    return OK;
}

int cmd_show(struct cli *cli)
{
    struct page p = { .cli = cli };
    struct err err = { 0 };
    enum status st = talk_open(
        &p.talk, cli->conf, cli_has(cli, FLAG_TIMEOUT) ? cli->args.number[FLAG_TIMEOUT] : ANSWER_MS,
        false, &err);
    buf_init(&p.out, PAGE_BYTES_MAX);
    if (st == OK)
        st = talk_show(&p.talk, cli_word(cli, 0), &p.job, &err);
    if (st == OK && cli_has(cli, FLAG_WHY))
        st = why(&p, cli_flag(cli, FLAG_WHY), &err);
    else if (st == OK && out_is_json(cli))
        out_json(cli, "Job", json_incref(p.job));
    else if (st == OK && cli->form == FORM_ID)
        printf("%s\n", js_str(p.job, "id"));
    else if (st == OK)
        print_page(&p);
    talk_close(&p.talk);
    json_t *const docs[] = {
        p.job, p.problem, p.review, p.change, p.insights, p.findings, p.draft
    };
    for (size_t i = 0; i < COUNT(docs); i++)
        json_decref(docs[i]);
    buf_fini(&p.out);
    return st == OK ? 0 : out_error(cli, &err);
}
