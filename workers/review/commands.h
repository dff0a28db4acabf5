/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_REVIEW_COMMANDS_H
#define PAWL_REVIEW_COMMANDS_H
/* commands: the user's own gates, as configured on this host (review.gates), never as given by a
 * job: programs run by argv, without a shell, in a fresh directory that holds openspec/ with the
 * change in it. Exit code 0 within the time limit is a gate that holds; the end of what it printed
 * says why it does not. It runs in a process group of its own, which is killed when it ends or takes
 * too long. Environment: PATH, HOME, LANG and PAWL_CHANGE (the change's name). */
#include "common/mux.h"
#include "common/openspec/workspace.h"

struct commands;

/* Check the configuration tree: a list of {name, argv, timeout}. NULL tree: none. */
enum status commands_check(const json_t *tree, struct err *err) MUST_USE;

/* Run all of them, one after the other. `done` is called exactly once, in a later turn, unless they
 * are cancelled; by then gate records and findings are appended. Borrowed until then: all arguments.
 * NULL: could not be started (err). */
typedef void commands_fn(void *ctx);
struct commands *commands_run(struct mux *mux, const json_t *tree, const struct ws *ws,
                              const char *change, json_t *gates, json_t *findings,
                              commands_fn *done, void *ctx, struct err *err);
/* Kill what runs; done is not called. NULL is fine. */
void commands_cancel(struct commands *c);
#endif
