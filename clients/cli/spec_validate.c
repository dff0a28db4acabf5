/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl spec validate`: what the original says, and beside it whether a change can be archived. */
#include "clients/cli/out.h"
#include "clients/cli/spec.h"
#include "common/openspec/archive.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    EXIT_INVALID = 1,
    EXIT_NOT_ARCHIVABLE = 4,
    TEXT_MAX = 64 << 20,
    SCRATCH_MAX = 1 << 30,
    THREADS_MAX = 8,
    THREAD_ITEMS = 16, /* below so many for each, a thread costs more than it gives */
};

/* One spec or change and what was found. */
struct checked {
    struct str id;
    enum item_type type;
    enum status status;
    bool valid, stuck; /* stuck: valid, but not to be archived */
    json_t *item;
    struct buf text;
};

struct checking {
    struct spec_tree tree;
    bool strict, compat, json;
    struct checked *at;
    size_t n;
    atomic_size_t next; /* to be checked */
};

static void mark(const struct checking *c, struct checked *k, const char *color, const char *sign,
                 const char *more)
{
    bool colors = c->tree.cli->color_out;
    buf_printf(&k->text, "%s%s%s %s/", paint(colors, color), sign, paint(colors, "off"),
               k->type == ITEM_CHANGE ? "change" : "spec");
    text_clean(&k->text, k->id, false);
    buf_printf(&k->text, "%s\n", more);
}

/* What the archive says to a change that is valid. */
static void put_verdict(const struct checking *c, const struct archive_verdict *verdict,
                        struct checked *k)
{
    js_set_bool(k->item, "archivable", verdict->archivable);
    k->stuck = !verdict->archivable;
    if (!k->stuck)
        return;
    json_t *list = json_array();
    spec_findings_json(&verdict->findings, 100, list);
    js_set(k->item, "refusals", list);
    if (!c->json) {
        mark(c, k, "yellow", "!", " is valid, but cannot be archived:");
        spec_findings_print(&c->tree, &verdict->findings, &k->text);
    }
}

static void check(const struct checking *c, struct arena *a, struct checked *k)
{
    const struct ws *ws = &c->tree.repo.ws;
    struct spec_report report;
    struct archive_verdict verdict;
    int64_t began = mono_now().ms;
    const struct ws_file *f = k->type == ITEM_SPEC ? ws_find(ws, ws_spec_path(a, k->id)) : NULL;
    bool archive = k->type == ITEM_CHANGE && !c->compat;
    buf_init(&k->text, TEXT_MAX);
    k->status = archive ? archive_validate(a, ws, k->id, c->strict, &report, &verdict)
                : k->type == ITEM_CHANGE
                    ? validate_change(a, ws, k->id, c->strict, &report)
                    : validate_spec(a, k->id, f ? f->bytes : (struct str){ 0 }, c->strict, &report);
    if (k->status != OK)
        return;
    k->item = validated_item(k->id, k->type, &report);
    k->valid = report.valid;
    if (k->valid && archive)
        put_verdict(c, &verdict, k);
    js_set_int(k->item, "durationMs", mono_now().ms - began);
    if (c->json)
        return;
    if (!k->stuck)
        mark(c, k, k->valid ? "green" : "red", k->valid ? "✓" : "✗", "");
    spec_findings_print(&c->tree, &report.findings, &k->text);
}

/* Items until there are none left; what one needs is given back before the next. */
static void *work(void *ctx)
{
    struct checking *c = ctx;
    struct arena a;
    arena_init(&a, SCRATCH_MAX);
    for (size_t i; (i = atomic_fetch_add(&c->next, 1)) < c->n; arena_reset(&a))
        check(c, &a, &c->at[i]);
    arena_fini(&a);
    return NULL;
}

static void check_all(struct checking *c)
{
    pthread_t threads[THREADS_MAX];
    size_t n = 0;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t most = c->n / THREAD_ITEMS < THREADS_MAX ? c->n / THREAD_ITEMS : THREADS_MAX;
    json_object_seed(0); /* once, before there are threads */
    while (n + 1 < most && (long)n + 1 < cores && pthread_create(&threads[n], NULL, work, c) == 0)
        n++;
    work(c);
    while (n > 0)
        pthread_join(threads[--n], NULL);
}

static enum status collect(struct checking *c, bool changes, bool specs)
{
    struct spec_tree *t = &c->tree;
    struct arena *a = &t->repo.arena;
    struct str_list names[2] = { 0 };
    enum status st = OK;
    if (changes)
        st = ws_changes(a, &t->repo.ws, &names[0]);
    if (st == OK && specs)
        st = ws_spec_ids(a, &t->repo.ws, str_of("specs/"), &names[1]);
    c->at = arena_alloc(a, (names[0].n + names[1].n + 1) * sizeof *c->at);
    for (size_t l = 0; st == OK && c->at && l < COUNT(names); l++) {
        for (size_t i = 0; i < names[l].n; i++)
            c->at[c->n++] =
                (struct checked){ .id = names[l].at[i], .type = l ? ITEM_SPEC : ITEM_CHANGE };
    }
    return c->at ? st : ERR_LIMIT;
}

/* In the order of the names, whoever was ready first. */
static int tell(struct checking *c, bool changes, bool specs)
{
    size_t passed = 0, failed = 0, stuck = 0;
    json_t *items = json_array();
    for (size_t i = 0; i < c->n; i++) {
        struct checked *k = &c->at[i];
        passed += k->valid;
        failed += !k->valid;
        stuck += k->stuck;
        js_push(items, json_incref(k->item));
        if (!c->json)
            fwrite(k->text.data, 1, k->text.len, stdout);
    }
    if (c->json) {
        spec_print(&c->tree, validated_all(items, changes, specs));
    } else {
        printf("%zu valid, %zu invalid", passed, failed);
        if (!c->compat)
            printf(", %zu valid but not archivable", stuck);
        putchar('\n');
        json_decref(items);
    }
    return failed ? EXIT_INVALID : stuck ? EXIT_NOT_ARCHIVABLE : 0;
}

static enum item_type type_given(const struct cli *cli)
{
    const char *type = cli_flag(cli, FLAG_TYPE);
    return !type ? ITEM_ANY : strcmp(type, "change") == 0 ? ITEM_CHANGE : ITEM_SPEC;
}

static int run(struct checking *c)
{
    struct cli *cli = c->tree.cli;
    struct show_refusal refusal;
    struct err err = { 0 };
    struct checked one = { .id = str_of(cli_word(cli, 0)) };
    enum status st = OK;
    bool all = cli_has(cli, FLAG_ALL);
    bool changes = all || cli_has(cli, FLAG_CHANGES), specs = all || cli_has(cli, FLAG_SPECS);
    if (!one.id.n && !changes && !specs) {
        err_set(&err, ERR_USAGE, "nothing to validate");
        err_fix(&err, "name a change or a spec, or give --all, --changes or --specs");
        return out_error(cli, &err);
    }
    if (one.id.n) {
        one.type =
            item_resolve(&c->tree.repo.arena, &c->tree.repo.ws, one.id, type_given(cli), &refusal);
        if (one.type == ITEM_ANY)
            return spec_refuse(&c->tree, &refusal);
        changes = one.type == ITEM_CHANGE;
        specs = one.type == ITEM_SPEC;
        c->at = &one;
        c->n = 1;
    } else {
        st = collect(c, changes, specs);
    }
    if (st == OK)
        check_all(c);
    for (size_t i = 0; st == OK && i < c->n; i++)
        st = c->at[i].status;
    int code = 0;
    if (st == OK) {
        code = tell(c, changes, specs);
    } else {
        err_set(&err, st, "the repository is too large to be checked");
        code = out_error(cli, &err);
    }
    for (size_t i = 0; i < c->n; i++) {
        json_decref(c->at[i].item);
        buf_fini(&c->at[i].text);
    }
    return code;
}

int cmd_spec_validate(struct cli *cli)
{
    struct checking c = { .strict = cli_has(cli, FLAG_STRICT),
                          .compat = cli_has(cli, FLAG_COMPAT),
                          .json = out_is_json(cli) };
    int code = 0;
    if (!spec_open(&c.tree, cli, &code))
        return code;
    code = run(&c);
    spec_close(&c.tree);
    return code;
}
