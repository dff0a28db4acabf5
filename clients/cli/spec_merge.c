/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl spec diff` and `merge`: what archiving a change would write. */
#include "clients/cli/finding.h"
#include "clients/cli/out.h"
#include "clients/cli/spec.h"
#include "clients/cli/unified.h"
#include "common/openspec/archive.h"
#include "common/openspec/config.h"
#include "common/openspec/draft.h"

#include <stdio.h>
#include <string.h>

enum { EXIT_NOT_ARCHIVABLE = 4, TEXT_MAX = 256 << 20 };

/* What has moved below the change since it was written, told on stderr or as a list. */
static json_t *moved(const struct spec_tree *t, struct str change)
{
    static const char *const names[] = {
        [BASE_SAME] = "same", [BASE_CHANGED] = "changed", [BASE_GONE] = "gone"
    };
    struct arena *a = (struct arena *)(uintptr_t)&t->repo.arena;
    struct base_moves moves = { 0 };
    json_t *own = meta_pawl(&t->repo.ws, change), *v = json_object(), *list = json_array();
    if (openspec_base_moved(a, &t->repo.ws, js_obj(own, "base"), &moves) != OK)
        moves.known = false;
    for (size_t i = 0; i < moves.n; i++) {
        json_t *m = json_object();
        js_set_str(m, "capability", moves.at[i].capability);
        js_set_str(m, "requirement", moves.at[i].requirement);
        js_set_z(m, "state", names[moves.at[i].state]);
        js_push(list, m);
        if (!out_is_json(t->cli))
            out_warn(t->cli, "\"%.*s\" of %.*s %s since the change was written",
                     STR_ARG(moves.at[i].requirement), STR_ARG(moves.at[i].capability),
                     moves.at[i].state == BASE_GONE ? "has gone" : "has changed");
    }
    if (moves.n && !out_is_json(t->cli))
        out_note(t->cli, "  `pawl spec rebase %.*s` brings it onto the specs of today",
                 STR_ARG(change));
    if (!moves.known && !out_is_json(t->cli))
        out_note(t->cli, "whether the specs have moved since it was written is unknown: the change "
                         "has no fingerprints");
    js_set_z(v, "state", !moves.known ? "unknown" : moves.n ? "moved" : "same");
    js_set(v, "requirements", list);
    json_decref(own);
    return v;
}

static int not_archivable(const struct spec_tree *t, const struct archive_verdict *verdict)
{
    struct buf out;
    if (out_is_json(t->cli)) {
        json_t *v = json_object(), *list = json_array();
        js_set_bool(v, "archivable", false);
        spec_findings_json(&verdict->findings, 500, list);
        js_set(v, "refusals", list);
        spec_print(t, v);
        return EXIT_NOT_ARCHIVABLE;
    }
    buf_init(&out, TEXT_MAX);
    spec_findings_print(t, &verdict->findings, &out);
    fputs(buf_z(&out), stderr);
    buf_fini(&out);
    return EXIT_NOT_ARCHIVABLE;
}

static const struct ws_file *now(const struct spec_tree *t, const struct archive_write *w)
{
    return ws_find(&t->repo.ws, w->path);
}

static void print_diff(const struct spec_tree *t, const struct archive_verdict *verdict)
{
    struct buf out;
    buf_init(&out, TEXT_MAX);
    for (size_t i = 0; i < verdict->writes_n; i++) {
        const struct archive_write *w = &verdict->writes[i];
        const struct ws_file *f = now(t, w);
        struct unified_names names = { f ? w->path : (struct str){ 0 },
                                       w->removes ? (struct str){ 0 } : w->path };
        unified_diff(&names, f ? f->bytes : (struct str){ 0 },
                     w->removes ? (struct str){ 0 } : w->bytes, t->cli->color_out, &out);
    }
    fputs(buf_z(&out), stdout);
    buf_fini(&out);
}

/* Each spec as it would be; a removal is told. */
static void print_merged(const struct spec_tree *t, const struct archive_verdict *verdict)
{
    bool color = t->cli->color_out;
    for (size_t i = 0; i < verdict->writes_n; i++) {
        const struct archive_write *w = &verdict->writes[i];
        printf("%s==> openspec/%.*s%s%s\n", paint(color, "bold"), STR_ARG(w->path),
               w->removes ? " (removed)" : "", paint(color, "off"));
        fwrite(w->bytes.p, 1, w->removes ? 0 : w->bytes.n, stdout);
    }
}

static void print_json(const struct spec_tree *t, const struct archive_verdict *verdict,
                       json_t *base)
{
    json_t *v = json_object(), *list = json_array(), *totals = json_object();
    for (size_t i = 0; i < verdict->writes_n; i++) {
        const struct archive_write *w = &verdict->writes[i];
        const struct ws_file *f = now(t, w);
        json_t *one = json_object();
        js_set_str(one, "path", w->path);
        js_set_bool(one, "removes", w->removes);
        if (f)
            js_set_str(one, "before", f->bytes);
        if (!w->removes)
            js_set_str(one, "after", w->bytes);
        js_push(list, one);
    }
    js_set_bool(v, "archivable", true);
    js_set_int(totals, "added", (int64_t)verdict->added);
    js_set_int(totals, "modified", (int64_t)verdict->modified);
    js_set_int(totals, "removed", (int64_t)verdict->removed);
    js_set_int(totals, "renamed", (int64_t)verdict->renamed);
    js_set(v, "totals", totals);
    js_set(v, "base", json_incref(base));
    js_set(v, "writes", list);
    spec_print(t, v);
}

typedef void print_fn(const struct spec_tree *t, const struct archive_verdict *verdict);

static int merge(struct cli *cli, print_fn *print)
{
    struct spec_tree t;
    struct archive_verdict verdict;
    struct err err = { 0 };
    int code = 0;
    if (!spec_open(&t, cli, &code))
        return code;
    struct str change = spec_change(&t, &code);
    if (code == 0 && archive_check(&t.repo.arena, &t.repo.ws, change, cli_has(cli, FLAG_COMPAT),
                                   &verdict) != OK) {
        err_set(&err, ERR_LIMIT, "out of memory");
        code = out_error(cli, &err);
    } else if (code == 0) {
        json_t *base = moved(&t, change);
        if (!verdict.archivable)
            code = not_archivable(&t, &verdict);
        else if (out_is_json(cli))
            print_json(&t, &verdict, base);
        else
            print(&t, &verdict);
        json_decref(base);
    }
    spec_close(&t);
    return code;
}

int cmd_spec_diff(struct cli *cli)
{
    return merge(cli, print_diff);
}

int cmd_spec_merge(struct cli *cli)
{
    struct err err = { 0 };
    if (cli_has(cli, FLAG_DRY_RUN))
        return merge(cli, print_merged);
    err_set(&err, ERR_USAGE, "pawl spec merge only prints");
    err_fix(&err, "give --dry-run, or take `pawl spec archive`, which writes");
    return out_error(cli, &err);
}
