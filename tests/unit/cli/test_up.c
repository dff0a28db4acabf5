/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl up` and `pawl down` with the real redis-server and broker: started, restarted, killed, and
 * nothing left behind. Workers are left out here; the end-to-end tests have them. */
#include "tests/unit/unit.h"

#include "clients/cli/spawn.h"
#include "common/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

struct place {
    char dir[64], state[96];
};

/* Run pawl with these words; output goes to dir/out. */
static int run(struct place *p, const char *words)
{
    char command[1024];
    snprintf(command, sizeof command,
             "cd %s && XDG_STATE_HOME=%s XDG_CONFIG_HOME=%s PAWL_MODEL_URL=http://127.0.0.1:1 %s "
             "%s >%s/out 2>&1",
             p->dir, p->dir, p->dir, PAWL_EXE, words, p->dir);
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define NO_WORKERS " --workers parse=0 --workers analyze=0 --workers generate=0 --workers review=0"

static void said(struct place *p, const char *part)
{
    char path[96], text[8192] = "";
    snprintf(path, sizeof path, "%s/out", p->dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    (void)!fread(text, 1, sizeof text - 1, f);
    fclose(f);
    if (!strstr(text, part))
        fail_msg("not said: %s\nbut: %s", part, text);
}

/* A process whose command line has both parts, 0: none. */
static pid_t find(const char *dir, const char *what)
{
    DIR *d = opendir("/proc");
    struct dirent *e;
    pid_t found = 0;
    while (d && !found && (e = readdir(d))) {
        char path[300], line[4096] = "";
        snprintf(path, sizeof path, "/proc/%.200s/cmdline", e->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, line, sizeof line - 1) : 0;
        if (fd >= 0)
            close(fd);
        for (ssize_t i = 0; i + 1 < n; i++)
            line[i] = line[i] ? line[i] : ' ';
        if (n > 0 && strstr(line, dir) && strstr(line, what))
            found = (pid_t)strtol(e->d_name, NULL, 10);
    }
    if (d)
        closedir(d);
    return found;
}

static pid_t supervisor(const struct place *p)
{
    char path[128], text[32] = "";
    snprintf(path, sizeof path, "%s/up.lock", p->state);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    return (pid_t)strtol(text, NULL, 10);
}

static void wait_gone(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (fd < 0) {
        assert_int_equal(errno, ESRCH);
        return;
    }
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    close(fd);
}

static void nothing_is_left(const struct place *p)
{
    char path[128];
    assert_int_equal(find(p->state, "redis-server"), 0);
    assert_int_equal(find(p->state, "pawl-broker"), 0);
    snprintf(path, sizeof path, "%s/redis.sock", p->state);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof path, "%s/broker.sock", p->state);
    assert_int_equal(access(path, F_OK), -1);
}

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    char path[512];
    if (!spawn_in_path("redis-server", path, sizeof path))
        skip();
    snprintf(p->dir, sizeof p->dir, "/tmp/pawl-up-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->state, sizeof p->state, "%s/pawl", p->dir);
    snprintf(path, sizeof path, "%s/openspec", p->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    char command[128];
    run(p, "down --force");
    snprintf(command, sizeof command, "rm -rf %s", p->dir);
    assert_int_equal(system(command), 0);
    free(p);
    return 0;
}

static void up_and_down(void **state)
{
    struct place *p = *state;
    assert_int_equal(run(p, "down"), 0);
    said(p, "nothing runs in");
    assert_int_equal(run(p, "up --detach" NO_WORKERS), 0);
    said(p, "redis     ready");
    said(p, "broker    ready");
    said(p, "model.url http://127.0.0.1:1");
    assert_int_equal(run(p, "submit 'two words'"), 0);
    assert_int_equal(run(p, "up" NO_WORKERS), 69);
    said(p, "runs already");
    assert_int_equal(run(p, "down"), 0);
    nothing_is_left(p);
    assert_int_equal(run(p, "ps"), 69);
    assert_int_equal(run(p, "up --detach" NO_WORKERS), 0);
    assert_int_equal(run(p, "ps"), 0);
    said(p, "queued"); /* the job is still there */
}

static void the_dead_are_replaced(void **state)
{
    static const char *const names[] = { "pawl-broker", "redis-server" };
    struct place *p = *state;
    assert_int_equal(run(p, "up --detach" NO_WORKERS), 0);
    for (size_t i = 0; i < COUNT(names); i++) {
        pid_t old = find(p->state, names[i]), now = 0;
        assert_true(old > 0);
        kill(old, SIGKILL);
        wait_gone(old);
        int64_t until = mono_now().ms + PATIENCE_MS;
        do
            now = find(p->state, names[i]);
        while ((now == 0 || now == old) && mono_now().ms < until);
        assert_true(now > 0 && now != old);
        until = mono_now().ms + PATIENCE_MS;
        while (run(p, "submit 'two words' --timeout 10s") !=
               0) /* waits itself: busy, or greeting */
            assert_true(mono_now().ms < until);
    }
}

static void a_killed_supervisor_takes_all_along(void **state)
{
    struct place *p = *state;
    assert_int_equal(run(p, "up --detach" NO_WORKERS), 0);
    pid_t redis = find(p->state, "redis-server"), broker = find(p->state, "pawl-broker"),
          up = supervisor(p);
    assert_true(redis > 0 && broker > 0 && up > 1);
    kill(up, SIGKILL);
    wait_gone(up);
    /* At once: the new one waits for what is still dying. */
    assert_int_equal(run(p, "up --detach" NO_WORKERS), 0);
    wait_gone(redis);
    wait_gone(broker);
    assert_int_equal(run(p, "ps"), 0);
    assert_int_equal(run(p, "down"), 0);
    nothing_is_left(p);
}

static void a_hopeless_child_ends_it_with_its_log(void **state)
{
    struct place *p = *state;
    assert_int_equal(run(p, "up" NO_WORKERS " --set broker.endpoint=tcp://0.0.0.0:0"),
                     69); /* public, without keys */
    said(p, "broker does not stay up: exit code");
    said(p, "--- end of");
    nothing_is_left(p);
    assert_int_equal(run(p, "up --detach --workers prase=0"), 64);
    assert_int_equal(run(p, "up --detach --set redis.url=unix:///no/such.sock" NO_WORKERS
                            " --set state_dir=/proc/no"),
                     73);
}

static void ctrl_c_stops_everything(void **state)
{
    struct place *p = *state;
    pid_t pid = fork();
    if (pid == 0) {
        setenv("XDG_STATE_HOME", p->dir, 1);
        setenv("PAWL_MODEL_URL", "http://127.0.0.1:1", 1);
        if (chdir(p->dir) != 0)
            _exit(99);
        dup2(open("out", O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
        execl(PAWL_EXE, "pawl", "up", "--workers", "parse=0", "--workers", "analyze=0", "--workers",
              "generate=0", "--workers", "review=0", (char *)NULL);
        _exit(98);
    }
    int64_t until = mono_now().ms + PATIENCE_MS;
    while (run(p, "ps") != 0 && mono_now().ms < until)
        ;
    assert_int_equal(run(p, "ps"), 0);
    kill(pid, SIGINT);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    nothing_is_left(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(up_and_down, setup, teardown),
        cmocka_unit_test_setup_teardown(the_dead_are_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(a_killed_supervisor_takes_all_along, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hopeless_child_ends_it_with_its_log, setup, teardown),
        cmocka_unit_test_setup_teardown(ctrl_c_stops_everything, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
