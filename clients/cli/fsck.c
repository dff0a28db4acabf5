/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl fsck`: runs `pawl-broker --fsck`, which knows the store. The private Redis of `pawl up` is
 * started for it when nothing else runs. */
#include "clients/cli/cli.h"
#include "clients/cli/out.h"
#include "clients/cli/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGV_MAX = 2 * LIST_ARGS_MAX + 16 };

struct private_redis {
    pid_t pid; /* 0: none was started */
    int lock;
    char url[600];
};

static enum status start_private(struct cli *cli, struct private_redis *p, struct err *err)
{
    const char *state = conf_state_dir(cli->conf);
    char exe[512], dir[512], lock[512], log[512];
    snprintf(dir, sizeof dir, "%.480s/redis", state);
    snprintf(lock, sizeof lock, "%.480s/redis.lock", state);
    snprintf(log, sizeof log, "%.480s/fsck-redis.log", state);
    snprintf(p->url, sizeof p->url, "redis.url=unix://%.480s/redis.sock", state);
    const char *socket = p->url + strlen("redis.url=unix://");
    if (access(dir, F_OK) != 0) {
        err_set(err, ERR_NOT_FOUND,
                "%s: `pawl up` has kept nothing there, and redis.url is not set", dir);
        err_fix(err, "set redis.url: pawl fsck --set redis.url=redis://HOST:PORT");
        return ERR_NOT_FOUND;
    }
    p->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (p->lock < 0 || flock(p->lock, LOCK_EX | LOCK_NB) != 0) {
        err_set(err, ERR_UNAVAILABLE, "`pawl up` runs in %.480s", state);
        err_fix(err, "stop it with `pawl down` first");
        return ERR_UNAVAILABLE;
    }
    if (!spawn_in_path("redis-server", exe, sizeof exe) &&
        !spawn_in_path("valkey-server", exe, sizeof exe))
        return err_set(err, ERR_NOT_FOUND, "redis-server is not in PATH");
    unlink(socket);
    const char *const argv[] = {
        exe, "--port",           "0",   "--unixsocket", socket, "--dir",       dir,  "--save",
        "",  "--unixsocketperm", "700", "--appendonly", "yes",  "--daemonize", "no", NULL
    };
    struct spawn s = { .path = exe, .argv = argv, .log = log, .keep = p->lock };
    return spawn_start(&s, &p->pid, err);
}

static void stop_private(struct private_redis *p)
{
    int status;
    if (p->pid > 0) {
        kill(p->pid, SIGTERM);
        while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
            ;
        unlink(p->url + strlen("redis.url=unix://"));
    }
    if (p->lock >= 0)
        close(p->lock);
}

static enum status run_broker(struct cli *cli, const char *url, int *code, struct err *err)
{
    const char *argv[ARGV_MAX];
    char exe[512];
    int n = 0, status = 0;
    if (!spawn_beside("pawl-broker", exe, sizeof exe) &&
        !spawn_in_path("pawl-broker", exe, sizeof exe))
        return err_set(err, ERR_NOT_FOUND, "pawl-broker is neither beside pawl nor in PATH");
    argv[n++] = exe;
    argv[n++] = "--fsck";
    if (cli_has(cli, FLAG_REPAIR))
        argv[n++] = "--repair";
    if (cli->form != FORM_TABLE)
        argv[n++] = "--json";
    if (cli_has(cli, FLAG_CONFIG)) {
        argv[n++] = "--config";
        argv[n++] = cli_flag(cli, FLAG_CONFIG);
    }
    for (int i = 0; i < cli->args.list_n[FLAG_SET]; i++) {
        argv[n++] = "--set";
        argv[n++] = cli->args.list[FLAG_SET][i];
    }
    if (url) {
        argv[n++] = "--set";
        argv[n++] = url;
    }
    argv[n] = NULL;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        execv(exe, (char *const *)argv);
        _exit(status_exit(ERR_UNAVAILABLE));
    }
    if (pid < 0)
        return err_set(err, ERR_UNAVAILABLE, "%s cannot be started: %s", exe, strerror(errno));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return OK;
}

int cmd_fsck(struct cli *cli)
{
    struct private_redis p = { .lock = -1 };
    struct err err = { 0 };
    bool own = !*conf_str(cli->conf, CONF_REDIS_URL);
    int code = 0;
    enum status st = own ? start_private(cli, &p, &err) : OK;
    if (st == OK)
        st = run_broker(cli, own ? p.url : NULL, &code, &err);
    stop_private(&p);
    return st == OK ? code : out_error(cli, &err);
}
