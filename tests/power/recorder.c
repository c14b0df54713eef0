/* Records what a process does to the files below one folder, in the order in which it happens, and
 * fails one chosen call.
 *
 * RECORD_ROOT     the folder
 * RECORD_JOURNAL  the file that the records are appended to; several processes may share it
 * RECORD_FAULT    a file that may say which call fails: "ROUND NTH ERRNO ENDING"
 *
 * A call and its record are one step under a lock that all processes share, so the order of the
 * records is the order of the calls. A sync is two records: only what was written before the first
 * is on the disk after the second. The disk itself is not synced: the journal says what a power cut
 * leaves. SQLite may lose its index of the log (-shm), so that file is not recorded. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    CREATE = 1, MKDIR, WRITE, TRUNCATE, SYNC_BEGINS, SYNC_ENDS, LINK, RENAME, UNLINK,
    /* 10 and 11 are written by the test. */
    FAILED = 12, UNSUPPORTED
};

struct head {
    uint32_t kind, name_len, data_len, pid;
    uint64_t a, b, at;
};

static char root[PATH_MAX];
static size_t root_len;
static int journal = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("RECORD_ROOT"), *path = getenv("RECORD_JOURNAL");
    if (!folder || !path) return;
    snprintf(root, sizeof root, "%s", folder);
    root_len = strlen(root);
    journal = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
}

static void lock(void) {
    int kept = errno;
    pthread_mutex_lock(&mutex);
    while (flock(journal, LOCK_EX) && errno == EINTR) {}
    errno = kept;
}

static void unlock(void) {
    int kept = errno;
    flock(journal, LOCK_UN);
    pthread_mutex_unlock(&mutex);
    errno = kept;
}

/* Appends a record. `data` has `count` pieces, of which the first `data_len` bytes count. */
static void record_pieces(enum kind kind, uint64_t a, uint64_t b, uint64_t at, const char *name,
                          const struct iovec *data, int count, size_t data_len) {
    int kept = errno;
    size_t name_len = strlen(name), left = data_len;
    struct head head = {kind, name_len, data_len, getpid(), a, b, at};
    size_t whole = sizeof head + name_len + data_len;
    char *bytes = malloc(whole), *to = bytes;
    if (!bytes) abort();
    memcpy(to, &head, sizeof head);
    to += sizeof head;
    memcpy(to, name, name_len);
    to += name_len;
    for (int n = 0; n < count && left > 0; n++) {
        size_t some = data[n].iov_len < left ? data[n].iov_len : left;
        memcpy(to, data[n].iov_base, some);
        to += some;
        left -= some;
    }
    for (size_t done = 0; done < whole;) {
        ssize_t wrote = syscall(SYS_write, journal, bytes + done, whole - done);
        if (wrote < 0 && errno != EINTR) abort();
        if (wrote > 0) done += wrote;
    }
    free(bytes);
    errno = kept;
}

static void record(enum kind kind, uint64_t a, uint64_t b, uint64_t at, const char *name,
                   const char *data) {
    struct iovec piece = {(void *)data, strlen(data)};
    record_pieces(kind, a, b, at, name, &piece, 1, piece.iov_len);
}

static int is_below(const char *path) {
    if (strncmp(path, root, root_len) || (path[root_len] != '/' && path[root_len])) return 0;
    size_t len = strlen(path);
    return len < 4 || strcmp(path + len - 4, "-shm");
}

/* The path of an open file; 0 if it is not recorded. */
static int path_of(int fd, char *path) {
    if (journal < 0 || fd < 0) return 0;
    int kept = errno;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    errno = kept;
    if (len <= 0) return 0;
    path[len] = 0;
    static const char deleted[] = " (deleted)";
    size_t end = sizeof deleted - 1;
    if ((size_t)len > end && !strcmp(path + len - end, deleted)) path[len - end] = 0;
    return is_below(path);
}

