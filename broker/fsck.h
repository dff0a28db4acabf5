/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_FSCK_H
#define BROKER_FSCK_H
/* fsck: what the store's indexes should be, worked out from its records, against what they are.
 * Pure: whoever reads the store tells everything that is there, in any order but for one rule
 * (pipelines before records), and then asks for the differences. */
#include "broker/effects.h"

/* How a difference is put right. Nothing is deleted that cannot be made again: keys and fields that
 * no broker can use are set aside under lost:. */
#define FSCK_FIXES(X)                                                                              \
    X(NONE, "")           /* what is lost cannot be made again */                                  \
    X(ENTER, "ZADD")      /* key, member, score */                                                 \
    X(STRIKE, "ZREM")     /* key, member */                                                        \
    X(NEED, "SADD")       /* key, member */                                                        \
    X(UNNEED, "SREM")     /* key, member */                                                        \
    X(ASIDE, "RENAME")    /* key */                                                                \
    X(ITEM_ASIDE, "HDEL") /* key, member: a field of a hash */                                     \
    X(STAMP, "SETRANGE")  /* key, member: the version that the record names */
enum fsck_fix {
#define X(id, command) FSCK_##id,
    FSCK_FIXES(X)
#undef X
        FSCK_FIX_COUNT
};

struct finding {
    const char *kind; /* missing-entry, surplus-entry, lost-record, …: docs/guarantees.md */
    enum fsck_fix fix;
    char *key, *member; /* key without the prefix; member "" for the whole key */
    int64_t score;      /* ENTER */
    char *text;         /* one line for people: what is wrong there */
};

struct fsck_counts {
    uint64_t jobs, documents, blobs, entries, aside;
};

struct fsck;

struct fsck *fsck_new(int64_t wall_ms); /* NULL: no memory */
void fsck_free(struct fsck *f);         /* NULL is fine */

/* A key and its type as Redis names it. True: it is what it should be, tell what it holds. */
bool fsck_key(struct fsck *f, const char *key, const char *type);
void fsck_pipeline(struct fsck *f, struct str field, struct str bytes);
/* The value of j:<id>, and the names of the fields of d:<id>. */
void fsck_record(struct fsck *f, struct str id, struct str value, const struct str *fields,
                 uint32_t n);
void fsck_entry(struct fsck *f, const char *index, struct str member, int64_t score);
void fsck_need(struct fsck *f, struct str hex, struct str member); /* w:<hex> */
void fsck_blob_listed(struct fsck *f, struct str hex);             /* in blobs */
void fsck_blob_bad(struct fsck *f, struct str hex); /* its bytes are not those of its name */

/* After everything was told: all differences, in the order in which they are to be put right.
 * Valid until fsck_free(). ERR_NOMEM: some may be missing. */
enum status fsck_compare(struct fsck *f, const struct finding **out, size_t *n) MUST_USE;
struct fsck_counts fsck_counts(const struct fsck *f);
const char *fsck_command(enum fsck_fix fix);
/* What the fix does, for people: "add it", … */
const char *fsck_advice(const struct finding *d);
#endif
