//! One erasure, and the list of those that are not finished.

use std::collections::BTreeSet;

use coupon::erasure::{Erasure, ErasureSet};
use serde::{Deserialize, Serialize};

coupon::words! {
    /// What an erasure waits for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ErasureState {
        /// Coupons in hot are being given the erased name.
        Finding = "finding",
        /// Everything else in hot.
        Settling = "settling",
        /// Files of hot are being overwritten.
        Overwriting = "overwriting",
        /// Files of cold wait for a compaction.
        Archive = "archive",
        /// Nothing has the old name.
        Done = "done",
    }
    else BadErasureState "is {0:?}, want finding, settling, overwriting, archive or done"
}

/// One erasure. Instants are milliseconds since 1970, and null before the step is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureRecord {
    pub id: String,
    pub number: u64,
    /// The erased name.
    pub name: String,
    /// The old name, until the erasure is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    /// A keyed hash of the old name, which stays. See [`crate::erased`].
    pub(crate) hash: String,
    /// Who asked for it, `role:name`.
    pub by: String,
    pub reason: String,
    /// Whether a compaction is to follow at once.
    pub(super) is_urgent: bool,
    pub asked_at: i64,
    pub found_at: Option<i64>,
    pub settled_at: Option<i64>,
    pub overwritten_at: Option<i64>,
    pub archived_at: Option<i64>,
    pub finished_at: Option<i64>,
}

impl ErasureRecord {
    pub fn state(&self) -> ErasureState {
        match self {
            ErasureRecord { finished_at: Some(_), .. } => ErasureState::Done,
            ErasureRecord { found_at: None, .. } => ErasureState::Finding,
            ErasureRecord { settled_at: None, .. } => ErasureState::Settling,
            ErasureRecord { overwritten_at: None, .. } => ErasureState::Overwriting,
            ErasureRecord { archived_at: None, .. } => ErasureState::Archive,
            ErasureRecord { .. } => ErasureState::Overwriting,
        }
    }

    /// The same without the old name.
    pub(super) fn finished(&self, at: Option<i64>) -> ErasureRecord {
        ErasureRecord { user: None, finished_at: at, ..self.clone() }
    }

    /// `None` of one that is finished.
    pub(super) fn erasure(&self) -> Option<Erasure> {
        let (user, name) = (self.user.as_ref()?.parse().ok()?, self.name.parse().ok()?);
        Some(Erasure { number: self.number, user, name })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ErasureLog {
    /// The number of the last one that was opened.
    pub(super) last: u64,
    /// By number.
    pub(super) open: Vec<ErasureRecord>,
    /// Whether files may have bytes of erasures that are finished.
    pub(super) is_unclean: bool,
    /// The UTC days on which the feed was told old names that it still has.
    pub(super) told_on: BTreeSet<i32>,
}

impl ErasureLog {
    pub(super) fn set(&self) -> ErasureSet {
        let unsettled = self.open.iter().find(|it| it.settled_at.is_none());
        ErasureSet {
            last: unsettled.map_or(self.last, |it| it.number - 1),
            pending: self.open.iter().filter_map(ErasureRecord::erasure).collect(),
        }
    }

    pub(super) fn that(&self, is_due: impl Fn(&ErasureRecord) -> bool) -> Vec<Erasure> {
        let due = self.open.iter().filter(|it| is_due(it));
        due.filter_map(ErasureRecord::erasure).collect()
    }
}
