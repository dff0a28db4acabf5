/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_EFFECTS_H
#define BROKER_EFFECTS_H
/* effects: what must follow from the events of one turn, in order. Pure. Everything that an effect
 * points to lives in the effects' own arena until effects_clear(), except document frames: those
 * are views of the events' frames, which the shell keeps until the turn is sealed. */
#include "broker/job.h"
#include "common/arena.h"
#include "common/logline.h"

enum fx_kind {
    FX_SEND,   /* a message: header, frames */
    FX_TASK,   /* a TASK: header, needs (documents that the shell fetches after the commit) */
    FX_DOC,    /* store a document: job, field, bytes */
    FX_UNDOC,  /* delete the fields of a finished task's steps: job, field (prefix), count */
    FX_RECORD, /* store a job's record: job, bytes, index changes */
    FX_HALTS,  /* store what is paused: bytes */
    FX_FORGET, /* delete a job and all that belongs to it */
    FX_EVENT,  /* history: name, job, facts */
    FX_LIVE,   /* for those who watch now, not kept: name, job, facts; of TOKENS peer and task */
    FX_GONE,   /* the core has forgotten this peer */
    FX_LOG,
};

/* A document that goes with a TASK. */
enum need_kind { NEED_FIELD, NEED_LIST, NEED_STEPS, NEED_BLOB, NEED_BYTES };
struct need {
    enum need_kind kind;
    struct str name;  /* field, or list name, or prefix of the step fields */
    uint32_t count;   /* items of a list */
    struct str bytes; /* NEED_BYTES */
};

/* Sets that a record is listed in; bits of job.indexed. */
#define INDEXES(X)                                                                                 \
    X(ALL, "all")                                                                                  \
    X(OPEN, "open")                                                                                \
    X(ENDED, "ended") X(WAITING, "waiting") X(DELAYED, "delayed") X(FAILED, "failed")
enum index_bit {
#define X(id, name) INDEX_NO_##id,
    INDEXES(X)
#undef X
        INDEX_COUNT
};
const char *index_name(int bit);

struct fx {
    enum fx_kind kind;
    bool guarded; /* abandon, cancel, acknowledge: only after the epoch is checked (rule 4) */
    uint64_t peer, job;
    uint64_t req;       /* of the request that is answered; 0: none */
    struct str header;  /* SEND, TASK */
    struct str *frames; /* SEND */
    uint32_t frames_n;
    struct need *needs; /* TASK, in the order of its docs */
    uint32_t needs_n;
    struct str task; /* TASK, LIVE of TOKENS: its key */
    struct fence fence;
    const char *name; /* EVENT, LIVE: kind; LOG: message */
    struct str field, bytes;
    uint64_t expect, version; /* RECORD: version in the store (0: none) and the new one */
    uint32_t add, del;        /* RECORD: index bits */
    int64_t created_ms, changed_ms;
    struct str workspace; /* RECORD of a submission, FORGET: blob it needs, hex; empty: none */
    struct str project;
    uint32_t count;
    int64_t at_ms; /* EVENT, LIVE */
    enum log_level level;
};

struct effects {
    struct fx *v;
    uint32_t n, cap;
    struct arena arena;
    struct buf scratch; /* what is put together before it is copied into the arena … */
    struct buf header;  /* … and the header of a message */
    uint64_t epoch;     /* written into every message */
    bool failed;    /* out of memory: the turn cannot be sealed */
};

enum { EFFECTS_BYTES_MAX = 1 << 30 };
void effects_init(struct effects *fx, uint64_t epoch);
void effects_clear(struct effects *fx);
void effects_fini(struct effects *fx);
/* The new effect, zeroed but for its kind; on memory failure a scratch one, and fx->failed. */
struct fx *effects_add(struct effects *fx, enum fx_kind kind);
struct str effects_copy(struct effects *fx, struct str s);
/* An empty buf of at most max bytes, until the next call: for what is copied into the arena next. */
struct buf *effects_scratch(struct effects *fx, size_t max);

/* Encode a message now; frames are copied as views. `guarded` as above. */
struct fx *say(struct effects *fx, uint64_t peer, struct msg *m, bool guarded);
void say_refused(struct effects *fx, uint64_t peer, uint64_t req, enum status code,
                 const char *text, const char *fix);
void say_okay(struct effects *fx, uint64_t peer, uint64_t req, const char *id);
void say_taken(struct effects *fx, uint64_t peer, struct str task, struct fence fence,
               const char *outcome);
void say_drop(struct effects *fx, uint64_t peer, struct str task, struct fence fence,
              const char *reason);
#endif