/* The whole path of a name; 0 if it is not recorded. */
static int path_at(int folder, const char *name, char *path) {
    if (journal < 0 || !name) return 0;
    int kept = errno;
    char base[PATH_MAX] = "";
    if (name[0] != '/') {
        char link[64] = "/proc/self/cwd";
        if (folder != AT_FDCWD) snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t len = syscall(SYS_readlinkat, AT_FDCWD, link, base, sizeof base - 1);
        if (len <= 0) { errno = kept; return 0; }
        base[len] = 0;
    }
    errno = kept;
    int len = snprintf(path, PATH_MAX, "%s%s%s", base, name[0] == '/' ? "" : "/", name);
    if (len <= 0 || len >= PATH_MAX) return 0;
    while (len > 1 && path[len - 1] == '/') path[--len] = 0;
    return is_below(path);
}

static uint64_t inode(const char *path) {
    int kept = errno;
    struct stat found;
    uint64_t is = lstat(path, &found) ? 0 : found.st_ino;
    errno = kept;
    return is;
}

static uint64_t inode_of(int fd) {
    int kept = errno;
    struct stat found;
    uint64_t is = fstat(fd, &found) ? 0 : found.st_ino;
    errno = kept;
    return is;
}

/* The inode of the folder of a path, and the name within it. */
static uint64_t parent(const char *path, const char **name) {
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    *name = path + (slash - folder) + 1;
    *slash = 0;
    return inode(folder[0] ? folder : "/");
}

/* The error with which this call fails, or 0. Under the lock. */
static int fault(const char *path, const char *call) {
    static const char *file;
    static int looked;
    static long round, done;
    if (!looked) { looked = 1; file = getenv("RECORD_FAULT"); }
    if (!file) return 0;
    int kept = errno;
    char text[PATH_MAX] = "", ending[PATH_MAX] = "";
    int fd = syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        if (syscall(SYS_read, fd, text, sizeof text - 1) < 0) text[0] = 0;
        syscall(SYS_close, fd);
    }
    errno = kept;
    long now, nth, error;
    if (sscanf(text, "%ld %ld %ld %4000s", &now, &nth, &error, ending) != 4) return 0;
    if (now != round) { round = now; done = 0; }
    size_t len = strlen(path), end = strlen(ending);
    if (strcmp(ending, "-") && (len < end || strcmp(path + len - end, ending))) return 0;
    if (++done != nth) return 0;
    record(FAILED, inode(path), nth, error, path, call);
    return error;
}

static void unsupported(const char *path, const char *call) {
    lock();
    record(UNSUPPORTED, 0, 0, 0, path, call);
    unlock();
}

/* Files and their bytes. */

static int opened(int folder, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    if (!(flags & (O_CREAT | O_TRUNC)) && (flags & O_TMPFILE) != O_TMPFILE)
        return syscall(SYS_openat, folder, name, flags, mode);
    if (!path_at(folder, name, path)) return syscall(SYS_openat, folder, name, flags, mode);
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        unsupported(path, "O_TMPFILE");
        errno = EOPNOTSUPP;
        return -1;
    }
    lock();
    struct stat before;
    int kept = errno, was = lstat(path, &before) == 0;
    errno = kept;
    int fd = syscall(SYS_openat, folder, name, flags, mode);
    if (fd >= 0) {
        const char *last;
        uint64_t file = inode_of(fd);
        if (!was) {
            uint64_t above = parent(path, &last);
            record(CREATE, above, file, 0, last, "");
        } else if ((flags & O_TRUNC) && before.st_size) {
            record(TRUNCATE, file, 0, 0, "", "");
        }
    }
    unlock();
    return fd;
}

#define MODE(flags, mode)                                                     \
    mode_t mode = 0;                                                          \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) {          \
        va_list more;                                                         \
        va_start(more, flags);                                                \
        mode = va_arg(more, mode_t);                                          \
        va_end(more);                                                         \
    }

