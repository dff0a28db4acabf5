/* SPDX-License-Identifier: Apache-2.0 */
/* serve: requests that change nothing, answered from the store through the reading connection, so
 * that they show what is durable. LIST here; SHOW and GET in serve_job.c. */
#include "broker/serve.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_MAX = 1000, SCAN_MAX = 5000, PAGE_BYTES_MAX = PAWL_FRAME_MAX - 65536 };

struct listing {
    struct broker *b;
    uint64_t conn, req;
    char index[16];
    bool by_state;
    enum job_state state;
    char project[PAWL_NAME_MAX + 1];
    uint32_t limit, n, scanned;
    struct buf rows;
    char cursor[64];
};

static void listing_free(struct listing *l)
{
    buf_fini(&l->rows);
    free(l);
}

static void answer_page(struct listing *l)
{
    struct msg m = { .type = MSG_PAGE, .PAGE = { l->req, str_of(l->cursor) } };
    struct buf frame;
    buf_init(&frame, PAWL_FRAME_MAX);
    mp_array(&frame, l->n);
    buf_view(&frame, buf_get(&l->rows));
    struct str f = buf_get(&frame);
    loop_say(l->b, l->conn, &m, &f, 1);
    buf_fini(&frame);
    listing_free(l);
}

static void set_cursor(struct listing *l, const struct job *j)
{
    char id[ID_CHARS + 1];
    id_text(j->id, id);
    int64_t score = strcmp(l->index, "ended") == 0 ? j->ended_ms : j->created_ms;
    snprintf(l->cursor, sizeof l->cursor, "%lld:%s", (long long)score, id);
}

static bool wanted(const struct listing *l, const struct job *j)
{
    return (!l->by_state || j->state == l->state) &&
           (!l->project[0] || strcmp(l->project, j->project) == 0);
}

/* False: the page is full. */
static bool add_row(struct listing *l, struct str record)
{
    struct err err;
    if (!record.p)
        return true; /* removed since */
    struct job *j = record_decode(record, core_find_pipeline, l->b->core, &err);
    if (!j)
        return true;
    if (wanted(l, j)) {
        map_row(&l->rows, j, 0);
        l->n++;
    }
    bool full = l->n >= l->limit || l->rows.len >= PAGE_BYTES_MAX - 65536;
    if (full)
        set_cursor(l, j);
    job_free(j);
    return !full;
}

static void next_page(struct listing *l);

static void on_page(void *ctx, enum status st, const struct str *v, uint32_t n)
{
    struct listing *l = ctx;
    struct broker *b = l->b;
    if (st != OK || !b->core) {
        loop_refuse(b, l->conn, l->req, st == ERR_DATA ? ERR_DATA : ERR_UNAVAILABLE,
                    st == ERR_DATA ? "not a cursor of LIST" : "the store cannot be reached", "");
        listing_free(l);
        return;
    }
    char last[sizeof l->cursor];
    snprintf(last, sizeof last, "%.*s", STR_ARG(n ? v[0] : (struct str){ 0 }));
    for (uint32_t i = 1; i + 1 < n; i += 2) {
        l->scanned++;
        if (!add_row(l, v[i + 1])) {
            answer_page(l);
            return;
        }
    }
    memcpy(l->cursor, last, sizeof last);
    if (l->cursor[0] && l->scanned < SCAN_MAX)
        next_page(l);
    else
        answer_page(l);
}

static void next_page(struct listing *l)
{
    struct str names[2] = { str_of(l->index), str_of(l->cursor) };
    uint32_t limit = l->by_state || l->project[0] ? LIMIT_MAX : l->limit;
    struct store_get g = { .kind = GET_PAGE, .names = names, .names_n = 2, .limit = limit };
    enum status st = l->b->store.ops->get(l->b->store.self, &g, on_page, l);
    if (st != OK)
        on_page(l, st, NULL, 0);
}

/* The smallest index that holds all jobs in the wanted state. */
static bool choose_index(struct listing *l, struct str state)
{
    static const char *const own[] = { "open", "ended", "waiting", "delayed", "failed" };
    snprintf(l->index, sizeof l->index, "all");
    if (state.n == 0)
        return true;
    for (size_t i = 0; i < COUNT(own); i++) {
        if (str_is(state, own[i])) {
            snprintf(l->index, sizeof l->index, "%s", own[i]);
            return true;
        }
    }
    if (!job_state_find(state, &l->state))
        return false;
    l->by_state = true;
    snprintf(l->index, sizeof l->index, "%s", job_state_ended(l->state) ? "ended" : "open");
    return true;
}

static void serve_list(struct broker *b, struct conn *c, const struct msg_LIST *m)
{
    struct str access = access_project(c->role), project = access.n ? access : m->project;
    struct listing *l = calloc(1, sizeof *l);
    assert(l);
    *l = (struct listing){ .b = b,
                           .conn = c->id,
                           .req = m->req,
                           .limit = m->limit >= 1 && m->limit <= LIMIT_MAX ? (uint32_t)m->limit
                                                                           : LIMIT_MAX };
    buf_init(&l->rows, PAGE_BYTES_MAX);
    snprintf(l->project, sizeof l->project, "%.*s", STR_ARG(project));
    snprintf(l->cursor, sizeof l->cursor, "%.*s", STR_ARG(m->cursor));
    if (!choose_index(l, m->state)) {
        loop_refuse(b, c->id, m->req, ERR_DATA, "LIST.state: a state, open, ended, or empty", "");
        listing_free(l);
        return;
    }
    next_page(l);
}

bool serve(struct broker *b, struct conn *c, const struct msg *m)
{
    uint64_t req = m->type >= MSG_SUBMIT ? m->LIST.req : 0;
    bool ours = m->type == MSG_LIST || m->type == MSG_SHOW || m->type == MSG_GET ||
                m->type == MSG_WORKERS || m->type == MSG_STATUS || m->type == MSG_WATCH ||
                m->type == MSG_UNWATCH || m->type == MSG_PUT;
    if (ours && !core_peer_known(b->core, c->id)) {
        loop_refuse(b, c->id, req, ERR_PROTOCOL, "unknown peer: say HELLO", "");
        return true;
    }
    if (ours)
        core_peer_heard(b->core, c->id, b->now_ms);
    if (m->type == MSG_LIST)
        serve_list(b, c, &m->LIST);
    else if (m->type == MSG_SHOW)
        serve_show(b, c, &m->SHOW);
    else if (m->type == MSG_GET)
        serve_get(b, c, &m->GET);
    else if (m->type == MSG_WORKERS)
        serve_workers(b, c, req);
    else if (m->type == MSG_STATUS)
        serve_status(b, c, req);
    else if (m->type == MSG_WATCH)
        serve_watch(b, c, &m->WATCH);
    else if (m->type == MSG_UNWATCH)
        serve_unwatch(b, c, req);
    else
        return false;
    return true;
}
