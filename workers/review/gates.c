/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/review/gates.h"

#include "common/doc.h"
#include "common/openspec/archive.h"
#include "common/openspec/names.h"
#include "common/openspec/validate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FINDINGS_MAX = 100 };

void gate_add(json_t *gates, const char *code, bool ok, const char *detail)
{
    json_t *g = json_object();
    js_set_z(g, "code", code);
    js_set_bool(g, "ok", ok);
    if (detail && *detail)
        js_set_z(g, "detail", detail);
    js_push(gates, g);
}

bool gates_hold(const json_t *gates)
{
    for (size_t i = 0; i < js_count(gates); i++) {
        if (!js_bool(js_at(gates, i), "ok", false))
            return false;
    }
    return js_count(gates) > 0;
}

static void gate_from(json_t *gates, const char *code, bool ok, const struct spec_findings *list)
{
    char detail[600] = "";
    for (size_t i = 0; i < list->n && !ok && !*detail; i++) {
        if (list->at[i].severity != SPEC_INFO)
            snprintf(detail, sizeof detail, "%.*s",
                     (int)(list->at[i].message.n < 500 ? list->at[i].message.n : 500),
                     list->at[i].message.p);
    }
    gate_add(gates, code, ok, detail);
}

/* What keeps a gate from holding is an error here, also what the validator calls a warning: strict is
 * strict. What is only remarked is no finding: there is nothing to do about it. */
static void put_findings(const struct spec_findings *list, bool ok, json_t *out)
{
    for (size_t i = 0; i < list->n && json_array_size(out) < FINDINGS_MAX; i++) {
        if (list->at[i].severity == SPEC_INFO)
            continue;
        json_t *f = spec_finding_json(&list->at[i]);
        if (!ok)
            js_set_z(f, "severity", "error");
        js_push(out, f);
    }
}

static void size_gate(const json_t *change, int64_t bytes_max, json_t *gates, json_t *findings)
{
    const json_t *files = js_list(change, "files");
    int64_t bytes = 0;
    char detail[160];
    for (size_t i = 0; i < js_count(files); i++)
        bytes += (int64_t)js_view(js_at(files, i), "text").n;
    bool ok = bytes <= bytes_max && js_count(files) > 0;
    snprintf(detail, sizeof detail, "%" PRId64 " bytes in %zu files, %" PRId64 " are allowed",
             bytes, js_count(files), bytes_max);
    gate_add(gates, "size", ok, detail);
    if (!ok)
        js_push(findings,
                finding_new("error", "gate.size", detail,
                            "Say it in fewer words: leave out what the problem does not ask for."));
}

enum status gates_check(struct arena *a, const struct ws *ws, const json_t *change,
                        int64_t bytes_max, json_t *gates, json_t *findings, struct ws *after)
{
    struct spec_report report = { 0 };
    struct archive_verdict verdict = { 0 };
    struct ws with = { 0 };
    struct err err = { 0 };
    struct str name = js_view(change, "name");
    enum status st =
        name_is_change(name)
            ? ws_with_change(a, ws, change, &with, &err)
            : err_set(&err, ERR_DATA, "\"%.*s\" is no name for a change", STR_ARG(name));
    if (st != OK) { /* a path that leaves the change's folder, the same file twice, … */
        gate_add(gates, "format", false, err.text);
        js_push(findings, finding_new("error", "gate.format", err.text,
                                      "Write the files of the change below its own folder."));
        return OK;
    }
    size_gate(change, bytes_max, gates, findings);
    if ((st = validate_change(a, &with, name, true, &report)) == ERR_LIMIT)
        return st;
    bool valid = st == OK && report.valid;
    gate_from(gates, "format", valid, &report.findings);
    put_findings(&report.findings, valid, findings);
    if ((st = archive_check(a, &with, name, false, &verdict)) == ERR_LIMIT)
        return st;
    gate_from(gates, "archivable", st == OK && verdict.archivable, &verdict.findings);
    if (valid && !verdict.archivable) /* else both say the same */
        put_findings(&verdict.findings, false, findings);
    if (after)
        *after = with;
    return OK;
}
