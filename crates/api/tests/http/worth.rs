//! What the coupons of a campaign are worth, as it is set, shown and changed.

use serde_json::{Value, json};

use crate::service::{ANN, Admin, Service, Shop};

fn campaign(id: &str, currency: Value, benefit: Value) -> Value {
    json!({
        "campaign_id": id, "expires_on": "2026-12-24", "stock": 5, "currency": currency,
        "benefit": benefit,
    })
}

#[tokio::test]
async fn what_is_set_is_shown() {
    let service = Service::new();
    // A benefit, and what is shown of it beside its null fields.
    let cases = [
        ("an amount", json!({"kind": "amount", "amount": 5_000})),
        ("a share", json!({"kind": "percent", "percent": 12.5})),
        ("decimals that no binary fraction has", json!({"kind": "percent", "percent": 0.07})),
        (
            "all of a share",
            json!({
                "kind": "percent", "percent": 10, "max_discount": 5_000, "min_order": 30_000,
                "title": {"ko": "봄맞이 할인", "en": "Spring"},
            }),
        ),
        ("a text", json!({"kind": "text", "title": {"ko": "커피 한 잔", "en": null}})),
    ];
    for (nth, (name, benefit)) in cases.into_iter().enumerate() {
        let id = format!("c{nth}");
        let body = campaign(&id, json!("KRW"), benefit.clone());
        service.post(Admin, "/v1/campaigns", body.clone()).await.is("201", name);
        service.post(Admin, "/v1/campaigns", body).await.is("200", name);
        for who in [ANN, Shop] {
            let shown = service.get(who, &format!("/v1/campaigns/{id}")).await.json;
            let Some(fields) = benefit.as_object() else { unreachable!() };
            for (field, value) in fields {
                assert_eq!(shown["benefit"][field], *value, "{name}: {field}");
            }
            let there = shown["benefit"]
                .as_object()
                .map_or(0, |it| it.values().filter(|value| !value.is_null()).count());
            assert_eq!(there, fields.len(), "{name}: {}", shown["benefit"]);
            assert_eq!(shown["currency"], "KRW", "{name}");
        }
    }
    service.campaign("none", json!({})).await;
    let shown = service.get(Shop, "/v1/campaigns/none").await.json;
    assert!(shown["benefit"].is_null() && shown["currency"].is_null(), "a campaign without");
}

