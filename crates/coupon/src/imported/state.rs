//! Imported states: what a line of an import says about a coupon.

use crate::ids::{OrderRef, UserId};
use crate::time::Millis;
use crate::worth::RedemptionWorth;

/// The state of a coupon in the system it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedState {
    /// Nobody held it.
    Available,
    Issued {
        holder: UserId,
        /// Since when, if the line said.
        at: Option<Millis>,
    },
    Redeemed {
        /// By whom, if the line said.
        holder: Option<UserId>,
        /// When it was issued to that user, if the line said.
        issued_at: Option<Millis>,
        at: Millis,
        /// For which order, if the line said.
        order: Option<OrderRef>,
        /// Its amounts, if the line said any.
        worth: Option<Box<RedemptionWorth>>,
    },
    Void {
        /// Who held it then, if the line said.
        holder: Option<UserId>,
        /// When it was issued to that user, if the line said.
        issued_at: Option<Millis>,
    },
}

impl ImportedState {
    /// It was void, and nobody held it.
    pub const VOID: ImportedState = ImportedState::Void { holder: None, issued_at: None };

    pub fn as_str(&self) -> &'static str {
        match self {
            ImportedState::Available => "available",
            ImportedState::Issued { .. } => "issued",
            ImportedState::Redeemed { .. } => "redeemed",
            ImportedState::Void { .. } => "void",
        }
    }

    /// Whether this is a later state than `other`: what is stored of an import only moves forward.
    pub fn is_past(&self, other: &ImportedState) -> bool {
        self.rank() > other.rank()
    }

    /// Whether a line of this state says nothing new after `was` was imported.
    pub fn adds_nothing_to(&self, was: &ImportedState) -> bool {
        self.rank() < was.rank() || self.agrees_with(was)
    }

    pub(super) fn rank(&self) -> u8 {
        match self {
            ImportedState::Available => 0,
            ImportedState::Issued { .. } => 1,
            ImportedState::Redeemed { .. } | ImportedState::Void { .. } => 2,
        }
    }

    /// Whether two lines of the same rank say the same. Times do not count: one line may leave them
    /// out, or the old system may have rounded them differently.
    fn agrees_with(&self, other: &ImportedState) -> bool {
        match (self, other) {
            (ImportedState::Available, ImportedState::Available) => true,
            // A void coupon stays so, whether a line says who held it or not.
            (ImportedState::Void { holder: a, .. }, ImportedState::Void { holder: b, .. }) => {
                a.is_none() || b.is_none() || a == b
            }
            (ImportedState::Issued { holder: a, .. }, ImportedState::Issued { holder: b, .. }) => {
                a == b
            }
            (
                ImportedState::Redeemed { holder: a, order: o, .. },
                ImportedState::Redeemed { holder: b, order: p, .. },
            ) => a == b && o == p,
            _ => false,
        }
    }

    pub fn holder(&self) -> Option<&UserId> {
        match self {
            ImportedState::Available => None,
            ImportedState::Issued { holder, .. } => Some(holder),
            ImportedState::Redeemed { holder, .. } | ImportedState::Void { holder, .. } => {
                holder.as_ref()
            }
        }
    }
}
