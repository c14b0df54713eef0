//! Each coupon once, under faults: the rules explain the history of each coupon.
//!
//! Not tested here: rules over several coupons (limits, stock: tests/service/exactly_n.rs), and
//! rules of the clock alone (expiry, ended holds, closed windows), which the tests of the rules
//! cover.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coupon::apply::Action;
use coupon::calendar::{Zone, format_instant};
use coupon::campaign::{Handout, Terms};
use coupon::coupon::{Coupon, Genesis};
use coupon::time::{DAY_MS, Millis};
use serde_json::json;

use super::choice::ContestedCoupon;
use super::faults::{self, Fleet, STOPS, Shape};
use super::feed::EventsAtRest;
use super::fleet::{NoNodes, on_three_nodes};
use super::history::{Answered, Ask, Operation, Told};
use super::linear::{self, Wrong};
use super::load::{Load, Pace, Recorded, Together, coupons_for};
use super::model::World;
use super::report::{Counts, lines};
use super::sale::plain;
use super::services::{Hot, Services, until_good};

const CLIENTS: usize = 64;

/// Histories in which each kind of violation is planted. At least half of them must have a place
/// for it.
const PLANTED: usize = 20;

/// Longest history for that, in operations. In a longer one the checker searches for minutes until it knows that
/// nothing explains the fault; while a disk is replaced, a coupon gets thousands.
const PLANTED_IN: usize = 500;

/// A run of fewer operations need not have an answer of each kind.
const ALL_KINDS_FROM: usize = 3_000;

/// `cancel_days` and `extend_days` of the campaigns.
const OPEN_DAYS: u16 = 30;

/// The requests, and the answers that a run must have at least.
const KINDS: [(&str, &[&str]); 9] = [
    ("issue", &["200", "201"]),
    ("hold", &["200", "201"]),
    ("redeem", &["200", "201"]),
    ("release", &["200"]),
    ("cancel", &["200"]),
    ("revoke", &["200"]),
    ("void", &["200"]),
    ("extend", &["200"]),
    ("get", &["200"]),
];

/// The plan of a run.
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) operations: usize,
    pub(super) faults: Shape,
    pub(super) at_most: Duration,
}

/// The campaigns of a run: one for each way in which a coupon gets its holder.
fn worlds(at: Millis, skips: bool) -> [World; 2] {
    [Handout::Shop, Handout::Bearer].map(|handout| {
        // At noon: an extension by hours stays in the partition, one by days does not.
        let expires_at = Millis((at.0 / DAY_MS + 1_500) * DAY_MS + DAY_MS / 2);
        let genesis = Genesis {
            code: "SUMMER2026".parse().expect("a code"),
            campaign: "once".parse().expect("a campaign"),
            batch: "first".parse().expect("a batch"),
            valid_from: Millis(0),
            expires_at,
            zone: Zone::utc(),
            created_at: at,
        };
        let terms = Terms {
            handout,
            paused: false,
            issue_from: None,
            issue_until: None,
            cancel_days: OPEN_DAYS,
            extend_days: OPEN_DAYS,
            clock_bound_ms: 0,
            currency: None,
            benefit: None,
        };
        World { start: Coupon::untouched(genesis), terms, at, skips }
    })
}

/// Creates the campaigns and takes `count` codes from them. Every fourth is a bearer code.
fn targets(services: &Services, worlds: &[World; 2], count: usize) -> Vec<ContestedCoupon> {
    let mut admin = services.client(0);
    let mut codes = worlds.each_ref().map(|world| {
        let (id, handout) = (world.terms.handout.as_str(), world.terms.handout.as_str());
        let expires_at = format_instant(world.start.expires_at());
        let (cancel, extend) = (world.terms.cancel_days, world.terms.extend_days);
        let campaign = json!({
            "campaign_id": id, "handout": handout, "stock": count, "expires_at": expires_at,
            "cancel_days": cancel, "extend_days": extend,
        });
        until_good(&mut admin, "/v1/campaigns", Some(&campaign));
        let codes = until_good(&mut admin, &format!("/v1/campaigns/{id}/codes"), None).text();
        codes.lines().skip(1).map(str::to_owned).collect::<Vec<_>>().into_iter()
    });
    let target = |nth: usize| {
        let which = usize::from(nth % 4 == 3);
        let code = codes[which].next().expect("as many codes as coupons");
        ContestedCoupon::new(nth, &code, &worlds[which])
    };
    (0..count).map(target).collect()
}

/// The result of a run.
pub(super) struct Run {
    worlds: [World; 2],
    targets: Vec<ContestedCoupon>,
    counts: Counts,
    /// See [`Services::settled`].
    settled: [u64; 3],
    has_all_faults: bool,
    /// One history for each coupon.
    histories: Vec<Vec<Operation>>,
}

impl Run {
    fn world(&self, target: usize) -> &World {
        let is_its = |world: &&World| world.terms.handout == self.targets[target].handout;
        self.worlds.iter().find(is_its).expect("a world for each coupon")
    }

