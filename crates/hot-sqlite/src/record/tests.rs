use coupon::coupon::EventKind;
use coupon::ids::BatchId;
use coupon::imported::ImportedState;

use super::*;
use crate::rows::columns;

/// Two actors and an operation have numbers; all others are written as they are.
struct Two;

const NUMBERED: OperationId = OperationId(99);

impl NameDictionary for Two {
    fn number_of_actor(&self, name: &str) -> rusqlite::Result<Option<u64>> {
        Ok(["shop:till", "admin:a"].iter().position(|it| *it == name).map(|at| at as u64 + 1))
    }

    fn actor(&self, number: u64) -> rusqlite::Result<Actor> {
        match number {
            1 => Ok(Actor::new("shop:till")),
            2 => Ok(Actor::new("admin:a")),
            number => Err(damaged("actor", number)),
        }
    }

    fn number_of_operation(&self, operation: OperationId) -> Option<u64> {
        (operation == NUMBERED).then_some(7)
    }

    fn operation(&self, number: u64) -> rusqlite::Result<OperationId> {
        match number {
            7 => Ok(NUMBERED),
            number => Err(damaged("operation", number)),
        }
    }
}

const COMMON: BatchCommon =
    BatchCommon { valid_from: Millis(1), expires_at: Millis(1_000), created_at: Millis(3) };

type Fields = (
    &'static str,
    i64,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
    Option<i64>,
    Option<&'static str>,
);

fn event((kind, at, actor, user, reference, reason, expires_at, time_zone): Fields) -> Event {
    let (at, operation) = (Millis(at), OperationId((0x0123_4567_89ab_cdef << 60) + at as u128 / 7));
    let expires_at = expires_at.map(Millis);
    let worth = None;
    Flat { kind, at, actor, operation, user, reference, reason, expires_at, time_zone, worth }
        .into_event()
        .expect("an event")
}

fn genesis() -> coupon::coupon::Genesis {
    coupon::coupon::Genesis {
        code: "CODE01".parse().expect("a code"),
        campaign: "c".parse().expect("a campaign"),
        batch: "b".parse::<BatchId>().expect("a batch"),
        valid_from: COMMON.valid_from,
        expires_at: COMMON.expires_at,
        zone: "Europe/Berlin".parse().expect("a zone"),
        created_at: COMMON.created_at,
    }
}

fn coupons() -> Vec<(&'static str, Coupon)> {
    let issued = ("issued", 5, "shop:till", Some("ann"), Some("r1"), None, Some(77), None);
    let redeemed = ("redeemed", 6, "user:ann", Some("ann"), Some("order-1"), None, None, None);
    let cancelled =
        ("redemption_cancelled", 7, "shop:t", None, Some("order-1"), Some("why not"), None, None);
    let revoked = ("revoked", 8, "admin:a", Some("ann"), Some("v"), Some("ü\u{2028}"), None, None);
    let voided = ("voided", 4, "admin:a", None, None, None, None, None);
    let extended: Fields =
        ("extended", 9, "user:bob", None, None, None, Some(2_000), Some("Asia/Tokyo"));
    let hold = Hold {
        by: "ann".parse().expect("a user"),
        order: "order-2".parse().expect("an order"),
        operation: OperationId(7),
        since: Millis(10),
        until: Millis(20),
    };
    let of = |events: &[Fields], hold: Option<Hold>, modified_at| {
        let events: Vec<Event> = events.iter().copied().map(event).collect();
        let version = events.len() as u64 + 1;
        Coupon::of(genesis(), events, hold, version, Millis(modified_at))
    };
    let odd = coupon::coupon::Genesis {
        valid_from: Millis(-5),
        expires_at: Millis(i64::MAX),
        created_at: Millis(i64::MIN),
        ..genesis()
    };
    let of_import = Event { operation: NUMBERED, ..event(issued) };
    let spent = Event { operation: NUMBERED, ..event(redeemed) };
    let mut with_amounts = event(redeemed);
    if let EventKind::Redeemed { worth, .. } = &mut with_amounts.kind {
        *worth = "KRW 30000 3000".parse().map(Box::new).ok();
    }
    let with_amounts = Coupon::of(genesis(), vec![event(issued), with_amounts], None, 2, Millis(6));
    vec![
        ("untouched", of(&[], None, 3)),
        ("imported later", of(&[], None, 40)),
        ("issued", of(&[issued], None, 5)),
        ("held", of(&[issued], Some(hold), 6)),
        ("redeemed", of(&[issued, redeemed], None, 6)),
        ("imported as issued", Coupon::of(genesis(), vec![of_import.clone()], None, 1, Millis(5))),
        ("imported as redeemed", Coupon::of(genesis(), vec![of_import, spent], None, 1, Millis(6))),
        ("all kinds", of(&[issued, redeemed, cancelled, revoked, extended, voided], None, 9)),
        ("redeemed with amounts", with_amounts),
        ("other dates", Coupon::of(odd, vec![event(voided)], None, 1, Millis(4))),
    ]
}

/// What lines may have said.
fn lines() -> [LineState; 4] {
    let other = ImportedState::Issued { holder: "bob".parse().expect("a user"), at: None };
    [LineState::Available, LineState::First, LineState::Now, LineState::Other(Box::new(other))]
}

