//! What a store keeps beside coupons: what a copy brings of it, and what it leaves behind on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use coupon::campaign::Campaign;
use coupon::time::Day;
use hot::{COPIED_FACTS, Fact, Facts, HotStore};
use hot_conformance::kit::{self, Kit, MemoryArchive, NOW, redeem};
use records::{bring_counts, bring_orders};
use webhooks::{
    BroughtWebhooks, DeliveryFilter, NewEndpoint, Options, Read, Source, Start, Webhooks,
    bring_webhooks,
};

use super::stops::SmallPages;
use super::store_events::StoreEvents;
use super::{copied, simulated_cluster, sqlite};

const ORDERS_KEEP: Duration = Duration::from_secs(400 * 86_400);

/// Of one that is archived, and of one that is not, each once however often they are brought.
#[tokio::test(start_paused = true)]
async fn orders_of_both_tiers() {
    let archive = Arc::<MemoryArchive>::default();
    let (from, _folder) = sqlite(&archive);
    let kit = Kit::new(Arc::clone(&from) as _, Arc::clone(&archive));
    let campaign = Campaign { cancel_days: 0, ..kit.draft() };
    kit.stocked(&campaign, 4).await;
    let mut codes = BTreeMap::new();
    for (order, archived) in [("first", true), ("second", true), ("third", false)] {
        let user = kit.user("ann");
        let code = kit.issued(&campaign, &user, order).await;
        kit.done(&code, redeem(&user, order)).await;
        codes.insert(order, code);
        if archived {
            assert_eq!(kit.archive_closed(campaign.expiry_day(), NOW).await, 1, "{order}");
        }
    }
    let to = simulated_cluster(11, &archive).await;
    copied(&*from, &*to).await;
    let small = SmallPages { inner: Arc::clone(&from) as _, items: 2 };
    let found = async |order: &str| {
        let orders = to.redemptions().expect("orders");
        orders.codes_of_order(&kit::order(order)).await.unwrap().expect("they are kept")
    };
    assert_eq!(found("first").await, [], "it has no row that could tell");
    let activities = from.activities().expect("counts");
    bring_counts(activities, &*to.tables(), None).await.unwrap();
    let on = |days: i32| Day(NOW.day().0 + days);
    let rows = [("too late", on(400), 0), ("first", on(0), 3), ("again", on(399), 3)];
    for (pass, today, want) in rows {
        let brought = bring_orders(&small, &*to.tables(), ORDERS_KEEP, today).await.unwrap();
        assert_eq!(brought, want, "{pass}");
        for (order, code) in codes.iter().filter(|_| want > 0) {
            assert_eq!(found(order).await, std::slice::from_ref(code), "{pass}: {order}");
        }
        assert_eq!(found("another").await, [], "{pass}");
    }
}

/// Nothing listens there, so everything waits.
const URL: &str = "http://127.0.0.1:9/";

async fn redeemed(store: &Arc<dyn HotStore>, archive: &Arc<MemoryArchive>, number: u64) {
    let kit = Kit::numbered(Arc::clone(store), Arc::clone(archive), number);
    let campaign = kit.draft();
    kit.stocked(&campaign, 2).await;
    let user = kit.user("ann");
    let code = kit.issued(&campaign, &user, "a").await;
    kit.done(&code, redeem(&user, "a")).await;
}

