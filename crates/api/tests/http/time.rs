//! Expiry to the millisecond, its dates, and what is allowed after it.

use serde_json::{Value, json};

use crate::service::{Admin, Answer, NOON, Service, Shop};

const DAY_MS: i64 = 86_400_000;

async fn one(terms: Value) -> (Service, String) {
    let service = Service::new();
    service.campaign("c", terms).await;
    let code = service.issued("c", "ann").await;
    (service, code)
}

#[tokio::test]
async fn expires_at_is_exclusive() {
    let end = "2027-03-01T10:00:00.000Z";
    let cases = [
        ("a millisecond before", -1, false, "201", "201", "200"),
        ("at", 0, true, "409 EXPIRED", "409 EXPIRED", "409 EXPIRED"),
        ("a millisecond after", 1, true, "409 EXPIRED", "409 EXPIRED", "409 EXPIRED"),
    ];
    for (name, after, expired, redeem, hold, check) in cases {
        let (service, code) = one(json!({"expires_at": end})).await;
        let other = service.issued("c", "bob").await;
        service.set(end);
        service.clock.pass(after);
        assert_eq!(service.coupon(&code).await["expired"], expired, "{name}");
        let found = service.does("check", &code, "1").await;
        let found = found.json["refusal"].as_str().map_or("200".into(), |it| format!("409 {it}"));
        assert_eq!(found, check, "{name}");
        service.does("redeem", &code, "1").await.is(redeem, name);
        let body = json!({"user_id": "bob", "order_ref": "1"});
        let target = format!("/v1/coupons/{other}/hold");
        service.post(Shop, &target, body).await.is(hold, name);
        let issue = json!({"user_id": "eve"});
        let issue = service.post(Shop, "/v1/campaigns/c/issue", issue).await;
        issue.is(if expired { "409 EXPIRED" } else { "201" }, name);
    }
}

#[tokio::test]
async fn valid_from_is_inclusive() {
    let (service, code) = one(json!({"valid_from": "2026-12-01T00:00:00Z"})).await;
    service.set("2026-11-30T23:59:59.999Z");
    for what in ["redeem", "hold"] {
        service.does(what, &code, "1").await.is("409 NOT_STARTED", what);
    }
    assert_eq!(service.does("check", &code, "1").await.json["refusal"], "NOT_STARTED");
    service.set("2026-12-01T00:00:00Z");
    service.does("redeem", &code, "1").await.is("201", "at valid_from");
}

/// Last day, zone, and the instant, computed by hand.
#[tokio::test]
async fn the_last_day_in_its_zone() {
    let cases = [
        ("UTC", "2027-06-30", "UTC", "2027-07-01T00:00:00.000Z"),
        ("without a zone", "2027-06-30", "", "2027-07-01T00:00:00.000Z"),
        ("Seoul, no daylight saving", "2027-12-31", "Asia/Seoul", "2027-12-31T15:00:00.000Z"),
        ("Berlin in winter", "2026-12-31", "Europe/Berlin", "2026-12-31T23:00:00.000Z"),
        ("Berlin in summer", "2027-07-31", "Europe/Berlin", "2027-07-31T22:00:00.000Z"),
        ("Berlin, 23 hours", "2027-03-28", "Europe/Berlin", "2027-03-28T22:00:00.000Z"),
        ("Berlin, 25 hours", "2027-10-31", "Europe/Berlin", "2027-10-31T23:00:00.000Z"),
        ("New York, 23 hours", "2027-03-14", "America/New_York", "2027-03-15T04:00:00.000Z"),
        ("New York, 25 hours", "2027-11-07", "America/New_York", "2027-11-08T05:00:00.000Z"),
        ("Kiritimati, +14", "2027-01-01", "Pacific/Kiritimati", "2027-01-01T10:00:00.000Z"),
        ("Baker Island, -12", "2027-01-01", "Etc/GMT+12", "2027-01-02T12:00:00.000Z"),
        ("Kathmandu, +5:45", "2027-01-01", "Asia/Kathmandu", "2027-01-01T18:15:00.000Z"),
        ("leap day", "2028-02-29", "UTC", "2028-03-01T00:00:00.000Z"),
        ("leap day in Seoul", "2028-02-29", "Asia/Seoul", "2028-02-29T15:00:00.000Z"),
        ("the day before a day without midnight", "2027-02-28", "UTC", "2027-03-01T00:00:00.000Z"),
        // Clocks go from 24:00 to 01:00: the next day has no midnight.
        ("Beirut", "2027-03-27", "Asia/Beirut", "2027-03-27T22:00:00.000Z"),
    ];
    for (nth, (name, on, zone, want)) in cases.into_iter().enumerate() {
        let service = Service::new();
        let id = format!("c{nth}");
        let mut terms = json!({"expires_on": on});
        if !zone.is_empty() {
            terms["time_zone"] = json!(zone);
        }
        let made = service.campaign(&id, terms).await;
        let zone = if zone.is_empty() { "UTC" } else { zone };
        let shown =
            |it: &Value| ["expires_at", "expires_on", "time_zone"].map(|field| it[field].clone());
        let want_shown = [json!(want), json!(on), json!(zone)];
        assert_eq!(shown(&made.json), want_shown, "{name}");
        let (first, second) = (service.issued(&id, "ann").await, service.issued(&id, "bob").await);
        assert_eq!(shown(&service.coupon(&first).await), want_shown, "{name}");
        service.set(want);
        service.clock.pass(-1);
        service.does("redeem", &first, "1").await.is("201", name);
        service.clock.pass(1);
        let body = json!({"user_id": "bob", "order_ref": "1"});
        let late = service.post(Shop, &format!("/v1/coupons/{second}/redeem"), body).await;
        late.is("409 EXPIRED", name);
    }
}

