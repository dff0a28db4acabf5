/* SPDX-License-Identifier: Apache-2.0 */
/* request: what clients ask for that changes something. */
#include "broker/core_in.h"

#include "common/mp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ASKS_OPEN_MAX = 16, LABEL_MAX = 1024, ITEM_MAX = 32768 };
static const int64_t START_MOST_MS = (int64_t)366 * 86400000;

static void refuse(const struct event *ev, uint64_t req, enum status code, const char *text,
                   const char *fix, struct effects *fx)
{
    say_refused(fx, ev->peer, req, code, text, fix);
}

/* ---- SUBMIT ------------------------------------------------------------------------------- */

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
        refuse(ev, ev->msg->SUBMIT.req, f.st, f.text, f.fix, fx);
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
        refuse(ev, ev->msg->SUBMIT_ALL.req, f.st, buf_z(&text),
               f.fix[0] ? f.fix : "none of them was submitted", fx);
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

/* ---- requests about a job ----------------------------------------------------------------- */

static struct job *find(struct core *c, const struct event *ev, uint64_t req, struct str name,
                        struct effects *fx)
{
    uint64_t id = 0;
    enum status st = core_find(c, name, ev->access, &id);
    if (st == OK)
        return core_get(c, id);
    refuse(ev, req, st, st == ERR_DATA ? "several jobs begin so" : "there is no such job",
           st == ERR_DATA ? "give more characters of its id" : "`pawl ps` lists the jobs", fx);
    return NULL;
}

static bool open_questions(const struct job *j)
{
    for (uint32_t i = 0; i < j->questions_n; i++) {
        if (!j->questions[i].settled)
            return true;
    }
    return false;
}

/* Whose answer holds, and which: in one line of bounded length. */
static void already_answered(const struct question *q, struct buf *out)
{
    enum { SHOWN = 300 };
    buf_str(out, "already answered");
    if (!q->answer)
        return;
    buf_printf(out, " by %s", strcmp(q->by, "default") == 0 ? "the default" : "the user");
    if (q->via[0])
        buf_printf(out, " (%s)", q->via);
    buf_str(out, ": ");
    for (const char *p = q->answer; *p; p++) {
        bool whole = ((unsigned char)*p & 0xc0) != 0x80; /* a character begins here */
        if (whole && p - q->answer >= SHOWN) {
            buf_str(out, "…");
            return;
        }
        buf_char(out, (unsigned char)*p < ' ' || *p == 0x7f ? ' ' : *p);
    }
}

/* A short word of printable ASCII; anything else is not told. */
static void take_via(struct question *q, struct str via)
{
    q->via[0] = '\0';
    for (size_t i = 0; i < via.n; i++) {
        if (via.p[i] <= ' ' || via.p[i] >= 0x7f)
            return;
    }
    if (via.n > 0 && via.n < sizeof q->via) {
        memcpy(q->via, via.p, via.n);
        q->via[via.n] = '\0';
    }
}

/* The question that is meant: by id, or the only open one. */
static struct question *which_question(struct job *j, struct str id, const char **wrong)
{
    struct question *found = NULL;
    uint32_t open = 0;
    for (uint32_t i = 0; i < j->questions_n; i++) {
        struct question *q = &j->questions[i];
        open += !q->settled;
        if (id.n ? str_is(id, q->id) : !q->settled)
            found = q;
    }
    *wrong = NULL;
    if (id.n == 0 && open > 1)
        *wrong = "several questions are open: say which one";
    else if (!found && id.n)
        *wrong = "there is no such question";
    else if (!found)
        *wrong = j->answers_n ? "already answered: no question is open" : "no question is open";
    else if (found->settled)
        *wrong = "already answered";
    if (!found && id.n == 0 && j->questions_n == 1)
        return &j->questions[0]; /* the one that must have been meant */
    return found;
}

