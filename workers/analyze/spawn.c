/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/analyze/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { INHERITED = 6, ENV_MAX = 256 /* MCPJSON_LIST_MAX */ };

static const char *const inherited[INHERITED] = {
    "HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"
};

static bool same_name(const char *pair, const char *name)
{
    size_t n = strlen(name);
    return strncmp(pair, name, n) == 0 && pair[n] == '=';
}

/* The environment of the child: configured variables first, they win. False: out of memory. */
static bool make_env(const char *const *env, const char **out, char *own[INHERITED])
{
    size_t n = 0, k = 0;
    for (; env && env[n] && n < ENV_MAX; n++)
        out[n] = env[n];
    for (size_t i = 0; i < INHERITED; i++) {
        const char *value = getenv(inherited[i]);
        bool given =
            !value || strncmp(value, "()", 2) == 0; /* an exported shell function is no value */
        for (size_t j = 0; env && env[j]; j++)
            given = given || same_name(env[j], inherited[i]);
        if (given)
            continue;
        if (asprintf(&own[k], "%s=%s", inherited[i], value) < 0) {
            own[k] = NULL;
            return false;
        }
        out[n++] = own[k++];
    }
    out[n] = NULL;
    return true;
}

/* In the child: only what is safe between fork and exec. */
static void complain(const char *what, const char *name)
{
    const char *why = strerrordesc_np(errno);
    const char *parts[] = { what, name, ": ", why ? why : "failed", "\n" };
    for (size_t i = 0; i < COUNT(parts); i++) {
        if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0)
            break;
    }
    _exit(127);
}

static void become(const char *const *argv, const char **env, const char *cwd, const int theirs[3],
                   pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    for (int i = 0; i < 3; i++) {
        if (dup2(theirs[i], i) < 0)
            _exit(127);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close_range(3, ~0U, 0);
    if (*cwd && chdir(cwd) != 0)
        complain("cannot change to the directory ", cwd);
    environ = (char **)(uintptr_t)env; /* the program is looked up with its own PATH */
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    complain("cannot run ", argv[0]);
}

static void close_all(int fds[6])
{
    for (int i = 0; i < 6; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

/* fds: read and write end of stdin, stdout, stderr; none of them below 3, so that dup2 is safe. */
static bool make_pipes(int fds[6])
{
    for (int i = 0; i < 6; i++)
        fds[i] = -1;
    for (int i = 0; i < 6; i += 2) {
        int two[2];
        if (pipe2(two, O_CLOEXEC) != 0)
            return false;
        fds[i] = fcntl(two[0], F_DUPFD_CLOEXEC, 3);
        fds[i + 1] = fcntl(two[1], F_DUPFD_CLOEXEC, 3);
        close(two[0]);
        close(two[1]);
        if (fds[i] < 0 || fds[i + 1] < 0)
            return false;
    }
    return true;
}

enum status spawn(struct spawned *out, const char *const *argv, const char *const *env,
                  const char *cwd, struct err *err)
{
    const char *all[ENV_MAX + INHERITED + 1];
    char *own[INHERITED] = { 0 };
    int fds[6];
    pid_t parent = getpid(), pid = -1;
    if (!make_pipes(fds)) {
        int e = errno;
        close_all(fds);
        return err_set(err, ERR_IO, "no pipe: %s", strerror(e));
    }
    if (make_env(env, all, own))
        pid = fork();
    if (pid == 0)
        become(argv, all, cwd, (int[]){ fds[0], fds[3], fds[5] }, parent);
    int e = errno;
    for (size_t i = 0; i < INHERITED; i++)
        free(own[i]);
    if (pid < 0) {
        close_all(fds);
        return err_set(err, ERR_IO, "cannot start a process: %s", strerror(e));
    }
    setpgid(pid, pid); /* both sides do it: whoever comes first */
    close(fds[0]);
    close(fds[3]);
    close(fds[5]);
    *out = (struct spawned){ .pid = pid, .in = fds[1], .out = fds[2], .err = fds[4] };
    fcntl(out->in, F_SETFL, O_NONBLOCK);
    fcntl(out->out, F_SETFL, O_NONBLOCK);
    fcntl(out->err, F_SETFL, O_NONBLOCK);
    return OK;
}
