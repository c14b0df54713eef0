//! A disk that fails on command, and a wrong clock: shims around functions of libc, built with `cc`
//! and loaded with `LD_PRELOAD`.

use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int fails(void) {
    const char *flag = getenv("SHIM_FLAG");
    return flag && access(flag, F_OK) == 0;
}

#define SHIM(name)                                              \
    int name(int fd) {                                          \
        static int (*real)(int);                                \
        if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, #name); \
        if (fails()) { errno = EIO; return -1; }                \
        return real(fd);                                        \
    }

SHIM(fsync)
SHIM(fdatasync)
"#;

const CLOCK_SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int ended = real(id, at);
    const char *seconds = getenv("SHIM_CLOCK_SECONDS");
    if (ended == 0 && id == CLOCK_REALTIME && seconds) at->tv_sec += atoll(seconds);
    return ended;
}
"#;

/// A shim that moves the clock of a process.
pub(super) struct Clock {
    library: PathBuf,
}

impl Clock {
    pub(super) fn build(folder: &Path) -> Clock {
        Clock { library: built(folder, "clock", CLOCK_SOURCE) }
    }

    /// Sets the clock of `command` ahead by this many seconds.
    pub(super) fn load_into(&self, command: &mut Command, seconds: i64) {
        command.envs(self.environment(seconds));
    }

    /// The variables that set the clock of a process ahead.
    pub(super) fn environment(&self, seconds: i64) -> [(String, String); 2] {
        let library = self.library.to_str().expect("UTF-8").to_owned();
        [("LD_PRELOAD".to_owned(), library), ("SHIM_CLOCK_SECONDS".to_owned(), seconds.to_string())]
    }
}

/// Builds the library of `source`.
pub(super) fn built(folder: &Path, name: &str, source: &str) -> PathBuf {
    let (path, library) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.so")));
    std::fs::write(&path, source).expect("the source of the shim");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&path).arg("-ldl");
    let ended = cc.output().expect("cc runs");
    assert!(ended.status.success(), "cc: {}", String::from_utf8_lossy(&ended.stderr));
    library
}

/// The shim, and the file whose presence makes it fail.
pub(super) struct Shim {
    library: PathBuf,
    flag: PathBuf,
}

impl Shim {
    pub(super) fn can_be_built() -> bool {
        Command::new("cc").arg("--version").output().is_ok_and(|it| it.status.success())
    }

    pub(super) fn build(folder: &Path) -> Shim {
        Shim { library: built(folder, "shim", SOURCE), flag: folder.join("the-disk-fails") }
    }

    pub(super) fn load_into(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("SHIM_FLAG", &self.flag);
    }

    pub(super) fn fail(&self) {
        std::fs::write(&self.flag, "").expect("the flag");
    }

    pub(super) fn heal(&self) {
        std::fs::remove_file(&self.flag).expect("the flag");
    }
}
