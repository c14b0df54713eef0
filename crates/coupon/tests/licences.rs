//! Every library that couponry is built from has a licence under which a company may ship it.

#[path = "names/cargo.rs"]
mod cargo;

use std::collections::BTreeSet;

use cargo::cargo;

/// The list of `cargo deny`, with the words of each expression apart.
fn accepted() -> BTreeSet<String> {
    let list = include_str!("../../../deny.toml").split_once("\nallow = [").expect("a list").1;
    let list = list.split_once(']').expect("its end").0;
    let names = list.split('"').skip(1).step_by(2).flat_map(str::split_whitespace);
    names.filter(|name| !OPERATORS.contains(name)).map(str::to_owned).collect()
}

/// The words of an SPDX expression that are no licence, and the slash that old manifests have for OR.
const OPERATORS: [&str; 4] = ["AND", "OR", "WITH", "/"];

/// The licences that an expression names and that are not accepted.
fn others(expression: &str) -> Vec<String> {
    let spaced = expression.replace('/', " / ").replace(['(', ')'], " ");
    let names = spaced.split_whitespace().filter(|word| !OPERATORS.contains(word));
    let accepted = accepted();
    names.filter(|name| !accepted.contains(*name)).map(str::to_owned).collect()
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
    let tree = ["tree", "--workspace", "-e", "normal,build", "--prefix", "none"];
    let lines = cargo(&[&tree[..], &["--format", "{p} = {l}"]].concat());
    // The star marks a library that was listed before.
    let lines: BTreeSet<&str> = lines.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    assert!(lines.len() > 100, "only {} libraries", lines.len());
    for (library, licence) in lines.iter().filter_map(|line| line.split_once(" = ")) {
        assert!(!licence.is_empty(), "{library} names no licence");
        let others = others(licence);
        assert!(others.is_empty(), "{library}: {others:?} is not accepted in deny.toml");
    }
}
