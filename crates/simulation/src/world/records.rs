//! What is kept beside coupons: any process counts the events of the feed and reads the audit while others
//! change things, and at the end both must say what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use coupon::campaign::Batch;
use coupon::code::Code;
use coupon::coupon::EventKind;
use coupon::ids::{BatchId, CampaignId};
use coupon::time::Millis;
use coupon::worth::{CurrencySum, WorthSums};
use hot::activity::{ALL_TIME, Activity, quarter_of};
use hot::audit::{AuditEntry, AuditKind, Audited};
use hot::feed::{CouponEventKind, FeedEvent, Happened};
use hot::redemptions::RedemptionQuery;
use hot::{CampaignRow, CouponSnapshot, HotError, HotStore, Tier};
use tokio::time::{sleep, timeout};

use super::SimulatedWorld;
use super::machine::SimulatedMachine;
use super::slots::some_machine;
use simulated_cluster::rng::Rng;

/// How long somebody waits for counts. The call goes on all the same.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longest pause between two calls.
const EVERY_MS: u64 = 8_000;

/// Entries of one answer.
const PAGE: usize = 50;

/// Redemptions of one answer.
const LISTED: usize = 7;

/// How often one of the last reads is tried.
const READS_MAX: usize = 5;

/// Every quarter of an hour.
const ALWAYS: (i64, i64) = (i64::MIN, i64::MAX);

/// Asks for counts and reads the audit until the burst ends.
pub(crate) async fn asks(world: Arc<SimulatedWorld>, mut rng: Rng) {
    loop {
        sleep(Duration::from_millis(rng.between(1, EVERY_MS))).await;
        let (_, machine) = some_machine(&world.slots, &mut rng).await;
        let counts = rng.chance(700);
        let id = world.scene.id(world.scene.some_campaign(&mut rng));
        let campaign = Some(id.clone()).filter(|_| rng.chance(500));
        // A process that is frozen goes on with it later, whoever waits.
        let call = tokio::spawn(async move {
            let work = async {
                match counts {
                    true => counted(&machine, campaign).await.map(drop),
                    false => audited(&machine, campaign).await.map(drop),
                }
            };
            machine.life.alive(work).await
        });
        let _ = timeout(PATIENCE, call).await;
    }
}

async fn counted(
    machine: &SimulatedMachine,
    campaign: Option<CampaignId>,
) -> Result<BTreeMap<i64, Activity>, HotError> {
    let none = || HotError::Damaged("the store counts nothing".into());
    let sums = machine.hot.activities().ok_or_else(none)?;
    let (from, until) = ALWAYS;
    Ok(sums.activity(campaign, from, until).await?.into_iter().collect())
}

/// All entries, oldest first.
async fn audited(
    machine: &SimulatedMachine,
    campaign: Option<CampaignId>,
) -> Result<Vec<AuditEntry>, HotError> {
    let none = || HotError::Damaged("the store keeps no audit".into());
    let audit = machine.hot.audit().ok_or_else(none)?;
    let (mut after, mut all) = (None, Vec::new());
    loop {
        let page = audit.audit(campaign.clone(), after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.place.clone());
        all.extend(page.into_iter().map(|Audited { entry, .. }| entry));
    }
    all.reverse();
    Ok(all)
}

/// Checks counts and the audit against the feed and the campaigns.
pub(crate) async fn ends(
    world: &SimulatedWorld,
    machine: &SimulatedMachine,
    feed: &[FeedEvent],
    campaigns: &[(&CampaignRow, &[Batch])],
) {
    let all = std::iter::once(None).chain(campaigns.iter().map(|(row, _)| Some(&row.campaign.id)));
    for campaign in all {
        let name = campaign.map_or("all".to_owned(), ToString::to_string);
        let found = tried(async || counted(machine, campaign.cloned()).await).await;
        // A write that was decided twice may be told at two places of the feed after its coupon was archived.
        let (least, most) = (sums(feed, campaign, false), sums(feed, campaign, true));
        match found {
            Ok(found) if is_between(&found, &least, &most) => {}
            other => world.find(format!("counts of {name}: {other:?}, the feed has {least:?}")),
        }
    }
    let whole = tried(async || audited(machine, None).await).await.unwrap_or_else(|error| {
        world.find(format!("the audit: {error}"));
        Vec::new()
    });
    for (row, batches) in campaigns {
        let id = &row.campaign.id;
        let of_it = tried(async || audited(machine, Some(id.clone())).await).await;
        let of_it = of_it.unwrap_or_default();
        let in_all = whole.iter().filter(|it| it.event.campaign.as_ref() == Some(id));
        for (name, others) in [("list of all", lines(in_all)), ("feed", told(feed, id))] {
            if others != lines(of_it.iter()) {
                world.find(format!("audit of {id}: {of_it:?}, in the {name}: {others:?}"));
            }
        }
        for wrong in wrong_audit_events(row, batches, &of_it) {
            world.find(format!("audit of {id}: {wrong}: {of_it:?}"));
        }
    }
}

