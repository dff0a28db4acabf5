/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_TASKS_H
#define PAWL_OPENSPEC_TASKS_H
/* tasks: the checkboxes of tasks.md: progress, and what is wrong with their form. */
#include "common/openspec/config.h"
#include "common/openspec/report.h"

struct task_line {
    bool done;
    struct str text; /* trimmed */
};

/* Is this line a task? Split at LF only; a CR may end it. */
bool task_line(struct str line, struct task_line *out);

struct task_progress {
    size_t total, done;
};

/* Over the task files that the change's workflow tracks. */
enum status tasks_progress(struct arena *a, const struct ws *ws, struct str change,
                           struct task_progress *out) MUST_USE;

/* The findings of `openspec validate` on task files. Internal. */
void tasks_check(struct report *r, const struct ws *ws, struct str change,
                 const struct change_meta *meta);
#endif
