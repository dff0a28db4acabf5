/* SPDX-License-Identifier: Apache-2.0 */
/* corpus: a real openspec/ folder through this library and through the original tool: every spec
 * and change validated, normal and strict, and every change archived by itself.
 *   openspec_corpus --oracle SCRIPT DIR…
 * Prints each difference; ends with 1 when there is one. */
#include "tests/openspec/answers.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = 20000 };

struct tree {
    struct ws_file files[FILES_MAX];
    size_t n;
    size_t root; /* length of the folder's name and its slash */
};

static struct tree *loading; /* nftw() has no argument for its callback */

static int load_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type != FTW_F || loading->n == FILES_MAX)
        return 0;
    FILE *f = fopen(path, "rb");
    char *text = malloc((size_t)st->st_size + 1), *name = strdup(path + loading->root);
    if (f && text && name) {
        size_t n = fread(text, 1, (size_t)st->st_size, f);
        loading->files[loading->n++] = (struct ws_file){ str_of(name), { text, n } };
    }
    if (f)
        fclose(f);
    return 0;
}

static int compare(const char *dir, const char *what, const json_t *theirs, const json_t *ours)
{
    if (json_equal(theirs, ours))
        return 0;
    printf("%s: %s differs\n  original: ", dir, what);
    json_dumpf(theirs ? theirs : json_null(), stdout, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    printf("\n  ours:     ");
    json_dumpf(ours ? ours : json_null(), stdout, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    printf("\n");
    return 1;
}

static int compare_members(const char *dir, const json_t *theirs, json_t *ours, int *compared)
{
    const char *key;
    json_t *v;
    int differences = json_object_size(theirs) != json_object_size(ours);
    json_object_foreach(ours, key, v) {
        differences += compare(dir, key, json_object_get(theirs, key), v);
        ++*compared;
    }
    return differences;
}

static json_t *archive_one(struct side *s, const struct ws *ws, struct str change)
{
    struct ws after;
    json_t *v = our_archive(s, ws, change, &after), *specs = json_object();
    for (size_t i = 0; i < after.n; i++) {
        if (text_starts(after.files[i].path, "specs/"))
            add_member(specs, after.files[i].path, base64(after.files[i].bytes));
    }
    js_set(v, "specs", specs);
    return v;
}

static int run(struct oracle *o, struct side *s, const char *dir, int *compared)
{
    static struct tree tree;
    struct ws ws;
    struct err err = { 0 };
    struct str_list changes;
    json_t *request = json_object(), *ours = json_object(), *archives = json_object();
    arena_reset(&s->a);
    tree.n = 0;
    tree.root = strlen(dir) + 1;
    loading = &tree;
    nftw(dir, load_one, 16, FTW_PHYS);
    if (ws_make(&s->a, tree.files, tree.n, &ws, &err) != OK ||
        ws_changes(&s->a, &ws, &changes) != OK) {
        printf("%s: %s\n", dir, err.text);
        return 1;
    }
    js_set_z(request, "op", "folder");
    js_set_z(request, "path", dir);
    json_t *answer = oracle_ask(o, request);
    const json_t *theirs = js_obj(answer, "ok");
    our_reports(s, &ws, ours);
    for (size_t i = 0; i < changes.n; i++)
        add_member(archives, changes.at[i], archive_one(s, &ws, changes.at[i]));
    int n = compare_members(dir, js_obj(theirs, "specs"), json_object_get(ours, "specs"), compared);
    n += compare_members(dir, js_obj(theirs, "changes"), json_object_get(ours, "changes"), compared);
    n += compare_members(dir, js_obj(theirs, "archives"), archives, compared);
    if (!theirs)
        n += compare(dir, "the answer", answer, NULL);
    printf("%s: %zu files, %zu changes, %d differences\n", dir, ws.n, changes.n, n);
    json_decref(request);
    json_decref(ours);
    json_decref(archives);
    json_decref(answer);
    return n;
}

int main(int argc, char **argv)
{
    struct oracle o = { 0 };
    struct side *s = calloc(1, sizeof *s);
    int differences = 0, compared = 0;
    if (!s || argc < 4 || strcmp(argv[1], "--oracle") != 0 || !oracle_start(&o, "node", argv[2]))
        return 2;
    arena_init(&s->a, SIDE_ARENA_MAX);
    for (int i = 3; i < argc; i++)
        differences += run(&o, s, argv[i], &compared);
    printf("%d items compared, %d differences\n", compared, differences);
    side_print(s);
    oracle_stop(&o);
    arena_fini(&s->a);
    free(s);
    return differences ? 1 : 0;
}
