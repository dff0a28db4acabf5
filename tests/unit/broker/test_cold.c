/* SPDX-License-Identifier: Apache-2.0 */
/* A job that is kept cold comes back as it was, byte for byte. */
#include "broker/cold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t seed = 99;

static uint32_t chance(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static char *word(uint32_t most)
{
    uint32_t n = chance(most + 1);
    char *z = malloc(n + 1);
    for (uint32_t i = 0; i < n; i++)
        z[i] = (char)('a' + chance(26));
    z[n] = '\0';
    return z;
}

static struct job *some_job(const struct pipeline *pipe)
{
    static const char *const docs[] = { "problem", "brief", "insights", "change" };
    struct job *j = job_new((seed >> 4) | 1);
    j->project = word(8);
    j->key = word(40);
    j->label = chance(3) ? strdup("") : word(300);
    j->pipe = pipe;
    j->priority = chance(4) ? 0 : (int64_t)chance(200) - 100;
    j->run = j->round = 1;
    j->budget = (struct budget){ .rounds = 1 + chance(9), .tokens = chance(1000000) + 1 };
    j->created_ms = j->updated_ms = 1700000000000 + chance(1000000000);
    j->version = 1 + chance(300);
    j->main.phase = PHASE_READY;
    j->main.age = chance(3) ? chance(100) : seed >> 8;
    j->has_workspace = chance(2);
    for (uint32_t i = 0; i < sizeof j->workspace; i++)
        j->workspace[i] = (uint8_t)(chance(3) ? 7 : chance(256));
    for (uint32_t i = 0; i < 1 + chance(COUNT(docs)); i++)
        assert_true(job_note_doc(j, str_of(docs[i]), (struct doc_place){ 0, 0 }));
    return j;
}

static void a_record_comes_back_as_it_was(void **state)
{
    struct models models = { 0 };
    struct buf bytes, pipe_bytes;
    struct err err = { 0 };
    enum { JOBS = 3000 };
    struct cold *cold[JOBS];
    char *want[JOBS];
    size_t want_n[JOBS];
    (void)state;
    buf_init(&bytes, RECORD_MAX);
    buf_init(&pipe_bytes, 65536);
    assert_int_equal(pipeline_default(&pipe_bytes), OK);
    struct pipeline *pipe = pipeline_decode(buf_get(&pipe_bytes), &err);
    for (int i = 0; i < JOBS; i++) {
        struct job *j = some_job(pipe);
        buf_clear(&bytes);
        record_encode(j, &bytes);
        assert_non_null(cold[i] = cold_new(&models, j, buf_get(&bytes)));
        assert_int_equal(cold[i]->id, j->id);
        want[i] = malloc(bytes.len);
        memcpy(want[i], bytes.data, want_n[i] = bytes.len);
        job_free(j);
    }
    for (int i = 0; i < JOBS; i++) {
        buf_clear(&bytes);
        cold_record(&models, cold[i], &bytes);
        assert_int_equal(bytes.len, want_n[i]);
        assert_memory_equal(bytes.data, want[i], want_n[i]);
        free(cold[i]);
        free(want[i]);
    }
    assert_in_range(models.n, 2, MODELS_MAX);
    models_free(&models);
    pipeline_free(pipe);
    buf_fini(&bytes);
    buf_fini(&pipe_bytes);
}

/* What many jobs of one kind cost: little more than what tells them apart. */
static void jobs_of_one_kind_are_small(void **state)
{
    struct models models = { 0 };
    struct pipeline pipe = { .id = 1, .stages_n = 1 };
    struct buf bytes;
    size_t sum = 0;
    (void)state;
    buf_init(&bytes, RECORD_MAX);
    for (uint32_t i = 0; i < 1000; i++) {
        char key[40];
        struct job *j = job_new(seed >> 4 | 1);
        chance(2);
        snprintf(key, sizeof key, "%032u", i);
        j->project = strdup("default");
        j->key = strdup(key);
        j->label = strdup("");
        j->pipe = &pipe;
        j->created_ms = j->updated_ms = j->round_from_ms = 1700000000000 + i;
        j->main.age = i;
        buf_clear(&bytes);
        record_encode(j, &bytes);
        struct cold *k = cold_new(&models, j, buf_get(&bytes));
        sum += sizeof *k + k->n;
        free(k);
        job_free(j);
    }
    assert_int_equal(models.n, 1);
    assert_in_range(sum / 1000, 64, 170);
    models_free(&models);
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back_as_it_was),
        cmocka_unit_test(jobs_of_one_kind_are_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
