/* SPDX-License-Identifier: Apache-2.0 */
#include "common/openspec/validate.h"

#include "common/openspec/block.h"
#include "common/openspec/body.h"
#include "common/openspec/purpose.h"
#include "common/openspec/report.h"
#include "common/openspec/structure.h"
#include "common/openspec/tree.h"

enum { REQUIREMENT_LONG = 500 /* UTF-16 code units */ };

#define NO_REQUIREMENTS "Spec must have at least one requirement"
#define NO_SCENARIOS "Requirement must have at least one scenario"
#define GUIDE_SECTIONS                                                                        \
    ". Missing required sections. Expected headers: \"## Purpose\" and \"## Requirements\". " \
    "Example:\n## Purpose\n[brief purpose]\n\n## Requirements\n"                              \
    "### Requirement: Clear requirement statement\nUsers SHALL ...\n\n"                       \
    "#### Scenario: Descriptive name\n- **WHEN** ...\n- **THEN** ..."
#define GUIDE_SCENARIO                                                              \
    ". Scenarios must use level-4 headers. Convert bullet lists into:\n"            \
    "#### Scenario: Short name\n- **WHEN** ...\n- **THEN** ...\n- **AND** ..."
#define PLACEHOLDER                                                                           \
    "Purpose section is still a placeholder rather than a Purpose anyone wrote (the sentence " \
    "`openspec archive` writes for a new capability, or a `TBD`/`TODO` marker left in its "    \
    "place). Replace it with what this capability is for, editing the main spec directly: a "  \
    "`## Purpose` in a delta is read only when the capability is created, so it cannot "       \
    "replace this one."

struct check {
    struct pool *p;
    struct report r;
    struct str file;
    struct str text;
    struct tree_spec spec;
};

static void add(struct check *c, struct remark m)
{
    m.file = c->file;
    report_add(&c->r, m);
}

static struct str indexed(struct check *c, const char *before, size_t i, const char *after)
{
    return pool_cat(c->p, str_of(before), pool_num(c->p, i), str_of(after));
}

static bool check_sections(struct check *c)
{
    if (c->spec.has_purpose && c->spec.has_requirements)
        return true;
    bool purpose = !c->spec.has_purpose;
    add(c, (struct remark){
               .severity = SPEC_ERROR,
               .code = purpose ? "spec.no-purpose" : "spec.no-requirements",
               .path = LIT("file"),
               .message = purpose ? LIT("Spec must have a Purpose section" GUIDE_SECTIONS)
                                  : LIT("Spec must have a Requirements section" GUIDE_SECTIONS),
               .fix = purpose ? "add a `## Purpose` section with a sentence or two"
                              : "add a `## Requirements` section" });
    return false;
}

static void check_shape(struct check *c)
{
    if (c->spec.n == 0)
        add(c, (struct remark){ .severity = SPEC_ERROR, .code = "spec.empty",
                                .path = LIT("requirements"), .line = c->spec.requirements_line,
                                .message = LIT(NO_REQUIREMENTS),
                                .fix = "add a `### Requirement: …` below `## Requirements`" });
    for (size_t i = 0; i < c->spec.n; i++) {
        const struct tree_requirement *q = &c->spec.at[i];
        if (q->text.n == 0)
            add(c, (struct remark){ .severity = SPEC_ERROR, .code = "requirement.no-text",
                                    .path = indexed(c, "requirements.", i, ".text"),
                                    .line = q->line,
                                    .message = LIT("Requirement text cannot be empty"),
                                    .fix = "name the requirement and say what SHALL hold" });
        if (q->scenarios == 0)
            add(c, (struct remark){ .severity = SPEC_ERROR, .code = "requirement.no-scenario",
                                    .path = indexed(c, "requirements.", i, ".scenarios"),
                                    .line = q->line, .message = LIT(NO_SCENARIOS),
                                    .fix = "add a `#### Scenario: …` with its steps" });
    }
}

