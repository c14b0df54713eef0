//! Campaigns that get a later end: coupons to which nothing has happened follow it at once, all others
//! keep the one that they had.

use std::collections::BTreeSet;

use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::ids::UserId;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use hot::audit::Act;
use hot::{CampaignPatch, ImportLine, ImportOutcome, ListScope, Patched};

use super::kit::{
    ACT, ChangeOutcome, Kit, MINUTE, NOW, all_of, cancel, extend, give, hold, of, redeem, release,
    revoke, said, void,
};

/// How many days later a campaign ends.
const LATER: u16 = 9;

async fn patched(kit: &Kit, campaign: &Campaign, end: Millis, at: Millis) -> Patched {
    let patch = CampaignPatch { expires_at: Some(end), ..CampaignPatch::default() };
    kit.hot.patch_campaign(&campaign.id, patch, &Act { at, ..ACT.clone() }).await.unwrap()
}

/// The campaign with an end that is some days later.
async fn extended_by(kit: &Kit, campaign: &Campaign, days: u16) -> Campaign {
    let end = campaign.expires_at.plus_days(days);
    match patched(kit, campaign, end, NOW).await {
        Patched::Done(row) => (*row.campaign).clone(),
        other => panic!("{other:?}"),
    }
}

async fn seal_after(kit: &Kit, day: Day) -> Millis {
    kit.hot.partition(day).await.unwrap().expect("the day has a plan").seal_after
}

/// The codes that a user has, the last one to expire first.
async fn held_by(kit: &Kit, user: &UserId) -> Vec<(Code, Millis)> {
    let page = kit.hot.list(all_of(ListScope::Holder(user.clone()))).await.unwrap();
    page.coupons.iter().map(|it| (it.coupon.code().clone(), it.coupon.expires_at())).collect()
}

