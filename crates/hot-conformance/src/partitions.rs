//! Partitions as the compactor works on them: what is closed, archived markers, seals, emptying.

use coupon::apply::Asker;
use coupon::campaign::{Campaign, CampaignCounts, Handout};
use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use futures::future::join_all;
use hot::{
    CLOSED_BOUND_MS, ClosedPartition, ColdMark, Emptying, HotError, ImportLine, ImportOutcome,
    Named, NewCampaign, PartitionPlan, Residue, Tier,
};
use router::Found;

use super::kit::{
    Kit, MINUTE, NOW, Said, cancel, extend, give, hold, of, redeem, reference, release, revoke,
    said, void,
};

/// One millisecond, before and at: nothing, and something.
const EDGE: [i64; 2] = [-1, 0];

/// What is closed in one partition.
async fn closed(kit: &Kit, day: Day, now: Millis, enough: u64) -> Option<ClosedPartition> {
    let partitions = kit.hot.closed(now, enough).await.unwrap();
    assert!(partitions.is_sorted_by_key(|partition| partition.day), "by day");
    let mut here = partitions.into_iter().filter(|partition| partition.day == day);
    let partition = here.next();
    assert_eq!(here.next(), None, "a partition once");
    partition
}

pub(crate) async fn closed_from_one_millisecond_on(kit: &Kit) {
    let (at, ann) = (NOW.plus_ms(5), kit.user("ann"));
    let spent = |at| ImportedState::Redeemed { holder: None, issued_at: None, at, order: None };
    for cancel_days in [0, 1, 30, 366] {
        let campaign = Campaign { cancel_days, per_user_limit: Some(9), ..kit.draft() };
        let code = kit.stocked(&campaign, 2).await.remove(0);
        let (day, over) = (campaign.expiry_day(), at.plus_days(cancel_days));
        // Where nothing can be cancelled no clock can admit it.
        let bound = if cancel_days > 0 { CLOSED_BOUND_MS } else { 0 };
        kit.done(&code, give(&ann, None)).await;
        kit.imported(&campaign, 1).await;
        assert_eq!(closed(kit, day, over, 9).await, None, "issued, available");
        assert_eq!(said(&kit.at(at, &code, redeem(&ann, "1")).await), Said::Accepted);
        for edge in EDGE {
            let now = over.plus_ms(edge + bound);
            let want = (edge == 0).then_some(ClosedPartition { day, waiting: 1, since: over });
            assert_eq!(closed(kit, day, now, 9).await, want, "{cancel_days} days, {edge} ms");
            let codes = kit.hot.closed_codes(day, now, 9).await.unwrap();
            assert_eq!(codes.contains(&code), edge == 0, "{cancel_days} days, {edge} ms");
            // What is closed is what the rules do not let go any more.
            if edge == 0 || cancel_days == 0 {
                let cancelled = kit.at(now, &code, cancel("1")).await;
                assert_eq!(said(&cancelled), Said::Refused(Refusal::CancelClosed));
            }
        }
        // Cancelled and redeemed again it is the last redemption that counts, of an import its own.
        let batch = kit.open_import(&campaign).await;
        let line = kit.line(&campaign, &kit.code(), spent(at.plus_ms(-3)));
        kit.import(&campaign, &batch, vec![line]).await;
        let want = ClosedPartition { day, waiting: 2, since: over.plus_ms(-3) };
        assert_eq!(closed(kit, day, over.plus_ms(bound), 9).await, Some(want));
    }
}

pub(crate) async fn cancelled_ones_are_not_closed(kit: &Kit) {
    let campaign = Campaign { cancel_days: 2, ..kit.draft() };
    let code = kit.stocked(&campaign, 1).await.remove(0);
    let ann = kit.user("ann");
    let day = campaign.expiry_day();
    kit.done(&code, give(&ann, None)).await;
    kit.done(&code, redeem(&ann, "1")).await;
    kit.done(&code, cancel("1")).await;
    assert_eq!(closed(kit, day, NOW.plus_days(2), 9).await, None);
    let again = NOW.plus_days(1);
    assert_eq!(said(&kit.at(again, &code, redeem(&ann, "2")).await), Said::Accepted);
    assert_eq!(closed(kit, day, NOW.plus_days(2), 9).await, None);
    let since = again.plus_days(2);
    let then = since.plus_ms(CLOSED_BOUND_MS);
    assert_eq!(closed(kit, day, then, 9).await, Some(ClosedPartition { day, waiting: 1, since }));
}

