/* SPDX-License-Identifier: Apache-2.0 */
/* submit: new jobs, one by one or many at once. The same submission names the same job. */
#include "broker/core_in.h"

#include "common/mp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_MAX = 1024 };
static const int64_t START_MOST_MS = (int64_t)366 * 86400000;

static bool good_name(struct str s)
{
    if (s.n == 0 || s.n > PAWL_NAME_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if (ch <= ' ' || ch == 0x7f || ch == '/' || ch == '#' || ch == '@')
            return false;
    }
    return true;
}

static bool reserved(struct str name)
{
    static const char *const ours[] = { "workspace", "steps", "comments", "answers",
                                        "ledger",    "ask",   "reply",    "call" };
    for (size_t i = 0; i < COUNT(ours); i++) {
        if (str_is(name, ours[i]))
            return true;
    }
    return false;
}

static const char *wrong_docs(const struct strs *docs)
{
    bool problem = false;
    for (uint32_t i = 0; i < docs->n; i++) {
        if (!good_name(docs->v[i]) || reserved(docs->v[i]))
            return "a document of the submission has a name that it cannot have";
        problem = problem || str_is(docs->v[i], "problem");
    }
    return problem ? NULL : "the submission has no document `problem`";
}

/* The first 60 bits of SHA-256(project NUL key): the same submission names the same job. */
static uint64_t job_id_of(struct str project, struct str key)
{
    struct buf b;
    buf_init(&b, PAWL_NAME_MAX + PAWL_KEY_MAX + 2);
    buf_view(&b, project);
    buf_char(&b, '\0');
    buf_view(&b, key);
    struct hash h = hash_of(buf_get(&b));
    buf_fini(&b);
    uint64_t id = 0;
    for (int i = 0; i < 8; i++)
        id = id << 8 | h.b[i];
    id >>= 4;
    return id ? id : 1;
}

static void say_submitted(struct core *c, const struct job *j, const struct event *ev,
                          bool existing, struct effects *fx)
{
    char id[ID_CHARS + 1];
    struct msg m = { .type = MSG_SUBMITTED };
    id_text(j->id, id);
    m.SUBMITTED = (struct msg_SUBMITTED){ .req = ev->msg->SUBMIT.req,
                                          .job = str_of(id),
                                          .existing = existing };
    struct strs *un = &m.SUBMITTED.unserved;
    for (uint32_t i = 0; i < j->pipe->stages_n; i++) {
        if (roster_serving(c, j->pipe->stages[i].lane) == 0)
            un->v[un->n++] = str_of(j->pipe->stages[i].name);
    }
    say(fx, ev->peer, &m, true)->req = m.SUBMITTED.req;
}

static char *dup_str(struct str s, size_t max)
{
    char *z = strndup(s.p ? s.p : "", s.n < max ? s.n : max);
    assert(z);
    return z;
}

static struct job *make_job(struct core *c, uint64_t id, struct str project, const struct event *ev,
                            struct effects *fx)
{
    const struct msg_SUBMIT *m = &ev->msg->SUBMIT;
    struct job *j = job_new(id);
    enum job_class klass = CLASS_NORMAL;
    bool named = m->class.n == 0 || job_class_find(m->class, &klass);
    assert(named);
    (void)named;
    bool put = j && idmap_put(&c->jobs, id, j) && prefix_put(&c->by_prefix, j);
    assert(put);
    (void)put;
    j->project = dup_str(project, PAWL_NAME_MAX);
    j->project_no = project_of(c, j->project)->no;
    j->key = dup_str(m->key, PAWL_KEY_MAX);
    j->label = dup_str(m->label, LABEL_MAX);
    j->priority = m->priority;
    j->klass = m->class.n ? klass : project_at(c, j)->klass;
    j->budget = *ev->budget;
    j->pipe = c->pipe;
    j->has_workspace = m->workspace.n == HASH_BYTES;
    if (j->has_workspace)
        memcpy(j->workspace, m->workspace.p, HASH_BYTES);
    j->created_ms = c->wall_ms;
    j->run = j->round = 1;
    j->round_from_ms = c->wall_ms;
    for (uint32_t i = 0; i < m->docs.n; i++) {
        struct doc_place at = { 0, 0 };
        char field[FIELD_MAX];
        job_note_doc(j, m->docs.v[i], at);
        field_doc(field, at, m->docs.v[i]);
        struct str copy = effects_copy(fx, str_of(field));
        struct fx *f = effects_add(fx, FX_DOC);
        f->job = id;
        f->field = copy;
        f->bytes = ev->frames[i];
    }
    c->counts.by_state[j->state]++;
    job_enter_stage(c, j);
    job_wall_check(c, j);
    job_touch(c, j);
    tell_state(c, j, JOB_QUEUED, fx);
    if (m->start_ms > c->wall_ms) {
        j->start_ms = m->start_ms;
        job_start_later(c, j, "it starts later", fx);
    } else {
        job_queue_stage(c, j);
    }
    return j;
}

