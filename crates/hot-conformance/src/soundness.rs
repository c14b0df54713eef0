//! Whether a store that nobody changes contradicts itself. Reads the store through [`Verifiable`]
//! alone, so the claims are the same for every engine.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::ids::{BatchId, CampaignId, UserId};
use coupon::time::Day;
use hot::PartitionPlan;
use hot::inventory::{
    self, Atomicity, CampaignItem, EntryIs, Item, Pages, RowIs, RowItem, Table, Verifiable,
};

/// Rows of one read.
const PAGE: usize = 1_000;

/// What in a store contradicts itself, each as a sentence.
#[derive(Debug)]
pub struct Contradictions {
    /// What no protocol leaves behind.
    pub faults: Vec<String>,
    /// Counts that differ from the rows, where the engine does not write both in one transaction: a
    /// process that was stopped between the two leaves that behind.
    pub drifts: Vec<String>,
}

/// Reads everything in a store and compares what it says twice.
pub async fn contradictions(hot: &dyn Verifiable) -> Contradictions {
    let (mut faults, mut plans) = (Vec::new(), BTreeMap::new());
    for item in inventory::all(hot, Table::Partitions).await.unwrap() {
        faults.extend(unreadable(&item));
        if let Item::Partition(plan) = item {
            plans.insert(plan.plan.day, plan.plan);
        }
    }
    let is_sealed = |it: &&PartitionPlan| it.sealed;
    let sealed: BTreeSet<Day> = plans.values().filter(is_sealed).map(|it| it.day).collect();
    let rows = rows_of(hot, &plans).await;
    // After the rows: on a cluster, counts are written a moment after them.
    let campaigns = hot.counted_campaigns().await.unwrap();

    faults.extend(hot.engine_faults().await.unwrap());
    let days: BTreeSet<Day> = rows.iter().map(|row| row.day).collect();
    let unplanned = days.into_iter().filter(|day| !plans.contains_key(day));
    faults.extend(unplanned.map(|day| format!("day {} has rows and no plan", day.0)));
    faults.extend(rows.iter().filter_map(|row| Some(format!("{}: {}", row.code, fault(row)?))));
    faults.extend(twice(&rows));
    faults.extend(misplaced(hot, &rows, &campaigns).await);
    faults.extend(unclaimed(hot, &rows, &campaigns).await);
    faults.extend(unindexed(hot, &rows, &sealed).await);
    faults.extend(lost_entries(hot, &sealed).await);
    let mut drifts = miscounted(&rows, &campaigns);
    if hot.atomicity() == Atomicity::OneTransaction {
        faults.append(&mut drifts);
        faults.extend(overstocked(&campaigns));
        faults.extend(misspent(&rows, &campaigns));
        faults.extend(lost_claims(hot, &sealed).await);
    }
    Contradictions { faults, drifts }
}

/// Everything in the partitions that were not emptied, in the order of days and codes.
async fn rows_of(hot: &dyn Verifiable, plans: &BTreeMap<Day, PartitionPlan>) -> Vec<RowItem> {
    let (mut rows, mut from) = (Vec::new(), Day(i32::MIN));
    while let Some(day) = hot.next_partition(from).await.unwrap() {
        from = Day(day.0 + 1);
        if plans.get(&day).is_some_and(|plan| plan.emptied) {
            continue;
        }
        let mut after = String::new();
        loop {
            let page = hot.rows_by_code(day, after, PAGE).await.unwrap();
            let has_ended = page.len() < PAGE;
            after = page.last().map(|row| row.code.clone()).unwrap_or_default();
            rows.extend(page);
            if has_ended {
                break;
            }
        }
    }
    rows
}

fn coupons(rows: &[RowItem]) -> impl Iterator<Item = (Day, &Coupon)> {
    rows.iter().filter_map(|row| match &row.is {
        RowIs::Coupon { coupon, .. } => Some((row.day, coupon.as_ref())),
        RowIs::ArchivedMarker { .. } | RowIs::Forwarding { .. } | RowIs::Unreadable(_) => None,
    })
}

/// What of an item cannot be read, if it is nothing where it cannot be read.
fn unreadable(item: &Item) -> Option<String> {
    let Item::Unreadable(it) = item else { return None };
    Some(format!("{}: {}", it.about, it.why))
}

/// What is wrong with a row by itself.
fn fault(row: &RowItem) -> Option<String> {
    row.astray.clone().or_else(|| match &row.is {
        RowIs::Coupon { differs, .. } => differs.clone(),
        RowIs::Unreadable(why) => Some(why.clone()),
        RowIs::ArchivedMarker { .. } | RowIs::Forwarding { .. } => None,
    })
}

