/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_JS_H
#define PAWL_JS_H
/* js: a thin façade over jansson. Documents, model output and MCP messages are trees of json_t;
 * they come from strangers, so every entry is bounded and every getter has a default.
 * Getters never fail: a missing member or one of another type gives the default. Returned pointers
 * live as long as the tree. */
#include "common/buf.h"

#include <jansson.h>

/* Parse one JSON value of any kind; trailing bytes, duplicate keys, invalid UTF-8 and nesting
 * deeper than jansson's 2048 are errors. Size is the caller's bound. NULL: err says line:column. */
json_t *js_parse(struct str text, struct err *err) MUST_USE;
/* Compact, keys sorted: equal trees give equal bytes, so the result may be hashed. */
enum status js_dump(const json_t *v, struct buf *out);
enum status js_dump_pretty(const json_t *v, struct buf *out); /* two blanks, insertion order */

const char *js_str(const json_t *obj, const char *key); /* "" by default, never NULL */
struct str js_view(const json_t *obj, const char *key); /* may contain NUL bytes */
int64_t js_int(const json_t *obj, const char *key, int64_t otherwise);
double js_real(const json_t *obj, const char *key, double otherwise); /* integers count */
bool js_bool(const json_t *obj, const char *key, bool otherwise);
const json_t *js_list(const json_t *obj, const char *key); /* NULL unless an array */
const json_t *js_obj(const json_t *obj, const char *key);  /* NULL unless an object */
size_t js_count(const json_t *list);                       /* 0 for NULL */
const json_t *js_at(const json_t *list, size_t i);         /* NULL when out of range */
/* Follow "brief.capabilities.0.id"; NULL when any step is missing. */
const json_t *js_path(const json_t *v, const char *path);

/* Setters take bytes as they come: invalid UTF-8 becomes U+FFFD. They abort only on out of memory. */
json_t *js_string(struct str s); /* new reference */
void js_set_str(json_t *obj, const char *key, struct str s);
void js_set_z(json_t *obj, const char *key, const char *z);
void js_set_int(json_t *obj, const char *key, int64_t v);
void js_set_real(json_t *obj, const char *key, double v);
void js_set_bool(json_t *obj, const char *key, bool v);
void js_set(json_t *obj, const char *key, json_t *v); /* takes the reference */
void js_push(json_t *list, json_t *v);                /* takes the reference */
void js_push_z(json_t *list, const char *z);

/* msgpack <-> json. Bounds: PAWL_DEPTH_MAX, PAWL_ITEMS_MAX (schemas/limits.def); map keys must be
 * strings; bin and ext are refused (ERR_DATA). One value, nothing after it. */
enum status js_to_mp(const json_t *v, struct buf *out) MUST_USE;
enum status js_from_mp(struct str bytes, json_t **out, struct err *err) MUST_USE;

/* Is the text valid UTF-8 without surrogates? `bad_at` (may be NULL) is the first bad byte. */
bool utf8_valid(struct str s, size_t *bad_at);
#endif
