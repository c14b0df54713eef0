//! `deploy/release`: it makes the same bytes again. Its wheel redeems a coupon in an environment that has nothing else.
//! Every link of the pages in its Debian package leads to a file there. The package is installed, used, upgraded and
//! purged on a copy of this machine's file system.

mod version;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testengines::{Engine, may_run};

use super::data::{COUPONRY, Data, Ran};
use super::docs::anchors;
use super::downloads::python_with;
use super::engine::{free_port, root};

const SUITE: &str = "packages of a release";

const RELEASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/release");

/// What is done with the packages `$1` and `$2`, as root on a copy of this machine's files.
const LIFE: &str = include_str!("package/life.sh");

/// What is done with the wheel.
const WHEEL: &str = include_str!("package/wheel.sh");

/// pipx, uv, wheel and auditwheel.
const RUNNERS: &str = include_str!("package/requirements.txt");

/// Where the pages are in the package.
const PAGES: &str = "usr/share/doc/couponry";

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

fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).expect("its files").map(|it| it.expect("it").file_name());
    let mut names: Vec<String> = files.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The file of a release whose name ends like this.
fn one_that_ends(folder: &Path, end: &str) -> PathBuf {
    let names = names(folder);
    folder.join(names.iter().find(|name| name.ends_with(end)).expect(end))
}

/// From the wheel to a redeemed coupon with pip, and to the version with pipx and uvx.
fn the_wheel_works(data: &Data, release: &Path) {
    let wheel = one_that_ends(release, ".whl");
    let runners = python_with("wheel", RUNNERS);
    let runners = runners.unwrap_or_else(|why| Engine::PACKAGE.is_missing(SUITE, &why));
    let folder = data.folder().join("nothing");
    fs::create_dir(&folder).expect("a folder");
    let mut command = Command::new("bash");
    command.args(["-c", WHEEL, "wheel.sh"]).arg(&wheel).arg(free_port().to_string());
    command.arg(runners.parent().expect("a folder of programs"));
    command.current_dir(&folder).env_clear().env("HOME", &folder).env("PATH", "/usr/bin:/bin");
    let ran = data.run_command(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    eprint!("{}", ran.stderr);
    let version = data.run(&["--version"]).stdout;
    assert_eq!(ran.stdout, version.repeat(3), "from pip, pipx and uvx");
}

/// The pages in a folder, without the folder's path.
fn pages(folder: &Path, below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder.join(below)).expect("a folder").flatten() {
        let path = below.join(entry.file_name());
        if folder.join(&path).is_dir() {
            pages(folder, &path, found);
        } else if path.extension().is_some_and(|it| it == "md") {
            found.push(path);
        }
    }
}

/// Why a link of a page does not lead to a file, or to a heading.
fn wrong(folder: &Path, page: &Path, text: &str, link: &str) -> Option<&'static str> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = folder.join(page).with_file_name(file);
    let text = match file {
        "" => text.to_owned(),
        _ if !target.exists() || link.starts_with('/') => return Some("there is no such file"),
        _ if anchor.is_empty() => return None,
        _ => fs::read_to_string(&target).expect("a page"),
    };
    let is_there = anchor.is_empty() || anchors(&text).any(|it| it == anchor);
    (!is_there).then_some("there is no such heading")
}

/// Every link of the installed pages, and every file of `deploy` that they name.
fn the_pages_lead_to_files(data: &Data, release: &Path) {
    let installed = data.folder().join("installed");
    let mut extract = Command::new("dpkg-deb");
    extract.arg("--extract").arg(one_that_ends(release, ".deb")).arg(&installed);
    assert_eq!(data.run_command(extract).code, Some(0));
    let folder = installed.join(PAGES);
    let mut found = Vec::new();
    pages(&folder, Path::new(""), &mut found);
    let (mut links, mut wrong_links) = (0, Vec::new());
    for page in &found {
        let text = fs::read_to_string(folder.join(page)).expect("a page");
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split(')').next().unwrap_or_default();
            if !link.contains("://") {
                links += 1;
                let why = wrong(&folder, page, &text, link);
                wrong_links.extend(why.map(|why| format!("{}: {link}: {why}", page.display())));
            }
        }
        for (at, _) in text.match_indices("deploy/") {
            let of_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            let name = text[at..].split(|c: char| !of_path(c)).next().unwrap_or_default();
            let name = name.trim_end_matches(['.', '/']);
            // Only a checkout makes releases and has the tests.
            let for_checkouts = ["deploy/release", "deploy/commit", "deploy/scylla-check"];
            let is_for_checkouts = for_checkouts.contains(&name);
            if !is_for_checkouts && !folder.join(name).exists() {
                wrong_links.push(format!("{}: {name} is not there", page.display()));
            }
        }
    }
    assert!(wrong_links.is_empty(), "{wrong_links:#?}");
    assert!(found.len() > 60 && links > 300, "{} pages with {links} links", found.len());
    let readme = |folder: &Path| fs::read_to_string(folder.join("README.md")).expect("it");
    assert_eq!(readme(&folder), readme(&root()), "all that it links to is installed");
}

/// No field of what a release says about itself is made up.
fn nothing_is_invented(release: &Path) {
    let about =
        Command::new("dpkg-deb").arg("--field").arg(one_that_ends(release, ".deb")).output();
    let about = String::from_utf8(about.expect("dpkg-deb").stdout).expect("text");
    assert!(about.contains("Maintainer: The founders of couponry\n"), "{about}");
    for word in ["invalid", "example", "Homepage"] {
        assert!(!about.contains(word), "{word}: {about}");
    }
}

#[test]
fn what_a_release_is_made_of() {
    let data = Data::new();
    if !Engine::PACKAGE.is_asked_for(SUITE) || !binaries_are_built(SUITE) {
        return;
    }
    let there = on_a_copy(&data, &["dpkg", "--version"]);
    if there.code != Some(0) {
        Engine::PACKAGE.is_missing(SUITE, &there.stderr);
    }
    let (one, again) = (released(&data, "one", "0.8.0"), released(&data, "again", "0.8.0"));
    assert_eq!(names(&one).len(), 4, "{:?}", names(&one));
    for name in names(&one) {
        let same =
            fs::read(one.join(&name)).expect("it") == fs::read(again.join(&name)).expect("it");
        assert!(same, "{name} is not the same again");
    }
    nothing_is_invented(&one);
    the_pages_lead_to_files(&data, &one);
    the_wheel_works(&data, &one);
    released(&data, "next", "0.9.0");
    fs::write(data.folder().join("life.sh"), LIFE).expect("the script");
    let ran = on_a_copy(&data, &["bash", "/packages/life.sh"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.ends_with("the package is gone, and the coupons are there\n"), "{ran:?}");
}
