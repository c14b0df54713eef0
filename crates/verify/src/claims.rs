//! The claims: whether each entry names a coupon that the user was given.

use std::collections::HashSet;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::inventory::{Atomicity, Begun, ClaimItem, Item, PAGE_ITEMS, Pages, Table};
use hot::protocol::{ClaimIntent, makes_holder};

use crate::balance::BalanceSide;
use crate::finding::{Finding, FindingKind, Note};
use crate::postings;
use crate::verifier::{Result, Verifier};
use crate::whereabouts::{CouponWhereabouts, LookRound};

impl Verifier<'_> {
    /// Without a balance, finds the entries whose coupon is lost or another user's.
    pub(crate) async fn claims(&mut self) -> Result<()> {
        let mut pages = Pages::of(self.hot, Table::Claims);
        while let Some(items) = pages.next().await? {
            self.report.claims += items.len() as u64;
            let mut claims = Vec::with_capacity(items.len());
            for item in items {
                match item {
                    // A claim may stay longer than its coupon.
                    Item::Claim(claim) if self.deleted.contains(&claim.day) => {}
                    Item::Claim(claim) => claims.push(claim),
                    Item::Unreadable(row) => self.unreadable(row),
                    _ => {}
                }
            }
            postings::post(&self.balance, &claims, |balance, claim| {
                balance.add(BalanceSide::Table, &postings::claim(claim), claim.day);
            });
            if self.balance.is_none() {
                self.judge_claims(claims).await?;
            }
            self.tick();
        }
        Ok(())
    }

    /// Finds the claims of `fingerprints` whose coupon is lost or another user's.
    pub(crate) async fn claims_of(
        &mut self,
        fingerprints: &HashSet<u64>,
        of: impl Fn(&ClaimItem) -> u64,
    ) -> Result<()> {
        let (mut pages, mut found) = (Pages::of(self.hot, Table::Claims), Vec::new());
        while let Some(items) = pages.next().await? {
            found.extend(items.into_iter().filter_map(|item| match item {
                Item::Claim(claim) if fingerprints.contains(&of(&claim)) => {
                    Some(claim).filter(|claim| !self.deleted.contains(&claim.day))
                }
                _ => None,
            }));
            self.tick();
            if found.len() >= PAGE_ITEMS {
                self.judge_claims(std::mem::take(&mut found)).await?;
            }
        }
        self.judge_claims(found).await
    }

    async fn judge_claims(&mut self, claims: Vec<ClaimItem>) -> Result<()> {
        let mut wrong = self.wrong_claims(claims, LookRound::First).await?;
        let mut pauses = self.pauses();
        while !wrong.is_empty() && pauses.pass().await {
            let claims: Vec<ClaimItem> = wrong.into_iter().map(|(claim, _)| claim).collect();
            let asked = claims.iter();
            let asked = asked.map(|it| (it.campaign.clone(), it.user.clone(), it.code.clone()));
            let there = self.hot.claimed(asked.collect()).await?;
            let still = claims.into_iter().zip(there).filter_map(|(it, there)| there.then_some(it));
            wrong = self.wrong_claims(still.collect(), LookRound::Again).await?;
        }
        wrong.into_iter().for_each(|(_, finding)| self.tell(finding));
        Ok(())
    }

    async fn wrong_claims(
        &mut self,
        claims: Vec<ClaimItem>,
        look: LookRound,
    ) -> Result<Vec<(ClaimItem, Finding)>> {
        let spots: Vec<(Day, Code)> = claims.iter().map(|it| (it.day, it.code.clone())).collect();
        let found = self.whereabouts(&spots, look).await?;
        let mut wrong = Vec::new();
        for (claim, found) in claims.into_iter().zip(found) {
            match judged(&claim, &found, self.hot.atomicity()) {
                ClaimJudgement::Right => {}
                ClaimJudgement::Noted(note) => {
                    if look == LookRound::First {
                        self.note(note);
                    }
                }
                ClaimJudgement::Wrong(finding) => wrong.push((claim, *finding)),
            }
        }
        Ok(wrong)
    }
}

enum ClaimJudgement {
    Right,
    Noted(Note),
    Wrong(Box<Finding>),
}

