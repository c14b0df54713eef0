use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::Options;
use crate::post::{AttemptAnswer, AttemptVerdict};
use crate::store::EndedAttempt;

fn lane(restarts: u64, pending: BTreeMap<i64, DeliveryFacts>) -> WebhookLane {
    let terms = json!({
        "request": "", "url": "https://hooks.example/", "description": null, "types": null,
        "campaign": null, "ordered": false, "state": "active", "since": 0, "created_at": 0,
        "begins_at": "0", "restarts": restarts, "secrets": [],
    });
    let terms = serde_json::from_value(terms).unwrap();
    let row = EndpointRow { name: "a".to_owned(), number: 1, generation: 0, terms };
    let lease = (Vec::new(), Instant::now() + Duration::from_secs(3_600));
    WebhookLane::new(row, Default::default(), pending, lease, 1_000)
}

fn events(from: usize, count: usize) -> Vec<Event> {
    let event = |nth: usize| Event {
        id: format!("event-{nth}"),
        cursor: nth.to_string(),
        event_type: "coupon.redeemed".to_owned(),
        only_by_name: false,
        at_ms: 0,
        campaign: None,
        code: None,
        data: Value::Null,
    };
    (from..from + count).map(event).collect()
}

fn numbers(lane: &WebhookLane) -> Vec<i64> {
    lane.unwritten.iter().copied().collect()
}

/// The attempt of each ends well.
fn arrive(lane: &mut WebhookLane, numbers: &[i64]) {
    let tried = |&number: &i64| EndedAttempt {
        webhook: 1,
        number,
        generation: 0,
        probes: false,
        answered: AttemptAnswer {
            verdict: AttemptVerdict::Delivered,
            status: Some(200),
            error: None,
            duration_ms: 0,
        },
    };
    let tried: Vec<EndedAttempt> = numbers.iter().map(tried).collect();
    let tried: Vec<&EndedAttempt> = tried.iter().collect();
    let outcome = lane.outcome(&tried, &Options::default(), 2_000, true);
    lane.apply(outcome);
}

/// The cursor that is saved stays behind everything that only this process knows.
#[test]
fn the_cursor_waits() {
    let mut lane = lane(0, BTreeMap::new());
    lane.queue(&events(1, 2), "2", 1_000);
    lane.queue(&events(3, 2), "4", 1_000);
    lane.queue(&[], "9", 1_000);
    let all = numbers(&lane);
    type Step<'a> = (&'a str, &'a dyn Fn(&mut WebhookLane), Option<&'a str>);
    let steps: [Step<'_>; 5] = [
        ("nothing has ended", &|_| {}, None),
        ("the second has ended", &|lane| arrive(lane, &all[1..2]), None),
        (
            "the first is written",
            &|lane| lane.are_written(&[DeliveryRow::waiting(all[0], Default::default(), None)]),
            Some("2"),
        ),
        ("saving has failed, and is tried again", &|_| {}, Some("2")),
        ("the others have ended", &|lane| arrive(lane, &all[2..]), Some("9")),
    ];
    for (name, step, want) in steps {
        step(&mut lane);
        let cursor = lane.unsaved(false).and_then(|progress| progress.cursor);
        assert_eq!(cursor.as_deref(), want, "{name}");
    }
}

/// A delivery that is written while it is posted has rows, which must go when it has arrived; those of all together
/// when none waits.
#[test]
fn rows_of_what_has_ended_go() {
    let mut lane = lane(0, BTreeMap::new());
    lane.queue(&events(1, 4), "4", 1_000);
    let (all, block) = (numbers(&lane), waiting_block_of(1));
    let rows = lane.to_write(true);
    assert!(lane.name_blocks(&rows), "before they are written");
    lane.are_written(&rows[..1]);
    arrive(&mut lane, &all[..3]);
    assert_eq!(lane.ended(), BTreeMap::from([(block, (false, vec![all[0]]))]), "none waits");
    lane.are_written(&rows[1..]);
    assert_eq!(lane.ended(), BTreeMap::from([(block, (true, all[..3].to_vec()))]), "one waits");
    lane.is_emptied(block, &all[..3], false);
    arrive(&mut lane, &all[3..]);
    assert_eq!(lane.ended(), BTreeMap::from([(block, (false, all[3..].to_vec()))]), "the last");
    assert!(lane.progress_now().blocks.contains(&block));
    lane.is_emptied(block, &all[3..], true);
    assert_eq!((lane.ended().len(), lane.progress_now().blocks.len()), (0, 0));
}

