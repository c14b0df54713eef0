//! What an order says of its money, and what a redemption keeps of it.

use super::*;
use crate::benefit::OrderAmount;
use crate::worth::{OrderMoney, RedemptionWorth};

/// `50000 KRW less 5000`: each part may be left out.
fn money(text: &str) -> OrderMoney {
    let words: Vec<&str> = text.split_whitespace().collect();
    let of = |word: &str| words.iter().position(|it| *it == word).map(|at| words[at + 1]);
    OrderMoney {
        amount: of("order").map(|amount| OrderAmount::from(amount.parse::<u64>().unwrap())),
        currency: of("in").map(|currency| currency.parse().unwrap()),
        discount: of("less").map(|discount| discount.parse().unwrap()),
    }
}

fn worth(text: &str) -> Option<RedemptionWorth> {
    Some(text.parse().unwrap())
}

#[test]
fn redemptions_keep_their_amounts() {
    let small = Refusal::OrderTooSmall { min_order: 30_000, missing: 1 };
    let differs = |discount| Err(Refusal::DiscountMismatch { discount });
    // A name, the currency and the benefit of the campaign, what the order says; what is kept.
    let cases = [
        ("nothing is known", "", "", "", Ok(None)),
        ("a currency alone is nothing", "", "", "in KRW", Ok(None)),
        ("amounts of no currency", "", "", "order 5", Err(Refusal::CurrencyMismatch)),
        ("as the shop says", "", "", "order 500 in USD less 5", Ok(worth("USD 500 5"))),
        ("a discount alone", "KRW", "", "less 5", Ok(worth("KRW - 5"))),
        ("an order alone", "KRW", "text", "order 5", Ok(worth("KRW 5 -"))),
        ("all of the order", "KRW", "", "order 5 less 5", Ok(worth("KRW 5 5"))),
        ("more than the order", "KRW", "", "order 5 less 6", differs(5)),
        ("another currency", "KRW", "", "order 5 in USD", Err(Refusal::CurrencyMismatch)),
        ("the same currency", "KRW", "amount 3", "order 5 in KRW", Ok(worth("KRW 5 3"))),
        ("no amount", "KRW", "amount 3", "", Err(Refusal::AmountRequired)),
        ("no amount, but a discount", "KRW", "amount 3", "less 3", Err(Refusal::AmountRequired)),
        ("calculated", "KRW", "percent 10 max 20", "order 999", Ok(worth("KRW 999 20"))),
        ("the shop calculates the same", "KRW", "amount 3", "order 5 less 3", Ok(worth("KRW 5 3"))),
        ("the shop calculates less", "KRW", "amount 3", "order 5 less 2", differs(3)),
        ("the shop calculates more", "KRW", "amount 3", "order 2 less 3", differs(2)),
        ("too small", "KRW", "text from 30000", "order 29999", Err(small)),
        ("large enough", "KRW", "text from 30000", "order 30000", Ok(worth("KRW 30000 -"))),
    ];
    let held = |bare: &Coupon| {
        let hold = Hold {
            by: user("ann"),
            order: order("991"),
            operation: OperationId(7),
            since: Millis(NOW - 1),
            until: Millis(NOW + MINUTE),
        };
        Coupon::of(bare.genesis().clone(), bare.events().to_vec(), Some(hold), 2, Millis(NOW))
    };
    let bare =
        coupon(genesis(NOW - DAY_MS, NOW + DAY_MS), vec![event(NOW - DAY_MS, issued("ann"))], None);
    for (name, currency, benefit, says, want) in cases {
        let terms =
            Terms { currency: currency.parse().ok(), benefit: benefit.parse().ok(), ..terms() };
        let (by, order, money) = (user("ann"), order("991"), money(says));
        for coupon in [bare.clone(), held(&bare)] {
            let redeem = Action::Redeem { by: by.clone(), order: order.clone(), money };
            let change = Change { action: redeem, ..Asks::Void.by(None) };
            let kept = match apply(&coupon, &change, &terms) {
                Outcome::Accepted(after) => Ok(after.redemption_of(&order).unwrap().worth),
                Outcome::Refused(refusal) => Err(refusal),
                Outcome::Replayed => panic!("{name}: a replay"),
            };
            assert_eq!(kept, want, "{name}");
            // A hold keeps none, and is refused as the redemption would be, also as a replay.
            let until = Millis(NOW + 1);
            let hold = Action::Hold { by: by.clone(), order: order.clone(), until, money };
            let change = Change { action: hold, ..Asks::Void.by(None) };
            let refused = match apply(&coupon, &change, &terms) {
                Outcome::Refused(refusal) => Some(refusal),
                Outcome::Accepted(_) | Outcome::Replayed => None,
            };
            assert_eq!(refused, want.err(), "{name}: hold");
        }
    }
}

#[test]
fn a_replay_has_the_first_amounts() {
    let terms = Terms { currency: "KRW".parse().ok(), ..terms() };
    let bare =
        coupon(genesis(NOW - DAY_MS, NOW + DAY_MS), vec![event(NOW - DAY_MS, issued("ann"))], None);
    let redeem = |says| Change {
        action: Action::Redeem { by: user("ann"), order: order("991"), money: money(says) },
        ..Asks::Void.by(None)
    };
    let Outcome::Accepted(redeemed) = apply(&bare, &redeem("order 500 less 5"), &terms) else {
        panic!("it is redeemed");
    };
    for says in ["order 500 less 5", "", "order 100 less 7", "order 5 in USD"] {
        assert_eq!(apply(&redeemed, &redeem(says), &terms), Outcome::Replayed, "{says}");
    }
    assert_eq!(redeemed.redemption().unwrap().worth, worth("KRW 500 5"));
}
