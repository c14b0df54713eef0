//! Each coupon once on nodes that are cut off from each other and from clients, whose clocks are an hour apart, and that
//! lose their disks; each event in the feed, and nothing that `verify` finds. By command, for as many operations as
//! somebody wants: see docs/testing.md.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::at_once;
use super::data::{LOOK_EVERY, PATIENCE};
use super::faults::{PARTINGS, Shape};
use super::feed::{EventsAtRest, FeedReader};
use super::fleet::{Nodes, on_nodes_with_clocks};
use super::load::Pace;
use super::once::{Plan, must_be_right, run, seed, size};
use super::sale::{Campaign, Kind, plain};
use super::services::{Caller, Hot, Services, until_good};

/// Seconds by which the clock of each node is ahead, until that node is replaced. The one in the middle is right, so
/// services may write, and no statement goes to the other.
const CLOCKS: [i64; 3] = [0, 3_600, 0];

/// The node of [`CLOCKS`] with a wrong one.
const WRONG: usize = 1;

/// Operations for each coupon of the sale. Of three users two get one.
const OPERATIONS_FOR_ONE: usize = 100;

/// Clients of the sale.
const BUYERS: usize = 4;

/// Pause after a call of which nothing came.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// A campaign that is issued to more users than it has coupons, while the run goes on.
struct LimitedSale {
    campaign: Campaign,
    /// The code of each user who was answered; none for SOLD_OUT.
    answers: Mutex<BTreeMap<String, Option<String>>>,
    next: AtomicUsize,
    lost: AtomicUsize,
}

impl LimitedSale {
    fn new(operations: usize) -> LimitedSale {
        let stock = (operations / OPERATIONS_FOR_ONE).max(20);
        let (id, kind, users) = ("limited", Kind::Minted, stock * 3 / 2);
        let campaign = Campaign { id, kind, stock, limit: 1, users, references: 1 };
        let (next, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
        LimitedSale { campaign, answers: Mutex::default(), next, lost }
    }

    /// Each user asks when a share of the run is over, and again until there is an answer.
    fn go(&self, caller: &Caller, pace: &Pace) {
        at_once(BUYERS, |_| {
            let mut caller = caller.again();
            loop {
                let nth = self.next.fetch_add(1, Ordering::Relaxed);
                if nth >= self.campaign.users {
                    break;
                }
                let share = pace.operations * nth / self.campaign.users;
                while pace.come_to() < share && !pace.is_over() {
                    std::thread::sleep(LOOK_EVERY);
                }
                self.ask(&mut caller, pace, nth);
            }
        });
    }

    fn ask(&self, caller: &mut Caller, pace: &Pace, nth: usize) {
        let (user, begun) = (format!("buyer-{nth}"), Instant::now());
        let body = json!({"user_id": user});
        let path = format!("/v1/campaigns/{}/issue", self.campaign.id);
        for through in nth.. {
            match caller.call(through % 2, &path, Some(&body)) {
                Ok(answer) if answer.status != 503 => {
                    let code = answer.is_good().then(|| plain(&answer.field("code")));
                    let is_sold_out = answer.problem() == "SOLD_OUT";
                    assert!(code.is_some() || is_sold_out, "{user}: {}", answer.text());
                    self.answers.lock().expect("the answers").insert(user, code);
                    return;
                }
                _ => drop(self.lost.fetch_add(1, Ordering::Relaxed)),
            }
            // Without nodes, after a failure elsewhere, nobody answers any more.
            let is_late = begun.elapsed() > 4 * PATIENCE || pace.is_over();
            assert!(!is_late, "no answer to {user}");
            std::thread::sleep(TRY_AGAIN);
        }
    }

    /// Each user asks, and a reader follows the feed meanwhile.
    fn go_with_reader(&self, caller: &Caller, pace: &Pace, feed: &mut FeedReader) {
        std::thread::scope(|scope| {
            let users = scope.spawn(|| self.go(caller, pace));
            while !users.is_finished() {
                feed.follow();
            }
            users.join().expect("the users");
        });
    }

    /// The events of its coupons.
    fn events_at_rest(&self) -> EventsAtRest {
        let answers = self.answers.lock().expect("the answers");
        answers.values().flatten().map(|code| (code.clone(), vec!["issued".to_owned()])).collect()
    }

    /// Each coupon has one holder, who was told so, and there are no more than the stock.
    fn must_be_right(&self, services: &Services) {
        let Campaign { id, stock, users, .. } = self.campaign;
        let answers = self.answers.lock().expect("the answers");
        assert_eq!(answers.len(), users, "every user is answered");
        let mut admin = services.client(0);
        let untouched = self.campaign.untouched(&mut admin);
        let mut holders: BTreeMap<&str, &str> = BTreeMap::new();
        for (user, code) in answers.iter() {
            let Some(code) = code else { continue };
            let before = holders.insert(code, user);
            assert_eq!(before, None, "{code} was given to {user}, too");
            let read = until_good(&mut admin, &format!("/v1/coupons/{code}"), None).json();
            assert_eq!(read["holder"], json!(user), "{code} is as its holder was told: {read}");
            let events = read["events"].as_array().expect("events");
            assert_eq!(events.len(), 1, "{code} is issued once: {read}");
            assert!(!untouched.contains(code), "{code} is issued, and listed as untouched");
        }
        println!(
            "sale: stock {stock}, {users} users, {} issued, {} untouched, {} calls without an answer",
            holders.len(),
            untouched.len(),
            self.lost.load(Ordering::Relaxed)
        );
        assert_eq!(holders.len() + untouched.len(), stock, "{id}: no more than the stock");
        assert_eq!(holders.len(), stock, "{id}: more users than coupons have asked");
    }
}

/// Two services on three nodes of Cassandra, with faults of every kind.
#[test]
fn once_apart() {
    if testcluster::is_long_run("once apart") {
        on_nodes_with_clocks(CLOCKS, once);
    }
}

fn once(nodes: &mut Nodes) {
    let (operations, faults) = size(8_000, 24);
    let frozen = (Duration::from_secs(1), Duration::from_secs(15));
    let down = (Duration::from_millis(100), Duration::from_secs(5));
    // A lost disk takes minutes, so a long run loses four of them too, and a clock is wrong for a quarter of it.
    let (whats, replaced_every, replaced_first) = (PARTINGS, usize::max(12, faults / 4), WRONG);
    let shape =
        Shape { nodes: 3, serves: 2, faults, whats, replaced_every, replaced_first, frozen, down };
    // A fault takes about 10 s, and a disk that is lost some minutes.
    let at_most = Duration::from_secs(120 * faults as u64 + 1_200);
    let plan = Plan { seed: seed(), operations, faults: shape, at_most };
    let hot = Hot::Cql(format!("cql://{}/apart", nodes.0.addresses()));
    let mut services = Services::start(hot, 2);
    let sale = LimitedSale::new(operations);
    sale.campaign.make(&mut services.client(0));
    let caller = services.caller();
    println!("clocks of the nodes ahead by {CLOCKS:?} s");
    let mut feed = FeedReader::new(services.caller());
    let run =
        run(&plan, &mut services, nodes, |pace| sale.go_with_reader(&caller, pace, &mut feed));
    must_be_right(&plan, &run);
    sale.must_be_right(&services);
    let mut events = run.events_at_rest();
    events.extend(sale.events_at_rest());
    feed.must_be_right(&events);
    services.must_be_sound();
    services.stop();
    assert!(run.is_hit(), "no fault hit a call");
}
