/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that one delta spec must obey by itself, and against the scenarios of the spec. */
#include "common/openspec/body.h"
#include "common/openspec/change.h"

struct names {
    struct map added, modified, removed, from, to;
    struct map removed_folds; /* folded -> struct removal */
};

struct checking {
    struct report *r;
    struct pool *p;
    const struct change_delta *d;
    struct names n;
};

static struct str key(struct str name)
{
    return name_normal(name);
}

static struct str quoted(struct checking *c, struct str before, struct str name)
{
    return pool_cat(c->p, before, LIT("\""), name, LIT("\""));
}

static void add(struct checking *c, struct remark m)
{
    m.path = c->d->path;
    m.is_file = true;
    report_add(c->r, m);
}

static void error(struct checking *c, const char *code, struct str message, struct str name,
                  size_t line, const char *fix)
{
    add(c, (struct remark){ .severity = SPEC_ERROR, .code = code, .message = message,
                            .requirement = name, .line = line, .fix = fix });
}

static void check_strays(struct checking *c)
{
    for (size_t i = 0; i < c->d->delta.strays.n; i++) {
        const struct stray *s = &c->d->delta.strays.at[i];
        bool nameless = text_is_ci(s->header, "requirement") || text_is_ci(s->header, "requirement:");
        struct str head = pool_cat(c->p, LIT("Header \"### "), s->header, LIT("\" in "), s->section);
        struct str tail =
            nameless ? LIT(" is missing a requirement name and is ignored by validation. Add a "
                           "name, e.g. \"### Requirement: <name>\".")
                     : pool_cat(c->p,
                                LIT(" is not a \"### Requirement:\" header and is ignored by "
                                    "validation. Use \"### Requirement: "),
                                s->header,
                                LIT("\" if it should be validated as a requirement."));
        add(c, (struct remark){ .severity = SPEC_INFO, .code = "delta.stray-header",
                                .message = pool_cat(c->p, head, tail), .line = s->line,
                                .says_line = true,
                                .fix = "make it a `### Requirement: …` or remove the header" });
    }
}

static void check_unpaired(struct checking *c)
{
    for (size_t i = 0; i < c->d->delta.unpaired.n; i++) {
        const struct rename_side *u = &c->d->delta.unpaired.at[i];
        add(c, (struct remark){
                   .severity = SPEC_ERROR, .code = "delta.unpaired-rename", .line = u->line,
                   .says_line = true, .requirement = u->name,
                   .message = pool_cat(c->p, LIT("RENAMED "), u->is_from ? LIT("FROM") : LIT("TO"),
                                       LIT(": \""), u->name, LIT("\" has no matching "),
                                       u->is_from ? LIT("TO") : LIT("FROM"),
                                       LIT(": line. Write each rename as a FROM: line followed "
                                           "immediately by its TO: line.")),
                   .fix = "write a FROM: line and its TO: line, one after the other" });
    }
}

static void check_orphans(struct checking *c)
{
    for (size_t i = 0; i < c->d->delta.orphans.n; i++) {
        const struct orphan *o = &c->d->delta.orphans.at[i];
        struct str where = o->section.n ? quoted(c, LIT("under "), pool_cat(c->p, LIT("## "),
                                                                            o->section))
                                        : LIT("above the first \"## \" section");
        add(c, (struct remark){
                   .severity = SPEC_WARNING, .code = "delta.orphan", .line = o->line,
                   .says_line = true, .requirement = o->name,
                   .message = pool_cat(c->p, quoted(c, LIT("Requirement "), o->name), LIT(" is "),
                                       where,
                                       LIT(", which is not a delta section, so it is ignored. Move "
                                           "it under \"## ADDED Requirements\", \"## MODIFIED "
                                           "Requirements\", \"## REMOVED Requirements\", or \"## "
                                           "RENAMED Requirements\".")),
                   .fix = "move it below one of the four delta headers" });
    }
}

/* Is the name new to its section? */
static bool first(struct checking *c, struct map *names, struct str name)
{
    return map_add(c->p, names, key(name));
}

