/* SPDX-License-Identifier: Apache-2.0 */
/* Fingerprints of base requirements: has the ground moved below a change since it was written? */
#include "common/hash.h"
#include "common/openspec/draft.h"
#include "common/openspec/draft_in.h"

#include <string.h>

enum { TEXTS_MAX = 64 * 1024 }; /* .openspec.yaml must stay readable */

static void fingerprint(const struct spec_requirement *r, char out[HASH_HEX + 1])
{
    struct hash h = hash_of(r->raw);
    hash_hex(&h, out);
}

static void set_member(json_t *map, struct str key, json_t *v)
{
    json_object_setn_nocheck(map, key.p ? key.p : "", key.n, v);
    json_decref(v);
}

/* What a draft's requirements are in the specs today, one value each. `texts`: of modified ones. */
static json_t *collect(struct arena *a, const struct ws *base, const json_t *draft, bool texts)
{
    struct pool p = pool_of(a);
    struct targets t = { .p = &p, .ws = base };
    json_t *out = json_object();
    const json_t *list = js_list(draft, "requirements");
    size_t bytes = 0; /* of texts */
    for (size_t i = 0; i < js_count(list) && !p.failed; i++) {
        const json_t *r = js_at(list, i);
        char hex[HASH_HEX + 1];
        const char *op = js_str(r, "op");
        const struct spec *spec = target_spec(&t, js_view(r, "capability"));
        bool renamed = strcmp(op, "renamed") == 0;
        const struct spec_requirement *now =
            spec && strcmp(op, "added") != 0
                ? target_requirement(&t, spec, js_view(r, renamed ? "from" : "name"))
                : NULL;
        if (!now || (texts && (strcmp(op, "modified") != 0 || bytes + now->raw.n > TEXTS_MAX)))
            continue;
        bytes += now->raw.n;
        json_t *names = json_object_getn(out, spec->id.p, spec->id.n);
        if (!names) {
            names = json_object();
            set_member(out, spec->id, names);
        }
        fingerprint(now, hex);
        set_member(names, now->name, texts ? js_string(now->raw) : json_string(hex));
    }
    if (!p.failed)
        return out;
    json_decref(out);
    return NULL;
}

json_t *openspec_base(struct arena *a, const struct ws *base, const json_t *draft)
{
    return collect(a, base, draft, false);
}

json_t *openspec_base_texts(struct arena *a, const struct ws *base, const json_t *draft)
{
    return collect(a, base, draft, true);
}

static void compare(struct targets *t, const struct spec *spec, struct str capability,
                    struct str name, const json_t *then, struct base_moves *out)
{
    char hex[HASH_HEX + 1];
    const struct spec_requirement *now = spec ? spec_find(spec, name) : NULL;
    enum base_state state = BASE_GONE;
    if (now) {
        fingerprint(now, hex);
        state = json_is_string(then) && strcmp(json_string_value(then), hex) == 0 ? BASE_SAME
                                                                                  : BASE_CHANGED;
    }
    if (state != BASE_SAME)
        pool_push(t->p, out, (struct base_move){ pool_copy(t->p, capability), pool_copy(t->p, name),
                                                 state });
}

enum status openspec_base_moved(struct arena *a, const struct ws *now, const json_t *base,
                                struct base_moves *out)
{
    struct pool p = pool_of(a);
    struct targets t = { .p = &p, .ws = now };
    const char *id, *name;
    json_t *names, *then;
    *out = (struct base_moves){ .known = json_is_object(base) };
    json_object_foreach((json_t *)base, id, names) {
        const struct spec *spec = target_spec(&t, str_of(id));
        json_object_foreach(names, name, then) {
            compare(&t, spec, str_of(id), str_of(name), then, out);
        }
    }
    return pool_status(&p);
}
