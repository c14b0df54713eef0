//! The Helm chart in `deploy/kubernetes`: what it makes is what `rendered` has, Kubernetes takes each object, and
//! values that cannot work are refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::data::{Data, Ran};
use super::downloads::or_not_run;

const SUITE: &str = "chart for Kubernetes";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folder() -> PathBuf {
    root().join("deploy/kubernetes")
}

fn tool(data: &Data, args: &[&str]) -> Ran {
    let mut command = Command::new(root().join("tests/engines/helm"));
    command.args(args).current_dir(folder());
    data.run_command(command)
}

/// What the chart makes of values.
fn rendered(data: &Data, values: &[&str]) -> Ran {
    let head = ["helm", "template", "coupons", "couponry", "--namespace", "shop"];
    tool(data, &[head.as_slice(), values].concat())
}

#[test]
fn what_the_chart_makes() {
    if std::env::var("COUPONRY_HELM").is_ok_and(|it| it == "none") {
        eprintln!("NOT RUN: {SUITE}: there is no Helm on this machine");
        return;
    }
    let data = Data::new();
    let fetched = tool(&data, &["fetch"]);
    let there = if fetched.code == Some(0) { Ok(()) } else { Err(fetched.stderr) };
    if or_not_run(SUITE, "Helm and kubectl-validate, built with Go", there).is_none() {
        return;
    }
    for name in ["embedded", "cluster"] {
        let values = format!("examples/{name}.yaml");
        let linted = tool(&data, &["helm", "lint", "--strict", "couponry", "--values", &values]);
        assert_eq!(linted.code, Some(0), "{name}: {}{}", linted.stdout, linted.stderr);
        let made = rendered(&data, &["--values", &values]);
        assert_eq!(made.code, Some(0), "{name}: {}", made.stderr);
        let written = fs::read_to_string(folder().join(format!("rendered/{name}.yaml")));
        let again = "write it anew: tests/engines/helm helm template coupons deploy/kubernetes/couponry --namespace shop";
        assert!(
            written.expect("it") == made.stdout,
            "{name}: {again} --values deploy/kubernetes/{values}"
        );
        let (known, others): (Vec<&str>, Vec<&str>) =
            made.stdout.split("\n---\n").partition(|it| !it.contains("monitoring.coreos.com"));
        // The Prometheus operator has its own kinds, of which Kubernetes knows nothing.
        assert_eq!(others.len(), if name == "cluster" { 2 } else { 0 }, "{name}");
        assert!(known.len() >= 6, "{name}: {}", known.len());
        let path = data.folder().join("objects.yaml");
        fs::write(&path, known.join("\n---\n")).expect("the objects");
        let checked = tool(&data, &["validate", &path.to_string_lossy()]);
        assert_eq!(checked.code, Some(0), "{name}: {}{}", checked.stdout, checked.stderr);
        // The check can fail.
        fs::write(&path, made.stdout.replace("runAsNonRoot: true", "runAsNobody: true"))
            .expect("the objects");
        assert_ne!(tool(&data, &["validate", &path.to_string_lossy()]).code, Some(0), "{name}");
    }
    let wrong = [
        ("a word that is none", "replicsa=2", "replicsa"),
        ("no such mode", "mode=both", "mode"),
        ("a cluster without an address", "mode=cluster", "HOT"),
        ("an address without a cluster", "settings.HOT=cql://db:9042/shop", "HOT"),
        ("a setting that is no name", "settings.listen=x", "listen"),
        ("a size without a unit", "storage.size=100", "size"),
    ];
    for (name, value, said) in wrong {
        let ran = rendered(&data, &["--set", value]);
        assert!(ran.code != Some(0) && ran.stderr.contains(said), "{name}: {}", ran.stderr);
    }
}
