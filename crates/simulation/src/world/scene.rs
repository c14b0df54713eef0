//! The campaigns, coupons, users and orders of one seed. There are few of each: callers must meet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use coupon::campaign::{Batch, BatchKind, Handout};
use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::erasure::is_erased;
use coupon::ids::{BatchId, CampaignId, OrderRef, UserId};
use coupon::time::{Day, Millis};
use hot::{Batches, Campaigns, MintOrder, Named, NewCampaign};
use tokio::time::sleep;

use super::machine::{SimulatedMachine, keys};
use super::plan::SeedPlan;
use super::stocked_campaign::{self, StockedCampaign};
use crate::check::{self, KnownCampaign};
use simulated_cluster::rng::Rng;

/// How often an order of an operator is repeated until it is answered.
pub(crate) const ORDERS_MAX: usize = 60;

/// Pause before an order is repeated.
pub(crate) const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Coupons that most callers ask for.
const HOT_SPOT: usize = 4;

/// Serials past the last batch of a day that callers guess.
const GUESSES: u64 = 3;

/// The last guesses are asked for again.
const GUESSED_LAST: usize = 6;

/// Coupons of an order of several, at most.
const ORDER_COUPONS_MAX: u64 = 5;

/// The last orders of several coupons are asked for again.
const ORDERS_LAST: usize = 3;

/// Everything that has a name.
pub(crate) struct SeedScene {
    pub(crate) stocked: Vec<StockedCampaign>,
    users: u64,
    orders: u64,
    known: Mutex<SceneKnowledge>,
}

/// An order of several coupons of a user.
pub(crate) type SceneOrder = (OrderRef, UserId, Vec<Code>);

#[derive(Default)]
struct SceneKnowledge {
    /// In the order in which they came to be known.
    codes: Vec<(usize, Code)>,
    holders: BTreeMap<Code, UserId>,
    /// Erased names, as a shop sees them.
    erased_holders: BTreeMap<Code, UserId>,
    /// Coupons that were redeemed or void when they were seen last.
    closed: BTreeSet<Code>,
    /// Versions that were seen last.
    versions: BTreeMap<Code, u64>,
    /// Void coupons and whose they were, in the order in which they were seen.
    void: Vec<(usize, Code, UserId)>,
    /// Codes that were asked for before anybody was told of them.
    guessed: Vec<Code>,
    /// The serial after the last one of each day.
    next_serials: BTreeMap<Day, u64>,
    /// The last order that used a coupon.
    orders: BTreeMap<Code, OrderRef>,
    /// Orders of several coupons, whose they are, and their coupons.
    several: Vec<SceneOrder>,
    /// The last one of them that was not refused.
    done: Option<SceneOrder>,
    /// Batches whose making was acknowledged.
    batches: Vec<(usize, BatchId)>,
    /// Coupons that may have been minted on top of the first batch.
    more: BTreeMap<usize, u64>,
    /// Their batches, and when an operator was told that one is made.
    minted_later: BTreeMap<(usize, BatchId), Option<u64>>,
    /// The highest limit that was asked for.
    limits: BTreeMap<usize, u16>,
    /// Campaigns of which something was patched or paused.
    changed: BTreeSet<usize>,
}

impl SeedScene {
    /// Draws it. Nothing is written.
    pub(crate) fn draw(plan: &SeedPlan, now: Millis) -> SeedScene {
        let mut rng = plan.rng("scene");
        let all = plan.offers.iter().enumerate();
        let stocked: Vec<StockedCampaign> = all
            .map(|(nth, offer)| stocked_campaign::drawn(&mut rng, plan, nth, offer, now))
            .collect();
        let mut known = SceneKnowledge::default();
        for (nth, one) in stocked.iter().enumerate() {
            // Callers also ask for codes that are not imported yet.
            known.codes.extend(one.files[0].iter().map(|line| (nth, line.code.clone())));
        }
        SeedScene { stocked, users: plan.users, orders: plan.orders, known: Mutex::new(known) }
    }

