//! The directory entry of a line: inserted for a new code, read for a known one.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use coupon::code::Code;
use coupon::ids::{Actor, BatchId, CampaignId, OperationId};
use coupon::imported::{ImportRun, ImportedState};
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use hot::protocol::has_dates;
use hot::{HotError, ImportLine, ImportOutcome, imported_state_text};
use scylla::DeserializeRow;
use scylla::value::{CqlDate, CqlTimestamp};
use uuid::Uuid;

use super::{ImportRound, LinePlan};
use crate::CqlStore;
use crate::campaigns::CampaignHere;
use crate::coupons::CouponTrace;
use crate::values::{date, day, instant, millis, parsed, uuid as uuid_of};
use cql_session::{Cas, Result, StatementProfile};

#[derive(DeserializeRow)]
pub(super) struct EntryRow {
    kind: Option<String>,
    campaign_id: Option<String>,
    batch_id: Option<String>,
    expiry_day: Option<CqlDate>,
    valid_from: Option<CqlTimestamp>,
    expires_at: Option<CqlTimestamp>,
    first_imported_state: Option<String>,
    imported_state: Option<String>,
    arrived_at: Option<CqlTimestamp>,
    actor: Option<String>,
    operation: Option<Uuid>,
}

/// The entry of a line of this campaign with these dates.
#[derive(Clone, Debug)]
pub(super) struct EntryOfLine {
    pub(super) batch: BatchId,
    pub(super) day: Day,
    pub(super) first_imported_state: ImportedState,
    pub(super) imported_state: ImportedState,
    pub(super) run: ImportRun,
}

impl ImportRound<'_> {
    pub(super) async fn look(&self, line: &ImportLine, closing: &HashSet<Day>) -> Result<LinePlan> {
        let day = Day::expiry_day_of(line.expires_at);
        let mut attempts = self.store.attempts("the directory entry of a line");
        // Lines come in runs: if the last one was new, this one likely is, too, and one write wins
        // its entry.
        let mut looks = !self.expects_new.load(Ordering::Relaxed) || closing.contains(&day);
        loop {
            if looks {
                match attempts.looked(self.store.entry_row(&line.code).await)? {
                    Some(row) => {
                        self.expects_new.store(false, Ordering::Relaxed);
                        return self.store.look_again(self.here, line, row).await;
                    }
                    None if closing.contains(&day) => {
                        return Ok(LinePlan::Done(ImportOutcome::Refused(
                            Refusal::ExpiryDayClosed,
                        )));
                    }
                    None => self.expects_new.store(true, Ordering::Relaxed),
                }
            }
            looks = true;
            let (owner, run) = ((&self.here.terms.id, self.batch), self.run);
            let arrived = (run.at, Some(&run.actor), run.operation);
            let cas = self.store.insert_entry(attempts.profile(), line, owner, arrived, day).await;
            if attempts.wrote(cas).await? {
                return Ok(LinePlan::Row(Box::new(EntryOfLine {
                    batch: self.batch.clone(),
                    day,
                    first_imported_state: line.imported_state.clone(),
                    imported_state: line.imported_state.clone(),
                    run: self.run.clone(),
                })));
            }
        }
    }
}

impl EntryRow {
    /// `None` if the code is taken by something else.
    fn of(self, here: &CampaignHere, line: &ImportLine) -> Result<Option<EntryOfLine>> {
        let same = self.kind.as_deref() == Some("coupon")
            && self.campaign_id.as_deref() == Some(here.terms.id.as_str())
            && self.valid_from.zip(self.expires_at).is_some_and(|(from, until)| {
                has_dates(&here.terms, line, (millis(from), millis(until)))
            });
        let (Some(batch), Some(expiry_day), Some(first), Some(imported_state), Some(at)) = (
            self.batch_id,
            self.expiry_day,
            self.first_imported_state,
            self.imported_state,
            self.arrived_at,
        ) else {
            return Ok(None);
        };
        if !same {
            return Ok(None);
        }
        let said = |text: &str| {
            imported_state_text::from_json(text)
                .map_err(|why| HotError::Damaged(format!("imported state: {why}")))
        };
        Ok(Some(EntryOfLine {
            batch: parsed("batch_id", &batch)?,
            day: day(expiry_day),
            first_imported_state: said(&first)?,
            imported_state: said(&imported_state)?,
            run: ImportRun {
                actor: Actor::new(self.actor.as_deref().unwrap_or_default()),
                operation: OperationId(self.operation.map_or(0, |id| id.as_u128())),
                at: millis(at),
            },
        }))
    }
}

