/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_PARSE_BRIEF_H
#define PAWL_PARSE_BRIEF_H
/* brief: the thinking of the parse stage, pure. A problem statement and a workspace become the
 * `brief` of schemas/documents.def: change name, title, the capabilities that the problem touches
 * with their requirements (ranked by words in common, rare ones first; enough, not all), context and
 * rules of the project, active changes on the same ground, findings about malformed specs, and the
 * change to improve if the problem names one. */
#include "common/js.h"
#include "common/openspec/workspace.h"

enum {
    BRIEF_CAPABILITIES = 8,      /* most that are carried */
    BRIEF_REQUIREMENTS = 40,     /* most of one capability */
    BRIEF_TEXT_MAX = 256 * 1024, /* bytes of requirement texts, all together */
    BRIEF_FINDINGS = 200,
    BRIEF_OVERLAPS = 200,
};

/* *out and *findings (may be NULL) are new references; *findings, a list of finding records, is set
 * only when the failure concerns files of the workspace.
 *   ERR_DATA      the problem is empty; the spec that the problem is about is malformed
 *   ERR_NOT_FOUND not an OpenSpec workspace; no such change to improve: err says which there are
 *   ERR_LIMIT     no memory */
enum status brief_make(struct arena *a, const json_t *problem, const struct ws *ws, json_t **out,
                       json_t **findings, struct err *err) MUST_USE;

/* The title of a problem statement: its first heading or sentence on one line, at most `max` bytes,
 * cut at a word. Empty when there is no word in it. */
struct str brief_title(struct arena *a, struct str text, size_t max);
#endif
