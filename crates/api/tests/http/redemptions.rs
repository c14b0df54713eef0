//! What an order has redeemed, and lists of redemptions, in whichever tier the coupons are.

use serde_json::{Value, json};

use crate::service::{ANN, Admin, Answer, Asked, Operator, Service, Shop};

/// The redemptions of an answer: `order_ref redeemed_at`, and ` cancelled`.
fn lines(answer: &Answer) -> Vec<String> {
    let data = answer.json["data"].as_array().unwrap_or_else(|| panic!("{}", answer.text));
    let line = |it: &Value| {
        let text = |field: &str| it[field].as_str().expect("a text").to_owned();
        let cancelled = if it["cancelled_at"].is_null() { "" } else { " cancelled" };
        format!("{} {}{cancelled}", text("order_ref"), text("redeemed_at"))
    };
    data.iter().map(line).collect()
}

/// Two campaigns whose redemptions are final at once, and a third one without any.
async fn service() -> Service {
    let service = Service::new();
    let terms = json!({"cancel_days": 1, "per_user_limit": 100, "time_zone": "Asia/Seoul"});
    for id in ["a", "b", "c"] {
        service.campaign(id, terms.clone()).await;
    }
    for (at, campaign, order) in [
        ("2026-11-20T14:59:59Z", "a", "o1"),
        ("2026-11-20T15:00:00Z", "a", "o2"),
        ("2026-11-20T15:00:00Z", "b", "o3"),
        ("2026-11-21T08:00:00Z", "b", "o4"),
    ] {
        service.set(at);
        let body = json!({"user_id": "ann", "issue_ref": order});
        let issued = service.post(Shop, &format!("/v1/campaigns/{campaign}/issue"), body).await;
        let code = issued.string("code");
        service.does("redeem", &code, order).await.is("201", order);
        if order == "o2" {
            service.cancel(Shop, &code, order).await.is("200", "cancelled");
            service.does("redeem", &code, "o2-2").await.is("201", "again");
        }
    }
    service.set("2026-11-25T00:00:00Z");
    service
}

#[tokio::test]
async fn newest_first_in_either_tier() {
    let service = service().await;
    let [o1, o2, again, o3, o4] = [
        "o1 2026-11-20T14:59:59.000Z",
        "o2 2026-11-20T15:00:00.000Z cancelled",
        "o2-2 2026-11-20T15:00:00.000Z",
        "o3 2026-11-20T15:00:00.000Z",
        "o4 2026-11-21T08:00:00.000Z",
    ];
    let cases: [(&str, &str, &[&str]); 7] = [
        ("all", "from=2026-11-20&to=2026-11-21", &[o4, again, o2, o3, o1]),
        ("a campaign, in its zone", "campaign_id=a&from=2026-11-20&to=2026-11-20", &[o1]),
        ("the day after it", "campaign_id=a&from=2026-11-21&to=2026-11-21", &[again, o2]),
        ("in another zone", "campaign_id=b&from=2026-11-20&to=2026-11-20&time_zone=UTC", &[o3]),
        ("none on these days", "from=2026-11-22&to=2027-11-22", &[]),
        ("none of this campaign", "campaign_id=c&from=2026-01-01&to=2026-12-31", &[]),
        ("an order", "order_ref=o2", &[o2]),
    ];
    for (name, query, want) in cases {
        let answer = service.get(Operator, &format!("/v1/redemptions?{query}")).await;
        let (mut found, mut want) = (lines(&answer), want.to_vec());
        // Those of one instant are in the order of the tier.
        found.sort_by_key(|line| line.clone());
        want.sort_unstable();
        assert_eq!(found, want, "{name}");
        assert_eq!(answer.json["next_cursor"], Value::Null, "{name}");
    }
}

