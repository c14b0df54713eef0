//! The conformance suite: what every [`hot::HotStore`] promises, as cases that do not depend on the
//! engine. Only tests use it.
//!
//! A store joins with one line in a test of its own crate:
//!
//! - `conforms!(each sqlite by open)` makes a test of each case, each on a new store, and one test that
//!   runs all cases on one store, as on a cluster;
//! - `conforms!(together one_node by open)` makes only that last test, for a store that is slow to make;
//! - `conforms!(simulated calm by open on run)` makes the same tests as `each`. `run` gets the name of a
//!   test and a function that makes its future, and runs it where the simulated cluster wants it.
//!   `simulated rough by open on run except crate::LEFT_OUT` leaves out the cases of a [`LeftOut`]
//!   and says why.
//!
//! `open` is an `async fn(Arc<MemoryArchive>) -> Option<(Arc<dyn HotStore>, Ground)>`. It returns `None`
//! if the engine is not available, and `Ground` must live as long as the store. After each case the store
//! must find no damage in itself.

#![expect(clippy::unwrap_used, reason = "a case panics when it fails")]

pub mod kit;
pub mod run;
pub mod soundness;

mod accounts;
mod archived;
mod audit;
mod batches;
mod bearer;
mod campaigns;
mod changes;
mod counted;
mod extended;
mod feed;
mod imports;
mod issue;
mod lists;
mod orders;
mod partitions;
mod people;
mod restored;
mod shared;
mod tables;
mod whole;

use std::any::Any;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;

use hot::HotStore;
use kit::{Kit, MemoryArchive};

/// What must live as long as the store is open.
pub type Ground = Box<dyn Any + Send>;

type RunningCase<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Cases that a suite does not run, and why not.
pub type LeftOut = [(&'static str, &'static str)];

/// For a suite that runs all cases.
pub const NONE_LEFT_OUT: &LeftOut = &[];

/// A case by its name, such as `issue::one_each`.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    run: for<'a> fn(&'a Arc<Kit>) -> RunningCase<'a>,
}

impl Case {
    /// The case with this name.
    ///
    /// # Panics
    /// If there is no such case.
    pub fn named(name: &str) -> Case {
        *CASES.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"))
    }

    pub async fn run(&self, kit: &Arc<Kit>) {
        (self.run)(kit).await;
    }

    fn module(&self) -> &'static str {
        self.name.split("::").next().unwrap_or_default()
    }
}

