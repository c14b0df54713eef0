//! A campaign gets a later end: all of its coupons follow it, at once or one after the other.

use serde_json::{Value, json};

use crate::service::{ANN, Admin, Service, Shop};

const CAMPAIGN: &str = "/v1/campaigns/c";
const HOUR: i64 = 3_600_000;

/// The end that the campaign has first, and the one that it gets.
const FIRST: &str = "2026-12-25T00:00:00.000Z";
const LATER: &str = "2027-02-01T00:00:00.000Z";

async fn extended(service: &Service) -> Value {
    let later = json!({"expires_on": "2027-01-31", "reason": "by request of the shops"});
    let answer = service.patch(Admin, CAMPAIGN, later).await;
    assert_eq!(answer.is("200", "a later end").json["expires_at"], LATER);
    answer.json.clone()
}

async fn progress(service: &Service) -> Value {
    service.get(Admin, CAMPAIGN).await.is("200", "the campaign").json["extension"].clone()
}

#[tokio::test]
async fn all_coupons_follow() {
    let service = Service::new();
    service.campaign("c", json!({"expires_on": "2026-12-24", "stock": 4})).await;
    let held = service.issued("c", "ann").await;
    let bobs = service.issued("c", "bob").await;
    service.does("hold", &held, "cart").await.is("201", "hold");
    let file = "code,expires_on,state,user_id\nUSUAL1,,issued,carl\n\
                OWN2,2026-12-30,issued,dora\nGONE3,,,\n";
    let imported = service.import("c", "old", file).await;
    assert_eq!(imported.is("201", "import").json["imported"], 3, "{}", imported.text);
    service.admin("void", "GONE3", json!({})).await.is("200", "void");
    let before = extended(&service).await;
    let none_yet = json!({"extended": 0, "refused": 0, "finished_at": null});
    assert_eq!(before["extension"], none_yet);
    service.engine.find_extensions().await.expect("a look at all campaigns");

    // What nothing has happened to follows at once, and works when it would have ended.
    let untouched = service.codes("c").await.remove(0);
    assert_eq!(service.coupon(&untouched).await["expires_at"], LATER);
    assert_eq!(service.coupon(&bobs).await["expires_at"], FIRST);
    service.engine.extend_coupons().await.expect("a pass");
    let wants = [
        ("issued", bobs.as_str(), LATER),
        ("held", &held, FIRST),
        ("imported", "USUAL1", LATER),
        ("with a date of its own", "OWN2", "2026-12-31T00:00:00.000Z"),
        ("void", "GONE3", FIRST),
    ];
    for (name, code, want) in wants {
        assert_eq!(service.coupon(code).await["expires_at"], want, "{name}");
    }
    let done = progress(&service).await;
    assert_eq!((&done["extended"], &done["refused"]), (&json!(2), &json!(1)), "{done}");
    assert!(done["finished_at"].is_string(), "{done}");

    // Later passes find what is free by then, and nothing twice.
    service.release(Shop, &held, "cart").await.is("200", "release");
    service.engine.extend_coupons().await.expect("too early for another pass");
    assert_eq!(service.coupon(&held).await["expires_at"], FIRST);
    service.clock.pass(HOUR);
    service.engine.extend_coupons().await.expect("a second pass");
    assert_eq!(service.coupon(&held).await["expires_at"], LATER);
    let done = progress(&service).await;
    assert_eq!((&done["extended"], &done["refused"]), (&json!(3), &json!(0)), "{done}");
    let version = service.coupon(&held).await["version"].clone();
    service.clock.pass(HOUR);
    service.engine.extend_coupons().await.expect("a third pass");
    assert_eq!(service.coupon(&held).await["version"], version);

    service.set("2027-01-31T23:59:00Z");
    service.does("redeem", &held, "1").await.is("201", "in its last minute");
    let late = service.post(Shop, "/v1/campaigns/c/issue", json!({"user_id": "eve"})).await;
    assert_eq!(late.is("201", "issued in the last minute").json["expires_at"], LATER);
    service.set(LATER);
    let late = json!({"user_id": "bob", "order_ref": "2"});
    service.admin("redeem", &bobs, late).await.is("409 EXPIRED", "over");
    let user = service.get(ANN, CAMPAIGN).await;
    assert_eq!(user.is("200", "a user").json["extension"], Value::Null);
    service.engine.extend_coupons().await.expect("it is over");
    assert_eq!(progress(&service).await, Value::Null, "over");
    service.engine.find_extensions().await.expect("it stays over");
    assert_eq!(progress(&service).await, Value::Null, "for good");
}

