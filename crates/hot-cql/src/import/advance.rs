//! Lines that change a coupon which an earlier import created.

use coupon::coupon::EventKind;
use coupon::ids::OperationId;
use coupon::imported::{ImportRun, ImportedState};
use hot::protocol::advance_line;
use hot::{HotError, ImportLine, ImportOutcome, imported_state_text};
use xxhash_rust::xxh3::xxh3_128;

use super::Round;
use super::entry::EntryOfLine;
use crate::coupons::{Located, Written};
use cql_session::Result;

impl Round<'_> {
    /// Changes the coupon to what the line says beyond what was imported under its code: a change
    /// like any other.
    pub(super) async fn advance(
        &self,
        line: &ImportLine,
        known: &EntryOfLine,
        mut found: Option<Located>,
    ) -> Result<ImportOutcome> {
        if line.imported_state.adds_nothing_to(&known.imported_state) {
            return Ok(ImportOutcome::AlreadyThere);
        }
        let store = self.store;
        // The same line always has the same id: what it did once is not done again.
        let said = format!("{}\n{}", line.code, imported_state_text::to_json(&line.imported_state));
        let operation = OperationId(xxh3_128(said.as_bytes()));
        let run = ImportRun { operation, ..self.run.clone() };
        let mut attempts = store.attempts("a line that moves its coupon forward");
        loop {
            let found = match found.take() {
                Some(found) => Some(found),
                None => attempts.looked(store.stored(known.day.into(), &line.code).await)?,
            };
            let missing = || {
                HotError::Damaged(format!(
                    "{}: the directory has an entry without its coupon",
                    line.code
                ))
            };
            let located = found.ok_or_else(missing)?;
            // A process that finished its entry in a claim has issued under this id, and no more.
            let is_last = |kind: &EventKind| match line.imported_state {
                ImportedState::Available | ImportedState::Issued { .. } => true,
                ImportedState::Redeemed { .. } => matches!(kind, EventKind::Redeemed { .. }),
                ImportedState::Void { .. } => matches!(kind, EventKind::Voided { .. }),
            };
            let mut events = located.coupon.events().iter();
            let done = events.any(|it| it.operation == operation && is_last(&it.kind));
            let was = &known.imported_state;
            let advance = advance_line(&located, &line.imported_state, was, &run, done);
            if let Some(after) = &advance.after {
                if advance.has_new_holder {
                    let (campaign, day) = (&located.here.campaign, located.day);
                    store.claim_for_holder(campaign, day, after, None).await?;
                }
                store.tell_brought(&[(&located.terms().id, after)]).await?;
                let written =
                    store.write_coupon(&located, after, operation, Some(&run.actor)).await?;
                if written == Written::Conflict {
                    attempts.again().await?;
                    continue;
                }
            }
            if advance.raises {
                store.raise_imported_state(&line.code, &line.imported_state).await?;
            }
            return Ok(advance.outcome);
        }
    }
}
