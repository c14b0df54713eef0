//! Batches: coupons that came into a campaign together, minted or imported.

use crate::ids::{BatchId, CampaignId};
use crate::minted::KeyId;
use crate::time::{Day, Millis};

/// Most batches of one campaign: an issue that finds no coupon looks at each of them.
pub const BATCHES_MAX: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchKind {
    /// Minted here: a run of serials of one expiry day under one key.
    Minted(MintedRun),
    Imported,
}

impl BatchKind {
    pub fn as_str(self) -> &'static str {
        match self {
            BatchKind::Minted(_) => "minted",
            BatchKind::Imported => "imported",
        }
    }
}

/// The serials of a minted batch. They never change, so they may be cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MintedRun {
    pub key: KeyId,
    /// The expiry day inside its codes.
    pub day: Day,
    pub first: u64,
    pub count: u64,
}

impl MintedRun {
    pub fn holds(&self, serial: u64) -> bool {
        serial >= self.first && serial - self.first < self.count
    }
}

/// How the lines of an import ended. The other three add up to `lines`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportCounts {
    /// Lines of the file without its header.
    pub lines: u64,
    pub imported: u64,
    /// Lines that changed nothing.
    pub already_there: u64,
    /// Lines that were refused.
    pub rejected: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub id: BatchId,
    pub campaign: CampaignId,
    pub kind: BatchKind,
    pub count: u64,
    pub paused: bool,
    /// How its last import ended; all zero in a minted batch.
    pub import: ImportCounts,
    pub created_at: Millis,
}

impl Batch {
    pub fn run(&self) -> Option<MintedRun> {
        match self.kind {
            BatchKind::Minted(run) => Some(run),
            BatchKind::Imported => None,
        }
    }
}
