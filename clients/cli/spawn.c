/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOG_BYTES_MAX = 8 << 20, TAIL_BYTES = 8192, EXEC_FAILED = 127 };

static bool executable(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

bool spawn_beside(const char *name, char *path, size_t size)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return false;
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    *slash = '\0';
    return (size_t)snprintf(path, size, "%s/%s", self, name) < size && executable(path);
}

bool spawn_in_path(const char *name, char *path, size_t size)
{
    const char *at = getenv("PATH");
    if (strchr(name, '/'))
        return (size_t)snprintf(path, size, "%s", name) < size && executable(path);
    for (at = at && *at ? at : "/usr/local/bin:/usr/bin:/bin"; at;) {
        int n = (int)strcspn(at, ":");
        if ((size_t)snprintf(path, size, "%.*s/%s", n, n ? at : ".", name) < size &&
            executable(path))
            return true;
        at = at[n] ? at + n + 1 : NULL;
    }
    return false;
}

static int open_log(const char *path)
{
    struct stat st;
    char old[PATH_MAX];
    if (stat(path, &st) == 0 && st.st_size > LOG_BYTES_MAX &&
        (size_t)snprintf(old, sizeof old, "%s.1", path) < sizeof old)
        (void)!rename(path, old);
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Between fork and exec: nothing but system calls. */
static void become(const struct spawn *s, int log, pid_t parent)
{
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EXEC_FAILED); /* it died before prctl: nobody would tell us */
    int null = open("/dev/null", O_RDONLY);
    if (null > 0)
        dup2(null, 0);
    dup2(log, 1);
    dup2(log, 2);
    if (s->keep >= 0)
        fcntl(s->keep, F_SETFD, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    execv(s->path, (char *const *)s->argv);
    static const char text[] = "cannot be executed\n";
    (void)!write(2, text, sizeof text - 1);
    _exit(EXEC_FAILED);
}

enum status spawn_start(const struct spawn *s, pid_t *pid, struct err *err)
{
    pid_t parent = getpid();
    int log = open_log(s->log);
    if (log < 0)
        return err_set(err, ERR_CREATE, "%.300s: %s", s->log, strerror(errno));
    fflush(NULL);
    if (s->died)
        setenv("PAWL_DIED", s->died, 1);
    *pid = fork();
    if (*pid == 0)
        become(s, log, parent);
    int why = errno;
    unsetenv("PAWL_DIED");
    close(log);
    if (*pid < 0)
        return err_set(err, ERR_UNAVAILABLE, "%.300s cannot be started: %s", s->path,
                       strerror(why));
    setpgid(*pid, *pid); /* whoever comes first */
    return OK;
}

void spawn_tail(const char *path, int lines, struct buf *out)
{
    char text[TAIL_BYTES + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
    off_t from = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
    ssize_t n = size > 0 ? pread(fd, text, TAIL_BYTES, from) : 0;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return;
    text[n] = '\0';
    const char *at = text + n - (text[n - 1] == '\n');
    while (at > text && (at[-1] != '\n' || --lines > 0))
        at--;
    buf_str(out, at);
}

void spawn_status_text(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "exit code %d", WEXITSTATUS(status));
}
