/* SPDX-License-Identifier: Apache-2.0 */
#include "common/msg.h"

#include "common/hash.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* One pass over the fields of a message, writing them or reading them. messages.def turns into one
 * function per message that visits its fields in wire order. */
struct walk {
    struct buf *out;   /* writing */
    struct mp in;      /* reading */
    uint32_t left;     /* reading: fields still there */
    const char *field; /* the one visited last, for the error */
};

typedef enum status visit_fn(struct walk *w, void *message);

static enum status check_text(struct str s, size_t max)
{
    return s.n <= max ? OK : ERR_LIMIT;
}

static enum status read_str(struct walk *w, enum mp_type type, size_t max, struct str *out)
{
    struct mp_value v;
    enum status st = mp_want(&w->in, type, &v);
    if (st == OK)
        st = check_text(v.str, max);
    if (st == OK)
        *out = v.str;
    return st;
}

static enum status visit_U64(struct walk *w, uint64_t *v)
{
    struct mp_value in;
    if (w->out)
        return mp_uint(w->out, *v);
    enum status st = mp_want(&w->in, MP_UINT, &in);
    *v = in.u;
    return st;
}

static enum status visit_I64(struct walk *w, int64_t *v)
{
    struct mp_value in;
    if (w->out)
        return mp_int(w->out, *v);
    enum status st = mp_want(&w->in, MP_INT, &in);
    *v = in.i;
    return st;
}

static enum status visit_BOOL(struct walk *w, bool *v)
{
    struct mp_value in;
    if (w->out)
        return mp_bool(w->out, *v);
    enum status st = mp_want(&w->in, MP_BOOL, &in);
    *v = in.b;
    return st;
}

static enum status visit_STR(struct walk *w, struct str *v)
{
    if (!w->out)
        return read_str(w, MP_STR, PAWL_TEXT_MAX, v);
    enum status st = check_text(*v, PAWL_TEXT_MAX);
    return st == OK ? mp_str(w->out, *v) : st;
}

static enum status visit_BIN(struct walk *w, struct str *v)
{
    if (!w->out)
        return read_str(w, MP_BIN, PAWL_TEXT_MAX, v);
    enum status st = check_text(*v, PAWL_TEXT_MAX);
    return st == OK ? mp_bin(w->out, *v) : st;
}

static enum status visit_STRS(struct walk *w, struct strs *v)
{
    enum status st;
    if (w->out) {
        st = v->n <= PAWL_LIST_MAX ? mp_array(w->out, v->n) : ERR_LIMIT;
        for (uint32_t i = 0; st == OK && i < v->n; i++) {
            st = check_text(v->v[i], PAWL_NAME_MAX);
            if (st == OK)
                st = mp_str(w->out, v->v[i]);
        }
        return st;
    }
    struct mp_value list;
    st = mp_want(&w->in, MP_ARRAY, &list);
    if (st == OK && list.n > PAWL_LIST_MAX)
        st = ERR_LIMIT;
    for (uint32_t i = 0; st == OK && i < list.n; i++)
        st = read_str(w, MP_STR, PAWL_NAME_MAX, &v->v[i]);
    v->n = st == OK ? list.n : 0;
    return st;
}

static enum status read_fence(struct mp *in, struct fence *v)
{
    struct mp_value pair, a, b;
    enum status st = mp_want(in, MP_ARRAY, &pair);
    if (st == OK && pair.n != 2)
        st = ERR_DATA;
    if (st == OK)
        st = mp_want(in, MP_UINT, &a);
    if (st == OK)
        st = mp_want(in, MP_UINT, &b);
    if (st == OK)
        *v = (struct fence){ a.u, b.u };
    return st;
}

static enum status write_fence(struct buf *out, struct fence v)
{
    enum status st = mp_array(out, 2);
    if (st == OK)
        st = mp_uint(out, v.incarnation);
    return st == OK ? mp_uint(out, v.counter) : st;
}

static enum status visit_FENCE(struct walk *w, struct fence *v)
{
    return w->out ? write_fence(w->out, *v) : read_fence(&w->in, v);
}

static enum status read_ref(struct mp *in, struct task_ref *ref)
{
    struct mp_value pair, task;
    enum status st = mp_want(in, MP_ARRAY, &pair);
    if (st == OK && pair.n != 2)
        st = ERR_DATA;
    if (st == OK)
        st = mp_want(in, MP_STR, &task);
    if (st == OK)
        st = check_text(task.str, PAWL_KEY_MAX);
    if (st == OK)
        st = read_fence(in, &ref->fence);
    ref->task = task.str;
    return st;
}

