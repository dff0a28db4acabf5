/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_TESTS_OPENSPEC_ANSWERS_H
#define PAWL_TESTS_OPENSPEC_ANSWERS_H
/* answers: what this library says to a request, in the shape of oracle.mjs's answers. */
#include "common/openspec/text.h"
#include "common/openspec/validate.h"
#include "common/openspec/workspace.h"
#include "tests/openspec/peer.h"

enum { OUTCOMES = 48, SIDE_ARENA_MAX = 1 << 30 };

struct outcome {
    char name[64];
    uint64_t n;
};

/* Our side: memory for one request, and how often what came out. */
struct side {
    struct arena a;
    struct outcome outcomes[OUTCOMES];
};

void side_count(struct side *d, const char *op, const char *outcome);
void side_print(const struct side *d);

json_t *ok_answer(json_t *ok); /* takes the reference */
json_t *report_json(const struct spec_report *r);
json_t *our_spec(struct pool *p, struct str text);
json_t *our_delta(struct pool *p, struct str text);
json_t *our_section(struct pool *p, struct str text);
json_t *our_structure(struct pool *p, struct str text);
json_t *our_tasks(struct pool *p, struct str text);
json_t *our_merge(struct side *d, bool has_main, struct str main, struct str delta);
json_t *our_archive(struct side *d, const struct ws *ws, struct str change, struct ws *after);
void our_reports(struct side *d, const struct ws *ws, json_t *out);
json_t *our_tree(struct side *d, const struct ws *ws);
void add_member(json_t *o, struct str key, json_t *v); /* takes the reference */
#endif
