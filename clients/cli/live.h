/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_LIVE_H
#define PAWL_CLI_LIVE_H
/* live: a job as its events tell it, and two pictures of it: lines for a pipe, a few rows for a
 * terminal. Pure: events in, text out, time is an argument. Texts of models and users are cleaned
 * before they are shown (out.h). */
#include "clients/cli/link.h"
#include "common/buf.h"

enum { LIVE_TAIL = 2048, LIVE_ROWS_MAX = 12 };

struct live_round {
    int64_t round, measures, judge, tokens, ms;
    bool kept, gates;
};

struct live {
    char job[32], state[16], stage[65], reason[512], note[256], worker[96];
    int64_t run, round, rounds_max;
    int64_t tokens_in, tokens_out; /* of finished calls and stages */
    int64_t step_tokens, step_ms;  /* of the last finished model call */
    int64_t begun_ms, stage_ms,
        seen_ms; /* wall clock of the first event, the stage, the last event */
    struct live_round rounds[PAWL_ROUNDS_MAX];
    size_t rounds_n;
    char tail[LIVE_TAIL]; /* end of the text that is being generated */
    size_t tail_n;
    char tail_task[PAWL_KEY_MAX + 1];
    uint64_t tail_at;            /* its offset */
    int64_t rate_ms, rate_bytes; /* since when, how many bytes */
    json_t *question;            /* the open one, NULL: none */
    bool ended;
};

void live_init(struct live *l, const char *job);
void live_fini(struct live *l);
/* Start from the broker's map of the job (SHOW). */
void live_load(struct live *l, const json_t *job);
void live_event(struct live *l, const struct link_event *ev);
/* The line for this event, which l has already seen; nothing for most kinds of events. */
void live_line(const struct live *l, const struct link_event *ev, struct buf *out);

struct live_view {
    int64_t now_ms; /* wall clock */
    size_t columns, rows;
    bool color;
};
/* At most v->rows lines, each at most v->columns wide, ending in newlines; returns their number. */
size_t live_paint(const struct live *l, const struct live_view *v, struct buf *out);
/* One line, for when several jobs are followed. */
size_t live_paint_line(const struct live *l, const struct live_view *v, struct buf *out);

bool state_ended(const char *state);
/* "gates ok, measures 0.84, judge 0.62" of a verdict map. */
void verdict_text(const json_t *verdict, struct buf *out);
/* Exit code of a job that ended so; 124 for an open one. */
int state_exit(const char *state);
#endif
