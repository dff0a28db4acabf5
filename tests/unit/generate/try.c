/* SPDX-License-Identifier: Apache-2.0 */
/* try-generate URL DOCS.json [SEED [ROUND]]: one draft by a real model server, without broker, to
 * look at. DOCS is {"brief": …, "insights": …, "draft@best": …}. A tool for people, not a test. */
#include "tests/unit/generate/fake.h"
#include "workers/generate/stage.h"

#include <stdio.h>
#include <stdlib.h>

static void print_task(struct task *t)
{
    static const char *const names[] = { "draft", "change", "reply" };
    for (size_t i = 0; i < COUNT(names); i++) {
        json_t *v = fake_result(t, names[i]);
        struct buf b;
        buf_init(&b, PAWL_DOC_MAX);
        if (v && js_dump_pretty(v, &b) == OK)
            printf("== %s\n%s\n", names[i], buf_z(&b));
        buf_fini(&b);
        json_decref(v);
    }
}

int main(int argc, char **argv)
{
    struct fake f;
    struct err err = { 0 };
    json_error_t je;
    json_t *docs = argc > 2 ? json_load_file(argv[2], 0, &je) : NULL;
    if (!docs) {
        fprintf(stderr, "usage: try-generate URL DOCS.json [SEED [ROUND]]\n");
        return 64;
    }
    json_t *facts = json_pack("{s:i,s:i}", "seed", argc > 3 ? (int)strtol(argv[3], NULL, 10) : 1,
                              "parent", json_object_get(docs, "draft@best") ? 1 : 0);
    if (!fake_open(&f, &generate_ops, &err, "model.url", argv[1], "log.level", "debug", NULL) ||
        !fake_ready(&f, 20000)) {
        fprintf(stderr, "%s\n", err.text);
        return 69;
    }
    int64_t began = mono_now().ms;
    const char *stage = json_object_get(docs, "ask") ? "ask" : "generate";
    struct task *t =
        fake_task(&f, stage, argc > 4 ? (int)strtol(argv[4], NULL, 10) : 1, docs, facts);
    bool ended = t && fake_run(&f, t, 900000);
    if (ended)
        print_task(t);
    if (ended && t->ending == ENDING_FAIL)
        printf("failed: %s\n", t->fail_text);
    if (t && getenv("TRY_STEPS")) {
        struct buf b;
        buf_init(&b, PAWL_DOC_MAX);
        js_dump_pretty(t->steps, &b);
        printf("== steps\n%s\n", buf_z(&b));
        buf_fini(&b);
    }
    printf("== %lld steps, %lld tokens, %lld ms\n", (long long)f.steps, (long long)f.tokens_out,
           (long long)(mono_now().ms - began));
    json_decref(docs);
    json_decref(facts);
    fake_close(&f);
    return ended ? 0 : 124;
}
