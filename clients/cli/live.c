/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/live.h"

#include "clients/cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool state_ended(const char *state)
{
    static const struct {
        const char *name;
        bool ended;
    } states[] = {
#define OPEN                       false
#define ENDED                      true
#define X(id, name, kind, meaning) { name, kind },
#include "schemas/states.def"
#undef X
#undef OPEN
#undef ENDED
    };
    for (size_t i = 0; i < COUNT(states); i++) {
        if (strcmp(states[i].name, state) == 0)
            return states[i].ended;
    }
    return false;
}

int state_exit(const char *state)
{
    if (strcmp(state, "accepted") == 0)
        return 0;
    if (strcmp(state, "exhausted") == 0)
        return status_exit(ERR_NEGATIVE);
    if (strcmp(state, "failed") == 0)
        return status_exit(ERR_FAILED);
    return status_exit(strcmp(state, "cancelled") == 0 ? ERR_CANCELLED : ERR_TIMEOUT);
}

void verdict_text(const json_t *verdict, struct buf *out)
{
    if (!verdict)
        return;
    int64_t judge = js_int(verdict, "judge", -1), errors = js_int(verdict, "errors", 0);
    if (!js_bool(verdict, "gates", false)) {
        buf_printf(out, "gates failed, %" PRId64 " error%s", errors, errors == 1 ? "" : "s");
        return;
    }
    buf_printf(out, "gates ok, measures %.2f", (double)js_int(verdict, "measures", 0) / 1000);
    if (judge >= 0)
        buf_printf(out, ", judge %.2f", (double)judge / 1000);
    if (errors > 0)
        buf_printf(out, ", %" PRId64 " error%s open", errors, errors == 1 ? "" : "s");
}

/* ---- events in ------------------------------------------------------------------------------- */

void live_init(struct live *l, const char *job)
{
    memset(l, 0, sizeof *l);
    snprintf(l->job, sizeof l->job, "%s", job);
}

void live_fini(struct live *l)
{
    json_decref(l->question);
    l->question = NULL;
}

static void copy(char *to, size_t size, const json_t *obj, const char *key)
{
    struct buf b;
    buf_init(&b, 65536);
    text_of(&b, obj, key);
    snprintf(to, size, "%s", buf_z(&b));
    buf_fini(&b);
}

static void add_round(struct live *l, const json_t *entry)
{
    if (js_int(entry, "run", l->run) != l->run || l->rounds_n == COUNT(l->rounds))
        return;
    int64_t round = js_int(entry, "round", 0);
    for (size_t i = 0; i < l->rounds_n; i++) {
        if (l->rounds[i].round == round)
            return; /* told twice: from the record and from the history */
    }
    const json_t *v = js_obj(entry, "verdict");
    l->rounds[l->rounds_n++] = (struct live_round){
        .round = round,
        .measures = js_int(v, "measures", 0),
        .judge = js_int(v, "judge", -1),
        .gates = js_bool(v, "gates", false),
        .kept = js_bool(entry, "kept", false),
        .tokens = js_int(entry, "tokens_in", 0) + js_int(entry, "tokens_out", 0),
        .ms = js_int(entry, "ms", 0),
    };
}

static void no_tail(struct live *l)
{
    l->tail_n = 0;
    l->tail_at = 0;
    l->tail_task[0] = '\0';
    l->rate_bytes = 0;
}

static void new_run(struct live *l, int64_t run)
{
    if (run <= l->run)
        return;
    l->run = run;
    l->rounds_n = 0;
    l->tokens_in = l->tokens_out = 0;
    l->ended = false;
}

static void set_state(struct live *l, const char *state)
{
    snprintf(l->state, sizeof l->state, "%s", state);
    l->ended = state_ended(state);
    if (strcmp(state, "running") != 0) {
        no_tail(l);
        l->note[0] = '\0';
        l->worker[0] = '\0';
    }
    if (strcmp(state, "waiting") != 0) {
        json_decref(l->question);
        l->question = NULL;
    }
}

void live_load(struct live *l, const json_t *job)
{
    copy(l->job, sizeof l->job, job, "id");
    new_run(l, js_int(job, "run", 1));
    l->round = js_int(job, "round", 0);
    l->rounds_max = js_int(job, "rounds_max", 0);
    l->tokens_in = js_int(job, "tokens_in", 0);
    l->tokens_out = js_int(job, "tokens_out", 0);
    l->begun_ms = js_int(job, "created_ms", 0);
    l->seen_ms = js_int(job, "updated_ms", 0);
    copy(l->stage, sizeof l->stage, job, "stage");
    copy(l->reason, sizeof l->reason, job, "reason");
    set_state(l, js_str(job, "state"));
    const json_t *ledger = js_list(job, "ledger"), *questions = js_list(job, "questions");
    for (size_t i = 0; i < js_count(ledger); i++)
        add_round(l, js_at(ledger, i));
    if (js_count(questions) > 0) {
        json_decref(l->question);
        l->question = json_incref((json_t *)js_at(questions, 0));
    }
}