    /// Whether a fault hit a call. A service that is killed takes its count along.
    pub(super) fn is_hit(&self) -> bool {
        self.settled.iter().sum::<u64>() > 0 || self.counts.nothing > 0
    }

    /// What the last read of each coupon showed.
    pub(super) fn events_at_rest(&self) -> EventsAtRest {
        let events = |history: &Vec<Operation>| {
            let last = history.last()?.answered()?.coupon.as_ref()?.events.as_ref()?;
            Some(last.iter().map(|event| event.kind.to_string()).collect())
        };
        let each = self.targets.iter().zip(&self.histories);
        each.filter_map(|(it, history)| Some((plain(&it.code), events(history)?))).collect()
    }

    /// The faults of all coupons, and the work of the checker.
    fn check(&self) -> Vec<(usize, Wrong)> {
        let begun = Instant::now();
        let (mut wrong, mut points, mut most) = (Vec::new(), 0, 0);
        for (target, history) in self.histories.iter().enumerate() {
            match linear::check(self.world(target), history) {
                Ok(found) => {
                    points += found;
                    most = most.max(found);
                }
                Err(error) => wrong.push((target, error)),
            }
        }
        let longest = self.histories.iter().map(Vec::len).max().unwrap_or_default();
        let coupons = self.histories.iter().filter(|history| !history.is_empty()).count();
        println!(
            "checked {coupons} coupons in {:.1?}: {} violations; {points} points, most {most}; \
             longest history {longest}",
            begun.elapsed(),
            wrong.len()
        );
        wrong
    }
}

/// Runs the load with the faults, and something beside them, and reads everything at rest.
pub(super) fn run(
    plan: &Plan,
    services: &mut Services,
    nodes: &mut dyn Fleet,
    beside: impl FnOnce(&Pace) + Send,
) -> Run {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    let start = Millis(since_epoch.as_millis() as i64);
    let clock = Instant::now();
    let worlds = worlds(start, services.is_cluster());
    let targets = targets(services, &worlds, coupons_for(plan.operations));
    let pace = Pace::new(plan.operations, plan.at_most);
    let (addresses, token) = (services.addresses.clone(), services.token.clone());
    let load = Load {
        clients: CLIENTS,
        seed: plan.seed,
        token: &token,
        addresses: &addresses,
        targets: &targets,
        pace: &pace,
        start,
        clock,
    };
    let faults = faults::plan(plan.seed, &plan.faults);
    let (mut recorded, done) = std::thread::scope(|scope| {
        let clients = scope.spawn(|| load.run());
        let others = scope.spawn(|| {
            let _together = Together(&pace);
            beside(&pace);
        });
        let done = faults::run(&faults, nodes, services, &pace);
        others.join().expect("the others");
        (clients.join().expect("the clients"), done)
    });
    let mut histories: Vec<Vec<Operation>> = targets.iter().map(|_| Vec::new()).collect();
    let mut asked: Vec<usize> = recorded.iter().map(|it| it.target).collect();
    asked.sort_unstable();
    asked.dedup();
    let counts = Counts::of(&recorded);
    recorded.extend(load.read_all(asked.into_iter()));
    let settled = services.settled();
    for Recorded { target, operation, .. } in recorded {
        histories[target].push(operation);
    }
    println!("seed {}: {}\n{counts}", plan.seed, faults::counts(&faults[..done]));
    let [applied, refused, unknown] = settled;
    println!(
        "writes without an answer, settled as: applied {applied}, refused {refused}, left unknown \
         {unknown}"
    );
    Run { worlds, targets, counts, settled, has_all_faults: done == faults.len(), histories }
}

/// Checks that the run has no violation and enough of each answer.
pub(super) fn must_be_right(plan: &Plan, run: &Run) {
    let wrong = run.check();
    for (target, error) in wrong.iter().take(3) {
        let code = &run.targets[*target].code;
        eprintln!("--- {code}: {error}\n{}", lines(&run.histories[*target]));
    }
    assert!(wrong.is_empty(), "{} coupons are wrong, seed {}", wrong.len(), plan.seed);
    let came_to = run.counts.answered + run.counts.unknown;
    assert!(run.has_all_faults && came_to >= plan.operations, "the run ended early");
    for (kind, statuses) in KINDS {
        for status in statuses.iter().filter(|_| plan.operations >= ALL_KINDS_FROM) {
            assert!(run.counts.count(kind, status) > 0, "no {kind} was answered with {status}");
        }
        assert_eq!(run.counts.count(kind, "INTERNAL"), 0, "{kind}: answers with 500");
    }
    planted_is_found(run);
}

