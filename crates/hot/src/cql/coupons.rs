//! One coupon: finding its row wherever it is by now, deciding, and the one conditional write.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use coupon::apply::{Change, Outcome};
use coupon::campaign::Handout;
use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::ids::{OperationId, UserId};
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use router::{Address, Owner, bucket};
use scylla::SerializeRow;
use scylla::value::{CqlDate, CqlTimestamp, MaybeUnset};
use uuid::Uuid;

use super::Store;
use super::campaigns::CampaignHere;
use super::claims::{Becoming, NewEntry};
use super::outcome::Cas;
use super::session::{Manner, Result};
use super::settling::Settled;
use super::values::{
    CouponRow, EventValue, HoldValue, coupon_columns, date, events_behind, instant, signed, uuid,
};
use crate::deciding::{needs_place, new_holder, refused_by_seal, shelf_after, with_issued_until};
use crate::{Applied, HotError, Sight, Tier};

/// A coupon is moved at most once a day of its life; more hops than this is a circle.
const HOPS_MAX: usize = 1_000;

/// A coupon and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) coupon: Coupon,
    pub(super) campaign: CampaignHere,
    pub(super) batch_paused: bool,
    /// Its shelf, and the bucket there.
    pub(super) day: Day,
    pub(super) bucket: i32,
    pub(super) tier: Tier,
    /// Whether its place is sealed, or it lies in cold: nothing changes it any more.
    pub(super) frozen: bool,
}

impl Located {
    pub(super) fn sight(&self) -> Sight {
        self.sight_of(self.coupon.clone())
    }

    fn sight_of(&self, coupon: Coupon) -> Sight {
        Sight {
            coupon,
            campaign: Arc::clone(&self.campaign.terms),
            batch_paused: self.batch_paused,
            tier: self.tier,
        }
    }

    pub(super) fn apply(&self, change: &Change, clock_bound_ms: i64) -> Outcome {
        let terms = self.campaign.terms.terms(self.batch_paused, clock_bound_ms);
        match coupon::apply(&self.coupon, change, &terms) {
            Outcome::Accepted(_) if self.frozen => {
                Outcome::Refused(refused_by_seal(&change.action))
            }
            outcome => outcome,
        }
    }

    pub(super) fn refused(&self, refusal: Refusal) -> Decision {
        let outcome = Outcome::Refused(refusal);
        Decision::says(Applied { outcome, sight: Some(self.sight()) })
    }

    pub(super) fn replayed(&self) -> Decision {
        Decision::says(Applied { outcome: Outcome::Replayed, sight: Some(self.sight()) })
    }

    /// `after` in the place of this one, and `entry` in the claim of its new holder.
    pub(super) fn accepted(self, after: Box<Coupon>, entry: Option<NewEntry>) -> Decision {
        let sight = Some(self.sight_of(Coupon::clone(&after)));
        let applied = Applied { outcome: Outcome::Accepted(after), sight };
        Decision { applied, writes: Some(Writes { before: self, entry }) }
    }
}

/// What came of a change, and what has to be written for it.
pub(super) struct Decision {
    pub(super) applied: Applied,
    pub(super) writes: Option<Writes>,
}

/// What an accepted change takes the place of, and the entry in the claim of a new holder.
pub(super) struct Writes {
    pub(super) before: Located,
    pub(super) entry: Option<NewEntry>,
}

impl Decision {
    fn says(applied: Applied) -> Decision {
        Decision { applied, writes: None }
    }

    pub(super) fn not_found() -> Decision {
        Decision::refused(Refusal::NotFound)
    }

    /// Refused where there is no coupon to show.
    pub(super) fn refused(refusal: Refusal) -> Decision {
        Decision::says(Applied { outcome: Outcome::Refused(refusal), sight: None })
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It stands.
    Done,
    /// What it was for is over: look again and decide anew.
    Overtaken,
}

/// Where a coupon is to be found.
#[derive(Debug)]
pub(super) enum Trace {
    /// Its row is here.
    Here(Box<Located>),
    /// There is no row where it would have one.
    Nothing,
    /// Behind a stub or a seal: if anywhere, it lies in cold.
    Beyond {
        day: Day,
        bucket: i32,
        code: Code,
        /// The version that lies in cold.
        stub: Option<u64>,
        promise: Promise,
    },
}

/// What is known of a coupon without a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// A minted code may be one that nobody has touched.
    None,
    /// The directory names its shelf: there was a coupon.
    Entry,
}