fn judged(claim: &ClaimItem, found: &CouponWhereabouts, atomicity: Atomicity) -> ClaimJudgement {
    let wrong = |kind, says: String| {
        let place = format!("the claim of {} in {}", claim.user, claim.campaign);
        let names = format!("it names {}, in partition {}", claim.code, claim.day);
        let finding = Finding::new(kind, claim.code.as_str(), (place, names), ("the coupon", says));
        ClaimJudgement::Wrong(Box::new(finding))
    };
    match found {
        CouponWhereabouts::InCold => ClaimJudgement::Noted(Note::NotFollowed),
        CouponWhereabouts::Unreadable => ClaimJudgement::Right,
        CouponWhereabouts::Nowhere => match (atomicity, claim.begun) {
            (Atomicity::StepByStep, Some(_)) => ClaimJudgement::Noted(Note::ClaimBegun),
            _ => wrong(FindingKind::ClaimAlone, "it is nowhere".to_owned()),
        },
        CouponWhereabouts::Found(coupon) => match (was_given(claim, coupon), claim.begun) {
            (true, _) => ClaimJudgement::Right,
            (false, Some(_)) => ClaimJudgement::Noted(Note::ClaimBegun),
            (false, None) => {
                let holder = coupon.holder().map_or("nobody", |holder| holder.as_str());
                wrong(FindingKind::ClaimOfAnother, format!("never this user's; {holder} has it"))
            }
        },
    }
}

/// Whether the coupon has the event that the entry is about.
fn was_given(claim: &ClaimItem, coupon: &Coupon) -> bool {
    let (user, events) = (&claim.user, coupon.events());
    let issue = claim.issue.and_then(|issue| usize::try_from(issue).ok());
    match (claim.begun, issue) {
        (Some(Begun { sequence, operation }), _) => {
            // The version says what may still happen, and not what has happened.
            ClaimIntent { sequence, operation, version: 0 }.happened(coupon, user)
        }
        (None, Some(issue)) => {
            let event = issue.checked_sub(1).and_then(|at| events.get(at));
            event.is_some_and(|event| makes_holder(&event.kind, user))
        }
        (None, None) => events.iter().any(|event| makes_holder(&event.kind, user)),
    }
}

#[cfg(test)]
mod tests {
    use coupon::calendar::Zone;
    use coupon::coupon::{Event, EventKind, Genesis};
    use coupon::ids::{Actor, OperationId, UserId};
    use coupon::time::Millis;

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
        let claim = |name: &str, issue: Option<i64>, begun: Option<(usize, u128)>| ClaimItem {
            campaign: "c".parse().unwrap(),
            user: user(name),
            slot: 0,
            code: "CODE01".parse().unwrap(),
            day: Day(0),
            reference: None,
            issue,
            begun: begun
                .map(|(sequence, operation)| Begun { sequence, operation: OperationId(operation) }),
        };
        let here = || CouponWhereabouts::Found(Box::new(coupon()));
        let (at_once, by_steps) = (Atomicity::OneTransaction, Atomicity::StepByStep);
        let rows = [
            ("they have it", claim("bob", Some(3), None), here(), at_once, "right"),
            ("they had it", claim("ann", Some(1), None), here(), at_once, "right"),
            ("by another event", claim("ann", Some(3), None), here(), at_once, "claim-of-another"),
            ("by some event", claim("ann", None, None), here(), at_once, "right"),
            ("never", claim("cat", None, None), here(), at_once, "claim-of-another"),
            ("of no event", claim("bob", Some(0), None), here(), at_once, "claim-of-another"),
            (
                "nowhere",
                claim("bob", Some(3), None),
                CouponWhereabouts::Nowhere,
                at_once,
                "claim-alone",
            ),
            (
                "in cold",
                claim("bob", Some(3), None),
                CouponWhereabouts::InCold,
                at_once,
                "not-followed",
            ),
            (
                "unreadable",
                claim("bob", None, None),
                CouponWhereabouts::Unreadable,
                at_once,
                "right",
            ),
            ("it happened", claim("bob", Some(3), Some((3, 3))), here(), by_steps, "right"),
            ("it did not", claim("bob", Some(3), Some((3, 9))), here(), by_steps, "claim-begun"),
            ("to another", claim("ann", Some(3), Some((3, 3))), here(), by_steps, "claim-begun"),
            (
                "begun, and no row yet",
                claim("bob", None, Some((1, 9))),
                CouponWhereabouts::Nowhere,
                by_steps,
                "claim-begun",
            ),
            (
                "copied, so that it is certain",
                claim("bob", None, None),
                CouponWhereabouts::Nowhere,
                by_steps,
                "claim-alone",
            ),
        ];
        for (name, claim, found, atomicity, want) in rows {
            let said = match judged(&claim, &found, atomicity) {
                ClaimJudgement::Right => "right",
                ClaimJudgement::Noted(note) => note.name(),
                ClaimJudgement::Wrong(finding) => finding.kind.name(),
            };
            assert_eq!(said, want, "{name}");
        }
    }
}
