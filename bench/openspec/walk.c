/* SPDX-License-Identifier: Apache-2.0 */
/* bench-walk: reads every file below a folder and does nothing with it: the limit of `pawl spec`.
 *   bench-walk DIR */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t files, bytes;

static void walk(int dir)
{
    static char buf[1 << 20];
    DIR *d = fdopendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fstat(fd, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            walk(fd);
            continue;
        }
        for (ssize_t n; (n = read(fd, buf, sizeof buf)) > 0;)
            bytes += (size_t)n;
        files++;
        close(fd);
    }
    if (d)
        closedir(d);
}

int main(int argc, char **argv)
{
    int dir = argc > 1 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir < 0) {
        fprintf(stderr, "usage: bench-walk DIR\n");
        return 1;
    }
    walk(dir);
    printf("%zu files, %zu bytes\n", files, bytes);
    return 0;
}