pub(crate) async fn closed_ones_are_counted(kit: &Kit) {
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
        assert_eq!(said(&kit.at(at, code, redeem(&ann, "1")).await), Said::Accepted);
    }
    let partition =
        |waiting, since| Some(ClosedPartition { day, waiting, since: NOW.plus_ms(since) });
    let two_days = 2 * coupon::time::DAY_MS;
    let soon = NOW.plus_ms(100);
    assert_eq!(
        closed(kit, day, NOW.plus_ms(6), 99).await,
        partition(2, 5),
        "those without a window"
    );
    assert_eq!(closed(kit, day, soon, 99).await, partition(3, 5));
    let turn = NOW.plus_ms(two_days + 2 + CLOSED_BOUND_MS);
    assert_eq!(
        closed(kit, day, turn, 99).await,
        partition(5, 5),
        "two of the first, and the three"
    );
    assert_eq!(closed(kit, day, turn.plus_days(1), 99).await, partition(7, 5));
    for (n, code) in dead.iter().take(2).enumerate() {
        let at = NOW.plus_ms(4 - n as i64);
        assert_eq!(said(&kit.at(at, code, void()).await), Said::Accepted);
    }
    assert_eq!(closed(kit, day, soon, 99).await, partition(5, 3), "void ones at once");
    for (enough, want) in [(1, 1), (2, 2), (4, 4), (5, 5), (6, 5)] {
        assert_eq!(closed(kit, day, soon, enough).await, partition(want, 3), "enough are {enough}");
    }

    let mut want: Vec<Code> = theirs.iter().chain(&dead[..2]).cloned().collect();
    want.sort();
    let codes = kit.hot.closed_codes(day, soon, 99).await.unwrap();
    assert_eq!(codes, want, "of all campaigns, in order");
    for limit in 1..=5 {
        let some = kit.hot.closed_codes(day, soon, limit).await.unwrap();
        assert_eq!(some.len(), limit);
        assert!(some.is_sorted() && some.iter().all(|code| want.contains(code)));
    }
    assert_eq!(kit.archive_closed(day, soon).await, 5);
    assert_eq!(closed(kit, day, soon, 99).await, None, "what was moved waits no more");
    assert_eq!(closed(kit, day, turn, 99).await, partition(2, two_days + 1));

    let late = kit.time_to_seal(day).await;
    assert!(closed(kit, day, late, 99).await.is_some());
    assert!(kit.hot.seal(day, late).await.unwrap());
    assert_eq!(closed(kit, day, late, 99).await, None, "a sealed one is moved as a whole");
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
        "those with a row that are redeemed"
    );
    for coupon in coupons {
        assert_eq!(kit.coupon(coupon.code()).await, coupon);
    }
}

/// Between naming and reading a coupon is cancelled and redeemed once more: it can be cancelled
/// again, and is not read as closed.
pub(crate) async fn a_coupon_redeemed_anew_is_not_closed(kit: &Kit) {
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
        assert_eq!(said(&kit.at(later, &codes[0], action).await), Said::Accepted);
    }
    let read = |now| kit.hot.closed_coupons(day, named.clone(), now);
    let mut left: Vec<Code> = named.clone();
    left.retain(|code| *code != codes[0]);
    let codes_of = |coupons: Vec<Coupon>| -> Vec<Code> {
        coupons.iter().map(|coupon| coupon.code().clone()).collect()
    };
    assert_eq!(codes_of(read(closed).await.unwrap()), left, "it is open for a day more");
    let open = closed.plus_days(1).plus_ms(-1);
    assert_eq!(codes_of(read(open).await.unwrap()), left, "and a millisecond before");
    assert_eq!(codes_of(read(closed.plus_days(1)).await.unwrap()), named, "until then");
    let rows = kit.hot.coupons_of(day, named.clone()).await.unwrap();
    assert_eq!(codes_of(rows), named, "it has a row that is redeemed");
}

