//! The Helm chart in `deploy/kubernetes`: what it makes is what `rendered` has, Kubernetes takes each object, and
//! values that cannot work are refused.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use testengines::Engine;

use super::data::{Data, Ran, wait_until};
use super::engine::{Running, Script, free_port, root};

const SUITE: &str = "chart for Kubernetes";

const HELM: Script = Script { name: "helm", engine: Engine::HELM };

const KUBERNETES: Script = Script { name: "kubernetes", engine: Engine::KUBERNETES };

fn folder() -> PathBuf {
    root().join("deploy/kubernetes")
}

fn tool(data: &Data, args: &[&str]) -> Ran {
    HELM.ran(data, &folder(), args)
}

/// What the chart makes of values.
fn rendered(data: &Data, values: &[&str]) -> Ran {
    let head = ["helm", "template", "coupons", "couponry", "--namespace", "shop"];
    tool(data, &[head.as_slice(), values].concat())
}

#[test]
fn what_the_chart_makes() {
    let data = Data::new();
    if !HELM.is_there(SUITE) {
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

/// An API server.
struct Api<'a> {
    data: &'a Data,
    folder: PathBuf,
    port: u16,
    _running: Running,
}

impl Api<'_> {
    fn beside(data: &Data) -> Api<'_> {
        let (folder, port) = (data.folder().join("kubernetes"), free_port());
        fs::create_dir(&folder).expect("a folder");
        let running = KUBERNETES.run(&folder, port);
        let api = Api { data, folder, port, _running: running };
        wait_until("the API server", || api.asked("/readyz", None).ends_with("ok"));
        api
    }

    /// Head and body of the answer to a GET, or to a POST of an object in YAML or JSON.
    fn asked(&self, path: &str, object: Option<&str>) -> String {
        let config = fs::read_to_string(self.folder.join("kubeconfig")).unwrap_or_default();
        let token = config.split("token: ").nth(1).and_then(|it| it.split('}').next());
        let mut curl = Command::new("curl");
        curl.args(["-sSik", "--noproxy", "*", "-H"]);
        curl.arg(format!("Authorization: Bearer {}", token.unwrap_or_default()));
        if let Some(object) = object {
            let path = self.data.folder().join("object");
            fs::write(&path, object).expect("the object");
            let body = format!("@{}", path.display());
            curl.args(["-H", "Content-Type: application/yaml", "--data-binary", &body]);
        }
        curl.arg(format!("https://127.0.0.1:{}{path}", self.port));
        self.data.run_command(curl).stdout
    }

    #[track_caller]
    fn made(&self, path: &str, object: &str) -> String {
        let answer = self.asked(path, Some(object));
        assert!(answer.starts_with("HTTP/2 201"), "{path}: {answer}");
        answer
    }

    fn list(&self, path: &str) -> Vec<Value> {
        let answer = self.asked(path, None);
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let list: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
        list["items"].as_array().expect("a list").clone()
    }

    fn helm(&self, args: &[&str]) -> Ran {
        let config = format!("--kubeconfig={}", self.folder.join("kubeconfig").display());
        tool(self.data, &[&["helm"], args, &["--namespace", "shop", &config]].concat())
    }
}

/// The objects are accepted by a real API server that enforces the strictest rules for pods: when the chart is
/// installed, when it is upgraded, and the pods that follow from them.
#[test]
fn an_api_server_takes_it() {
    let data = Data::new();
    if !HELM.is_there(SUITE) || !KUBERNETES.is_there(SUITE) {
        return;
    }
    let api = Api::beside(&data);
    let rules = "pod-security.kubernetes.io";
    api.made(
        "/api/v1/namespaces",
        &format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: shop, labels: {{{rules}/enforce: restricted, \
             {rules}/warn: restricted}}}}}}"
        ),
    );
    for kind in fs::read_dir(api.folder.join("operator")).expect("kinds of the operator") {
        let kind = fs::read_to_string(kind.expect("a file").path()).expect("a kind");
        api.made("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &kind);
    }
    wait_until("the kinds of the operator", || {
        let known = api.asked("/apis/monitoring.coreos.com/v1", None);
        known.contains("servicemonitors") && known.contains("prometheusrules")
    });
    for (name, pods_of) in [("embedded", "statefulsets"), ("cluster", "deployments")] {
        let values = format!("examples/{name}.yaml");
        let steps = [
            vec!["install", "coupons", "couponry", "--values", &values],
            vec![
                "upgrade",
                "coupons",
                "couponry",
                "--values",
                &values,
                "--set",
                "image.tag=9.9.9",
                "--set",
                "settings.TRACES=http://collector:4318",
            ],
            vec!["rollback", "coupons", "1"],
        ];
        for args in steps {
            let ran = api.helm(&args);
            assert_eq!(ran.code, Some(0), "{name}, {args:?}: {}", ran.stderr);
            assert!(!ran.stderr.contains("would violate"), "{name}: {}", ran.stderr);
        }
        let all = [
            (format!("/apis/apps/v1/namespaces/shop/{pods_of}"), "/spec/template"),
            (
                "/apis/batch/v1/namespaces/shop/cronjobs".to_owned(),
                "/spec/jobTemplate/spec/template",
            ),
        ];
        for (path, template) in all {
            let owners = api.list(&path);
            assert!(!owners.is_empty(), "{name}: {path}");
            for owner in owners {
                let owner_name = &owner["metadata"]["name"];
                let mut pod = owner.pointer(template).expect("a template of pods").clone();
                pod["apiVersion"] = "v1".into();
                pod["kind"] = "Pod".into();
                pod["metadata"]["name"] = owner_name.clone();
                // A StatefulSet adds the volumes of its own claims.
                let claims = owner["spec"]["volumeClaimTemplates"].as_array();
                for claim in claims.into_iter().flatten() {
                    let claim = &claim["metadata"]["name"];
                    let volume =
                        json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}});
                    match pod["spec"]["volumes"].as_array_mut() {
                        Some(volumes) => volumes.push(volume),
                        None => pod["spec"]["volumes"] = json!([volume]),
                    }
                }
                let pods = "/api/v1/namespaces/shop/pods?dryRun=All";
                api.made(pods, &pod.to_string());
                // The server refuses what breaks its rules.
                pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] =
                    true.into();
                let refused = api.asked(pods, Some(&pod.to_string()));
                assert!(refused.starts_with("HTTP/2 403"), "{name}, {owner_name}: {refused}");
            }
        }
        let ran = api.helm(&["uninstall", "coupons"]);
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.stderr);
    }
}