/// Makes tests of all cases. The documentation of the crate explains how.
#[macro_export]
macro_rules! conforms {
    ($($how:tt)*) => {
        $crate::__cases! { $($how)*:
        campaigns {
            created_once a_shared_code_is_taken_once an_expired_campaign_has_no_stock budget
            serials_of_a_day_run_out listed_by_name patched worth amounts a_patch_returns_exact_counts
        }
        batches {
            minted_once batches_of_a_day_share_no_code ten_billion_in_one_batch
            untouched_coupons_are_found untouched_lists_what_is_left
            untouched_codes_are_not_read_one_by_one
        }
        changes {
            a_whole_life every_change_raises_the_version a_hold_ends_by_the_clock
            users_act_for_themselves an_unknown_coupon_is_not_found extended_and_found_again
            extended_late an_import_knows_an_extended_coupon
            a_full_history_allows_cancel_and_revoke one_order_redeems issue_by_code_keeps_the_limit
            the_current_terms_decide
        }
        extended {
            untouched_coupons_follow later_or_not_at_all the_days_of_its_codes_stay_open
            stock_of_each_end bearer_codes_follow days_from_issue_are_kept the_same_file_is_known
        }
        feed {
            every_change_once_and_in_order an_import_tells_what_it_changes
            other_cursors_are_unknown readers_beside_writers_miss_nothing
        }
        audit {
            every_audit_event_is_entered_once a_fact_with_its_entry the_store_itself sold_out_whenever_the_last_one_goes
            sold_out_beside_other_changes
        }
        counted { each_event_is_counted_once an_order_is_found redemptions_newest_first }
        tables {
            rows_are_found_in_order pages_end_at_the_limit_and_go_on rows_of_one_put_are_together
            replaced_only_as_seen one_of_many_replaces rows_end_by_themselves
            dropped_below_a_key_and_whole kinds_and_partitions_are_apart
        }
        issue {
            one_each three_each a_revoked_coupon_is_issued_again used_serials_are_skipped
            thousands_of_used_serials_are_skipped paused_stock_is_not_issued issue_window
            imported_stock valid_days_count_from_issue bearer_stock_is_not_issued replaced_once
            replaced_only_if_it_cannot_work_again users_may_not_replace a_full_history_is_skipped
            issues_are_spread_over_coupons exactly_a_thousand_one_each
            exactly_a_thousand_three_each revoked_while_others_issue
            a_cancelled_coupon_keeps_its_holder a_long_claim_costs_little
            sixteen_issue_refs_are_stored
        }
        shared {
            redeemed cancelled_by_the_shared_code held_by_the_shared_code three_each
            the_own_coupon_is_used_first a_refusal_issues_nothing a_dry_run_writes_nothing
            never_more_than_the_stock cancelled_after_a_revoke budget_of_a_shared_code
        }
        orders {
            all_or_none a_dry_run_of_an_order one_order_gets_all an_order_goes_on a_limit_counts_over_an_order
        }
        bearer {
            redeemed_from_paper put_into_a_wallet held_by_any_bearer without_a_limit
            the_limit_holds_under_concurrency
        }
        imports {
            imported_twice states_only_go_forward last_file_after_a_cut_over taken_codes
            the_dates_of_a_line_count holders_count_and_are_never_refused long_codes_are_remembered
            counted_lines
        }
        lists {
            pages_in_both_orders filters_at_both_edges states_and_expiry holders_see_their_coupons
            pages_with_few_matches a_page_after_a_coupon_that_left many_on_one_day
        }
        accounts { created_once }
        partitions {
            closed_at_the_exact_millisecond cancelled_coupons_are_not_closed
            closed_coupons_are_counted coupons_are_read_by_code
            a_coupon_redeemed_again_is_not_closed evicted_only_in_the_copied_version
            an_archived_marker_stops_late_writes many_coupons_are_evicted
            sealed_only_when_its_time_is_over a_sealed_partition_evicts_nothing
            sealed_beside_other_writes nothing_enters_a_sealed_partition a_day_without_a_plan
            residue_in_pages emptying_leaves_other_partitions emptied_in_several_transactions
            archive_commits_are_stored cold_reads_name_the_last_archive_commit cold_marks_only_rise
        }
        archived {
            closed_coupons_answer_as_before sealed_coupons_answer_as_before
            archived_coupons_are_read an_outage_of_cold_is_an_error an_untouched_code_behind_a_seal
            untouched_asks_cold extended_and_archived an_archived_coupon_counts
            three_archived_coupons_count redeemed_by_a_shared_code an_archived_coupon_is_replaced
            bearer_codes imported_again imported_beside_other_lines
            one_order_redeems_while_archiving limits_hold_while_archiving
        }
        restored {
            a_sealed_partition_stays_empty
            nothing_is_redeemed_again limits_are_kept foreign_codes_stay_taken extended_and_found
            replaced_once a_replaced_coupon_does_not_count used_serials_are_skipped
        }
        people {
            forgotten_in_every_state forgotten_in_a_sealed_partition nothing_is_given_until_admitted
            told_once_of_everything
        }
        whole { writable counts_after_a_mixed_load readers_that_are_dropped one_of_each }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __cases {
    (table: $($module:ident { $($case:ident)* })*) => {
        /// All cases, in the order of the list.
        pub const CASES: &[Case] = &[$($(Case {
            name: concat!(stringify!($module), "::", stringify!($case)),
            run: |kit| Box::pin($module::$case(kit)),
        }),*),*];
    };
    (each $store:ident by $open:ident: $($module:ident { $($case:ident)* })*) => {
        mod $store {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    let name = concat!(stringify!($module), "::", stringify!($case));
                    $crate::alone(super::super::$open, name).await;
                })*
            })*

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn all_on_one_store() {
                $crate::together(super::$open).await;
            }
        }
    };
    (simulated $store:ident by $open:ident on $run:ident: $($cases:tt)*) => {
        $crate::__cases! {
            simulated $store by $open on $run except $crate::NONE_LEFT_OUT: $($cases)*
        }
    };
    (simulated $store:ident by $open:ident on $run:ident except $left_out:path:
        $($module:ident { $($case:ident)* })*) => {
        mod $store {
            $(mod $module {
                $(#[test]
                fn $case() {
                    let name = concat!(stringify!($module), "::", stringify!($case));
                    super::super::$run(&format!("{}::{name}", stringify!($store)), || {
                        $crate::simulated(super::super::$open, name, $left_out)
                    });
                })*
            })*
        }
    };
    // One keyspace for all cases: a keyspace for each would take an hour.
    (together $store:ident $(($why:literal))? by $open:ident: $($cases:tt)*) => {
        mod $store {
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            $(#[ignore = $why])?
            async fn all_on_one_store() {
                $crate::together(super::$open).await;
            }
        }
    };
}

