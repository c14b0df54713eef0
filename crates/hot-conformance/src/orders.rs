//! Several coupons of one order: all of them, or none.

use coupon::apply::{Action, Asker};
use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::coupon::State;
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use futures::future::join_all;
use hot::Applied;

use crate::kit::{
    ChangeOutcome, Kit, NOW, cancel, hold, of, order, redeem, redeem_worth, release, said, void,
    with_worth,
};
use ChangeOutcome::{Accepted, Refused, Replayed};

const COSTS: &str = "KRW 10000 -";

/// Coupons of ann, in a campaign whose coupons take a tenth off.
async fn coupons<const N: usize>(kit: &Kit) -> (UserId, [Code; N]) {
    let worth = crate::campaigns::some_worth("percent 10");
    let campaign = Campaign { worth, per_user_limit: None, ..kit.draft() };
    kit.stocked(&campaign, N as u64).await;
    let ann = kit.user("ann");
    let mut codes = Vec::new();
    for nth in 0..N {
        codes.push(kit.issued(&campaign, &ann, &format!("no-{nth}")).await);
    }
    let Ok(codes) = codes.try_into() else { unreachable!("{N} codes") };
    (ann, codes)
}

/// What an order of 10,000 won does with a coupon.
fn spends(by: &UserId, name: &str) -> Action {
    redeem_worth(by, name, COSTS)
}

fn holds(by: &UserId, name: &str) -> Action {
    with_worth(hold(by, name, 5), COSTS)
}

async fn all(kit: &Kit, name: &str, codes: &[&Code], action: Action) -> Vec<Applied> {
    let mut changes = Vec::new();
    for code in codes {
        changes.push((kit.found(code).await, kit.change(action.clone(), Asker::Shop, NOW)));
    }
    kit.hot.apply_all(&order(name), changes).await.unwrap()
}

fn outcomes(all: &[Applied]) -> Vec<ChangeOutcome> {
    all.iter().map(said).collect()
}

async fn are_untouched(kit: &Kit, codes: &[&Code]) {
    for code in codes {
        let coupon = kit.coupon(code).await;
        assert!(matches!(coupon.state(), State::Issued { .. }), "{coupon:?}");
        assert_eq!(coupon.running_hold(NOW), None, "{code} is held by nobody");
    }
}

pub(crate) async fn all_or_none(kit: &Kit) {
    let (ann, [one, two, three]) = coupons(kit).await;
    kit.done(&three, void()).await;
    let name = ann.to_string();
    for action in [holds(&ann, &name), spends(&ann, &name)] {
        let refused = all(kit, &name, &[&one, &two, &three], action).await;
        assert_eq!(said(&refused[2]), Refused(Refusal::Voided));
        are_untouched(kit, &[&one, &two]).await;
    }
    let redeemed = all(kit, &name, &[&two, &one], spends(&ann, &name)).await;
    assert_eq!(outcomes(&redeemed), [Accepted; 2]);
    let discounts: Vec<u64> = redeemed.iter().map(|it| of(it).state().discount()).collect();
    assert_eq!(
        discounts,
        [1_000, 900],
        "the second one takes its share of what the first has left"
    );
    for applied in &redeemed {
        kit.agrees(applied).await;
    }
    assert_eq!(outcomes(&all(kit, &name, &[&two, &one], spends(&ann, &name)).await), [Replayed; 2]);
    assert!(kit.hot.unfinished_order(&order(&name)).await.unwrap().is_empty());

    assert_eq!(outcomes(&all(kit, &name, &[&one, &two], cancel(&name)).await), [Accepted; 2]);
    are_untouched(kit, &[&one, &two]).await;
    assert_eq!(outcomes(&all(kit, &name, &[&one, &two], cancel(&name)).await), [Replayed; 2]);
}

