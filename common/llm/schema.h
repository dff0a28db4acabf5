/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_LLM_SCHEMA_H
#define PAWL_LLM_SCHEMA_H
/* schema: does a reply have the shape that was asked for? Servers enforce parts of JSON Schema and
 * ignore others in silence, so every reply is held against its schema here. The subset is what all
 * of them take: type (one or a list), enum, const, required, properties, additionalProperties (a
 * boolean), items, minItems, maxItems, minLength, maxLength (code points), minimum, maximum, oneOf,
 * anyOf. Other keywords are ignored. Depth is bounded by PAWL_DEPTH_MAX. */
#include "common/js.h"

/* ERR_DATA with a path ("reply.rules[2].name: longer than 80 characters"). */
enum status schema_check(const json_t *schema, const json_t *v, struct err *err) MUST_USE;
#endif
