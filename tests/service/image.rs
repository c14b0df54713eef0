//! `deploy/Dockerfile`: the rules that such files are held to, and what its last stage does, done on a copy of this
//! machine's file system, which is then read-only but for the volume.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use super::data::{COUPONRY, Data};
use super::downloads::or_not_run;
use super::package::on_a_copy;

const SUITE: &str = "container image";

const FILE: &str = include_str!("../../deploy/Dockerfile");

/// What is done as in a container: the steps of the image first.
const LIFE: &str = include_str!("image/life.sh");

/// An instruction and its text.
type Instruction = (&'static str, String);

/// The instructions of each stage.
fn stages() -> Vec<Vec<Instruction>> {
    let lines = FILE.lines().filter(|line| !line.trim_start().starts_with('#'));
    let whole = lines.fold(String::new(), |text, line| match line.strip_suffix('\\') {
        Some(begun) => text + begun,
        None => text + line + "\n",
    });
    let known = [
        "FROM",
        "ARG",
        "WORKDIR",
        "COPY",
        "RUN",
        "USER",
        "ENV",
        "EXPOSE",
        "VOLUME",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    ];
    let mut stages: Vec<Vec<Instruction>> = Vec::new();
    for line in whole.lines().filter(|line| !line.is_empty()) {
        let (name, text) = line.split_once(' ').unwrap_or_else(|| panic!("an instruction: {line}"));
        let name = *known.iter().find(|it| **it == name).unwrap_or_else(|| panic!("{name}"));
        if name == "FROM" {
            stages.push(Vec::new());
        }
        stages.last_mut().expect("FROM comes first").push((name, text.to_owned()));
    }
    stages
}

fn texts<'a>(stage: &'a [Instruction], name: &str) -> Vec<&'a str> {
    stage.iter().filter(|(it, _)| *it == name).map(|(_, text)| text.as_str()).collect()
}

/// The words of an instruction in JSON.
fn words(text: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"));
    let words = list.as_array().expect("a list").iter();
    words.map(|word| word.as_str().expect("a word").to_owned()).collect()
}

#[test]
fn the_file_keeps_the_rules() {
    let stages = stages();
    let last = stages.last().expect("a stage");
    for stage in &stages {
        for from in texts(stage, "FROM") {
            let image = from.split(' ').next().unwrap_or_default();
            let tag = image.split_once(':').map_or("", |(_, tag)| tag);
            assert!(tag.starts_with(|c: char| c.is_ascii_digit()), "{image} has no fixed version");
        }
        for run in texts(stage, "RUN").iter().filter(|it| it.contains("apt-get install")) {
            assert!(run.contains("--no-install-recommends"), "{run}");
            assert!(run.contains("rm -rf /var/lib/apt/lists"), "{run}");
        }
        for env in texts(stage, "ENV").iter().chain(&texts(stage, "ARG")) {
            let secret = ["TOKEN", "SECRET", "PASSWORD"].iter().find(|word| env.contains(**word));
            assert_eq!(secret, None, "a secret would stay in the image: {env}");
        }
    }
    let rows = [
        ("a user", texts(last, "USER"), "couponry"),
        ("only what was built", texts(last, "COPY"), "--from=build /built/* /usr/local/bin/"),
        ("the data", texts(last, "VOLUME"), "[\"/data\"]"),
    ];
    for (what, found, want) in rows {
        assert_eq!(found, [want], "{what}");
    }
    let position = |name: &str| last.iter().rposition(|(it, _)| *it == name);
    assert!(position("RUN") < position("USER"), "nothing is installed as the user of the service");
    let built = texts(&stages[0], "RUN").join("\n");
    for name in ["couponry", "couponry-history", "couponry-kafka"] {
        assert!(built.contains(&format!("target/dist/{name}")), "{name} is not in the image");
    }
}

#[test]
fn the_image_runs_without_rights() {
    let data = Data::new();
    let there = on_a_copy(&data, &["setpriv", "--version"]);
    let there = if there.code == Some(0) { Ok(()) } else { Err(there.stderr) };
    if or_not_run(SUITE, "root, and `unshare` with overlays", there).is_none() {
        return;
    }
    let stages = stages();
    let last = stages.last().expect("a stage");
    let steps: Vec<&str> =
        texts(last, "RUN").into_iter().filter(|run| !run.contains("apt-get")).collect();
    let health = texts(last, "HEALTHCHECK").concat();
    let (_, health) = health.split_once("CMD ").expect("a command");
    let start = [words(&texts(last, "ENTRYPOINT").concat()), words(&texts(last, "CMD").concat())];
    let settings = [
        format!("steps='{}'", steps.join("\n")),
        format!("user={}", texts(last, "USER").concat()),
        format!("environment=({})", texts(last, "ENV").concat()),
        format!("start=({})", start.concat().join(" ")),
        format!("health=({})", words(health).join(" ")),
    ];
    let write = |name: &str, text: &str| {
        fs::write(data.folder().join(name), text).expect("a script");
    };
    write("image.sh", &settings.join("\n"));
    write("life.sh", LIFE);
    let binary = data.folder().join("couponry");
    fs::copy(Path::new(COUPONRY), &binary).expect("the binary");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("its mode");
    let ran = on_a_copy(&data, &["bash", "/packages/life.sh"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.ends_with("it has stopped, and the data is in the volume\n"), "{ran:?}");
}
