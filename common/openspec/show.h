/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_SHOW_H
#define PAWL_OPENSPEC_SHOW_H
/* show: what `openspec list`, `show` and `validate` print with --json, as documents of the same shape
 * and key order (without `root`, which is the caller's). Pure; every result is a new reference. */
#include "common/openspec/validate.h"

/* A refusal as the original words it, with its diagnostic code. */
struct show_refusal {
    const char *code; /* "unknown_item"; static. NULL: none */
    struct str message;
    const char *fix; /* static; may be NULL */
};

enum item_type { ITEM_ANY, ITEM_CHANGE, ITEM_SPEC };

/* What a name means. ITEM_ANY with *refusal set: nothing, or both. */
enum item_type item_resolve(struct arena *a, const struct ws *ws, struct str name,
                            enum item_type given, struct show_refusal *refusal);

/* NULL with *refusal set when the original would fail. */
json_t *show_spec(struct arena *a, const struct ws *ws, struct str id,
                  struct show_refusal *refusal);
json_t *show_change(struct arena *a, const struct ws *ws, struct str name,
                    struct show_refusal *refusal);

/* [{id, requirementCount}], in the original's order. */
json_t *list_specs(struct arena *a, const struct ws *ws);
/* [{name, completedTasks, totalTasks, lastModified, status, nested?}] by name; lastModified is "",
 * for whoever knows the files' times. *warnings: [{code, name, nested, message}], may be empty. */
json_t *list_changes(struct arena *a, const struct ws *ws, json_t **warnings);

/* One item of `validate --json`: {id, type, valid, issues, durationMs: 0}. */
json_t *validated_item(struct str id, enum item_type type, const struct spec_report *report);
/* {items, summary, version} of items, which are put in order; the types that were asked for are in
 * the summary, also when there is none of them. Takes the list. */
json_t *validated_all(json_t *items, bool changes, bool specs);

/* String.prototype.localeCompare as ICU's root collation has it, for ASCII and Latin letters; other
 * characters come behind them by code point. */
int text_collate(struct str a, struct str b);
#endif
