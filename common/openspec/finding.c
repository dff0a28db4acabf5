/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/finding.h"

#include "common/doc.h"

enum { MESSAGE_MAX = 8192, FIX_MAX = 4096, FILE_MAX = 4096, NAME_MAX_BYTES = 1024 };

const char *spec_severity_name(enum spec_severity s)
{
    return s == SPEC_ERROR ? "error" : s == SPEC_WARNING ? "warning" : "info";
}

const char *spec_severity_level(enum spec_severity s)
{
    return s == SPEC_ERROR ? "ERROR" : s == SPEC_WARNING ? "WARNING" : "INFO";
}

size_t spec_findings_count(const struct spec_findings *list, enum spec_severity s)
{
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++)
        n += list->at[i].severity == s;
    return n;
}

/* Not longer than max bytes, cut at a character. */
static struct str cut(struct str s, size_t max)
{
    if (s.n <= max)
        return s;
    s.n = max;
    while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
        s.n--;
    return s;
}

json_t *spec_finding_json(const struct spec_finding *f)
{
    json_t *v = json_object();
    js_set_z(v, "severity", spec_severity_name(f->severity));
    js_set_z(v, "code", f->code);
    js_set_str(v, "message", cut(f->message, MESSAGE_MAX));
    if (f->file.n > 0)
        js_set_str(v, "file", cut(f->file, FILE_MAX));
    if (f->line > 0)
        js_set_int(v, "line", (int64_t)f->line);
    if (f->column > 0)
        js_set_int(v, "column", (int64_t)f->column);
    if (f->fix.n > 0)
        js_set_str(v, "fix", cut(f->fix, FIX_MAX));
    if (f->requirement.n > 0)
        js_set_str(v, "requirement", cut(f->requirement, NAME_MAX_BYTES));
    return v;
}

void spec_findings_json(const struct spec_findings *list, size_t max, json_t *out)
{
    for (size_t i = 0; i < list->n && i < max; i++)
        js_push(out, spec_finding_json(&list->at[i]));
}
