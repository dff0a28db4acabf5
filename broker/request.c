/* SPDX-License-Identifier: Apache-2.0 */
/* request: what clients ask of a job that changes it. */
#include "broker/core_in.h"

#include "common/mp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ASKS_OPEN_MAX = 16, ITEM_MAX = 32768 };

static void refuse(const struct event *ev, uint64_t req, enum status code, const char *text,
                   const char *fix, struct effects *fx)
{
    say_refused(fx, ev->peer, req, code, text, fix);
}

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
