//! What both tiers say of one code.

use std::sync::Arc;

use cold::ColdCopy;
use coupon::campaign::Campaign;
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};
use hot::PartitionPlan;
use hot::inventory::{Atomicity, EntryItem, IndexRowKind, RowIs, RowItem};
use router::Owner;

/// What a code says by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeHome {
    /// It was minted: its batch and its first partition are inside it.
    Minted {
        owner: Owner,
        /// The partition that it was minted for.
        day: Day,
        /// What every coupon of the batch came with: the first instant at which it works, the first at
        /// which it no longer works, and when it was created.
        dates: [Millis; 3],
        /// The ends that its campaign had before: a coupon that had a row by then came with one of them.
        earlier_ends: Vec<Millis>,
    },
    /// Only the directory knows it.
    Foreign,
}

/// What another table says, if it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableAnswer<T> {
    Not,
    Is(T),
}

/// Everything that both tiers say of one code in one partition.
#[derive(Clone, Debug)]
pub struct CodeView {
    pub day: Day,
    /// The code as it is stored.
    pub code: String,
    /// The partition's plan, read before the rows.
    pub plan: Option<PartitionPlan>,
    pub rows: Vec<RowItem>,
    /// The copies in cold, read after the rows in hot.
    pub copies: Vec<ColdCopy>,
    /// The partition's last archive commit in cold.
    pub cold_archive_commit: u64,
    /// Whether all of the partition's files can be read.
    pub cold_whole: bool,
    pub home: CodeHome,
    /// The terms of its coupon's campaign, if the store knows it.
    pub terms: Option<Arc<Campaign>>,
    pub entry: TableAnswer<Option<EntryItem>>,
    /// Whether its holder's claim names it.
    pub claimed: TableAnswer<bool>,
    /// Index rows that it should have and does not have.
    pub unindexed: Vec<IndexRowKind>,
    pub atomicity: Atomicity,
}

impl CodeView {
    pub fn hot_coupon(&self) -> Option<&Coupon> {
        self.rows.iter().find_map(|row| match &row.is {
            RowIs::Coupon { coupon, .. } => Some(coupon.as_ref()),
            RowIs::ArchivedMarker { .. } | RowIs::Forwarding { .. } | RowIs::Unreadable(_) => None,
        })
    }

    pub(super) fn archived_marker(&self) -> Option<u64> {
        self.rows.iter().find_map(|row| match row.is {
            RowIs::ArchivedMarker { version } => Some(version),
            RowIs::Coupon { .. } | RowIs::Forwarding { .. } | RowIs::Unreadable(_) => None,
        })
    }

    pub(crate) fn forward_to(&self) -> Option<Day> {
        self.rows.iter().find_map(|row| match row.is {
            RowIs::Forwarding { to } => Some(to),
            RowIs::Coupon { .. } | RowIs::ArchivedMarker { .. } | RowIs::Unreadable(_) => None,
        })
    }

    /// The newest copy in cold.
    pub fn cold_coupon(&self) -> Option<&Coupon> {
        let readable = self.copies.iter().filter_map(|copy| copy.coupon.as_deref().ok());
        readable.max_by_key(|coupon| coupon.version())
    }

    /// The coupon: the higher version of hot and cold.
    pub fn coupon(&self) -> Option<&Coupon> {
        let both = self.hot_coupon().into_iter().chain(self.cold_coupon());
        both.max_by_key(|coupon| coupon.version())
    }

    /// Whether hot has nothing of it any more, except perhaps an archived marker.
    pub fn is_in_cold_alone(&self) -> bool {
        !self.copies.is_empty()
            && self.rows.iter().all(|row| matches!(row.is, RowIs::ArchivedMarker { .. }))
    }

    pub(super) fn hot_place(&self) -> String {
        format!("hot, partition {}", self.day)
    }

    /// The partition in hot if it has the coupon, else in cold.
    pub(super) fn tier_place(&self) -> String {
        match self.hot_coupon() {
            Some(_) => self.hot_place(),
            None => format!("cold, partition {}", self.day),
        }
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.plan.is_some_and(|plan| plan.sealed)
    }
}

pub(super) fn cold_place(copy: &ColdCopy) -> String {
    format!("cold, coupons/{}", copy.file)
}
