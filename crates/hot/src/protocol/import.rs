//! One line of an import: the coupon that it makes, or what it does to the one that an earlier line made.

use coupon::campaign::Campaign;
use coupon::coupon::{Coupon, Genesis};
use coupon::ids::BatchId;
use coupon::imported::{Advance, ImportRun, ImportedState, advance, arrive};
use coupon::refusal::Refusal;
use coupon::time::Millis;

use super::change::new_holder;
use super::located::{Here, Located};
use crate::{ImportLine, ImportOutcome};

/// The coupon of a line whose code is new. `run` is the run that wrote its directory entry, and
/// `first_imported_state` the state that the entry has from it.
pub fn arrived(
    terms: &Campaign,
    batch: BatchId,
    line: &ImportLine,
    first_imported_state: &ImportedState,
    run: &ImportRun,
) -> Coupon {
    let genesis = Genesis {
        code: line.code.clone(),
        campaign: terms.id.clone(),
        batch,
        valid_from: line.valid_from,
        expires_at: line.expires_at,
        zone: terms.zone.clone(),
        created_at: run.at,
    };
    arrive(genesis, first_imported_state, run)
}

/// Whether a line says the dates with which its code came, the first instant and the end. A line without an end has that
/// of the campaign, which may have become a later one since.
pub fn has_dates(terms: &Campaign, line: &ImportLine, came_with: (Millis, Millis)) -> bool {
    let (valid_from, expires_at) = came_with;
    let follows = line.expires_at == terms.expires_at && terms.earlier_ends.contains(&expires_at);
    line.valid_from == valid_from && (line.expires_at == expires_at || follows)
}

/// What a line does whose code an earlier line has brought.
#[derive(Debug)]
pub struct LineAdvance {
    pub outcome: ImportOutcome,
    /// The coupon as it is written, if the line changes it.
    pub after: Option<Box<Coupon>>,
    /// Whether somebody holds the coupon then who did not before: their claim gets an entry.
    pub has_new_holder: bool,
    /// Whether the directory entry gets the state of the line. Also if the coupon was in that state already: the same
    /// line must add nothing the next time, whatever happens to the coupon in between.
    pub raises: bool,
}

/// What a line of the state `line` does to the coupon of its code, which was last imported as `was`.
/// `is_done`: the coupon shows that the line has changed it before.
pub fn advance_line<H: Here>(
    located: &Located<H>,
    line: &ImportedState,
    was: &ImportedState,
    run: &ImportRun,
    is_done: bool,
) -> LineAdvance {
    let step = |outcome, after: Option<Box<Coupon>>, raises| {
        let new_holder = after.as_ref().and_then(|after| new_holder(&located.coupon, after));
        LineAdvance { outcome, has_new_holder: new_holder.is_some(), after, raises }
    };
    let raises = line.is_past(was);
    // Before the rules: the coupon may have changed since, and would seem to contradict the line.
    if is_done {
        return step(ImportOutcome::AlreadyThere, None, raises);
    }
    match advance(&located.coupon, was, line, run) {
        Advance::AlreadyThere => step(ImportOutcome::AlreadyThere, None, raises),
        Advance::Contradicts(refusal) => step(ImportOutcome::Refused(refusal), None, false),
        Advance::Forward(_) if located.frozen => {
            step(ImportOutcome::Refused(Refusal::ExpiryDayClosed), None, false)
        }
        Advance::Forward(after) => step(ImportOutcome::Imported, Some(after), raises),
    }
}

#[cfg(test)]
mod tests {
    use coupon::ids::{Actor, OperationId};

    use super::*;
    use crate::protocol::testing::{
        NOW, TestLocated, campaign, code, coupon, held, issued, located, order, redeemed, user,
        voided,
    };

    fn run() -> ImportRun {
        ImportRun { actor: Actor::new("import"), operation: OperationId(99), at: NOW }
    }