impl Store {
    pub(super) async fn row_of(
        &self,
        manner: Manner,
        day: Day,
        bucket: i32,
        code: &Code,
    ) -> Result<Option<CouponRow>> {
        let cql = concat!(
            "SELECT ",
            coupon_columns!(),
            " FROM coupon WHERE shelf_day = ? AND bucket = ? AND code = ?"
        );
        self.cluster.row(manner, cql, (date(day), bucket, code.as_str())).await
    }

    /// The coupon at `address`, wherever it is by now.
    pub(super) async fn locate(&self, address: &Address) -> Result<Option<Located>> {
        match self.stored(address.place.day, &address.code).await? {
            None if address.minted => {
                self.untouched_at(&address.code, &address.owner, address.place.day).await
            }
            found => Ok(found),
        }
    }

    /// A minted coupon that has no row, on a shelf where it would have one.
    pub(super) async fn untouched_at(
        &self,
        code: &Code,
        owner: &Owner,
        day: Day,
    ) -> Result<Option<Located>> {
        let found = self.batch_of(&owner.campaign, &owner.batch).await?;
        let Some((campaign, batch)) = found else { return Ok(None) };
        let Some(bucket) = self.bucket(day, code).await? else { return Ok(None) };
        let frozen = self.is_sealed(day, bucket).await?;
        let (coupon, batch_paused) = (campaign.untouched(code.clone(), &batch), batch.paused);
        let tier = Tier::Hot;
        Ok(Some(Located { coupon, campaign, batch_paused, day, bucket, tier, frozen }))
    }

    /// The coupon that is known on the shelf `day`, or on a later one that an extension moved it to.
    pub(super) async fn stored(&self, day: Day, code: &Code) -> Result<Option<Located>> {
        let trace = self.trace(day, code).await?;
        Ok(self.resolve(vec![trace]).await?.pop().flatten())
    }

    /// Where a coupon of the shelf `day` is to be found.
    ///
    /// The row; where there is none, the seal of its place; and only then what lies elsewhere. A
    /// missing row brings no static column, so these are two reads, in this order.
    pub(super) async fn trace(&self, day: Day, code: &Code) -> Result<Trace> {
        let (mut day, mut promise) = (day, Promise::None);
        for _ in 0..HOPS_MAX {
            let Some(bucket) = self.bucket(day, code).await? else { return Ok(Trace::Nothing) };
            let beyond = |stub| Trace::Beyond { day, bucket, code: code.clone(), stub, promise };
            let Some(row) = self.row_of(Manner::Read, day, bucket, code).await? else {
                if !self.is_sealed(day, bucket).await? {
                    return Ok(Trace::Nothing);
                }
                // An entry is set before its coupon's old row is removed.
                match self.directory_day(code).await? {
                    Some(later) if later > day => {
                        (day, promise) = (later, Promise::Entry);
                        continue;
                    }
                    Some(_) => promise = Promise::Entry,
                    None => {}
                }
                return Ok(Trace::Beyond { day, bucket, code: code.clone(), stub: None, promise });
            };
            if row.is_stub() {
                return Ok(beyond(Some(row.archived())));
            }
            match row.moved_to() {
                Some(later) => {
                    self.finish_move(&row, later).await?;
                    (day, promise) = (later, Promise::Entry);
                }
                None => {
                    let located = self.located(&row, bucket).await?;
                    return Ok(Trace::Here(Box::new(located)));
                }
            }
        }
        Err(HotError::Damaged(format!("{code} was moved {HOPS_MAX} times")))
    }

