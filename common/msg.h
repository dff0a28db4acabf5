/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MSG_H
#define PAWL_MSG_H
/* msg: the header frame of a message as a struct, and back. Generated from schemas/messages.def,
 * pure, fuzzed. Strings and raw values are views into the decoded bytes (or whatever the writer
 * points them at): they live as long as those. */
#include "common/bounds.h"
#include "common/mp.h"

#define PAWL_PROTOCOL 1

/* The number of one lease. Equality only: numbers do not come back (design rule 3). */
struct fence {
    uint64_t incarnation;
    uint64_t counter;
};

static inline bool fence_eq(struct fence a, struct fence b)
{
    return a.incarnation == b.incarnation && a.counter == b.counter;
}

struct strs {
    struct str v[PAWL_LIST_MAX];
    uint32_t n;
};

/* A list of [task key, fence]; walk it with msg_task_next(). Zero: empty. */
struct task_list {
    struct str raw; /* the encoded list, checked by the decoder */
    uint32_t n;
};

struct task_ref {
    struct str task;
    struct fence fence;
};

enum msg_type {
#define MSG(id, number, dir, frames, meaning) MSG_##id = number,
#define FIELD(type, name, meaning)
#define END(id)
#include "schemas/messages.def"
#undef MSG
#undef FIELD
#undef END
};

#define MSG_C_U64 uint64_t
#define MSG_C_I64 int64_t
#define MSG_C_BOOL bool
#define MSG_C_STR struct str
#define MSG_C_BIN struct str
#define MSG_C_STRS struct strs
#define MSG_C_FENCE struct fence
#define MSG_C_TASKS struct task_list
#define MSG_C_RAW struct str /* an encoded value; empty means nil */

#define MSG(id, number, dir, frames, meaning) struct msg_##id {
#define FIELD(type, name, meaning) MSG_C_##type name;
#define END(id) };
#include "schemas/messages.def"
#undef MSG
#undef FIELD
#undef END

/* A decoded header. msg.HELLO.name, msg.TASK.fence, … */
struct msg {
    enum msg_type type;
    uint64_t epoch; /* incarnation of the broker; 0 in what peers say */
    union {
#define MSG(id, number, dir, frames, meaning) struct msg_##id id;
#define FIELD(type, name, meaning)
#define END(id)
#include "schemas/messages.def"
#undef MSG
#undef FIELD
#undef END
    };
};

/* Append the header frame. Errors: ERR_LIMIT (a field over its bound), ERR_NOMEM. */
enum status msg_encode(const struct msg *m, struct buf *out) MUST_USE;
/* Errors: ERR_DATA (malformed), ERR_LIMIT, ERR_PROTOCOL (version or type unknown); err says which
 * field. Unknown trailing fields are ignored; missing trailing fields read as zero or empty. */
enum status msg_decode(struct str frame, struct msg *out, struct err *err) MUST_USE;

const char *msg_name(enum msg_type type); /* "HELLO"; "?" when unknown */
bool msg_from_broker(enum msg_type type); /* direction of the type */
int msg_frames(enum msg_type type);       /* 1: documents may follow; 0: none */
/* Every type in the order of the list; returns false after the last. i from 0. */
bool msg_type_at(size_t i, enum msg_type *type);

/* Walk a task list: start with at = 0. False at the end. */
bool msg_task_next(const struct task_list *list, size_t *at, struct task_ref *out);
/* Append one reference to an open list: begin with mp_array(buf, n), then n of these. */
enum status msg_task_put(struct buf *out, struct str task, struct fence fence);

/* A task key: "job/run/round/stage/pass". */
struct task_key {
    uint64_t job; /* as in id_text() */
    uint32_t run, round, pass;
    struct str stage; /* view into the text */
};
bool task_key_parse(struct str text, struct task_key *out);
/* Writes at most PAWL_KEY_MAX bytes and a NUL; returns the length. */
size_t task_key_text(const struct task_key *k, char out[PAWL_KEY_MAX + 1]);
#endif
