//! Which suites run that need another program: the only place that decides it.
//!
//! `cargo test` needs Rust and a C compiler, and does the same on every machine, whatever else is installed there. A
//! suite that needs an [`Engine`] prints one line that begins with `NOT RUN`, and passes. `.ci/run` asks for all engines
//! with `COUPONRY_REQUIRE_ENGINES=1`. A person asks for one of them with its variable, as in `COUPONRY_KAFKA=1`. An
//! engine that was asked for and is missing fails its suites. `.ci/run` sets the variable of an engine that a machine
//! cannot have to `none`.

use std::collections::BTreeSet;
use std::io::{Write, stderr};
use std::sync::{Mutex, PoisonError};

/// With `1` every engine is asked for, and repetitions are as many as CI has time for.
const ALL: &str = "COUPONRY_REQUIRE_ENGINES";

/// A C compiler. Rust needs one, too, so its suites run wherever it is there.
pub const CC: &str = "`cc`, a C compiler";

/// A program or a right that only some suites need, and that a machine with Rust may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engine {
    variable: &'static str,
    /// What it is, and what a machine needs for it.
    what: &'static str,
}

impl Engine {
    pub const BROWSER: Engine = Engine::new("COUPONRY_BROWSER", "Chromium, and `node` with `npm`");
    pub const CASSANDRA: Engine = Engine::new(
        "COUPONRY_CASSANDRA",
        "Apache Cassandra, which Maven and Java 17 download and run",
    );
    pub const CLIENTS: Engine = Engine::new(
        "COUPONRY_CLIENTS",
        "packages of PyPI, npm and Maven: `python3` with `venv`, `node` with `npm`, `mvn` with a JDK",
    );
    pub const COLLECTOR: Engine =
        Engine::new("COUPONRY_COLLECTOR", "a collector of OpenTelemetry, built with Go");
    pub const HELM: Engine =
        Engine::new("COUPONRY_HELM", "Helm and kubectl-validate, built with Go");
    pub const KAFKA: Engine =
        Engine::new("COUPONRY_KAFKA", "Apache Kafka, which Maven and Java 17 download and run");
    pub const KUBERNETES: Engine =
        Engine::new("COUPONRY_KUBERNETES", "an API server of Kubernetes, built with Go");
    pub const LITESTREAM: Engine =
        Engine::new("COUPONRY_LITESTREAM", "Litestream of PyPI: `python3` with `venv`");
    pub const PACKAGE: Engine = Engine::new(
        "COUPONRY_PACKAGE",
        "root, `unshare` with overlays, `dpkg`, and Python with `venv` and PyPI",
    );
    pub const PEERS: Engine = Engine::new("COUPONRY_PEERS", "PostgreSQL and Redis");
    pub const PODMAN: Engine = Engine::new(
        "COUPONRY_PODMAN",
        "root, Podman with `runc`, and the files of a Debian from `debootstrap`",
    );
    pub const PROMETHEUS: Engine = Engine::new("COUPONRY_PROMETHEUS", "Prometheus, built with Go");
    pub const PROXIES: Engine =
        Engine::new("COUPONRY_PROXIES", "nginx and Caddy, as Debian has them");
    pub const READERS: Engine = Engine::new(
        "COUPONRY_READERS",
        "deltalake, polars and DuckDB of PyPI: `python3` with `venv`",
    );
    pub const ROOT: Engine =
        Engine::new("COUPONRY_ROOT", "root, to mount a small or read-only disk");
    pub const S3: Engine =
        Engine::new("COUPONRY_S3", "an S3 server: versitygw, built with Go, or moto of PyPI");
    pub const SPARK: Engine =
        Engine::new("COUPONRY_SPARK", "Spark, a gigabyte that Maven, Java 17 and PyPI download");
    pub const STRACE: Engine = Engine::new("COUPONRY_STRACE", "`strace`, and the right to use it");
    pub const SYSTEMD: Engine = Engine::new("COUPONRY_SYSTEMD", "`systemd-analyze`");

    const fn new(variable: &'static str, what: &'static str) -> Engine {
        Engine { variable, what }
    }

