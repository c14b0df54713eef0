//! `deploy/Dockerfile`: the rules that such files are held to; and the image, built and run.

use std::fs;
use std::path::Path;

use testengines::Engine;

use super::data::{COUPONRY, Data};
use super::engine::{CANNOT, Script, free_port, root};
use super::package::binaries_are_built;

const SUITE: &str = "container image";

const PODMAN: Script = Script { name: "podman", engine: Engine::PODMAN };

const FILE: &str = include_str!("../../deploy/Dockerfile");

/// How it is built and run.
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
fn the_image_is_built_and_runs_without_rights() {
    let data = Data::new();
    if !PODMAN.is_there(SUITE) || !binaries_are_built(SUITE) {
        return;
    }
    let stages = stages();
    let from = |stage: &[Instruction]| {
        let from = texts(stage, "FROM").concat();
        from.split(' ').next().map(str::to_owned).expect("an image")
    };
    let settings = [
        format!("repository='{}'", root().display()),
        format!("binaries='{}'", Path::new(COUPONRY).parent().expect("a folder").display()),
        format!("builder='{}'", from(&stages[0])),
        format!("base='{}'", from(stages.last().expect("a stage"))),
        format!("port={}", free_port()),
    ];
    let script = data.folder().join("life.sh");
    fs::write(&script, settings.join("\n") + "\n" + LIFE).expect("a script");
    let (folder, script) = (data.folder().display().to_string(), script.display().to_string());
    let ran = PODMAN.ran(&data, data.folder(), &["run", &folder, &script]);
    if ran.code == Some(CANNOT) {
        // Its C library is newer than that of the image.
        Engine::PODMAN.is_missing(SUITE, &ran.stdout);
    }
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.ends_with("it has stopped, and the data is in the volume\n"), "{ran:?}");
}
