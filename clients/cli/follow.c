/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/follow.h"

#include "clients/cli/dialog.h"
#include "clients/cli/live.h"
#include "clients/cli/out.h"
#include "clients/cli/repo.h"
#include "common/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    PAINT_MS = 100,
    CLOCK_MS = 1000,
    COLUMNS = 80,
    ROWS = 24,
    LINE_MAX_BYTES = 4096,
    DIALOGS_MAX = 64
};

struct follow;

struct followed {
    struct follow *f;
    struct live live;
    struct dialog *dialog; /* NULL: no file goes along */
    int64_t run; /* an end counts from this run on: the history holds ends of earlier ones */
    bool loaded, done;
    char state[16];
};

struct follow {
    struct cli *cli;
    struct talk *talk;
    const struct follow_how *how;
    struct followed *jobs;
    int n, open;
    struct mux_timer paint;
    bool live, dirty, lost;
    size_t painted; /* rows on the screen */
    bool asking;    /* a question is on the screen, stdin is read */
    char typed[LINE_MAX_BYTES];
    size_t typed_n;
    struct err err;
};

/* ---- the screen ------------------------------------------------------------------------------ */

static void to_terminal(const struct buf *b)
{
    size_t at = 0;
    while (at < b->len) {
        ssize_t n = write(2, b->data + at, b->len - at);
        if (n < 0 && errno != EINTR)
            return;
        at += n > 0 ? (size_t)n : 0;
    }
}

static void erase_into(struct follow *f, struct buf *b)
{
    if (f->painted)
        buf_printf(b, "\r\033[%zuA\033[J", f->painted);
    f->painted = 0;
}

static void erase(struct follow *f)
{
    struct buf b;
    buf_init(&b, 256);
    erase_into(f, &b);
    to_terminal(&b);
    buf_fini(&b);
}

static struct live_view view_of(const struct follow *f)
{
    struct winsize size = { 0 };
    struct live_view v = {
        .now_ms = wall_now().ms, .columns = COLUMNS, .rows = ROWS, .color = f->cli->color_err
    };
    if (ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        v.columns = size.ws_col;
        v.rows = size.ws_row;
    }
    v.columns -= v.columns > 1; /* a full last column wraps on some terminals */
    v.rows -= v.rows > 2 ? 2 : 0;
    v.rows = v.rows > LIVE_ROWS_MAX && f->n == 1 ? LIVE_ROWS_MAX : v.rows;
    return v;
}

static void paint_now(struct follow *f)
{
    struct live_view v = view_of(f);
    struct buf b;
    size_t rows = 0;
    buf_init(&b, 1 << 20);
    erase_into(f, &b);
    if (f->lost && rows < v.rows) {
        buf_printf(&b, "%sthe broker is away: waiting for it%s\n", paint(v.color, "yellow"),
                   paint(v.color, "off"));
        rows++;
    }
    for (int i = 0; i < f->n && rows < v.rows; i++) {
        struct live_view part = v;
        part.rows = v.rows - rows;
        if (!f->jobs[i].done)
            rows += f->n == 1 ? live_paint(&f->jobs[i].live, &part, &b)
                              : live_paint_line(&f->jobs[i].live, &part, &b);
    }
    to_terminal(&b);
    f->painted = rows;
    f->dirty = false;
    buf_fini(&b);
}

static void on_paint(void *ctx)
{
    struct follow *f = ctx;
    if (f->live && !f->asking)
        paint_now(f);
    mux_timer_in(f->talk->mux, &f->paint, CLOCK_MS);
}

/* Soon, but at most ten times a second. */
static void repaint(struct follow *f)
{
    if (f->dirty || !f->live)
        return;
    f->dirty = true;
    mux_timer_in(f->talk->mux, &f->paint, PAINT_MS);
}

/* ---- questions ------------------------------------------------------------------------------- */

static void on_answered(void *ctx, const struct link_reply *reply)
{
    struct follow *f = ctx;
    if (!reply->m)
        out_warn(f->cli, "%s", reply->err->text);
}

static struct followed *with_question(struct follow *f)
{
    for (int i = 0; i < f->n; i++) {
        if (!f->jobs[i].done && f->jobs[i].live.question)
            return &f->jobs[i];
    }
    return NULL;
}

