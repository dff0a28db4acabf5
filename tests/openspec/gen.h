/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_TESTS_OPENSPEC_GEN_H
#define PAWL_TESTS_OPENSPEC_GEN_H
/* gen: specs, deltas, task files and whole trees out of a seed: mostly well-formed and about the
 * same requirements, so that merges succeed, with every odd spelling that the readers know; then
 * some lines, then some bytes are damaged. */
#include "common/buf.h"

enum { GEN_NAMES = 12, GEN_CORPUS_MAX = 4096 };

struct gen {
    uint64_t state;
    int names[GEN_NAMES]; /* requirements of the main spec, indexes into a list */
    int scenarios[GEN_NAMES]; /* how many each has */
    int n;
    struct str corpus[GEN_CORPUS_MAX]; /* real files to damage; may be none */
    size_t corpus_n;
};

uint64_t gen_next(struct gen *g);
/* 0 .. n-1 */
int gen_below(struct gen *g, int n);
bool gen_chance(struct gen *g, int percent);

void gen_spec(struct gen *g, struct buf *out);  /* remembers what it holds */
void gen_delta(struct gen *g, struct buf *out); /* about the spec made last */
void gen_tasks(struct gen *g, struct buf *out);
void gen_proposal(struct gen *g, struct buf *out);
void gen_meta(struct gen *g, struct buf *out);   /* .openspec.yaml */
void gen_config(struct gen *g, struct buf *out); /* config.yaml */
/* Damage lines, line ends and bytes, or do nothing. */
void gen_damage(struct gen *g, struct buf *text);
#endif
