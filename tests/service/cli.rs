//! The command line: help, wrong calls, tokens, settings and their origins.

use std::fs;

use serde_json::{Value, json};

use super::data::{Data, wait_until};
use super::docs::commands;

#[test]
fn help() {
    let data = Data::new();
    let help = data.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    let all = commands(&help.stdout);
    let wanted = [
        "serve",
        "import",
        "export",
        "campaign",
        "coupon",
        "compact",
        "history",
        "notify",
        "backup",
        "restore",
        "token",
        "key",
        "doctor",
        "healthcheck",
        "config",
        "openapi",
        "completion",
    ];
    for command in wanted {
        assert!(all.iter().any(|it| it == command), "{command} is missing: {all:?}");
    }
    let mut lacking = Vec::new();
    for command in &all {
        let help = data.run(&[command, "--help"]);
        assert_eq!(help.code, Some(0), "{command}: {}", help.stderr);
        // Of a group, each of its commands says it.
        let below = commands(&help.stdout);
        let paths: Vec<String> = match below.as_slice() {
            [] => vec![command.clone()],
            below => below.iter().map(|sub| format!("{command} {sub}")).collect(),
        };
        for path in paths {
            let arguments: Vec<&str> = path.split(' ').chain(["--help"]).collect();
            let help = data.run(&arguments);
            assert_eq!(help.code, Some(0), "{path}: {}", help.stderr);
            let text = &help.stdout;
            let example = text
                .lines()
                .any(|it| it.starts_with("  ") && it.contains(&format!("couponry {command}")));
            if !text.contains("Exit code") && !text.contains("Example") && !example {
                lacking.push(path);
            }
        }
    }
    assert!(lacking.is_empty(), "no exit codes and no example in the help of {lacking:?}");
}

#[test]
fn wrong_calls() {
    let data = Data::new();
    fs::write(data.folder().join("bad.toml"), "colour = \"red\"\n").expect("bad.toml");
    let rows: [(&str, &[&str]); 15] = [
        ("no command", &[]),
        ("an unknown command", &["redeem"]),
        ("an unknown flag", &["serve", "--colour", "red"]),
        ("no role", &["token"]),
        ("an unknown role", &["token", "--role", "king"]),
        ("a user without a name", &["token", "--role", "user"]),
        ("no time at all", &["token", "--role", "admin", "--ttl", "0h"]),
        ("more than a year", &["token", "--role", "admin", "--ttl", "367d"]),
        ("another hot store", &["config", "--hot", "cql://h:9042/k"]),
        ("a file that is not there", &["config", "--config", "nowhere.toml"]),
        ("a setting that is none", &["config", "--config", "bad.toml"]),
        ("a log that is none", &["config", "--log-format", "xml"]),
        ("an import into nothing", &["import", "codes.csv"]),
        ("an export of nothing", &["export"]),
        ("a campaign without a verb", &["campaign"]),
    ];
    for (name, arguments) in rows {
        let ran = data.run(arguments);
        assert_eq!(ran.code, Some(2), "{name}: {ran:?}");
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{name}: {ran:?}");
        assert!(!data.path().exists(), "{name}: it has made a data folder");
    }
}

#[test]
fn tokens() {
    let data = Data::new();
    let server = data.serve();
    let rows = [
        ("admin", 200, 201),
        ("operator", 200, 403),
        ("shop", 200, 403),
        ("user", 403, 403),
        ("nobody", 401, 401),
    ];
    for (role, reads, makes) in rows {
        let token = match role {
            "nobody" => "x".to_owned(),
            role => data.token(role, "ann"),
        };
        let mut client = server.client(&token);
        let terms = json!({"campaign_id": role, "stock": 1, "expires_on": "2031-12-31"});
        assert_eq!(client.get("/v1/campaigns").status, reads, "{role}");
        assert_eq!(client.post("/v1/campaigns", &terms).status, makes, "{role}");
    }
    let short = data.run(&["token", "--role", "admin", "--ttl", "1s"]).stdout;
    let mut client = server.client(short.trim());
    wait_until("the end of a token", || client.get("/v1/campaigns").status == 401);
    let elsewhere = Data::new().token("admin", "root");
    server.client(&elsewhere).get("/v1/campaigns").must(401);
    server.stop();
}

#[test]
fn settings_and_their_origins() {
    let data = Data::new();
    let file = "free_min_mib = 64\nlog = \"warn\"\nlisten = \"127.0.0.1:1\"\n";
    fs::write(data.folder().join("couponry.toml"), file).expect("couponry.toml");
    let mut command = data.command(["config", "--listen", "127.0.0.1:2"]);
    command.env("COUPONRY_LISTEN", "127.0.0.1:3").env("COUPONRY_LOG", "debug");
    let output = command.output().expect("config runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let rows = [
        ("a flag over all", "listen", "127.0.0.1:2", "flag or environment"),
        ("the environment over the file", "log", "debug", "flag or environment"),
        ("the file over the default", "free_min_mib", "64", "couponry.toml"),
        ("the default", "hot", "sqlite", "default"),
    ];
    for (name, setting, value, origin) in rows {
        let line = printed.lines().find(|line| line.split_whitespace().next() == Some(setting));
        let line = line.unwrap_or_else(|| panic!("{name}: no {setting} in {printed}"));
        assert!(line.contains(value) && line.contains(origin), "{name}: {line}");
    }
}

#[test]
fn small_commands() {
    let data = Data::new();
    let server = data.serve();
    let address = server.address.to_string();
    let openapi: Value = serde_json::from_str(&data.run(&["openapi"]).stdout).expect("JSON");
    assert_eq!(openapi, server.client("").get("/openapi.json").must(200).json());
    let healthy = data.run(&["healthcheck", "--listen", &address]);
    assert_eq!(healthy.code, Some(0), "{healthy:?}");
    server.stop();
    let healthy = data.run(&["healthcheck", "--listen", &address]);
    assert_eq!(healthy.code, Some(1), "{healthy:?}");
    let doctor = data.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = data.run(&["completion", shell]);
        assert_eq!(script.code, Some(0), "{shell}: {script:?}");
        assert!(script.stdout.contains("couponry"), "{shell}");
    }
}
