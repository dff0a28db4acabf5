/* SPDX-License-Identifier: Apache-2.0 */
/* diff: generated inputs through this library and through the original tool, compared.
 *   openspec_diff --oracle SCRIPT [--node PROGRAM] [--seed N] [--count N] [--corpus DIR]
 * Ends with 1 at the first difference and prints the request that shows it. */
#include "tests/openspec/answers.h"
#include "tests/openspec/gen.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX_BYTES = 1 << 20, PROGRESS = 20000 };

struct diff {
    struct gen g;
    struct oracle oracle;
    struct side s;
    uint64_t done;
};

/* ---- one comparison ---- */

static struct str made(struct diff *d, void (*make)(struct gen *, struct buf *), bool damage)
{
    struct buf b;
    buf_init(&b, TEXT_MAX_BYTES);
    make(&d->g, &b);
    if (damage)
        gen_damage(&d->g, &b);
    struct str s = { arena_dup(&d->s.a, buf_z(&b), b.len), b.len };
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
    put(files, n, "changes/c/proposal.md", made(d, gen_proposal, damage));
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
    if (ws_make(&d->s.a, files, n, &ws, &err) != OK)
        return NULL;
    return our_tree(&d->s, &ws);
}

static json_t *try_merge(struct diff *d, json_t *request)
{
    struct str main = made(d, gen_spec, gen_chance(&d->g, 40));
    bool has_main = gen_chance(&d->g, 90);
    struct str delta = made(d, gen_delta, gen_chance(&d->g, 40));
    js_set(request, "delta", base64(delta));
    if (has_main)
        js_set(request, "main", base64(main));
    return our_merge(&d->s, has_main, main, delta);
}

static json_t *try_validate(struct diff *d, json_t *request)
{
    struct spec_report r = { 0 };
    struct str text = made(d, gen_spec, true);
    bool strict = gen_chance(&d->g, 50);
    js_set(request, "text", base64(text));
    js_set_bool(request, "strict", strict);
    if (validate_spec(&d->s.a, LIT("a"), text, strict, &r) != OK)
        return NULL;
    side_count(&d->s, "validate", r.valid ? "valid" : "invalid");
    return ok_answer(report_json(&r));
}

static json_t *try_text(struct diff *d, json_t *request, int which)
{
    static json_t *(*const answers[])(struct pool *, struct str) = { our_spec, our_delta, our_section,
                                                                    our_structure, our_tasks };
    struct pool p = pool_of(&d->s.a);
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
    arena_reset(&d->s.a);
    js_set_z(request, "op", op);
    ours = roll < 35   ? try_text(d, request, which)
           : roll < 50 ? try_validate(d, request)
           : roll < 85 ? try_merge(d, request)
                       : try_tree(d, request);
    theirs = oracle_ask(&d->oracle, request);
    bool same = ours && theirs && json_equal(ours, theirs);
    side_count(&d->s, "op", op);
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
    if (!d || !oracle_start(&d->oracle, option(argc, argv, "--node", "node"), option(argc, argv, "--oracle", "oracle.mjs")))
        return 2;
    arena_init(&d->s.a, SIDE_ARENA_MAX);
    d->g.state = strtoull(option(argc, argv, "--seed", "1"), NULL, 10);
    loading = &d->g;
    if (corpus)
        nftw(corpus, load_one, 16, FTW_PHYS);
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (same && d->done < n) {
        same = compare_one(d);
        if (d->done % PROGRESS == 0) {
            printf("%" PRIu64 " comparisons so far\n", d->done);
            side_print(&d->s);
        }
    }
    printf("%" PRIu64 " comparisons, %zu corpus files\n", d->done, d->g.corpus_n);
    side_print(&d->s);
    oracle_stop(&d->oracle);
    for (size_t i = 0; i < d->g.corpus_n; i++)
        free((char *)d->g.corpus[i].p);
    arena_fini(&d->s.a);
    free(d);
    return same ? 0 : 1;
}
