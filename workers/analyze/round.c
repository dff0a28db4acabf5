/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/analyze/analyze.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FINDINGS_MAX = 200 }; /* of one insights document */

/* One probe of one task. */
struct run {
    struct server_call call;
    struct round *round;
    const struct probe *probe;
    json_t *arguments;
    struct hash request; /* names the step that records it */
    struct mono began;
    json_t *insight, *finding; /* one of them when it has ended */
};

struct round {
    struct round *next;
    struct analyze *analyze;
    struct task *task;
    size_t open; /* probes without an answer */
    bool begun;  /* all probes were made */
    struct run *runs;
};

static void round_free(struct round *r)
{
    struct round **at = &r->analyze->rounds;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    for (size_t i = 0; i < r->analyze->probes.n; i++) {
        json_decref(r->runs[i].arguments);
        json_decref(r->runs[i].insight);
        json_decref(r->runs[i].finding);
    }
}

static void note(struct round *r)
{
    size_t n = r->analyze->probes.n;
    task_note(r->task, "%zu of %zu probes", n - r->open, n);
}

/* ---- the document ---------------------------------------------------------------------------- */

/* Servers that cannot be used now. */
static void server_findings(const struct analyze *a, json_t *findings)
{
    for (size_t i = 0; i < a->servers_n; i++) {
        const struct server *s = a->servers[i];
        const struct mcp_server *c = server_conf(s);
        char text[1400];
        if (c->disabled || (!*server_fault(s) && server_ready(s)))
            continue;
        if (c->fault)
            snprintf(text, sizeof text, "%s", c->fault); /* names file and server */
        else
            snprintf(text, sizeof text, "MCP server '%s': %s", server_name(s),
                     *server_fault(s) ? server_fault(s) : "it is still starting");
        json_t *f = finding_new("warning", "analyze.server", text, server_fix(s));
        finding_at(f, a->file, c->line, c->column);
        js_push(findings, f);
    }
}

/* mcp.json is wrong: the user is told with the job, not only in a log on some machine. The job goes
 * on without insights. */
static void file_finding(const struct analyze *a, json_t *findings)
{
    if (!a->broken)
        return;
    json_t *f = finding_new("error", "analyze.mcp-json", a->why.text, a->why.fix);
    finding_at(f, a->file, a->place.line, a->place.column);
    js_push(findings, f);
}

static void changed_finding(const struct server *s, const char *tool, json_t *findings)
{
    char text[512];
    snprintf(text, sizeof text,
             "MCP server '%s' now describes its tool '%s' in another way than when it was first "
             "seen: it is not used",
             server_name(s), tool);
    if (js_count(findings) < FINDINGS_MAX)
        js_push(findings,
                finding_new("warning", "analyze.tool-changed", text,
                            "Look at the tool; the worker's log says how to approve it."));
}

static json_t *tools_of(struct analyze *a, json_t *findings)
{
    json_t *offer = json_array();
    assert(offer);
    for (size_t i = 0; i < a->servers_n; i++) {
        const char *name = server_name(a->servers[i]);
        const struct mcp_tools *t = server_tools(a->servers[i]);
        for (size_t k = 0; t && k < t->n; k++) {
            if (!tool_allowed(a->allow, name, t->items[k].name))
                continue;
            if (analyze_pinned(a, a->servers[i], &t->items[k]))
                js_push(offer, offer_new(name, t->items[k].def));
            else
                changed_finding(a->servers[i], t->items[k].name, findings);
        }
    }
    return offer;
}

static json_t *insights_of(struct round *r)
{
    struct analyze *a = r->analyze;
    json_t *doc = json_object(), *items = json_array(), *findings = json_array();
    assert(doc && items && findings);
    file_finding(a, findings);
    server_findings(a, findings);
    for (size_t i = 0; i < a->probes.n; i++) {
        if (r->runs[i].insight)
            js_push(items, json_incref(r->runs[i].insight));
        else if (r->runs[i].finding && js_count(findings) < FINDINGS_MAX)
            js_push(findings, json_incref(r->runs[i].finding));
    }
    for (size_t i = 0; i < js_count(items); i++) {
        char id[24];
        snprintf(id, sizeof id, "i%zu", i + 1);
        js_set_z(json_array_get(items, i), "id", id);
    }
    js_set(doc, "items", items);
    js_set(doc, "tools", tools_of(a, findings));
    js_set(doc, "findings", findings);
    return doc;
}

/* Have all that may still start had their time? */
static bool all_settled(const struct analyze *a)
{
    for (size_t i = 0; i < a->servers_n && !a->settled; i++) {
        if (!server_settled(a->servers[i]))
            return false;
    }
    return true;
}

static void finish_if_done(struct round *r)
{
    if (!r->begun || r->open > 0 || !all_settled(r->analyze))
        return;
    struct task *t = r->task;
    task_put(t, "insights", insights_of(r));
    round_free(r);
    task_done(t);
}

void rounds_look(struct analyze *a)
{
    for (struct round *r = a->rounds, *next; r; r = next) {
        next = r->next;
        finish_if_done(r);
    }
}

/* ---- probes ---------------------------------------------------------------------------------- */

