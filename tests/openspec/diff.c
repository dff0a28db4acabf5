/* SPDX-License-Identifier: Apache-2.0 */
/* diff: generated inputs through this library and through the original tool, compared.
 *   openspec_diff --node PROGRAM --oracle SCRIPT [--seed N] [--count N] [--corpus DIR]
 * Ends with 1 at the first difference and prints the request that shows it. */
#include "common/js.h"
#include "common/openspec/archive.h"
#include "common/openspec/block.h"
#include "common/openspec/merge.h"
#include "common/openspec/structure.h"
#include "common/openspec/tasks.h"
#include "common/openspec/tree.h"
#include "common/openspec/validate.h"
#include "tests/openspec/gen.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_MAX_BYTES = 1 << 20, ARENA_MAX = 1 << 28, OUTCOMES = 32, LINE_MAX_BYTES = 1 << 24 };

struct outcome {
    char name[64];
    uint64_t n;
};

struct diff {
    struct gen g;
    FILE *to, *from;
    pid_t pid;
    struct arena a;
    struct outcome outcomes[OUTCOMES];
    uint64_t done;
    char *line;
    size_t line_cap;
};

static void count(struct diff *d, const char *op, const char *outcome)
{
    char name[64];
    snprintf(name, sizeof name, "%s %s", op, outcome);
    for (size_t i = 0; i < OUTCOMES; i++) {
        struct outcome *o = &d->outcomes[i];
        if (o->n == 0)
            snprintf(o->name, sizeof o->name, "%s", name);
        if (strcmp(o->name, name) == 0) {
            o->n++;
            return;
        }
    }
}

/* ---- the other side ---- */