pub(crate) async fn evicted_in_just_this_version(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    let codes = kit.stocked(&campaign, 4).await;
    let ann = kit.user("ann");
    for code in &codes[..3] {
        kit.done(code, give(&ann, None)).await;
        kit.done(code, redeem(&ann, "1")).await;
    }
    let day = campaign.expiry_day();
    // Copied, and then cancelled: the copy is not what it is now.
    for code in &codes[..3] {
        kit.archive.keep(day, &kit.coupon(code).await);
    }
    kit.done(&codes[0], cancel("1")).await;
    let counts = kit.counts(&campaign).await;
    let copied = vec![
        (codes[0].clone(), 2),
        (codes[1].clone(), 1),
        (codes[1].clone(), 3),
        (codes[2].clone(), 2),
        (codes[3].clone(), 0),
        (kit.code(), 1),
    ];
    assert_eq!(kit.hot.evict(day, copied.clone()).await.unwrap(), 1);
    assert_eq!(kit.hot.evict(Day(day.0 + 1), vec![(codes[1].clone(), 2)]).await.unwrap(), 0);
    assert_eq!(kit.hot.evict(day, Vec::new()).await.unwrap(), 0);
    let tiers = [Tier::Hot, Tier::Hot, Tier::Cold, Tier::Hot];
    for (code, tier) in codes.iter().zip(tiers) {
        assert_eq!(kit.see(code).await.unwrap().tier, tier, "{code}");
    }
    assert_eq!(kit.hot.evict(day, copied).await.unwrap(), 0, "once");
    assert_eq!(kit.counts(&campaign).await, counts);
    kit.is_sound().await;
    // What stayed goes on; what went is final.
    kit.done(&codes[0], redeem(&ann, "2")).await;
    kit.done(&codes[1], cancel("1")).await;
    kit.done(&codes[3], void()).await;
    assert_eq!(kit.said(&codes[2], cancel("1")).await, Said::Refused(Refusal::CancelClosed));
}

/// A late write and an archived marker want the same coupon: one of them wins, and is not undone.
pub(crate) async fn an_archived_marker_lets_no_late_write_through(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(100), ..kit.draft() };
    let codes = kit.stocked(&campaign, 60).await;
    let (day, ann) = (campaign.expiry_day(), kit.user("ann"));
    for code in &codes {
        kit.done(code, give(&ann, None)).await;
        let coupon = kit.done(code, redeem(&ann, "1")).await;
        kit.archive.keep(day, &coupon);
    }
    let mut both = [0, 0];
    for code in &codes {
        let found = kit.found(code).await;
        let change = kit.change(cancel("1"), Asker::Shop, NOW);
        let evict = kit.hot.evict(day, vec![(code.clone(), 2)]);
        let (cancelled, evicted) = tokio::join!(kit.hot.apply(&found, change), evict);
        let (cancelled, evicted) = (said(&cancelled.unwrap()), evicted.unwrap());
        let snapshot = kit.see(code).await.unwrap();
        match evicted {
            0 => {
                assert_eq!(cancelled, Said::Accepted);
                assert_eq!((snapshot.tier, snapshot.coupon.version()), (Tier::Hot, 3));
            }
            _ => {
                assert_eq!(cancelled, Said::Refused(Refusal::CancelClosed));
                assert_eq!((snapshot.tier, snapshot.coupon.version()), (Tier::Cold, 2));
            }
        }
        both[evicted as usize] += 1;
    }
    let want = CampaignCounts { stock: 60, issued: both[0], redeemed: both[1], void: 0 };
    assert_eq!(kit.counts(&campaign).await, want);
}

pub(crate) async fn many_are_evicted_at_once(kit: &Kit) {
    const MANY: usize = 450;
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let (batch, day) = (kit.open_import(&campaign).await, campaign.expiry_day());
    let codes: Vec<Code> = (0..MANY).map(|_| kit.code()).collect();
    let line = |code| kit.line(&campaign, code, ImportedState::Void);
    kit.import(&campaign, &batch, codes.iter().map(line).collect()).await;
    let closed = kit.hot.closed_codes(day, NOW, 1_000).await.unwrap();
    assert_eq!(closed.len(), MANY);
    let coupons = kit.hot.coupons_of(day, closed).await.unwrap();
    coupons.iter().for_each(|coupon| kit.archive.keep(day, coupon));
    let copied: Vec<_> = coupons.iter().map(|it| (it.code().clone(), it.version())).collect();
    assert_eq!(kit.hot.evict(day, copied.clone()).await.unwrap(), MANY as u64);
    assert_eq!(kit.hot.evict(day, copied).await.unwrap(), 0);
    kit.is_sound().await;
    kit.archive.asked();
    assert_eq!(kit.coupon(&codes[MANY - 1]).await.state(), &State::Void { holder: None });
    assert_eq!(kit.archive.asked(), (1, 1));
}

