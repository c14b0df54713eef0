//! People: a person can ask what is stored, and is forgotten, whatever their coupons have been through; others notice nothing.

use std::collections::{BTreeMap, BTreeSet};

use coupon::apply::{Action, Asker};
use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::erasure::Erasure;
use coupon::ids::{Actor, UserId};
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use hot::audit::Act;
use hot::people::{Mention, People};
use hot::tables::{RecordKind, RecordPut, RecordSync};
use hot::{Account, HotError, ImportOutcome, ListScope};
use serde_json::json;

use super::kit::{
    ChangeOutcome, Kit, NOW, all_of, cancel, extend_days, give, hold, of, order_of, redeem,
    reference, revoke, said, void,
};

const EVENTS: RecordKind = RecordKind { name: "test.event", sync: RecordSync::AtOnce };

fn people(kit: &Kit) -> &dyn People {
    kit.hot.people()
}

/// A step of an erasure, until the store answers: each may be repeated.
async fn done<F: Future<Output = Result<(), HotError>>>(step: impl Fn() -> F) {
    loop {
        match step().await {
            Err(HotError::Unavailable(_) | HotError::Unknown(_)) => {}
            other => return other.unwrap(),
        }
    }
}

async fn erase(kit: &Kit, erasure: &Erasure) {
    done(|| people(kit).erase(erasure)).await;
}

async fn settle(kit: &Kit, erasure: &Erasure) {
    done(|| people(kit).settle(std::slice::from_ref(erasure))).await;
}

async fn admit(kit: &Kit, erasure: &Erasure) {
    let act = Act::of_system("test", NOW);
    done(|| people(kit).admit(erasure, &act)).await;
}

/// What names a user besides the list of their coupons: coupons by their codes, and records by their kinds.
async fn mentions(kit: &Kit, user: &UserId) -> (BTreeMap<Code, usize>, BTreeSet<String>) {
    let (mut codes, mut kinds, mut after) = (BTreeMap::new(), BTreeSet::new(), None);
    loop {
        let page = people(kit).mentions(user, after).await.unwrap();
        for mention in page.mentions {
            match mention {
                Mention::Coupon(code) => *codes.entry(code).or_default() += 1,
                Mention::Record { kind, value } => {
                    assert!(kind == "account" || value.to_string().contains(user.as_str()));
                    kinds.insert(kind);
                }
            }
        }
        after = page.next;
        if after.is_none() {
            return (codes, kinds);
        }
    }
}

async fn is_named(kit: &Kit, user: &UserId) -> bool {
    let mut after = None;
    loop {
        let page = people(kit).users(after).await.unwrap();
        if page.users.contains(user) {
            return true;
        }
        after = page.next;
        if after.is_none() {
            return false;
        }
    }
}

/// The codes of a user's coupons.
async fn held(kit: &Kit, user: &UserId) -> BTreeSet<Code> {
    let page = kit.hot.list(all_of(ListScope::Holder(user.clone()))).await.unwrap();
    page.coupons.iter().map(|it| it.coupon.code().clone()).collect()
}

fn issued(to: &UserId) -> ImportedState {
    ImportedState::Issued { holder: to.clone(), at: Some(NOW) }
}

/// Imports a line of a new code.
async fn imported(kit: &Kit, campaign: &Campaign, state: ImportedState) -> Code {
    let (batch, code) = (kit.open_import(campaign).await, kit.code());
    let line = vec![kit.line(campaign, &code, state)];
    assert_eq!(kit.import(campaign, &batch, line).await, [ImportOutcome::Imported]);
    code
}

