//! The orders of steps, and how many of their gaps were interrupted.
//!
//! A gap between two steps is interrupted when a process is killed or frozen after the first or
//! before the second. A step may be in several orders: a stop at it counts for each of them, and
//! nobody looks which protocol the process was in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// How a state says where a process was stopped.
const STOPS: [&str; 2] = ["killed", "frozen"];

/// The steps of one protocol, in the order in which they are made.
struct StepOrder {
    name: &'static str,
    steps: &'static [&'static str],
}

const fn order(name: &'static str, steps: &'static [&'static str]) -> StepOrder {
    StepOrder { name, steps }
}

/// Steps that a protocol makes at the same time stand one after the other here: the index rows of a
/// coupon by holder, by expiry and by batch. "Sold out" is decided by reads. Notices are not
/// simulated.
const ORDERS: &[StepOrder] = &[
    order(
        "issue from a campaign: a new coupon",
        &[
            "stock: run is leased",
            "stock: lease is owned",
            "claim: entry is written",
            "wallet: index row is written",
            "expiring: index row is written",
            "coupon: row is made",
            "stock: lease is ended",
        ],
    ),
    order(
        "issue from a campaign: a coupon that has a row",
        &["claim: entry is written", "wallet: index row is written", "coupon: row is changed"],
    ),
    order(
        "issue from a campaign: a coupon that came back",
        &["coupon: row is changed", "stock: returned coupon is dropped"],
    ),
    order(
        "issue in place of another coupon",
        &["stock: lease is owned", "replacement: is won", "claim: entry is written"],
    ),
    order(
        "issue by code",
        &[
            "claim: entry is written",
            "wallet: index row is written",
            "expiring: day of the campaign is written",
            "expiring: rows are counted",
            "expiring: index row is written",
            "coupon: row is made",
            "counts: states are written",
        ],
    ),
    order(
        "shared code: a new coupon with a choice",
        &["claim: choice is written", "coupon: row is changed"],
    ),
    order(
        "feed: a change",
        &["feed: run of slots is listed", "feed: change is announced", "coupon: row is changed"],
    ),
    order(
        "feed: a change that is decided once more",
        &["feed: change is refused", "feed: change is announced"],
    ),
    order("feed: a first change", &["feed: change is announced", "coupon: row is made"]),
    order("feed: a reader", &["feed: slot is marked", "feed: version is ended"]),
    order(
        "feed: a reader of a coupon without a row",
        &[
            "feed: slot is marked",
            "expiring: index row is written",
            "feed: version without a row is ended",
        ],
    ),
    order(
        "change: redeem, void",
        &[
            "coupon: row is changed",
            "queue: rows are counted",
            "queue: closed coupon is queued",
            "counts: states are written",
        ],
    ),
    order("redeem several coupons together", &["order: is begun", "coupon: row is changed"]),
    order(
        "change: back to the stock",
        &[
            "stock: returned rows are counted",
            "stock: returned coupon is entered",
            "coupon: row is changed",
        ],
    ),
    order(
        "extend to another day",
        &[
            "plan: is entered",
            "wallet: index row is written",
            "expiring: index row is written",
            "coupon: row forwards",
            "coupon: row is made",
            "directory: entry points to a later day",
        ],
    ),
    order(
        "extend to another day: a coupon without a row",
        &[
            "plan: is made",
            "expiring: index row is written",
            "coupon: first row forwards",
            "coupon: row is made",
            "directory: entry points to a later day",
        ],
    ),
    order(
        "import: the run",
        &[
            "import: long codes are announced",
            "batch: row is written",
            "directory: entry is won",
            "counts: arrivals are written",
            "batch: import is counted",
        ],
    ),
    order(
        "import: a new line",
        &[
            "plan: is entered",
            "directory: entry is won",
            "claim: entry is written",
            "wallet: index row is written",
            "expiring: index row is written",
            "stock: code of a chunk is written",
            "stock: chunk is entered",
            "coupon: row is imported",
            "queue: closed coupon is queued",
        ],
    ),
    order(
        "import: a line that says more",
        &[
            "claim: entry is written",
            "coupon: row is changed",
            "directory: imported state is raised",
        ],
    ),
    order(
        "lease of stock",
        &[
            "stock: run is leased",
            "stock: lease is owned",
            "stock: lease is renewed",
            "stock: lease is given back",
            "stock: lease is owned",
            "stock: lease is ended",
        ],
    ),
    order(
        "move to cold: the seal of a partition",
        &[
            "plan: is closing",
            "bucket: is sealed",
            "coupon: row is made",
            "directory: entry points to a later day",
            "plan: is sealed",
        ],
    ),
    order(
        "move to cold: the tables are made",
        &[
            "cold mark: commit is announced",
            "PUT first commit of coupons_by_holder",
            "PUT first commit of coupons",
        ],
    ),
    order(
        "move to cold: closed coupons",
        &[
            "queue: closed coupon is queued",
            "queue: end of what is done is set",
            "CreateMultipartUpload file of coupons",
            "UploadPart file of coupons",
            "CompleteMultipartUpload file of coupons",
            "cold mark: commit is announced",
            "PUT commit of coupons",
            "cold mark: commit is recorded",
            "CreateMultipartUpload file of coupons_by_holder",
            "UploadPart file of coupons_by_holder",
            "CompleteMultipartUpload file of coupons_by_holder",
            "PUT commit of coupons_by_holder",
            "coupon: is evicted",
            "wallet: index row is deleted",
            "expiring: index row is deleted",
            "plan: archive commit is finished",
            "counts: states are written",
        ],
    ),
    order(
        "move to cold: the rest of a partition",
        &[
            "plan: is sealed",
            "CreateMultipartUpload merged file of coupons",
            "UploadPart merged file of coupons",
            "CompleteMultipartUpload merged file of coupons",
            "cold mark: commit is announced",
            "PUT commit of coupons",
            "cold mark: commit is recorded",
            "CreateMultipartUpload file of coupons_by_holder",
            "UploadPart file of coupons_by_holder",
            "CompleteMultipartUpload file of coupons_by_holder",
            "PUT commit of coupons_by_holder",
            "bucket: rows are deleted",
            "wallet: index row is deleted",
            "expiring: index row is deleted",
            "plan: archive commit is finished",
            "queue: is deleted",
        ],
    ),
    order(
        "move to cold: files that were merged",
        &[
            "cold mark: commit is recorded",
            "DELETE file of coupons",
            "DELETE file of coupons_by_holder",
        ],
    ),
    order(
        "move to cold: a checkpoint",
        &[
            "PUT commit of coupons",
            "PUT checkpoint of coupons",
            "PUT hint to a checkpoint of coupons",
        ],
    ),
    order(
        "move to cold: the index of holders",
        &[
            "PUT first commit of holder_index",
            "CreateMultipartUpload file of holder_index",
            "UploadPart file of holder_index",
            "CompleteMultipartUpload file of holder_index",
            "PUT commit of holder_index",
            "DELETE file of holder_index",
        ],
    ),
    order(
        "restore",
        &[
            "restore: floor of serials is raised",
            "restore: serials are skipped",
            "restore: row forwards",
            "directory: entry points to a later day",
            "replacement: is won",
            "claim: entry is written",
            "restore: row becomes a marker",
            "cold mark: commit is announced",
            "cold mark: commit is recorded",
            "restore: epoch of the feed is begun",
        ],
    ),
    order(
        "copy: a campaign",
        &[
            "batch: key is recorded",
            "copy: run",
            "copy: cursor of a run",
            "counts: states are written",
            "counts: arrivals are written",
            "campaign: name is listed",
            "campaign: is begun",
            "copy: batch",
            "campaign: is made",
        ],
    ),
    order(
        "copy: a partition",
        &[
            "copy: plan",
            "copy: time of a seal",
            "copy: plan is closing",
            "copy: next serial",
            "copy: seal of a bucket",
            "copy: rows of a bucket are deleted",
            "copy: plan is sealed",
            "copy: archive commit of a plan",
            "copy: plan is emptied",
        ],
    ),
    order(
        "copy: coupons",
        &[
            "wallet: index row is written",
            "expiring: index row is written",
            "copy: returned coupon",
            "stock: code of a chunk is written",
            "copy: chunk",
            "coupon: row is imported",
        ],
    ),
    order(
        "a campaign is made",
        &[
            "plan: is made",
            "campaign: name is listed",
            "campaign: is begun",
            "campaign: shared code is taken",
            "batch: key is recorded",
            "batch: serials are reserved",
            "batch: row is written",
            "campaign: is made",
        ],
    ),
    order(
        "a batch is minted",
        &[
            "plan: is entered",
            "batch: key is recorded",
            "batch: serials are reserved",
            "batch: row is written",
        ],
    ),
    order(
        "a campaign gets a later end",
        &["plan: is entered", "plan: is made", "campaign: terms are changed"],
    ),
];

/// The steps of the orders whose names begin so, each once.
pub(crate) fn steps_of(begins: &str) -> Vec<&'static str> {
    let orders = ORDERS.iter().filter(|order| order.name.starts_with(begins));
    let all: BTreeSet<_> = orders.flat_map(|order| order.steps).copied().collect();
    all.into_iter().collect()
}