pub(crate) async fn sealed_when_its_time_is_over(kit: &Kit) {
    let campaign = Campaign { cancel_days: 3, extend_days: 7, ..kit.draft() };
    let codes = kit.stocked(&campaign, 3).await;
    let [ann, bob] = kit.users();
    let day = campaign.expiry_day();
    let over = day.end().plus_days(7).plus_ms(15 * MINUTE);
    let plan =
        PartitionPlan { day, seal_after: over, sealed: false, archive_commit: 0, emptied: false };
    assert_eq!(kit.hot.partition(day).await.unwrap(), Some(plan));
    // Another campaign needs it for longer; a third, for less, does not shorten that.
    for (extend_days, longer) in [(9, 2), (0, 2)] {
        let other = Campaign { extend_days, expires_at: campaign.expires_at, ..kit.draft() };
        kit.create(&Campaign { cancel_days: 0, ..other }).await;
        let plan = PartitionPlan { seal_after: over.plus_days(longer), ..plan };
        assert_eq!(kit.hot.partition(day).await.unwrap(), Some(plan));
    }
    let over = over.plus_days(2);
    kit.done(&codes[0], give(&ann, None)).await;
    kit.done(&codes[0], hold(&ann, "1", 5)).await;
    let last = codes[1].clone();
    for early in [NOW, over.plus_ms(-1), over] {
        assert!(!kit.hot.seal(day, early).await.unwrap());
        assert!(!kit.hot.partition(day).await.unwrap().unwrap().sealed);
    }
    kit.done(&last, void()).await;
    for _ in 0..2 {
        assert!(kit.hot.seal(day, over.plus_ms(1)).await.unwrap());
    }
    assert!(kit.hot.seal(day, NOW).await.unwrap(), "a seal stays, whatever the clock says");
    let sealed = PartitionPlan { seal_after: over, sealed: true, ..plan };
    assert_eq!(kit.hot.partition(day).await.unwrap(), Some(sealed));
    assert!(kit.hot.partitions().await.unwrap().contains(&sealed));

    // Nothing on it changes, also where its row is still there.
    let (refused, closed) = (Said::Refused, Refusal::ExpiryDayClosed);
    let cases = [
        ("redeemed", &codes[0], redeem(&ann, "1"), refused(Refusal::Expired)),
        ("held for longer", &codes[0], hold(&ann, "1", 9), refused(Refusal::Expired)),
        ("released", &codes[0], release("1"), refused(closed)),
        ("a minted one given", &codes[2], give(&bob, None), refused(Refusal::Expired)),
        ("past his limit, too", &codes[2], give(&ann, None), refused(Refusal::Expired)),
        ("a minted one killed", &codes[2], void(), refused(closed)),
        ("extended away", &codes[2], extend(day.end().plus_days(1)), refused(closed)),
        ("a dead one killed", &last, void(), Said::Replayed),
    ];
    for (name, code, action, want) in cases {
        let before = kit.see(code).await;
        assert_eq!(kit.said(code, action).await, want, "{name}");
        assert_eq!(kit.see(code).await, before, "{name}");
    }
}

/// A compactor may still be at the closed coupons of a partition that another one seals.
pub(crate) async fn a_sealed_partition_evicts_nothing(kit: &Kit) {
    let campaign = Campaign { cancel_days: 0, ..kit.draft() };
    kit.create(&campaign).await;
    let (batch, day) = (kit.open_import(&campaign).await, campaign.expiry_day());
    let lines = (0..3).map(|_| kit.line(&campaign, &kit.code(), ImportedState::Void)).collect();
    kit.import(&campaign, &batch, lines).await;
    let closed = kit.hot.closed_codes(day, NOW, 9).await.unwrap();
    assert_eq!(closed.len(), 3);
    assert!(kit.hot.seal(day, kit.time_to_seal(day).await).await.unwrap());
    // At once, and not after a store has tried for as long as it may.
    let copied: Vec<(Code, u64)> = closed.into_iter().map(|code| (code, 1)).collect();
    assert_eq!(kit.hot.evict(day, copied).await.unwrap(), 0);
    let residue = kit.hot.residue(day, None, 9).await.unwrap();
    assert_eq!(residue.iter().filter(|row| matches!(row, Residue::Coupon(_))).count(), 3);
}

