/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/args.h"

#include "common/conf_in.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct flag flag_table[FLAG_COUNT] = {
#define X(id, name, letter, kind, value, help) { name, letter, FLAG_KIND_##kind, value, help },
#include "clients/cli/flags.def"
#undef X
};

bool args_has(const struct args *a, enum flag_id flag)
{
    return a->text[flag] != NULL || a->list_n[flag] > 0;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(command_table[i].name, name) == 0)
            return &command_table[i];
    }
    return NULL;
}

bool command_takes(const struct command *c, enum flag_id flag)
{
    if (flag < FLAG_GLOBAL_COUNT)
        return true;
    for (size_t i = 0; c && i < COUNT(c->flags) && c->flags[i] != FLAG_COUNT; i++) {
        if (c->flags[i] == flag)
            return true;
    }
    return false;
}

bool duration_parse(const char *text, int64_t *ms)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = { { "ms", 1 }, { "s", 1e3 }, { "m", 6e4 }, { "h", 3.6e6 }, { "d", 8.64e7 } };
    char *end;
    if (!strchr("0123456789.", text[0]) || !text[0])
        return false;
    double v = strtod(text, &end);
    for (size_t i = 0; end != text && i < COUNT(units); i++) {
        if (strcmp(end, units[i].name) == 0 && v * units[i].factor < 1e15) {
            *ms = (int64_t)(v * units[i].factor);
            return true;
        }
    }
    return false;
}

/* A flag by name (long) or by letter; FLAG_COUNT: unknown. */
static enum flag_id flag_find(const char *name, size_t n, bool letter)
{
    for (int i = 0; i < FLAG_COUNT; i++) {
        const struct flag *f = &flag_table[i];
        if (letter ? n >= 1 && f->letter == name[0]
                   : strlen(f->name) == n && strncmp(f->name, name, n) == 0)
            return (enum flag_id)i;
    }
    return FLAG_COUNT;
}

static enum status unknown_flag(const struct args *a, const char *word, struct err *err)
{
    char name[64];
    size_t best = 4;
    const char *nearest = NULL;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    const char *bare = name + strspn(name, "-");
    for (int i = 0; i < FLAG_COUNT; i++) {
        size_t d = conf_distance(bare, flag_table[i].name);
        if (command_takes(a->command, (enum flag_id)i) && d < best) {
            best = d;
            nearest = flag_table[i].name;
        }
    }
    err_set(err, ERR_USAGE, "%s%sunknown flag '%s'", a->command ? a->command->name : "",
            a->command ? ": " : "", name);
    if (nearest)
        err_fix(err, "did you mean '--%s'?", nearest);
    return ERR_USAGE;
}

static enum status flag_value(struct args *a, enum flag_id id, const char *value, struct err *err)
{
    const struct flag *f = &flag_table[id];
    char *end;
    errno = 0;
    if (f->kind == FLAG_KIND_LIST) {
        if (a->list_n[id] == LIST_ARGS_MAX)
            return err_set(err, ERR_USAGE, "--%s is given too often", f->name);
        a->list[id][a->list_n[id]++] = value;
        return OK;
    }
    a->text[id] = value;
    if (f->kind == FLAG_KIND_NUMBER) {
        a->number[id] = strtoll(value, &end, 10);
        if (end == value || *end || errno)
            return err_set(err, ERR_USAGE, "--%s: '%s' is not a whole number", f->name, value);
    }
    bool duration = f->kind == FLAG_KIND_DURATION || (id == FLAG_WAIT && *value);
    if (duration && !duration_parse(value, &a->number[id])) {
        err_set(err, ERR_USAGE, "--%s: '%s' is not a duration", f->name, value);
        err_fix(err, "write 500ms, 30s, 5m or 2h");
        return ERR_USAGE;
    }
    return OK;
}

/* One word that begins with '-'. *i moves on when the value is the next word. */
static enum status take_flag(struct args *a, int argc, char *const *argv, int *i, struct err *err)
{
    const char *word = argv[*i], *eq = strchr(word, '=');
    bool letter = word[1] != '-';
    const char *name = word + (letter ? 1 : 2);
    size_t n = eq ? (size_t)(eq - name) : strlen(name);
    enum flag_id id = flag_find(name, n, letter);
    if (id == FLAG_COUNT || (letter && flag_table[id].kind == FLAG_KIND_BOOL && n > 1))
        return unknown_flag(a, word, err);
    const struct flag *f = &flag_table[id];
    const char *value = letter ? (name[1] ? name + 1 + (name[1] == '=') : NULL)
                        : eq   ? eq + 1
                               : NULL;
    if (!command_takes(a->command, id) && a->command)
        return unknown_flag(a, word, err);
    if (f->kind == FLAG_KIND_BOOL) {
        if (value)
            return err_set(err, ERR_USAGE, "--%s takes no value", f->name);
        value = "";
    } else if (f->kind == FLAG_KIND_OPTIONAL) {
        value = value ? value : "";
    } else if (!value) {
        if (*i + 1 >= argc)
            return err_set(err, ERR_USAGE, "--%s wants a value: %s", f->name, f->value);
        value = argv[++*i];
    }
    return flag_value(a, id, value, err);
}