/// What a person has had.
struct PersonLife {
    /// With a limit that bob has reached.
    limited: Campaign,
    /// Bearer coupons without a limit.
    free: Campaign,
    /// Found by the person, and what each has been through.
    found: Vec<(&'static str, Code)>,
    /// Found only by a look at every row.
    hidden: Vec<(&'static str, Code)>,
}

const LIMIT: u16 = 9;

async fn a_life(kit: &Kit, ann: &UserId, bob: &UserId) -> PersonLife {
    let limited = Campaign { per_user_limit: Some(LIMIT), ..kit.draft() };
    kit.stocked(&limited, 60).await;
    for nth in 0..LIMIT {
        kit.issued(&limited, bob, &format!("{nth}")).await;
    }
    let mut found = Vec::new();
    let issue = async |name: &'static str| {
        (name, kit.issued(&limited, ann, &format!("{ann}/{name}")).await)
    };
    found.push(issue("issued").await);
    let redeemed = issue("redeemed").await;
    kit.done(&redeemed.1, redeem(ann, &format!("{ann}/1"))).await;
    let cancelled = issue("cancelled").await;
    kit.done(&cancelled.1, redeem(ann, "2")).await;
    let mut back = kit.change(cancel("2"), Asker::User(ann.clone()), NOW);
    back.actor = Actor::new(&format!("user:{ann}"));
    let applied = kit.hot.apply(&kit.found(&cancelled.1).await, back).await.unwrap();
    assert_eq!(said(&applied), ChangeOutcome::Accepted);
    let held = issue("held").await;
    kit.done(&held.1, hold(ann, &order_of(ann), 20)).await;
    let revoked = issue("revoked").await;
    kit.done(&revoked.1, revoke(ann)).await;
    let past = issue("somebody else's by now").await;
    kit.done(&past.1, revoke(ann)).await;
    let carl = kit.user("carl");
    kit.done(&past.1, give(&carl, None)).await;
    kit.done(&past.1, redeem(&carl, "3")).await;
    let extended = issue("extended").await;
    kit.done(&extended.1, extend_days(&limited, 5)).await;
    let voided = issue("void").await;
    kit.done(&voided.1, void()).await;
    let again = kit.issue(&limited, ann, reference(&format!("replaces:{}", voided.1))).await;
    found.push(("in place of another", of(&again).code().clone()));
    found.extend([redeemed, cancelled, held, revoked, past, extended, voided]);
    found.push(("an imported line", imported(kit, &limited, issued(ann)).await));

    let free = Campaign { handout: Handout::Bearer, per_user_limit: None, ..kit.draft() };
    let codes = kit.stocked(&free, 9).await;
    kit.done(&codes[0], redeem(ann, "4")).await;
    kit.done(&codes[1], give(ann, None)).await;
    found.extend([("a bearer's", codes[0].clone()), ("in the wallet", codes[1].clone())]);
    found.push(("imported without a limit", imported(kit, &free, issued(ann)).await));
    kit.done(&codes[2], hold(ann, "5", 20)).await;
    kit.done(&codes[3], redeem(ann, "6")).await;
    kit.done(&codes[3], cancel("6")).await;
    let hidden = vec![("held by a bearer", codes[2].clone()), ("cancelled", codes[3].clone())];
    PersonLife { limited, free, found, hidden }
}

async fn coupons(kit: &Kit, of: &[(&'static str, Code)]) -> Vec<(&'static str, Coupon)> {
    let mut coupons = Vec::new();
    for (name, code) in of {
        coupons.push((*name, kit.coupon(code).await));
    }
    coupons
}

/// Each coupon has the erased name, and is what it was otherwise.
async fn are_without(kit: &Kit, erasure: &Erasure, before: &[(&'static str, Coupon)]) {
    for (name, coupon) in before {
        let want = erasure.of_coupon(coupon).expect("it named the person").rewritten();
        assert_eq!(kit.coupon(coupon.code()).await, want, "{name}");
    }
}

pub(crate) async fn forgotten_in_every_state(kit: &Kit) {
    let [ann, bob] = kit.users();
    let erasure = kit.erasure(&ann);
    let life = a_life(kit, &ann, &bob).await;
    let (found, hidden) = (coupons(kit, &life.found).await, coupons(kit, &life.hidden).await);
    let counts = [kit.counts(&life.limited).await, kit.counts(&life.free).await];
    let (theirs, others) = (held(kit, &ann).await, held(kit, &bob).await);
    assert!(is_named(kit, &ann).await);

    for _ in 0..2 {
        erase(kit, &erasure).await;
        are_without(kit, &erasure, &found).await;
        assert_eq!(held(kit, &ann).await, BTreeSet::new());
        assert_eq!(held(kit, &erasure.name).await, theirs);
    }
    for _ in 0..2 {
        settle(kit, &erasure).await;
        are_without(kit, &erasure, &found).await;
        are_without(kit, &erasure, &hidden).await;
        assert!(!is_named(kit, &ann).await && is_named(kit, &erasure.name).await);
        assert_eq!(mentions(kit, &ann).await, Default::default());
    }
    let after = [kit.counts(&life.limited).await, kit.counts(&life.free).await];
    assert_eq!(after, counts, "nothing is counted twice, or not at all");
    assert_eq!(held(kit, &bob).await, others);
    let full = kit.issue(&life.limited, &bob, reference("one more")).await;
    assert_eq!(said(&full), ChangeOutcome::Refused(Refusal::LimitPerUser));
    kit.is_sound().await;

    admit(kit, &erasure).await;
    // A new person, with a limit of their own; also for a process that still erases the one before.
    let mut codes = BTreeSet::new();
    for nth in 0..LIMIT {
        codes.insert(kit.issued(&life.limited, &ann, &format!("{nth}")).await);
    }
    erase(kit, &erasure).await;
    assert_eq!(held(kit, &ann).await, codes);
    assert_eq!(held(kit, &erasure.name).await, theirs);
    let second = kit.erasure(&ann);
    erase(kit, &second).await;
    settle(kit, &second).await;
    assert_eq!(held(kit, &second.name).await, codes);
    admit(kit, &second).await;
    kit.is_sound().await;
}

pub(crate) async fn nothing_is_given_until_admitted(kit: &Kit) {
    let campaign = Campaign { per_user_limit: Some(9), ..kit.draft() };
    let codes = kit.stocked(&campaign, 20).await;
    let word = kit.code();
    let by_word = Campaign { shared_code: Some(word.clone()), ..kit.draft() };
    kit.stocked(&by_word, 5).await;
    let free = Campaign { handout: Handout::Bearer, per_user_limit: None, ..kit.draft() };
    let bearer = kit.stocked(&free, 9).await;
    let batches = [kit.open_import(&campaign).await, kit.open_import(&free).await];
    let [ann, bob] = kit.users();
    let erasure = kit.erasure(&ann);

    let change = async |code: &Code, action: Action| {
        let found = kit.found(code).await;
        kit.hot.apply(&found, kit.change(action, Asker::Shop, NOW)).await.map(|it| said(&it))
    };
    let attempt = async |nth: usize, user: &UserId| -> (&str, Result<ChangeOutcome, HotError>) {
        let import = async |campaign: &Campaign, nth: usize| {
            let line = vec![kit.line(campaign, &kit.code(), issued(user))];
            let ended = kit.hot.import(&campaign.id, &batches[nth], line, kit.import_run()).await;
            ended.map(|it| {
                assert_eq!(it, [ImportOutcome::Imported]);
                ChangeOutcome::Accepted
            })
        };
        match nth {
            0 => {
                let issue = kit.change(give(user, reference("new")), Asker::Shop, NOW);
                let issued = kit.hot.issue(&campaign.id, issue).await;
                ("an issue", issued.map(|it| said(&it)))
            }
            1 => ("a named code", change(&codes[17], give(user, None)).await),
            2 => ("a shared code", change(&word, redeem(user, "1")).await),
            3 => ("a bearer's redemption", change(&bearer[0], redeem(user, "2")).await),
            4 => ("a hold", change(&bearer[1], hold(user, "3", 10)).await),
            5 => ("an imported line", import(&campaign, 0).await),
            _ => ("an imported line without a limit", import(&free, 1).await),
        }
    };
    erase(kit, &erasure).await;
    for nth in 0..7 {
        let (name, refused) = attempt(nth, &ann).await;
        assert!(matches!(refused, Err(HotError::Unavailable(_))), "{name}: {refused:?}");
    }
    assert_eq!(held(kit, &ann).await, BTreeSet::new());
    settle(kit, &erasure).await;
    assert!(!is_named(kit, &ann).await, "what was refused is nowhere");
    admit(kit, &erasure).await;
    for nth in 0..7 {
        let (name, given) = attempt(nth, &ann).await;
        assert_eq!(given.unwrap(), ChangeOutcome::Accepted, "{name}");
    }
    let another = kit.issue(&campaign, &bob, None).await;
    assert_eq!(said(&another), ChangeOutcome::Accepted);
}

pub(crate) async fn told_once_of_everything(kit: &Kit) {
    let [ann, bob, login_id] = kit.users();
    let erasure = kit.erasure(&ann);
    let life = a_life(kit, &ann, &bob).await;
    let account = Account { login_id, user_id: ann.clone(), password_hash: "x".to_owned() };
    assert!(kit.hot.create_account(account, NOW).await.unwrap());
    let event = json!({"actor": format!("user:{ann}"), "coupon": {"user_id": ann.as_str()}});
    let row = RecordPut::new(*b"1", event.to_string());
    kit.hot.tables().put(&EVENTS.part(kit.batch_id().as_str()), vec![row]).await.unwrap();

    let theirs = held(kit, &ann).await;
    let every = life.found.iter().chain(&life.hidden).map(|(_, code)| code.clone());
    let past = every.filter(|code| !theirs.contains(code)).map(|code| (code, 1)).collect();
    let (codes, mut kinds) = mentions(kit, &ann).await;
    assert_eq!(codes, past);
    assert!(kinds.is_superset(&["account", "test.event"].map(str::to_owned).into()), "{kinds:?}");

    erase(kit, &erasure).await;
    settle(kit, &erasure).await;
    assert_eq!(mentions(kit, &ann).await, Default::default());
    assert!(!kit.hot.has_account(&ann).await.unwrap());
    kinds.remove("account");
    assert_eq!(mentions(kit, &erasure.name).await, (past, kinds), "the same under the other name");
    admit(kit, &erasure).await;
}

pub(crate) async fn forgotten_in_a_sealed_partition(kit: &Kit) {
    let campaign = kit.draft();
    kit.stocked(&campaign, 5).await;
    let [ann, bob] = kit.users();
    let code = kit.issued(&campaign, &ann, &format!("{ann}/1")).await;
    let theirs = kit.issued(&campaign, &bob, "2").await;
    let (day, erasure) = (campaign.expiry_day(), kit.erasure(&ann));
    let (before, others) = (kit.coupon(&code).await, kit.coupon(&theirs).await);
    let counts = kit.counts(&campaign).await;
    let now = kit.time_to_seal(day).await;
    assert!(kit.hot.seal(day, now).await.unwrap());

    erase(kit, &erasure).await;
    let without = kit.coupon(&code).await;
    assert_eq!(without.events(), erasure.of_coupon(&before).unwrap().events());
    assert_eq!(held(kit, &erasure.name).await, BTreeSet::from([code.clone()]));
    settle(kit, &erasure).await;
    assert!(!is_named(kit, &ann).await);
    kit.is_sound().await;
    admit(kit, &erasure).await;

    // The rows are deleted with those of everybody else, and nothing of them comes back.
    assert_eq!(kit.archive_partition(day, now).await, 2);
    assert_eq!(kit.coupon(&code).await, without);
    assert_eq!(kit.coupon(&theirs).await, others);
    assert_eq!(kit.counts(&campaign).await, counts);
    assert_eq!(held(kit, &erasure.name).await, BTreeSet::new());
    assert!(!is_named(kit, &ann).await);
    kit.is_sound().await;
}
