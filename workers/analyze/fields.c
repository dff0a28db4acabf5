/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/analyze/fields.h"

#include <stdio.h>
#include <string.h>

enum type { T_STR, T_INT, T_REAL, T_BOOL, T_ANY, T_STRS, T_REC, T_LIST };

static const struct field {
    const char *record, *key, *of;
    enum type type;
} fields[] = {
#define DOC(id, writer, help)
#define RECORD(id, help)
#define FIELD(record, key, type, of, need, max, help) { #record, #key, #of, T_##type },
#include "schemas/documents.def"
#undef DOC
#undef RECORD
#undef FIELD
};

/* Documents that an analyze task is given (schemas/stages.def). */
static const char *const roots[] = { "brief", "answers", "comments" };

/* Cut the first step off path. False: it is empty or too long. */
static bool take_step(const char **path, char step[64])
{
    size_t n = strcspn(*path, ".");
    if (n == 0 || n >= 64)
        return false;
    memcpy(step, *path, n);
    step[n] = '\0';
    *path += n + ((*path)[n] == '.');
    return true;
}

static const struct field *find(const char *record, const char *key)
{
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (strcmp(fields[i].record, record) == 0 && strcmp(fields[i].key, key) == 0)
            return &fields[i];
    }
    return NULL;
}

static enum status unknown(const char *record, const char *step, struct err *err)
{
    struct buf have;
    buf_init(&have, 4096);
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (strcmp(fields[i].record, record) == 0)
            buf_printf(&have, "%s%s", have.len ? ", " : "", fields[i].key);
    }
    err_set(err, ERR_CONFIG, "'%s' is not in a %s", step, record);
    err_fix(err, "A %s has %.200s.", record, buf_z(&have));
    buf_fini(&have);
    return ERR_CONFIG;
}

static enum status no_value(const char *path, struct err *err)
{
    return err_set(err, ERR_CONFIG, "nothing has the name '%.60s' there", path);
}

/* An index, where there is more of the path. */
static bool take_index(const char **path)
{
    char step[64];
    return take_step(path, step) && strspn(step, "0123456789") == strlen(step);
}

static enum status walk(const char *record, const char *path, struct err *err)
{
    char step[64];
    while (*path) {
        if (!take_step(&path, step))
            return no_value(path, err);
        const struct field *f = find(record, step);
        if (!f)
            return unknown(record, step, err);
        if (f->type == T_ANY)
            return OK;
        if ((f->type == T_LIST || f->type == T_STRS) && *path && !take_index(&path)) {
            err_set(err, ERR_CONFIG, "'%s' is a list: a number has to follow", step);
            err_fix(err, "Write %s.0 for the first entry.", step);
            return ERR_CONFIG;
        }
        if (f->type != T_REC && f->type != T_LIST)
            return *path ? no_value(path, err) : OK;
        record = f->of;
    }
    return OK;
}

enum status field_known(const char *path, struct err *err)
{
    char step[64];
    bool found = false;
    if (!take_step(&path, step))
        return no_value(path, err);
    for (size_t i = 0; i < COUNT(roots); i++)
        found = found || strcmp(step, roots[i]) == 0;
    if (found)
        return walk(step, path, err);
    err_set(err, ERR_CONFIG, "'%s' is no document of this stage", step);
    err_fix(err,
            "Placeholders begin with brief, answers or comments, for instance {{brief.title}}.");
    return ERR_CONFIG;
}
