/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/report.h"

#include "common/openspec/text.h"

void report_add(struct report *r, struct remark m)
{
    struct spec_finding f = { .severity = m.severity, .code = m.code, .path = m.path,
                              .file = m.is_file ? pool_cat(r->p, r->dir, m.path) : m.file,
                              .line = m.line, .says_line = m.says_line && m.line > 0,
                              .column = m.line > 0, .message = m.message, .fix = str_of(m.fix),
                              .requirement = m.requirement };
    pool_push(r->p, r->findings, f);
}

void report_close(const struct spec_findings *findings, bool strict, struct spec_report *out)
{
    out->findings = *findings;
    out->valid = spec_findings_count(findings, SPEC_ERROR) == 0 &&
                 (!strict || spec_findings_count(findings, SPEC_WARNING) == 0);
}

struct str keyword_message(struct pool *p, struct str prefix, struct str name, bool guidance)
{
    return pool_cat(p, prefix, guidance ? LIT(" should") : LIT(" must"),
                    LIT(" contain SHALL or MUST"),
                    text_normative(name)
                        ? LIT(" in the requirement body, not only in the header. Move the "
                              "SHALL/MUST statement to the line immediately after the "
                              "\"### Requirement: ...\" header.")
                        : LIT(""),
                    guidance ? LIT(" (RFC 2119 best practice for English specs)") : LIT(""));
}
