//! The event feed: who may follow it, from where, and what it says.

use engine::Role;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::service::{ANN, Admin, Asked, LONG, Nobody, Operator, Service, Shop, Who};

/// A coupon of ann that is issued, held, redeemed, and cancelled, and one of another campaign that is void.
async fn lived() -> Service {
    let service = Service::new();
    service.campaign("a", json!({"code_prefix": "AA"})).await;
    service.campaign("b", json!({})).await;
    let code = service.issued("a", "ann").await;
    service.clock.pass(1_000);
    service.does("hold", &code, "o1").await.is("201", "held");
    service.does("redeem", &code, "o1").await.is("201", "redeemed");
    let cancelled = json!({"order_ref": "o1", "reason": "sent back"});
    let path = format!("/v1/coupons/{code}/cancel-redemption");
    service.post(Shop, &path, cancelled).await.is("200", "cancelled");
    let other = service.issued("b", "bob").await;
    service.admin("void", &other, json!({"reason": "stolen"})).await.is("200", "void");
    service
}

async fn types(service: &Service, query: &str) -> Vec<String> {
    service.get(Shop, &format!("/v1/events{query}")).await.data("type")
}

#[tokio::test]
async fn what_happened_comes_in_order() {
    let service = lived().await;
    let usual = [
        "campaign.created",
        "batch.created",
        "campaign.created",
        "batch.created",
        "coupon.issued",
        "coupon.redeemed",
        "coupon.redemption_cancelled",
        "coupon.issued",
        "coupon.voided",
    ];
    let of_b = [&usual[2..4], &usual[7..]].concat();
    let cases: [(&str, &str, &[&str]); 8] = [
        ("all but holds", "", &usual),
        ("of a campaign", "?campaign_id=b", &of_b),
        ("of campaigns", "?type=campaign.created", &[usual[0], usual[2]]),
        ("of a type", "?type=coupon.held", &["coupon.held"]),
        ("of two types", "?type=coupon.held,coupon.voided", &["coupon.held", "coupon.voided"]),
        ("of both", "?type=coupon.issued&campaign_id=a", &usual[4..5]),
        ("of a campaign of nobody", "?campaign_id=nowhere", &[]),
        ("from now on", "?after=newest", &[]),
    ];
    for (name, query, want) in cases {
        assert_eq!(types(&service, query).await, want, "{name}");
    }
    let all = service.get(Operator, "/v1/events").await.json.clone();
    let redeemed = &all["data"][5];
    assert_eq!(redeemed["actor"], "shop:till-7");
    let code = redeemed["coupon"]["code"].as_str().unwrap_or_default();
    assert!(code.starts_with("AA-"), "{code} is as people read it");
    let coupon = json!({"code": code, "campaign_id": "a",
        "batch_id": redeemed["coupon"]["batch_id"], "version": 3, "user_id": "ann",
        "order_ref": "o1", "issue_ref": null, "revoke_ref": null, "reason": null,
        "expires_at": null, "held_until": null, "order_amount": null, "discount": null,
        "currency": null, "worth": null});
    assert_eq!(redeemed["coupon"], coupon);
    assert_eq!(all["data"][6]["coupon"]["reason"], "sent back");
    assert_eq!((&redeemed["change"], &all["data"][0]["coupon"]), (&Value::Null, &Value::Null));
    let minted = json!({"campaign_id": "a", "batch_id": "first", "reason": null, "changes": [
        {"field": "kind", "from": null, "to": "minted"}, {"field": "count", "from": null, "to": "10"}]});
    assert_eq!(all["data"][1]["change"], minted);
    assert_eq!(all["has_more"], false);
    assert_eq!(all["next_cursor"], all["data"][8]["cursor"]);
}

#[tokio::test]
async fn a_reader_goes_on_where_it_was() {
    let service = lived().await;
    let all = service.get(Admin, "/v1/events?limit=1000").await.json.clone();
    let all = all["data"].as_array().expect("events").clone();
    for limit in 1..=3 {
        let (mut after, mut read): (String, Vec<Value>) = (String::new(), Vec::new());
        loop {
            let page =
                service.get(Shop, &format!("/v1/events?limit={limit}{after}")).await.json.clone();
            let data = page["data"].as_array().expect("events");
            assert!(data.len() <= limit);
            read.extend(data.iter().cloned());
            after = format!("&after={}", page["next_cursor"].as_str().expect("always there"));
            if page["has_more"] == false {
                break;
            }
        }
        assert_eq!(read, all, "{limit} at a time");
        // At the end, the cursor waits for what comes.
        assert_eq!(types(&service, &format!("?{}", &after[1..])).await, Vec::<String>::new());
    }
    let after = all[5]["cursor"].as_str().expect("a cursor");
    let next = types(&service, &format!("?after={after}")).await;
    assert_eq!(next, ["coupon.redemption_cancelled", "coupon.issued", "coupon.voided"]);
}

