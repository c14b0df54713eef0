//! Guessers learn nothing from answers, and are soon refused.

use coupon::time::Day;
use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::{Value, json};

use super::problems::write_lock;
use crate::service::{ANN, Admin, Answer, Asked, BOB, CODE_KEY, Service, Shop, Who};

/// 2030-01-01, a day on which no batch here ends.
const FORGED_DAY: i32 = 21_915;

/// A code that opens, and stands in no batch: serials are counted from 0.
fn forged() -> String {
    let key = coupon::minted::CodeKey::new(CODE_KEY);
    let day = Day(FORGED_DAY);
    key.mint(day, 0).to_string()
}

/// The answer but for its request's id.
fn blind(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let id = answer.string("request_id");
    let headers = answer.headers.iter().filter(|(name, _)| name.as_str() != "x-request-id");
    let headers = headers.map(|(name, value)| (name.to_string(), format!("{value:?}")));
    (answer.status, headers.collect(), answer.text.replace(&id, "ID"))
}

#[tokio::test]
async fn coupons_of_others_are_not_found() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    service.campaign("b", json!({"handout": "bearer"})).await;
    service.campaign("s", json!({"handout": "shared", "shared_code": "SUMMER"})).await;
    service.import("c", "old", "code\nOLD-0001\n").await.is("201", "import");
    let anns = service.issued("c", "ann").await;
    let untouched = service.codes("c").await.remove(0);
    let mut wrong = anns.clone();
    let last = wrong.pop();
    wrong.push(if last == Some('0') { '1' } else { '0' });
    let codes = [
        ("unknown", "NOSUCHCODE".to_owned()),
        ("unknown, of the length of a minted one", "Z".repeat(16)),
        ("one wrong character", wrong),
        ("forged under the right key", forged()),
        ("malformed", "A%2FB".to_owned()),
        ("too short", "ABC".to_owned()),
        ("too long", "A".repeat(65)),
        ("far too long", "A".repeat(1_000)),
        ("no ASCII", "%C3%84%C3%84%C3%84%C3%84".to_owned()),
        ("no UTF-8", "%FF%FF%FF%FF".to_owned()),
        ("ann's", anns.clone()),
        ("nobody's", untouched.clone()),
        ("nobody's, imported", "OLD0001".to_owned()),
    ];
    // Requests of users about a code, and of a shop for a user.
    let calls: [(&str, &str, Value, Who<'_>); 12] = [
        ("GET", "", Value::Null, BOB),
        ("POST", "/check", json!({"order_ref": "1"}), BOB),
        ("POST", "/hold", json!({"order_ref": "1"}), BOB),
        ("POST", "/redeem", json!({"order_ref": "1"}), BOB),
        ("POST", "/release", json!({"order_ref": "1"}), BOB),
        ("POST", "/cancel-redemption", json!({"order_ref": "1"}), BOB),
        ("POST", "/issue", json!({}), BOB),
        ("GET", "?user_id=bob", Value::Null, Shop),
        ("POST", "/check", json!({"user_id": "bob", "order_ref": "1"}), Shop),
        ("POST", "/hold", json!({"user_id": "bob", "order_ref": "1"}), Shop),
        ("POST", "/redeem", json!({"user_id": "bob", "order_ref": "1"}), Shop),
        ("GET", "?user_id=bob", Value::Null, Admin),
    ];
    for (nth, (method, what, body, who)) in calls.iter().enumerate() {
        let mut first = None;
        for (name, code) in &codes {
            // A shop may know that the coupon has no holder.
            let told =
                matches!(who, Who::Shop) && name.starts_with("nobody's") && *method == "POST";
            service.clock.pass(api::GUESS_WINDOW_MS);
            let target = format!("/v1/coupons/{code}{what}");
            let answer = match body.is_null() {
                true => service.get(*who, &target).await,
                false => service.post(*who, &target, body.clone()).await,
            };
            let name = format!("{method} {what} #{nth} {name}");
            if told {
                let refusal = answer.json["refusal"].clone();
                assert!(answer.word() == "409 NOT_ISSUED" || refusal == "NOT_ISSUED", "{name}");
                continue;
            }
            answer.is("404 NOT_FOUND", &name);
            let found = blind(&answer);
            match &first {
                None => first = Some(found),
                Some(first) => assert_eq!(&found, first, "{name}"),
            }
        }
    }
    let coupon = service.coupon(&anns).await;
    assert_eq!((&coupon["version"], &coupon["state"]), (&json!(1), &json!("issued")));
}

