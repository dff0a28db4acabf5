/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_TASK_H
#define PAWL_TASK_H
/* task: the inside of the harness. Stages include workers/harness.h, never this. */
#include "common/endpoints.h"
#include "common/peer.h"
#include "workers/harness.h"

enum ending { ENDING_NO, ENDING_DONE, ENDING_FAIL, ENDING_RELEASE };

/* A STEP on its way to being durable. */
struct step_wait {
    struct step_wait *next;
    struct hash hash;
    json_t *result;
    struct buf frame;
    struct step_use use;
    step_fn *fn;
    void *ctx;
    bool sent;
};

/* A CALL without its answer. */
struct call_wait {
    struct call_wait *next;
    struct hash hash;
    char id[17];
    struct buf frame;
    struct mono began;
    call_fn *fn;
    void *ctx;
    bool sent;
};

struct output {
    char name[PAWL_NAME_MAX + 1];
    struct buf frame;
};

struct task {
    struct worker *worker;
    struct task *next;
    char key[PAWL_KEY_MAX + 1];
    char stage[PAWL_NAME_MAX + 1];
    struct fence fence;
    struct peer_in in; /* the frames as they came */
    char names[PAWL_LIST_MAX][PAWL_NAME_MAX + 1];
    json_t *docs[PAWL_LIST_MAX];
    struct buf blob;
    uint32_t docs_n;
    json_t *facts;
    json_t *steps; /* list of step records, earlier attempts' first */
    struct arena arena;
    void *user;

    char note[200];
    bool note_changed;
    struct buf text; /* not yet sent */
    uint64_t text_offset;
    bool unheard; /* nobody watches: text is counted, not sent */

    struct step_wait *step_waits;
    struct call_wait *call_waits;
    struct mux_timer deliver; /* a reused call is answered in a turn of its own */

    struct output outputs[PAWL_LIST_MAX];
    uint32_t outputs_n;
    struct buf verdict;
    int64_t tokens_in, tokens_out;
    enum ending ending;
    bool sent;
    enum fault fault;
    int64_t retry_after_ms;
    struct err broken; /* a stage put a malformed document: our bug, said as a failure */
    char fail_text[1024];
};

struct worker {
    const struct stage_ops *ops;
    void *self;
    struct conf *conf;
    struct log log;
    struct mux *mux;
    struct peer *peer;
    struct endpoints ends;
    int64_t heard_ms, pinged_ms;
    const char *died; /* how its life before ended, until that is said; NULL: nothing to say */
    char name[PAWL_NAME_MAX * 2];
    char tags[PAWL_LIST_MAX][PAWL_NAME_MAX + 1];
    size_t tags_n;
    int64_t slots, heartbeat_ms;
    uint64_t epoch;
    uint64_t seen, said_seen;
    int64_t said_credit;
    bool welcomed, accept, draining, releasing, opened;
    struct task *tasks;
    int64_t tasks_n;
    struct mux_timer hello, beat, resend, text, drain, look;
    int exit_code;
};

enum status worker_send(struct worker *w, const struct msg *m, const struct str *frames,
                        uint32_t n);
void worker_say(struct worker *w, const struct msg *m); /* once, lost if it cannot go out now */
struct task *worker_find(struct worker *w, struct str key);
void worker_note_soon(struct worker *w);
void worker_text_soon(struct worker *w);
void worker_task_gone(struct worker *w);

/* Takes the frames of `in` on success. */
struct task *task_new(struct worker *w, const struct msg_TASK *k, struct peer_in *in,
                      struct err *err);
void task_free(struct task *t);
void task_unsend(struct task *t); /* all that is unacknowledged has to be said again */
void task_flush(struct task *t);  /* send what is not sent */
void task_flush_text(struct task *t);
void task_listen(struct task *t, bool wanted);
void task_on_stepped(struct task *t, struct str hash);
void task_on_called(struct task *t, const struct msg_CALLED *m, struct peer_in *in);
#endif
