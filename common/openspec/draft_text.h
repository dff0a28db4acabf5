/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_DRAFT_TEXT_H
#define PAWL_OPENSPEC_DRAFT_TEXT_H
/* draft_text: text of a model made safe for a place in a Markdown file. Internal. */
#include "common/openspec/draft.h"
#include "common/openspec/pool.h"

/* One line: see draft_line(). */
struct str safe_line(struct pool *p, struct str text);
/* A name in a header: a line without leading and closing #. */
struct str safe_name(struct pool *p, struct str name);
/* The name of a scenario; `otherwise` when nothing is left. */
struct str safe_scenario(struct pool *p, struct str name, struct str otherwise);
/* One list item: a line without the bullet, number or checkbox that it may have brought along. */
struct str safe_item(struct pool *p, struct str text);
/* A step of a scenario: an item without a leading GIVEN, WHEN, THEN or AND. */
struct str safe_step(struct pool *p, struct str text);
/* Several lines: each is safe at the start of a line; single blank lines stay between paragraphs. */
struct str safe_block(struct pool *p, struct str text);
/* Text copied from a spec word for word, with an open fence closed. */
struct str closed_block(struct pool *p, struct str text);
/* "…" for YAML. */
struct str yaml_quoted(struct pool *p, struct str text);
#endif
