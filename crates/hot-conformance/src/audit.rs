//! The audit of stores that have one: an entry for each audit event, and the feed tells of it.

use std::time::Duration;

use coupon::campaign::{Campaign, ImportCounts};
use coupon::ids::CampaignId;
use futures::future::join_all;
use hot::audit::{Act, Audit, AuditEntry, AuditEvent, AuditKind, Audited};
use hot::feed::{FeedRead, FeedStart, Happened};
use hot::{CampaignPatch, Fact};
use tokio::time::{Instant, sleep};

use crate::kit::{ACT, ChangeOutcome, Kit, NOW, give, reference, revoke, said};

/// On a cluster the feed tells of an audit event some seconds later.
const PATIENCE: Duration = Duration::from_secs(120);

/// Times that each of several callers pauses or resumes a campaign while others issue coupons.
const PAUSES: usize = 10;

const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// All entries, oldest first, read `limit` at a time.
async fn read(audit: &dyn Audit, campaign: Option<&CampaignId>, limit: usize) -> Vec<AuditEntry> {
    let (mut after, mut all) = (None, Vec::new());
    loop {
        let page = audit.audit(campaign.cloned(), after, limit).await.unwrap();
        assert!(page.len() <= limit);
        let Some(last) = page.last() else { break };
        after = Some(last.place.clone());
        all.extend(page.into_iter().map(|Audited { entry, .. }| entry));
    }
    all.reverse();
    all
}

fn line(entry: &AuditEntry) -> String {
    let fields: Vec<&str> = entry.event.changes.iter().map(|it| it.field.as_str()).collect();
    let reason = entry.act.reason.as_ref().map_or("-", |reason| reason.as_str());
    format!("{} {} {reason}", entry.event.kind.as_str(), fields.join(","))
}

/// Asks for one more coupon of a campaign that has none, until it is entered that it has none: whoever is refused
/// does that, but does not wait for a cluster that is slow to answer.
async fn is_refused(kit: &Kit, audit: &dyn Audit, campaign: &Campaign) {
    let until = Instant::now() + PATIENCE;
    loop {
        let [late] = kit.users();
        let applied = kit.issue_at(NOW, &campaign.id, &late, reference("late")).await;
        assert!(matches!(said(&applied), ChangeOutcome::Refused(_)));
        let newest = audit.audit(Some(campaign.id.clone()), None, 1).await.unwrap();
        if newest[0].entry.event.kind == AuditKind::CampaignSoldOut {
            return;
        }
        assert!(Instant::now() < until, "{newest:?}");
    }
}

pub(crate) async fn every_audit_event_is_entered_once(kit: &Kit) {
    let Some(audit) = kit.hot.audit() else { return };
    let [ann] = kit.users();
    let campaign = Campaign { name: "Spring".into(), ..kit.draft() };
    kit.stocked(&campaign, 1).await;
    kit.stocked(&kit.draft(), 1).await;
    let act = Act { at: NOW.plus_ms(5), reason: Some("leaked".parse().unwrap()), ..ACT.clone() };
    let pause = |paused| CampaignPatch { paused: Some(paused), ..CampaignPatch::default() };
    let rename = CampaignPatch { name: Some("Summer".into()), ..pause(true) };
    kit.hot.patch_campaign(&campaign.id, rename, &act).await.unwrap();
    // Nothing changes.
    kit.hot.patch_campaign(&campaign.id, pause(true), &act).await.unwrap();
    kit.hot.patch_campaign(&campaign.id, pause(false), &ACT).await.unwrap();
    let batch = kit.batch_id();
    kit.hot.open_import(&campaign.id, &batch, &ACT).await.unwrap();
    kit.hot.open_import(&campaign.id, &batch, &ACT).await.unwrap();
    kit.hot.close_import(&campaign.id, &batch, ImportCounts::default(), None).await.unwrap();
    kit.hot.close_import(&campaign.id, &batch, ImportCounts::default(), Some(&ACT)).await.unwrap();
    for paused in [true, true, false] {
        kit.hot.pause_batch(&campaign.id, &batch, paused, &act).await.unwrap();
    }
    kit.issued(&campaign, &ann, "last").await;
    is_refused(kit, audit, &campaign).await;

    let created = "campaign.created name,handout,valid_from,expires_at,time_zone,per_user_limit,\
                   cancel_days,extend_days -";
    let want = [
        created,
        "batch.created kind,count -",
        "campaign.updated name leaked",
        "campaign.paused  leaked",
        "campaign.resumed  -",
        "batch.created kind -",
        "batch.imported lines,imported,already_there,rejected -",
        "batch.paused  leaked",
        "batch.resumed  leaked",
        "campaign.sold_out  -",
    ];
    let all = read(audit, Some(&campaign.id), 100).await;
    assert_eq!(all.iter().map(line).collect::<Vec<_>>(), want);
    let renamed = &all[2].event.changes[0];
    assert_eq!((renamed.from.as_deref(), renamed.to.as_deref()), (Some("Spring"), Some("Summer")));
    assert_eq!(all[2].act, act);
    for limit in [1, 3] {
        assert_eq!(read(audit, Some(&campaign.id), limit).await, all, "{limit} at a time");
    }
    let of_it = |entry: &AuditEntry| entry.event.campaign.as_ref() == Some(&campaign.id);
    for limit in [2, 50] {
        let whole = read(audit, None, limit).await.into_iter().filter(of_it).collect::<Vec<_>>();
        assert_eq!(whole, all, "of all, {limit} at a time");
    }
    told_in_the_feed(kit, &campaign.id, &all).await;
}

