//! Every command, flag, file, link and anchor in the documents exists.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::data::Data;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The README and everything under `docs/`: where, and the text.
fn documents() -> Vec<(PathBuf, String)> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("docs").flatten() {
            let path = entry.path();
            if path.is_dir() {
                below(&path, found);
            } else if path.extension().is_some_and(|end| end == "md") {
                found.push(path);
            }
        }
    }
    let mut paths = vec![root().join("README.md")];
    below(&root().join("docs"), &mut paths);
    paths.sort();
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a document");
        (path, text)
    };
    paths.into_iter().map(text).collect()
}

/// Calls of `couponry` in code: `` `couponry …` ``, and lines of code blocks.
fn calls(text: &str) -> Vec<String> {
    let mut calls = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            let starts = line.match_indices("couponry ").map(|(at, word)| (at, at + word.len()));
            let is_call = |at: usize| at == 0 || " (/`".contains(&line[at - 1..at]);
            let call = |(at, end): (usize, usize)| is_call(at).then(|| line[end..].to_owned());
            calls.extend(starts.filter_map(call));
        }
    }
    // Code in a sentence may continue on the next line.
    let sentences: String =
        text.split("```").step_by(2).collect::<Vec<_>>().join("\n").replace('\n', " ");
    let code = sentences.split('`').skip(1).step_by(2);
    calls.extend(code.filter_map(|code| code.strip_prefix("couponry ")).map(str::to_owned));
    calls
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_lowercase() || c == '-')
        && !text.starts_with('-')
}

/// The commands that a help names.
pub(super) fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let rows = lines.take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  "));
    let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    rows.map(first).filter(|word| is_word(word) && word != "help").collect()
}

/// The anchors of the headings of a page, as GitHub makes them.
pub(super) fn anchors(page: &str) -> impl Iterator<Item = String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.filter_map(|line| line.trim_start_matches('#').strip_prefix(' ')).map(|heading| {
        let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
        heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
    })
}

#[test]
fn anchors_of_headings() {
    let page = "# On a cluster\n\ntext # no heading\n### The hot store: `hot-sqlite`\n#tag\n";
    let found: Vec<String> = anchors(page).collect();
    assert_eq!(found, ["on-a-cluster", "the-hot-store-hot-sqlite"]);
}

#[test]
fn calls_in_text() {
    let text =
        "Run `couponry key\nadd --kind token`.\n```console\n$ T=$(couponry token --role a)\n```\n";
    assert_eq!(calls(text), ["token --role a)", "key add --kind token"]);
}

#[test]
fn commands_and_flags() {
    let data = Data::new();
    let settings = data.run(&["help", "settings"]).stdout;
    let (mut named, mut printed) = (0, HashMap::new());
    for (path, text) in documents() {
        for call in calls(&text) {
            let words: Vec<&str> = call.split_whitespace().collect();
            if let ["help", topic, ..] = words.as_slice() {
                let topic: &str = topic.trim_matches(|c: char| ".,;:()\"'`".contains(c));
                let ran = data.run(&["help", topic]);
                assert_eq!(ran.code, Some(0), "{}: `couponry {call}`", path.display());
                continue;
            }
            let mut commands_of = |words: &[&str]| {
                let words = words.join(" ");
                let help = printed.entry(words).or_insert_with_key(|words| {
                    let arguments = words.split_whitespace().chain(["--help"]);
                    let ran = data.run(&arguments.collect::<Vec<_>>());
                    let told = format!("{}: `couponry {call}`: {}", path.display(), ran.stderr);
                    assert_eq!(ran.code, Some(0), "{told}");
                    ran.stdout
                });
                help.clone()
            };
            let mut help = commands_of(&[]);
            let mut under: Vec<&str> = Vec::new();
            for word in words {
                let word = word.trim_matches(|c: char| ".,;:()\"'`".contains(c));
                if let Some(flag) = word.strip_prefix("--") {
                    let flag = flag.split(['=', '|']).next().unwrap_or_default();
                    let told = format!("{}: `couponry {call}`: --{flag}", path.display());
                    let flag = format!("--{flag}");
                    let is_there = help.contains(&flag) || settings.contains(&flag);
                    assert!(is_there, "{told} is in neither --help nor `help settings`");
                } else if !commands(&help).is_empty() && word.split('|').all(is_word) {
                    for one in word.split('|') {
                        let told = format!("{}: `couponry {call}`", path.display());
                        assert!(commands(&help).iter().any(|it| it == one), "{told}: no {one}");
                    }
                    under.push(word.split('|').next().unwrap_or_default());
                    help = commands_of(&under);
                }
            }
            named += 1;
        }
    }
    assert!(named > 10, "{named} calls in the documents");
}

#[test]
fn files() {
    for (path, text) in documents() {
        let name = path.display();
        for (at, _) in text.match_indices("schema/") {
            let of_path = |c: char| c.is_ascii_alphanumeric() || "./-_".contains(c);
            let begin = text[..at].trim_end_matches(of_path).len();
            let file = text[begin..].split(|c: char| !of_path(c)).next().unwrap_or_default();
            let file = file.trim_end_matches('.').trim_start_matches("../");
            assert!(root().join(file).exists(), "{name}: {file} is not there");
        }
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split(')').next().unwrap_or_default();
            if link.starts_with('/') || link.contains(':') {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                _ => path.parent().expect("a folder").join(file),
            };
            assert!(target.exists(), "{name}: the link to {link} leads nowhere");
            if !anchor.is_empty() {
                let page = fs::read_to_string(&target).expect("a page");
                let is_there = anchors(&page).any(|it| it == anchor);
                assert!(is_there, "{name}: the link to {link}: there is no such heading");
            }
        }
    }
}

#[test]
fn the_first_page_leads_people_to_the_console() {
    for (name, console) in [("with a console", "on"), ("without", "off")] {
        let data = Data::new();
        let server = data.serve_with(|command| _ = command.args(["--console", console]));
        let mut nobody = server.client("");
        let page = nobody.get("/").must(200).text();
        let first = page.split("<dt><a href=\"").nth(1).and_then(|it| it.split('"').next());
        let want = if console == "on" { "/console" } else { "/docs" };
        assert_eq!(first, Some(want), "{name}: {page}");
        assert_ne!(nobody.get(want).status, 404, "{name}");
        server.stop();
    }
}
