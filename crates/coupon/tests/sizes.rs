//! How large a file, a function, a crate and the product may be. The numbers may only be lowered:
//! `docs/decisions/0015-sizes.md` says why.
//!
//! Tests do not count, see `names/sources.rs`. *Lines* are all other lines; *code* is those that are
//! neither blank nor a comment. Files and functions are measured in lines, crates in code.
//!
//! `cargo test -p coupon --test sizes -- --nocapture` prints the size of the product.

#[path = "names/sources.rs"]
mod sources;

use std::collections::BTreeMap;
use std::path::PathBuf;

use sources::{Line, Source, end_of, sources};

/// Lines of a file.
const FILE_MAX: usize = 500;

/// Half of all files have no more lines.
const FILE_MEDIAN_MAX: usize = 130;

/// 95 of 100 files have no more lines.
const FILE_P95_MAX: usize = 400;

/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_MAX: usize = 70;

/// Code of a crate.
const CRATE_MAX: usize = 9_500;

/// Lines of the product. Before this is raised for something new, look what can be deleted for it.
const PRODUCT_MAX: usize = 116_400;

/// Code of the product.
const PRODUCT_CODE_MAX: usize = 90_900;

/// Crates that only test and measure. They are not part of the product.
const TOOLS: [&str; 7] = [
    "hot-conformance",
    "loadtest",
    "simulated-cluster",
    "simulation",
    "testbucket",
    "testcluster",
    "testengines",
];

struct Function {
    name: String,
    at: usize,
    lines: usize,
}

fn functions(source: &Source) -> Vec<Function> {
    let function = |(index, line): (usize, &Line)| {
        let name = function_in(&line.text)?.to_owned();
        Some(Function { name, at: line.at, lines: end_of(&source.lines, index) - index })
    };
    source.lines.iter().enumerate().filter_map(function).collect()
}

fn code(source: &Source) -> usize {
    let is_code = |line: &&Line| {
        let text = line.text.trim();
        !text.is_empty() && !text.starts_with("//")
    };
    source.lines.iter().filter(is_code).count()
}

/// The name of the function whose signature begins in this line.
fn function_in(line: &str) -> Option<&str> {
    let (before, name) = line.trim_start().split_once("fn ")?;
    let is_qualifier =
        |word: &str| word.starts_with("pub") || ["async", "const", "unsafe"].contains(&word);
    let is_signature = before.split_whitespace().all(is_qualifier);
    is_signature.then(|| name.split(['(', '<']).next().unwrap_or_default())
}

/// The folder of the crate.
fn crate_of(source: &Source) -> String {
    source.path.iter().take(2).collect::<PathBuf>().display().to_string()
}

/// The code of each crate.
fn crates(sources: &[Source]) -> BTreeMap<String, usize> {
    let mut crates = BTreeMap::new();
    for source in sources {
        *crates.entry(crate_of(source)).or_default() += code(source);
    }
    crates
}

/// The largest crates and files, for whoever has to make the product smaller.
fn largest(sources: &[Source]) -> String {
    let mut crates: Vec<(usize, String)> =
        crates(sources).into_iter().map(|(name, code)| (code, name)).collect();
    let mut files: Vec<(usize, String)> =
        sources.iter().map(|source| (source.lines.len(), source.name())).collect();
    crates.sort_unstable();
    files.sort_unstable();
    let crates = crates.iter().rev().take(5).map(|(code, name)| format!("{name}: {code} of code"));
    let files = files.iter().rev().take(10).map(|(lines, name)| format!("{name}: {lines} lines"));
    crates.chain(files).collect::<Vec<String>>().join("\n")
}

#[test]
fn nothing_is_too_large() {
    let sources = sources(&TOOLS);
    let mut found: Vec<(String, usize, usize)> = Vec::new();
    for source in &sources {
        found.push((source.name(), source.lines.len(), FILE_MAX));
        for Function { name, at, lines } in functions(source) {
            found.push((format!("{}:{at} {name}", source.name()), lines, FUNCTION_MAX));
        }
    }
    found.extend(crates(&sources).into_iter().map(|(name, code)| (name, code, CRATE_MAX)));
    found.retain(|(_, size, max)| size > max);

    let too_large: Vec<String> =
        found.iter().map(|(name, size, max)| format!("{name}: {size}, at most {max}")).collect();
    assert!(too_large.is_empty(), "split or delete:\n{}", too_large.join("\n"));
}

#[test]
fn most_files_are_short() {
    let sources = sources(&TOOLS);
    let mut lines: Vec<usize> = sources.iter().map(|source| source.lines.len()).collect();
    lines.sort_unstable();
    let (median, p95) = (lines[lines.len() / 2], lines[lines.len() * 95 / 100]);
    assert!(
        median <= FILE_MEDIAN_MAX && p95 <= FILE_P95_MAX,
        "files have {median} lines in the middle and {p95} at 95 of 100, at most \
         {FILE_MEDIAN_MAX} and {FILE_P95_MAX}; the largest:\n{}",
        largest(&sources)
    );
}

#[test]
fn the_product_does_not_grow() {
    let sources = sources(&TOOLS);
    let lines = sources.iter().map(|source| source.lines.len()).sum::<usize>();
    let code = crates(&sources).values().sum::<usize>();
    let largest = largest(&sources);
    println!("the product has {code} lines of code, {lines} lines; the largest:\n{largest}");
    assert!(
        lines <= PRODUCT_MAX && code <= PRODUCT_CODE_MAX,
        "the product has {lines} lines, {code} of code, at most {PRODUCT_MAX} and {PRODUCT_CODE_MAX}: \
         delete as much as you add. Look first for what the workspace does twice, then for what \
         nobody calls. The largest:\n{largest}"
    );
}
