use std::collections::BTreeSet;

use serde_json::{Value, json};
use webhooks::Answered;

use super::*;

fn lane(restarts: u64, pending: BTreeMap<i64, Facts>) -> Lane {
    let terms = json!({
        "request": "", "url": "https://hooks.example/", "description": null, "types": null,
        "campaign": null, "ordered": false, "state": "active", "since": 0, "created_at": 0,
        "begins_at": "0", "restarts": restarts, "secrets": [],
    });
    let terms = serde_json::from_value(terms).unwrap();
    let row = EndpointRow { name: "a".to_owned(), number: 1, generation: 0, terms };
    let until = Instant::now() + DAY;
    Lane::new(row, ProgressRow::default(), pending, until, 1_000)
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

fn numbers(lane: &Lane) -> Vec<i64> {
    lane.unwritten().into_keys().collect()
}

/// The attempt of each ends well.
fn arrive(lane: &mut Lane, numbers: &[i64]) {
    let tried = |&number: &i64| Tried {
        webhook: 1,
        number,
        probes: false,
        answered: Answered {
            verdict: Verdict::Delivered,
            status: Some(200),
            error: None,
            duration: Duration::ZERO,
        },
    };
    let tried: Vec<Tried> = numbers.iter().map(tried).collect();
    let tried: Vec<&Tried> = tried.iter().collect();
    let moment = Moment { now: 2_000, trusted: true };
    let outcome = lane.outcome(&tried, moment, &Options::default());
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
    type Step<'a> = (&'a str, &'a dyn Fn(&mut Lane), Option<&'a str>);
    let steps: [Step<'_>; 5] = [
        ("nothing has ended", &|_| {}, None),
        ("the second has ended", &|lane| arrive(lane, &all[1..2]), None),
        ("the first is written", &|lane| lane.is_written(all[0]), Some("2")),
        ("saving has failed, and is tried again", &|_| {}, Some("2")),
        ("the others have ended", &|lane| arrive(lane, &all[2..]), Some("9")),
    ];
    for (name, step, want) in steps {
        step(&mut lane);
        assert_eq!(lane.progress().cursor.as_deref(), want, "{name}");
    }
}

/// A delivery that is written while it is posted has a row, which must go when it has arrived.
#[test]
fn rows_of_what_has_ended_are_deleted() {
    let mut lane = lane(0, BTreeMap::new());
    lane.queue(&events(1, 3), "3", 1_000);
    let all = numbers(&lane);
    lane.is_written(all[0]);
    arrive(&mut lane, &all);
    assert_eq!(lane.ended(), [all[0]], "written before it ended");
    lane.is_written(all[1]);
    assert_eq!(lane.ended(), [all[0], all[1]], "written after it ended");
    lane.is_deleted(all[0]);
    assert_eq!(lane.ended(), [all[1]]);
}

/// The row of a delivery whose body is gone is the rest of one that has ended.
#[test]
fn the_rest_of_one_that_has_ended_elsewhere() {
    let facts = Facts { id: Some("event-1".to_owned()), ..Facts::default() };
    let mut lane = lane(0, BTreeMap::from([(7, facts.clone()), (8, facts)]));
    assert!(lane.post(7, None).is_none());
    lane.has_ended_elsewhere(7);
    assert!(lane.post(8, Some("body".to_owned())).is_some());
    lane.has_ended_elsewhere(8);
    assert_eq!((lane.pending(), lane.ended()), (1, vec![7]), "only what has no body");
    // One that only this process has.
    lane.queue(&events(2, 1), "2", 1_000);
    let number = numbers(&lane)[0];
    lane.has_ended_elsewhere(number);
    assert_eq!(lane.pending(), 2);
}

#[test]
fn what_is_read_again_is_queued_once() {
    let mut lane = lane(0, BTreeMap::new());
    assert_eq!(lane.queue(&events(1, 3), "3", 1_000), 3);
    assert_eq!(lane.queue(&events(2, 3), "4", 1_000), 1);
    let ids = lane.unwritten().into_values().filter_map(|facts| facts.id);
    let want = ["event-1", "event-2", "event-3", "event-4"].map(str::to_owned);
    assert_eq!(ids.collect::<BTreeSet<String>>(), BTreeSet::from(want));
}

/// A process that takes over after a resume makes due what another one had postponed.
#[test]
fn a_restart_is_not_missed() {
    for (restarts, due) in [(0, 5_000_000), (1, 1_000)] {
        let facts = Facts { next_at: 5_000_000, attempts: 3, ..Facts::default() };
        let lane = lane(restarts, BTreeMap::from([(7, facts)]));
        assert_eq!(lane.waiting(7).map(|it| it.facts.next_at), Some(due), "{restarts}");
    }
}
