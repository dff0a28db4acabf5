/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_PURPOSE_H
#define PAWL_OPENSPEC_PURPOSE_H
/* purpose: the Purpose section: is it still a placeholder, and what a delta's says. Internal. */
#include "common/openspec/text.h"

#define PURPOSE_PREFIX "TBD - created by archiving change "
#define PURPOSE_SUFFIX ". Update Purpose after archive."

enum { PURPOSE_MIN = 50 /* UTF-16 code units */ };

/* Is the overview (reader A's Purpose) a placeholder? *line: where in the text, 0 when that cannot
 * be told. */
bool purpose_placeholder(struct pool *p, struct str overview, struct str text, size_t *line);
/* The body of the `## Purpose` section, which comments and fences do not count as; empty: none. */
struct str purpose_section(struct pool *p, struct str text);
/* A main spec that does not exist yet. */
struct str purpose_skeleton(struct pool *p, struct str id, struct str change, struct str purpose);
/* What the skeleton's readers would see as its Purpose; empty: it would break them. */
struct str purpose_readable(struct pool *p, struct str skeleton);
#endif