static void send_answer(struct follow *f, const char *text)
{
    struct followed *j = with_question(f);
    if (!j)
        return; /* it was settled meanwhile */
    struct msg m = { .type = MSG_ANSWER };
    m.ANSWER.job = str_of(j->live.job);
    m.ANSWER.question = js_view(j->live.question, "id");
    m.ANSWER.text = str_of(text);
    m.ANSWER.via = str_of("cli");
    if (link_ask(f->talk->link, &m, NULL, 0, false, on_answered, f) != OK)
        out_warn(f->cli, "the answer is too long");
    json_decref(j->live.question);
    j->live.question = NULL;
}

static void stop_asking(struct follow *f)
{
    f->asking = false;
    f->typed_n = 0;
    mux_fd_remove(f->talk->mux, 0);
    repaint(f);
}

static void on_typed(void *ctx, int fd, int events)
{
    struct follow *f = ctx;
    (void)events;
    ssize_t n = read(fd, f->typed + f->typed_n, sizeof f->typed - 1 - f->typed_n);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    f->typed_n += n > 0 ? (size_t)n : 0;
    f->typed[f->typed_n] = '\0';
    bool ended = n <= 0 || strchr(f->typed, '\n') || f->typed_n == sizeof f->typed - 1;
    if (!ended)
        return;
    f->typed[strcspn(f->typed, "\n")] = '\0';
    send_answer(f, f->typed);
    stop_asking(f);
}

