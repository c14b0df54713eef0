//! Every protocol, stopped for ever and for a while at each of its steps and finished by another
//! process.
//!
//! A *process* is one [`hot_cql::CqlHot`] with its own memory, leases and name. A *step* is a
//! statement that writes; its name is the statement. A *sweep* runs a protocol on a first process
//! once for each of its steps. It stops the process before that step, for ever or until later.
//! Then a second process goes on, in each of the ways that the sweep lists. Afterwards every answer
//! of both processes must be true, also the answer of a process that was resumed.
//!
//! Each case has a simulated cluster of three nodes to itself. No node fails here, and nobody waits:
//! the clock goes on when there is nothing to do.

#![expect(clippy::unwrap_used, reason = "a case panics when it fails")]

#[path = "common/simulated.rs"]
mod simulated;

mod steps {
    pub(crate) mod claims;
    pub(crate) mod cold;
    pub(crate) mod copied;
    pub(crate) mod exactly;
    pub(crate) mod extend;
    pub(crate) mod feed;
    pub(crate) mod import;
    pub(crate) mod later_end;
    pub(crate) mod orders;
    pub(crate) mod people;
    pub(crate) mod records;
    pub(crate) mod restored;
    pub(crate) mod seal;
    pub(crate) mod stage;
    pub(crate) mod stock;
}

use steps::stage::TestStage;

macro_rules! cases {
    ($($module:ident { $($case:ident)* })*) => {
        $(mod $module {
            $(#[tokio::test(start_paused = true)]
            async fn $case() {
                crate::on_a_stage(crate::steps::$module::$case).await;
            })*
        })*
    };
}

cases! {
    claims {
        issue_of_one issue_without_issue_ref issue_of_three issue_by_code bearer_redeemed
        bearer_put_into_a_wallet shared_code_redeemed shared_code_held replacement
        replacement_without_stock an_order_redeems_one_coupon
    }
    feed { first_change later_change held extended }
    extend { issued_coupon imported_coupon within_the_partition issued_where_it_was all_at_once }
    later_end { days_are_raised_before_the_terms a_mint_beside_it a_first_issue_after_it }
    stock {
        lease_of_a_killed_process returned_lease imported_stock revoked_coupon
        a_walk_ends_at_the_first_lease many_revoked_coupons
    }
    orders { redeemed_together }
    people {
        erased_step_by_step account_erased_step_by_step unclaimed_coupon_erased_step_by_step
        calls_beside_an_erasure late_issue_beside_the_next_erasure lost_answer_beside_an_erasure
    }
    import { lines_step_by_step line_with_a_later_state }
    seal {
        sealed_step_by_step a_campaign_made_step_by_step writers_race_the_seal
        an_audit_beside_new_days
    }
    cold { closed_step_by_step expired_step_by_step late_writes rows_go_before_their_index_rows }
    records { a_campaign_is_paused a_campaign_is_created events_are_counted }
    restored { reconciled_step_by_step }
    copied { campaign_step_by_step }
    exactly { minted imported shared rush_on_an_empty_stock }
}

/// Runs a case on a cluster of its own.
async fn on_a_stage(case: impl AsyncFn(&TestStage)) {
    let stage = TestStage::set().await;
    Box::pin(case(&stage)).await;
    stage.report();
    stage.is_sound().await;
    let failures = stage.failures();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