static enum status visit_TASKS(struct walk *w, struct task_list *v)
{
    if (w->out)
        return v->n ? buf_view(w->out, v->raw) : mp_array(w->out, 0);
    struct mp_value list;
    struct task_ref ref;
    size_t from = w->in.at;
    enum status st = mp_want(&w->in, MP_ARRAY, &list);
    if (st == OK && list.n > PAWL_TASKS_MAX)
        st = ERR_LIMIT;
    for (uint32_t i = 0; st == OK && i < list.n; i++)
        st = read_ref(&w->in, &ref);
    if (st == OK)
        *v = (struct task_list){ { (const char *)w->in.p + from, w->in.at - from }, list.n };
    return st;
}

static enum status visit_RAW(struct walk *w, struct str *v)
{
    if (w->out)
        return v->n ? buf_view(w->out, *v) : mp_nil(w->out);
    return mp_skip(&w->in, v);
}

/* A reader that runs out of fields stops: what is missing at the end reads as zero. */
#define MSG(id, number, dir, frames, meaning)                    \
    static enum status visit_##id(struct walk *w, void *message) \
    {                                                            \
        struct msg_##id *m = message;                            \
        enum status st = OK;
#define FIELD(type, name, meaning)             \
        if (!w->out && w->left-- == 0)         \
            return OK;                         \
        w->field = #name;                      \
        if ((st = visit_##type(w, &m->name)) != OK) \
            return st;
#define END(id)    \
        return st; \
    }
#include "schemas/messages.def"
#undef MSG
#undef FIELD
#undef END

enum { DIR_PEER, DIR_BROKER };

struct shape {
    enum msg_type type;
    const char *name;
    visit_fn *visit;
    int dir, frames, fields;
};

/* Every list begins with one element that does not count. */
#define MSG(id, number, dir, frames, meaning) enum { COUNT_##id = 0
#define FIELD(type, name, meaning) +1
#define END(id) };
#include "schemas/messages.def"
#undef MSG
#undef FIELD
#undef END

static const struct shape shapes[] = {
#define MSG(id, number, dir, frames, meaning) \
    { MSG_##id, #id, visit_##id, DIR_##dir, frames, COUNT_##id },
#define FIELD(type, name, meaning)
#define END(id)
#include "schemas/messages.def"
#undef MSG
#undef FIELD
#undef END
};

static const struct shape *shape_of(uint64_t type)
{
    for (size_t i = 0; i < COUNT(shapes); i++) {
        if ((uint64_t)shapes[i].type == type)
            return &shapes[i];
    }
    return NULL;
}

const char *msg_name(enum msg_type type)
{
    const struct shape *s = shape_of(type);
    return s ? s->name : "?";
}

bool msg_from_broker(enum msg_type type)
{
    const struct shape *s = shape_of(type);
    return s && s->dir == DIR_BROKER;
}

int msg_frames(enum msg_type type)
{
    const struct shape *s = shape_of(type);
    return s ? s->frames : 0;
}

bool msg_type_at(size_t i, enum msg_type *type)
{
    if (i >= COUNT(shapes))
        return false;
    *type = shapes[i].type;
    return true;
}

enum status msg_encode(const struct msg *m, struct buf *out)
{
    const struct shape *s = shape_of(m->type);
    assert(s);
    size_t from = out->len;
    struct msg copy = *m; /* visitors take mutable fields; writing changes none */
    struct walk w = { .out = out };
    enum status st = mp_array(out, (size_t)s->fields + 3);
    if (st == OK)
        st = mp_uint(out, PAWL_PROTOCOL);
    if (st == OK)
        st = mp_uint(out, (uint64_t)m->type);
    if (st == OK)
        st = mp_uint(out, m->epoch);
    if (st == OK)
        st = s->visit(&w, &copy.HELLO);
    return st == OK && out->len - from > PAWL_HEADER_MAX ? ERR_LIMIT : st;
}

enum status msg_decode(struct str frame, struct msg *out, struct err *err)
{
    struct mp_value list, version = { 0 }, type = { 0 }, epoch = { 0 };
    struct walk w = { 0 };
    memset(out, 0, sizeof *out);
    if (frame.n > PAWL_HEADER_MAX)
        return err_set(err, ERR_LIMIT, "a header of %zu bytes, more than %d", frame.n, PAWL_HEADER_MAX);
    mp_init(&w.in, frame);
    if (mp_want(&w.in, MP_ARRAY, &list) != OK || list.n < 3 || list.n > PAWL_FIELDS_MAX ||
        mp_want(&w.in, MP_UINT, &version) != OK || mp_want(&w.in, MP_UINT, &type) != OK ||
        mp_want(&w.in, MP_UINT, &epoch) != OK)
        return err_set(err, ERR_DATA, "not a header: want [version, type, epoch, fields…]");
    if (version.u != PAWL_PROTOCOL)
        return err_set(err, ERR_PROTOCOL, "protocol version %" PRIu64 ", this is version %d", version.u,
                       PAWL_PROTOCOL);
    const struct shape *s = shape_of(type.u);
    if (!s)
        return err_set(err, ERR_PROTOCOL, "unknown message type %" PRIu64, type.u);
    out->type = s->type;
    out->epoch = epoch.u;
    w.left = list.n - 3;
    uint32_t extra = w.left > (uint32_t)s->fields ? w.left - (uint32_t)s->fields : 0;
    enum status st = s->visit(&w, &out->HELLO);
    for (; st == OK && extra > 0; extra--)
        st = mp_skip(&w.in, NULL);
    if (st == OK && !mp_end(&w.in))
        st = ERR_DATA;
    if (st != OK)
        return err_set(err, st, "%s.%s: %s", s->name, w.field ? w.field : "",
                       st == ERR_LIMIT ? "over its limit" : "malformed or of another type");
    return OK;
}

bool msg_task_next(const struct task_list *list, size_t *at, struct task_ref *out)
{
    struct mp in;
    struct mp_value head;
    if (list->n == 0 || *at >= list->raw.n)
        return false;
    mp_init(&in, list->raw);
    in.at = *at;
    if (*at == 0 && mp_next(&in, &head) != OK)
        return false;
    if (read_ref(&in, out) != OK)
        return false;
    *at = in.at;
    return true;
}

enum status msg_task_put(struct buf *out, struct str task, struct fence fence)
{
    enum status st = mp_array(out, 2);
    if (st == OK)
        st = mp_str(out, task);
    return st == OK ? write_fence(out, fence) : st;
}

/* The part up to the next slash, as a number of at most nine digits. */
static bool part_number(struct str *rest, uint32_t *out)
{
    size_t n = 0;
    uint32_t v = 0;
    while (n < rest->n && rest->p[n] != '/') {
        char c = rest->p[n];
        if (c < '0' || c > '9' || n >= 9)
            return false;
        v = v * 10 + (uint32_t)(c - '0');
        n++;
    }
    if (n == 0)
        return false;
    size_t skip = n < rest->n ? n + 1 : n;
    *rest = (struct str){ rest->p + skip, rest->n - skip };
    *out = v;
    return true;
}

bool task_key_parse(struct str text, struct task_key *out)
{
    if (text.n <= ID_CHARS + 1 || text.n > PAWL_KEY_MAX || text.p[ID_CHARS] != '/' ||
        !id_parse((struct str){ text.p, ID_CHARS }, &out->job))
        return false;
    struct str rest = { text.p + ID_CHARS + 1, text.n - ID_CHARS - 1 };
    if (!part_number(&rest, &out->run) || !part_number(&rest, &out->round))
        return false;
    const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
    if (!slash || slash == rest.p || slash - rest.p > PAWL_NAME_MAX)
        return false;
    out->stage = (struct str){ rest.p, (size_t)(slash - rest.p) };
    rest = (struct str){ slash + 1, rest.n - out->stage.n - 1 };
    return part_number(&rest, &out->pass) && rest.n == 0;
}

static char *put_part(char *at, uint32_t v)
{
    char digits[10];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    *at++ = '/';
    while (n > 0)
        *at++ = digits[--n];
    return at;
}

/* By hand: the broker writes a dozen of them for each task. */
size_t task_key_text(const struct task_key *k, char out[PAWL_KEY_MAX + 1])
{
    assert(k->stage.n <= PAWL_NAME_MAX);
    id_text(k->job, out);
    char *at = put_part(put_part(out + ID_CHARS, k->run), k->round);
    *at++ = '/';
    if (k->stage.n)
        memcpy(at, k->stage.p, k->stage.n);
    at = put_part(at + k->stage.n, k->pass);
    *at = '\0';
    return (size_t)(at - out);
}