/// Between writes that may be part of one commit with it, a seal is a seal.
pub(crate) async fn sealed_among_other_writes(kit: &Kit) {
    const EACH: usize = 12;
    for _ in 0..5 {
        let campaign = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
        let codes = kit.stocked(&campaign, 2 * EACH as u64).await;
        let day = campaign.expiry_day();
        let late = kit.time_to_seal(day).await;
        let mut addresses = Vec::new();
        for code in &codes {
            addresses.push(kit.found(code).await);
        }
        let kill = async |found: &Found| {
            let change = kit.change(void(), Asker::Shop, late);
            said(&kit.hot.apply(found, change).await.unwrap())
        };
        let (before, sealed, after) = tokio::join!(
            join_all(addresses[..EACH].iter().map(&kill)),
            kit.hot.seal(day, late),
            join_all(addresses[EACH..].iter().map(&kill)),
        );
        assert!(sealed.unwrap(), "it says so, too");
        let mut accepted = 0;
        for (code, said) in codes.iter().zip(before.into_iter().chain(after)) {
            let version = match said {
                Said::Accepted => 1,
                other => {
                    assert_eq!(other, Said::Refused(Refusal::ExpiryDayClosed));
                    0
                }
            };
            assert_eq!(kit.coupon(code).await.version(), version, "{code}: {said:?}");
            accepted += version;
        }
        assert_eq!(kit.hot.count(day).await.unwrap(), accepted);
        assert_eq!(kit.counts(&campaign).await.void, accepted);
        assert_ne!(kill(&addresses[0]).await, Said::Accepted);
    }
}

pub(crate) async fn nothing_comes_to_a_sealed_partition(kit: &Kit) {
    let sealed = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    kit.stocked(&sealed, 1).await;
    let day = sealed.expiry_day();
    // Its own partition is the one before.
    let early = Campaign { expires_at: day.start(), ..kit.draft() };
    let code = kit.stocked(&early, 1).await.remove(0);
    let batch = kit.open_import(&early).await;
    assert!(kit.hot.seal(day, kit.time_to_seal(day).await).await.unwrap());
    let before = kit.hot.partition(day).await.unwrap();
    for emptied in [false, true] {
        if emptied {
            kit.archive_partition(day, kit.time_to_seal(day).await).await;
        }
        let line = kit.line(&early, &kit.code(), ImportedState::Available);
        let line = ImportLine { expires_at: sealed.expires_at, ..line };
        let imported = kit.import(&early, &batch, vec![line.clone()]).await;
        assert_eq!(imported, [ImportOutcome::Refused(Refusal::ExpiryDayClosed)]);
        assert_eq!(kit.find(&line.code).await, None, "and has won no entry");
        let closed = Said::Refused(Refusal::ExpiryDayClosed);
        assert_eq!(kit.said(&code, extend(sealed.expires_at)).await, closed);
        assert_eq!(kit.said(&code, extend(day.start().plus_ms(1))).await, closed, "its first ms");
        let mint = kit.hot.mint(&sealed.id, kit.order_of(1), NOW).await.unwrap();
        assert_eq!(mint, Named::Refused(Refusal::ExpiryDayClosed));
        let new = Campaign { expires_at: sealed.expires_at, ..kit.draft() };
        let new = NewCampaign { campaign: new, created_as: String::new(), first_batch: None };
        let new = kit.hot.create_campaign(new).await.unwrap();
        assert_eq!(new, Named::Refused(Refusal::ExpiryDayClosed));
    }
    let after = kit.hot.partition(day).await.unwrap();
    assert_eq!(
        after,
        before.map(|plan| PartitionPlan { archive_commit: 1, emptied: true, ..plan })
    );
    kit.done(&code, extend(day.end().plus_days(1))).await;
}