    /// Creates the campaigns.
    ///
    /// # Errors
    /// A sentence about the one that could not be made.
    pub(crate) async fn set_up(&self, machine: &SimulatedMachine) -> Result<(), String> {
        let key = keys().last().map(|key| key.id()).ok_or("there is no key")?;
        for (nth, stocked) in self.stocked.iter().enumerate() {
            let id: BatchId = "first".parse().map_err(|why| format!("{why}"))?;
            let first_batch = match stocked.minted {
                0 => None,
                count => Some(MintOrder { id: id.clone(), count, key }),
            };
            let campaign = stocked.campaign.clone();
            let created_as = format!("{:?}", campaign.id);
            let new = NewCampaign { campaign, created_as, first_batch };
            let made =
                patiently(async || machine.hot.create_campaign(new.clone(), &machine.act()).await)
                    .await;
            match made {
                Ok(Named::Created(_) | Named::Same(_)) => {}
                other => return Err(format!("creating {}: {other:?}", stocked.campaign.id)),
            }
            if stocked.minted > 0 {
                let id = &id;
                let batch = patiently(async || machine.hot.batch(self.id(nth), id).await).await;
                let batch = batch.map_err(|error| error.to_string())?;
                self.minted(nth, &batch.ok_or("the first batch is missing")?);
            }
        }
        Ok(())
    }

    /// Remembers the codes of a batch that was minted.
    pub(crate) fn minted(&self, nth: usize, batch: &Batch) {
        let BatchKind::Minted(run) = batch.kind else { return };
        let keys = keys();
        let Some(key) = keys.iter().find(|key| key.id() == run.key) else { return };
        self.with(|known| {
            for serial in run.first..run.first + run.count {
                let code = key.mint(run.day, serial);
                // Somebody may have guessed it.
                if !known.codes.iter().any(|(_, it)| *it == code) {
                    known.codes.push((nth, code));
                }
            }
            let next = known.next_serials.entry(run.day).or_default();
            *next = (run.first + run.count).max(*next);
            known.batches.push((nth, batch.id.clone()));
        });
    }

    /// Remembers that an import was begun.
    pub(crate) fn opened(&self, nth: usize, batch: &BatchId) {
        self.with(|known| {
            if !known.batches.contains(&(nth, batch.clone())) {
                known.batches.push((nth, batch.clone()));
            }
        });
    }

    /// Remembers that something of a campaign is about to change.
    pub(crate) fn changes(&self, nth: usize) {
        self.with(|known| known.changed.insert(nth));
    }

    /// Remembers that a limit is about to be raised.
    pub(crate) fn raises(&self, nth: usize, limit: u16) {
        self.changes(nth);
        self.with(|known| {
            let highest = known.limits.entry(nth).or_default();
            *highest = limit.max(*highest);
        });
    }

    /// Remembers that a batch of coupons is about to be minted.
    pub(crate) fn mints(&self, nth: usize, batch: &BatchId, count: u64) {
        self.with(|known| {
            *known.more.entry(nth).or_default() += count;
            known.minted_later.insert((nth, batch.clone()), None);
        });
    }

    /// Remembers when an operator was told that a batch is made.
    pub(crate) fn told_of(&self, nth: usize, batch: &BatchId, at_ms: u64) {
        self.with(|known| known.minted_later.insert((nth, batch.clone()), Some(at_ms)));
    }

    /// What the checker has to know of all campaigns.
    pub(crate) fn known(&self) -> check::KnownWorld {
        let mut campaigns = BTreeMap::new();
        for (nth, stocked) in self.stocked.iter().enumerate() {
            let (more, limit, changed) = self.with(|known| {
                let more = known.more.get(&nth).copied().unwrap_or(0);
                (more, known.limits.get(&nth).copied(), known.changed.contains(&nth))
            });
            let stock = stocked.minted + stocked.files[0].len() as u64 + more;
            let mut known = KnownCampaign::of(&stocked.campaign, stock);
            known.changed |= changed;
            if let Some(limit) = limit {
                known.per_user_limit = known.per_user_limit.max(u32::from(limit));
            }
            campaigns.insert(stocked.campaign.id.clone(), known);
        }
        let minted_later = self.with(|known| known.minted_later.clone());
        let minted_later =
            minted_later.into_iter().map(|((nth, batch), at)| ((self.id(nth).clone(), batch), at));
        check::KnownWorld { campaigns, minted_later: minted_later.collect() }
    }

    /// Remembers what was seen of a coupon.
    pub(crate) fn seen(&self, nth: usize, coupon: &Coupon) {
        let code = coupon.code();
        self.with(|known| {
            known.versions.insert(code.clone(), coupon.version());
            // Nobody asks in the name of a person who was erased.
            match coupon.holder().filter(|user| !is_erased(user)) {
                Some(user) => known.holders.insert(code.clone(), user.clone()),
                None => known.holders.remove(code),
            };
            match coupon.holder().filter(|user| is_erased(user)) {
                Some(user) => known.erased_holders.insert(code.clone(), user.clone()),
                None => known.erased_holders.remove(code),
            };
            match coupon.state() {
                State::Available | State::Issued { .. } => known.closed.remove(code),
                State::Redeemed { .. } | State::Void { .. } => known.closed.insert(code.clone()),
            };
            if let State::Void { holder: Some(user) } = coupon.state()
                && !is_erased(user)
                && !known.void.iter().any(|(_, it, _)| it == code)
            {
                known.void.push((nth, code.clone(), user.clone()));
            }
            // A coupon behind a shared code is known by its own code from now on.
            if !known.codes.iter().any(|(_, it)| it == code) {
                known.codes.push((nth, code.clone()));
            }
        });
    }