/// Issues at `at` until nothing is left, to a new user each time. Returns the codes.
async fn issue_all(kit: &Kit, campaign: &Campaign, at: Millis) -> (BTreeSet<Code>, Refusal) {
    let mut codes = BTreeSet::new();
    loop {
        let applied = kit.issue_at(at, &campaign.id, &kit.user("user"), None).await;
        match said(&applied) {
            ChangeOutcome::Accepted => {
                kit.agrees(&applied).await;
                assert!(codes.insert(of(&applied).code().clone()), "each code once");
            }
            ChangeOutcome::Refused(refusal) => return (codes, refusal),
            other @ ChangeOutcome::Replayed => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn untouched_coupons_follow(kit: &Kit) {
    let before = Campaign { extend_days: 10, ..kit.draft() };
    let codes = kit.stocked(&before, 5).await;
    let [ann, bob] = kit.users();
    kit.done(&codes[0], give(&ann, None)).await;
    kit.done(&codes[1], give(&bob, None)).await;
    kit.done(&codes[1], revoke(&bob)).await;
    let campaign = extended_by(kit, &before, LATER).await;
    assert_eq!(campaign.earlier_ends, [before.expires_at]);
    let (first, last) = (before.expires_at, campaign.expires_at);
    let ends = [first, first, last, last, last];
    for (code, end) in codes.iter().zip(ends) {
        assert_eq!(kit.coupon(code).await.expires_at(), end, "its own, if something has happened");
    }
    let alive = first.plus_days(1);
    let dead = kit.at(alive, &codes[0], redeem(&ann, "1")).await;
    assert_eq!(said(&dead), ChangeOutcome::Refused(Refusal::Expired));
    // One of each kind of first change, after the end that its day had.
    let issued = kit.at(alive, &codes[2], give(&ann, None)).await;
    assert_eq!(said(&issued), ChangeOutcome::Refused(Refusal::LimitPerUser));
    let issued = kit.at(alive, &codes[2], give(&kit.user("carl"), None)).await;
    assert_eq!(said(&issued), ChangeOutcome::Accepted);
    assert_eq!(said(&kit.at(alive, &codes[3], void()).await), ChangeOutcome::Accepted);
    // Each coupon lasts as long as its campaign now, wherever it came from.
    kit.done(&codes[0], extend(last)).await;
    let late = last.plus_ms(-1);
    assert_eq!(said(&kit.at(late, &codes[0], redeem(&ann, "1")).await), ChangeOutcome::Accepted);
    let holder = of(&issued).holder().unwrap().clone();
    assert_eq!(held_by(kit, &holder).await, [(codes[2].clone(), last)]);
    let redeemed = kit.at(late, &codes[2], redeem(&holder, "2")).await;
    assert_eq!(said(&redeemed), ChangeOutcome::Accepted);
    assert_eq!(said(&kit.at(last, &codes[2], cancel("2")).await), ChangeOutcome::Accepted);
    let dead = kit.at(last, &codes[2], redeem(&holder, "3")).await;
    assert_eq!(said(&dead), ChangeOutcome::Refused(Refusal::Expired));
    let counts = kit.counts(&campaign).await;
    assert_eq!((counts.stock, counts.issued, counts.redeemed, counts.void), (5, 1, 1, 1));
}

pub(crate) async fn later_or_not_at_all(kit: &Kit) {
    let before = Campaign { extend_days: 2, ..kit.draft() };
    let code = kit.stocked(&before, 1).await.remove(0);
    let end = before.expires_at;
    let not = Patched::NotExtended;
    let refused = [
        ("earlier", end.plus_ms(-1), NOW, not(Refusal::NotLater)),
        ("too late", end.plus_days(5), end.plus_days(2), not(Refusal::ExpiryDayClosed)),
    ];
    for (name, wanted, at, want) in refused {
        assert_eq!(patched(kit, &before, wanted, at).await, want, "{name}");
        assert_eq!(*kit.see(&code).await.unwrap().campaign, before, "{name} changes nothing");
    }
    let same = patched(kit, &before, end, end.plus_days(100)).await;
    assert!(matches!(&same, Patched::Done(row) if *row.campaign == before), "{same:?}");
    // On the same day, then on the next one, and once more.
    let within = Campaign { expires_at: end.plus_ms(-MINUTE), ..kit.draft() };
    let code = kit.stocked(&within, 1).await.remove(0);
    let day = kit.hot.partition(within.expiry_day()).await.unwrap();
    let mut ends = vec![within.expires_at];
    for later in [end, end.plus_ms(1), end.plus_days(3)] {
        let Patched::Done(row) = patched(kit, &within, later, NOW).await else { panic!() };
        assert_eq!((row.campaign.expires_at, &row.campaign.earlier_ends), (later, &ends));
        assert_eq!(kit.coupon(&code).await.expires_at(), later);
        ends.push(later);
        if later == end {
            assert_eq!(kit.hot.partition(within.expiry_day()).await.unwrap(), day, "the same day");
        }
    }
    let user = kit.user("ann");
    assert_eq!(kit.done(&code, give(&user, None)).await.expires_at(), end.plus_days(3));
    // Once the day of its codes is closing.
    let closed = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    let code = kit.stocked(&closed, 1).await.remove(0);
    let (day, late) = (closed.expiry_day(), kit.time_to_seal(closed.expiry_day()).await);
    assert!(kit.hot.seal(day, late).await.unwrap());
    let wanted = closed.expires_at.plus_days(LATER);
    assert_eq!(patched(kit, &closed, wanted, NOW).await, not(Refusal::ExpiryDayClosed));
    assert_eq!(kit.coupon(&code).await.expires_at(), closed.expires_at);
}

pub(crate) async fn the_days_of_its_codes_stay_open(kit: &Kit) {
    let before =
        Campaign { cancel_days: 0, extend_days: 1, per_user_limit: Some(9), ..kit.draft() };
    let codes = kit.stocked(&before, 3).await;
    let ann = kit.user("ann");
    kit.done(&codes[0], give(&ann, None)).await;
    let (day, over) = (before.expiry_day(), kit.time_to_seal(before.expiry_day()).await);
    let campaign = extended_by(kit, &before, LATER).await;
    let later = campaign.expiry_day();
    assert_eq!(seal_after(kit, day).await, seal_after(kit, later).await);
    assert!(!kit.hot.seal(day, over).await.unwrap(), "codes of it still work");
    let late = campaign.expires_at.plus_ms(-1);
    let given = kit.at(late, &codes[1], give(&ann, None)).await;
    assert_eq!(said(&given), ChangeOutcome::Accepted);
    let spent = kit.at(late, &codes[1], redeem(&ann, "1")).await;
    assert_eq!(said(&spent), ChangeOutcome::Accepted);
    let now = kit.time_to_seal(later).await;
    kit.archive_partition(day, now).await;
    assert!(kit.archive_partition(later, now).await >= 1);
    let in_cold = [("the issued one", 0, before.expires_at), ("the spent one", 1, late.plus_ms(1))];
    for (name, nth, end) in in_cold {
        let seen = kit.see(&codes[nth]).await.unwrap();
        assert_eq!((seen.tier, seen.coupon.expires_at()), (hot::Tier::Cold, end), "{name}");
    }
    let replay = kit.at(now, &codes[1], redeem(&ann, "1")).await;
    assert_eq!(said(&replay), ChangeOutcome::Replayed);
    let dead = kit.at(now, &codes[2], give(&ann, None)).await;
    assert_eq!(said(&dead), ChangeOutcome::Refused(Refusal::Expired));
}

pub(crate) async fn stock_of_each_end(kit: &Kit) {
    let before = kit.draft();
    // So many that a node takes several at a time, and has some in hand when the campaign ends.
    let first = kit.stocked(&before, 200).await;
    let taken = kit.issued(&before, &kit.user("ann"), "early").await;
    // Over, for everybody: what is left is no longer offered.
    let over = before.expires_at.plus_ms(MINUTE);
    let (none, refusal) = issue_all(kit, &before, over).await;
    assert_eq!((none.len(), refusal), (0, Refusal::Expired));
    let campaign = extended_by(kit, &before, LATER).await;
    let second = kit.mint(&campaign, 20).await;
    let second = kit.codes(&second);
    let (given, refusal) = issue_all(kit, &campaign, over).await;
    assert_eq!(refusal, Refusal::SoldOut);
    let left = first.iter().chain(&second).filter(|code| **code != taken).cloned();
    assert_eq!(given, left.collect(), "all that is left, each once");
    for code in given {
        assert_eq!(kit.coupon(&code).await.expires_at(), campaign.expires_at);
    }
    assert_eq!(kit.coupon(&taken).await.expires_at(), before.expires_at);
}

pub(crate) async fn bearer_codes_follow(kit: &Kit) {
    let draft = Campaign { handout: Handout::Bearer, per_user_limit: Some(2), ..kit.draft() };
    let codes = kit.stocked(&draft, 4).await;
    let campaign = extended_by(kit, &draft, LATER).await;
    let alive = campaign.expires_at.plus_ms(-MINUTE);
    let ann = kit.user("ann");
    let at = async |code: &Code, action| said(&kit.at(alive, code, action).await);
    kit.done(&codes[0], hold(&ann, "1", 5)).await;
    kit.done(&codes[0], release("1")).await;
    assert_eq!(at(&codes[0], redeem(&ann, "2")).await, ChangeOutcome::Accepted);
    assert_eq!(at(&codes[1], redeem(&ann, "3")).await, ChangeOutcome::Accepted);
    let third = at(&codes[2], redeem(&ann, "4")).await;
    assert_eq!(third, ChangeOutcome::Refused(Refusal::LimitPerUser), "moved coupons count");
    assert_eq!(at(&codes[1], cancel("3")).await, ChangeOutcome::Accepted);
    assert_eq!(at(&codes[3], void()).await, ChangeOutcome::Accepted);
    assert_eq!(at(&codes[0], redeem(&ann, "2")).await, ChangeOutcome::Replayed);
}

pub(crate) async fn days_from_issue_are_kept(kit: &Kit) {
    let draft = Campaign { valid_days: Some(2), ..kit.draft() };
    // It ends in two days, so a coupon that is issued now is cut short.
    let before = Campaign { expires_at: NOW.day().end().plus_days(1), ..draft };
    let codes = kit.stocked(&before, 3).await;
    let [ann, bob, carl] = kit.users();
    assert_eq!(kit.done(&codes[0], give(&ann, None)).await.expires_at(), before.expires_at);
    let campaign = extended_by(kit, &before, LATER).await;
    let own = NOW.day().end().plus_days(2);
    // By its own two days it ends before the campaign, and it lasts as long as that.
    let issued = kit.done(&codes[1], give(&bob, None)).await;
    assert_eq!((issued.expires_at(), issued.lasts_until()), (own, campaign.expires_at));
    kit.done(&codes[1], revoke(&bob)).await;
    let late = campaign.expires_at.plus_ms(-1);
    let again = kit.at(late, &codes[1], give(&carl, None)).await;
    assert_eq!(said(&again), ChangeOutcome::Accepted);
    assert_eq!(of(&again).expires_at(), campaign.expires_at);
    assert_eq!(kit.coupon(&codes[0]).await.expires_at(), before.expires_at);
    // It lasts as long as the campaign, however soon it ends by its own days.
    let short = Campaign { valid_days: Some(1), ..kit.draft() };
    let code = kit.stocked(&short, 1).await.remove(0);
    let later = extended_by(kit, &short, LATER).await;
    assert_eq!(kit.done(&code, give(&ann, None)).await.expires_at(), NOW.day().end().plus_days(1));
    assert_eq!(kit.hot.count(later.expiry_day()).await.unwrap(), 1, "the day that it may last to");
}

pub(crate) async fn the_same_file_is_known(kit: &Kit) {
    let before = kit.draft();
    kit.create(&before).await;
    let batch = kit.open_import(&before).await;
    let [usual, own] = [kit.code(), kit.code()];
    let own_end = before.expires_at.plus_days(2);
    let lines = |campaign: &Campaign| {
        let line = |code| kit.line(campaign, code, ImportedState::Available);
        vec![line(&usual), ImportLine { expires_at: own_end, ..line(&own) }]
    };
    kit.import(&before, &batch, lines(&before)).await;
    let campaign = extended_by(kit, &before, LATER).await;
    // Its lines without a date say another one now.
    let again = kit.import(&campaign, &batch, lines(&campaign)).await;
    assert_eq!(again, [ImportOutcome::AlreadyThere; 2]);
    assert_eq!(kit.coupon(&usual).await.expires_at(), before.expires_at, "until it is extended");
    let other = ImportLine { expires_at: own_end, ..lines(&campaign).remove(0) };
    assert_eq!(kit.import(&campaign, &batch, vec![other]).await, [ImportOutcome::CodeTaken]);
    let new = kit.line(&campaign, &kit.code(), ImportedState::Available);
    assert_eq!(kit.import(&campaign, &batch, vec![new.clone()]).await, [ImportOutcome::Imported]);
    assert_eq!(kit.coupon(&new.code).await.expires_at(), campaign.expires_at);
}