pub(crate) async fn a_day_without_a_plan(kit: &Kit) {
    let day = Day(kit.draft().expiry_day().0 + 1);
    assert_eq!(kit.hot.partition(day).await.unwrap(), None);
    assert!(!kit.hot.seal(day, day.end().plus_days(9_999)).await.unwrap());
    assert_eq!(kit.hot.partition(day).await.unwrap(), None, "it has none now either");
    assert_eq!(kit.hot.residue(day, None, 9).await.unwrap(), []);
    assert_eq!(kit.hot.archived_markers(day, None, 9).await.unwrap(), []);
    assert_eq!(kit.hot.count(day).await.unwrap(), 0);
    assert_eq!(kit.hot.closed_codes(day, NOW, 9).await.unwrap(), [] as [Code; 0]);
    assert!(kit.hot.partitions().await.unwrap().iter().all(|plan| plan.day != day));
}

pub(crate) async fn residue_in_pages(kit: &Kit) {
    let campaign = Campaign { cancel_days: 0, per_user_limit: Some(99), ..kit.draft() };
    let minted = kit.stocked(&campaign, 9).await;
    let mut codes = kit.imported(&campaign, 5).await;
    let (day, ann) = (campaign.expiry_day(), kit.user("ann"));
    for code in &minted[..7] {
        kit.done(code, give(&ann, None)).await;
    }
    // Of each kind some among the others.
    let closed = [&minted[0], &minted[3], &minted[5], &codes[1], &codes[4]].map(Code::clone);
    for code in &closed {
        match kit.coupon(code).await.holder() {
            Some(_) => kit.done(code, redeem(&ann, "1")).await,
            None => kit.done(code, void()).await,
        };
    }
    assert_eq!(kit.archive_closed(day, NOW).await, closed.len() as u64);
    assert!(kit.hot.seal(day, kit.time_to_seal(day).await).await.unwrap());
    codes.extend(minted[..7].iter().cloned());
    codes.sort();
    let mut want = Vec::new();
    for code in &codes {
        let coupon = kit.coupon(code).await;
        want.push(match closed.contains(code) {
            true => Residue::ArchivedMarker { code: code.clone(), version: coupon.version() },
            false => Residue::Coupon(Box::new(coupon)),
        });
    }
    assert_eq!(kit.hot.count(day).await.unwrap(), want.len() as u64);
    let want_archived_markers: Vec<(Code, u64)> = want
        .iter()
        .filter_map(|residue| match residue {
            Residue::ArchivedMarker { code, version } => Some((code.clone(), *version)),
            Residue::Coupon(_) => None,
        })
        .collect();
    for page in 1..=codes.len() + 1 {
        let mut residue: Vec<Residue> = Vec::new();
        loop {
            let after = residue.last().map(|it| it.code().clone());
            let some = kit.hot.residue(day, after, page).await.unwrap();
            if some.is_empty() {
                break;
            }
            assert!(some.len() <= page);
            residue.extend(some);
        }
        assert_eq!(residue, want, "pages of {page}");
        let mut archived_markers: Vec<(Code, u64)> = Vec::new();
        loop {
            let after = archived_markers.last().map(|(code, _)| code.clone());
            let some = kit.hot.archived_markers(day, after, page).await.unwrap();
            if some.is_empty() {
                break;
            }
            assert!(some.len() <= page);
            archived_markers.extend(some);
        }
        assert_eq!(archived_markers, want_archived_markers, "pages of {page}");
    }
}

