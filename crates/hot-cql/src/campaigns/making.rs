//! Making a campaign, in steps that any process may finish, and changing its terms by one
//! conditional update.

use std::sync::Arc;

use async_trait::async_trait;
use coupon::campaign::{Campaign, CampaignCounts};
use coupon::code::Code;
use coupon::ids::CampaignId;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use router::Entry;

use super::{CampaignHere, NAMES, TERMS_KNOWN};
use crate::values::instant;
use crate::{CqlHot, CqlStore};
use cql_session::campaign_rows::{StoredCampaign, absent};
use cql_session::{Cas, Result, StatementProfile};
use hot::audit::{Act, AuditEvent};
use hot::protocol::{may_mint, patched, serials_after};
use hot::{
    CampaignPatch, CampaignRow, Campaigns, Named, NewCampaign, Patched, earlier_ends_text,
    worth_text,
};

#[async_trait]
impl Campaigns for CqlHot {
    /// Makes a campaign in steps: its row, which is hidden; its shared word; its first batch; then
    /// the row is shown. A call for the same campaign finishes what was begun.
    async fn create_campaign(&self, new: NewCampaign, act: &Act) -> Result<Named<CampaignRow>> {
        let store = &self.store;
        store.may_write()?;
        let (campaign, now) = (&new.campaign, new.campaign.created_at);
        let mut here = match store.campaign_now(&campaign.id).await? {
            Some(here) if *here.created_as != *new.created_as => {
                return Ok(Named::Refused(Refusal::NameTaken));
            }
            Some(here) if here.made => {
                return Ok(Named::Same(store.campaign_row(&here, now).await?));
            }
            Some(here) => here,
            None => {
                if let Some(refusal) = store.cannot_be_made(&new).await? {
                    return Ok(Named::Refused(refusal));
                }
                match store.begin_campaign(campaign, &new.created_as).await? {
                    Some(here) => here,
                    None => return Ok(Named::Refused(Refusal::NameTaken)),
                }
            }
        };
        let id = here.terms.id.clone();
        // Before the campaign is shown: a process that sees it may use its word and its batch.
        if let Some(word) = &here.terms.shared_code
            && !store.take_word(word, &id).await?
        {
            return Ok(Named::Refused(store.unmake(&here, Refusal::NameTaken).await?));
        }
        if let Some(order) = &new.first_batch
            && !here.batches.contains_key(&order.id)
        {
            match store.reserve(&here.terms, order, now).await? {
                Err(refusal) => return Ok(Named::Refused(store.unmake(&here, refusal).await?)),
                Ok(run) => {
                    here = store.put_batch(here, &order.id, Some(run), now, None).await?;
                }
            }
        }
        let finished = store.finish_campaign(here, Some(act)).await?;
        Ok(Named::Created(store.campaign_row(&finished, now).await?))
    }

    async fn campaign(&self, id: &CampaignId, now: Millis) -> Result<Option<CampaignRow>> {
        match self.store.made_now(id).await? {
            Some(here) => self.store.campaign_row(&here, now).await.map(Some),
            None => Ok(None),
        }
    }

    async fn campaigns(
        &self,
        after: Option<CampaignId>,
        limit: usize,
        now: Millis,
    ) -> Result<Vec<CampaignRow>> {
        let (mut after, mut rows) = (after, Vec::new());
        while rows.len() < limit {
            let names = self.store.campaign_names(after.as_ref(), limit - rows.len()).await?;
            let Some(last) = names.last() else { break };
            after = Some(last.clone());
            for name in &names {
                // A name without a campaign: it was never finished.
                rows.extend(self.campaign(name, now).await?);
            }
        }
        Ok(rows)
    }

