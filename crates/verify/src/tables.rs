//! The directory, the claims and the index rows: whether what they name is there.

use std::collections::BTreeMap;

use cold::ColdError;
use coupon::code::Code;
use coupon::coupon::{Coupon, EventKind};
use coupon::time::Day;
use hot::audit::{
    Atomicity, AuditClaim, AuditEntry, AuditEntryIs, AuditRow, INDEX_ROW_KINDS, IndexRow,
    IndexRowKind, RowIs,
};

use crate::finding::{Finding, Kind, Note, Said};
use crate::rules;
use crate::verifier::{ColdIs, Repair, Verifier, VerifyError};

/// Items of a page.
const PAGE: usize = 2_000;

/// Coupons that are looked for in cold because something leads there: each is a read of its own.
const FOLLOWED_MAX: u64 = 100_000;

/// A coupon is moved a few times in its life; more hops than this is a circle.
const HOPS_MAX: usize = 64;

/// An index row that is younger may be one whose coupon is still to be written: no write is under
/// way for so long.
const INDEX_ROW_AGE_MIN_MICROS: i64 = 3_600_000_000;

/// Where a coupon is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// Here it is.
    Found(Box<Coupon>),
    /// In cold, where it was not looked at.
    InCold,
    /// Its row cannot be read: that is told of elsewhere.
    Unreadable,
    /// Nowhere.
    Nowhere,
}