    /// The coupons that were traced, in the same order; what lies in cold is asked for in one
    /// question a shelf, after its row was found to be missing.
    pub(super) async fn resolve(&self, traces: Vec<Trace>) -> Result<Vec<Option<Located>>> {
        let mut wanted: BTreeMap<Day, Vec<Code>> = BTreeMap::new();
        for trace in &traces {
            if let Trace::Beyond { day, code, .. } = trace {
                let codes = wanted.entry(*day).or_default();
                if !codes.contains(code) {
                    codes.push(code.clone());
                }
            }
        }
        let mut found: HashMap<(Day, Code), Coupon> = HashMap::new();
        for (day, codes) in wanted {
            let unit = self.unit(day).await?;
            let coupons = self.archive.coupons(day, unit, &codes).await.map_err(HotError::Cold)?;
            for (code, coupon) in codes.into_iter().zip(coupons) {
                if let Some(coupon) = coupon {
                    found.insert((day, code), coupon);
                }
            }
        }
        let mut all = Vec::with_capacity(traces.len());
        for trace in traces {
            all.push(match trace {
                Trace::Here(located) => Some(*located),
                Trace::Nothing => None,
                Trace::Beyond { day, bucket, code, stub, promise } => {
                    let coupon = found.get(&(day, code.clone()));
                    match coupon.filter(|coupon| coupon.version() >= stub.unwrap_or(0)) {
                        Some(coupon) => Some(self.archived(coupon.clone(), day, bucket).await?),
                        None if stub.is_none() && promise == Promise::None => None,
                        // Never "there is no such coupon": it was there when hot let it go.
                        None => {
                            let why = format!("{code} is not in the cold tier");
                            return Err(HotError::Cold(why.into()));
                        }
                    }
                }
            });
        }
        Ok(all)
    }

    pub(super) async fn located(&self, row: &CouponRow, bucket: i32) -> Result<Located> {
        let (campaign, batch) = (row.campaign_id()?, row.batch_id()?);
        let found = self.batch_of(&campaign, &batch).await?;
        let (campaign, batch) =
            found.ok_or_else(|| HotError::Damaged(format!("{campaign}/{batch} is gone")))?;
        let coupon = row.coupon(&campaign)?;
        let (batch_paused, day, tier) = (batch.paused, row.day(), Tier::Hot);
        let frozen = row.is_sealed();
        Ok(Located { coupon, campaign, batch_paused, day, bucket, tier, frozen })
    }

    /// The shelf that the directory names for a coupon's code.
    pub(super) async fn directory_day(&self, code: &Code) -> Result<Option<Day>> {
        let cql = "SELECT kind, shelf_day FROM directory WHERE code = ?";
        let row: Option<(Option<String>, Option<CqlDate>)> =
            self.cluster.row(Manner::Read, cql, (code.as_str(),)).await?;
        let Some((kind, day)) = row else { return Ok(None) };
        Ok(day.filter(|_| kind.as_deref() == Some("coupon")).map(super::values::day))
    }

    async fn archived(&self, coupon: Coupon, day: Day, bucket: i32) -> Result<Located> {
        let genesis = coupon.genesis();
        let found = self.batch_of(&genesis.campaign, &genesis.batch).await?;
        let (campaign, batch) =
            found.ok_or_else(|| HotError::Damaged(format!("{} is gone", genesis.campaign)))?;
        let (batch_paused, tier) = (batch.paused, Tier::Cold);
        Ok(Located { coupon, campaign, batch_paused, day, bucket, tier, frozen: true })
    }

    /// What `change` does to a coupon; `None` where the coupon has changed since it was read, so that
    /// its holder's claim is no answer to the question.
    pub(super) async fn decide(
        &self,
        located: Located,
        change: &Change,
        may_write: bool,
    ) -> Result<Option<Decision>> {
        let change = with_issued_until(change, &located.campaign.terms);
        let after = match located.apply(&change, self.options.clock_bound_ms) {
            Outcome::Accepted(after) => after,
            Outcome::Replayed => return Ok(Some(located.replayed())),
            Outcome::Refused(refusal) => return Ok(Some(located.refused(refusal))),
        };
        let day = shelf_after(located.day, &after);
        if day != located.day
            && self.plan(Manner::Read, day).await?.is_some_and(|plan| plan.is_closing())
        {
            return Ok(Some(located.refused(Refusal::ShelfClosed)));
        }
        let new_holder = new_holder(&located.coupon, &after);
        let needs_place = needs_place(&located.coupon, &change.action, &after);
        // Without a limit there is nothing to count.
        let counts = located.campaign.terms.per_user_limit.is_some();
        let entry = match needs_place.filter(|_| counts) {
            None => None,
            Some(user) => {
                let claim = self.claim(&located.campaign, user, &change, may_write).await?;
                let full = claim.is_full().then_some(Refusal::LimitPerUser);
                if let Some(refusal) = claim.refusal.or(full) {
                    // The claim was read after the coupon, which it may be about by now.
                    let now = self.stored(located.day, located.coupon.code()).await?;
                    let same =
                        now.map_or(0, |now| now.coupon.version()) == located.coupon.version();
                    return Ok(same.then(|| located.refused(refusal)));
                }
                new_holder.map(|_| claim.entry(after.issue_ref().cloned()))
            }
        };
        Ok(Some(located.accepted(after, entry)))
    }

