//! The statements of the store: their list, and whether it is complete.

use std::path::Path;

/// Each line is a statement or a comment.
const LISTED: &str = include_str!("statements.cql");

/// Leads to one CQL partition for all, so that it cannot have values of its own in each lane.
const LEFT_OUT: &str = "INSERT INTO campaign_name (part, campaign_id) VALUES (0, ?)";

pub(crate) fn listed() -> Vec<&'static str> {
    LISTED.lines().filter(|line| !line.is_empty() && !line.starts_with("--")).collect()
}

/// Statements in the source of the store that are not in the list. Of a statement that is put
/// together from two literals, the first must be the beginning of a listed one.
pub(crate) fn missing() -> Vec<String> {
    let mut texts = Vec::new();
    for of in ["hot-cql", "cql-session"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(of).join("src");
        literals_below(&folder, &mut texts);
    }
    assert!(texts.len() > 100, "the source of the store is read");
    let listed = listed();
    let is_listed = |text: &String| listed.iter().any(|line| line.starts_with(text.as_str()));
    texts.retain(|text| has_values(text) && text != LEFT_OUT && !is_listed(text));
    texts
}

/// Whether it reads or writes by a key of the store's own tables.
fn has_values(text: &str) -> bool {
    text.contains(['?', ':']) && !text.contains("system")
}

fn literals_below(folder: &Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => literals_below(&path, texts),
            false => texts.extend(statements_in(&std::fs::read_to_string(&path).unwrap())),
        }
    }
}

/// The string literals that begin as a statement does.
fn statements_in(source: &str) -> Vec<String> {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code = source.lines().filter(is_code).collect::<Vec<_>>().join("\n").replace("'\"'", "");
    let (mut all, mut chars) = (Vec::new(), code.chars().peekable());
    while let Some(next) = chars.next() {
        if next != '"' {
            continue;
        }
        let mut text = String::new();
        while let Some(next) = chars.next().filter(|next| *next != '"') {
            match next {
                '\\' => match chars.next() {
                    Some('\n') => while chars.next_if(|next| next.is_whitespace()).is_some() {},
                    other => text.extend(other),
                },
                next => text.push(next),
            }
        }
        let verbs = ["SELECT ", "INSERT ", "UPDATE ", "DELETE "];
        if verbs.iter().any(|verb| text.starts_with(verb)) {
            all.push(text);
        }
    }
    all
}
