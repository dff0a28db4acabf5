/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/harness.h"
#include "workers/parse/brief.h"

#include "common/bounds.h"

/* A workspace, its index and its words; hostile ones end in ERR_LIMIT. */
enum { WORKSPACE_WIRE_MAX = PAWL_WORKSPACE_MAX + (1 << 23), PARSE_ARENA_MAX = 1 << 30 };

static void fail(struct task *t, const struct err *err)
{
    enum fault fault = err->status == ERR_LIMIT || err->status == ERR_NOMEM ? FAULT_RETRYABLE : FAULT_PERMANENT;
    task_fail(t, fault, 0, "%s%s%s", err->text, *err->fix ? "; " : "", err->fix);
}

static void parse(struct task *t, struct arena *a)
{
    struct err err = { 0 };
    struct ws ws;
    json_t *brief = NULL, *findings = NULL;
    const json_t *problem = task_doc(t, "problem", &err);
    if (!problem) {
        err_prefix(&err, "no usable problem statement");
        fail(t, &err);
        return;
    }
    struct str bytes = task_blob(t, "workspace", WORKSPACE_WIRE_MAX, &err);
    enum status st = err.status;
    if (st == OK && bytes.n == 0) {
        st = err_set(&err, ERR_DATA, "no workspace was sent with the job");
        err_fix(&err, "submit from a repository that holds openspec/");
    }
    if (st == OK)
        st = ws_decode(a, bytes, &ws, &err);
    if (st == OK) {
        task_note(t, "reading %zu files", ws.n);
        st = brief_make(a, &ws, problem, &brief, &findings, &err);
    }
    if (findings)
        task_put(t, "findings", findings);
    if (st != OK) {
        fail(t, &err);
        return;
    }
    task_note(t, "%zu of %zu capabilities", js_count(js_list(brief, "capabilities")),
              js_count(js_list(brief, "all_capabilities")));
    task_put(t, "brief", brief);
    task_done(t);
}

static enum status parse_open(struct worker *w, void **self, struct err *err)
{
    (void)w;
    (void)err;
    *self = NULL;
    return OK;
}

static void parse_begin(void *self, struct task *t)
{
    struct arena a;
    (void)self;
    arena_init(&a, PARSE_ARENA_MAX);
    parse(t, &a);
    arena_fini(&a);
}

static void parse_cancel(void *self, struct task *t)
{
    (void)self; /* begin does all of it at once: there is never something to stop */
    (void)t;
}

static void parse_close(void *self)
{
    (void)self;
}

int main(int argc, char **argv)
{
    static const char *const stages[] = { "parse", NULL };
    static const struct stage_ops ops = { .role = "parse", .stages = stages, .slots = 4, .open = parse_open,
                                          .begin = parse_begin, .cancel = parse_cancel, .close = parse_close };
    return worker_main(argc, argv, &ops);
}
