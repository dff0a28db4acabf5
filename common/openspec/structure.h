/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_STRUCTURE_H
#define PAWL_OPENSPEC_STRUCTURE_H
/* structure: what makes a main spec unreadable for merging: delta headers, requirements outside
 * the section, the same name twice. Internal. */
#include "common/openspec/text.h"

enum structure_kind { STRUCTURE_DELTA_HEADER, STRUCTURE_OUTSIDE, STRUCTURE_DUPLICATE };

struct structure_issue {
    enum structure_kind kind;
    size_t line;
    struct str message;
};

struct structure_issues {
    struct structure_issue *at;
    size_t n, cap;
};

struct structure_issues structure_check(struct pool *p, struct str text);
#endif
