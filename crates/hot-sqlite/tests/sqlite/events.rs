//! The event feed: every change once, in order, and what became of old ones.

use coupon::campaign::Campaign;
use coupon::ids::Actor;
use coupon::time::Millis;
use hot::feed::{Feed, FeedEvent, FeedGone, FeedRead, FeedStart, Happened};
use hot_conformance::kit::{Kit, NOW, of, reference};

use super::{kit_in, options, raw, tempdir};

fn feed(kit: &Kit) -> &dyn Feed {
    kit.hot.feed().expect("SQLite has one")
}

/// Reads on behind a cursor until the end, `limit` events at a time.
async fn read(kit: &Kit, from: FeedStart, limit: usize) -> Vec<FeedEvent> {
    let (mut from, mut all) = (from, Vec::new());
    loop {
        let FeedRead::Page(page) = feed(kit).events(from, limit).await.unwrap() else {
            panic!("the cursor is of this store");
        };
        assert!(page.events.len() <= limit);
        if let Some(last) = page.events.last() {
            assert_eq!(page.next, last.cursor);
        }
        from = FeedStart::After(page.next);
        all.extend(page.events);
        if page.is_end {
            return all;
        }
    }
}

/// An event as `kind version user reference`, with `-` for nothing.
fn line(event: &FeedEvent) -> String {
    let Happened::Coupon(coupon) = &event.happened else {
        return event.happened.event_type().as_str().to_owned();
    };
    let user = coupon.user.as_ref().map_or("-", |user| user.as_str());
    let user = user.split('-').next().unwrap_or(user);
    let reference = coupon.reference.as_deref().unwrap_or("-");
    let kind = event.happened.event_type().as_str();
    format!("{} {} {user} {reference}", kind.trim_start_matches("coupon."), coupon.version)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_told_once_and_in_order() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let [ann, bob] = kit.users();
    let campaign = Campaign { extend_days: 10, ..kit.draft() };
    kit.stocked(&campaign, 10).await;
    let last = kit.every_change(&campaign, [&ann, &bob]).await;
    let code = last.code().clone();
    let want = [
        "campaign.created",
        "batch.created",
        "issued 1 ANN 요청:first",
        "held 2 ANN 주문:cart",
        "held 3 ANN 주문:cart",
        "released 4 ANN 주문:cart",
        "held 5 ANN 주문:cart",
        "redeemed 6 ANN 주문:cart",
        "redemption_cancelled 7 ANN 주문:cart",
        "revoked 8 ANN -",
        "issued 9 BOB 요청:again",
        "extended 10 BOB -",
        "voided 11 BOB -",
    ];
    let want = want.map(|line| {
        let name = |user: &coupon::ids::UserId| user.as_str().split('-').next().map(str::to_owned);
        line.replace("ANN", &name(&ann).unwrap()).replace("BOB", &name(&bob).unwrap())
    });
    let all = read(&kit, FeedStart::Oldest, 100).await;
    assert_eq!(all.iter().map(line).collect::<Vec<_>>(), want);
    for event in &all[2..] {
        let Happened::Coupon(coupon) = &event.happened else { panic!("{event:?}") };
        assert_eq!(coupon.code, code);
        assert_eq!(coupon.owner.campaign, campaign.id);
        assert_eq!((event.at, &event.actor), (NOW, &Actor::new("shop:till-4")));
    }
    assert_eq!(last.version(), 11);
    // However it is read, an event has one name.
    for limit in [1, 3, 13] {
        assert_eq!(read(&kit, FeedStart::Oldest, limit).await, all, "{limit} at a time");
    }
    let fourth = FeedStart::After(all[3].cursor.clone());
    assert_eq!(read(&kit, fourth, 2).await, all[4..]);
    assert_eq!(read(&kit, FeedStart::Newest, 2).await, []);
    let names: std::collections::BTreeSet<_> = all.iter().map(|event| event.id).collect();
    assert_eq!(names.len(), all.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_are_forgotten_and_their_cursors_gone() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let [ann] = kit.users();
    let campaign = Campaign { per_user_limit: None, ..kit.draft() };
    kit.stocked(&campaign, 10).await;
    for nth in 0..5 {
        let at = NOW.plus_ms(nth * 1_000);
        let applied = kit.issue_at(at, &campaign.id, &ann, reference(&format!("no-{nth}"))).await;
        assert_eq!(of(&applied).version(), 1);
    }
    let all = read(&kit, FeedStart::Oldest, 10).await;
    let forget = |before: Millis| kit.hot.forget_events(before);
    assert_eq!(forget(NOW.plus_ms(60_000)).await.unwrap(), 0, "they were not counted");
    let count = async || kit.hot.activities().unwrap().count_activity().await.unwrap();
    count().await;
    assert_eq!(forget(NOW).await.unwrap(), 0, "nothing is older");
    // The campaign, its batch, and two coupons.
    assert_eq!(forget(NOW.plus_ms(2_000)).await.unwrap(), 4);
    assert_eq!(read(&kit, FeedStart::Oldest, 10).await, all[4..]);
    let first = feed(&kit).events(FeedStart::After(all[0].cursor.clone()), 10).await.unwrap();
    let FeedRead::Gone { why: FeedGone::TooOld, go_on } = first else { panic!("{first:?}") };
    assert_eq!(read(&kit, FeedStart::After(go_on), 10).await, all[4..]);
    let fourth = FeedStart::After(all[3].cursor.clone());
    assert_eq!(read(&kit, fourth, 10).await, all[4..], "nothing behind it is gone");
    // The newest stays, or the next event would have its number.
    assert_eq!(forget(NOW.plus_ms(60_000)).await.unwrap(), 2);
    assert_eq!(forget(NOW.plus_ms(60_000)).await.unwrap(), 0);
    kit.issued(&campaign, &ann, "last").await;
    let left = read(&kit, FeedStart::Oldest, 10).await;
    assert_eq!(left[0], all[6]);
    assert_eq!(left.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_store_is_unknown() {
    let (folder, other) = (tempdir(), tempdir());
    let (kit, other) = (kit_in(folder.path(), options()), kit_in(other.path(), options()));
    let FeedRead::Page(page) = feed(&other).events(FeedStart::Newest, 1).await.unwrap() else {
        panic!("an empty feed has an end");
    };
    let epoch: String = raw(folder.path())
        .query_row("SELECT value FROM setting WHERE name = 'feed_epoch'", [], |row| row.get(0))
        .unwrap();
    let cases = [
        ("of another store", page.next),
        ("of nothing", String::new()),
        ("without a number", format!("{epoch}-")),
        ("below the first", format!("{epoch}--1")),
        ("with more behind", format!("{epoch}-0-00000000-0")),
    ];
    for (name, cursor) in cases {
        let read = feed(&kit).events(FeedStart::After(cursor), 1).await.unwrap();
        assert_eq!(read, FeedRead::Unknown, "{name}");
    }
    let ahead = feed(&kit).events(FeedStart::After(format!("{epoch}-7")), 1).await.unwrap();
    let go_on = format!("{epoch}-0");
    assert_eq!(ahead, FeedRead::Gone { why: FeedGone::Restored, go_on });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_begins_a_new_epoch() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let [ann] = kit.users();
    let campaign = Campaign { per_user_limit: None, ..kit.draft() };
    kit.stocked(&campaign, 10).await;
    for nth in 0..3 {
        kit.issued(&campaign, &ann, &format!("no-{nth}")).await;
    }
    let before = read(&kit, FeedStart::Oldest, 10).await;
    let epoch = before[2].cursor.split('-').next().unwrap();
    let saw_more = format!("{epoch}-7-0123abcd");
    kit.hot.begin_feed_epoch().await.unwrap();
    kit.issued(&campaign, &ann, "after").await;
    let all = read(&kit, FeedStart::Oldest, 10).await;
    assert_eq!(all.len(), 6);
    // Who has read no more than survived goes on, at the beginning, in the middle or at the end.
    for nth in 0..5 {
        let behind = FeedStart::After(before[nth].cursor.clone());
        assert_eq!(read(&kit, behind, 10).await, all[nth + 1..], "behind event {nth}");
    }
    let gone = feed(&kit).events(FeedStart::After(saw_more.clone()), 10).await.unwrap();
    let go_on = all[4].cursor.clone();
    assert_eq!(gone, FeedRead::Gone { why: FeedGone::Restored, go_on: go_on.clone() });
    assert_eq!(read(&kit, FeedStart::After(go_on), 10).await, all[5..]);
    // Also after another restore.
    kit.hot.begin_feed_epoch().await.unwrap();
    let gone = feed(&kit).events(FeedStart::After(saw_more), 10).await.unwrap();
    assert!(matches!(gone, FeedRead::Gone { why: FeedGone::Restored, .. }), "{gone:?}");
}

/// Somebody puts an old file back without `couponry restore`: numbers come again, with other events.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_put_back_is_noticed() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let [ann, bob] = kit.users();
    let campaign = Campaign { per_user_limit: None, ..kit.draft() };
    kit.stocked(&campaign, 10).await;
    for nth in 0..3 {
        kit.issued(&campaign, &ann, &format!("no-{nth}")).await;
    }
    let lost = read(&kit, FeedStart::Oldest, 10).await;
    let back = raw(folder.path());
    back.execute("DELETE FROM event WHERE number = 5", []).unwrap();
    kit.issued(&campaign, &bob, "another").await;
    let all = read(&kit, FeedStart::Oldest, 10).await;
    assert_eq!(all[..4], lost[..4]);
    let oldest = format!("{}-0", lost[0].cursor.split('-').next().unwrap());
    let gone = feed(&kit).events(FeedStart::After(lost[4].cursor.clone()), 10).await.unwrap();
    assert_eq!(gone, FeedRead::Gone { why: FeedGone::Restored, go_on: oldest });
    let before = FeedStart::After(lost[3].cursor.clone());
    assert_eq!(read(&kit, before, 10).await, all[4..], "what is the same goes on");
}
