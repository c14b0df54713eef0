//! How large a file, a function and a crate may be. The numbers may only be lowered:
//! `docs/decisions/0015-sizes.md` says why.
//!
//! Tests do not count: neither an item behind `#[cfg(test)]` nor the files of such a module. *Lines*
//! are all other lines; *code* is those that are neither blank nor a comment. Files and functions are
//! measured in lines, crates in code. rustfmt lays out every file, so an item ends at the first line
//! that closes it at its own indentation.
//!
//! `cargo test -p coupon --test sizes -- --nocapture` prints the size of the product.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Lines of a file.
const FILE_MAX: usize = 500;

/// Half of all files have no more lines.
const FILE_MEDIAN_MAX: usize = 130;

/// 95 of 100 files have no more lines.
const FILE_P95_MAX: usize = 400;

/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_MAX: usize = 70;

/// Code of a crate.
const CRATE_MAX: usize = 10_000;

/// Crates that only test and measure. They are not part of the product.
const TOOLS: [&str; 6] =
    ["hot-conformance", "loadtest", "simulation", "testbucket", "testcluster", "testengines"];

/// A source file without its tests.
struct Source {
    /// From the root of the repository.
    path: PathBuf,
    lines: usize,
    code: usize,
    functions: Vec<Function>,
    /// The modules behind `#[cfg(test)]`, as paths without the ending.
    tests: Vec<PathBuf>,
}

struct Function {
    name: String,
    at: usize,
    lines: usize,
}

impl Source {
    fn read(path: &Path) -> Source {
        let text = fs::read_to_string(Path::new(ROOT).join(path)).expect("a source file");
        let lines: Vec<&str> = text.lines().collect();
        let (functions, tests) = (Vec::new(), Vec::new());
        let mut source = Source { path: path.to_owned(), lines: 0, code: 0, functions, tests };
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            if line.trim() == "#[cfg(test)]" {
                at = end_of(&lines, at + 1);
                let module = module_in(lines[at - 1]);
                source.tests.extend(module.map(|name| folder_of_modules(path).join(name)));
                continue;
            }
            if let Some(name) = function_in(line) {
                let (name, lines) = (name.to_owned(), end_of(&lines, at) - at);
                source.functions.push(Function { name, at: at + 1, lines });
            }
            source.lines += 1;
            source.code += usize::from(!line.trim().is_empty() && !line.trim().starts_with("//"));
            at += 1;
        }
        source
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn of_crate(&self) -> String {
        self.path.iter().take(2).collect::<PathBuf>().display().to_string()
    }
}

/// The line behind the item that begins in line `at`.
fn end_of(lines: &[&str], at: usize) -> usize {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let is_end = |line: &&str| {
        let text = line.trim();
        let is_item = !text.starts_with("//") && !text.starts_with("#[");
        let closes = text == "}" || text.ends_with("{}") || text.ends_with(';');
        is_item && closes && indentation(line) == indentation(lines[at])
    };
    lines[at..].iter().position(is_end).map_or(lines.len(), |length| at + length + 1)
}

/// The name of the function whose signature begins in this line.
fn function_in(line: &str) -> Option<&str> {
    let (before, name) = line.trim_start().split_once("fn ")?;
    let is_qualifier =
        |word: &str| word.starts_with("pub") || ["async", "const", "unsafe"].contains(&word);
    let is_signature = before.split_whitespace().all(is_qualifier);
    is_signature.then(|| name.split(['(', '<']).next().unwrap_or_default())
}

/// The name of the module that has a file of its own by this line.
fn module_in(line: &str) -> Option<&str> {
    Some(line.strip_suffix(';')?.split_once("mod ")?.1)
}

fn folder_of_modules(path: &Path) -> PathBuf {
    match path.file_stem().and_then(OsStr::to_str) {
        Some("lib" | "main") => path.with_file_name(""),
        Some(_) | None => path.with_extension(""),
    }
}

/// The entries of a folder below the root of the repository, in the order of their names.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder)).expect("a folder");
    let mut entries: Vec<PathBuf> =
        entries.map(|entry| folder.join(entry.expect("an entry").file_name())).collect();
    entries.sort();
    entries
}

fn read_below(folder: &Path, sources: &mut Vec<Source>) {
    for path in entries(folder) {
        if Path::new(ROOT).join(&path).is_dir() {
            read_below(&path, sources);
        } else if path.extension() == Some(OsStr::new("rs")) {
            sources.push(Source::read(&path));
        }
    }
}

/// The source files of the product.
fn product() -> Vec<Source> {
    let mut sources = Vec::new();
    for path in entries(Path::new("crates")) {
        if !TOOLS.iter().any(|tool| path.ends_with(tool)) {
            read_below(&path.join("src"), &mut sources);
        }
    }
    let tests: Vec<PathBuf> = sources.iter().flat_map(|source| source.tests.clone()).collect();
    let is_test = |source: &Source| {
        let path = source.path.with_extension("");
        tests.iter().any(|module| path.starts_with(module))
    };
    sources.retain(|source| !is_test(source));
    sources
}

/// The code of each crate.
fn crates(sources: &[Source]) -> BTreeMap<String, usize> {
    let mut crates = BTreeMap::new();
    for source in sources {
        *crates.entry(source.of_crate()).or_default() += source.code;
    }
    crates
}

/// The largest crates and files, for whoever has to make the product smaller.
fn largest(sources: &[Source]) -> String {
    let mut crates: Vec<(usize, String)> =
        crates(sources).into_iter().map(|(name, code)| (code, name)).collect();
    let mut files: Vec<(usize, String)> =
        sources.iter().map(|source| (source.lines, source.name())).collect();
    crates.sort_unstable();
    files.sort_unstable();
    let crates = crates.iter().rev().take(5).map(|(code, name)| format!("{name}: {code} of code"));
    let files = files.iter().rev().take(10).map(|(lines, name)| format!("{name}: {lines} lines"));
    crates.chain(files).collect::<Vec<String>>().join("\n")
}

#[test]
fn nothing_is_too_large() {
    let sources = product();
    let code = sources.iter().map(|source| source.code).sum::<usize>();
    let lines = sources.iter().map(|source| source.lines).sum::<usize>();
    println!(
        "the product has {code} lines of code, {lines} lines; the largest:\n{}",
        largest(&sources)
    );
    let mut found: Vec<(String, usize, usize)> = Vec::new();
    for source in &sources {
        found.push((source.name(), source.lines, FILE_MAX));
        for Function { name, at, lines } in &source.functions {
            found.push((format!("{}:{at} {name}", source.name()), *lines, FUNCTION_MAX));
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
    let sources = product();
    let mut lines: Vec<usize> = sources.iter().map(|source| source.lines).collect();
    lines.sort_unstable();
    let (median, p95) = (lines[lines.len() / 2], lines[lines.len() * 95 / 100]);
    assert!(
        median <= FILE_MEDIAN_MAX && p95 <= FILE_P95_MAX,
        "files have {median} lines in the middle and {p95} at 95 of 100, at most \
         {FILE_MEDIAN_MAX} and {FILE_P95_MAX}; the largest:\n{}",
        largest(&sources)
    );
}
