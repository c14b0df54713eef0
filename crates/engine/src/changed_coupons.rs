//! Coupons that somebody at the console has changed, or has taken back from somebody. What was done to them is in their
//! histories; a store has no list of what one person did, or of what they had.

use std::time::Duration;

use coupon::ids::UserId;
use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordSync};
use uuid::Uuid;

use crate::failure::Result;
use crate::gifts::KEPT;
use crate::{Caller, Engine};

/// The rows of a person, by the time of the change.
const CHANGED: RecordKind = RecordKind { name: "changed_coupon", sync: RecordSync::Later };

/// The rows of a customer, by the time at which it was taken back.
const REVOKED: RecordKind = RecordKind { name: "revoked_coupon", sync: RecordSync::Later };

/// For so long customers ask what became of a coupon.
const REVOKED_KEPT: Duration = Duration::from_secs(90 * 86_400);

/// Most changes that are read of a person: twice as many as they may give on a day by default.
pub const CHANGED_COUPONS_MAX: usize = 100;

/// Of which coupons the console keeps a note.
#[derive(Clone, Copy, Debug)]
pub enum CouponNotes<'a> {
    /// Those that this person has changed, for more than a day.
    ChangedBy(&'a Caller),
    /// Those that were taken back from this customer, for 90 days.
    RevokedFrom(&'a UserId),
}

impl Engine {
    /// # Errors
    /// Those of the store.
    pub async fn note_coupon(&self, notes: CouponNotes<'_>, code: &str) -> Result<()> {
        let (part, keep) = self.notes(notes)?;
        let row = RecordPut::new(Uuid::now_v7().into_bytes(), code).kept_for(keep);
        Ok(self.hot.tables().put(&part, vec![row]).await?)
    }

    /// The coupons of the last [`CHANGED_COUPONS_MAX`] notes.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn noted_coupons(&self, notes: CouponNotes<'_>) -> Result<Vec<String>> {
        let range = RecordRange::last(CHANGED_COUPONS_MAX);
        let rows = self.hot.tables().scan(&self.notes(notes)?.0, range).await?;
        Ok(rows.iter().map(|row| String::from_utf8_lossy(&row.value).into_owned()).collect())
    }

    /// Without keys, nothing was noted.
    pub(crate) async fn forget_notes(&self, user: &UserId) -> Result<()> {
        let Ok((part, _)) = self.notes(CouponNotes::RevokedFrom(user)) else { return Ok(()) };
        Ok(self.hot.tables().drop_below(&part, None).await?)
    }

    fn notes(&self, notes: CouponNotes<'_>) -> Result<(RecordPart, Duration)> {
        let (kind, person, keep) = match notes {
            CouponNotes::ChangedBy(caller) => (CHANGED, &caller.subject, KEPT),
            CouponNotes::RevokedFrom(user) => (REVOKED, user, REVOKED_KEPT),
        };
        Ok((kind.part(self.hashed(person)?), keep))
    }
}
