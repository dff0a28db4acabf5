/* SPDX-License-Identifier: Apache-2.0 */
/* SHOW and GET: a job's record, then what it names. */
#include "broker/serve.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_SHOWN_MAX = 1000 };

struct reading {
    struct broker *b;
    uint64_t conn, req, id;
    bool get; /* GET, else SHOW */
    struct job *job;
    /* GET */
    char name[PAWL_NAME_MAX + 1];
    uint32_t run, round;
    char field[FIELD_MAX];
    /* SHOW */
    struct buf documents;
    uint32_t documents_n;
};

static void reading_free(struct reading *r)
{
    if (r->documents.data)
        buf_fini(&r->documents);
    job_free(r->job);
    free(r);
}

static void fail(struct reading *r, enum status code, const char *text)
{
    loop_refuse(r->b, r->conn, r->req, code, text,
                code == ERR_UNAVAILABLE ? "try again" : "`pawl show` lists what there is");
    reading_free(r);
}

static void fail_store(struct reading *r)
{
    fail(r, ERR_UNAVAILABLE, "the store cannot be reached");
}

/* ---- fields of the job's documents -------------------------------------------------------- */

/* "run/round/name", "ask/a1", "reply/a1"; not the items of lists and steps. */
static bool parse_field(struct str field, uint32_t *run, uint32_t *round, struct str *name)
{
    char text[FIELD_MAX];
    int at = 0;
    if (field.n >= sizeof text || memchr(field.p, '#', field.n))
        return false;
    memcpy(text, field.p, field.n);
    text[field.n] = '\0';
    *run = *round = 0;
    *name = field;
    if (strncmp(text, "ask/", 4) == 0 || strncmp(text, "reply/", 6) == 0)
        return true;
    if (sscanf(text, "%9u/%9u/%n", run, round, &at) != 2 || at == 0)
        return false;
    *name = (struct str){ field.p + at, field.n - (size_t)at };
    return true;
}

/* ---- SHOW --------------------------------------------------------------------------------- */

static void put_items(struct buf *out, const char *key, struct str doc)
{
    struct mp in;
    struct mp_value v;
    mp_z(out, key);
    /* [codec]{items: [...]}: the list as it is */
    if (doc.n > 1) {
        mp_init(&in, (struct str){ doc.p + 1, doc.n - 1 });
        if (mp_want(&in, MP_MAP, &v) == OK && mp_want(&in, MP_STR, &v) == OK) {
            buf_append(out, doc.p + 1 + in.at, doc.n - 1 - in.at);
            return;
        }
    }
    mp_array(out, 0);
}

static void on_lists(void *ctx, enum status st, const struct str *frames, uint32_t n)
{
    struct reading *r = ctx;
    struct msg m = { .type = MSG_JOB, .JOB = { r->req } };
    struct buf frame;
    if (st != OK || !r->b->core) {
        fail_store(r);
        return;
    }
    assert(n == 3);
    buf_init(&frame, PAWL_FRAME_MAX);
    const struct job *now = core_job(r->b->core, r->id);
    map_row(&frame, r->job, MAP_JOB_REST + 4 + (now != NULL));
    map_job_rest(&frame, r->job, r->b->wall_ms);
    put_items(&frame, "ledger", frames[0]);
    put_items(&frame, "comments", frames[1]);
    put_items(&frame, "answers", frames[2]);
    mp_z(&frame, "documents");
    mp_array(&frame, r->documents_n);
    buf_view(&frame, buf_get(&r->documents));
    if (now) {
        mp_z(&frame, "why");
        core_why_map(r->b->core, now, &frame);
    }
    if (frame.status == OK) {
        struct str f = buf_get(&frame);
        loop_say(r->b, r->conn, &m, &f, 1);
    } else {
        loop_refuse(r->b, r->conn, r->req, ERR_LIMIT, "the job's map is larger than a frame",
                    "read its documents with GET");
    }
    buf_fini(&frame);
    reading_free(r);
}

static uint64_t decimal(struct str s)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    return v;
}