/// Checks that every redemption of a coupon that is not archived is in the list, of all and of its campaign.
pub(crate) async fn are_listed(
    world: &SimulatedWorld,
    machine: &SimulatedMachine,
    coupons: &BTreeMap<Code, CouponSnapshot>,
) {
    let mut made: BTreeMap<Option<&CampaignId>, BTreeSet<RedemptionKey>> = BTreeMap::new();
    for CouponSnapshot { coupon, campaign, .. } in
        coupons.values().filter(|it| it.tier == Tier::Hot)
    {
        let events = coupon.events().iter();
        for event in events.filter(|it| matches!(it.kind, EventKind::Redeemed { .. })) {
            for of in [None, Some(&campaign.id)] {
                made.entry(of).or_default().insert((event.at, coupon.code().clone()));
            }
        }
    }
    for (campaign, made) in made {
        let name = campaign.map_or("all".to_owned(), ToString::to_string);
        match tried(async || listed(machine, campaign.cloned(), &made).await).await {
            Ok(found) => {
                let missing: Vec<&RedemptionKey> = made.difference(&found).collect();
                if !missing.is_empty() {
                    world.find(format!("redemptions of {name}: the list has no {missing:?}"));
                }
            }
            Err(error) => world.find(format!("redemptions of {name}: {error}")),
        }
    }
}

/// A redemption in the list: when, and of which coupon.
type RedemptionKey = (Millis, Code);

/// The list from the first to the last of what was made: the list of all time is read for each month since 1970.
async fn listed(
    machine: &SimulatedMachine,
    campaign: Option<CampaignId>,
    made: &BTreeSet<RedemptionKey>,
) -> Result<BTreeSet<RedemptionKey>, HotError> {
    let none = || HotError::Damaged("the store lists no redemptions".into());
    let list = machine.hot.redemptions().ok_or_else(none)?;
    let (mut after, mut all) = (None, BTreeSet::new());
    let (Some((from, _)), Some((last, _))) = (made.first(), made.last()) else { return Ok(all) };
    let (from, before) = (*from, last.plus_ms(1));
    loop {
        let campaign = campaign.clone();
        let query = RedemptionQuery { campaign, from, before, after, limit: LISTED };
        let page = list.redemptions(query).await?;
        all.extend(
            page.rows.iter().map(|row| (row.position.at, row.snapshot.coupon.code().clone())),
        );
        if page.read_to.is_none() {
            return Ok(all);
        }
        after = page.read_to;
    }
}

async fn tried<T>(call: impl AsyncFn() -> Result<T, HotError>) -> Result<T, HotError> {
    let mut tries = 0;
    loop {
        match call().await {
            Err(_) if tries < READS_MAX => tries += 1,
            done => return done,
        }
    }
}

fn is_between(
    found: &BTreeMap<i64, Activity>,
    least: &BTreeMap<i64, Activity>,
    most: &BTreeMap<i64, Activity>,
) -> bool {
    let numbers = |sum: &Activity| {
        let amounts =
            |it: &CurrencySum| [it.redeemed, it.cancelled].map(|it| [it.orders, it.discount]);
        let worth = sum.worth.iter().flat_map(amounts).flatten();
        [sum.issued, sum.redeemed, sum.cancelled].into_iter().chain(worth).collect::<Vec<u64>>()
    };
    found.len() == least.len()
        && found.iter().zip(least).zip(most.values()).all(|((found, least), most)| {
            let (is, from, to) = (numbers(found.1), numbers(least.1), numbers(most));
            let has_all = [from.len(), to.len()] == [is.len(); 2];
            found.0 == least.0
                && has_all
                && (0..is.len()).all(|at| (from[at]..=to[at]).contains(&is[at]))
        })
}