/// What lies in other partitions stays, whatever its expiry; and what lies in this one goes.
pub(crate) async fn emptied_alone(kit: &Kit) {
    let ann = kit.user("ann");
    let here = Campaign { cancel_days: 0, per_user_limit: Some(99), ..kit.draft() };
    let minted = kit.stocked(&here, 4).await;
    let imported = kit.imported(&here, 2).await;
    let day = here.expiry_day();
    for code in [&minted[0], &minted[1], &minted[2], &imported[1]] {
        kit.done(code, give(&ann, None)).await;
    }
    kit.done(&minted[1], redeem(&ann, "1")).await;
    kit.done(&minted[2], void()).await;
    kit.done(&imported[1], redeem(&ann, "1")).await;
    // In this partition, and expired long before it.
    let short = Campaign { valid_days: Some(1), expires_at: here.expires_at, ..kit.draft() };
    kit.stocked(&short, 2).await;
    let early = kit.issued(&short, &ann, "a").await;
    // In other partitions, and expiring on this day, at its first and its last instant.
    let later = Campaign { expires_at: here.expires_at.plus_days(2), ..kit.draft() };
    let later = Campaign { valid_days: Some(1), per_user_limit: Some(9), ..later };
    kit.stocked(&later, 4).await;
    let mut others = Vec::new();
    for (name, at) in [("b", day.start().plus_ms(-1)), ("c", day.start()), ("d", NOW)] {
        let issued = kit.issue_at(at, &later.id, &ann, reference(name)).await;
        others.push(of(&issued).code().clone());
    }
    assert_eq!(kit.coupon(&others[0]).await.expires_at(), day.end());
    let before_it = Campaign { expires_at: day.start(), ..kit.draft() };
    kit.create(&before_it).await;
    others.extend(kit.imported(&before_it, 1).await);
    let moved = kit.imported(&before_it, 1).await.remove(0);
    kit.done(&moved, extend(day.end().plus_ms(1))).await;
    others.push(moved);
    let mut before = Vec::new();
    for code in &others {
        before.push(kit.see(code).await.unwrap());
    }
    let campaigns = [&here, &short, &later, &before_it];
    let all_counts = async || {
        let mut all_counts = Vec::new();
        for campaign in campaigns {
            all_counts.push(kit.counts(campaign).await);
        }
        all_counts
    };
    let counted = all_counts().await;

    assert_eq!(kit.archive_closed(day, NOW).await, 3);
    assert_eq!(all_counts().await, counted);
    let late = kit.time_to_seal(day).await;
    let damaged = kit.hot.remove_residue(day, Emptying::default()).await;
    assert!(matches!(damaged, Err(HotError::Damaged(_))), "it is not sealed: {damaged:?}");
    // Two rows, three archived markers, and the one that expired before.
    assert_eq!(kit.archive_partition(day, late).await, 6);
    assert_eq!(kit.hot.count(day).await.unwrap(), 0);
    assert_eq!(all_counts().await, counted);
    for (code, before) in others.iter().zip(before) {
        assert_eq!(kit.see(code).await, Some(before), "{code} lies elsewhere");
    }
    assert_eq!(kit.see(&early).await.unwrap().tier, Tier::Cold);
    kit.is_sound().await;
    let mut again = Emptying::default();
    while let Some(further) = kit.hot.remove_residue(day, again.clone()).await.unwrap() {
        again = further;
    }
    assert_eq!(again.removed, 0, "nothing is left");
    kit.done(&others[0], redeem(&ann, "9")).await;
    kit.done(&others[0], cancel("9")).await;
    kit.done(&others[0], revoke(&ann)).await;
}

/// More than one transaction takes, and begun anew in the middle by somebody who knows nothing
/// of what was removed.
pub(crate) async fn emptied_in_several_transactions(kit: &Kit) {
    const ROWS: usize = 1_000;
    const ARCHIVED_MARKERS: usize = 2_100;
    let campaign = Campaign { cancel_days: 0, ..kit.draft() };
    kit.create(&campaign).await;
    let (batch, day) = (kit.open_import(&campaign).await, campaign.expiry_day());
    let lines = (0..ROWS + ARCHIVED_MARKERS).map(|n| {
        let imported_state = if n < ROWS { ImportedState::Available } else { ImportedState::Void };
        kit.line(&campaign, &kit.code(), imported_state)
    });
    kit.import(&campaign, &batch, lines.collect()).await;
    let closed = kit.hot.closed_codes(day, NOW, ARCHIVED_MARKERS).await.unwrap();
    let copied = closed.into_iter().map(|code| (code, 1)).collect();
    assert_eq!(kit.hot.evict(day, copied).await.unwrap(), ARCHIVED_MARKERS as u64);
    let counts = CampaignCounts {
        stock: (ROWS + ARCHIVED_MARKERS) as u64,
        void: ARCHIVED_MARKERS as u64,
        ..CampaignCounts::default()
    };
    assert_eq!(kit.counts(&campaign).await, counts);
    assert!(kit.hot.seal(day, kit.time_to_seal(day).await).await.unwrap());
    let all = kit.hot.count(day).await.unwrap();
    assert_eq!(all, (ROWS + ARCHIVED_MARKERS) as u64);
    let first = kit.hot.remove_residue(day, Emptying::default()).await.unwrap().unwrap();
    assert!((1..all / 2).contains(&first.removed), "a bounded number: {first:?}");
    let mut emptying = Emptying::default();
    let mut most = 0;
    while let Some(further) = kit.hot.remove_residue(day, emptying.clone()).await.unwrap() {
        most = most.max(further.removed - emptying.removed);
        emptying = further;
    }
    assert_eq!(first.removed + emptying.removed, all, "each once");
    assert!(most < all, "never all at once: {most}");
    assert_eq!(kit.hot.residue(day, None, 9).await.unwrap(), []);
    assert_eq!(kit.counts(&campaign).await, counts);
}

