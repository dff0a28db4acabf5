/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/merge_in.h"

#include "common/openspec/audit.h"
#include "common/openspec/body.h"
#include "common/openspec/purpose.h"
#include "common/openspec/structure.h"

#include <string.h>

#define HEADER "### Requirement: "

void merge_warn(struct merge *m, struct str text)
{
    struct str_list *w = &m->out->warnings;
    pool_push(m->p, w, text);
}

/* The original normalises names again wherever it uses them as keys, and that is not idempotent:
 * "A # #" is called "A #" and found as "A". */
static struct str key(struct str name)
{
    return name_normal(name);
}

/* Always false, so that a check may end with it. */
static bool refuse(struct merge *m, struct str name, size_t line, struct str text)
{
    m->out->refused = true;
    m->out->refusal = text;
    m->out->refusal_line = line;
    m->out->requirement = name;
    return false;
}

static bool invalid(struct merge *m, struct str what, struct str name, size_t line)
{
    return refuse(m, name, line,
                  pool_cat(m->p, m->in->id, LIT(" validation failed - "), what,
                           LIT("\"" HEADER), name, LIT("\"")));
}

/* ---- checks of the delta alone ---- */

/* Names already seen in one section of the delta. */
static bool seen_before(struct merge *m, struct map *names, struct str name)
{
    return !map_add(m->p, names, key(name));
}

struct names {
    struct map added, modified, removed, from, to;
    struct map removed_folds; /* folded name -> its first struct removal */
};

static bool check_pairs(struct merge *m)
{
    if (m->d.unpaired.n == 0)
        return true;
    const struct rename_side *u = &m->d.unpaired.at[0];
    struct str missing = u->is_from ? LIT("TO") : LIT("FROM");
    return refuse(m, u->name, u->line,
                  pool_cat(m->p, m->in->id, LIT(" validation failed - RENAMED entry on line "),
                           pool_num(m->p, u->line), LIT(" has no matching "), missing,
                           LIT(": for header \"" HEADER), u->name,
                           LIT("\". Write each rename as a FROM: line followed immediately by its "
                               "TO: line.")));
}

static void warn_orphans(struct merge *m)
{
    for (size_t i = 0; i < m->d.orphans.n; i++) {
        const struct orphan *o = &m->d.orphans.at[i];
        struct str where = o->section.n ? pool_cat(m->p, LIT("under \"## "), o->section, LIT("\""))
                                        : LIT("above the first \"## \" section");
        merge_warn(m, pool_cat(m->p, m->in->id, LIT(" - requirement \""), o->name, LIT("\" (line "),
                         pool_num(m->p, o->line), LIT(") is "), where,
                         LIT(", which is not a delta section, so it was not applied. Move it under "
                             "ADDED/MODIFIED/REMOVED/RENAMED Requirements.")));
    }
}

static bool check_duplicates(struct merge *m, struct names *n)
{
    for (size_t i = 0; i < m->d.added.n; i++) {
        const struct block *b = &m->d.added.at[i];
        if (seen_before(m, &n->added, b->name))
            return invalid(m, LIT("duplicate requirement in ADDED for header "), b->name, b->line);
    }
    for (size_t i = 0; i < m->d.modified.n; i++) {
        const struct block *b = &m->d.modified.at[i];
        if (seen_before(m, &n->modified, b->name))
            return invalid(m, LIT("duplicate requirement in MODIFIED for header "), b->name,
                           b->line);
    }
    for (size_t i = 0; i < m->d.removed.n; i++) {
        const struct removal *r = &m->d.removed.at[i];
        if (seen_before(m, &n->removed, r->name))
            return invalid(m, LIT("duplicate requirement in REMOVED for header "), r->name,
                           r->line);
        struct str fold = name_fold(m->p, key(r->name));
        if (!map_get(&n->removed_folds, fold))
            map_set(m->p, &n->removed_folds, fold, &m->d.removed.at[i]);
    }
    for (size_t i = 0; i < m->d.renamed.n; i++) {
        const struct rename_pair *r = &m->d.renamed.at[i];
        if (seen_before(m, &n->from, r->from))
            return invalid(m, LIT("duplicate FROM in RENAMED for header "), r->from, r->line);
        if (seen_before(m, &n->to, r->to))
            return invalid(m, LIT("duplicate TO in RENAMED for header "), r->to, r->line);
    }
    return true;
}

