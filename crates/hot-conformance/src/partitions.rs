//! Partitions as the compactor works on them: what is closed, archived markers, seals, deletion.

mod closed;
mod commits;
mod emptied;
mod evicted;
mod sealed;

pub(crate) use closed::{
    a_coupon_redeemed_anew_is_not_closed, cancelled_ones_are_not_closed,
    closed_from_one_millisecond_on, closed_ones_are_counted, coupons_are_read_by_code,
};
pub(crate) use commits::{
    archive_commits_are_written_down, cold_is_asked_for_the_last_archive_commit,
    cold_marks_only_rise,
};
pub(crate) use emptied::{emptied_alone, emptied_in_several_transactions, residue_in_pages};
pub(crate) use evicted::{
    an_archived_marker_lets_no_late_write_through, evicted_in_just_this_version,
    many_are_evicted_at_once,
};
pub(crate) use sealed::{
    a_day_without_a_plan, a_sealed_partition_evicts_nothing, nothing_comes_to_a_sealed_partition,
    sealed_among_other_writes, sealed_when_its_time_is_over,
};
