//! The units in `deploy/systemd`: systemd understands them, and they are locked up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testengines::Engine;

use super::data::Data;

const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/systemd");

/// Highest exposure that `systemd-analyze security` may give to a service, times ten.
const EXPOSED_MAX: &str = "20";

/// The units with a binary that is there, since `verify` looks for it.
fn units(folder: &Path) -> Vec<PathBuf> {
    let binary = env!("CARGO_BIN_EXE_couponry");
    let one = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a unit").replace("/usr/bin/couponry", binary);
        let copy = folder.join(path.file_name().expect("a name"));
        fs::write(&copy, text).expect("its copy");
        copy
    };
    let units = fs::read_dir(UNITS).expect("deploy/systemd").map(|it| one(it.expect("it").path()));
    units.collect()
}

fn analyze() -> Command {
    Command::new("systemd-analyze")
}

#[test]
fn systemd_understands_the_units() {
    let find = || analyze().arg("--version").output().map_err(|error| error.to_string());
    let Some(_) = Engine::SYSTEMD.found("units of systemd", find) else { return };
    let data = Data::new();
    let units = units(data.folder());
    assert_eq!(units.len(), 5, "{units:?}");
    let verified = analyze().arg("verify").args(&units).output().expect("systemd-analyze");
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.is_empty(), "{said}");
    for unit in units.iter().filter(|it| it.extension().is_some_and(|it| it == "service")) {
        let mut command = analyze();
        command.args(["security", "--offline=true", "--threshold", EXPOSED_MAX]).arg(unit);
        let rated = command.output().expect("systemd-analyze");
        let said = String::from_utf8_lossy(&rated.stdout);
        assert!(rated.status.success(), "{}: {said}", unit.display());
    }
}