static const char *wrong_submission(const struct core *c, const struct msg_SUBMIT *m,
                                    struct str project)
{
    if (m->start_ms < 0 || m->start_ms > c->wall_ms + START_MOST_MS)
        return "a job starts within a year";
    if (m->key.n == 0 || m->key.n > PAWL_KEY_MAX)
        return "the idempotency key has 1 to 160 bytes";
    if (!good_name(project))
        return "a project's name has 1 to 64 characters and no spaces, /, # or @";
    if (m->workspace.n != 0 && m->workspace.n != HASH_BYTES)
        return "the workspace's hash has 32 bytes";
    enum job_class klass;
    if (m->class.n && !job_class_find(m->class, &klass))
        return "a job's class is urgent, normal or background";
    return wrong_docs(&m->docs);
}

/* What becomes of a submission. */
struct fate {
    enum status st; /* OK, or why it is refused: */
    const char *text, *fix;
    struct str project;
    uint64_t id;
    struct job *existing; /* NULL: it is to be made */
};

static struct fate refusal(enum status st, const char *text, const char *fix)
{
    return (struct fate){ .st = st, .text = text, .fix = fix };
}

/* `more`: new jobs that come before it. */
static struct fate decide(struct core *c, const struct event *ev, size_t more)
{
    const struct msg_SUBMIT *m = &ev->msg->SUBMIT;
    struct fate f = { .project = m->project.n   ? m->project
                                 : ev->access.n ? ev->access
                                                : str_of("default") };
    const char *wrong = wrong_submission(c, m, f.project);
    if (wrong)
        return refusal(ERR_DATA, wrong, "");
    if (ev->access.n && !str_eq(ev->access, f.project))
        return refusal(ERR_DENIED, "this key submits to another project only", "");
    if (str_is(m->class, "urgent") && ev->role.n && !str_is(ev->role, "admin"))
        return refusal(ERR_DENIED, "only administrators submit urgent jobs", "leave out --class");
    f.id = job_id_of(f.project, m->key);
    struct job *j = core_get(c, f.id);
    if (j && (!str_is(m->key, j->key) || !str_is(f.project, j->project)))
        return refusal(ERR_DATA, "another job has the same id by chance",
                       "submit with another key");
    if (!j && c->jobs.len + more - c->ended.len >= c->conf.open_jobs_max)
        return refusal(ERR_BUSY, "as many jobs are open as limits.open_jobs allows",
                       "try again later");
    f.existing = j;
    return f;
}

void on_submit(struct core *c, const struct event *ev, struct effects *fx)
{
    struct fate f = decide(c, ev, 0);
    if (f.st != OK)
        say_refused(fx, ev->peer, ev->msg->SUBMIT.req, f.st, f.text, f.fix);
    else
        say_submitted(c, f.existing ? f.existing : make_job(c, f.id, f.project, ev, fx), ev,
                      f.existing != NULL, fx);
}

/* ---- SUBMIT_ALL: each job as if it were submitted alone, in the same turn ------------------- */

struct alone {
    struct msg m;
    struct event ev;
    struct str frame;
};

