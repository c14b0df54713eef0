//! After the last call of a seed in which people are erased: every erasure ends, then every person is erased once
//! more, and nothing may have their names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coupon::apply::{Action, Asker, Change};
use coupon::code::Code;
use coupon::coupon::{Coupon, EventKind, State};
use coupon::erasure::Erasure;
use coupon::ids::{Actor, UserId};
use coupon::refusal::Refusal;
use cql_session::{BoundValue, CqlCluster, RowPage, StatementProfile, StatementRequest};
use hot::feed::{FeedEvent, Happened};
use hot::{
    Applied, CouponFilter, CouponSnapshot, Coupons, HotError, ListOrder, ListQuery, ListScope,
};

use super::accounts;
use crate::check::{self, replaced_by};
use crate::world::machine::SimulatedMachine;
use crate::world::stocked_campaign::user;
use crate::world::verifying::verified;
use crate::world::{SimulatedWorld, ending, leftovers, readers};
use simulated_cluster::cql::cells;

/// How often a step is repeated until a process answers that it is done.
const TRIES: usize = 8;

/// More than the coupons of a user.
const LIST_MAX: usize = 1_000;

/// More than the coupons of a campaign.
const ISSUES_MAX: usize = 2_000;

/// Rows of one answer.
const PAGE_ROWS: i32 = 1_000;

/// Every column that may have a name, of every table; and what a row is called.
const NAMING: [(&str, &str); 13] = [
    ("coupon", "SELECT code, holder, hold, events, campaign_id FROM coupon"),
    ("claim", "SELECT campaign_id, user_id, claimed, chosen FROM claim"),
    ("replacement", "SELECT replaced, user_id, reference FROM replacement"),
    ("directory", "SELECT code, first_imported_state, imported_state, actor FROM directory"),
    ("wallet", "SELECT user_id, code FROM wallet"),
    ("change", "SELECT code, actor, user_id, reference, reason, changes FROM change"),
    ("record", "SELECT kind, part, key, value FROM record"),
    ("account", "SELECT login_id, user_id FROM account"),
    ("account_login", "SELECT user_id, login_id FROM account_login"),
    ("campaign", "SELECT campaign_id, carries, metadata, created_as FROM campaign"),
    ("campaign_counts", "SELECT campaign_id, merged FROM campaign_counts"),
    ("setting", "SELECT name, value, carries FROM setting"),
    ("lease", "SELECT campaign_id, name FROM lease"),
];

/// Reads and checks everything; what is wrong is a finding.
pub(crate) async fn ends(world: &SimulatedWorld) {
    ending::quiet(world).await;
    let Some(machine) = world.site.start("the last process".to_owned(), 0).await else {
        return world.find("nobody can open the cluster any more");
    };
    all_settle(world, &machine).await;
    machine.flush().await;
    let feeds = readers::ends(world, &machine).await;
    let before = ending::reads(world, &machine, &feeds).await;
    let (known, calls) = (world.scene.known(), world.recorder.calls());
    let erasures = world.erasures.known();
    for what in check::erasures::violations(&known, &erasures, &calls, &before) {
        world.find(what);
    }
    each_event_is_told(world, &before, feeds.last().map_or(&[][..], Vec::as_slice));
    replacements_are_right(world, &machine, &before).await;
    for nth in 0..world.plan.erasures.as_ref().map_or(0, |plan| plan.persons) {
        accounts::are_right(world, &machine, &user(nth)).await;
    }
    lists_are_right(world, &machine, &before).await;
    let last = everybody_once_more(world);
    all_settle(world, &machine).await;
    let coupons = ending::reads(world, &machine, &[]).await;
    for (code, CouponSnapshot { coupon, .. }) in &before {
        is_the_same(world, &last, coupon, coupons.get(code).map(|it| &it.coupon));
    }
    nobody_is_named(world, &machine, &last).await;
    lists_are_right(world, &machine, &coupons).await;
    all_is_issued(world, &machine).await;
    machine.flush().await;
    for finding in &verified(&machine).await {
        world.find(format!("verify: {finding}"));
    }
    leftovers::looked_for(world, &machine).await;
}

