/* SPDX-License-Identifier: Apache-2.0 */
/* The CURVE keys that the configuration names. */
#include "common/conf.h"
#include "common/peer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A secret file holds the secret key on a line of its own and the public key after "public "; lines
 * that begin with # are comments. */
static enum status read_secret(const char *path, struct peer_keys *out, struct err *err)
{
    struct stat st;
    char line[256];
    FILE *f = fopen(path, "re");
    if (!f || fstat(fileno(f), &st) != 0) {
        err_set(err, ERR_CONFIG, "%s: %s", path, strerror(errno));
        if (f)
            fclose(f);
        return ERR_CONFIG;
    }
    if (st.st_mode & 077) {
        fclose(f);
        err_set(err, ERR_CONFIG, "%s: others can read this secret key", path);
        err_fix(err, "chmod 600 %s", path);
        return ERR_CONFIG;
    }
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "secret %40s", out->secret_key) != 1 && line[0] != '#')
            (void)!sscanf(line, "public %40s", out->public_key);
    }
    fclose(f);
    if (strlen(out->secret_key) == 40 && strlen(out->public_key) == 40)
        return OK;
    err_set(err, ERR_CONFIG, "%s: not a key file", path);
    err_fix(err, "`pawl keys new` makes one");
    return ERR_CONFIG;
}

enum status conf_keys(const struct conf *c, bool broker, struct peer_keys *out, struct err *err)
{
    const char *path = conf_str(c, broker ? CONF_BROKER_SECRET : CONF_PEER_SECRET);
    const char *server = conf_str(c, CONF_BROKER_PUBLIC_KEY);
    *out = (struct peer_keys){ 0 };
    if (*path) {
        enum status st = read_secret(path, out, err);
        if (st != OK)
            return st;
    }
    if (broker || !*server)
        return OK;
    if (strlen(server) != 40)
        return err_set(err, ERR_CONFIG, "broker.public_key: not a public key (40 characters)");
    if (!*path) {
        err_set(err, ERR_CONFIG, "broker.public_key is set, but peer.secret_file is not");
        err_fix(err,
                "`pawl keys new` makes a key pair; add its public key to the broker's allow file");
        return ERR_CONFIG;
    }
    memcpy(out->server_key, server, 41);
    return OK;
}
