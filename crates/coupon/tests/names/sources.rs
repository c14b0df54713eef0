//! The source files of crates, without their tests: neither an item behind `#[cfg(test)]` nor the files of
//! such a module. rustfmt lays out every file, so an item ends at the first line that closes it at its own
//! indentation.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

pub(crate) struct Source {
    /// From the root of the repository.
    pub(crate) path: PathBuf,
    /// Those outside tests.
    pub(crate) lines: Vec<Line>,
    /// The modules behind `#[cfg(test)]`, as paths without the ending.
    tests: Vec<PathBuf>,
}

#[derive(Clone)]
pub(crate) struct Line {
    /// Its number in the file.
    pub(crate) at: usize,
    pub(crate) text: String,
}

impl Source {
    fn read(path: &Path) -> Source {
        let text = fs::read_to_string(Path::new(ROOT).join(path)).expect("a source file");
        let lines: Vec<Line> =
            (1..).zip(text.lines()).map(|(at, text)| Line { at, text: text.to_owned() }).collect();
        let mut source = Source { path: path.to_owned(), lines: Vec::new(), tests: Vec::new() };
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            if line.text.trim() == "#[cfg(test)]" {
                at = end_of(&lines, at + 1);
                let module = module_in(&lines[at - 1].text);
                source.tests.extend(module.map(|name| folder_of_modules(path).join(name)));
                continue;
            }
            source.lines.push(line.clone());
            at += 1;
        }
        source
    }

    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// The index of the line behind the item that begins in line `at`.
pub(crate) fn end_of(lines: &[Line], at: usize) -> usize {
    let indentation = |line: &Line| line.text.len() - line.text.trim_start().len();
    let is_end = |line: &Line| {
        let text = line.text.trim();
        let is_item = !text.starts_with("//") && !text.starts_with("#[");
        let closes = text == "}" || text.ends_with("{}") || text.ends_with(';');
        is_item && closes && indentation(line) == indentation(&lines[at])
    };
    lines[at..].iter().position(is_end).map_or(lines.len(), |length| at + length + 1)
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
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
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

/// The source files of all crates but these.
pub(crate) fn sources(left_out: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    for path in entries(Path::new("crates")) {
        if !left_out.iter().any(|name| path.ends_with(name)) {
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
