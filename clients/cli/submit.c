/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/cli.h"
#include "clients/cli/follow.h"
#include "clients/cli/out.h"
#include "clients/cli/pack.h"
#include "clients/cli/problem.h"
#include "clients/cli/when.h"
#include "common/doc.h"
#include "common/failpoint.h"
#include "common/hash.h"
#include "common/mp.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_MS = 30000,
    BUSY_MS = 1000,
    LISTS_MOST = PAWL_FRAMES_MAX - 2, /* of one SUBMIT_ALL, each of about this many bytes: */
    LIST_BYTES = PAWL_FRAME_MAX / 2,
};

struct submission {
    struct cli *cli;
    struct talk talk;
    struct packed packed;
    struct buf budget;
    struct problems problems;
    char (*ids)[16];
    char (*keys)[PAWL_KEY_MAX + 1];
    json_t *items;
    int64_t start_ms; /* 0: at once */
    bool said_busy, said_unserved;
};

/* ---- what goes along ------------------------------------------------------------------------- */

static enum status make_budget(struct submission *s, struct err *err)
{
    static const struct {
        enum pack_key key;
        enum flag_id flag;
    } flags[] = { { PACK_ROUNDS, FLAG_ROUNDS },
                  { PACK_TOKENS, FLAG_TOKENS },
                  { PACK_WALL, FLAG_WALL },
                  { PACK_PATIENCE, FLAG_PATIENCE } };
    int64_t given[PACK_KEYS] = { 0 };
    for (size_t i = 0; i < COUNT(flags); i++) {
        int64_t value = s->cli->args.number[flags[i].flag];
        if (!cli_has(s->cli, flags[i].flag))
            continue;
        if (value < 1)
            return err_set(err, ERR_USAGE, "--%s: %" PRId64 " is less than 1",
                           flag_table[flags[i].flag].name, value);
        given[flags[i].key] = value;
    }
    return pack_budget(s->cli->conf, given, &s->budget);
}

static enum status pack_workspace(struct submission *s, struct err *err)
{
    const char *given = cli_flag(s->cli, FLAG_PROJECT_DIR), *change = cli_flag(s->cli, FLAG_CHANGE);
    enum status st = pack_tree(given ? given : ".", given != NULL, change, &s->packed, err);
    if (st == OK && s->packed.left_out && s->cli->verbose)
        out_note(s->cli, "%zu files stay at home: links, binary or large files",
                 s->packed.left_out);
    return st;
}

/* ---- one problem ----------------------------------------------------------------------------- */

static enum status pack_problem(struct submission *s, const struct problem *p, struct buf *frame,
                                struct err *err)
{
    json_t *doc = json_object();
    js_set_str(doc, "text", buf_get(&p->text));
    if (*p->source)
        js_set_z(doc, "source", p->source);
    if (cli_flag(s->cli, FLAG_CHANGE))
        js_set_z(doc, "change", cli_flag(s->cli, FLAG_CHANGE));
    enum status st = doc_pack("problem", doc, frame, err);
    json_decref(doc);
    return st;
}

static enum status put_workspace(struct submission *s, struct err *err)
{
    struct str frame = buf_get(&s->packed.blob);
    struct msg m = { .type = MSG_PUT };
    m.PUT.hash = (struct str){ (const char *)s->packed.workspace.b, HASH_BYTES };
    return talk_ask(&s->talk, &m, &frame, 1, true, err);
}

/* The broker is full: wait as long as it says, then try again. */
static enum status wait_busy(struct submission *s, struct err *err)
{
    int64_t until = mono_now().ms + (s->talk.retry_ms > 0 ? s->talk.retry_ms : BUSY_MS);
    enum status st = OK;
    if (!s->said_busy)
        out_note(s->cli, "the broker takes no jobs just now (%s): trying again until it does",
                 err->text);
    s->said_busy = true;
    for (int64_t left; st == OK && (left = until - mono_now().ms) > 0;)
        st = talk_turn(&s->talk, left, err);
    return st;
}

/* Until it is answered as it is wished: the workspace is sent when it is needed, a full broker is
 * waited for. */
