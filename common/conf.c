/* SPDX-License-Identifier: Apache-2.0 */
#include "common/conf.h"

#include "common/bounds.h"
#include "common/conf_in.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct conf_row conf_rows[CONF_COUNT] = {
#define C(id, path, type, fallback, scope, help) { path, type, fallback, help, #scope },
#define STR                                      "STR"
#define PATH                                     "PATH"
#define INT                                      "INT"
#define REAL                                     "REAL"
#define BOOL                                     "BOOL"
#define MS                                       "MS"
#define BYTES                                    "BYTES"
#define STRS                                     "STRS"
#define TREE                                     "TREE"
#include "schemas/config.def"
#undef STR
#undef PATH
#undef INT
#undef REAL
#undef BOOL
#undef MS
#undef BYTES
#undef STRS
#undef TREE
#undef C
};

/* ---- values ---------------------------------------------------------------------------------- */

/* A number followed by one of the units; the units' table ends with a NULL name. */
struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit durations[] = { { "ms", 1 },      { "s", 1000 },     { "m", 60000 },
                                         { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 } };
static const struct unit sizes[] = {
    { "B", 1 }, { "KiB", 1024 }, { "MiB", 1048576 }, { "GiB", 1073741824 }, { NULL, 0 }
};

/* strtod() alone also takes inf, nan, hexadecimal and leading blanks. */
static bool plain_number(const char *text, double *out, const char **end)
{
    char *stop;
    if (strspn(text, "0123456789.") == 0)
        return false;
    errno = 0;
    *out = strtod(text, &stop);
    *end = stop;
    return stop != text && !errno && text[1] != 'x' && text[1] != 'X';
}

static enum status with_unit(const char *text, const struct unit *units, int64_t *out,
                             struct err *err)
{
    const double most = 1e15; /* 30,000 years, 900 TiB */
    const char *end;
    double v;
    if (!plain_number(text, &v, &end))
        return err_set(err, ERR_CONFIG, "'%s' is not a number with a unit", text);
    if (v <= 0 && !*end) {
        *out = 0; /* zero is zero in every unit */
        return OK;
    }
    for (const struct unit *u = units; u->name; u++) {
        if (strcmp(end, u->name) != 0)
            continue;
        if (v > most / (double)u->factor)
            return err_set(err, ERR_CONFIG, "'%s' is too large", text);
        *out = (int64_t)(v * (double)u->factor);
        return OK;
    }
    err_set(err, ERR_CONFIG, "'%s' has %s unit", text, *end ? "an unknown" : "no");
    err_fix(err, units == durations ? "write 500ms, 30s, 5m, 2h or 1d"
                                    : "write 512B, 64KiB, 4MiB or 1GiB");
    return ERR_CONFIG;
}

static enum status enum_value(const char *choices, const char *text, struct err *err)
{
    size_t n = strlen(text);
    for (const char *p = choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) {
        if (strcspn(p, "|") == n && strncmp(p, text, n) == 0)
            return OK;
    }
    err_set(err, ERR_CONFIG, "'%s' is not one of %s", text, choices);
    return ERR_CONFIG;
}

static enum status bool_value(const char *text, int64_t *out, struct err *err)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return err_set(err, ERR_CONFIG, "'%s' is not true or false", text);
    *out = strcmp(text, "true") == 0;
    return OK;
}

/* What makes sense for a whole number; a key that is not here may be anything from 0. */
static const struct range {
    enum conf_key key;
    int64_t least, most;
} ranges[] = {
    { CONF_LOOP_ROUNDS, 1, PAWL_ROUNDS_MAX },
    { CONF_LOOP_TOKENS, 1, INT64_MAX },
    { CONF_LOOP_PATIENCE, 1, PAWL_ROUNDS_MAX },
    { CONF_LOOP_MEASURES, 0, 1000 },
    { CONF_LOOP_JUDGE, 0, 1000 },
    { CONF_LIMIT_OPEN_JOBS, 1, INT64_MAX },
    { CONF_WORKER_SLOTS, 0, PAWL_SLOTS_MAX },
    { CONF_MODEL_SLOTS, 0, PAWL_SLOTS_MAX },
};

