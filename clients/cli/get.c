/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl get` and `pawl apply`: the change leaves the system. */
#include "clients/cli/cli.h"
#include "clients/cli/folder.h"
#include "clients/cli/link.h"
#include "clients/cli/onto.h"
#include "clients/cli/out.h"
#include "clients/cli/repo.h"
#include "common/openspec/draft.h"
#include "common/openspec/names.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ANSWER_MS = 30000, ARENA_BYTES = 64 << 20 };

struct taking {
    struct cli *cli;
    struct talk talk;
    json_t *job, *doc;
    char id[32];
};

static enum status fetch(struct taking *t, const char *name, struct err *err)
{
    struct cli *cli = t->cli;
    int64_t timeout = cli_has(cli, FLAG_TIMEOUT) ? cli->args.number[FLAG_TIMEOUT] : ANSWER_MS;
    enum status st = talk_open(&t->talk, cli->conf, timeout, false, err);
    if (st == OK)
        st = talk_show(&t->talk, cli_word(cli, 0), &t->job, err);
    if (st != OK)
        return st;
    snprintf(t->id, sizeof t->id, "%s", js_str(t->job, "id"));
    struct doc_ref ref = { t->id, name, cli->args.number[FLAG_RUN], cli->args.number[FLAG_ROUND] };
    st = talk_get(&t->talk, ref, &t->doc, err);
    if (st == ERR_NOT_FOUND && strcmp(name, "change@best") == 0) {
        err_set(err, ERR_NOT_FOUND, "%s has no candidate that passed the gates (it is %s)", t->id,
                js_str(t->job, "state"));
        err_fix(err, "`pawl show %s` tells why; --round N takes the candidate of a round as it is",
                t->id);
    }
    return st;
}

static void taking_free(struct taking *t)
{
    talk_close(&t->talk);
    json_decref(t->job);
    json_decref(t->doc);
}

/* The best candidate, or that of a round. */
static const char *change_name_of(const struct cli *cli)
{
    return cli_has(cli, FLAG_ROUND) ? "change" : "change@best";
}

static enum status check_change(const json_t *change, struct err *err)
{
    struct str name = js_view(change, "name");
    if (!name_is_change(name))
        return err_set(err, ERR_DATA, "'%.*s' is no name of a change", STR_ARG(name));
    return js_count(js_list(change, "files")) ? OK
                                              : err_set(err, ERR_DATA, "the change has no files");
}

static void print_path(struct cli *cli, const char *id, const json_t *change, const char *path)
{
    if (!out_is_json(cli)) {
        printf("%s\n", path);
        return;
    }
    json_t *v = json_object(), *files = json_array();
    const json_t *list = js_list(change, "files");
    for (size_t i = 0; i < js_count(list); i++)
        js_push_z(files, js_str(js_at(list, i), "path"));
    js_set_z(v, "id", id);
    js_set_z(v, "change", js_str(change, "name"));
    js_set_z(v, "path", path);
    js_set(v, "files", files);
    out_json(cli, "Written", v);
}

static enum status print_document(struct taking *t, struct err *err)
{
    struct buf b;
    buf_init(&b, (size_t)PAWL_DOC_MAX * 2);
    js_dump_pretty(t->doc, &b);
    buf_char(&b, '\n');
    enum status st = b.status;
    if (st == OK && fwrite(b.data, 1, b.len, stdout) != b.len)
        st = err_set(err, ERR_IO, "standard output: %s", strerror(errno));
    buf_fini(&b);
    return st;
}

static enum status get_change(struct taking *t, struct err *err)
{
    const char *dir = cli_flag(t->cli, FLAG_DIR);
    enum status st = check_change(t->doc, err);
    if (st != OK)
        return st;
    const char *target = dir ? dir : js_str(t->doc, "name");
    st = folder_write(js_list(t->doc, "files"), target, cli_has(t->cli, FLAG_FORCE), err);
    if (st == OK)
        print_path(t->cli, t->id, t->doc, target);
    return st;
}

int cmd_get(struct cli *cli)
{
    struct taking t = { .cli = cli };
    struct err err = { 0 };
    const char *name = cli_flag(cli, FLAG_DOC);
    enum status st = OK;
    if (name && cli_flag(cli, FLAG_DIR))
        st = err_set(&err, ERR_USAGE, "--doc prints a document; --dir writes the change: not both");
    if (st == OK)
        st = fetch(&t, name ? name : change_name_of(cli), &err);
    if (st == OK)
        st = name ? print_document(&t, &err) : get_change(&t, &err);
    taking_free(&t);
    return st == OK ? 0 : out_error(cli, &err);
}

/* ---- apply ----------------------------------------------------------------------------------- */

/* What has moved below the change since it was written. */
static enum status say_moved(struct cli *cli, const char *root, const json_t *change,
                             struct err *err)
{
    struct repo repo;
    struct arena arena;
    struct base_moves moves = { 0 };
    arena_init(&arena, ARENA_BYTES);
    enum status st = repo_read(&repo, root, err);
    if (st == OK && openspec_base_moved(&arena, &repo.ws, js_obj(change, "base"), &moves) != OK)
        st = err_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; st == OK && moves.known && i < moves.n; i++) {
        const struct base_move *m = &moves.at[i];
        out_warn(cli, "%.*s: the requirement '%.*s' %s since this change was written",
                 STR_ARG(m->capability), STR_ARG(m->requirement),
                 m->state == BASE_GONE ? "is gone" : "has changed");
    }
    if (st == OK && moves.known && moves.n)
        out_note(
            cli,
            "  `pawl spec rebase %s` merges what they have got since; `pawl submit --change %s "
            "…` writes it anew",
            js_str(change, "name"), js_str(change, "name"));
    repo_free(&repo);
    arena_fini(&arena);
    return st;
}