/// What the events of a feed add up to, each once, or once at each place where it is no repeat.
fn sums(
    feed: &[FeedEvent],
    campaign: Option<&CampaignId>,
    by_place: bool,
) -> BTreeMap<i64, Activity> {
    let (mut sums, mut known) = (BTreeMap::<i64, Activity>::new(), BTreeSet::new());
    for event in feed {
        let Happened::Coupon(coupon) = &event.happened else { continue };
        let is = |kind| u64::from(coupon.kind == kind);
        let worth = match (coupon.kind, &coupon.worth) {
            (CouponEventKind::Redeemed, Some(worth)) => WorthSums::redeemed(worth),
            (_, Some(worth)) => WorthSums::cancelled(worth),
            (_, None) => WorthSums::default(),
        };
        let one = Activity {
            worth,
            issued: is(CouponEventKind::Issued),
            redeemed: is(CouponEventKind::Redeemed),
            cancelled: is(CouponEventKind::RedemptionCancelled),
        };
        let place = Some(&event.cursor).filter(|_| by_place);
        let is_of_it = campaign.is_none_or(|id| coupon.owner.campaign == *id);
        let counts = is_of_it && one != Activity::default() && !(by_place && event.is_repeat);
        if counts && known.insert((event.id, place)) {
            sums.entry(quarter_of(event.at)).or_default().add(&one);
            if coupon.worth.is_some() {
                sums.entry(ALL_TIME).or_default().add(&one);
            }
        }
    }
    sums
}

/// Entries as lines, in an order of their own.
fn lines<'a>(entries: impl Iterator<Item = &'a AuditEntry>) -> Vec<String> {
    let mut lines: Vec<String> = entries
        .map(|AuditEntry { act, event }| format!("{} {:?} {event:?}", act.at.0, act.actor))
        .collect();
    lines.sort();
    lines
}

fn told(feed: &[FeedEvent], id: &CampaignId) -> Vec<String> {
    let (mut lines, mut known) = (Vec::new(), BTreeSet::new());
    for event in feed {
        if let Happened::AuditEvent { audit_event, .. } = &event.happened
            && audit_event.campaign.as_ref() == Some(id)
            && known.insert(event.id)
        {
            lines.push(format!("{} {:?} {audit_event:?}", event.at.0, event.actor));
        }
    }
    lines.sort();
    lines
}

/// The entries of a campaign tell how it came to be what it is: each begins where the one before ended.
fn wrong_audit_events(row: &CampaignRow, batches: &[Batch], entries: &[AuditEntry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let of = |kind| entries.iter().filter(move |entry| entry.event.kind == kind);
    if of(AuditKind::CampaignCreated).count() != 1 {
        wrong.push("it was not created once".to_owned());
    }
    let mut made: Vec<Option<&BatchId>> =
        of(AuditKind::BatchCreated).map(|entry| entry.event.batch.as_ref()).collect();
    let mut there: Vec<Option<&BatchId>> = batches.iter().map(|batch| Some(&batch.id)).collect();
    made.sort();
    there.sort();
    if made != there {
        wrong.push(format!("its batches are {there:?}"));
    }
    let paused = [AuditKind::CampaignPaused, AuditKind::CampaignResumed];
    let pauses = entries.iter().filter(|entry| paused.contains(&entry.event.kind));
    if !alternate(pauses.map(|entry| entry.event.kind == paused[0]), row.campaign.paused) {
        wrong.push("its pauses do not follow each other".to_owned());
    }
    let paused = [AuditKind::BatchPaused, AuditKind::BatchResumed];
    for batch in batches {
        let of_it = |entry: &&AuditEntry| entry.event.batch.as_ref() == Some(&batch.id);
        let pauses = entries.iter().filter(of_it);
        let pauses = pauses.filter(|entry| paused.contains(&entry.event.kind));
        if !alternate(pauses.map(|entry| entry.event.kind == paused[0]), batch.paused) {
            wrong.push(format!("the pauses of {} do not follow each other", batch.id));
        }
    }
    let changes = of(AuditKind::CampaignUpdated).flat_map(|entry| &entry.event.changes);
    let mut values: BTreeMap<&str, &Option<String>> = BTreeMap::new();
    for change in changes {
        let before = values.insert(&change.field, &change.to);
        if before.is_some_and(|before| *before != change.from) {
            wrong.push(format!("{} was {before:?} before {change:?}", change.field));
        }
    }
    let limit = row.campaign.per_user_limit.map(|limit| limit.to_string());
    if values.get("per_user_limit").is_some_and(|last| **last != limit) {
        wrong.push(format!("its limit is {limit:?}"));
    }
    wrong
}

/// Whether pauses and their ends take turns, and the last one says how it is. The first may be either.
fn alternate(pauses: impl Iterator<Item = bool>, is_paused: bool) -> bool {
    let pauses: Vec<bool> = pauses.collect();
    let take_turns = pauses.windows(2).all(|pair| pair[0] != pair[1]);
    take_turns && pauses.last().is_none_or(|last| *last == is_paused)
}
