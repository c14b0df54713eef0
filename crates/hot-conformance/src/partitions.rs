//! What the compactor needs of partitions: closed coupons, archived markers, seals, deletion.

mod closed;
mod commits;
mod emptied;
mod evicted;
mod sealed;

pub(crate) use closed::{
    a_coupon_redeemed_again_is_not_closed, cancelled_coupons_are_not_closed,
    closed_at_the_exact_millisecond, closed_coupons_are_counted, coupons_are_read_by_code,
};
pub(crate) use commits::{
    archive_commits_are_stored, cold_marks_only_rise, cold_reads_name_the_last_archive_commit,
};
pub(crate) use emptied::{
    emptied_in_several_transactions, emptying_leaves_other_partitions, residue_in_pages,
};
pub(crate) use evicted::{
    an_archived_marker_stops_late_writes, evicted_only_in_the_copied_version,
    many_coupons_are_evicted,
};
pub(crate) use sealed::{
    a_day_without_a_plan, a_sealed_partition_evicts_nothing, nothing_enters_a_sealed_partition,
    sealed_beside_other_writes, sealed_only_when_its_time_is_over,
};
