//! The conformance suite: what every [`hot::HotStore`] promises, as cases that know nothing of the engine.
//! Only tests use it.
//!
//! A store joins with one line in a test of its own crate:
//!
//! - `conforms!(each sqlite by open)` makes a test of each case, each on a new store, and one test that
//!   runs all cases on one store, as on a cluster;
//! - `conforms!(together one_node by open)` makes only that last test, for a store that is slow to make.
//!
//! `open` is an `async fn(Arc<MemoryArchive>) -> Option<(Arc<dyn HotStore>, Ground)>`. It returns `None`
//! if the engine is not available, and `Ground` must live as long as the store. After each case the store
//! must find no damage in itself.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on has failed")]
#![expect(missing_docs, reason = "a case is named after what it shows")]

pub mod kit;
pub mod soundness;

mod accounts;
mod archived;
mod batches;
mod bearer;
mod campaigns;
mod changes;
mod imports;
mod issue;
mod lists;
mod partitions;
mod restored;
mod shared;
mod whole;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use hot::HotStore;
use kit::{Kit, MemoryArchive};

/// What a store needs while it is open.
pub type Ground = Box<dyn Any + Send>;

type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A case by its name, such as `issue::one_each`.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    run: for<'a> fn(&'a Arc<Kit>) -> Running<'a>,
}

impl Case {
    /// The case with this name.
    ///
    /// # Panics
    /// If there is none.
    pub fn named(name: &str) -> Case {
        *CASES.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"))
    }

    pub async fn run(&self, kit: &Arc<Kit>) {
        (self.run)(kit).await;
    }
}

/// Makes tests of all cases; the crate's documentation explains how.
#[macro_export]
macro_rules! conforms {
    ($($how:tt)*) => {
        $crate::__cases! { $($how)*:
        campaigns {
            made_once a_word_is_taken_once a_dead_one_has_no_stock a_days_serials_run_out
            listed_by_name patched a_patch_answers_with_exact_counts
        }
        batches {
            minted_once of_one_day_share_no_code ten_billion_at_once
            untouched_coupons_are_there untouched_tells_what_is_left
            untouched_codes_are_not_read_one_by_one
        }
        changes {
            a_whole_life versions_count_every_change a_hold_lapses_by_the_clock
            a_user_asks_for_himself nothing_is_found_where_nothing_is
            extended_and_found_again extended_late
            an_imported_one_is_known_in_its_later_partition a_full_history_gives_back
            one_redemption a_named_code_keeps_the_limit terms_of_the_moment
        }
        issue {
            one_each three_each a_spent_name_and_a_coupon_that_came_back
            what_is_gone_is_skipped thousands_in_a_row_are_skipped paused_stock
            the_issue_window imported_stock valid_days_count_from_the_issue
            bearer_stock_is_not_issued replaced_once replaced_when_nothing_else_helps
            nobody_replaces_for_himself
            one_with_a_full_history_is_passed_over wear_is_spread exactly_a_thousand_one_each
            exactly_a_thousand_three_each taken_back_while_others_ask
            a_cancelled_one_is_still_his a_long_history_costs_little
            a_user_gives_sixteen_names
        }
        shared {
            redeemed cancelled_behind_the_word held_behind_the_word three_each
            a_coupon_he_has_is_taken_first nothing_is_issued_for_nothing
            dry_run_without_a_trace exactly_as_many_as_there_are
            a_cancelled_word_after_a_revoke
        }
        bearer {
            redeemed_from_paper put_into_a_wallet held_by_whoever_shows_it without_a_limit
            the_limit_holds_at_once
        }
        imports {
            arrived_and_again only_forward the_last_file_after_a_cut_over taken_codes
            its_own_dates holders_count_and_are_not_refused long_codes_are_announced
            rejected_lines
        }
        lists {
            walked_in_both_orders each_filter_has_two_edges states_and_expiry
            a_holder_sees_his_own pages_that_find_little behind_a_coupon_that_is_gone
            many_on_one_day
        }
        accounts { made_once }
        partitions {
            closed_from_one_millisecond_on cancelled_ones_are_not_closed
            closed_ones_are_counted coupons_are_read_by_code
            a_coupon_redeemed_anew_is_not_closed evicted_in_just_this_version
            an_archived_marker_lets_no_late_write_through many_are_evicted_at_once
            sealed_when_its_time_is_over a_sealed_partition_evicts_nothing
            sealed_among_other_writes
            nothing_comes_to_a_sealed_partition a_day_without_a_plan residue_in_pages emptied_alone
            emptied_in_several_transactions archive_commits_are_written_down cold_is_asked_for_the_last_archive_commit
            cold_marks_only_rise
        }
        archived {
            closed_ones_answer_as_before sealed_ones_answer_as_before read_where_it_lies
            what_cold_does_not_answer_is_an_error nobody_had_it untouched_is_asked_of_cold
            found_in_its_later_partition the_one_he_had the_three_he_had behind_a_shared_word
            replaced_out_of_cold bearer_codes imported_again imported_beside_others
            one_redemption_while_it_moves limits_hold_while_they_move
        }
        restored {
            nothing_is_spent_again limits_are_kept foreign_codes_are_never_free
            found_where_it_was_moved replaced_once what_was_replaced_does_not_count
            serials_are_passed_over
        }
        whole { writable counts_after_a_mixed_load readers_that_go_away one_of_each }
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
    // To make a keyspace for each case would take an hour.
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

/// Runs all cases on one store, or only those whose name contains `COUPONRY_TEST_CASE`.
pub async fn together<F>(open: impl Fn(Arc<MemoryArchive>) -> F)
where
    F: Future<Output = Option<(Arc<dyn HotStore>, Ground)>>,
{
    let archive = Arc::new(MemoryArchive::default());
    let Some((hot, _ground)) = open(Arc::clone(&archive)).await else { return };
    let kit = Arc::new(Kit::new(hot, archive));
    let only = std::env::var("COUPONRY_TEST_CASE").unwrap_or_default();
    let mut failed = Vec::new();
    for case in CASES.iter().filter(|case| case.name.contains(&only)) {
        let began = Instant::now();
        match AssertUnwindSafe(case.run(&kit)).catch_unwind().await {
            Ok(()) => eprintln!("{}: {:?}", case.name, began.elapsed()),
            Err(_) => failed.push(case.name),
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    kit.is_sound().await;
}
