//! All calls of a seed, by coupon.

use std::collections::{BTreeMap, BTreeSet};

use coupon::apply::Outcome;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::CampaignId;
use coupon::refusal::Refusal;
use hot::{CouponSnapshot, ImportLine, ImportOutcome};

use super::authors::{action_behind, change_of, line_makes};
use super::history::{RecordedAnswer, RecordedCall, RecordedRequest};
use super::timeline::{CouponObservation, CouponTimeline, EventAuthors};
use super::{KnownCampaign, KnownWorld, SeedEnd, ViolationList};

/// A line of an import.
#[derive(Clone, Copy)]
pub(super) struct ImportedLine<'a> {
    pub(super) call: usize,
    pub(super) campaign: &'a CampaignId,
    pub(super) line: &'a ImportLine,
    /// `None` if the import did not say.
    pub(super) outcome: Option<ImportOutcome>,
}

/// What is known of a seed.
pub(super) struct SeedStory<'a> {
    pub(super) known: &'a KnownWorld,
    pub(super) calls: &'a [RecordedCall],
    pub(super) end: &'a SeedEnd,
    pub(super) timelines: BTreeMap<&'a Code, CouponTimeline<'a>>,
    /// The lines of each code, in the order of the calls.
    pub(super) lines: BTreeMap<&'a Code, Vec<ImportedLine<'a>>>,
    /// When a coupon is there for certain; the call that says so.
    arrived: BTreeMap<&'a Code, (u64, usize)>,
    /// An instant after all calls.
    pub(super) over: u64,
}

impl<'a> SeedStory<'a> {
    pub(super) fn of(
        known: &'a KnownWorld,
        calls: &'a [RecordedCall],
        end: &'a SeedEnd,
        wrong: &mut ViolationList<'_>,
    ) -> SeedStory<'a> {
        let instants = calls.iter().map(|call| call.ended_ms.unwrap_or(call.began_ms));
        let over = instants.max().unwrap_or(0) + 1;
        let observations = observations(calls);
        let lines = lines(calls);
        let arrived = arrived(calls, &observations, &lines);
        let mut story =
            SeedStory { known, calls, end, timelines: BTreeMap::new(), lines, arrived, over };
        let by_operation = story.by_operation();
        for (code, snapshot) in &end.coupons {
            let seen = observations.get(code).map_or(&[][..], Vec::as_slice);
            let timeline = story.timeline(snapshot, seen, &by_operation, wrong);
            story.timelines.insert(code, timeline);
        }
        for (code, seen) in &observations {
            let may_be_gone = came_late(story.lines.get(code)) && !seen.iter().any(|it| it.wrote);
            if end.coupons.contains_key(*code) || may_be_gone {
                continue;
            }
            wrong.add(format!("{code}: it is gone"), seen.iter().filter_map(|it| it.call));
        }
        story
    }

    fn timeline(
        &self,
        snapshot: &'a CouponSnapshot,
        seen: &[CouponObservation<'a>],
        by_operation: &BTreeMap<u128, Vec<usize>>,
        wrong: &mut ViolationList<'_>,
    ) -> CouponTimeline<'a> {
        let coupon = &snapshot.coupon;
        let (call, tier, wrote) = (None, snapshot.tier, false);
        let end =
            CouponObservation { call, began: self.over, ended: self.over, coupon, tier, wrote };
        let authors = 0..coupon.events().len();
        let authors = authors.map(|at| self.authors(coupon, at, by_operation)).collect();
        CouponTimeline::of(end, seen, authors, |nth| self.calls[nth].began_ms, wrong)
    }

    fn by_operation(&self) -> BTreeMap<u128, Vec<usize>> {
        let mut by_operation: BTreeMap<u128, Vec<usize>> = BTreeMap::new();
        for (nth, call) in self.calls.iter().enumerate() {
            if let Some(change) = change_of(&call.asked) {
                by_operation.entry(change.operation.0).or_default().push(nth);
            }
        }
        by_operation
    }

    fn authors(
        &self,
        coupon: &Coupon,
        at: usize,
        by_operation: &BTreeMap<u128, Vec<usize>>,
    ) -> EventAuthors {
        let (code, event) = (coupon.code(), &coupon.events()[at]);
        let asked = by_operation.get(&event.operation.0).into_iter().flatten().copied();
        let calls: Vec<usize> =
            asked.filter(|nth| action_behind(&self.calls[*nth], code, event).is_some()).collect();
        let lines = self.lines.get(code).into_iter().flatten();
        let imports = lines
            .filter(|it| calls.is_empty() && line_makes(&it.line.imported_state, code, &event.kind))
            .map(|it| it.call)
            .collect();
        EventAuthors { calls, imports }
    }

    pub(super) fn campaign_of(&self, coupon: &Coupon) -> Option<&'a KnownCampaign> {
        self.known.campaigns.get(&coupon.genesis().campaign)
    }

    pub(super) fn of_campaign(&self, id: &CampaignId) -> impl Iterator<Item = &CouponTimeline<'a>> {
        self.timelines.values().filter(move |it| it.coupon.genesis().campaign == *id)
    }

    /// From when on a coupon is there for certain, and the call that says so; 0 if it is there from
    /// the beginning.
    pub(super) fn is_there_from(&self, code: &Code) -> Option<(u64, Option<usize>)> {
        let shown = self.arrived.get(code).map(|(at, call)| (*at, Some(*call)));
        let minted = self.is_minted_from(code).map(|at| (at, None));
        shown.into_iter().chain(minted).min()
    }

    /// From when on a code that no import has is one of a minted batch for certain. An operator may
    /// mint a batch long after callers were told that their campaign is sold out.
    fn is_minted_from(&self, code: &Code) -> Option<u64> {
        if self.lines.contains_key(code) {
            return None;
        }
        let genesis = self.end.coupons.get(code)?.coupon.genesis();
        let batch = (genesis.campaign.clone(), genesis.batch.clone());
        self.known.minted_later.get(&batch).copied().unwrap_or(Some(0))
    }

    /// When a call was over; never, if it was not answered.
    pub(super) fn ended(&self, nth: usize) -> u64 {
        self.calls[nth].ended_ms.unwrap_or(u64::MAX)
    }
}

