//! A person is forgotten in every byte of the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use coupon::apply::Asker;
use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::erasure::{Erasure, erased_name};
use coupon::ids::UserId;
use coupon::imported::ImportedState;
use hot::audit::{Act, AuditEvent, AuditKind};
use hot::feed::{FeedEvent, FeedRead, FeedStart, Happened};
use hot::people::{Mention, People};
use hot::tables::{RecordKind, RecordPut, RecordSync};
use hot::{Account, HotError};
use hot_conformance::kit::{
    ChangeOutcome, Kit, NOW, cancel, give, hold, redeem, reference, revoke, said, void,
};
use hot_conformance::soundness::contradictions;
use serde_json::json;

use super::{kit_in, options, tempdir};

/// More claims than the wallet has, and than one transaction erases.
const COUPONS: usize = 130;

const EVENTS: RecordKind = RecordKind { name: "test.event", sync: RecordSync::AtOnce };

/// The files of a folder in which a text is.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let has = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(text.len()).any(|some| some == text.as_bytes())
    };
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| has(path)).map(|path| path.display().to_string()).collect()
}

/// What names the user besides the list of their coupons, by kind: how often.
async fn mentions(people: &dyn People, user: &UserId) -> BTreeMap<String, usize> {
    let (mut found, mut after) = (BTreeMap::new(), None);
    loop {
        let page = people.mentions(user, after).await.unwrap();
        for mention in page.mentions {
            let kind = match mention {
                Mention::Coupon(_) => "coupon".to_owned(),
                Mention::Record { kind, .. } => kind,
            };
            *found.entry(kind).or_default() += 1;
        }
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

async fn events(kit: &Kit) -> Vec<FeedEvent> {
    match kit.hot.feed().unwrap().events(FeedStart::Oldest, 10_000).await.unwrap() {
        FeedRead::Page(page) => page.events,
        other => panic!("{other:?}"),
    }
}

/// What the feed says of persons who were erased.
async fn told_of_people(kit: &Kit) -> Vec<AuditEvent> {
    let of_person = |event: FeedEvent| match event.happened {
        Happened::AuditEvent { audit_event, .. } => Some(audit_event),
        Happened::Coupon(_) => None,
    };
    let told = events(kit).await.into_iter().filter_map(of_person);
    told.filter(|event| event.kind == AuditKind::PersonErased).collect()
}

fn erasure_of(user: &UserId) -> Erasure {
    Erasure { number: 1, user: user.clone(), name: erased_name(0xABCD) }
}

/// One person in every table and in every field, among others. Returns a coupon that they have redeemed.
async fn a_life(kit: &Kit, ann: &UserId) -> (Campaign, Code) {
    let campaign = Campaign { per_user_limit: None, ..kit.draft() };
    kit.stocked(&campaign, 4 * COUPONS as u64).await;
    let named = |what: &str| format!("{what}-{ann}");
    let mut codes = Vec::new();
    for nth in 0..COUPONS {
        codes.push(kit.issued(&campaign, ann, &format!("{ann}/{nth}")).await);
        let bob = kit.user("bob");
        let theirs = kit.issued(&campaign, &bob, "one").await;
        kit.done(&theirs, redeem(&bob, &format!("order-{nth}"))).await;
    }
    let [redeemed, cancelled, revoked, voided, held] = [0, 1, 2, 3, 4].map(|at| &codes[at]);
    for code in [redeemed, cancelled] {
        kit.done(code, redeem(ann, &format!("{ann}/{code}"))).await;
    }
    let mut back = kit.change(cancel(&format!("{ann}/{cancelled}")), Asker::User(ann.clone()), NOW);
    back.actor = coupon::ids::Actor::new(&format!("user:{ann}"));
    let found = kit.found(cancelled).await;
    assert_eq!(said(&kit.hot.apply(&found, back).await.unwrap()), ChangeOutcome::Accepted);
    kit.done(revoked, revoke(ann)).await;
    kit.done(voided, void()).await;
    kit.done(held, hold(ann, &named("cart"), 20)).await;
    let again = kit.issue(&campaign, ann, reference(&format!("replaces:{voided}"))).await;
    assert_eq!(said(&again), ChangeOutcome::Accepted);

    let bearer = Campaign { handout: Handout::Bearer, ..kit.draft() };
    let code = kit.stocked(&bearer, 1).await.remove(0);
    kit.done(&code, hold(ann, &named("cart"), 20)).await;

    let batch = kit.open_import(&campaign).await;
    let spent = ImportedState::Redeemed {
        holder: Some(ann.clone()),
        issued_at: Some(NOW),
        at: NOW,
        order: Some(named("old").parse().unwrap()),
        worth: None,
    };
    let issued = ImportedState::Issued { holder: ann.clone(), at: Some(NOW) };
    let past = kit.code();
    let lines = [(kit.code(), spent), (kit.code(), issued.clone()), (past.clone(), issued)];
    let lines = lines.map(|(code, state)| kit.line(&campaign, &code, state)).into();
    kit.import(&campaign, &batch, lines).await;
    // Neither a claim nor the index leads to somebody who had it.
    kit.done(&past, revoke(ann)).await;

    let login_id = named("login").parse().unwrap();
    let account = Account { login_id, user_id: ann.clone(), password_hash: "x".to_owned() };
    assert!(kit.hot.create_account(account, NOW).await.unwrap());
    let event = json!({"actor": format!("user:{ann}"), "coupon": {"user_id": ann.as_str()}});
    let row = RecordPut::new(*b"1", event.to_string());
    kit.hot.tables().put(&EVENTS.part(*b"p"), vec![row]).await.unwrap();
    (campaign, redeemed.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_an_erased_person_is_left() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let (ann, people) = (kit.user("ann"), kit.hot.people());
    let (campaign, redeemed) = a_life(&kit, &ann).await;
    let counts = kit.counts(&campaign).await;
    let before = kit.coupon(&redeemed).await;
    assert!(!files_with(folder.path(), ann.as_str()).is_empty(), "the test finds names at all");
    // What was revoked, void or held by another, besides what the list of the holder has.
    let named = mentions(people, &ann).await;
    let kinds = ["account", "coupon", "test.event"];
    assert_eq!(named.keys().map(String::as_str).collect::<Vec<_>>(), kinds, "{named:?}");

    let erasure = erasure_of(&ann);
    people.erase(&erasure).await.unwrap();
    let refused = kit.hot.issue(&campaign.id, kit.change(give(&ann, None), Asker::Shop, NOW)).await;
    assert!(matches!(refused, Err(HotError::Unavailable(_))), "{refused:?}");
    people.erase(&erasure).await.unwrap();
    assert_eq!(kit.coupon(&redeemed).await, erasure.of_coupon(&before).unwrap().rewritten());
    assert_eq!(kit.counts(&campaign).await, counts);
    assert_eq!(contradictions(kit.hot.as_ref()).await.faults, Vec::<String>::new());

    people.settle(std::slice::from_ref(&erasure)).await.unwrap();
    let feed = format!("{:?}", events(&kit).await);
    assert!(feed.contains(erasure.name.as_str()) && !feed.contains(ann.as_str()), "{feed}");
    let act = Act::of_system("test", NOW);
    for _ in 0..2 {
        people.admit(&erasure, &act).await.unwrap();
    }
    let told = told_of_people(&kit).await;
    let of_ann = AuditEvent::person_erased(Some(ann.as_str()), Some(erasure.name.as_str()));
    assert_eq!(told, [of_ann], "once, with the old name");
    // It is the last event, and is forgotten all the same.
    kit.hot.activities().unwrap().count_activity().await.unwrap();
    while kit.hot.forget_events(NOW.plus_ms(1)).await.unwrap() > 0 {}
    let nameless = AuditEvent::person_erased(None, Some(erasure.name.as_str()));
    assert_eq!(told_of_people(&kit).await, [nameless]);
    let names = [ann.to_string()];
    people.scrub(&names).await.unwrap();
    assert_eq!(files_with(folder.path(), ann.as_str()), Vec::<String>::new());
    assert_eq!(mentions(people, &ann).await, BTreeMap::new());
    let without_account = named.into_iter().filter(|(kind, _)| kind != "account").collect();
    assert_eq!(mentions(people, &erasure.name).await, without_account);

    // A new person of the same name is somebody else, also for a process that still erases the first one.
    let code = kit.issued(&campaign, &ann, "hello").await;
    people.erase(&erasure).await.unwrap();
    people.scrub(&names).await.unwrap();
    assert_eq!(kit.coupon(&code).await.holder(), Some(&ann));
    assert_eq!(contradictions(kit.hot.as_ref()).await.faults, Vec::<String>::new());
}
