use crate::calendar::Zone;
use crate::coupon::Genesis;
use crate::history_validity::invalid_history;
use crate::ids::OperationId;
use crate::time::Millis;

use super::*;

fn erasure_of(user: &str) -> Erasure {
    Erasure { number: 1, user: user.parse().unwrap(), name: erased_name(0xABC) }
}

#[test]
fn texts() {
    let whole = "erased:0000000000000abc";
    let cases = [
        ("the name alone", "ann", "ann", Some(whole.to_owned())),
        ("a word of several", "ann", "sent to ann twice", Some(format!("sent to {whole} twice"))),
        ("twice", "ann", "ann/ann", Some(format!("{whole}/{whole}"))),
        ("a part of a longer word", "ann", "joanna annex", None),
        ("behind a letter of Korean", "ann", "김ann", None),
        ("a word after a part of one", "ann", "joann-ann", Some(format!("joann-{whole}"))),
        ("a number", "99", "order-99-1999", Some(format!("order-{whole}-1999"))),
        ("marks in the name", "a@b.c", "<a@b.c>", Some(format!("<{whole}>"))),
        ("in Korean", "김철수", "김철수-7", Some(format!("{whole}-7"))),
        ("nothing", "ann", "", None),
    ];
    for (name, user, text, want) in cases {
        assert_eq!(erasure_of(user).of_text(text), want, "{name}");
    }
    let long: OrderRef = format!("{}-ann", "x".repeat(WORD_LEN_MAX - 4)).parse().unwrap();
    assert_eq!(erasure_of("ann").of_order(&long).as_str().len(), WORD_LEN_MAX);
}

/// Everything that can name a person in a coupon, and none of it afterwards; the same rules hold.
#[test]
fn a_coupon_in_every_field() {
    let genesis = Genesis {
        code: "CODE01".parse().unwrap(),
        campaign: "c".parse().unwrap(),
        batch: "b".parse().unwrap(),
        valid_from: Millis(0),
        expires_at: Millis(1_000),
        zone: Zone::utc(),
        created_at: Millis(0),
    };
    let user = |name: &str| name.parse::<UserId>().unwrap();
    let order = |name: &str| name.parse::<OrderRef>().unwrap();
    let event = |actor: &str, kind| Event {
        at: Millis(1),
        actor: Actor::new(actor),
        operation: OperationId(1),
        kind,
    };
    let events = vec![
        event(
            "shop:x",
            EventKind::Issued {
                to: user("ann"),
                reference: Some("welcome-ann".parse().unwrap()),
                expires_at: None,
            },
        ),
        event(
            "user:ann",
            EventKind::Redeemed { by: Some(user("ann")), order: order("ann/1"), worth: None },
        ),
        event(
            "user:ann",
            EventKind::RedemptionCancelled {
                order: order("ann/1"),
                reason: Some("ann asked".parse().unwrap()),
            },
        ),
        event(
            "staff:kim",
            EventKind::Revoked {
                from: user("ann"),
                reference: Some("ann-back".parse().unwrap()),
                reason: Some("of ann".parse().unwrap()),
            },
        ),
        event("shop:x", EventKind::Issued { to: user("bob"), reference: None, expires_at: None }),
    ];
    let hold = Hold {
        by: user("ann"),
        order: order("ann-2"),
        operation: OperationId(2),
        since: Millis(1),
        until: Millis(2),
    };
    let before = Coupon::of(genesis, events, Some(hold), 7, Millis(5));
    let erasure = erasure_of("ann");
    let after = erasure.of_coupon(&before).unwrap();
    assert!(!format!("{after:?}").contains("ann"), "{after:?}");
    assert_eq!(invalid_history(&after), None);
    assert_eq!((after.version(), after.modified_at()), (7, Millis(5)));
    assert_eq!(after.holder(), Some(&user("bob")));
    assert!(after.redemption_of(&erasure.of_order(&order("ann/1"))).is_some());
    assert_eq!(erasure.of_coupon(&after), None, "a second time changes nothing");
    assert_eq!(erasure_of("an").of_coupon(&before), None, "another person");
}

#[test]
fn what_is_made_of_the_code_stays() {
    let erasure = erasure_of("CODE01");
    let replaces: IssueRef = "replaces:CODE01".parse().unwrap();
    assert_eq!(erasure.of_issue_ref(&replaces), replaces);
}

#[test]
fn lines() {
    let erasure = erasure_of("ann");
    let line = ImportedState::Redeemed {
        holder: Some("ann".parse().unwrap()),
        issued_at: None,
        at: Millis(1),
        order: Some("ann-7".parse().unwrap()),
        worth: None,
    };
    let without = erasure.of_line(&line).unwrap();
    assert!(!format!("{without:?}").contains("ann"), "{without:?}");
    assert_eq!(erasure.of_line(&without), None);
    assert_eq!(erasure.of_line(&ImportedState::Available), None);
}

/// Of one `user_id` that two persons had: which of them a file means.
#[test]
fn a_file_means_the_person_of_its_time() {
    let [first, second] = [(1, 0xA), (3, 0xB)].map(|(number, random)| Erasure {
        number,
        name: erased_name(random),
        ..erasure_of("ann")
    });
    let set = ErasureSet { last: 4, pending: vec![first.clone(), second.clone()] };
    let ann: UserId = "ann".parse().unwrap();
    let cases = [
        ("before both", 0, &first.name),
        ("between them", 1, &second.name),
        ("after another one", 2, &second.name),
        ("after both", 3, &ann),
        ("the newest", 4, &ann),
    ];
    for (name, through, want) in cases {
        assert_eq!(set.of_user(&ann, through), want, "{name}");
    }
}
