//! Many requests at the same time: exactly the stock is issued, and nobody gets more than the
//! limit.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::service::{Admin, Answer, Service, Shop, Who};

/// The number of answers by status and code.
fn answer_counts(answers: &[Answer]) -> BTreeMap<String, usize> {
    let mut answer_counts = BTreeMap::new();
    for answer in answers {
        *answer_counts.entry(answer.word()).or_default() += 1;
    }
    answer_counts
}

/// Coupons with a holder, by holder.
async fn holders(service: &Service, campaign: &str) -> BTreeMap<String, usize> {
    let mut holders = BTreeMap::new();
    let target = format!("/v1/coupons?campaign_id={campaign}&limit=1000");
    let list = service.get(Admin, &target).await;
    assert!(list.is("200", campaign).json["next_cursor"].is_null());
    for holder in list.data("holder").into_iter().filter(|holder| holder != "?") {
        *holders.entry(holder).or_default() += 1;
    }
    holders
}

#[tokio::test]
async fn exactly_n() {
    const STOCK: usize = 120;
    let imported: String = (0..STOCK).map(|nth| format!("IMPORTED{nth:04}\n")).collect();
    let cases = [
        ("minted, limit 1", json!({"stock": STOCK, "per_user_limit": 1}), 1),
        ("minted, limit 3", json!({"stock": STOCK, "per_user_limit": 3}), 3),
        ("imported, limit 1", json!({"stock": 0, "per_user_limit": 1}), 1),
        ("imported, limit 3", json!({"stock": 0, "per_user_limit": 3}), 3),
        (
            "shared, limit 1",
            json!({"stock": STOCK, "handout": "shared", "shared_code": "SUMMER"}),
            1,
        ),
        (
            "shared, limit 3",
            json!({
                "stock": STOCK, "handout": "shared", "shared_code": "SUMMER", "per_user_limit": 3,
            }),
            3,
        ),
    ];
    for (name, terms, limit) in cases {
        let service = Service::new();
        let shared = terms["handout"] == "shared";
        let empty = terms["stock"] == 0;
        service.campaign("c", terms).await;
        if empty {
            service.import("c", "b", &imported).await.is("201", name);
        }
        // Each user requests with each issue_ref, twice, and with one more than the limit.
        let users = STOCK / limit + 20;
        let asks = (0..users).flat_map(|user| (0..=limit).map(move |nth| (user, nth)));
        let asks: Vec<(usize, usize)> = asks.clone().chain(asks).collect();
        let answers = join_all(asks.iter().map(|(user, nth)| {
            let (target, body) = match shared {
                true => ("/v1/coupons/SUMMER/redeem", "order_ref"),
                false => ("/v1/campaigns/c/issue", "issue_ref"),
            };
            let mut body = json!({"user_id": format!("u{user}"), body: format!("r{nth}")});
            body["user_id"] = json!(format!("u{user}"));
            let service = &service;
            async move { service.post(Shop, target, body).await }
        }))
        .await;
        let answer_counts = answer_counts(&answers);
        assert_eq!(answer_counts.get("201"), Some(&STOCK), "{name}: {answer_counts:?}");
        let holders = holders(&service, "c").await;
        assert_eq!(holders.values().sum::<usize>(), STOCK, "{name}");
        assert!(holders.values().all(|has| *has <= limit), "{name}: {holders:?}");
        let allowed = ["200", "201", "409 SOLD_OUT", "409 LIMIT_PER_USER", "409 ALREADY_REDEEMED"];
        assert!(
            answer_counts.keys().all(|word| allowed.contains(&word.as_str())),
            "{name}: {answer_counts:?}"
        );
        // The same request got the same coupon.
        let mut told: BTreeMap<(usize, usize), Value> = BTreeMap::new();
        for (ask, answer) in asks.iter().zip(&answers).filter(|(_, answer)| answer.status < 300) {
            let code = answer.json["code"].clone();
            assert_eq!(*told.entry(*ask).or_insert_with(|| code.clone()), code, "{name}: {ask:?}");
        }
    }
}

