//! Every step list of the protocols, stopped for ever at each of its steps and picked up by another
//! process, on a real cluster.
//!
//! A *process* is one [`hot::cql::CqlHot`]: it has its own memory, its own leases and its own name.
//! A *step* is a statement that writes; its name is the statement. A *sweep* runs a protocol on a
//! first process once for each of its steps. Before that step the process is stopped for ever, or
//! frozen and later let go on; in between a second process picks up, in each of the ways that the
//! sweep lists. What was promised must hold, and what a thawed process answers must be true.
//!
//! `COUPONRY_TEST_CASE` picks the cases whose name contains it.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

#[path = "conformance/kit.rs"]
#[expect(dead_code, reason = "it serves the conformance suite, too")]
mod kit;

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
use kit::ran;
use steps::stage::Stage;
use steps::{claims, cold, exactly, extend, import, seal, stock};

/// Cases that run at a time: each waits for the cluster most of the time.
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
            issue_of_one issue_without_a_name issue_of_three a_named_code bearer_redeemed
            bearer_put_into_a_wallet a_shared_word a_shared_word_held a_replacement a_replacement_that_comes_to_nothing
        }
        extend { an_issued_one an_imported_one one_that_stays_on_its_shelf all_at_once }
        stock {
            a_dead_process_s_lease a_lease_given_back imported_stock what_comes_back
            a_walk_ends_at_the_first_lease many_that_come_back
        }
        import { lines_step_by_step a_line_that_says_more }
        seal {
            sealed_step_by_step a_campaign_made_step_by_step writers_race_the_seal
            an_audit_beside_new_days
        }
        cold {
            closed_step_by_step expired_step_by_step late_writes rows_go_before_their_index_rows
        }
        exactly { minted imported shared a_rush_on_nothing }
    };
    let only = std::env::var("COUPONRY_TEST_CASE").unwrap_or_default();
    let cases = cases.into_iter().filter(|(name, _)| name.contains(&only));
    let runs = cases.map(async |(name, case)| {
        let began = Instant::now();
        if let Err(said) = ran(name, async || case().await).await {
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
async fn on_three_nodes() {
    if testcluster::may_take_minutes("every step of a process") {
        every_step(3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the same on one node: quicker, for whoever works on it"]
async fn on_one_node() {
    every_step(1).await;
}