static bool check_rename(struct merge *m, const struct names *n, const struct rename_pair *r)
{
    const struct removal *gone = map_get(&n->removed_folds, name_fold(m->p, key(r->from)));
    if (gone) {
        struct str spelled = LIT("");
        if (!str_eq(key(gone->name), key(r->from)))
            spelled = pool_cat(m->p, LIT(" (REMOVED spells it \""), key(gone->name), LIT("\")"));
        return refuse(m, r->from, r->line,
                      pool_cat(m->p, m->in->id,
                               LIT(" validation failed - requirement present in multiple sections "
                                   "(RENAMED and REMOVED) for header \"" HEADER),
                               r->from, LIT("\""), spelled));
    }
    if (map_get(&n->modified, key(r->from)))
        return invalid(m, LIT("when a rename exists, MODIFIED must reference the NEW header "),
                       r->to, r->line);
    if (map_get(&n->added, key(r->to)))
        return invalid(m, LIT("RENAMED TO header collides with ADDED for "), r->to, r->line);
    return true;
}

static bool in_two(struct merge *m, const struct block *b, const char *a, const char *other)
{
    return invalid(m, pool_cat(m->p, LIT("requirement present in multiple sections ("), str_of(a),
                               LIT(" and "), str_of(other), LIT(") for header ")),
                   key(b->name), b->line);
}

static bool check_conflicts(struct merge *m, const struct names *n)
{
    for (size_t i = 0; i < m->d.renamed.n; i++) {
        if (!check_rename(m, n, &m->d.renamed.at[i]))
            return false;
    }
    for (size_t i = 0; i < m->d.modified.n; i++) {
        const struct block *b = &m->d.modified.at[i];
        if (map_get(&n->removed, key(b->name)))
            return in_two(m, b, "MODIFIED", "REMOVED");
        if (map_get(&n->added, key(b->name)))
            return in_two(m, b, "MODIFIED", "ADDED");
    }
    for (size_t i = 0; i < m->d.added.n; i++) {
        if (map_get(&n->removed, key(m->d.added.at[i].name)))
            return in_two(m, &m->d.added.at[i], "ADDED", "REMOVED");
    }
    return true;
}

static bool check_delta(struct merge *m)
{
    struct names n = { 0 };
    if (!check_pairs(m))
        return false;
    warn_orphans(m);
    if (!check_duplicates(m, &n) || !check_conflicts(m, &n))
        return false;
    if (m->d.entries == 0)
        return refuse(m, LIT(""), 0,
                      pool_cat(m->p, LIT("Delta parsing found no operations for "), m->in->id,
                               LIT(". Provide ADDED/MODIFIED/REMOVED/RENAMED sections in change "
                                   "spec.")));
    return true;
}

/* ---- the spec to change ---- */

static bool start_new(struct merge *m, struct str purpose)
{
    if (m->d.modified.n + m->d.renamed.n > 0) {
        struct str name = m->d.modified.n ? m->d.modified.at[0].name : m->d.renamed.at[0].from;
        size_t line = m->d.modified.n ? m->d.modified.at[0].line : m->d.renamed.at[0].line;
        return refuse(m, name, line,
                      pool_cat(m->p, m->in->id,
                               LIT(": target spec does not exist; only ADDED requirements are "
                                   "allowed for new specs. MODIFIED and RENAMED operations require "
                                   "an existing spec.")));
    }
    if (m->d.removed.n > 0)
        merge_warn(m, pool_cat(m->p, m->in->id, LIT(" - "), pool_num(m->p, m->d.removed.n),
                         LIT(" REMOVED requirement(s) ignored for new spec (nothing to remove).")));
    m->main = purpose_skeleton(m->p, m->in->id, m->in->change, purpose);
    struct str overview = purpose.n ? purpose_readable(m->p, m->main) : LIT("");
    if (purpose.n > 0 && overview.n == 0) {
        m->main = purpose_skeleton(m->p, m->in->id, m->in->change, LIT(""));
        merge_warn(m, pool_cat(m->p, m->in->id,
                         LIT(" - delta Purpose ignored (it would leave the new spec unreadable); "
                             "wrote the placeholder Purpose instead.")));
    } else if (overview.n > 0 && text_u16(overview) < PURPOSE_MIN) {
        merge_warn(m, pool_cat(m->p, m->in->id,
                         LIT(" - carried Purpose is under 50 characters; openspec validate "
                             "--strict reports it as too brief.")));
    }
    return true;
}

