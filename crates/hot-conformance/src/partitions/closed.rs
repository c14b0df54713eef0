//! Closed coupons: which coupons are closed, and how the compactor reads them.

use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use hot::{CLOSED_BOUND_MS, ClosedPartition};

use crate::kit::{ChangeOutcome, Kit, NOW, cancel, extend, give, redeem, said, void};

/// One millisecond before the edge nothing is closed. At the edge something is.
const EDGE: [i64; 2] = [-1, 0];

/// The closed coupons of one partition.
async fn closed(kit: &Kit, day: Day, now: Millis, enough: u64) -> Option<ClosedPartition> {
    let partitions = kit.hot.closed(now, enough).await.unwrap();
    assert!(partitions.is_sorted_by_key(|partition| partition.day), "by day");
    let mut here = partitions.into_iter().filter(|partition| partition.day == day);
    let partition = here.next();
    assert_eq!(here.next(), None, "each partition once");
    partition
}

pub(crate) async fn closed_at_the_exact_millisecond(kit: &Kit) {
    let (at, ann) = (NOW.plus_ms(5), kit.user("ann"));
    let spent = |at| ImportedState::Redeemed {
        holder: None,
        issued_at: None,
        at,
        order: None,
        worth: None,
    };
    for cancel_days in [0, 1, 30, 366] {
        let campaign = Campaign { cancel_days, per_user_limit: Some(9), ..kit.draft() };
        let code = kit.stocked(&campaign, 2).await.remove(0);
        let (day, over) = (campaign.expiry_day(), at.plus_days(cancel_days));
        // If nothing can be cancelled, a coupon is closed by any clock.
        let bound = if cancel_days > 0 { CLOSED_BOUND_MS } else { 0 };
        kit.done(&code, give(&ann, None)).await;
        kit.imported(&campaign, 1).await;
        assert_eq!(closed(kit, day, over, 9).await, None, "issued, available");
        assert_eq!(said(&kit.at(at, &code, redeem(&ann, "1")).await), ChangeOutcome::Accepted);
        for edge in EDGE {
            let now = over.plus_ms(edge + bound);
            let want = (edge == 0).then_some(ClosedPartition { day, waiting: 1, since: over });
            assert_eq!(closed(kit, day, now, 9).await, want, "{cancel_days} days, {edge} ms");
            let codes = kit.hot.closed_codes(day, now, 9).await.unwrap();
            assert_eq!(codes.contains(&code), edge == 0, "{cancel_days} days, {edge} ms");
            // A coupon is closed exactly if the rules refuse a cancel.
            if edge == 0 || cancel_days == 0 {
                let cancelled = kit.at(now, &code, cancel("1")).await;
                assert_eq!(said(&cancelled), ChangeOutcome::Refused(Refusal::CancelClosed));
            }
        }
        // The last redemption counts; for an imported one, the instant in its line.
        let batch = kit.open_import(&campaign).await;
        let line = kit.line(&campaign, &kit.code(), spent(at.plus_ms(-3)));
        kit.import(&campaign, &batch, vec![line]).await;
        let want = ClosedPartition { day, waiting: 2, since: over.plus_ms(-3) };
        assert_eq!(closed(kit, day, over.plus_ms(bound), 9).await, Some(want));
    }
}

pub(crate) async fn cancelled_coupons_are_not_closed(kit: &Kit) {
    let campaign = Campaign { cancel_days: 2, ..kit.draft() };
    let code = kit.stocked(&campaign, 1).await.remove(0);
    let ann = kit.user("ann");
    let day = campaign.expiry_day();
    kit.done(&code, give(&ann, None)).await;
    kit.done(&code, redeem(&ann, "1")).await;
    kit.done(&code, cancel("1")).await;
    assert_eq!(closed(kit, day, NOW.plus_days(2), 9).await, None);
    let again = NOW.plus_days(1);
    assert_eq!(said(&kit.at(again, &code, redeem(&ann, "2")).await), ChangeOutcome::Accepted);
    assert_eq!(closed(kit, day, NOW.plus_days(2), 9).await, None);
    let since = again.plus_days(2);
    let then = since.plus_ms(CLOSED_BOUND_MS);
    assert_eq!(closed(kit, day, then, 9).await, Some(ClosedPartition { day, waiting: 1, since }));
}

