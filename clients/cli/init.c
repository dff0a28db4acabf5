/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl init`: a commented pawl.yaml that says what was found here. */
#include "clients/cli/cli.h"
#include "clients/cli/out.h"
#include "clients/cli/probe.h"
#include "clients/cli/repo.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PROBE_MS = 700 };

static void model_section(const struct probe *found, struct buf *b)
{
    buf_str(b, "# The language model: any OpenAI-compatible server. Without a URL the usual ports "
               "are tried:\n"
               "# LM Studio 1234, llama.cpp 8080 and 9931, Ollama 11434, vLLM 8000.\n");
    if (!found) {
        buf_str(b, "#model:\n#  url: http://127.0.0.1:1234\n#  name: qwen2.5-coder-14b-instruct\n");
        return;
    }
    buf_printf(b, "model:\n  url: %s          # %s, found by `pawl init`\n  #name: ", found->url,
               found->kind);
    text_clean(b, str_of(found->model), false);
    buf_str(b, "   # default: the first that the server lists\n");
}

static void write_text(const struct probe *found, bool mcp, struct buf *b)
{
    buf_str(b, "# pawl.yaml: every key is in docs/configuration.md and `pawl help configuration`.\n"
               "# `pawl config show --origin` prints what is in force and why.\n\n");
    model_section(found, b);
    buf_str(b, "\n# When a run ends: the target is met, or one of these is spent.\n"
               "#loop:\n#  rounds: 4\n#  tokens: 200000\n#  wall: 30m\n#  patience: 2       # "
               "rounds without a better candidate\n"
               "#  target:\n#    measures: 800   # per mille\n#    judge: 600\n\n"
               "# Tools: mcp.json as LM Studio, Claude Desktop and Cursor write it. Probes run in "
               "every round;\n"
               "# what they find is cited in the change.\n");
    buf_str(b, mcp ? "analyze:\n  mcp: mcp.json\n" : "#analyze:\n#  mcp: mcp.json\n");
    buf_str(
        b,
        "#  probes:\n#    - name: limits\n#      server: filesystem\n#      tool: read_text_file\n"
        "#      arguments: {path: config/limits.yaml}\n#  allow: [filesystem/*]   # tools that "
        "models may call\n\n"
        "# Your own checks, run on the review host in a copy of openspec/ with the change in it.\n"
        "#review:\n#  gates:\n#    - {name: house-rules, argv: [./scripts/check-spec.sh], timeout: "
        "60s}\n");
}

static enum status create(const char *path, struct str text, bool force, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL), 0644);
    if (fd < 0) {
        err_set(err, ERR_CREATE, "%s: %s", path, strerror(errno));
        if (errno == EEXIST)
            err_fix(err, "edit it, or --force to write a new one");
        return ERR_CREATE;
    }
    bool good = write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0;
    int why = errno;
    good = close(fd) == 0 && good;
    if (good)
        return OK;
    unlink(path);
    return err_set(err, ERR_IO, "%s: %s", path, strerror(why));
}

int cmd_init(struct cli *cli)
{
    struct probe probes[PROBES_MAX];
    struct err err = { 0 };
    const struct probe *found = NULL;
    char root[PATH_MAX];
    struct buf b;
    size_t n = probe_usual(probes);
    buf_init(&b, 65536);
    if (access("pawl.yaml", F_OK) == 0 && !cli_has(cli, FLAG_FORCE)) {
        err_set(&err, ERR_CREATE, "pawl.yaml exists already");
        err_fix(&err, "edit it, or --force to write a new one");
        return out_error(cli, &err);
    }
    if (probe_all(probes, n, "", "", PROBE_MS, &err) != OK)
        return out_error(cli, &err);
    for (size_t i = 0; i < n && !found; i++)
        found = probes[i].answers ? &probes[i] : NULL;
    bool mcp = access("mcp.json", R_OK) == 0;
    write_text(found, mcp, &b);
    enum status st = create("pawl.yaml", buf_get(&b), cli_has(cli, FLAG_FORCE), &err);
    buf_fini(&b);
    if (st != OK)
        return out_error(cli, &err);
    if (!out_is_json(cli))
        printf("pawl.yaml\n");
    if (found)
        out_note(cli, "model server: %s at %s, model %s", found->kind, found->url, found->model);
    else
        out_note(
            cli,
            "no model server answers on the usual ports: start one, or set model.url in pawl.yaml");
    struct err none = { 0 };
    if (repo_find(".", false, root, sizeof root, &none) != OK)
        out_note(cli, "this is no OpenSpec repository yet: `openspec init` makes it one");
    out_note(cli,
             "next: `pawl up`, then in another terminal: pawl submit \"what is wrong\" --watch");
    if (out_is_json(cli)) {
        json_t *v = json_object();
        js_set_z(v, "path", "pawl.yaml");
        js_set(v, "model", found ? json_string(found->url) : json_null());
        out_json(cli, "Init", v);
    }
    return 0;
}