int open(const char *name, int flags, ...) {
    MODE(flags, mode)
    return opened(AT_FDCWD, name, flags, mode);
}
int open64(const char *name, int flags, ...) {
    MODE(flags, mode)
    return opened(AT_FDCWD, name, flags, mode);
}
int openat(int folder, const char *name, int flags, ...) {
    MODE(flags, mode)
    return opened(folder, name, flags, mode);
}
int openat64(int folder, const char *name, int flags, ...) {
    MODE(flags, mode)
    return opened(folder, name, flags, mode);
}
int creat(const char *name, mode_t mode) {
    return opened(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int creat64(const char *name, mode_t mode) { return creat(name, mode); }

static ssize_t plain(int fd, const struct iovec *data, int count, off_t at) {
    return at < 0 ? syscall(SYS_writev, fd, data, count)
                  : syscall(SYS_pwritev, fd, data, count, (long)at, 0L);
}

/* At `at`, or where the file stands if that is negative. */
static ssize_t put(int fd, const struct iovec *data, int count, off_t at) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return plain(fd, data, count, at);
    lock();
    ssize_t done = -1;
    int error = fault(path, "write");
    if (error) {
        errno = error;
    } else {
        off_t from = at;
        if (at < 0) {
            struct stat found;
            int flags = fcntl(fd, F_GETFL);
            from = (flags & O_APPEND) && !fstat(fd, &found) ? found.st_size
                                                            : lseek(fd, 0, SEEK_CUR);
        }
        done = plain(fd, data, count, at);
        if (done > 0) record_pieces(WRITE, inode_of(fd), 0, from, "", data, count, done);
    }
    unlock();
    return done;
}

ssize_t write(int fd, const void *bytes, size_t len) {
    struct iovec piece = {(void *)bytes, len};
    return put(fd, &piece, 1, -1);
}
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) {
    struct iovec piece = {(void *)bytes, len};
    return put(fd, &piece, 1, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) {
    return pwrite(fd, bytes, len, at);
}
ssize_t writev(int fd, const struct iovec *data, int count) { return put(fd, data, count, -1); }
ssize_t pwritev(int fd, const struct iovec *data, int count, off_t at) {
    return put(fd, data, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *data, int count, off64_t at) {
    return put(fd, data, count, at);
}

int ftruncate(int fd, off_t size) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return syscall(SYS_ftruncate, fd, size);
    lock();
    int ended = -1, error = fault(path, "ftruncate");
    if (error) {
        errno = error;
    } else {
        ended = syscall(SYS_ftruncate, fd, size);
        if (!ended) record(TRUNCATE, inode_of(fd), 0, size, "", "");
    }
    unlock();
    return ended;
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

/* Calls that would write unseen. Programs fall back to the ones above. */

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t len,
                        unsigned flags) {
    char path[PATH_MAX];
    if (path_of(to, path)) { errno = ENOSYS; return -1; }
    return syscall(SYS_copy_file_range, from, from_at, to, to_at, len, flags);
}
ssize_t sendfile(int to, int from, off_t *at, size_t len) {
    char path[PATH_MAX];
    if (path_of(to, path)) { errno = EINVAL; return -1; }
    return syscall(SYS_sendfile, to, from, at, len);
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t len) { return sendfile(to, from, at, len); }
ssize_t splice(int from, off64_t *from_at, int to, off64_t *to_at, size_t len, unsigned flags) {
    char path[PATH_MAX];
    if (path_of(to, path)) { errno = EINVAL; return -1; }
    return syscall(SYS_splice, from, from_at, to, to_at, len, flags);
}
int fallocate(int fd, int mode, off_t at, off_t len) {
    char path[PATH_MAX];
    if (path_of(fd, path)) { errno = EOPNOTSUPP; return -1; }
    return syscall(SYS_fallocate, fd, mode, at, len);
}
int fallocate64(int fd, int mode, off64_t at, off64_t len) { return fallocate(fd, mode, at, len); }
int posix_fallocate(int fd, off_t at, off_t len) {
    char path[PATH_MAX];
    if (path_of(fd, path)) return EOPNOTSUPP;
    int kept = errno, ended = syscall(SYS_fallocate, fd, 0, at, len) ? errno : 0;
    errno = kept;
    return ended;
}
int posix_fallocate64(int fd, off64_t at, off64_t len) { return posix_fallocate(fd, at, len); }
void *mmap(void *address, size_t len, int protection, int flags, int fd, off_t at) {
    char path[PATH_MAX];
    if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE) && path_of(fd, path))
        unsupported(path, "mmap");
    return (void *)syscall(SYS_mmap, address, len, protection, flags, fd, at);
}
void *mmap64(void *address, size_t len, int protection, int flags, int fd, off64_t at) {
    return mmap(address, len, protection, flags, fd, at);
}

