//! Dry runs of an import: the decisions about lines, from reads alone.

use coupon::ids::CampaignId;
use coupon::imported::ImportRun;
use coupon::refusal::Refusal;
use coupon::time::Day;
use hot::{HotError, ImportLine, ImportOutcome};

use super::advance::{decide, run_of_line};
use super::{AT_ONCE, Line};
use crate::Store;
use crate::campaigns::CampaignHere;
use cql_session::{Result, bounded_join};

impl Store {
    /// The outcomes that lines with different codes would have. Writes nothing.
    pub(crate) async fn dry_run_lines(
        &self,
        campaign: &CampaignId,
        lines: &[ImportLine],
        run: &ImportRun,
    ) -> Result<Vec<ImportOutcome>> {
        let gone = || HotError::Damaged("the campaign of an import is gone".into());
        let here = self.terms(campaign).await?.ok_or_else(gone)?;
        bounded_join(AT_ONCE, lines.iter().map(|line| self.dry_run_line(&here, line, run))).await
    }

    async fn dry_run_line(
        &self,
        here: &CampaignHere,
        line: &ImportLine,
        run: &ImportRun,
    ) -> Result<ImportOutcome> {
        let look = match self.entry_row(&line.code).await? {
            Some(row) => Some(self.look_again(here, line, row).await?),
            None => None,
        };
        match look {
            Some(Line::Done(outcome)) => Ok(outcome),
            Some(Line::Advance(known)) => match self.stored(known.day.into(), &line.code).await? {
                Some(located) => {
                    Ok(decide(line, &known, &located, &run_of_line(line, run)).outcome)
                }
                None => Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed)),
            },
            None | Some(Line::Row(_)) => {
                let day = Day::expiry_day_of(line.expires_at);
                Ok(match self.is_closing(day).await? {
                    true => ImportOutcome::Refused(Refusal::ExpiryDayClosed),
                    false => ImportOutcome::Imported,
                })
            }
        }
    }
}