static enum status int_value(enum conf_key k, const char *text, int64_t *out, struct err *err)
{
    int64_t least = 0, most = INT64_MAX;
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || text[0] == ' ' || text[0] == '+')
        return err_set(err, ERR_CONFIG, "'%s' is not a whole number", text);
    for (size_t i = 0; i < COUNT(ranges); i++) {
        if (ranges[i].key == k) {
            least = ranges[i].least;
            most = ranges[i].most;
        }
    }
    if (v < least)
        return err_set(err, ERR_CONFIG, "%lld is less than %lld", v, (long long)least);
    if (v > most)
        return err_set(err, ERR_CONFIG, "%lld is more than %lld", v, (long long)most);
    *out = v;
    return OK;
}

static enum status real_value(const char *text, double *out, struct err *err)
{
    const char *end;
    if (!plain_number(text, out, &end) || *end)
        return err_set(err, ERR_CONFIG, "'%s' is not a number from 0", text);
    return OK;
}

/* A TREE is JSON; a list of strings may also be written a,b,c. */
static enum status tree_value(const char *type, const char *text, json_t **out, struct err *err)
{
    bool strings = strcmp(type, "STRS") == 0;
    if (!*text)
        return OK;
    if (strings && text[strspn(text, " ")] != '[') {
        *out = json_array();
        for (const char *p = text; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
            js_push(*out, js_string((struct str){ p, strcspn(p, ",") }));
        return OK;
    }
    *out = js_parse(str_of(text), err);
    if (!*out)
        return ERR_CONFIG;
    bool fine = !strings || json_is_array(*out);
    for (size_t i = 0; fine && strings && i < js_count(*out); i++)
        fine = json_is_string(js_at(*out, i));
    return fine ? OK : err_set(err, ERR_CONFIG, "a list of strings is wanted here");
}

/* "~/x" and paths relative to the directory of the file that says them. */
static char *expand_path(const char *text, const char *dir)
{
    char out[PATH_MAX];
    const char *home = getenv("HOME");
    if (text[0] == '~' && (text[1] == '/' || !text[1]) && home)
        snprintf(out, sizeof out, "%s%s", home, text + 1);
    else if (text[0] && text[0] != '/')
        snprintf(out, sizeof out, "%s/%s", dir, text);
    else
        snprintf(out, sizeof out, "%s", text);
    return strdup(out);
}

enum status conf_set(struct conf *c, enum conf_key k, const char *text, const char *dir,
                     const char *origin, struct err *err)
{
    const char *type = conf_rows[k].type;
    struct conf_value v = { 0 };
    enum status st = OK;
    if (strcmp(type, "INT") == 0)
        st = int_value(k, text, &v.i, err);
    else if (strcmp(type, "BOOL") == 0)
        st = bool_value(text, &v.i, err);
    else if (strcmp(type, "MS") == 0)
        st = with_unit(text, durations, &v.i, err);
    else if (strcmp(type, "BYTES") == 0)
        st = with_unit(text, sizes, &v.i, err);
    else if (strncmp(type, "ENUM:", 5) == 0)
        st = enum_value(type + 5, text, err);
    else if (strcmp(type, "REAL") == 0)
        st = real_value(text, &v.d, err);
    else if (strcmp(type, "STRS") == 0 || strcmp(type, "TREE") == 0)
        st = tree_value(type, text, &v.tree, err);
    if (st != OK) {
        json_decref(v.tree);
        return st;
    }
    v.text = strcmp(type, "PATH") == 0 ? expand_path(text, dir) : strdup(text);
    v.origin = strdup(origin);
    conf_value_free(&c->values[k]);
    c->values[k] = v;
    return OK;
}

void conf_value_free(struct conf_value *v)
{
    free(v->text);
    free(v->origin);
    json_decref(v->tree);
    json_decref(v->lines);
    *v = (struct conf_value){ 0 };
}

bool conf_find(const char *path, enum conf_key *k)
{
    for (size_t i = 0; i < CONF_COUNT; i++) {
        if (strcmp(conf_rows[i].path, path) == 0) {
            *k = (enum conf_key)i;
            return true;
        }
    }
    return false;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t conf_distance(const char *a, const char *b)
{
    enum { MOST = 64 };
    size_t rows[3][MOST + 1], n = strlen(b);
    if (n > MOST)
        return n;
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= n; j++)
        above[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[n];
}

void conf_suggest(const char *path, struct err *err)
{
    size_t best = strlen(path) / 3 + 2;
    for (size_t i = 0; i < CONF_COUNT; i++) {
        size_t d = conf_distance(path, conf_rows[i].path);
        if (d < best) {
            best = d;
            err_fix(err, "did you mean '%s'?", conf_rows[i].path);
        }
    }
    if (err && !err->fix[0])
        err_fix(err, "`pawl config show` lists every key");
}

/* ---- sources --------------------------------------------------------------------------------- */

static enum status from_defaults(struct conf *c, struct err *err)
{
    for (size_t i = 0; i < CONF_COUNT; i++) {
        enum status st =
            conf_set(c, (enum conf_key)i, conf_rows[i].fallback, c->dir, "default", err);
        if (st != OK)
            return st;
    }
    return OK;
}

/* PAWL_BROKER_ENDPOINT for broker.endpoint. */
static void env_name(const char *path, char out[128])
{
    size_t n = (size_t)snprintf(out, 128, "PAWL_%s", path);
    for (size_t i = 5; i < n && i < 127; i++)
        out[i] =
            out[i] == '.' ? '_' : (char)(out[i] >= 'a' && out[i] <= 'z' ? out[i] - 32 : out[i]);
}

static enum status from_environment(struct conf *c, struct err *err)
{
    for (size_t i = 0; i < CONF_COUNT; i++) {
        char name[128], origin[160];
        env_name(conf_rows[i].path, name);
        const char *text = getenv(name);
        if (!text)
            continue;
        snprintf(origin, sizeof origin, "environment %s", name);
        enum status st = conf_set(c, (enum conf_key)i, text, c->cwd, origin, err);
        if (st != OK) {
            err_prefix(err, "%s", name);
            return st;
        }
    }
    return OK;
}

static enum status from_flags(struct conf *c, const struct conf_flag *flags, size_t n,
                              struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        enum conf_key k;
        if (!conf_find(flags[i].path, &k)) {
            err_set(err, ERR_CONFIG, "--set %s: unknown key", flags[i].path);
            conf_suggest(flags[i].path, err);
            return ERR_CONFIG;
        }
        enum status st = conf_set(c, k, flags[i].value, c->cwd, "flag", err);
        if (st != OK) {
            err_prefix(err, "%s", flags[i].path);
            return st;
        }
    }
    return OK;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* The nearest parent with a pawl.yaml, not above the repository's root. */
static void find_project(struct conf *c, char file[PATH_MAX])
{
    char at[PATH_MAX], probe[PATH_MAX + 16];
    snprintf(at, sizeof at, "%s", c->cwd);
    for (;;) {
        snprintf(probe, sizeof probe, "%s/pawl.yaml", at);
        if (exists(probe)) {
            snprintf(file, PATH_MAX, "%.*s", PATH_MAX - 1, probe);
            return;
        }
        snprintf(probe, sizeof probe, "%s/.git", at);
        char *slash = strrchr(at, '/');
        if (exists(probe) || !slash || slash == at)
            break;
        *slash = '\0';
    }
    file[0] = '\0';
}

static void user_file(char file[PATH_MAX])
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    file[0] = '\0';
    if (xdg && *xdg == '/')
        snprintf(file, PATH_MAX, "%s/pawl/config.yaml", xdg);
    else if (home)
        snprintf(file, PATH_MAX, "%s/.config/pawl/config.yaml", home);
}

static void note_dir(struct conf *c, const char *file)
{
    char absolute[PATH_MAX];
    if (file[0] == '/')
        snprintf(absolute, sizeof absolute, "%s", file);
    else
        snprintf(absolute, sizeof absolute, "%.2000s/%.2000s", c->cwd, file);
    char *slash = strrchr(absolute, '/');
    *slash = '\0';
    free(c->dir);
    c->dir = strdup(*absolute ? absolute : "/");
}

static enum status from_files(struct conf *c, const char *given, struct err *err)
{
    char user[PATH_MAX], project[PATH_MAX];
    user_file(user);
    if (*user && exists(user)) {
        enum status st = conf_read_file(c, user, err);
        if (st != OK)
            return st;
    }
    if (given)
        snprintf(project, sizeof project, "%s", given);
    else
        find_project(c, project);
    if (!*project)
        return OK;
    note_dir(c, project);
    return conf_read_file(c, project, err);
}

static const char *home_dir(void)
{
    const char *home = getenv("HOME");
    if (home && *home == '/')
        return home;
    const struct passwd *who = getpwuid(getuid());
    return who && who->pw_dir ? who->pw_dir : "/";
}

static enum status finish(struct conf *c, struct err *err)
{
    char text[PATH_MAX];
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *given = c->values[CONF_STATE_DIR].text;
    if (*given)
        snprintf(text, sizeof text, "%s", given);
    else if (xdg && *xdg == '/')
        snprintf(text, sizeof text, "%s/pawl", xdg);
    else
        snprintf(text, sizeof text, "%s/.local/state/pawl", home_dir());
    c->state_dir = strdup(text);
    const char *endpoint = c->values[CONF_BROKER_ENDPOINT].text;
    if (*endpoint)
        snprintf(text, sizeof text, "%s", endpoint);
    else
        snprintf(text, sizeof text, "ipc://%s/broker.sock", c->state_dir);
    c->endpoint = strdup(text);
    if (strncmp(text, "ipc://", 6) == 0 && strlen(text) - 6 > 100) { /* sockaddr_un holds 107 */
        err_set(err, ERR_CONFIG, "%s: a socket path may be 100 bytes long, this one has %zu", text,
                strlen(text) - 6);
        err_fix(err, "set state_dir or broker.endpoint to something shorter");
        return ERR_CONFIG;
    }
    return OK;
}

enum status conf_load(struct conf **out, const char *file, const struct conf_flag *flags,
                      size_t flags_n, struct err *err)
{
    struct conf *c = calloc(1, sizeof *c);
    struct err local = { 0 };
    err = err ? err : &local;
    *out = NULL;
    if (!c)
        return err_set(err, ERR_NOMEM, "out of memory");
    char cwd[PATH_MAX];
    c->cwd = strdup(getcwd(cwd, sizeof cwd) ? cwd : "/");
    c->dir = strdup(c->cwd);
    enum status st = from_defaults(c, err);
    if (st == OK)
        st = from_files(c, file, err);
    if (st == OK)
        st = from_environment(c, err);
    if (st == OK)
        st = from_flags(c, flags, flags_n, err);
    if (st == OK)
        st = finish(c, err);
    if (st != OK) {
        conf_free(c);
        return st;
    }
    *out = c;
    return OK;
}

void conf_free(struct conf *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < CONF_COUNT; i++)
        conf_value_free(&c->values[i]);
    free(c->cwd);
    free(c->dir);
    free(c->state_dir);
    free(c->endpoint);
    free(c);
}

/* ---- reading it ------------------------------------------------------------------------------ */

const char *conf_str(const struct conf *c, enum conf_key k)
{
    return c->values[k].text;
}

int64_t conf_int(const struct conf *c, enum conf_key k)
{
    return c->values[k].i;
}

double conf_real(const struct conf *c, enum conf_key k)
{
    return c->values[k].d;
}

const json_t *conf_tree(const struct conf *c, enum conf_key k)
{
    return c->values[k].tree;
}

const char *conf_origin(const struct conf *c, enum conf_key k)
{
    return c->values[k].origin;
}

const char *conf_path(enum conf_key k)
{
    return conf_rows[k].path;
}

const char *conf_help(enum conf_key k)
{
    return conf_rows[k].help;
}

int conf_line(const struct conf *c, enum conf_key k, const char *js_path)
{
    return (int)js_int(c->values[k].lines, js_path, 0);
}

const char *conf_dir(const struct conf *c)
{
    return c->dir;
}

const char *conf_state_dir(const struct conf *c)
{
    return c->state_dir;
}

const char *conf_endpoint(const struct conf *c)
{
    return c->endpoint;
}