static bool start(struct diff *d, const char *node, const char *script)
{
    int in[2], out[2];
    if (pipe(in) != 0 || pipe(out) != 0)
        return false;
    d->pid = fork();
    if (d->pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        close(in[0]);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        execlp(node, node, script, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    d->to = fdopen(in[1], "w");
    d->from = fdopen(out[0], "r");
    return d->pid > 0 && d->to && d->from;
}

static json_t *ask(struct diff *d, const json_t *request)
{
    struct err err = { 0 };
    struct buf out;
    buf_init(&out, LINE_MAX_BYTES);
    if (js_dump(request, &out) != OK)
        return NULL;
    fwrite(out.data, 1, out.len, d->to);
    fputc('\n', d->to);
    fflush(d->to);
    buf_fini(&out);
    ssize_t n = getline(&d->line, &d->line_cap, d->from);
    return n > 0 ? js_parse((struct str){ d->line, (size_t)n }, &err) : NULL;
}

static json_t *base64(struct str s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct buf out;
    buf_init(&out, LINE_MAX_BYTES);
    for (size_t i = 0; i < s.n; i += 3) {
        const unsigned char *p = (const unsigned char *)s.p + i;
        size_t n = s.n - i;
        unsigned v = (unsigned)p[0] << 16 | (n > 1 ? (unsigned)p[1] << 8 : 0) | (n > 2 ? p[2] : 0u);
        buf_char(&out, digits[v >> 18]);
        buf_char(&out, digits[v >> 12 & 63]);
        buf_char(&out, n > 1 ? digits[v >> 6 & 63] : '=');
        buf_char(&out, n > 2 ? digits[v & 63] : '=');
    }
    json_t *v = json_string(buf_z(&out));
    buf_fini(&out);
    return v;
}

/* ---- our answers ---- */

static void set_b(json_t *o, const char *key, bool v)
{
    js_set_bool(o, key, v);
}

static json_t *strings(const struct str_list *list)
{
    json_t *out = json_array();
    for (size_t i = 0; i < list->n; i++)
        js_push(out, js_string(list->at[i]));
    return out;
}

static json_t *error_answer(struct str text)
{
    json_t *v = json_object();
    js_set_str(v, "error", text);
    return v;
}

static json_t *ok_answer(json_t *ok)
{
    json_t *v = json_object();
    js_set(v, "ok", ok);
    return v;
}

static json_t *our_spec(struct pool *p, struct str text)
{
    struct tree_spec s = tree_spec(p, text_decode(p, text));
    json_t *v = json_object(), *list = json_array();
    if (!s.has_purpose || !s.has_requirements) {
        json_decref(v);
        json_decref(list);
        return error_answer(s.has_purpose ? LIT("Spec must have a Requirements section")
                                          : LIT("Spec must have a Purpose section"));
    }
    for (size_t i = 0; i < s.n; i++) {
        json_t *r = json_object();
        js_set_str(r, "text", s.at[i].text);
        js_set_int(r, "scenarios", (int64_t)s.at[i].scenarios);
        js_push(list, r);
    }
    js_set_str(v, "overview", s.purpose);
    js_set(v, "requirements", list);
    return ok_answer(v);
}

static json_t *block_list(const struct blocks *list)
{
    json_t *out = json_array();
    for (size_t i = 0; i < list->n; i++) {
        json_t *b = json_object();
        js_set_str(b, "name", list->at[i].name);
        js_set_str(b, "raw", list->at[i].raw);
        js_push(out, b);
    }
    return out;
}

static json_t *side_list(const struct delta *d)
{
    json_t *out = json_array();
    for (size_t i = 0; i < d->unpaired.n; i++) {
        json_t *v = json_object();
        js_set_z(v, "side", d->unpaired.at[i].is_from ? "FROM" : "TO");
        js_set_str(v, "name", d->unpaired.at[i].name);
        js_set_int(v, "line", (int64_t)d->unpaired.at[i].line);
        js_push(out, v);
    }
    return out;
}

static json_t *header_lists(const struct delta *d, bool orphans)
{
    json_t *out = json_array();
    for (size_t i = 0; i < (orphans ? d->orphans.n : d->strays.n); i++) {
        json_t *v = json_object();
        js_set_str(v, orphans ? "name" : "header",
                   orphans ? d->orphans.at[i].name : d->strays.at[i].header);
        js_set_str(v, "section", orphans ? d->orphans.at[i].section : d->strays.at[i].section);
        js_set_int(v, "line", (int64_t)(orphans ? d->orphans.at[i].line : d->strays.at[i].line));
        js_push(out, v);
    }
    return out;
}

static json_t *our_delta(struct pool *p, struct str text)
{
    struct delta d = delta_read(p, text_decode(p, text));
    json_t *v = json_object(), *removed = json_array(), *renamed = json_array();
    json_t *present = json_object();
    for (size_t i = 0; i < d.removed.n; i++)
        js_push(removed, js_string(d.removed.at[i].name));
    for (size_t i = 0; i < d.renamed.n; i++) {
        json_t *r = json_object();
        js_set_str(r, "from", d.renamed.at[i].from);
        js_set_str(r, "to", d.renamed.at[i].to);
        js_push(renamed, r);
    }
    set_b(present, "added", d.present[DELTA_ADDED]);
    set_b(present, "modified", d.present[DELTA_MODIFIED]);
    set_b(present, "removed", d.present[DELTA_REMOVED]);
    set_b(present, "renamed", d.present[DELTA_RENAMED]);
    js_set(v, "added", block_list(&d.added));
    js_set(v, "modified", block_list(&d.modified));
    js_set(v, "removed", removed);
    js_set(v, "renamed", renamed);
    js_set(v, "unpaired", side_list(&d));
    js_set(v, "orphans", header_lists(&d, true));
    js_set(v, "skipped", header_lists(&d, false));
    js_set(v, "present", present);
    return ok_answer(v);
}

static json_t *our_section(struct pool *p, struct str text)
{
    struct slices s = slices_read(p, text_decode(p, text));
    json_t *v = json_object();
    js_set_str(v, "before", text_trim_end(s.before));
    js_set_str(v, "header", s.header);
    js_set_str(v, "preamble", s.preamble);
    js_set_str(v, "after", text_trim(s.after));
    js_set(v, "blocks", block_list(&s.blocks));
    return ok_answer(v);
}

static json_t *our_structure(struct pool *p, struct str text)
{
    struct structure_issues list = structure_check(p, text_decode(p, text));
    json_t *v = json_array();
    for (size_t i = 0; i < list.n; i++) {
        json_t *issue = json_object();
        js_set_int(issue, "line", (int64_t)list.at[i].line);
        js_set_str(issue, "message", list.at[i].message);
        js_push(v, issue);
    }
    return ok_answer(v);
}

static json_t *our_tasks(struct pool *p, struct str text)
{
    struct lines l = lines_of(p, text_decode(p, text));
    json_t *v = json_array();
    for (size_t i = 0; i < l.n; i++) {
        struct task_line t;
        if (!task_line(l.at[i], &t))
            continue;
        json_t *task = json_object();
        js_set_bool(task, "done", t.done);
        js_set_str(task, "description", t.text);
        js_push(v, task);
    }
    return ok_answer(v);
}

static json_t *report_json(const struct spec_report *r)
{
    json_t *v = json_object(), *issues = json_array();
    for (size_t i = 0; i < r->findings.n; i++) {
        const struct spec_finding *f = &r->findings.at[i];
        json_t *issue = json_object();
        js_set_z(issue, "level", spec_severity_level(f->severity));
        js_set_str(issue, "path", f->path);
        js_set_str(issue, "message", f->message);
        if (f->says_line)
            js_set_int(issue, "line", (int64_t)f->line);
        js_push(issues, issue);
    }
    js_set_bool(v, "valid", r->valid);
    js_set(v, "issues", issues);
    return v;
}

static json_t *our_merge(struct diff *d, bool has_main, struct str main, struct str delta)
{
    struct merge_in in = { LIT("a"), LIT("c"), delta, has_main, main, LIT("MAIN") };
    struct merge_out m;
    json_t *v = json_object();
    if (merge_spec(&d->a, &in, &m) != OK)
        return v;
    if (m.refused) {
        json_decref(v);
        count(d, "merge", "refused");
        return error_answer(m.refusal);
    }
    count(d, "merge", m.added + m.modified + m.removed + m.renamed ? "merged" : "no-op");
    js_set_str(v, "rebuilt", m.rebuilt);
    js_set_int(v, "added", (int64_t)m.added);
    js_set_int(v, "modified", (int64_t)m.modified);
    js_set_int(v, "removed", (int64_t)m.removed);
    js_set_int(v, "renamed", (int64_t)m.renamed);
    js_set_bool(v, "empty", m.no_requirements);
    js_set(v, "unaccounted", strings(&m.unaccounted));
    js_set(v, "warnings", strings(&m.warnings));
    return ok_answer(v);
}

/* ---- whole trees ---- */

static json_t *our_archive(struct diff *d, const struct ws *ws, struct ws *after)
{
    struct archive_verdict v;
    struct err err = { 0 };
    json_t *out = json_object(), *body = json_object();
    *after = *ws;
    if (archive_check(&d->a, ws, LIT("c"), true, &v) != OK)
        return out;
    if (!v.archivable) {
        count(d, "archive", v.code);
        js_set_z(body, "severity", "error");
        js_set_z(body, "code", v.code);
        js_set_str(body, "message", v.message);
        if (v.fix.n)
            js_set_str(body, "fix", v.fix);
        js_set(out, "status", body);
        return out;
    }
    bool retires = false, any = false;
    for (size_t i = 0; i < v.writes_n; i++) {
        retires = retires || v.writes[i].removes;
        any = true;
    }
    count(d, "archive", retires ? "retired" : any ? "archived" : "nothing to write");
    js_set_z(body, "change", "c");
    js_set_z(body, "archivedAs", "TODAY-c");
    js_set_z(body, "path", "openspec/changes/archive/TODAY-c");
    js_set_bool(body, "specsUpdated", any);
    json_t *totals = json_object();
    js_set_int(totals, "added", (int64_t)v.added);
    js_set_int(totals, "modified", (int64_t)v.modified);
    js_set_int(totals, "removed", (int64_t)v.removed);
    js_set_int(totals, "renamed", (int64_t)v.renamed);
    if (v.deltas > 0)
        js_set(body, "totals", totals);
    else
        json_decref(totals);
    if (v.warnings.n)
        js_set(body, "warnings", strings(&v.warnings));
    js_set(out, "ok", body);
    if (archive_apply(&d->a, ws, LIT("c"), LIT("TODAY"), &v, after, &err) != OK)
        js_set_z(out, "apply", err.text);
    return out;
}

static json_t *both(struct diff *d, const struct ws *ws, struct str id, bool change)
{
    json_t *v = json_object();
    for (int strict = 0; strict < 2; strict++) {
        struct spec_report r = { 0 };
        const struct ws_file *f = change ? NULL : ws_find(ws, ws_spec_path(&d->a, id));
        enum status st = change ? validate_change(&d->a, ws, id, strict, &r)
                                : validate_spec(&d->a, id, f->bytes, strict, &r);
        if (st == OK)
            js_set(v, strict ? "strict" : "normal", report_json(&r));
        if (strict && change)
            count(d, "change", r.valid ? "strictly valid" : "not strictly valid");
    }
    return v;
}

static void add_member(json_t *o, struct str key, json_t *v)
{
    json_object_setn_nocheck(o, key.p, key.n, v);
    json_decref(v);
}

static json_t *our_tree(struct diff *d, const struct ws *ws)
{
    json_t *v = json_object(), *specs = json_object(), *changes = json_object();
    json_t *files = json_object();
    struct str_list ids = { 0 }, names = { 0 };
    struct ws after;
    if (ws_spec_ids(&d->a, ws, LIT("specs/"), &ids) != OK || ws_changes(&d->a, ws, &names) != OK)
        return v;
    for (size_t i = 0; i < ids.n; i++)
        add_member(specs, ids.at[i], both(d, ws, ids.at[i], false));
    for (size_t i = 0; i < names.n; i++)
        add_member(changes, names.at[i], both(d, ws, names.at[i], true));
    js_set(v, "specs", specs);
    js_set(v, "changes", changes);
    js_set(v, "archive", our_archive(d, ws, &after));
    for (size_t i = 0; i < after.n; i++)
        add_member(files, after.files[i].path, base64(after.files[i].bytes));
    js_set(v, "after", files);
    return ok_answer(v);
}

/* ---- one comparison ---- */

static struct str made(struct diff *d, void (*make)(struct gen *, struct buf *), bool damage)
{
    struct buf b;
    buf_init(&b, TEXT_MAX_BYTES);
    make(&d->g, &b);
    if (damage)
        gen_damage(&d->g, &b);
    struct str s = { arena_dup(&d->a, buf_z(&b), b.len), b.len };
    buf_fini(&b);
    return s;
}

static void put(struct ws_file *files, size_t *n, const char *path, struct str bytes)
{
    files[(*n)++] = (struct ws_file){ str_of(path), bytes };
}

/* Two capabilities, one change, and what may lie around them. */
static void tree_files(struct diff *d, struct ws_file *files, size_t *n)
{
    struct gen *g = &d->g;
    bool damage = gen_chance(g, 50);
    if (gen_chance(g, 20))
        put(files, n, "config.yaml", made(d, gen_config, false));
    if (gen_chance(g, 50)) {
        put(files, n, "specs/b/c/spec.md", made(d, gen_spec, damage));
        if (gen_chance(g, 60))
            put(files, n, "changes/c/specs/b/c/spec.md", made(d, gen_delta, damage));
    }
    if (gen_chance(g, 90))
        put(files, n, "specs/a/spec.md", made(d, gen_spec, damage));
    else
        g->n = 0;
    if (gen_chance(g, 92))
        put(files, n, "changes/c/specs/a/spec.md", made(d, gen_delta, damage));
    if (gen_chance(g, 60))
        put(files, n, "changes/c/.openspec.yaml", made(d, gen_meta, false));
    if (gen_chance(g, 50))
        put(files, n, "changes/c/tasks.md", made(d, gen_tasks, damage));
    put(files, n, "changes/c/proposal.md", LIT("## Why\nx\n"));
    if (gen_chance(g, 3))
        put(files, n, "changes/c/specs/spec.md", made(d, gen_delta, false));
    if (gen_chance(g, 3))
        put(files, n, "changes/c/specs/a/note.MD", made(d, gen_delta, damage));
    if (gen_chance(g, 3))
        put(files, n, "changes/c/specs/.hidden/spec.md", made(d, gen_delta, false));
    if (gen_chance(g, 3))
        put(files, n, "changes/space/inner/proposal.md", LIT("x"));
}

static json_t *try_tree(struct diff *d, json_t *request)
{
    struct ws_file files[16];
    struct err err = { 0 };
    struct ws ws;
    size_t n = 0;
    json_t *list = json_object();
    tree_files(d, files, &n);
    for (size_t i = 0; i < n; i++)
        add_member(list, files[i].path, base64(files[i].bytes));
    js_set(request, "files", list);
    js_set_z(request, "change", "c");
    if (ws_make(&d->a, files, n, &ws, &err) != OK)
        return NULL;
    return our_tree(d, &ws);
}

static json_t *try_merge(struct diff *d, json_t *request)
{
    struct str main = made(d, gen_spec, gen_chance(&d->g, 40));
    bool has_main = gen_chance(&d->g, 90);
    struct str delta = made(d, gen_delta, gen_chance(&d->g, 40));
    js_set(request, "delta", base64(delta));
    if (has_main)
        js_set(request, "main", base64(main));
    return our_merge(d, has_main, main, delta);
}

static json_t *try_validate(struct diff *d, json_t *request)
{
    struct spec_report r = { 0 };
    struct str text = made(d, gen_spec, true);
    bool strict = gen_chance(&d->g, 50);
    js_set(request, "text", base64(text));
    js_set_bool(request, "strict", strict);
    if (validate_spec(&d->a, LIT("a"), text, strict, &r) != OK)
        return NULL;
    count(d, "validate", r.valid ? "valid" : "invalid");
    return ok_answer(report_json(&r));
}

static json_t *try_text(struct diff *d, json_t *request, int which)
{
    static json_t *(*const answers[])(struct pool *, struct str) = { our_spec, our_delta, our_section,
                                                                    our_structure, our_tasks };
    struct pool p = pool_of(&d->a);
    struct str text;
    if (which == 4)
        text = made(d, gen_tasks, true);
    else if (which == 1 || gen_chance(&d->g, 10))
        text = made(d, gen_delta, true);
    else
        text = made(d, gen_spec, true);
    js_set(request, "text", base64(text));
    return answers[which](&p, text);
}

/* Keep what both must agree on; print and fail otherwise. */
static bool compare_one(struct diff *d)
{
    static const char *const texts[] = { "spec", "delta", "section", "structure", "tasks" };
    json_t *request = json_object(), *ours, *theirs;
    int roll = gen_below(&d->g, 100);
    int which = roll % (int)COUNT(texts);
    const char *op = roll < 35 ? texts[which] : roll < 50 ? "validate" : roll < 85 ? "merge" : "tree";
    uint64_t before = d->g.state;
    arena_reset(&d->a);
    js_set_z(request, "op", op);
    ours = roll < 35   ? try_text(d, request, which)
           : roll < 50 ? try_validate(d, request)
           : roll < 85 ? try_merge(d, request)
                       : try_tree(d, request);
    theirs = ask(d, request);
    bool same = ours && theirs && json_equal(ours, theirs);
    count(d, "op", op);
    d->done++;
    if (!same) {
        printf("difference after %" PRIu64 " comparisons (state %" PRIu64 ")\nrequest: ", d->done, before);
        json_dumpf(request, stdout, JSON_COMPACT);
        printf("\noriginal: ");
        json_dumpf(theirs ? theirs : json_null(), stdout, JSON_ENCODE_ANY | JSON_SORT_KEYS);
        printf("\nours:     ");
        json_dumpf(ours ? ours : json_null(), stdout, JSON_ENCODE_ANY | JSON_SORT_KEYS);
        printf("\n");
    }
    json_decref(request);
    json_decref(ours);
    json_decref(theirs);
    return same;
}

/* ---- the corpus and main ---- */

static struct gen *loading; /* nftw() has no argument for its callback */

static int load_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    size_t n = strlen(path);
    if (type != FTW_F || st->st_size > 32768 || n < 3 || strcmp(path + n - 3, ".md") != 0 ||
        loading->corpus_n == GEN_CORPUS_MAX)
        return 0;
    FILE *f = fopen(path, "rb");
    char *text = malloc((size_t)st->st_size + 1);
    if (f && text)
        loading->corpus[loading->corpus_n++] = (struct str){ text, fread(text, 1, (size_t)st->st_size, f) };
    else
        free(text);
    if (f)
        fclose(f);
    return 0;
}

static const char *option(int argc, char **argv, const char *name, const char *otherwise)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    }
    return otherwise;
}