    async fn patch_campaign(
        &self,
        id: &CampaignId,
        patch: CampaignPatch,
        act: &Act,
    ) -> Result<Patched> {
        let store = &self.store;
        store.may_write()?;
        let mut attempts = store.attempts("a campaign's terms");
        let mut wanted: Option<Campaign> = None;
        loop {
            let here = attempts.looked(store.made_now(id).await)?;
            let Some(here) = here else { return Ok(Patched::NotFound) };
            if wanted.as_ref() == Some(&*here.terms) {
                // Until then another process may use the old terms.
                tokio::time::sleep(TERMS_KNOWN).await;
                store.known.forget(id);
                return Ok(Patched::Done(store.campaign_row(&here, act.at).await?));
            }
            let counts = match patch.needs_counts() {
                true => store.campaign_row(&here, act.at).await?.counts,
                false => CampaignCounts::default(),
            };
            let after = match patched(&here.terms, counts, 0, &patch, act.at) {
                Ok(after) => after,
                Err(refused) => return Ok(refused),
            };
            if after.expires_at != here.terms.expires_at
                && !attempts.looked(store.keep_open(&here, &after).await)?
            {
                return Ok(Patched::NotExtended(Refusal::ExpiryDayClosed));
            }
            let events = AuditEvent::campaign_changed(&here.terms, &after);
            let (carries, _) = attempts.looked(store.carried(&here, Some((act, &events))).await)?;
            let cas = store.change_terms(&here, &after, carries, attempts.profile()).await;
            attempts.wrote(cas).await?;
            wanted = Some(after);
        }
    }
}

impl CqlStore {
    /// Why a campaign cannot be made, as far as it is known before anything is written.
    async fn cannot_be_made(&self, new: &NewCampaign) -> Result<Option<Refusal>> {
        let campaign = &new.campaign;
        if let Some(word) = &campaign.shared_code
            && self.directory_entry(word).await?.is_some()
        {
            return Ok(Some(Refusal::NameTaken));
        }
        let coupons = new.first_batch.as_ref().map_or(0, |order| order.count);
        if !self.enter(campaign.expiry_day(), campaign, None, coupons).await? {
            return Ok(Some(Refusal::ExpiryDayClosed));
        }
        let Some(order) = &new.first_batch else { return Ok(None) };
        if let Err(refusal) = may_mint(campaign, campaign.created_at) {
            return Ok(Some(refusal));
        }
        let next = self.next_serial(campaign.expiry_day()).await?;
        Ok(serials_after(next, order.count).err())
    }

    /// The row of a campaign that is still hidden; `None` when another campaign has the name.
    pub(crate) async fn begin_campaign(
        &self,
        campaign: &Campaign,
        created_as: &str,
    ) -> Result<Option<CampaignHere>> {
        // Before the row: lists find campaigns by their names.
        let cql = "INSERT INTO campaign_name (part, campaign_id) VALUES (?, ?)";
        self.session.write(cql, (NAMES, campaign.id.as_str())).await?;
        let mut attempts = self.attempts("a new campaign");
        loop {
            if let Some(here) = attempts.looked(self.campaign_now(&campaign.id).await)? {
                return Ok(Some(here).filter(|here| *here.created_as == *created_as));
            }
            let cql = "UPDATE campaign SET revision = ?, made = ?, name = ?, handout = ?, \
                       shared_code = ?, code_prefix = ?, valid_from = ?, expires_at = ?, \
                       time_zone = ?, valid_days = ?, issue_from = ?, issue_until = ?, \
                       per_user_limit = ?, cancel_days = ?, extend_days = ?, paused = ?, \
                       metadata = ?, worth = ?, created_at = ?, created_as = ?, carries = ?, \
                       sold_out = ?, earlier_ends = ? WHERE campaign_id = ? IF revision = null";
            let values = StoredCampaign::hidden(campaign, created_as);
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
        }
    }