#[tokio::test]
async fn a_bearer_sees_no_other_user() {
    let service = Service::new();
    service.campaign("b", json!({"handout": "bearer", "per_user_limit": null})).await;
    let codes = service.codes("b").await;
    let redeem = |who, code: &str| {
        let target = format!("/v1/coupons/{code}/redeem");
        let service = &service;
        async move { service.post(who, &target, json!({"order_ref": "secret-991"})).await }
    };
    let put = format!("/v1/coupons/{}/issue", codes[1]);
    service.post(ANN, &put, json!({})).await.is("201", "into ann's wallet");
    let hold = format!("/v1/coupons/{}/hold", codes[2]);
    service.post(ANN, &hold, json!({"order_ref": "secret-991"})).await.is("201", "held");
    redeem(ANN, &codes[3]).await.is("201", "redeemed");
    let cases = [
        ("untouched", &codes[0], "available", 0),
        ("in ann's wallet", &codes[1], "issued", 1),
        ("held for ann", &codes[2], "available", 0),
        ("redeemed by ann", &codes[3], "redeemed", 1),
    ];
    for (name, code, state, events) in cases {
        let target = format!("/v1/coupons/{code}");
        let seen = service.get(BOB, &target).await;
        assert_eq!(seen.is("200", name).json["state"], state, "{name}");
        assert!(seen.json["holder"].is_null(), "{name}");
        assert!(seen.json["order_ref"].is_null(), "{name}");
        assert_eq!(seen.json["events"], json!([]), "{name}");
        assert!(!seen.text.contains("ann") && !seen.text.contains("secret"), "{name}");
        let check = service.post(BOB, &format!("{target}/check"), json!({"order_ref": "2"})).await;
        assert!(!check.text.contains("ann") && !check.text.contains("secret"), "{name}");
        let refused = redeem(BOB, code).await;
        assert!(!refused.text.contains("ann"), "{name}: {}", refused.text);
        let whole = service.get(Shop, &target).await;
        if name != "untouched" {
            assert!(whole.json["events"].as_array().is_some_and(|it| it.len() >= events), "{name}");
        }
    }
    // Only its holder sees a coupon that is in a wallet.
    let target = format!("/v1/coupons/{}", codes[3]);
    let own = service.get(ANN, &target).await;
    assert_eq!(
        (&own.json["holder"], &own.json["order_ref"]),
        (&json!("ann"), &json!("secret-991"))
    );
    for what in ["release", "cancel-redemption"] {
        let target = format!("/v1/coupons/{}/{what}", codes[3]);
        let answer = service.post(BOB, &target, json!({"order_ref": "secret-991"})).await;
        answer.is("404 NOT_FOUND", what);
    }
}

#[tokio::test]
async fn a_forged_code_costs_no_read() {
    // The compactor reads, too.
    let service = Service::new().by_hand();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    let bare = code.replace('-', "");
    let alphabet = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let before = service.engine.hot().gauge().reads;
    let mut forged = 0;
    for at in 0..bare.len() {
        for other in alphabet.iter().filter(|other| **other != bare.as_bytes()[at]) {
            let mut wrong = bare.clone().into_bytes();
            wrong[at] = *other;
            let wrong = String::from_utf8_lossy(&wrong).into_owned();
            let target = format!("/v1/coupons/{wrong}?user_id=u{forged}");
            service.get(Shop, &target).await.is("404 NOT_FOUND", &wrong);
            let body = json!({"user_id": format!("v{forged}"), "order_ref": "1"});
            let target = format!("/v1/coupons/{wrong}/redeem");
            service.post(Shop, &target, body).await.is("404 NOT_FOUND", &wrong);
            forged += 2;
        }
    }
    for at in 0..bare.len() - 1 {
        let mut swapped = bare.clone().into_bytes();
        swapped.swap(at, at + 1);
        let swapped = String::from_utf8_lossy(&swapped).into_owned();
        if swapped != bare {
            let target = format!("/v1/coupons/{swapped}?user_id=w{at}");
            service.get(Shop, &target).await.is("404 NOT_FOUND", &swapped);
        }
    }
    assert!(forged >= 960, "{forged}");
    assert_eq!(service.engine.hot().gauge().reads, before, "no read for {forged} forged codes");
    let metrics = service.get(Who::Nobody, "/metrics").await;
    assert!(metrics.is("200", "metrics").text.contains("couponry_hot_reads_total"));

    service.coupon(&code).await;
    assert!(service.engine.hot().gauge().reads > before, "a real code costs reads");
    // After the first long foreign code a failed tag costs one look-up in the directory.
    service.import("c", "long", "code\nALONGFOREIGNCODE\n").await.is("201", "import");
    let before = service.engine.hot().gauge().reads;
    let target = "/v1/coupons/ZZZZZZZZZZZZZZZZ?user_id=x";
    service.get(Shop, target).await.is("404 NOT_FOUND", "no such long code");
    assert_eq!(service.engine.hot().gauge().reads, before + 1);
}