/// Ends all erasures.
async fn all_settle(world: &SimulatedWorld, machine: &Arc<SimulatedMachine>) {
    for _ in 0..TRIES {
        match super::settles(world, machine).await {
            Ok(()) => return,
            Err(HotError::Unavailable(_) | HotError::Unknown(_)) => {}
            Err(error) => world.find(format!("an erasure cannot be settled: {error}")),
        }
    }
    world.find("an erasure does not end in the quiet while");
}

/// Begins an erasure of each person; their coupons are those that callers under way were given meanwhile, too.
fn everybody_once_more(world: &SimulatedWorld) -> Vec<Erasure> {
    let persons = world.plan.erasures.as_ref().map_or(0, |plan| plan.persons);
    let mut rng = world.plan.rng("the last erasures");
    let open = |nth| {
        let (at_ms, random) = (world.trace.at_ms(), rng.u64());
        world.erasures.with(|log| super::opened(log, user(nth), at_ms, random))
    };
    (0..persons).map(open).collect()
}

/// An erasure changes the names of a coupon, and nothing else.
fn is_the_same(world: &SimulatedWorld, last: &[Erasure], before: &Coupon, now: Option<&Coupon>) {
    let mut without = before.clone();
    for erasure in last {
        without = erasure.of_coupon(&without).unwrap_or(without);
    }
    let is_same = now.is_some_and(|now| {
        let same = (now.events(), now.state(), now.hold(), now.expires_at());
        same == (without.events(), without.state(), without.hold(), without.expires_at())
    });
    if !is_same {
        world.find(format!("{} was {without:?} but for names, and is {now:?}", before.code()));
    }
}

/// Every change that callers made is in the feed, whoever was erased meanwhile.
fn each_event_is_told(
    world: &SimulatedWorld,
    coupons: &BTreeMap<Code, CouponSnapshot>,
    feed: &[FeedEvent],
) {
    let mut told: BTreeMap<(&Code, &str), BTreeSet<u64>> = BTreeMap::new();
    for event in feed {
        if let Happened::Coupon(it) = &event.happened {
            let kind = it.kind.as_str().trim_start_matches("coupon.");
            told.entry((&it.code, kind)).or_default().insert(it.version);
        }
    }
    for CouponSnapshot { coupon, .. } in coupons.values() {
        let mut made: BTreeMap<&str, usize> = BTreeMap::new();
        let is_call = |actor: &Actor| !actor.as_str().starts_with("admin:");
        for event in coupon.events().iter().filter(|it| is_call(&it.actor)) {
            *made.entry(event.kind.as_str()).or_default() += 1;
        }
        for (kind, count) in made {
            let there = told.get(&(coupon.code(), kind)).map_or(0, BTreeSet::len);
            if there < count {
                let code = coupon.code();
                world.find(format!("feed: {code}: {there} of {count} events {kind}"));
            }
        }
    }
}

/// What is said of a person who was erased, and of nothing else.
const TOLD: &[u8] = br#"[{"field":"user_id","from":"#;

/// No row of any table has the old name of somebody, but for the event that tells of it.
async fn nobody_is_named(world: &SimulatedWorld, machine: &SimulatedMachine, last: &[Erasure]) {
    for (table, cql) in NAMING {
        for row in rows(world, machine, cql).await {
            for erasure in last {
                let name = erasure.user.as_str().as_bytes();
                // The feed tells who follows it.
                let is_told = row.windows(TOLD.len()).any(|part| part == TOLD);
                if !is_told && row.windows(name.len()).any(|part| part == name) {
                    let cells: Vec<String> = cells(&row)
                        .into_iter()
                        .map(|cell| String::from_utf8_lossy(cell.unwrap_or_default()).into_owned())
                        .collect();
                    world.find(format!("a row of {table} names {}: {cells:?}", erasure.user));
                }
            }
        }
    }
}

/// All rows of a table.
async fn rows(
    world: &SimulatedWorld,
    machine: &SimulatedMachine,
    cql: &'static str,
) -> Vec<Vec<u8>> {
    let (mut rows, mut from) = (Vec::new(), None);
    loop {
        let profile = StatementProfile::Read;
        let request = StatementRequest {
            cql,
            rows: vec![Vec::<BoundValue>::new()],
            profile,
            from,
            page_rows: PAGE_ROWS,
        };
        let page = match machine.session.prepare(cql).await {
            Ok(_) => machine.session.execute(request).await,
            Err(error) => Err(error),
        };
        match page {
            Ok(RowPage { rows: more, next }) => {
                rows.extend(more);
                from = next;
            }
            Err(error) => {
                world.find(format!("{cql}: {error}"));
                from = None;
            }
        }
        if from.is_none() {
            return rows;
        }
    }
}

