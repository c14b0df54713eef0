/* The VFS "couponry-wal": the default one of SQLite, which writes the log (-wal) of a database with one call for many
 * frames.
 *
 * SQLite writes each frame with two calls, 24 bytes and a page. Here writes to the log that follow each other are held
 * back, at most HELD_MAX bytes, until anything but such a write is asked of the log or of its database's shared
 * memory. The file is the same in the end, and other processes may use the default VFS beside this one.
 *
 * Why nobody reads what is still held back: with synchronous=FULL a commit syncs its frames before it publishes them in
 * the index of the log (walFrames of sqlite3.c), and a sync writes them first. Only the connection itself looks for
 * its frames before that, and its reads, too, write them first.
 *
 * A write that fails late fails the transaction: until the lock of writers is given up, further writes and syncs of the
 * log fail likewise, so that no commit can be published that has a hole. */
#include <string.h>

#include "sqlite3.h"

/* Some 30 pages. The default VFS of Unix can write less than 128 KiB at a time: see seekAndWriteFd of sqlite3.c. */
#define HELD_MAX (128 * 1024 - 1)

/* The slot of the lock of writers, by the description of the index of the log (fileformat2.html, 2.3.2: WAL_WRITE_LOCK). */
#define WRITE_LOCK 0

struct held_file {
    sqlite3_file base;
    sqlite3_file *real;
    /* Of a database: its log, while that is open. */
    struct held_file *log;
    /* Of a log: its database. */
    struct held_file *database;
    /* Of a log: what is held back, and where it belongs. */
    unsigned char *held;
    int size;
    sqlite3_int64 at;
    /* Why what was held back could not be written; from `at` on the log is not what SQLite believes. */
    int failed;
};

static sqlite3_vfs vfs, *real_vfs;

static struct held_file *of(sqlite3_file *file) { return (struct held_file *)file; }

static sqlite3_file *real_of(sqlite3_file *file) { return of(file)->real; }

static int flush(struct held_file *log) {
    if (log->size && !log->failed) {
        log->failed = log->real->pMethods->xWrite(log->real, log->held, log->size, log->at);
        log->size = 0;
    }
    return log->failed;
}

static int write_held(sqlite3_file *file, const void *data, int size, sqlite3_int64 at) {
    struct held_file *f = of(file);
    int rc = SQLITE_OK;
    if (!f->held) return f->real->pMethods->xWrite(f->real, data, size, at);
    if (f->failed || (f->size && (at != f->at + f->size || f->size + size > HELD_MAX))) rc = flush(f);
    if (rc) return rc;
    if (size > HELD_MAX) return f->real->pMethods->xWrite(f->real, data, size, at);
    if (!f->size) f->at = at;
    memcpy(f->held + f->size, data, size);
    f->size += size;
    return SQLITE_OK;
}

static int read_flushed(sqlite3_file *file, void *data, int size, sqlite3_int64 at) {
    struct held_file *f = of(file);
    int rc = flush(f);
    /* What lies before it is as it was. */
    if (rc && at + size > f->at) return rc;
    return f->real->pMethods->xRead(f->real, data, size, at);
}

static int close_flushed(sqlite3_file *file) {
    struct held_file *f = of(file);
    /* Not of a commit: a commit has synced. */
    flush(f);
    if (f->database) f->database->log = 0;
    sqlite3_free(f->held);
    return f->real->pMethods->xClose(f->real);
}

static int truncate_flushed(sqlite3_file *file, sqlite3_int64 size) {
    int rc = flush(of(file));
    return rc ? rc : real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int sync_flushed(sqlite3_file *file, int flags) {
    int rc = flush(of(file));
    return rc ? rc : real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int size_flushed(sqlite3_file *file, sqlite3_int64 *size) {
    int rc = flush(of(file));
    return rc ? rc : real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int control_flushed(sqlite3_file *file, int what, void *argument) {
    int rc = flush(of(file));
    return rc ? rc : real_of(file)->pMethods->xFileControl(real_of(file), what, argument);
}

static void barrier_flushed(sqlite3_file *file) {
    if (of(file)->log) flush(of(file)->log);
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shm_lock_flushed(sqlite3_file *file, int first, int count, int flags) {
    struct held_file *log = of(file)->log;
    if (log && first == WRITE_LOCK && (flags & SQLITE_SHM_UNLOCK)) {
        /* What could not be written is of no commit, and the next writer overwrites it. */
        flush(log);
        log->failed = SQLITE_OK;
    }
    return real_of(file)->pMethods->xShmLock(real_of(file), first, count, flags);
}

static int lock(sqlite3_file *file, int level) {
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int unlock(sqlite3_file *file, int level) {
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int is_reserved(sqlite3_file *file, int *found) {
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), found);
}

static int sector_size(sqlite3_file *file) {
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int characteristics(sqlite3_file *file) {
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **mapped) {
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, mapped);
}

static int shm_unmap(sqlite3_file *file, int also_delete) {
    return real_of(file)->pMethods->xShmUnmap(real_of(file), also_delete);
}

static int fetch(sqlite3_file *file, sqlite3_int64 at, int size, void **mapped) {
    return real_of(file)->pMethods->xFetch(real_of(file), at, size, mapped);
}

static int unfetch(sqlite3_file *file, sqlite3_int64 at, void *mapped) {
    return real_of(file)->pMethods->xUnfetch(real_of(file), at, mapped);
}

static const sqlite3_io_methods methods = {
    3,           close_flushed,   read_flushed,    write_held,      truncate_flushed, sync_flushed, size_flushed,
    lock,        unlock,          is_reserved,     control_flushed, sector_size,      characteristics,
    shm_map,     shm_lock_flushed, barrier_flushed, shm_unmap,      fetch,            unfetch,
};

static int open_held(sqlite3_vfs *ours, const char *name, sqlite3_file *file, int flags, int *out_flags) {
    struct held_file *f = of(file);
    int rc;
    (void)ours;
    /* Not held back: as the default VFS opens it. */
    if (!name || !(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
        return real_vfs->xOpen(real_vfs, name, file, flags, out_flags);
    memset(f, 0, sizeof *f);
    f->real = (sqlite3_file *)(f + 1);
    rc = real_vfs->xOpen(real_vfs, name, f->real, flags, out_flags);
    if (!f->real->pMethods) return rc;
    /* SQLite closes it, also if it could not be opened. */
    f->base.pMethods = &methods;
    if (rc || !(flags & SQLITE_OPEN_WAL)) return rc;
    f->database = of(sqlite3_database_file_object(name));
    /* Without memory every write is passed on. */
    f->held = sqlite3_malloc(HELD_MAX);
    f->database->log = f;
    return SQLITE_OK;
}

/* Before `main`, so that it is there for the first connection. A file system whose files have no shared memory has no
 * log either, and none of these files would be opened with this VFS. */
__attribute__((constructor)) static void couponry_wal_vfs(void) {
    real_vfs = sqlite3_vfs_find(0);
    if (!real_vfs) return;
    /* Its other methods as they are: they use nothing of the structure but what is copied. */
    vfs = *real_vfs;
    vfs.zName = "couponry-wal";
    vfs.szOsFile += sizeof(struct held_file);
    vfs.xOpen = open_held;
    sqlite3_vfs_register(&vfs, 0);
}