#[tokio::test]
async fn unknown_codes_are_counted_for_each_user() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let anns = service.issued("c", "ann").await;
    let own = format!("/v1/coupons/{anns}");
    let get = async |who, target: &str| service.get(who, target).await;
    for _ in 0..19 {
        get(ANN, "/v1/coupons/NOSUCHCODE").await.is("404 NOT_FOUND", "below the limit");
    }
    get(ANN, &own).await.is("200", "their own coupon, below the limit");
    get(ANN, "/v1/coupons/NOSUCHCODE").await.is("404 NOT_FOUND", "the twentieth");
    service.clock.pass(1_000);
    let over = get(ANN, "/v1/coupons/NOSUCHCODE").await;
    let wait = over.is("429 TOO_MANY", "the next").header("retry-after");
    let wait: i64 = wait.and_then(|wait| wait.parse().ok()).expect("seconds");
    assert_eq!(wait, api::GUESS_WINDOW_MS / 1_000 - 1);
    let order = json!({"order_ref": "1"});
    let shop = json!({"user_id": "ann", "order_ref": "1"});
    let cases = [
        ("their own coupon, too", ANN, "", Value::Null, "429 TOO_MANY"),
        ("check", ANN, "/check", order.clone(), "429 TOO_MANY"),
        ("hold", ANN, "/hold", order.clone(), "429 TOO_MANY"),
        ("redeem", ANN, "/redeem", order.clone(), "429 TOO_MANY"),
        ("release", ANN, "/release", order.clone(), "429 TOO_MANY"),
        ("cancel", ANN, "/cancel-redemption", order, "429 TOO_MANY"),
        ("issue", ANN, "/issue", json!({}), "429 TOO_MANY"),
        ("the shop for this user", Shop, "/check", shop, "429 TOO_MANY"),
        ("another user", BOB, "", Value::Null, "404 NOT_FOUND"),
        ("the shop for another", Shop, "?user_id=bob", Value::Null, "404 NOT_FOUND"),
        ("the shop without a user", Shop, "", Value::Null, "200"),
        ("an admin", Admin, "", Value::Null, "200"),
    ];
    for (name, who, what, body, want) in cases {
        let target = format!("{own}{what}");
        let answer = match body.is_null() {
            true => service.get(who, &target).await,
            false => service.post(who, &target, body).await,
        };
        answer.is(want, name);
    }
    service.clock.pass(wait * 1_000 - 1);
    get(ANN, &own).await.is("429 TOO_MANY", "a millisecond early");
    service.clock.pass(1);
    get(ANN, &own).await.is("200", "the window has passed");
}

#[tokio::test]
async fn accounts_made_here_have_one_budget() {
    let service = Service::new();
    service.campaign("c", json!({"handout": "self"})).await;
    let account = async |login: &str| {
        let body = json!({"login_id": login, "password": "correct horse"});
        let answer = service.post(Who::Nobody, "/v1/users", body).await;
        answer.is("201", login).string("token")
    };
    let honest = account("honest").await;
    let honest = Who::Token(&honest);
    let issued = service.post(honest, "/v1/campaigns/c/issue", json!({})).await;
    let own = format!("/v1/coupons/{}", issued.is("201", "a coupon").string("code"));
    let guess = "/v1/coupons/NOSUCHCODE";
    let last = account("last").await;
    let last = Who::Token(&last);
    service.get(last, guess).await.is("404 NOT_FOUND", "within the budget");
    // Many accounts, each below its own limit. A shop names them.
    for nth in 1..api::GUESSES_HERE_MAX {
        let user = format!("acc_{}", nth / (api::GUESSES_MAX - 1));
        let body = json!({"user_id": user, "order_ref": "1"});
        let answer = service.post(Shop, "/v1/coupons/NOSUCHCODE/check", body).await;
        answer.is("404 NOT_FOUND", "within the budget");
    }
    service.get(last, guess).await.is("429 TOO_MANY", "the common budget is used up");
    let fresh = account("fresh").await;
    let fresh = Who::Token(&fresh);
    service.get(fresh, guess).await.is("404 NOT_FOUND", "one mistake is allowed");
    service.get(fresh, guess).await.is("429 TOO_MANY", "the next is not");
    service.get(honest, &own).await.is("200", "a user without mistakes still works");
    service.get(BOB, guess).await.is("404 NOT_FOUND", "users of another issuer are not affected");
    service.clock.pass(api::GUESS_WINDOW_MS);
    service.get(last, guess).await.is("404 NOT_FOUND", "the window has passed");
}

