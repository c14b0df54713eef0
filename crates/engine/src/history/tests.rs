use coupon::calendar::{Date, Zone, parse_instant};
use coupon::coupon::{Coupon, Event, EventKind, Genesis};
use coupon::time::{DAY_MS, Day, Millis};

use super::coupons::{first_partition, last_partition};
use super::redemptions::made_on;
use super::*;
use crate::testing::{day, event, genesis, zone};

fn at(text: &str) -> Millis {
    parse_instant(text).unwrap()
}

fn redeemed(at: Millis, order: &str) -> Event {
    event(
        at,
        EventKind::Redeemed { by: "ann".parse().ok(), order: order.parse().unwrap(), worth: None },
    )
}

fn cancelled(at: Millis, order: &str, reason: Option<&str>) -> Event {
    let reason = reason.map(|reason| reason.parse().unwrap());
    event(at, EventKind::RedemptionCancelled { order: order.parse().unwrap(), reason })
}

fn coupon(expires_at: Millis, events: Vec<Event>) -> Coupon {
    let genesis = genesis("U0001", expires_at, &zone("Asia/Seoul"));
    Coupon::of(genesis, events, None, 1, expires_at)
}

#[test]
fn days_of_redemptions() {
    let rows = [
        ("before midnight in Seoul", "Asia/Seoul", "2026-10-31T14:30:00Z", "2026-10-31"),
        ("after it", "Asia/Seoul", "2026-10-31T15:00:00Z", "2026-11-01"),
        ("the same in UTC", "UTC", "2026-10-31T15:00:00Z", "2026-10-31"),
        ("25 hours: the first", "America/New_York", "2026-11-01T04:00:00Z", "2026-11-01"),
        ("25 hours: the last", "America/New_York", "2026-11-02T04:59:59.999Z", "2026-11-01"),
        ("25 hours: over", "America/New_York", "2026-11-02T05:00:00Z", "2026-11-02"),
        ("23 hours: the first", "America/New_York", "2026-03-08T05:00:00Z", "2026-03-08"),
        ("23 hours: the last", "America/New_York", "2026-03-09T03:59:59.999Z", "2026-03-08"),
        ("23 hours: over", "America/New_York", "2026-03-09T04:00:00Z", "2026-03-09"),
        ("the hour before midnight", "Africa/Cairo", "2026-10-29T20:30:00Z", "2026-10-29"),
        ("the same hour again", "Africa/Cairo", "2026-10-29T21:30:00Z", "2026-10-29"),
        ("furthest east", "Pacific/Kiritimati", "2026-10-31T10:00:00Z", "2026-11-01"),
        ("furthest west", "Pacific/Pago_Pago", "2026-11-01T10:59:59.999Z", "2026-10-31"),
    ];
    for (name, zone_name, instant, want) in rows {
        let coupon = coupon(at("2027-01-01T00:00:00Z"), vec![redeemed(at(instant), "1")]);
        for offset in -3..=3 {
            let on = Date::of(Millis(at(instant).0 + offset * DAY_MS), &zone("UTC"));
            let found = made_on(&coupon, &(on..=on), &zone(zone_name)).count();
            assert_eq!(found, usize::from(on == day(want)), "{name}: on {on}");
        }
    }
}

#[test]
fn each_redemption_with_its_cancellation() {
    let (one, two, three) =
        (at("2026-11-01T00:00:00Z"), at("2026-11-02T00:00:00Z"), at("2026-11-03T00:00:00Z"));
    let events = vec![
        redeemed(one, "1"),
        cancelled(two, "1", Some("sent back")),
        redeemed(two, "2"),
        cancelled(three, "2", None),
        redeemed(three, "3"),
    ];
    let coupon = coupon(at("2027-01-01T00:00:00Z"), events);
    let story = |from: &str, to: &str| {
        let days = day(from)..=day(to);
        made_on(&coupon, &days, &Zone::utc())
            .map(|(made, why)| {
                let why = why.map(|why| why.as_str().to_owned());
                (made.order.to_string(), made.at, made.cancelled_at, why)
            })
            .collect::<Vec<_>>()
    };
    let first = ("1".to_owned(), one, Some(two), Some("sent back".to_owned()));
    let second = ("2".to_owned(), two, Some(three), None);
    let third = ("3".to_owned(), three, None, None);
    let cases = [
        ("all", "2026-11-01", "2026-11-30", vec![first.clone(), second.clone(), third.clone()]),
        ("cancelled later", "2026-11-01", "2026-11-01", vec![first]),
        ("the days of redemptions, not of cancelling", "2026-11-02", "2026-11-02", vec![second]),
        ("the live redemption", "2026-11-03", "2026-11-03", vec![third]),
        ("none", "2026-11-04", "2026-11-30", vec![]),
    ];
    for (name, from, to, want) in cases {
        assert_eq!(story(from, to), want, "{name}");
    }
}