    /// What a change would answer; nothing is written.
    pub(super) async fn rehearse_at(&self, address: &Address, change: &Change) -> Result<Applied> {
        let mut attempts = self.attempts("a rehearsal");
        loop {
            let Some(located) = self.locate(address).await? else {
                return Ok(Decision::not_found().applied);
            };
            if let Some(decision) = self.decide(located, change, false).await? {
                return Ok(decision.applied);
            }
            attempts.again().await?;
        }
    }

    /// `POST …/redeem` and its like: one change of one coupon.
    ///
    /// One at a time of each coupon: the others would decide on a version that is about to go.
    pub(super) async fn apply_at(&self, address: &Address, change: &Change) -> Result<Applied> {
        let _turn = self.coupons.turn(&address.code).await?;
        if let Some(applied) = self.apply_from_memory(address, change).await? {
            return Ok(applied);
        }
        let mut attempts = self.attempts("a change of a coupon");
        loop {
            let Some(located) = attempts.looked(self.locate(address).await)? else {
                return Ok(Decision::not_found().applied);
            };
            let decision = attempts.looked(self.decide(located, change, true).await)?;
            if let Some(decision) = decision
                && self.carry_out(&decision, change.operation).await? == Written::Done
            {
                return Ok(decision.applied);
            }
            attempts.again().await?;
        }
    }

    /// The same on the coupon as it stood a moment ago; `None` where that is not good enough.
    async fn apply_from_memory(
        &self,
        address: &Address,
        change: &Change,
    ) -> Result<Option<Applied>> {
        let Some(mut located) = self.recent.get(&address.code) else { return Ok(None) };
        let genesis = located.coupon.genesis();
        let found = self.batch_of(&genesis.campaign, &genesis.batch).await?;
        let Some((campaign, batch)) = found else { return Ok(None) };
        (located.campaign, located.batch_paused) = (campaign, batch.paused);
        let decision = self.decide(located, change, true).await?;
        let Some(decision) = decision.filter(|decision| decision.writes.is_some()) else {
            return Ok(None);
        };
        match self.carry_out(&decision, change.operation).await? {
            Written::Done => Ok(Some(decision.applied)),
            Written::Overtaken => Ok(None),
        }
    }

    /// Writes what was decided, if there is anything to write: the claim first, then the coupon.
    pub(super) async fn carry_out(
        &self,
        decision: &Decision,
        operation: OperationId,
    ) -> Result<Written> {
        let (Some(Writes { before, entry }), Outcome::Accepted(after)) =
            (&decision.writes, &decision.applied.outcome)
        else {
            return Ok(Written::Done);
        };
        if let Some(entry) = entry {
            let day = shelf_after(before.day, after);
            let becoming = Becoming::next(&before.coupon, operation);
            let entered = self.enter_claim(&before.campaign, entry, day, after, becoming);
            if entered.await? == Written::Overtaken {
                return Ok(Written::Overtaken);
            }
        }
        self.write_coupon(before, after, operation).await
    }

    /// Writes `after` in place of `before`, if that is still what stands there.
    pub(super) async fn write_coupon(
        &self,
        before: &Located,
        after: &Coupon,
        operation: OperationId,
    ) -> Result<Written> {
        let day = shelf_after(before.day, after);
        let moves = day != before.day;
        if moves {
            let entered = self.enter(day, &before.campaign.terms, Some(before.day)).await?;
            if entered.is_err() {
                // The next look at the plan says so.
                return Ok(Written::Overtaken);
            }
        }
        self.write_hints(before, after, day).await?;
        if self.write_row(before, after, operation, day).await? == Written::Overtaken {
            self.recent.forget(after.code());
            return Ok(Written::Overtaken);
        }
        let id = &before.campaign.terms.id;
        self.tallies.count_change(id, before.coupon.state(), after.state());
        let mut now = Located { coupon: after.clone(), day, ..before.clone() };
        if moves {
            now.bucket = self.arrive(after, &before.campaign, day).await?;
        }
        self.came_back(&now);
        self.is_closed(&now);
        self.recent.put(&now);
        Ok(Written::Done)
    }

