//! Refused attempts: which are kept, who finds them, and by what.

use std::time::{Duration, Instant};

use api::AccessPolicy;
use serde_json::{Value, json};

use crate::service::{ANN, Admin, Nobody, Operator, Service, Shop, Who};

/// `action code user order actor problem unknown` of the attempts that a search finds.
async fn lines(service: &Service, who: Who<'_>, query: &str) -> Vec<String> {
    let answer = service.get(who, &format!("/v1/attempts{query}")).await;
    let fields = ["action", "code", "user_id", "order_ref", "actor", "problem", "unknown"];
    let data = answer.json["data"].as_array().unwrap_or_else(|| panic!("{}", answer.text));
    let line = |it: &Value| fields.map(|field| it[field].as_str().unwrap_or("-")).join(" ");
    data.iter().map(line).collect()
}

/// The same, when there are so many: those with an unknown code are kept a moment after the answer.
async fn when(service: &Service, who: Who<'_>, query: &str, count: usize) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let found = lines(service, who, query).await;
        if found.len() >= count || begun.elapsed() > Duration::from_secs(60) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn why_it_did_not_work() {
    let service = Service::new();
    service.campaign("c", json!({"stock": 2, "handout": "self"})).await;
    let code = service.issued("c", "ann").await;
    service.does("redeem", &code, "o1").await.is("201", "redeemed");
    service.does("redeem", &code, "o2").await.is("409 ALREADY_REDEEMED", "again");
    service.does("check", &code, "o2").await.is("200", "checked");
    service.does("hold", &code, "o3").await.is("409 ALREADY_REDEEMED", "held");
    service.cancel(Shop, &code, "o9").await.is("409 NOT_REDEEMED", "cancelled");
    service.post(ANN, "/v1/campaigns/c/issue", json!({})).await;
    service.issued("c", "bob").await;
    let late = service.post(Who::User("cat"), "/v1/campaigns/c/issue", json!({})).await;
    late.is("409 SOLD_OUT", "late");
    // A replay, a read and a call that makes no sense are not refused attempts.
    service.does("redeem", &code, "o1").await.is("200", "a replay");
    service.get(Shop, "/v1/coupons/AAAA").await.is("404 NOT_FOUND", "a read");
    service.post(Shop, &format!("/v1/coupons/{code}/redeem"), json!({})).await;

    let cancelled = format!("cancel-redemption {code} - o9 shop:till-7 NOT_REDEEMED -");
    let want = [
        "issue - cat - user:cat SOLD_OUT -".to_owned(),
        cancelled,
        format!("hold {code} ann o3 shop:till-7 ALREADY_REDEEMED -"),
        format!("check {code} ann o2 shop:till-7 ALREADY_REDEEMED -"),
        format!("redeem {code} ann o2 shop:till-7 ALREADY_REDEEMED -"),
    ];
    assert_eq!(lines(&service, Operator, "").await, want);
    let bare = code.replace('-', "").to_lowercase();
    let cases = [
        ("of a code", format!("?code={bare}"), &want[1..]),
        ("of a user", "?user_id=cat".to_owned(), &want[..1]),
        ("of an order", "?order_ref=o2".to_owned(), &want[3..]),
        ("for a reason", "?problem=SOLD_OUT".to_owned(), &want[..1]),
        ("of both", "?order_ref=o2&problem=SOLD_OUT".to_owned(), &want[..0]),
    ];
    for (name, query, want) in cases {
        assert_eq!(lines(&service, Admin, &query).await, want, "{name}");
    }
    assert_eq!(lines(&service, Shop, "").await, want[1..], "a shop finds its own");
    // Page by page it is the same.
    let (mut read, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = format!("?limit=2{cursor}");
        read.extend(lines(&service, Admin, &query).await);
        let page = service.get(Admin, &format!("/v1/attempts{query}")).await;
        match page.json["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(read, want);
}

#[tokio::test]
async fn unknown_codes_are_masked_and_looked_at() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.codes("c").await.remove(0);
    let bare = code.replace('-', "");
    let other = |at: usize| if &bare[at..=at] == "7" { "8" } else { "7" };
    let mistyped = format!("{}{}", &bare[..15], other(15));
    let forged = format!("{}{}{}", other(0), &bare[1..15], other(15));
    for text in [&mistyped, &forged, "SUMMER2026"] {
        service.does("redeem", text, "o1").await.is("404 NOT_FOUND", text);
    }
    let masked = |text: &str| format!("{}{}{}", &text[..4], "*".repeat(10), &text[14..]);
    let line =
        |code: &str, unknown: &str| format!("redeem {code} ann o1 shop:till-7 NOT_FOUND {unknown}");
    let mut found = when(&service, Admin, "", 3).await;
    let mut want = [
        line(&masked(&mistyped), "mistyped"),
        line(&masked(&forged), "forged"),
        line("SUMM****26", "other"),
    ];
    found.sort();
    want.sort();
    assert_eq!(found, want);
    let of_code = lines(&service, Admin, &format!("?code={mistyped}")).await;
    assert_eq!(of_code, [line(&masked(&mistyped), "mistyped")], "whoever knows the code finds it");
    let of_shop = lines(&service, Shop, "?code=summer-2026").await;
    assert_eq!(of_shop, [line("SUMM****26", "-")], "a shop could find codes with it");
}

#[tokio::test]
async fn real_codes_are_not_called_unknown() {
    let service = Service::new();
    service.campaign("c", json!({"stock": 5, "handout": "self"})).await;
    let of_ann = service.issued("c", "ann").await;
    let of_nobody = service.codes("c").await.remove(0);
    let bob = Who::User("bob");
    for (code, order) in [(&of_ann, "o1"), (&of_nobody, "o2")] {
        let path = format!("/v1/coupons/{code}/redeem");
        service.post(bob, &path, json!({"order_ref": order})).await.is("404 NOT_FOUND", order);
    }
    let for_bob = json!({"user_id": "bob", "order_ref": "o3"});
    let path = format!("/v1/coupons/{of_ann}/redeem");
    service.post(Shop, &path, for_bob).await.is("404 NOT_FOUND", "by a shop");
    let mut found = when(&service, Admin, "", 3).await;
    found.sort();
    let line = |code: &str, order: &str, actor: &str, reason: &str| {
        format!("redeem {code} bob {order} {actor} NOT_FOUND {reason}")
    };
    let mut want = [
        line(&of_ann, "o1", "user:bob", "of_another_user"),
        line(&of_nobody, "o2", "user:bob", "not_issued"),
        line(&of_ann, "o3", "shop:till-7", "of_another_user"),
    ];
    want.sort();
    assert_eq!(found, want);
    assert_eq!(lines(&service, Admin, &format!("?code={of_ann}")).await.len(), 2, "by its code");
    // A shop finds what it tried itself, and is not told that there is such a coupon.
    let masked = format!("{}-****-****-**{}", &of_ann[..4], &of_ann[17..]);
    let of_shop = lines(&service, Shop, &format!("?code={of_ann}")).await;
    assert_eq!(of_shop, [line(&masked, "o3", "shop:till-7", "-")]);
}

#[tokio::test]
async fn wrong_passwords() {
    let service = Service::new();
    let ann = json!({"login_id": "ann@example.com", "password": "correct horse"});
    let user = service.post(Nobody, "/v1/users", ann).await.string("user_id");
    for login in ["ann@example.com", "secret-that-is-no-login"] {
        let body = json!({"login_id": login, "password": "a wrong one"});
        service.post(Nobody, "/v1/sessions", body).await.is("401 UNAUTHENTICATED", login);
    }
    let mut found = when(&service, Admin, "?problem=UNAUTHENTICATED", 2).await;
    found.sort();
    let want = [
        "sign-in - - - - UNAUTHENTICATED -".to_owned(),
        format!("sign-in - {user} - - UNAUTHENTICATED -"),
    ];
    assert_eq!(found, want);
    let all = service.get(Admin, "/v1/attempts").await;
    assert!(!all.text.contains("secret"), "a login may be a password: {}", all.text);
}

#[tokio::test]
async fn who_may_not_and_what_is_wrong() {
    let service = Service::new();
    let cases = [
        ("a user", ANN, "", "403 FORBIDDEN"),
        ("no such reason", Shop, "?problem=OOPS", "400 INVALID"),
        ("no code", Shop, "?code=x", "400 INVALID"),
        ("a cursor of nothing", Shop, "?cursor=x", "400 INVALID"),
        ("too many", Shop, "?limit=1001", "400 INVALID"),
        ("no such parameter", Shop, "?since=1", "400 INVALID"),
    ];
    for (name, who, query, want) in cases {
        service.get(who, &format!("/v1/attempts{query}")).await.is(want, name);
    }
    let without = service.allowing(AccessPolicy::default());
    without.get(Admin, "/v1/attempts").await.is("501 NOT_KEPT", "nowhere to keep them");
}
