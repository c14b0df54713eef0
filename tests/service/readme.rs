//! The transcript of the README: every command of its ```` ```console ```` blocks is run, in order,
//! and its output is compared.
//!
//! A command begins with `$ `. The lines up to the next one are its output. `…` stands for any
//! text, or alone on a line for any lines. Instants, codes, tokens and generated ids may differ.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use testengines::may_run;

use super::data::{COUPONRY, Data, STORE_TIMEOUT, despite_stalls};

const README: &str = include_str!("../../README.md");

/// The command that starts the service and does not end.
const SERVE: &str = "cargo run --release -- serve";

/// The address of the service in the transcript.
const LISTEN: &str = "127.0.0.1:8080";

/// One command and its output.
#[derive(Debug)]
struct Step {
    command: String,
    prints: Vec<String>,
}

/// The lines of each fenced block of one kind.
fn blocks<'a>(text: &'a str, kind: &str) -> Vec<Vec<&'a str>> {
    let mut blocks = Vec::new();
    let mut open = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(found)) => open = Some((found == kind, Vec::new())),
            (Some(_), Some(_)) => {
                blocks.extend(open.take().filter(|block| block.0).map(|block| block.1));
            }
            (Some((_, lines)), None) => lines.push(line),
            (None, None) => {}
        }
    }
    blocks
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks(text, "console").into_iter().flatten() {
        let goes_on = steps.last().is_some_and(|step| {
            step.prints.is_empty()
                && step.command.lines().last().is_some_and(|it| it.ends_with('\\'))
        });
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (None, Some(step)) if goes_on => {
                step.command.push('\n');
                step.command.push_str(line.strip_prefix("> ").unwrap_or(line));
            }
            (Some(command), _) => {
                steps.push(Step { command: command.to_owned(), prints: Vec::new() });
            }
            (None, Some(step)) => step.prints.push(line.to_owned()),
            (None, None) => panic!("a console block that begins with {line:?}, no command"),
        }
    }
    steps
}

/// The text without the parts that differ in each run.
fn plain(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_:.+".contains(c);
    let mut plain = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if is_part(c) {
            word.push(c);
        } else {
            plain.push_str(kind_of(&word).unwrap_or(&word));
            plain.push(c);
            word.clear();
        }
    }
    plain.pop();
    plain
}

fn kind_of(word: &str) -> Option<&'static str> {
    let shape: String = word
        .chars()
        .map(|c| match c {
            '0'..='9' => '9',
            'a'..='z' => 'a',
            'A'..='Z' => 'A',
            other => other,
        })
        .collect();
    let is_code = shape.len() == 19
        && shape.split('-').all(|part| part.len() == 4 && !part.contains('a'))
        && shape.matches('-').count() == 3;
    let is_instant = shape.starts_with("9999-99-99A99:99:99") && shape.ends_with('A');
    let is_uuid = shape.len() == 36 && shape.matches('-').count() == 4 && !shape.contains('A');
    let is_token = word.starts_with("eyJ") && word.matches('.').count() == 2;
    let rows = [(is_code, "CODE"), (is_instant, "INSTANT"), (is_uuid, "ID"), (is_token, "TOKEN")];
    rows.iter().find(|row| row.0).map(|row| row.1)
}

/// Whether `found` matches `want`, in which `…` stands for any text.
fn fits(want: &str, found: &str) -> bool {
    let (want, found) = (plain(want), plain(found));
    let mut parts = want.split('…');
    let Some(mut left) = parts.next().and_then(|first| found.strip_prefix(first)) else {
        return false;
    };
    let mut open = false;
    for part in parts {
        open = true;
        match left.find(part) {
            Some(at) if !part.is_empty() => {
                left = &left[at + part.len()..];
                open = false;
            }
            Some(_) => {}
            None => return false,
        }
    }
    // The last part may also fit later.
    let last = want.rsplit('…').next().unwrap_or_default();
    open || left.is_empty() || (want.contains('…') && found.ends_with(last))
}

