/* SPDX-License-Identifier: Apache-2.0 */
/* edge: what the core must know of documents and maps is read out here, once, with bounds. */
#include "broker/broker.h"

#include "common/mp.h"

#include <stdlib.h>
#include <string.h>

enum { SMALL_DOC_MAX = 1024 * 1024, QUESTION_ID_MAX = 64, QUESTION_TEXT_MAX = 4096 };

enum status frame_plain(struct str frame, size_t max, struct buf *plain, struct str *out)
{
    if (frame.n < 2)
        return ERR_DATA;
    struct str rest = { frame.p + 1, frame.n - 1 };
    if (frame.p[0] == 0) {
        *out = rest;
        return rest.n <= max ? OK : ERR_LIMIT;
    }
    if (frame.p[0] != 1)
        return ERR_DATA;
    buf_init(plain, max);
    enum status st = zunpack(rest, max, plain);
    *out = buf_get(plain);
    return st;
}

/* The value of a key in an encoded map; false: absent or malformed. */
static bool map_get(struct str map, const char *key, struct str *raw)
{
    struct mp in;
    struct mp_value head, k;
    mp_init(&in, map);
    if (map.n == 0 || mp_want(&in, MP_MAP, &head) != OK)
        return false;
    for (uint32_t i = 0; i < head.n; i++) {
        struct str value;
        if (mp_want(&in, MP_STR, &k) != OK || mp_skip(&in, &value) != OK)
            return false;
        if (str_is(k.str, key)) {
            *raw = value;
            return true;
        }
    }
    return false;
}

static bool get_value(struct str map, const char *key, enum mp_type type, struct mp_value *v)
{
    struct mp in;
    struct str raw;
    if (!map_get(map, key, &raw))
        return false;
    mp_init(&in, raw);
    return mp_want(&in, type, v) == OK;
}

static bool get_str(struct str map, const char *key, size_t max, struct str *out)
{
    struct mp_value v;
    if (!get_value(map, key, MP_STR, &v) || v.str.n > max)
        return false;
    *out = v.str;
    return true;
}

static bool get_int(struct str map, const char *key, int64_t least, int64_t most, int64_t *out)
{
    struct mp_value v;
    if (!get_value(map, key, MP_INT, &v) || v.i < least || v.i > most)
        return false;
    *out = v.i;
    return true;
}

static bool is_nil(struct str raw)
{
    return raw.n == 0 || (raw.n == 1 && (unsigned char)raw.p[0] == 0xc0);
}

/* ---- verdict, questions, reply ------------------------------------------------------------ */

static enum status take_verdict(struct edge *e, struct str raw, struct err *err)
{
    struct mp_value gates;
    int64_t measures, judge, errors, warnings;
    struct str candidate;
    if (is_nil(raw))
        return OK;
    if (!get_value(raw, "gates", MP_BOOL, &gates) ||
        !get_int(raw, "measures", 0, 1000, &measures) || !get_int(raw, "judge", -1, 1000, &judge) ||
        !get_int(raw, "errors", 0, 1000000, &errors) ||
        !get_int(raw, "warnings", 0, 1000000, &warnings) ||
        !get_str(raw, "candidate", HASH_HEX, &candidate))
        return err_set(err, ERR_DATA, "DONE.verdict: not a verdict (documents.def)");
    struct verdict *v = &e->ev.verdict;
    *v = (struct verdict){ .gates = gates.b,
                           .measures = (int32_t)measures,
                           .judge = (int32_t)judge,
                           .errors = (uint32_t)errors,
                           .warnings = (uint32_t)warnings };
    memcpy(v->candidate, candidate.p, candidate.n);
    e->ev.has_verdict = true;
    return OK;
}

static enum status take_question(struct edge *e, struct mp *in, struct err *err)
{
    struct asked *a = &e->asked[e->ev.asked_n];
    int64_t deadline = 0;
    *a = (struct asked){ 0 };
    if (mp_skip(in, &a->raw) != OK || !get_str(a->raw, "id", QUESTION_ID_MAX, &a->id) ||
        !get_str(a->raw, "text", QUESTION_TEXT_MAX, &a->text) || a->raw.n > 64 * 1024 ||
        a->id.n == 0 || !get_str(a->raw, "otherwise", QUESTION_TEXT_MAX, &a->otherwise))
        return err_set(err, ERR_DATA, "DONE: a question needs id, text and otherwise");
    if (get_int(a->raw, "deadline_ms", 1, (int64_t)366 * 24 * 3600 * 1000, &deadline))
        a->deadline_ms = deadline;
    e->ev.asked_n++;
    return OK;
}

