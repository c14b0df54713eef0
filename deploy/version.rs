//! Build script of `couponry` and `kafka`: what `--version` says, as `COUPONRY_VERSION`. It names the commit of the
//! sources, and says `-dirty` if one of them differs from that commit.
//!
//! A commit makes Cargo build these packages again, and `history`, but none below them. So no other crate knows it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Digits of the commit. Git's own short form grows with the repository, so two clones would make two binaries.
const COMMIT_LEN: usize = 12;

/// Sources beside the crates.
const SHARED: [&str; 6] = [
    ".cargo/config.toml",
    "Cargo.toml",
    "Cargo.lock",
    "deploy/version.rs",
    "docs/problems",
    "schema",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = fs::canonicalize(Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../.."))?;
    println!("cargo:rerun-if-env-changed=COUPONRY_COMMIT");
    let told = env::var("COUPONRY_COMMIT").ok().filter(|it| !it.is_empty());
    let commit = match told {
        Some(commit) => Some(short(&commit)),
        // A folder above may be a checkout of something else.
        None if root.join(".git").exists() => of_checkout(&root)?,
        None => of_archive(&root)?,
    };
    let version = env::var("CARGO_PKG_VERSION")?;
    let version = commit.map_or(version.clone(), |commit| format!("{version} ({commit})"));
    println!("cargo:rustc-env=COUPONRY_VERSION={version}");
    Ok(())
}

fn short(commit: &str) -> String {
    commit.chars().take(COMMIT_LEN).collect()
}

/// `git archive` writes the commit into this file.
fn of_archive(root: &Path) -> Result<Option<String>, Box<dyn Error>> {
    let file = root.join("deploy/commit");
    watch(&file);
    let text = fs::read_to_string(file)?;
    let commit = text.split_whitespace().next().filter(|it| !it.starts_with('$'));
    Ok(commit.map(short))
}

/// None without a `git` that may read the checkout.
fn of_checkout(root: &Path) -> Result<Option<String>, Box<dyn Error>> {
    let sources = sources(root)?;
    sources.iter().for_each(|path| watch(&root.join(path)));
    // HEAD only names the branch. Its log has a line for each commit; a checkout without logs has the branches.
    let path = |name| git(root, &["rev-parse", "--git-path", name]).map(|path| root.join(path));
    let log = path("logs/HEAD").filter(|log| log.exists());
    path("HEAD").iter().chain(&log.or_else(|| path("refs/heads"))).for_each(|path| watch(path));
    let Some(commit) = git(root, &["rev-parse", "HEAD"]) else { return Ok(None) };
    let mut status = vec!["--no-optional-locks", "status", "--porcelain", "--"];
    status.extend(sources.iter().map(String::as_str));
    let is_clean = git(root, &status).is_some_and(|it| it.is_empty());
    Ok(Some(short(&commit) + if is_clean { "" } else { "-dirty" }))
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Runs this script again if it changes. Cargo looks at all files of a folder.
fn watch(path: &Path) {
    // Cargo would run the script each time for a file that is not there.
    if path.exists() {
        println!("cargo:rerun-if-changed={}", path.display());
    }
}

/// The paths of everything that the binaries of this package are made of, without tests.
fn sources(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut sources: Vec<String> = SHARED.iter().map(|it| (*it).to_owned()).collect();
    let mut crates = vec![env::var("CARGO_PKG_NAME")?];
    let mut at = 0;
    while let Some(name) = crates.get(at).cloned() {
        let folder = PathBuf::from("crates").join(name);
        let of_crate = ["Cargo.toml", "src", "assets", "templates"].map(|it| folder.join(it));
        let there = of_crate.iter().filter(|path| root.join(path).exists());
        sources.extend(there.map(|path| path.display().to_string()));
        let mut is_for_tests = false;
        for line in fs::read_to_string(root.join(folder).join("Cargo.toml"))?.lines() {
            if line.starts_with('[') {
                is_for_tests = line == "[dev-dependencies]";
            }
            let used = line.split([' ', '.']).next().unwrap_or_default();
            let is_crate = !used.is_empty() && root.join("crates").join(used).is_dir();
            if is_crate && !is_for_tests && !crates.iter().any(|it| it == used) {
                crates.push(used.to_owned());
            }
        }
        at += 1;
    }
    Ok(sources)
}