    /// Remembers the order that a coupon is used for.
    pub(crate) fn ordered(&self, code: &Code, order: &OrderRef) {
        self.with(|known| drop(known.orders.insert(code.clone(), order.clone())));
    }

    /// A new order of coupons that its user may have; `None` if there are too few.
    pub(crate) fn new_order(&self, rng: &mut Rng) -> Option<SceneOrder> {
        let (user, mut codes) = self.with(|known| {
            let open = known.codes.iter().filter(|(_, code)| !known.closed.contains(code));
            let held: Vec<&UserId> =
                open.clone().filter_map(|(_, code)| known.holders.get(code)).collect();
            let user = (!held.is_empty()).then(|| (*rng.pick(&held)).clone());
            let user = user.unwrap_or_else(|| stocked_campaign::user(rng.below(self.users)));
            let is_bearer = |nth: &usize| self.stocked[*nth].campaign.handout == Handout::Bearer;
            let theirs = open.filter(|(nth, code)| match known.holders.get(code) {
                Some(holder) => *holder == user,
                None => is_bearer(nth),
            });
            let codes: Vec<Code> = theirs.map(|(_, code)| code.clone()).collect();
            (user, codes)
        });
        rng.shuffle(&mut codes);
        codes.truncate(usize::try_from(rng.between(2, ORDER_COUPONS_MAX)).unwrap_or(2));
        (codes.len() > 1).then(|| self.orders_all(user, codes))
    }

    /// Gives an order of several coupons a name that no other has.
    pub(crate) fn orders_all(&self, user: UserId, codes: Vec<Code>) -> SceneOrder {
        self.with(|known| {
            let name = format!("묶음{}", known.several.len());
            let order = (name.parse().expect("a short word is a name"), user, codes);
            known.several.push(order.clone());
            order
        })
    }

    /// Remembers that an order was redeemed, held or given back.
    pub(crate) fn done(&self, order: &OrderRef) {
        self.with(|known| {
            let done = known.several.iter().find(|(of, ..)| of == order);
            known.done = done.cloned().or_else(|| known.done.take());
        });
    }

    /// The last order of several coupons that was done, or one of the last ones in another sequence.
    pub(crate) fn known_order(&self, rng: &mut Rng) -> Option<SceneOrder> {
        self.with(|known| {
            if rng.chance(500) && known.done.is_some() {
                return known.done.clone();
            }
            let last = known.several.len().saturating_sub(ORDERS_LAST);
            let all = &known.several[last..];
            let mut order = (!all.is_empty()).then(|| rng.pick(all).clone())?;
            rng.shuffle(&mut order.2);
            Some(order)
        })
    }

    pub(crate) fn id(&self, nth: usize) -> &CampaignId {
        &self.stocked[nth].campaign.id
    }

    /// The number of some campaign.
    pub(crate) fn some_campaign(&self, rng: &mut Rng) -> usize {
        usize::try_from(rng.below(self.stocked.len() as u64)).unwrap_or(0)
    }

    pub(crate) fn number_of(&self, id: &CampaignId) -> Option<usize> {
        self.stocked.iter().position(|stocked| stocked.campaign.id == *id)
    }

    /// Every code that anybody could know of, and the number of its campaign.
    pub(crate) fn codes(&self) -> Vec<(usize, Code)> {
        self.with(|known| known.codes.clone())
    }

    /// Batches that must exist.
    pub(crate) fn batches(&self) -> Vec<(usize, BatchId)> {
        self.with(|known| known.batches.clone())
    }

    /// A void coupon that was somebody's.
    pub(crate) fn some_void(&self, rng: &mut Rng) -> Option<(usize, Code, UserId)> {
        self.with(|known| (!known.void.is_empty()).then(|| rng.pick(&known.void).clone()))
    }