    #[test]
    fn lines_with_a_new_code() {
        let (terms, batch) = (campaign(), coupon("CODE01", vec![]).genesis().batch.clone());
        let (valid_from, expires_at) = (NOW.plus_ms(1), NOW.plus_ms(2));
        let to_ann = ImportedState::Issued { holder: user("ann"), at: None };
        for (said, events) in [(ImportedState::Available, 0), (to_ann, 1), (ImportedState::VOID, 1)]
        {
            let imported_state = said.clone();
            let line = ImportLine { code: code("CODE01"), valid_from, expires_at, imported_state };
            let coupon = arrived(&terms, batch.clone(), &line, &said, &run());
            let genesis = coupon.genesis();
            assert_eq!(
                (genesis.valid_from, genesis.expires_at),
                (valid_from, expires_at),
                "its own"
            );
            assert_eq!((&genesis.zone, genesis.created_at), (&terms.zone, NOW));
            assert_eq!((coupon.version(), coupon.events().len()), (1, events), "{said:?}");
        }
    }

    #[test]
    fn dates_of_a_file_that_is_sent_again() {
        let (first, now) = (NOW.plus_days(1), NOW.plus_days(9));
        let terms = Campaign { expires_at: now, earlier_ends: vec![first], ..campaign() };
        // A name, the end of the line, the one with which the code came; whether the dates are the same.
        let cases = [
            ("its own", NOW.plus_days(2), NOW.plus_days(2), true),
            ("another one", NOW.plus_days(2), first, false),
            ("the campaign's, of now", now, now, true),
            ("the campaign's, which was an earlier one", now, first, true),
            ("the campaign's first one", first, now, false),
        ];
        for (name, expires_at, came_with, want) in cases {
            let imported_state = ImportedState::Available;
            let line =
                ImportLine { code: code("CODE01"), valid_from: NOW, expires_at, imported_state };
            assert_eq!(has_dates(&terms, &line, (NOW, came_with)), want, "{name}");
            assert!(!has_dates(&terms, &line, (NOW.plus_ms(1), came_with)), "{name}: from later");
        }
    }

    #[test]
    fn lines_of_a_known_code() {
        let run = run();
        let free = || ImportedState::Available;
        let of = |name| ImportedState::Issued { holder: user(name), at: None };
        let (ann, bob) = (|| of("ann"), || of("bob"));
        let spent = || ImportedState::Redeemed {
            holder: Some(user("ann")),
            issued_at: None,
            at: NOW,
            order: Some(order("991")),
            worth: None,
        };
        let void = || ImportedState::VOID;
        let stock = || located(coupon("CODE01", vec![]));
        let anns = || held("CODE01");
        let paid = || located(coupon("CODE01", vec![issued("ann"), redeemed("ann", "991")]));
        let dead = || located(coupon("CODE01", vec![voided()]));
        let frozen = || TestLocated { frozen: true, ..stock() };
        let (there, imported) = (ImportOutcome::AlreadyThere, ImportOutcome::Imported);
        let closed = ImportOutcome::Refused(Refusal::ExpiryDayClosed);
        let taken = ImportOutcome::Refused(Refusal::AlreadyIssued);
        let voided = ImportOutcome::Refused(Refusal::Voided);
        // A name, the coupon, what was imported, the line, whether it is done; the outcome, whether the
        // coupon is written, whether it has a new holder, whether the entry is raised.
        let rows = [
            ("the same", anns(), ann(), ann(), false, there, [0, 0, 0]),
            ("an earlier state", anns(), ann(), free(), false, there, [0, 0, 0]),
            ("issued", stock(), free(), ann(), false, imported, [1, 1, 1]),
            ("issued and redeemed", stock(), free(), spent(), false, imported, [1, 1, 1]),
            ("redeemed by the holder", anns(), ann(), spent(), false, imported, [1, 0, 1]),
            ("void", anns(), ann(), void(), false, imported, [1, 0, 1]),
            ("it is so already", paid(), ann(), spent(), false, there, [0, 0, 1]),
            ("its change is there", stock(), free(), ann(), true, there, [0, 0, 1]),
            ("another user holds it", anns(), free(), bob(), false, taken, [0, 0, 0]),
            ("it is void", dead(), free(), spent(), false, voided, [0, 0, 0]),
            ("behind a seal", frozen(), free(), ann(), false, closed, [0, 0, 0]),
            ("nothing new behind a seal", frozen(), free(), free(), false, there, [0, 0, 0]),
        ];
        for (name, located, was, line, is_done, outcome, want) in rows {
            let advance = advance_line(&located, &line, &was, &run, is_done);
            assert_eq!(advance.outcome, outcome, "{name}");
            let flags = [advance.after.is_some(), advance.has_new_holder, advance.raises];
            assert_eq!(flags.map(u8::from), want, "{name}: written, new holder, raised");
        }
    }
}
