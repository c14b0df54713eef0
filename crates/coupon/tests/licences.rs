//! Every library that couponry is built from has a licence under which a company may ship it.

use std::collections::BTreeSet;
use std::process::Command;

/// All of them allow to use, change and sell, and ask at most to keep a notice.
const ACCEPTED: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "LLVM-exception",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// The words of an SPDX expression that are no licence, and the slash that old manifests have for OR.
const OPERATORS: [&str; 4] = ["AND", "OR", "WITH", "/"];

/// The licences that an expression names and that are not accepted.
fn others(expression: &str) -> Vec<String> {
    let spaced = expression.replace('/', " / ").replace(['(', ')'], " ");
    let names = spaced.split_whitespace().filter(|word| !OPERATORS.contains(word));
    names.filter(|name| !ACCEPTED.contains(name)).map(str::to_owned).collect()
}

#[test]
fn expressions() {
    let cases: [(&str, &str, &[&str]); 4] = [
        ("one", "MIT", &[]),
        ("several", "(MIT OR Apache-2.0) AND Unicode-3.0", &[]),
        ("an old one", "MIT/Apache-2.0", &[]),
        ("a choice that is not accepted", "MIT OR GPL-3.0", &["GPL-3.0"]),
    ];
    for (name, expression, want) in cases {
        assert_eq!(others(expression), want, "{name}");
    }
}

#[test]
fn every_library_may_be_shipped() {
    let mut cargo = Command::new(env!("CARGO"));
    let format = ["--prefix", "none", "--format", "{p} = {l}"];
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["tree", "--workspace", "-e", "normal,build"]).args(format);
    let output = cargo.args(["--locked", "--offline"]).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    // The star marks a library that was listed before.
    let lines: BTreeSet<&str> = lines.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    assert!(lines.len() > 100, "only {} libraries", lines.len());
    for (library, licence) in lines.iter().filter_map(|line| line.split_once(" = ")) {
        assert!(!licence.is_empty(), "{library} names no licence");
        let others = others(licence);
        assert!(others.is_empty(), "{library}: {others:?} is not accepted in {}", file!());
    }
}
