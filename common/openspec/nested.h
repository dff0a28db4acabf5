/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_NESTED_H
#define PAWL_OPENSPEC_NESTED_H
/* nested: is a folder below changes/ a change, or does it only wrap changes (which the format does
 * not allow)? Internal. */
#include "common/openspec/pool.h"
#include "common/openspec/workspace.h"

/* Paths below changes/ of the changes that the folder wraps, sorted; empty: it is a change. */
struct str_list nested_changes(struct pool *p, const struct ws *ws, struct str name);
/* What is wrong and how to put it right. */
struct str nested_message(struct pool *p, struct str name, const struct str_list *nested);
#endif
