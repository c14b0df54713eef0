//! The last thing of a seed: whatever has happened to them, persons can be forgotten, and nobody else notices.

use std::collections::{BTreeMap, BTreeSet};

use coupon::campaign::CampaignCounts;
use coupon::code::Code;
use coupon::erasure::{Erasure, ErasureSet, erased_name};
use coupon::ids::{CampaignId, UserId};
use cql_session::{CqlCluster, StatementProfile, StatementRequest};
use hot::audit::Act;
use hot::people::People;
use hot::{Campaigns, CouponSnapshot, HotStore};
use simulated_cluster::cql::cells;

use super::SimulatedWorld;
use super::machine::SimulatedMachine;
use super::verifying::verified;

/// Persons who are forgotten.
const PERSONS: usize = 3;

/// Rows of one answer.
const PAGE_ROWS: i32 = 1_000;

/// Each reads users in its first column.
const USERS: [&str; 4] = [
    "SELECT user_id FROM claim",
    "SELECT user_id FROM wallet",
    "SELECT user_id FROM replacement",
    "SELECT user_id FROM change",
];

/// Erases those who have most coupons, all at a time, and looks whether anything still names them.
pub(crate) async fn ends(
    world: &SimulatedWorld,
    machine: &SimulatedMachine,
    coupons: &BTreeMap<Code, CouponSnapshot>,
) {
    let before = counts(world, machine).await;
    let mut held: BTreeMap<&UserId, usize> = BTreeMap::new();
    for user in coupons.values().filter_map(|snapshot| snapshot.coupon.holder()) {
        *held.entry(user).or_default() += 1;
    }
    let mut users: Vec<(usize, &UserId)> =
        held.into_iter().map(|(user, many)| (many, user)).collect();
    users.sort_unstable();
    let users = users.into_iter().rev().take(PERSONS).map(|(_, user)| user.clone());
    let erasures: Vec<Erasure> = (1..)
        .zip(users)
        .map(|(number, user)| Erasure { number, user, name: erased_name(number) })
        .collect();
    let last = erasures.len() as u64;
    // Nobody has rewritten the files of cold: its readers replace the names.
    machine.cold.know_erasures(ErasureSet { last, pending: erasures.clone() });
    if let Err(error) = forgotten(machine, &erasures).await {
        world.find(format!("a person is not forgotten: {error}"));
        return;
    }
    let names: BTreeSet<&str> = erasures.iter().map(|it| it.user.as_str()).collect();
    for cql in USERS {
        still_named(world, machine, cql, &names).await;
    }
    if counts(world, machine).await != before {
        world.find("the counts of a campaign have changed by an erasure");
    }
    for finding in &verified(machine).await {
        world.find(format!("verify, after persons were forgotten: {finding}"));
    }
}

async fn forgotten(machine: &SimulatedMachine, erasures: &[Erasure]) -> Result<(), String> {
    let people: &dyn People = machine.hot.people();
    for erasure in erasures {
        people.erase(erasure).await.map_err(|error| format!("erase: {error}"))?;
    }
    people.settle(erasures).await.map_err(|error| format!("settle: {error}"))?;
    let mut after = None;
    loop {
        let page = people.users(after).await.map_err(|error| format!("users: {error}"))?;
        if let Some(it) = erasures.iter().find(|it| page.users.contains(&it.user)) {
            return Err(format!("{} is still there", it.user));
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    for erasure in erasures {
        let act = Act::of_system("simulation", machine.now());
        people.admit(erasure, &act).await.map_err(|error| format!("admit: {error}"))?;
    }
    Ok(())
}

async fn still_named(
    world: &SimulatedWorld,
    machine: &SimulatedMachine,
    cql: &'static str,
    names: &BTreeSet<&str>,
) {
    let mut from = None;
    loop {
        let (profile, rows) = (StatementProfile::Read, vec![Vec::new()]);
        let request = StatementRequest { cql, rows, profile, from, page_rows: PAGE_ROWS };
        let answer = match machine.session.prepare(cql).await {
            Ok(_) => machine.session.execute(request).await,
            Err(error) => Err(error),
        };
        let page = match answer {
            Ok(page) => page,
            Err(error) => return world.find(format!("{cql}: {error}")),
        };
        for row in &page.rows {
            let user = cells(row).first().copied().flatten();
            let user = user.and_then(|bytes| std::str::from_utf8(bytes).ok());
            if let Some(user) = user.filter(|user| names.contains(user)) {
                world.find(format!("{cql}: {user} was forgotten"));
            }
        }
        from = page.next;
        if from.is_none() {
            return;
        }
    }
}

async fn counts(
    world: &SimulatedWorld,
    machine: &SimulatedMachine,
) -> BTreeMap<CampaignId, CampaignCounts> {
    machine.flush().await;
    let mut counts = BTreeMap::new();
    for nth in 0..world.scene.stocked.len() {
        let id = world.scene.id(nth);
        if let Ok(Some(row)) = machine.hot.campaign(id, machine.now()).await {
            counts.insert(id.clone(), row.counts);
        }
    }
    counts
}