static void ask_user(struct follow *f, const struct followed *j)
{
    struct buf b;
    if (f->asking || f->cli->no_input || !f->cli->in_tty || !f->live)
        return;
    if (mux_fd(f->talk->mux, 0, MUX_IN, on_typed, f) != OK)
        return;
    f->asking = true;
    buf_init(&b, 65536);
    erase_into(f, &b);
    buf_printf(&b, "%s%s asks:%s ", paint(f->cli->color_err, "yellow"), j->live.job,
               paint(f->cli->color_err, "off"));
    text_of(&b, j->live.question, "text");
    const json_t *options = js_list(j->live.question, "options");
    for (size_t i = 0; i < js_count(options); i++) {
        buf_str(&b, "\n  - ");
        text_clean(&b, str_of(json_string_value(js_at(options, i))), false);
    }
    buf_str(&b, "\nanswer (empty: ");
    text_of(&b, j->live.question, "otherwise");
    buf_str(&b, ")> ");
    to_terminal(&b);
    buf_fini(&b);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void end_job(struct followed *j, const char *state)
{
    if (j->done)
        return;
    j->done = true;
    snprintf(j->state, sizeof j->state, "%s", state);
    link_unwatch(j->f->talk->link, j);
    j->f->open--;
}

/* It has ended, so far as is known: what its questions.md says may still open the next run. */
static void job_over(struct followed *j, const char *state)
{
    if (!j->dialog || !dialog_look(j->dialog))
        end_job(j, state);
}

static void on_agreed(void *ctx, const json_t *job)
{
    struct followed *j = ctx;
    const char *state = js_str(job, "state");
    if (state_ended(state) && j->loaded && js_int(job, "run", 1) >= j->run)
        end_job(j, state);
}

static void on_dialog(void *ctx, bool warning, const char *line)
{
    struct followed *j = ctx;
    erase(j->f);
    if (warning)
        out_warn(j->f->cli, "%s: %s", j->live.job, line);
    else
        out_note(j->f->cli, "%s: %s", j->live.job, line);
    repaint(j->f);
}

static void begin_dialog(struct followed *j)
{
    struct follow *f = j->f;
    struct dialog_how how = { f->talk, f->how->root, f->how->make, on_dialog, on_agreed, j };
    if (f->how->root && f->n <= DIALOGS_MAX)
        j->dialog = dialog_new(j->live.job, &how);
}

static void on_shown(void *ctx, const struct link_reply *reply)
{
    struct followed *j = ctx;
    json_t *map = NULL;
    struct err err = { 0 };
    if (!reply->m || js_from_mp(peer_frame(reply->in, 1), &map, &err) != OK) {
        if (j->f->err.status == OK)
            j->f->err = reply->m ? err : *reply->err;
        return;
    }
    j->run = js_int(map, "run", 1);
    j->live.rounds_max = js_int(map, "rounds_max", 0);
    /* The record may have been read before the end that an event has told already. */
    bool told = j->live.ended && j->live.run >= j->run;
    char state[sizeof j->live.state];
    memcpy(state, j->live.state, sizeof state);
    if (j->f->live || j->loaded)
        live_load(&j->live, map);
    j->loaded = true;
    if (state_ended(js_str(map, "state")))
        job_over(j, js_str(map, "state"));
    else if (told)
        job_over(j, state);
    if (j->live.question)
        ask_user(j->f, j);
    json_decref(map);
    repaint(j->f);
}

static void show(struct followed *j)
{
    struct msg m = { .type = MSG_SHOW, .SHOW = { 0, str_of(j->live.job) } };
    if (link_ask(j->f->talk->link, &m, NULL, 0, true, on_shown, j) != OK)
        err_set(&j->f->err, ERR_NOMEM, "out of memory");
}

static void print_event(struct follow *f, const struct followed *j, const struct link_event *ev)
{
    bool text = strcmp(ev->kind, "task.tokens") == 0;
    FILE *to = f->how->result_out ? stdout : stderr;
    if (f->cli->form == FORM_JSONL && (!text || f->cli->verbose)) {
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
    } else if (!f->live && f->how->show && !f->cli->quiet && f->cli->form == FORM_TABLE) {
        struct buf b;
        buf_init(&b, 65536);
        live_line(&j->live, ev, &b);
        fputs(buf_z(&b), to);
        fflush(to);
        buf_fini(&b);
    }
}

static void on_event(void *ctx, const struct link_event *ev)
{
    struct followed *j = ctx;
    struct follow *f = j->f;
    live_event(&j->live, ev);
    print_event(f, j, ev);
    if (strcmp(ev->kind, "reset") == 0)
        show(j);
    if (strcmp(ev->kind, "question") == 0)
        ask_user(f, j);
    if (strcmp(ev->kind, "answer") == 0 && f->asking && !with_question(f))
        stop_asking(f);
    if (j->live.ended && j->loaded && j->live.run >= j->run)
        job_over(j, j->live.state);
    else if (j->dialog && strncmp(ev->kind, "task.", 5) != 0)
        dialog_look(j->dialog);
    repaint(f);
}

static void on_link(void *ctx, bool up)
{
    struct follow *f = ctx;
    f->lost = !up;
    for (int i = 0; i < f->n && up && f->live; i++) {
        if (!f->jobs[i].done)
            show(&f->jobs[i]); /* nothing may have come yet to go on after */
    }
    if (!f->live && f->how->show)
        out_note(f->cli, up ? "the broker is back" : "the broker is away: waiting for it");
    repaint(f);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void summary_text(const json_t *job, struct buf *b)
{
    const json_t *best = js_obj(job, "best");
    text_of(b, job, "id");
    buf_char(b, ' ');
    text_of(b, job, "state");
    if (js_view(job, "reason").n) {
        buf_str(b, ": ");
        text_of(b, job, "reason");
    }
    if (best) {
        buf_str(b, " (");
        verdict_text(js_obj(best, "verdict"), b);
        buf_char(b, ')');
    }
    buf_printf(b, ", round %" PRId64 ", ", js_int(job, "round", 0));
    text_count(b, js_int(job, "tokens_in", 0) + js_int(job, "tokens_out", 0));
    buf_str(b, " tokens, ");
    text_time(b, js_int(job, "wall_ms", js_int(job, "ended_ms", 0) - js_int(job, "created_ms", 0)));
}

static void say_end(const struct follow *f, const json_t *job)
{
    struct cli *cli = f->cli;
    struct buf b;
    const char *state = js_str(job, "state"), *id = js_str(job, "id");
    buf_init(&b, 65536);
    summary_text(job, &b);
    if (f->how->result_out)
        printf("%s\n", buf_z(&b));
    else
        out_note(cli, "%s", buf_z(&b));
    if (js_obj(job, "best"))
        out_note(
            cli,
            "  `pawl show %s` tells more, `pawl apply %s` puts the change into openspec/changes/",
            id, id);
    else if (strcmp(state, "failed") == 0)
        out_note(cli, "  `pawl show %s` tells why, `pawl retry %s` tries again", id, id);
    buf_fini(&b);
}

/* Which of two codes counts: failed, cancelled, exhausted, accepted. */
static int worse(int a, int b)
{
    static const int order[] = { 2, 3, 1, 0 };
    for (size_t i = 0; i < COUNT(order); i++) {
        if (a == order[i] || b == order[i])
            return order[i];
    }
    return a;
}

static int finish(struct follow *f)
{
    int code = 0;
    json_t *items = json_array();
    for (int i = 0; i < f->n; i++) {
        json_t *job = NULL;
        struct err err = { 0 };
        if (talk_show(f->talk, f->jobs[i].live.job, &job, &err) != OK) {
            json_decref(items);
            return out_error(f->cli, &err);
        }
        code = worse(code, state_exit(f->jobs[i].state));
        if (f->cli->form == FORM_JSONL)
            out_json(f->cli, "Job", json_incref(job));
        else if (f->cli->form != FORM_JSON)
            say_end(f, job);
        js_push(items, job);
    }
    if (f->cli->form == FORM_JSON) {
        json_t *all = json_object();
        js_set(all, "items", json_incref(items));
        out_json(f->cli, "JobList", all);
    }
    json_decref(items);
    return code;
}

static int stopped(struct follow *f, enum status st)
{
    for (int i = 0; i < f->n && st != ERR_TIMEOUT; i++) {
        if (!f->jobs[i].done)
            out_note(f->cli, "%s goes on; `pawl watch %s` follows it", f->jobs[i].live.job,
                     f->jobs[i].live.job);
    }
    if (f->talk->interrupted)
        return 128 + f->talk->signo;
    if (st == ERR_TIMEOUT) {
        err_set(&f->err, ERR_TIMEOUT, "%d of %d jobs still open", f->open, f->n);
        err_fix(&f->err, "they go on; `pawl watch %s` follows", f->jobs[0].live.job);
    }
    return out_error(f->cli, &f->err);
}

static enum status begin(struct follow *f, const char *const *ids)
{
    for (int i = 0; i < f->n; i++) {
        struct followed *j = &f->jobs[i];
        json_t *job = NULL;
        enum status st = OK;
        uint64_t id;
        live_init(&j->live, ids[i]);
        j->f = f;
        if (!id_parse(str_of(ids[i]), &id)) { /* a prefix: the broker knows which */
            if ((st = talk_show(f->talk, ids[i], &job, &f->err)) != OK)
                return st;
            live_init(&j->live, js_str(job, "id"));
            json_decref(job);
        }
        st = link_watch(f->talk->link, j->live.job, f->live || !f->how->show ? "" : "0", on_event,
                        j);
        if (st != OK)
            return err_set(&f->err, st, "out of memory");
        show(j);
        begin_dialog(j);
    }
    return OK;
}

int follow(struct cli *cli, struct talk *talk, const char *const *ids, int n,
           const struct follow_how *how)
{
    struct follow f = { .cli = cli, .talk = talk, .how = how, .n = n, .open = n };
    int64_t until = how->timeout_ms ? mono_now().ms + how->timeout_ms : INT64_MAX;
    f.live =
        how->show && cli->live && cli->form == FORM_TABLE && (!how->result_out || cli->out_tty);
    f.jobs = calloc((size_t)n, sizeof *f.jobs);
    f.paint = MUX_TIMER(on_paint, &f);
    enum status st = f.jobs ? begin(&f, ids) : err_set(&f.err, ERR_NOMEM, "out of memory");
    if (st == OK) {
        link_on_change(talk->link, on_link, &f);
        mux_timer_in(talk->mux, &f.paint, CLOCK_MS);
    }
    while (st == OK && f.open > 0 && f.err.status == OK) {
        int64_t left = until - mono_now().ms;
        st = left <= 0 ? ERR_TIMEOUT : talk_turn(talk, until == INT64_MAX ? -1 : left, &f.err);
    }
    if (f.live)
        erase(&f);
    mux_timer_stop(talk->mux, &f.paint);
    mux_fd_remove(talk->mux, 0);
    if (talk->link)
        link_on_change(talk->link, NULL, NULL);
    int code = st == OK && f.err.status == OK ? finish(&f) : stopped(&f, st);
    for (int i = 0; f.jobs && i < n; i++) {
        if (talk->link)
            link_unwatch(talk->link, &f.jobs[i]);
        dialog_free(f.jobs[i].dialog);
        live_fini(&f.jobs[i].live);
    }
    free(f.jobs);
    return code;
}

int cmd_watch(struct cli *cli)
{
    struct talk talk;
    struct err err = { 0 };
    struct follow_how how = { .show = true,
                              .result_out = true,
                              .timeout_ms = cli->args.number[FLAG_TIMEOUT] };
    const char *given = cli_flag(cli, FLAG_PROJECT_DIR);
    char root[PATH_MAX];
    if (repo_find(given ? given : ".", given != NULL, root, sizeof root, &err) == OK)
        how.root = root;
    else if (given)
        return out_error(cli, &err);
    how.make = given != NULL;
    if (talk_open(&talk, cli->conf, 0, true, &err) != OK)
        return out_error(cli, &err);
    int code = follow(cli, &talk, cli->args.words, cli->args.words_n, &how);
    talk_close(&talk);
    return code;
}
