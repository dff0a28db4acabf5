/* SPDX-License-Identifier: Apache-2.0 */
/* questions.md of any bytes beside jobs of several kinds. A file that is read is planned to the end:
 * what it becomes reads well, needs nothing more the second time, and says nothing twice that was
 * heard. Bytes behind the first NUL are an answer that the job has got. */
#include "clients/cli/dialog_plan.h"
#include "common/openspec/questions.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *item(const char *id, const char *key, struct str text)
{
    json_t *v = json_object();
    js_set_z(v, "id", id);
    js_set_str(v, key, text);
    return v;
}

static json_t *job_of(uint8_t kind, struct str text)
{
    json_t *job = json_object(), *open = json_array(), *answers = json_array(),
           *comments = json_array(), *ledger = json_array();
    js_set_z(job, "id", "4k2m");
    js_set_z(job, "state", kind & 1 ? "waiting" : "accepted");
    if (kind & 2) {
        json_t *q = item("q1", "text", kind & 4 ? text : str_of("Which?"));
        js_set_str(q, "otherwise", kind & 8 ? text : str_of("all"));
        js_set_int(q, "due_ms", 1795510800000);
        js_push(open, q);
    }
    if (kind & 16) {
        json_t *a = item(kind & 32 ? "q1" : "q2", "text", text);
        js_set_z(a, "question", "Which?");
        js_set_z(a, "by", kind & 64 ? "default" : "user");
        js_push(answers, a);
    }
    if (kind & 128) {
        json_t *c = item("c1", "text", text), *e = json_object();
        js_set_int(c, "run", 1);
        js_set_int(c, "round", 1);
        js_push(comments, c);
        js_set_int(e, "run", 1);
        js_set_int(e, "round", 2);
        js_set_str(e, "reason", text);
        js_push(ledger, e);
    }
    js_set(job, "questions", open);
    js_set(job, "answers", answers);
    js_set(job, "comments", comments);
    js_set(job, "ledger", ledger);
    return job;
}

/* Until nothing changes; the arena is the plan's. */
static void to_the_end(const json_t *job, struct str file)
{
    struct str text = file;
    char *held = NULL;
    for (int i = 0; i < 100; i++) {
        struct dialog_plan plan;
        struct questions q;
        struct arena a;
        struct err err = { 0 };
        arena_init(&a, 1 << 28);
        enum status st = dialog_plan(&a, job, text, true, &plan, &err);
        assert(st == OK || err.text[0]);
        assert(st != OK || questions_read(&a, plan.text, &q, &err) == OK);
        bool over = st != OK || !plan.changed;
        char *next = over ? NULL : malloc(plan.text.n + 1);
        if (next) {
            memcpy(next, plan.text.p, plan.text.n);
            text = (struct str){ next, plan.text.n };
            free(held);
            held = next;
        }
        arena_fini(&a);
        if (over) {
            free(held);
            return;
        }
        assert(plan.more || i < 90);
    }
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *cut = size > 1 ? memchr(data + 1, 0, size - 1) : NULL;
    size_t n = cut ? (size_t)(cut - data - 1) : size - (size > 0);
    if (size == 0)
        return 0;
    struct str file = { (const char *)data + 1, n };
    struct str text = { cut ? (const char *)cut + 1 : "", cut ? size - n - 2 : 0 };
    json_t *job = job_of(data[0], text);
    to_the_end(job, file);
    json_decref(job);
    return 0;
}
