/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_HASH_H
#define PAWL_HASH_H
/* hash: SHA-256 names immutable bytes (workspaces, candidates, requests). */
#include "common/buf.h"

enum { HASH_BYTES = 32, HASH_HEX = 64 };

struct hash {
    uint8_t b[HASH_BYTES];
};

struct hash hash_of(struct str bytes);
bool hash_eq(const struct hash *a, const struct hash *b);
void hash_hex(const struct hash *h, char out[HASH_HEX + 1]);
bool hash_from_hex(struct str hex, struct hash *out);

/* zstd with a bound. `packed` must come from pack(); its stated size is checked against `max`
 * before anything is allocated. Level 3. */
enum status zpack(struct str plain, struct buf *out) MUST_USE;
enum status zunpack(struct str packed, size_t max, struct buf *out) MUST_USE;

/* Random bytes from the kernel; for ids and seeds, never in pure code. */
void random_bytes(void *p, size_t n);
uint64_t random_u64(void);

/* 60 bits as twelve characters of Crockford's base32, lower case: job ids. */
enum { ID_CHARS = 12 };
void id_text(uint64_t id, char out[ID_CHARS + 1]);
bool id_parse(struct str text, uint64_t *id); /* exactly twelve characters, i/l/o folded */
#endif