static enum status send_until(struct submission *s, struct msg *m, const struct str *frames,
                              uint32_t frames_n, enum msg_type wanted, struct err *err)
{
    int64_t timeout = s->cli->args.number[FLAG_TIMEOUT],
            until = timeout ? mono_now().ms + timeout : INT64_MAX;
    for (;;) {
        enum status st = talk_ask(&s->talk, m, frames, frames_n, true, err);
        if (st == OK && s->talk.m.type == wanted)
            return OK;
        if (st == OK && s->talk.m.type == MSG_NEED)
            st = put_workspace(s, err);
        else if (st == OK)
            st =
                err_set(err, ERR_PROTOCOL, "the broker answered with %s", msg_name(s->talk.m.type));
        if (st == ERR_BUSY && mono_now().ms < until)
            st = wait_busy(s, err);
        if (st != OK)
            return st;
    }
}

static enum status send_problem(struct submission *s, struct str frame, const char *key,
                                struct err *err)
{
    struct msg m = { .type = MSG_SUBMIT };
    m.SUBMIT.key = str_of(key);
    m.SUBMIT.project = str_of(cli_flag(s->cli, FLAG_PROJECT));
    m.SUBMIT.label = str_of(cli_flag(s->cli, FLAG_LABEL));
    m.SUBMIT.priority = s->cli->args.number[FLAG_PRIORITY];
    m.SUBMIT.class = str_of(cli_flag(s->cli, FLAG_CLASS));
    m.SUBMIT.start_ms = s->start_ms;
    m.SUBMIT.budget = buf_get(&s->budget);
    m.SUBMIT.workspace = (struct str){ (const char *)s->packed.workspace.b, HASH_BYTES };
    m.SUBMIT.docs.v[0] = str_of("problem");
    m.SUBMIT.docs.n = 1;
    return send_until(s, &m, &frame, 1, MSG_SUBMITTED, err);
}

static void say_submitted(struct submission *s, const struct problem *p, const char *id,
                          const struct msg_SUBMITTED *a)
{
    struct buf b;
    buf_init(&b, 65536);
    text_fit(&b, (struct str){ p->text.data, strcspn(p->text.data, "\n") }, 60);
    out_note(s->cli, a->existing ? "%s is there already: %s" : "%s is queued: %s", id, buf_z(&b));
    buf_clear(&b);
    for (uint32_t i = 0; i < a->unserved.n; i++)
        buf_printf(&b, "%s%.*s", i ? ", " : "", STR_ARG(a->unserved.v[i]));
    if (a->unserved.n && !s->said_unserved)
        out_warn(s->cli, "no worker serves %s now: the job waits there (`pawl workers`)",
                 buf_z(&b));
    s->said_unserved = s->said_unserved || a->unserved.n;
    buf_fini(&b);
}

static void note_submitted(struct submission *s, size_t i, const struct msg_SUBMITTED *a)
{
    const struct problem *p = &s->problems.v[i];
    char *id = s->ids[i];
    snprintf(id, sizeof s->ids[0], "%.*s", STR_ARG(a->job));
    json_t *item = json_object(), *unserved = json_array();
    for (uint32_t k = 0; k < a->unserved.n; k++)
        js_push(unserved, js_string(a->unserved.v[k]));
    js_set_z(item, "id", id);
    js_set_z(item, "source", p->source);
    js_set_bool(item, "existing", a->existing);
    js_set(item, "unserved", unserved);
    if (s->cli->form == FORM_JSONL)
        out_json(s->cli, "Submitted", json_incref(item));
    js_push(s->items, item);
    if (!out_is_json(s->cli))
        say_submitted(s, p, id, a);
    if (!out_is_json(s->cli)) {
        printf("%s\n", id);
        fflush(stdout);
    }
    failpoint(AT_submit_noted);
}

static enum status submit_one(struct submission *s, size_t i, struct err *err)
{
    struct buf frame;
    buf_init(&frame, PAWL_FRAME_MAX);
    enum status st = pack_problem(s, &s->problems.v[i], &frame, err);
    if (st == OK)
        st = send_problem(s, buf_get(&frame), s->keys[i], err);
    if (st == OK)
        note_submitted(s, i, &s->talk.m.SUBMITTED);
    buf_fini(&frame);
    return st;
}

/* ---- many in one call ------------------------------------------------------------------------ */

struct call {
    struct buf lists[LISTS_MOST]; /* encoded items, without the head of their list */
    uint32_t counts[LISTS_MOST], lists_n;
    size_t *which, n; /* the problems in it */
};

