//! Arrows between crates go one way, and each outside library is used only where it belongs.

#[path = "names/cargo.rs"]
mod cargo;

use std::collections::{BTreeMap, BTreeSet};

use cargo::cargo;
use serde_json::Value;

/// Each crate, and the crates of this workspace that it may use.
const ARROWS: [(&str, &[&str]); 30] = [
    ("coupon", &[]),
    ("router", &["coupon"]),
    ("hot", &["coupon", "router"]),
    ("hot-sqlite", &["coupon", "router", "hot"]),
    ("cql-session", &["coupon", "hot"]),
    ("records", &["coupon", "hot"]),
    ("hot-cql", &["coupon", "router", "hot", "cql-session"]),
    ("cold", &["coupon"]),
    ("compactor", &["coupon", "hot", "cold"]),
    ("import", &["coupon"]),
    ("engine", &["coupon", "router", "hot", "cold", "import"]),
    ("verify", &["coupon", "router", "hot", "cold"]),
    ("attempts", &[]),
    ("webhooks", &["coupon", "hot"]),
    ("passwords", &[]),
    ("command-line", &[]),
    ("server", &["passwords"]),
    ("api", &["attempts", "coupon", "engine", "passwords", "server", "webhooks"]),
    ("console", &["attempts", "coupon", "engine", "passwords", "webhooks"]),
    (
        "couponry",
        &[
            "coupon",
            "router",
            "hot",
            "hot-sqlite",
            "cql-session",
            "records",
            "hot-cql",
            "cold",
            "command-line",
            "compactor",
            "engine",
            "verify",
            "attempts",
            "webhooks",
            "server",
            "api",
            "console",
        ],
    ),
    // A second binary over the same stores. It uses the settings of the first.
    ("history", &["coupon", "hot", "cold", "engine", "server", "api", "couponry"]),
    // These two speak HTTP only.
    ("loadtest", &[]),
    ("kafka", &[]),
    // Only for tests and measurements.
    ("peers", &["loadtest"]),
    ("hot-conformance", &["coupon", "router", "hot"]),
    ("simulated-cluster", &["cql-session"]),
    (
        "simulation",
        &[
            "coupon",
            "router",
            "hot",
            "cql-session",
            "records",
            "hot-cql",
            "cold",
            "compactor",
            "engine",
            "verify",
            "simulated-cluster",
        ],
    ),
    ("testengines", &[]),
    ("testbucket", &["testengines"]),
    ("testcluster", &["testengines"]),
];

/// Libraries that only one crate may use, or only the crates of binaries. The peers have their own
/// HTTP front end, which is measured.
const ALONE: [(&str, &[&str]); 13] = [
    ("rusqlite", &["attempts", "hot-sqlite"]),
    ("scylla", &["cql-session", "hot-cql", "simulated-cluster", "simulation"]),
    ("delta_kernel", &["cold"]),
    ("parquet", &["cold"]),
    ("object_store", &["cold", "simulation"]),
    ("axum", &["api", "console", "peers", "server"]),
    ("jsonwebtoken", &["api"]),
    ("hyper", &["kafka", "server"]),
    ("utoipa", &["api"]),
    ("clap", &["couponry", "history", "kafka", "loadtest", "peers", "simulation"]),
    ("datafusion", &["history"]),
    ("rdkafka", &["kafka"]),
    // All others know only the part of OpenTelemetry that does nothing by itself.
    ("opentelemetry_sdk", &["couponry"]),
];

/// Each crate of the workspace and its direct dependencies by their real names, except those of its
/// tests.
fn dependencies() -> Vec<(String, BTreeSet<String>)> {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version=1"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a name").to_owned();
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies");
        let built = all.iter().filter(|dependency| dependency["kind"] != "dev");
        (text(&package["name"]), built.map(|dependency| text(&dependency["name"])).collect())
    };
    metadata["packages"].as_array().expect("packages").iter().map(of).collect()
}

/// The names of all crates that a crate is built from.
fn tree(package: &[&str]) -> BTreeSet<String> {
    let mut arguments = vec!["tree", "-e", "normal", "--prefix", "none"];
    arguments.extend(package);
    let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    cargo(&arguments).lines().map(name).collect()
}

