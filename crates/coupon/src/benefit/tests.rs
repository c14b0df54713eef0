use super::*;
use crate::language::Lang;

fn benefit(text: &str) -> Benefit {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
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
        ("percent 12.5", "12.5 % off", "12.5 % 할인"),
        (
            "percent 10 max 5000 from 30000",
            "10 % off orders of ₩30,000 or more, at most ₩5,000",
            "₩30,000 이상 주문하면 10 %, 최대 ₩5,000 할인",
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
