/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CONF_H
#define PAWL_CONF_H
/* conf: strict configuration. One table (schemas/config.def) gives types, defaults, environment
 * names, help and `pawl config show --origin`. Files are YAML within: one document, 1 MiB, depth 32,
 * no anchors, aliases, tags, duplicate keys. An unknown key, wrong type or bad unit is ERR_CONFIG
 * with file:line:column, the source line with a caret, and a suggestion.
 * Order: flag > PAWL_* > project pawl.yaml (nearest parent up to the repository root) >
 * $XDG_CONFIG_HOME/pawl/config.yaml > default. */
#include "common/js.h"

enum conf_key {
#define C(id, path, type, fallback, scope, help) CONF_##id,
#include "schemas/config.def"
#undef C
    CONF_COUNT
};

struct conf;

/* A value given by a flag: "--set loop.rounds=3" is { "loop.rounds", "3" }. */
struct conf_flag {
    const char *path;
    const char *value;
};

/* `file`: a configuration file to use instead of the project's (NULL: look for it from the working
 * directory). Environment is read here and nowhere else. Errors: ERR_CONFIG, ERR_IO. */
enum status conf_load(struct conf **out, const char *file, const struct conf_flag *flags,
                      size_t flags_n, struct err *err) MUST_USE;
void conf_free(struct conf *c); /* NULL is fine */

const char *conf_str(const struct conf *c, enum conf_key k); /* STR, PATH (expanded), ENUM; never NULL */
int64_t conf_int(const struct conf *c, enum conf_key k);     /* INT, MS (milliseconds), BYTES, BOOL */
double conf_real(const struct conf *c, enum conf_key k);
const json_t *conf_tree(const struct conf *c, enum conf_key k); /* STRS, TREE: NULL when not set */
/* Where a value comes from: "pawl.yaml:3", "environment PAWL_MODEL_URL", "flag", "default". */
const char *conf_origin(const struct conf *c, enum conf_key k);
const char *conf_path(enum conf_key k); /* "broker.endpoint" */
const char *conf_help(enum conf_key k);
/* Line of a node inside a TREE, for error messages of its owner: js path below the key. 0: unknown. */
int conf_line(const struct conf *c, enum conf_key k, const char *js_path);
/* Directory of the project's pawl.yaml, or the working directory; never NULL. */
const char *conf_dir(const struct conf *c);
/* State directory with defaults applied; not created here. */
const char *conf_state_dir(const struct conf *c);
/* broker.endpoint with defaults applied. */
const char *conf_endpoint(const struct conf *c);
/* CURVE keys of a peer (or of the broker): reads the secret file. All empty when none configured. */
struct peer_keys;
enum status conf_keys(const struct conf *c, bool broker, struct peer_keys *out, struct err *err) MUST_USE;
#endif
