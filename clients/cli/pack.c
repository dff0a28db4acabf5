/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/pack.h"

#include "clients/cli/repo.h"
#include "common/bounds.h"
#include "common/doc.h"
#include "common/js.h"

#include <string.h>

static enum status blob_of(struct packed *p, const struct repo *repo, struct err *err)
{
    struct buf plain;
    buf_init(&plain, (size_t)PAWL_WORKSPACE_MAX * 2);
    enum status st = ws_encode(&repo->ws, &plain);
    if (st == OK) {
        p->workspace = hash_of(buf_get(&plain));
        st = blob_pack(buf_get(&plain), &p->blob);
    }
    buf_fini(&plain);
    if (st == OK && p->blob.len > PAWL_FRAME_MAX) {
        err_set(err, ERR_LIMIT, "%.300s/openspec: more than %d MiB, packed", p->root,
                PAWL_FRAME_MAX >> 20);
        err_fix(err, "move what is no specification out of openspec/");
        return ERR_LIMIT;
    }
    return st == OK ? OK : err_set(err, st, "the workspace cannot be packed: %s", status_text(st));
}

enum status pack_tree(const char *from, bool given, const char *change, struct packed *out,
                      struct err *err)
{
    struct repo repo = { 0 };
    buf_init(&out->blob, (size_t)PAWL_WORKSPACE_MAX * 2);
    enum status st = repo_find(from, given, out->root, sizeof out->root, err);
    if (st != OK)
        return st;
    st = repo_read(&repo, out->root, err);
    out->left_out = repo.left_out;
    if (st == OK && change && !ws_has_change(&repo.ws, str_of(change))) {
        err_set(err, ERR_NOT_FOUND, "%.300s/openspec/changes/%.200s: no such change", out->root,
                change);
        err_fix(err, "`openspec list` shows the active changes");
        st = ERR_NOT_FOUND;
    }
    if (st == OK)
        st = blob_of(out, &repo, err);
    repo_free(&repo);
    return st;
}

void packed_free(struct packed *p)
{
    buf_fini(&p->blob);
}

enum status pack_budget(const struct conf *conf, const int64_t given[PACK_KEYS], struct buf *out)
{
    static const struct {
        const char *name;
        enum conf_key key;
    } keys[PACK_KEYS] = {
        [PACK_ROUNDS] = { "rounds", CONF_LOOP_ROUNDS },
        [PACK_TOKENS] = { "tokens", CONF_LOOP_TOKENS },
        [PACK_WALL] = { "wall_ms", CONF_LOOP_WALL },
        [PACK_PATIENCE] = { "patience", CONF_LOOP_PATIENCE },
        [PACK_MEASURES] = { "measures", CONF_LOOP_MEASURES },
        [PACK_JUDGE] = { "judge", CONF_LOOP_JUDGE },
        [PACK_QUESTION] = { "question_ms", CONF_LOOP_QUESTION },
    };
    json_t *map = json_object();
    for (size_t i = 0; i < PACK_KEYS; i++) {
        if (given[i] || strcmp(conf_origin(conf, keys[i].key), "default") != 0)
            js_set_int(map, keys[i].name, given[i] ? given[i] : conf_int(conf, keys[i].key));
    }
    enum status st = js_to_mp(map, out);
    json_decref(map);
    return st;
}
