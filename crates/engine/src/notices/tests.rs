use coupon::calendar::Zone;
use coupon::coupon::Event;

use super::*;
use crate::testing::{day, event, genesis, zone};

/// Midday of a day in UTC.
fn noon(text: &str) -> Millis {
    day(text).first_instant(&Zone::utc()).plus_ms(43_200_000)
}

fn issue(at: Millis) -> Event {
    let to = "ann".parse().unwrap();
    event(at, EventKind::Issued { to, reference: None, expires_at: None })
}

fn extend(at: Millis, on: &str) -> Event {
    let expires_at = day(on).end(&Zone::utc());
    event(at, EventKind::Extended { expires_at, zone: Zone::utc(), reason: None })
}

fn coupon(expires_at: Millis, zone: &Zone, events: Vec<Event>) -> Coupon {
    let version = events.len() as u64;
    Coupon::of(genesis("AUTUMN", expires_at, zone), events, None, version, Millis(0))
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
    let coupon = coupon(day(LAST).end(&Zone::utc()), &Zone::utc(), vec![issue(noon("2026-01-01"))]);
    let watches = watches(&[30, 7, 3, 1], "2026-05-01");
    for (name, today, want) in cases {
        let found = due(&coupon, &watches, noon(today)).map(|due| (due.days, due.days_left));
        assert_eq!(found, want, "{name}");
    }
}

#[test]
fn the_last_millisecond() {
    let end = day(LAST).end(&Zone::utc());
    let coupon = coupon(end, &Zone::utc(), vec![issue(noon("2026-01-01"))]);
    let on_the_day = watches(&[0], "2026-05-01");
    let told = |now| due(&coupon, &on_the_day, now);
    assert_eq!(told(end.plus_ms(-1)), Some(Due { days: 0, days_left: 0 }));
    assert_eq!(told(end), None);
    let first = day(LAST).first_instant(&Zone::utc());
    assert_eq!(told(first), Some(Due { days: 0, days_left: 0 }));
    assert_eq!(told(first.plus_ms(-1)), None, "not yet");
}

/// One instant, noon UTC of 20 June: in Kiritimati (+14) it is the 21st, in Los Angeles the 20th.
/// Also at the edges of the day.
#[test]
fn days_are_those_of_the_zone() {
    let (east, west) = ("Pacific/Kiritimati", "America/Los_Angeles");
    let (noon_of_20, midnight) = (noon("2026-06-20"), Millis(1_782_025_200_000));
    let cases = [
        ("Kiritimati, its 3 days", east, "2026-06-24", noon_of_20, true),
        ("Kiritimati, UTC's 3", east, "2026-06-23", noon_of_20, false),
        ("Los Angeles, its 3", west, "2026-06-23", noon_of_20, true),
        ("Los Angeles before its midnight", west, "2026-06-23", midnight.plus_ms(-1), true),
        ("and after it", west, "2026-06-23", midnight, false),
        ("and the next day's", west, "2026-06-24", midnight, true),
    ];
    for (name, zone_name, last, now, want) in cases {
        let zone = zone(zone_name);
        let coupon = coupon(day(last).end(&zone), &zone, vec![issue(noon("2026-01-01"))]);
        // Notices begin at this instant: no earlier day is sent.
        let watches = [Watch { days: 3, since: now }];
        let want = want.then_some(Due { days: 3, days_left: 3 });
        assert_eq!(due(&coupon, &watches, now), want, "{name}");
    }
}

#[test]
fn days_before_the_first_run() {
    let issued = |on| vec![issue(noon(on))];
    let held = || issued("2026-01-01");
    let extended = |on| [held(), vec![extend(noon(on), LAST)]].concat();
    // When they began, the day of the run, and which notice is due so many days before the last one.
    let cases = [
        ("notices since today", held(), "2026-06-25", "2026-06-25", None),
        ("since the day of the 7", held(), "2026-06-23", "2026-06-25", Some((7, 5))),
        ("since a day later", held(), "2026-06-24", "2026-06-25", None),
        ("the clock went back", held(), "2026-06-29", "2026-06-25", None),
        ("issued after the 7", issued("2026-06-25"), "2026-05-01", "2026-06-26", None),
        ("issued on its day", issued("2026-06-23"), "2026-05-01", "2026-06-26", Some((7, 4))),
        ("and then the 3", issued("2026-06-25"), "2026-05-01", "2026-06-27", Some((3, 3))),
        ("extended after the 7", extended("2026-06-25"), "2026-05-01", "2026-06-26", None),
        ("in time", extended("2026-06-20"), "2026-05-01", "2026-06-26", Some((7, 4))),
    ];
    for (name, events, since, today, want) in cases {
        let made = if events.len() == 1 { LAST } else { "2026-06-21" };
        let coupon = coupon(day(made).end(&Zone::utc()), &Zone::utc(), events);
        let found = due(&coupon, &watches(&[7, 3], since), noon(today));
        assert_eq!(found.map(|due| (due.days, due.days_left)), want, "{name}");
    }
}

#[test]
fn without_notice_days() {
    let coupon = coupon(day(LAST).end(&Zone::utc()), &Zone::utc(), vec![issue(noon("2026-01-01"))]);
    assert_eq!(due(&coupon, &[], noon(LAST)), None);
}
