//! Runs cases: several at a time, and again if the cluster gave one no answer.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::{FutureExt, StreamExt, stream};
use tokio::time::Instant;

use crate::Case;
use crate::kit::Kit;

/// Most runs of a case.
const RUNS_MAX: usize = 3;

/// Cases of one module that run at the same time on one store. Each of them mostly waits for the
/// cluster.
const AT_ONCE: usize = 4;

/// Cases that have the store for themselves, and why.
const ALONE: &[(&str, &str)] = &[
    ("archived::an_archived_coupon_counts", READS_OF_COLD),
    ("archived::three_archived_coupons_count", READS_OF_COLD),
    ("archived::redeemed_by_a_shared_code", READS_OF_COLD),
    ("archived::an_untouched_code_behind_a_seal", READS_OF_COLD),
    ("archived::imported_again", READS_OF_COLD),
    ("partitions::many_coupons_are_evicted", READS_OF_COLD),
    ("partitions::cold_reads_name_the_last_archive_commit", READS_OF_COLD),
    ("archived::an_archived_coupon_is_replaced", OUTAGE),
    ("archived::bearer_codes", OUTAGE),
    ("archived::imported_beside_other_lines", OUTAGE),
    ("archived::one_order_redeems_while_archiving", OUTAGE),
    ("archived::an_outage_of_cold_is_an_error", OUTAGE),
    ("archived::untouched_asks_cold", OUTAGE),
    ("batches::untouched_codes_are_not_read_one_by_one", STATEMENTS),
    ("issue::a_long_claim_costs_little", STATEMENTS),
    ("whole::writable", STATEMENTS),
    ("partitions::emptying_leaves_other_partitions", SOUND),
    ("partitions::evicted_only_in_the_copied_version", SOUND),
    ("restored::nothing_is_redeemed_again", SOUND),
    ("people::forgotten_in_every_state", NUMBERS),
    ("people::forgotten_in_a_sealed_partition", NUMBERS),
    ("people::nothing_is_given_until_admitted", NUMBERS),
    ("people::told_once_of_everything", NUMBERS),
    ("whole::counts_after_a_mixed_load", SOUND),
    ("whole::one_of_each", SOUND),
];

const READS_OF_COLD: &str = "it counts the reads of cold";
const OUTAGE: &str = "cold is out meanwhile, for every other case, too";
const STATEMENTS: &str = "it counts the statements of the store";
const SOUND: &str = "it looks for damage in the whole store, and other cases are half done";

const NUMBERS: &str = "erasures are admitted in the sequence of their numbers";

/// Runs cases on one store, those of one module at the same time. Returns the names of those that
/// failed.
pub(crate) async fn module_by_module(kit: &Arc<Kit>, cases: &[Case]) -> Vec<&'static str> {
    let mut failed = Vec::new();
    for module in cases.chunk_by(|one, next| one.module() == next.module()) {
        let (alone, beside): (Vec<Case>, Vec<Case>) =
            module.iter().partition(|case| ALONE.iter().any(|(name, _)| *name == case.name));
        kit.is_shared.store(true, Ordering::Relaxed);
        failed.extend(at_once(kit, beside, AT_ONCE).await);
        kit.is_shared.store(false, Ordering::Relaxed);
        failed.extend(at_once(kit, alone, 1).await);
    }
    failed
}

async fn at_once(kit: &Arc<Kit>, cases: Vec<Case>, most: usize) -> Vec<&'static str> {
    let run = |case: Case| async move {
        let began = Instant::now();
        let ran = to_an_answer(case.name, async || case.run(kit).await).await;
        if ran.is_ok() {
            eprintln!("{}: {:?}", case.name, began.elapsed());
        }
        ran.err().map(|_| case.name)
    };
    let ran: Vec<Option<&str>> =
        stream::iter(cases).map(run).buffer_unordered(most).collect().await;
    ran.into_iter().flatten().collect()
}

/// Runs a case, and returns the message of its panic if it fails.
///
/// A case can fail because a node that no test had stopped did not answer in time, as on a machine
/// that stalls. That is no fault of couponry, so the case is run again.
pub async fn to_an_answer(name: &str, case: impl AsyncFn()) -> Result<(), String> {
    let mut runs = 0;
    loop {
        runs += 1;
        match to_its_end(case()).await {
            Err(message) if runs < RUNS_MAX && has_no_answer(&message) => {
                eprintln!("{name}, run again after: {message}");
            }
            run => return run,
        }
    }
}

/// Runs a case once, and returns the message of its panic if it fails.
pub async fn to_its_end(case: impl Future<Output = ()>) -> Result<(), String> {
    let run = AssertUnwindSafe(Box::pin(case)).catch_unwind().await;
    run.map_err(|panic| message(&*panic))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn has_no_answer(message: &str) -> bool {
    let unanswered = [": Unavailable(", ": Unknown("];
    unanswered.iter().any(|value| message.contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cases_that_run_alone_exist() {
        for (name, why) in ALONE {
            assert_eq!(&Case::named(name).name, name, "{why}");
        }
    }
}
