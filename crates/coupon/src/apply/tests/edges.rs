//! Edges of time and size that need a story of more than one change.

use super::*;
use crate::ids::IssueRef;

/// Who plays the story and what the terms are.
fn bearer() -> Terms {
    Terms { handout: Handout::Bearer, ..terms() }
}

fn fresh(expires_at: i64) -> Coupon {
    Coupon::untouched(genesis(NOW - DAY_MS, expires_at))
}

fn at(ms: i64, asks: Asks) -> Change {
    Change { at: Millis(ms), ..asks.by(None) }
}

fn accepted(coupon: &Coupon, change: &Change, terms: &Terms) -> Coupon {
    match apply(coupon, change, terms) {
        Outcome::Accepted(after) => *after,
        refused => panic!("{:?}: {refused:?}", change.action),
    }
}

/// `ok`, `replay` or the word of the refusal.
fn word(coupon: &Coupon, change: &Change, terms: &Terms) -> &'static str {
    match apply(coupon, change, terms) {
        Outcome::Accepted(_) => "ok",
        Outcome::Replayed => "replay",
        Outcome::Refused(refusal) => refusal.as_str(),
    }
}

#[test]
fn a_hold_outlives_expiry_and_pause_by_a_quarter_of_an_hour() {
    const SECOND: i64 = 1_000;
    let taken = NOW + HOLD_MAX_MS - 1;
    let coupon =
        accepted(&fresh(NOW + SECOND), &at(NOW, Asks::Hold("ann", "991", taken)), &bearer());
    let until = NOW + SECOND + 15 * MINUTE;
    assert_eq!(coupon.hold().unwrap().until, Millis(until));
    let paused = Terms { paused: true, ..bearer() };
    let redeem = |by, order| Asks::Redeem(by, order);
    let cases = [
        ("before expiry", NOW + SECOND - 1, redeem("ann", "991"), "ok"),
        ("a minute after expiry", NOW + SECOND + MINUTE, redeem("ann", "991"), "ok"),
        ("the hold's last millisecond", until - 1, redeem("ann", "991"), "ok"),
        ("the hold is over", until, redeem("ann", "991"), "EXPIRED"),
        ("16 minutes after expiry", NOW + SECOND + 16 * MINUTE, redeem("ann", "991"), "EXPIRED"),
        ("another order of hers", NOW + SECOND + MINUTE, redeem("ann", "992"), "HELD"),
        ("another user's order of that name", NOW + 1, redeem("bob", "991"), "HELD"),
        ("others wait for the clocks", until + BOUND - 1, redeem("bob", "993"), "HELD"),
        ("and no longer", until + BOUND, redeem("bob", "993"), "EXPIRED"),
        ("it cannot be moved further", until - 1, Asks::Hold("ann", "991", until + 1), "replay"),
        ("nor taken again", until, Asks::Hold("ann", "991", until + 1), "EXPIRED"),
    ];
    for (name, ms, asks, want) in cases {
        assert_eq!(word(&coupon, &at(ms, asks), &bearer()), want, "{name}");
        if want == "ok" {
            assert_eq!(word(&coupon, &at(ms, asks), &paused), want, "{name}, paused");
        }
    }
}