static void put_document(struct reading *r, struct str field, struct str bytes)
{
    uint32_t run, round;
    struct str name;
    if (!parse_field(field, &run, &round, &name))
        return;
    struct buf *out = &r->documents;
    mp_map(out, 4);
    mp_z(out, "name");
    mp_str(out, name);
    mp_z(out, "run");
    mp_uint(out, run);
    mp_z(out, "round");
    mp_uint(out, round);
    mp_z(out, "bytes");
    mp_uint(out, decimal(bytes));
    r->documents_n++;
}

static uint32_t shown(uint32_t n)
{
    return n < LIST_SHOWN_MAX ? n : LIST_SHOWN_MAX;
}

static void on_names(void *ctx, enum status st, const struct str *v, uint32_t n)
{
    struct reading *r = ctx;
    if (st != OK) {
        fail_store(r);
        return;
    }
    buf_init(&r->documents, PAWL_FRAME_MAX / 2);
    for (uint32_t i = 0; i + 1 < n; i += 2)
        put_document(r, v[i], v[i + 1]);
    struct need needs[3] = {
        { .kind = NEED_LIST, .name = str_of("ledger"), .count = r->job->ledger_n },
        { .kind = NEED_LIST, .name = str_of("comments"), .count = shown(r->job->comments_n) },
        { .kind = NEED_LIST, .name = str_of("answers"), .count = shown(r->job->answers_n) },
    };
    fetch_docs(r->b, r->id, needs, 3, on_lists, r);
}

/* ---- GET ---------------------------------------------------------------------------------- */

static void on_doc(void *ctx, enum status st, const struct str *frames, uint32_t n)
{
    struct reading *r = ctx;
    struct msg m = { .type = MSG_DOC };
    if (st != OK) {
        fail_store(r);
        return;
    }
    if (n != 1 || !frames[0].p) {
        fail(r, ERR_NOT_FOUND, "the job has no such document");
        return;
    }
    m.DOC = (struct msg_DOC){ r->req, str_of(r->name), r->run, r->round };
    loop_say(r->b, r->conn, &m, frames, 1);
    reading_free(r);
}

static void fetch_field(struct reading *r)
{
    struct need need = { .kind = NEED_FIELD, .name = str_of(r->field) };
    fetch_docs(r->b, r->id, &need, 1, on_doc, r);
}

/* The newest round of the wanted run that has the document. */
static void on_fields(void *ctx, enum status st, const struct str *v, uint32_t n)
{
    struct reading *r = ctx;
    bool found = false;
    if (st != OK) {
        fail_store(r);
        return;
    }
    for (uint32_t i = 0; i + 1 < n; i += 2) {
        uint32_t run, round;
        struct str name;
        if (!parse_field(v[i], &run, &round, &name) || run != r->run || !str_is(name, r->name))
            continue;
        r->round = !found || round > r->round ? round : r->round;
        found = true;
    }
    if (!found) {
        fail(r, ERR_NOT_FOUND, "the run has no such document");
        return;
    }
    struct doc_place at = { (uint16_t)r->run, (uint16_t)r->round };
    field_doc(r->field, at, str_of(r->name));
    fetch_field(r);
}

static void get_names(struct reading *r, store_get_fn *fn)
{
    struct store_get g = { .kind = GET_NAMES, .id = r->id };
    if (r->b->store.ops->get(r->b->store.self, &g, fn, r) != OK)
        fail_store(r);
}

static bool get_list(struct reading *r)
{
    const struct {
        const char *name;
        uint32_t n;
    } lists[] = {
        { "ledger", r->job->ledger_n },
        { "comments", r->job->comments_n },
        { "answers", r->job->answers_n },
    };
    for (size_t i = 0; i < COUNT(lists); i++) {
        if (strcmp(r->name, lists[i].name) != 0)
            continue;
        struct need need = { .kind = NEED_LIST,
                             .name = str_of(lists[i].name),
                             .count = lists[i].n };
        fetch_docs(r->b, r->id, &need, 1, on_doc, r);
        return true;
    }
    return false;
}

static bool get_workspace(struct reading *r)
{
    struct hash h;
    char hex[HASH_HEX + 1];
    if (strcmp(r->name, "workspace") != 0)
        return false;
    if (!r->job->has_workspace) {
        fail(r, ERR_NOT_FOUND, "the job was submitted without a workspace");
        return true;
    }
    memcpy(h.b, r->job->workspace, sizeof h.b);
    hash_hex(&h, hex);
    snprintf(r->field, sizeof r->field, "%s", hex);
    struct need need = { .kind = NEED_BLOB, .name = str_of(r->field) };
    fetch_docs(r->b, r->id, &need, 1, on_doc, r);
    return true;
}