static enum status take_questions(struct edge *e, struct str frame, struct err *err)
{
    struct str doc, items;
    struct mp in;
    struct mp_value list;
    if (frame_plain(frame, SMALL_DOC_MAX, &e->plain, &doc) != OK || !map_get(doc, "items", &items))
        return err_set(err, ERR_DATA, "DONE: malformed document questions");
    mp_init(&in, items);
    if (mp_want(&in, MP_ARRAY, &list) != OK || list.n > QUESTIONS_MAX)
        return err_set(err, ERR_DATA, "DONE: questions.items: not a list of at most %d",
                       QUESTIONS_MAX);
    e->ev.asked = e->asked;
    enum status st = OK;
    for (uint32_t i = 0; st == OK && i < list.n; i++)
        st = take_question(e, &in, err);
    return st;
}

static enum status take_reply(struct edge *e, struct str frame, struct err *err)
{
    struct str doc;
    if (frame_plain(frame, SMALL_DOC_MAX, &e->plain, &doc) != OK ||
        !get_str(doc, "text", 65536, &e->ev.reply))
        return err_set(err, ERR_DATA, "DONE: malformed document reply");
    if (!get_str(doc, "question", 16384, &e->ev.reply_question))
        e->ev.reply_question = (struct str){ 0 };
    return OK;
}

static enum status fill_done(struct edge *e, const struct msg_DONE *m, const struct str *frames,
                             struct err *err)
{
    enum status st = take_verdict(e, m->verdict, err);
    bool read = false;
    for (uint32_t i = 0; st == OK && i < m->docs.n && !read; i++) {
        read = true;
        if (str_is(m->docs.v[i], "questions"))
            st = take_questions(e, frames[i], err);
        else if (str_is(m->docs.v[i], "reply"))
            st = take_reply(e, frames[i], err);
        else
            read = false;
    }
    return st;
}

/* ---- budget ------------------------------------------------------------------------------- */

static enum status take_budget(struct budget *out, struct str raw, struct err *err)
{
    const int64_t month_ms = (int64_t)31 * 24 * 3600 * 1000, tokens_max = (int64_t)1 << 40;
    int64_t v[7] = { out->rounds,   (int64_t)out->tokens, out->wall_ms,    out->patience,
                     out->measures, out->judge,           out->question_ms };
    const struct {
        const char *key;
        int64_t least, most;
    } limits[] = {
        { "rounds", 1, PAWL_ROUNDS_MAX },
        { "tokens", 1, tokens_max },
        { "wall_ms", 1, month_ms },
        { "patience", 1, PAWL_ROUNDS_MAX },
        { "measures", 0, 1000 },
        { "judge", 0, 1000 },
        { "question_ms", 1, 12 * month_ms },
    };
    for (size_t i = 0; i < COUNT(limits) && !is_nil(raw); i++) {
        struct str value;
        if (map_get(raw, limits[i].key, &value) && !is_nil(value) &&
            !get_int(raw, limits[i].key, limits[i].least, limits[i].most, &v[i]))
            return err_set(err, ERR_DATA, "SUBMIT.budget.%s: a number from %lld to %lld",
                           limits[i].key, (long long)limits[i].least, (long long)limits[i].most);
    }
    *out = (struct budget){ .rounds = (uint32_t)v[0],
                            .tokens = (uint64_t)v[1],
                            .wall_ms = v[2],
                            .patience = (uint32_t)v[3],
                            .measures = (uint32_t)v[4],
                            .judge = (uint32_t)v[5],
                            .question_ms = v[6] };
    return OK;
}

static uint32_t docs_said(const struct msg *m)
{
    if (m->type == MSG_DONE)
        return m->DONE.docs.n;
    if (m->type == MSG_FAIL)
        return m->FAIL.docs.n;
    if (m->type == MSG_SUBMIT)
        return m->SUBMIT.docs.n;
    return UINT32_MAX;
}

