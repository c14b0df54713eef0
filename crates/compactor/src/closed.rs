//! The Closed pass: what no rule can change any more leaves a shelf that is still open.

use coupon::time::{Day, Millis};

use crate::merge::{self, Merge};
use crate::plan::Pass;
use crate::report::ShelfReport;
use crate::{CompactError, Compactor, RACES_MAX};

impl Compactor {
    /// Moves the closed coupons of one shelf, unit by unit until there are none.
    pub(crate) async fn closed_pass(
        &self,
        day: Day,
        now: Millis,
    ) -> Result<ShelfReport, CompactError> {
        let mut report = ShelfReport::new(day, Pass::Closed);
        self.make_tables().await?;
        let (mut lost, mut wrote) = (0, false);
        while lost < RACES_MAX {
            let shelf = self.cold.shelf(day).await?;
            // A file is merged away only when the side table has what is in it.
            let removed = self.finish_open(&shelf).await?;
            // A unit whose rows somebody else has removed: were it for another reason, this would
            // go on for ever.
            lost += u32::from(wrote && removed == 0);
            report.removed += removed;
            let codes = self.hot.closed_codes(day, now, self.settings.closed_unit_max).await?;
            if codes.is_empty() {
                return Ok(report);
            }
            let total = codes.len() as u64;
            let mut sources = vec![merge::picked(self.hot.clone(), day, codes, now)];
            let replaced = match shelf.files.len() < self.settings.shelf_files_max {
                true => Vec::new(),
                false => shelf.files.clone(),
            };
            sources.extend(merge::files(&self.cold, &replaced).await?);
            let total = total + replaced.iter().map(|file| file.rows()).sum::<u64>();
            let unit = self.write(&shelf, Merge::new(day, sources), &replaced, total).await?;
            wrote = unit.is_some();
            match unit {
                Some(unit) => report.add(&unit),
                None => lost += 1,
            }
        }
        Err(CompactError::Overtaken { day })
    }
}
