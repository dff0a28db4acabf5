/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_CONFIG_H
#define PAWL_OPENSPEC_CONFIG_H
/* config: openspec/config.yaml (config.yml when that is missing) and a change's .openspec.yaml.
 * Bounded: 1 MiB of YAML; every field stands alone, a bad one is dropped with a finding of
 * severity warning, as the original does. Views live as long as the arena. */
#include "common/openspec/finding.h"
#include "common/openspec/workspace.h"

struct config_rules {
    struct str artifact; /* proposal, specs, design, tasks, … */
    struct str_list items;
};

struct spec_config {
    struct str file;    /* "config.yaml", or empty: there is none */
    struct str schema;  /* "spec-driven" unless it says otherwise */
    struct str context; /* at most 51,200 bytes */
    struct config_rules *rules;
    size_t rules_n;
};

/* `findings` may be NULL. ERR_LIMIT: no memory; content never fails. */
enum status config_read(struct arena *a, const struct ws *ws, struct spec_config *out,
                        struct spec_findings *findings) MUST_USE;
/* The rules as the brief carries them: {artifact: [text, …]}, new reference. */
json_t *config_rules_json(const struct spec_config *config);

/* A boolean marker of .openspec.yaml: honoured only when the whole file is good. */
struct change_marker {
    bool declared;
    struct str invalid; /* not empty: mentioned but cannot be honoured, and why */
};

struct change_meta {
    bool exists;
    bool valid;       /* by the original's schema, the named workflow schema included */
    struct str schema; /* of the change, else of the config, else "spec-driven" */
    bool schema_builtin;
    struct change_marker skip_specs;
    struct change_marker retire_capabilities;
    struct str created;
};

enum status meta_read(struct arena *a, const struct ws *ws, struct str change,
                      struct change_meta *out) MUST_USE;
/* pawl's own key in .openspec.yaml, as JSON: {"base": {capability: {name: sha256}}, …}; new
 * reference, NULL when there is none. */
json_t *meta_pawl(const struct ws *ws, struct str change);
#endif