#[test]
fn days_of_coupons() {
    let (from, to) = (Some(day("2026-10-31")), Some(day("2026-10-31")));
    let rows = [
        ("its own zone", None, DayOf::Expiry, "2026-10-31T15:00:00Z", true),
        ("its own zone, a day later", None, DayOf::Expiry, "2026-10-31T15:00:00.001Z", false),
        ("a zone", Some("UTC"), DayOf::Expiry, "2026-11-01T00:00:00Z", true),
        ("a zone, a day later", Some("UTC"), DayOf::Expiry, "2026-11-01T00:00:00.001Z", false),
        ("a zone, a day before", Some("UTC"), DayOf::Expiry, "2026-10-31T00:00:00Z", false),
        // The last change of these coupons is at their expiry.
        ("a change", None, DayOf::Change, "2026-10-31T23:59:59.999Z", true),
        ("a change too late", None, DayOf::Change, "2026-11-01T00:00:00Z", false),
        ("a change in a zone", Some("Asia/Seoul"), DayOf::Change, "2026-10-30T15:00:00Z", true),
        ("too late", Some("Asia/Seoul"), DayOf::Change, "2026-10-31T15:00:00Z", false),
    ];
    for (name, zone_name, by, expires_at, want) in rows {
        let zone = zone_name.map(zone);
        let request = CouponsRequest { campaign: None, by, from, to, zone };
        assert_eq!(request.takes(&coupon(at(expires_at), Vec::new())), want, "{name}");
    }
    let open = CouponsRequest { from, ..CouponsRequest::default() };
    assert!(open.takes(&coupon(at("2030-01-01T00:00:00Z"), Vec::new())), "open at the end");
    let other = CouponsRequest { campaign: "d".parse().ok(), ..CouponsRequest::default() };
    assert!(!other.takes(&coupon(at("2030-01-01T00:00:00Z"), Vec::new())), "another campaign");
}

/// Every partition with a coupon of the request is read.
#[test]
fn partitions_left_out() {
    let zones = ["UTC", "Asia/Seoul", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Africa/Cairo"];
    let on = day("2026-10-29");
    for zone_name in zones.into_iter().map(Some).chain([None]) {
        let zone = zone_name.map(zone);
        let request =
            CouponsRequest { from: Some(on), to: Some(on), zone, ..CouponsRequest::default() };
        let partitions = first_partition(&request).unwrap()..=last_partition(&request).unwrap();
        let noon = at("2026-10-29T12:00:00Z");
        let mut taken = 0;
        for minutes in (-4 * 1440..4 * 1440).step_by(30) {
            let expires_at = noon.plus_ms(minutes * 60_000);
            for own in zones {
                let seoul = coupon(expires_at, Vec::new());
                let genesis = Genesis { zone: own.parse().unwrap(), ..seoul.genesis().clone() };
                let coupon = Coupon::untouched(genesis);
                if request.takes(&coupon) {
                    taken += 1;
                    let partition = Day::expiry_day_of(expires_at);
                    assert!(
                        partitions.contains(&partition),
                        "{zone_name:?}: {own}: {expires_at:?}"
                    );
                }
            }
        }
        assert!(taken > 0, "{zone_name:?}");
        let wide = partitions.end().0 - partitions.start().0;
        assert!(wide <= 2, "{zone_name:?}: {wide} partitions too many");
    }
}
