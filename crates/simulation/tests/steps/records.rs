//! The audit and the counts: a process is stopped before each step of an audit event, or of a count, and another one
//! reads, changes or counts meanwhile.

use std::time::Duration;

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::ids::CampaignId;
use hot::activity::{Activity, quarter_of};
use hot::audit::AuditKind;
use hot::feed::{FeedRead, FeedStart, Happened};
use hot::{CampaignPatch, Campaigns, HotError, HotStore, Named, NewCampaign, Patched};
use hot_cql::CqlHot;
use tokio::time::sleep;

use super::stage::{StepSweep, TestStage, patiently};
use hot_conformance::kit::{ACT, NOW, cancel, redeem};

/// After so long a slot is over for every reader.
const OVER: Duration = Duration::from_secs(5);

/// What the second process does while the first one is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It reads the audit and the feed.
    Reads,
    /// It changes the campaign, too.
    Changes,
    /// It does so before it reads.
    ChangesAndReads,
}

const WAYS: [Way; 3] = [Way::Reads, Way::Changes, Way::ChangesAndReads];

fn renamed() -> CampaignPatch {
    CampaignPatch { name: Some("Another".into()), ..CampaignPatch::default() }
}

fn paused() -> CampaignPatch {
    CampaignPatch { paused: Some(true), ..CampaignPatch::default() }
}

/// The kinds of what the feed tells of a campaign, each event once.
async fn told(hot: &dyn HotStore, id: &CampaignId) -> Vec<AuditKind> {
    let (mut from, mut told, mut known) = (FeedStart::Oldest, Vec::new(), Vec::new());
    loop {
        let FeedRead::Page(page) = hot.feed().unwrap().events(from, 100).await.unwrap() else {
            panic!("the cursor is of this store");
        };
        for event in page.events {
            if let Happened::AuditEvent { audit_event, .. } = event.happened
                && audit_event.campaign.as_ref() == Some(id)
                && !known.contains(&event.id)
            {
                known.push(event.id);
                told.push(audit_event.kind);
            }
        }
        from = FeedStart::After(page.next);
        if page.is_end {
            return told;
        }
    }
}

/// The kinds of the entries of a campaign, oldest first: in its own list, and in that of all.
async fn entered(hot: &dyn HotStore, id: &CampaignId) -> Vec<AuditKind> {
    let audit = hot.audit().unwrap();
    let own = audit.audit(Some(id.clone()), None, 100).await.unwrap();
    let own: Vec<AuditKind> = own.iter().rev().map(|it| it.entry.event.kind).collect();
    let (mut after, mut all) = (None, Vec::new());
    loop {
        let page = audit.audit(None, after, 100).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.place.clone());
        let of_it = page.iter().map(|it| &it.entry.event);
        let of_it = of_it.filter(|audit_event| audit_event.campaign.as_ref() == Some(id));
        all.extend(of_it.map(|audit_event| audit_event.kind));
    }
    all.reverse();
    let sorted = |mut kinds: Vec<AuditKind>| {
        kinds.sort();
        kinds
    };
    assert_eq!(sorted(all), sorted(own.clone()), "both lists have the same");
    own
}

/// What has happened is in the audit and in the feed, once each; nothing else is.
async fn is_entered(stage: &TestStage, id: &CampaignId, want: &[(AuditKind, bool)]) {
    sleep(OVER).await;
    let hot = &*stage.kit.hot;
    let (told, entered) = (told(hot, id).await, entered(hot, id).await);
    assert_eq!(told, entered, "the feed tells what the audit has");
    for (kind, has_happened) in want {
        let count = entered.iter().filter(|it| *it == kind).count();
        assert_eq!(count, usize::from(*has_happened), "{kind:?} in {entered:?}");
    }
}

async fn picked_up(stage: &TestStage, id: &CampaignId, way: Way) {
    let hot = &*stage.kit.hot;
    if way != Way::Reads {
        patiently(async || hot.patch_campaign(id, renamed(), &ACT).await).await;
    }
    if way != Way::Changes {
        sleep(OVER).await;
        told(hot, id).await;
        entered(hot, id).await;
    }
}