/// Codes that stand in one partition more than once.
fn twice(rows: &[RowItem]) -> impl Iterator<Item = String> {
    let same = |two: &&[RowItem]| two[0].day == two[1].day && two[0].code == two[1].code;
    let twice = rows.windows(2).filter(same);
    twice.map(|two| format!("{}: twice in partition {}", two[0].code, two[0].day.0))
}

/// Rows in a partition that their expiry, or their code and the directory, do not lead to.
async fn misplaced(
    hot: &dyn Verifiable,
    rows: &[RowItem],
    campaigns: &[CampaignItem],
) -> Vec<String> {
    let mut homes: HashMap<(&CampaignId, &BatchId), Day> = HashMap::new();
    for campaign in campaigns {
        for batch in &campaign.batches {
            homes.extend(batch.run().map(|run| ((&campaign.terms.id, &batch.batch.id), run.day)));
        }
    }
    let (mut faults, mut asked) = (Vec::new(), Vec::new());
    for row in rows {
        match &row.is {
            RowIs::Coupon { coupon, .. } => {
                let expires_in = Day::expiry_day_of(coupon.lasts_until());
                if expires_in != row.day {
                    let (day, other) = (row.day.0, expires_in.0);
                    faults.push(format!("{}: in partition {day}, want {other}", row.code));
                }
                let genesis = coupon.genesis();
                let home = homes.get(&(&genesis.campaign, &genesis.batch)).copied();
                // A minted code leads to the partition that it was minted for.
                if home != Some(row.day) {
                    asked.push((row, home));
                }
            }
            RowIs::Forwarding { .. } => asked.push((row, None)),
            RowIs::ArchivedMarker { .. } | RowIs::Unreadable(_) => {}
        }
    }
    let codes: Vec<Code> = asked.iter().map(|(row, _)| row.code.parse().unwrap()).collect();
    let entries = hot.entries_at(codes).await.unwrap();
    for ((row, home), entry) in asked.into_iter().zip(entries) {
        let entered = match entry.map(|entry| entry.is) {
            Some(EntryIs::Coupon { day, .. }) => Some(day),
            Some(EntryIs::Gone | EntryIs::Shared { .. } | EntryIs::Unreadable(_)) | None => None,
        };
        let leads_to = entered.or(home);
        let is_right = match (&row.is, hot.atomicity()) {
            (RowIs::Forwarding { to }, _) => entered.is_some_and(|entered| entered >= *to),
            (_, Atomicity::OneTransaction) => leads_to == Some(row.day),
            // It has arrived, and the directory does not say so yet.
            (_, Atomicity::StepByStep) => leads_to.is_some_and(|leads_to| leads_to <= row.day),
        };
        if !is_right {
            let day = row.day.0;
            faults.push(format!("{}: in partition {day}, found in {leads_to:?}", row.code));
        }
    }
    faults
}

/// Holders of a limited campaign's coupons whom no claim names.
async fn unclaimed(
    hot: &dyn Verifiable,
    rows: &[RowItem],
    campaigns: &[CampaignItem],
) -> Vec<String> {
    let terms = campaigns.iter().map(|campaign| &campaign.terms);
    let limited: HashSet<&CampaignId> =
        terms.filter(|terms| terms.per_user_limit.is_some()).map(|terms| &terms.id).collect();
    let held = coupons(rows).filter_map(|(_, coupon)| {
        let campaign = &coupon.genesis().campaign;
        let holder = coupon.holder().filter(|_| limited.contains(campaign))?;
        Some((campaign.clone(), holder.clone(), coupon.code().clone()))
    });
    let held: Vec<(CampaignId, UserId, Code)> = held.collect();
    let claimed = hot.claimed(held.clone()).await.unwrap();
    let unclaimed = held.into_iter().zip(claimed).filter(|(_, is_claimed)| !is_claimed);
    unclaimed.map(|((_, user, code), _)| format!("{code}: no claim of {user} names it")).collect()
}

/// Coupons that lack an index row. A sealed partition deletes rows and index rows in any order.
async fn unindexed(hot: &dyn Verifiable, rows: &[RowItem], sealed: &BTreeSet<Day>) -> Vec<String> {
    let open = coupons(rows).filter(|(day, _)| !sealed.contains(day));
    let open: Vec<&Coupon> = open.map(|(_, coupon)| coupon).collect();
    let missing = hot.unindexed(open.iter().copied().cloned().collect()).await.unwrap();
    let unindexed = open.into_iter().zip(missing).filter(|(_, missing)| !missing.is_empty());
    unindexed.map(|(coupon, missing)| format!("{}: it has no {missing:?}", coupon.code())).collect()
}

