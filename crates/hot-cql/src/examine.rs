//! Looks for damage: reads every row and compares what is stored twice; of a sample of the rows it
//! looks up the claims and index rows.

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::coupon::State;
use coupon::ids::CampaignId;
use coupon::time::Day;
use hot::{HealthFinding, HotError};
use scylla::response::PagingState;
use scylla::value::CqlDate;

use crate::Store;
use crate::bounded_join::bounded_join;
use crate::coupon_row::{CouponRow, coupon_columns, disagreement};
use crate::session::{Result, StatementProfile};
use crate::values::{date, day, instant, parsed, signed, tie};

/// Buckets that are read at a time.
const AT_ONCE: usize = 16;

/// Rows of a bucket, and entries of a page, whose claims, index rows and coupons are looked up,
/// too: four more reads each.
const LOOKED_UP_MAX: u64 = 50;

/// Faults that are named one by one; of the others only the number is given.
const NAMED_MAX: usize = 20;

/// What reading some rows has found.
#[derive(Default)]
struct Found {
    rows: u64,
    faults: Vec<String>,
    unclaimed: Vec<String>,
    unindexed: Vec<String>,
    states: BTreeMap<CampaignId, [i64; 3]>,
}

impl Store {
    pub(crate) async fn examine_all(&self) -> Result<Vec<HealthFinding>> {
        self.counts.write_down(self).await;
        let mut found = Found::default();
        for plan in self.plans().await?.iter().filter(|plan| !plan.is_emptied()) {
            let expiry_day = plan.day();
            let buckets = 0..1_i32 << plan.bits();
            let looks = buckets.map(|bucket| self.examine_bucket(expiry_day, bucket));
            let looks: Vec<Found> = bounded_join(AT_ONCE, looks).await?;
            for one in looks {
                found.rows += one.rows;
                found.faults.extend(one.faults);
                found.unclaimed.extend(one.unclaimed);
                found.unindexed.extend(one.unindexed);
                for (id, states) in one.states {
                    let all = found.states.entry(id).or_default();
                    for (all, one) in all.iter_mut().zip(states) {
                        *all += one;
                    }
                }
            }
        }
        let rows = found.rows;
        Ok(vec![
            finding(&format!("{rows} coupons: each row says what its events say"), &found.faults),
            finding("every holder that was looked up is in a claim", &found.unclaimed),
            finding(
                "every coupon that was looked up is found by its holder and by its expiry",
                &found.unindexed,
            ),
            self.examine_counts(found.states).await?,
            self.examine_entries().await?,
        ])
    }

    async fn examine_bucket(&self, expiry_day: Day, bucket: i32) -> Result<Found> {
        let cql = concat!(
            "SELECT ",
            coupon_columns!(),
            " FROM coupon WHERE expiry_day = ? AND bucket = ? AND code >= ''"
        );
        let (mut found, mut from) = (Found::default(), Some(PagingState::start()));
        while let Some(state) = from {
            let values = (date(expiry_day), bucket);
            let (rows, next) = self.session.page::<CouponRow>(cql, values, state).await?;
            for row in rows {
                self.examine_row(&row, bucket, &mut found).await?;
            }
            from = next;
        }
        Ok(found)
    }