#[tokio::test]
async fn page_by_page() {
    let service = service().await;
    let query = "/v1/redemptions?from=2026-11-20&to=2026-11-21";
    let all = lines(&service.get(Shop, query).await);
    assert_eq!(all.len(), 5);
    for limit in 1..=5 {
        let (mut found, mut next) = (Vec::new(), String::new());
        for _ in 0..6 {
            let page = service.get(Shop, &format!("{query}&limit={limit}{next}")).await;
            found.extend(lines(&page));
            match page.json["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(found, all, "{limit} a page");
    }
    let other = "/v1/redemptions?campaign_id=a&from=2026-11-20&to=2026-11-21";
    let page = service.get(Shop, &format!("{query}&limit=1")).await;
    let cursor = page.string("next_cursor");
    let found = service.get(Shop, &format!("{other}&cursor={cursor}")).await;
    found.is("400 INVALID", "a cursor of another list");
}

#[tokio::test]
async fn what_an_order_has_redeemed() {
    let service = service().await;
    let file = "code,state,user_id,redeemed_at,order_ref\n\
        OLDSHOP1,redeemed,ann,2025-03-01T10:00:00Z,4711\n\
        OLDSHOP2,redeemed,bob,2025-03-01T11:00:00Z,4711\n\
        OLDSHOP3,redeemed,bob,2025-03-01T12:00:00Z,\n";
    service.import("c", "old", file).await.is("201", "imported");
    let cases: [(&str, &str, &[&str]); 6] = [
        ("live", "order_ref=o4", &["o4 2026-11-21T08:00:00.000Z"]),
        ("cancelled", "order_ref=o2", &["o2 2026-11-20T15:00:00.000Z cancelled"]),
        (
            "imported, of two coupons",
            "order_ref=4711",
            &["4711 2025-03-01T11:00:00.000Z", "4711 2025-03-01T10:00:00.000Z"],
        ),
        (
            "imported without an order",
            "order_ref=import:OLDSHOP3",
            &["import:OLDSHOP3 2025-03-01T12:00:00.000Z"],
        ),
        ("of another campaign", "order_ref=o4&campaign_id=a", &[]),
        ("of no coupon", "order_ref=nobodys", &[]),
    ];
    for (name, query, want) in cases {
        let answer = service.get(Shop, &format!("/v1/redemptions?{query}")).await;
        assert_eq!(lines(&answer), want, "{name}");
    }
}

#[tokio::test]
async fn as_a_file_for_a_spreadsheet() {
    let service = Service::new();
    let name = "=2+2, \"Frühling\" 봄";
    let terms = json!({"name": name, "cancel_days": 1, "time_zone": "Asia/Seoul"});
    service.campaign("a", terms).await;
    service.set("2026-11-20T15:30:05.678Z");
    let code = service.issued("a", "ann").await;
    let money = json!({
        "user_id": "ann", "order_ref": "@o1", "order_amount": 500, "discount": 5, "currency": "USD",
    });
    let redeemed = service.post(Shop, &format!("/v1/coupons/{code}/redeem"), money).await;
    redeemed.is("201", "redeemed");
    let reason = json!({"order_ref": "@o1", "reason": "=cmd()"});
    service.post(Shop, &format!("/v1/coupons/{code}/cancel-redemption"), reason).await;
    service.set("2027-11-25T00:00:00Z");
    let target = "/v1/redemptions?campaign_id=a&from=2026-11-21&to=2026-11-21";
    let file = service.send(Operator, Asked::new("GET", target).header("accept", "text/csv")).await;
    assert_eq!(file.header("content-type"), Some("text/csv; charset=utf-8"));
    let want = format!(
        "\u{feff}code,campaign_id,campaign_name,batch_id,user_id,order_ref,redeemed_at,cancelled_at,\
         cancel_reason,time_zone,order_amount,discount,currency\n{code},a,\"'=2+2, \"\"Frühling\"\" 봄\",first,ann,'@o1,\
         2026-11-21 00:30:05,2026-11-21 00:30:05,'=cmd(),Asia/Seoul,500,5,USD\n"
    );
    assert_eq!(file.text, want);
    let limited = Asked::new("GET", &format!("{target}&limit=5")).header("accept", "text/csv");
    service.send(Operator, limited).await.is("400 INVALID", "a page of a file");
}

#[tokio::test]
async fn who_may_not_and_what_is_wrong() {
    let service = service().await;
    let days = "from=2026-11-20&to=2026-11-20";
    let cases = [
        ("a user", ANN, days.to_owned(), "403 FORBIDDEN"),
        ("no such campaign", Admin, format!("campaign_id=x&{days}"), "404 NOT_FOUND"),
        ("neither order nor days", Admin, "campaign_id=a".to_owned(), "400 INVALID"),
        ("half a span", Admin, "from=2026-11-20".to_owned(), "400 INVALID"),
        ("too long", Admin, "from=2026-01-01&to=2027-01-02".to_owned(), "400 INVALID"),
        ("no such zone", Admin, format!("time_zone=Mars&{days}"), "400 INVALID"),
        ("too many", Admin, format!("limit=1001&{days}"), "400 INVALID"),
    ];
    for (name, who, query, want) in cases {
        service.get(who, &format!("/v1/redemptions?{query}")).await.is(want, name);
    }
    let without = Service::with(
        hot_sqlite::SqliteOptions { events: false, ..crate::service::options() },
        crate::service::code_keys,
    );
    without.get(Shop, "/v1/redemptions?order_ref=o1").await.is("501 NOT_KEPT", "without events");
    without.get(Shop, "/v1/orders/o1").await.is("501 NOT_KEPT", "an order");
    let all = without.post(Shop, "/v1/orders/o1/cancel", json!({})).await;
    all.is("400 INVALID", "nobody knows which coupons");
    let list = without.get(Shop, &format!("/v1/redemptions?{days}")).await;
    assert_eq!(lines(&list), Vec::<String>::new());
}