pub(crate) async fn closed_coupons_are_counted(kit: &Kit) {
    let first = Campaign { cancel_days: 2, handout: Handout::Bearer, ..kit.draft() };
    let first = Campaign { per_user_limit: None, ..first };
    let second = Campaign { id: kit.draft().id, cancel_days: 0, ..first.clone() };
    let third = Campaign { expires_at: first.expires_at, ..kit.draft() };
    let (day, ann) = (first.expiry_day(), kit.user("ann"));
    let ours = kit.stocked(&first, 4).await;
    let theirs = kit.stocked(&second, 3).await;
    let dead = kit.stocked(&third, 3).await;
    let mut moments = (1..).map(|n| NOW.plus_ms(n));
    for code in ours.iter().chain(&theirs) {
        let at = moments.next().unwrap();
        assert_eq!(said(&kit.at(at, code, redeem(&ann, "1")).await), ChangeOutcome::Accepted);
    }
    let partition =
        |waiting, since| Some(ClosedPartition { day, waiting, since: NOW.plus_ms(since) });
    let two_days = 2 * coupon::time::DAY_MS;
    let soon = NOW.plus_ms(100);
    assert_eq!(
        closed(kit, day, NOW.plus_ms(6), 99).await,
        partition(2, 5),
        "the campaigns without cancel_days"
    );
    assert_eq!(closed(kit, day, soon, 99).await, partition(3, 5));
    let turn = NOW.plus_ms(two_days + 2 + CLOSED_BOUND_MS);
    assert_eq!(
        closed(kit, day, turn, 99).await,
        partition(5, 5),
        "two of the first campaign, and the three"
    );
    assert_eq!(closed(kit, day, turn.plus_days(1), 99).await, partition(7, 5));
    for (n, code) in dead.iter().take(2).enumerate() {
        let at = NOW.plus_ms(4 - n as i64);
        assert_eq!(said(&kit.at(at, code, void()).await), ChangeOutcome::Accepted);
    }
    assert_eq!(
        closed(kit, day, soon, 99).await,
        partition(5, 3),
        "void coupons are closed at once"
    );
    for (enough, want) in [(1, 1), (2, 2), (4, 4), (5, 5), (6, 5)] {
        assert_eq!(closed(kit, day, soon, enough).await, partition(want, 3), "at least {enough}");
    }

    let mut want: Vec<Code> = theirs.iter().chain(&dead[..2]).cloned().collect();
    want.sort();
    let codes = kit.hot.closed_codes(day, soon, 99).await.unwrap();
    assert_eq!(codes, want, "the codes of all campaigns, in order");
    for limit in 1..=5 {
        let some = kit.hot.closed_codes(day, soon, limit).await.unwrap();
        assert_eq!(some.len(), limit);
        assert!(some.is_sorted() && some.iter().all(|code| want.contains(code)));
    }
    assert_eq!(kit.archive_closed(day, soon).await, 5);
    assert_eq!(closed(kit, day, soon, 99).await, None, "archived coupons are no longer closed");
    assert_eq!(closed(kit, day, turn, 99).await, partition(2, two_days + 1));

    let late = kit.time_to_seal(day).await;
    assert!(closed(kit, day, late, 99).await.is_some());
    assert!(kit.hot.seal(day, late).await.unwrap());
    assert_eq!(closed(kit, day, late, 99).await, None, "a sealed partition has no closed coupons");
}

pub(crate) async fn coupons_are_read_by_code(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    let mut codes = kit.stocked(&campaign, 4).await;
    let moved = codes.pop().unwrap();
    let ann = kit.user("ann");
    for code in &codes[..2] {
        kit.done(code, give(&ann, None)).await;
        kit.done(code, redeem(&ann, "1")).await;
    }
    kit.done(&codes[2], give(&ann, None)).await;
    kit.done(&moved, extend(campaign.expires_at.plus_days(1))).await;
    let mut asked = vec![codes[0].clone(), codes[1].clone(), codes[2].clone(), moved.clone()];
    asked.push(kit.code());
    asked.sort();
    let coupons = kit.hot.coupons_of(campaign.expiry_day(), asked.clone()).await.unwrap();
    let mut want: Vec<&Code> = codes[..2].iter().collect();
    want.sort();
    assert_eq!(
        coupons.iter().map(|it| it.code()).collect::<Vec<_>>(),
        want,
        "redeemed coupons with a row"
    );
    for coupon in coupons {
        assert_eq!(kit.coupon(coupon.code()).await, coupon);
    }
}

/// Between the read of the codes and that of the coupons, a redemption is cancelled and made again.
/// It can be cancelled, so the coupon is not read as closed.
pub(crate) async fn a_coupon_redeemed_again_is_not_closed(kit: &Kit) {
    let campaign = Campaign { cancel_days: 2, per_user_limit: Some(9), ..kit.draft() };
    let codes = kit.stocked(&campaign, 3).await;
    let (day, ann) = (campaign.expiry_day(), kit.user("ann"));
    for code in &codes[..2] {
        kit.done(code, give(&ann, None)).await;
        kit.done(code, redeem(&ann, "1")).await;
    }
    kit.done(&codes[2], void()).await;
    let closed = NOW.plus_days(2).plus_ms(CLOSED_BOUND_MS);
    let named = kit.hot.closed_codes(day, closed, 9).await.unwrap();
    assert_eq!(named.len(), 3);
    let later = NOW.plus_days(1);
    for action in [cancel("1"), redeem(&ann, "2")] {
        assert_eq!(said(&kit.at(later, &codes[0], action).await), ChangeOutcome::Accepted);
    }
    let read = |now| kit.hot.closed_coupons(day, named.clone(), now);
    let mut left: Vec<Code> = named.clone();
    left.retain(|code| *code != codes[0]);
    let codes_of = |coupons: Vec<Coupon>| -> Vec<Code> {
        coupons.iter().map(|coupon| coupon.code().clone()).collect()
    };
    assert_eq!(codes_of(read(closed).await.unwrap()), left, "it can be cancelled for another day");
    let open = closed.plus_days(1).plus_ms(-1);
    assert_eq!(codes_of(read(open).await.unwrap()), left, "also a millisecond before its end");
    assert_eq!(codes_of(read(closed.plus_days(1)).await.unwrap()), named, "then it is closed");
    let set_back = codes_of(read(NOW.plus_ms(-1)).await.unwrap());
    assert_eq!(set_back, codes[2..], "a void one, whatever the clock says");
    let rows = kit.hot.coupons_of(day, named.clone()).await.unwrap();
    assert_eq!(codes_of(rows), named, "its row is redeemed");
}
