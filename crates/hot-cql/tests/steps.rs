//! Every protocol on a real cluster, stopped for ever at each of its steps and finished by another
//! process.
//!
//! A *process* is one [`hot_cql::CqlHot`] with its own memory, leases and name. A *step* is a
//! statement that writes; its name is the statement. A *sweep* runs a protocol on a first process
//! once for each of its steps. It stops the process before that step, for ever or until later.
//! Then a second process goes on, in each of the ways that the sweep lists. Afterwards every answer
//! of both processes must be true, also the answer of a process that was resumed.
//!
//! `COUPONRY_TEST_CASE` picks the cases whose name contains it.

#![expect(clippy::unwrap_used, reason = "a case panics when it fails")]

mod steps {
    pub(crate) mod claims;
    pub(crate) mod cold;
    pub(crate) mod exactly;
    pub(crate) mod extend;
    pub(crate) mod import;
    pub(crate) mod seal;
    pub(crate) mod stage;
    pub(crate) mod stock;
}

use std::time::Instant;

use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt};
use hot_conformance::run::to_an_answer;
use steps::stage::Stage;
use steps::{claims, cold, exactly, extend, import, seal, stock};

/// Cases that run at the same time. Each of them mostly waits for the cluster.
const AT_ONCE: usize = 3;

/// A case, which may be run again.
type Case<'a> = Box<dyn Fn() -> LocalBoxFuture<'a, ()> + 'a>;

macro_rules! cases {
    ($stage:ident: $($module:ident { $($case:ident)* })*) => {
        [$($((
            concat!(stringify!($module), "::", stringify!($case)),
            Box::new(|| $module::$case(&$stage).boxed_local()) as Case<'_>,
        )),*),*]
    };
}

async fn every_step(nodes: usize) {
    let Some(stage) = Stage::set(nodes).await else { return };
    let cases = cases! { stage:
        claims {
            issue_of_one issue_without_issue_ref issue_of_three issue_by_code bearer_redeemed
            bearer_put_into_a_wallet shared_code_redeemed shared_code_held replacement
            replacement_without_stock
        }
        extend { issued_coupon imported_coupon within_the_partition all_at_once }
        stock {
            lease_of_a_killed_process returned_lease imported_stock revoked_coupon
            a_walk_ends_at_the_first_lease many_revoked_coupons
        }
        import { lines_step_by_step line_with_a_later_state }
        seal {
            sealed_step_by_step a_campaign_made_step_by_step writers_race_the_seal
            an_audit_beside_new_days
        }
        cold {
            closed_step_by_step expired_step_by_step late_writes rows_go_before_their_index_rows
        }
        exactly { minted imported shared rush_on_an_empty_stock }
    };
    let only = std::env::var("COUPONRY_TEST_CASE").unwrap_or_default();
    let cases = cases.into_iter().filter(|(name, _)| name.contains(&only));
    let runs = cases.map(async |(name, case)| {
        let began = Instant::now();
        if let Err(said) = to_an_answer(name, async || case().await).await {
            stage.failed(format!("{name} (no step): {said}"));
        }
        eprintln!("{name}: {:?}", began.elapsed());
    });
    futures::stream::iter(runs).buffer_unordered(AT_ONCE).collect::<()>().await;
    stage.report();
    stage.is_sound().await;
    let failures = stage.failures();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_node() {
    if testcluster::may_take_minutes("every step of a process") {
        every_step(1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes twice as long; no node is killed here, and `tests/cluster` has three in CI"]
async fn on_three_nodes() {
    every_step(3).await;
}
