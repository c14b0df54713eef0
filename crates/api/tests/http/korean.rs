//! A shop in Seoul: names of orders and requests in Korean, and problems that its buyers can read.

use serde_json::{Value, json};

use crate::service::{ANN, Admin, Asked, Nobody, Service, Shop};

/// 주문-991 as a Mac writes it, with the letters of each syllable as characters of their own.
const ORDER: &str = "주문-991/é";
const ORDER_IN_LETTERS: &str = "\u{110c}\u{116e}\u{1106}\u{116e}\u{11ab}-991/e\u{301}";

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn names_of_requests() {
    let service = Service::new();
    service.campaign("c", json!({"per_user_limit": 5})).await;
    let issue = async |name: &str| {
        let body = json!({"user_id": "ann", "issue_ref": name});
        service.post(Shop, "/v1/campaigns/c/issue", body).await
    };
    let code = issue("환영").await.is("201", "issued").string("code");
    let again = issue("\u{1112}\u{116a}\u{11ab}영").await;
    assert_eq!(again.is("200", "a repeat").string("code"), code, "in letters");
    issue("환영2").await.is("201", "another name");
    issue("replaces：AAAA").await.is("201", "a colon in full width means nothing");
    service.does("hold", &code, ORDER).await.is("201", "held");
    service.does("redeem", &code, ORDER_IN_LETTERS).await.is("201", "redeemed");
    let again = service.does("redeem", &code, ORDER).await;
    assert_eq!(again.is("200", "a repeat").string("order_ref"), ORDER);
    service.does("redeem", &code, "주문-992").await.is("409 ALREADY_REDEEMED", "another order");
    assert_eq!(service.coupon(&code).await["order_ref"], ORDER);
    for order in [ORDER, ORDER_IN_LETTERS] {
        let target = format!("/v1/redemptions?order_ref={}", encoded(order));
        assert_eq!(service.get(Shop, &target).await.data("order_ref"), [ORDER], "{order:?}");
        let days = "campaign_id=c&from=2026-11-20&to=2026-11-20";
        let target = format!("/v1/redemptions?{days}");
        let file = service.send(Admin, Asked::new("GET", &target).header("accept", "text/csv"));
        assert!(file.await.text.contains(",주문-991/é,"), "as a file");
    }
    let tried = format!("/v1/attempts?order_ref={}", encoded("주문-992"));
    assert_eq!(service.get(Shop, &tried).await.data("problem"), ["ALREADY_REDEEMED"]);
    service.cancel(Shop, &code, ORDER_IN_LETTERS).await.is("200", "cancelled");
    service.does("redeem", &code, ORDER).await.is("409 REDEMPTION_CANCELLED", "for ever");
    let revoke = json!({"user_id": "ann", "revoke_ref": "문의-7"});
    let target = format!("/v1/coupons/{code}/revoke");
    for name in ["revoked", "a repeat"] {
        service.post(Admin, &target, revoke.clone()).await.is("200", name);
    }
    let service = service.reopened();
    let events = service.coupon(&code).await["events"].clone();
    let names = |it: &Value| it["reference"].as_str().map(str::to_owned);
    let names: Vec<_> = events.as_array().into_iter().flatten().filter_map(names).collect();
    assert_eq!(names, ["환영", ORDER, ORDER, "문의-7"], "{events}");
}

#[tokio::test]
async fn what_is_no_name() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    let hook = json!({"webhook_id": "w", "url": "https://shop.example/hook"});
    service.post(Admin, "/v1/webhooks", hook).await.is("201", "a webhook");
    let at = |call: &str| format!("/v1/coupons/{code}/{call}");
    let fields = [
        ("order_ref", at("check"), json!({"user_id": "ann"})),
        ("issue_ref", "/v1/campaigns/c/issue".to_owned(), json!({"user_id": "ann"})),
        ("revoke_ref", at("revoke"), json!({"user_id": "ann"})),
        ("rotate_ref", "/v1/webhooks/w/rotate-secret".to_owned(), json!({})),
    ];
    let cases = [
        ("a space", "주문 991", "has ' ' at 2"),
        ("a mark of direction", "991\u{202e}", "has '\\u{202e}' at 3"),
        ("a space of no width", "991\u{200b}", "has '\\u{200b}' at 3"),
        ("a filler of Hangul", "991\u{3164}", "has '\u{3164}' at 3"),
        ("a line", "991\n", "has '\\n' at 3"),
        ("no character yet", "991\u{378}", "has '\\u{378}' at 3"),
        ("nothing", "", "has 0 bytes"),
    ];
    for (field, target, body) in &fields {
        for (name, text, want) in cases {
            let mut body = body.clone();
            body[field] = json!(text);
            let answer = service.post(Admin, target, body).await;
            assert_eq!(answer.is("400 INVALID", name).fields(), [*field], "{name}");
            let detail = answer.json["errors"][0]["detail"].as_str().unwrap_or_default();
            assert!(detail.starts_with(want), "{field}, {name}: {detail}");
        }
    }
    let rotate = |text: &str| {
        let body = json!({"rotate_ref": text});
        service.post(Admin, "/v1/webhooks/w/rotate-secret", body)
    };
    let secret = rotate("가을").await.string("secret");
    assert_eq!(rotate("\u{1100}\u{1161}을").await.string("secret"), secret, "the same rotation");
    // A header is ASCII; a name of Korean is a field of the body.
    let issue = Asked::new("POST", "/v1/campaigns/c/issue").json(&json!({"user_id": "bob"}));
    let keyed = issue.header("idempotency-key", "환영");
    service.send(Admin, keyed).await.is("400 INVALID", "a key in Korean");
}

