/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_PIPELINE_H
#define BROKER_PIPELINE_H
/* pipeline: the stages of a job as data. Pure. A pipeline is frozen into the jobs that were
 * submitted under it: its bytes are stored once, under their hash, and records name that hash.
 * Encoded form: [[name, each, attempts, silence_ms, total_ms, [reads…], [writes…], facts or nil,
 * start_ms]…]; start_ms only where it is not silence_ms. */
#include "common/bounds.h"
#include "common/buf.h"

enum stage_each { EACH_RUN, EACH_ROUND, EACH_LANE };

/* Which version of a document a stage reads. */
enum read_which { READ_NEWEST, READ_BEST, READ_LAST };

struct stage_read {
    char name[PAWL_NAME_MAX + 1]; /* without the @ */
    char sent[PAWL_NAME_MAX + 1]; /* as it is called in TASK: draft@best */
    enum read_which which;
};

struct stage_def {
    char name[PAWL_NAME_MAX + 1];
    enum stage_each each;
    uint32_t attempts;  /* from 1 */
    int64_t silence_ms; /* > 0 */
    int64_t total_ms;   /* > 0 */
    int64_t start_ms;   /* > 0: until its worker names the task for the first time */
    struct stage_read *reads;
    uint32_t reads_n;
    char (*writes)[PAWL_NAME_MAX + 1];
    uint32_t writes_n;
    struct str facts; /* encoded map for the worker; empty: none. Points into pipeline.bytes */
    uint32_t lane;    /* the queue of this name, set by the core */
};

struct pipeline {
    uint64_t id; /* of the hash of bytes */
    char *bytes; /* encoded form, owned */
    size_t bytes_n;
    struct stage_def stages[PAWL_STAGES_MAX];
    uint32_t stages_n;
};

/* Read and check; the bytes are copied. NULL: err says what is wrong. */
struct pipeline *pipeline_decode(struct str bytes, struct err *err);
void pipeline_free(struct pipeline *p); /* NULL is fine */

/* The encoded default of stages.def (its X lines), and its lanes (L lines). */
enum status pipeline_default(struct buf *out) MUST_USE;
enum status pipeline_lanes(struct buf *out) MUST_USE;
/* Append one stage; reads and writes are names separated by spaces, facts an encoded map or empty. */
struct stage_text {
    struct str name, each, reads, writes, facts;
    int64_t attempts, silence_ms, total_ms;
    int64_t start_ms; /* 0: silence_ms */
};
void pipeline_put(struct buf *out, const struct stage_text *s);
/* A stage of that name in stages.def. */
bool pipeline_known(struct str name, struct stage_text *out);

bool stage_writes(const struct stage_def *s, struct str name);
#endif