#[tokio::test]
async fn who_may_not_and_what_is_wrong() {
    let service = lived().await;
    let ahead = service.get(Shop, "/v1/events?after=newest").await.json.clone();
    let epoch = ahead["next_cursor"].as_str().and_then(|cursor| cursor.split('-').next());
    let ahead = format!("{}-900", epoch.expect("a cursor"));
    let cases: [(&str, Who, String, &str); 7] = [
        ("a user", ANN, String::new(), "403 FORBIDDEN null"),
        ("a cursor of nothing", Shop, "?after=x".to_owned(), "400 INVALID \"after\""),
        ("behind a backup", Shop, format!("?after={ahead}"), "410 CURSOR_GONE null"),
        ("no such type", Shop, "?type=coupon.eaten".to_owned(), "400 INVALID \"type\""),
        ("too many", Shop, "?limit=1001".to_owned(), "400 INVALID \"limit\""),
        ("no name", Shop, "?reader=a%20b".to_owned(), "400 INVALID \"reader\""),
        ("no such parameter", Shop, "?since=1".to_owned(), "400 INVALID \"since\""),
    ];
    for (name, who, query, want) in cases {
        let answer = service.get(who, &format!("/v1/events{query}")).await;
        let field = &answer.json["errors"][0]["field"];
        assert_eq!(format!("{} {field}", answer.word()), want, "{name}");
    }
    let gone = service.get(Shop, &format!("/v1/events?after={ahead}")).await.json.clone();
    let go_on = gone["next_cursor"].as_str().expect("where to go on");
    assert_eq!(types(&service, &format!("?after={go_on}")).await, Vec::<String>::new());
}

/// A reader that says its name is in the metrics: how old the first event is with which it has not dealt.
#[tokio::test]
async fn readers_with_a_name() {
    let service = lived().await;
    let behind = async |name: &str| {
        let metrics = service.get(Nobody, "/metrics").await.text.clone();
        let series = format!("couponry_feed_reader_behind_seconds{{reader=\"{name}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse::<f64>().ok())
    };
    let first = service.get(Shop, "/v1/events?limit=1").await.json.clone();
    let next = first["next_cursor"].as_str().expect("a cursor");
    service.get(Shop, &format!("/v1/events?after={next}&reader=slow")).await.is("200", "slow");
    service.get(Shop, "/v1/events?after=newest&reader=fast").await.is("200", "fast");
    service.clock.pass(3_600_000);
    let (slow, fast) = (behind("slow").await.expect("it"), behind("fast").await.expect("it"));
    assert!(slow >= fast && fast >= 3_600.0, "{slow} {fast}");
    service.get(Shop, "/v1/events?after=newest&reader=fast").await.is("200", "fast");
    assert!(behind("fast").await.expect("it") < 3_600.0);
    assert_eq!(behind("nobody").await, None);
}

#[tokio::test]
async fn a_stream_waits_for_what_comes() {
    let service = lived().await;
    let all = service.get(Shop, "/v1/events").await.json.clone();
    let mut stream = service.stream("/v1/events?limit=2", None).await;
    for want in all["data"].as_array().expect("events") {
        let event = stream.next().await;
        assert_eq!(event["id"], want["cursor"].as_str().unwrap_or_default());
        assert_eq!(event["event"], want["type"].as_str().unwrap_or_default());
        let data: Value = serde_json::from_str(&event["data"]).expect("JSON");
        assert_eq!(&data, want);
    }
    // At the end: the next event comes when it happens.
    let code = service.issued("b", "cat").await;
    let event = stream.next().await;
    assert_eq!(event["event"], "coupon.issued");
    assert!(event["data"].contains(&code), "{}", event["data"]);
    // Who was cut off goes on behind the last event that came.
    let third = all["data"][2]["cursor"].as_str().expect("a cursor");
    let mut again = service.stream("/v1/events?after=newest", Some(third)).await;
    assert_eq!(again.next().await["id"], all["data"][3]["cursor"].as_str().unwrap_or_default());
}

#[tokio::test]
async fn streams_are_bounded() {
    let service = lived().await;
    let shops: Vec<String> =
        (0..9).map(|nth| service.token(Role::Shop, &format!("till-{nth}"))).collect();
    let refused = async |shop: &str, why: &str| {
        let asked = Asked::new("GET", "/v1/events").header("accept", "text/event-stream");
        let refused = service.send(Who::Token(shop), asked).await;
        refused.is("429 TOO_MANY", why);
        assert_eq!(refused.header("retry-after"), Some("5"), "{why}");
        assert_eq!(refused.string("detail"), why);
    };
    let mut streams = Vec::new();
    for shop in &shops[..8] {
        for _ in 0..32 {
            streams.push(service.stream_of(Who::Token(shop), "/v1/events", None).await);
        }
        refused(shop, "too many streams of events of this caller").await;
    }
    refused(&shops[8], "too many streams of events").await;
    let page = service.get(Who::Token(&shops[8]), "/v1/events").await;
    page.is("200", "a page needs no place");
    streams.pop();
    let again = service.stream_of(Who::Token(&shops[7]), "/v1/events", None).await.next().await;
    assert_eq!(again["event"], "campaign.created");
}

#[tokio::test]
async fn what_is_long_ends_with_its_token() {
    const LOOK_AGAIN_MS: i64 = 10_000;
    let service = lived().await;
    service.campaign("long", json!({"stock": 50_000})).await;
    let minted = |role| service.token(role, "long");
    let (shop, admin) = (minted(Role::Shop), minted(Role::Admin));
    // Both tokens expire between the two looks.
    service.clock.pass(3_600_000 - LOOK_AGAIN_MS / 2);
    let mut stream = service.stream_of(Who::Token(&shop), "/v1/events?after=newest", None).await;
    let codes = "/v1/campaigns/long/codes";
    let mut download = service.download(Who::Token(&admin), codes).await;
    service.clock.pass(LOOK_AGAIN_MS - 1);
    let code = service.issued("b", "eve").await;
    assert!(stream.next().await["data"].contains(&code), "before it looks again");
    download.frame().await.expect("a piece").expect("before it looks again");
    service.clock.pass(1);
    let end = timeout(LONG, stream.has_ended()).await;
    assert!(end.expect("an end"), "the token is no longer good");
    let mut rest = download;
    let broken = async {
        while let Some(piece) = rest.frame().await {
            if piece.is_err() {
                return true;
            }
        }
        false
    };
    assert!(broken.await, "the list breaks off: nobody takes it for the end");
}