#[test]
fn what_is_written_is_read() {
    let all = coupons().into_iter().flat_map(|(name, coupon)| {
        lines().map(|said| (format!("{name}, {said:?}"), coupon.clone(), said))
    });
    for (name, coupon, said) in all {
        let columns = columns(&coupon, 7, Day(20_000), false);
        let bytes = encode(&coupon, &said, &COMMON, &columns, &Two).expect(&name);
        let (record, is_whole) = decode(&bytes, &COMMON, &columns, &Two).expect(&name);
        assert!(is_whole, "{name}");
        assert_eq!(record.said, said, "{name}");
        assert_eq!(has_said(&bytes), said != LineState::Available, "{name}");
        let genesis = coupon::coupon::Genesis {
            valid_from: record.valid_from,
            expires_at: record.expires_at,
            created_at: record.created_at,
            ..coupon.genesis().clone()
        };
        let (events, hold) = (record.events, record.hold);
        let read = Coupon::of(genesis, events, hold, coupon.version(), record.modified_at);
        assert_eq!(read, coupon, "{name}");
    }
}

#[test]
fn bytes_of_a_record() {
    // The operation alone has 16 of an event, if it is not that of the event before.
    let want = [("untouched", 5), ("issued", 29), ("imported as issued", 14), ("redeemed", 40)];
    for (name, want) in want {
        let coupons = coupons();
        let (_, coupon) = coupons.iter().find(|(of, _)| *of == name).expect(name);
        let columns = columns(coupon, 7, Day(20_000), false);
        assert_eq!(
            encode(coupon, &LineState::Available, &COMMON, &columns, &Two).expect(name).len(),
            want,
            "{name}"
        );
    }
}

/// Whether the row is read as it was written.
fn is_whole(bytes: &[u8], common: &BatchCommon, columns: &RowColumns<'_>) -> bool {
    decode(bytes, common, columns, &Two).is_ok_and(|(_, is_whole)| is_whole)
}

#[test]
fn every_flipped_bit_is_found() {
    for (name, coupon) in coupons() {
        let columns = columns(&coupon, 7, Day(20_000), false);
        let mut bytes =
            encode(&coupon, &LineState::Available, &COMMON, &columns, &Two).expect(name);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert!(!is_whole(&bytes, &COMMON, &columns), "{name}: bit {bit} of byte {at}");
                bytes[at] ^= 1 << bit;
            }
        }
        assert!(is_whole(&bytes, &COMMON, &columns), "{name}");
    }
}

#[test]
fn every_column_is_in_the_checksum() {
    let coupons = coupons();
    let (_, coupon) = &coupons[4];
    let here = || columns(coupon, 7, Day(20_000), false);
    let bytes = encode(coupon, &LineState::Available, &COMMON, &here(), &Two).expect("a record");
    let others = [
        ("batch", RowColumns { batch: 8, ..here() }),
        ("day", RowColumns { day: Day(20_001), ..here() }),
        ("code", RowColumns { code: "CODE02", ..here() }),
        ("version", RowColumns { version: 9, ..here() }),
        ("state", RowColumns { state: 1, ..here() }),
        ("holder", RowColumns { holder: Some("ann "), ..here() }),
        ("expires_at", RowColumns { expires_at: Millis(78), ..here() }),
        ("ended_at", RowColumns { ended_at: None, ..here() }),
        ("history_full", RowColumns { history_full: true, ..here() }),
        ("indexed", RowColumns { indexed: true, ..here() }),
    ];
    for (name, other) in others {
        assert!(!is_whole(&bytes, &COMMON, &other), "{name}");
    }
    let later = Millis(1_001);
    for (name, common) in [
        ("valid_from of the batch", BatchCommon { valid_from: later, ..COMMON }),
        ("expires_at of the batch", BatchCommon { expires_at: later, ..COMMON }),
        ("made_at of the batch", BatchCommon { created_at: later, ..COMMON }),
    ] {
        assert!(!is_whole(&bytes, &common, &here()), "{name}");
    }
}

#[test]
fn what_is_damaged_is_an_error() {
    let coupons = coupons();
    let (_, coupon) = &coupons[4];
    let columns = columns(coupon, 7, Day(20_000), false);
    let bytes = encode(coupon, &LineState::Available, &COMMON, &columns, &Two).expect("a record");
    for end in 0..bytes.len() {
        assert!(!is_whole(&bytes[..end], &COMMON, &columns), "its first {end} bytes");
    }
    let cases: [(&str, &[u8]); 8] = [
        ("unknown flags", &[0x80, 0, 0, 0, 0]),
        ("a first event without an operation", &[0, 4, 2, 9, 0, 0, 0, 0]),
        ("an operation of no kind", &[0, 4, 2, 7, 0, 0, 0, 0]),
        ("an unknown operation", &[0, 4, 2, 6, 8, 0, 0, 0, 0]),
        ("an unknown kind", &[0, 7, 2, 4, 0, 0, 0, 0]),
        ("a user of no kind", &[0, 0b11_000, 2, 0, 0, 0, 0]),
        ("an unknown actor", &[0, 4, 2, 16, 0, 0, 0, 0]),
        ("no checksum", &[0]),
    ];
    for (name, bytes) in cases {
        assert!(decode(bytes, &COMMON, &columns, &Two).is_err(), "{name}");
    }
}