/// Events go first; of many places one is for an announcement.
#[test]
fn announcements_go_beside_events() {
    let announced =
        DeliveryFacts { announced: true, id: Some(String::new()), ..Default::default() };
    let event = DeliveryFacts { next_at: 900, ..announced.clone() };
    let event = DeliveryFacts { announced: false, ..event };
    let of = |numbers: std::ops::Range<i64>, facts: &DeliveryFacts| {
        numbers.map(|number| (number, facts.clone())).collect::<Vec<_>>()
    };
    let cases = [
        ("events first", 1, 3..5, 0..3, vec![3]),
        ("a free place", 4, 3..5, 0..3, vec![3, 4, 0, 1]),
        ("one of eight", 8, 10..30, 0..3, vec![10, 11, 12, 13, 14, 15, 16, 0]),
        ("no announcement", 8, 10..30, 0..0, (10..18).collect()),
        ("no event", 8, 0..0, 0..3, vec![0, 1, 2]),
    ];
    for (name, each, events, announcements, want) in cases {
        let waiting = of(events, &event).into_iter().chain(of(announcements, &announced));
        let lane = lane(0, waiting.collect());
        let wanted = FreePlaces { webhook: 1, in_flight: BTreeSet::new(), quiet: None };
        let options = Options { in_flight_each: each, ..Options::default() };
        let (_, due) = lane.due(&wanted, &options, 1_000, true).unwrap().unwrap();
        assert_eq!(due, want, "{name}");
    }
}

/// The row of a delivery whose body is gone is the rest of one that has ended.
#[test]
fn the_rest_of_one_that_has_ended_elsewhere() {
    let facts = DeliveryFacts { id: Some("event-1".to_owned()), ..DeliveryFacts::default() };
    let mut lane = lane(0, BTreeMap::from([(7, facts.clone()), (8, facts)]));
    assert!(lane.post(7, None).is_none());
    lane.has_ended_elsewhere(7);
    assert!(lane.post(8, Some("body".to_owned())).is_some());
    lane.has_ended_elsewhere(8);
    assert_eq!(lane.waiting_facts().into_keys().collect::<Vec<_>>(), [8], "only what has no body");
    assert_eq!(lane.ended(), BTreeMap::from([(0, (true, vec![7]))]));
    // One that only this process has.
    lane.queue(&events(2, 1), "2", 1_000);
    let number = numbers(&lane)[0];
    lane.has_ended_elsewhere(number);
    assert_eq!(lane.waiting_facts().len(), 2);
}

#[test]
fn what_is_read_again_is_queued_once() {
    let mut lane = lane(0, BTreeMap::new());
    assert_eq!(lane.queue(&events(1, 3), "3", 1_000), 3);
    assert_eq!(lane.queue(&events(2, 3), "4", 1_000), 1);
    let ids = lane.waiting_facts().into_values().filter_map(|facts| facts.id);
    let want = ["event-1", "event-2", "event-3", "event-4"].map(str::to_owned);
    assert_eq!(ids.collect::<BTreeSet<String>>(), BTreeSet::from(want));
}

/// A process that takes over after a resume makes due what another one had postponed.
#[test]
fn a_restart_is_not_missed() {
    for (restarts, due) in [(0, 5_000_000), (1, 1_000)] {
        let facts = DeliveryFacts { next_at: 5_000_000, attempts: 3, ..DeliveryFacts::default() };
        let lane = lane(restarts, BTreeMap::from([(7, facts)]));
        assert_eq!(lane.waiting.get(&7).map(|it| it.facts.next_at), Some(due), "{restarts}");
    }
}
