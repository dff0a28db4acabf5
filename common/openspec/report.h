/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_REPORT_H
#define PAWL_OPENSPEC_REPORT_H
/* report: adding findings, and the texts that main specs and deltas share. Internal. */
#include "common/openspec/pool.h"
#include "common/openspec/validate.h"

struct report {
    struct pool *p;
    struct spec_findings *findings;
    struct str dir; /* put before the path for `file`, when that is a path */
};

struct remark {
    enum spec_severity severity;
    const char *code;
    struct str path;
    bool is_file; /* the path is that of a file below `dir` */
    struct str file; /* else: the file, whole */
    size_t line;
    bool says_line; /* the original reports the line */
    struct str message;
    const char *fix;
    struct str requirement;
};

void report_add(struct report *r, struct remark m);
void report_close(const struct spec_findings *findings, bool strict, struct spec_report *out);

/* `<prefix> must|should contain SHALL or MUST …` */
struct str keyword_message(struct pool *p, struct str prefix, struct str name, bool guidance);
#endif