#[tokio::test]
async fn what_cannot_be_said_is_refused() {
    let service = Service::new();
    let amount = || json!({"kind": "amount", "amount": 5_000});
    let percent = |percent: Value| json!({"kind": "percent", "percent": percent});
    let text = |title: Value| json!({"kind": "text", "title": title});
    let won = || json!("KRW");
    let (most, more) = (1_000_000_000_000_u64, 1_000_000_000_001_u64);
    let cases = [
        ("a kind of another name", won(), json!({"kind": "free"}), "benefit.kind"),
        ("no amount", won(), json!({"kind": "amount"}), "benefit.amount"),
        ("nothing", won(), json!({"kind": "amount", "amount": 0}), "benefit.amount"),
        ("too much", won(), json!({"kind": "amount", "amount": more}), "benefit.amount"),
        ("no share", won(), json!({"kind": "percent"}), "benefit.percent"),
        ("a share of nothing", won(), percent(json!(0)), "benefit.percent"),
        ("three decimals", won(), percent(json!(0.125)), "benefit.percent"),
        ("more than all", won(), percent(json!(100.01)), "benefit.percent"),
        ("less than nothing", won(), percent(json!(-1)), "benefit.percent"),
        (
            "a share of an amount",
            won(),
            json!({"kind": "amount", "amount": 5, "percent": 5}),
            "benefit.percent",
        ),
        (
            "the most of an amount",
            won(),
            json!({"kind": "amount", "amount": 5, "max_discount": 5}),
            "benefit.max_discount",
        ),
        (
            "the most is nothing",
            won(),
            json!({"kind": "percent", "percent": 5, "max_discount": 0}),
            "benefit.max_discount",
        ),
        (
            "the least is too much",
            won(),
            json!({"kind": "amount", "amount": most, "min_order": more}),
            "benefit.min_order",
        ),
        ("a text without words", won(), text(Value::Null), "benefit.title"),
        ("an empty text", won(), text(json!({"en": ""})), "benefit.title.en"),
        ("a long text", won(), text(json!({"ko": "가".repeat(67)})), "benefit.title.ko"),
        ("no currency", Value::Null, amount(), "currency"),
        ("small letters", json!("krw"), amount(), "currency"),
        ("gold", json!("XAU"), amount(), "currency"),
        (
            "no currency of the least order",
            Value::Null,
            json!({"kind": "text", "title": {"en": "Coffee"}, "min_order": 5}),
            "currency",
        ),
    ];
    for (name, currency, benefit, field) in cases {
        let body = campaign("c", currency, benefit);
        let answer = service.post(Admin, "/v1/campaigns", body).await;
        assert!(
            answer.is("400 INVALID", name).fields().contains(&field),
            "{name}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn it_stays_as_it_is_once_somebody_has_a_coupon() {
    let service = Service::new();
    service.campaign("c", json!({"stock": 2})).await;
    let off = |amount: u64| json!({"kind": "amount", "amount": amount});
    let changes = [
        ("a benefit without a currency", json!({"benefit": off(5)}), "400 INVALID"),
        ("a currency", json!({"currency": "USD"}), "200"),
        ("then a benefit", json!({"benefit": off(5)}), "200"),
        ("the currency of a benefit", json!({"currency": null}), "400 INVALID"),
        ("none of both", json!({"currency": null, "benefit": null}), "200"),
        ("both", json!({"currency": "KRW", "benefit": off(5_000)}), "200"),
    ];
    for (name, change, want) in changes {
        service.patch(Admin, "/v1/campaigns/c", change).await.is(want, name);
    }
    service.post(Shop, "/v1/campaigns/c/issue", json!({"user_id": "ann"})).await.is("201", "ann");
    let changes = [
        ("another amount", json!({"benefit": off(6_000)}), "400 INVALID"),
        ("another currency", json!({"currency": "JPY"}), "400 INVALID"),
        ("the same", json!({"currency": "KRW", "benefit": off(5_000)}), "200"),
        ("a name", json!({"name": "Spring"}), "200"),
    ];
    for (name, change, want) in changes {
        service.patch(Admin, "/v1/campaigns/c", change).await.is(want, name);
    }
}

/// A campaign of 10 % off orders of ₩30,000 or more, at most ₩5,000, and a coupon of ann.
async fn ten_percent_off(service: &Service) -> String {
    let benefit =
        json!({"kind": "percent", "percent": 10, "max_discount": 5_000, "min_order": 30_000});
    service.campaign("c", json!({"currency": "KRW", "benefit": benefit, "stock": 5})).await;
    service.issued("c", "ann").await
}

fn of_order(order: &str, amount: u64) -> Value {
    json!({"user_id": "ann", "order_ref": order, "order_amount": amount})
}

#[tokio::test]
async fn worth_in_words() {
    let service = Service::new();
    let code = ten_percent_off(&service).await;
    let of = async |path: &str| service.get(Shop, path).await.json;
    let wallet = of("/v1/coupons?user_id=ann&expand=campaign").await;
    let want = json!({
        "en": "10 % off orders of ₩30,000 or more, at most ₩5,000",
        "ko": "₩30,000 이상 주문하면 10%, 최대 ₩5,000 할인",
    });
    assert_eq!(of("/v1/campaigns/c").await["worth"], want, "the campaign");
    assert_eq!(wallet["data"][0]["campaign"]["worth"], want, "a wallet");
    let check = json!({"user_id": "ann", "order_ref": "1", "order_amount": 30_000});
    let checked =
        service.post(Shop, &format!("/v1/coupons/{code}/check"), check.clone()).await.json;
    assert_eq!(checked["campaign"]["worth"], want, "a check");
    service.post(Shop, &format!("/v1/coupons/{code}/redeem"), check).await.is("201", "redeemed");
    let worths: Vec<Value> = of("/v1/events?type=coupon.issued,coupon.redeemed").await["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["coupon"]["worth"].clone())
        .collect();
    assert_eq!(worths, [want, Value::Null], "whoever tells the user");

    service.campaign("none", json!({"stock": 1})).await;
    service.issued("none", "bob").await;
    let wallet = of("/v1/coupons?user_id=bob&expand=campaign").await;
    assert!(wallet["data"][0]["campaign"]["worth"].is_null(), "only the shop knows: {wallet}");
}

#[tokio::test]
async fn amounts_of_a_redemption() {
    let service = Service::new();
    let code = ten_percent_off(&service).await;
    let call = |what: &str| format!("/v1/coupons/{code}/{what}");
    let nulls = |json: &Value, fields: &[&str]| fields.iter().all(|field| json[field].is_null());

    let small = service.post(Shop, &call("check"), of_order("1", 29_999)).await.json;
    assert_eq!(small["refusal"], "ORDER_TOO_SMALL");
    assert_eq!(small["missing"], 1);
    assert!(nulls(&small, &["discount"]), "{small}");
    let small = service.post(Shop, &call("redeem"), of_order("1", 20_000)).await;
    assert_eq!(small.is("409 ORDER_TOO_SMALL", "too small").json["min_order"], 30_000);
    assert_eq!(small.json["missing"], 10_000);
    let checked = service.post(Shop, &call("check"), of_order("1", 49_999)).await.json;
    assert_eq!(checked["redeemable"], true);
    assert_eq!(checked["discount"], 4_999, "rounded down");
    assert!(nulls(&checked, &["missing", "refusal"]), "{checked}");
    let held = service.post(Shop, &call("hold"), of_order("1", 49_999)).await;
    assert_eq!(held.is("201", "held").json["discount"], 4_999);
    assert!(
        nulls(&held.json["coupon"], &["discount", "order_amount", "currency"]),
        "{}",
        held.json
    );

    let want = json!({"order_amount": 80_000, "discount": 5_000, "currency": "KRW"});
    let has = |shown: &Value, name: &str| {
        for (field, value) in want.as_object().into_iter().flatten() {
            assert_eq!(shown[field], *value, "{name}: {shown}");
        }
    };
    // A user would decide what the campaign has cost.
    let own = json!({"order_ref": "1", "order_amount": 80_000});
    for (what, want) in [("check", "200"), ("hold", "400 INVALID"), ("redeem", "400 INVALID")] {
        service.post(ANN, &call(what), own.clone()).await.is(want, what);
    }
    let redeemed = service.post(Shop, &call("redeem"), of_order("1", 80_000)).await;
    has(&redeemed.is("201", "redeemed").json, "redeemed");
    let again = service.post(Shop, &call("redeem"), of_order("1", 90_000)).await;
    has(&again.is("200", "again").json, "a replay has the first amounts");
    let checked = service.post(Shop, &call("check"), of_order("1", 90_000)).await.json;
    assert_eq!(checked["discount"], 5_000, "a check of what is redeemed");
    has(&service.get(Shop, &format!("/v1/coupons/{code}")).await.json, "the coupon");
    let of_order_1 = "/v1/redemptions?order_ref=1";
    has(&service.get(Shop, of_order_1).await.json["data"][0], "the order's redemptions");

    let cancelled = service.cancel(Shop, &code, "1").await.json;
    has(&cancelled["redemption"], "a cancelled redemption keeps them");
    assert!(nulls(&cancelled["coupon"], &["order_amount", "discount", "currency"]), "{cancelled}");
    has(&service.get(Shop, of_order_1).await.json["data"][0], "also in the list");

    let counts = "/v1/campaigns/c/counts?from=2026-01-01&to=2027-12-31";
    let counts = service.get(Shop, counts).await.json;
    let want = json!([{
        "currency": "KRW", "orders": 1, "order_amount": 80_000, "order_discount": 5_000, "discount": 5_000,
        "orders_cancelled": 1, "order_amount_cancelled": 80_000, "order_discount_cancelled": 5_000,
        "discount_cancelled": 5_000,
    }]);
    let days = counts["data"].as_array().expect("days").iter();
    let mut days = days.map(|day| &day["amounts"]).filter(|amounts| **amounts != json!([]));
    assert_eq!((days.next(), days.next(), &counts["all_time"]), (Some(&want), None, &want));
}

#[tokio::test]
async fn amounts_that_the_shop_calculates() {
    let service = Service::new();
    service.campaign("c", json!({"stock": 20})).await;
    let over = 1_000_000_000_001_u64;
    let cases = [
        ("as it says", json!({"order_amount": 500, "discount": 99, "currency": "USD"}), "201"),
        ("a discount alone", json!({"discount": 99, "currency": "USD"}), "201"),
        ("a currency alone", json!({"currency": "USD"}), "201"),
        ("nothing", json!({}), "201"),
        ("no currency", json!({"discount": 99}), "409 CURRENCY_MISMATCH"),
        (
            "more than the order",
            json!({"order_amount": 5, "discount": 6, "currency": "USD"}),
            "409 DISCOUNT_MISMATCH",
        ),
        ("no such currency", json!({"discount": 6, "currency": "usd"}), "400 INVALID"),
        ("too large an order", json!({"order_amount": over, "currency": "USD"}), "400 INVALID"),
        ("too large a discount", json!({"discount": over, "currency": "USD"}), "400 INVALID"),
        ("a point", json!({"discount": 1.5, "currency": "USD"}), "400 INVALID"),
        ("less than nothing", json!({"discount": -1, "currency": "USD"}), "400 INVALID"),
    ];
    for (nth, (name, money, want)) in cases.into_iter().enumerate() {
        let user = format!("user-{nth}");
        let code = service.issued("c", &user).await;
        let mut body = json!({"user_id": user, "order_ref": "1"});
        for (field, value) in money.as_object().into_iter().flatten() {
            body[field] = value.clone();
        }
        let answer = service.post(Shop, &format!("/v1/coupons/{code}/redeem"), body).await;
        answer.is(want, name);
        if want == "201" {
            let said = |field: &str| money.get(field).cloned().unwrap_or_default();
            let has_amount = money.get("discount").is_some();
            assert_eq!(answer.json["order_amount"], said("order_amount"), "{name}");
            assert_eq!(answer.json["discount"], said("discount"), "{name}");
            let currency = if has_amount { said("currency") } else { Value::Null };
            assert_eq!(answer.json["currency"], currency, "{name}: of no amounts");
        }
    }
}

#[tokio::test]
async fn a_budget() {
    let service = Service::new();
    let benefit = json!({"kind": "amount", "amount": 3_000});
    let terms = json!({"currency": "KRW", "benefit": benefit, "budget": 7_000, "stock": 5,
        "per_user_limit": 9});
    service.campaign("c", terms).await;
    let no_currency = json!({"campaign_id": "d", "budget": 1, "expires_on": "2027-03-31"});
    service.post(Admin, "/v1/campaigns", no_currency).await.is("400 INVALID", "in no currency");
    let mut codes = Vec::new();
    for nth in ["1", "2", "3"] {
        let body = json!({"user_id": "ann", "issue_ref": nth});
        codes.push(service.post(Shop, "/v1/campaigns/c/issue", body).await.string("code"));
    }
    let call = |nth: usize, what: &str| format!("/v1/coupons/{}/{what}", codes[nth]);
    for nth in 0..2 {
        let order = of_order(&nth.to_string(), 50_000);
        service.post(Shop, &call(nth, "redeem"), order).await.is("201", "within the budget");
    }
    let shown = service.get(Shop, "/v1/campaigns/c").await.json;
    assert_eq!((&shown["budget"], &shown["spent"]), (&json!(7_000), &json!(6_000)));
    let of_user = service.get(ANN, "/v1/campaigns/c").await.json;
    assert_eq!((&of_user["budget"], &of_user["spent"]), (&Value::Null, &Value::Null));
    let checked = service.post(Shop, &call(2, "check"), of_order("2", 50_000)).await.json;
    assert_eq!(checked["refusal"], "BUDGET_SPENT");
    let refused = service.post(Shop, &call(2, "redeem"), of_order("2", 50_000)).await;
    refused.is("409 BUDGET_SPENT", "1,000 are left");
    let patch = async |budget: Value| {
        service.patch(Admin, "/v1/campaigns/c", json!({"budget": budget})).await
    };
    patch(json!(5_999)).await.is("400 INVALID", "below what is spent");
    patch(json!(9_000)).await.is("200", "raised");
    let redeemed = service.post(Shop, &call(2, "redeem"), of_order("2", 50_000)).await;
    redeemed.is("201", "the last won");
    patch(Value::Null).await.is("200", "no budget");
    assert!(service.get(Shop, "/v1/campaigns/c").await.json["spent"].is_null());
}
