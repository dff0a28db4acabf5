/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/stages/stages.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAIRS_MAX = 8, PIECE = 1 << 20 };

struct pair {
    int in, out, file; /* broker, Redis, what was said */
};

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench-stages: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_un address(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    return a;
}

static void put_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno != EINTR)
            give_up("write");
        if (put > 0) {
            p += put;
            n -= (size_t)put;
        }
    }
}

/* ---- the recorder ---------------------------------------------------------------------------- */

static struct pair connect_pair(int listener, const char *to, const char *dir, size_t number)
{
    char path[256];
    struct sockaddr_un a = address(to);
    struct pair p = { .in = accept4(listener, NULL, NULL, SOCK_CLOEXEC),
                      .out = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    snprintf(path, sizeof path, "%s/wire.%zu", dir, number);
    p.file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (p.in < 0 || p.file < 0 || connect(p.out, (struct sockaddr *)&a, sizeof a) != 0)
        give_up(to);
    return p;
}

/* False: the connection has ended. */
static bool pass(int from, int to, int file, _Atomic uint64_t *count, char *piece)
{
    ssize_t n = read(from, piece, PIECE);
    if (n <= 0)
        return false;
    put_all(to, piece, (size_t)n);
    if (file >= 0)
        put_all(file, piece, (size_t)n);
    if (count)
        atomic_fetch_add(count, (uint64_t)n);
    return true;
}

static _Noreturn void record(int listener, const char *to, const char *dir, struct tally *tally)
{
    struct pair pairs[PAIRS_MAX];
    struct pollfd fds[1 + 2 * PAIRS_MAX] = { { .fd = listener, .events = POLLIN } };
    size_t n = 0;
    char *piece = malloc(PIECE);
    while (piece && poll(fds, 1 + 2 * n, -1) >= 0) {
        for (size_t i = 0; i < n; i++) {
            struct pollfd *in = &fds[1 + 2 * i], *out = &fds[2 + 2 * i];
            bool good = true;
            if (in->revents)
                good = pass(pairs[i].in, pairs[i].out, pairs[i].file,
                            i == 0 ? &tally->recorded : NULL, piece);
            if (good && out->revents)
                good = pass(pairs[i].out, pairs[i].in, -1, NULL, piece);
            if (!good) { /* the broker has gone: the recording is complete */
                close(pairs[i].in);
                close(pairs[i].out);
                in->fd = out->fd = -1;
            }
        }
        if ((fds[0].revents & POLLIN) && n < PAIRS_MAX) {
            pairs[n] = connect_pair(listener, to, dir, n);
            fds[1 + 2 * n] = (struct pollfd){ .fd = pairs[n].in, .events = POLLIN };
            fds[2 + 2 * n] = (struct pollfd){ .fd = pairs[n].out, .events = POLLIN };
            n++;
        }
    }
    give_up("recorder");
}

pid_t recorder_start(const char *from, const char *to, const char *dir, struct tally *tally)
{
    struct sockaddr_un a = address(from);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof a) != 0 ||
        listen(listener, PAIRS_MAX) != 0)
        give_up(from);
    pid_t pid = fork();
    if (pid < 0)
        give_up("fork");
    if (pid > 0) {
        close(listener);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    record(listener, to, dir, tally);
}

/* ---- saying it again ------------------------------------------------------------------------- */

/* A number up to "\r\n"; *at moves behind it. */
static bool number(struct str s, size_t *at, char mark, uint64_t *out)
{
    if (*at >= s.n || s.p[*at] != mark)
        return false;
    *out = 0;
    for (++*at; *at < s.n && s.p[*at] != '\r'; ++*at)
        *out = *out * 10 + (uint64_t)(s.p[*at] - '0');
    *at += 2;
    return *at <= s.n;
}

/* The next command: its end, and whether it is a commit. False: none is whole any more. */
static bool next_command(struct str s, size_t from, size_t *end, bool *commit)
{
    static const char tail[] = "_commit";
    uint64_t n, len;
    size_t at = from;
    *commit = false;
    if (!number(s, &at, '*', &n))
        return false;
    for (uint64_t i = 0; i < n; i++) {
        if (!number(s, &at, '$', &len) || len + 2 > s.n - at)
            return false;
        if (i == 1 && len > strlen(tail))
            *commit = memcmp(s.p + at + len - strlen(tail), tail, strlen(tail)) == 0;
        at += len + 2;
    }
    *end = at;
    return true;
}

static bool say(redisContext *c, struct str command)
{
    redisReply *r = NULL;
    if (redisAppendFormattedCommand(c, command.p, command.n) != REDIS_OK ||
        redisGetReply(c, (void **)&r) != REDIS_OK)
        return false;
    bool good = r->type != REDIS_REPLY_ERROR;
    if (!good)
        fprintf(stderr, "bench-stages: replay: %s\n", r->str);
    freeReplyObject(r);
    return good;
}

bool replay(const char *redis_socket, const char *file, uint64_t from, struct replayed *out)
{
    struct stat st;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
        give_up(file);
    char *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    close(fd);
    redisContext *c = redisConnectUnix(redis_socket);
    struct str wire = { p, (size_t)st.st_size };
    bool good = p != MAP_FAILED && c && !c->err, commit;
    int64_t began = 0;
    *out = (struct replayed){ 0 };
    for (size_t at = 0, end; good && next_command(wire, at, &end, &commit); at = end) {
        if (at >= from && !began)
            began = mono_now_us();
        good = say(c, (struct str){ wire.p + at, end - at });
        out->commits += at >= from && commit;
        out->bytes += at >= from ? end - at : 0;
    }
    out->seconds = (double)(mono_now_us() - began) / 1e6;
    munmap(p, wire.n);
    if (c)
        redisFree(c);
    return good;
}
