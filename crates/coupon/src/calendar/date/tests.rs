use proptest::prelude::{any, prop_assert_eq, proptest};

use super::super::instant::{LAST_INSTANT, format_instant, parse_instant};
use super::*;

fn zone(name: &str) -> Zone {
    name.parse().unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn date(text: &str) -> Date {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn dates() {
    let no_day = |found: &str| Err(BadDate::NoSuchDay { found: found.into() });
    let form = |found: &str| Err(BadDate::Form { found: found.into() });
    let year = |found: &str| Err(BadDate::Year { found: found.into() });
    let cases = [
        ("with hyphens", "2026-12-31", Ok("2026-12-31")),
        ("without", "20261231", Ok("2026-12-31")),
        ("29 February", "2028-02-29", Ok("2028-02-29")),
        ("29 February of another year", "2027-02-29", no_day("2027-02-29")),
        ("a century without", "21000229", no_day("21000229")),
        ("30 February", "2026-02-30", no_day("2026-02-30")),
        ("month 0", "2026-00-10", no_day("2026-00-10")),
        ("month 13", "2026-13-10", no_day("2026-13-10")),
        ("day 0", "20261200", no_day("20261200")),
        ("day 99", "20261299", no_day("20261299")),
        ("the first", "1970-01-01", Ok("1970-01-01")),
        ("the day before it", "1969-12-31", year("1969-12-31")),
        ("year 0", "00000101", year("00000101")),
        ("the last", "9999-12-31", Ok("9999-12-31")),
        ("a year too long", "10000-01-01", Err(BadDate::Length { found: 11 })),
        ("short", "2026-1-31", Err(BadDate::Length { found: 9 })),
        ("empty", "", Err(BadDate::Length { found: 0 })),
        ("slashes", "2026/12/31", form("2026/12/31")),
        ("a sign", "+2026123", form("+2026123")),
        ("signs within", "2026-+1-+1", form("2026-+1-+1")),
        ("a blank", " 2026123", form(" 2026123")),
        ("outside ASCII", "２０-1-1", form("２０-1-1")),
        ("an instant", "2026-12-31T00:00Z", Err(BadDate::Length { found: 17 })),
    ];
    for (name, text, want) in cases {
        assert_eq!(
            text.parse::<Date>().map(|date| date.to_string()),
            want.map(String::from),
            "{name}"
        );
    }
}

#[test]
fn days_begin_and_end() {
    let cases = [
        ("UTC", "UTC", "2026-12-31", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("no DST", "Asia/Seoul", "2026-12-31", "2026-12-30T15:00:00Z", "2026-12-31T15:00:00Z"),
        (
            "DST in Seoul, once",
            "Asia/Seoul",
            "1988-05-08",
            "1988-05-07T15:00:00Z",
            "1988-05-08T14:00:00Z",
        ),
        ("29 February", "Asia/Seoul", "2028-02-29", "2028-02-28T15:00:00Z", "2028-02-29T15:00:00Z"),
        (
            "a gap: 23 hours",
            "America/New_York",
            "2026-03-08",
            "2026-03-08T05:00:00Z",
            "2026-03-09T04:00:00Z",
        ),
        (
            "a fold: 25 hours",
            "America/New_York",
            "2026-11-01",
            "2026-11-01T04:00:00Z",
            "2026-11-02T05:00:00Z",
        ),
        (
            "half an hour",
            "Australia/Lord_Howe",
            "2026-04-05",
            "2026-04-04T13:00:00Z",
            "2026-04-05T13:30:00Z",
        ),
        ("+14", "Pacific/Kiritimati", "2026-12-31", "2026-12-30T10:00:00Z", "2026-12-31T10:00:00Z"),
        ("-12", "Etc/GMT+12", "2026-12-31", "2026-12-31T12:00:00Z", "2027-01-01T12:00:00Z"),
        (
            "no midnight",
            "America/Sao_Paulo",
            "2018-11-04",
            "2018-11-04T03:00:00Z",
            "2018-11-05T02:00:00Z",
        ),
        (
            "the day before",
            "America/Sao_Paulo",
            "2018-11-03",
            "2018-11-03T03:00:00Z",
            "2018-11-04T03:00:00Z",
        ),
        (
            "23:00 twice",
            "America/Sao_Paulo",
            "2018-02-17",
            "2018-02-17T02:00:00Z",
            "2018-02-18T03:00:00Z",
        ),
        (
            "midnight twice",
            "America/Havana",
            "2026-11-01",
            "2026-11-01T04:00:00Z",
            "2026-11-02T05:00:00Z",
        ),
        (
            "midnight, then the day before",
            "America/St_Johns",
            "2010-11-07",
            "2010-11-07T02:30:00Z",
            "2010-11-08T03:30:00Z",
        ),
        (
            "the last of Apia's old days",
            "Pacific/Apia",
            "2011-12-29",
            "2011-12-29T10:00:00Z",
            "2011-12-30T10:00:00Z",
        ),
        (
            "a day left out is empty",
            "Pacific/Apia",
            "2011-12-30",
            "2011-12-30T10:00:00Z",
            "2011-12-30T10:00:00Z",
        ),
        (
            "the day after it",
            "Pacific/Apia",
            "2011-12-31",
            "2011-12-30T10:00:00Z",
            "2011-12-31T10:00:00Z",
        ),
        (
            "the first of the range",
            "America/New_York",
            "1970-01-01",
            "1970-01-01T05:00:00Z",
            "1970-01-02T05:00:00Z",
        ),
        (
            "the last but one",
            "America/New_York",
            "9999-12-30",
            "9999-12-30T05:00:00Z",
            "9999-12-31T05:00:00Z",
        ),
    ];
    for (name, at, on, first, end) in cases {
        let (zone, date) = (zone(at), date(on));
        assert_eq!(date.first_instant(&zone), parse_instant(first).unwrap(), "{name}: first");
        assert_eq!(date.end(&zone), parse_instant(end).unwrap(), "{name}: end");
        if first != end {
            assert_eq!(Date::of(date.first_instant(&zone), &zone), date, "{name}: of");
            assert_eq!(Date::last_of(date.end(&zone), &zone), date, "{name}: last of");
        }
    }
}

/// Clocks put forward from 23:30 to 00:30: no zone has done so since 1970, but one may.
#[test]
fn a_gap_that_begins_before_midnight() {
    let toronto = zone("America/Toronto");
    let day = Date(civil::date(1919, 3, 31));
    let first = format_instant(day.begins_at(&toronto));
    assert_eq!(first, "1919-03-31T04:30:00.000Z");
}

#[test]
fn the_ends_of_the_range() {
    let (first, last) = (date("1970-01-01"), date("9999-12-31"));
    let (east, west) = (zone("Pacific/Kiritimati"), zone("Etc/GMT+12"));
    assert_eq!(last.plus_days(1), last);
    assert_eq!(last.plus_days(u16::MAX), last);
    assert_eq!(date("2028-02-28").plus_days(1), date("2028-02-29"));
    assert_eq!(date("2028-02-28").plus_days(366), date("2029-02-28"));
    assert_eq!(date("1970-01-02").minus_days(1), date("1970-01-01"));
    assert_eq!(date("1970-01-01").minus_days(u32::MAX), date("1970-01-01"));
    assert_eq!(date("2029-02-28").minus_days(366), date("2028-02-28"));
    for (day, weekday) in [("1970-01-01", 3), ("2026-11-22", 6), ("2026-11-23", 0)] {
        assert_eq!(date(day).weekday(), weekday, "{day}");
    }
    for zone in [Zone::utc(), east.clone(), west.clone()] {
        assert!(Day::expiry_day_of(last.end(&zone)).can_be_archived(), "{zone}");
        assert!(Day::expiry_day_of(first.end(&zone)).can_be_archived(), "{zone}");
        let begins_at = first.first_instant(&zone);
        assert_eq!(parse_instant(&format_instant(begins_at)), Ok(begins_at), "{zone}");
        assert_eq!(Date::of(last.first_instant(&zone), &zone), last, "{zone}");
        assert_eq!(Date::last_of(last.end(&zone), &zone), last, "{zone}");
        assert_eq!(Date::of(Millis(i64::MAX), &zone), last, "{zone}");
        assert_eq!(Date::of(Millis(i64::MIN), &zone), first, "{zone}");
        assert_eq!(Date::last_of(Millis(i64::MIN), &zone), first, "{zone}");
    }
    assert_eq!(last.end(&west), LAST_INSTANT, "cut off");
    assert_eq!(first.first_instant(&zone("Asia/Seoul")).0, 0, "cut off");
    assert_eq!(last.end(&east).0 - LAST_INSTANT.0, -14 * 3_600_000 + 1);
}

#[test]
fn an_error_says_what_was_found() {
    assert_eq!(
        "2026-02-30".parse::<Date>().unwrap_err().to_string(),
        "date is \"2026-02-30\", want a day that exists",
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = text.parse::<Date>();
    }

    #[test]
    fn any_instant_has_a_day(ms in any::<i64>()) {
        let day = Date::of(Millis(ms), &zone("America/St_Johns"));
        prop_assert_eq!(day.to_string().parse(), Ok(day));
    }
}

/// Finds the same answers another way: takes from [`Zone`] only the offset of an instant, and
/// computes the calendar itself.
mod against_offsets {
    use std::collections::BTreeSet;

    use jiff::Timestamp;

    use super::super::super::zone::ZONES;
    use super::*;

    const HOUR: i64 = 3_600;

    /// Days since 1970-01-01; Howard Hinnant's `days_from_civil`.
    fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let year_of_era = year - era * 400;
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    fn number_of(date: Date) -> i64 {
        let text = date.to_string();
        let field = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
        days_from_civil(field(0..4), field(5..7), field(8..10))
    }

    /// Where the day of an instant can begin: at 00:00 by some offset that was in use around
    /// then, or where the offset changed.
    fn candidates(zone: &Zone, number: i64) -> BTreeSet<i64> {
        let midnight = number * DAY_SECONDS;
        let (mut at, end) = (midnight - 27 * HOUR, midnight + 51 * HOUR);
        let mut found = BTreeSet::new();
        while at < end {
            let (here, next) = (zone.offset_at(at), zone.offset_at(at + HOUR / 2));
            found.extend([midnight - here, midnight - next]);
            if here != next {
                let (mut early, mut late) = (at, at + HOUR / 2);
                while late - early > 1 {
                    let middle = (early + late) / 2;
                    if zone.offset_at(middle) == here { early = middle } else { late = middle }
                }
                found.insert(late);
            }
            at += HOUR / 2;
        }
        found
    }

    fn first_second(zone: &Zone, number: i64) -> i64 {
        let day = |at: i64| (at + zone.offset_at(at)).div_euclid(DAY_SECONDS);
        let candidates = candidates(zone, number);
        let on_the_day = candidates.iter().find(|at| day(**at) == number);
        // A day that the zone skipped begins where the next one does.
        *on_the_day.or_else(|| candidates.iter().find(|at| day(**at) > number)).unwrap()
    }

    #[test]
    fn ten_thousand_days_begin_and_end_where_the_offsets_say() {
        let zones: Vec<Zone> =
            ZONES.available().filter_map(|name| name.as_str().parse().ok()).collect();
        let mut seed = 20_261_120_u64;
        let mut below = |limit: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % limit
        };
        for case in 0..10_000 {
            let zone = &zones[below(zones.len() as u64) as usize];
            // 1970 to 2100, every other one next to a change of the clocks.
            let mut at = below(47_000) as i64 * DAY_SECONDS;
            if case % 2 == 0 {
                let from = Timestamp::from_second(at).unwrap();
                if let Some(change) = zone.0.following(from).next() {
                    at = change.timestamp().as_second() + (below(4) as i64 - 2) * 12 * HOUR;
                }
            }
            let date = Date::of(Millis(at * SECOND_MS), zone);
            let number = number_of(date);
            assert_eq!(
                number,
                (at + zone.offset_at(at)).div_euclid(DAY_SECONDS),
                "{zone} shows {date} at {at}"
            );
            let (first, end) = (first_second(zone, number), first_second(zone, number + 1));
            assert_eq!(date.first_instant(zone).0, first * SECOND_MS, "{zone} {date} begins");
            assert_eq!(date.end(zone).0, end * SECOND_MS, "{zone} {date} ends");
            assert_eq!(Date::last_of(date.end(zone), zone), date, "{zone} {date} is last");
        }
    }
}