/* Syncs of files and of folders. */

static int synced(int fd, long call, const char *name) {
    static uint64_t syncs;
    char path[PATH_MAX];
    if (!path_of(fd, path)) return syscall(call, fd);
    lock();
    int error = fault(path, name);
    if (error) {
        unlock();
        errno = error;
        return -1;
    }
    uint64_t file = inode_of(fd), id = (uint64_t)getpid() << 32 | ++syncs;
    record(SYNC_BEGINS, file, id, 0, "", "");
    unlock();
    /* Others may write meanwhile. */
    usleep(50 + id * 2654435761u % 400);
    lock();
    record(SYNC_ENDS, file, id, 0, "", "");
    unlock();
    return 0;
}

int fsync(int fd) { return synced(fd, SYS_fsync, "fsync"); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync, "fdatasync"); }
/* It promises nothing about a power cut, so it has no record. */
int sync_file_range(int fd, off64_t at, off64_t len, unsigned flags) {
    return syscall(SYS_sync_file_range, fd, at, len, flags);
}

/* Names. */

int mkdirat(int folder, const char *name, mode_t mode) {
    char path[PATH_MAX];
    if (!path_at(folder, name, path)) return syscall(SYS_mkdirat, folder, name, mode);
    lock();
    int ended = syscall(SYS_mkdirat, folder, name, mode);
    const char *last;
    if (!ended) {
        uint64_t above = parent(path, &last);
        record(MKDIR, above, inode(path), 0, last, "");
    }
    unlock();
    return ended;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    char path[PATH_MAX];
    if (!path_at(to_folder, to, path))
        return syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    lock();
    int ended = syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    const char *last;
    if (!ended) {
        uint64_t above = parent(path, &last);
        record(LINK, above, inode(path), 0, last, "");
    }
    unlock();
    return ended;
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    char old[PATH_MAX], new[PATH_MAX];
    int leaves = path_at(from_folder, from, old), comes = path_at(to_folder, to, new);
    if (!leaves && !comes)
        return syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    if (!leaves || !comes || (flags & RENAME_EXCHANGE)) unsupported(leaves ? old : new, "rename");
    lock();
    int ended = syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    if (!ended && leaves && comes) {
        const char *last, *now;
        uint64_t before = parent(old, &last), after = parent(new, &now);
        record(RENAME, before, after, inode(new), last, now);
    }
    unlock();
    return ended;
}
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return renameat2(from_folder, from, to_folder, to, 0);
}
int rename(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int folder, const char *name, int flags) {
    char path[PATH_MAX];
    if (!path_at(folder, name, path)) return syscall(SYS_unlinkat, folder, name, flags);
    lock();
    int ended = syscall(SYS_unlinkat, folder, name, flags);
    const char *last;
    if (!ended) {
        uint64_t above = parent(path, &last);
        record(UNLINK, above, 0, 0, last, "");
    }
    unlock();
    return ended;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