/// What happened in the source before the copy waits in the target, and then comes what happens there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn webhooks_go_on() {
    let archive = Arc::<MemoryArchive>::default();
    let (from, _folder) = sqlite(&archive);
    let from = from as Arc<dyn HotStore>;
    let events = StoreEvents(Arc::clone(&from));
    let Read::Page { next: begin, .. } = events.read(Start::Newest, 1).await else { panic!() };
    let types = Some(BTreeSet::from(["coupon.redeemed".to_owned()]));
    let new = NewEndpoint {
        webhook_id: Some("w".to_owned()),
        url: URL.to_owned(),
        description: None,
        types,
        campaign: None,
        ordered: true,
        cursor: Some(begin),
    };
    let options = Options { allow_private: true, ..Options::default() };
    let before = Webhooks::new(from.tables(), options.clone()).unwrap();
    let (_, secret, _) = before.create(new.clone()).await.unwrap();
    let to = simulated_cluster(12, &archive).await as Arc<dyn HotStore>;
    let new_events = StoreEvents(Arc::clone(&to));
    for pass in 1..=2 {
        redeemed(&from, &archive, pass).await;
        let (old, new) = ((from.tables(), &events as _), (to.tables(), &new_events as _));
        let brought = bring_webhooks(old, new).await.unwrap();
        assert_eq!(brought, BroughtWebhooks { endpoints: 1, waiting: pass }, "{pass}");
    }
    let after = Arc::new(Webhooks::new(to.tables(), options).unwrap());
    let (_, same, is_new) = after.create(new).await.unwrap();
    assert!(!is_new && same.reveal() == secret.reveal(), "the secret is the same");
    let listed = async || after.deliveries("w", DeliveryFilter::default(), 10).await.unwrap();
    assert_eq!(listed().await.len(), 2);
    let running = Arc::clone(&after).run(Arc::new(new_events), std::future::pending());
    let running = tokio::spawn(running);
    redeemed(&to, &archive, 3).await;
    let three = async {
        while listed().await.len() < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), three).await.unwrap();
    running.abort();
    let types: Vec<_> = listed().await.into_iter().filter_map(|it| it.event_type).collect();
    assert_eq!(types, ["coupon.redeemed"; 3], "no gap, and nothing twice");
}