static void check_headers(struct check *c)
{
    static const char *const codes[] = { "spec.delta-header", "requirement.outside",
                                         "requirement.duplicate" };
    static const char *const fixes[] = { "move the block into a change, or remove the header",
                                         "move it below `## Requirements`", "rename one of them" };
    struct structure_issues issues = structure_check(c->p, c->text);
    for (size_t i = 0; i < issues.n; i++)
        add(c, (struct remark){ .severity = SPEC_ERROR, .code = codes[issues.at[i].kind],
                                .path = LIT("file"), .line = issues.at[i].line, .says_line = true,
                                .message = issues.at[i].message,
                                .fix = fixes[issues.at[i].kind] });
}

static void check_purpose(struct check *c)
{
    size_t line;
    if (purpose_placeholder(c->p, c->spec.purpose, c->text, &line))
        add(c, (struct remark){ .severity = SPEC_WARNING, .code = "spec.purpose-placeholder",
                                .path = LIT("overview"), .line = line, .says_line = true,
                                .message = LIT(PLACEHOLDER),
                                .fix = "say what the capability is for" });
    else if (text_u16(c->spec.purpose) < PURPOSE_MIN)
        add(c, (struct remark){
                   .severity = SPEC_WARNING, .code = "spec.purpose-brief", .path = LIT("overview"),
                   .line = c->spec.purpose_line,
                   .message = LIT("Purpose section is too brief (less than 50 characters)"),
                   .fix = "say in a sentence or two what the capability is for" });
}

static void check_lengths(struct check *c)
{
    for (size_t i = 0; i < c->spec.n; i++) {
        const struct tree_requirement *q = &c->spec.at[i];
        if (text_u16(q->text) > REQUIREMENT_LONG)
            add(c, (struct remark){ .severity = SPEC_INFO, .code = "requirement.long",
                                    .path = indexed(c, "requirements[", i, "]"), .line = q->line,
                                    .message = LIT("Requirement text is very long (>500 "
                                                   "characters). Consider breaking it down."),
                                    .fix = "split it into requirements of one statement each" });
        if (q->scenarios == 0)
            add(c, (struct remark){ .severity = SPEC_WARNING, .code = "requirement.no-scenario",
                                    .path = indexed(c, "requirements[", i, "].scenarios"),
                                    .line = q->line, .message = LIT(NO_SCENARIOS GUIDE_SCENARIO),
                                    .fix = "add a `#### Scenario: …` with its steps" });
    }
}

static void check_keywords(struct check *c)
{
    struct slices parts = slices_read(c->p, c->text);
    for (size_t i = 0; i < parts.blocks.n && !c->p->failed; i++) {
        const struct block *b = &parts.blocks.at[i];
        struct lines body = body_lines(c->p, b->raw);
        struct str text = body_text(c->p, &body, 0);
        if (text.n > 0 && text_normative(text))
            continue;
        bool guidance = text.n > 0;
        struct str prefix = pool_cat(c->p, LIT("Requirement \""), b->name, LIT("\""));
        add(c, (struct remark){ .severity = guidance ? SPEC_WARNING : SPEC_ERROR,
                                .code = guidance ? "requirement.no-keyword" : "requirement.no-text",
                                .path = indexed(c, "requirements[", i, "]"), .line = b->line,
                                .message = keyword_message(c->p, prefix, b->name, guidance),
                                .requirement = b->name,
                                .fix = "write a sentence with SHALL or MUST below the header" });
    }
}

enum status validate_spec(struct arena *a, struct str id, struct str bytes, bool strict,
                          struct spec_report *out)
{
    struct pool p = pool_of(a);
    struct spec_findings findings = { 0 };
    struct check c = { .p = &p, .r = { &p, &findings, LIT("") } };
    c.file = pool_cat(&p, LIT("specs/"), id, LIT("/spec.md"));
    c.text = text_decode(&p, bytes);
    c.spec = tree_spec(&p, c.text);
    if (check_sections(&c)) {
        check_shape(&c);
        check_headers(&c);
        check_purpose(&c);
        check_lengths(&c);
        check_keywords(&c);
    }
    report_close(&findings, strict, out);
    return pool_status(&p);
}
