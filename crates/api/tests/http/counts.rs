//! Sums by the hour and the day: of a campaign, and of all.

use serde_json::{Value, json};

use crate::service::{ANN, Admin, Operator, Service, Shop};

/// The items in which anything was done: `begins_at issued redeemed cancelled`, and what was refused.
async fn lines(service: &Service, target: &str) -> Vec<String> {
    let answer = service.get(Operator, target).await;
    let data = answer.json["data"].as_array().unwrap_or_else(|| panic!("{}", answer.text));
    let line = |it: &Value| {
        let refused = it["refused"].as_array().expect("a list").iter();
        let refused = refused
            .map(|it| format!(" {} {}", it["problem"].as_str().expect("a code"), it["count"]));
        let refused: String = refused.collect();
        let counts =
            ["issued", "redeemed", "redemptions_cancelled"].map(|name| it[name].to_string());
        format!("{} {}{refused}", it["begins_at"].as_str().expect("an instant"), counts.join(" "))
    };
    data.iter().map(line).filter(|line| !line.ends_with("Z 0 0 0")).collect()
}

#[tokio::test]
async fn what_was_done_in_each_hour() {
    let service = Service::new();
    service.campaign("a", json!({"time_zone": "Asia/Kolkata"})).await;
    service.campaign("b", json!({"stock": 1})).await;
    service.set("2026-11-20T18:20:00Z");
    let first = service.issued("a", "ann").await;
    service.does("redeem", &first, "o1").await.is("201", "redeemed");
    service.does("redeem", &first, "o1").await.is("200", "a replay counts nothing");
    service.set("2026-11-20T18:40:00Z");
    service.cancel(Shop, &first, "o1").await.is("200", "cancelled");
    service.does("redeem", &first, "o2").await.is("201", "redeemed");
    service.does("redeem", &first, "o3").await.is("409 ALREADY_REDEEMED", "again");
    service.does("hold", &first, "o3").await.is("409 ALREADY_REDEEMED", "held");
    service.issued("b", "ann").await;
    let sold_out = service.post(Shop, "/v1/campaigns/b/issue", json!({"user_id": "bob"})).await;
    sold_out.is("409 SOLD_OUT", "sold out");
    service.does("redeem", "NOSUCHCODE", "o4").await.is("404 NOT_FOUND", "unknown");
    let day = "from=2026-11-20&to=2026-11-21";
    // Midnight in Kolkata is half past six in the evening of UTC.
    let by_day =
        ["2026-11-19T18:30:00.000Z 1 1 0", "2026-11-20T18:30:00.000Z 0 1 1 ALREADY_REDEEMED 2"];
    let of_all = ["2026-11-20T00:00:00.000Z 2 2 1 ALREADY_REDEEMED 2 NOT_FOUND 1 SOLD_OUT 1"];
    let cases: [(&str, String, &[&str]); 6] = [
        ("its own zone", format!("/v1/campaigns/a/counts?{day}"), &by_day),
        (
            "another zone",
            format!("/v1/campaigns/a/counts?{day}&time_zone=UTC"),
            &["2026-11-20T00:00:00.000Z 1 2 1 ALREADY_REDEEMED 2"],
        ),
        (
            "by the hour",
            format!("/v1/campaigns/a/counts?by=hour&{day}"),
            &[
                "2026-11-20T17:30:00.000Z 1 1 0",
                "2026-11-20T18:30:00.000Z 0 1 1 ALREADY_REDEEMED 2",
            ],
        ),
        (
            "another campaign",
            format!("/v1/campaigns/b/counts?{day}"),
            &["2026-11-20T00:00:00.000Z 1 0 0 SOLD_OUT 1"],
        ),
        ("of all", format!("/v1/counts?{day}"), &of_all),
        ("another day", "/v1/counts?from=2026-11-22&to=2026-11-22".to_owned(), &[]),
    ];
    for (name, target, want) in cases {
        assert_eq!(lines(&service, &target).await, want, "{name}");
    }
    let all = service.get(Shop, &format!("/v1/counts?by=hour&{day}")).await;
    assert_eq!(all.json["data"].as_array().map(Vec::len), Some(48), "also those with nothing");
    assert_eq!(all.json["time_zone"], "UTC");
}

#[tokio::test]
async fn who_may_not_and_what_is_wrong() {
    let service = Service::new();
    let day = "from=2026-11-20&to=2026-11-20";
    let cases = [
        ("a user", ANN, format!("/v1/counts?{day}"), "403 FORBIDDEN"),
        ("no such campaign", Admin, format!("/v1/campaigns/x/counts?{day}"), "404 NOT_FOUND"),
        ("no days", Admin, "/v1/counts".to_owned(), "400 INVALID"),
        ("by the week", Admin, format!("/v1/counts?by=week&{day}"), "400 INVALID"),
        ("no such zone", Admin, format!("/v1/counts?time_zone=Mars&{day}"), "400 INVALID"),
        (
            "too many hours",
            Admin,
            "/v1/counts?by=hour&from=2026-01-01&to=2026-02-01".to_owned(),
            "400 INVALID",
        ),
        (
            "the wrong way round",
            Admin,
            "/v1/counts?from=2026-02-02&to=2026-02-01".to_owned(),
            "400 INVALID",
        ),
    ];
    for (name, who, target, want) in cases {
        service.get(who, &target).await.is(want, name);
    }
}
