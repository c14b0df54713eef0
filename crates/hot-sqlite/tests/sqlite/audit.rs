//! The audit: who changed what besides coupons.

use coupon::campaign::{Campaign, ImportCounts};
use coupon::ids::CampaignId;
use hot::CampaignPatch;
use hot::audit::{Act, Audit, AuditEntry, AuditEvent, AuditKind, Audited};
use hot::feed::{FeedRead, FeedStart, Happened};
use hot_conformance::kit::{ACT, Kit, NOW, reference};

use super::{kit_in, options, tempdir};

fn audit(kit: &Kit) -> &dyn Audit {
    kit.hot.audit().expect("SQLite has one")
}

/// All entries, oldest first, read `limit` at a time.
async fn read(kit: &Kit, campaign: Option<&CampaignId>, limit: usize) -> Vec<AuditEntry> {
    let (mut after, mut all) = (None, Vec::new());
    loop {
        let page = audit(kit).audit(campaign.cloned(), after, limit).await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_terms_is_entered_once() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let [ann] = kit.users();
    let campaign = Campaign { name: "Spring".into(), ..kit.draft() };
    let other = kit.draft();
    kit.stocked(&campaign, 1).await;
    kit.stocked(&other, 1).await;
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
    let event = AuditEvent::of_store(AuditKind::TokenMade, Vec::new());
    audit(&kit).record(AuditEntry { act: ACT.clone(), event }).await.unwrap();

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
    let all = read(&kit, Some(&campaign.id), 100).await;
    assert_eq!(all.iter().map(line).collect::<Vec<_>>(), want);
    let renamed = &all[2].event.changes[0];
    assert_eq!((renamed.from.as_deref(), renamed.to.as_deref()), (Some("Spring"), Some("Summer")));
    assert_eq!(all[2].act, act);
    let whole = read(&kit, None, 100).await;
    assert_eq!(whole.len(), all.len() + 3, "the other campaign, its batch, and the token");
    assert_eq!(line(&whole[whole.len() - 1]), "token.made  -");
    for limit in [1, 3] {
        assert_eq!(read(&kit, Some(&campaign.id), limit).await, all, "{limit} at a time");
        assert_eq!(read(&kit, None, limit).await, whole, "{limit} at a time");
    }
    told_in_the_feed(&kit, &whole).await;
}

/// The feed has each of them but the token, between the coupon events, in the same order.
async fn told_in_the_feed(kit: &Kit, whole: &[AuditEntry]) {
    let feed = kit.hot.feed().unwrap();
    let FeedRead::Page(page) = feed.events(FeedStart::Oldest, 100).await.unwrap() else {
        panic!("a feed has a beginning");
    };
    let told: Vec<&AuditEvent> = page
        .events
        .iter()
        .filter_map(|event| match &event.happened {
            Happened::AuditEvent { audit_event, .. } => Some(audit_event),
            Happened::Coupon(_) => None,
        })
        .collect();
    let want: Vec<&AuditEvent> = whole
        .iter()
        .map(|entry| &entry.event)
        .filter(|audit_event| audit_event.kind.is_told())
        .collect();
    assert_eq!(told, want);
    let names: Vec<&str> =
        page.events.iter().map(|event| event.happened.event_type().as_str()).collect();
    assert!(names.ends_with(&["coupon.issued", "campaign.sold_out"]), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sold_out_whenever_the_last_one_goes() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let [ann, bob] = kit.users();
    let campaign = kit.draft();
    kit.stocked(&campaign, 2).await;
    let sold_out = async || {
        let all = read(&kit, Some(&campaign.id), 100).await;
        all.iter().filter(|entry| entry.event.kind == AuditKind::CampaignSoldOut).count()
    };
    kit.issued(&campaign, &ann, "first").await;
    assert_eq!(sold_out().await, 0);
    let code = kit.issued(&campaign, &bob, "second").await;
    assert_eq!(sold_out().await, 1);
    kit.done(&code, hot_conformance::kit::redeem(&bob, "1")).await;
    assert_eq!(sold_out().await, 1, "a redemption takes none");
    kit.done(&code, hot_conformance::kit::cancel("1")).await;
    kit.done(&code, hot_conformance::kit::revoke(&bob)).await;
    kit.done(&code, hot_conformance::kit::give(&bob, reference("third"))).await;
    assert_eq!(sold_out().await, 2);
}