/// Which language, and that nothing but the texts depends on it.
#[tokio::test]
async fn problems_in_the_language_of_the_caller() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    service.does("redeem", &code, "1").await.is("201", "redeemed");
    let redeem = async |languages: &str| {
        let asked = Asked::new("POST", &format!("/v1/coupons/{code}/redeem"))
            .json(&json!({"user_id": "ann", "order_ref": "2"}))
            .header("accept-language", languages)
            .header("x-request-id", "1");
        service.send(Shop, asked).await
    };
    let (en, ko) = ("The coupon has been redeemed", "이미 사용된 쿠폰입니다.");
    let cases = [
        ("Korean", "ko", "ko", ko),
        ("of a browser in Seoul", "ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko", ko),
        ("Korean rather than English", "en;q=0.4, ko;q=0.5", "ko", ko),
        ("English rather than Korean", "ko;q=0.4, en;q=0.5", "en", en),
        ("neither", "fr", "en", en),
        ("anything", "*", "en", en),
        ("anything but English", "en;q=0, *", "ko", ko),
        ("not Korean", "ko;q=0", "en", en),
        ("nothing", "", "en", en),
    ];
    let without_texts = |mut json: Value| {
        for field in ["title", "detail", "hint"] {
            json[field] = Value::Null;
        }
        json
    };
    let usual = without_texts(redeem("en").await.json);
    for (name, languages, lang, title) in cases {
        let answer = redeem(languages).await;
        assert_eq!(answer.is("409 ALREADY_REDEEMED", name).string("title"), title, "{name}");
        assert_eq!(answer.header("content-language"), Some(lang), "{name}");
        assert!(answer.header("vary").is_some_and(|it| it.contains("accept-language")), "{name}");
        assert_eq!(without_texts(answer.json), usual, "{name}");
    }
}

#[tokio::test]
async fn details_in_korean() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    let wrong = json!({"user_id": "ann", "order_ref": "a b"});
    let two = json!({"user_id": "", "order_ref": ""});
    let redeem = format!("/v1/coupons/{code}/redeem");
    let post = |target: &str, body: &Value| Asked::new("POST", target).json(body);
    let cases = [
        (
            "a refusal",
            Shop,
            post(&redeem, &json!({"user_id": "bob", "order_ref": "1"})),
            "해당 쿠폰, 캠페인 또는 계정이 없습니다.",
        ),
        (
            "a field",
            Shop,
            post(&redeem, &wrong),
            "요청의 항목이 잘못되었습니다. (order_ref has ' ' at 1, want letters, digits, marks and symbols, without spaces)",
        ),
        ("two fields", Shop, post(&redeem, &two), "2개 항목을 사용할 수 없습니다."),
        ("no token", Nobody, Asked::new("GET", "/v1/coupons"), "유효한 토큰이 필요합니다. ("),
        (
            "another role",
            ANN,
            post("/v1/campaigns", &json!({"expires_on": "2027-12-31"})),
            "이 토큰의 역할로는 할 수 없는 작업입니다. (",
        ),
        (
            "no such path",
            Nobody,
            Asked::new("GET", "/v1/nothing"),
            "해당 항목이 없거나 볼 수 없습니다. (there is no such path",
        ),
    ];
    for (name, who, asked, want) in cases {
        let answer = service.send(who, asked.header("accept-language", "ko")).await;
        let detail = answer.string("detail");
        assert!(detail.starts_with(want), "{name}: {detail}");
        assert_eq!(answer.header("content-language"), Some("ko"), "{name}");
    }
}