/* Does this word take the next one as its value? For finding the command before its flags. */
static bool takes_next(const char *word)
{
    bool letter = word[1] != '-';
    if (strchr(word, '=') || (letter && word[2]))
        return false;
    enum flag_id id = flag_find(word + (letter ? 1 : 2), strlen(word) - (letter ? 1 : 2), letter);
    if (id == FLAG_COUNT)
        return false;
    enum flag_kind kind = flag_table[id].kind;
    return kind != FLAG_KIND_BOOL && kind != FLAG_KIND_OPTIONAL;
}

static bool is_flag(const char *word)
{
    return word[0] == '-' && word[1];
}

static bool is_group(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < command_count; i++) {
        if (strncmp(command_table[i].name, name, n) == 0 && command_table[i].name[n] == ' ')
            return true;
    }
    return false;
}

static enum status unknown_command(const char *name, struct err *err)
{
    size_t best = 3 + strlen(name) / 4;
    const char *nearest = NULL;
    for (size_t i = 0; i < command_count; i++) {
        size_t d = conf_distance(name, command_table[i].name);
        if (d < best) {
            best = d;
            nearest = command_table[i].name;
        }
    }
    err_set(err, ERR_USAGE, "unknown command '%.60s'", name);
    if (nearest)
        err_fix(err, "did you mean 'pawl %s'?", nearest);
    else
        err_fix(err, "`pawl help` lists the commands");
    return ERR_USAGE;
}

/* The command is the first word that is no flag, or the first two. `at` gets their places. */
static enum status find_command(struct args *a, int argc, char *const *argv, int at[2],
                                struct err *err)
{
    int found = 0;
    char two[128];
    at[0] = at[1] = -1;
    for (int i = 0; i < argc && found < 2 && strcmp(argv[i], "--") != 0; i++) {
        if (!is_flag(argv[i]))
            at[found++] = i;
        else if (takes_next(argv[i]))
            i++;
    }
    if (!found)
        return OK;
    const char *first = argv[at[0]];
    if (is_group(first)) {
        snprintf(two, sizeof two, "%s %s", first, found == 2 ? argv[at[1]] : "");
        if ((a->command = command_find(two)))
            return OK;
    }
    at[1] = -1;
    if ((a->command = command_find(first)))
        return OK;
    if (!is_group(first))
        return unknown_command(first, err);
    if (found == 2)
        return unknown_command(two, err);
    err_set(err, ERR_USAGE, "%s: which one?", first);
    err_fix(err, "`pawl help %s` lists them", first);
    return ERR_USAGE;
}

static enum status check_words(const struct args *a, struct err *err)
{
    const struct command *c = a->command;
    if (!c || args_has(a, FLAG_HELP) || args_has(a, FLAG_VERSION))
        return OK;
    if (a->words_n < c->args_min)
        err_set(err, ERR_USAGE, "%s: something is missing: pawl %s %s", c->name, c->name, c->args);
    else if (a->words_n > c->args_max)
        err_set(err, ERR_USAGE, "%s: '%.60s' is one word too many", c->name, a->words[c->args_max]);
    else
        return OK;
    err_fix(err, "`pawl help %s` says more", c->name);
    return ERR_USAGE;
}

enum status args_parse(int argc, char *const *argv, struct args *a, struct err *err)
{
    int at[2];
    bool flags = true;
    memset(a, 0, sizeof *a);
    enum status st = find_command(a, argc, argv, at, err);
    if (st != OK)
        return st;
    for (int i = 0; i < argc; i++) {
        if (i == at[0] || i == at[1])
            continue;
        if (flags && strcmp(argv[i], "--") == 0) {
            flags = false;
        } else if (flags && is_flag(argv[i])) {
            if ((st = take_flag(a, argc, argv, &i, err)) != OK)
                return st;
        } else if (a->words_n == ARGS_MAX) {
            return err_set(err, ERR_USAGE, "more than %d arguments", ARGS_MAX);
        } else {
            a->words[a->words_n++] = argv[i];
        }
    }
    return check_words(a, err);
}
