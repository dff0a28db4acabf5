/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl spec rebase`: a change brought onto the specs of today. */
#include "clients/cli/claim.h"
#include "clients/cli/out.h"
#include "clients/cli/spec.h"
#include "clients/cli/unified.h"
#include "common/openspec/rebase.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 64 << 20 };

static void print_lines(struct buf *out, const char *mark, struct str text)
{
    while (text.n > 0) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - text.p) : text.n;
        buf_printf(out, "    %s ", mark);
        text_clean(out, (struct str){ text.p, n }, false);
        buf_char(out, '\n');
        n += nl != NULL;
        text = (struct str){ text.p + n, text.n - n };
    }
}

static void print_block(struct buf *out, const struct rebase_block *b)
{
    static const char *const said[] = {
        [REBASE_SAME] = "the spec has not moved",
        [REBASE_MERGED] = "the spec has moved; merged",
        [REBASE_COLLIDES] = "the spec has moved in the same lines",
        [REBASE_GONE] = "the spec has no such requirement any more",
        [REBASE_UNKNOWN] = "unknown: the change does not say what it was written against",
    };
    buf_printf(out, "openspec/%.*s:%zu: \"", STR_ARG(b->file), b->line);
    text_clean(out, b->requirement, false);
    buf_printf(out, "\": %s\n", said[b->state]);
    if (b->state == REBASE_COLLIDES) {
        print_lines(out, "change:", b->ours);
        print_lines(out, "spec:  ", b->theirs);
    }
}

static json_t *blocks_json(const struct rebase *r)
{
    json_t *list = json_array();
    for (size_t i = r->n; i-- > 0;) {
        const struct rebase_block *b = &r->at[i];
        json_t *v = json_object();
        js_set_str(v, "capability", b->capability);
        js_set_str(v, "requirement", b->requirement);
        js_set_z(v, "state", rebase_state_name(b->state));
        js_set_str(v, "file", b->file);
        js_set_int(v, "line", (int64_t)b->line);
        if (b->state == REBASE_COLLIDES) {
            js_set_str(v, "change", b->ours);
            js_set_str(v, "spec", b->theirs);
        }
        js_push(list, v);
    }
    return list;
}

static size_t count(const struct rebase *r, enum rebase_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += r->at[i].state == state;
    return n;
}

static enum status write_out(struct spec_tree *t, const struct rebase *r, struct err *err)
{
    struct commit_op *ops = arena_alloc(&t->repo.arena, (r->files_n + 1) * sizeof *ops);
    if (!ops)
        return err_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < r->files_n; i++)
        ops[i] = (struct commit_op){ .kind = COMMIT_WRITE,
                                     .path = r->files[i].path,
                                     .bytes = r->files[i].bytes };
    return claim_commit(t->cli, t->root, ops, r->files_n, err);
}

static void print_all(struct spec_tree *t, const struct rebase *r)
{
    struct buf out;
    if (out_is_json(t->cli)) {
        json_t *v = json_object();
        js_set(v, "blocks", blocks_json(r));
        spec_print(t, v);
        return;
    }
    buf_init(&out, TEXT_MAX);
    for (size_t i = r->n; i-- > 0;)
        print_block(&out, &r->at[i]);
    for (size_t i = 0; cli_has(t->cli, FLAG_DRY_RUN) && i < r->files_n; i++) {
        const struct ws_file *now = ws_find(&t->repo.ws, r->files[i].path);
        struct unified_names names = { r->files[i].path, r->files[i].path };
        unified_diff(&names, now ? now->bytes : (struct str){ 0 }, r->files[i].bytes,
                     t->cli->color_out, &out);
    }
    fputs(buf_z(&out), stdout);
    buf_fini(&out);
}

static int rebase(struct spec_tree *t, struct str change)
{
    struct cli *cli = t->cli;
    struct rebase r;
    struct err err = { 0 };
    const char *keep = cli_flag(cli, FLAG_KEEP);
    if (keep && strcmp(keep, "yours") != 0 && strcmp(keep, "theirs") != 0) {
        err_set(&err, ERR_USAGE, "--keep %.100s: yours (the change) or theirs (the spec)", keep);
        return out_error(cli, &err);
    }
    bool mine = !keep || strcmp(keep, "yours") == 0;
    enum status st = rebase_change(&t->repo.arena, &t->repo.ws, change, mine, &r);
    if (st != OK) {
        err_set(&err, st, "the change is too large to be merged");
        return out_error(cli, &err);
    }
    print_all(t, &r);
    size_t open = count(&r, REBASE_GONE) + (keep ? 0 : count(&r, REBASE_COLLIDES));
    if (open > 0) {
        err_set(&err, ERR_NEGATIVE, "%zu requirement%s need%s your decision; nothing was written",
                open, open == 1 ? "" : "s", open == 1 ? "s" : "");
        err_fix(&err, "--keep yours or --keep theirs decides about lines; a requirement that has "
                      "gone has to leave the change, or be added");
        return out_error(cli, &err);
    }
    if (!cli_has(cli, FLAG_DRY_RUN) && r.files_n && write_out(t, &r, &err) != OK)
        return out_error(cli, &err);
    out_note(cli, cli_has(cli, FLAG_DRY_RUN) ? "%zu files would be written" : "%zu files written",
             r.files_n);
    return 0;
}

int cmd_spec_rebase(struct cli *cli)
{
    struct spec_tree t;
    int code = 0;
    if (!spec_open(&t, cli, &code))
        return code;
    struct str change = spec_change(&t, &code);
    if (code == 0)
        code = rebase(&t, change);
    spec_close(&t);
    return code;
}
