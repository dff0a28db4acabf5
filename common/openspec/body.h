/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_BODY_H
#define PAWL_OPENSPEC_BODY_H
/* body: what stands below a requirement's header: its text and its scenarios. Both readers share
 * these rules. Internal. */
#include "common/openspec/text.h"
#include "common/openspec/workspace.h"

/* The text: lines from `from` to the first header, without blank and fenced ones, trimmed and
 * joined with LF. Lines such as **ID**: x count only when there is nothing else. The fences of `l`
 * must have been found from line `from` on. */
struct str body_text(struct pool *p, const struct lines *l, size_t from);

/* The lines of a block below its header; fences are found anew, from there. */
struct lines body_lines(struct pool *p, struct str raw);

struct body_scenarios {
    size_t full;  /* with something below the header */
    size_t empty;
};

struct body_scenarios body_count_scenarios(const struct lines *l);

/* A scenario as the loss check sees it: any #### header of the block. */
struct body_scenario {
    struct str name;
    size_t line;     /* index into the lines of the whole block */
    struct str text; /* below the header, to the next header of level 4 or above, trimmed */
};

struct body_scenario_list {
    struct body_scenario *at;
    size_t n;
    size_t cap;
};

struct body_scenario_list body_scenarios(struct pool *p, struct str raw);

/* Scenario names of one block against another's, with multiplicity. */
struct scenario_diff {
    struct str_list missing;
    struct str_list added;
    size_t current_n;
    size_t incoming_n;
};

struct scenario_diff scenario_diff(struct pool *p, struct str current, struct str incoming);
/* `"a", "b"` */
struct str quoted_list(struct pool *p, const struct str *names, size_t n);
/* The sentence on the two blocks' counts. */
struct str scenario_balance(struct pool *p, const struct scenario_diff *d);
#endif
