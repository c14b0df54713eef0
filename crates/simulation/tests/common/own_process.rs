//! Runs a test in a process of its own, as `simulate` does with a seed: libraries keep what they share
//! in the process, such as the last UUID.

use std::env;
use std::process::Command;

use simulation::system::on_seed;

/// Set in the process of one test.
const OF_CASE: &str = "COUPONRY_CASE_OF_ITS_OWN";

/// Runs `case` on a seed. `test` is the whole name of the test that calls this.
pub(crate) fn run<F: Future<Output = ()>>(seed: u64, test: &str, case: impl FnOnce() -> F + Send) {
    if env::var_os(OF_CASE).is_some() {
        on_seed(seed, case);
        return;
    }
    let itself = env::current_exe().expect("the path of this test");
    let ran = Command::new(itself).args([test, "--exact", "--nocapture"]).env(OF_CASE, "").output();
    let ran = ran.expect("it can be started");
    let said = String::from_utf8_lossy(&ran.stdout);
    println!("{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains(" 1 passed"), "{}", ran.status);
}