/// Who has won the place of a coupon is who was issued the other one for it.
async fn replacements_are_right(
    world: &SimulatedWorld,
    machine: &SimulatedMachine,
    coupons: &BTreeMap<Code, CouponSnapshot>,
) {
    let mut given: BTreeMap<String, &UserId> = BTreeMap::new();
    for event in coupons.values().flat_map(|it| it.coupon.events()) {
        if let EventKind::Issued { to, reference: Some(reference), .. } = &event.kind
            && let Some(code) = replaced_by(reference)
        {
            given.insert(code, to);
        }
    }
    for row in rows(world, machine, NAMING[2].1).await {
        let text = |at: usize| {
            let cell = cells(&row).get(at).copied().flatten().unwrap_or_default();
            String::from_utf8_lossy(cell).into_owned()
        };
        let (code, user) = (text(0), text(1));
        if let Some(to) = given.get(&code).filter(|to| to.as_str() != user) {
            world.find(format!("{code} was replaced for {to}, and its row names {user}"));
        }
    }
}

/// The list of each holder has the coupons that say so.
async fn lists_are_right(
    world: &SimulatedWorld,
    machine: &SimulatedMachine,
    coupons: &BTreeMap<Code, CouponSnapshot>,
) {
    let mut held: BTreeMap<UserId, BTreeSet<&Code>> = BTreeMap::new();
    for erasure in world.erasures.known() {
        held.entry(erasure.erasure.user).or_default();
        held.entry(erasure.erasure.name).or_default();
    }
    for CouponSnapshot { coupon, .. } in coupons.values() {
        if let Some(holder) = coupon.holder() {
            held.entry(holder.clone()).or_default().insert(coupon.code());
        }
    }
    for (holder, codes) in held {
        let query = ListQuery {
            scope: ListScope::Holder(holder.clone()),
            filter: CouponFilter::default(),
            order: ListOrder::Latest,
            after: None,
            limit: LIST_MAX,
            now: machine.now(),
        };
        match machine.hot.list(query).await {
            Ok(page) => {
                let listed: BTreeSet<&Code> =
                    page.coupons.iter().map(|it| it.coupon.code()).collect();
                if listed != codes {
                    world.find(format!("{holder} has {codes:?}, and their list {listed:?}"));
                }
            }
            Err(error) => world.find(format!("the list of {holder}: {error}")),
        }
    }
}

/// Strangers are given all that is left: a code that an erasure has met is no less in the stock.
async fn all_is_issued(world: &SimulatedWorld, machine: &Arc<SimulatedMachine>) {
    for nth in 0..world.scene.stocked.len() {
        let id = world.scene.id(nth);
        let mut is_sold_out = false;
        for stranger in 0..ISSUES_MAX {
            let to: UserId = format!("stranger{nth}-{stranger}").parse().expect("a short word");
            let expires_at = world.scene.stocked[nth].campaign.issued_until(machine.now());
            let change = Change {
                action: Action::Issue { to, reference: None, expires_at },
                asker: Asker::Shop,
                actor: Actor::new("shop:till"),
                operation: world.recorder.operation(),
                at: machine.now(),
                if_version: None,
            };
            match machine.hot.issue(id, change).await {
                Ok(applied) if applied.refusal() == Some(Refusal::SoldOut) => {
                    is_sold_out = true;
                    break;
                }
                Ok(Applied { snapshot: Some(_), .. }) => {}
                Ok(_) => break,
                Err(error) => {
                    world.find(format!("{id}: nobody can be given the rest: {error}"));
                    break;
                }
            }
        }
        if !is_sold_out {
            continue;
        }
        world.trace.reached("erasure: the rest of a campaign was issued");
        for (_, CouponSnapshot { coupon, .. }) in ending::reads(world, machine, &[]).await {
            let is_left = matches!(coupon.state(), State::Available)
                && coupon.genesis().campaign == *id
                && machine.now() < coupon.expires_at()
                && coupon.running_hold(machine.now()).is_none();
            if is_left {
                world.find(format!("{id} is sold out, and {} is left", coupon.code()));
            }
        }
    }
}
