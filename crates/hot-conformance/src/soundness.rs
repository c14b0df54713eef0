//! Whether a store that nobody changes contradicts itself. Reads the store through [`Audit`] alone,
//! so the claims are the same for every engine.

use std::collections::{BTreeSet, HashMap, HashSet};

use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::ids::{BatchId, CampaignId, UserId};
use coupon::time::Day;
use hot::audit::{Atomicity, Audit, AuditCampaign, AuditEntryIs, AuditPartition, AuditRow, RowIs};

/// Rows, entries or claims of one read.
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
pub async fn contradictions(hot: &dyn Audit) -> Contradictions {
    let partitions = hot.audit_partitions().await.unwrap();
    let is_sealed = |it: &&AuditPartition| it.plan.is_some_and(|plan| plan.sealed);
    let sealed: BTreeSet<Day> = partitions.iter().filter(is_sealed).map(|it| it.day).collect();
    let rows = rows_of(hot, &partitions).await;
    // After the rows: on a cluster, counts are written a moment after them.
    let campaigns = hot.audit_campaigns().await.unwrap();

    let mut faults = hot.audit_files().await.unwrap();
    let unplanned = partitions.iter().filter(|it| it.plan.is_none());
    faults.extend(unplanned.map(|it| format!("day {} has rows and no plan", it.day.0)));
    faults
        .extend(rows.iter().filter_map(|(_, row)| Some(format!("{}: {}", row.code, fault(row)?))));
    faults.extend(twice(&rows));
    faults.extend(misplaced(hot, &rows, &campaigns).await);
    faults.extend(unclaimed(hot, &rows, &campaigns).await);
    faults.extend(unindexed(hot, &rows, &sealed).await);
    faults.extend(lost_entries(hot, &sealed).await);
    let mut drifts = miscounted(&rows, &campaigns);
    if hot.atomicity() == Atomicity::OneTransaction {
        faults.append(&mut drifts);
        faults.extend(overstocked(&campaigns));
        faults.extend(lost_claims(hot, &sealed).await);
    }
    Contradictions { faults, drifts }
}

/// Everything in the partitions that were not emptied, in the order of days and codes.
async fn rows_of(hot: &dyn Audit, partitions: &[AuditPartition]) -> Vec<(Day, AuditRow)> {
    let mut rows = Vec::new();
    for partition in partitions.iter().filter(|it| it.plan.is_none_or(|plan| !plan.emptied)) {
        let mut after = String::new();
        loop {
            let page = hot.audit_rows(partition.day, after, PAGE).await.unwrap();
            let has_ended = page.len() < PAGE;
            after = page.last().map(|row| row.code.clone()).unwrap_or_default();
            rows.extend(page.into_iter().map(|row| (partition.day, row)));
            if has_ended {
                break;
            }
        }
    }
    rows
}

fn coupons(rows: &[(Day, AuditRow)]) -> impl Iterator<Item = (Day, &Coupon)> {
    rows.iter().filter_map(|(day, row)| match &row.is {
        RowIs::Coupon { coupon, .. } => Some((*day, coupon.as_ref())),
        RowIs::ArchivedMarker { .. } | RowIs::Forwarding { .. } | RowIs::Unreadable(_) => None,
    })
}

/// What is wrong with a row by itself.
fn fault(row: &AuditRow) -> Option<String> {
    row.astray.clone().or_else(|| match &row.is {
        RowIs::Coupon { differs, .. } => differs.clone(),
        RowIs::Unreadable(why) => Some(why.clone()),
        RowIs::ArchivedMarker { .. } | RowIs::Forwarding { .. } => None,
    })
}

/// Codes that stand in one partition more than once.
fn twice(rows: &[(Day, AuditRow)]) -> impl Iterator<Item = String> {
    let same = |two: &&[(Day, AuditRow)]| {
        let [(day, row), (other_day, other)] = two else { return false };
        day == other_day && row.code == other.code
    };
    let twice = rows.windows(2).filter(same);
    twice.map(|two| format!("{}: twice in partition {}", two[0].1.code, two[0].0.0))
}

/// Rows in a partition that their expiry, or their code and the directory, do not lead to.
async fn misplaced(
    hot: &dyn Audit,
    rows: &[(Day, AuditRow)],
    campaigns: &[AuditCampaign],
) -> Vec<String> {
    let mut homes: HashMap<(&CampaignId, &BatchId), Day> = HashMap::new();
    for campaign in campaigns {
        for batch in &campaign.batches {
            homes.extend(batch.run.map(|run| ((&campaign.terms.id, &batch.id), run.day)));
        }
    }
    let (mut faults, mut asked) = (Vec::new(), Vec::new());
    for (day, row) in rows {
        match &row.is {
            RowIs::Coupon { coupon, .. } => {
                let expires_in = Day::expiry_day_of(coupon.lasts_until());
                if expires_in != *day {
                    let (day, other) = (day.0, expires_in.0);
                    faults.push(format!("{}: in partition {day}, want {other}", row.code));
                }
                let genesis = coupon.genesis();
                let home = homes.get(&(&genesis.campaign, &genesis.batch)).copied();
                // A minted code leads to the partition that it was minted for.
                if home != Some(*day) {
                    asked.push((*day, row, home));
                }
            }
            RowIs::Forwarding { .. } => asked.push((*day, row, None)),
            RowIs::ArchivedMarker { .. } | RowIs::Unreadable(_) => {}
        }
    }
    let codes: Vec<Code> = asked.iter().map(|(_, row, _)| row.code.parse().unwrap()).collect();
    let entries = hot.audit_entries_of(codes).await.unwrap();
    for ((day, row, home), entry) in asked.into_iter().zip(entries) {
        let entered = match entry.map(|entry| entry.is) {
            Some(AuditEntryIs::Coupon { day, .. }) => Some(day),
            Some(
                AuditEntryIs::Gone | AuditEntryIs::Shared { .. } | AuditEntryIs::Unreadable(_),
            )
            | None => None,
        };
        let leads_to = entered.or(home);
        let is_right = match (&row.is, hot.atomicity()) {
            (RowIs::Forwarding { to }, _) => entered.is_some_and(|entered| entered >= *to),
            (_, Atomicity::OneTransaction) => leads_to == Some(day),
            // It has arrived, and the directory does not say so yet.
            (_, Atomicity::StepByStep) => leads_to.is_some_and(|leads_to| leads_to <= day),
        };
        if !is_right {
            let day = day.0;
            faults.push(format!("{}: in partition {day}, found in {leads_to:?}", row.code));
        }
    }
    faults
}