#[tokio::test]
async fn few_requests_of_one_user_run_at_the_same_time() {
    const AT_ONCE: usize = 3 * api::ASKING_MAX as usize;
    let service = Service::new();
    service.campaign("c", json!({"handout": "self", "stock": 1_000})).await;
    let issue = "/v1/campaigns/c/issue";
    let cases = [
        ("issues by a user", ANN, json!({})),
        ("issues by a shop for a user", Shop, json!({"user_id": "cid"})),
    ];
    for (name, who, body) in cases {
        // While nothing can be written, an accepted request does not end.
        let held = write_lock(&service);
        let mut asked: FuturesUnordered<_> =
            (0..AT_ONCE).map(|_| service.post(who, issue, body.clone())).collect();
        let first = asked.next().await.expect("an answer");
        first.is("429 TOO_MANY", name);
        held.unlock().expect("an unlock");
        let (answers, bobs) = futures::join!(
            asked.collect::<Vec<_>>(),
            service.post(BOB, "/v1/campaigns/c/issue", json!({}))
        );
        assert!(bobs.status < 300, "{name}: another user is not affected: {}", bobs.text);
        let served = answers.iter().filter(|answer| answer.status < 300).count();
        let refused = answers.iter().filter(|answer| answer.word() == "429 TOO_MANY").count();
        assert_eq!(served + refused + 1, AT_ONCE, "{name}");
        // More if some requests were sent after the answers to others.
        assert!(served >= api::ASKING_MAX as usize, "{name}: {served} served");
    }
}

#[tokio::test]
async fn which_codes_count() {
    let cases = [
        ("unknown", "NOSUCHCODE", "429 TOO_MANY"),
        ("wrong tag", "ZZZZZZZZZZZZZZZZ", "429 TOO_MANY"),
        // No coupon can have this code, so it is not a guess.
        ("malformed", "A%2FB", "404 NOT_FOUND"),
        ("too short", "ABC", "404 NOT_FOUND"),
    ];
    for (name, code, want) in cases {
        let service = Service::new();
        let target = format!("/v1/coupons/{code}");
        for _ in 0..20 {
            service.get(ANN, &target).await.is("404 NOT_FOUND", name);
        }
        service.get(ANN, &target).await.is(want, name);
    }
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let bobs = service.issued("c", "bob").await;
    for _ in 0..20 {
        let target = format!("/v1/coupons/{bobs}/redeem");
        service.post(ANN, &target, json!({"order_ref": "1"})).await.is("404 NOT_FOUND", "bob's");
    }
    service.get(ANN, "/v1/coupons/NOSUCHCODE").await.is("429 TOO_MANY", "codes of bob count, too");
}

#[tokio::test]
async fn a_shop_is_counted_for_the_users_it_names() {
    let service = Service::new();
    let check = async |user: &str| {
        let body = json!({"user_id": user, "order_ref": "1"});
        service.post(Shop, "/v1/coupons/NOSUCHCODE/check", body).await
    };
    for nth in 0..100 {
        check(&format!("user{nth}")).await.is("404 NOT_FOUND", "a hundred users");
    }
    for _ in 0..20 {
        check("ann").await.is("404 NOT_FOUND", "ann's guesses");
    }
    check("ann").await.is("429 TOO_MANY", "ann's next");
    check("bob").await.is("404 NOT_FOUND", "bob's first");
    service.get(ANN, "/v1/coupons/NOSUCHCODE").await.is("429 TOO_MANY", "ann");
    for _ in 0..30 {
        let asked = Asked::new("GET", "/v1/coupons/NOSUCHCODE");
        service.send(Shop, asked).await.is("404 NOT_FOUND", "the shop for itself");
    }
}
