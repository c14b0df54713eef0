//! The event feed of stores that have one: each change, in order, and cursors that go on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use coupon::apply::Asker;
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::ids::Actor;
use hot::HotError;
use hot::feed::{CouponHappened, Feed, FeedEvent, FeedPage, FeedRead, FeedStart, Happened};
use tokio::time::{Instant, sleep};

use crate::kit::{ChangeOutcome, Kit, NOW, give, of, redeem, reference, said};

/// On a cluster events come some seconds after their changes.
const PATIENCE: Duration = Duration::from_secs(120);

const LOOK_AGAIN: Duration = Duration::from_millis(200);

async fn page(feed: &dyn Feed, from: FeedStart, limit: usize) -> FeedPage {
    let until = Instant::now() + PATIENCE;
    loop {
        match feed.events(from.clone(), limit).await {
            Ok(FeedRead::Page(page)) => {
                assert!(page.events.len() <= limit);
                return page;
            }
            Err(HotError::Unavailable(_) | HotError::Cold(_)) if Instant::now() < until => {
                sleep(LOOK_AGAIN).await;
            }
            other => panic!("the cursor is of this store: {other:?}"),
        }
    }
}

/// Where the feed is now.
async fn here(feed: &dyn Feed) -> FeedStart {
    FeedStart::After(page(feed, FeedStart::Newest, 1).await.next)
}

fn of_coupon(event: &FeedEvent) -> Option<&CouponHappened> {
    match &event.happened {
        Happened::Coupon(coupon) => Some(coupon),
        Happened::AuditEvent { .. } => None,
    }
}

/// The first `count` events of one coupon behind a cursor, each where it comes first.
async fn events_of(
    feed: &dyn Feed,
    code: &Code,
    from: FeedStart,
    limit: usize,
    count: usize,
) -> Vec<FeedEvent> {
    let until = Instant::now() + PATIENCE;
    let (mut from, mut found, mut names) = (from, Vec::new(), BTreeSet::new());
    while found.len() < count {
        let page = page(feed, from, limit).await;
        let of_it = page.events.into_iter();
        let of_it = of_it.filter(|it| of_coupon(it).is_some_and(|coupon| coupon.code == *code));
        found.extend(of_it.filter(|it| names.insert(it.id)));
        from = FeedStart::After(page.next);
        if page.is_end && found.len() < count {
            assert!(Instant::now() < until, "{count} events are wanted: {found:?}");
            sleep(LOOK_AGAIN).await;
        }
    }
    found
}

/// An event as `kind user reference`, with `-` for nothing.
fn line(event: &FeedEvent) -> String {
    let coupon = of_coupon(event).unwrap();
    let user = coupon.user.as_ref().map_or("-", |user| user.as_str());
    let kind = event.happened.event_type().as_str();
    let worth = coupon.worth.map_or(String::new(), |worth| format!(" {worth}"));
    format!("{kind} {user} {}{worth}", coupon.reference.as_deref().unwrap_or("-"))
}

pub(crate) async fn every_change_once_and_in_order(kit: &Kit) {
    let Some(feed) = kit.hot.feed() else { return };
    let [ann, bob] = kit.users();
    let campaign = Campaign { extend_days: 10, ..kit.draft() };
    kit.stocked(&campaign, 10).await;
    let from = here(feed).await;
    let last = kit.every_change(&campaign, [&ann, &bob]).await;
    let code = last.code().clone();
    let want = [
        format!("coupon.issued {ann} 요청:first"),
        format!("coupon.held {ann} 주문:cart"),
        format!("coupon.held {ann} 주문:cart"),
        format!("coupon.released {ann} 주문:cart"),
        format!("coupon.held {ann} 주문:cart"),
        format!("coupon.redeemed {ann} 주문:cart KRW 30000 3000"),
        format!("coupon.redemption_cancelled {ann} 주문:cart KRW 30000 3000"),
        format!("coupon.revoked {ann} -"),
        format!("coupon.issued {bob} 요청:again"),
        format!("coupon.extended {bob} -"),
        format!("coupon.voided {bob} -"),
    ];
    let all = events_of(feed, &code, from.clone(), 100, want.len()).await;
    assert_eq!(all.iter().map(line).collect::<Vec<_>>(), want);
    for event in &all {
        assert_eq!(of_coupon(event).unwrap().owner.campaign, campaign.id);
        assert_eq!((event.at, &event.actor), (NOW, &Actor::new("shop:till-4")));
    }
    let versions: Vec<u64> = all.iter().map(|it| of_coupon(it).unwrap().version).collect();
    assert!(versions.is_sorted_by(|one, other| one < other), "{versions:?}");
    assert_eq!(versions.last(), Some(&last.version()));
    // However it is read, an event has one name.
    let names: Vec<_> = all.iter().map(|event| event.id).collect();
    for limit in [1, 3] {
        let again = events_of(feed, &code, from.clone(), limit, want.len()).await;
        let again: Vec<_> = again.iter().map(|event| event.id).collect();
        assert_eq!(again, names, "{limit} at a time");
    }
    let fourth = FeedStart::After(all[3].cursor.clone());
    let rest = events_of(feed, &code, fourth, 2, want.len() - 4).await;
    assert_eq!(rest.iter().map(line).collect::<Vec<_>>(), want[4..]);
}