#[test]
fn hold_limits() {
    const WEEK: i64 = 7 * DAY_MS;
    let far = NOW + 300 * DAY_MS;
    // Taken at, asked until; asked again at, until; expiry; stands until.
    let cases = [
        ("as asked", None, (NOW, NOW + 1), far, NOW + 1),
        ("a week is the limit", None, (NOW, NOW + WEEK), far, NOW + WEEK),
        ("a millisecond more is not", None, (NOW, NOW + WEEK + 1), far, NOW + WEEK),
        (
            "the week counts from the first start",
            Some((NOW, NOW + DAY_MS)),
            (NOW + DAY_MS - 1, NOW + 10 * DAY_MS),
            far,
            NOW + WEEK,
        ),
        (
            "a hold that lapsed starts anew",
            Some((NOW, NOW + DAY_MS)),
            (NOW + DAY_MS, NOW + 10 * DAY_MS),
            far,
            NOW + DAY_MS + WEEK,
        ),
        (
            "a quarter of an hour past expiry",
            None,
            (NOW, NOW + DAY_MS),
            NOW + MINUTE,
            NOW + 16 * MINUTE,
        ),
        (
            "up to there as asked",
            None,
            (NOW, NOW + 16 * MINUTE - 1),
            NOW + MINUTE,
            NOW + 16 * MINUTE - 1,
        ),
        ("later when asked again", Some((NOW, NOW + 5)), (NOW + 1, NOW + 6), far, NOW + 6),
        ("never earlier", Some((NOW, NOW + 5)), (NOW + 1, NOW + 4), far, NOW + 5),
        ("the same is a replay", Some((NOW, NOW + 5)), (NOW + 1, NOW + 5), far, NOW + 5),
    ];
    for (name, first, (ms, until), expires_at, want) in cases {
        let mut coupon = fresh(expires_at);
        for (ms, until) in first.into_iter().chain([(ms, until)]) {
            coupon = match apply(&coupon, &at(ms, Asks::Hold("ann", "991", until)), &bearer()) {
                Outcome::Accepted(after) => *after,
                Outcome::Replayed => coupon,
                Outcome::Refused(refusal) => panic!("{name}: {refusal}"),
            };
        }
        assert_eq!(coupon.hold().unwrap().until, Millis(want), "{name}");
    }
}

#[test]
fn a_hold_ends_or_stays() {
    let held =
        accepted(&fresh(NOW + DAY_MS), &at(NOW, Asks::Hold("ann", "991", NOW + MINUTE)), &bearer());
    let wallet = accepted(&held, &at(NOW + 1, Asks::Issue("ann")), &bearer());
    assert_eq!(wallet.hold(), held.hold(), "putting it into one's own wallet keeps it");
    let redeemed = accepted(&wallet, &at(NOW + 2, Asks::Redeem("ann", "991")), &bearer());
    assert_eq!(redeemed.hold(), None, "redeeming ends it");
    let released = accepted(&held, &at(NOW + 1, Asks::Release("991")), &bearer());
    assert_eq!(released.hold(), None, "releasing ends it");
    let late = accepted(&held, &at(NOW + MINUTE, Asks::Issue("ann")), &bearer());
    assert_eq!(late.hold(), None, "one that has lapsed does not stay");
}

/// The coupon of `events` events, issued to Ann.
fn long(events: usize) -> Coupon {
    let kinds = (1..events).map(|_| extended(NOW + DAY_MS)).chain([issued("ann")]);
    let events = kinds.map(|kind| event(NOW - 1, kind)).collect();
    Coupon::of(genesis(NOW - DAY_MS, NOW + DAY_MS), events, None, 50, Millis(NOW - 1))
}

#[test]
fn the_thirtieth_event_gives_back_or_kills() {
    let redeem = Asks::Redeem("ann", "991");
    let hold = Asks::Hold("ann", "991", NOW + MINUTE);
    let cases = [
        ("redeem makes the 29th", 28, redeem, "ok"),
        ("redeem makes no 30th", 29, redeem, "HISTORY_FULL"),
        ("a hold where its redeem has a place", 28, hold, "ok"),
        ("no hold where it has none", 29, hold, "HISTORY_FULL"),
        ("extend makes the 29th", 28, Asks::Extend(NOW + DAY_MS + 1), "ok"),
        ("extend makes no 30th", 29, Asks::Extend(NOW + DAY_MS + 1), "HISTORY_FULL"),
        ("a replay needs no place", 29, Asks::Extend(NOW + DAY_MS), "replay"),
        ("another refusal comes first", 29, Asks::Extend(NOW + DAY_MS - 1), "NOT_LATER"),
        ("release needs no place", 29, Asks::Release("991"), "replay"),
        ("revoke makes the 30th", 29, Asks::Revoke("ann"), "ok"),
        ("revoke makes the 32nd", 31, Asks::Revoke("ann"), "ok"),
        ("revoke makes no 33rd", 32, Asks::Revoke("ann"), "HISTORY_FULL"),
        ("void makes the 32nd", 31, Asks::Void, "ok"),
        ("void makes no 33rd", 32, Asks::Void, "HISTORY_FULL"),
    ];
    for (name, events, asks, want) in cases {
        assert_eq!(word(&long(events), &at(NOW, asks), &terms()), want, "{name}");
    }
}

