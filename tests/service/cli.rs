//! The command line: help, wrong calls, tokens, settings and their sources.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::data::{Data, wait_until};
use super::docs::commands;

#[test]
fn help() {
    let data = Data::new();
    let help = data.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    let all = commands(&help.stdout);
    assert!(all.len() >= 20, "commands are missing: {all:?}");
    let mut lacking = Vec::new();
    for command in &all {
        let help = data.run(&[command, "--help"]);
        assert_eq!(help.code, Some(0), "{command}: {}", help.stderr);
        // In a group, each command has it.
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
            let call = format!("couponry {path}");
            let has_example = text.lines().any(|it| it.starts_with("  ") && it.contains(&call));
            if !text.contains("Exit codes: ") || !has_example {
                lacking.push(path);
            }
        }
    }
    assert!(lacking.is_empty(), "no exit codes or no example in the help of {lacking:?}");
}

/// `help settings` lists all settings; every other help has its own options first, then one line
/// that names it.
#[test]
fn help_about_settings() {
    const LINE: &str = "`couponry help settings`";
    let data = Data::new();
    let topic = data.run(&["help", "settings"]);
    assert_eq!(topic.code, Some(0), "{topic:?}");
    let words = ["--listen <HOST:PORT>", "COUPONRY_LISTEN", "key listen", "127.0.0.1:8080"];
    for word in words.into_iter().chain(["--config", "COUPONRY_CQL_PASSWORD"]) {
        assert!(topic.stdout.contains(word), "{word} is missing: {}", topic.stdout);
    }
    assert_eq!(data.run(&["settings"]).code, Some(0), "the topic as a command");
    // Name, call, an option of its own.
    let rows: [(&str, &[&str], &str); 4] = [
        ("of a command", &["compact", "--help"], "--dry-run"),
        ("in short", &["compact", "-h"], "--dry-run"),
        ("by `help`", &["help", "coupon", "void"], "--reason"),
        ("of all", &["--help"], "doctor"),
    ];
    for (name, arguments, own) in rows {
        let help = data.run(arguments);
        assert_eq!(help.code, Some(0), "{name}: {help:?}");
        let (before, after) = help.stdout.split_once(LINE).expect("the line about settings");
        assert!(before.contains(own) && !after.contains(LINE), "{name}: {}", help.stdout);
        assert!(!help.stdout.contains("COUPONRY_LISTEN"), "{name}: {}", help.stdout);
    }
}

