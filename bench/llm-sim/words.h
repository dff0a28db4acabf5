/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LLM_SIM_WORDS_H
#define LLM_SIM_WORDS_H
/* words: what the simulated model says. Pure and deterministic: the same messages, schema and seed
 * give the same bytes. It understands nothing; it cuts sentences out of the request, so that what
 * comes out is about the problem and has the shape that was asked for.
 *
 * A prompt is read as sections, "Heading:" on a line and text below it. Text comes from the last
 * section that is neither the task nor the problem if there is one, else from the problem. When the
 * prompt holds instructions or wishes it drops fewer words: told what is missing, it does better. */
#include "common/js.h"

struct sim_words;

struct sim_words *sim_words_new(const json_t *messages, uint64_t seed);
void sim_words_free(struct sim_words *w);
/* A value that fits the schema. New reference. */
json_t *sim_value(struct sim_words *w, const json_t *schema);
/* Free text of a few sentences. */
void sim_text(struct sim_words *w, struct buf *out);
#endif
