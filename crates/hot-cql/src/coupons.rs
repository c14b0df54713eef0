//! One coupon: finding its row wherever it is by now, and deciding.

mod writing;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use coupon::apply::{Change, Outcome};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::history_validity::invalid_history;
use coupon::refusal::Refusal;
use coupon::time::Day;
use router::{Address, Owner};
use scylla::value::CqlDate;

use super::Store;
use super::campaigns::CampaignHere;
use super::claims::{Need, NewEntry};
use super::examine::disagreement;
use super::session::{Result, StatementProfile};
use super::values::{CouponRow, coupon_columns, date};
use hot::protocol::{
    needs_claim_entry, new_holder, partition_after, refused_by_seal, with_issued_until,
};
use hot::{Applied, CouponSnapshot, HotError, Tier};
pub(super) use writing::{CouponKeyColumns, GenesisColumns};

/// A coupon is moved at most once a day of its life; more hops than this is a circle.
const HOPS_MAX: usize = 1_000;

/// A coupon and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) coupon: Coupon,
    pub(super) campaign: CampaignHere,
    pub(super) batch_paused: bool,
    /// Its partition, and the bucket there.
    pub(super) day: Day,
    pub(super) bucket: i32,
    pub(super) tier: Tier,
    /// Whether its bucket is sealed, or it lies in cold: nothing changes it any more.
    pub(super) frozen: bool,
}

impl Located {
    pub(super) fn snapshot(&self) -> CouponSnapshot {
        self.snapshot_of(self.coupon.clone())
    }

    fn snapshot_of(&self, coupon: Coupon) -> CouponSnapshot {
        CouponSnapshot {
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
        Decision::says(Applied { outcome, snapshot: Some(self.snapshot()) })
    }

    pub(super) fn replayed(&self) -> Decision {
        Decision::says(Applied { outcome: Outcome::Replayed, snapshot: Some(self.snapshot()) })
    }

    /// `after` in the place of this one, and `entry` in the claim of its new holder.
    pub(super) fn accepted(self, after: Box<Coupon>, entry: Option<NewEntry>) -> Decision {
        let snapshot = Some(self.snapshot_of(Coupon::clone(&after)));
        let applied = Applied { outcome: Outcome::Accepted(after), snapshot };
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
        Decision::says(Applied { outcome: Outcome::Refused(refusal), snapshot: None })
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It stands.
    Done,
    /// What it was for is over: look again and decide anew.
    Conflict,
}

/// Where a coupon is to be found.
#[derive(Debug)]
pub(super) enum Trace {
    /// Its row is here.
    Here(Box<Located>),
    /// There is no row where it would have one.
    Nothing,
    /// Behind an archived marker or a seal: if anywhere, it lies in cold.
    InCold {
        day: Day,
        bucket: i32,
        code: Code,
        /// The version that lies in cold.
        archived_marker: Option<u64>,
        promise: Promise,
    },
}

/// What is known of a coupon without a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// A minted code may be one that nobody has touched.
    None,
    /// The directory names its partition: there was a coupon.
    Entry,
}

impl Store {
    pub(super) async fn row_of(
        &self,
        profile: StatementProfile,
        day: Day,
        bucket: i32,
        code: &Code,
    ) -> Result<Option<CouponRow>> {
        let cql = concat!(
            "SELECT ",
            coupon_columns!(),
            " FROM coupon WHERE expiry_day = ? AND bucket = ? AND code = ?"
        );
        self.cluster.row(profile, cql, (date(day), bucket, code.as_str())).await
    }

    /// The coupon at `address`, wherever it is by now.
    pub(super) async fn locate(&self, address: &Address) -> Result<Option<Located>> {
        match self.stored(address.bucket_key.expiry_day, &address.code).await? {
            None if address.minted => {
                self.untouched_at(&address.code, &address.owner, address.bucket_key.expiry_day)
                    .await
            }
            found => Ok(found),
        }
    }

    /// A minted coupon that has no row, in a partition where it would have one.
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

    /// The coupon that is known in the partition `day`, or in a later one that an extension moved
    /// it to.
    pub(super) async fn stored(&self, day: Day, code: &Code) -> Result<Option<Located>> {
        let trace = self.trace(day, code).await?;
        Ok(self.resolve(vec![trace]).await?.pop().flatten())
    }

