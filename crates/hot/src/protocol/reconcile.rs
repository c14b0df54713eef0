//! What a store learns from the cold tier after it was restored from a backup.

use coupon::coupon::{Coupon, State};
use coupon::imported::{ImportedState, import_order};

/// Serials that every day skips after a restore: far more than are minted between two backups. A
/// day has room for sixty such gaps.
pub const SERIAL_GAP: u64 = 1 << 34;

/// What a store has of a code in the partition in which cold has the coupon.
#[derive(Clone, Copy, Debug)]
pub struct StoredFacts {
    /// The version of its row, if it has one.
    pub version: Option<u64>,
    pub has_archived_marker: bool,
    pub is_sealed: bool,
}

/// Whether a store knows as much of a coupon as cold does: it keeps what it has.
pub fn is_known(archived: &Coupon, stored: StoredFacts) -> bool {
    stored.has_archived_marker
        || match stored.version {
            // Changed after the coupon was archived, by a process whose clock was set back.
            Some(version) => version > archived.version(),
            // Without a row behind a seal: it was archived before the backup was made.
            None => stored.is_sealed,
        }
}

/// What a line would have to say for the coupon to be as it is: no later line moves it forward.
pub fn imported_state_of(coupon: &Coupon) -> ImportedState {
    match coupon.state() {
        State::Available => ImportedState::Available,
        State::Issued { holder } => {
            ImportedState::Issued { holder: holder.clone(), at: coupon.issued_at() }
        }
        State::Redeemed { redemption, .. } => ImportedState::Redeemed {
            holder: redemption.by.clone(),
            issued_at: coupon.issued_at(),
            at: redemption.at,
            // A line that named no order has got this one.
            order: Some(redemption.order.clone())
                .filter(|order| *order != import_order(coupon.code())),
            worth: redemption.worth.map(Box::new),
        },
        State::Void { holder } => {
            ImportedState::Void { holder: holder.clone(), issued_at: coupon.issued_at() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::{coupon, issued, redeemed};

    #[test]
    fn what_a_store_knows() {
        let archived = coupon("CODE01", vec![issued("ann"), redeemed("ann", "1")]);
        // A name, the version of the row, whether there is a marker, and a seal; whether it is known.
        let cases = [
            ("untouched", None, false, false, false),
            ("an earlier version", Some(1), false, false, false),
            ("an earlier version behind a seal", Some(1), false, true, false),
            ("this version, not archived yet", Some(2), false, false, false),
            ("a later version", Some(3), false, false, true),
            ("removed behind a seal", None, false, true, true),
            ("archived", None, true, false, true),
            ("archived, with a row that says so", Some(1), true, false, true),
        ];
        for (name, version, has_archived_marker, is_sealed, want) in cases {
            let stored = StoredFacts { version, has_archived_marker, is_sealed };
            assert_eq!(is_known(&archived, stored), want, "{name}");
        }
    }
}