/* The newest ask that has been answered. */
static void newest_reply(struct reading *r)
{
    uint32_t n = r->job->asks_n;
    for (bool open = true; open && n > 0;) {
        open = false;
        for (const struct task *t = r->job->asks; t; t = t->next)
            open = open || t->pass == n;
        n -= open;
    }
    snprintf(r->name, sizeof r->name, "reply/a%u", n);
}

static void get_named(struct reading *r)
{
    char *at = strchr(r->name, '@');
    bool best = at && strcmp(at, "@best") == 0;
    if (at)
        *at = '\0';
    if (at && !best) {
        fail(r, ERR_DATA, "after @ comes best");
        return;
    }
    const struct doc_ref *d = job_doc(r->job, r->name);
    if ((r->run || r->round) && !best) {
        r->run = r->run ? r->run : r->job->run;
        if (!r->round) {
            get_names(r, on_fields);
            return;
        }
        struct doc_place place = { (uint16_t)r->run, (uint16_t)r->round };
        field_doc(r->field, place, str_of(r->name));
        fetch_field(r);
        return;
    }
    struct doc_place place = !d ? NO_PLACE : best ? d->best : d->newest;
    if (!place_is(place)) {
        fail(r, ERR_NOT_FOUND,
             best ? "the job has no best candidate with such a document"
                  : "the job has no such document");
        return;
    }
    r->run = place.run;
    r->round = place.round;
    field_doc(r->field, place, str_of(r->name));
    fetch_field(r);
}

static void get_document(struct reading *r)
{
    if (get_workspace(r) || get_list(r))
        return;
    if (strcmp(r->name, "reply") == 0)
        newest_reply(r);
    if (strncmp(r->name, "ask/", 4) == 0 || strncmp(r->name, "reply/", 6) == 0) {
        snprintf(r->field, sizeof r->field, "%s", r->name);
        fetch_field(r);
        return;
    }
    get_named(r);
}

/* ---- both --------------------------------------------------------------------------------- */

static void on_record(void *ctx, enum status st, const struct str *v, uint32_t n)
{
    struct reading *r = ctx;
    struct err err;
    if (st != OK || !r->b->core) {
        fail_store(r);
        return;
    }
    if (n == 0 || !v[0].p ||
        !(r->job = record_decode(v[0], core_find_pipeline, r->b->core, &err))) {
        fail(r, ERR_NOT_FOUND, "there is no such job");
        return;
    }
    if (r->get)
        get_document(r);
    else
        get_names(r, on_names);
}

static void begin(struct broker *b, struct conn *c, struct reading from, struct str name)
{
    uint64_t id = 0;
    enum status st = core_find(b->core, name, access_project(c->role), &id);
    if (st != OK) {
        loop_refuse(b, c->id, from.req, st,
                    st == ERR_DATA ? "several jobs begin so" : "there is no such job",
                    st == ERR_DATA ? "give more characters of its id" : "`pawl ps` lists the jobs");
        return;
    }
    struct reading *r = calloc(1, sizeof *r);
    assert(r);
    *r = from;
    r->b = b;
    r->conn = c->id;
    r->id = id;
    struct store_get g = { .kind = GET_RECORD, .id = id };
    if (b->store.ops->get(b->store.self, &g, on_record, r) != OK)
        fail_store(r);
}

void serve_show(struct broker *b, struct conn *c, const struct msg_SHOW *m)
{
    begin(b, c, (struct reading){ .req = m->req }, m->job);
}

void serve_get(struct broker *b, struct conn *c, const struct msg_GET *m)
{
    struct reading r = { .req = m->req, .get = true };
    if (m->name.n == 0 || m->name.n > PAWL_NAME_MAX || m->run > PAWL_RUNS_MAX ||
        m->round > PAWL_ROUNDS_MAX) {
        loop_refuse(b, c->id, m->req, ERR_DATA, "GET: a document's name, a run and a round", "");
        return;
    }
    memcpy(r.name, m->name.p, m->name.n);
    r.run = (uint32_t)m->run;
    r.round = (uint32_t)m->round;
    begin(b, c, r, m->job);
}