/// Checks that the checker finds wrong answers in these histories.
fn planted_is_found(run: &Run) {
    type Plant = fn(&mut Vec<Operation>) -> Option<()>;
    let plants: [(&str, Plant); 4] = [
        ("an acknowledged change is lost", |history| {
            changed(history)?.told = Told::Nothing;
            Some(())
        }),
        ("a change that was made is refused", |history| {
            let (problem, coupon, redemption) = ("EXPIRED".into(), None, None);
            changed(history)?.told =
                Told::Answer(Box::new(Answered { status: 409, problem, coupon, redemption }));
            Some(())
        }),
        ("the last read shows what the first showed", |history| {
            let first = history.iter().filter(|it| matches!(it.ask, Ask::Read));
            let first = first.min_by_key(|it| it.invoked)?.told.clone();
            let last = history.last_mut()?;
            let version = |told: &Told| match told {
                Told::Answer(it) => it.coupon.as_ref().map(|shown| shown.version),
                Told::Unknown | Told::Nothing => None,
            };
            let differs = version(&first)? != version(&last.told)?;
            last.told = first;
            differs.then_some(())
        }),
        ("a change is acknowledged twice", |history| {
            let twice = changed(history)?.clone();
            history.push(twice);
            Some(())
        }),
    ];
    for (name, plant) in plants {
        let mut found = 0;
        for (target, history) in run.histories.iter().enumerate() {
            let mut planted = history.clone();
            // An operation with an unknown outcome may explain the fault.
            let is_known = history.iter().all(|it| !matches!(it.told, Told::Unknown));
            let is_short = history.len() <= PLANTED_IN;
            if !is_known || !is_short || plant(&mut planted).is_none() {
                continue;
            }
            let verdict = linear::check(run.world(target), &planted);
            let code = &run.targets[target].code;
            assert!(verdict.is_err(), "{name}: {code} passes\n{}", lines(&planted));
            found += usize::from(matches!(verdict, Err(Wrong::Violation(_))));
            if found == PLANTED {
                break;
            }
        }
        assert!(found >= PLANTED / 2, "{name}: found in {found} histories");
    }
}

/// An acknowledged change. Not a hold, which leaves no event: if the store may raise versions, a
/// hold cannot be missed.
fn changed(history: &mut [Operation]) -> Option<&mut Operation> {
    history.iter_mut().find(|it| {
        it.answered().is_some_and(|answered| answered.status == 201)
            && it.ask.tells_made_from_same()
            && !matches!(it.ask, Ask::Change(Action::Hold { .. }))
    })
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, want a number")))
}

/// The default number of operations of a run, and of its faults: 40 for 100,000, and `least`, of fewer operations than
/// usual fewer.
pub(super) fn size(operations: usize, least: usize) -> (usize, usize) {
    let asked = setting("COUPONRY_TEST_FAULT_OPERATIONS").map(|it| it as usize);
    let asked = asked.unwrap_or(operations);
    let least = if asked < operations { usize::max(2, least * asked / operations) } else { least };
    (asked, usize::max(least, asked / 2_500))
}

pub(super) fn seed() -> u64 {
    setting("COUPONRY_TEST_FAULT_SEED").unwrap_or(1)
}

/// Two services on three nodes of Cassandra. Nodes and services are killed, frozen and restarted.
#[test]
fn once_under_faults() {
    if !testcluster::may_take_minutes("once under faults") {
        return;
    }
    let (operations, faults) = size(4_000, 6);
    let frozen = (Duration::from_secs(1), Duration::from_secs(15));
    let down = (Duration::from_millis(100), Duration::from_secs(5));
    let (whats, replaced_every, replaced_first) = (STOPS, 0, 0);
    let faults =
        Shape { nodes: 3, serves: 2, faults, whats, replaced_every, replaced_first, frozen, down };
    // A fault takes about 10 s, and so does the restart of a killed node.
    let at_most = Duration::from_secs(60 * faults.faults as u64 + 600);
    let plan = Plan { seed: seed(), operations, faults, at_most };
    on_three_nodes(|nodes| {
        let hot = Hot::Cql(format!("cql://{}/once", nodes.0.addresses()));
        let mut services = Services::start(hot, 2);
        let run = run(&plan, &mut services, nodes, |_| {});
        services.stop();
        must_be_right(&plan, &run);
        let is_short = operations < 4_000;
        assert!(is_short || run.is_hit(), "no fault hit a call");
    });
}

/// One service on one file. It is killed, frozen and restarted.
#[test]
fn once_on_one_machine() {
    let (operations, faults) = size(testengines::times(3_000, 6_000), 10);
    let frozen = (Duration::from_millis(20), Duration::from_millis(500));
    let down = (Duration::from_millis(1), Duration::from_millis(100));
    let (whats, replaced_every, replaced_first) = (STOPS, 0, 0);
    let faults =
        Shape { nodes: 0, serves: 1, faults, whats, replaced_every, replaced_first, frozen, down };
    let plan = Plan { seed: seed(), operations, faults, at_most: Duration::from_secs(1_800) };
    let mut services = Services::start(Hot::Sqlite, 1);
    let run = run(&plan, &mut services, &mut NoNodes, |_| {});
    services.stop();
    must_be_right(&plan, &run);
}
