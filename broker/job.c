/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/job.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum kind { OPEN, ENDED };

static const struct {
    const char *name;
    enum kind kind;
} states[JOB_STATES] = {
#define X(id, name, kind, meaning) [JOB_##id] = { name, kind },
#include "schemas/states.def"
#undef X
};

static const bool may[JOB_STATES][JOB_STATES] = {
#define T(from, to, when) [JOB_##from][JOB_##to] = true,
#include "schemas/transitions.def"
#undef T
};

const char *job_state_name(enum job_state s)
{
    assert(s < JOB_STATES);
    return states[s].name;
}

bool job_state_ended(enum job_state s)
{
    assert(s < JOB_STATES);
    return states[s].kind == ENDED;
}

bool job_state_find(struct str name, enum job_state *out)
{
    for (int i = 0; i < JOB_STATES; i++) {
        if (str_is(name, states[i].name)) {
            *out = (enum job_state)i;
            return true;
        }
    }
    return false;
}

bool job_may(enum job_state from, enum job_state to)
{
    return from < JOB_STATES && to < JOB_STATES && may[from][to];
}

static const char *const classes[CLASSES] = { "urgent", "normal", "background" };

const char *job_class_name(enum job_class k)
{
    return classes[k];
}

bool job_class_find(struct str name, enum job_class *out)
{
    for (int i = 0; i < CLASSES; i++) {
        if (str_is(name, classes[i])) {
            *out = (enum job_class)i;
            return true;
        }
    }
    return false;
}

struct job *job_new(uint64_t id)
{
    struct job *j = calloc(1, sizeof *j);
    if (!j)
        return NULL;
    j->id = id;
    j->klass = CLASS_NORMAL;
    j->wall = (struct timer){ .slot = HEAP_NONE, .owner = j };
    j->main = (struct task){ .kind = TASK_STAGE, .job = j, .rank.slot = HEAP_NONE };
    j->main.timer = (struct timer){ .slot = HEAP_NONE, .owner = &j->main };
    return j;
}

void job_questions_clear(struct job *j)
{
    for (uint32_t i = 0; i < j->questions_n; i++) {
        free(j->questions[i].id);
        free(j->questions[i].text);
        free(j->questions[i].otherwise);
        free(j->questions[i].raw);
        free(j->questions[i].answer);
    }
    free(j->questions);
    j->questions = NULL;
    j->questions_n = 0;
}

static void task_fini(struct task *t)
{
    assert(t->timer.slot == HEAP_NONE && t->rank.slot == HEAP_NONE && !t->calls);
    free(t->steps);
    free(t->note);
}

void job_free(struct job *j)
{
    if (!j)
        return;
    assert(j->wall.slot == HEAP_NONE);
    task_fini(&j->main);
    for (struct task *t = j->asks, *next; t; t = next) {
        next = t->next;
        task_fini(t);
        free(t);
    }
    job_questions_clear(j);
    for (uint32_t i = 0; i < j->failures_n; i++)
        free(j->failures[i].text);
    free(j->failures);
    free(j->docs);
    free(j->seen);
    free(j->project);
    free(j->key);
    free(j->label);
    free(j);
}

bool job_committed(const struct job *j, uint32_t run, uint32_t round, uint32_t stage)
{
    if (run != j->run)
        return run < j->run;
    if (round != j->round)
        return round < j->round;
    return stage < j->stage;
}

int64_t job_wall_used(const struct job *j, int64_t wall_ms)
{
    int64_t since = j->wall_from_ms && wall_ms > j->wall_from_ms ? wall_ms - j->wall_from_ms : 0;
    return j->wall_used_ms + since;
}

static struct doc_ref *find_doc(const struct job *j, struct str name)
{
    for (uint32_t i = 0; i < j->docs_n; i++) {
        if (str_is(name, j->docs[i].name))
            return &j->docs[i];
    }
    return NULL;
}

const struct doc_ref *job_doc(const struct job *j, const char *name)
{
    return find_doc(j, str_of(name));
}

bool job_note_doc(struct job *j, struct str name, struct doc_place at)
{
    assert(name.n > 0 && name.n <= PAWL_NAME_MAX);
    struct doc_ref *d = find_doc(j, name);
    if (!d) {
        struct doc_ref *more = realloc(j->docs, (j->docs_n + 1) * sizeof *more);
        if (!more)
            return false;
        j->docs = more;
        d = &j->docs[j->docs_n++];
        *d = (struct doc_ref){ .newest = NO_PLACE, .before = NO_PLACE, .best = NO_PLACE };
        memcpy(d->name, name.p, name.n);
    }
    if (d->newest.run != at.run || d->newest.round != at.round) {
        d->before = d->newest;
        d->newest = at;
    }
    return true;
}

void job_mark_best(struct job *j)
{
    for (uint32_t i = 0; i < j->docs_n; i++) {
        struct doc_ref *d = &j->docs[i];
        bool here = d->newest.run == j->run && d->newest.round == j->round;
        d->best = here ? d->newest : NO_PLACE;
    }
}

void job_fail_note(struct job *j, const struct failure *f)
{
    char *text = strdup(f->text ? f->text : "");
    if (!j->failures)
        j->failures = calloc(FAILURES_MAX, sizeof *j->failures);
    if (!j->failures || !text) {
        free(text);
        return;
    }
    if (j->failures_n == FAILURES_MAX) {
        free(j->failures[0].text);
        memmove(j->failures, j->failures + 1, (FAILURES_MAX - 1) * sizeof *j->failures);
        j->failures_n--;
    }
    j->failures[j->failures_n] = *f;
    j->failures[j->failures_n++].text = text;
}

uint64_t hash_prefix(struct str hash)
{
    uint64_t v = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < hash.n; i++)
        v = (v ^ (unsigned char)hash.p[i]) * 0x100000001b3u;
    return v ? v : 1;
}

bool task_step_note(struct task *t, uint64_t prefix)
{
    for (uint32_t i = 0; i < t->steps_n; i++) {
        if (t->steps[i] == prefix)
            return false;
    }
    if (t->steps_n == t->steps_cap) {
        uint32_t cap = t->steps_cap ? t->steps_cap * 2 : 16;
        uint64_t *more = realloc(t->steps, cap * sizeof *more);
        if (!more)
            return false;
        t->steps = more;
        t->steps_cap = cap;
    }
    t->steps[t->steps_n++] = prefix;
    return true;
}

void task_steps_clear(struct task *t)
{
    free(t->steps);
    t->steps = NULL;
    t->steps_n = t->steps_cap = 0;
    t->steps_in = t->steps_out = t->base_in = t->base_out = 0;
}

bool task_gave(const struct task *t, struct fence f)
{
    if (t->made.incarnation == 0)
        return true;
    if (f.incarnation == t->made.incarnation)
        return f.counter > t->made.counter;
    return f.incarnation == t->given[0] || f.incarnation == t->given[1];
}

void task_note_given(struct task *t, uint64_t incarnation)
{
    if (incarnation == t->made.incarnation || incarnation == t->given[0])
        return;
    t->given[1] = t->given[0];
    t->given[0] = incarnation;
}

void task_key_write(const struct task *t, char out[PAWL_KEY_MAX + 1])
{
    struct task_key k = { .job = t->job->id,
                          .run = t->run,
                          .round = t->round,
                          .pass = t->pass,
                          .stage = str_of(t->def->name) };
    task_key_text(&k, out);
}