/// What a copy does with a sort of thing that a store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// [`copy`](hot::inventory::copy) puts it, or what it follows from.
    Copied,
    /// It has a call of its own.
    Brought(&'static str),
    /// The target makes its own, or needs none.
    Left(&'static str),
}

use Fate::{Brought, Copied, Left};

const RECORDS: [(&str, Fate); 24] = [
    ("erasure", Brought("bring_erasures")),
    ("changed_coupon", Left("which coupons somebody has changed today")),
    ("revoked_coupon", Left("what support has taken back lately; histories have it")),
    ("gift", Left("how many coupons somebody has given today")),
    ("extension", Left("how far a pass is: the target makes its own")),
    ("activity", Brought("bring_counts")),
    ("counted", Left("how far the target has counted its own events")),
    ("audit_campaign", Brought("bring_audit")),
    ("audit_entry", Brought("bring_audit")),
    ("audit_day", Brought("bring_audit")),
    ("order", Brought("bring_orders")),
    ("order_begun", Left("one machine redeems an order whole")),
    ("redemption", Copied),
    ("redeemed_hour", Copied),
    ("rejected_line", Left("a report of an import: the same file makes it again")),
    ("rejected_part", Left("the report's parts")),
    ("webhook", Brought("bring_webhooks")),
    ("webhook.progress", Brought("bring_webhooks")),
    ("webhook.waiting", Brought("bring_webhooks")),
    ("webhook.inbox", Brought("bring_webhooks")),
    ("webhook.log", Brought("bring_webhooks")),
    ("webhook.log_blocks", Brought("bring_webhooks")),
    ("webhook.announced", Left("what waits is known by its id; a repeat of the rest is posted")),
    ("webhook.deleted", Left("what was deleted is not brought")),
];

/// Those of processes, which the target has none of.
const OF_PROCESSES: [&str; 2] = ["webhook.process", "webhook.lease"];

const FACTS: [(Fact, Fate); 13] = [
    (Fact::Erasures, Brought("copy_facts")),
    (Fact::Clock, Left("the clock of the machine")),
    (Fact::MovedTo, Left("of the source")),
    (Fact::StoreId, Left("of the source")),
    (Fact::CopiedFrom, Left("of the target")),
    (Fact::CopyPosition, Left("of the target")),
    (Fact::TouchedAt, Left("of the source")),
    (Fact::Staff, Brought("copy_facts")),
    (Fact::Compactions, Brought("copy_facts")),
    (Fact::Queries, Brought("copy_facts")),
    (Fact::FeedReaders, Left("readers begin anew")),
    (Fact::NoticeRounds, Brought("copy_facts")),
    (Fact::NoticePositions, Brought("copy_facts")),
];

/// Of `schema/hot.sql`.
const TABLES: [(&str, Fate); 16] = [
    ("setting", Copied),
    ("campaign", Copied),
    ("batch", Copied),
    ("partition_plan", Copied),
    ("actor", Copied),
    ("operation", Copied),
    ("coupon", Copied),
    ("archived_marker", Copied),
    ("directory", Copied),
    ("claim", Copied),
    ("replacement", Copied),
    ("cancelled_redemption", Copied),
    ("redeemed_by_order", Brought("bring_orders")),
    ("activity", Brought("bring_counts")),
    ("audit", Brought("bring_audit")),
    ("account", Copied),
];

/// A cursor of the source is gone, and webhooks are brought with what they have not read.
const EVENTS: &str = "event";

fn crates() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The text of every file of the product below a folder, with single spaces.
fn texts(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}

/// The word behind each place where `before` stands.
fn words_after(text: &str, before: &str) -> BTreeSet<String> {
    let is_of_word = |it: &char| it.is_ascii_alphanumeric() || "_.".contains(*it);
    let word = |rest: &str| rest.chars().take_while(is_of_word).collect::<String>();
    text.split(before).skip(1).map(word).filter(|word| !word.is_empty()).collect()
}

fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// Whoever adds a sort of record, a fact or a table decides here what a copy does with it, and then does so.
#[test]
fn everything_has_its_fate() {
    let mut sources = Vec::new();
    for entry in fs::read_dir(crates()).unwrap() {
        let entry = entry.unwrap();
        // It writes records of no product.
        if entry.file_name() != "hot-conformance" {
            texts(&entry.path().join("src"), &mut sources);
        }
    }
    let kinds = words_after(&sources.join(" "), "RecordKind { name: \"");
    assert_eq!(kinds, set(RECORDS.map(|(name, _)| name).into_iter().chain(OF_PROCESSES)));
    let facts = |facts: &[Fact]| facts.iter().map(|fact| fact.as_str()).collect::<BTreeSet<_>>();
    assert_eq!(facts(&Fact::ALL), facts(&FACTS.map(|(fact, _)| fact)));
    let schema = fs::read_to_string(crates().join("../schema/hot.sql")).unwrap();
    let tables = TABLES.map(|(name, _)| name).into_iter().chain([EVENTS]);
    assert_eq!(words_after(&schema, "CREATE TABLE "), set(tables));
}

#[tokio::test(start_paused = true)]
async fn facts() {
    let archive = Arc::<MemoryArchive>::default();
    let (from, _folder) = sqlite(&archive);
    let to = simulated_cluster(13, &archive).await;
    let set_all = async |value: Option<&str>| {
        for (fact, _) in FACTS {
            let seen = from.fact(fact).await.unwrap();
            assert!(from.set_fact(fact, seen, value.map(str::to_owned)).await.unwrap());
        }
    };
    for value in [Some("[1]"), Some("[2]"), None] {
        set_all(value).await;
        hot::inventory::copy_facts(&*from, &*to).await.unwrap();
        for (fact, fate) in FACTS {
            let is_brought = fate == Brought("copy_facts");
            assert_eq!(COPIED_FACTS.contains(&fact), is_brought, "{fact:?}");
            let there = to.fact(fact).await.unwrap();
            let want = value.filter(|_| is_brought);
            assert!(!is_brought || there.as_deref() == want, "{fact:?}: {there:?}");
            assert!(is_brought || there.is_none() || there.as_deref() != value, "{fact:?}");
        }
    }
}