static void check_block(struct checking *c, const struct block *b, struct str op, struct map *names)
{
    struct str label = quoted(c, pool_cat(c->p, op, LIT(" ")), b->name);
    struct lines body = body_lines(c->p, b->raw);
    struct str text = body_text(c->p, &body, 0);
    if (!first(c, names, b->name))
        error(c, "delta.duplicate",
              quoted(c, pool_cat(c->p, LIT("Duplicate requirement in "), op, LIT(": ")), b->name),
              b->name, b->line, "keep one of the two blocks");
    if (text.n == 0) {
        struct str message = text_normative(b->name)
                                 ? keyword_message(c->p, label, b->name, false)
                                 : pool_cat(c->p, label, LIT(" is missing requirement text"));
        error(c, "requirement.no-text", message, b->name, b->line,
              "write a sentence with SHALL or MUST below the header");
    } else if (!text_normative(text)) {
        add(c, (struct remark){ .severity = SPEC_WARNING, .code = "requirement.no-keyword",
                                .message = keyword_message(c->p, label, b->name, true),
                                .requirement = b->name, .line = b->line,
                                .fix = "say what SHALL or MUST hold" });
    }
    struct body_scenarios scenarios = body_count_scenarios(&body);
    if (scenarios.full == 0)
        error(c, "requirement.no-scenario",
              pool_cat(c->p, label, LIT(" must include at least one scenario"),
                       scenarios.empty
                           ? LIT(" (a scenario header with no body under it does not count; add "
                                 "its steps, e.g. \"- **WHEN** ...\" and \"- **THEN** ...\")")
                           : LIT("")),
              b->name, b->line, "add a `#### Scenario: …` with WHEN and THEN steps");
}

static void check_removed(struct checking *c)
{
    for (size_t i = 0; i < c->d->delta.removed.n; i++) {
        const struct removal *r = &c->d->delta.removed.at[i];
        if (!first(c, &c->n.removed, r->name)) {
            error(c, "delta.duplicate",
                  quoted(c, LIT("Duplicate requirement in REMOVED: "), r->name), r->name, r->line,
                  "name it once");
            continue;
        }
        struct str fold = name_fold(c->p, key(r->name));
        if (!map_get(&c->n.removed_folds, fold))
            map_set(c->p, &c->n.removed_folds, fold, &c->d->delta.removed.at[i]);
    }
}

static void check_renamed(struct checking *c)
{
    for (size_t i = 0; i < c->d->delta.renamed.n; i++) {
        const struct rename_pair *r = &c->d->delta.renamed.at[i];
        if (!first(c, &c->n.from, r->from))
            error(c, "delta.duplicate", quoted(c, LIT("Duplicate FROM in RENAMED: "), r->from),
                  r->from, r->line, "rename it once");
        if (!first(c, &c->n.to, r->to))
            error(c, "delta.duplicate", quoted(c, LIT("Duplicate TO in RENAMED: "), r->to), r->to,
                  r->line, "choose another name");
    }
}

static void conflict(struct checking *c, struct str where, const struct block *b)
{
    error(c, "delta.conflict",
          quoted(c, pool_cat(c->p, LIT("Requirement present in both "), where, LIT(": ")),
                 key(b->name)),
          b->name, b->line, "keep it in one section");
}

/* Each name once, in the order of first mention. */
static void check_sections(struct checking *c)
{
    struct map done = { 0 };
    for (size_t i = 0; i < c->d->delta.modified.n; i++) {
        const struct block *b = &c->d->delta.modified.at[i];
        if (!first(c, &done, b->name))
            continue;
        if (map_get(&c->n.removed, key(b->name)))
            conflict(c, LIT("MODIFIED and REMOVED"), b);
        if (map_get(&c->n.added, key(b->name)))
            conflict(c, LIT("MODIFIED and ADDED"), b);
    }
    struct map done_added = { 0 };
    for (size_t i = 0; i < c->d->delta.added.n; i++) {
        const struct block *b = &c->d->delta.added.at[i];
        if (first(c, &done_added, b->name) && map_get(&c->n.removed, key(b->name)))
            conflict(c, LIT("ADDED and REMOVED"), b);
    }
}