/// Whether the lines match, with `…` alone for any number of lines.
fn all_fit(want: &[String], found: &[&str]) -> bool {
    match (want.split_first(), found.split_first()) {
        (None, None) => true,
        (Some((any, rest)), _) if any.trim() == "…" => {
            (0..=found.len()).any(|skip| all_fit(rest, &found[skip..]))
        }
        (Some((want, rest)), Some((line, more))) => fits(want, line) && all_fit(rest, more),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[test]
fn matcher() {
    let code = r#"{"code":"7K2M-9QXD-4TRB-H0VE"}"#;
    let rows = [
        ("the same", "a b", "a b", true),
        ("another", "a b", "a c", false),
        ("longer", "a", "a b", false),
        ("any end", "{\"a\":1,…", "{\"a\":1,\"b\":2}", true),
        ("any middle", "{…\"b\":2…}", "{\"a\":1,\"b\":2,\"c\":3}", true),
        ("the last of two", "…}201", "{}201}201", true),
        ("no such middle", "{…\"b\":3…}", "{\"a\":1,\"b\":2,\"c\":3}", false),
        ("another end", "{…}200", "{\"a\":1}201", false),
        ("a code", code, r#"{"code":"0000-0000-0000-ZZZZ"}"#, true),
        ("no code", code, r#"{"code":"0000-0000-0000"}"#, false),
        ("an instant", "at 2030-12-31T15:00:00.000Z", "at 2026-01-01T00:00:00Z", true),
        ("a day is no instant", "on 2030-12-31", "on 2030-12-30", false),
    ];
    for (name, want, found, fit) in rows {
        assert_eq!(fits(want, found), fit, "{name}");
    }
    let want = ["a", "…", "z"].map(str::to_owned);
    assert!(all_fit(&want, &["a", "b", "c", "z"]) && all_fit(&want, &["a", "z"]));
    assert!(!all_fit(&want, &["a", "b"]));
}

/// The pages for contributors and CI test with the command of the README.
#[test]
fn one_command_tests_the_product() {
    let command = README.lines().find(|line| line.starts_with("cargo test"));
    let command = command.expect("the README says how to test");
    for (name, text) in [
        ("CONTRIBUTING.md", include_str!("../../CONTRIBUTING.md")),
        ("docs/testing.md", include_str!("../../docs/testing.md")),
        (".ci/run", include_str!("../../.ci/run")),
    ] {
        assert!(text.lines().any(|line| line.starts_with(command)), "{name} has no {command:?}");
    }
}

#[test]
fn transcript() {
    let there = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    if !may_run("readme", "`bash` and `curl`", there("bash") && there("curl")) {
        return;
    }
    // The service also closes a silent connection of `curl` after this time.
    despite_stalls(STORE_TIMEOUT, transcript_once);
}

fn transcript_once() {
    let steps = steps(README);
    assert!(steps.len() >= 6, "the README's transcript is gone: {steps:?}");
    assert!(README.contains(SERVE), "the README does not say how to start");
    let data = Data::new();
    let server = data.serve_with(|command| {
        // Like a new user: no settings, except a free port.
        command.env_remove("COUPONRY_DATA");
    });
    assert!(data.folder().join("couponry-data/keys").is_dir(), "no data at the default place");
    symlink(COUPONRY, data.folder().join("couponry")).expect("a link to the binary");
    let address = server.address.to_string();
    let here = |text: &str| text.replace(LISTEN, &address);
    let mut script = String::new();
    let mut run = Vec::new();
    for step in &steps {
        if step.command.trim() == SERVE {
            let banner: Vec<&str> = server.banner.trim_end().lines().collect();
            let want: Vec<String> = step.prints.iter().map(|line| here(line)).collect();
            assert!(all_fit(&want, &banner), "want {want:#?}, the banner is {banner:#?}");
            continue;
        }
        let command = here(&step.command).replace("cargo run --release --", "couponry");
        script.push_str(&format!("{command}\nprintf '\\n\\001 %s\\n' $?\n"));
        run.push((command, step));
    }
    let path = data.folder().join("transcript.sh");
    fs::write(&path, script).expect("script");
    let mut bash = Command::new("bash");
    bash.arg(&path).current_dir(data.folder()).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COUPONRY")) {
        bash.env_remove(name);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    bash.env("PATH", format!("{}:{path}", data.folder().display()));
    let output = bash.output().expect("bash runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let mut answers = printed.split("\n\u{1} ");
    let mut found = answers.next().unwrap_or_default();
    for (command, step) in &run {
        let ended = answers.next().unwrap_or_else(|| panic!("{command}: did not run: {errors}"));
        let (code, rest) = ended.split_once('\n').unwrap_or((ended, ""));
        assert_eq!(code, "0", "{command}: {found}{errors}");
        let lines: Vec<&str> = found.trim_end_matches('\n').lines().collect();
        let want: Vec<String> = step.prints.iter().map(|line| here(line)).collect();
        assert!(all_fit(&want, &lines), "{command}\nwant {want:#?}\nfound {lines:#?}\n{errors}");
        found = rest;
    }
    eprintln!("readme: {} commands", run.len());
    server.stop();
}
