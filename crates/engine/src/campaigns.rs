//! Campaigns: creates, changes and reads them.

mod draft;
mod faults;

use std::sync::Arc;
use std::time::Instant;

use coupon::calendar::Zone;
use coupon::campaign::{Campaign, CampaignCounts, PER_USER_LIMIT_MAX};
use coupon::code::Code;
use coupon::ids::{CampaignId, Reason};
use coupon::money::AMOUNT_MAX;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use hot::protocol::terms_tag;
use hot::{CampaignPatch, CampaignRow, MintOrder, NewCampaign, Patched};

use crate::extensions::ExtensionProgress;
use crate::failure::{Failure, FieldFault, Result, WriteResult, found, range};
use crate::pages::PAGE_MAX;
use crate::{Caller, Engine, Role};
pub use draft::CampaignDraft;
use draft::normal_form;
use faults::{CURRENCY_MISSING, TWO_ENDS, bad_benefit, bad_end, bad_metadata, bad_text, end_field};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignView {
    pub campaign: Arc<Campaign>,
    /// Its counts, and the moment at which they were counted; users do not see them.
    pub counts: Option<(CampaignCounts, Millis)>,
    /// What its live redemptions cost; users do not see it.
    pub spent: Option<u64>,
    /// How far its coupons have got a later end that it got; users do not see it.
    pub extension: Option<ExtensionProgress>,
}

impl CampaignView {
    pub(crate) fn of(row: CampaignRow, caller: &Caller) -> CampaignView {
        let is_inside = caller.role != Role::User;
        let counts = is_inside.then_some((row.counts, row.counted_at));
        let spent = is_inside.then_some(row.spent);
        CampaignView { campaign: row.campaign, counts, spent, extension: None }
    }

    /// Its counts; nothing but zeros for a user.
    pub fn counts(&self) -> CampaignCounts {
        self.counts.map(|(counts, _)| counts).unwrap_or_default()
    }

    /// A tag of what [`Engine::patch_campaign`] may change: another one after each change.
    pub fn tag(&self) -> u64 {
        terms_tag(&self.campaign)
    }
}

impl Engine {
    /// Creates a campaign and its first batch. The same id with the same draft is a replay, for
    /// ever.
    ///
    /// # Errors
    /// `Invalid` with every field that is wrong; `NameTaken` for the id or the shared code.
    pub async fn create_campaign(
        &self,
        caller: &Caller,
        draft: CampaignDraft,
    ) -> Result<WriteResult<CampaignView>> {
        caller.must_be(&[Role::Admin])?;
        let (now, created_as) = (self.now(), normal_form(&draft));
        if let Some(id) = &draft.id
            && let Some(row) = self.hot.campaign(id, now).await?
        {
            // A replay is not checked against today's clock: its dates may have passed.
            return match row.created_as == created_as {
                true => Ok(WriteResult::Same(CampaignView::of(row, caller))),
                false => Err(Failure::refused(Refusal::NameTaken)),
            };
        }
        let stock = draft.stock.unwrap_or(0);
        let campaign = self.campaign_of(draft, now)?;
        // Before the code is written: until they know, other processes refuse long codes without a
        // read.
        if campaign.shared_code.as_ref().is_some_and(Code::is_long) {
            self.hot.announce_long_codes().await?;
        }
        let first_batch = match stock {
            0 => None,
            count => {
                let id = "first".parse().expect("a word makes a name");
                Some(MintOrder { id, count, key: self.newest_key()? })
            }
        };
        let new = NewCampaign { campaign, created_as, first_batch };
        let done = WriteResult::of(self.hot.create_campaign(new, &self.act(caller, None)).await?)?;
        Ok(done.map(|row| CampaignView::of(row, caller)))
    }

    /// Whether a draft would become a campaign, as far as one can say without the store.
    ///
    /// # Errors
    /// `Invalid` with every field that is wrong.
    pub fn check_draft(&self, caller: &Caller, draft: CampaignDraft) -> Result<()> {
        caller.must_be(&[Role::Admin])?;
        self.campaign_of(draft, self.now()).map(|_| ())
    }

