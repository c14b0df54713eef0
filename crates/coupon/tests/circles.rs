//! Modules of a crate use each other in one direction: who changes one need not understand all.
//!
//! Of the modules in one folder, one that uses another one, which in some steps uses the first, is in a circle; what is
//! below a module is a part of it. A parent and its children may use each other.

#[path = "names/sources.rs"]
#[expect(dead_code, reason = "it serves other tests, too")]
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use sources::{Source, sources};

/// Modules of a crate by their names, and those that each uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// The name of a file's module: its path in the crate without the ending.
fn module_of(source: &Source) -> (String, String) {
    let path = source.path.with_extension("").display().to_string();
    let path = path.strip_prefix("crates/").unwrap_or(&path);
    let (name, module) = path.split_once("/src/").unwrap_or((path, "lib"));
    (name.to_owned(), module.to_owned())
}

fn code_of(source: &Source) -> String {
    let lines = source.lines.iter().map(|line| line.text.as_str());
    lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
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

/// Every path of `code` that begins with `root::`, below `base`.
fn paths<'a>(code: &'a str, root: &str, base: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(&format!("{root}::")) {
        // Elsewhere it is the end of a longer name, or in the middle of a path.
        if !code[..at].ends_with(|c: char| is_of_name(c) || c == ':') {
            spread(&code[at + root.len() + 2..], base, &mut found);
        }
    }
    found
}

/// The file that has what a path from the root of the crate names.
fn file_of(files: &BTreeMap<String, String>, root: &str, path: &[&str]) -> String {
    let named = (1..=path.len()).rev().map(|length| path[..length].join("/"));
    named.into_iter().find(|name| files.contains_key(name)).unwrap_or_else(|| root.to_owned())
}

/// The files that a file uses.
fn used(files: &BTreeMap<String, String>, root: &str, name: &str, code: &str) -> BTreeSet<String> {
    let own: Vec<&str> = if name == root { Vec::new() } else { name.split('/').collect() };
    let mut found = paths(code, "crate", &[]);
    for (at, _) in own.iter().enumerate() {
        found.extend(paths(code, &vec!["super"; at + 1].join("::"), &own[..own.len() - at - 1]));
    }
    let children = files.keys().filter_map(|file| {
        let path: Vec<&str> = file.split('/').collect();
        let (last, above) = path.split_last()?;
        (above == own && !paths(code, last, &[]).is_empty()).then(|| file.clone())
    });
    let children: BTreeSet<String> = children.collect();
    let found = found.iter().filter(|path| path.first() != Some(&"super"));
    found.map(|path| file_of(files, root, path)).chain(children).filter(|it| it != name).collect()
}

/// Of two files, the modules of one folder that they are, or are a part of; `None` if one is above the other.
fn siblings(one: &str, other: &str) -> Option<(String, String)> {
    let [one, other]: [Vec<&str>; 2] = [one, other].map(|name| name.split('/').collect());
    let common = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    let up_to = |path: &[&str]| Some(path.get(..=common)?.join("/"));
    Some((up_to(&one)?, up_to(&other)?))
}

fn uses(files: &BTreeMap<String, String>) -> Uses {
    let root = if files.contains_key("lib") { "lib" } else { "main" };
    let mut uses = Uses::new();
    for (name, code) in files.iter().filter(|(name, _)| *name != root) {
        for other in used(files, root, name, code).iter().filter(|other| *other != root) {
            if let Some((own, other)) = siblings(name, other) {
                uses.entry(own).or_default().insert(other);
            }
        }
    }
    uses
}

/// The modules that use themselves over others.
fn in_circles(uses: &Uses) -> Vec<&str> {
    let leads_back = |name: &String| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![name]);
        while let Some(at) = next.pop() {
            for used in uses.get(at).into_iter().flatten() {
                if reached.insert(used) {
                    next.push(used);
                }
            }
        }
        reached.contains(name)
    };
    uses.keys().filter(|name| leads_back(name)).map(String::as_str).collect()
}

#[test]
fn modules_use_each_other_in_one_direction() {
    let mut crates = BTreeMap::<String, BTreeMap<String, String>>::new();
    for source in sources(&[]) {
        let (name, module) = module_of(&source);
        crates.entry(name).or_default().insert(module, code_of(&source));
    }
    let mut wrong = Vec::new();
    for (name, files) in &crates {
        let uses = uses(files);
        let found = in_circles(&uses);
        if !found.is_empty() {
            wrong.push(format!("{name}: {} use each other in circles", found.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn circles_are_found() {
    let files = |all: &[(&str, &str)]| {
        all.iter().map(|(name, code)| ((*name).to_owned(), (*code).to_owned())).collect()
    };
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let rows: [Row<'_>; 6] = [
        ("none", &[("lib", "mod a;"), ("a", "use std::fmt;")], &[]),
        ("one direction", &[("lib", ""), ("a", "use crate::b::B;"), ("b", "")], &[]),
        ("two", &[("a", "use crate::b::B;"), ("b", "use crate::{a::A, c};")], &["a", "b"]),
        ("the root", &[("lib", "use a::A;"), ("a", "use crate::Result;")], &[]),
        ("a parent", &[("lib", ""), ("a", "b::f()"), ("a/b", "use super::A;")], &[]),
        (
            "siblings",
            &[("a/b", "use super::c::C;"), ("a/c", ""), ("a/c/d", "use crate::a::b;")],
            &["a/b", "a/c"],
        ),
    ];
    for (name, all, want) in rows {
        assert_eq!(in_circles(&uses(&files(all))), want, "{name}");
    }
}