pub(crate) async fn archive_commits_are_written_down(kit: &Kit) {
    let campaign = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    kit.stocked(&campaign, 1).await;
    let day = campaign.expiry_day();
    let is_listed = async || {
        let partitions = kit.hot.partitions().await.unwrap();
        assert!(partitions.is_sorted_by_key(|plan| plan.day), "by day");
        partitions.iter().any(|plan| plan.day == day)
    };
    let archive_commit_of = async || {
        let archive_commits = kit.hot.archive_commits().await.unwrap();
        archive_commits
            .into_iter()
            .find(|(partition, _)| *partition == day)
            .map(|(_, archive_commit)| archive_commit)
    };
    assert_eq!(archive_commit_of().await, None, "nothing was moved");
    let steps = [
        ("the first", 1, false, 1, false),
        ("the same again", 1, false, 1, false),
        ("the third", 3, false, 3, false),
        ("one before it, late", 2, false, 3, false),
        ("the last", 4, true, 4, true),
        ("what was emptied stays empty", 4, false, 4, true),
    ];
    for (name, archive_commit, all, want, emptied) in steps {
        kit.hot.finish_archive_commit(day, archive_commit, all).await.unwrap();
        let plan = kit.hot.partition(day).await.unwrap().unwrap();
        assert_eq!((plan.archive_commit, plan.emptied), (want, emptied), "{name}");
        assert_eq!(is_listed().await, !emptied, "{name}");
        assert_eq!(archive_commit_of().await, Some(want), "{name}");
    }
}

/// Cold is asked in no state that is older than what is known here to have been moved.
pub(crate) async fn cold_is_asked_for_the_last_archive_commit(kit: &Kit) {
    let campaign = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    let codes = kit.stocked(&campaign, 3).await;
    let day = campaign.expiry_day();
    let ask = async |code: &Code| {
        kit.coupon(code).await;
        kit.archive.archive_commit_asked()
    };
    kit.done(&codes[0], void()).await;
    kit.archive_closed(day, NOW).await;
    assert_eq!(ask(&codes[0]).await, 1);
    kit.done(&codes[1], void()).await;
    kit.archive_closed(day, NOW).await;
    assert_eq!((ask(&codes[0]).await, ask(&codes[1]).await), (2, 2), "by all that lie there");
    kit.archive_partition(day, kit.time_to_seal(day).await).await;
    for code in &codes {
        assert_eq!(ask(code).await, 3, "also where there may be nothing");
    }
}

pub(crate) async fn cold_marks_only_rise(kit: &Kit) {
    let mark = |begun, committed| ColdMark { begun, committed };
    let here = kit.hot.cold_mark().await.unwrap();
    let base = here.begun.max(here.committed).map_or(0, |mark| mark + 1);
    let steps = [
        ("nothing", mark(None, None), here),
        ("the first", mark(Some(base), None), mark(Some(base), here.committed)),
        ("committed", mark(None, Some(base)), mark(Some(base), Some(base))),
        ("a later one", mark(Some(base + 10), None), mark(Some(base + 10), Some(base))),
        ("an earlier one", mark(Some(base + 9), Some(base)), mark(Some(base + 10), Some(base))),
        ("both", mark(Some(base + 11), Some(base + 11)), mark(Some(base + 11), Some(base + 11))),
        ("nothing again", mark(None, None), mark(Some(base + 11), Some(base + 11))),
    ];
    for (name, raised, want) in steps {
        kit.hot.raise_cold_mark(raised).await.unwrap();
        assert_eq!(kit.hot.cold_mark().await.unwrap(), want, "{name}");
    }
}