    /// Changes the fields of a campaign that may change. The audit keeps the reason.
    ///
    /// # Errors
    /// `Invalid` for a limit that is not raised, an issue window that would be empty, or another benefit of coupons that
    /// somebody has; `NotLater`, `ExpiryDayClosed` and `HistoryFull` for an end that it cannot get; `OtherTag` if somebody
    /// has changed it since the caller read it.
    pub async fn patch_campaign(
        &self,
        caller: &Caller,
        id: &CampaignId,
        patch: CampaignPatch,
        reason: Option<Reason>,
    ) -> Result<CampaignView> {
        caller.must_be(&[Role::Admin])?;
        let mut faults = Vec::new();
        faults.extend(patch.name.as_ref().and_then(|name| bad_text("name", name)));
        let limit = patch.per_user_limit.flatten().map(u64::from);
        faults.extend(range("per_user_limit", limit, 1, PER_USER_LIMIT_MAX.into()));
        let benefit = patch.benefit.as_ref().and_then(Option::as_ref);
        faults.extend(benefit.iter().flat_map(|(benefit, title)| bad_benefit(benefit, title)));
        faults.extend(self.bad_budget(patch.budget.flatten()));
        faults.extend(patch.metadata.iter().flatten().find_map(|text| bad_metadata(text)));
        // In another zone the last day ends at most a day later.
        let end = patch.expires_on.map(|on| on.end(&Zone::utc()).plus_days(1));
        let field = end_field(patch.expires_on);
        faults.extend(end.or(patch.expires_at).and_then(|end| bad_end(field, end)));
        if patch.expires_on.is_some() && patch.expires_at.is_some() {
            faults.push(FieldFault::new("expires_on", TWO_ENDS));
        }
        if !faults.is_empty() {
            return Err(Failure::Invalid(faults));
        }
        let (window, worth) = (patch.issue_until.is_some(), patch.benefit.is_some());
        match self.hot.patch_campaign(id, patch, &self.act(caller, reason)).await? {
            Patched::Done(row) => {
                self.remember(&row.campaign, Instant::now());
                self.begin_extension(&row.campaign).await?;
                self.campaign_view(row, caller).await
            }
            Patched::NotFound => Err(Failure::refused(Refusal::NotFound)),
            Patched::LimitNotRaised { present } => {
                let present = present.map_or("without limit".into(), |limit| limit.to_string());
                let detail = format!("is {present} at present and can only be raised");
                Err(Failure::invalid("per_user_limit", detail))
            }
            Patched::NotExtended(refusal) => Err(Failure::refused(refusal)),
            Patched::WindowEmpty => Err(match window {
                true => Failure::invalid("issue_until", "is not after issue_from"),
                false => Failure::invalid("issue_from", "is not before issue_until"),
            }),
            Patched::WorthFixed => {
                let detail = "stays as it is, as the currency does, once a coupon was issued";
                Err(Failure::invalid(if worth { "benefit" } else { "currency" }, detail))
            }
            Patched::CurrencyMissing => Err(Failure::invalid("currency", CURRENCY_MISSING)),
            Patched::BudgetBelow { spent } => {
                let detail = format!("is below what redemptions cost so far, {spent}");
                Err(Failure::invalid("budget", detail))
            }
            Patched::OtherTag => Err(Failure::OtherTag),
        }
    }

    fn bad_budget(&self, budget: Option<u64>) -> Option<FieldFault> {
        let detail =
            "is kept by a store on one machine alone: leave it out, or pause the campaign in time";
        match budget? {
            _ if !self.hot.keeps_budgets() => Some(FieldFault::new("budget", detail)),
            budget => range("budget", Some(budget), 1, AMOUNT_MAX),
        }
    }

    /// The zone of the days of a request: the one that it names, else that of the campaign, else UTC.
    ///
    /// # Errors
    /// `NotFound` for the campaign.
    pub async fn zone_of_days(
        &self,
        campaign: Option<&CampaignId>,
        named: Option<Zone>,
    ) -> Result<Zone> {
        let of_campaign = match campaign {
            Some(id) => self.campaign_row(id).await?.campaign.zone.clone(),
            None => Zone::utc(),
        };
        Ok(named.unwrap_or(of_campaign))
    }

    /// # Errors
    /// `NotFound`.
    pub async fn campaign(&self, caller: &Caller, id: &CampaignId) -> Result<CampaignView> {
        self.campaign_view(self.campaign_row(id).await?, caller).await
    }

    async fn campaign_view(&self, row: CampaignRow, caller: &Caller) -> Result<CampaignView> {
        let view = CampaignView::of(row, caller);
        let extension = match caller.role {
            Role::User => None,
            Role::Shop | Role::Operator | Role::Admin => self.extension_of(&view.campaign).await?,
        };
        Ok(CampaignView { extension, ..view })
    }

    pub(crate) async fn campaign_row(&self, id: &CampaignId) -> Result<CampaignRow> {
        found(self.hot.campaign(id, self.now()).await?)
    }

    /// Reads campaigns in the order of their ids, after `after`; at most `limit`.
    ///
    /// # Errors
    /// `Forbidden` for users.
    pub async fn campaigns(
        &self,
        caller: &Caller,
        after: Option<CampaignId>,
        limit: usize,
    ) -> Result<Vec<CampaignView>> {
        caller.must_be(&[Role::Shop, Role::Operator, Role::Admin])?;
        let rows = self.hot.campaigns(after, limit.min(PAGE_MAX), self.now()).await?;
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            views.push(self.campaign_view(row, caller).await?);
        }
        Ok(views)
    }
}