impl Verifier<'_> {
    pub(crate) async fn directory(&mut self) -> Result<(), VerifyError> {
        let mut after = None;
        loop {
            let page = self.hot.audit_entries(after, PAGE).await?;
            self.report.entries += page.items.len() as u64;
            let mut wrong = self.wrong_entries(page.items, Sure::No).await?;
            for pause in self.pauses() {
                if wrong.is_empty() {
                    break;
                }
                tokio::time::sleep(pause).await;
                let codes: Vec<Code> =
                    wrong.iter().filter_map(|(entry, _)| rules::code_of(&entry.code)).collect();
                if codes.len() < wrong.len() {
                    // What is no code cannot be asked for: it stays as it was read.
                    break;
                }
                let again = self.hot.audit_entries_of(codes).await?;
                wrong =
                    self.wrong_entries(again.into_iter().flatten().collect(), Sure::Yes).await?;
            }
            wrong.into_iter().for_each(|(_, finding)| self.tell(finding));
            self.tick();
            after = page.next;
            if after.is_none() {
                return self.words().await;
            }
        }
    }

    /// Entries that name what is not there.
    async fn wrong_entries(
        &mut self,
        entries: Vec<AuditEntry>,
        sure: Sure,
    ) -> Result<Vec<(AuditEntry, Finding)>, VerifyError> {
        let (mut wrong, mut of_coupons) = (Vec::new(), Vec::new());
        for entry in entries {
            match (&entry.is, rules::code_of(&entry.code)) {
                (AuditEntryIs::Unreadable(why), _) => {
                    let finding = entry_alone(
                        &entry,
                        why.clone(),
                        "this release",
                        "cannot have written that",
                    );
                    wrong.push((entry, finding));
                }
                (_, None) => {
                    let says = "a text that is no code".to_owned();
                    let finding =
                        entry_alone(&entry, says, "this release", "cannot have written that");
                    wrong.push((entry, finding));
                }
                (AuditEntryIs::Gone, Some(_)) => {}
                (AuditEntryIs::Shared { campaign }, Some(code)) => {
                    let terms = self.catalog.terms(campaign);
                    let word = terms.as_ref().and_then(|terms| terms.shared_code.clone());
                    if terms.is_some() && word.as_ref() != Some(&code) {
                        let says = format!("the word of campaign {campaign}");
                        let has = word.map_or("no word".to_owned(), |word| word.to_string());
                        let mut finding = entry_alone(&entry, says, "the campaign", &has);
                        finding.kind = Kind::WordAstray;
                        wrong.push((entry, finding));
                    }
                }
                (AuditEntryIs::Coupon { day, .. }, Some(code)) => {
                    let day = *day;
                    of_coupons.push((entry, day, code));
                }
            }
        }
        self.wrong_coupons(of_coupons, sure, &mut wrong).await?;
        Ok(wrong)
    }

    async fn wrong_coupons(
        &mut self,
        entries: Vec<(AuditEntry, Day, Code)>,
        sure: Sure,
        wrong: &mut Vec<(AuditEntry, Finding)>,
    ) -> Result<(), VerifyError> {
        let mut spots: Vec<(Day, Code)> = Vec::new();
        let mut homes = Vec::new();
        for (_, day, code) in &entries {
            spots.push((*day, code.clone()));
            let home = match self.catalog.serial(self.hot, self.keys, code).await? {
                Some(serial) => Some(serial.run.day).filter(|home| home != day),
                None => None,
            };
            homes.push(home);
        }
        let there = self.hot.audit_spots(spots).await?;
        let at_home = homes.iter().zip(&entries);
        let at_home = at_home.filter_map(|(home, (_, _, code))| Some(((*home)?, code.clone())));
        let mut left = self.hot.audit_spots(at_home.collect()).await?.into_iter();
        let mut nowhere: Vec<(AuditEntry, Day, Code)> = Vec::new();
        for (((entry, day, code), rows), home) in entries.into_iter().zip(there).zip(homes) {
            let left = home.and_then(|_| left.next()).unwrap_or_default();
            let stays = |row: &&AuditRow| !matches!(row.is, RowIs::Forwarding { .. });
            if let (Some(home), true) = (home, left.iter().any(|row| stays(&row))) {
                // Its row there is looked at with its partition, where the directory is not asked.
                self.recheck.add(home, code.clone());
            }
            if rows.is_empty() {
                nowhere.push((entry, day, code));
            }
        }
        self.entries_of_nobody(nowhere, sure, wrong).await
    }

    /// Entries whose partition has neither a row nor an archived marker.
    async fn entries_of_nobody(
        &mut self,
        entries: Vec<(AuditEntry, Day, Code)>,
        sure: Sure,
        wrong: &mut Vec<(AuditEntry, Finding)>,
    ) -> Result<(), VerifyError> {
        let mut sealed: BTreeMap<Day, bool> = BTreeMap::new();
        let mut in_cold = Vec::new();
        for (entry, day, code) in entries {
            let is_sealed = match sealed.get(&day) {
                Some(is_sealed) => *is_sealed,
                None => {
                    let is_sealed = self.hot.partition(day).await?.is_some_and(|plan| plan.sealed);
                    sealed.insert(day, is_sealed);
                    is_sealed
                }
            };
            let says = format!("a coupon in partition {}", cold::day_text(day));
            match (is_sealed, self.hot.atomicity()) {
                (true, _) => in_cold.push((day, code, entry)),
                (false, Atomicity::StepByStep) => self.note(Note::EntryBegun),
                (false, Atomicity::OneTransaction) => {
                    let finding =
                        entry_alone(&entry, says, "hot", "neither a row nor an archived marker");
                    wrong.push((entry, finding));
                }
            }
        }
        let spots: Vec<(Day, Code)> =
            in_cold.iter().map(|(day, code, _)| (*day, code.clone())).collect();
        let found = self.in_cold(&spots, sure).await?;
        for ((day, _, entry), found) in in_cold.into_iter().zip(found) {
            let says = format!("a coupon in partition {}", cold::day_text(day));
            match (found, self.hot.atomicity()) {
                (Whereabouts::Nowhere, Atomicity::OneTransaction) => {
                    let finding = entry_alone(&entry, says, "cold", "there is no such coupon");
                    wrong.push((entry, finding));
                }
                // An import may have won it and never come to its row.
                (Whereabouts::Nowhere, Atomicity::StepByStep) => self.note(Note::EntryBegun),
                (Whereabouts::InCold, _) => self.note(Note::NotFollowed),
                (Whereabouts::Found(_) | Whereabouts::Unreadable, _) => {}
            }
        }
        Ok(())
    }

    /// Every campaign's word is in the directory.
    async fn words(&mut self) -> Result<(), VerifyError> {
        for campaign in self.catalog.shared() {
            let Some(word) = campaign.shared_code.clone() else { continue };
            let entry = self.hot.audit_entries_of(vec![word.clone()]).await?.pop().flatten();
            let is_its = entry.as_ref().is_some_and(|entry| {
                matches!(&entry.is, AuditEntryIs::Shared { campaign: of } if *of == campaign.id)
            });
            if !is_its {
                let one =
                    Said::new(format!("campaign {}", campaign.id), format!("its word is {word}"));
                let other = Said::new("the directory", "does not lead to it");
                self.found(Kind::WordAstray, word.as_str(), one, other);
            }
        }
        Ok(())
    }

    pub(crate) async fn claims(&mut self) -> Result<(), VerifyError> {
        let mut after = None;
        loop {
            let page = self.hot.audit_claims(after, PAGE).await?;
            self.report.claims += (page.items.len() + page.unreadable.len()) as u64;
            for row in page.unreadable {
                let one = Said::new("hot", row.about.clone());
                self.found(Kind::RowUnreadable, &row.about, one, Said::new("its columns", row.why));
            }
            let mut wrong = self.wrong_claims(page.items, Sure::No).await?;
            for pause in self.pauses() {
                if wrong.is_empty() {
                    break;
                }
                tokio::time::sleep(pause).await;
                let claims: Vec<AuditClaim> = wrong.into_iter().map(|(claim, _)| claim).collect();
                let asked = claims.iter();
                let asked = asked.map(|it| (it.campaign.clone(), it.user.clone(), it.code.clone()));
                let there = self.hot.audit_claimed(asked.collect()).await?;
                let still =
                    claims.into_iter().zip(there).filter_map(|(it, there)| there.then_some(it));
                wrong = self.wrong_claims(still.collect(), Sure::Yes).await?;
            }
            wrong.into_iter().for_each(|(_, finding)| self.tell(finding));
            self.tick();
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn wrong_claims(
        &mut self,
        claims: Vec<AuditClaim>,
        sure: Sure,
    ) -> Result<Vec<(AuditClaim, Finding)>, VerifyError> {
        let spots: Vec<(Day, Code)> = claims.iter().map(|it| (it.day, it.code.clone())).collect();
        let found = self.whereabouts(&spots, sure).await?;
        let mut wrong = Vec::new();
        for (claim, found) in claims.into_iter().zip(found) {
            match judge_claim(&claim, &found, self.hot.atomicity()) {
                Claimed::Right => {}
                Claimed::Noted(note) => {
                    if sure == Sure::No {
                        self.note(note);
                    }
                }
                Claimed::Wrong(finding) => wrong.push((claim, *finding)),
            }
        }
        Ok(wrong)
    }

    /// Where coupons are by now that were once in these spots, through every move.
    pub(crate) async fn whereabouts(
        &mut self,
        spots: &[(Day, Code)],
        sure: Sure,
    ) -> Result<Vec<Whereabouts>, VerifyError> {
        let mut found = vec![Whereabouts::Nowhere; spots.len()];
        let mut open: Vec<(usize, Day, Code)> =
            spots.iter().enumerate().map(|(at, (day, code))| (at, *day, code.clone())).collect();
        let mut in_cold: Vec<(usize, Day, Code, Behind)> = Vec::new();
        for _ in 0..HOPS_MAX {
            if open.is_empty() {
                break;
            }
            let asked = open.iter().map(|(_, day, code)| (*day, code.clone())).collect();
            let rows = self.hot.audit_spots(asked).await?;
            let (mut moved, mut absent) = (Vec::new(), Vec::new());
            for ((at, day, code), rows) in open.into_iter().zip(rows) {
                match rows.into_iter().next().map(|row| row.is) {
                    Some(RowIs::Coupon { coupon, .. }) => found[at] = Whereabouts::Found(coupon),
                    Some(RowIs::Unreadable(_)) => found[at] = Whereabouts::Unreadable,
                    Some(RowIs::ArchivedMarker { .. }) => {
                        in_cold.push((at, day, code, Behind::ArchivedMarker))
                    }
                    Some(RowIs::Forwarding { to }) => moved.push((at, to, code)),
                    None => absent.push((at, day, code)),
                }
            }
            let codes = absent.iter().map(|(_, _, code)| code.clone()).collect();
            let entries = self.hot.audit_entries_of(codes).await?;
            for ((at, day, code), entry) in absent.into_iter().zip(entries) {
                match entry.map(|entry| entry.is) {
                    Some(AuditEntryIs::Coupon { day: entered, .. }) if entered > day => {
                        moved.push((at, entered, code));
                    }
                    _ => in_cold.push((at, day, code, Behind::Nothing)),
                }
            }
            open = moved;
        }
        let spots: Vec<(Day, Code)> =
            in_cold.iter().map(|(_, day, code, _)| (*day, code.clone())).collect();
        let archived = self.in_cold(&spots, sure).await?;
        for ((at, _, _, behind), archived) in in_cold.into_iter().zip(archived) {
            found[at] = match (behind, archived) {
                // That is told of the archived marker.
                (Behind::ArchivedMarker, Whereabouts::Nowhere) => Whereabouts::Unreadable,
                (_, archived) => archived,
            };
        }
        Ok(found)
    }

    /// What cold has of these, as far as that is asked.
    async fn in_cold(
        &mut self,
        spots: &[(Day, Code)],
        sure: Sure,
    ) -> Result<Vec<Whereabouts>, VerifyError> {
        let mut found = vec![Whereabouts::Nowhere; spots.len()];
        let mut days: BTreeMap<Day, Vec<usize>> = BTreeMap::new();
        for (at, (day, _)) in spots.iter().enumerate() {
            days.entry(*day).or_default().push(at);
        }
        for (day, places) in days {
            let is_known = self.hot.partition(day).await?;
            if self.cold_is == ColdIs::Unused {
                continue;
            }
            let enough = sure == Sure::No && self.followed >= FOLLOWED_MAX;
            if !self.has_cold_log() || (enough && is_known.is_some()) {
                places.iter().for_each(|at| found[*at] = Whereabouts::InCold);
                continue;
            }
            self.followed += places.len() as u64;
            let codes: Vec<Code> = places.iter().map(|at| spots[*at].1.clone()).collect();
            match self.cold.find(day, &codes).await {
                Ok(coupons) => {
                    for (at, coupon) in places.into_iter().zip(coupons) {
                        if let Some(coupon) = coupon {
                            found[at] = Whereabouts::Found(Box::new(coupon));
                        }
                    }
                }
                Err(ColdError::Damaged { .. }) => {
                    places.iter().for_each(|at| found[*at] = Whereabouts::InCold);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    pub(crate) async fn index_rows(&mut self) -> Result<(), VerifyError> {
        for kind in INDEX_ROW_KINDS {
            let mut after = None;
            loop {
                let page = self.hot.audit_index_rows(kind, after, PAGE).await?;
                self.report.index_rows += page.items.len() as u64;
                self.index_rows_of(page.items).await?;
                self.tick();
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn index_rows_of(&mut self, index_rows: Vec<IndexRow>) -> Result<(), VerifyError> {
        let too_many = self.leading_nowhere(index_rows).await?;
        too_many.iter().for_each(|_| self.note(Note::IndexRowTooMany));
        let now = self.now.0.saturating_mul(1_000);
        let is_old = |index_row: &IndexRow| {
            index_row.written_at < now.saturating_sub(INDEX_ROW_AGE_MIN_MICROS)
        };
        let old: Vec<IndexRow> = too_many.into_iter().filter(is_old).collect();
        if self.options.repair == Repair::Derived && !old.is_empty() {
            // Once more, right before they go.
            let old = self.leading_nowhere(old).await?;
            self.report.removed_index_rows += old.len() as u64;
            self.hot.remove_index_rows(old).await?;
        }
        Ok(())
    }

    async fn leading_nowhere(
        &self,
        index_rows: Vec<IndexRow>,
    ) -> Result<Vec<IndexRow>, VerifyError> {
        let spots =
            index_rows.iter().map(|index_row| (index_row.day, index_row.code.clone())).collect();
        let rows = self.hot.audit_spots(spots).await?;
        let leads = |index_row: &IndexRow, rows: &[AuditRow]| {
            rows.iter().any(|row| match &row.is {
                RowIs::Coupon { coupon, .. } => {
                    let is_his = match index_row.kind {
                        IndexRowKind::Wallet => coupon.holder() == index_row.user.as_ref(),
                        IndexRowKind::Expiring => true,
                    };
                    is_his && coupon.expires_at() == index_row.expires_at
                }
                // What cannot be read may be what it is about.
                RowIs::Unreadable(_) => true,
                RowIs::ArchivedMarker { .. } | RowIs::Forwarding { .. } => false,
            })
        };
        let pairs = index_rows.into_iter().zip(rows);
        Ok(pairs
            .filter_map(|(index_row, rows)| (!leads(&index_row, &rows)).then_some(index_row))
            .collect())
    }
}

/// What leads to cold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    ArchivedMarker,
    Nothing,
}

/// Whether this is a second look, which spares nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sure {
    Yes,
    No,
}

fn entry_alone(entry: &AuditEntry, says: String, place: &str, other: &str) -> Finding {
    Finding {
        kind: Kind::EntryAlone,
        about: entry.code.clone(),
        one: Said::new("the directory", says),
        other: Said::new(place, other),
    }
}

/// What is said of an entry of a claim.
pub(crate) enum Claimed {
    Right,
    Noted(Note),
    Wrong(Box<Finding>),
}

pub(crate) fn judge_claim(
    claim: &AuditClaim,
    found: &Whereabouts,
    atomicity: Atomicity,
) -> Claimed {
    let wrong = |kind, says: String| {
        let place = format!("the claim of {} in {}", claim.user, claim.campaign);
        let names = format!("it names {}, in partition {}", claim.code, cold::day_text(claim.day));
        let about = claim.code.to_string();
        let other = Said::new("the coupon", says);
        Claimed::Wrong(Box::new(Finding { kind, about, one: Said::new(place, names), other }))
    };
    match found {
        Whereabouts::InCold => Claimed::Noted(Note::NotFollowed),
        Whereabouts::Unreadable => Claimed::Right,
        Whereabouts::Nowhere => match (atomicity, claim.begun) {
            (Atomicity::StepByStep, Some(_)) => Claimed::Noted(Note::ClaimBegun),
            _ => wrong(Kind::ClaimAlone, "it is nowhere".to_owned()),
        },
        Whereabouts::Found(coupon) => match (was_given(claim, coupon), claim.begun) {
            (true, _) => Claimed::Right,
            (false, Some(_)) => Claimed::Noted(Note::ClaimBegun),
            (false, None) => {
                let holder = coupon.holder().map_or("nobody", |holder| holder.as_str());
                wrong(Kind::ClaimOfAnother, format!("never this user's; {holder} has it"))
            }
        },
    }
}

/// Whether the coupon has the event that the entry is about.
fn was_given(claim: &AuditClaim, coupon: &Coupon) -> bool {
    let to_him = |kind: &EventKind| match kind {
        EventKind::Issued { to, .. } => *to == claim.user,
        EventKind::Redeemed { by, .. } => by.as_ref() == Some(&claim.user),
        EventKind::RedemptionCancelled { .. }
        | EventKind::Revoked { .. }
        | EventKind::Voided { .. }
        | EventKind::Extended { .. } => false,
    };
    let event = |number: usize| coupon.events().get(number.checked_sub(1)?);
    match (claim.begun, claim.issue) {
        (Some(begun), _) => event(begun.sequence)
            .is_some_and(|event| event.operation == begun.operation && to_him(&event.kind)),
        (None, Some(issue)) => event(issue).is_some_and(|event| to_him(&event.kind)),
        (None, None) => coupon.events().iter().any(|event| to_him(&event.kind)),
    }
}

#[cfg(test)]
mod tests {
    use coupon::calendar::Zone;
    use coupon::coupon::{Event, Genesis};
    use coupon::ids::{Actor, OperationId, UserId};
    use coupon::time::Millis;
    use hot::audit::Begun;

    use super::*;

    fn user(name: &str) -> UserId {
        name.parse().unwrap()
    }

    /// Issued to ann, taken back, and issued to bob.
    fn coupon() -> Coupon {
        let genesis = Genesis {
            code: "CODE01".parse().unwrap(),
            campaign: "c".parse().unwrap(),
            batch: "first".parse().unwrap(),
            valid_from: Millis(0),
            expires_at: Millis(9),
            zone: Zone::utc(),
            created_at: Millis(0),
        };
        let issued =
            |to: &str| EventKind::Issued { to: user(to), reference: None, expires_at: None };
        let kinds = [
            issued("ann"),
            EventKind::Revoked { from: user("ann"), reference: None, reason: None },
            issued("bob"),
        ];
        let events = kinds.into_iter().zip(1..).map(|(kind, operation)| Event {
            at: Millis(1),
            actor: Actor::new("a"),
            operation: OperationId(operation),
            kind,
        });
        Coupon::of(genesis, events.collect(), None, 3, Millis(1))
    }

    #[test]
    fn claims() {
        let claim = |name: &str, issue: Option<usize>, begun: Option<(usize, u128)>| AuditClaim {
            campaign: "c".parse().unwrap(),
            user: user(name),
            code: "CODE01".parse().unwrap(),
            day: Day(0),
            issue,
            begun: begun
                .map(|(sequence, operation)| Begun { sequence, operation: OperationId(operation) }),
        };
        let here = || Whereabouts::Found(Box::new(coupon()));
        let (at_once, by_steps) = (Atomicity::OneTransaction, Atomicity::StepByStep);
        let rows = [
            ("he has it", claim("bob", Some(3), None), here(), at_once, "right"),
            ("she had it", claim("ann", Some(1), None), here(), at_once, "right"),
            ("by another event", claim("ann", Some(3), None), here(), at_once, "claim-of-another"),
            ("by some event", claim("ann", None, None), here(), at_once, "right"),
            ("never", claim("cat", None, None), here(), at_once, "claim-of-another"),
            ("of no event", claim("bob", Some(0), None), here(), at_once, "claim-of-another"),
            ("nowhere", claim("bob", Some(3), None), Whereabouts::Nowhere, at_once, "claim-alone"),
            ("in cold", claim("bob", Some(3), None), Whereabouts::InCold, at_once, "not-followed"),
            ("unreadable", claim("bob", None, None), Whereabouts::Unreadable, at_once, "right"),
            ("it came about", claim("bob", Some(3), Some((3, 3))), here(), by_steps, "right"),
            ("it did not", claim("bob", Some(3), Some((3, 9))), here(), by_steps, "claim-begun"),
            ("to another", claim("ann", Some(3), Some((3, 3))), here(), by_steps, "claim-begun"),
            (
                "begun, and no row yet",
                claim("bob", None, Some((1, 9))),
                Whereabouts::Nowhere,
                by_steps,
                "claim-begun",
            ),
            (
                "copied, so that it is certain",
                claim("bob", None, None),
                Whereabouts::Nowhere,
                by_steps,
                "claim-alone",
            ),
        ];
        for (name, claim, found, atomicity, want) in rows {
            let said = match judge_claim(&claim, &found, atomicity) {
                Claimed::Right => "right",
                Claimed::Noted(note) => note.name(),
                Claimed::Wrong(finding) => finding.kind.name(),
            };
            assert_eq!(said, want, "{name}");
        }
    }
}