#[tokio::test]
async fn later_or_not_at_all() {
    let service = Service::new();
    let terms = json!({"expires_on": "2026-12-24", "extend_days": 3});
    let made = service.campaign("c", terms).await;
    let tag = made.header("etag").map(str::to_owned);
    // A name, the change, the answer, its fields.
    let both = json!({"expires_on": "2027-01-31", "expires_at": LATER});
    let cases = [
        ("earlier", json!({"expires_on": "2026-12-23"}), "409 NOT_LATER", vec![]),
        ("both", both, "400 INVALID", vec!["expires_on"]),
        ("no date", json!({"expires_on": "2027-01-32"}), "400 INVALID", vec!["expires_on"]),
        ("too far", json!({"expires_on": "9999-12-31"}), "400 INVALID", vec!["expires_on"]),
    ];
    for (name, body, want, fields) in cases {
        let answer = service.patch(Admin, CAMPAIGN, body).await;
        assert_eq!(answer.is(want, name).fields(), fields, "{name}");
    }
    let same = service.patch(Admin, CAMPAIGN, json!({"expires_on": "2026-12-24"})).await;
    assert_eq!(same.is("200", "the same").header("etag").map(str::to_owned), tag);
    let later = service.patch(Admin, CAMPAIGN, json!({"expires_at": LATER})).await;
    assert_ne!(later.is("200", "later").header("etag").map(str::to_owned), tag, "another tag");
    service.set("2027-02-04T00:00:00Z");
    let late = json!({"expires_on": "2027-03-01"});
    service.patch(Admin, CAMPAIGN, late).await.is("409 EXPIRY_DAY_CLOSED", "too late");
}

#[tokio::test]
async fn days_from_issue_are_not_cut_short_any_more() {
    let service = Service::new();
    service.campaign("c", json!({"expires_on": "2026-12-24", "valid_days": 40})).await;
    service.campaign("short", json!({"expires_on": "2026-12-24", "valid_days": 2})).await;
    let (cut, own) = (service.issued("c", "ann").await, service.issued("short", "ann").await);
    extended(&service).await;
    let later = json!({"expires_on": "2027-01-31"});
    service.patch(Admin, "/v1/campaigns/short", later).await.is("200", "the other one");
    service.engine.extend_coupons().await.expect("a pass");
    assert_eq!(service.coupon(&cut).await["expires_at"], "2026-12-31T00:00:00.000Z", "40 days");
    assert_eq!(
        service.coupon(&own).await["expires_at"],
        "2026-11-23T00:00:00.000Z",
        "its two days"
    );
}

#[tokio::test]
async fn a_pass_that_was_begun_elsewhere() {
    let service = Service::new();
    service.campaign("c", json!({"expires_on": "2026-12-24"})).await;
    let code = service.issued("c", "ann").await;
    extended(&service).await;
    let other = service.beside(crate::service::options());
    let (one, two) = tokio::join!(service.engine.extend_coupons(), other.engine.extend_coupons());
    one.expect("a pass");
    two.expect("the other's pass, or none");
    assert_eq!(service.coupon(&code).await["version"], 2, "extended once");
    assert_eq!(progress(&service).await["extended"], 1);
    // A second later end begins anew.
    service.patch(Admin, CAMPAIGN, json!({"expires_on": "2027-02-28"})).await.is("200", "again");
    assert_eq!(progress(&service).await["extended"], 0);
    other.engine.extend_coupons().await.expect("a pass at once");
    assert_eq!(service.coupon(&code).await["expires_at"], "2027-03-01T00:00:00.000Z");
}