static void check_rename_conflicts(struct checking *c)
{
    for (size_t i = 0; i < c->d->delta.renamed.n; i++) {
        const struct rename_pair *r = &c->d->delta.renamed.at[i];
        if (map_get(&c->n.modified, key(r->from)))
            error(c, "delta.conflict",
                  quoted(c, LIT("MODIFIED references old name from RENAMED. Use new header for "),
                         r->to),
                  r->to, r->line, "use the new name below MODIFIED");
        if (map_get(&c->n.added, key(r->to)))
            error(c, "delta.conflict", quoted(c, LIT("RENAMED TO collides with ADDED for "), r->to),
                  r->to, r->line, "choose another name for one of them");
        const struct removal *gone = map_get(&c->n.removed_folds, name_fold(c->p, key(r->from)));
        if (!gone)
            continue;
        struct str spelled = LIT("");
        if (!str_eq(key(gone->name), key(r->from)))
            spelled = pool_cat(c->p, quoted(c, LIT(" (REMOVED spells it "), key(gone->name)),
                               LIT(")"));
        error(c, "delta.conflict",
              pool_cat(c->p,
                       quoted(c, LIT("Requirement present in both RENAMED and REMOVED: "), r->from),
                       spelled),
              r->from, r->line, "either rename or remove it");
    }
}

/* The current block of a name, following the renames of this delta backwards. */
static const struct block *current_of(struct checking *c, const struct map *blocks,
                                      const struct map *from, struct str name)
{
    for (size_t hops = 0; hops <= c->d->delta.renamed.n; hops++) {
        const struct block *b = map_get(blocks, name);
        const struct rename_pair *r = b ? NULL : map_get(from, name);
        if (!r)
            return b;
        name = key(r->from);
    }
    return NULL;
}

static void check_loss(struct checking *c, struct str main)
{
    struct map blocks = { 0 }, from = { 0 }, away = { 0 };
    struct slices parts = slices_read(c->p, text_decode(c->p, main));
    for (size_t i = 0; i < parts.blocks.n; i++)
        map_set(c->p, &blocks, key(parts.blocks.at[i].name), &parts.blocks.at[i]);
    for (size_t i = 0; i < c->d->delta.renamed.n; i++) {
        struct rename_pair *r = &c->d->delta.renamed.at[i];
        map_set(c->p, &from, key(r->to), r);
        map_set(c->p, &away, key(r->from), r);
    }
    for (size_t i = 0; i < c->d->delta.modified.n && !c->p->failed; i++) {
        const struct block *b = &c->d->delta.modified.at[i];
        if (map_get(&away, key(b->name)))
            continue;
        const struct block *now = current_of(c, &blocks, &from, key(b->name));
        if (!now)
            continue;
        struct scenario_diff diff = scenario_diff(c->p, now->raw, b->raw);
        if (diff.missing.n == 0)
            continue;
        error(c, "delta.lost-scenario",
              pool_cat(c->p, quoted(c, LIT("MODIFIED "), b->name),
                       LIT(" omits scenario(s) the current spec still has: "),
                       quoted_list(c->p, diff.missing.at, diff.missing.n), LIT(". "),
                       scenario_balance(c->p, &diff),
                       LIT(" Copy the omitted scenarios into the MODIFIED block (a MODIFIED "
                           "requirement replaces the whole block, so archive refuses to drop "
                           "them).")),
              b->name, b->line, "copy the omitted scenarios into the block");
    }
}

void delta_check(struct report *r, const struct change_delta *d, const struct str *main)
{
    struct checking c = { .r = r, .p = r->p, .d = d };
    check_strays(&c);
    check_unpaired(&c);
    check_orphans(&c);
    for (size_t i = 0; i < d->delta.added.n && !c.p->failed; i++)
        check_block(&c, &d->delta.added.at[i], LIT("ADDED"), &c.n.added);
    for (size_t i = 0; i < d->delta.modified.n && !c.p->failed; i++)
        check_block(&c, &d->delta.modified.at[i], LIT("MODIFIED"), &c.n.modified);
    if (main && d->delta.modified.n > 0)
        check_loss(&c, *main);
    check_removed(&c);
    check_renamed(&c);
    check_sections(&c);
    check_rename_conflicts(&c);
}