/// One by one each coupon is within the limit of its user, and together they are not.
pub(crate) async fn a_limit_counts_over_an_order(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(2), handout: Handout::Bearer, ..kit.draft() };
    let codes = kit.stocked(&campaign, 4).await;
    let ann = kit.user("ann");
    let name = ann.to_string();
    let of = |count: usize| codes.iter().skip(1).take(count).collect::<Vec<&Code>>();
    kit.done(&codes[0], redeem(&ann, &format!("{name}-before"))).await;
    for count in [2, 3] {
        let refused = all(kit, &name, &of(count), redeem(&ann, &name)).await;
        let refusals: Vec<Refusal> = refused.iter().filter_map(Applied::refusal).collect();
        assert!(refusals.contains(&Refusal::LimitPerUser), "{count}: {refusals:?}");
        for code in of(count) {
            let coupon = kit.coupon(code).await;
            assert_eq!((coupon.state(), coupon.running_hold(NOW)), (&State::Available, None));
        }
    }
    assert_eq!(outcomes(&all(kit, &name, &of(1), redeem(&ann, &name)).await), [Accepted]);
}

/// A dry run says of each coupon what the order would, and leaves everything as it is.
pub(crate) async fn a_dry_run_of_an_order(kit: &Kit) {
    let (ann, [one, two]) = coupons(kit).await;
    let name = ann.to_string();
    let mut changes = Vec::new();
    for code in [&one, &two] {
        changes.push((kit.found(code).await, kit.change(spends(&ann, &name), Asker::Shop, NOW)));
    }
    let checked = kit.hot.dry_run_all(changes).await.unwrap();
    assert_eq!(outcomes(&checked), [Accepted; 2]);
    assert_eq!(of(&checked[1]).state().discount(), 900);
    are_untouched(kit, &[&one, &two]).await;
}

/// Of orders that want the same coupons, in whatever sequence, one gets all of them.
pub(crate) async fn one_order_gets_all(kit: &Kit) {
    let (ann, codes) = coupons::<4>(kit).await;
    let ended = join_all((0..8).map(|nth| {
        let (ann, mut wanted) = (&ann, codes.iter().collect::<Vec<_>>());
        async move {
            wanted.rotate_left(nth % 4);
            let name = format!("{ann}-{nth}");
            outcomes(&all(kit, &name, &wanted, spends(ann, &name)).await)
        }
    }))
    .await;
    let won = ended.iter().filter(|outcomes| **outcomes == [Accepted; 4]).count();
    assert_eq!(won, 1, "{ended:?}");
    let mut orders = Vec::new();
    for code in &codes {
        let coupon = kit.coupon(code).await;
        orders.push(coupon.redemption().expect("it is redeemed").order.clone());
    }
    orders.dedup();
    assert_eq!(orders.len(), 1, "one order has all");
}

/// An order that has some of its coupons already gets the rest, also those that it holds.
pub(crate) async fn an_order_goes_on(kit: &Kit) {
    let (ann, [one, two, three]) = coupons(kit).await;
    let name = ann.to_string();
    kit.done(&one, spends(&ann, &name)).await;
    kit.done(&two, holds(&ann, &name)).await;
    let redeemed = all(kit, &name, &[&one, &two, &three], spends(&ann, &name)).await;
    assert_eq!(outcomes(&redeemed), [Replayed, Accepted, Accepted]);
    // Of another order's hold only that one is refused, and the own hold stays.
    let (bob, [four, five]) = coupons(kit).await;
    let name = bob.to_string();
    kit.done(&four, holds(&bob, &name)).await;
    kit.done(&five, holds(&bob, "another-order")).await;
    let refused = all(kit, &name, &[&four, &five], spends(&bob, &name)).await;
    assert!(matches!(said(&refused[1]), Refused(Refusal::Held { .. })), "{refused:?}");
    assert!(kit.coupon(&four).await.running_hold(NOW).is_some(), "what it held it holds");
    kit.done(&four, release(&name)).await;
}
