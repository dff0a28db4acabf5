/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_ARCHIVE_H
#define PAWL_OPENSPEC_ARCHIVE_H
/* archive: would `openspec archive` take this change, and what would it write? The whole of it runs
 * in memory: validation, merge of every delta, validation of every rebuilt spec, retirement. */
#include "common/openspec/validate.h"

struct archive_write {
    struct str path;  /* below openspec/ */
    struct str bytes; /* the new content; not for a removal */
    bool removes;     /* the capability is retired: the file is deleted */
};

struct archive_verdict {
    bool archivable;
    struct spec_findings findings; /* every refusal is an error with file, line and fix */
    struct archive_write *writes;  /* empty unless archivable; sorted by capability */
    size_t writes_n;
    size_t deltas; /* delta specs of the change; the original reports no totals when there are none */
    size_t added, modified, removed, renamed;
    struct str_list warnings; /* as `openspec archive --json` reports them */
    const char *code;         /* the original's diagnostic code when it refuses, else NULL; static */
    struct str message;       /* the original's diagnostic, when it refuses */
    struct str fix;
};

/* ERR_NOT_FOUND: no such change. Unlike the original, a change without any delta (and without
 * skip_specs) is not archivable here, unless `compat`. */
enum status archive_check(struct arena *a, const struct ws *ws, struct str change, bool compat,
                          struct archive_verdict *out) MUST_USE;
/* validate_change() and, of a change that is valid, archive_check() of one reading: what both need is
 * done once. The verdict is empty when the change is not valid. */
enum status archive_validate(struct arena *a, const struct ws *ws, struct str change, bool strict,
                             struct spec_report *report, struct archive_verdict *out) MUST_USE;
/* "2026-11-23-add-login": the date is put in front unless the name starts with one. */
struct str archive_name(struct arena *a, struct str change, struct str date);
/* The workspace as it is after archiving. */
enum status archive_apply(struct arena *a, const struct ws *ws, struct str change, struct str date,
                          const struct archive_verdict *verdict, struct ws *out,
                          struct err *err) MUST_USE;
#endif
