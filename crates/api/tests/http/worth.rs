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
