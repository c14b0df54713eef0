//! Dry runs of an import: the decisions about lines, from reads alone.

use coupon::imported::ImportRun;
use coupon::refusal::Refusal;
use coupon::time::Day;
use hot::{ImportLine, ImportOutcome};

use super::LinePlan;
use super::advance::{decide, run_of_line};
use crate::CqlStore;
use crate::campaigns::CampaignHere;
use crate::partitions::PlanRow;
use cql_session::Result;

impl CqlStore {
    pub(super) async fn dry_run_line(
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
            Some(LinePlan::Done(outcome)) => Ok(outcome),
            Some(LinePlan::Advance(known)) => {
                match self.stored(known.day.into(), &line.code).await? {
                    Some(located) => {
                        Ok(decide(line, &known, &located, &run_of_line(line, run)).outcome)
                    }
                    None => Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed)),
                }
            }
            None | Some(LinePlan::Row(_)) => {
                let day = Day::expiry_day_of(line.expires_at);
                Ok(match self.plan_is(day, PlanRow::is_closing).await? {
                    true => ImportOutcome::Refused(Refusal::ExpiryDayClosed),
                    false => ImportOutcome::Imported,
                })
            }
        }
    }
}