#[test]
fn a_full_coupon_can_be_cancelled_then_revoked_then_voided() {
    let mut coupon = long(28);
    let steps = [
        (Asks::Redeem("ann", "991"), 29),
        (Asks::Cancel("991"), 30),
        (Asks::Revoke("ann"), 31),
        (Asks::Void, 32),
    ];
    for (asks, events) in steps {
        coupon = accepted(&coupon, &at(NOW, asks), &terms());
        assert_eq!(coupon.events().len(), events, "{asks:?}");
    }
}

/// What a hold has promised is kept: the wallet does not take the place of the redeem.
#[test]
fn the_wallet_leaves_a_place_for_the_redeem_of_the_hold() {
    for (events, issue) in [(27, "ok"), (28, "HISTORY_FULL"), (29, "HISTORY_FULL")] {
        let padding = (0..events).map(|_| event(NOW - 1, extended(NOW + DAY_MS))).collect();
        let held = Held { by: "ann", order: "991", since: NOW, until: NOW + MINUTE };
        let coupon = coupon(genesis(NOW - DAY_MS, NOW + DAY_MS), padding, Some(held));
        assert_eq!(word(&coupon, &at(NOW, Asks::Issue("ann")), &bearer()), issue, "{events}");
    }
}

#[test]
fn a_cancelled_redemption_gives_back_what_was_there() {
    let cases = [
        ("to its holder", vec![issued("ann")], Issued("ann")),
        ("to nobody", vec![], Available),
        (
            "to the one it went to last",
            vec![issued("bob"), revoked("bob"), issued("ann")],
            Issued("ann"),
        ),
    ];
    for (name, kinds, want) in cases {
        let events = kinds.into_iter().map(|kind| event(NOW - 9, kind)).collect();
        let before = coupon(genesis(NOW - DAY_MS, NOW + DAY_MS), events, None);
        let redeemed = accepted(&before, &at(NOW, Asks::Redeem("ann", "991")), &bearer());
        assert_eq!(redeemed.redemption().unwrap().at, Millis(NOW), "{name}");
        let after = accepted(&redeemed, &at(NOW + 1, Asks::Cancel("991")), &bearer());
        assert!(want.is_said_by(after.state()), "{name}");
        assert_eq!(after.issued_at(), before.issued_at(), "{name}");
        assert_eq!(after.redemption_of(&order("991")).unwrap().cancelled_at, Some(Millis(NOW + 1)));
    }
}

#[test]
fn the_days_to_extend_count_from_the_present_expiry() {
    let first = NOW + DAY_MS;
    let coupon = accepted(&fresh(first), &at(NOW, Asks::Extend(first + DAY_MS)), &terms());
    let closes = first + DAY_MS + DAYS_30;
    let cases = [
        ("the last millisecond", closes - 1, "ok"),
        ("closed", closes, "EXPIRY_DAY_CLOSED"),
        ("the present expiry is a replay, however late", closes, "replay"),
    ];
    for (name, ms, want) in cases {
        let to = if want == "replay" { first + DAY_MS } else { closes + DAY_MS };
        assert_eq!(word(&coupon, &at(ms, Asks::Extend(to)), &terms()), want, "{name}");
    }
    let again = accepted(&coupon, &at(closes - 1, Asks::Extend(closes + 5)), &terms());
    assert_eq!(again.expires_at(), Millis(closes + 5));
    assert_eq!(again.lasts_until(), Millis(closes + 5));
}

#[test]
fn valid_days_end_with_the_issue_and_come_back_with_a_revoke() {
    let issue = |expires_at| Change {
        action: Action::Issue {
            to: user("ann"),
            reference: Some("gift-1".parse().unwrap()),
            expires_at,
        },
        ..at(NOW, Asks::Void)
    };
    let campaign = NOW + 9 * DAY_MS;
    let cases = [
        ("earlier than the campaign's", Some(Millis(NOW + DAY_MS)), NOW + DAY_MS),
        ("never later than the campaign's", Some(Millis(campaign + 1)), campaign),
        ("the campaign's own", None, campaign),
    ];
    for (name, expires_at, want) in cases {
        let coupon = accepted(&fresh(campaign), &issue(expires_at), &terms());
        assert_eq!(coupon.expires_at(), Millis(want), "{name}");
        assert_eq!(coupon.lasts_until(), Millis(campaign), "{name}");
        let revoked = accepted(&coupon, &at(NOW, Asks::Revoke("ann")), &terms());
        assert_eq!(revoked.expires_at(), Millis(campaign), "{name}, revoked");
        assert_eq!(revoked.issued_at(), None, "{name}, revoked");
    }
}