static bool is_frame(struct str s)
{
    return s.n >= 2 && (s.p[0] == 0 || s.p[0] == 1);
}

static enum status take_job(struct mp *in, struct new_job *w)
{
    struct mp_value v;
    if (mp_want(in, MP_ARRAY, &v) != OK || v.n != 3 || mp_want(in, MP_STR, &v) != OK)
        return ERR_DATA;
    w->key = v.str;
    if (mp_want(in, MP_STR, &v) != OK)
        return ERR_DATA;
    w->label = v.str;
    if (mp_want(in, MP_BIN, &v) != OK || !is_frame(v.str))
        return ERR_DATA;
    w->problem = v.str;
    return OK;
}

/* The lists of a SUBMIT_ALL. They are not packed themselves: jobs keep views of them until their
 * turn is made. */
static enum status fill_jobs(struct edge *e, const struct str *frames, uint32_t n, struct err *err)
{
    e->jobs = calloc(PAWL_SUBMIT_MAX, sizeof *e->jobs);
    if (!e->jobs)
        return err_set(err, ERR_NOMEM, "out of memory");
    for (uint32_t i = 0; i < n; i++) {
        struct mp in;
        struct mp_value list;
        mp_init(&in, (struct str){ frames[i].p + 1, frames[i].n ? frames[i].n - 1 : 0 });
        if (frames[i].n < 2 || frames[i].p[0] != 0 || mp_want(&in, MP_ARRAY, &list) != OK)
            return err_set(err, ERR_DATA, "SUBMIT_ALL: frame %u is not a plain list", i + 1);
        if (list.n > PAWL_SUBMIT_MAX - e->ev.jobs_n)
            return err_set(err, ERR_LIMIT, "SUBMIT_ALL: more than %d jobs", PAWL_SUBMIT_MAX);
        for (uint32_t k = 0; k < list.n; k++) {
            if (take_job(&in, &e->jobs[e->ev.jobs_n++]) != OK)
                return err_set(err, ERR_DATA, "SUBMIT_ALL: job %u is not [key, label, problem]",
                               e->ev.jobs_n);
        }
        if (!mp_end(&in))
            return err_set(err, ERR_DATA, "SUBMIT_ALL: frame %u goes on after its list", i + 1);
    }
    e->ev.jobs = e->jobs;
    return e->ev.jobs_n ? OK : err_set(err, ERR_DATA, "SUBMIT_ALL: no jobs");
}

static enum status check_frames(const struct str *frames, uint32_t n, struct err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!is_frame(frames[i]))
            return err_set(err, ERR_DATA, "document %u is not a frame of a codec byte and bytes",
                           i + 1);
    }
    return OK;
}

enum status edge_fill(struct broker *b, struct edge *e, const struct msg *m,
                      const struct str *frames, uint32_t n, struct err *err)
{
    uint32_t said = docs_said(m);
    e->ev.msg = m;
    e->ev.frames = frames;
    e->ev.frames_n = n;
    if (said != UINT32_MAX && said != n)
        return err_set(err, ERR_DATA, "%s names %u documents and carries %u", msg_name(m->type),
                       said, n);
    enum status st = said != UINT32_MAX ? check_frames(frames, n, err) : OK;
    if (st == OK && m->type == MSG_DONE)
        st = fill_done(e, &m->DONE, frames, err);
    if (st == OK && m->type == MSG_SUBMIT) {
        e->budget = b->core_conf.budget;
        st = take_budget(&e->budget, m->SUBMIT.budget, err);
        e->ev.budget = &e->budget;
    }
    if (st == OK && m->type == MSG_SUBMIT_ALL) {
        e->budget = b->core_conf.budget;
        st = take_budget(&e->budget, m->SUBMIT_ALL.budget, err);
        e->ev.budget = &e->budget;
        if (st == OK)
            st = fill_jobs(e, frames, n, err);
    }
    return st;
}

void edge_fini(struct edge *e)
{
    free(e->jobs);
    if (e->plain.data)
        buf_fini(&e->plain);
}
