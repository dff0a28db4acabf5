/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CONF_IN_H
#define PAWL_CONF_IN_H
/* conf_in: the inside of conf, shared by its two halves: values and sources (conf.c), YAML files
 * (conf_yaml.c). */
#include "common/conf.h"

struct conf_row {
    const char *path, *type, *fallback, *help, *scope;
};
extern const struct conf_row conf_rows[CONF_COUNT];

struct conf_value {
    char *text;    /* as given; PATH: expanded */
    int64_t i;     /* INT, BOOL, MS, BYTES */
    double d;      /* REAL */
    json_t *tree;  /* STRS, TREE; NULL when empty */
    json_t *lines; /* TREE of a file: path below the key -> line */
    char *origin;
};

struct conf {
    struct conf_value values[CONF_COUNT];
    char *cwd, *dir, *state_dir, *endpoint;
};

/* Set a scalar (or, for STRS and TREE, a JSON text). `dir`: what relative paths start from. */
enum status conf_set(struct conf *c, enum conf_key k, const char *text, const char *dir,
                     const char *origin, struct err *err) MUST_USE;
void conf_value_free(struct conf_value *v);
bool conf_find(const char *path, enum conf_key *k);
void conf_suggest(const char *path, struct err *err); /* "did you mean …" into err->fix */
/* Edit distance for suggestions: letters added, lost, changed, or two swapped. */
size_t conf_distance(const char *a, const char *b);

/* Read a YAML file into c. Errors say file:line:column and show the line with a caret. */
enum status conf_read_file(struct conf *c, const char *path, struct err *err) MUST_USE;
#endif