    /// Whether somebody wants the suites of this engine to run. If not, prints that `suite` does not.
    ///
    /// # Panics
    /// If its variable has another value than `1` or `none`.
    pub fn is_asked_for(self, suite: &str) -> bool {
        let Engine { variable, what } = self;
        match decide(variable, std::env::var(variable).ok().as_deref(), is_ci()) {
            SuiteDecision::Run => true,
            SuiteDecision::NotAskedFor => {
                not_run(&format!(
                    "{suite} needs {what}; .ci/run runs it, and so does {variable}=1"
                ));
                false
            }
            SuiteDecision::CannotBeHad => {
                not_run(&format!("{suite} needs {what}, and {variable}=none"));
                false
            }
        }
    }

    /// What `find` finds, if the engine is [asked for](Engine::is_asked_for).
    ///
    /// # Panics
    /// If it is asked for and `find` fails, with its reason.
    pub fn found<T>(self, suite: &str, find: impl FnOnce() -> Result<T, String>) -> Option<T> {
        let found = self.is_asked_for(suite).then(find)?;
        Some(found.unwrap_or_else(|why| self.is_missing(suite, &why)))
    }

    /// Fails a suite whose engine was asked for and is not there.
    ///
    /// # Panics
    /// Always.
    pub fn is_missing(self, suite: &str, why: &str) -> ! {
        let Engine { variable, what } = self;
        panic!("{suite} needs {what}, and {ALL} or {variable} asks for it: {why}")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SuiteDecision {
    Run,
    NotAskedFor,
    CannotBeHad,
}

/// By the value of the engine's own variable, and whether all engines are asked for.
fn decide(variable: &str, own: Option<&str>, all: bool) -> SuiteDecision {
    match own {
        Some("none") => SuiteDecision::CannotBeHad,
        Some("1") => SuiteDecision::Run,
        None | Some("") if all => SuiteDecision::Run,
        None | Some("") => SuiteDecision::NotAskedFor,
        Some(other) => panic!("{variable} is {other:?}, want 1 or none"),
    }
}

fn is_ci() -> bool {
    std::env::var(ALL).is_ok_and(|it| it == "1")
}

/// How often a test repeats something: `usual` times, and in CI `in_ci` times.
pub fn times<Count>(usual: Count, in_ci: Count) -> Count {
    if is_ci() { in_ci } else { usual }
}

/// Whether a suite may run that needs `what`, which nearly every machine has, and this one if `there`. If not, prints a
/// line.
///
/// # Panics
/// If it is not there, and CI runs.
pub fn may_run(suite: &str, what: &str, there: bool) -> bool {
    if !there {
        assert!(!is_ci(), "{suite} needs {what}, and {ALL}=1");
        not_run(&format!("{suite} needs {what}"));
    }
    there
}

/// Prints once in each process that something does not run, and why.
///
/// The lines pass by the harness, which prints the output of a test only if the test fails.
pub fn not_run(what_and_why: &str) {
    static PRINTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut printed = PRINTED.lock().unwrap_or_else(PoisonError::into_inner);
    if printed.insert(what_and_why.to_owned()) {
        // Without an output there is nobody to tell.
        let _ = writeln!(stderr(), "NOT RUN: {what_and_why}");
    }
}

/// The name of the suites of this process, as in `hot-cql conformance`.
pub fn this_suite() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let file = program.file_name().unwrap_or_default().to_string_lossy();
    let target = file.rsplit_once('-').map_or(&*file, |(name, _hash)| name);
    // Cargo tells it to the tests that it runs.
    match std::env::var("CARGO_PKG_NAME") {
        Ok(package) => format!("{package} {target}"),
        Err(_) => target.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{SuiteDecision, decide};

    #[test]
    fn decisions() {
        use SuiteDecision::{CannotBeHad, NotAskedFor, Run};
        let rows = [
            ("nobody asks", None, false, NotAskedFor),
            ("an empty value is none", Some(""), false, NotAskedFor),
            ("a person asks for it", Some("1"), false, Run),
            ("CI asks for everything", None, true, Run),
            ("CI, and a person", Some("1"), true, Run),
            ("CI could not have it", Some("none"), true, CannotBeHad),
            ("a person could not have it", Some("none"), false, CannotBeHad),
        ];
        for (name, own, all, want) in rows {
            assert_eq!(decide("COUPONRY_KAFKA", own, all), want, "{name}");
        }
    }

    #[test]
    #[should_panic(expected = "COUPONRY_KAFKA is \"yes\", want 1 or none")]
    fn another_value() {
        decide("COUPONRY_KAFKA", Some("yes"), false);
    }
}