#[test]
fn wrong_calls() {
    let data = Data::new();
    fs::write(data.folder().join("bad.toml"), "colour = \"red\"\n").expect("bad.toml");
    let away = "cql://127.0.0.1:1/k";
    let rows: [(&str, &[&str]); 27] = [
        ("no command", &[]),
        ("an unknown command", &["redeem"]),
        ("an unknown flag", &["serve", "--colour", "red"]),
        ("no role", &["token"]),
        ("an unknown role", &["token", "--role", "king"]),
        ("a user without a name", &["token", "--role", "user"]),
        ("no time at all", &["token", "--role", "admin", "--ttl", "0h"]),
        ("more than a year", &["token", "--role", "admin", "--ttl", "367d"]),
        ("another hot store", &["config", "--hot", "redis://h/k"]),
        ("a cluster without a keyspace", &["config", "--hot", "cql://h:9042"]),
        ("a keyspace that is none", &["config", "--hot", "cql://h:9042/My-Shop"]),
        ("a password in the address", &["config", "--hot", "cql://me:hunter2@h/k"]),
        ("a password as a flag", &["config", "--cql-password", "hunter2"]),
        ("a user without a password", &["config", "--cql-user", "me"]),
        ("the schema of a data folder", &["schema", "apply"]),
        ("a schema without a verb", &["schema", "--hot", away]),
        ("no copy at all", &["schema", "apply", "--hot", away, "--replication", "0"]),
        ("a compaction that is none", &["schema", "apply", "--hot", away, "--compaction", "x"]),
        ("no such certificate", &["schema", "diff", "--hot", away, "--cql-authority", "no.pem"]),
        ("a backup of a cluster", &["backup", "to", "--hot", away]),
        ("a backup into a cluster", &["restore", "from", "--hot", away]),
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
        assert!(!ran.stderr.contains("hunter2"), "{name}: it shows a password: {ran:?}");
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
fn settings_and_their_sources() {
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
fn settings_of_a_cluster() {
    let data = Data::new();
    let file = "cql_user = \"shop\"\ncql_password = \"geheim\"\ncql_datacenter = \"dc1\"\n";
    fs::write(data.folder().join("couponry.toml"), file).expect("couponry.toml");
    let hot = ["config", "--hot", "cql://a,b:1/shop"];
    let plain = data.run(&hot);
    assert_eq!(plain.code, Some(2), "a password would leave the machine unencrypted: {plain:?}");
    assert!(plain.stderr.contains("--cql-plain-password"), "{plain:?}");
    let here = data.run(&["config", "--hot", "cql://localhost/shop"]);
    assert_eq!(here.code, Some(0), "a password stays on this machine: {here:?}");
    let given = |more: &[&str], environment: &[(&str, &str)]| {
        let mut command = data.command(hot.iter().chain(more));
        let output = command.envs(environment.iter().copied()).output().expect("config runs");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{printed}");
        assert!(!printed.contains("geheim"), "a password is shown: {printed}");
        printed
    };
    let (file, flag) = ("couponry.toml", "flag or environment");
    let plain = "--cql-plain-password";
    let (none, never) = (
        given(&[plain], &[]),
        given(&["--compact-every", "15m", "--cql-plain-password=true"], &[]),
    );
    let set = given(&["--cql-authority", "ca.pem"], &[("COUPONRY_CQL_PASSWORD", "geheim-2")]);
    let rows = [
        ("ports where none are named", &none, "hot", "cql://a:9042,b:1/shop", flag),
        ("a user", &none, "cql_user", "shop", file),
        ("a password", &none, "cql_password", "set", file),
        ("a password in the environment", &set, "cql_password", "set", flag),
        ("a data centre", &none, "cql_datacenter", "dc1", file),
        ("a certificate", &set, "cql_authority", "ca.pem", flag),
        ("who compacts", &none, "compact_every", "0", "default"),
        ("who compacts, by choice", &never, "compact_every", "15m", flag),
    ];
    for (name, printed, setting, value, origin) in rows {
        let line = format!("{setting} = {value}  # {origin}");
        assert!(printed.lines().any(|it| it == line), "{name}: no {line:?} in {printed}");
    }
}

/// A token as Keycloak signs them: its roles are a list within another claim.
#[test]
fn a_role_within_other_claims() {
    let data = Data::new();
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
    // RFC 8410: the bytes of the key behind what says which kind it is.
    let spki = [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", pair.public_key().as_ref()];
    let spki = STANDARD.encode(spki.concat());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n");
    fs::write(data.folder().join("key.pem"), pem).expect("a file");
    let claims = json!({"iss": "https://id.example", "aud": "coupons", "sub": "eva",
        "exp": 4_000_000_000_u64, "realm_access": {"roles": ["offline", "couponry-operator"]}});
    let head = json!({"alg": "EdDSA", "typ": "JWT"});
    let signed = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
    let token = format!("{signed}.{signature}");
    for (name, claim, status) in [
        ("the claim of Keycloak", Some("realm_access.roles"), 200),
        ("another", Some("resource_access.roles"), 401),
        ("the default", None, 401),
    ] {
        let server = data.serve_with(|command| {
            command.args(["--identity-issuer", "https://id.example"]);
            command.args(["--identity-audience", "coupons", "--identity-algorithm", "EdDSA"]);
            command.args(["--identity-key", "key.pem"]);
            command.args(claim.iter().flat_map(|claim| ["--identity-role-claim", claim]));
        });
        assert_eq!(server.client(&token).get("/v1/campaigns").status, status, "{name}");
        server.stop();
    }
}

/// A mistyped folder gets no keys, whose tokens nobody would take.
#[test]
fn what_signs_and_reads_makes_nothing() {
    let data = Data::new();
    let calls: [&[&str]; 9] = [
        &["token", "--role", "admin"],
        &["console"],
        &["key", "list"],
        &["campaign", "list"],
        &["coupon", "show", "CODE0001"],
        &["export", "coupons"],
        &["history", "user", "ann"],
        &["events"],
        &["verify"],
    ];
    for call in calls {
        let ran = data.run(call);
        assert_eq!(ran.code, Some(1), "{call:?}: {ran:?}");
        assert!(ran.stderr.contains("--data") && ran.stdout.is_empty(), "{call:?}: {ran:?}");
        assert!(ran.stderr.contains(data.path().to_str().expect("UTF-8")), "{call:?}: {ran:?}");
        assert!(!data.path().exists(), "{call:?}: it has made a data folder");
    }
    let mut relative = data.command(["token", "--role", "admin"]);
    let ran = data.run_command({
        relative.env("COUPONRY_DATA", "wrong");
        relative
    });
    let whole = data.folder().canonicalize().expect("a folder").join("wrong");
    assert!(ran.stderr.contains(whole.to_str().expect("UTF-8")), "where it looked: {ran:?}");
}

/// What `serve` refuses, `config` and `doctor` refuse in the same words.
#[test]
fn settings_that_do_not_go_together() {
    const ISSUER: [&str; 4] =
        ["--identity-issuer", "https://id.example", "--identity-audience", "a"];
    const JWKS: [&str; 2] = ["--identity-jwks", "https://id.example/certs"];
    let rows: [(&str, Vec<&str>, &str); 18] = [
        (
            "an algorithm too much",
            [&ISSUER[..], &JWKS, &["--identity-algorithm", "RS256"]].concat(),
            "leave out identity_algorithm",
        ),
        (
            "a key too much",
            [&ISSUER[..], &JWKS, &["--identity-key", "key.pem"]].concat(),
            "leave out identity_key",
        ),
        (
            "a key alone",
            [&ISSUER[..], &["--identity-key", "key.pem"]].concat(),
            "identity_algorithm is not",
        ),
        (
            "an algorithm alone",
            [&ISSUER[..], &["--identity-algorithm", "RS256"]].concat(),
            "identity_key is not",
        ),
        ("no keys", ISSUER.to_vec(), "set identity_jwks"),
        ("no audience", ISSUER[..2].to_vec(), "identity_audience is not"),
        ("no issuer", ISSUER[2..].to_vec(), "identity_issuer is not"),
        (
            "keys to read on the way",
            [&ISSUER[..], &["--identity-jwks", "http://id.example"]].concat(),
            "want https",
        ),
        ("a console without an issuer", vec!["--console-client", "c"], "identity_issuer"),
        (
            "a client whose secret is not there",
            [&ISSUER[..], &JWKS, &["--console-client", "c", "--console-client-secret", "none"]]
                .concat(),
            "console_client_secret",
        ),
        (
            "a client whose secret has two lines",
            [&ISSUER[..], &JWKS, &["--console-client", "c", "--console-client-secret", "two"]]
                .concat(),
            "several lines",
        ),
        ("queries to read on the way", vec!["--console-history", "http://h.example"], "want https"),
        ("days that are none", vec!["--notify-days", "soon"], "notify_days"),
        ("a zone that is none", vec!["--console-time-zone", "Nowhere/None"], "console_time_zone"),
        ("a switch that is none", vec!["--sign-up", "maybe"], "sign_up"),
        ("a proxy that is none", vec!["--trusted-proxies", "proxy"], "trusted_proxies"),
        ("a space that is none", vec!["--spaces", "acme"], "spaces"),
        ("a share that is none", vec!["--traces-percent", "101"], "traces_percent"),
    ];
    let data = Data::new();
    data.serve().stop();
    fs::write(data.folder().join("two"), "one\ntwo\n").expect("a file");
    for (name, flags, word) in rows {
        let with = |call: &[&'static str]| data.run(&[call, &flags].concat());
        let serve = with(&["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(serve.code, Some(2), "{name}: {serve:?}");
        let said = serve.stderr.strip_prefix("couponry: ").expect("a sentence");
        assert!(said.contains(word), "{name}: {said}");
        let config = with(&["config"]);
        assert_eq!((config.code, &*config.stderr), (Some(2), &*serve.stderr), "{name}");
        let doctor = with(&["doctor", "--quick"]);
        assert_eq!(doctor.code, Some(1), "{name}: {doctor:?}");
        let line = format!("FAIL settings: {said}");
        assert!(doctor.stdout.contains(&line), "{name}: {}", doctor.stdout);
    }
}

/// A collector that is not on this machine gets no token in the open.
#[test]
fn traces_with_a_token() {
    let data = Data::new();
    let rows = [
        ("open, without a token", "http://collector.example:4318", None, 0),
        ("open, with one", "http://collector.example:4318", Some("OTEL_EXPORTER_OTLP_HEADERS"), 2),
        ("the same", "http://10.0.0.7:4318", Some("OTEL_EXPORTER_OTLP_TRACES_HEADERS"), 2),
        ("on this machine", "http://127.0.0.1:4318", Some("OTEL_EXPORTER_OTLP_HEADERS"), 0),
        ("encrypted", "https://collector.example", Some("OTEL_EXPORTER_OTLP_HEADERS"), 0),
    ];
    for (name, address, variable, code) in rows {
        let mut command = data.command(["config", "--traces", address]);
        command.envs(variable.map(|variable| (variable, "authorization=Bearer x")));
        let ran = data.run_command(command);
        assert_eq!(ran.code, Some(code), "{name}: {ran:?}");
        let names = variable.is_some_and(|variable| ran.stderr.contains(variable));
        assert_eq!(names, code == 2, "{name}: {ran:?}");
    }
}

/// No cluster: nothing listens on the port.
#[test]
fn a_cluster_that_does_not_answer() {
    let data = Data::new();
    let hot = "cql://127.0.0.1:1/shop";
    let rows: [(&str, &[&str], &str); 4] = [
        ("a new machine", &["campaign", "list"], "copy the folder `keys` from another machine"),
        ("a token of a new machine", &["token", "--role", "admin"], "copy the folder `keys`"),
        ("a key of a new machine", &["key", "add", "--kind", "code"], "copy the folder `keys`"),
        ("a cluster to come", &["schema", "diff"], "waited 10 s for the cluster cql://127.0.0.1:1"),
    ];
    for (name, arguments, why) in rows {
        let ran = data.run(&[arguments, &["--hot", hot]].concat());
        assert_eq!(ran.code, Some(1), "{name}: {ran:?}");
        assert!(ran.stderr.contains(why) && ran.stdout.is_empty(), "{name}: {ran:?}");
        assert!(!data.path().exists(), "{name}: it has made a data folder");
    }
    let mut serve = data.command(["serve", "--listen", "127.0.0.1:0", "--hot", hot]);
    let serve = serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut serve = serve.expect("the binary starts");
    let mut log = BufReader::new(serve.stderr.take().expect("stderr is piped")).lines();
    for nth in 1..=2 {
        let line = log.next().expect("a line of the log").expect("text");
        let waits = format!("waiting for the cluster: {hot}: ");
        assert!(line.contains(&waits) && line.contains("refused"), "line {nth}: {line}");
    }
    kill_process(Pid::from_child(&serve), Signal::TERM).expect("SIGTERM");
    let ended = serve.wait_with_output().expect("the end of serve");
    assert_eq!(ended.status.code(), Some(0), "a signal ends the wait");
    assert!(ended.stdout.is_empty(), "there was nothing to serve");
    let keys: Vec<_> = fs::read_dir(data.path().join("keys")).expect("keys").collect();
    assert!(keys.is_empty(), "keys are made when it is known that there are none: {keys:?}");
}

#[test]
fn small_commands() {
    let data = Data::new();
    let server = data.serve();
    let address = server.address.to_string();
    let openapi: Value = serde_json::from_str(&data.run(&["openapi"]).stdout).expect("JSON");
    assert_eq!(openapi, server.client("").get("/openapi.json").must(200).json());
    let shape = |name: &str| data.run(&["openapi", "--shape", name]);
    assert!(shape("FeedEvent").stdout.contains("json-schema.org"));
    assert_eq!(shape("Nothing").code, Some(2));
    // It waits two seconds for an answer.
    wait_until("healthy", || data.run(&["healthcheck", "--listen", &address]).code == Some(0));
    // By a flag, or by the variable that other commands take.
    let url = format!("http://{address}");
    let mut by_variable = data.command(["healthcheck"]);
    by_variable.env("COUPONRY_URL", &url);
    for (name, command) in
        [("a flag", data.command(["healthcheck", "--url", &url])), ("a variable", by_variable)]
    {
        let ran = data.run_command(command);
        assert!(ran.code == Some(0) && ran.stdout.contains("/healthz: 200"), "{name}: {ran:?}");
    }
    server.stop();
    let healthy = data.run(&["healthcheck", "--listen", &address]);
    assert_eq!(healthy.code, Some(1), "{healthy:?}");
    let doctor = data.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    assert!(doctor.stdout.contains("\nok   verify: "), "{doctor:?}");
    let quick = data.run(&["doctor", "--quick"]);
    assert_eq!(quick.code, Some(0), "{quick:?}");
    let all_but_rows = doctor.stdout.lines().filter(|line| !line.contains(" verify: "));
    assert_eq!(quick.stdout.lines().count(), all_but_rows.count(), "{quick:?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = data.run(&["completion", shell]);
        assert_eq!(script.code, Some(0), "{shell}: {script:?}");
        assert!(script.stdout.contains("couponry"), "{shell}");
    }
}
