/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl spec validate`: what the original says, and beside it whether a change can be archived. */
#include "clients/cli/out.h"
#include "clients/cli/spec.h"
#include "common/openspec/archive.h"

#include <stdio.h>
#include <string.h>

enum { EXIT_INVALID = 1, EXIT_NOT_ARCHIVABLE = 4, TEXT_MAX = 256 << 20 };

struct checking {
    struct spec_tree tree;
    bool strict, compat, json;
    size_t passed, failed, stuck; /* stuck: valid, but not to be archived */
    json_t *items;
    struct buf out;
};

static void mark(struct checking *c, const char *color, const char *sign, const char *kind,
                 struct str id, const char *more)
{
    bool colors = c->tree.cli->color_out;
    buf_printf(&c->out, "%s%s%s %s/", paint(colors, color), sign, paint(colors, "off"), kind);
    text_clean(&c->out, id, false);
    buf_printf(&c->out, "%s\n", more);
}

/* What the archive says to a change that is valid. */
static bool archivable(struct checking *c, struct str id, json_t *item)
{
    struct archive_verdict verdict;
    struct spec_tree *t = &c->tree;
    if (archive_check(&t->repo.arena, &t->repo.ws, id, false, &verdict) != OK)
        return true; /* no memory: the validation has said so */
    js_set_bool(item, "archivable", verdict.archivable);
    if (verdict.archivable)
        return true;
    json_t *list = json_array();
    spec_findings_json(&verdict.findings, 100, list);
    js_set(item, "refusals", list);
    if (!c->json) {
        mark(c, "yellow", "!", "change", id, " is valid, but cannot be archived:");
        spec_findings_print(t, &verdict.findings, &c->out);
    }
    return false;
}

static enum status check_one(struct checking *c, struct str id, enum item_type type)
{
    struct spec_tree *t = &c->tree;
    struct spec_report report;
    int64_t began = mono_now().ms;
    const struct ws_file *f =
        type == ITEM_SPEC ? ws_find(&t->repo.ws, ws_spec_path(&t->repo.arena, id)) : NULL;
    enum status st = type == ITEM_CHANGE
                         ? validate_change(&t->repo.arena, &t->repo.ws, id, c->strict, &report)
                         : validate_spec(&t->repo.arena, id, f ? f->bytes : (struct str){ 0 },
                                         c->strict, &report);
    if (st != OK)
        return st;
    json_t *item = validated_item(id, type, &report);
    const char *kind = type == ITEM_CHANGE ? "change" : "spec";
    bool stuck = report.valid && type == ITEM_CHANGE && !c->compat && !archivable(c, id, item);
    js_set_int(item, "durationMs", mono_now().ms - began);
    js_push(c->items, item);
    c->passed += report.valid;
    c->failed += !report.valid;
    c->stuck += stuck;
    if (c->json)
        return OK;
    if (!stuck)
        mark(c, report.valid ? "green" : "red", report.valid ? "✓" : "✗", kind, id, "");
    spec_findings_print(t, &report.findings, &c->out);
    return OK;
}

static enum status check_all(struct checking *c, bool changes, bool specs)
{
    struct spec_tree *t = &c->tree;
    struct str_list names[2] = { 0 };
    enum status st = OK;
    if (changes)
        st = ws_changes(&t->repo.arena, &t->repo.ws, &names[0]);
    if (st == OK && specs)
        st = ws_spec_ids(&t->repo.arena, &t->repo.ws, str_of("specs/"), &names[1]);
    for (size_t l = 0; l < COUNT(names); l++) {
        for (size_t i = 0; st == OK && i < names[l].n; i++)
            st = check_one(c, names[l].at[i], l == 0 ? ITEM_CHANGE : ITEM_SPEC);
    }
    return st;
}

static void tell(struct checking *c, bool changes, bool specs)
{
    if (c->json) {
        spec_print(&c->tree, validated_all(json_incref(c->items), changes, specs));
        return;
    }
    fputs(buf_z(&c->out), stdout);
    printf("%zu valid, %zu invalid", c->passed, c->failed);
    if (!c->compat)
        printf(", %zu valid but not archivable", c->stuck);
    putchar('\n');
}

static int run(struct checking *c)
{
    struct cli *cli = c->tree.cli;
    struct show_refusal refusal;
    struct err err = { 0 };
    const char *type = cli_flag(cli, FLAG_TYPE), *name = cli_word(cli, 0);
    enum status st;
    bool all = cli_has(cli, FLAG_ALL);
    bool changes = all || cli_has(cli, FLAG_CHANGES), specs = all || cli_has(cli, FLAG_SPECS);
    if (!name && !changes && !specs) {
        err_set(&err, ERR_USAGE, "nothing to validate");
        err_fix(&err, "name a change or a spec, or give --all, --changes or --specs");
        return out_error(cli, &err);
    }
    if (name) {
        enum item_type given = !type                         ? ITEM_ANY
                               : strcmp(type, "change") == 0 ? ITEM_CHANGE
                                                             : ITEM_SPEC;
        enum item_type is =
            item_resolve(&c->tree.repo.arena, &c->tree.repo.ws, str_of(name), given, &refusal);
        if (is == ITEM_ANY)
            return spec_refuse(&c->tree, &refusal);
        changes = is == ITEM_CHANGE;
        specs = is == ITEM_SPEC;
        st = check_one(c, str_of(name), is);
    } else {
        st = check_all(c, changes, specs);
    }
    if (st != OK) {
        err_set(&err, st, "the repository is too large to be checked");
        return out_error(cli, &err);
    }
    tell(c, changes, specs);
    return c->failed ? EXIT_INVALID : c->stuck ? EXIT_NOT_ARCHIVABLE : 0;
}

int cmd_spec_validate(struct cli *cli)
{
    struct checking c = { .strict = cli_has(cli, FLAG_STRICT),
                          .compat = cli_has(cli, FLAG_COMPAT),
                          .json = out_is_json(cli) };
    int code = 0;
    if (!spec_open(&c.tree, cli, &code))
        return code;
    c.items = json_array();
    buf_init(&c.out, TEXT_MAX);
    code = run(&c);
    buf_fini(&c.out);
    json_decref(c.items);
    spec_close(&c.tree);
    return code;
}
