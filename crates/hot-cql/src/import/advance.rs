//! Lines that say more of a coupon than what was imported before.

use coupon::coupon::EventKind;
use coupon::ids::OperationId;
use coupon::imported::{Advance, ImportRun, ImportedState, advance};
use coupon::refusal::Refusal;
use hot::{HotError, ImportLine, ImportOutcome, imported_state_text};
use xxhash_rust::xxh3::xxh3_128;

use super::Round;
use super::entry::EntryOfLine;
use crate::coupons::{Located, Written};
use crate::session::Result;

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
                None => attempts.looked(store.stored(known.day, &line.code).await)?,
            };
            let missing = || {
                HotError::Damaged(format!(
                    "{}: the directory has an entry without its coupon",
                    line.code
                ))
            };
            let located = found.ok_or_else(missing)?;
            // A process that finished its entry in a claim has issued under this id, and no more.
            let redeems = matches!(line.imported_state, ImportedState::Redeemed { .. });
            let done = located.coupon.events().iter().any(|event| {
                let by_it = event.operation == operation;
                by_it && (!redeems || matches!(event.kind, EventKind::Redeemed { .. }))
            });
            let advanced = match done {
                true => Advance::AlreadyThere,
                false => {
                    advance(&located.coupon, &known.imported_state, &line.imported_state, &run)
                }
            };
            let outcome = match advanced {
                Advance::Contradicts(refusal) => return Ok(ImportOutcome::Refused(refusal)),
                Advance::Forward(_) if located.frozen => {
                    return Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed));
                }
                Advance::AlreadyThere => ImportOutcome::AlreadyThere,
                Advance::Forward(after) => {
                    if located.coupon.holder() != after.holder() {
                        store
                            .claim_for_holder(&located.here.campaign, located.day, &after, None)
                            .await?;
                    }
                    let written = store.write_coupon(&located, &after, operation).await?;
                    if written == Written::Conflict {
                        attempts.again().await?;
                        continue;
                    }
                    ImportOutcome::Imported
                }
            };
            // Also if the coupon was in that state already: the same line must add nothing the next
            // time, whatever happens to the coupon in between.
            if line.imported_state.is_past(&known.imported_state) {
                store.raise_imported_state(&line.code, &line.imported_state).await?;
            }
            return Ok(outcome);
        }
    }
}
