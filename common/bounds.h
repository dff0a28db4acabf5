/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_BOUNDS_H
#define PAWL_BOUNDS_H
/* bounds: the limits of schemas/limits.def as constants PAWL_<id>, and how they must fit. */

enum {
#define X(id, value, unit, meaning) PAWL_##id = value,
#include "schemas/limits.def"
#undef X
};

_Static_assert(PAWL_HEADER_MAX <= PAWL_FRAME_MAX, "a header is a frame");
_Static_assert(PAWL_LIST_MAX < PAWL_FRAMES_MAX, "a message can carry every document it may name");
_Static_assert(PAWL_PROBLEM_MAX <= PAWL_DOC_MAX, "a problem is a document");
_Static_assert(PAWL_DEPTH_MAX <= 64, "decoders recurse on it");
#endif