#[tokio::test]
async fn bearer_codes_into_wallets() {
    let service = Service::new();
    service.campaign("b", json!({"handout": "bearer", "stock": 30, "per_user_limit": 2})).await;
    let codes = service.codes("b").await;
    // Every user puts every code into the wallet at the same time. A few redeem instead.
    let asks = (0..10).flat_map(|user| codes.iter().map(move |code| (user, code)));
    let answers = join_all(asks.map(|(user, code)| {
        let service = &service;
        async move {
            let who = format!("u{user}");
            let (what, body) = match user % 3 {
                0 => ("redeem", json!({"order_ref": format!("{who}-1")})),
                _ => ("issue", json!({})),
            };
            service.post(Who::User(&who), &format!("/v1/coupons/{code}/{what}"), body).await
        }
    }))
    .await;
    let answer_counts = answer_counts(&answers);
    assert_eq!(answer_counts.get("201"), Some(&20), "ten users with two each: {answer_counts:?}");
    let holders = holders(&service, "b").await;
    assert_eq!(holders.len(), 10);
    assert!(holders.values().all(|has| *has == 2), "{holders:?}");
}

#[tokio::test]
async fn an_issue_ref_gets_one_coupon() {
    let service = Service::new();
    let body = json!({"campaign_id": "c", "stock": 5, "expires_on": "2027-12-31"});
    let made = join_all((0..32).map(|_| service.post(Admin, "/v1/campaigns", body.clone()))).await;
    assert_eq!(answer_counts(&made), BTreeMap::from([("200".into(), 31), ("201".into(), 1)]));
    let target = "/v1/campaigns/c/batches";
    let body = json!({"batch_id": "b", "count": 7});
    let made = join_all((0..32).map(|_| service.post(Admin, target, body.clone()))).await;
    assert_eq!(answer_counts(&made), BTreeMap::from([("200".into(), 31), ("201".into(), 1)]));
    assert_eq!(service.get(Admin, "/v1/campaigns/c").await.json["stock"], 12);
    let counts = [1, 2, 3, 4].map(|count| json!({"batch_id": "d", "count": count}));
    let made = join_all(counts.into_iter().map(|body| service.post(Admin, target, body))).await;
    assert_eq!(
        answer_counts(&made),
        BTreeMap::from([("201".into(), 1), ("409 NAME_TAKEN".into(), 3)])
    );
}

#[tokio::test]
async fn never_sold_out_while_one_is_left() {
    let service = Service::new();
    service.campaign("c", json!({"stock": 1})).await;
    let code = service.issued("c", "u0").await;
    // After that the history has no room for one more issue and its redemption.
    for nth in 0..13 {
        let (from, to) = (format!("u{nth}"), format!("u{}", nth + 1));
        let target = "/v1/campaigns/c/issue";
        let other = service.post(Shop, target, json!({"user_id": "eve"})).await;
        other.is("409 SOLD_OUT", &from);
        service.admin("revoke", &code, json!({"user_id": from})).await.is("200", &from);
        let next = service.post(Shop, target, json!({"user_id": to})).await;
        next.is("201", &format!("{to}, right after a revoke"));
    }
}

#[tokio::test]
async fn a_check_writes_nothing() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    service.campaign("s", json!({"handout": "shared", "shared_code": "SUMMER"})).await;
    service.campaign("b", json!({"handout": "bearer"})).await;
    let codes =
        [service.issued("c", "ann").await, "SUMMER".into(), service.codes("b").await.remove(0)];
    let before = (service.engine.hot().gauge().writes, service.engine.hot().gauge().commits);
    for code in &codes {
        for order in ["1", "2"] {
            let check = service.does("check", code, order).await;
            assert_eq!(check.is("200", code).json["redeemable"], true, "{code}");
        }
    }
    let after = (service.engine.hot().gauge().writes, service.engine.hot().gauge().commits);
    assert_eq!(after, before);
    // A redeem then has the answer of the check.
    for code in &codes {
        service.does("redeem", code, "1").await.is("201", code);
        let check = service.does("check", code, "2").await;
        assert_eq!(check.is("200", code).json["redeemable"], false, "{code}");
        let refused = service.does("redeem", code, "2").await;
        assert_eq!(check.json["refusal"], refused.json["code"], "{code}");
        assert_eq!(service.does("check", code, "1").await.json["redeemable"], true, "a replay");
    }
}
