/* Preloaded into a run: counts its calls that change files below CALLS_BELOW (but not in logs/), writes them to CALLS_LOG,
 * and at the one numbered CALLS_AT fails with the errno CALLS_ERROR, or dies as if killed where that is 0; with CALLS_ON it
 * fails from there on. CALLS_FLOCK is an errno for every flock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int setting(const char *name) {
    const char *value = getenv(name);
    return value ? atoi(value) : 0;
}

static void note(int number, const char *name, const char *path, const char *to) {
    const char *log = getenv("CALLS_LOG");
    if (!log) return;
    char line[2 * PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%d\t%s\t%s\t%s\n", number, name, path, to);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT, 0666);
    syscall(SYS_write, fd, line, (size_t)length);
    syscall(SYS_close, fd);
}

/* Whether the call is to fail; errno is set then. */
static int fails(const char *name, const char *path, const char *to) {
    static int calls;
    const char *below = getenv("CALLS_BELOW");
    if (!below || strncmp(path, below, strlen(below)) != 0 || strstr(path, "/logs/")) return 0;
    int number = __sync_add_and_fetch(&calls, 1), at = setting("CALLS_AT");
    note(number, name, path, to);
    if (at == 0 || number < at || (number > at && !setting("CALLS_ON"))) return 0;
    int error = setting("CALLS_ERROR");
    if (error == 0) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    errno = error;
    return 1;
}

static int fd_fails(const char *name, int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return fails(name, path, "");
}

static int opening(const char *path, int flags) {
    return (flags & (O_CREAT | O_WRONLY | O_RDWR)) && fails("open", path, "");
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return opening(path, flags) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return opening(path, flags) ? -1 : REAL(open64)(path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t size) {
    return fd_fails("write", fd) ? -1 : REAL(write)(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return fd_fails("write", fd) ? -1 : REAL(writev)(fd, parts, count);
}

int fsync(int fd) { return fd_fails("fsync", fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fd_fails("fsync", fd) ? -1 : REAL(fdatasync)(fd); }
int ftruncate64(int fd, off64_t size) { return fd_fails("truncate", fd) ? -1 : REAL(ftruncate64)(fd, size); }
int rename(const char *from, const char *to) { return fails("rename", from, to) ? -1 : REAL(rename)(from, to); }
int unlink(const char *path) { return fails("unlink", path, "") ? -1 : REAL(unlink)(path); }
int rmdir(const char *path) { return fails("rmdir", path, "") ? -1 : REAL(rmdir)(path); }
int mkdir(const char *path, mode_t mode) { return fails("mkdir", path, "") ? -1 : REAL(mkdir)(path, mode); }

int flock(int fd, int operation) {
    int error = setting("CALLS_FLOCK");
    if (error) {
        errno = error;
        return -1;
    }
    return (int)syscall(SYS_flock, fd, operation);
}