/// Holders of a limited campaign's coupons whom no claim names.
async fn unclaimed(
    hot: &dyn Audit,
    rows: &[(Day, AuditRow)],
    campaigns: &[AuditCampaign],
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
    let claimed = hot.audit_claimed(held.clone()).await.unwrap();
    let unclaimed = held.into_iter().zip(claimed).filter(|(_, is_claimed)| !is_claimed);
    unclaimed.map(|((_, user, code), _)| format!("{code}: no claim of {user} names it")).collect()
}

/// Coupons that lack an index row. A sealed partition deletes rows and index rows in any order.
async fn unindexed(
    hot: &dyn Audit,
    rows: &[(Day, AuditRow)],
    sealed: &BTreeSet<Day>,
) -> Vec<String> {
    let open = coupons(rows).filter(|(day, _)| !sealed.contains(day));
    let (codes, open): (Vec<&Code>, Vec<(Day, Coupon)>) =
        open.map(|(day, coupon)| (coupon.code(), (day, coupon.clone()))).unzip();
    let missing = hot.audit_unindexed(open).await.unwrap();
    let unindexed = codes.into_iter().zip(missing).filter(|(_, missing)| !missing.is_empty());
    unindexed.map(|(code, missing)| format!("{code}: it has no {missing:?}")).collect()
}

/// Entries of the directory that cannot be read or whose coupon is lost.
async fn lost_entries(hot: &dyn Audit, sealed: &BTreeSet<Day>) -> Vec<String> {
    let (mut faults, mut after) = (Vec::new(), None);
    loop {
        let page = hot.audit_entries(after, PAGE).await.unwrap();
        let mut spots = Vec::new();
        for entry in page.items {
            match entry.is {
                AuditEntryIs::Coupon { day, .. } => spots.push((day, entry.code.parse().unwrap())),
                AuditEntryIs::Unreadable(why) => faults.push(format!("{}: {why}", entry.code)),
                AuditEntryIs::Gone | AuditEntryIs::Shared { .. } => {}
            }
        }
        let lost = lost(hot, spots, sealed).await;
        faults.extend(lost.iter().map(|code| format!("{code}: in the directory, and lost")));
        after = page.next;
        if after.is_none() {
            return faults;
        }
    }
}

/// Claims that cannot be read or whose coupon is lost. Where a protocol is a series of steps, a
/// claim is written before its coupon, and may stay alone.
async fn lost_claims(hot: &dyn Audit, sealed: &BTreeSet<Day>) -> Vec<String> {
    let (mut faults, mut after) = (Vec::new(), None);
    loop {
        let page = hot.audit_claims(after, PAGE).await.unwrap();
        faults.extend(page.unreadable.into_iter().map(|it| format!("{}: {}", it.about, it.why)));
        let spots = page.items.into_iter().map(|claim| (claim.day, claim.code)).collect();
        let lost = lost(hot, spots, sealed).await;
        // The coupon may have moved: the directory knows where to.
        let entries = hot.audit_entries_of(lost.clone()).await.unwrap();
        let lost = lost.iter().zip(entries).filter(|(_, entry)| entry.is_none());
        faults.extend(lost.map(|(code, _)| format!("{code}: in a claim, and lost")));
        after = page.next;
        if after.is_none() {
            return faults;
        }
    }
}

/// The codes that have neither a row nor an archived marker in these partitions, unless a seal sends
/// readers to cold.
async fn lost(hot: &dyn Audit, spots: Vec<(Day, Code)>, sealed: &BTreeSet<Day>) -> Vec<Code> {
    let there = hot.audit_spots(spots.clone()).await.unwrap();
    let lost = spots.into_iter().zip(there);
    let lost = lost.filter(|((day, _), there)| there.is_empty() && !sealed.contains(day));
    lost.map(|((_, code), _)| code).collect()
}

/// Campaigns whose counts of coupons in hot are not those of their rows.
fn miscounted(rows: &[(Day, AuditRow)], campaigns: &[AuditCampaign]) -> Vec<String> {
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

/// Campaigns whose stock is not that of their batches, or that have more coupons in hot than it.
fn overstocked(campaigns: &[AuditCampaign]) -> impl Iterator<Item = String> {
    campaigns.iter().filter_map(|campaign| {
        let AuditCampaign { terms, stock, all, cold, batches, .. } = campaign;
        let made: u64 = batches.iter().map(|batch| batch.count).sum();
        let used = all.iter().sum::<i64>() - cold.iter().sum::<i64>();
        let is_right = *stock == made && used.unsigned_abs() <= made;
        let id = &terms.id;
        (!is_right).then(|| format!("{id}: stock {stock}, {used} used, its batches have {made}"))
    })
}