static void call_clear(struct call *c)
{
    for (uint32_t i = 0; i < c->lists_n; i++)
        buf_fini(&c->lists[i]);
    c->lists_n = 0;
    c->n = 0;
}

/* False: the call is full. */
static bool call_add(struct submission *s, struct call *c, size_t i, enum status *st,
                     struct err *err)
{
    struct buf frame;
    if (c->n == PAWL_SUBMIT_MAX)
        return false;
    buf_init(&frame, PAWL_FRAME_MAX);
    *st = pack_problem(s, &s->problems.v[i], &frame, err);
    struct buf *list = c->lists_n ? &c->lists[c->lists_n - 1] : NULL;
    if (*st == OK && (!list || list->len + frame.len > LIST_BYTES)) {
        if (c->lists_n == LISTS_MOST) {
            buf_fini(&frame);
            return false;
        }
        list = &c->lists[c->lists_n];
        c->counts[c->lists_n++] = 0;
        buf_init(list, PAWL_FRAME_MAX - 16);
    }
    if (*st == OK) {
        const char *label = cli_flag(s->cli, FLAG_LABEL);
        mp_array(list, 3);
        mp_z(list, s->keys[i]);
        mp_z(list, label ? label : "");
        *st = mp_bin(list, buf_get(&frame));
        c->counts[c->lists_n - 1]++;
        c->which[c->n++] = i;
    }
    buf_fini(&frame);
    return *st == OK;
}

static enum status call_send(struct submission *s, struct call *c, struct err *err)
{
    struct buf lists[LISTS_MOST];
    struct str frames[LISTS_MOST];
    struct msg m = { .type = MSG_SUBMIT_ALL };
    m.SUBMIT_ALL.whole = cli_has(s->cli, FLAG_ALL_OR_NOTHING);
    m.SUBMIT_ALL.project = str_of(cli_flag(s->cli, FLAG_PROJECT));
    m.SUBMIT_ALL.priority = s->cli->args.number[FLAG_PRIORITY];
    m.SUBMIT_ALL.class = str_of(cli_flag(s->cli, FLAG_CLASS));
    m.SUBMIT_ALL.start_ms = s->start_ms;
    m.SUBMIT_ALL.budget = buf_get(&s->budget);
    m.SUBMIT_ALL.workspace = (struct str){ (const char *)s->packed.workspace.b, HASH_BYTES };
    enum status st = OK;
    for (uint32_t i = 0; i < c->lists_n; i++) {
        buf_init(&lists[i], PAWL_FRAME_MAX);
        buf_char(&lists[i], '\0');
        mp_array(&lists[i], c->counts[i]);
        if (buf_view(&lists[i], buf_get(&c->lists[i])) != OK)
            st = err_set(err, lists[i].status, "the problem statements cannot be packed");
        frames[i] = buf_get(&lists[i]);
    }
    if (st == OK)
        st = send_until(s, &m, frames, c->lists_n, MSG_SUBMITTED_ALL, err);
    for (uint32_t i = 0; i < c->lists_n; i++)
        buf_fini(&lists[i]);
    return st;
}

struct row {
    struct str id, code, text;
    bool existing;
};

static bool next_row(struct mp *in, struct row *r)
{
    struct mp_value v;
    if (mp_want(in, MP_ARRAY, &v) != OK || v.n != 4 || mp_want(in, MP_STR, &v) != OK)
        return false;
    r->id = v.str;
    if (mp_want(in, MP_BOOL, &v) != OK)
        return false;
    r->existing = v.b;
    if (mp_want(in, MP_STR, &v) != OK)
        return false;
    r->code = v.str;
    if (mp_want(in, MP_STR, &v) != OK)
        return false;
    r->text = v.str;
    return true;
}

static void note_refused(struct submission *s, size_t i, const struct row *r, struct err *first)
{
    enum status st = ERR_DATA;
    for (int k = 0; k < STATUS_COUNT; k++)
        st = str_is(r->code, status_name((enum status)k)) ? (enum status)k : st;
    if (first->status == OK)
        err_set(first, st, "%.200s: %.*s", s->problems.v[i].source, STR_ARG(r->text));
    json_t *item = json_object();
    js_set_z(item, "source", s->problems.v[i].source);
    js_set_str(item, "code", r->code);
    js_set_str(item, "error", r->text);
    if (s->cli->form == FORM_JSONL)
        out_json(s->cli, "Refused", json_incref(item));
    js_push(s->items, item);
    out_warn(s->cli, "%s: not submitted: %.*s", s->problems.v[i].source, STR_ARG(r->text));
}