static bool check_structure(struct merge *m)
{
    struct structure_issues issues = structure_check(m->p, m->main);
    if (issues.n == 0)
        return true;
    struct str details = LIT("");
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    for (size_t i = 0; i < issues.n; i++) {
        buf_printf(&text, "%sline %zu: ", i ? "\n" : "", issues.at[i].line);
        buf_view(&text, issues.at[i].message);
    }
    details = pool_take(m->p, &text);
    m->out->refusal_in_main = true;
    return refuse(m, LIT(""), issues.at[0].line,
                  pool_cat(m->p, m->in->id,
                           LIT(": target spec is structurally invalid and cannot be updated until "
                               "fixed:\n"),
                           details));
}

static bool open_main(struct merge *m, struct str delta)
{
    struct str purpose = purpose_section(m->p, delta);
    if (!m->in->has_main)
        return start_new(m, purpose) && check_structure(m);
    m->main = text_decode(m->p, m->in->main);
    struct str now = purpose.n ? purpose_section(m->p, m->main) : LIT("");
    if (now.n > 0 && !str_eq(now, purpose))
        merge_warn(m, pool_cat(m->p, m->in->id, LIT(" - delta Purpose ignored; "), m->in->id,
                         LIT(" already has one. Edit "), m->in->main_path,
                         LIT(" directly to change it.")));
    return check_structure(m);
}

/* ---- the map of names ---- */

static void count_fold(struct merge *m, struct str name, bool more)
{
    struct str fold = name_fold(m->p, name);
    size_t *n = map_get(&m->folds, fold);
    if (!n && (n = pool_alloc(m->p, sizeof *n)))
        map_set(m->p, &m->folds, fold, n);
    if (n)
        *n = more ? *n + 1 : *n - 1;
}

/* From here on names are keys. */
struct block *merge_get(struct merge *m, struct str name)
{
    return map_get(&m->blocks, name);
}

static void set(struct merge *m, struct str name, struct block *b)
{
    if (!b)
        return;
    if (!merge_get(m, name))
        count_fold(m, name, true);
    map_set(m->p, &m->blocks, name, b);
}

static void drop(struct merge *m, struct str name)
{
    map_delete(&m->blocks, name);
    count_fold(m, name, false);
}

/* The first requirement that differs from `name` in case and blanks only, `except` aside. */
static const struct block *near_miss(struct merge *m, struct str name, const struct str *except)
{
    struct str fold = name_fold(m->p, name);
    const size_t *n = map_get(&m->folds, fold);
    size_t aside = except && merge_get(m, *except) && str_eq(name_fold(m->p, *except), fold);
    if (!n || *n <= aside)
        return NULL;
    for (size_t i = 0; i < m->blocks.n; i++) { /* there is one, and it ends the merge */
        const struct map_entry *e = &m->blocks.at[i];
        if (e->value && !(except && str_eq(e->key, *except)) &&
            str_eq(name_fold(m->p, e->key), fold))
            return e->value;
    }
    return NULL;
}

static void index_blocks(struct merge *m)
{
    struct blocks *b = &m->parts.blocks;
    m->order = pool_alloc(m->p, (b->n + 1) * sizeof *m->order);
    for (size_t i = 0; i < b->n && !m->p->failed; i++) {
        m->order[i] = key(b->at[i].name);
        set(m, m->order[i], &b->at[i]);
    }
}

/* ---- operations ---- */

static bool failed(struct merge *m, const char *op, struct str name, size_t line, struct str why)
{
    return refuse(m, name, line,
                  pool_cat(m->p, m->in->id, LIT(" "), str_of(op),
                           LIT(" failed for header \"" HEADER), name, LIT("\" - "), why));
}

static struct str but_exists(struct merge *m, const char *what, const struct block *near)
{
    return pool_cat(m->p, str_of(what), LIT(", but \"" HEADER), near->name,
                    LIT("\" exists; fix the header to match it exactly"));
}

static void move_name(struct merge *m, struct str from, struct str to, const struct block *old)
{
    struct block *b = pool_alloc(m->p, sizeof *b);
    if (!b)
        return;
    const char *end = memchr(old->raw.p, '\n', old->raw.n);
    struct str rest = end ? text_from(old->raw, (size_t)(end - old->raw.p)) : LIT("");
    b->name = to;
    b->line = old->line;
    b->header = pool_cat(m->p, LIT(HEADER), to);
    b->raw = pool_cat(m->p, b->header, rest);
    drop(m, from);
    set(m, to, b);
    for (size_t i = 0; i < m->parts.blocks.n; i++) {
        if (str_eq(m->order[i], from)) {
            m->order[i] = to;
            break;
        }
    }
    m->out->renamed++;
}

