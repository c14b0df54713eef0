//! What stores make from their feed: counts by the quarter of an hour, and lists of redemptions.

use std::time::Duration;

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::time::{DAY_MS, Millis};
use hot::activity::{ALL_TIME, Activity, QUARTER_MS, quarter_of};
use hot::redemptions::{RedemptionQuery, Redemptions};
use tokio::time::{Instant, sleep};

use crate::kit::{
    self, ChangeOutcome, Kit, NOW, cancel, hold, order_of, redeem, redeem_worth, reference, said,
};

/// On a cluster events come some seconds after their changes.
const PATIENCE: Duration = Duration::from_secs(120);

const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Quarter after [`NOW`], issued, redeemed, cancelled, the amounts.
fn line((quarter, it): &(i64, Activity)) -> String {
    let Activity { issued, redeemed, cancelled, worth } = it;
    format!("{}: {issued} {redeemed} {cancelled} {worth}", quarter - quarter_of(NOW))
}

/// Asks until the answer is what is wanted.
async fn becomes<T: PartialEq + std::fmt::Debug>(name: &str, want: T, read: impl AsyncFn() -> T) {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = read().await;
        if found == want {
            return;
        }
        assert!(Instant::now() < until, "{name}: {found:?}, wanted {want:?}");
        sleep(LOOK_AGAIN).await;
    }
}

pub(crate) async fn each_event_is_counted_once(kit: &Kit) {
    let Some(sums) = kit.hot.activities() else { return };
    let [ann] = kit.users();
    let [one, two] = [(); 2].map(|()| Campaign { per_user_limit: None, ..kit.draft() });
    for campaign in [&one, &two] {
        kit.stocked(campaign, 10).await;
    }
    let issue = async |campaign: &Campaign, nth: usize, at: Millis| {
        kit.issue_at(at, &campaign.id, &ann, reference(&format!("no-{nth}"))).await
    };
    for nth in 0..5 {
        issue(&one, nth, NOW).await;
    }
    issue(&two, 0, NOW.plus_ms(2 * QUARTER_MS)).await;
    sums.count_activity().await.unwrap();
    let code = kit.issued(&two, &ann, "last").await;
    kit.done(&code, hold(&ann, "1", 10)).await;
    kit.done(&code, redeem_worth(&ann, "1", "KRW 30000 3000")).await;
    kit.done(&code, cancel("1")).await;
    kit.done(&code, redeem_worth(&ann, "2", "KRW - 5000")).await;
    let nobody = kit.draft();
    let amounts = "KRW 1 30000 3000 8000 1 30000 3000 3000";
    let first = format!("0: 1 2 1 {amounts}");
    let cases = [
        ("of the first", &one, (0, 9), vec!["0: 5 0 0 ".to_owned()]),
        ("of the second", &two, (0, 9), vec![first.clone(), "2: 1 0 0 ".to_owned()]),
        ("not the last quarter", &two, (0, 2), vec![first]),
        ("of nobody", &nobody, (0, 9), vec![]),
    ];
    let read = async |campaign: &Campaign, (from, until): (i64, i64)| {
        let (from, until) = (quarter_of(NOW) + from, quarter_of(NOW) + until);
        let found = sums.activity(Some(campaign.id.clone()), from, until).await.unwrap();
        found.iter().map(line).collect::<Vec<String>>()
    };
    let all_time = async |campaign: &Campaign| {
        let id = Some(campaign.id.clone());
        let found = sums.activity(id, ALL_TIME, ALL_TIME + 1).await.unwrap();
        found.iter().map(|(_, it)| it.worth.to_string()).collect::<String>()
    };
    becomes("of all time", amounts.to_owned(), async || all_time(&two).await).await;
    for (name, campaign, span, want) in &cases {
        becomes(name, want.clone(), async || read(campaign, *span).await).await;
    }
    // Whoever counts again adds nothing.
    for (name, campaign, span, want) in &cases {
        assert_eq!(read(campaign, *span).await, *want, "{name}, again");
    }
    assert_eq!(all_time(&two).await, amounts);
    assert_eq!(all_time(&one).await, "", "of a campaign without amounts");
    let (from, until) = (quarter_of(NOW), quarter_of(NOW) + 9);
    let all = sums.activity(None, from, until).await.unwrap();
    assert!(all.iter().map(|(_, it)| it.issued).sum::<u64>() >= 7, "{all:?}");
}