    /// What is written before the truth: who may hold it, when it may expire, and that it may be
    /// handed out again. A crash leaves one of these too many, never one too few.
    async fn write_hints(&self, before: &Located, after: &Coupon, day: Day) -> Result<()> {
        let is_new = before.coupon.version() == 0 || day != before.day;
        let expires = is_new || before.coupon.expires_at() != after.expires_at();
        let holder =
            after.holder().filter(|holder| expires || before.coupon.holder() != Some(holder));
        let id = before.campaign.terms.id.as_str();
        let wallet = async {
            match holder {
                Some(holder) => self.write_wallet(holder, after, day).await,
                None => Ok(()),
            }
        };
        let expiring = async {
            match expires {
                true => self.write_expiring(id, after, day).await,
                false => Ok(()),
            }
        };
        let back = async {
            match self.may_be_handed_out(&before.campaign, after) {
                true => self.enter_returned(&before.campaign, after).await,
                false => Ok(()),
            }
        };
        let (wallet, expiring, back) = tokio::join!(wallet, expiring, back);
        wallet.and(expiring).and(back)
    }

    /// Whether a coupon with a row is stock of its campaign.
    pub(super) fn may_be_handed_out(&self, campaign: &CampaignHere, coupon: &Coupon) -> bool {
        *coupon.state() == State::Available && campaign.terms.handout != Handout::Bearer
    }

