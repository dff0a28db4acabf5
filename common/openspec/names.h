/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_NAMES_H
#define PAWL_OPENSPEC_NAMES_H
/* names: grammars of change names and capability ids, and making new ones. */
#include "common/openspec/workspace.h"

enum { CHANGE_NAME_MAX = 200 };

/* ^[a-z0-9]+(-[a-z0-9]+)*$, at most 200 characters, not "archive". */
bool name_is_change(struct str name);
/* One or more such parts with '/' between them. */
bool name_is_capability(struct str id);

/* A kebab-case name out of any words ("Add login, with OTP!" -> "add-login-with-otp"), at most
 * `max` bytes, cut at a word; `otherwise` when no letter or digit is left. Latin letters with
 * diacritics lose them. */
enum status name_kebab(struct arena *a, struct str words, size_t max, const char *otherwise,
                       struct str *out) MUST_USE;
/* The same for a change, at most 60 bytes and unique in the workspace: taken by no active change
 * and by no archived one (whatever its date): "add-login", "add-login-2", … */
enum status name_for_change(struct arena *a, const struct ws *ws, struct str words,
                            struct str *out) MUST_USE;
#endif