    async fn examine_row(&self, row: &CouponRow, bucket: i32, found: &mut Found) -> Result<()> {
        let code = row.code()?;
        if self.bucket(row.day(), &code).await? != Some(bucket) {
            found.faults.push(format!("{code}: in the wrong bucket"));
        }
        if row.is_archived_marker() {
            return Ok(());
        }
        if let Some(to) = row.forward_to() {
            if self.directory_day(&code).await?.is_none_or(|entered| entered < to) {
                found.faults.push(format!(
                    "{code}: forwarded, and the directory does not name its partition"
                ));
            }
            return Ok(());
        }
        found.rows += 1;
        let located = match self.as_stored(row, bucket).await {
            Ok(located) => located,
            Err(HotError::Damaged(why)) => {
                found.faults.push(format!("{code}: {why}"));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let (coupon, campaign) = (&located.coupon, &located.here.campaign);
        if let Some(fault) = disagreement(row, coupon) {
            found.faults.push(format!("{code}: {fault}"));
        }
        let states = found.states.entry(campaign.terms.id.clone()).or_default();
        match coupon.state() {
            State::Available => {}
            State::Issued { .. } => states[0] += 1,
            State::Redeemed { .. } => states[1] += 1,
            State::Void { .. } => states[2] += 1,
        }
        if found.rows > LOOKED_UP_MAX {
            return Ok(());
        }
        if let Some(holder) = coupon.holder() {
            if campaign.terms.per_user_limit.is_some()
                && !self.is_claimed(campaign, holder, &code).await?
            {
                found.unclaimed.push(code.to_string());
            }
            let cql = "SELECT code FROM wallet WHERE user_id = ? AND expires_at = ? AND tie = ? \
                       AND code = ?";
            let at = instant(coupon.expires_at());
            let values = (holder.as_str(), at, signed(tie(&code)), code.as_str());
            let index_row: Option<(String,)> =
                self.session.row(StatementProfile::Read, cql, values).await?;
            if index_row.is_none() {
                found.unindexed.push(format!("{code} by its holder"));
            }
        }
        if !self.has_expiring(coupon).await? {
            found.unindexed.push(format!("{code} by its expiry"));
        }
        Ok(())
    }

    /// The counts of the campaigns against their rows.
    async fn examine_counts(
        &self,
        states: BTreeMap<CampaignId, [i64; 3]>,
    ) -> Result<HealthFinding> {
        let (mut faults, mut after, mut campaigns) = (Vec::new(), None, 0);
        loop {
            let names = self.campaign_names(after.as_ref(), 1_000).await?;
            let Some(last) = names.last().cloned() else { break };
            for id in names {
                campaigns += 1;
                let counted = self.counts.of(self, &id).await?.here();
                let found = states.get(&id).copied().unwrap_or_default();
                if counted != found {
                    faults.push(format!(
                        "{id}: counted issued, redeemed, void as {counted:?}, its rows say \
                         {found:?}"
                    ));
                }
            }
            after = Some(last);
        }
        let sound = format!("{campaigns} campaigns: the counts are those of their rows");
        Ok(match finding(&sound, &faults) {
            HealthFinding::Fault(differences) => HealthFinding::Drifted(differences),
            other => other,
        })
    }

    /// Codes in the directory against their coupons.
    async fn examine_entries(&self) -> Result<HealthFinding> {
        let cql = "SELECT code, kind, expiry_day, first_imported_state FROM directory";
        type Entry = (String, Option<String>, Option<CqlDate>, Option<String>);
        let (mut faults, mut from) = (Vec::new(), Some(PagingState::start()));
        while let Some(state) = from {
            let (rows, next) = self.session.page::<Entry>(cql, (), state).await?;
            let entries =
                rows.into_iter().filter(|(_, kind, ..)| kind.as_deref() == Some("coupon"));
            for (code, kind, expiry_day, _) in entries.take(LOOKED_UP_MAX as usize) {
                let (Some("coupon"), Some(expiry_day)) = (kind.as_deref(), expiry_day) else {
                    continue;
                };
                let code: Code = parsed("code", &code)?;
                let Some(bucket) = self.bucket(day(expiry_day), &code).await? else {
                    faults.push(code.to_string());
                    continue;
                };
                let row =
                    self.row_of(StatementProfile::Read, day(expiry_day), bucket, &code).await?;
                if row.is_none() && !self.is_sealed(day(expiry_day), bucket).await? {
                    faults.push(code.to_string());
                }
            }
            from = next;
        }
        Ok(finding("every code of the directory that was looked up has its coupon", &faults))
    }
}

fn finding(sound: &str, faults: &[String]) -> HealthFinding {
    if faults.is_empty() {
        return HealthFinding::Sound(sound.to_owned());
    }
    let named = faults.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
    let more = faults.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    HealthFinding::Fault(format!("not so that {sound}: {named}{more}"))
}