static bool rename_one(struct merge *m, const struct rename_pair *r)
{
    struct str from = key(r->from), to = key(r->to);
    const struct block *old = merge_get(m, from), *near;
    if (!old) {
        if (!merge_get(m, to))
            return failed(m, "RENAMED", r->from, r->line, LIT("source not found"));
        near = near_miss(m, from, &to);
        return near ? failed(m, "RENAMED", r->from, r->line,
                             but_exists(m, "source not found", near))
                    : true; /* renamed already */
    }
    if (merge_get(m, to))
        return failed(m, "RENAMED", r->to, r->line, LIT("target already exists"));
    near = near_miss(m, to, &from);
    if (near)
        return failed(m, "RENAMED", r->to, r->line,
                      pool_cat(m->p, LIT("\"" HEADER), near->name,
                               LIT("\" already exists and differs only in case or spacing; choose "
                                   "a distinct name")));
    move_name(m, from, to, old);
    return true;
}

static bool remove_one(struct merge *m, const struct removal *r)
{
    struct str name = key(r->name);
    if (merge_get(m, name)) {
        drop(m, name);
        m->out->removed++;
        return true;
    }
    if (!m->in->has_main)
        return true;
    const struct block *near = near_miss(m, name, NULL);
    if (near)
        return failed(m, "REMOVED", r->name, r->line, but_exists(m, "not found", near));
    merge_warn(m, pool_cat(m->p, m->in->id, LIT(" - REMOVED requirement \""), r->name,
                     LIT("\" is not in the current spec; treating it as already removed.")));
    return true;
}

static bool modify_one(struct merge *m, struct block *b)
{
    const struct block *now = merge_get(m, key(b->name));
    if (!now)
        return failed(m, "MODIFIED", b->name, b->line, LIT("not found"));
    if (!str_eq(b->name, key(b->name)))
        return failed(m, "MODIFIED", b->name, b->line, LIT("header mismatch in content"));
    struct scenario_diff diff = scenario_diff(m->p, now->raw, b->raw);
    if (diff.missing.n > 0)
        return failed(m, "MODIFIED", b->name, b->line,
                      pool_cat(m->p,
                               LIT("current spec contains scenario(s) not present in the modified "
                                   "block: "),
                               quoted_list(m->p, diff.missing.at, diff.missing.n), LIT(". "),
                               scenario_balance(m->p, &diff),
                               LIT(" Refresh the change spec before archiving to avoid dropping "
                                   "scenarios.")));
    m->out->modified += !str_eq(text_trim(now->raw), text_trim(b->raw));
    set(m, key(b->name), b);
    return true;
}

static bool add_one(struct merge *m, struct block *b)
{
    const struct block *now = merge_get(m, key(b->name));
    if (now)
        return str_eq(text_trim(now->raw), text_trim(b->raw)) ||
               failed(m, "ADDED", b->name, b->line, LIT("already exists"));
    const struct block *near = near_miss(m, key(b->name), NULL);
    if (near)
        return failed(m, "ADDED", b->name, b->line,
                      pool_cat(m->p, LIT("\"" HEADER), near->name,
                               LIT("\" already exists and differs only in case or spacing; use "
                                   "MODIFIED with that exact header to change it, or choose a "
                                   "distinct name")));
    set(m, key(b->name), b);
    m->out->added++;
    return true;
}

static bool apply(struct merge *m)
{
    bool ok = true;
    for (size_t i = 0; ok && i < m->d.renamed.n; i++)
        ok = rename_one(m, &m->d.renamed.at[i]);
    for (size_t i = 0; ok && i < m->d.removed.n; i++)
        ok = remove_one(m, &m->d.removed.at[i]);
    for (size_t i = 0; ok && i < m->d.modified.n; i++)
        ok = modify_one(m, &m->d.modified.at[i]);
    for (size_t i = 0; ok && i < m->d.added.n; i++)
        ok = add_one(m, &m->d.added.at[i]);
    return ok && !m->p->failed;
}

enum status merge_spec(struct arena *a, const struct merge_in *in, struct merge_out *out)
{
    struct pool p = pool_of(a);
    struct merge m = { .p = &p, .in = in, .out = out };
    *out = (struct merge_out){ 0 };
    struct str delta = text_decode(&p, in->delta);
    m.d = delta_read(&p, delta);
    if (!check_delta(&m) || !open_main(&m, delta))
        return pool_status(&p);
    m.parts = slices_read(&p, m.main);
    index_blocks(&m);
    if (!p.failed && apply(&m)) {
        out->rebuilt = merge_recompose(&m);
        out->bytes = in->has_main ? merge_match_ends(&p, out->rebuilt, m.main) : out->rebuilt;
        out->unaccounted = unaccounted_lines(&p, &m.parts);
    }
    return pool_status(&p);
}