pub(crate) async fn an_import_tells_what_it_changes(kit: &Kit) {
    let Some(feed) = kit.hot.feed() else { return };
    let [ann] = kit.users();
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let from = here(feed).await;
    let code = kit.imported(&campaign, 1).await.remove(0);
    kit.done(&code, give(&ann, reference("first"))).await;
    let all = events_of(feed, &code, from, 100, 1).await;
    assert_eq!(
        all.iter().map(line).collect::<Vec<_>>(),
        [format!("coupon.issued {ann} 요청:first")]
    );
}

pub(crate) async fn other_cursors_are_unknown(kit: &Kit) {
    let Some(feed) = kit.hot.feed() else { return };
    let FeedStart::After(here) = here(feed).await else { return };
    let epoch = here.split('-').next().unwrap();
    let other = here.replacen(epoch, "0123456789abcdef", 1);
    let cases = [
        ("of another store", other),
        ("of nothing", String::new()),
        ("an epoch", format!("{epoch}-")),
    ];
    for (name, cursor) in cases {
        let read = feed.events(FeedStart::After(cursor), 1).await;
        assert!(matches!(read, Ok(FeedRead::Unknown)), "{name}: {read:?}");
    }
}

pub(crate) async fn readers_beside_writers_miss_nothing(kit: &Arc<Kit>) {
    let Some(feed) = kit.hot.feed() else { return };
    let [ann] = kit.users();
    let campaign = Campaign { per_user_limit: None, ..kit.draft() };
    kit.stocked(&campaign, 40).await;
    let from = here(feed).await;
    let writes = async {
        let mut codes = BTreeSet::new();
        for nth in 0..30 {
            // Without a dry run: where answers are lost, the reader beside it may give a coupon its next version.
            let name = reference(&format!("no-{nth}"));
            let issued = kit.issue_at(NOW, &campaign.id, &ann, name).await;
            let code = of(&issued).code().clone();
            let change = kit.change(redeem(&ann, &format!("order-{nth}")), Asker::Shop, NOW);
            let redeemed = kit.hot.apply(&kit.found(&code).await, change).await.unwrap();
            assert_eq!(said(&redeemed), ChangeOutcome::Accepted);
            codes.insert(code);
        }
        codes
    };
    let reads = async {
        let (mut from, mut told) = (from, Vec::new());
        let until = Instant::now() + PATIENCE;
        while told.len() < 60 {
            let page = page(feed, from, 7).await;
            let mine = page.events.iter().filter_map(of_coupon);
            let mine = mine.filter(|it| it.owner.campaign == campaign.id);
            told.extend(mine.map(|it| (it.code.clone(), it.kind)));
            from = FeedStart::After(page.next);
            assert!(Instant::now() < until, "{} events", told.len());
            if page.is_end {
                sleep(LOOK_AGAIN).await;
            }
        }
        told
    };
    let (codes, told) = tokio::join!(writes, reads);
    let each: BTreeSet<_> = told.iter().cloned().collect();
    assert_eq!(each.len(), 60, "each once: {told:?}");
    assert_eq!(each.into_iter().map(|(code, _)| code).collect::<BTreeSet<_>>(), codes);
}
