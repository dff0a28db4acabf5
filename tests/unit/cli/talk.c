/* SPDX-License-Identifier: Apache-2.0 */
#include "talk.h"

#include "common/clock.h"
#include "common/doc.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

void talk_start(struct stage *s, const char *const *words)
{
    const char *argv[32] = { PAWL_EXE, "--broker", s->endpoint, "--no-input" };
    char out[96], err[96];
    size_t n = 4;
    while (*words)
        argv[n++] = *words++;
    snprintf(out, sizeof out, "%s/out", s->dir);
    snprintf(err, sizeof err, "%s/err", s->dir);
    pid_t parent = getpid();
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || chdir(s->dir) != 0)
            _exit(99);
        dup2(open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
        dup2(open(err, O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
        setenv("XDG_STATE_HOME", s->dir, 1);
        setenv("XDG_CONFIG_HOME", s->dir, 1);
        execv(PAWL_EXE, (char *const *)argv);
        _exit(98);
    }
    assert_true(s->pid > 0);
}

char *output(const struct stage *s, const char *name)
{
    char path[96], *text = calloc(1, OUTPUT_MAX);
    snprintf(path, sizeof path, "%s/%s", s->dir, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    (void)!fread(text, 1, OUTPUT_MAX - 1, f);
    fclose(f);
    return text;
}

void wrote(const struct stage *s, const char *name, const char *part)
{
    char *text = output(s, name);
    if (!strstr(text, part))
        fail_msg("%s lacks: %s\nit is: %s", name, part, text);
    free(text);
}

void say(struct stage *s, struct msg *m, const struct buf *frame)
{
    struct str f = frame ? buf_get(frame) : (struct str){ 0 };
    m->epoch = s->epoch;
    assert_int_equal(
        peer_send(s->broker, (struct str){ s->client, s->client_n }, m, &f, frame != NULL), OK);
}

bool hear_any(struct stage *s, int wait_ms)
{
    zmq_pollitem_t item = { .socket = peer_socket(s->broker), .events = ZMQ_POLLIN };
    if (zmq_poll(&item, 1, wait_ms) <= 0)
        return false;
    peer_in_free(&s->in);
    if (peer_recv(s->broker, &s->in) != OK)
        return false;
    s->client_n = s->in.from.n;
    memcpy(s->client, s->in.from.p, s->client_n);
    return msg_decode(peer_frame(&s->in, 0), &s->m, NULL) == OK;
}

void welcome(struct stage *s)
{
    struct msg m = { .type = MSG_WELCOME };
    m.WELCOME.version = str_of("test");
    m.WELCOME.heartbeat_ms = 200;
    m.WELCOME.silence_ms = 1000;
    say(s, &m, NULL);
}

void hear(struct stage *s, enum msg_type type)
{
    int64_t until = mono_now().ms + PATIENCE_MS;
    while (mono_now().ms < until) {
        if (!hear_any(s, 100))
            continue;
        if (s->m.type == type)
            return;
        if (s->m.type == MSG_HELLO) {
            welcome(s);
        } else if (s->m.type == MSG_PING) {
            struct msg m = { .type = MSG_PONG, .PONG = { s->m.PING.req } };
            say(s, &m, NULL);
        } else if (s->m.type != MSG_UNWATCH && s->m.type != MSG_WATCH && type != MSG_HELLO) {
            fail_msg("%s came instead of %s", msg_name(s->m.type), msg_name(type));
        }
    }
    fail_msg("no %s within %d s", msg_name(type), PATIENCE_MS / 1000);
}

static json_t *tree(const char *text)
{
    char json[4096];
    struct err err = { 0 };
    snprintf(json, sizeof json, "%s", text);
    for (char *p = json; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_t *v = js_parse(str_of(json), &err);
    if (!v)
        fail_msg("%s: %s", json, err.text);
    return v;
}

void answer_map(struct stage *s, enum msg_type type, const char *text)
{
    struct buf frame;
    struct msg m = { .type = type };
    json_t *v = tree(text);
    buf_init(&frame, 1 << 20);
    assert_int_equal(js_to_mp(v, &frame), OK);
    m.JOB.req = s->m.SHOW.req;
    say(s, &m, &frame);
    buf_fini(&frame);
    json_decref(v);
}

void answer_doc(struct stage *s, const char *name, const char *text)
{
    struct buf frame;
    struct err err = { 0 };
    struct msg m = { .type = MSG_DOC, .DOC = { .req = s->m.GET.req, .name = str_of(name) } };
    json_t *v = tree(text);
    buf_init(&frame, 1 << 20);
    if (doc_pack(name, v, &frame, &err) != OK)
        fail_msg("%s", err.text);
    say(s, &m, &frame);
    buf_fini(&frame);
    json_decref(v);
}

void refuse(struct stage *s, uint64_t req, const char *code, const char *text, uint64_t retry_ms)
{
    struct msg m = { .type = MSG_REFUSED };
    m.REFUSED =
        (struct msg_REFUSED){ req, str_of(code), str_of(text), str_of("do this"), retry_ms };
    say(s, &m, NULL);
}

void okay(struct stage *s, const char *id)
{
    struct msg m = { .type = MSG_OKAY, .OKAY = { s->m.PUT.req, str_of(id) } };
    say(s, &m, NULL);
}

void event(struct stage *s, uint64_t req, const char *id, const char *kind, const char *facts)
{
    struct buf raw;
    json_t *v = tree(facts);
    buf_init(&raw, 65536);
    assert_int_equal(js_to_mp(v, &raw), OK);
    struct msg m = { .type = MSG_EVENT };
    m.EVENT =
        (struct msg_EVENT){ req, str_of(id), str_of(kind), str_of(JOB_ID), 1000, buf_get(&raw) };
    say(s, &m, NULL);
    buf_fini(&raw);
    json_decref(v);
}

int ended(struct stage *s)
{
    int64_t until = mono_now().ms + PATIENCE_MS;
    int status;
    while (mono_now().ms < until) {
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
            s->pid = 0;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        }
        hear_any(s, 20);
    }
    fail_msg("the program does not end");
    return -1;
}

int talk_setup(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    struct err err = { 0 };
    char path[96];
    snprintf(s->dir, sizeof s->dir, "/tmp/pawl-talk-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->endpoint, sizeof s->endpoint, "ipc://%s/b.sock", s->dir);
    s->epoch = 7;
    s->broker = peer_bind(s->endpoint, NULL, NULL, &err);
    if (!s->broker)
        fail_msg("%s", err.text);
    snprintf(path, sizeof path, "%s/openspec", s->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    *state = s;
    return 0;
}

int talk_teardown(void **state)
{
    struct stage *s = *state;
    char command[128];
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
    }
    peer_in_free(&s->in);
    peer_close(s->broker);
    snprintf(command, sizeof command, "rm -rf %s", s->dir);
    assert_int_equal(system(command), 0);
    free(s);
    return 0;
}

int talk_start_on_terminal(struct stage *s, const char *const *words)
{
    const char *argv[32] = { PAWL_EXE, "--broker", s->endpoint };
    struct winsize size = { .ws_row = 24, .ws_col = 80 };
    int terminal = -1;
    for (size_t n = 3; *words; n++)
        argv[n] = *words++;
    s->pid = forkpty(&terminal, NULL, NULL, &size);
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("TERM", "xterm", 1);
        unsetenv("CI");
        setenv("XDG_STATE_HOME", s->dir, 1);
        setenv("XDG_CONFIG_HOME", s->dir, 1);
        execv(PAWL_EXE, (char *const *)argv);
        _exit(98);
    }
    assert_true(s->pid > 0);
    return terminal;
}

void shows(struct stage *s, int terminal, const char *part, char *all, size_t size)
{
    int64_t until = mono_now().ms + PATIENCE_MS;
    size_t n = strlen(all);
    while (!strstr(all, part) && mono_now().ms < until) {
        struct pollfd p = { .fd = terminal, .events = POLLIN };
        if (poll(&p, 1, 20) == 1) {
            ssize_t got = read(terminal, all + n, size - n - 1);
            n += got > 0 ? (size_t)got : 0;
            all[n] = '\0';
        }
        hear_any(s, 0); /* pings need no answer for so short a time */
    }
    if (!strstr(all, part))
        fail_msg("the terminal does not show %s but %s", part, all);
}
