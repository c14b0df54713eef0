//! The end: the counts say what the histories say, and nothing was found.

use std::collections::BTreeMap;

use coupon::ids::{BatchId, CampaignId};

use super::ViolationList;
use super::life::StateKind;
use super::story::SeedStory;

pub(super) fn check(story: &SeedStory<'_>, wrong: &mut ViolationList<'_>) {
    for finding in &story.end.findings {
        wrong.add(finding.clone(), []);
    }
    for (id, counts) in &story.end.counts {
        let mut want = [0_u64; 3];
        for timeline in story.of_campaign(id) {
            match timeline.lives.last().map(|life| life.kind) {
                Some(StateKind::Issued) => want[0] += 1,
                Some(StateKind::Redeemed) => want[1] += 1,
                Some(StateKind::Void) => want[2] += 1,
                Some(StateKind::Available) | None => {}
            }
        }
        let found = [counts.issued, counts.redeemed, counts.void];
        if found != want {
            let what = "issued, redeemed and void";
            wrong.add(format!("{id}: {found:?} are counted as {what}, and {want:?} are"), []);
        }
    }
    let mut sizes: BTreeMap<(&CampaignId, &BatchId), u64> = BTreeMap::new();
    for timeline in story.timelines.values() {
        let genesis = timeline.coupon.genesis();
        *sizes.entry((&genesis.campaign, &genesis.batch)).or_default() += 1;
    }
    for ((campaign, batch), count) in &story.end.batches {
        let want = sizes.get(&(campaign, batch)).copied().unwrap_or(0);
        if *count != want {
            wrong.add(format!("{campaign}, {batch}: {count} coupons counted, {want} there"), []);
        }
    }
}
