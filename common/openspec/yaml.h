/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_YAML_H
#define PAWL_OPENSPEC_YAML_H
/* yaml: one YAML document in memory as a JSON tree, scalars typed by the core schema of YAML 1.2
 * (yes and dates are strings). At most 1 MiB, 64 levels, 100,000 values. Internal. */
#include "common/js.h"

enum { YAML_BYTES_MAX = 1 << 20, YAML_DEPTH_MAX = 64, YAML_VALUES_MAX = 100000 };

/* `text` must be valid UTF-8. An empty document is null. ERR_DATA: "3:7: what is wrong". */
enum status yaml_read(struct str text, json_t **out, struct err *err) MUST_USE;
#endif
