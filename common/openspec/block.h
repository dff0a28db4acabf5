/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_BLOCK_H
#define PAWL_OPENSPEC_BLOCK_H
/* block: reader B, requirements as blocks of lines: the Requirements section of a main spec, and
 * delta specs. Merging acts on what this reader sees. Internal. */
#include "common/openspec/text.h"

struct block {
    struct str name;
    struct str header; /* the line */
    struct str raw;    /* from the header on, trailing white space removed, LF */
    size_t line;       /* of the header, from 1 */
};

struct blocks {
    struct block *at;
    size_t n;
    size_t cap;
};

/* A main spec cut in five. Without a Requirements section `before` is the whole text, as it came. */
struct slices {
    bool found;
    struct str before;
    struct str header;
    struct str preamble; /* lines above the first requirement */
    struct blocks blocks;
    struct str after;
};

/* Any text, CR and BOM included. */
struct slices slices_read(struct pool *p, struct str text);

enum delta_kind { DELTA_ADDED, DELTA_MODIFIED, DELTA_REMOVED, DELTA_RENAMED, DELTA_KINDS };

struct rename_pair {
    struct str from, to;
    size_t line; /* of the TO line */
};

struct rename_side { /* a FROM or TO line that found no partner */
    bool is_from;
    struct str name;
    size_t line;
};

struct removal {
    struct str name;
    size_t line;
};

struct orphan { /* a requirement outside the four sections */
    struct str name;
    struct str section; /* empty: above the first (or below one without a title) */
    size_t line;
};

struct stray { /* a level-3 header that is no requirement, in ADDED or MODIFIED */
    struct str header;
    struct str section; /* the section's title as first spelled */
    size_t line;
};

struct delta {
    bool present[DELTA_KINDS];
    struct blocks added;
    struct blocks modified;
    struct removals {
        struct removal *at;
        size_t n, cap;
    } removed;
    struct blocks removed_blocks; /* those of them that are written as blocks */
    struct renames {
        struct rename_pair *at;
        size_t n, cap;
    } renamed;
    struct unpaired {
        struct rename_side *at;
        size_t n, cap;
    } unpaired;
    struct orphans {
        struct orphan *at;
        size_t n, cap;
    } orphans;
    struct strays {
        struct stray *at;
        size_t n, cap;
    } strays;
    size_t entries; /* of the four kinds together */
};

struct delta delta_read(struct pool *p, struct str text);
/* "ADDED"; static. */
const char *delta_kind_name(enum delta_kind kind);
/* Has any of the four sections: what makes a file a delta spec. */
bool delta_any_section(const struct delta *d);
#endif