    /// `false` when another campaign has the word.
    async fn take_word(&self, word: &Code, id: &CampaignId) -> Result<bool> {
        let mut attempts = self.attempts("a shared word");
        loop {
            match attempts.looked(self.directory_entry(word).await)? {
                Some(Entry::Shared { campaign }) => return Ok(campaign == *id),
                Some(Entry::Coupon { .. }) => return Ok(false),
                None => {}
            }
            let cql = "INSERT INTO directory (code, kind, campaign_id) VALUES (?, 'shared', ?) \
                       IF NOT EXISTS";
            let values = (word.as_str(), id.as_str());
            let cas = self.session.change(attempts.profile(), cql, values).await;
            // Refused by an entry that is not shown: the code of a lost campaign.
            let cql = "SELECT kind FROM directory WHERE code = ?";
            if !attempts.wrote(cas).await? && self.session.has(cql, (word.as_str(),)).await? {
                let entry = self.directory_entry(word).await?;
                return Ok(entry == Some(Entry::Shared { campaign: id.clone() }));
            }
        }
    }

    /// Hides a campaign for ever that was begun and cannot be made.
    async fn unmake(&self, here: &CampaignHere, refusal: Refusal) -> Result<Refusal> {
        let cql = "UPDATE campaign SET revision = null, created_as = null WHERE campaign_id = ? \
                   IF revision = ? AND made = false";
        let values = (here.terms.id.as_str(), here.revision);
        // The next call fails for the same reason, whatever the outcome of this update is.
        let _ = self.session.change(StatementProfile::Change, cql, values).await?;
        Ok(refusal)
    }

    /// Shows a campaign. Its audit events are those of this update: nobody has seen it before.
    pub(crate) async fn finish_campaign(
        &self,
        here: CampaignHere,
        doing: Option<&Act>,
    ) -> Result<CampaignHere> {
        let id = &here.terms.id;
        let mut attempts = self.attempts("a new campaign");
        loop {
            let now = attempts.looked(self.campaign_now(id).await)?;
            let now = now.ok_or_else(|| absent("row"))?;
            if now.made {
                return Ok(now);
            }
            let batches = now.in_order().into_iter();
            let made =
                batches.map(|it| AuditEvent::batch_created(id, &it.id, it.run.map(|it| it.count)));
            let events = [AuditEvent::campaign_created(&now.terms)].into_iter().chain(made);
            let events: Vec<AuditEvent> = events.collect();
            let doing = doing.map(|act| (act, &events[..]));
            let (carries, _) = attempts.looked(self.carried(&now, doing).await)?;
            let cql = "UPDATE campaign SET revision = ?, carries = ?, made = true \
                       WHERE campaign_id = ? IF revision = ?";
            let values = (now.revision + 1, carries, id.as_str(), now.revision);
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
        }
    }

    /// Keeps the days of its earlier ends open until the one of its end is over, and makes the plan of that one: with
    /// buckets for all that may move there, not for the first that does. To be called before anybody knows the later
    /// end: a day is never sealed while codes of it work.
    async fn keep_open(&self, here: &CampaignHere, after: &Campaign) -> Result<bool> {
        let runs = here.batches.values().filter_map(|batch| batch.run);
        let coupons = runs.map(|run| run.count).sum();
        for earlier in after.earlier_days() {
            if !self.enter(earlier, after, None, 0).await?
                || !self.enter(after.expiry_day(), after, Some(earlier), coupons).await?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Changes what may be changed of a campaign's terms, unless its revision has changed.
    pub(crate) async fn change_terms(
        &self,
        here: &CampaignHere,
        terms: &Campaign,
        carries: Option<Arc<str>>,
        profile: StatementProfile,
    ) -> Result<Cas> {
        let cql = "UPDATE campaign SET revision = ?, carries = ?, name = ?, metadata = ?, \
                   paused = ?, issue_from = ?, issue_until = ?, per_user_limit = ?, worth = ?, \
                   expires_at = ?, earlier_ends = ? WHERE campaign_id = ? IF revision = ?";
        let values = (
            here.revision + 1,
            carries,
            terms.name.as_str(),
            terms.metadata.as_deref(),
            terms.paused,
            terms.issue_from.map(instant),
            terms.issue_until.map(instant),
            terms.per_user_limit.map(i32::from),
            worth_text(&terms.worth),
            instant(terms.expires_at),
            earlier_ends_text(terms),
            terms.id.as_str(),
            here.revision,
        );
        self.session.change(profile, cql, values).await
    }
}