#[tokio::test]
async fn instants_with_an_offset() {
    let cases = [
        ("UTC", "2027-01-01T00:00:00Z", "2027-01-01T00:00:00.000Z"),
        ("an offset", "2027-01-01T09:00:00+09:00", "2027-01-01T00:00:00.000Z"),
        ("a negative one", "2026-12-31T18:30:00-05:30", "2027-01-01T00:00:00.000Z"),
        ("milliseconds", "2027-01-01T00:00:00.001Z", "2027-01-01T00:00:00.001Z"),
        ("less than one", "2027-01-01T00:00:00.0019Z", "2027-01-01T00:00:00.001Z"),
        ("no seconds", "2027-01-01T00:00Z", "2027-01-01T00:00:00.000Z"),
    ];
    let service = Service::new();
    for (nth, (name, sent, want)) in cases.into_iter().enumerate() {
        let terms = json!({"expires_at": sent, "valid_from": NOON, "issue_until": sent});
        let made = service.campaign(&format!("c{nth}"), terms).await;
        assert_eq!(made.string("expires_at"), want, "{name}");
        assert_eq!(made.string("issue_until"), want, "{name}");
    }
}

#[tokio::test]
async fn dates_that_make_no_sense() {
    let cases = [
        ("30 February", json!({"expires_on": "2027-02-30"}), "expires_on"),
        ("29 February, not a leap year", json!({"expires_on": "2027-02-29"}), "expires_on"),
        ("month 13", json!({"expires_on": "2027-13-01"}), "expires_on"),
        ("not a date", json!({"expires_on": "tomorrow"}), "expires_on"),
        ("empty", json!({"expires_on": ""}), "expires_on"),
        ("hour 25", json!({"expires_at": "2027-01-01T25:00:00Z"}), "expires_at"),
        ("not a zone", json!({"expires_at": "2027-01-01T00:00:00"}), "expires_at"),
        ("a date as instant", json!({"expires_at": "2027-01-01"}), "expires_at"),
        ("passed", json!({"expires_at": NOON}), "expires_at"),
        ("before the epoch", json!({"expires_at": "1901-01-01T00:00:00Z"}), "expires_at"),
        ("year 9999", json!({"expires_on": "9999-12-31"}), "expires_on"),
        ("passed, as a day", json!({"expires_on": "2026-11-19"}), "expires_on"),
        (
            "both",
            json!({"expires_at": "2027-01-01T00:00:00Z", "expires_on": "2027-01-01"}),
            "expires_on",
        ),
        ("neither", json!({}), "expires_at"),
        (
            "unknown zone",
            json!({"expires_on": "2027-01-01", "time_zone": "Mars/Base"}),
            "time_zone",
        ),
        ("a path as zone", json!({"expires_on": "2027-01-01", "time_zone": "../etc"}), "time_zone"),
        (
            "begins at its end",
            json!({"expires_at": "2027-01-01T00:00:00Z", "valid_from": "2027-01-01T00:00:00Z"}),
            "valid_from",
        ),
        (
            "an empty window",
            json!({
                "expires_on": "2027-01-01", "issue_from": "2026-12-01T00:00:00Z",
                "issue_until": "2026-12-01T00:00:00Z",
            }),
            "issue_until",
        ),
    ];
    let service = Service::new();
    for (name, body, field) in cases {
        let answer = service.post(Admin, "/v1/campaigns", body).await;
        assert_eq!(answer.is("400 INVALID", name).fields(), [field], "{name}");
    }
}

