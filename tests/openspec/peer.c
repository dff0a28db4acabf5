/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/openspec/peer.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1 << 28 };

bool oracle_start(struct oracle *o, const char *node, const char *script)
{
    int in[2], out[2];
    if (pipe(in) != 0 || pipe(out) != 0)
        return false;
    o->pid = fork();
    if (o->pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        close(in[0]);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        execlp(node, node, script, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    o->to = fdopen(in[1], "w");
    o->from = fdopen(out[0], "r");
    return o->pid > 0 && o->to && o->from;
}

json_t *oracle_ask(struct oracle *o, const json_t *request)
{
    struct err err = { 0 };
    struct buf out;
    buf_init(&out, LINE_MAX_BYTES);
    if (js_dump(request, &out) != OK)
        return NULL;
    fwrite(out.data, 1, out.len, o->to);
    fputc('\n', o->to);
    fflush(o->to);
    buf_fini(&out);
    ssize_t n = getline(&o->line, &o->line_cap, o->from);
    return n > 0 ? js_parse((struct str){ o->line, (size_t)n }, &err) : NULL;
}

json_t *base64(struct str s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct buf out;
    buf_init(&out, LINE_MAX_BYTES);
    for (size_t i = 0; i < s.n; i += 3) {
        const unsigned char *p = (const unsigned char *)s.p + i;
        size_t n = s.n - i;
        unsigned v = (unsigned)p[0] << 16 | (n > 1 ? (unsigned)p[1] << 8 : 0) | (n > 2 ? p[2] : 0u);
        buf_char(&out, digits[v >> 18]);
        buf_char(&out, digits[v >> 12 & 63]);
        buf_char(&out, n > 1 ? digits[v >> 6 & 63] : '=');
        buf_char(&out, n > 2 ? digits[v & 63] : '=');
    }
    json_t *v = json_string(buf_z(&out));
    buf_fini(&out);
    return v;
}

void oracle_stop(struct oracle *o)
{
    fclose(o->to);
    fclose(o->from);
    waitpid(o->pid, NULL, 0);
    free(o->line);
}
