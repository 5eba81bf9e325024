/* A disk that fails: preloaded, it answers EIO from the N-th call on files of a folder.
 *
 * FAILING_FOLDER  part of the path of the files that are hit
 * FAILING_CALL    write, fsync or read: which kind of call fails
 * FAILING_AFTER   how many such calls still succeed
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(int fd, const char *kind) {
    static long calls = 0;
    const char *folder = getenv("FAILING_FOLDER"), *call = getenv("FAILING_CALL");
    const char *after = getenv("FAILING_AFTER");
    char link[64], path[4096];
    if (!folder || !call || !after || strcmp(call, kind)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    if (!strstr(path, folder)) return 0;
    if (calls++ < atol(after)) return 0;
    errno = EIO;
    return 1;
}

#define WRAP(type, name, kind, declared, passed)                              \
    type name declared {                                                      \
        static type(*real) declared;                                          \
        if (!real) real = (type(*) declared)dlsym(RTLD_NEXT, #name);          \
        return fails(fd, kind) ? (type)-1 : real passed;                      \
    }

WRAP(ssize_t, write, "write", (int fd, const void *b, size_t n), (fd, b, n))
WRAP(ssize_t, pwrite, "write", (int fd, const void *b, size_t n, off_t o), (fd, b, n, o))
WRAP(ssize_t, pwrite64, "write", (int fd, const void *b, size_t n, off64_t o), (fd, b, n, o))
WRAP(ssize_t, read, "read", (int fd, void *b, size_t n), (fd, b, n))
WRAP(ssize_t, pread, "read", (int fd, void *b, size_t n, off_t o), (fd, b, n, o))
WRAP(ssize_t, pread64, "read", (int fd, void *b, size_t n, off64_t o), (fd, b, n, o))
WRAP(int, fsync, "fsync", (int fd), (fd))
WRAP(int, fdatasync, "fsync", (int fd), (fd))
