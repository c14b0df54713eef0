//! `deploy/release`: it makes the same bytes again, and its Debian package is installed, used, upgraded and purged on a
//! copy of this machine's file system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::data::{COUPONRY, Data, Ran, may_run};
use super::downloads::or_not_run;

const SUITE: &str = "package for Debian";

const RELEASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/release");

/// What is done with the packages `$1` and `$2`, as root on a copy of this machine's files.
const LIFE: &str = include_str!("package/life.sh");

/// A machine on which nothing that happens stays: the files of this one below a layer of their own.
const COPY: &str = r#"
set -eu
mkdir -p layers/above layers/work root
mount -t tmpfs tmpfs layers
mkdir layers/above layers/work
mount -t overlay overlay -o lowerdir=/,upperdir=layers/above,workdir=layers/work root
mkdir -p root/packages
mount --bind . root/packages
mount --rbind /dev root/dev
mount -t proc proc root/proc
exec chroot root "$@"
"#;

/// Whether the other binaries are beside `couponry`.
pub(super) fn binaries_are_built(suite: &str) -> bool {
    let beside = |name: &str| Path::new(COUPONRY).with_file_name(name).is_file();
    let are_built = beside("couponry-history") && beside("couponry-kafka");
    may_run(
        suite,
        "the binaries of all packages, as `cargo test --workspace` builds them",
        are_built,
    )
}

fn released(data: &Data, out: &str, version: &str) -> PathBuf {
    let binaries = Path::new(COUPONRY).parent().expect("a folder");
    let mut command = Command::new(RELEASE);
    command.args(["--fast", "--no-sbom", "--version", version, "--binaries"]).arg(binaries);
    command.arg(data.folder().join(out));
    let ran = data.run_command(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    data.folder().join(out)
}

/// Runs a command on the copy of this machine.
fn on_a_copy(data: &Data, command: &[&str]) -> Ran {
    let mut copy = Command::new("unshare");
    copy.args(["--mount", "--pid", "--fork", "bash", "-c", COPY, "copy"]).args(command);
    copy.current_dir(data.folder());
    data.run_command(copy)
}

#[test]
fn the_life_of_a_package() {
    let data = Data::new();
    if !binaries_are_built(SUITE) {
        return;
    }
    let there = on_a_copy(&data, &["dpkg", "--version"]);
    let there = if there.code == Some(0) { Ok(()) } else { Err(there.stderr) };
    let what = "root, `unshare` with overlays, and `dpkg`";
    if or_not_run(SUITE, what, there).is_none() {
        return;
    }
    let (one, again) = (released(&data, "one", "0.8.0"), released(&data, "again", "0.8.0"));
    let names = |folder: &Path| {
        let files = fs::read_dir(folder).expect("its files").map(|it| it.expect("it").file_name());
        let mut names: Vec<String> =
            files.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&one).len(), 3, "{:?}", names(&one));
    for name in names(&one) {
        let same =
            fs::read(one.join(&name)).expect("it") == fs::read(again.join(&name)).expect("it");
        assert!(same, "{name} is not the same again");
    }
    released(&data, "next", "0.9.0");
    fs::write(data.folder().join("life.sh"), LIFE).expect("the script");
    let ran = on_a_copy(&data, &["bash", "/packages/life.sh"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.ends_with("the package is gone, and the coupons are there\n"), "{ran:?}");
}
