//! A disk that fails when it is told to: a shim around libc's syncs, built with `cc`, loaded with
//! `LD_PRELOAD`.

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
        let (source, library) = (folder.join("shim.c"), folder.join("shim.so"));
        std::fs::write(&source, SOURCE).expect("shim.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        let built = cc.output().expect("cc runs");
        assert!(built.status.success(), "cc: {}", String::from_utf8_lossy(&built.stderr));
        Shim { library, flag: folder.join("the-disk-fails") }
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