/* Streamed text carries its offset: pieces may be missing, and a new attempt starts again at 0. */
static void on_tokens(struct live *l, const struct link_event *ev)
{
    struct str text = js_view(ev->facts, "text");
    uint64_t offset = (uint64_t)js_int(ev->facts, "offset", 0);
    const char *task = js_str(ev->facts, "task");
    if (strcmp(task, l->tail_task) != 0 || offset < l->tail_at) {
        no_tail(l);
        snprintf(l->tail_task, sizeof l->tail_task, "%s", task);
        l->rate_ms = ev->at_ms;
    } else if (offset > l->tail_at && l->tail_n + 5 < LIVE_TAIL) {
        l->tail_n += (size_t)snprintf(l->tail + l->tail_n, LIVE_TAIL - l->tail_n, " … ");
    }
    l->tail_at = offset + text.n;
    l->rate_bytes += (int64_t)text.n;
    if (text.n > LIVE_TAIL / 2) {
        text.p += text.n - LIVE_TAIL / 2;
        text.n = LIVE_TAIL / 2;
    }
    if (l->tail_n + text.n > LIVE_TAIL) { /* then more than a half is there */
        memmove(l->tail, l->tail + l->tail_n - LIVE_TAIL / 2, LIVE_TAIL / 2);
        l->tail_n = LIVE_TAIL / 2;
    }
    if (text.n)
        memcpy(l->tail + l->tail_n, text.p, text.n);
    l->tail_n += text.n;
}

static void on_state(struct live *l, const struct link_event *ev)
{
    new_run(l, js_int(ev->facts, "run", l->run));
    l->round = js_int(ev->facts, "round", l->round);
    copy(l->stage, sizeof l->stage, ev->facts, "stage");
    copy(l->reason, sizeof l->reason, ev->facts, "reason");
    set_state(l, js_str(ev->facts, "to"));
}

static bool is_lane(const char *stage)
{
    return strcmp(stage, "call") == 0 || strcmp(stage, "ask") == 0;
}

void live_event(struct live *l, const struct link_event *ev)
{
    const char *kind = ev->kind;
    if (l->begun_ms == 0 || (ev->at_ms && ev->at_ms < l->begun_ms))
        l->begun_ms = ev->at_ms;
    l->seen_ms = ev->at_ms;
    if (strcmp(kind, "job.state") == 0) {
        on_state(l, ev);
    } else if (strcmp(kind, "task.start") == 0 && !is_lane(js_str(ev->facts, "stage"))) {
        copy(l->stage, sizeof l->stage, ev->facts, "stage");
        copy(l->worker, sizeof l->worker, ev->facts, "worker");
        l->round = js_int(ev->facts, "round", l->round);
        l->stage_ms = ev->at_ms;
        l->note[0] = '\0';
        no_tail(l);
    } else if (strcmp(kind, "task.note") == 0) {
        copy(l->note, sizeof l->note, ev->facts, "text");
    } else if (strcmp(kind, "task.tokens") == 0) {
        on_tokens(l, ev);
    } else if (strcmp(kind, "task.step") == 0 && js_int(ev->facts, "tokens_out", 0) > 0) {
        l->step_tokens = js_int(ev->facts, "tokens_out", 0);
        l->step_ms = js_int(ev->facts, "ms", 0);
        l->tokens_in += js_int(ev->facts, "tokens_in", 0);
        l->tokens_out += l->step_tokens;
    } else if (strcmp(kind, "round") == 0) {
        add_round(l, ev->facts);
    } else if (strcmp(kind, "question") == 0) {
        json_decref(l->question);
        l->question = json_incref((json_t *)ev->facts);
    } else if (strcmp(kind, "answer") == 0) {
        json_decref(l->question);
        l->question = NULL;
    }
}

/* ---- lines for a pipe ------------------------------------------------------------------------ */

static void line_state(const struct live *l, const struct link_event *ev, struct buf *out)
{
    buf_printf(out, "%-9s", l->state);
    if (*l->stage)
        buf_printf(out, " %s", l->stage);
    if (l->round > 0 && !l->ended)
        buf_printf(out, " round %" PRId64, l->round);
    if (*l->reason)
        buf_printf(out, ": %s", l->reason);
    const json_t *score = js_obj(ev->facts, "score");
    if (l->ended && score) {
        buf_str(out, " (");
        verdict_text(score, out);
        buf_char(out, ')');
    }
}

