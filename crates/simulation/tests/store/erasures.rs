//! People are erased while callers ask in their names: a few of the seeds of `simulate` that have it.

use std::process::Command;

#[test]
fn people_are_erased_while_others_ask() {
    let seeds = ["--from", "2000000", "--seeds", "16"];
    let ran = Command::new(env!("CARGO_BIN_EXE_simulate")).args(seeds).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
}
