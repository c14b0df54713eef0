//! The event feed in a topic, without faults.

use serde_json::json;

use crate::bridge::Bridge;
use crate::broker::Broker;
use crate::faults::events_are_there_once;
use crate::script;
use crate::service::Service;
use crate::topics::{self, Reader};
use crate::world::{unique, wait_until};

pub(crate) fn events_are_cloud_events(broker: &Broker) {
    let service = Service::start(&[]);
    let topic = unique("events");
    topics::make(broker, &topic, 1, &[]);
    let reader = Reader::new(broker, &topic, 1);
    script::prepare(&service, 2);
    let bridge = Bridge::start(broker, &service, "publish", &topic, &["--source", "/shop"]);
    service.post("/v1/coupons/KAFKA0000000/issue", json!({"user_id": "ann"}));
    wait_until("the issue", || reader.records().iter().any(|it| it.key == "KAFKA0000000"));
    let record = reader.records().into_iter().find(|it| it.key == "KAFKA0000000").expect("it");
    let event = record.json();
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", event["event_id"].as_str().expect("an id")),
        ("ce_type", "coupon.issued"),
        ("ce_source", "/shop"),
        ("ce_subject", "KAFKA0000000"),
        ("ce_time", event["at"].as_str().expect("a time")),
        ("content-type", "application/json"),
    ];
    for (name, want) in headers {
        assert_eq!(record.headers.get(name).map(String::as_str), Some(want), "{name}");
    }
    let behind = format!("couponry_feed_reader_behind_seconds{{reader=\"kafka:{topic}\"}}");
    assert!(service.metrics().contains(&behind), "{}", service.metrics());
    // Another process goes on where this one ended.
    bridge.stop();
    service.post("/v1/coupons/KAFKA0000001/issue", json!({"user_id": "bob"}));
    let bridge = Bridge::start(broker, &service, "publish", &topic, &["--source", "/shop"]);
    events_are_there_once(&service.events(None), &reader);
    bridge.stop();
}

pub(crate) fn a_second_publisher_stops_the_first(broker: &Broker) {
    let service = Service::start(&[]);
    let topic = unique("events");
    topics::make(broker, &topic, 1, &[]);
    let reader = Reader::new(broker, &topic, 1);
    script::prepare(&service, 40);
    let issue = |nth: u64| {
        let code = script::life(nth).code.expect("a code");
        service.post(&format!("/v1/coupons/{code}/issue"), json!({"user_id": code}));
    };
    let mut first = Bridge::start(broker, &service, "publish", &topic, &[]);
    issue(0);
    wait_until("the first event", || reader.count() == service.events(None).len());
    let second = Bridge::start(broker, &service, "publish", &topic, &[]);
    wait_until("the second publisher", || second.log().contains("publishing from"));
    issue(1);
    let status = first.ended();
    assert_eq!(status.code(), Some(1), "{}", first.log());
    assert!(first.log().contains("another publisher"), "{}", first.log());
    events_are_there_once(&service.events(None), &reader);
    second.stop();
}

/// The data of the service are older than the cursor, as after a restored backup.
pub(crate) fn a_gap_stops_it(broker: &Broker) {
    let topic = unique("events");
    topics::make(broker, &topic, 1, &[]);
    let reader = Reader::new(broker, &topic, 1);
    let service = Service::start(&[]);
    script::prepare(&service, 8);
    let issue = |nth: u64| {
        let code = script::life(nth).code.expect("a code");
        service.post(&format!("/v1/coupons/{code}/issue"), json!({"user_id": code}));
    };
    service.back_up();
    (0..4).for_each(issue);
    let bridge = Bridge::start(broker, &service, "publish", &topic, &[]);
    wait_until("the first events", || reader.count() == service.events(None).len());
    bridge.stop();

    service.restore();
    issue(5);
    let mut bridge = Bridge::start(broker, &service, "publish", &topic, &[]);
    assert_eq!(bridge.ended().code(), Some(1), "{}", bridge.log());
    for part in
        ["CURSOR_GONE", "not published is what happened after event", "--after-gap continue"]
    {
        assert!(bridge.log().contains(part), "{part}: {}", bridge.log());
    }
    let bridge = Bridge::start(broker, &service, "publish", &topic, &["--after-gap", "continue"]);
    wait_until("the gap", || bridge.log().contains("going on, as --after-gap says"));
    issue(6);
    let of = |nth: u64| script::life(nth).code.expect("a code");
    let is_there = |nth: u64| reader.records().iter().any(|record| record.key == of(nth));
    wait_until("an event behind the gap", || is_there(6));
    bridge.stop();
    // The cursor behind the gap was written: no flag is needed any more.
    let bridge = Bridge::start(broker, &service, "publish", &topic, &[]);
    issue(7);
    wait_until("another event", || is_there(7));
    bridge.stop();
}
