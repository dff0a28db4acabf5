/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl spec list`, `show` and `conflicts`. */
#include "clients/cli/spec.h"

#include "clients/cli/commit.h"
#include "clients/cli/finding.h"
#include "clients/cli/out.h"
#include "common/openspec/conflicts.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_VERDICT = 1, OUT_MAX = 256 << 20 };

static bool half_way(const char *root)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/openspec/" COMMIT_FOLDER "/journal", root);
    return n > 0 && (size_t)n < sizeof path && access(path, F_OK) == 0;
}

bool spec_open(struct spec_tree *t, struct cli *cli, int *code)
{
    const char *given = cli_flag(cli, FLAG_PROJECT_DIR);
    struct err err = { 0 };
    *t = (struct spec_tree){ .cli = cli };
    enum status st = repo_find(given ? given : ".", given != NULL, t->root, sizeof t->root, &err);
    if (st == OK && (st = repo_read(&t->repo, t->root, &err)) != OK)
        repo_free(&t->repo);
    if (st != OK)
        *code = out_error(cli, &err);
    else if (half_way(t->root))
        out_warn(cli, "an archive stopped half-way here; the next `pawl spec archive` finishes it");
    return st == OK;
}

void spec_close(struct spec_tree *t)
{
    repo_free(&t->repo);
}

void spec_print(const struct spec_tree *t, json_t *v)
{
    struct buf b;
    json_t *root = json_object();
    js_set_z(root, "path", t->root);
    js_set_z(root, "source", "nearest");
    js_set(v, "root", root);
    buf_init(&b, OUT_MAX);
    if (t->cli->form == FORM_JSONL)
        js_dump(v, &b);
    else
        js_dump_pretty(v, &b);
    fwrite(b.data, 1, b.len, stdout);
    if (b.len == 0 || b.data[b.len - 1] != '\n')
        putchar('\n');
    buf_fini(&b);
    json_decref(v);
}

int spec_refuse(const struct spec_tree *t, const struct show_refusal *refusal)
{
    if (!out_is_json(t->cli)) {
        fprintf(stderr, "pawl: %.*s\n", STR_ARG(refusal->message));
        if (refusal->fix)
            fprintf(stderr, "  fix: %s\n", refusal->fix);
        return EXIT_VERDICT;
    }
    json_t *v = json_object(), *list = json_array(), *one = json_object();
    struct buf b;
    js_set_z(one, "severity", "error");
    js_set_z(one, "code", refusal->code);
    js_set_str(one, "message", refusal->message);
    if (refusal->fix)
        js_set_z(one, "fix", refusal->fix);
    js_push(list, one);
    js_set(v, "status", list);
    buf_init(&b, OUT_MAX);
    js_dump_pretty(v, &b);
    printf("%s\n", buf_z(&b));
    buf_fini(&b);
    json_decref(v);
    return EXIT_VERDICT;
}

void spec_findings_print(const struct spec_tree *t, const struct spec_findings *list,
                         struct buf *out)
{
    for (size_t i = 0; i < list->n; i++) {
        json_t *f = spec_finding_json(&list->at[i]);
        finding_print_in(f, &t->repo.ws, t->cli->color_out, out);
        json_decref(f);
    }
}

struct str spec_change(const struct spec_tree *t, int *code)
{
    struct show_refusal refusal;
    struct arena *a = (struct arena *)(uintptr_t)&t->repo.arena;
    struct str name = str_of(cli_word(t->cli, 0));
    if (item_resolve(a, &t->repo.ws, name, ITEM_CHANGE, &refusal) == ITEM_CHANGE)
        return name;
    *code = spec_refuse(t, &refusal);
    return (struct str){ 0 };
}

/* ---- list ------------------------------------------------------------------------------------ */

/* In ms, rounded as Node does. */
static int64_t mtime_ms(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000 + (st->st_mtim.tv_nsec + 500000) / 1000000;
}

/* The newest file below a folder, in ms; of the folder itself when it has none. */
static int64_t newest_below(const char *path, int depth)
{
    struct stat st;
    int64_t newest = -1;
    DIR *d = depth < 64 ? opendir(path) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        char below[PATH_MAX];
        int n = snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || n < 0 ||
            (size_t)n >= sizeof below || lstat(below, &st) != 0)
            continue;
        int64_t ms = S_ISDIR(st.st_mode)     ? newest_below(below, depth + 1)
                     : stat(below, &st) == 0 ? mtime_ms(&st)
                                             : -1;
        newest = ms > newest ? ms : newest;
    }
    if (d)
        closedir(d);
    return newest;
}

static int64_t changed_ms(const char *root, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%.3000s/openspec/changes/%.1000s", root, name);
    int64_t ms = newest_below(path, 0);
    if (ms < 0 && stat(path, &st) == 0)
        ms = mtime_ms(&st);
    return ms;
}

static void put_time(json_t *change, int64_t ms)
{
    char text[40], whole[32];
    struct tm tm;
    time_t s = (time_t)(ms / 1000);
    if (ms < 0 || !gmtime_r(&s, &tm))
        return;
    strftime(whole, sizeof whole, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text, sizeof text, "%s.%03dZ", whole, (int)(ms % 1000));
    js_set_z(change, "lastModified", text);
}

/* ISO times in UTC order as texts do. */
static int by_time(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int order = strcmp(js_str(y, "lastModified"), js_str(x, "lastModified"));
    return order ? order : text_collate(js_view(x, "name"), js_view(y, "name"));
}

static json_t *newest_first(json_t *list)
{
    size_t n = json_array_size(list);
    json_t *out = json_array(), **at = malloc((n + 1) * sizeof(json_t *));
    for (size_t i = 0; at && i < n; i++)
        at[i] = json_array_get(list, i);
    if (at && n > 1)
        qsort(at, n, sizeof *at, by_time);
    for (size_t i = 0; at && i < n; i++)
        js_push(out, json_incref(at[i]));
    free(at);
    json_decref(list);
    return out;
}

static void print_changes(struct cli *cli, const json_t *list)
{
    static const char *const heads[] = { "CHANGE", "TASKS", "STATUS", "MODIFIED" };
    struct table t;
    table_init(&t, heads, COUNT(heads));
    for (size_t i = 0; i < js_count(list); i++) {
        const json_t *c = js_at(list, i);
        table_cell(&t, js_str(c, "name"));
        table_cellf(&t, "%lld/%lld", (long long)js_int(c, "completedTasks", 0),
                    (long long)js_int(c, "totalTasks", 0));
        table_cell(&t, js_list(c, "nested") ? "not a change" : js_str(c, "status"));
        table_cell(&t, js_str(c, "lastModified"));
    }
    table_print(&t, cli);
}

static void print_specs(struct cli *cli, const json_t *list)
{
    static const char *const heads[] = { "SPEC", "REQUIREMENTS" };
    struct table t;
    table_init(&t, heads, COUNT(heads));
    for (size_t i = 0; i < js_count(list); i++) {
        table_cell(&t, js_str(js_at(list, i), "id"));
        table_cellf(&t, "%lld", (long long)js_int(js_at(list, i), "requirementCount", 0));
    }
    table_print(&t, cli);
}

int cmd_spec_list(struct cli *cli)
{
    struct spec_tree t;
    json_t *v = json_object(), *list, *warnings = NULL;
    const char *sort = cli_flag(cli, FLAG_SORT);
    int code = 0;
    if (!spec_open(&t, cli, &code)) {
        json_decref(v);
        return code;
    }
    bool specs = cli_has(cli, FLAG_SPECS);
    if (specs) {
        list = list_specs(&t.repo.arena, &t.repo.ws);
    } else {
        list = list_changes(&t.repo.arena, &t.repo.ws, &warnings);
        for (size_t i = 0; i < json_array_size(list); i++) {
            json_t *c = json_array_get(list, i);
            put_time(c, changed_ms(t.root, js_str(c, "name")));
        }
        if (!sort || strcmp(sort, "name") != 0)
            list = newest_first(list);
    }
    js_set(v, specs ? "specs" : "changes", list);
    for (size_t i = 0; i < js_count(warnings) && !out_is_json(cli); i++)
        out_warn(cli, "%s", js_str(js_at(warnings, i), "message"));
    if (js_count(warnings))
        js_set(v, "warnings", json_incref(warnings));
    if (out_is_json(cli))
        spec_print(&t, json_incref(v));
    else if (specs)
        print_specs(cli, list);
    else
        print_changes(cli, list);
    json_decref(warnings);
    json_decref(v);
    spec_close(&t);
    return 0;
}

/* ---- show ------------------------------------------------------------------------------------ */

static enum item_type given_type(const struct cli *cli)
{
    const char *type = cli_flag(cli, FLAG_TYPE);
    return !type                         ? ITEM_ANY
           : strcmp(type, "change") == 0 ? ITEM_CHANGE
           : strcmp(type, "spec") == 0   ? ITEM_SPEC
                                         : ITEM_ANY;
}

static int show(const struct spec_tree *t, struct str name, enum item_type type)
{
    struct arena *a = (struct arena *)(uintptr_t)&t->repo.arena;
    struct show_refusal refusal = { 0 };
    if (out_is_json(t->cli)) {
        json_t *v = type == ITEM_CHANGE ? show_change(a, &t->repo.ws, name, &refusal)
                                        : show_spec(a, &t->repo.ws, name, &refusal);
        if (!v)
            return spec_refuse(t, &refusal);
        spec_print(t, v);
        return 0;
    }
    char path[PATH_MAX];
    snprintf(path, sizeof path,
             type == ITEM_CHANGE ? "changes/%.*s/proposal.md" : "specs/%.*s/spec.md",
             STR_ARG(name));
    const struct ws_file *f = ws_find(&t->repo.ws, str_of(path));
    if (!f) {
        json_t *none = show_change(a, &t->repo.ws, name, &refusal);
        json_decref(none);
        return spec_refuse(t, &refusal);
    }
    fwrite(f->bytes.p, 1, f->bytes.n, stdout);
    putchar('\n');
    return 0;
}

int cmd_spec_show(struct cli *cli)
{
    struct spec_tree t;
    struct show_refusal refusal;
    int code = 0;
    if (!spec_open(&t, cli, &code))
        return code;
    struct str name = str_of(cli_word(cli, 0));
    enum item_type type = item_resolve(&t.repo.arena, &t.repo.ws, name, given_type(cli), &refusal);
    code = type == ITEM_ANY ? spec_refuse(&t, &refusal) : show(&t, name, type);
    spec_close(&t);
    return code;
}

/* ---- conflicts ------------------------------------------------------------------------------- */

int cmd_spec_conflicts(struct cli *cli)
{
    struct spec_tree t;
    struct spec_findings found = { 0 };
    struct buf out;
    int code = 0;
    if (!spec_open(&t, cli, &code))
        return code;
    struct str change = cli_word(cli, 0) ? spec_change(&t, &code) : (struct str){ 0 };
    if (code == 0 && conflicts_find(&t.repo.arena, &t.repo.ws, change, &found) != OK) {
        struct err err = { 0 };
        err_set(&err, ERR_LIMIT, "out of memory");
        code = out_error(cli, &err);
    } else if (code == 0 && out_is_json(cli)) {
        json_t *v = json_object(), *list = json_array();
        spec_findings_json(&found, CONFLICTS_MAX, list);
        js_set(v, "conflicts", list);
        spec_print(&t, v);
    } else if (code == 0) {
        buf_init(&out, OUT_MAX);
        spec_findings_print(&t, &found, &out);
        fputs(buf_z(&out), stdout);
        buf_fini(&out);
        if (found.n == 0)
            out_note(cli, "no two active changes touch the same requirement");
    }
    spec_close(&t);
    return code;
}
