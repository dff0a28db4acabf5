/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl config …` and `pawl keys …`. */
#include "clients/cli/cli.h"
#include "clients/cli/out.h"
#include "common/conf_in.h"
#include "common/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- config ---------------------------------------------------------------------------------- */

static void show_one(struct cli *cli, enum conf_key k, struct table *t, json_t *items)
{
    bool origin = cli_has(cli, FLAG_ORIGIN);
    if (out_is_json(cli)) {
        json_t *v = json_object();
        js_set_z(v, "key", conf_path(k));
        js_set_z(v, "value", conf_str(cli->conf, k));
        js_set_z(v, "origin", conf_origin(cli->conf, k));
        js_push(items, v);
        return;
    }
    table_cell(t, conf_path(k));
    table_cell(t, *conf_str(cli->conf, k) ? conf_str(cli->conf, k) : "\"\"");
    if (origin)
        table_cell(t, conf_origin(cli->conf, k));
}

int cmd_config_show(struct cli *cli)
{
    static const char *const heads[] = { "KEY", "VALUE", "ORIGIN" };
    const char *one = cli_word(cli, 0);
    struct table t;
    struct err err = { 0 };
    enum conf_key key;
    if (one && !conf_find(one, &key)) {
        err_set(&err, ERR_NOT_FOUND, "config show: unknown key '%.100s'", one);
        conf_suggest(one, &err);
        return out_error(cli, &err);
    }
    if (one && cli->form == FORM_TABLE && !cli_has(cli, FLAG_ORIGIN)) {
        printf("%s\n", conf_str(cli->conf, key));
        return 0;
    }
    json_t *items = json_array();
    table_init(&t, heads, cli_has(cli, FLAG_ORIGIN) ? 3 : 2);
    for (size_t i = 0; i < CONF_COUNT; i++) {
        if (!one || i == (size_t)key)
            show_one(cli, (enum conf_key)i, &t, items);
    }
    if (out_is_json(cli)) {
        json_t *all = json_object();
        js_set(all, "items", json_incref(items));
        out_json(cli, "Configuration", all);
        buf_fini(&t.cells);
    } else {
        table_print(&t, cli);
    }
    json_decref(items);
    return 0;
}

int cmd_config_check(struct cli *cli)
{
    struct err err = { 0 };
    if (cli_word(cli, 0))
        cli->args.text[FLAG_CONFIG] = cli_word(cli, 0);
    if (cli_load_conf(cli, &err) != OK)
        return out_error(cli, &err);
    out_note(cli, "the configuration is good");
    return 0;
}

int cmd_config_path(struct cli *cli)
{
    const char *const rows[][2] = {
        { "project", conf_dir(cli->conf) },
        { "state", conf_state_dir(cli->conf) },
        { "broker", conf_endpoint(cli->conf) },
    };
    json_t *v = json_object();
    for (size_t i = 0; i < COUNT(rows); i++) {
        js_set_z(v, rows[i][0], rows[i][1]);
        if (!out_is_json(cli))
            printf(cli->out_tty ? "%-8s %s\n" : "%s\t%s\n", rows[i][0], rows[i][1]);
    }
    if (out_is_json(cli))
        out_json(cli, "Paths", json_incref(v));
    json_decref(v);
    return 0;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static enum status write_secret(const char *path, const char *public_key, const char *secret_key,
                                bool force, struct err *err)
{
    char text[256];
    int n = snprintf(text, sizeof text,
                     "# pawl key pair; keep this file to yourself\npublic %s\nsecret %s\n",
                     public_key, secret_key);
    int fd =
        open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (force ? O_TRUNC : O_EXCL), 0600);
    if (fd < 0) {
        err_set(err, ERR_CREATE, "%.300s: %s", path, strerror(errno));
        if (errno == EEXIST)
            err_fix(err, "choose another name, or --force to lose that key");
        return ERR_CREATE;
    }
    bool good = fchmod(fd, 0600) == 0 && write(fd, text, (size_t)n) == n && fsync(fd) == 0;
    int why = errno;
    good = close(fd) == 0 && good;
    return good ? OK : err_set(err, ERR_IO, "%.300s: %s", path, strerror(why));
}

int cmd_keys_new(struct cli *cli)
{
    char public_key[41], secret_key[41], path[512];
    struct err err = { 0 };
    const char *name = cli_word(cli, 0) ? cli_word(cli, 0) : "pawl";
    enum status st =
        (size_t)snprintf(path, sizeof path, "%s.key", name) < sizeof path ? OK : ERR_USAGE;
    if (st != OK)
        err_set(&err, st, "the name is too long");
    else if ((st = peer_keypair(public_key, secret_key)) != OK)
        err_set(&err, st, "this ZeroMQ has no CURVE");
    else
        st = write_secret(path, public_key, secret_key, cli_has(cli, FLAG_FORCE), &err);
    explicit_bzero(secret_key, sizeof secret_key);
    if (st != OK)
        return out_error(cli, &err);
    if (out_is_json(cli)) {
        json_t *v = json_object();
        js_set_z(v, "file", path);
        js_set_z(v, "public_key", public_key);
        out_json(cli, "Key", v);
        return 0;
    }
    printf("%s\n", public_key);
    out_note(cli,
             "the secret key is in %s, readable by you only: peer.secret_file (or "
             "broker.secret_file) names it\n"
             "let a worker with it in:  pawl keys allow ALLOW-FILE '%s' worker\n"
             "the line for the allow file:  %s worker",
             path, public_key, public_key);
    return 0;
}

static bool z85(const char *key)
{
    return strlen(key) == 40 && strspn(key, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQR"
                                            "STUVWXYZ.-:+=^!/*?&<>()[]{}@%$#") == 40;
}

/* The allow file without the lines of a key, and with a new one (line may be ""), put in its place
 * in one step: the broker never reads half of it. *had: there were such lines. */
static enum status write_allow(int fd, FILE *old, const char *key, const char *line, bool *had)
{
    char row[512];
    bool good = true;
    FILE *f = fdopen(fd, "w");
    if (!f) {
        close(fd);
        return ERR_IO;
    }
    while (old && good && fgets(row, sizeof row, old)) {
        bool its = strncmp(row, key, 40) == 0 && strchr(" \t\n", row[40]) != NULL;
        *had = *had || its;
        if (!its)
            good = fputs(row, f) >= 0 && (strchr(row, '\n') || fputc('\n', f) != EOF);
    }
    good = good && !(old && ferror(old)) && fputs(line, f) >= 0 && fflush(f) == 0 && fsync(fd) == 0;
    return fclose(f) == 0 && good ? OK : ERR_IO;
}

static enum status change_allow(const char *path, const char *key, const char *line, bool *had,
                                struct err *err)
{
    char temporary[520], lock[520];
    struct stat st = { .st_mode = 0600 };
    snprintf(temporary, sizeof temporary, "%.500s.new", path);
    snprintf(lock, sizeof lock, "%.500s.lock", path);
    int held = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (held < 0 || flock(held, LOCK_EX) != 0) {
        err_set(err, ERR_CREATE, "%.300s: %s", lock, strerror(errno));
        if (held >= 0)
            close(held);
        return ERR_CREATE;
    }
    FILE *old = fopen(path, "re");
    if (old && fstat(fileno(old), &st) != 0)
        st.st_mode = 0600;
    int fd =
        open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, st.st_mode & 0777);
    enum status result = fd < 0 ? ERR_CREATE : write_allow(fd, old, key, line, had);
    if (result == OK && (*had || *line) && rename(temporary, path) != 0)
        result = ERR_IO;
    if (result != OK)
        err_set(err, result, "%.300s: %s", path, strerror(errno));
    if (result != OK || !(*had || *line))
        unlink(temporary);
    if (old)
        fclose(old);
    close(held);
    return result;
}

static enum status check_role(const char *role, struct err *err)
{
    size_t n = strcspn(role, ":");
    bool parts =
        (n == 6 && strncmp(role, "client", n) == 0) || (n == 6 && strncmp(role, "worker", n) == 0);
    bool known = strcmp(role, "admin") == 0 || (parts && (role[n] == '\0' || role[n + 1]));
    if (known && strlen(role) <= PAWL_NAME_MAX && !strpbrk(role, " \t\n"))
        return OK;
    err_set(err, ERR_USAGE, "'%.60s' is no role", role);
    err_fix(err, "client, client:PROJECT, worker, worker:STAGE,STAGE… or admin");
    return ERR_USAGE;
}

static enum status check_key(const char *key, struct err *err)
{
    if (z85(key))
        return OK;
    return err_set(err, ERR_USAGE,
                   "'%.60s' is no public key (40 characters, as `pawl keys new` prints them)", key);
}

int cmd_keys_allow(struct cli *cli)
{
    char line[256];
    struct err err = { 0 };
    bool had = false;
    const char *path = cli_word(cli, 0), *key = cli_word(cli, 1), *role = cli_word(cli, 2);
    snprintf(line, sizeof line, "%.40s %.64s\n", key, role);
    if (check_key(key, &err) != OK || check_role(role, &err) != OK ||
        change_allow(path, key, line, &had, &err) != OK)
        return out_error(cli, &err);
    out_note(cli, "%s may come in as %s%s; the broker reads %s again by itself", key, role,
             had ? ", in place of what it was" : "", path);
    return 0;
}

int cmd_keys_revoke(struct cli *cli)
{
    struct err err = { 0 };
    bool had = false;
    const char *path = cli_word(cli, 0), *key = cli_word(cli, 1);
    if (check_key(key, &err) != OK || change_allow(path, key, "", &had, &err) != OK)
        return out_error(cli, &err);
    if (!had) {
        err_set(&err, ERR_NOT_FOUND, "%.300s does not list %s", path, key);
        return out_error(cli, &err);
    }
    out_note(cli, "%s is revoked: its connections are deaf and dumb from now on", key);
    return 0;
}
