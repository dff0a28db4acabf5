/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison behind `pawl fsck`, on facts told by hand. With a real Redis: tests/e2e/test_fsck.py. */
#include "broker/fsck.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VERSION = 3, CREATED = 1700, ENDED = 1900 };

struct scene {
    struct fsck *f;
    struct buf pipe_bytes, record;
    struct pipeline *pipe;
    char pipe_id[17], id[ID_CHARS + 1], workspace[HASH_HEX + 1];
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    struct err err = { 0 };
    s->f = fsck_new(5000);
    buf_init(&s->pipe_bytes, 65536);
    buf_init(&s->record, 65536);
    assert_int_equal(pipeline_default(&s->pipe_bytes), OK);
    s->pipe = pipeline_decode(buf_get(&s->pipe_bytes), &err);
    assert_non_null(s->pipe);
    snprintf(s->pipe_id, sizeof s->pipe_id, "%016llx", (unsigned long long)s->pipe->id);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    fsck_free(s->f);
    pipeline_free(s->pipe);
    buf_fini(&s->pipe_bytes);
    buf_fini(&s->record);
    free(s);
    return 0;
}

static void make_record(struct scene *s, uint64_t id, enum job_state state)
{
    struct job *j = job_new(id);
    j->project = strdup("p");
    j->key = strdup("k");
    j->label = strdup("");
    j->pipe = s->pipe;
    j->run = j->round = 1;
    j->budget.rounds = 1;
    j->version = VERSION;
    j->created_ms = CREATED;
    j->state = state;
    j->main.phase = state == JOB_QUEUED ? PHASE_READY : PHASE_IDLE;
    j->ended_ms = job_state_ended(state) ? ENDED : 0;
    j->has_workspace = true;
    struct hash h = hash_of(str_of("workspace"));
    memcpy(j->workspace, h.b, sizeof h.b);
    hash_hex(&h, s->workspace);
    assert_true(job_note_doc(j, str_of("problem"), (struct doc_place){ 0, 0 }));
    id_text(id, s->id);
    buf_clear(&s->record);
    buf_str(&s->record, "0000000003");
    record_encode(j, &s->record);
    assert_int_equal(s->record.status, OK);
    job_free(j);
}

/* A job and all that belongs to it, in order. */
static void tell_job(struct scene *s, uint64_t id, enum job_state state)
{
    static const struct str field = { "0/0/problem", 11 };
    char key[128];
    make_record(s, id, state);
    fsck_pipeline(s->f, str_of(s->pipe_id), buf_get(&s->pipe_bytes));
    fsck_record(s->f, str_of(s->id), buf_get(&s->record), &field, 1);
    snprintf(key, sizeof key, "d:%s", s->id);
    assert_true(fsck_key(s->f, key, "hash"));
    snprintf(key, sizeof key, "b:%s", s->workspace);
    assert_true(fsck_key(s->f, key, "string"));
    fsck_need(s->f, str_of(s->workspace), str_of(s->id));
}

static void list(struct scene *s, const char *index, int64_t score)
{
    fsck_entry(s->f, index, str_of(s->id), score);
}

/* Exactly these, "kind command key" each. */
static void expect(struct scene *s, const char *const *wanted)
{
    const struct finding *v;
    size_t n, i = 0;
    char line[256];
    assert_int_equal(fsck_compare(s->f, &v, &n), OK);
    for (; wanted[i]; i++) {
        assert_true(i < n);
        snprintf(line, sizeof line, "%s %s %.2s", v[i].kind, fsck_command(v[i].fix), v[i].key);
        assert_string_equal(line, wanted[i]);
        assert_non_null(strstr(fsck_advice(&v[i]), "it"));
    }
    assert_int_equal(n, i);
}

#define EXPECT(...) expect(s, (const char *const[]){ __VA_ARGS__, NULL })

static void nothing_differs(void **state)
{
    struct scene *s = *state;
    tell_job(s, 77, JOB_QUEUED);
    list(s, "all", CREATED);
    list(s, "open", CREATED);
    tell_job(s, 78, JOB_FAILED);
    list(s, "all", CREATED);
    list(s, "ended", ENDED);
    list(s, "failed", CREATED);
    expect(s, (const char *const[]){ NULL });
}

static void entries_follow_the_state(void **state)
{
    struct scene *s = *state;
    tell_job(s, 77, JOB_FAILED);
    list(s, "all", CREATED + 1);
    list(s, "open", CREATED);
    EXPECT("wrong-score ZADD x:", "surplus-entry ZREM x:", "missing-entry ZADD x:",
           "missing-entry ZADD x:");
}

static void a_broken_record_takes_all_of_its_job_aside(void **state)
{
    struct scene *s = *state;
    make_record(s, 77, JOB_QUEUED);
    fsck_pipeline(s->f, str_of(s->pipe_id), buf_get(&s->pipe_bytes));
    fsck_key(s->f, "d:00000000002d", "hash"); /* 77 */
    s->record.len -= 5;
    fsck_record(s->f, str_of(s->id), buf_get(&s->record), NULL, 0);
    list(s, "open", CREATED);
    EXPECT("broken-record RENAME j:", "orphan-document RENAME d:", "surplus-entry ZREM x:");
}

static void a_record_of_another_job_is_broken(void **state)
{
    struct scene *s = *state;
    make_record(s, 77, JOB_QUEUED);
    fsck_pipeline(s->f, str_of(s->pipe_id), buf_get(&s->pipe_bytes));
    fsck_record(s->f, str_of("00000000002e"), buf_get(&s->record), NULL, 0);
    EXPECT("broken-record RENAME j:");
}

static void a_record_without_its_pipeline_is_broken(void **state)
{
    struct scene *s = *state;
    make_record(s, 77, JOB_QUEUED);
    fsck_pipeline(s->f, str_of("00000000000000ff"), buf_get(&s->pipe_bytes)); /* not its name */
    fsck_record(s->f, str_of(s->id), buf_get(&s->record), NULL, 0);
    EXPECT("broken-pipeline HDEL pi", "broken-record RENAME j:");
}

static void any_bytes_are_told_without_harm(void **state)
{
    struct scene *s = *state;
    make_record(s, 77, JOB_QUEUED);
    fsck_pipeline(s->f, str_of(s->pipe_id), buf_get(&s->pipe_bytes));
    for (size_t n = 0; n < s->record.len; n++) { /* every cut, each as a job of its own */
        char id[ID_CHARS + 1];
        id_text(1000 + n, id);
        fsck_record(s->f, str_of(id), (struct str){ s->record.data, n }, NULL, 0);
    }
    struct str odd[] = { { "", 0 }, { "\x1b[2J", 4 }, { "../../etc", 9 }, str_of("00000000002D") };
    for (size_t i = 0; i < COUNT(odd); i++) {
        fsck_entry(s->f, "open", odd[i], 1);
        fsck_need(s->f, odd[i], odd[i]);
        fsck_blob_listed(s->f, odd[i]);
    }
    const struct finding *v;
    size_t n, cut = s->record.len;
    assert_int_equal(fsck_compare(s->f, &v, &n), OK);
    assert_int_equal(n, cut + 2 * COUNT(odd));
    for (size_t i = 0; i < n; i++)
        assert_null(strchr(v[i].text, '\x1b'));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(nothing_differs),
        T(entries_follow_the_state),
        T(a_broken_record_takes_all_of_its_job_aside),
        T(a_record_of_another_job_is_broken),
        T(a_record_without_its_pipeline_is_broken),
        T(any_bytes_are_told_without_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