    /// The one conditional write, settled: whether it stands, or what it was for is over.
    async fn write_row(
        &self,
        before: &Located,
        after: &Coupon,
        operation: OperationId,
        day: Day,
    ) -> Result<Written> {
        let (version, code) = (before.coupon.version(), after.code());
        let moved_to = (day != before.day).then_some(day);
        let mut attempts = self.attempts("a change of a coupon");
        loop {
            let turn = attempts.looked(self.turns.turn((before.day, before.bucket)).await)?;
            let cas = match version {
                0 => {
                    self.put_row(
                        attempts.manner(),
                        after,
                        before.day,
                        before.bucket,
                        operation,
                        moved_to,
                    )
                    .await
                }
                _ => self.update_row(attempts.manner(), before, after, operation, moved_to).await,
            };
            drop(turn);
            match attempts.looked(cas)? {
                Cas::Applied => return Ok(Written::Done),
                Cas::Refused if !attempts.is_unsure() => return Ok(Written::Overtaken),
                Cas::Refused => {}
                Cas::NotSent(why) => {
                    let not_sent = Ok(Cas::NotSent(why));
                    attempts.wrote(not_sent).await?;
                }
                unknown @ Cas::Unknown(_) => {
                    attempts.wrote(Ok(unknown)).await?;
                }
            }
            // Whoever reads through Paxos finishes or buries what was begun.
            let seen = match self.row_of(Manner::Serial, before.day, before.bucket, code).await {
                Ok(seen) => seen,
                Err(HotError::Unavailable(_)) => {
                    attempts.again().await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match settled(seen.as_ref(), version, operation, before, after) {
                Settlement::Applied => {
                    Settled::count(&self.settled.applied);
                    return Ok(Written::Done);
                }
                Settlement::Refused => {
                    Settled::count(&self.settled.refused);
                    return Ok(Written::Overtaken);
                }
                Settlement::Hidden => {
                    let why = "a later change has written over where it could be seen";
                    return Err(HotError::Unknown(why.into()));
                }
                // A frozen node may still apply it: the same again, for the same version, so that
                // one of the two is refused.
                Settlement::Open => attempts.again().await?,
            }
        }
    }

    /// The row of a coupon that has none in this place.
    pub(super) async fn put_row(
        &self,
        manner: Manner,
        coupon: &Coupon,
        day: Day,
        bucket: i32,
        operation: OperationId,
        moved_to: Option<Day>,
    ) -> Result<Cas> {
        let cql = "UPDATE coupon SET version = ?, state = ?, holder = ?, expires_at = ?, hold = ?, \
                   events = events + ?, operation = ?, modified_at = ?, moved_to = ?, \
                   campaign_id = ?, batch_id = ?, valid_from = ?, made_expires_at = ?, \
                   created_at = ? WHERE shelf_day = ? AND bucket = ? AND code = ? \
                   IF version = null AND sealed = null";
        let genesis = coupon.genesis();
        let values = NewRow {
            change: ChangedColumns::of(coupon, None, operation, moved_to),
            campaign_id: genesis.campaign.as_str(),
            batch_id: genesis.batch.as_str(),
            valid_from: instant(genesis.valid_from),
            made_expires_at: instant(genesis.expires_at),
            created_at: instant(genesis.created_at),
            shelf_day: date(day),
            bucket,
            code: coupon.code().as_str(),
        };
        self.cluster.change(manner, cql, values).await
    }

    async fn update_row(
        &self,
        manner: Manner,
        before: &Located,
        after: &Coupon,
        operation: OperationId,
        moved_to: Option<Day>,
    ) -> Result<Cas> {
        let cql = "UPDATE coupon SET version = ?, state = ?, holder = ?, expires_at = ?, hold = ?, \
                   events = events + ?, operation = ?, modified_at = ?, moved_to = ? \
                   WHERE shelf_day = ? AND bucket = ? AND code = ? \
                   IF version = :before AND sealed = null";
        let values = LaterRow {
            change: ChangedColumns::of(after, Some(&before.coupon), operation, moved_to),
            shelf_day: date(before.day),
            bucket: before.bucket,
            code: after.code().as_str(),
            before: signed(before.coupon.version()),
        };
        self.cluster.change(manner, cql, values).await
    }

    /// Sees to it that a coupon which was moved is there where it was moved to: its row, then its
    /// entry in the directory. Whoever meets a moved row does this first.
    pub(super) async fn finish_move(&self, row: &CouponRow, to: Day) -> Result<()> {
        let (campaign, batch) = (row.campaign_id()?, row.batch_id()?);
        let found = self.batch_of(&campaign, &batch).await?;
        let (campaign, _) =
            found.ok_or_else(|| HotError::Damaged(format!("{campaign}/{batch} is gone")))?;
        let coupon = row.coupon(&campaign)?;
        self.arrive(&coupon, &campaign, to).await.map(drop)
    }

    /// Puts a moved coupon on its later shelf, if it is not there; its bucket.
    async fn arrive(&self, coupon: &Coupon, campaign: &CampaignHere, to: Day) -> Result<i32> {
        let code = coupon.code();
        let bits = self.bits(to).await?;
        let bits = bits.ok_or_else(|| HotError::Damaged(format!("no plan for {code}'s shelf")))?;
        let bucket = bucket(code, bits).cast_signed();
        let mut attempts = self.attempts("a coupon on its way to a later shelf");
        loop {
            let _turn = attempts.looked(self.turns.turn((to, bucket)).await)?;
            let there = attempts.looked(self.row_of(Manner::Read, to, bucket, code).await)?;
            // On a sealed shelf without a row: it came, and has been moved on to cold.
            if there.is_some() || attempts.looked(self.is_sealed(to, bucket).await)? {
                break;
            }
            // The same from whoever finishes the move: it is the coupon that says who moved it.
            let operation = coupon.events().last().map_or(OperationId(0), |event| event.operation);
            let manner = attempts.manner();
            let put = self.put_row(manner, coupon, to, bucket, operation, None).await;
            attempts.wrote(put).await?;
        }
        self.point_to(code, campaign, coupon, to).await?;
        Ok(bucket)
    }

    /// The directory says from now on that the coupon lies on `to`, unless it names a later shelf.
    async fn point_to(
        &self,
        code: &Code,
        campaign: &CampaignHere,
        coupon: &Coupon,
        to: Day,
    ) -> Result<()> {
        let mut attempts = self.attempts("the directory entry of a moved coupon");
        loop {
            let present = attempts.looked(self.directory_day(code).await)?;
            if present.is_some_and(|present| present >= to) {
                return Ok(());
            }
            let cql = "UPDATE directory SET kind = 'coupon', campaign_id = ?, batch_id = ?, \
                       shelf_day = ? WHERE code = ? IF shelf_day = ?";
            let values = (
                campaign.terms.id.as_str(),
                coupon.genesis().batch.as_str(),
                date(to),
                code.as_str(),
                present.map(date),
            );
            if attempts.wrote(self.cluster.change(attempts.manner(), cql, values).await).await? {
                return Ok(());
            }
        }
    }
}

/// What a look at the row says of a write whose outcome nobody told us.
#[derive(Debug, PartialEq, Eq)]
enum Settlement {
    Applied,
    Refused,
    /// It has not happened, and may happen yet.
    Open,
    /// Later changes have written over the only place where it could be seen.
    Hidden,
}

fn settled(
    seen: Option<&CouponRow>,
    version: u64,
    operation: OperationId,
    before: &Located,
    after: &Coupon,
) -> Settlement {
    let Some(row) = seen else { return Settlement::Open };
    if row.shows(operation) && row.version() >= after.version() {
        return Settlement::Applied;
    }
    if row.version() == version {
        return Settlement::Open;
    }
    let leaves_an_event = after.events().len() > before.coupon.events().len();
    // A hold is written over by the next one, and a release leaves nothing. One version later the
    // row itself says who wrote it.
    let could_hide = !leaves_an_event || row.is_stub();
    match could_hide && row.version() > after.version() {
        true => Settlement::Hidden,
        false => Settlement::Refused,
    }
}

/// A new row.
#[derive(SerializeRow)]
struct NewRow<'a> {
    #[scylla(flatten)]
    change: ChangedColumns<'a>,
    campaign_id: &'a str,
    batch_id: &'a str,
    valid_from: CqlTimestamp,
    made_expires_at: CqlTimestamp,
    created_at: CqlTimestamp,
    shelf_day: CqlDate,
    bucket: i32,
    code: &'a str,
}

/// A row in place of the version `before`.
#[derive(SerializeRow)]
struct LaterRow<'a> {
    #[scylla(flatten)]
    change: ChangedColumns<'a>,
    shelf_day: CqlDate,
    bucket: i32,
    code: &'a str,
    before: i64,
}