conforms!(table);

/// Runs one case on a new store, if the engine is available.
pub async fn alone<F>(open: impl Fn(Arc<MemoryArchive>) -> F, name: &str)
where
    F: Future<Output = Option<(Arc<dyn HotStore>, Ground)>>,
{
    let archive = Arc::new(MemoryArchive::default());
    let Some((hot, _ground)) = open(Arc::clone(&archive)).await else { return };
    let kit = Arc::new(Kit::new(hot, archive));
    Case::named(name).run(&kit).await;
    kit.is_sound().await;
}

/// Runs one case on a new simulated store. Its names follow from the name of the case, so that a
/// second run of it is the same run.
///
/// # Panics
/// If the case fails.
pub async fn simulated<F>(
    open: impl Fn(Arc<MemoryArchive>) -> F,
    name: &'static str,
    left_out: &LeftOut,
) where
    F: Future<Output = Option<(Arc<dyn HotStore>, Ground)>>,
{
    if let Some((_, why)) = left_out.iter().find(|(case, _)| *case == name) {
        eprintln!("NOT RUN: {name}: {why}");
        return;
    }
    let archive = Arc::new(MemoryArchive::default());
    let Some((hot, _ground)) = open(Arc::clone(&archive)).await else { return };
    let mut number = DefaultHasher::new();
    name.hash(&mut number);
    let kit = Arc::new(Kit::numbered(hot, archive, number.finish()));
    let case = Case::named(name);
    let ran = run::to_an_answer(name, async || case.run(&kit).await).await;
    ran.unwrap_or_else(|said| panic!("{name}: {said}"));
    let sound = run::to_an_answer("the check of the store", async || kit.is_sound().await).await;
    sound.unwrap_or_else(|said| panic!("after {name}: {said}"));
}

/// Runs all cases on one store, or only those whose name contains `COUPONRY_TEST_CASE`.
pub async fn together<F>(open: impl Fn(Arc<MemoryArchive>) -> F)
where
    F: Future<Output = Option<(Arc<dyn HotStore>, Ground)>>,
{
    some_together(open, |_| true).await;
}

/// As [`together`], of the modules that `has` names.
pub async fn some_together<F>(open: impl Fn(Arc<MemoryArchive>) -> F, has: impl Fn(&str) -> bool)
where
    F: Future<Output = Option<(Arc<dyn HotStore>, Ground)>>,
{
    let archive = Arc::new(MemoryArchive::default());
    let Some((hot, _ground)) = open(Arc::clone(&archive)).await else { return };
    let kit = Arc::new(Kit::new(hot, archive));
    let only = std::env::var("COUPONRY_TEST_CASE").unwrap_or_default();
    let cases = CASES.iter().filter(|case| has(case.module()) && case.name.contains(&only));
    let cases: Vec<Case> = cases.copied().collect();
    let failed = run::module_by_module(&kit, &cases).await;
    assert!(failed.is_empty(), "{failed:?}");
    let sound = run::to_an_answer("the check of the store", async || kit.is_sound().await).await;
    sound.unwrap_or_else(|said| panic!("after all cases: {said}"));
}
