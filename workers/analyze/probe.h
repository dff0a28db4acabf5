/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_ANALYZE_PROBE_H
#define PAWL_ANALYZE_PROBE_H
/* probe: the pure half of the analyze stage. A probe is one tool call of the configuration
 * (analyze.probes) whose arguments may hold placeholders such as {{brief.capabilities.0.id}}. */
#include "common/js.h"

enum {
    PROBES_MAX = 200,    /* insights of a round */
    EXCERPT_MAX = 65536, /* bytes of an insight's excerpt */
    EXCERPT_DEFAULT = 4096,
    LINES_MAX = 1000000,
    RESULT_TEXT_MAX = 1 << 20, /* bytes of the text of a result document */
    FILLED_MAX = 256 << 10,    /* bytes of one argument after filling in */
    ARGUMENTS_DEPTH = 24,
};

/* Borrowed from the configuration tree. */
struct probe {
    const char *name, *server, *tool;
    const json_t *arguments; /* an object, or NULL */
    size_t excerpt;          /* bytes */
    int line_from, line_to;  /* of the result, from 1, both included; 0: all */
};

struct probes {
    struct probe items[PROBES_MAX];
    size_t n;
};

/* `tree` may be NULL: none. ERR_CONFIG: err says what, `path` (64 bytes) where below
 * analyze.probes, such as "2.tool". */
enum status probes_read(struct probes *out, const json_t *tree, char path[64],
                        struct err *err) MUST_USE;

/* A copy of the arguments with the placeholders filled in from `root` ({"brief": …}). A string that
 * is exactly one placeholder becomes the value with its type; inside a longer string a value is
 * written as text. NULL: err says which placeholder has no value. New reference. */
json_t *probe_fill(const json_t *arguments, const json_t *root, struct err *err) MUST_USE;

/* The part of the text from line `from` to line `to`; all of it when from is 0. */
struct str excerpt_lines(struct str text, int from, int to);
/* How many bytes of text to keep: at most max, whole lines if the cut does not cost more than half,
 * never inside a character. */
size_t excerpt_cut(struct str text, size_t max);

/* May models call this tool? Patterns: "server/tool", "server/" followed by "*", or "*". */
bool tool_allowed(const json_t *patterns, const char *server, const char *tool);

/* An insight (documents.def); arguments are borrowed. New reference. */
json_t *insight_new(size_t number, const struct probe *p, const json_t *arguments, struct str text);
/* A result document of a tool call. New reference. */
json_t *result_new(bool ok, struct str text);
/* A tool's definition ({name, description, input}) as it is offered, with its server's name. */
json_t *offer_new(const char *server, const json_t *def);
#endif