pub(crate) async fn an_order_is_found(kit: &Kit) {
    let Some(list) = kit.hot.redemptions() else { return };
    let [ann] = kit.users();
    let campaign = Campaign { per_user_limit: None, ..kit.draft() };
    kit.stocked(&campaign, 10).await;
    let stem = order_of(&ann);
    let (one, many) = (format!("{stem}-one"), format!("{stem}-many"));
    let mut redeemed = Vec::new();
    for (nth, order) in [&one, &many, &many].into_iter().enumerate() {
        let code = kit.issued(&campaign, &ann, &format!("no-{nth}")).await;
        kit.done(&code, redeem(&ann, order)).await;
        redeemed.push(code);
    }
    // It is found by the order also afterwards.
    kit.done(&redeemed[0], cancel(&one)).await;
    redeemed[1..].sort();
    let (imported, later) = (format!("{stem}-imported"), format!("{stem}-later"));
    let brought = redeemed_by_import(kit, &campaign, [&imported, &later]).await;
    let cases = [
        ("of a coupon that was imported", imported, &brought[..1]),
        ("of one that a later file has redeemed", later, &brought[1..]),
        ("of one coupon", one, &redeemed[..1]),
        ("of two", many, &redeemed[1..]),
        ("of none", format!("{stem}-none"), &[]),
    ];
    for (name, order, want) in cases {
        let order = kit::order(&order);
        let codes = async || {
            let mut codes = list.codes_of_order(&order).await.unwrap().expect("it is kept");
            codes.sort();
            codes
        };
        becomes(name, want.to_vec(), codes).await;
    }
}

/// Imports a coupon that an order has redeemed, and one that is available; then a later file says of which order
/// that was redeemed.
async fn redeemed_by_import(kit: &Kit, campaign: &Campaign, orders: [&str; 2]) -> [Code; 2] {
    let codes = [kit.code(), kit.code()];
    let batch = kit.open_import(campaign).await;
    let spent = |at: i64, order: &str| ImportedState::Redeemed {
        holder: None,
        issued_at: None,
        at: NOW.plus_ms(at),
        order: Some(kit::order(order)),
        worth: None,
    };
    let files = [
        [(0, spent(11_000, orders[0])), (1, ImportedState::Available)],
        [(0, spent(11_000, orders[0])), (1, spent(12_000, orders[1]))],
    ];
    for file in files {
        let lines = file.map(|(which, state): (usize, _)| kit.line(campaign, &codes[which], state));
        kit.import(campaign, &batch, lines.into()).await;
    }
    codes
}

/// The orders of all pages of a list, a `*` behind those that were cancelled.
async fn orders(list: &dyn Redemptions, mut query: RedemptionQuery) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let page = list.redemptions(query.clone()).await.unwrap();
        found.extend(page.rows.iter().map(|row| {
            let cancelled = if row.redemption.cancelled_at.is_some() { "*" } else { "" };
            format!("{}{cancelled}", row.redemption.order)
        }));
        let Some(read_to) = page.read_to else { return found };
        query.after = Some(read_to);
    }
}

pub(crate) async fn redemptions_newest_first(kit: &Kit) {
    let Some(list) = kit.hot.redemptions() else { return };
    let [ann] = kit.users();
    let campaigns = [(); 2].map(|()| Campaign { per_user_limit: None, ..kit.draft() });
    for campaign in &campaigns {
        kit.stocked(campaign, 10).await;
    }
    // A second apart, and one on the next day.
    for (nth, of) in [0, 1, 0, 0, 1].into_iter().enumerate() {
        let (order, day) = (format!("o{nth}"), if nth == 4 { DAY_MS } else { 0 });
        let code = kit.issued(&campaigns[of], &ann, &order).await;
        let at = NOW.plus_ms(1_000 * nth as i64 + day);
        assert_eq!(said(&kit.at(at, &code, redeem(&ann, &order)).await), ChangeOutcome::Accepted);
        if nth == 1 {
            let at = NOW.plus_ms(9_000);
            assert_eq!(said(&kit.at(at, &code, cancel(&order)).await), ChangeOutcome::Accepted);
        }
    }
    let [one, two] = &campaigns;
    redeemed_by_import(kit, two, ["i1", "i2"]).await;
    type CountedRow<'a> = (&'a str, &'a Campaign, (i64, i64), &'a [&'a str]);
    let cases: [CountedRow<'_>; 4] = [
        ("of the first", one, (0, 9 * DAY_MS), &["o3", "o2", "o0"]),
        ("of the second, over two days", two, (0, 9 * DAY_MS), &["o4", "i2", "i1", "o1*"]),
        ("the end is excluded", one, (0, 3_000), &["o2", "o0"]),
        ("nothing then", one, (4_000, 5_000), &[]),
    ];
    for (name, campaign, (from, before), want) in cases {
        for limit in [1, 2, 50] {
            let query = RedemptionQuery {
                campaign: Some(campaign.id.clone()),
                from: NOW.plus_ms(from),
                before: NOW.plus_ms(before),
                after: None,
                limit,
            };
            let want: Vec<String> = want.iter().map(|order| format!("주문:{order}")).collect();
            let name = format!("{name}, {limit} a page");
            becomes(&name, want, async || orders(list, query.clone()).await).await;
        }
    }
}
