/* SPDX-License-Identifier: Apache-2.0 */
/* parse: the stage around brief.c. */
#include "common/bounds.h"
#include "workers/harness.h"
#include "workers/parse/brief.h"
#include "workers/wish.h"

enum { ARENA_MAX = 1 << 30 };

static enum status parse_open(struct worker *w, void **self, struct err *err)
{
    (void)w;
    (void)err;
    *self = NULL;
    return OK;
}

static void refuse(struct task *t, const struct err *err, json_t *findings)
{
    bool memory = err->status == ERR_LIMIT || err->status == ERR_NOMEM;
    json_t *doc = json_object();
    if (!findings)
        findings = json_array();
    if (js_count(findings) == 0)
        js_push(findings, finding_new("error", "parse.input", err->text, err->fix));
    js_set(doc, "items", findings);
    task_put(t, "findings", doc);
    task_fail(t, memory ? FAULT_RETRYABLE : FAULT_PERMANENT, 0, "%s%s%s", err->text,
              *err->fix ? "; " : "", err->fix);
}

static void parse(struct task *t, struct arena *a)
{
    struct err err = { 0 };
    struct ws ws = { 0 };
    json_t *brief = NULL, *findings = NULL;
    const json_t *problem = task_doc(t, "problem", &err);
    struct str bytes = task_blob(t, "workspace", PAWL_WORKSPACE_MAX + (8 << 20), &err);
    if (!problem && !*err.text)
        err_set(&err, ERR_DATA, "the job has no problem statement");
    if (problem && bytes.n == 0 && !*err.text)
        err_set(&err, ERR_DATA, "the job has no workspace");
    task_note(t, "reading the specs");
    enum status st = *err.text ? ERR_DATA : ws_decode(a, bytes, &ws, &err);
    if (st == OK)
        st = brief_make(a, problem, &ws, &brief, &findings, &err);
    if (st != OK) {
        refuse(t, &err, findings);
        return;
    }
    task_note(t, "%zu of %zu capabilities", js_count(js_list(brief, "capabilities")),
              js_count(js_list(brief, "all_capabilities")));
    json_t *questions = wish_ask(a, js_view(brief, "problem"), task_doc(t, "answers", NULL));
    if (questions)
        task_put(t, "questions", questions);
    task_put(t, "brief", brief);
    task_done(t);
}

/* All of it at once; what a large workspace takes is given back before the next task. */
static void parse_begin(void *self, struct task *t)
{
    struct arena a;
    (void)self;
    arena_init(&a, ARENA_MAX);
    parse(t, &a);
    arena_fini(&a);
}

static void parse_cancel(void *self, struct task *t)
{
    (void)self;
    (void)t; /* begin never leaves anything under way */
}

static void parse_close(void *self)
{
    (void)self;
}

int main(int argc, char **argv)
{
    static const char *const stages[] = { "parse", NULL };
    static const struct stage_ops ops = { "parse",     stages,       4,          parse_open,
                                          parse_begin, parse_cancel, parse_close };
    return worker_main(argc, argv, &ops);
}
