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

const LAST: &str = "2026-06-30";

/// Last day 30 June in UTC, held since January; the round before was in April.
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
    for (name, today, want) in cases {
        let found =
            due(&coupon, &[30, 7, 3, 1], (Some(noon("2026-04-30")), noon(today)), noon(today));
        assert_eq!(found, want, "{name}");
    }
}

#[test]
fn the_last_millisecond() {
    let end = day(LAST).end(&Zone::utc());
    let coupon = coupon(end, &Zone::utc(), vec![issue(noon("2026-01-01"))]);
    let told = |now| due(&coupon, &[0], (Some(noon("2026-04-30")), now), now);
    assert_eq!(told(end.plus_ms(-1)), Some((0, 0)));
    assert_eq!(told(end), None);
    let first = day(LAST).first_instant(&Zone::utc());
    assert_eq!(told(first), Some((0, 0)));
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
        // The first round is about the day on which it ends, and no earlier one.
        assert_eq!(due(&coupon, &[3], (None, now), now), want.then_some((3, 3)), "{name}");
    }
}

#[test]
fn rounds() {
    let issued = |on| vec![issue(noon(on))];
    let held = || issued("2026-01-01");
    let extended = |on| [held(), vec![extend(noon(on), LAST)]].concat();
    let spring = Some("2026-05-01");
    // The day of the round before, and of this one; the notice that is due of 7 and 3 days before the last one.
    let cases = [
        ("the first round", held(), None, "2026-06-25", None),
        ("the first round, on the day of the 7", held(), None, "2026-06-23", Some((7, 7))),
        ("no round on the day of the 7", held(), Some("2026-06-22"), "2026-06-25", Some((7, 5))),
        ("sent on that day", held(), Some("2026-06-23"), "2026-06-25", None),
        ("two rounds in a day", held(), Some("2026-06-23"), "2026-06-23", None),
        ("the clock went back", held(), Some("2026-06-29"), "2026-06-25", None),
        ("issued after the 7", issued("2026-06-25"), spring, "2026-06-26", None),
        ("issued on its day", issued("2026-06-23"), spring, "2026-06-26", Some((7, 4))),
        ("and then the 3", issued("2026-06-25"), spring, "2026-06-27", Some((3, 3))),
        ("extended after the 7", extended("2026-06-25"), spring, "2026-06-26", None),
        ("in time", extended("2026-06-20"), spring, "2026-06-26", Some((7, 4))),
    ];
    for (name, events, before, today, want) in cases {
        let made = if events.len() == 1 { LAST } else { "2026-06-21" };
        let coupon = coupon(day(made).end(&Zone::utc()), &Zone::utc(), events);
        let range = (before.map(noon), noon(today));
        assert_eq!(due(&coupon, &[7, 3], range, noon(today)), want, "{name}");
        assert_eq!(due(&coupon, &[], range, noon(today)), None, "{name}: no days");
    }
}

/// A round that was begun on the day of the 7, and is repeated later.
#[test]
fn repeated_late() {
    let coupon = coupon(day(LAST).end(&Zone::utc()), &Zone::utc(), vec![issue(noon("2026-01-01"))]);
    let range = (Some(noon("2026-06-22")), noon("2026-06-23"));
    let cases = [
        ("at once", "2026-06-23", Some((7, 7))),
        ("after the 3, which are of the next round", "2026-06-28", Some((7, 2))),
        ("after the last day", "2026-07-01", None),
    ];
    for (name, today, want) in cases {
        assert_eq!(due(&coupon, &[7, 3], range, noon(today)), want, "{name}");
    }
}

/// What is paused waits from the first round that left it out until it is resumed.
#[test]
fn paused_coupons_wait() {
    let (may, june) = (noon("2026-05-01"), noon("2026-06-01"));
    let names = |names: &[(&str, Millis)]| -> BTreeMap<String, Millis> {
        names.iter().map(|(name, since)| ((*name).to_owned(), *since)).collect()
    };
    // Whether campaign and batch are paused, what waited before, since when the round is about it, what waits.
    type Row<'a> = (&'a str, (bool, bool), &'a [(&'a str, Millis)], Option<Millis>);
    let cases: [(Row<'_>, &[(&str, Millis)]); 9] = [
        (("not paused", (false, false), &[], Some(june)), &[]),
        (("paused", (true, false), &[], None), &[("c", june)]),
        (("a round later", (true, false), &[("c", may)], None), &[("c", may)]),
        (("resumed", (false, false), &[("c", may)], Some(may)), &[]),
        (("a batch", (false, true), &[], None), &[("c/b", june)]),
        (("then all", (true, false), &[("c/b", may)], None), &[("c", june), ("c/b", may)]),
        (("only the campaign resumed", (false, true), &[("c", may)], None), &[("c/b", may)]),
        (
            ("both, and a batch later", (true, true), &[("c", may)], None),
            &[("c", may), ("c/b", may)],
        ),
        (("another campaign", (false, false), &[("d", may)], Some(june)), &[]),
    ];
    let genesis = genesis("AUTUMN", noon(LAST), &Zone::utc());
    for ((name, paused, before, want), left) in cases {
        let waiting = names(before);
        let range = NoticeRange { after: Some(june), until: noon(LAST), waiting };
        let mut waiting = BTreeMap::new();
        let found = since(&genesis, paused, &range, &mut waiting);
        assert_eq!((found.flatten(), waiting), (want, names(left)), "{name}");
    }
}