async fn cancel_after(terms: Value, wait_ms: i64) -> Answer {
    let (service, code) = one(terms).await;
    service.does("redeem", &code, "1").await.is("201", "redeem");
    service.clock.pass(wait_ms);
    service.cancel(Shop, &code, "1").await
}

#[tokio::test]
async fn cancel_days() {
    let cases = [
        ("30 by default, its last millisecond", json!({}), 30 * DAY_MS - 1, "200"),
        ("30 by default, too late", json!({}), 30 * DAY_MS, "409 CANCEL_CLOSED"),
        ("0 is never", json!({"cancel_days": 0}), 0, "409 CANCEL_CLOSED"),
        ("1, its last millisecond", json!({"cancel_days": 1}), DAY_MS - 1, "200"),
        ("1, past", json!({"cancel_days": 1}), DAY_MS, "409 CANCEL_CLOSED"),
        ("366, its last millisecond", json!({"cancel_days": 366}), 366 * DAY_MS - 1, "200"),
        ("366, past", json!({"cancel_days": 366}), 366 * DAY_MS, "409 CANCEL_CLOSED"),
    ];
    for (name, terms, wait_ms, want) in cases {
        cancel_after(terms, wait_ms).await.is(want, name);
    }
}

#[tokio::test]
async fn redeemed_on_its_last_day_and_cancelled_it_is_expired() {
    let end = "2027-01-01T00:00:00Z";
    let (service, code) = one(json!({"expires_at": end})).await;
    service.set(end);
    service.clock.pass(-1);
    service.does("redeem", &code, "1").await.is("201", "its last millisecond");
    service.clock.pass(30 * DAY_MS - 1);
    let cancelled = service.cancel(Shop, &code, "1").await;
    assert_eq!(cancelled.is("200", "cancel").json["coupon"]["expired"], true);
    assert_eq!(cancelled.json["coupon"]["state"], "issued");
    service.does("redeem", &code, "2").await.is("409 EXPIRED", "dead");
}

#[tokio::test]
async fn extend_days() {
    let end = "2027-01-01T00:00:00Z";
    let cases = [
        ("30 by default, its last millisecond", json!({}), 30 * DAY_MS - 1, "200"),
        ("30 by default, too late", json!({}), 30 * DAY_MS, "409 EXPIRY_DAY_CLOSED"),
        ("0, before the expiry", json!({"extend_days": 0}), -1, "200"),
        ("0, at the expiry", json!({"extend_days": 0}), 0, "409 EXPIRY_DAY_CLOSED"),
        ("366, its last millisecond", json!({"extend_days": 366}), 366 * DAY_MS - 1, "200"),
        ("366, past", json!({"extend_days": 366}), 366 * DAY_MS, "409 EXPIRY_DAY_CLOSED"),
    ];
    for (name, mut terms, after, want) in cases {
        terms["expires_at"] = json!(end);
        let (service, code) = one(terms).await;
        service.set(end);
        service.clock.pass(after);
        let body = json!({"expires_at": "2029-06-01T00:00:00Z", "reason": "goodwill"});
        let answer = service.admin("extend", &code, body).await;
        answer.is(want, name);
        if want == "200" {
            // It counts from the new expiry, and the partition stays open as long.
            service.set("2029-06-01T00:00:00Z");
            service.does("redeem", &code, "1").await.is("409 EXPIRED", name);
            service.clock.pass(-1);
            service.does("redeem", &code, "1").await.is("201", name);
            service.clock.pass(30 * DAY_MS - 1);
            service.cancel(Shop, &code, "1").await.is("200", name);
        }
    }
}

