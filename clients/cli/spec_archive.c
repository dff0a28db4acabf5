/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl spec archive`: the specs get what a change says, and the change moves to the archive. */
#include "clients/cli/claim.h"
#include "clients/cli/commit.h"
#include "clients/cli/out.h"
#include "clients/cli/spec.h"
#include "common/openspec/archive.h"
#include "common/openspec/tasks.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_NOT_ARCHIVABLE = 4, WAIT_MS = 30000, TEXT_MAX = 64 << 20 };

struct archiving {
    struct cli *cli;
    struct spec_tree tree;
    struct archive_verdict verdict;
    struct str change, as;
    struct claimed at;
    bool read;
};

static void on_waiting(void *ctx)
{
    struct archiving *a = ctx;
    out_note(a->cli, "waiting for another archive to end");
}

/* What an earlier archive left, told. */
static enum status recover(struct archiving *a, struct err *err)
{
    enum commit_found found;
    enum status st = commit_recover(&a->at.commit, &found, err);
    if (st == OK && found != COMMIT_CLEAN)
        out_warn(a->cli, "an earlier archive was interrupted; it has been %s",
                 found == COMMIT_FINISHED ? "finished" : "undone");
    return st;
}

/* Told in the form of the original: {archive: null, status: […]}. */
static int refuse(struct archiving *a, const char *code, struct str message, struct str fix)
{
    if (!out_is_json(a->cli)) {
        struct buf out;
        buf_init(&out, TEXT_MAX);
        spec_findings_print(&a->tree, &a->verdict.findings, &out);
        fputs(buf_z(&out), stderr);
        fprintf(stderr, "pawl: %.*s\n", STR_ARG(message));
        if (fix.n)
            fprintf(stderr, "  fix: %.*s\n", STR_ARG(fix));
        buf_fini(&out);
        return EXIT_NOT_ARCHIVABLE;
    }
    json_t *v = json_object(), *list = json_array(), *one = json_object();
    js_set_z(one, "severity", "error");
    js_set_z(one, "code", code);
    js_set_str(one, "message", message);
    if (fix.n)
        js_set_str(one, "fix", fix);
    js_push(list, one);
    js_set(v, "archive", json_null());
    js_set(v, "status", list);
    spec_print(&a->tree, v);
    return EXIT_NOT_ARCHIVABLE;
}

static bool taken(struct archiving *a)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "changes/archive/%.*s", STR_ARG(a->as));
    return faccessat(a->at.commit.dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Has a spec been changed since it was read? */
static bool changed_while(struct archiving *a)
{
    struct repo now;
    struct err err;
    bool changed = repo_read(&now, a->tree.root, &err) != OK;
    for (size_t i = 0; !changed && i < a->verdict.writes_n; i++) {
        const struct str path = a->verdict.writes[i].path;
        const struct ws_file *then = ws_find(&a->tree.repo.ws, path), *f = ws_find(&now.ws, path);
        changed = (then == NULL) != (f == NULL) || (f && !str_eq(f->bytes, then->bytes));
    }
    repo_free(&now);
    return changed;
}

static enum status carry_out(struct archiving *a, struct err *err)
{
    size_t n = a->verdict.writes_n;
    char from[PATH_MAX], to[PATH_MAX];
    struct commit_op *ops = arena_alloc(&a->tree.repo.arena, (n + 1) * sizeof *ops);
    if (!ops)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (changed_while(a)) {
        err_set(err, ERR_BUSY, "a spec has been changed while it was merged");
        err_fix(err, "run it again");
        return ERR_BUSY;
    }
    for (size_t i = 0; i < n; i++) {
        const struct archive_write *w = &a->verdict.writes[i];
        ops[i] = (struct commit_op){ .kind = w->removes ? COMMIT_REMOVE : COMMIT_WRITE,
                                     .path = w->path,
                                     .bytes = w->bytes };
    }
    snprintf(from, sizeof from, "changes/%.*s", STR_ARG(a->change));
    snprintf(to, sizeof to, "changes/archive/%.*s", STR_ARG(a->as));
    ops[n] = (struct commit_op){ .kind = COMMIT_MOVE, .path = str_of(from), .to = str_of(to) };
    return commit_run(&a->at.commit, ops, n + 1, err);
}

static void tell(struct archiving *a)
{
    const struct archive_verdict *v = &a->verdict;
    if (!out_is_json(a->cli)) {
        for (size_t i = 0; i < v->warnings.n; i++)
            out_warn(a->cli, "%.*s", STR_ARG(v->warnings.at[i]));
        printf("%s/openspec/changes/archive/%.*s\n", a->tree.root, STR_ARG(a->as));
        out_note(a->cli, "%zu added, %zu modified, %zu removed, %zu renamed; %zu specs written",
                 v->added, v->modified, v->removed, v->renamed, v->writes_n);
        return;
    }
    char path[PATH_MAX];
    json_t *doc = json_object(), *body = json_object(), *totals = json_object(),
           *warnings = json_array();
    snprintf(path, sizeof path, "%.3000s/openspec/changes/archive/%.*s", a->tree.root,
             STR_ARG(a->as));
    js_set_str(body, "change", a->change);
    js_set_str(body, "archivedAs", a->as);
    js_set_z(body, "path", path);
    js_set_bool(body, "specsUpdated", v->writes_n > 0);
    js_set_int(totals, "added", (int64_t)v->added);
    js_set_int(totals, "modified", (int64_t)v->modified);
    js_set_int(totals, "removed", (int64_t)v->removed);
    js_set_int(totals, "renamed", (int64_t)v->renamed);
    if (v->deltas)
        js_set(body, "totals", json_incref(totals));
    for (size_t i = 0; i < v->warnings.n; i++)
        js_push(warnings, js_string(v->warnings.at[i]));
    if (js_count(warnings))
        js_set(body, "warnings", json_incref(warnings));
    js_set(doc, "archive", body);
    spec_print(&a->tree, doc);
    json_decref(totals);
    json_decref(warnings);
}

/* Folders are named by the local date, as the original does. */
static void local_date(char out[16])
{
    time_t now = (time_t)(wall_now().ms / 1000);
    struct tm tm = { 0 };
    localtime_r(&now, &tm);
    strftime(out, 16, "%Y-%m-%d", &tm);
}

/* Unfinished tasks are asked about on a terminal and refused elsewhere, as the original does. */
static bool tasks_done(struct archiving *a, int *code)
{
    struct task_progress tasks = { 0 };
    char text[256];
    if (tasks_progress(&a->tree.repo.arena, &a->tree.repo.ws, a->change, &tasks) != OK ||
        tasks.done == tasks.total || a->cli->yes)
        return true;
    snprintf(text, sizeof text, "%zu of %zu tasks of '%.*s' are not done", tasks.total - tasks.done,
             tasks.total, STR_ARG(a->change));
    a->verdict.findings.n = 0;
    *code = refuse(a, "archive_tasks_incomplete", str_of(text),
                   str_of("finish them, or give --yes to archive it as it is"));
    return false;
}

static int locked(struct archiving *a)
{
    struct err err = { 0 };
    char today[16];
    int code = 0;
    if (recover(a, &err) != OK)
        return out_error(a->cli, &err);
    if (!spec_open(&a->tree, a->cli, &code))
        return code;
    a->read = true;
    a->change = spec_change(&a->tree, &code);
    if (code)
        return code;
    struct arena *arena = &a->tree.repo.arena;
    local_date(today);
    if (archive_check(arena, &a->tree.repo.ws, a->change,
                      cli_has(a->cli, FLAG_COMPAT) || cli_has(a->cli, FLAG_SKIP_SPECS),
                      &a->verdict) != OK ||
        !(a->as = archive_name(arena, a->change, str_of(today))).n) {
        err_set(&err, ERR_NOMEM, "out of memory");
        return out_error(a->cli, &err);
    }
    const char *why = a->verdict.code;
    if (cli_has(a->cli, FLAG_SKIP_SPECS) && (!why || strncmp(why, "archive_spec_", 13) == 0))
        a->verdict = (struct archive_verdict){ .archivable = true };
    if (!a->verdict.archivable)
        return refuse(a, a->verdict.code ? a->verdict.code : "archive_validation_failed",
                      a->verdict.message, a->verdict.fix);
    if (taken(a))
        return refuse(a, "archive_target_exists",
                      str_of("an archived change has that name already"),
                      str_of("rename the change's folder"));
    if (!tasks_done(a, &code))
        return code;
    if (carry_out(a, &err) != OK)
        return out_error(a->cli, &err);
    tell(a);
    return 0;
}

int cmd_spec_archive(struct cli *cli)
{
    struct archiving a = { .cli = cli };
    struct err err = { 0 };
    char root[PATH_MAX];
    const char *given = cli_flag(cli, FLAG_PROJECT_DIR);
    struct claim_wait wait = { cli_has(cli, FLAG_TIMEOUT) ? cli->args.number[FLAG_TIMEOUT]
                                                          : (int64_t)WAIT_MS,
                               on_waiting, &a };
    if (repo_find(given ? given : ".", given != NULL, root, sizeof root, &err) != OK)
        return out_error(cli, &err);
    if (claim_enter(&a.at, root, wait, &err) != OK)
        return out_error(cli, &err);
    int code = locked(&a);
    if (a.read)
        spec_close(&a.tree);
    claim_leave(&a.at);
    return code;
}
