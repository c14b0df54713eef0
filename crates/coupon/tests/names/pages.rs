//! A page for contributors names only files, folders and identifiers that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::sources::{ROOT, entries};

/// The endings of files whose words are identifiers. A page is no such file: it would confirm itself.
const SOURCES: [&str; 8] = ["rs", "sql", "cql", "toml", "json", "html", "mjs", "txt"];

/// They wait for one: what they do is to move to other crates.
const WITHOUT_README: [&str; 1] = ["attempts"];

/// They stand for a name that the reader chooses.
const PLACEHOLDERS: [&str; 3] = ["NAME", "GROUP", "CODE"];

/// Files and folders, from the root of the repository, each with its words if it is a source.
struct Tree(BTreeMap<PathBuf, BTreeSet<String>>);

impl Tree {
    fn read() -> Tree {
        let mut tree = Tree(BTreeMap::new());
        tree.add_below(Path::new(""));
        tree
    }

    fn add_below(&mut self, folder: &Path) {
        for path in entries(folder) {
            let at = Path::new(ROOT).join(&path);
            let mut found = BTreeSet::new();
            if at.is_dir()
                && ![".git", "target", "node_modules"].iter().any(|name| path.ends_with(name))
            {
                self.add_below(&path);
            } else if is_source(&path) {
                let text = fs::read_to_string(at).unwrap_or_default();
                let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                found.extend(lines.flat_map(words).map(str::to_owned));
            }
            self.0.insert(path, found);
        }
    }

    /// The words of each file or folder whose path ends like this. A component with a placeholder is any.
    fn at<'a>(&'a self, named: &'a str) -> impl Iterator<Item = &'a BTreeSet<String>> {
        let named: Vec<&str> = named.trim_end_matches('/').split('/').collect();
        let ends = move |path: &Path| {
            let path: Vec<&str> = path.iter().filter_map(OsStr::to_str).collect();
            let end = path.len().checked_sub(named.len()).map(|from| &path[from..]);
            end.is_some_and(|end| end.iter().zip(&named).all(|(is, named)| fits(is, named)))
        };
        self.0.iter().filter(move |(path, _)| ends(path)).map(|(_, words)| words)
    }

    /// Paths begin in a folder of the root, end with `/`, or have the ending of a file.
    fn is_path(&self, text: &str) -> bool {
        let is_path = |letter: char| letter.is_alphanumeric() || "_-./".contains(letter);
        let first = text.split_once('/').map(|(first, _)| Path::new(first));
        let is_of_root = first.is_some_and(|first| self.0.contains_key(first));
        let is_file = is_source(Path::new(text)) || text.ends_with(".md");
        !text.starts_with('/')
            && text.chars().all(is_path)
            && (is_of_root || is_file || text.ends_with('/'))
    }

    /// What a page names and what does not exist.
    fn missing(&self, page: &Path) -> Vec<String> {
        let (mut missing, mut before) = (Vec::new(), None);
        let (folder, page) = (page.parent().unwrap_or(page), page.display());
        for (prose, text) in in_backticks(&page.to_string()) {
            // In the README of a crate, `src` is that of the crate.
            let is_of_crate =
                Path::new(ROOT).join(folder).join("src").exists() && text.starts_with("src/");
            let text = if is_of_crate { format!("{}/{text}", folder.display()) } else { text };
            if !self.is_path(&text) {
                let words = words(&text).filter(|word| !has(self.0.values(), word));
                missing.extend(
                    words.map(|word| format!("{page}: no {word} in the sources, as in `{text}`")),
                );
                before = Some(text);
                continue;
            }
            if self.at(&text).next().is_none() {
                missing.push(format!("{page}: no file or folder {text}"));
            }
            // `NAME` in `file.rs`: the last word of a path of names is declared there.
            let named = before.take().filter(|_| ["in", "of"].contains(&prose.trim()));
            if let Some(word) =
                named.as_deref().filter(|_| is_source(Path::new(&text))).and_then(last_word)
                && !has(self.at(&text), word)
            {
                missing.push(format!("{page}: no {word} in {text}"));
            }
        }
        missing
    }
}