fn observations(calls: &[RecordedCall]) -> BTreeMap<&Code, Vec<CouponObservation<'_>>> {
    let mut observations: BTreeMap<&Code, Vec<CouponObservation<'_>>> = BTreeMap::new();
    for (nth, call) in calls.iter().enumerate() {
        let Some(ended) = call.ended_ms else { continue };
        let wrote = match &call.told {
            RecordedAnswer::Applied(applied) => matches!(applied.outcome, Outcome::Accepted(_)),
            _ => false,
        };
        if let Some(CouponSnapshot { coupon, tier, .. }) = call.shown() {
            let (began, tier) = (call.began_ms, *tier);
            let observation =
                CouponObservation { call: Some(nth), began, ended, coupon, tier, wrote };
            observations.entry(coupon.code()).or_default().push(observation);
        }
    }
    observations
}

fn lines(calls: &[RecordedCall]) -> BTreeMap<&Code, Vec<ImportedLine<'_>>> {
    let mut all: BTreeMap<&Code, Vec<ImportedLine<'_>>> = BTreeMap::new();
    for (nth, call) in calls.iter().enumerate() {
        let RecordedRequest::Import { campaign, lines, .. } = &call.asked else { continue };
        let outcomes: &[ImportOutcome] = match &call.told {
            RecordedAnswer::Imported(outcomes) if call.ended_ms.is_some() => outcomes,
            _ => &[],
        };
        for (at, line) in lines.iter().enumerate() {
            let outcome = outcomes.get(at).copied();
            all.entry(&line.code).or_default().push(ImportedLine {
                call: nth,
                campaign,
                line,
                outcome,
            });
        }
    }
    all
}

/// Whether the row of a refused line may have been written after its partition was sealed. Such a
/// row is seen until the partition is emptied, and goes with it.
fn came_late(lines: Option<&Vec<ImportedLine<'_>>>) -> bool {
    let was = |outcome| lines.into_iter().flatten().any(|line| line.outcome == Some(outcome));
    was(ImportOutcome::Refused(Refusal::ExpiryDayClosed)) && !was(ImportOutcome::Imported)
}

/// When a coupon was seen or acknowledged first.
fn arrived<'a>(
    calls: &[RecordedCall],
    observations: &BTreeMap<&'a Code, Vec<CouponObservation<'a>>>,
    lines: &BTreeMap<&'a Code, Vec<ImportedLine<'a>>>,
) -> BTreeMap<&'a Code, (u64, usize)> {
    let codes: BTreeSet<&'a Code> = observations.keys().chain(lines.keys()).copied().collect();
    let first = |code: &'a Code| {
        if came_late(lines.get(code)) {
            return None;
        }
        let seen = observations.get(code).into_iter().flatten();
        let seen = seen.filter_map(|it| Some((it.ended, it.call?)));
        let said = lines.get(code).into_iter().flatten().filter_map(|it| {
            let is_there =
                matches!(it.outcome, Some(ImportOutcome::Imported | ImportOutcome::AlreadyThere));
            Some((calls[it.call].ended_ms.filter(|_| is_there)?, it.call))
        });
        Some((code, seen.chain(said).min()?))
    };
    codes.into_iter().filter_map(first).collect()
}