#[test]
fn arrows_go_one_way() {
    let crates = dependencies();
    let ours: BTreeSet<&str> = crates.iter().map(|(name, _)| name.as_str()).collect();
    for (name, found) in &crates {
        let row = ARROWS.iter().find(|(given, _)| given == name);
        let (_, may) = row.unwrap_or_else(|| panic!("{name} has no row in ARROWS"));
        for other in found.iter().filter(|other| ours.contains(other.as_str())) {
            assert!(may.contains(&other.as_str()), "{name} uses {other}, it may use {may:?}");
        }
    }
    assert_eq!(crates.len(), ARROWS.len(), "a crate is gone: {ours:?}");
}

/// The longest chain of crates of this workspace that ends with this one.
fn chain<'a>(name: &str, crates: &'a [(String, BTreeSet<String>)]) -> Vec<&'a str> {
    let Some((name, named)) = crates.iter().find(|(ours, _)| ours == name) else {
        return Vec::new();
    };
    let below = named.iter().map(|other| chain(other, crates));
    let mut chain = below.max_by_key(Vec::len).unwrap_or_default();
    chain.push(name);
    chain
}

#[test]
fn chains_are_short() {
    let crates = dependencies();
    for (name, _) in &crates {
        let most = if name == "history" { 7 } else { 6 };
        let chain = chain(name, &crates);
        assert!(chain.len() <= most, "{} crates, at most {most}: {chain:?}", chain.len());
    }
}

#[test]
fn libraries_stay_where_they_belong() {
    let crates = dependencies();
    for (library, homes) in ALONE {
        let mut found: Vec<&str> = crates
            .iter()
            .filter(|(_, named)| named.contains(library))
            .map(|(name, _)| name.as_str())
            .collect();
        found.sort_unstable();
        assert_eq!(found, homes, "{library}");
    }
}

#[test]
fn pure() {
    let rows: [(&str, &[&str], &[&str]); 5] = [
        ("coupon", &["-p", "coupon"], &["tokio", "serde", "serde_json", "rand", "libc"]),
        ("router", &["-p", "router"], &["tokio", "serde", "rusqlite"]),
        ("hot", &["-p", "hot"], &["tokio", "rusqlite", "scylla"]),
        ("import", &["-p", "import"], &["tokio", "hot", "rusqlite"]),
        ("the workspace", &["--workspace"], &["aws-lc-sys", "aws-lc-rs", "openssl-sys"]),
    ];
    for (name, package, without) in rows {
        let tree = tree(package);
        assert!(tree.len() > 1, "{name}: an empty tree");
        for library in without {
            assert!(!tree.contains(*library), "{name} is built from {library}");
        }
    }
}

/// The libraries of a selection of crates and of their tests, each with its features.
fn libraries(selection: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let mut arguments = vec!["tree", "-e", "normal,dev,no-proc-macro"];
    arguments.extend(["--prefix", "none", "--format", "{p}|{f}"]);
    arguments.extend(selection);
    let mut libraries = BTreeMap::<String, BTreeSet<String>>::new();
    for (library, features) in cargo(&arguments).lines().filter_map(|line| line.split_once('|')) {
        let features = features.trim_end_matches(" (*)");
        libraries.entry(library.to_owned()).or_default().insert(features.to_owned());
    }
    libraries
}

#[test]
fn libraries_are_built_once() {
    let script = include_str!("../../../.ci/run");
    let builds = script.lines().filter_map(|line| line.trim_start().strip_prefix("cargo test "));
    let selections = builds.filter_map(|build| build.split_once(" --all-targets --no-run"));
    let built: Vec<_> = selections
        .map(|(selection, _)| libraries(&selection.split(' ').collect::<Vec<_>>()))
        .collect();
    let [first, second] = &built[..] else { panic!("{} builds in .ci/run", built.len()) };
    for (library, features) in second {
        if let Some(before) = first.get(library) {
            assert_eq!(features, before, "{library}: see crates/testengines/Cargo.toml");
        }
    }
}
