//! `deploy/version.rs`, the build script that names the commit: on checkouts and archives of a small workspace.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use testengines::may_run;

use super::super::data::Data;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/version.rs");

/// A workspace whose crate `couponry` uses `hot`, and `testcluster` for its tests.
const WORKSPACE: &str = r#"
set -eu
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
mkdir -p .cargo deploy schema docs/problems
touch .cargo/config.toml Cargo.toml Cargo.lock deploy/version.rs schema/hot.sql docs/problems/HELD.md README.md
echo 'deploy/commit export-subst' >.gitattributes
echo '$Format:%H %ct$' >deploy/commit
for name in couponry hot testcluster kafka; do
    mkdir -p "crates/$name/src"
    touch "crates/$name/src/lib.rs"
    printf '[package]\nname = "%s"\n' "$name" >"crates/$name/Cargo.toml"
done
printf '[dependencies]\nhot.workspace = true\n[dev-dependencies]\ntestcluster.workspace = true\n' \
    >>crates/couponry/Cargo.toml
git init --quiet
git add .
git commit --quiet --message one
"#;

/// Runs `$1` in the workspace as it was committed.
const ROW: &str = r#"
set -eu
git reset --quiet --hard
git clean --quiet -ffdx
eval "$1"
"#;

fn bash(folder: &Path, arguments: &[&str]) {
    let ran = Command::new("bash").arg("-c").args(arguments).current_dir(folder).output();
    let ran = ran.expect("bash");
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// What the script prints for a package of the workspace in `root`.
fn printed(script: &Path, root: &Path, package: &str, told: &str) -> String {
    let mut command = Command::new(script);
    command.env("CARGO_MANIFEST_DIR", root.join("crates").join(package));
    command.env("CARGO_PKG_NAME", package).env("CARGO_PKG_VERSION", "0.1.0");
    let ran = command.env("COUPONRY_COMMIT", told).output().expect("the script");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("text")
}

#[test]
fn the_version_names_the_commit() {
    let data = Data::new();
    let git = Command::new("git").arg("--version").stdout(Stdio::null()).status();
    if !may_run("the commit in --version", "`git`", git.is_ok()) {
        return;
    }
    let script = data.folder().join("version");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "-o"]).arg(&script).arg(SCRIPT);
    assert!(rustc.status().expect("rustc").success(), "{SCRIPT} compiles");
    let root = data.folder().join("workspace");
    fs::create_dir(&root).expect("a folder");
    bash(&root, &[WORKSPACE]);
    let head = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(&root).output();
    let head = String::from_utf8(head.expect("git").stdout).expect("a commit");
    let (clean, dirty) =
        (format!("0.1.0 ({})", &head[..12]), format!("0.1.0 ({}-dirty)", &head[..12]));
    let (clean, dirty) = (clean.as_str(), dirty.as_str());
    let archived = "mkdir inside && git archive HEAD | tar -x -C inside";
    let rows = [
        ("as committed", "", ".", "couponry", "", clean),
        ("a source", "echo >>crates/couponry/src/lib.rs", ".", "couponry", "", dirty),
        ("a source of a library", "echo >>crates/hot/src/lib.rs", ".", "couponry", "", dirty),
        ("a new source", "touch crates/hot/src/new.rs", ".", "couponry", "", dirty),
        ("a page of the binary", "echo >>docs/problems/HELD.md", ".", "couponry", "", dirty),
        ("another page", "echo >>README.md", ".", "couponry", "", clean),
        ("for tests", "echo >>crates/testcluster/src/lib.rs", ".", "couponry", "", clean),
        ("of another binary", "echo >>crates/hot/src/lib.rs", ".", "kafka", "", clean),
        ("told", "", ".", "couponry", "0123456789abcdef", "0.1.0 (0123456789ab)"),
        ("an archive below a checkout", archived, "inside", "couponry", "", clean),
        (
            "sources of neither",
            "mkdir inside; cp -r crates deploy inside",
            "inside",
            "kafka",
            "",
            "0.1.0",
        ),
    ];
    for (name, change, below, package, told, want) in rows {
        bash(&root, &[ROW, "row", change]);
        let printed = printed(&script, &root.join(below), package, told);
        let version =
            printed.lines().find_map(|it| it.strip_prefix("cargo:rustc-env=COUPONRY_VERSION="));
        assert_eq!(version, Some(want), "{name}");
    }
    let rows = [
        ("a commit", "", ".git/logs/HEAD", true),
        ("a commit without a log", "rm -r .git/logs", ".git/refs/heads", true),
        ("another branch", "", ".git/HEAD", true),
        ("a library", "", "crates/hot/src", true),
        ("another binary", "", "crates/kafka/src", false),
    ];
    for (name, change, path, want) in rows {
        bash(&root, &[ROW, "row", change]);
        let printed = printed(&script, &root, "couponry", "");
        let watched = printed.lines().filter_map(|it| it.strip_prefix("cargo:rerun-if-changed="));
        let watched: Vec<&Path> = watched.map(Path::new).collect();
        assert_eq!(watched.iter().any(|it| it.ends_with(path)), want, "{name}: {watched:?}");
        // Cargo runs the script in each build if one of them is not there.
        assert!(watched.iter().all(|it| it.exists()), "{name}: {watched:?}");
    }
}
