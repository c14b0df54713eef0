use num_bigint::BigUint;

use super::*;
use crate::language::Lang;
use crate::money::AMOUNT_MAX;

fn benefit(text: &str) -> Benefit {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn too_small(min_order: u64, missing: u64) -> Result<Discount, Refusal> {
    Err(Refusal::OrderTooSmall { min_order, missing })
}

/// The faults of other shops: halves of a unit, shares of a share, thresholds that are missed by
/// one, discounts above the order, and binary fractions.
#[test]
fn discounts() {
    let less = |amount| Ok(Discount::Computed(amount));
    let needed = Err(Refusal::AmountRequired);
    let cases = [
        ("an amount", "amount 5000", Some(30_000), less(5_000)),
        ("never more than the order", "amount 5000", Some(3_000), less(3_000)),
        ("of an order of nothing", "amount 5000", Some(0), less(0)),
        ("the order must be known", "amount 5000", None, needed),
        ("a share", "percent 10", Some(30_000), less(3_000)),
        ("a share is rounded down, also from the half on", "percent 15", Some(990), less(148)),
        ("0.29 of 100 is 29 and not 28", "percent 29", Some(100), less(29)),
        ("1.15 of 100 units is 1", "percent 1.15", Some(100), less(1)),
        ("two decimals", "percent 8.25", Some(10_000), less(825)),
        ("a hundredth of a percent", "percent 0.01", Some(10_000), less(1)),
        ("and of less", "percent 0.01", Some(9_999), less(0)),
        ("all of it", "percent 100", Some(7), less(7)),
        ("of the largest order", "percent 99.99", Some(AMOUNT_MAX), less(999_900_000_000)),
        ("the most", "percent 10 max 5000", Some(80_000), less(5_000)),
        ("below the most", "percent 10 max 5000", Some(49_999), less(4_999)),
        ("the least order", "amount 5000 from 30000", Some(30_000), less(5_000)),
        ("one less", "amount 5000 from 30000", Some(29_999), too_small(30_000, 1)),
        ("far from it", "percent 10 from 30000", Some(0), too_small(30_000, 30_000)),
        ("a text needs nothing", "text", None, Ok(Discount::AsTold)),
        ("nor looks at the order", "text", Some(1), Ok(Discount::AsTold)),
        ("but if it has a least order", "text from 30000", None, needed),
        ("which counts", "text from 30000", Some(1), too_small(30_000, 29_999)),
        ("and is reached", "text from 30000", Some(30_000), Ok(Discount::AsTold)),
    ];
    for (name, of, order, want) in cases {
        assert_eq!(benefit(of).discount(order.map(OrderAmount::from)), want, "{name}");
    }
}

/// The coupons before one take from what is left, and not from the order that must be large enough.
#[test]
fn several_coupons() {
    let cases = [
        ("a share of what is left", "percent 10", 50_000, 45_000, 4_500),
        ("the least order is the whole", "amount 5000 from 50000", 50_000, 1_000, 1_000),
        ("nothing is left", "percent 50", 50_000, 0, 0),
    ];
    for (name, of, whole, left, want) in cases {
        let got = benefit(of).discount(Some(OrderAmount { whole, left }));
        assert_eq!(got, Ok(Discount::Computed(want)), "{name}");
    }
}

/// What is left of an order is calculated with numbers of any length.
#[test]
fn a_million_orders() {
    let mut seed = 45_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 20) % below
    };
    for _ in 0..1_000_000 {
        let below = [10, 100_000, AMOUNT_MAX + 1][random(3) as usize];
        let whole = random(below);
        let left = random(whole + 1);
        let max_discount = (random(2) == 0).then(|| 1 + random(AMOUNT_MAX));
        let min_order = (random(2) == 0).then(|| 1 + random(2 * whole + 1));
        let hundredths = 1 + random(10_000) as u16;
        let kind = match random(2) {
            0 => BenefitKind::Amount(1 + random(AMOUNT_MAX)),
            _ => BenefitKind::Percent { percent: Percent(hundredths), max_discount },
        };
        let of = Benefit { kind, min_order };
        let wanted = match (kind, min_order) {
            (_, Some(min)) if whole < min => too_small(min, min - whole),
            (BenefitKind::Amount(amount), _) => Ok(Discount::Computed(amount.min(left))),
            _ => {
                let of_left = BigUint::from(left) * hundredths;
                let most = BigUint::from(max_discount.unwrap_or(u64::MAX));
                let share = (of_left / BigUint::from(10_000_u32)).min(most);
                Ok(Discount::Computed(share.to_string().parse().expect("a small number")))
            }
        };
        assert_eq!(
            of.discount(Some(OrderAmount { whole, left })),
            wanted,
            "{of}: {left} of {whole}"
        );
    }
}

#[test]
fn texts_of_stores() {
    let good = [
        "amount 1",
        "amount 1000000000000",
        "percent 0.01",
        "percent 12.5 max 1",
        "percent 100 max 5000 from 30000",
        "text",
        "text from 1",
    ];
    for text in good {
        assert_eq!(benefit(text).to_string(), text);
    }
    let bad = [
        "",
        "amount",
        "amount 0",
        "amount 1000000000001",
        "amount -1",
        "amount 1 max 2",
        "amount 1.5",
        "percent 0",
        "percent 0.001",
        "percent 100.01",
        "percent 1e1",
        "percent .5",
        "percent 5.",
        "percent 10 max 0",
        "percent 10 from",
        "percent 10 from 0",
        "percent 10 from 5 max 5",
        "text 5",
        "free",
    ];
    for text in bad {
        assert_eq!(text.parse::<Benefit>(), Err(BadBenefit), "{text}");
    }
}

#[test]
fn sentences() {
    let cases = [
        ("amount 5000", "₩5,000 off", "₩5,000 할인"),
        (
            "amount 5000 from 30000",
            "₩5,000 off orders of ₩30,000 or more",
            "₩30,000 이상 주문하면 ₩5,000 할인",
        ),
        ("percent 12.5", "12.5 % off", "12.5% 할인"),
        (
            "percent 10 max 5000 from 30000",
            "10 % off orders of ₩30,000 or more, at most ₩5,000",
            "₩30,000 이상 주문하면 10%, 최대 ₩5,000 할인",
        ),
    ];
    let won = "KRW".parse().unwrap();
    for (of, en, ko) in cases {
        assert_eq!(benefit(of).sentence(won, Lang::En).as_deref(), Some(en), "{of}");
        assert_eq!(benefit(of).sentence(won, Lang::Ko).as_deref(), Some(ko), "{of}");
    }
    assert_eq!(benefit("text from 5").sentence(won, Lang::En), None);
    let title = BenefitTitle { en: None, ko: Some("커피 한 잔".to_owned()) };
    assert_eq!(title.text(Lang::En), Some("커피 한 잔"), "another language is better than none");
}
