//! Lines that change a coupon which an earlier import created.

use coupon::coupon::EventKind;
use coupon::ids::OperationId;
use coupon::imported::{ImportRun, ImportedState};
use hot::protocol::{LineAdvance, advance_line};
use hot::{HotError, ImportLine, ImportOutcome, imported_state_text};
use xxhash_rust::xxh3::xxh3_128;

use super::ImportRound;
use super::entry::EntryOfLine;
use crate::coupons::{CqlCoupon, Written};
use cql_session::Result;

impl ImportRound<'_> {
    /// Changes the coupon to what the line says beyond its import: a change like any other.
    pub(super) async fn advance(
        &self,
        line: &ImportLine,
        known: &EntryOfLine,
        mut found: Option<CqlCoupon>,
    ) -> Result<ImportOutcome> {
        if line.imported_state.adds_nothing_to(&known.imported_state) {
            return Ok(ImportOutcome::AlreadyThere);
        }
        let store = self.store;
        store.may_be_given(line.imported_state.holder()).await?;
        let run = run_of_line(line, self.run);
        let mut attempts = store.attempts("a line that moves its coupon forward");
        loop {
            let found = match found.take() {
                Some(found) => Some(found),
                None => attempts.looked(store.stored(known.day.into(), &line.code).await)?,
            };
            let why = "the directory has an entry without its coupon";
            let missing = || HotError::Damaged(format!("{}: {why}", line.code));
            let located = found.ok_or_else(missing)?;
            let advance = decide(line, known, &located, &run);
            if let Some(after) = &advance.after {
                // Before the coupon: a crash leaves an entry too many, never an uncounted holder.
                if advance.has_new_holder {
                    let (campaign, day) = (&located.here.campaign, located.day);
                    store.claim_for_holder(campaign, day, after, None).await?;
                }
                store.tell_brought(&[(&located.terms().id, after)]).await?;
                let written =
                    store.write_coupon(&located, after, run.operation, Some(&run.actor)).await?;
                if written == Written::Conflict {
                    attempts.again().await?;
                    continue;
                }
            }
            // After the coupon: an entry ahead of it would make the repeated line do nothing.
            if advance.raises {
                store.raise_imported_state(&line.code, &line.imported_state).await?;
            }
            return Ok(advance.outcome);
        }
    }
}

/// The run of a line, under an id that the same line always has: what it did once is not done again.
pub(super) fn run_of_line(line: &ImportLine, run: &ImportRun) -> ImportRun {
    let said = format!("{}\n{}", line.code, imported_state_text::to_json(&line.imported_state));
    ImportRun { operation: OperationId(xxh3_128(said.as_bytes())), ..run.clone() }
}

pub(super) fn decide(
    line: &ImportLine,
    known: &EntryOfLine,
    located: &CqlCoupon,
    run: &ImportRun,
) -> LineAdvance {
    // A process that finished its entry in a claim has issued under this id, and no more.
    let is_last = |kind: &EventKind| match line.imported_state {
        ImportedState::Available | ImportedState::Issued { .. } => true,
        ImportedState::Redeemed { .. } => matches!(kind, EventKind::Redeemed { .. }),
        ImportedState::Void { .. } => matches!(kind, EventKind::Voided { .. }),
    };
    let mut events = located.coupon.events().iter();
    let done = events.any(|it| it.operation == run.operation && is_last(&it.kind));
    advance_line(located, &line.imported_state, &known.imported_state, run, done)
}