static void line_round(const json_t *entry, struct buf *out)
{
    buf_printf(out, "round %" PRId64 " %s: ", js_int(entry, "round", 0),
               js_bool(entry, "kept", false) ? "kept" : "discarded");
    text_of(out, entry, "reason");
    if (js_obj(entry, "verdict")) {
        buf_str(out, " (");
        verdict_text(js_obj(entry, "verdict"), out);
        buf_char(out, ')');
    }
}

static bool line_body(const struct live *l, const struct link_event *ev, struct buf *out)
{
    if (strcmp(ev->kind, "job.state") == 0) {
        line_state(l, ev, out);
    } else if (strcmp(ev->kind, "round") == 0) {
        line_round(ev->facts, out);
    } else if (strcmp(ev->kind, "question") == 0) {
        buf_str(out, "question ");
        text_of(out, ev->facts, "id");
        buf_str(out, ": ");
        text_of(out, ev->facts, "text");
        buf_str(out, " [default: ");
        text_of(out, ev->facts, "otherwise");
        buf_char(out, ']');
    } else if (strcmp(ev->kind, "answer") == 0) {
        buf_str(out, "answered by ");
        text_of(out, ev->facts, "by");
        if (js_view(ev->facts, "via").n) {
            buf_str(out, " (");
            text_of(out, ev->facts, "via");
            buf_char(out, ')');
        }
        buf_str(out, ": ");
        text_of(out, ev->facts, "text");
    } else if (strcmp(ev->kind, "task.end") == 0 &&
               strcmp(js_str(ev->facts, "outcome"), "committed") != 0) {
        text_of(out, ev->facts, "stage");
        buf_char(out, ' ');
        text_of(out, ev->facts, "outcome");
        if (js_view(ev->facts, "text").n) {
            buf_str(out, ": ");
            text_of(out, ev->facts, "text");
        }
    } else if (strcmp(ev->kind, "reset") == 0) {
        buf_str(out, "older events are no longer kept");
    } else {
        return false;
    }
    return true;
}

void live_line(const struct live *l, const struct link_event *ev, struct buf *out)
{
    struct buf b;
    char when[32];
    buf_init(&b, 65536);
    if (line_body(l, ev, &b)) {
        wall_text((struct wall){ ev->at_ms }, when);
        buf_printf(out, "%s %s ", when, l->job);
        buf_view(out, buf_get(&b));
        buf_char(out, '\n');
    }
    buf_fini(&b);
}

/* ---- rows for a terminal --------------------------------------------------------------------- */

/* A painter counts visible columns while it adds text and colors. */
struct row {
    const struct live_view *v;
    struct buf *out;
    size_t used;
};

static void put(struct row *r, const char *color, const char *text)
{
    struct buf fitted;
    size_t left = r->v->columns > r->used ? r->v->columns - r->used : 0;
    if (!left || !*text)
        return;
    buf_init(&fitted, 65536);
    text_fit(&fitted, str_of(text), left);
    r->used += text_width(buf_get(&fitted));
    buf_str(r->out, paint(r->v->color, color));
    buf_view(r->out, buf_get(&fitted));
    if (*color)
        buf_str(r->out, paint(r->v->color, "off"));
    buf_fini(&fitted);
}