/* What became of each; those for which there was no room are put back into `left`. */
static enum status call_read(struct submission *s, struct call *c, size_t *left, size_t *left_n,
                             struct err *first, struct err *err)
{
    struct str frame = talk_frame(&s->talk, 0);
    struct msg_SUBMITTED a = { .unserved = s->talk.m.SUBMITTED_ALL.unserved };
    struct mp in;
    struct mp_value list;
    struct row r;
    mp_init(&in, frame);
    if (mp_want(&in, MP_ARRAY, &list) != OK || list.n != c->n)
        return err_set(err, ERR_PROTOCOL, "the broker's answer is not for what was submitted");
    for (size_t i = 0; i < c->n; i++) {
        if (!next_row(&in, &r))
            return err_set(err, ERR_PROTOCOL, "the broker's answer cannot be read");
        a.job = r.id;
        a.existing = r.existing;
        if (str_is(r.code, "ok"))
            note_submitted(s, c->which[i], &a);
        else if (str_is(r.code, status_name(ERR_BUSY)))
            left[(*left_n)++] = c->which[i];
        else
            note_refused(s, c->which[i], &r, first);
    }
    return OK;
}

static enum status fill_call(struct submission *s, struct call *c, const size_t *todo, size_t n,
                             struct err *err)
{
    enum status st = OK;
    size_t i = 0;
    while (i < n && call_add(s, c, todo[i], &st, err))
        i++;
    if (st == OK && i < n && cli_has(s->cli, FLAG_ALL_OR_NOTHING))
        st = err_set(err, ERR_LIMIT, "all or nothing goes up to %d jobs, or %d MiB",
                     PAWL_SUBMIT_MAX, LISTS_MOST * (LIST_BYTES >> 20));
    return st;
}

/* One call after another until nothing is left to do. first: of the jobs that were refused. */
static enum status submit_calls(struct submission *s, struct call *c, size_t *todo,
                                struct err *first, struct err *err)
{
    size_t n = s->problems.n;
    for (size_t i = 0; i < n; i++)
        todo[i] = i;
    while (n > 0) {
        size_t left = 0;
        call_clear(c);
        enum status st = fill_call(s, c, todo, n, err);
        if (st == OK)
            st = call_send(s, c, err);
        size_t sent = c->n;
        memmove(todo, todo + sent, (n - sent) * sizeof *todo);
        n -= sent;
        if (st == OK)
            st = call_read(s, c, todo + n, &left, first, err);
        n += left;
        if (st == OK && left == sent) {
            err_set(err, ERR_BUSY, "as many jobs are open as limits.open_jobs allows");
            st = wait_busy(s, err);
        }
        if (st != OK)
            return st;
    }
    return OK;
}

static enum status submit_many(struct submission *s, struct err *err)
{
    struct call *c = calloc(1, sizeof *c);
    size_t *todo = calloc(s->problems.n, sizeof *todo);
    struct err first = { 0 };
    enum status st = ERR_NOMEM;
    if (c && todo && (c->which = calloc(s->problems.n, sizeof *c->which)) != NULL)
        st = submit_calls(s, c, todo, &first, err);
    else
        err_set(err, ERR_NOMEM, "out of memory");
    if (st == OK && first.status != OK) {
        *err = first;
        st = first.status;
    }
    if (c) {
        call_clear(c);
        free(c->which);
    }
    free(c);
    free(todo);
    return st;
}

/* A key of each job. With --key for many: the same problem is the same job. */
static void make_keys(struct submission *s)
{
    const char *given = cli_flag(s->cli, FLAG_KEY);
    for (size_t i = 0; i < s->problems.n; i++) {
        char *key = s->keys[i], hex[HASH_HEX + 1];
        struct hash h = hash_of(buf_get(&s->problems.v[i].text));
        hash_hex(&h, hex);
        if (given && s->problems.n > 1)
            snprintf(key, sizeof s->keys[0], "%s/%.16s", given, hex);
        else if (given)
            snprintf(key, sizeof s->keys[0], "%s", given);
        else {
            id_text(random_u64(), key);
            id_text(random_u64(), key + ID_CHARS);
        }
    }
}