/// How often each gap was interrupted, by `between A and B`; only those that were.
pub(crate) fn interrupted(reached: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let gaps = ORDERS.iter().flat_map(|order| order.steps.windows(2));
    let gaps = gaps.map(|gap| (between(gap), count(gap, reached)));
    gaps.filter(|(_, count)| *count > 0).collect()
}

/// A line for each order: how many of its gaps were interrupted. Below it those that were not.
pub(crate) fn report(reached: &BTreeMap<String, u64>) -> String {
    let mut text = String::new();
    for StepOrder { name, steps } in ORDERS {
        let gaps = steps.windows(2);
        let never: Vec<_> = gaps.clone().filter(|gap| count(gap, reached) == 0).collect();
        let all = gaps.len();
        let _ = writeln!(text, "  {name}: {} of {all} gaps interrupted", all - never.len());
        for gap in never {
            let _ = writeln!(text, "    never {}", between(gap));
        }
    }
    text
}

fn between(gap: &[&str]) -> String {
    format!("between {}", gap.join(" and "))
}

/// Stops after the first step of a gap and before the second.
fn count(gap: &[&str], reached: &BTreeMap<String, u64>) -> u64 {
    let [first, second] = gap else { return 0 };
    let ends = [format!("after {first}"), format!("before {second}")];
    let states = STOPS.iter().flat_map(|how| ends.iter().map(move |end| format!("{how} {end}")));
    states.filter_map(|state| reached.get(&state)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::table;

    /// Writes to the bucket.
    const BUCKET: [&str; 5] =
        ["PUT ", "DELETE ", "CreateMultipartUpload ", "UploadPart ", "CompleteMultipartUpload "];

    #[test]
    fn every_step_of_an_order_has_a_name() {
        for step in steps_of("") {
            let is_named = table::STEPS.iter().any(|it| it.name == step);
            let is_of_bucket = BUCKET.iter().any(|verb| step.starts_with(verb));
            assert!(is_named || is_of_bucket, "{step}");
        }
    }

    #[test]
    fn every_order_has_a_name_of_its_own_and_a_gap() {
        let names: BTreeSet<_> = ORDERS.iter().map(|order| order.name).collect();
        assert_eq!(names.len(), ORDERS.len());
        assert!(ORDERS.iter().all(|order| order.steps.len() > 1));
    }

    #[test]
    fn a_stop_at_either_end_interrupts_a_gap() {
        let gap = ["plan: is closing", "bucket: is sealed"];
        let rows = [
            ("killed after plan: is closing", 3),
            ("frozen before bucket: is sealed", 3),
            ("killed before plan: is closing", 0),
            ("frozen after bucket: is sealed", 0),
        ];
        for (state, want) in rows {
            let reached = BTreeMap::from([(state.to_owned(), 3)]);
            assert_eq!(count(&gap, &reached), want, "{state}");
            let is_listed = interrupted(&reached).contains_key(&between(&gap));
            assert_eq!(is_listed, want > 0, "{state}");
        }
        let text = report(&BTreeMap::from([(rows[0].0.to_owned(), 3)]));
        assert!(
            text.contains("  move to cold: the seal of a partition: 1 of 4 gaps interrupted\n"),
            "{text}"
        );
        assert!(text.contains("    never between coupon: row is made and "), "{text}");
        assert!(!text.contains("never between plan: is closing and"), "{text}");
    }
}
