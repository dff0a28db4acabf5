/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/problem.h"

#include "common/bounds.h"
#include "common/js.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES_MAX = 1000 };

enum status problem_check(const char *name, struct str text, struct err *err)
{
    size_t bad = 0, line = 1, blank = 0;
    if (text.n > PAWL_PROBLEM_MAX) {
        err_set(err, ERR_LIMIT, "%s: a problem statement may be 1 MiB, this one is larger", name);
        err_fix(err, "say what is wrong and what is wanted; leave logs and data to the tools that "
                     "read them");
        return ERR_LIMIT;
    }
    while (blank < text.n && strchr(" \t\r\n", text.p[blank]))
        blank++;
    if (blank == text.n) {
        err_set(err, ERR_DATA, "%s: the problem statement is empty", name);
        err_fix(err, "write a sentence or two: what is wrong, for whom, what should hold instead");
        return ERR_DATA;
    }
    if (!utf8_valid(text, &bad)) {
        for (size_t i = 0; i < bad; i++)
            line += text.p[i] == '\n';
        err_set(err, ERR_DATA, "%s:%zu: byte %zu (0x%02x) is not UTF-8", name, line, bad,
                (unsigned char)text.p[bad]);
        err_fix(err, "save it as UTF-8, for instance: iconv -f LATIN1 -t UTF-8 FILE");
        return ERR_DATA;
    }
    const char *zero = memchr(text.p, '\0', text.n);
    if (zero) {
        err_set(err, ERR_DATA, "%s: byte %zu is NUL: this is no text", name,
                (size_t)(zero - text.p));
        err_fix(err, "a problem statement is Markdown or plain text");
        return ERR_DATA;
    }
    return OK;
}

static enum status add(struct problems *p, const char *source, const char *name, struct buf *text,
                       struct err *err)
{
    struct problem *more = NULL;
    enum status st = text->status == ERR_LIMIT
                         ? problem_check(name, (struct str){ "", PAWL_PROBLEM_MAX + 1 }, err)
                         : problem_check(name, buf_get(text), err);
    if (st == OK && (p->n == FILES_MAX || !(more = realloc(p->v, (p->n + 1) * sizeof *more))))
        st = err_set(err, ERR_LIMIT, "more than %d problem statements at once", FILES_MAX);
    if (more)
        p->v = more;
    if (st != OK) {
        buf_fini(text);
        return st;
    }
    p->v[p->n++] = (struct problem){ strdup(source), *text };
    return OK;
}

static enum status add_stream(struct problems *p, const char *source, FILE *f, struct err *err)
{
    struct buf text;
    char piece[16384];
    size_t n;
    const char *name = strcmp(source, "-") == 0 ? "standard input" : source;
    buf_init(&text, PAWL_PROBLEM_MAX);
    while (text.status == OK && (n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_append(&text, piece, n);
    if (ferror(f)) {
        buf_fini(&text);
        return err_set(err, ERR_IO, "%s: %s", name, strerror(errno));
    }
    return add(p, source, name, &text, err);
}

static enum status add_file(struct problems *p, const char *path, struct err *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path,
                       strerror(errno));
    enum status st = add_stream(p, path, f, err);
    fclose(f);
    return st;
}

static int is_markdown(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return e->d_name[0] != '.' && n > 3 && strcmp(e->d_name + n - 3, ".md") == 0;
}

static enum status add_directory(struct problems *p, const char *path, struct err *err)
{
    struct dirent **names = NULL;
    int n = scandir(path, &names, is_markdown, alphasort);
    enum status st = OK;
    if (n < 0)
        return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    if (n == 0) {
        st = err_set(err, ERR_NOT_FOUND, "%s: no *.md files in this directory", path);
        err_fix(err, "each problem statement is a Markdown file");
    }
    for (int i = 0; i < n; i++) {
        char file[4400];
        snprintf(file, sizeof file, "%.4000s/%s", path, names[i]->d_name);
        if (st == OK)
            st = add_file(p, file, err);
        free(names[i]);
    }
    free(names);
    return st;
}

enum status problems_add(struct problems *p, const char *argument, struct err *err)
{
    struct stat st;
    if (strcmp(argument, "-") == 0)
        return add_stream(p, "-", stdin, err);
    if (strlen(argument) < 4096 && stat(argument, &st) == 0)
        return S_ISDIR(st.st_mode) ? add_directory(p, argument, err) : add_file(p, argument, err);
    if (strpbrk(argument, " \n\t") || !*argument) {
        struct buf text;
        buf_init(&text, PAWL_PROBLEM_MAX);
        buf_str(&text, argument);
        return add(p, "", "the argument", &text, err);
    }
    err_set(err, ERR_NOT_FOUND, "%.200s: no such file or directory", argument);
    err_fix(err, "a problem statement given as text is a sentence in quotes");
    return ERR_NOT_FOUND;
}

void problems_free(struct problems *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].source);
        buf_fini(&p->v[i].text);
    }
    free(p->v);
    *p = (struct problems){ 0 };
}