/// Entries of the directory that cannot be read or whose coupon is lost.
async fn lost_entries(hot: &dyn Verifiable, sealed: &BTreeSet<Day>) -> Vec<String> {
    let (mut faults, mut pages) = (Vec::new(), Pages::of(hot, Table::Directory));
    while let Some(items) = pages.next().await.unwrap() {
        let mut spots = Vec::new();
        for item in items {
            faults.extend(unreadable(&item));
            let Item::Entry(entry) = item else { continue };
            match entry.is {
                EntryIs::Coupon { day, .. } => spots.push((day, entry.code.parse().unwrap())),
                EntryIs::Unreadable(why) => faults.push(format!("{}: {why}", entry.code)),
                EntryIs::Gone | EntryIs::Shared { .. } => {}
            }
        }
        let lost = lost(hot, spots, sealed).await;
        faults.extend(lost.iter().map(|code| format!("{code}: in the directory, and lost")));
    }
    faults
}

/// Claims that cannot be read or whose coupon is lost. Where a protocol is a series of steps, a
/// claim is written before its coupon, and may stay alone.
async fn lost_claims(hot: &dyn Verifiable, sealed: &BTreeSet<Day>) -> Vec<String> {
    let (mut faults, mut pages) = (Vec::new(), Pages::of(hot, Table::Claims));
    while let Some(items) = pages.next().await.unwrap() {
        let mut spots = Vec::new();
        for item in items {
            faults.extend(unreadable(&item));
            if let Item::Claim(claim) = item {
                spots.push((claim.day, claim.code));
            }
        }
        let lost = lost(hot, spots, sealed).await;
        // The coupon may have moved: the directory knows where to.
        let entries = hot.entries_at(lost.clone()).await.unwrap();
        let lost = lost.iter().zip(entries).filter(|(_, entry)| entry.is_none());
        faults.extend(lost.map(|(code, _)| format!("{code}: in a claim, and lost")));
    }
    faults
}

/// The codes that have neither a row nor an archived marker in these partitions, unless a seal sends
/// readers to cold.
async fn lost(hot: &dyn Verifiable, spots: Vec<(Day, Code)>, sealed: &BTreeSet<Day>) -> Vec<Code> {
    let there = hot.rows_at(spots.clone()).await.unwrap();
    let lost = spots.into_iter().zip(there);
    let lost = lost.filter(|((day, _), there)| there.is_empty() && !sealed.contains(day));
    lost.map(|((_, code), _)| code).collect()
}

/// Campaigns whose counts of coupons in hot are not those of their rows.
fn miscounted(rows: &[RowItem], campaigns: &[CampaignItem]) -> Vec<String> {
    let mut all: HashMap<&CampaignId, [i64; 3]> = HashMap::new();
    for (_, coupon) in coupons(rows) {
        let [issued, redeemed, void] = all.entry(&coupon.genesis().campaign).or_default();
        match coupon.state() {
            State::Available => {}
            State::Issued { .. } => *issued += 1,
            State::Redeemed { .. } => *redeemed += 1,
            State::Void { .. } => *void += 1,
        }
    }
    let mut faults = Vec::new();
    for campaign in campaigns {
        let id = &campaign.terms.id;
        let counted: [i64; 3] = std::array::from_fn(|at| campaign.all[at] - campaign.cold[at]);
        let there = all.get(id).copied().unwrap_or_default();
        if counted != there {
            faults.push(format!(
                "{id}: counted issued, redeemed, void as {counted:?}, its rows say {there:?}"
            ));
        }
    }
    faults
}

/// Campaigns that have not spent what their redemptions cost, as far as all of these are in hot.
fn misspent(rows: &[RowItem], campaigns: &[CampaignItem]) -> Vec<String> {
    let mut costs: HashMap<&CampaignId, u64> = HashMap::new();
    for (_, coupon) in coupons(rows) {
        *costs.entry(&coupon.genesis().campaign).or_default() += coupon.state().discount();
    }
    let in_hot = campaigns.iter().filter(|campaign| campaign.cold[1] == 0);
    let differ = in_hot.filter_map(|CampaignItem { terms, spent, .. }| {
        let cost = costs.get(&terms.id).copied().unwrap_or_default();
        (*spent != cost).then(|| format!("{}: spent {spent}, its rows cost {cost}", terms.id))
    });
    differ.collect()
}

/// Campaigns whose stock is not that of their batches, or that have more coupons in hot than it.
fn overstocked(campaigns: &[CampaignItem]) -> impl Iterator<Item = String> {
    campaigns.iter().filter_map(|campaign| {
        let CampaignItem { terms, stock, all, cold, batches, .. } = campaign;
        let made: u64 = batches.iter().map(|batch| batch.batch.count).sum();
        let used = all.iter().sum::<i64>() - cold.iter().sum::<i64>();
        let is_right = *stock == made && used.unsigned_abs() <= made;
        let id = &terms.id;
        (!is_right).then(|| format!("{id}: stock {stock}, {used} used, its batches have {made}"))
    })
}
