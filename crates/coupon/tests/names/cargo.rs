//! What cargo says of the workspace.

use std::process::{Command, Output};

/// The answer of cargo to a question about the workspace as it is locked. Asks without the network first: with it, cargo
/// downloads what nobody has built here yet, which on a new machine are the libraries of crates that the README's tests
/// leave out.
pub(crate) fn cargo(arguments: &[&str]) -> String {
    let ask = |more: &[&str]| -> Output {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).arg("--locked").args(more);
        cargo.output().expect("cargo runs")
    };
    let mut output = ask(&["--offline"]);
    if !output.status.success() {
        output = ask(&[]);
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}