/// The columns that every change writes. What stays null is left unset: a null written over nothing
/// is a tombstone all the same.
#[derive(SerializeRow)]
struct ChangedColumns<'a> {
    version: i64,
    state: &'a str,
    holder: Option<&'a str>,
    expires_at: CqlTimestamp,
    hold: MaybeUnset<Option<HoldValue>>,
    events: MaybeUnset<BTreeMap<i32, EventValue>>,
    operation: Uuid,
    modified_at: CqlTimestamp,
    moved_to: MaybeUnset<CqlDate>,
}

impl<'a> ChangedColumns<'a> {
    /// Of a coupon in the place of one that was read before it, or of nothing.
    fn of(
        coupon: &'a Coupon,
        before: Option<&Coupon>,
        operation: OperationId,
        moved_to: Option<Day>,
    ) -> ChangedColumns<'a> {
        let known = before.map_or(0, |before| before.events().len());
        let events = events_behind(coupon, known);
        let hold = coupon.hold().map(HoldValue::of);
        let had_hold = before.is_some_and(|before| before.hold().is_some());
        ChangedColumns {
            version: signed(coupon.version()),
            state: if moved_to.is_some() { "moved" } else { coupon.state().word() },
            holder: coupon.holder().map(UserId::as_str),
            expires_at: instant(coupon.expires_at()),
            hold: match hold.is_some() || had_hold {
                true => MaybeUnset::Set(hold),
                false => MaybeUnset::Unset,
            },
            events: match events.is_empty() {
                true => MaybeUnset::Unset,
                false => MaybeUnset::Set(events),
            },
            operation: uuid(operation),
            modified_at: instant(coupon.modified_at()),
            moved_to: MaybeUnset::from_option(moved_to.map(date)),
        }
    }
}

/// When nothing can change a coupon any more, on an open shelf: the instant from which it can be
/// moved to cold, and the one since which it is final.
pub(super) fn closed_at(coupon: &Coupon, cancel_days: u16) -> Option<(Millis, Millis)> {
    match coupon.state() {
        State::Void { .. } => Some((coupon.modified_at(), coupon.modified_at())),
        State::Redeemed { redemption, .. } => {
            let since = redemption.at.plus_days(cancel_days);
            // Where nothing can be cancelled no clock can admit it.
            let bound = if cancel_days > 0 { crate::CLOSED_BOUND_MS } else { 0 };
            Some((since.plus_ms(bound), since))
        }
        State::Available | State::Issued { .. } => None,
    }
}