    /// Where a coupon of the partition `day` is to be found.
    ///
    /// The row; where there is none, the seal of its bucket; and only then what lies elsewhere. A
    /// missing row brings no static column, so these are two reads, in this order.
    pub(super) async fn trace(&self, day: Day, code: &Code) -> Result<Trace> {
        let (mut day, mut promise) = (day, Promise::None);
        for _ in 0..HOPS_MAX {
            let Some(bucket) = self.bucket(day, code).await? else { return Ok(Trace::Nothing) };
            let in_cold = |archived_marker| Trace::InCold {
                day,
                bucket,
                code: code.clone(),
                archived_marker,
                promise,
            };
            let Some(row) = self.row_of(StatementProfile::Read, day, bucket, code).await? else {
                if !self.is_sealed(day, bucket).await? {
                    return Ok(Trace::Nothing);
                }
                // An entry is set before its coupon's old row is removed.
                if let Some(later) = self.directory_day(code).await?.filter(|later| *later > day) {
                    (day, promise) = (later, Promise::Entry);
                    continue;
                }
                // An entry that names this partition promises nothing: an import may have won it
                // and never come to its row.
                return Ok(Trace::InCold {
                    day,
                    bucket,
                    code: code.clone(),
                    archived_marker: None,
                    promise,
                });
            };
            if row.is_archived_marker() {
                return Ok(in_cold(Some(row.archived())));
            }
            match row.forward_to() {
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
    /// question a partition, after its row was found to be missing.
    pub(super) async fn resolve(&self, traces: Vec<Trace>) -> Result<Vec<Option<Located>>> {
        let mut wanted: BTreeMap<Day, Vec<Code>> = BTreeMap::new();
        for trace in &traces {
            if let Trace::InCold { day, code, .. } = trace {
                let codes = wanted.entry(*day).or_default();
                if !codes.contains(code) {
                    codes.push(code.clone());
                }
            }
        }
        let mut found: HashMap<(Day, Code), Coupon> = HashMap::new();
        for (day, codes) in wanted {
            let archive_commit = self.archive_commit(day).await?;
            let coupons =
                self.archive.coupons(day, archive_commit, &codes).await.map_err(HotError::Cold)?;
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
                Trace::InCold { day, bucket, code, archived_marker, promise } => {
                    let coupon = found.get(&(day, code.clone()));
                    match coupon.filter(|coupon| coupon.version() >= archived_marker.unwrap_or(0)) {
                        Some(coupon) => Some(self.archived(coupon.clone(), day, bucket).await?),
                        None if archived_marker.is_none() && promise == Promise::None => None,
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

    /// The coupon of a row, if the row can be true: its columns say what its events say, and each
    /// event may follow those before it. Nobody is answered from another.
    pub(super) async fn located(&self, row: &CouponRow, bucket: i32) -> Result<Located> {
        let located = self.as_it_stands(row, bucket).await?;
        let coupon = &located.coupon;
        let differs = match row.agrees(coupon) {
            true => None,
            false => disagreement(row, coupon),
        };
        match differs.or_else(|| invalid_history(coupon)) {
            None => Ok(located),
            Some(why) => Err(HotError::Damaged(format!("{}: {why}", coupon.code()))),
        }
    }

    /// The coupon of a row as it stands there, also where that cannot be true.
    pub(super) async fn as_it_stands(&self, row: &CouponRow, bucket: i32) -> Result<Located> {
        let (campaign, batch) = (row.campaign_id()?, row.batch_id()?);
        let found = self.batch_of(&campaign, &batch).await?;
        let (campaign, batch) =
            found.ok_or_else(|| HotError::Damaged(format!("{campaign}/{batch} is gone")))?;
        let coupon = row.coupon(&campaign)?;
        let (batch_paused, day, tier) = (batch.paused, row.day(), Tier::Hot);
        let frozen = row.is_sealed();
        Ok(Located { coupon, campaign, batch_paused, day, bucket, tier, frozen })
    }

    /// The partition that the directory names for a coupon's code.
    pub(super) async fn directory_day(&self, code: &Code) -> Result<Option<Day>> {
        let cql = "SELECT kind, expiry_day FROM directory WHERE code = ?";
        let row: Option<(Option<String>, Option<CqlDate>)> =
            self.cluster.row(StatementProfile::Read, cql, (code.as_str(),)).await?;
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
        let day = partition_after(located.day, &after);
        if day != located.day
            && self.plan(StatementProfile::Read, day).await?.is_some_and(|plan| plan.is_closing())
        {
            return Ok(Some(located.refused(Refusal::ExpiryDayClosed)));
        }
        let new_holder = new_holder(&located.coupon, &after);
        let needs_claim_entry = needs_claim_entry(&located.coupon, &change.action, &after);
        // Without a limit there is nothing to count.
        let counts = located.campaign.terms.per_user_limit.is_some();
        let entry = match needs_claim_entry.filter(|_| counts) {
            None => None,
            Some(user) => {
                let need = Need::default();
                let claim = self.claim(&located.campaign, user, &change, need, may_write).await?;
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
    pub(super) async fn dry_run_at(&self, address: &Address, change: &Change) -> Result<Applied> {
        let mut attempts = self.attempts("a dry run");
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
        let _lock = self.coupons.lock(&address.code).await?;
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
                && let Some(applied) = self.carry_out(decision, change.operation).await?
            {
                return Ok(applied);
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
        let Some(mut located) = self.row_cache.get(&address.code) else { return Ok(None) };
        let genesis = located.coupon.genesis();
        let found = self.batch_of(&genesis.campaign, &genesis.batch).await?;
        let Some((campaign, batch)) = found else { return Ok(None) };
        (located.campaign, located.batch_paused) = (campaign, batch.paused);
        let decision = self.decide(located, change, true).await?;
        let Some(decision) = decision.filter(|decision| decision.writes.is_some()) else {
            return Ok(None);
        };
        self.carry_out(decision, change.operation).await
    }
}