int main(int argc, char **argv)
{
    struct diff *d = calloc(1, sizeof *d);
    uint64_t n = strtoull(option(argc, argv, "--count", "2000"), NULL, 10);
    const char *corpus = option(argc, argv, "--corpus", NULL);
    bool same = true;
    if (!d || !start(d, option(argc, argv, "--node", "node"), option(argc, argv, "--oracle", "oracle.mjs")))
        return 2;
    arena_init(&d->a, ARENA_MAX);
    d->g.state = strtoull(option(argc, argv, "--seed", "1"), NULL, 10);
    loading = &d->g;
    if (corpus)
        nftw(corpus, load_one, 16, FTW_PHYS);
    while (same && d->done < n)
        same = compare_one(d);
    printf("%" PRIu64 " comparisons, %zu corpus files\n", d->done, d->g.corpus_n);
    for (size_t i = 0; i < OUTCOMES && d->outcomes[i].n; i++)
        printf("  %-40s %" PRIu64 "\n", d->outcomes[i].name, d->outcomes[i].n);
    fclose(d->to);
    fclose(d->from);
    waitpid(d->pid, NULL, 0);
    for (size_t i = 0; i < d->g.corpus_n; i++)
        free((char *)d->g.corpus[i].p);
    arena_fini(&d->a);
    free(d->line);
    free(d);
    return same ? 0 : 1;
}
