/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_ANALYZE_FIELDS_H
#define PAWL_ANALYZE_FIELDS_H
/* fields: which paths into the documents exist (schemas/documents.def), so that a placeholder with
 * a typing error is a configuration error and not a probe that fails in every round. */
#include "common/buf.h"

/* May this path, such as "brief.capabilities.0.id", lead to a value in some document of that name?
 * ERR_CONFIG: err says which step is unknown and what there is. */
enum status field_known(const char *path, struct err *err) MUST_USE;
#endif
