/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl ask`: a question about a job, its answer as it is written; `pawl logs`: what happened. */
#include "clients/cli/cli.h"
#include "clients/cli/follow.h"
#include "clients/cli/link.h"
#include "clients/cli/live.h"
#include "clients/cli/out.h"
#include "common/doc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ANSWER_MS = 30000, QUIET_MS = 1000, REST_MS = 100 };

/* ---- ask ------------------------------------------------------------------------------------- */

struct asking {
    struct cli *cli;
    struct talk talk;
    char id[32], ask[PAWL_NAME_MAX + 1]; /* job, "a1" */
    char task[PAWL_KEY_MAX + 1];         /* the task whose text was streamed */
    bool streamed, done, checking, check_again;
    struct err err;
};

/* "job/run/round/stage/pass": is it an ask? */
static bool of_ask(const char *task)
{
    struct task_key key;
    return task_key_parse(str_of(task), &key) && str_is(key.stage, "ask");
}

static void on_text(struct asking *a, const json_t *facts)
{
    struct buf b;
    const char *task = js_str(facts, "task");
    if (a->cli->form != FORM_TABLE || !a->cli->out_tty || !of_ask(task))
        return;
    buf_init(&b, 1 << 20);
    if (strcmp(task, a->task) != 0 || js_int(facts, "offset", 0) == 0) {
        if (a->streamed)
            buf_char(&b, '\n'); /* another attempt begins again */
        snprintf(a->task, sizeof a->task, "%s", task);
    }
    text_clean(&b, js_view(facts, "text"), true);
    fputs(buf_z(&b), stdout);
    fflush(stdout);
    a->streamed = true;
    buf_fini(&b);
}

static void print_reply(struct asking *a, const json_t *reply)
{
    struct buf b;
    a->done = true;
    if (out_is_json(a->cli)) {
        out_json(a->cli, "Reply", json_incref((json_t *)reply));
        return;
    }
    buf_init(&b, 1 << 20);
    if (a->streamed)
        buf_str(&b, "\n");
    else
        text_clean(&b, js_view(reply, "text"), true);
    buf_char(&b, '\n');
    fputs(buf_z(&b), stdout);
    buf_clear(&b);
    const json_t *sources = js_list(reply, "sources");
    for (size_t i = 0; i < js_count(sources); i++) {
        buf_str(&b, i ? ", " : "from: ");
        text_clean(&b, str_of(json_string_value(js_at(sources, i))), false);
    }
    if (b.len)
        out_note(a->cli, "%s", buf_z(&b));
    buf_fini(&b);
}

static void look(struct asking *a);

static void on_got(void *ctx, const struct link_reply *r)
{
    struct asking *a = ctx;
    json_t *reply = NULL;
    a->checking = false;
    if (r->m && doc_unpack("reply", peer_frame(r->in, 1), &reply, &a->err) == OK)
        print_reply(a, reply);
    else if (!r->m && r->err->status != ERR_NOT_FOUND)
        a->err = *r->err;
    json_decref(reply);
    if (a->check_again) {
        a->check_again = false;
        look(a);
    }
}

/* Read the answer from the record: it is there before its event, and after any restart. */
static void look(struct asking *a)
{
    char name[PAWL_NAME_MAX + 8];
    struct msg m = { .type = MSG_GET };
    if (a->checking || !*a->ask || a->done) {
        a->check_again = a->checking; /* what is on its way may be older than the answer */
        return;
    }
    snprintf(name, sizeof name, "reply/%s", a->ask);
    m.GET.job = str_of(a->id);
    m.GET.name = str_of(name);
    a->checking = link_ask(a->talk.link, &m, NULL, 0, true, on_got, a) == OK;
}

static void on_event(void *ctx, const struct link_event *ev)
{
    struct asking *a = ctx;
    const char *stage = js_str(ev->facts, "stage"), *outcome = js_str(ev->facts, "outcome");
    if (strcmp(ev->kind, "task.tokens") == 0) {
        on_text(a, ev->facts);
    } else if (strcmp(ev->kind, "reply") == 0 || strcmp(ev->kind, "reset") == 0) {
        look(a);
    } else if (strcmp(ev->kind, "task.end") == 0 && strcmp(stage, "ask") == 0 &&
               strcmp(outcome, "failed") == 0) {
        err_set(&a->err, ERR_FAILED, "the question could not be answered: %.500s",
                js_str(ev->facts, "text"));
        err_fix(&a->err, "`pawl workers` shows whether a generate worker and its model are there");
    }
}

static void on_link(void *ctx, bool up)
{
    if (up)
        look(ctx);
}

static enum status ask(struct asking *a, struct err *err)
{
    json_t *job = NULL;
    int64_t timeout = a->cli->args.number[FLAG_TIMEOUT],
            until = timeout ? mono_now().ms + timeout : INT64_MAX;
    struct msg m = { .type = MSG_ASK };
    enum status st = talk_open(&a->talk, a->cli->conf, ANSWER_MS, true, err);
    if (st == OK)
        st = talk_show(&a->talk, cli_word(a->cli, 0), &job, err);
    if (st == OK) {
        snprintf(a->id, sizeof a->id, "%s", js_str(job, "id"));
        st = link_watch(a->talk.link, a->id, "", on_event, a);
        m.ASK.job = str_of(a->id);
        m.ASK.text = str_of(cli_word(a->cli, 1));
    }
    json_decref(job);
    if (st == OK)
        st = talk_ask(&a->talk, &m, NULL, 0, false, err);
    if (st != OK)
        return st;
    snprintf(a->ask, sizeof a->ask, "%.*s", STR_ARG(a->talk.m.OKAY.id));
    link_on_change(a->talk.link, on_link, a);
    look(a); /* the broker may have been restarted since it said OKAY */
    while (st == OK && !a->done && a->err.status == OK) {
        int64_t left = until - mono_now().ms;
        if (left <= 0)
            st =
                err_set(err, ERR_TIMEOUT,
                        "no answer yet; it will be in the job's record: pawl get %s --doc reply/%s",
                        a->id, a->ask);
        else
            st = talk_turn(&a->talk, until == INT64_MAX ? -1 : left, err);
    }
    if (st == OK && a->err.status != OK) {
        *err = a->err;
        st = err->status;
    }
    return st;
}

int cmd_ask(struct cli *cli)
{
    struct asking a = { .cli = cli };
    struct err err = { 0 };
    enum status st = ask(&a, &err);
    int code = st == OK ? 0 : a.talk.interrupted ? 128 + a.talk.signo : out_error(cli, &err);
    if (a.talk.interrupted)
        out_note(cli, "the answer will be in the job's record: pawl get %s --doc reply/%s", a.id,
                 a.ask);
    talk_close(&a.talk);
    return code;
}

/* ---- logs ------------------------------------------------------------------------------------ */

struct log_print {
    struct cli *cli;
    struct live live;
    int64_t until_ms;    /* the record says nothing after this: wall clock */
    int64_t quiet_since; /* when the last event came: monotonic */
    int64_t run;         /* an end counts from this run on */
    bool ended, complete;
};

static void task_line(const struct link_event *ev, struct buf *b)
{
    static const char *const keys[] = { "stage", "round",     "attempt",    "worker", "outcome",
                                        "ms",    "tokens_in", "tokens_out", "text" };
    char when[32];
    wall_text((struct wall){ ev->at_ms }, when);
    buf_printf(b, "%s %s %s", when, ev->job, ev->kind);
    for (size_t i = 0; i < COUNT(keys); i++) {
        const json_t *v = json_object_get(ev->facts, keys[i]);
        if (json_is_integer(v))
            buf_printf(b, " %s=%" JSON_INTEGER_FORMAT, keys[i], json_integer_value(v));
        else if (json_is_string(v) && json_string_length(v) > 0) {
            buf_printf(b, strchr(json_string_value(v), ' ') ? " %s=\"" : " %s=", keys[i]);
            text_clean(b, str_of(json_string_value(v)), false);
            buf_str(b, strchr(json_string_value(v), ' ') ? "\"" : "");
        }
    }
    buf_char(b, '\n');
}

static void on_log(void *ctx, const struct link_event *ev)
{
    struct log_print *p = ctx;
    struct buf b;
    if (!*ev->id)
        return; /* notes and token text are not part of the record */
    live_event(&p->live, ev);
    p->quiet_since = mono_now().ms;
    p->ended = p->live.ended && p->live.run >= p->run;
    p->complete = p->complete || ev->at_ms >= p->until_ms;
    if (out_is_json(p->cli)) {
        char when[32];
        json_t *line = json_object();
        wall_text((struct wall){ ev->at_ms }, when);
        js_set_z(line, "t", when);
        js_set_z(line, "seq", ev->id);
        js_set_z(line, "kind", ev->kind);
        js_set_z(line, "job", ev->job);
        js_set(line, "facts", json_incref((json_t *)ev->facts));
        out_line(line);
        json_decref(line);
        return;
    }
    buf_init(&b, 1 << 20);
    live_line(&p->live, ev, &b);
    if (!b.len && strncmp(ev->kind, "task.", 5) == 0)
        task_line(ev, &b);
    fputs(buf_z(&b), stdout);
    fflush(stdout);
    buf_fini(&b);
}

/* Everything that is kept. The history has no end marker: it is over when nothing comes for a moment
 * after the event of the record's last change (several may share its millisecond), or for a while. */
static enum status logs(struct log_print *p, struct talk *talk, struct err *err)
{
    json_t *job = NULL;
    char id[32];
    enum status st = talk_show(talk, cli_word(p->cli, 0), &job, err);
    if (st != OK)
        return st;
    snprintf(id, sizeof id, "%s", js_str(job, "id"));
    bool follow = cli_has(p->cli, FLAG_FOLLOW) && !state_ended(js_str(job, "state"));
    p->run = js_int(job, "run", 1);
    p->until_ms = js_int(job, "updated_ms", 0);
    json_decref(job);
    live_init(&p->live, id);
    p->quiet_since = mono_now().ms;
    st = link_watch(talk->link, id, "0", on_log, p);
    while (st == OK && !p->ended) {
        int64_t left =
            follow ? 1000 : (p->complete ? REST_MS : QUIET_MS) - (mono_now().ms - p->quiet_since);
        if (left <= 0)
            break;
        st = talk_turn(talk, left, err);
    }
    live_fini(&p->live);
    return st;
}

int cmd_logs(struct cli *cli)
{
    struct talk talk;
    struct err err = { 0 };
    struct log_print p = { .cli = cli };
    enum status st = talk_open(&talk, cli->conf, ANSWER_MS, true, &err);
    if (st == OK)
        st = logs(&p, &talk, &err);
    int code = st == OK ? 0 : talk.interrupted ? 128 + talk.signo : out_error(cli, &err);
    talk_close(&talk);
    return code;
}
