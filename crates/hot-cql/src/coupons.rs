//! One coupon: finding its row wherever it is by now, and deciding.

mod writing;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use coupon::apply::Change;
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::history_validity::invalid_history;
use coupon::time::Day;
use hot::protocol::{self, Admitted, ChangeStep, FromCold, Promise, from_cold};
use hot::{Applied, HotError, Tier};
use router::{Address, Owner};
use scylla::value::CqlDate;

use super::Store;
use super::campaigns::CampaignHere;
use super::claims::{ClaimSlot, Need};
use super::examine::disagreement;
use super::session::{Result, StatementProfile};
use super::values::{CouponRow, coupon_columns, date};
pub(super) use writing::{CouponKeyColumns, GenesisColumns};

/// A coupon is moved at most once a day of its life; more hops than this is a circle.
const HOPS_MAX: usize = 1_000;

/// Where a coupon is found again on the cluster.
#[derive(Clone, Debug)]
pub(super) struct Here {
    pub(super) campaign: CampaignHere,
    /// Its bucket in its partition.
    pub(super) bucket: i32,
}

impl protocol::Here for Here {
    fn terms(&self) -> &Arc<Campaign> {
        &self.campaign.terms
    }
}

pub(super) type Located = protocol::Located<Here>;
pub(super) type Decision = protocol::Decision<Here, ClaimSlot>;

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
        let (tier, here) = (Tier::Hot, Here { campaign, bucket });
        Ok(Some(Located { coupon, batch_paused, day, tier, frozen, here }))
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
                    match from_cold(coupon, archived_marker, promise) {
                        FromCold::Coupon(it) => Some(self.archived(it.clone(), day, bucket).await?),
                        FromCold::Nothing => None,
                        FromCold::Missing => {
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
        let (frozen, here) = (row.is_sealed(), Here { campaign, bucket });
        Ok(Located { coupon, batch_paused, day, tier, frozen, here })
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
        let (batch_paused, tier, here) = (batch.paused, Tier::Cold, Here { campaign, bucket });
        Ok(Located { coupon, batch_paused, day, tier, frozen: true, here })
    }

    /// What `change` does to a coupon; `None` where the coupon has changed since it was read, so that
    /// its holder's claim is no answer to the question.
    pub(super) async fn decide(
        &self,
        located: Located,
        change: &Change,
        may_write: bool,
    ) -> Result<Option<Decision>> {
        let accepted = match protocol::change(located, change, self.options.clock_bound_ms) {
            ChangeStep::Decided(decision) => return Ok(Some(*decision)),
            ChangeStep::Accepted(accepted) => accepted,
        };
        let is_closing = match accepted.later_day() {
            Some(day) => {
                let plan = self.plan(StatementProfile::Read, day).await?;
                plan.is_some_and(|plan| plan.is_closing())
            }
            None => false,
        };
        let claim = match accepted.claimant() {
            Some(user) if !is_closing => {
                let campaign = &accepted.before().here.campaign;
                Some(self.claim(campaign, user, change, Need::default(), may_write).await?.1)
            }
            Some(_) | None => None,
        };
        match accepted.decide(is_closing, claim.as_ref()) {
            Admitted::Decided(decision) => Ok(Some(*decision)),
            Admitted::NoRoom(located, refusal) => {
                // The claim was read after the coupon, which it may be about by now.
                let now = self.stored(located.day, located.coupon.code()).await?;
                let same = now.map_or(0, |now| now.coupon.version()) == located.coupon.version();
                Ok(same.then(|| Decision::refused_at(&located, refusal)))
            }
        }
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
        (located.here.campaign, located.batch_paused) = (campaign, batch.paused);
        let decision = self.decide(located, change, true).await?;
        let Some(decision) = decision.filter(|decision| decision.writes.is_some()) else {
            return Ok(None);
        };
        self.carry_out(decision, change.operation).await
    }
}