static void make_alone(struct alone *a, const struct event *ev, uint32_t i)
{
    const struct msg_SUBMIT_ALL *all = &ev->msg->SUBMIT_ALL;
    const struct new_job *w = &ev->jobs[i];
    a->frame = w->problem;
    a->m = (struct msg){ .type = MSG_SUBMIT };
    a->m.SUBMIT = (struct msg_SUBMIT){ .req = all->req,
                                       .key = w->key,
                                       .project = all->project,
                                       .label = w->label,
                                       .workspace = all->workspace,
                                       .priority = all->priority,
                                       .class = all->class,
                                       .start_ms = all->start_ms };
    a->m.SUBMIT.docs.v[0] = str_of("problem");
    a->m.SUBMIT.docs.n = 1;
    a->ev = *ev;
    a->ev.msg = &a->m;
    a->ev.frames = &a->frame;
    a->ev.frames_n = 1;
}

/* All or none: is there one that would be refused? A key that comes twice counts twice against the
 * limit of open jobs; that much is not worth a table. */
static bool refused_whole(struct core *c, const struct event *ev, struct effects *fx)
{
    size_t more = 0;
    for (uint32_t i = 0; i < ev->jobs_n; i++) {
        struct alone a;
        make_alone(&a, ev, i);
        struct fate f = decide(c, &a.ev, more);
        more += f.existing == NULL;
        if (f.st == OK)
            continue;
        struct buf text;
        struct str key = ev->jobs[i].key;
        buf_init(&text, PAWL_TEXT_MAX);
        buf_printf(&text, "job %u of %u, key %.*s: %s", i + 1, ev->jobs_n,
                   (int)(key.n < PAWL_KEY_MAX ? key.n : PAWL_KEY_MAX), key.p, f.text);
        say_refused(fx, ev->peer, ev->msg->SUBMIT_ALL.req, f.st, buf_z(&text),
                    f.fix[0] ? f.fix : "none of them was submitted");
        buf_fini(&text);
        return true;
    }
    return false;
}

static void put_fate(struct buf *out, const struct fate *f)
{
    char id[ID_CHARS + 1] = "";
    if (f->st == OK)
        id_text(f->id, id);
    mp_array(out, 4);
    mp_z(out, id);
    mp_bool(out, f->existing != NULL);
    mp_z(out, status_name(f->st));
    mp_z(out, f->st == OK ? "" : f->text);
}

static void say_all(struct core *c, const struct event *ev, const struct buf *list, uint64_t made,
                    struct effects *fx)
{
    struct msg m = { .type = MSG_SUBMITTED_ALL };
    m.SUBMITTED_ALL = (struct msg_SUBMITTED_ALL){ .req = ev->msg->SUBMIT_ALL.req, .made = made };
    struct strs *un = &m.SUBMITTED_ALL.unserved;
    for (uint32_t i = 0; i < c->pipe->stages_n; i++) {
        if (roster_serving(c, c->pipe->stages[i].lane) == 0)
            un->v[un->n++] = str_of(c->pipe->stages[i].name);
    }
    struct str *frame = arena_alloc(&fx->arena, sizeof *frame);
    fx->failed = fx->failed || !frame || list->status != OK;
    if (fx->failed)
        return;
    *frame = effects_copy(fx, buf_get(list));
    struct fx *f = say(fx, ev->peer, &m, true);
    f->req = m.SUBMITTED_ALL.req;
    f->frames = frame;
    f->frames_n = 1;
}

void on_submit_all(struct core *c, const struct event *ev, struct effects *fx)
{
    struct buf list;
    uint64_t made = 0;
    if (ev->msg->SUBMIT_ALL.whole && refused_whole(c, ev, fx))
        return;
    buf_init(&list, PAWL_FRAME_MAX);
    mp_array(&list, ev->jobs_n);
    for (uint32_t i = 0; i < ev->jobs_n; i++) {
        struct alone a;
        make_alone(&a, ev, i);
        struct fate f = decide(c, &a.ev, 0);
        put_fate(&list, &f);
        if (f.st != OK || f.existing)
            continue;
        make_job(c, f.id, f.project, &a.ev, fx);
        made++;
    }
    say_all(c, ev, &list, made, fx);
    buf_fini(&list);
}
