use coupon::calendar::Zone;
use coupon::coupon::{Event, Genesis};
use coupon::ids::{Actor, OperationId};

use super::*;

fn zone(name: &str) -> Zone {
    name.parse().unwrap()
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

/// Midday of a day in UTC.
fn noon(text: &str) -> Millis {
    date(text).first_instant(&Zone::utc()).plus_ms(43_200_000)
}

fn event(at: Millis, kind: EventKind) -> Event {
    Event { at, actor: Actor::new("admin:cli"), operation: OperationId(1), kind }
}

fn issue(at: Millis) -> Event {
    let to = "ann".parse().unwrap();
    event(at, EventKind::Issued { to, reference: None, expires_at: None })
}

fn extend(at: Millis, on: &str) -> Event {
    let expires_at = date(on).end(&Zone::utc());
    event(at, EventKind::Extended { expires_at, zone: Zone::utc(), reason: None })
}

fn coupon(expires_at: Millis, zone: &Zone, events: Vec<Event>) -> Coupon {
    let genesis = Genesis {
        code: "AUTUMN".parse().unwrap(),
        campaign: "c".parse().unwrap(),
        batch: "b".parse().unwrap(),
        valid_from: Millis(0),
        expires_at,
        zone: zone.clone(),
        created_at: Millis(0),
    };
    let version = events.len() as u64;
    Coupon::of(genesis, events, None, version, Millis(0))
}

fn watches(days: &[u16], since: &str) -> Vec<Watch> {
    days.iter().map(|days| Watch { days: *days, since: noon(since) }).collect()
}

const LAST: &str = "2026-06-30";

/// Last day 30 June in UTC, held since January, in notices since the first of May.
#[test]
fn days_before_the_last_day() {
    let cases = [
        ("before all notices", "2026-05-30", None),
        ("30 days", "2026-05-31", Some((30, 30))),
        ("a run was missed", "2026-06-01", Some((30, 29))),
        ("all runs of weeks were missed", "2026-06-22", Some((30, 8))),
        ("7 days", "2026-06-23", Some((7, 7))),
        ("between two notices", "2026-06-26", Some((7, 4))),
        ("3 days", "2026-06-27", Some((3, 3))),
        ("between the last two notices", "2026-06-28", Some((3, 2))),
        ("1 day", "2026-06-29", Some((1, 1))),
        ("the last day", "2026-06-30", Some((1, 0))),
        ("the day after", "2026-07-01", None),
    ];
    let coupon =
        coupon(date(LAST).end(&Zone::utc()), &Zone::utc(), vec![issue(noon("2026-01-01"))]);
    let watches = watches(&[30, 7, 3, 1], "2026-05-01");
    for (name, today, want) in cases {
        let found = due(&coupon, &watches, noon(today)).map(|due| (due.days, due.days_left));
        assert_eq!(found, want, "{name}");
    }
}

#[test]
fn the_last_millisecond() {
    let end = date(LAST).end(&Zone::utc());
    let coupon = coupon(end, &Zone::utc(), vec![issue(noon("2026-01-01"))]);
    let on_the_day = watches(&[0], "2026-05-01");
    let told = |now| due(&coupon, &on_the_day, now);
    assert_eq!(told(end.plus_ms(-1)), Some(Due { days: 0, days_left: 0 }));
    assert_eq!(told(end), None);
    let first = date(LAST).first_instant(&Zone::utc());
    assert_eq!(told(first), Some(Due { days: 0, days_left: 0 }));
    assert_eq!(told(first.plus_ms(-1)), None, "not yet");
}

/// One instant, noon UTC of 20 June: in Kiritimati (+14) it is the 21st, in Los Angeles the 20th.
/// Also at the edges of the day.
#[test]
fn days_are_those_of_the_zone() {
    let cases = [
        ("Kiritimati, its 3 days", "Pacific/Kiritimati", "2026-06-24", noon("2026-06-20"), true),
        ("Kiritimati, UTC's 3", "Pacific/Kiritimati", "2026-06-23", noon("2026-06-20"), false),
        ("Los Angeles, its 3", "America/Los_Angeles", "2026-06-23", noon("2026-06-20"), true),
        (
            "Los Angeles before its midnight",
            "America/Los_Angeles",
            "2026-06-23",
            Millis(1_782_025_199_999),
            true,
        ),
        ("and after it", "America/Los_Angeles", "2026-06-23", Millis(1_782_025_200_000), false),
        (
            "and the next day's",
            "America/Los_Angeles",
            "2026-06-24",
            Millis(1_782_025_200_000),
            true,
        ),
    ];
    for (name, zone_name, last, now, want) in cases {
        let zone = zone(zone_name);
        let coupon = coupon(date(last).end(&zone), &zone, vec![issue(noon("2026-01-01"))]);
        // Notices begin at this instant: no earlier day is sent.
        let watches = [Watch { days: 3, since: now }];
        let want = want.then_some(Due { days: 3, days_left: 3 });
        assert_eq!(due(&coupon, &watches, now), want, "{name}");
    }
}

#[test]
fn days_before_the_first_run() {
    let held = || vec![issue(noon("2026-01-01"))];
    let cases = [
        ("notices since today", held(), &[7, 3][..], "2026-06-25", "2026-06-25", None),
        ("since the day of the 7", held(), &[7, 3], "2026-06-23", "2026-06-25", Some((7, 5))),
        ("since a day later", held(), &[7, 3], "2026-06-24", "2026-06-25", None),
        ("the clock went back", held(), &[7, 3], "2026-06-29", "2026-06-25", None),
        (
            "issued after the day of the 7",
            vec![issue(noon("2026-06-25"))],
            &[7, 3],
            "2026-05-01",
            "2026-06-26",
            None,
        ),
        (
            "issued on the day of the 7",
            vec![issue(noon("2026-06-23"))],
            &[7, 3],
            "2026-05-01",
            "2026-06-26",
            Some((7, 4)),
        ),
        (
            "issued after the day of the 7, and then the 3",
            vec![issue(noon("2026-06-25"))],
            &[7, 3],
            "2026-05-01",
            "2026-06-27",
            Some((3, 3)),
        ),
        (
            "extended after the day of the 7",
            [held(), vec![extend(noon("2026-06-25"), LAST)]].concat(),
            &[7, 3],
            "2026-05-01",
            "2026-06-26",
            None,
        ),
        (
            "extended in time",
            [held(), vec![extend(noon("2026-06-20"), LAST)]].concat(),
            &[7, 3],
            "2026-05-01",
            "2026-06-26",
            Some((7, 4)),
        ),
    ];
    for (name, events, days, since, today, want) in cases {
        let made = match events.len() {
            1 => date(LAST).end(&Zone::utc()),
            _ => date("2026-06-21").end(&Zone::utc()),
        };
        let coupon = coupon(made, &Zone::utc(), events);
        let found = due(&coupon, &watches(days, since), noon(today));
        assert_eq!(found.map(|due| (due.days, due.days_left)), want, "{name}");
    }
}

#[test]
fn without_notice_days() {
    let coupon =
        coupon(date(LAST).end(&Zone::utc()), &Zone::utc(), vec![issue(noon("2026-01-01"))]);
    assert_eq!(due(&coupon, &[], noon(LAST)), None);
}