    /// A coupon that is somebody's, as far as anybody knows.
    pub(crate) fn some_held(&self, rng: &mut Rng) -> Option<(usize, Code, UserId)> {
        self.with(|known| {
            let held: Vec<_> = known.holders.iter().collect();
            let (code, user) =
                *held.get(usize::try_from(rng.below(held.len().max(1) as u64)).ok()?)?;
            let (nth, code) = known.codes.iter().find(|(_, it)| it == code)?.clone();
            Some((nth, code, user.clone()))
        })
    }

    /// The version of a coupon that was seen last, mostly; another one at times.
    pub(crate) fn some_version(&self, rng: &mut Rng, of: &Code) -> Option<u64> {
        let seen = self.with(|known| known.versions.get(of).copied())?;
        Some(if rng.chance(200) { seen.saturating_sub(1) } else { seen })
    }

    /// A user and an order that has to do with one of their coupons of a campaign.
    pub(crate) fn some_use(&self, rng: &mut Rng, nth: usize) -> Option<(UserId, OrderRef)> {
        self.with(|known| {
            let of_campaign = known.codes.iter().filter(|(of, _)| *of == nth);
            let uses: Vec<_> = of_campaign
                .filter_map(|(_, code)| Some((known.holders.get(code)?, known.orders.get(code)?)))
                .collect();
            let (user, order) = *(!uses.is_empty()).then(|| rng.pick(&uses))?;
            Some((user.clone(), order.clone()))
        })
    }

    /// A code of the next batch of some day, or one that was guessed before and may be minted by now.
    pub(crate) fn some_guess(&self, rng: &mut Rng) -> Option<Code> {
        self.with(|known| {
            if rng.chance(700) && !known.guessed.is_empty() {
                let last = known.guessed.len().saturating_sub(GUESSED_LAST);
                return Some(rng.pick(&known.guessed[last..]).clone());
            }
            let days: Vec<(Day, u64)> =
                known.next_serials.iter().map(|(day, next)| (*day, *next)).collect();
            let (day, next) = *(!days.is_empty()).then(|| rng.pick(&days))?;
            let code = keys().last()?.mint(day, next + rng.below(GUESSES));
            if !known.guessed.contains(&code) {
                known.guessed.push(code.clone());
            }
            Some(code)
        })
    }

    /// One of few coupons, mostly; some other at times.
    pub(crate) fn some_code(&self, rng: &mut Rng) -> Option<(usize, Code)> {
        self.with(|known| {
            if rng.chance(500) && !known.holders.is_empty() {
                let held: Vec<&Code> = known.holders.keys().collect();
                let code = (*rng.pick(&held)).clone();
                return known.codes.iter().find(|(_, it)| *it == code).cloned();
            }
            match known.codes.as_slice() {
                [] => None,
                all if rng.chance(120) => {
                    Some(rng.pick(&all[all.len().saturating_sub(HOT_SPOT)..]).clone())
                }
                all if rng.chance(500) => Some(rng.pick(&all[..all.len().min(HOT_SPOT)]).clone()),
                all => Some(rng.pick(all).clone()),
            }
        })
    }

    /// The holder of a coupon, mostly.
    pub(crate) fn some_user(&self, rng: &mut Rng, of: Option<&Code>) -> UserId {
        let holder = of.and_then(|code| self.with(|known| known.holders.get(code).cloned()));
        match holder {
            Some(holder) if rng.chance(850) => holder,
            _ => stocked_campaign::user(rng.below(self.users)),
        }
    }

    /// The erased name of its holder, if that was seen last.
    pub(crate) fn erased_holder(&self, of: &Code) -> Option<UserId> {
        self.with(|known| known.erased_holders.get(of).cloned())
    }

    /// The last order of a coupon, mostly.
    pub(crate) fn some_order(&self, rng: &mut Rng, of: Option<&Code>) -> OrderRef {
        let last = of.and_then(|code| self.with(|known| known.orders.get(code).cloned()));
        match last {
            Some(last) if rng.chance(600) => last,
            _ => format!("주문{}", rng.below(self.orders)).parse().expect("a short word is a name"),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut SceneKnowledge) -> T) -> T {
        work(&mut self.known.lock().expect("no holder panics"))
    }
}

/// Repeats an order until it is answered, or it is clear that it will not be.
pub(crate) async fn patiently<T>(
    mut order: impl AsyncFnMut() -> Result<T, hot::HotError>,
) -> Result<T, hot::HotError> {
    for _ in 0..ORDERS_MAX {
        match order().await {
            Err(hot::HotError::Damaged(why)) => return Err(hot::HotError::Damaged(why)),
            Err(_) => sleep(AGAIN_AFTER).await,
            answer => return answer,
        }
    }
    order().await
}