static void say_unfinished(struct cli *cli, const struct taking *t)
{
    const char *state = js_str(t->job, "state");
    const json_t *verdict = js_obj(js_obj(t->job, "best"), "verdict");
    if (cli_has(cli, FLAG_ROUND))
        return;
    if (strcmp(state, "accepted") != 0)
        out_warn(cli, "%s is %s, not accepted: this is its best candidate so far", t->id, state);
    if (js_int(verdict, "errors", 0) > 0)
        out_warn(cli, "%lld findings of severity error are open (`pawl show %s`)",
                 (long long)js_int(verdict, "errors", 0), t->id);
}

static struct origin origin_of(const struct taking *t)
{
    const struct cli *cli = t->cli;
    const json_t *best = js_obj(t->job, "best");
    struct origin o = { .run = cli->args.number[FLAG_RUN], .round = cli->args.number[FLAG_ROUND] };
    snprintf(o.job, sizeof o.job, "%s", t->id);
    if (!cli_has(cli, FLAG_ROUND)) {
        o.run = js_int(best, "run", 1);
        o.round = js_int(best, "round", 0);
    }
    return o;
}

/* What the folder that is there was written from: an earlier version of this job, or, when the job
 * improves an existing change, that change as it was submitted. New reference; NULL: neither. */
static json_t *base_of(struct taking *t, const char *root)
{
    const char *name = js_str(t->doc, "name");
    json_t *doc = NULL, *base = NULL;
    struct origin from;
    struct err none = { 0 };
    if (origin_read(root, name, &from) && strcmp(from.job, t->id) == 0) {
        struct doc_ref ref = { t->id, "change", from.run, from.round };
        if (talk_get(&t->talk, ref, &base, &none) == OK)
            origin_put(base, &from);
        return base;
    }
    struct doc_ref ref = { t->id, "brief", 0, 0 };
    if (talk_get(&t->talk, ref, &doc, &none) == OK &&
        strcmp(js_str(js_obj(doc, "base"), "name"), name) == 0)
        base = json_incref(json_object_get(doc, "base"));
    json_decref(doc);
    return base;
}

/* Nothing but the dialogue of the change, which began before it was there. */
static bool only_questions(const char *target)
{
    DIR *d = opendir(target);
    bool found = false, other = false;
    for (struct dirent *e; d && (e = readdir(d));) {
        bool is_it = strcmp(e->d_name, "questions.md") == 0;
        found = found || is_it;
        other = other || (!is_it && e->d_name[0] != '.');
    }
    if (d)
        closedir(d);
    return found && !other;
}

static json_t *empty_change(const char *name)
{
    json_t *doc = json_object();
    js_set_z(doc, "name", name);
    js_set(doc, "files", json_array());
    return doc;
}

static enum status put_folder(struct taking *t, const char *root, const char *target,
                              struct err *err)
{
    bool force = cli_has(t->cli, FLAG_FORCE);
    struct origin o = origin_of(t);
    json_t *base = !force && access(target, F_OK) == 0 ? base_of(t, root) : NULL;
    if (!force && !base && only_questions(target))
        base = empty_change(js_str(t->doc, "name"));
    origin_put(t->doc, &o);
    enum status st = base ? onto_folder(t->cli, root, base, t->doc, err)
                          : folder_write(js_list(t->doc, "files"), target, force, err);
    json_decref(base);
    return st;
}

static enum status apply(struct taking *t, const char *root, struct err *err)
{
    char target[PATH_MAX], changes[PATH_MAX];
    struct cli *cli = t->cli;
    enum status st = check_change(t->doc, err);
    if (st != OK)
        return st;
    snprintf(changes, sizeof changes, "%.3800s/openspec/changes", root);
    snprintf(target, sizeof target, "%.3850s/%.200s", changes, js_str(t->doc, "name"));
    if (mkdir(changes, 0777) != 0 && errno != EEXIST)
        return err_set(err, ERR_CREATE, "%.400s: %s", changes, strerror(errno));
    if ((st = say_moved(cli, root, t->doc, err)) != OK)
        return st;
    if ((st = put_folder(t, root, target, err)) != OK)
        return st;
    say_unfinished(cli, t);
    print_path(cli, t->id, t->doc, target);
    out_note(cli, "`openspec validate %s --strict` checks it, `openspec show %s` shows it",
             js_str(t->doc, "name"), js_str(t->doc, "name"));
    return OK;
}

int cmd_apply(struct cli *cli)
{
    char root[PATH_MAX];
    struct taking t = { .cli = cli };
    struct err err = { 0 };
    const char *given = cli_flag(cli, FLAG_PROJECT_DIR);
    enum status st = repo_find(given ? given : ".", given != NULL, root, sizeof root, &err);
    if (st == OK)
        st = fetch(&t, change_name_of(cli), &err);
    if (st == OK)
        st = apply(&t, root, &err);
    taking_free(&t);
    return st == OK ? 0 : out_error(cli, &err);
}