impl CqlStore {
    /// A line whose code is in the directory. Writes nothing.
    pub(super) async fn look_again(
        &self,
        here: &CampaignHere,
        line: &ImportLine,
        row: EntryRow,
    ) -> Result<LinePlan> {
        let Some(known) = row.of(here, line)? else {
            return Ok(LinePlan::Done(ImportOutcome::CodeTaken));
        };
        // An entry without a row is not a coupon yet: the same line, sent again, writes it.
        match self.trace(known.day.into(), &line.code).await? {
            CouponTrace::Nothing => Ok(LinePlan::Row(Box::new(known))),
            // Nothing in hot says whether its row was ever written: cold knows.
            CouponTrace::InCold { archived_marker: None, .. }
                if known.imported_state == known.first_imported_state =>
            {
                Ok(LinePlan::Advance(Box::new(known)))
            }
            // Most lines of a file that is sent again: the coupon need not be read.
            _ if line.imported_state.adds_nothing_to(&known.imported_state) => {
                Ok(LinePlan::Done(ImportOutcome::AlreadyThere))
            }
            _ => Ok(LinePlan::Advance(Box::new(known))),
        }
    }

    /// The entry of a line whose code has none, of the campaign and batch `owner`: when it arrived, and by
    /// whom and what.
    pub(crate) async fn insert_entry(
        &self,
        profile: StatementProfile,
        line: &ImportLine,
        (campaign, batch): (&CampaignId, &BatchId),
        (at, actor, operation): (Millis, Option<&Actor>, OperationId),
        day: Day,
    ) -> Result<Cas> {
        // Before the entry: who gets the coupon later would be who the entry says.
        self.may_be_given(line.imported_state.holder()).await?;
        let cql = "INSERT INTO directory (code, kind, campaign_id, batch_id, expiry_day, \
                   valid_from, expires_at, first_imported_state, imported_state, arrived_at, \
                   actor, operation) VALUES (?, 'coupon', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT \
                   EXISTS";
        let imported_state = imported_state_text::to_json(&line.imported_state);
        let values = (
            line.code.as_str(),
            campaign.as_str(),
            batch.as_str(),
            date(day),
            instant(line.valid_from),
            instant(line.expires_at),
            imported_state.as_str(),
            imported_state.as_str(),
            instant(at),
            actor.map(Actor::as_str),
            uuid_of(operation),
        );
        self.session.change(profile, cql, values).await
    }

    pub(super) async fn entry_row(&self, code: &Code) -> Result<Option<EntryRow>> {
        let cql = "SELECT kind, campaign_id, batch_id, expiry_day, valid_from, expires_at, \
                   first_imported_state, imported_state, arrived_at, actor, operation FROM \
                   directory WHERE code = ?";
        self.session.row(cql, (code.as_str(),)).await
    }

    /// Raises the state in the directory to the furthest one that was imported under the code.
    pub(super) async fn raise_imported_state(
        &self,
        code: &Code,
        imported_state: &ImportedState,
    ) -> Result<()> {
        let mut attempts = self.attempts("the directory entry of a line");
        loop {
            let row = attempts.looked(self.entry_row(code).await)?;
            let present = row.and_then(|row| row.imported_state);
            if let Some(text) = &present
                && let Ok(here) = imported_state_text::from_json(text)
                && !imported_state.is_past(&here)
            {
                return Ok(());
            }
            let cql =
                "UPDATE directory SET imported_state = ? WHERE code = ? IF imported_state = ?";
            let values = (imported_state_text::to_json(imported_state), code.as_str(), present);
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
        }
    }
}