#[test]
fn an_issue_ref_is_the_present_holders() {
    let gift = || EventKind::Issued {
        to: user("ann"),
        reference: Some("gift-1".parse().unwrap()),
        expires_at: None,
    };
    let by_bob = || redeemed(Some("bob"), "991");
    let cases = [
        ("nobody's", vec![], None),
        ("hers", vec![gift()], Some("gift-1")),
        ("hers, redeemed", vec![gift(), redeemed(Some("ann"), "991")], Some("gift-1")),
        ("taken back", vec![gift(), revoked("ann")], None),
        ("taken back and shown by another", vec![gift(), revoked("ann"), by_bob()], None),
        ("taken back and issued to another", vec![gift(), revoked("ann"), issued("bob")], None),
    ];
    for (name, kinds, want) in cases {
        let events = kinds.into_iter().map(|kind| event(NOW, kind)).collect();
        let coupon = coupon(genesis(NOW, NOW + DAY_MS), events, None);
        assert_eq!(coupon.issue_ref().map(IssueRef::as_str), want, "{name}");
    }
}

/// A revoke of ann by an admin.
fn revoke(name: Option<&str>, if_version: Option<u64>) -> Change {
    let reference = name.map(|name| name.parse().unwrap());
    let action = Action::Revoke { user: user("ann"), reference, reason: None };
    Change { action, if_version, ..at(NOW, Asks::Void) }
}

#[test]
fn a_repeated_revoke_does_not_take_back_a_newer_issue() {
    let issued = accepted(&fresh(NOW + DAY_MS), &at(NOW, Asks::Issue("ann")), &terms());
    let story = |first: &Change| {
        let available = accepted(&issued, first, &terms());
        accepted(&available, &at(NOW, Asks::Issue("ann")), &terms())
    };
    let (named, seen) = (revoke(Some("t-1"), None), revoke(None, Some(1)));
    let redeemed = accepted(&story(&named), &at(NOW, Asks::Redeem("ann", "991")), &terms());
    let of_bob = {
        let action =
            Action::Revoke { user: user("bob"), reference: "t-1".parse().ok(), reason: None };
        Change { action, ..named.clone() }
    };
    let cases = [
        ("the first", &issued, &named, "ok"),
        ("of this version", &issued, &seen, "ok"),
        ("of another version", &issued, &revoke(None, Some(0)), "VERSION_CONFLICT"),
        ("repeated at once", &accepted(&issued, &named, &terms()), &named, "replay"),
        ("repeated after an issue", &story(&named), &named, "replay"),
        ("repeated after a redemption", &redeemed, &named, "replay"),
        ("another name", &story(&named), &revoke(Some("t-2"), None), "ok"),
        ("the name, of another user", &story(&named), &of_bob, "NAME_TAKEN"),
        ("seen before the issue", &story(&seen), &seen, "VERSION_CONFLICT"),
        ("nothing said", &story(&seen), &revoke(None, None), "ok"),
    ];
    for (name, coupon, change, want) in cases {
        assert_eq!(word(coupon, change, &terms()), want, "{name}");
    }
}

#[test]
fn void_and_extend_may_name_a_version() {
    let coupon = accepted(&fresh(NOW + DAY_MS), &at(NOW, Asks::Issue("ann")), &terms());
    let void = accepted(&coupon, &at(NOW, Asks::Void), &terms());
    let cases = [
        ("void what was seen", &coupon, Asks::Void, 1, "ok"),
        ("void what was not seen", &coupon, Asks::Void, 0, "VERSION_CONFLICT"),
        ("void again", &void, Asks::Void, 1, "replay"),
        ("extend what was seen", &coupon, Asks::Extend(NOW + 2 * DAY_MS), 1, "ok"),
        ("extend what was not", &coupon, Asks::Extend(NOW + 2 * DAY_MS), 2, "VERSION_CONFLICT"),
        ("extend to what it is", &coupon, Asks::Extend(NOW + DAY_MS), 0, "replay"),
    ];
    for (name, coupon, asks, version, want) in cases {
        let change = Change { if_version: Some(version), ..at(NOW, asks) };
        assert_eq!(word(coupon, &change, &terms()), want, "{name}");
    }
}
