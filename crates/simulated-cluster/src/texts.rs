//! The statements of the store, taken from its sources: for tests that go over all of them.

use std::fs;
use std::path::{Path, PathBuf};

/// Each line is a statement of the store or a comment.
const LISTED: &str = include_str!("statements.cql");

/// Parts that another part follows.
const BEGINNINGS: [&str; 2] =
    ["modified_at FROM coupon ", "UPDATE partition_plan USING TIMESTAMP ? SET "];

/// Macros that a text begins with, and what stands between their names and the rest of it.
const MACROS: [(&str, &str); 3] =
    [("coupon_rows", "!("), ("plan_columns", "!(), "), ("run_columns", "!(), ")];

/// The statements that the store sends, as they are listed: the differential suite runs them.
pub fn listed_statements() -> Vec<&'static str> {
    LISTED.lines().filter(|line| !line.is_empty() && !line.starts_with("--")).collect()
}

/// Every statement that the store sends: those that are listed and those in its sources.
///
/// # Panics
/// As [`statements_in_sources`].
pub fn statements_of_the_store() -> Vec<String> {
    let mut texts = statements_in_sources();
    texts.extend(listed_statements().into_iter().map(str::to_owned));
    texts
}

/// Every statement that stands in the sources of the store. Of some there is only the beginning.
///
/// # Panics
/// If the sources of `hot-cql` and `cql-session` are not beside this crate, or have another shape.
pub fn statements_in_sources() -> Vec<String> {
    let mut sources = Vec::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for of in ["hot-cql", "cql-session"] {
        read(&crates.join(of).join("src"), &mut sources);
    }
    let mut texts: Vec<String> = sources.iter().flat_map(|source| literals(source)).collect();
    texts.retain(|text| BEGINNINGS.iter().all(|beginning| !text.ends_with(beginning)));
    // Of those about the nodes, the simulated ones answer only what a running store asks: the time.
    texts.retain(|text| !text.contains(" system") || text.contains("toTimestamp(now()) FROM"));
    for (name, between) in MACROS {
        let defined = format!("macro_rules! {name} {{");
        let beginning =
            sources.iter().find_map(|source| source.split_once(&defined)).expect("the macro").1;
        let beginning = literal(beginning.split_once('"').expect("a literal").1);
        let call = format!("{name}{between}\"");
        for source in &sources {
            for (at, _) in source.match_indices(&call) {
                let rest = literal(&source[at + call.len()..]);
                texts.push(format!("{beginning}{rest}"));
            }
        }
    }
    texts
}

/// All files below a folder.
fn read(folder: &Path, sources: &mut Vec<String>) {
    let entries =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = entries.collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read(&path, sources);
        } else {
            sources.push(fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// The literals of a source that begin as a statement does.
fn literals(source: &str) -> Vec<String> {
    let verbs = ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE "];
    let of = |verb: &str| source.match_indices(verb).map(|(at, _)| at + 1).collect::<Vec<_>>();
    verbs.into_iter().flat_map(of).map(|at| literal(&source[at..])).collect()
}

/// A string literal up to its end, its lines joined.
fn literal(source: &str) -> String {
    let text = source.split('"').next().unwrap_or_default();
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + line.trim_start())
}
