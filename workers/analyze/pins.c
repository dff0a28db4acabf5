/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/analyze/pins.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { FILE_MAX = 4 * 1024 * 1024 };

/* ---- the file -------------------------------------------------------------------------------- */

/* Each pin is one line of a JSON object, so that one can be taken out with an editor. */
static enum status parse(const struct pins *p, struct str text, json_t **out, struct err *err)
{
    struct err bad = { 0 };
    const char *key;
    json_t *v;
    *out = text.n ? js_parse(text, &bad) : json_object();
    bool good = json_is_object(*out);
    json_object_foreach(*out, key, v)
    {
        good = good && json_is_string(v);
    }
    if (good)
        return OK;
    json_decref(*out);
    *out = NULL;
    err_set(err, ERR_DATA, "%.2000s: %s", p->path,
            *bad.text ? bad.text : "not a map of tools to hashes");
    err_fix(err,
            "Correct the file or remove it: then every tool is seen for the first time again.");
    return ERR_DATA;
}

static enum status trouble(const struct pins *p, struct err *err)
{
    return err_set(err, ERR_IO, "%.600s: %s", p->path, strerror(errno));
}

static enum status read_all(const struct pins *p, int fd, struct buf *text, struct err *err)
{
    ssize_t n = -1;
    char *room;
    while ((room = buf_room(text, 65536)) && (n = read(fd, room, 65536)) > 0)
        buf_grown(text, (size_t)n);
    if (!room)
        return err_set(err, ERR_LIMIT, "%.600s: larger than %d bytes", p->path, FILE_MAX);
    return n < 0 ? trouble(p, err) : OK;
}

static enum status read_file(struct pins *p, json_t **out, struct err *err)
{
    struct buf text;
    int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *out = NULL;
    if (fd < 0 && errno != ENOENT)
        return trouble(p, err);
    buf_init(&text, FILE_MAX + 65536);
    enum status st = fd < 0 ? OK : read_all(p, fd, &text, err);
    if (fd >= 0)
        close(fd);
    if (st == OK)
        st = parse(p, buf_get(&text), out, err);
    buf_fini(&text);
    return st;
}

static bool write_all(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        s = (struct str){ s.p + n, s.n - (size_t)n };
    }
    return true;
}

/* A new file takes the old one's place: a crash leaves one or the other. */
static enum status replace_file(struct pins *p, struct err *err)
{
    char temporary[sizeof p->path + 16];
    struct buf text;
    buf_init(&text, FILE_MAX);
    js_dump_pretty(p->seen, &text);
    buf_char(&text, '\n');
    if (text.status != OK)
        return err_set(err, ERR_LIMIT, "%.600s: more than %d bytes", p->path, FILE_MAX);
    snprintf(temporary, sizeof temporary, "%s.new", p->path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write_all(fd, buf_get(&text)) && fsync(fd) == 0;
    good = good && rename(temporary, p->path) == 0;
    enum status st = good ? OK : trouble(p, err);
    if (fd >= 0)
        close(fd);
    buf_fini(&text);
    return st;
}

static enum status merge(struct pins *p, struct err *err)
{
    json_t *theirs;
    enum status st = read_file(p, &theirs, err);
    if (st != OK)
        return st;
    json_object_update_missing(theirs, p->fresh);
    json_decref(p->seen);
    p->seen = theirs;
    st = replace_file(p, err);
    if (st == OK)
        json_object_clear(p->fresh);
    return st;
}

enum status pins_save(struct pins *p, struct err *err)
{
    char lock[sizeof p->path + 16];
    if (json_object_size(p->fresh) == 0 || !*p->path)
        return OK;
    snprintf(lock, sizeof lock, "%s.lock", p->path);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return trouble(p, err);
    enum status st = flock(fd, LOCK_EX | LOCK_NB) == 0 ? merge(p, err)
                     : errno == EWOULDBLOCK
                         ? err_set(err, ERR_BUSY, "%.600s: another worker writes it", p->path)
                         : trouble(p, err);
    close(fd);
    return st;
}

/* ---- life ------------------------------------------------------------------------------------ */

enum status pins_open(struct pins *p, const char *path, struct err *err)
{
    *p = (struct pins){ 0 };
    snprintf(p->path, sizeof p->path, "%s", path);
    enum status st = *path ? read_file(p, &p->seen, err) : OK;
    if (st != OK)
        p->path[0] = '\0';
    if (!p->seen)
        p->seen = json_object();
    p->fresh = json_object();
    assert(p->seen && p->fresh);
    return st;
}

void pins_close(struct pins *p)
{
    json_decref(p->seen);
    json_decref(p->fresh);
    *p = (struct pins){ 0 };
}

/* ---- tools ----------------------------------------------------------------------------------- */

static struct hash command_of(const struct mcp_server *server)
{
    struct buf all;
    buf_init(&all, (size_t)64 * 1024 * 1024);
    for (size_t i = 0; server->argv[i]; i++)
        buf_append(&all, server->argv[i], strlen(server->argv[i]) + 1);
    struct hash h = hash_of(buf_get(&all));
    buf_fini(&all);
    return h;
}

static const char *find(const struct pins *p, const char *key)
{
    const json_t *v = json_object_get(p->seen, key);
    return json_string_value(v ? v : json_object_get(p->fresh, key));
}

bool pins_see(struct pins *p, const struct mcp_server *server, const struct mcp_tool *tool)
{
    char key[64 + MCP_TOOL_NAME_MAX + 24], command[HASH_HEX + 1], pin[HASH_HEX + 1];
    struct hash h = command_of(server);
    hash_hex(&h, command);
    hash_hex(&tool->pin, pin);
    snprintf(key, sizeof key, "%.64s %.*s %.16s", server->name, MCP_TOOL_NAME_MAX, tool->name,
             command);
    const char *known = find(p, key);
    json_t *now = NULL;
    if (known && strcmp(known, pin) != 0 && *p->path && read_file(p, &now, NULL) == OK) {
        json_decref(p->seen);
        p->seen = now;
        known = find(p, key);
    }
    if (known)
        return strcmp(known, pin) == 0;
    js_set_z(p->fresh, key, pin);
    return true;
}