static void putf(struct row *r, const char *color, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void putf(struct row *r, const char *color, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    put(r, color, text);
}

static void end_row(struct row *r, size_t *rows)
{
    buf_char(r->out, '\n');
    r->used = 0;
    ++*rows;
}

static void row_head(struct row *r, const struct live *l)
{
    struct buf time;
    buf_init(&time, 64);
    text_time(&time, r->v->now_ms > l->begun_ms ? r->v->now_ms - l->begun_ms : 0);
    put(r, "bold", l->job);
    put(r, "", "  ");
    put(r, paint_state(l->state), *l->state ? l->state : "…");
    if (*l->stage && !l->ended)
        putf(r, "", "  %s", l->stage);
    if (l->round > 0)
        putf(r, "", l->rounds_max ? "  round %" PRId64 "/%" PRId64 : "  round %" PRId64, l->round,
             l->rounds_max);
    if (l->run > 1)
        putf(r, "dim", "  run %" PRId64, l->run);
    putf(r, "dim", "  %s", buf_z(&time));
    buf_fini(&time);
}

/* One block per round: what it scored, and whether it became best. */
static void row_rounds(struct row *r, const struct live *l)
{
    size_t from = l->rounds_n > 8 ? l->rounds_n - 8 : 0;
    put(r, "dim", "  rounds ");
    for (size_t i = from; i < l->rounds_n; i++) {
        const struct live_round *x = &l->rounds[i];
        putf(r, "dim", " %" PRId64 ":", x->round);
        if (!x->gates)
            put(r, "red", "✗ gates");
        else if (x->judge >= 0)
            putf(r, x->kept ? "green" : "", "%s%.2f·%.2f", x->kept ? "✓" : "",
                 (double)x->measures / 1000, (double)x->judge / 1000);
        else
            putf(r, x->kept ? "green" : "", "%s%.2f", x->kept ? "✓" : "",
                 (double)x->measures / 1000);
    }
}

static void row_tokens(struct row *r, const struct live *l)
{
    struct buf b;
    buf_init(&b, 256);
    buf_str(&b, "  tokens  ");
    text_count(&b, l->tokens_in);
    buf_str(&b, " in  ");
    text_count(&b, l->tokens_out);
    buf_str(&b, " out");
    int64_t stream_ms = l->seen_ms - l->rate_ms;
    if (l->rate_bytes > 0 && stream_ms >= 1000) /* about four bytes make a token */
        buf_printf(&b, "  ~%.0f/s", (double)l->rate_bytes / 4 * 1000 / (double)stream_ms);
    else if (l->step_ms > 0)
        buf_printf(&b, "  %.0f/s", (double)l->step_tokens * 1000 / (double)l->step_ms);
    put(r, "dim", buf_z(&b));
    buf_fini(&b);
}

static void row_now(struct row *r, const struct live *l)
{
    if (*l->note)
        putf(r, "", "  now     %s", l->note);
    else if (*l->reason && strcmp(l->state, "running") != 0)
        putf(r, "", "  now     %s", l->reason);
    else
        putf(r, "dim", "  now     %s%s%s", *l->worker ? "in the hands of " : "waiting for a worker",
             l->worker, "");
}

/* The last `n` lines of the streamed text, wrapped to the width. */
static size_t rows_tail(struct row *r, const struct live *l, size_t n)
{
    size_t width = r->v->columns > 8 ? r->v->columns - 6 : 2, starts[256], count = 1, column = 0,
           rows = 0;
    struct buf text;
    buf_init(&text, 65536);
    text_clean(&text, (struct str){ l->tail, l->tail_n }, true);
    const char *p = buf_z(&text);
    starts[0] = 0;
    for (size_t i = 0; i < text.len; i++) {
        column += ((unsigned char)p[i] & 0xc0) != 0x80;
        if (p[i] != '\n' && column < width)
            continue;
        if (i + 1 < text.len && ((unsigned char)p[i + 1] & 0xc0) == 0x80)
            continue; /* never inside a character */
        if (count == COUNT(starts)) {
            memmove(starts, starts + 1, (COUNT(starts) - 1) * sizeof starts[0]);
            count--;
        }
        starts[count++] = i + 1;
        column = 0;
    }
    if (starts[count - 1] == text.len && count > 1)
        count--;
    for (size_t i = count > n ? count - n : 0; i < count && l->tail_n; i++) {
        size_t end = i + 1 < count ? starts[i + 1] : text.len;
        char line[1024];
        snprintf(line, sizeof line, "%.*s", (int)(end - starts[i]), p + starts[i]);
        line[strcspn(line, "\n")] = '\0';
        put(r, "dim", "    │ ");
        put(r, "dim", line);
        end_row(r, &rows);
    }
    buf_fini(&text);
    return rows;
}

static void rows_question(struct row *r, const struct live *l, size_t *rows)
{
    char text[512];
    copy(text, sizeof text, l->question, "text");
    putf(r, "yellow", "  ? %s", text);
    end_row(r, rows);
    copy(text, sizeof text, l->question, "otherwise");
    putf(r, "dim", "    default: %s  (pawl answer %s TEXT)", text, l->job);
    end_row(r, rows);
}

size_t live_paint(const struct live *l, const struct live_view *v, struct buf *out)
{
    struct row r = { .v = v, .out = out };
    size_t rows = 0;
    row_head(&r, l);
    end_row(&r, &rows);
    if (l->rounds_n > 0 && rows < v->rows) {
        row_rounds(&r, l);
        end_row(&r, &rows);
    }
    if (rows < v->rows && (l->tokens_out > 0 || l->rate_bytes > 0)) {
        row_tokens(&r, l);
        end_row(&r, &rows);
    }
    if (l->question && rows + 1 < v->rows) {
        rows_question(&r, l, &rows);
    } else if (rows < v->rows) {
        row_now(&r, l);
        end_row(&r, &rows);
    }
    size_t left = v->rows > rows ? v->rows - rows : 0;
    return rows + rows_tail(&r, l, left < 5 ? left : 5);
}

size_t live_paint_line(const struct live *l, const struct live_view *v, struct buf *out)
{
    struct row r = { .v = v, .out = out };
    size_t rows = 0;
    row_head(&r, l);
    if (*l->note)
        putf(&r, "dim", "  %s", l->note);
    end_row(&r, &rows);
    return rows;
}
