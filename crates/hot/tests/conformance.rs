//! What every [`hot::HotStore`] promises, as cases that know nothing of what is behind it.
//!
//! A store joins with one factory and one line at the end of this file. Each case runs on a store
//! of its own, and then all of them on one, as they would on a cluster; after each the store has
//! to find nothing wrong with itself.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

mod conformance {
    pub(crate) mod accounts;
    pub(crate) mod archived;
    pub(crate) mod batches;
    pub(crate) mod bearer;
    pub(crate) mod campaigns;
    pub(crate) mod changes;
    pub(crate) mod imports;
    pub(crate) mod issue;
    pub(crate) mod kit;
    pub(crate) mod lists;
    pub(crate) mod restored;
    pub(crate) mod shared;
    pub(crate) mod shelves;
    pub(crate) mod whole;
}

use std::sync::Arc;

use conformance::kit::{Kit, MemoryArchive, keys, ran};
use conformance::{
    accounts, archived, batches, bearer, campaigns, changes, imports, issue, lists, restored,
    shared, shelves, whole,
};
use hot::HotStore;
use hot::cql::{self, CqlHot, Keyspace, SchemaOptions, Target};
use hot::sqlite::{Options, SqliteHot};
use testcluster::Cluster;

/// What a store needs while it is open.
type Ground = Box<dyn std::any::Any + Send>;

async fn open_sqlite(archive: Arc<MemoryArchive>) -> (Arc<dyn HotStore>, Ground) {
    let folder = tempfile::tempdir().unwrap();
    // Room for a machine that does other things besides.
    let write_timeout = std::time::Duration::from_secs(60);
    let options = Options { free_min_bytes: 0, write_timeout };
    let hot = SqliteHot::open(folder.path(), keys(), archive, options).unwrap();
    (Arc::new(hot), Box::new(folder))
}

/// One node of Apache Cassandra, or three, with a keyspace of its own.
async fn open_cassandra(
    nodes: usize,
    archive: Arc<MemoryArchive>,
) -> Option<(Arc<dyn HotStore>, Ground)> {
    let cluster =
        tokio::task::spawn_blocking(move || Cluster::start_steady(nodes)).await.unwrap()?;
    let target = format!("cql://{}/conformance", cluster.addresses()).parse::<Target>().unwrap();
    // Few places, so that a shelf is sealed in a moment; and this one process has one clock.
    let options = cql::Options {
        bucket_bits: 4,
        clock_bound_ms: 0,
        // So few that a case can fill the first partitions of a day.
        partition_rows: 32,
        // Room for a machine that does other things besides.
        call_limit: std::time::Duration::from_secs(60),
        patience: testcluster::STEADY_PATIENCE,
        ..cql::Options::of(&target)
    };
    let keyspace = Keyspace::connect(&options).await.unwrap();
    keyspace.apply(&SchemaOptions::default()).await.unwrap();
    let hot = CqlHot::connect(options, keys(), archive).await.unwrap();
    Some((Arc::new(hot), Box::new(cluster)))
}

async fn open_one_node(archive: Arc<MemoryArchive>) -> Option<(Arc<dyn HotStore>, Ground)> {
    open_cassandra(1, archive).await
}

async fn open_three_nodes(archive: Arc<MemoryArchive>) -> Option<(Arc<dyn HotStore>, Ground)> {
    open_cassandra(3, archive).await
}

macro_rules! cases {
    (each $store:ident by $open:ident: $($module:ident { $($case:ident)* })*) => {
        mod $store {
            use super::*;

            $(mod $module {
                use super::*;

                $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    let archive = Arc::new(MemoryArchive::default());
                    let (hot, _ground) = $open(Arc::clone(&archive)).await;
                    let kit = Arc::new(Kit::new(hot, archive));
                    super::super::$module::$case(&kit).await;
                    kit.is_sound().await;
                })*
            })*

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn all_on_one_store() {
                let archive = Arc::new(MemoryArchive::default());
                let (hot, _ground) = $open(Arc::clone(&archive)).await;
                let kit = Arc::new(Kit::new(hot, archive));
                $($(super::$module::$case(&kit).await;)*)*
                kit.is_sound().await;
            }
        }
    };
    // To make a keyspace for each case would take an hour.
    (together $store:ident $(($why:literal))? by $open:ident: $($module:ident { $($case:ident)* })*) => {
        mod $store {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            $(#[ignore = $why])?
            async fn all_on_one_store() {
                let archive = Arc::new(MemoryArchive::default());
                let Some((hot, _ground)) = $open(Arc::clone(&archive)).await else { return };
                let kit = Arc::new(Kit::new(hot, archive));
                // One case, or those of one module, while somebody works on them.
                let only = std::env::var("COUPONRY_TEST_CASE").unwrap_or_default();
                let mut failed = Vec::new();
                $($({
                    let name = concat!(stringify!($module), "::", stringify!($case));
                    if name.contains(&only) {
                        let began = std::time::Instant::now();
                        match ran(name, async || super::$module::$case(&kit).await).await {
                            Ok(()) => eprintln!("{name}: {:?}", began.elapsed()),
                            Err(_) => failed.push(name),
                        }
                    }
                })*)*
                assert!(failed.is_empty(), "{failed:?}");
                kit.is_sound().await;
            }
        }
    };
}

macro_rules! conforms {
    ($how:ident $store:ident $(($why:literal))? by $open:ident) => {
        cases! { $how $store $(($why))? by $open:
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
                an_imported_one_is_known_on_its_later_shelf a_full_history_gives_back
                one_redemption a_named_code_keeps_the_limit terms_of_the_moment
            }
            issue {
                one_each three_each a_spent_name_and_a_coupon_that_came_back
                what_is_gone_is_skipped thousands_in_a_row_are_skipped paused_stock
                the_issue_window imported_stock valid_days_count_from_the_issue
                bearer_stock_is_not_issued replaced_once replaced_when_nothing_else_helps
                nobody_replaces_for_himself
                a_worn_out_one_is_passed_over wear_is_spread exactly_a_thousand_one_each
                exactly_a_thousand_three_each taken_back_while_others_ask
                a_cancelled_one_is_still_his a_long_history_costs_little
                a_user_gives_sixteen_names
            }
            shared {
                redeemed cancelled_behind_the_word held_behind_the_word three_each
                a_coupon_he_has_is_taken_first nothing_is_issued_for_nothing
                rehearsed_without_a_trace exactly_as_many_as_there_are
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
            shelves {
                closed_from_one_millisecond_on cancelled_ones_are_not_closed
                closed_ones_are_counted coupons_are_read_by_code
                a_coupon_redeemed_anew_is_not_closed retired_in_just_this_version
                a_stub_lets_no_late_write_through many_are_retired_at_once
                sealed_when_its_time_is_over a_sealed_shelf_evicts_nothing
                sealed_among_other_writes
                nothing_comes_to_a_sealed_shelf a_day_without_a_plan kept_in_pages emptied_alone
                emptied_in_several_units units_are_written_down cold_is_asked_for_the_last_unit
                cold_marks_only_rise
            }
            archived {
                closed_ones_answer_as_before sealed_ones_answer_as_before read_where_it_lies
                what_cold_does_not_answer_is_an_error nobody_had_it untouched_is_asked_of_cold
                found_on_its_later_shelf the_one_he_had the_three_he_had behind_a_shared_word
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

conforms!(each sqlite by open_sqlite);
conforms!(together one_node by open_one_node);
conforms!(together three_nodes ("a quarter of an hour; CI has the steps of `steps.rs` on three nodes") by open_three_nodes);
