//! A module of this crate names only modules of lower levels, so that no two depend on each other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of `src` without `.rs`, lowest level first. `lib` has the items of `lib.rs` itself.
const LEVELS: [&[&str]; 26] = [
    &["cold", "failure", "private_files", "sorted_rows", "txn/counts"],
    &["backup/folder", "backup/shared", "bytes", "columns"],
    &["backup/tables", "redeemed"],
    &["last_line", "txn/told"],
    &["record"],
    &["rows"],
    &["txn/seen"],
    // A transaction names no feature of the store.
    &["txn"],
    &["fair_file_lock", "schema", "txn/audit", "txn/dictionary", "txn/events", "txn/lookups"],
    &["checkpointer", "closed_index", "day_order", "prefetch", "readers", "record_file"],
    &["writer/free_space", "writer/health"],
    &["writer/queue"],
    &["writer/group"],
    &["writer"],
    // What runs transactions. A feature of the store implements its traits with them.
    &["lib"],
    &["jobs", "room"],
    &["cancelled", "orders", "settings"],
    &["accounts", "activity", "audit", "directory", "events", "partitions"],
    &["batches", "coupons"],
    &["campaigns", "claims", "coupons/writing"],
    &["changes", "stock"],
    &["import", "issuing/handing_out", "list/source"],
    &["archiving/closed", "archiving/removal", "issuing", "list", "reconcile", "redemptions"],
    &[
        "archiving",
        "backup/restore",
        "inventory/campaigns",
        "inventory/coupons",
        "inventory/vanished",
    ],
    &["backup", "inventory/tables"],
    &["inventory", "store", "store/coupons"],
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The text of each file up to its tests, without comments.
fn files() -> BTreeMap<String, String> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![source()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != "tests.rs") {
                let name = path.strip_prefix(source()).expect("below it").with_extension("");
                let text = fs::read_to_string(&path).expect("a file");
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                let code = lines.collect::<Vec<_>>().join("\n");
                files.insert(name.to_str().expect("a name").replace('\\', "/"), code);
            }
        }
    }
    files
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `text` ends where a path may begin.
fn may_begin(text: &str) -> bool {
    !text.ends_with(|c: char| is_of_name(c) || c == ':')
}

/// Every path that begins at `text`, the trees of a `use` spread out. Returns the text after them.
fn spread<'a>(text: &'a str, path: &[&'a str], found: &mut Vec<Vec<&'a str>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = spread(rest, path, found).trim_start();
            match rest.strip_prefix(',').map(str::trim_start) {
                Some(after) if !after.starts_with('}') => rest = after,
                Some(after) => return &after[1..],
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = text.find(|c: char| !is_of_name(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let mut path = path.to_vec();
    path.push(name);
    match rest.strip_prefix("::") {
        Some(rest) => spread(rest, &path, found),
        None => {
            found.push(path);
            rest
        }
    }
}

/// Every path of `code` that begins with `root::`, without it.
fn paths<'a>(code: &'a str, root: &str) -> Vec<Vec<&'a str>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(&format!("{root}::")) {
        if may_begin(&code[..at]) {
            spread(&code[at + root.len() + 2..], &[], &mut found);
        }
    }
    found
}

/// The file that a path from the root of the crate names.
fn file_of(files: &BTreeMap<String, String>, path: &[&str]) -> String {
    let two = path.iter().take(2).copied().collect::<Vec<_>>().join("/");
    let one = path.first().copied().unwrap_or_default();
    [two.as_str(), one].into_iter().find(|name| files.contains_key(*name)).unwrap_or("lib").into()
}

/// The files that the file `name` names.
fn named(files: &BTreeMap<String, String>, name: &str, code: &str) -> Vec<String> {
    let mut named: Vec<String> =
        paths(code, "crate").iter().map(|path| file_of(files, path)).collect();
    let parent = name.split_once('/').map(|(parent, _)| parent);
    for path in paths(code, "super") {
        assert!(!path.contains(&"super"), "{name}: write crate:: for super::super::");
        let path: Vec<&str> = parent.into_iter().chain(path).collect();
        named.push(file_of(files, &path));
    }
    if name == "lib" {
        // It names its modules without `crate::`, too.
        let modules = files.keys().filter(|module| !paths(code, module).is_empty());
        named.extend(modules.cloned());
    }
    named
}

fn level(name: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&name))
}

#[test]
fn a_module_names_only_lower_levels() {
    let files = files();
    let mut wrong = Vec::new();
    for (name, code) in &files {
        let Some(own) = level(name) else {
            wrong.push(format!("{name} has no level"));
            continue;
        };
        for other in named(&files, name, code) {
            if other != *name && level(&other).is_none_or(|level| level >= own) {
                wrong.push(format!("{name} names {other}, which is not of a lower level"));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_level_has_files() {
    let files = files();
    for name in LEVELS.into_iter().flatten() {
        assert!(files.contains_key(*name), "there is no src/{name}.rs");
    }
}

#[test]
fn trees_are_spread_out() {
    let cases = [
        ("one name", "use crate::rows;", vec![vec!["rows"]]),
        ("one item", "crate::rows::batch(row)", vec![vec!["rows", "batch"]]),
        ("two", "use crate::{a, b};", vec![vec!["a"], vec!["b"]]),
        (
            "nested",
            "use crate::{a::{self, B}, c::D,\n};",
            vec![vec!["a", "self"], vec!["a", "B"], vec!["c", "D"]],
        ),
        ("a longer name", "my_crate::a", vec![]),
    ];
    for (name, code, want) in cases {
        assert_eq!(paths(code, "crate"), want, "{name}");
    }
}