#[tokio::test]
async fn extending() {
    let (service, code) = one(json!({"expires_at": "2027-01-01T00:00:00Z"})).await;
    let extend = async |body: Value| service.admin("extend", &code, body).await;
    let cases = [
        ("the same", json!({"expires_at": "2027-01-01T00:00:00Z"}), "200"),
        ("earlier", json!({"expires_at": "2026-12-31T23:59:59.999Z"}), "409 NOT_LATER"),
        (
            "a millisecond, to the next partition",
            json!({"expires_at": "2027-01-01T00:00:00.001Z"}),
            "200",
        ),
        ("within the partition", json!({"expires_at": "2027-01-01T12:00:00Z"}), "200"),
        ("a day in Seoul", json!({"expires_on": "2027-01-31", "time_zone": "Asia/Seoul"}), "200"),
        (
            "the same day again",
            json!({"expires_on": "2027-01-31", "time_zone": "Asia/Seoul"}),
            "200",
        ),
        ("by many years", json!({"expires_on": "2060-01-01"}), "200"),
        ("back", json!({"expires_on": "2027-01-31"}), "409 NOT_LATER"),
        ("nothing", json!({}), "400 INVALID"),
        ("a zone alone", json!({"time_zone": "UTC"}), "400 INVALID"),
        (
            "both",
            json!({"expires_on": "2061-01-01", "expires_at": "2061-01-01T00:00:00Z"}),
            "400 INVALID",
        ),
        ("after the last possible day", json!({"expires_on": "2070-01-01"}), "400 INVALID"),
    ];
    for (name, body, want) in cases {
        extend(body).await.is(want, name);
    }
    let coupon = service.coupon(&code).await;
    let kinds: Vec<&str> = coupon["events"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|event| event["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["issued", "extended", "extended", "extended", "extended"]);
    assert_eq!(coupon["version"], 5, "a replay does not raise the version");
    let service = service.reopened();
    service.set("2059-12-31T00:00:00Z");
    service
        .does("redeem", &code, "1")
        .await
        .is("201", "found in its last partition after a restart");
    let list = service.get(Shop, "/v1/coupons?user_id=ann").await;
    assert_eq!(list.data("code"), [code], "listed once");
}

#[tokio::test]
async fn an_extended_coupon_can_be_revoked_and_issued_again() {
    let (service, code) = one(json!({"expires_at": "2027-01-01T00:00:00Z", "stock": 1})).await;
    let later = json!({"expires_at": "2028-01-01T00:00:00Z"});
    service.admin("extend", &code, later).await.is("200", "extend");
    service.admin("revoke", &code, json!({"user_id": "ann"})).await.is("200", "revoke");
    let issue = async |user: &str| {
        service.post(Shop, "/v1/campaigns/c/issue", json!({"user_id": user})).await
    };
    assert_eq!(issue("bob").await.is("201", "not SOLD_OUT with one left").string("code"), code);
    issue("eve").await.is("409 SOLD_OUT", "now SOLD_OUT");
}

#[tokio::test]
async fn valid_days() {
    let cases = [
        ("ten days later, in UTC", 10, "UTC", NOON, "2026-12-01T00:00:00.000Z"),
        ("a day", 1, "UTC", NOON, "2026-11-22T00:00:00.000Z"),
        // Noon in UTC is 21:00 in Seoul; at 15:00 UTC the next day has begun there.
        ("Seoul, the same day", 1, "Asia/Seoul", NOON, "2026-11-21T15:00:00.000Z"),
        (
            "Seoul, after midnight",
            1,
            "Asia/Seoul",
            "2026-11-20T15:00:00Z",
            "2026-11-22T15:00:00.000Z",
        ),
        ("never later than the campaign", 3_000, "UTC", NOON, "2028-01-01T00:00:00.000Z"),
        (
            "over a change of clocks",
            10,
            "America/New_York",
            "2027-03-10T12:00:00Z",
            "2027-03-21T04:00:00.000Z",
        ),
    ];
    for (name, days, zone, now, want) in cases {
        let service = Service::new();
        let terms =
            json!({"valid_days": days, "time_zone": zone, "expires_at": "2028-01-01T00:00:00Z"});
        service.campaign("c", terms).await;
        service.set(now);
        let code = service.issued("c", "ann").await;
        assert_eq!(service.coupon(&code).await["expires_at"], want, "{name}");
        service.set(want);
        service.does("redeem", &code, "1").await.is("409 EXPIRED", name);
        service.clock.pass(-1);
        service.does("redeem", &code, "1").await.is("201", name);
    }
}

#[tokio::test]
async fn valid_days_count_again_for_the_next_holder() {
    let service = Service::new();
    service.campaign("c", json!({"valid_days": 1, "stock": 1})).await;
    let code = service.issued("c", "ann").await;
    service.clock.pass(5 * DAY_MS);
    service.does("redeem", &code, "1").await.is("409 EXPIRED", "ann's day is over");
    service.admin("revoke", &code, json!({"user_id": "ann"})).await.is("200", "revoke");
    let bob = service.post(Shop, "/v1/campaigns/c/issue", json!({"user_id": "bob"})).await;
    assert_eq!(bob.is("201", "to bob").string("expires_at"), "2026-11-27T00:00:00.000Z");
}
