//! What a call of the feed knows of rows that readers have passed, and for what it reads.

use std::collections::BTreeSet;

use tokio::time::Instant;

/// What a run is read for.
#[derive(Clone, Copy)]
pub(super) struct RunBounds<'a> {
    pub(super) epoch: &'a str,
    /// Before `unread` and `aside` were read.
    pub(super) began: Instant,
    /// Slots in which rows are that were put aside: those behind the reader, and behind the first one that is unread.
    pub(super) aside: &'a [i64],
    /// Partitions of rows that every reader passes.
    pub(super) unread: &'a BTreeSet<UnreadPlace>,
    /// The first slot that is not over.
    pub(super) end: i64,
    /// Events that are wanted.
    pub(super) limit: usize,
}

/// The slot and the shard of a partition of index rows.
pub(super) type UnreadPlace = (i64, i32);

/// Slots of a shard that readers have passed without their rows.
pub(super) struct PassedSlots {
    pub(super) slots: Vec<i64>,
    /// Whether there may be rows of any slot in them.
    has_asides: bool,
}

impl PassedSlots {
    pub(super) fn of(shard: i32, bounds: RunBounds<'_>) -> PassedSlots {
        let of_shard = bounds.unread.iter().filter(|(_, of)| *of == shard);
        let slots: Vec<i64> = of_shard.map(|(slot, _)| *slot).collect();
        let has_asides = slots.iter().any(|slot| bounds.aside.contains(slot));
        PassedSlots { slots, has_asides }
    }

    /// Whether readers may have passed a change that was announced in a slot.
    pub(super) fn may_have(&self, slot: i64) -> bool {
        self.has_asides || self.slots.contains(&slot)
    }
}
