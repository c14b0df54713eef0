//! What shops, users and imports see of coupons that lie in cold: the answers of before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use coupon::apply::{Action, Asker, Change};
use coupon::campaign::{Campaign, CampaignCounts, Handout};
use coupon::code::Code;
use coupon::coupon::State;
use coupon::ids::UserId;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::{DAY_MS, Day, Millis};
use futures::future::join_all;
use hot::{
    Applied, CouponFilter, HotError, ImportLine, ImportOutcome, ListOrder, ListQuery, ListScope,
    Tier,
};
use router::Found;

use super::kit::{
    Kit, MINUTE, NOW, Said, cancel, extend, give, hold, of, redeem, reference, release, revoke,
    run_of, said, void,
};

/// Every cancelling is over then, of what was redeemed until `NOW` in a campaign of 30 days.
const CLOSED: Millis = Millis(NOW.0 + 30 * DAY_MS);

/// By a clock that is behind: everything may be cancelled, and no hold runs any more.
const BEHIND: Millis = Millis(NOW.0 + 10 * MINUTE);

const BY_CLOCKS: [(&str, Millis); 2] = [("closed", CLOSED), ("by a clock that is behind", BEHIND)];

/// Every action that there is, by those who may ask for it.
fn asks(campaign: &Campaign, ann: &UserId, bob: &UserId) -> Vec<(&'static str, Action, Asker)> {
    let (his, others) = (Asker::User(ann.clone()), Asker::User(bob.clone()));
    let end = campaign.expires_at;
    vec![
        ("its order again", redeem(ann, "1"), Asker::Shop),
        ("another order", redeem(ann, "2"), Asker::Shop),
        ("an order that was cancelled", redeem(ann, "0"), Asker::Shop),
        ("its order for another user", redeem(bob, "1"), Asker::Shop),
        ("its order again, by himself", redeem(ann, "1"), his.clone()),
        ("another's order, by himself", redeem(bob, "3"), others.clone()),
        ("its order holds", hold(ann, "1", 20), Asker::Shop),
        ("another order holds", hold(ann, "2", 20), Asker::Shop),
        ("another user holds", hold(bob, "2", 20), Asker::Shop),
        ("he holds", hold(ann, "2", 20), his.clone()),
        ("its order releases", release("1"), Asker::Shop),
        ("another order releases", release("2"), Asker::Shop),
        ("he releases", release("1"), his.clone()),
        ("another user releases", release("1"), others.clone()),
        ("its order cancels", cancel("1"), Asker::Shop),
        ("another order cancels", cancel("2"), Asker::Shop),
        ("cancelled long ago", cancel("0"), Asker::Shop),
        ("he cancels", cancel("1"), his.clone()),
        ("another user cancels", cancel("1"), others),
        ("taken back", revoke(ann), Asker::Shop),
        ("taken back from another", revoke(bob), Asker::Shop),
        ("killed", void(), Asker::Shop),
        ("extended to another partition", extend(end.plus_days(3)), Asker::Shop),
        ("extended to what is", extend(end), Asker::Shop),
        ("extended back", extend(end.plus_ms(-1)), Asker::Shop),
        ("given", give(ann, None), Asker::Shop),
        ("given to another", give(bob, None), Asker::Shop),
        ("taken by himself", give(ann, reference("r")), his),
    ]
}

/// What is said of what the rules would admit and the seal does not.
fn by_seal(action: &Action) -> Refusal {
    match action {
        Action::Issue { .. } | Action::Redeem { .. } | Action::Hold { .. } => Refusal::Expired,
        Action::CancelRedemption { .. } => Refusal::CancelClosed,
        Action::Release { .. }
        | Action::Revoke { .. }
        | Action::Void { .. }
        | Action::Extend { .. } => Refusal::ExpiryDayClosed,
    }
}

/// A coupon in each state that is closed at [`CLOSED`].
async fn closed_ones(kit: &Kit, campaign: &Campaign, ann: &UserId) -> Vec<(&'static str, Code)> {
    let minted = kit.codes(&kit.mint(campaign, 5).await);
    let stories = [
        ("redeemed", vec![give(ann, None), redeem(ann, "1")]),
        (
            "redeemed once more",
            vec![give(ann, None), redeem(ann, "0"), cancel("0"), redeem(ann, "1")],
        ),
        ("void", vec![void()]),
        ("void, in a wallet", vec![give(ann, None), void()]),
    ];
    let mut closed = Vec::new();
    for ((name, story), code) in stories.into_iter().zip(&minted) {
        for action in story {
            kit.done(code, action).await;
        }
        closed.push((name, code.clone()));
    }
    if campaign.handout == Handout::Bearer {
        kit.done(&minted[4], redeem(ann, "1")).await;
        closed.push(("redeemed from paper", minted[4].clone()));
    }
    let redeemed = |holder: Option<&UserId>| ImportedState::Redeemed {
        holder: holder.cloned(),
        issued_at: None,
        at: NOW.plus_ms(-5),
        order: Some(super::kit::order("1")),
    };
    let imported = [
        ("imported as redeemed", redeemed(Some(ann))),
        ("imported as redeemed by nobody", redeemed(None)),
        ("imported as void", ImportedState::Void),
    ];
    let batch = kit.open_import(campaign).await;
    for (name, imported_state) in imported {
        let line = kit.line(campaign, &kit.code(), imported_state);
        closed.push((name, line.code.clone()));
        kit.import(campaign, &batch, vec![line]).await;
    }
    closed
}

