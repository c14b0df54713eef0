//! What is known of a person, and who is one.

use serde_json::{Value, json};

use crate::service::{Admin, Asked, Service, Shop};

fn path(user: &str) -> String {
    let encoded: String = user.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/v1/people/{encoded}")
}

/// What is known of a person: each kind, with the code if it has one.
async fn known(service: &Service, user: &str) -> Vec<String> {
    let answer = service.get(Admin, &path(user)).await;
    assert_eq!(answer.json["user_id"], json!(user), "{}", answer.text);
    let records = answer.json["records"].as_array().unwrap_or_else(|| panic!("{}", answer.text));
    let line = |it: &Value| {
        let code = it["value"]["code"].as_str().unwrap_or_default();
        format!("{} {code}", it["kind"].as_str().unwrap_or_default())
    };
    records.iter().map(line).collect()
}

#[tokio::test]
async fn everybody_has_their_own() {
    let service = Service::new();
    service.campaign("c", json!({"stock": 100})).await;
    let users = ["ann", "joanna", "4711", "471", "a\"b\\c", "홍길동", "=1+1", "a%20b"];
    let mut codes = Vec::new();
    for user in users {
        let code = service.issued("c", user).await;
        let order = json!({"user_id": user, "order_ref": format!("{user}/1")});
        let redeem = format!("/v1/coupons/{code}/redeem");
        service.post(Shop, &redeem, order.clone()).await.is("201", user);
        let second = json!({"user_id": user, "order_ref": "2"});
        service.post(Shop, &redeem, second).await.is("409 ALREADY_REDEEMED", user);
        codes.push(code);
    }
    for (user, code) in users.iter().zip(&codes) {
        let asked = "audit ".to_owned();
        let want = [format!("coupon {code}"), asked, format!("attempt {code}")];
        assert_eq!(known(&service, user).await, want, "{user}");
        let file = Asked::new("GET", &path(user)).header("accept", "text/csv");
        let text = service.send(Admin, file).await.text;
        assert!(text.starts_with("\u{feff}kind,at,campaign_id,code,what,actor,text\n"), "{text}");
        let of = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
        assert_eq!([of("coupon,"), of("event,"), of("attempt,")], [1, 2, 1], "{text}");
        let others = codes.iter().filter(|other| *other != code);
        assert!(others.into_iter().all(|other| !text.contains(other)), "{user}: {text}");
    }
    assert_eq!(known(&service, "nobody").await, ["audit "]);
}

/// An import reads who was erased once, and then those who were erased since.
#[tokio::test]
async fn who_was_erased_is_remembered() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let rejected = async |again: bool| {
        let target = format!("/v1/campaigns/c/batches?dry_run=true&again={again}");
        let file = "code,state,user_id\nAAAA,issued,ann\nBBBB,issued,bob\n";
        let before = service.engine.hot().gauge().reads;
        let answer = service.send(Admin, Asked::new("POST", &target).csv(file)).await;
        let reads = service.engine.hot().gauge().reads - before;
        (answer.is("200", "a dry run").json["rejected"].as_u64(), reads)
    };
    let erase = async |user: &str| {
        let target = format!("/v1/people/{user}/erase");
        service.post(Admin, &target, json!({"reason": "asked"})).await.is("202", user);
    };
    assert_eq!(rejected(false).await.0, Some(0), "nobody");
    let (_, without) = rejected(true).await;
    erase("ann").await;
    let (first, second) = (rejected(false).await, rejected(false).await);
    assert_eq!((first.0, second.0), (Some(1), Some(1)), "ann");
    assert_eq!(second.1, without + 1, "one read says that nobody was erased since");
    erase("bob").await;
    assert_eq!(rejected(false).await.0, Some(2), "both");
}

#[tokio::test]
async fn what_they_had_once() {
    let service = Service::new();
    service.campaign("c", json!({"stock": 2})).await;
    let code = service.issued("c", "ann").await;
    let revoke = json!({"user_id": "ann"});
    service.post(Admin, &format!("/v1/coupons/{code}/revoke"), revoke).await.is("200", "revoked");
    assert_eq!(known(&service, "ann").await, [format!("coupon {code}"), "audit ".to_owned()]);
    let name = |id: &str| json!({"erasure_id": id, "reason": "asked"});
    service.post(Admin, "/v1/people/ann/erase", name("one")).await.is("202", "erased");
    service.post(Admin, "/v1/people/ann/erase", name("one")).await.is("202", "once more");
    service.post(Admin, "/v1/people/bob/erase", name("one")).await.is("409 NAME_TAKEN", "bob");
    service.post(Admin, "/v1/people/erased:1/erase", name("two")).await.is("400 INVALID", "erased");
    let erased = service.get(Admin, "/v1/erasures/one").await.string("name");
    // What it would get could never be erased.
    let theirs = json!({"user_id": &erased});
    let given = service.post(Admin, "/v1/campaigns/c/issue", theirs).await;
    assert_eq!(given.is("400 INVALID", "to nobody").fields(), ["user_id"]);
    let events = service.coupon(&code).await["events"].clone();
    assert!(!events.to_string().contains("ann"), "{events}");
    assert_eq!(known(&service, &erased).await[0], format!("coupon {code}"));
}
