/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/onto.h"

#include "clients/cli/claim.h"
#include "clients/cli/collide.h"
#include "clients/cli/commit.h"
#include "clients/cli/out.h"
#include "clients/cli/repo.h"
#include "common/openspec/config.h"
#include "common/openspec/edit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { YAML_MAX = 2 << 20, SHOWN_MAX = 20, LINES_SHOWN = 6, SHOWN_BYTES = 1 << 19 };

static const char yaml[] = ".openspec.yaml";

static json_t *file_of(const json_t *change, const char *path)
{
    const json_t *files = js_list(change, "files");
    for (size_t i = 0; i < js_count(files); i++) {
        if (strcmp(js_str(js_at(files, i), "path"), path) == 0)
            return json_array_get(files, i);
    }
    return NULL;
}

/* ---- where it came from ------------------------------------------------------------------------ */

void origin_put(json_t *change, const struct origin *o)
{
    static const char key[] = "pawl:\n";
    json_t *f = file_of(change, yaml);
    struct buf b;
    if (!f) {
        f = json_object();
        js_set_z(f, "path", yaml);
        js_set_z(f, "text", "schema: spec-driven\n");
        js_push(json_object_get(change, "files"), f);
    }
    const char *text = js_str(f, "text");
    const char *at = strncmp(text, key, strlen(key)) == 0 ? text : strstr(text, "\npawl:\n");
    at = at && *at == '\n' ? at + 1 : at;
    size_t head = at ? (size_t)(at - text) + strlen(key) : strlen(text);
    buf_init(&b, YAML_MAX);
    buf_append(&b, text, head);
    if (!at)
        buf_printf(&b, "%s%s", head && text[head - 1] != '\n' ? "\n" : "", key);
    buf_printf(&b, "  from: {job: %s, run: %" PRId64 ", round: %" PRId64 "}\n", o->job, o->run,
               o->round);
    buf_str(&b, text + head);
    if (b.status == OK)
        js_set_z(f, "text", buf_z(&b));
    buf_fini(&b);
}

bool origin_read(const char *root, const char *change, struct origin *out)
{
    struct repo repo;
    struct err err;
    json_t *own = repo_read(&repo, root, &err) == OK ? meta_pawl(&repo.ws, str_of(change)) : NULL;
    const json_t *from = js_obj(own, "from");
    *out = (struct origin){ .run = (int64_t)js_real(from, "run", 0), /* YAML's numbers are real */
                            .round = (int64_t)js_real(from, "round", 0) };
    snprintf(out->job, sizeof out->job, "%s", js_str(from, "job"));
    json_decref(own);
    repo_free(&repo);
    return *out->job && out->run > 0 && out->round > 0;
}

/* ---- collisions -------------------------------------------------------------------------------- */

static void put_text(struct buf *out, const char *indent, const char *mark, struct str text)
{
    size_t lines = 0;
    if (text.n == 0)
        buf_printf(out, "%s  %s nothing\n", indent, mark);
    while (text.n > 0 && lines++ < LINES_SHOWN) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - text.p) : text.n;
        buf_printf(out, "%s  %s ", indent, mark);
        text_clean(out, (struct str){ text.p, n }, false);
        buf_char(out, '\n');
        n += nl != NULL;
        text = (struct str){ text.p + n, text.n - n };
    }
    if (text.n > 0)
        buf_printf(out, "%s  %s …\n", indent, mark);
}

/* Each place and both texts, every line behind `indent`. */
static void put_places(struct buf *out, const char *indent, const struct edit_merge *m)
{
    for (size_t i = 0; i < m->n && i < SHOWN_MAX; i++) {
        const struct edit_collision *c = &m->at[i];
        buf_printf(out, "%s%.*s", indent, STR_ARG(c->path));
        if (c->line)
            buf_printf(out, ":%zu", c->line);
        buf_str(out, ":\n");
        put_text(out, indent, "yours:", c->ours);
        put_text(out, indent, "theirs:", c->theirs);
    }
    if (m->n > SHOWN_MAX)
        buf_printf(out, "%s… and %zu more\n", indent, m->n - SHOWN_MAX);
}

static void tell(const struct edit_merge *m)
{
    struct buf b;
    buf_init(&b, SHOWN_BYTES);
    put_places(&b, "  ", m);
    fprintf(stderr, "You and the job changed the same lines (%zu place%s):\n%s", m->n,
            m->n == 1 ? "" : "s", buf_z(&b));
    buf_fini(&b);
}

/* Nobody is there to say it now: the folder's questions.md asks. */
static enum status leave_question(const char *root, const char *change, const struct edit_merge *m,
                                  struct err *err)
{
    struct buf b;
    char id[COLLIDE_ID];
    collide_id(m, id);
    buf_init(&b, SHOWN_BYTES);
    put_places(&b, "    ", m); /* as code in Markdown: nothing in it is a heading */
    enum status st = collide_ask(root, change, m, buf_get(&b), err);
    buf_fini(&b);
    if (st != OK)
        return st;
    err_set(err, ERR_CREATE, "nothing was written: %s is asked in openspec/changes/%.200s/questions.md",
            id, change);
    err_fix(err, "answer yours or theirs there and apply again, or say --keep yours or --keep "
                 "theirs; --force replaces the whole folder");
    return ERR_CREATE;
}

