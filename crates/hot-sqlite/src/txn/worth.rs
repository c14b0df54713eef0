//! The amounts of redemptions that are added up in the table `activity`, by the number of a campaign and of a quarter.

use coupon::worth::WorthSums;
use hot::activity::ALL_TIME;
use rusqlite::{Result as SqlResult, params};

use super::Txn;
use crate::columns::parsed_or_null;

/// The number under which all campaigns together are counted.
pub(crate) const ALL_CAMPAIGNS: i64 = 0;

impl Txn<'_> {
    pub(crate) fn worth_at(&self, place: (i64, i64)) -> SqlResult<WorthSums> {
        let sql = "SELECT worth FROM activity WHERE campaign = ?1 AND quarter = ?2";
        let found = self.first(sql, [place.0, place.1], |row| parsed_or_null(row, 0))?;
        Ok(found.flatten().unwrap_or_default())
    }

    pub(crate) fn set_worth(
        &self,
        (campaign, quarter): (i64, i64),
        worth: &WorthSums,
    ) -> SqlResult<()> {
        self.run(
            "INSERT INTO activity (campaign, quarter, issued, redeemed, cancelled, worth) \
             VALUES (?1, ?2, 0, 0, 0, ?3) \
             ON CONFLICT (campaign, quarter) DO UPDATE SET worth = excluded.worth",
            params![campaign, quarter, worth.to_string()],
        )
    }

    pub(crate) fn add_worth(&self, place: (i64, i64), more: &WorthSums) -> SqlResult<()> {
        let mut worth = self.worth_at(place)?;
        worth.add(more);
        self.set_worth(place, &worth)
    }

    /// Adds to those of all time, of a campaign and of all together.
    pub(crate) fn add_worth_of_all_time(&self, campaign: i64, more: &WorthSums) -> SqlResult<()> {
        self.add_worth((campaign, ALL_TIME), more)?;
        self.add_worth((ALL_CAMPAIGNS, ALL_TIME), more)
    }
}
