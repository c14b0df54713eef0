//! Coupons that somebody at the console has changed. What was done to them is in their histories; a store has no list of
//! what one person did.

use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordSync};
use uuid::Uuid;

use crate::failure::Result;
use crate::gifts::KEPT;
use crate::{Caller, Engine};

/// The rows of a person, by the time of the change.
const CHANGED: RecordKind = RecordKind { name: "changed_coupon", sync: RecordSync::Later };

/// Most changes that are read of a person: twice as many as they may give on a day by default.
pub const CHANGED_COUPONS_MAX: usize = 100;

impl Engine {
    /// Notes that the caller has changed a coupon.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note_changed_coupon(&self, caller: &Caller, code: &str) -> Result<()> {
        let row = RecordPut::new(Uuid::now_v7().into_bytes(), code).kept_for(KEPT);
        Ok(self.hot.tables().put(&self.changed_by(caller)?, vec![row]).await?)
    }

    /// The coupons of the last [`CHANGED_COUPONS_MAX`] changes of the caller, for more than a day.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn changed_coupons(&self, caller: &Caller) -> Result<Vec<String>> {
        let range = RecordRange::last(CHANGED_COUPONS_MAX);
        let rows = self.hot.tables().scan(&self.changed_by(caller)?, range).await?;
        Ok(rows.iter().map(|row| String::from_utf8_lossy(&row.value).into_owned()).collect())
    }

    fn changed_by(&self, caller: &Caller) -> Result<RecordPart> {
        Ok(CHANGED.part(self.hashed(&caller.subject)?))
    }
}