fn has<'a>(mut sources: impl Iterator<Item = &'a BTreeSet<String>>, named: &str) -> bool {
    let is_template = PLACEHOLDERS.iter().any(|placeholder| named.contains(placeholder));
    sources.any(|words| {
        words.contains(named) || (is_template && words.iter().any(|word| fits(word, named)))
    })
}

fn is_source(path: &Path) -> bool {
    let ending = path.extension().and_then(OsStr::to_str);
    ending.is_some_and(|ending| SOURCES.contains(&ending)) || path.ends_with(".ci/run")
}

/// Whether `named` is this text, or would be with something in place of its placeholder.
fn fits(text: &str, named: &str) -> bool {
    let parts = PLACEHOLDERS.iter().find_map(|placeholder| named.split_once(placeholder));
    let replaced = |(before, after): (&str, &str)| {
        let between = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        between.is_some_and(|between| !between.is_empty())
    };
    text == named || parts.is_some_and(replaced)
}

/// Identifiers: words that do not begin with a digit.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with(|letter: char| !letter.is_ascii_digit()))
}

fn last_word(text: &str) -> Option<&str> {
    words(text).last()
}

/// What stands in backticks in a page, each with the prose before it. Blocks of code are left out.
fn in_backticks(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(Path::new(ROOT).join(page)).expect("a page");
    let text = text.split("```").step_by(2).collect::<Vec<&str>>().join("\n");
    let text = text.split_whitespace().collect::<Vec<&str>>().join(" ");
    let parts: Vec<&str> = text.split('`').collect();
    parts.chunks_exact(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
}

/// Each word that stands in backticks in a page.
pub(crate) fn names_in(page: &str) -> BTreeSet<String> {
    let spans = in_backticks(page);
    spans.iter().flat_map(|(_, text)| words(text)).map(str::to_owned).collect()
}

/// The pages, and the README of each crate.
fn pages() -> Vec<PathBuf> {
    let crates = entries(Path::new("crates"));
    let mut pages = ["docs/changing.md", "docs/architecture.md", "docs/glossary.md"]
        .map(PathBuf::from)
        .to_vec();
    pages.push("CONTRIBUTING.md".into());
    pages.extend(crates.iter().map(|at| at.join("README.md")));
    pages.retain(|page| Path::new(ROOT).join(page).exists());
    pages
}

#[test]
fn what_pages_name_exists() {
    let tree = Tree::read();
    let missing: Vec<String> = pages().iter().flat_map(|page| tree.missing(page)).collect();
    assert!(missing.is_empty(), "pages name what is not there:\n{}", missing.join("\n"));
}

#[test]
fn each_crate_has_a_readme() {
    let crates = entries(Path::new("crates"));
    let without = crates.iter().filter(|at| !Path::new(ROOT).join(at).join("README.md").exists());
    let names: Vec<&str> = without.filter_map(|at| at.file_name()?.to_str()).collect();
    let new: Vec<&&str> = names.iter().filter(|name| !WITHOUT_README.contains(name)).collect();
    assert!(new.is_empty(), "say what it is, what it is not, and where to begin reading: {new:?}");
}

/// Each line of an example is one of the file that was named last.
#[test]
fn examples_of_the_style_are_real() {
    let read = |path: &str| fs::read_to_string(Path::new(ROOT).join(path)).expect(path);
    let page = read("CONTRIBUTING.md");
    let (mut source, mut examples) = (String::new(), 0);
    for part in page.split("```") {
        let Some(example) = part.strip_prefix("rust\n") else {
            let named = part.split('`').rfind(|text| text.ends_with(".rs"));
            source = named.map_or(source, read);
            continue;
        };
        for line in example.lines() {
            assert!(source.lines().any(|it| it == line), "the file has no such line: {line}");
        }
        examples += 1;
    }
    assert!(examples > 0, "the style has no example");
}
