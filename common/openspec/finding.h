/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_FINDING_H
#define PAWL_OPENSPEC_FINDING_H
/* finding: what the validator, the merge and the archive check have to say, as a list in an arena.
 * `message` is word for word the text of OpenSpec 1.13.2 where that tool has one; `path` is that
 * tool's idea of a place ("requirements[0]", "auth/spec.md"); `file` and `line` are ours and point
 * into the workspace. All views live as long as the arena. */
#include "common/arena.h"
#include "common/js.h"

enum spec_severity { SPEC_ERROR, SPEC_WARNING, SPEC_INFO };

struct spec_finding {
    enum spec_severity severity;
    const char *code;   /* "spec.no-purpose"; static */
    struct str path;    /* as the original reports it */
    struct str file;    /* below openspec/; empty when there is none */
    size_t line;        /* from 1; 0: unknown. The original reports it only when says_line */
    bool says_line;     /* the original reports the line too */
    size_t column;      /* from 1, in bytes; 0: unknown */
    struct str message;
    struct str fix;     /* may be empty */
    struct str requirement; /* the requirement it is about; may be empty */
};

struct spec_findings {
    struct spec_finding *at;
    size_t n;
    size_t cap;
};

const char *spec_severity_name(enum spec_severity s);  /* "error"; static */
const char *spec_severity_level(enum spec_severity s); /* "ERROR", as the original; static */
/* How many of them. */
size_t spec_findings_count(const struct spec_findings *list, enum spec_severity s);

/* One as a `finding` record of schemas/documents.def, new reference: over-long texts are cut at a
 * character, invalid bytes become U+FFFD. */
json_t *spec_finding_json(const struct spec_finding *f);
/* All of them appended to a JSON list, at most `max`. */
void spec_findings_json(const struct spec_findings *list, size_t max, json_t *out);
#endif