pub(crate) async fn a_campaign_is_paused(stage: &TestStage) {
    stage
        .sweep(
            StepSweep::of("paused", &WAYS),
            async || {
                let campaign = stage.draft();
                stage.kit.create(&campaign).await;
                campaign
            },
            async |hot: &CqlHot, campaign: &Campaign| {
                hot.patch_campaign(&campaign.id, paused(), &ACT).await
            },
            async |campaign: &Campaign, way| picked_up(stage, &campaign.id, way).await,
            async |campaign: &Campaign, way, answer: Option<Result<Patched, HotError>>| {
                sleep(OVER).await;
                // Whoever reads the feed ends what is under way.
                told(&*stage.kit.hot, &campaign.id).await;
                let now = stage.kit.hot.campaign(&campaign.id, NOW).await.unwrap().unwrap();
                let is_paused = now.campaign.paused;
                assert!(is_paused || !matches!(answer, Some(Ok(Patched::Done(_)))), "{answer:?}");
                let want = [
                    (AuditKind::CampaignCreated, true),
                    (AuditKind::CampaignPaused, is_paused),
                    (AuditKind::CampaignUpdated, way != Way::Reads),
                ];
                is_entered(stage, &campaign.id, &want).await;
            },
        )
        .await;
}

pub(crate) async fn a_campaign_is_created(stage: &TestStage) {
    stage
        .sweep(
            StepSweep::of("created", &[Way::Reads]),
            async || stage.draft(),
            async |hot: &CqlHot, campaign: &Campaign| {
                let (campaign, created_as) = (campaign.clone(), "as".to_owned());
                let new = NewCampaign { campaign, created_as, first_batch: None };
                hot.create_campaign(new, &ACT).await
            },
            async |campaign: &Campaign, way| picked_up(stage, &campaign.id, way).await,
            async |campaign: &Campaign, _, answer| {
                sleep(OVER).await;
                told(&*stage.kit.hot, &campaign.id).await;
                let now = stage.kit.hot.campaign(&campaign.id, NOW).await.unwrap();
                assert!(now.is_some() || !matches!(answer, Some(Ok(Named::Created(_)))));
                let want = [(AuditKind::CampaignCreated, now.is_some())];
                is_entered(stage, &campaign.id, &want).await;
            },
        )
        .await;
}

/// What the second process does while a count is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    /// Nothing.
    Waits,
    /// It counts.
    Counts,
    /// There are later events, and it counts.
    MoreAndCounts,
}

const COUNTS: [Count; 3] = [Count::Waits, Count::Counts, Count::MoreAndCounts];

struct CountScene {
    campaign: Campaign,
    code: Code,
}

async fn sum(hot: &dyn HotStore, id: Option<&CampaignId>) -> Activity {
    let from = quarter_of(NOW);
    let sums = hot.activities().unwrap().activity(id.cloned(), from, from + 1).await.unwrap();
    sums.first().map(|(_, sum)| sum.clone()).unwrap_or_default()
}

pub(crate) async fn events_are_counted(stage: &TestStage) {
    let kit = &stage.kit;
    let before = tokio::sync::Mutex::new(Activity::default());
    stage
        .sweep(
            StepSweep::of("counted", &COUNTS),
            async || {
                *before.lock().await = sum(&*kit.hot, None).await;
                let (campaign, ann) = (stage.draft(), kit.user("ann"));
                kit.stocked(&campaign, 2).await;
                let code = kit.issued(&campaign, &ann, "a").await;
                kit.done(&code, redeem(&ann, "order")).await;
                sleep(OVER).await;
                CountScene { campaign, code }
            },
            async |hot: &CqlHot, scene: &CountScene| {
                let from = quarter_of(NOW);
                let sums = hot.activities().unwrap();
                sums.activity(Some(scene.campaign.id.clone()), from, from + 1).await
            },
            async |scene: &CountScene, way| {
                if way == Count::MoreAndCounts {
                    kit.done(&scene.code, cancel("order")).await;
                    sleep(OVER).await;
                }
                if way != Count::Waits {
                    sum(&*kit.hot, None).await;
                }
            },
            async |scene: &CountScene, way, _| {
                let cancelled = u64::from(way == Count::MoreAndCounts);
                let want = Activity { issued: 1, redeemed: 1, cancelled, ..Activity::default() };
                // Twice: whoever counts again adds nothing.
                for _ in 0..2 {
                    assert_eq!(sum(&*kit.hot, Some(&scene.campaign.id)).await, want);
                    let mut all = before.lock().await.clone();
                    all.add(&want);
                    assert_eq!(sum(&*kit.hot, None).await, all, "of all campaigns");
                }
            },
        )
        .await;
}
