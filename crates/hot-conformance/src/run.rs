//! Runs a case again if the cluster gave it no answer.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

/// Most runs of a case.
const RUNS_MAX: usize = 3;

/// Runs a case, and returns the message of its panic if it fails.
///
/// A case can fail because a node that no test had stopped did not answer in time, as on a machine
/// that stalls. That is no fault of couponry, so the case is run again.
pub async fn to_an_answer(name: &str, case: impl AsyncFn()) -> Result<(), String> {
    let mut runs = 0;
    loop {
        runs += 1;
        let run = AssertUnwindSafe(Box::pin(case())).catch_unwind().await;
        match run.map_err(|panic| message(&*panic)) {
            Err(message) if runs < RUNS_MAX && has_no_answer(&message) => {
                eprintln!("{name}, run again after: {message}");
            }
            run => return run,
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn has_no_answer(message: &str) -> bool {
    let unanswered = [": Unavailable(", ": Unknown("];
    unanswered.iter().any(|value| message.contains(value))
}
