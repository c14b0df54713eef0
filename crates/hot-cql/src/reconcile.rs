//! After a restore: replaces each coupon that cold has in a newer version by that version.

mod archived_marker;

use coupon::coupon::{Coupon, State};
use coupon::ids::{IssueRef, OperationId, UserId};
use coupon::time::Day;
use hot::protocol::{ANY_ISSUE, StoredFacts, imported_state_of, is_known, replaced};
use hot::{ImportLine, Reconciled};
use router::home;

use crate::CqlStore;
use crate::campaigns::CampaignHere;
use crate::coupon_row::CouponRow;
use cql_session::{Result, StatementProfile};

impl CqlStore {
    pub(crate) async fn reconcile_one(&self, day: Day, coupon: &Coupon) -> Result<Reconciled> {
        let (code, genesis) = (coupon.code(), coupon.genesis());
        if let Some(bucket) = self.bucket(day, code).await? {
            let row = self.row_of(StatementProfile::Read, day, bucket, code).await?;
            let stored = StoredFacts {
                version: row.as_ref().map(CouponRow::version),
                has_archived_marker: row.as_ref().is_some_and(CouponRow::is_archived_marker),
                is_sealed: match &row {
                    Some(row) => row.is_sealed(),
                    None => self.is_sealed(day, bucket).await?,
                },
            };
            if is_known(coupon, stored) {
                return Ok(Reconciled { known: 1, ..Reconciled::default() });
            }
        }
        let Some((campaign, _)) = self.batch_of(&genesis.campaign, &genesis.batch).await? else {
            if home(&self.keys.current(), code).is_none() {
                // No call finds it, and no import takes it as new.
                let cql = "INSERT INTO directory (code, kind) VALUES (?, 'gone') IF NOT EXISTS";
                let values = (code.as_str(),);
                self.session.change(StatementProfile::Change, cql, values).await?.known()?;
            }
            return Ok(Reconciled { strangers: 1, ..Reconciled::default() });
        };
        self.take_its_place(day, coupon, &campaign).await?;
        Ok(Reconciled { reconciled: 1, ..Reconciled::default() })
    }

    async fn take_its_place(
        &self,
        day: Day,
        coupon: &Coupon,
        campaign: &CampaignHere,
    ) -> Result<()> {
        let (code, home) = (coupon.code(), home(&self.keys.current(), coupon.code()));
        let id = &campaign.terms.id;
        // Only the plan is needed here, and a partition that is closing has one.
        self.enter(day, &campaign.terms, None, 1).await?;
        let moved = self.directory_day(code).await?;
        // A restore that was killed is repeated, and a coupon with its archived marker is known then:
        // the marker comes last. The directory entry comes after the row that it led to.
        let mut before = None;
        let mut others: Vec<Day> = [moved, home].into_iter().flatten().collect();
        others.dedup();
        for other in others.into_iter().filter(|other| *other != day) {
            let found = self.put_archived_marker(other, coupon, day).await?;
            before = before.or(found);
        }
        if home != Some(day) {
            self.enter_in_directory(coupon, day, home.is_none()).await?;
        }
        self.reconcile_claim(day, coupon, campaign).await?;
        let before = self.put_archived_marker(day, coupon, day).await?.or(before);
        if before.is_none() && home.is_none() && moved.is_none() {
            self.counts.count_arrivals(id, &coupon.genesis().batch, 1);
        }
        let was = before.as_ref().map_or(&State::Available, Coupon::state);
        self.counts.count_change(id, was, coupon.state());
        self.counts.count_moved(id, coupon.state().as_str());
        self.row_cache.forget(code);
        Ok(())
    }

    /// Enters the coupon into its holder's claim, and the coupon that it replaced as replaced.
    async fn reconcile_claim(
        &self,
        day: Day,
        coupon: &Coupon,
        campaign: &CampaignHere,
    ) -> Result<()> {
        if let Some(gone) = replaced(&self.keys.current(), coupon.issue_ref()) {
            let cql = "INSERT INTO replacement (replaced, campaign_id, user_id, reference, issue) \
                       VALUES (?, ?, ?, ?, ?) IF NOT EXISTS";
            let (id, holder) = (campaign.terms.id.as_str(), coupon.holder().map(UserId::as_str));
            let name = coupon.issue_ref().map(IssueRef::as_str);
            let values = (gone.as_str(), id, holder, name, ANY_ISSUE);
            self.session.change(StatementProfile::Change, cql, values).await?.known()?;
        }
        let Some(holder) = coupon.holder() else { return Ok(()) };
        let claimed = self.session.claimed_codes(&campaign.terms.id, holder).await?;
        if claimed.contains(coupon.code()) {
            return Ok(());
        }
        self.claim_for_holder(campaign, day, coupon, coupon.issue_ref()).await
    }

    async fn enter_in_directory(&self, coupon: &Coupon, day: Day, foreign: bool) -> Result<()> {
        let (genesis, event) = (coupon.genesis(), coupon.events().first());
        let mut attempts = self.attempts("the directory entry of an archived coupon");
        loop {
            let present = attempts.looked(self.directory_day(coupon.code()).await)?;
            if present == Some(day) {
                return Ok(());
            }
            let profile = attempts.profile();
            let cas = match (present, foreign) {
                (None, true) => {
                    let line = ImportLine {
                        code: coupon.code().clone(),
                        valid_from: genesis.valid_from,
                        expires_at: genesis.expires_at,
                        imported_state: imported_state_of(coupon),
                    };
                    let owner = (&genesis.campaign, &genesis.batch);
                    let operation = event.map_or(OperationId(0), |event| event.operation);
                    let arrived = (genesis.created_at, event.map(|it| &it.actor), operation);
                    self.insert_entry(profile, &line, owner, arrived, day).await
                }
                (present, _) => self.redirect(profile, coupon, present, day).await,
            };
            attempts.wrote(cas).await?;
        }
    }
}