void on_answer(struct core *c, const struct event *ev, struct effects *fx)
{
    const struct msg_ANSWER *m = &ev->msg->ANSWER;
    const char *wrong;
    struct job *j = find(c, ev, m->req, m->job, fx);
    if (!j)
        return;
    struct question *q = which_question(j, m->question, &wrong);
    if (wrong) {
        struct buf text;
        buf_init(&text, PAWL_TEXT_MAX);
        if (q && q->settled)
            already_answered(q, &text);
        else
            buf_str(&text, wrong);
        refuse(ev, m->req, ERR_DATA, buf_z(&text), "`pawl show` lists open questions", fx);
        buf_fini(&text);
        return;
    }
    take_via(q, m->via);
    job_settle_question(c, j, q, m->text.n ? m->text : str_of(q->otherwise),
                        m->text.n ? "user" : "default", fx);
    say_okay(fx, ev->peer, m->req, q->id);
    job_resume_if_answered(c, j, fx);
}

static void id_of(char letter, uint32_t number, char out[16])
{
    char digits[10];
    size_t n = sizeof digits, at = 0;
    do {
        digits[--n] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    out[at++] = letter;
    memcpy(out + at, digits + n, sizeof digits - n);
    out[at + sizeof digits - n] = '\0';
}

void ask_id(uint32_t number, char out[16])
{
    id_of('a', number, out);
}

/* The round of this run that a comment of now reaches first: this one, when a stage that hears it has
 * not begun, else the next. */
static uint32_t hearing_round(const struct job *j)
{
    if (job_state_ended(j->state))
        return j->round + 1; /* there will be none: the first of the next run hears it */
    for (uint32_t i = j->stage + (j->state == JOB_RUNNING); i < j->pipe->stages_n; i++) {
        if (stage_hears(&j->pipe->stages[i]))
            return j->round;
    }
    return j->round + 1;
}

static void append_comment(struct core *c, struct job *j, struct str text, char id[16],
                           struct effects *fx)
{
    struct buf b;
    id_of('c', j->comments_n + 1, id);
    buf_init(&b, ITEM_MAX);
    mp_map(&b, 5);
    mp_z(&b, "id");
    mp_z(&b, id);
    mp_z(&b, "text");
    mp_str(&b, text);
    mp_z(&b, "round");
    mp_uint(&b, j->round);
    mp_z(&b, "run");
    mp_uint(&b, j->run);
    mp_z(&b, "heard");
    mp_uint(&b, hearing_round(j));
    job_append(c, j, "comments", &j->comments_n, buf_get(&b), fx);
    tell_facts(c, j, "comment", buf_get(&b), fx);
    buf_fini(&b);
}

void on_comment(struct core *c, const struct event *ev, struct effects *fx)
{
    const struct msg_COMMENT *m = &ev->msg->COMMENT;
    char id[16];
    struct job *j = find(c, ev, m->req, m->job, fx);
    if (!j)
        return;
    bool ended = job_state_ended(j->state);
    if (m->text.n == 0) {
        refuse(ev, m->req, ERR_DATA, "an empty comment", "", fx);
        return;
    }
    if (j->comments_n >= 1000 || (ended && j->run == PAWL_RUNS_MAX)) {
        refuse(ev, m->req, ERR_LIMIT, "the job has as many comments or runs as it may have",
               "submit a new job", fx);
        return;
    }
    append_comment(c, j, m->text, id, fx);
    j->best_stale = j->has_best; /* what was asked has changed: its score does not count any more */
    say_okay(fx, ev->peer, m->req, id);
    if (ended)
        job_new_run(c, j, "a comment", fx);
    else
        j->comment_waits = true;
}

static struct str ask_frame(uint32_t number, struct str text, struct buf *b)
{
    char id[16];
    ask_id(number, id);
    buf_init(b, ITEM_MAX);
    buf_char(b, '\0'); /* codec: plain */
    mp_map(b, 2);
    mp_z(b, "id");
    mp_z(b, id);
    mp_z(b, "text");
    mp_str(b, text);
    return buf_get(b);
}

static void make_ask(struct core *c, struct job *j, struct str text, struct effects *fx)
{
    struct task *t = calloc(1, sizeof *t);
    char field[FIELD_MAX];
    struct buf frame;
    assert(t);
    task_init(t, TASK_ASK, j, &c->lanes_pipe->stages[1]);
    t->made = (struct fence){ c->conf.incarnation, c->fences };
    t->pass = ++j->asks_n;
    struct task **end = &j->asks;
    while (*end)
        end = &(*end)->next;
    *end = t;
    field_ask(field, "ask", t->pass);
    struct str copy = effects_copy(fx, str_of(field)),
               bytes = effects_copy(fx, ask_frame(t->pass, text, &frame));
    buf_fini(&frame);
    struct fx *f = effects_add(fx, FX_DOC);
    f->job = j->id;
    f->field = copy;
    f->bytes = bytes;
    job_touch(c, j);
    task_ready(c, t);
}

void on_ask(struct core *c, const struct event *ev, struct effects *fx)
{
    const struct msg_ASK *m = &ev->msg->ASK;
    char id[16];
    uint32_t open = 0;
    struct job *j = find(c, ev, m->req, m->job, fx);
    if (!j)
        return;
    for (struct task *t = j->asks; t; t = t->next)
        open++;
    if (m->text.n == 0) {
        refuse(ev, m->req, ERR_DATA, "an empty question", "", fx);
        return;
    }
    if (open >= ASKS_OPEN_MAX) {
        refuse(ev, m->req, ERR_BUSY, "too many questions about this job are open",
               "wait for a reply", fx);
        return;
    }
    make_ask(c, j, m->text, fx);
    ask_id(j->asks_n, id);
    say_okay(fx, ev->peer, m->req, id);
}

void on_cancel(struct core *c, const struct event *ev, struct effects *fx)
{
    const struct msg_CANCEL *m = &ev->msg->CANCEL;
    struct job *j = find(c, ev, m->req, m->job, fx);
    if (!j)
        return;
    if (!job_state_ended(j->state)) {
        char reason[REASON_MAX] = "cancelled by the user";
        if (m->reason.n) {
            size_t n = m->reason.n < sizeof reason - 1 ? m->reason.n : sizeof reason - 1;
            memcpy(reason, m->reason.p, n);
            reason[n] = '\0';
        }
        timer_stop(&c->timers, &j->main.timer);
        job_end(c, j, JOB_CANCELLED, reason, fx);
    }
    say_okay(fx, ev->peer, m->req, "");
}

void on_retry(struct core *c, const struct event *ev, struct effects *fx)
{
    const struct msg_RETRY *m = &ev->msg->RETRY;
    struct job *j = find(c, ev, m->req, m->job, fx);
    if (!j)
        return;
    if (!job_state_ended(j->state)) {
        refuse(ev, m->req, ERR_DATA, "the job has not ended", "`pawl cancel` ends it", fx);
        return;
    }
    if (j->run == PAWL_RUNS_MAX) {
        refuse(ev, m->req, ERR_LIMIT, "the job has as many runs as it may have", "submit a new job",
               fx);
        return;
    }
    job_new_run(c, j, "tried again by the user", fx);
    say_okay(fx, ev->peer, m->req, "");
}

static void hold(struct core *c, struct job *j, struct effects *fx)
{
    if (j->state == JOB_RUNNING) {
        j->hold = true; /* the stage finishes first */
        job_touch(c, j);
    } else if (j->state != JOB_PAUSED) {
        task_idle(c, &j->main);
        timer_stop(&c->timers, &j->main.timer);
        j->hold = false;
        job_move(c, j, JOB_PAUSED, "paused by the user", fx);
    }
}

static void resume(struct core *c, struct job *j, struct effects *fx)
{
    if (j->hold) {
        j->hold = false;
        job_touch(c, j);
    } else if (j->state == JOB_PAUSED && open_questions(j)) {
        job_move(c, j, JOB_WAITING, "a question waits for an answer", fx);
        questions_due(c, j, fx);
    } else if (j->state == JOB_PAUSED && j->start_ms > c->wall_ms && !job_begun(j)) {
        job_start_later(c, j, "resumed by the user; it starts later", fx);
    } else if (j->state == JOB_PAUSED) {
        job_move(c, j, JOB_QUEUED, "resumed by the user", fx);
        job_queue_stage(c, j);
    }
}

void on_pause(struct core *c, const struct event *ev, struct effects *fx)
{
    const struct msg_PAUSE *m = &ev->msg->PAUSE;
    if (m->stage.n || m->project.n) {
        on_halt(c, ev, fx);
        return;
    }
    struct job *j = find(c, ev, m->req, m->job, fx);
    if (!j)
        return;
    if (job_state_ended(j->state)) {
        refuse(ev, m->req, ERR_DATA, "the job has ended", "", fx);
        return;
    }
    if (m->hold)
        hold(c, j, fx);
    else
        resume(c, j, fx);
    say_okay(fx, ev->peer, m->req, "");
}
