/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_OPENSPEC_WORKSPACE_H
#define PAWL_OPENSPEC_WORKSPACE_H
/* workspace: an openspec/ tree in memory: regular files, sorted by path, paths relative to
 * openspec/ with '/' between the parts. It never changes once made; a view with other files laid
 * over it is a new one that shares the bytes. Directories exist only by what they hold.
 *
 * On the wire it is one msgpack map {"v": 1, "files": [[path, bin], …]}, files in path order, so
 * that equal trees have equal bytes and the SHA-256 of them names the workspace.
 * Bounds: PAWL_WORKSPACE_MAX bytes of all files together, PAWL_WORKSPACE_FILES files. */
#include "common/arena.h"
#include "common/js.h"

struct ws_file {
    struct str path;
    struct str bytes;
};

struct ws {
    struct ws_file *files; /* sorted by path, unique */
    size_t n;
    size_t bytes; /* of all files together */
};

struct str_list {
    struct str *at;
    size_t n;
    size_t cap;
};

/* A path that a workspace may hold: relative, no empty, "." or ".." part, no backslash, no control
 * characters, at most 4096 bytes of valid UTF-8. */
bool ws_path_ok(struct str path);

/* Make one from files in any order; the array is copied, paths and bytes are borrowed. Refuses bad
 * and duplicate paths, a file that is also a folder, and more than the bounds allow. */
enum status ws_make(struct arena *a, const struct ws_file *files, size_t n, struct ws *out,
                    struct err *err) MUST_USE;
enum status ws_encode(const struct ws *ws, struct buf *out) MUST_USE;
/* Strict: whatever is accepted encodes to the same bytes. The views point into `bytes`. */
enum status ws_decode(struct arena *a, struct str bytes, struct ws *out, struct err *err) MUST_USE;

const struct ws_file *ws_find(const struct ws *ws, struct str path); /* NULL: not there */
/* The first file whose path is not below `prefix`'s start: files of a folder are a contiguous run.
 * `dir` ends with '/'. *n is the length of the run; NULL when it is empty. */
const struct ws_file *ws_under(const struct ws *ws, struct str dir, size_t *n);

/* The workspace with the files of a `change` document (schemas/documents.def) in place of whatever
 * changes/<name>/ holds now. The bytes of the document are borrowed. */
enum status ws_with_change(struct arena *a, const struct ws *base, const json_t *change,
                           struct ws *out, struct err *err) MUST_USE;
/* The other way: the files of changes/<name>/ as a `change` document, new reference. NULL when the
 * change has no files. Bytes that are not UTF-8 become U+FFFD. */
json_t *ws_change_doc(const struct ws *ws, struct str name);

/* Ids of the specs (path between specs/ and /spec.md) below `root`: "specs/" or
 * "changes/<name>/specs/". Dot names are skipped, a spec.md without a folder is no spec. In the
 * original's order (UTF-16 code units). */
enum status ws_spec_ids(struct arena *a, const struct ws *ws, struct str root,
                        struct str_list *out) MUST_USE;
/* Active changes: the folders right below changes/ but "archive" and dot names, same order. */
enum status ws_changes(struct arena *a, const struct ws *ws, struct str_list *out) MUST_USE;
bool ws_has_change(const struct ws *ws, struct str name);

/* "specs/<id>/spec.md" and "changes/<change>/specs/<id>/spec.md" in the arena; empty: no memory. */
struct str ws_spec_path(struct arena *a, struct str id);
struct str ws_delta_path(struct arena *a, struct str change, struct str id);
#endif
