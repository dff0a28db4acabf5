/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

enum { DEADLINE_MS = 20000, ARGS_MAX = 32 };

#define FAIL(...)                                                                                  \
    do {                                                                                           \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                            \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fprintf(stderr, "\n");                                                                     \
        abort();                                                                                   \
    } while (0)

void rig_open(struct rig *r)
{
    memset(r, 0, sizeof *r);
    r->broker_log = -1;
    snprintf(r->dir, sizeof r->dir, "%s", "/tmp/pawl-rig-XXXXXX");
    if (!mkdtemp(r->dir))
        FAIL("mkdtemp: %s", strerror(errno));
    snprintf(r->endpoint, sizeof r->endpoint, "ipc://%s/broker.sock", r->dir);
    snprintf(r->redis_url, sizeof r->redis_url, "unix://%s/redis.sock", r->dir);
}

static pid_t spawn(const char *const *argv, int err_fd, const char *dir)
{
    pid_t pid = fork();
    if (pid < 0)
        FAIL("fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that aborts leaves nothing behind */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    dup2(err_fd >= 0 ? err_fd : null, 2);
    if (chdir(dir) != 0)
        _exit(126);
    setenv("HOME", dir, 1);
    setenv("XDG_CONFIG_HOME", dir, 1);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static bool can_connect(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%.100s", path);
    bool good = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return good;
}

/* Redis says on its standard output when it serves; its socket answers at that moment. Between two
 * looks we wait for the directory's next moment by poll(2), bounded by the deadline. */
void rig_redis_start(struct rig *r)
{
    char sock[128], data[80];
    snprintf(sock, sizeof sock, "%s/redis.sock", r->dir);
    snprintf(data, sizeof data, "%s", r->dir);
    const char *fsync = r->appendfsync ? r->appendfsync : "always";
    const char *argv[] = {
        REDIS_SERVER, "--port",       "0",   "--unixsocket",  sock,        "--dir",
        data,         "--appendonly", "yes", "--appendfsync", fsync,       "--save",
        "",           "--daemonize",  "no",  "--logfile",     "redis.log", NULL
    };
    r->redis = spawn(argv, -1, r->dir);
    for (int64_t until = mono_now().ms + DEADLINE_MS; !can_connect(sock);) {
        if (mono_now().ms > until || waitpid(r->redis, NULL, WNOHANG) != 0)
            FAIL("redis-server does not come up in %s", r->dir);
        poll(NULL, 0, 5);
    }
}

static int reap(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

long rig_rss_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    }
    if (f)
        fclose(f);
    if (kib == 0)
        FAIL("process %ld has gone", (long)pid);
    return kib;
}

void rig_redis_stop(struct rig *r, int signo)
{
    if (!r->redis)
        return;
    kill(r->redis, signo);
    reap(r->redis);
    r->redis = 0;
}

static void start(struct rig *r, const char *const *args)
{
    int fds[2];
    const char *argv[ARGS_MAX] = { PAWL_BROKER, "--endpoint", r->endpoint, "--redis",
                                   r->redis_url };
    int n = 5;
    for (int i = 0; args && args[i] && n < ARGS_MAX - 1; i++)
        argv[n++] = args[i];
    if (pipe2(fds, O_CLOEXEC) != 0)
        FAIL("pipe: %s", strerror(errno));
    if (r->broker_log >= 0)
        close(r->broker_log);
    r->log_n = 0;
    r->log[0] = '\0';
    r->broker = spawn(argv, fds[1], r->dir);
    close(fds[1]);
    r->broker_log = fds[0];
}

/* More of the log, within ms. False: nothing, or its end. */
static bool read_log(struct rig *r, int64_t ms)
{
    struct pollfd p = { .fd = r->broker_log, .events = POLLIN };
    if (poll(&p, 1, (int)ms) <= 0)
        return false;
    if (r->log_n > sizeof r->log / 2) {
        memmove(r->log, r->log + r->log_n / 2, r->log_n - r->log_n / 2);
        r->log_n -= r->log_n / 2;
    }
    ssize_t got = read(r->broker_log, r->log + r->log_n, sizeof r->log - 1 - r->log_n);
    if (got <= 0)
        return false;
    r->log_n += (size_t)got;
    r->log[r->log_n] = '\0';
    return true;
}

void rig_wait_log(struct rig *r, const char *text)
{
    int64_t until = mono_now().ms + DEADLINE_MS;
    while (!strstr(r->log, text)) {
        int64_t left = until - mono_now().ms;
        if (left <= 0 || !read_log(r, left))
            FAIL("the broker did not log '%s'; it said:\n%s", text, r->log);
    }
    char *at = strstr(r->log, text) + strlen(text);
    r->log_n -= (size_t)(at - r->log);
    memmove(r->log, at, r->log_n + 1);
}

void rig_broker_start(struct rig *r, const char *const *args)
{
    start(r, args);
    rig_wait_log(r, "msg=ready");
}

int rig_broker_run(struct rig *r, const char *const *args)
{
    pid_t other = r->broker;
    int other_log = r->broker_log;
    r->broker_log = -1;
    start(r, args);
    while (read_log(r, DEADLINE_MS))
        ;
    int code = reap(r->broker);
    close(r->broker_log);
    r->broker = other;
    r->broker_log = other_log;
    return code;
}

void rig_broker_stop(struct rig *r, int signo)
{
    if (!r->broker)
        return;
    kill(r->broker, signo);
    while (read_log(r, DEADLINE_MS))
        ;
    int code = reap(r->broker);
    if (code != 0 && code != 128 + SIGKILL)
        FAIL("the broker ended with %d:\n%s", code, r->log);
    r->broker = 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void rig_close(struct rig *r)
{
    rig_broker_stop(r, SIGTERM);
    rig_redis_stop(r, SIGKILL);
    if (r->broker_log >= 0)
        close(r->broker_log);
    nftw(r->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- parties ------------------------------------------------------------------------------ */

void party_open(struct party *p, struct rig *r, const char *role, const char *name,
                const char *stages)
{
    struct err err = { 0 };
    *p = (struct party){ .role = role, .name = name, .stages = stages };
    p->peer = peer_connect(r->endpoint, NULL, &err);
    if (!p->peer)
        FAIL("connect: %s", err.text);
    buf_init(&p->holds, PAWL_HEADER_MAX);
    party_hello(p);
}

void party_close(struct party *p)
{
    peer_in_free(&p->in);
    peer_close(p->peer);
    buf_fini(&p->holds);
    p->peer = NULL;
}

void party_say(struct party *p, struct msg *m, const struct str *frames, uint32_t n)
{
    int64_t until = mono_now().ms + DEADLINE_MS;
    enum status st;
    while ((st = peer_send(p->peer, (struct str){ 0 }, m, frames, n)) == ERR_BUSY) {
        zmq_pollitem_t item = { .socket = peer_socket(p->peer), .events = ZMQ_POLLOUT };
        if (mono_now().ms > until)
            FAIL("%s cannot be sent: the broker is not there", msg_name(m->type));
        zmq_poll(&item, 1, 100);
    }
    if (st != OK)
        FAIL("%s cannot be sent: %s", msg_name(m->type), status_text(st));
}

bool party_poll(struct party *p, int64_t ms)
{
    zmq_pollitem_t item = { .socket = peer_socket(p->peer), .events = ZMQ_POLLIN };
    struct err err = { 0 };
    peer_in_free(&p->in);
    if (zmq_poll(&item, 1, (long)ms) <= 0 || peer_recv(p->peer, &p->in) != OK)
        return false;
    if (msg_decode(peer_frame(&p->in, 0), &p->m, &err) != OK)
        FAIL("malformed from the broker: %s", err.text);
    if (p->m.type == MSG_TASK)
        p->seen = p->m.TASK.seq;
    return true;
}

const struct msg *party_expect(struct party *p, enum msg_type type)
{
    int64_t until = mono_now().ms + DEADLINE_MS;
    while (mono_now().ms < until) {
        if (!party_poll(p, until - mono_now().ms))
            continue;
        if (p->m.type == type)
            return &p->m;
        if (p->m.type == MSG_REFUSED)
            FAIL("%s waits for %s and is refused: %.*s: %.*s", p->name, msg_name(type),
                 STR_ARG(p->m.REFUSED.code), STR_ARG(p->m.REFUSED.text));
    }
    FAIL("%s waits for %s; it does not come", p->name, msg_name(type));
}

void party_hello(struct party *p)
{
    struct msg m = { .type = MSG_HELLO };
    m.HELLO = (struct msg_HELLO){ .role = str_of(p->role),
                                  .name = str_of(p->name),
                                  .version = str_of("test"),
                                  .slots = 16,
                                  .holds = { buf_get(&p->holds), p->holds_n } };
    struct str rest = str_of(p->stages);
    while (rest.n) {
        size_t n = 0;
        while (n < rest.n && rest.p[n] != ' ')
            n++;
        m.HELLO.stages.v[m.HELLO.stages.n++] = (struct str){ rest.p, n };
        n += n < rest.n;
        rest = (struct str){ rest.p + n, rest.n - n };
    }
    for (int64_t until = mono_now().ms + DEADLINE_MS;;) {
        party_say(p, &m, NULL, 0);
        for (int64_t again = mono_now().ms + 1000; mono_now().ms < again;) {
            if (party_poll(p, again - mono_now().ms) && p->m.type == MSG_WELCOME) {
                p->epoch = p->m.epoch;
                return;
            }
        }
        if (mono_now().ms > until)
            FAIL("%s says HELLO and hears nothing", p->name);
    }
}

void party_ready(struct party *p, uint64_t credit)
{
    struct msg m = { .type = MSG_READY, .READY = { credit, p->seen } };
    party_say(p, &m, NULL, 0);
}

struct str party_frame(const struct party *p, uint32_t i)
{
    if (i + 1 >= p->in.n)
        FAIL("%s: the message has %u frames", p->name, p->in.n);
    return peer_frame(&p->in, i + 1);
}

struct str map_raw(struct str map, const char *key)
{
    struct mp in;
    struct mp_value head, k;
    struct str value;
    mp_init(&in, map);
    if (mp_want(&in, MP_MAP, &head) != OK)
        return (struct str){ 0 };
    for (uint32_t i = 0; i < head.n; i++) {
        if (mp_want(&in, MP_STR, &k) != OK || mp_skip(&in, &value) != OK)
            return (struct str){ 0 };
        if (str_is(k.str, key))
            return value;
    }
    return (struct str){ 0 };
}

void map_text(struct str map, const char *key, char *out, size_t size)
{
    struct str raw = map_raw(map, key);
    struct mp in;
    struct mp_value v;
    out[0] = '\0';
    mp_init(&in, raw);
    if (raw.n == 0 || mp_next(&in, &v) != OK)
        return;
    if (v.type == MP_STR)
        snprintf(out, size, "%.*s", STR_ARG(v.str));
    else if (v.type == MP_INT)
        snprintf(out, size, "%lld", (long long)v.i);
    else if (v.type == MP_BOOL)
        snprintf(out, size, "%s", v.b ? "true" : "false");
    else if (v.type == MP_ARRAY || v.type == MP_MAP)
        snprintf(out, size, "#%u", v.n);
}

struct str doc_text(struct buf *b, const char *text)
{
    buf_clear(b);
    buf_char(b, '\0');
    mp_map(b, 1);
    mp_z(b, "text");
    mp_z(b, text);
    return buf_get(b);
}