/// A coupon in each state that only a seal makes final.
async fn open_ones(kit: &Kit, campaign: &Campaign, ann: &UserId) -> Vec<(&'static str, Code)> {
    let codes = kit.codes(&kit.mint(campaign, 3).await);
    kit.done(&codes[0], give(ann, None)).await;
    kit.done(&codes[1], give(ann, None)).await;
    kit.done(&codes[1], hold(ann, "1", 5)).await;
    kit.done(&codes[2], give(ann, None)).await;
    kit.done(&codes[2], revoke(ann)).await;
    let imported = kit.imported(campaign, 1).await.remove(0);
    vec![
        ("issued", codes[0].clone()),
        ("issued, and was held", codes[1].clone()),
        ("taken back", codes[2].clone()),
        ("imported", imported),
    ]
}

/// What each of `codes` answers to everything at `at`, before it is moved.
async fn answers(
    kit: &Kit,
    codes: &[(&'static str, Code)],
    asks: &[(&'static str, Action, Asker)],
    at: Millis,
) -> Vec<Said> {
    let mut answers = Vec::new();
    for (_, code) in codes {
        let found = kit.found(code).await;
        for (_, action, asker) in asks {
            let change = kit.change(action.clone(), asker.clone(), at);
            answers.push(said(&kit.hot.dry_run(&found, change).await.unwrap()));
        }
    }
    answers
}

/// Each answers as `before`, but for what was accepted then; and it is the archived coupon.
async fn same_answers(
    kit: &Kit,
    day: Day,
    codes: &[(&'static str, Code)],
    asks: &[(&'static str, Action, Asker)],
    (clock, at): (&str, Millis),
    before: Vec<Said>,
) {
    let mut before = before.into_iter();
    for (state, code) in codes {
        let found = kit.found(code).await;
        let coupon = kit.archive.coupon(day, code).expect("it was archived");
        for (name, action, asker) in asks {
            let name = format!("{state}, {clock}: {name}");
            let change = kit.change(action.clone(), asker.clone(), at);
            let dry_run = kit.hot.dry_run(&found, change.clone()).await.unwrap();
            let applied = kit.hot.apply(&found, change).await.unwrap();
            assert_eq!(dry_run, applied, "{name}");
            let want = match before.next().unwrap() {
                Said::Accepted => Said::Refused(by_seal(action)),
                other => other,
            };
            assert_eq!(said(&applied), want, "{name}");
            let snapshot = applied.snapshot.expect("it is there");
            assert_eq!((snapshot.tier, &snapshot.coupon), (Tier::Cold, &coupon), "{name}");
        }
    }
}

pub(crate) async fn closed_ones_answer_as_before(kit: &Kit) {
    for handout in [Handout::Shop, Handout::SelfService, Handout::Bearer] {
        let campaign = Campaign { handout, per_user_limit: Some(100), ..kit.draft() };
        kit.create(&campaign).await;
        let [ann, bob] = kit.users();
        let codes = closed_ones(kit, &campaign, &ann).await;
        let asks = asks(&campaign, &ann, &bob);
        let mut before = Vec::new();
        for (_, at) in BY_CLOCKS {
            before.push(answers(kit, &codes, &asks, at).await);
        }
        assert!(!before[0].contains(&Said::Accepted), "closed is what nothing can change");
        assert!(before[0].contains(&Said::Replayed) && before[1].contains(&Said::Accepted));
        let counts = kit.counts(&campaign).await;
        let day = campaign.expiry_day();
        assert_eq!(kit.archive_closed(day, CLOSED).await, codes.len() as u64);
        for (clock, before) in BY_CLOCKS.into_iter().zip(before.clone()) {
            same_answers(kit, day, &codes, &asks, clock, before).await;
        }
        kit.archive_partition(day, kit.time_to_seal(day).await).await;
        for (clock, before) in BY_CLOCKS.into_iter().zip(before) {
            same_answers(kit, day, &codes, &asks, clock, before).await;
        }
        assert_eq!(kit.counts(&campaign).await, counts);
    }
}

pub(crate) async fn sealed_ones_answer_as_before(kit: &Kit) {
    for handout in [Handout::Shop, Handout::Bearer] {
        let campaign = Campaign { handout, per_user_limit: Some(100), ..kit.draft() };
        kit.create(&campaign).await;
        let [ann, bob] = kit.users();
        let mut codes = closed_ones(kit, &campaign, &ann).await;
        codes.extend(open_ones(kit, &campaign, &ann).await);
        let asks = asks(&campaign, &ann, &bob);
        let day = campaign.expiry_day();
        let late = kit.time_to_seal(day).await;
        let clocks = [("its time is over", late), ("by a clock that is behind", BEHIND)];
        let mut before = Vec::new();
        for (_, at) in clocks {
            before.push(answers(kit, &codes, &asks, at).await);
        }
        let counts = kit.counts(&campaign).await;
        assert_eq!(kit.archive_partition(day, late).await, codes.len() as u64);
        for (clock, before) in clocks.into_iter().zip(before) {
            same_answers(kit, day, &codes, &asks, clock, before).await;
        }
        assert_eq!(kit.counts(&campaign).await, counts, "what is in cold is counted too");
    }
}

pub(crate) async fn read_where_it_lies(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(100), ..kit.draft() };
    kit.create(&campaign).await;
    let [ann] = kit.users();
    let closed = closed_ones(kit, &campaign, &ann).await;
    let open = open_ones(kit, &campaign, &ann).await;
    let day = campaign.expiry_day();
    let mut before = Vec::new();
    for (_, code) in closed.iter().chain(&open) {
        before.push(kit.see(code).await.unwrap());
    }
    let all = || closed.iter().chain(&open).zip(&before);
    assert!(before.iter().any(|snapshot| snapshot.coupon.hold().is_some()), "one has a hold");
    kit.archive_closed(day, CLOSED).await;
    for (n, ((name, code), was)) in all().enumerate() {
        let snapshot = kit.see(code).await.unwrap();
        let tier = if n < closed.len() { Tier::Cold } else { Tier::Hot };
        assert_eq!((snapshot.tier, &snapshot.coupon), (tier, &was.coupon), "{name}");
    }
    let listed = async || {
        let query = ListQuery {
            scope: ListScope::Campaign(campaign.id.clone()),
            filter: CouponFilter::default(),
            order: ListOrder::Latest,
            after: None,
            limit: 100,
            now: NOW,
        };
        kit.hot.list(query).await.unwrap().coupons.len()
    };
    assert_eq!(listed().await, open.len(), "what is in cold is in no list");
    kit.archive_partition(day, kit.time_to_seal(day).await).await;
    assert_eq!(listed().await, 0);
    for ((name, code), was) in all() {
        let snapshot = kit.see(code).await.unwrap();
        assert_eq!((snapshot.tier, snapshot.coupon.hold()), (Tier::Cold, None), "{name}");
        assert_eq!(snapshot.coupon.version(), was.coupon.version(), "{name}");
        assert_eq!(snapshot.coupon.events(), was.coupon.events(), "{name}");
        assert_eq!((&snapshot.campaign, snapshot.batch_paused), (&was.campaign, false), "{name}");
    }
    // What is said beside the coupon is of today.
    let batch = &before[0].coupon.genesis().batch;
    kit.hot.pause_batch(&campaign.id, batch, true, None).await.unwrap();
    assert!(kit.see(&closed[0].1).await.unwrap().batch_paused);
}

fn is_cold<T>(answer: &Result<T, HotError>) -> bool {
    matches!(answer, Err(HotError::Cold(_)))
}

/// Reads, dry-runs and redeems a coupon of `ann`.
async fn all_ways(kit: &Kit, code: &Code, ann: &UserId) -> [Result<(), HotError>; 3] {
    let found = kit.found(code).await;
    let Found::Coupon(address) = &found else { panic!("{code} is a coupon") };
    let change = kit.change(redeem(ann, "1"), Asker::Shop, NOW);
    [
        kit.hot
            .read(address)
            .await
            .map(|snapshot| assert!(snapshot.is_some(), "{code} is never nothing")),
        kit.hot.dry_run(&found, change.clone()).await.map(drop),
        kit.hot.apply(&found, change).await.map(drop),
    ]
}

pub(crate) async fn what_cold_does_not_answer_is_an_error(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(2), ..kit.draft() };
    let codes = kit.stocked(&campaign, 4).await;
    let [ann, bob] = kit.users();
    let sealed = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    let sealed_codes = kit.stocked(&sealed, 3).await;
    for code in [&codes[0], &codes[1], &sealed_codes[0], &sealed_codes[1]] {
        let user = if code == &codes[1] || code == &sealed_codes[1] { &bob } else { &ann };
        kit.done(code, give(user, None)).await;
    }
    kit.done(&codes[0], redeem(&ann, "1")).await;
    let gone = kit.imported(&campaign, 1).await.remove(0);
    kit.done(&gone, void()).await;
    assert_eq!(kit.archive_closed(campaign.expiry_day(), CLOSED).await, 2);
    kit.archive_partition(sealed.expiry_day(), kit.time_to_seal(sealed.expiry_day()).await).await;
    let in_cold =
        [("minted", &codes[0]), ("imported", &gone), ("in a sealed partition", &sealed_codes[0])];
    let counts = kit.counts(&campaign).await;

    kit.archive.goes_out();
    for (name, code) in in_cold {
        let answers = all_ways(kit, code, &ann).await;
        assert!(answers.iter().all(is_cold), "{name}: {answers:?}");
    }
    let unknown = all_ways(kit, &sealed_codes[2], &ann).await;
    assert!(unknown.iter().all(is_cold), "it may lie in cold: {unknown:?}");
    let name = reference("more");
    let change = kit.change(give(&ann, name.clone()), Asker::Shop, NOW);
    let more = kit.hot.issue(&campaign.id, change).await;
    assert!(is_cold(&more), "whether he has one is not known: {more:?}");
    assert_eq!(kit.counts(&campaign).await, counts, "nothing was written");
    // Who needs nothing of cold does not notice.
    assert!(all_ways(kit, &codes[1], &bob).await.iter().all(Result::is_ok));
    assert_eq!(kit.said(&codes[2], give(&bob, None)).await, Said::Accepted);
    assert_eq!(kit.coupon(&codes[3]).await.version(), 0);
    kit.archive.comes_back();

    assert!(all_ways(kit, &codes[0], &ann).await.iter().all(Result::is_ok));
    let more = kit.issue(&campaign, &ann, name).await;
    assert_eq!((said(&more), of(&more).code()), (Said::Accepted, &codes[3]), "the next one");

    // An archived marker says that there is one: that cold has none is no answer.
    for (name, code) in in_cold.into_iter().take(2) {
        let lost = kit.archive.lose(campaign.expiry_day(), code);
        let answers = all_ways(kit, code, &ann).await;
        assert!(answers.iter().all(is_cold), "{name}: {answers:?}");
        kit.archive.keep(campaign.expiry_day(), &lost);
        assert_eq!(kit.coupon(code).await, lost, "{name}");
    }
}

/// A minted code of a sealed partition that is found nowhere: nothing has happened to it, and
/// nothing will.
pub(crate) async fn nobody_had_it(kit: &Kit) {
    let campaign = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    kit.create(&campaign).await;
    let batch = kit.mint(&campaign, 3).await;
    let codes = kit.codes(&batch);
    let (ann, word) = (kit.user("ann"), kit.code());
    kit.done(&codes[1], give(&ann, None)).await;
    let day = campaign.expiry_day();
    let late = kit.time_to_seal(day).await;
    assert_eq!(kit.archive_partition(day, late).await, 1);
    kit.archive.asked();
    assert_eq!(kit.find(&word).await, None);
    assert_eq!(kit.archive.asked(), (0, 0), "what is not ours is not looked for");
    let snapshot = kit.see(&codes[0]).await.unwrap();
    assert_eq!((snapshot.tier, snapshot.coupon.version()), (Tier::Hot, 0));
    assert_eq!(snapshot.coupon.state(), &State::Available);
    let refused = Said::Refused;
    let cases = [
        ("redeemed", redeem(&ann, "1"), refused(Refusal::NotIssued)),
        ("given", give(&ann, None), refused(Refusal::Expired)),
        ("killed", void(), refused(Refusal::ExpiryDayClosed)),
        ("extended", extend(campaign.expires_at.plus_days(90)), refused(Refusal::ExpiryDayClosed)),
        ("released", release("1"), Said::Replayed),
    ];
    for (name, action, want) in cases {
        for at in [late, NOW] {
            assert_eq!(said(&kit.at(at, &codes[0], action.clone()).await), want, "{name}");
        }
    }
    for at in [late, NOW] {
        let none = kit.issue_at(at, &campaign.id, &kit.user("bob"), None).await;
        assert_eq!(said(&none), refused(Refusal::Expired), "it is no stock any more");
    }
    let untouched = kit.hot.untouched(run_of(&batch), codes.clone()).await.unwrap();
    assert_eq!(untouched, [true, false, true]);
}

pub(crate) async fn untouched_is_asked_of_cold(kit: &Kit) {
    let campaign = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    kit.create(&campaign).await;
    let batch = kit.mint(&campaign, 6).await;
    let codes = kit.codes(&batch);
    kit.done(&codes[0], void()).await;
    let user = kit.user("ann");
    kit.done(&codes[1], give(&user, None)).await;
    kit.done(&codes[2], extend(campaign.expires_at.plus_days(1))).await;
    let day = campaign.expiry_day();
    let want = [false, false, false, true, true, true];
    let untouched = || kit.hot.untouched(run_of(&batch), codes.clone());
    assert_eq!(untouched().await.unwrap(), want, "with rows");
    assert_eq!(kit.archive_closed(day, NOW).await, 1);
    kit.archive.asked();
    kit.archive.goes_out();
    assert_eq!(untouched().await.unwrap(), want, "behind an archived marker");
    assert_eq!(kit.archive.asked(), (0, 0), "an archived marker says it all");
    kit.archive.comes_back();
    kit.archive_partition(day, kit.time_to_seal(day).await).await;
    assert_eq!(untouched().await.unwrap(), want, "behind a seal");
    // All but the one that the directory has in a later partition.
    assert_eq!(kit.archive.asked(), (1, 5));
    kit.archive.goes_out();
    let unknown = untouched().await;
    assert!(is_cold(&unknown), "{unknown:?}");
    kit.archive.comes_back();
}

/// Moved to a later partition by an extension, and archived there.
pub(crate) async fn found_in_its_later_partition(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(4), ..kit.draft() };
    let minted = kit.stocked(&campaign, 3).await;
    let imported = kit.imported(&campaign, 2).await;
    let [ann] = kit.users();
    let (home, end) = (campaign.expiry_day(), campaign.expires_at.plus_days(3));
    let later = Day::expiry_day_of(end);
    let stories = [
        ("minted, redeemed", &minted[0], true),
        ("minted, in a wallet", &minted[1], false),
        ("imported, redeemed", &imported[0], true),
        ("imported, in a wallet", &imported[1], false),
    ];
    for (_, code, redeemed) in stories {
        kit.done(code, give(&ann, None)).await;
        kit.done(code, extend(end)).await;
        if redeemed {
            kit.done(code, redeem(&ann, "1")).await;
        }
    }
    let check = async |what: &str, tier_of: &dyn Fn(bool) -> Tier| {
        for (name, code, redeemed) in stories {
            let snapshot = kit.see(code).await.unwrap();
            assert_eq!(snapshot.tier, tier_of(redeemed), "{name}, {what}");
            assert_eq!((snapshot.coupon.expires_at(), snapshot.coupon.holder()), (end, Some(&ann)));
            if redeemed {
                assert_eq!(
                    kit.said(code, redeem(&ann, "1")).await,
                    Said::Replayed,
                    "{name}, {what}"
                );
                let other = kit.said(code, redeem(&ann, "2")).await;
                assert_eq!(other, Said::Refused(Refusal::AlreadyRedeemed), "{name}, {what}");
            }
        }
        let fifth = kit.issue(&campaign, &ann, reference("r")).await;
        assert_eq!(said(&fifth), Said::Refused(Refusal::LimitPerUser), "{what}");
    };
    let only_redeemed = |redeemed| if redeemed { Tier::Cold } else { Tier::Hot };
    assert_eq!(kit.archive_closed(later, CLOSED).await, 2);
    check("its own partition has an archived marker", &only_redeemed).await;
    assert_eq!(kit.archive_partition(home, kit.time_to_seal(home).await).await, 0);
    check("its first partition is sealed", &only_redeemed).await;
    assert_eq!(kit.archive_partition(later, kit.time_to_seal(later).await).await, 4);
    check("both are sealed", &|_| Tier::Cold).await;
}

pub(crate) async fn the_one_he_had(kit: &Kit) {
    let campaign = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    kit.stocked(&campaign, 9).await;
    let [ann, bob] = kit.users();
    let code = kit.issued(&campaign, &ann, "a").await;
    let redeemed = kit.done(&code, redeem(&ann, "1")).await;
    let counts = kit.counts(&campaign).await;
    let day = campaign.expiry_day();
    let late = kit.time_to_seal(day).await;
    assert_eq!(kit.archive_closed(day, NOW).await, 1);
    for at in [NOW, late] {
        if at == late {
            assert_eq!(kit.archive_partition(day, late).await, 1);
        }
        for name in [None, reference("a"), reference("b"), reference("b")] {
            kit.archive.asked();
            let again = kit.issue_at(at, &campaign.id, &ann, name.clone()).await;
            assert_eq!(kit.archive.asked().0, 1, "once");
            assert_eq!((said(&again), of(&again)), (Said::Replayed, &redeemed), "{name:?}");
            assert_eq!(again.snapshot.unwrap().tier, Tier::Cold);
        }
        assert_eq!(kit.counts(&campaign).await, counts);
    }
    let none = kit.issue_at(late, &campaign.id, &bob, None).await;
    assert_eq!(said(&none), Said::Refused(Refusal::Expired));
}

pub(crate) async fn the_three_he_had(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(3), cancel_days: 0, ..kit.draft() };
    kit.stocked(&campaign, 9).await;
    let batch = kit.open_import(&campaign).await;
    let ann = kit.user("ann");
    let [first, second] =
        [kit.issued(&campaign, &ann, "a").await, kit.issued(&campaign, &ann, "b").await];
    kit.done(&first, redeem(&ann, "1")).await;
    kit.done(&second, void()).await;
    // The third lies in a partition of its own.
    let spent = ImportedState::Redeemed {
        holder: Some(ann.clone()),
        issued_at: None,
        at: NOW,
        order: None,
    };
    let expires_at = campaign.expires_at.plus_days(1);
    let line = ImportLine { expires_at, ..kit.line(&campaign, &kit.code(), spent) };
    kit.import(&campaign, &batch, vec![line]).await;
    let counts = kit.counts(&campaign).await;
    let partitions = [campaign.expiry_day(), Day::expiry_day_of(expires_at)];
    let limit = Said::Refused(Refusal::LimitPerUser);
    let fourth = async |at: Millis, asked: (usize, usize)| {
        kit.archive.asked();
        let fourth = kit.issue_at(at, &campaign.id, &ann, reference("d")).await;
        assert_eq!((said(&fourth), kit.archive.asked()), (limit, asked));
        for (name, code) in [("a", &first), ("b", &second)] {
            let again = kit.issue_at(at, &campaign.id, &ann, reference(name)).await;
            assert_eq!((said(&again), of(&again).code()), (Said::Replayed, code), "{name}");
        }
        assert_eq!(kit.counts(&campaign).await, counts);
    };
    fourth(NOW, (0, 0)).await;
    assert_eq!(kit.archive_closed(partitions[0], NOW).await, 2);
    fourth(NOW, (1, 2)).await;
    assert_eq!(kit.archive_closed(partitions[1], NOW).await, 1);
    fourth(NOW, (2, 3)).await;
    let late = kit.time_to_seal(partitions[1]).await;
    for partition in partitions {
        kit.archive_partition(partition, late).await;
    }
    fourth(NOW, (2, 3)).await;
    fourth(late, (2, 3)).await;
}

pub(crate) async fn behind_a_shared_word(kit: &Kit) {
    for limit in [1, 3] {
        let word = kit.code();
        let campaign = Campaign {
            handout: Handout::Shared,
            shared_code: Some(word.clone()),
            per_user_limit: Some(limit),
            ..kit.draft()
        };
        kit.stocked(&campaign, 9).await;
        let found = kit.found(&word).await;
        let [ann, bob] = kit.users();
        let ask = async |asker: Asker, action: Action, at: Millis| {
            kit.archive.asked();
            let change = kit.change(action, asker, at);
            let dry_run = kit.hot.dry_run(&found, change.clone()).await.unwrap();
            let asked = kit.archive.asked();
            let applied = kit.hot.apply(&found, change).await.unwrap();
            assert_eq!(kit.archive.asked(), asked);
            assert_eq!(said(&dry_run), said(&applied));
            (applied, asked)
        };
        let orders: Vec<String> = (1..=limit).map(|n| n.to_string()).collect();
        let mut before = Vec::new();
        for order in &orders {
            let (applied, _) = ask(Asker::Shop, redeem(&ann, order), NOW).await;
            assert_eq!(said(&applied), Said::Accepted);
            before.push(of(&applied).clone());
        }
        assert_eq!(kit.archive_closed(campaign.expiry_day(), CLOSED).await, u64::from(limit));
        let all = (1, usize::from(limit));
        for (order, before) in orders.iter().zip(&before) {
            for asker in [Asker::Shop, Asker::User(ann.clone())] {
                let (again, asked) = ask(asker, redeem(&ann, order), CLOSED).await;
                assert_eq!((said(&again), of(&again)), (Said::Replayed, before), "{order}");
                assert_eq!(again.snapshot.unwrap().tier, Tier::Cold);
                assert_eq!(asked, all, "all of his in one question");
            }
            let (kept, _) = ask(Asker::User(ann.clone()), cancel(order), NOW).await;
            let closed = Said::Refused(Refusal::CancelClosed);
            assert_eq!(said(&kept), closed, "also by a clock that is behind");
        }
        let (more, asked) = ask(Asker::Shop, redeem(&ann, "more"), CLOSED).await;
        let refusal = if limit == 1 { Refusal::AlreadyRedeemed } else { Refusal::LimitPerUser };
        assert_eq!((said(&more), asked), (Said::Refused(refusal), all));
        let (held, _) = ask(Asker::Shop, hold(&ann, "more", 5), NOW).await;
        assert_eq!(said(&held), Said::Refused(refusal));
        let (other, asked) = ask(Asker::Shop, redeem(&bob, "1"), NOW).await;
        assert_eq!((said(&other), asked), (Said::Accepted, (0, 0)));
    }
}

pub(crate) async fn replaced_out_of_cold(kit: &Kit) {
    let over = Campaign { cancel_days: 1, extend_days: 0, per_user_limit: Some(9), ..kit.draft() };
    kit.stocked(&over, 9).await;
    let running = Campaign { expires_at: over.expires_at.plus_days(5), ..kit.draft() };
    kit.stocked(&running, 9).await;
    let foreign = kit.imported(&over, 1).await.remove(0);
    let users: [UserId; 4] = kit.users();
    let bob = kit.user("bob");
    let [dead, spent, expired] = {
        let mut codes = Vec::new();
        kit.done(&foreign, give(&users[3], None)).await;
        for user in &users[..3] {
            codes.push(kit.issued(&over, user, "a").await);
        }
        <[Code; 3]>::try_from(codes).unwrap()
    };
    kit.done(&dead, void()).await;
    kit.done(&foreign, void()).await;
    kit.done(&spent, redeem(&users[1], "1")).await;
    let day = over.expiry_day();
    let late = kit.time_to_seal(day).await;
    assert_eq!(kit.archive_closed(day, NOW.plus_days(1)).await, 3);
    let ask = async |user: &UserId, code: &Code, at: Millis| {
        let name = reference(&format!("replaces:{code}"));
        kit.issue_at(at, &running.id, user, name).await
    };
    let refused = Said::Refused;
    let cases = [
        ("somebody else's", &bob, &dead, NOW, refused(Refusal::NotFound)),
        ("it can be cancelled", &users[1], &spent, NOW, refused(Refusal::AlreadyRedeemed)),
        ("it still works", &users[2], &expired, NOW, Said::Replayed),
        ("a dead one", &users[0], &dead, NOW, Said::Accepted),
        ("once", &users[0], &dead, NOW, Said::Replayed),
        ("not for another", &bob, &dead, NOW, refused(Refusal::NameTaken)),
        ("a foreign one", &users[3], &foreign, NOW, Said::Accepted),
        ("once", &users[3], &foreign, NOW, Said::Replayed),
        ("it cannot", &users[1], &spent, NOW.plus_days(1), Said::Accepted),
        ("once", &users[1], &spent, NOW.plus_days(1), Said::Replayed),
    ];
    for (name, user, code, at, want) in cases {
        assert_eq!(said(&ask(user, code, at).await), want, "{name}");
    }
    kit.archive_partition(day, late).await;
    let counts = kit.counts(&running).await;
    kit.archive.goes_out();
    let name = reference(&format!("replaces:{expired}"));
    let change = kit.change(give(&users[2], name), Asker::Shop, late);
    let unknown = kit.hot.issue(&running.id, change).await;
    assert!(is_cold(&unknown), "{unknown:?}");
    assert_eq!(kit.counts(&running).await, counts);
    kit.archive.comes_back();
    let first = ask(&users[2], &expired, late).await;
    assert_eq!(said(&first), Said::Accepted, "nothing can bring it back");
    let again = ask(&users[2], &expired, late).await;
    assert_eq!((said(&again), of(&again)), (Said::Replayed, of(&first)));
    assert_eq!(
        kit.counts(&running).await,
        CampaignCounts { stock: 9, issued: 4, ..CampaignCounts::default() }
    );
}

pub(crate) async fn bearer_codes(kit: &Kit) {
    let campaign = Campaign { handout: Handout::Bearer, per_user_limit: Some(1), ..kit.draft() };
    let codes = kit.stocked(&campaign, 4).await;
    let [ann, bob] = kit.users();
    let redeemed = kit.done(&codes[0], redeem(&ann, "1")).await;
    assert_eq!(kit.archive_closed(campaign.expiry_day(), CLOSED).await, 1);
    let refused = Said::Refused;
    let limit = refused(Refusal::LimitPerUser);
    let cases = [
        ("his order again", &codes[0], redeem(&ann, "1"), Said::Replayed),
        ("his next order", &codes[0], redeem(&ann, "2"), refused(Refusal::AlreadyRedeemed)),
        ("shown by another", &codes[0], redeem(&bob, "1"), refused(Refusal::AlreadyRedeemed)),
        ("kept for another", &codes[0], hold(&bob, "1", 5), refused(Refusal::AlreadyRedeemed)),
        ("into another's wallet", &codes[0], give(&bob, None), refused(Refusal::AlreadyRedeemed)),
        ("a second of his", &codes[1], redeem(&ann, "2"), limit),
        ("a second into his wallet", &codes[1], give(&ann, None), limit),
        ("a second kept for him", &codes[1], hold(&ann, "2", 5), limit),
    ];
    for (name, code, action, want) in cases {
        assert_eq!(kit.said(code, action).await, want, "{name}");
    }
    assert_eq!(kit.coupon(&codes[0]).await, redeemed);
    kit.archive.goes_out();
    let found = kit.found(&codes[1]).await;
    let change = kit.change(redeem(&ann, "2"), Asker::Shop, NOW);
    let unknown = kit.hot.apply(&found, change).await;
    assert!(is_cold(&unknown), "what he had is not known: {unknown:?}");
    assert_eq!(kit.said(&codes[1], redeem(&bob, "2")).await, Said::Accepted, "he had none");
    kit.archive.comes_back();
}

const THERE: ImportOutcome = ImportOutcome::AlreadyThere;
const TAKEN: ImportOutcome = ImportOutcome::CodeTaken;

/// A file that comes again after its coupons were moved, and the old system's last one.
pub(crate) async fn imported_again(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(100), ..kit.draft() };
    kit.create(&campaign).await;
    let other = Campaign { expires_at: campaign.expires_at, ..kit.draft() };
    kit.create(&other).await;
    let (batch, elsewhere) = (kit.open_import(&campaign).await, kit.open_import(&other).await);
    let ann = kit.user("ann");
    let issued = ImportedState::Issued { holder: ann.clone(), at: None };
    let spent = |order: &str| ImportedState::Redeemed {
        holder: Some(ann.clone()),
        issued_at: None,
        at: NOW,
        order: Some(super::kit::order(order)),
    };
    let refused = ImportOutcome::Refused;
    let codes: [Code; 4] = std::array::from_fn(|_| kit.code());
    let lines = |imported_states: [ImportedState; 4]| -> Vec<ImportLine> {
        let both = codes.iter().zip(imported_states);
        both.map(|(code, imported_state)| kit.line(&campaign, code, imported_state)).collect()
    };
    let first =
        || lines([issued.clone(), issued.clone(), ImportedState::Void, ImportedState::Available]);
    let last = || lines([spent("there"), spent("here"), spent("there"), spent("there")]);
    kit.import(&campaign, &batch, first()).await;
    for code in &codes[..2] {
        kit.done(code, redeem(&ann, "here")).await;
    }
    // The contradictions, before the move: nothing comes of them.
    let contradicts = [refused(Refusal::AlreadyRedeemed), refused(Refusal::Voided)];
    let two = || vec![last()[0].clone(), last()[2].clone()];
    assert_eq!(kit.import(&campaign, &batch, two()).await, contradicts);
    let counts = kit.counts(&campaign).await;
    let day = campaign.expiry_day();
    assert_eq!(kit.archive_closed(day, CLOSED).await, 3);
    for sealed in [false, true] {
        if sealed {
            kit.archive_partition(day, kit.time_to_seal(day).await).await;
        }
        kit.archive.asked();
        assert_eq!(kit.import(&campaign, &batch, first()).await, [THERE; 4], "the same file");
        assert_eq!(kit.import(&other, &elsewhere, first()).await, [TAKEN; 4], "another campaign");
        // A store whose entries come before their rows has to ask whether these ever came, at once.
        let asked = kit.archive.asked();
        assert!(asked == (0, 0) || sealed && asked == (1, 4), "neither needs more: {asked:?}");
        assert_eq!(kit.import(&campaign, &batch, two()).await, contradicts, "as before the move");
        assert_eq!(kit.archive.asked(), (1, 2), "both in one question");
    }
    let [first, second] = contradicts;
    let last_file = [first, THERE, second, refused(Refusal::ExpiryDayClosed)];
    assert_eq!(kit.import(&campaign, &batch, last()).await, last_file);
    assert_eq!(kit.archive.asked(), (1, 4));
    assert_eq!(kit.import(&campaign, &batch, last()).await, last_file, "and again");
    assert_eq!(kit.archive.asked(), (1, 3), "what was so already is remembered");
    assert_eq!(kit.counts(&campaign).await, counts);
    assert_eq!(kit.counts(&other).await, CampaignCounts::default());
    let coupon = kit.coupon(&codes[3]).await;
    assert_eq!((coupon.state(), coupon.version()), (&State::Available, 1));
}

/// Of one group: what lies in cold is fetched together and holds up no other line.
pub(crate) async fn imported_beside_others(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(100), cancel_days: 0, ..kit.draft() };
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let ann = kit.user("ann");
    let issued = ImportedState::Issued { holder: ann.clone(), at: None };
    let spent = ImportedState::Redeemed { holder: None, issued_at: None, at: NOW, order: None };
    let later = campaign.expires_at.plus_days(1);
    let mut before: Vec<ImportLine> =
        (0..5).map(|_| kit.line(&campaign, &kit.code(), issued.clone())).collect();
    before[1].expires_at = later;
    before[4].expires_at = later;
    kit.import(&campaign, &batch, before.clone()).await;
    for line in &before[..4] {
        kit.done(&line.code, redeem(&ann, "1")).await;
    }
    assert_eq!(kit.archive_closed(campaign.expiry_day(), NOW).await, 3);
    assert_eq!(kit.archive_closed(Day::expiry_day_of(later), NOW).await, 1);
    let again = |at: usize| ImportLine { imported_state: spent.clone(), ..before[at].clone() };
    let fresh = || kit.line(&campaign, &kit.code(), spent.clone());
    let group =
        vec![fresh(), again(0), again(1), fresh(), again(4), again(2), again(3), again(2), fresh()];
    kit.archive.asked();
    let outcomes = kit.import(&campaign, &batch, group.clone()).await;
    let (made, no) = (ImportOutcome::Imported, ImportOutcome::Refused(Refusal::AlreadyRedeemed));
    assert_eq!(outcomes, [made, no, no, made, made, no, no, no, made]);
    assert_eq!(kit.archive.asked().0, 2, "one question a partition");
    for at in [0, 3, 4, 8] {
        assert!(kit.coupon(&group[at].code).await.redemption().is_some());
    }
    // Cold does not answer: the lines that need nothing of it stand all the same.
    let group = vec![fresh(), again(0), fresh()];
    kit.archive.goes_out();
    let asked = kit.hot.import(&campaign.id, &batch, group.clone(), kit.import_run()).await;
    assert!(is_cold(&asked), "{asked:?}");
    kit.archive.comes_back();
    let outcomes = kit.import(&campaign, &batch, group.clone()).await;
    assert_eq!(outcomes[1], no);
    for at in [0, 2] {
        assert!([THERE, made].contains(&outcomes[at]), "{outcomes:?}");
        assert_eq!(kit.coupon(&group[at].code).await.version(), 1, "once");
    }
    assert_eq!(
        kit.counts(&campaign).await,
        CampaignCounts { stock: 10, redeemed: 10, ..CampaignCounts::default() }
    );
}

/// Asks until cold answers.
async fn insist(kit: &Kit, code: &Code, change: &Change) -> Applied {
    for _ in 0..100_000 {
        let found = kit.found(code).await;
        match kit.hot.apply(&found, change.clone()).await {
            Err(HotError::Cold(_)) => tokio::task::yield_now().await,
            answer => return answer.unwrap(),
        }
    }
    panic!("cold never answers for {code}")
}

/// Promise 1 beside the compactor: of eight orders that want a coupon one gets it, while whatever
/// is redeemed moves to cold, and cold is out of order every now and then.
pub(crate) async fn one_redemption_while_it_moves(kit: &Arc<Kit>) {
    const TASKS: usize = 8;
    let campaign = Campaign {
        handout: Handout::Bearer,
        cancel_days: 0,
        per_user_limit: Some(1),
        ..kit.draft()
    };
    let mut codes = kit.stocked(&campaign, 100).await;
    codes.extend(kit.imported(&campaign, 100).await);
    let day = campaign.expiry_day();
    let busy = Arc::new(AtomicUsize::new(TASKS));
    let tasks = (0..TASKS).map(|task| {
        let (kit, codes, busy) = (Arc::clone(kit), codes.clone(), Arc::clone(&busy));
        tokio::spawn(async move {
            let mut won = Vec::new();
            for step in 0..codes.len() {
                // Half of them meet at each coupon, the others come when it may have moved.
                let code = &codes[(step + task % 2 * 50) % codes.len()];
                let user = kit.user("user");
                let change = kit.change(redeem(&user, "1"), Asker::Shop, NOW);
                let first = said(&insist(&kit, code, &change).await);
                let again = said(&insist(&kit, code, &change).await);
                let spent = Said::Refused(Refusal::AlreadyRedeemed);
                match first {
                    Said::Accepted => assert_eq!(again, Said::Replayed, "{code}"),
                    other => assert_eq!((other, again), (spent, spent), "{code}"),
                }
                if first == Said::Accepted {
                    won.push((code.clone(), user));
                }
            }
            busy.fetch_sub(1, Ordering::AcqRel);
            won
        })
    });
    let tasks = join_all(tasks);
    let compactor = async {
        let mut moved = 0;
        while busy.load(Ordering::Acquire) > 0 {
            moved += kit.archive_closed(day, NOW).await;
            kit.archive.goes_out();
            tokio::task::yield_now().await;
            kit.archive.comes_back();
        }
        moved
    };
    let (won, moved) = tokio::join!(tasks, compactor);
    assert!(moved > 0, "some moved while others were redeemed");
    let won: Vec<_> = won.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(won.len(), codes.len(), "each once");
    assert_eq!(moved + kit.archive_closed(day, NOW).await, codes.len() as u64);
    for (code, user) in &won {
        let snapshot = kit.see(code).await.unwrap();
        assert_eq!((snapshot.tier, snapshot.coupon.holder()), (Tier::Cold, Some(user)), "{code}");
    }
    let counts = kit.counts(&campaign).await;
    assert_eq!(counts, CampaignCounts { stock: 200, redeemed: 200, ..CampaignCounts::default() });
}

/// Promise 3 beside the compactor: nobody gets more than his limit because what he had has moved.
pub(crate) async fn limits_hold_while_they_move(kit: &Arc<Kit>) {
    const USERS: usize = 40;
    let campaign = Campaign { cancel_days: 0, per_user_limit: Some(3), ..kit.draft() };
    kit.stocked(&campaign, 4 * USERS as u64).await;
    let day = campaign.expiry_day();
    let over = Arc::new(AtomicBool::new(false));
    let compactor = {
        let (kit, over) = (Arc::clone(kit), Arc::clone(&over));
        tokio::spawn(async move {
            let mut moved = 0;
            while !over.load(Ordering::Acquire) {
                moved += kit.archive_closed(day, NOW).await;
                tokio::task::yield_now().await;
            }
            moved
        })
    };
    let tasks = (0..USERS).map(|_| {
        let (kit, campaign) = (Arc::clone(kit), campaign.clone());
        tokio::spawn(async move {
            let user = kit.user("user");
            let mut codes = Vec::new();
            for wish in ["a", "b", "c"] {
                let issued = kit.issue_at(NOW, &campaign.id, &user, reference(wish)).await;
                assert_eq!(said(&issued), Said::Accepted, "{wish}");
                let code = of(&issued).code().clone();
                let change = kit.change(redeem(&user, wish), Asker::Shop, NOW);
                assert_eq!(said(&insist(&kit, &code, &change).await), Said::Accepted, "{wish}");
                codes.push((wish, code));
                for (wish, code) in &codes {
                    let again = kit.issue_at(NOW, &campaign.id, &user, reference(wish)).await;
                    assert_eq!((said(&again), of(&again).code()), (Said::Replayed, code));
                }
            }
            let more = kit.issue_at(NOW, &campaign.id, &user, reference("d")).await;
            assert_eq!(said(&more), Said::Refused(Refusal::LimitPerUser));
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    over.store(true, Ordering::Release);
    let moved = compactor.await.unwrap();
    assert!(moved > 0, "some moved meanwhile");
    let want = CampaignCounts { stock: 160, redeemed: 120, ..CampaignCounts::default() };
    assert_eq!(kit.counts(&campaign).await, want);
    kit.archive_closed(day, NOW).await;
    assert_eq!(kit.counts(&campaign).await, want);
}