/* ---- the command ----------------------------------------------------------------------------- */

static enum status choose_start(struct submission *s, struct err *err)
{
    const char *at = cli_flag(s->cli, FLAG_AT);
    int64_t now = wall_now().ms;
    if (at && cli_has(s->cli, FLAG_IN))
        return err_set(err, ERR_USAGE, "--at and --in: one of them");
    if (cli_has(s->cli, FLAG_IN))
        s->start_ms = now + s->cli->args.number[FLAG_IN];
    if (!at)
        return OK;
    enum status st = when_parse(at, now, &s->start_ms, err);
    if (st != OK)
        err_prefix(err, "--at");
    else if (s->start_ms <= now)
        st = err_set(err, ERR_USAGE, "--at %.60s: that is over", at);
    return st;
}

static enum status prepare(struct submission *s, struct err *err)
{
    enum status st = OK;
    const char *key = cli_flag(s->cli, FLAG_KEY);
    for (int i = 0; i < s->cli->args.words_n && st == OK; i++)
        st = problems_add(&s->problems, s->cli->args.words[i], err);
    size_t key_most = s->problems.n > 1 ? PAWL_KEY_MAX - 17 : PAWL_KEY_MAX;
    if (st == OK && key && (!*key || strlen(key) > key_most))
        st = err_set(err, ERR_USAGE, "--key: 1 to %zu bytes", key_most);
    if (st == OK)
        st = choose_start(s, err);
    if (st == OK)
        st = make_budget(s, err);
    if (st == OK)
        st = pack_workspace(s, err);
    if (st == OK && (!(s->ids = calloc(s->problems.n, sizeof s->ids[0])) ||
                     !(s->keys = calloc(s->problems.n, sizeof s->keys[0]))))
        st = err_set(err, ERR_NOMEM, "out of memory");
    if (st == OK)
        make_keys(s);
    return st;
}

static int follow_all(struct submission *s)
{
    struct cli *cli = s->cli;
    struct follow_how how = { .show = cli_has(cli, FLAG_WATCH),
                              .root = s->packed.root,
                              .make = true };
    const char **ids = calloc(s->problems.n, sizeof *ids);
    how.timeout_ms =
        cli->args.number[FLAG_WAIT] ? cli->args.number[FLAG_WAIT] : cli->args.number[FLAG_TIMEOUT];
    for (size_t i = 0; ids && i < s->problems.n; i++)
        ids[i] = s->ids[i];
    s->talk.timeout_ms = 0;
    int code = ids ? follow(cli, &s->talk, ids, (int)s->problems.n, &how) : status_exit(ERR_NOMEM);
    free(ids);
    return code;
}

static int submit(struct submission *s, struct err *err)
{
    bool wait = cli_has(s->cli, FLAG_WAIT) || cli_has(s->cli, FLAG_WATCH);
    enum status st = prepare(s, err);
    if (st == OK)
        st = talk_open(&s->talk, s->cli->conf, ANSWER_MS, true, err);
    if (st == OK && s->problems.n > 1)
        st = submit_many(s, err);
    else if (st == OK)
        st = submit_one(s, 0, err);
    if (st != OK && s->talk.interrupted)
        return 128 + s->talk.signo;
    if (st != OK)
        return out_error(s->cli, err);
    if (wait)
        return follow_all(s);
    if (s->cli->form == FORM_JSON) {
        json_t *all = json_object();
        js_set(all, "items", json_incref(s->items));
        out_json(s->cli, "JobList", all);
    } else if (s->problems.n == 1) {
        out_note(s->cli, "`pawl watch %s` follows it", s->ids[0]);
    }
    return 0;
}

int cmd_submit(struct cli *cli)
{
    struct submission s = { .cli = cli, .items = json_array() };
    struct err err = { 0 };
    buf_init(&s.budget, 4096);
    int code = submit(&s, &err);
    talk_close(&s.talk);
    packed_free(&s.packed);
    problems_free(&s.problems);
    buf_fini(&s.budget);
    json_decref(s.items);
    free(s.ids);
    free(s.keys);
    return code;
}