/// The feed has each of them, in the same order.
async fn told_in_the_feed(kit: &Kit, campaign: &CampaignId, all: &[AuditEntry]) {
    let Some(feed) = kit.hot.feed() else { return };
    let want: Vec<&AuditEvent> = all.iter().map(|entry| &entry.event).collect();
    let until = Instant::now() + PATIENCE;
    let (mut from, mut told) = (FeedStart::Oldest, Vec::new());
    loop {
        let FeedRead::Page(page) = feed.events(from, 100).await.unwrap() else {
            panic!("a feed has a beginning");
        };
        let audit_events = page.events.iter().filter_map(|event| match &event.happened {
            Happened::AuditEvent { audit_event, .. } => Some(audit_event.clone()),
            Happened::Coupon(_) => None,
        });
        told.extend(
            audit_events.filter(|audit_event| audit_event.campaign.as_ref() == Some(campaign)),
        );
        if told.len() >= want.len() && page.is_end {
            break;
        }
        from = FeedStart::After(page.next);
        if page.is_end {
            assert!(Instant::now() < until, "{told:?}");
            sleep(LOOK_AGAIN).await;
        }
    }
    assert_eq!(told.iter().collect::<Vec<_>>(), want);
}

pub(crate) async fn the_store_itself(kit: &Kit) {
    let Some(audit) = kit.hot.audit() else { return };
    let changes = vec![hot::audit::given("user", kit.user("ann"))];
    let event = AuditEvent::of_store(AuditKind::TokenMade, changes);
    let entry = AuditEntry { act: ACT.clone(), event };
    audit.record(entry.clone()).await.unwrap();
    let whole = read(audit, None, 100).await;
    assert_eq!(whole.iter().filter(|it| **it == entry).count(), 1);
}

/// Of two callers who replace what both have seen, one does, and the audit has its entry alone.
pub(crate) async fn a_fact_with_its_entry(kit: &Kit) {
    let Some(audit) = kit.hot.audit() else { return };
    let entry = |user: &str| {
        let changes = vec![hot::audit::given("user", kit.user(user))];
        let event = AuditEvent::of_store(AuditKind::QuerySaved, changes);
        AuditEntry { act: ACT.clone(), event }
    };
    let entries = ["ann", "bob", "cai"].map(entry);
    let seen = kit.hot.fact(Fact::Queries).await.unwrap();
    let mut replaced = Vec::new();
    for (value, entry) in ["1", "2"].into_iter().zip(&entries) {
        let set =
            kit.hot.set_audited_fact(Fact::Queries, seen.clone(), value.into(), entry.clone());
        replaced.push(set.await.unwrap());
    }
    assert_eq!(replaced, [true, false]);
    assert_eq!(kit.hot.fact(Fact::Queries).await.unwrap().as_deref(), Some("1"));
    let last = entries[2].clone();
    let set = kit.hot.set_audited_fact(Fact::Queries, Some("1".into()), "3".into(), last);
    assert!(set.await.unwrap());
    let whole = read(audit, None, 100).await;
    let counts = entries.each_ref().map(|entry| whole.iter().filter(|it| *it == entry).count());
    assert_eq!(counts, [1, 0, 1]);
    // For other cases on this store.
    assert!(kit.hot.set_fact(Fact::Queries, Some("3".into()), seen).await.unwrap());
}

pub(crate) async fn sold_out_whenever_the_last_one_goes(kit: &Kit) {
    let Some(audit) = kit.hot.audit() else { return };
    let [ann, bob] = kit.users();
    let campaign = kit.draft();
    kit.stocked(&campaign, 2).await;
    let sold_out = async || {
        let all = read(audit, Some(&campaign.id), 100).await;
        all.iter().filter(|entry| entry.event.kind == AuditKind::CampaignSoldOut).count()
    };
    kit.issued(&campaign, &ann, "first").await;
    assert_eq!(sold_out().await, 0);
    let code = kit.issued(&campaign, &bob, "second").await;
    for _ in 0..2 {
        is_refused(kit, audit, &campaign).await;
    }
    assert_eq!(sold_out().await, 1);
    kit.done(&code, revoke(&bob)).await;
    assert_eq!(sold_out().await, 1);
    let [cai, dan] = kit.users();
    kit.done(&code, give(&cai, reference("again"))).await;
    kit.done(&code, revoke(&cai)).await;
    kit.issued(&campaign, &dan, "third").await;
    is_refused(kit, audit, &campaign).await;
    assert!(sold_out().await >= 2);
}

/// A store may write what several callers ask for in one transaction.
pub(crate) async fn sold_out_beside_other_changes(kit: &Kit) {
    let Some(audit) = kit.hot.audit() else { return };
    let mut campaigns = Vec::new();
    for _ in 0..8 {
        let campaign = kit.draft();
        kit.stocked(&campaign, 1).await;
        campaigns.push(campaign);
    }
    let paused: Vec<Campaign> = campaigns.iter().map(|_| kit.draft()).collect();
    for campaign in &paused {
        kit.create(campaign).await;
    }
    let sell = async |campaign: &Campaign| {
        let [ann] = kit.users();
        let issued = kit.issue_at(NOW, &campaign.id, &ann, reference("last")).await;
        assert_eq!(said(&issued), ChangeOutcome::Accepted);
    };
    let toggle = async |campaign: CampaignId| {
        for paused in [true, false].into_iter().cycle().take(PAUSES) {
            let patch = CampaignPatch { paused: Some(paused), ..CampaignPatch::default() };
            kit.hot.patch_campaign(&campaign, patch, &ACT).await.unwrap();
        }
    };
    let sold = join_all(campaigns.iter().map(sell));
    tokio::join!(sold, join_all(paused.into_iter().map(|it| toggle(it.id))));
    for campaign in &campaigns {
        is_refused(kit, audit, campaign).await;
    }
}