static enum keep ask(void)
{
    char line[64];
    for (;;) {
        fputs("Keep [y]ours or take [t]heirs in all of these, or [s]top? ", stderr);
        if (!fgets(line, sizeof line, stdin) || line[0] == 's')
            return KEEP_UNKNOWN;
        if (line[0] == 'y' || line[0] == 't')
            return line[0] == 'y' ? KEEP_YOURS : KEEP_THEIRS;
    }
}

/* --keep, else an answer in questions.md, else the user at the terminal, else a question is left. */
static enum status decide(struct cli *cli, const char *root, const char *change,
                          const struct edit_merge *m, enum keep *keep, struct err *err)
{
    const char *given = cli_flag(cli, FLAG_KEEP);
    *keep = given ? keep_named(str_of(given)) : KEEP_YOURS;
    if (*keep == KEEP_UNKNOWN)
        return err_set(err, ERR_USAGE, "--keep %.100s: yours or theirs", given);
    if (given || m->n == 0)
        return OK;
    enum status st = collide_answer(root, change, m, keep, err);
    if (st != OK || *keep != KEEP_UNKNOWN)
        return st;
    tell(m);
    if (cli->no_input || !cli->in_tty || !cli->err_tty)
        return leave_question(root, change, m, err);
    if ((*keep = ask()) != KEEP_UNKNOWN)
        return OK;
    err_set(err, ERR_CREATE, "nothing was written");
    err_fix(err, "--keep yours or --keep theirs decides; --force replaces the whole folder");
    return ERR_CREATE;
}

/* ---- writing ----------------------------------------------------------------------------------- */

/* What differs between the folder and what it is to be. */
static size_t operations(struct arena *a, const char *name, const json_t *ours, const json_t *files,
                         struct commit_op **out)
{
    const json_t *have = js_list(ours, "files");
    json_t *want = json_object();
    struct commit_op *ops = arena_alloc(a, (js_count(files) + js_count(have) + 1) * sizeof *ops);
    size_t n = 0;
    js_set(want, "files", json_incref((json_t *)(uintptr_t)files));
    for (size_t i = 0; ops && i < js_count(files); i++) {
        const json_t *f = js_at(files, i), *now = file_of(ours, js_str(f, "path"));
        if (now && str_eq(js_view(now, "text"), js_view(f, "text")))
            continue;
        char *path = arena_printf(a, "changes/%s/%s", name, js_str(f, "path"));
        ops[n++] = (struct commit_op){ .kind = COMMIT_WRITE,
                                       .path = str_of(path),
                                       .bytes = js_view(f, "text") };
    }
    for (size_t i = 0; ops && i < js_count(have); i++) {
        const char *path = js_str(js_at(have, i), "path");
        if (!file_of(want, path))
            ops[n++] =
                (struct commit_op){ .kind = COMMIT_REMOVE,
                                    .path = str_of(arena_printf(a, "changes/%s/%s", name, path)) };
    }
    json_decref(want);
    *out = ops;
    return n;
}

static enum status merge(struct cli *cli, const char *root, const struct ws *ws, struct arena *a,
                         const json_t *base, const json_t *theirs, struct err *err)
{
    const char *name = js_str(theirs, "name");
    json_t *ours = ws_change_doc(ws, str_of(name));
    struct edit_merge m, again = { 0 };
    struct commit_op *ops;
    enum keep keep;
    enum status st = edit_merge(a, base, ours, theirs, true, &m);
    if (st != OK)
        err_set(err, st, "the change is too large to be merged");
    if (st == OK)
        st = decide(cli, root, name, &m, &keep, err);
    if (st == OK && keep == KEEP_THEIRS &&
        (st = edit_merge(a, base, ours, theirs, false, &again)) != OK)
        err_set(err, st, "the change is too large to be merged");
    if (st == OK) {
        size_t n = operations(a, name, ours, again.files ? again.files : m.files, &ops);
        st = n == 0 ? OK : claim_commit(cli, root, ops, n, err);
        if (st == OK)
            out_note(cli, "merged into what you have: %zu files written", n);
        if (st == OK)
            st = collide_settle(root, name, &m, keep, err);
    }
    json_decref(m.files);
    json_decref(again.files);
    json_decref(ours);
    return st;
}

enum status onto_folder(struct cli *cli, const char *root, const json_t *base, const json_t *theirs,
                        struct err *err)
{
    struct repo repo;
    enum status st = repo_read(&repo, root, err);
    if (st == OK)
        st = merge(cli, root, &repo.ws, &repo.arena, base, theirs, err);
    repo_free(&repo);
    return st;
}