static void probe_failed(struct run *run, const char *why, const char *fix)
{
    char text[1800];
    const struct probe *p = run->probe;
    snprintf(text, sizeof text, "probe '%.200s' (%s/%s): %.1200s", p->name, p->server, p->tool,
             why);
    run->finding = finding_new("warning", "analyze.probe", text, fix);
    run->round->open--;
}

/* What a successor of this task would do again: the probe, as filled in. */
static struct hash request_of(const struct run *run)
{
    const struct probe *p = run->probe;
    json_t *request = json_object();
    struct buf text;
    assert(request);
    js_set_int(request, "probe", (int64_t)(run - run->round->runs));
    js_set_z(request, "name", p->name);
    js_set_z(request, "server", p->server);
    js_set_z(request, "tool", p->tool);
    js_set_int(request, "excerpt", (int64_t)p->excerpt);
    js_set(request, "arguments", json_incref(run->arguments));
    buf_init(&text, PAWL_DOC_MAX);
    js_dump(request, &text);
    struct hash h = hash_of(buf_get(&text));
    buf_fini(&text);
    json_decref(request);
    return h;
}

static void on_recorded(void *ctx, struct task *t, const json_t *result)
{
    struct run *run = ctx;
    (void)t;
    run->insight = json_copy((json_t *)(uintptr_t)result); /* it gets a number of its own */
    run->round->open--;
    note(run->round);
    finish_if_done(run->round);
}

static void on_probed(void *ctx, struct server_call *call, const struct server_result *e)
{
    struct run *run = ctx;
    struct round *r = run->round;
    (void)call;
    if (e->answered && !e->is_error) {
        struct step_use use = { .ms = mono_now().ms - run->began.ms };
        task_step(r->task, &run->request, insight_new(0, run->probe, run->arguments, e->text), use,
                  on_recorded, run);
        return;
    }
    if (e->answered) {
        struct str text = e->text;
        char why[1024];
        snprintf(why, sizeof why, "the tool says: %.*s", (int)excerpt_cut(text, 900),
                 text.p ? text.p : "");
        probe_failed(run, why, "Correct the probe's arguments in pawl.yaml.");
    } else {
        probe_failed(run, e->fault, "Look at the worker's log.");
    }
    note(r);
    finish_if_done(r);
}

static void probe_start(struct run *run, const json_t *root)
{
    const struct probe *p = run->probe;
    struct err err = { 0 };
    struct server *s = analyze_server(run->round->analyze, p->server);
    run->call = (struct server_call){ .fn = on_probed, .ctx = run };
    if (!s && run->round->analyze->broken) { /* one finding says it all */
        run->round->open--;
        return;
    }
    if (!s) {
        probe_failed(run, "mcp.json has no such server",
                     "Add the server to mcp.json, or correct analyze.probes.");
        return;
    }
    run->arguments = probe_fill(p->arguments, root, &err);
    if (!run->arguments) {
        probe_failed(run, err.text, err.fix);
        return;
    }
    run->request = request_of(run);
    run->began = mono_now();
    const json_t *known = task_step_find(run->round->task, &run->request);
    if (known) {
        run->insight = json_copy((json_t *)(uintptr_t)known);
        run->round->open--;
    } else if (server_call(s, &run->call, p->tool, run->arguments, &err) != OK)
        probe_failed(run, err.text, server_fix(s));
}

/* What placeholders may name. */
static json_t *root_of(struct task *t, const json_t *brief)
{
    static const char *const more[] = { "answers", "comments" };
    json_t *root = json_object();
    assert(root);
    js_set(root, "brief", json_incref((json_t *)(uintptr_t)brief));
    for (size_t i = 0; i < COUNT(more); i++) {
        const json_t *doc = task_doc(t, more[i], NULL);
        if (doc)
            js_set(root, more[i], json_incref((json_t *)(uintptr_t)doc));
    }
    return root;
}

void round_begin(struct analyze *a, struct task *t)
{
    struct err err = { 0 };
    const json_t *brief = task_doc(t, "brief", &err);
    analyze_reload(a);
    if (!brief) {
        task_fail(t, FAULT_PERMANENT, 0, "no brief: %s", err.text);
        return;
    }
    struct round *r = arena_alloc(task_arena(t), sizeof *r);
    assert(r);
    *r = (struct round){ .next = a->rounds, .analyze = a, .task = t, .open = a->probes.n };
    r->runs = arena_alloc(task_arena(t), (a->probes.n + 1) * sizeof *r->runs);
    assert(r->runs);
    a->rounds = r;
    task_set_user(t, r);
    json_t *root = root_of(t, brief);
    for (size_t i = 0; i < a->probes.n; i++) {
        r->runs[i].round = r;
        r->runs[i].probe = &a->probes.items[i];
        probe_start(&r->runs[i], root);
    }
    json_decref(root);
    r->begun = true;
    note(r);
    finish_if_done(r);
}

void round_cancel(struct analyze *a, struct task *t)
{
    struct round *r = a->rounds;
    while (r && r->task != t)
        r = r->next;
    if (!r)
        return;
    for (size_t i = 0; i < a->probes.n; i++)
        server_cancel(&r->runs[i].call);
    round_free(r);
}
