//! Issues a coupon: a named one, or the next of a campaign's stock.

use std::time::Duration;

use coupon::apply::Action;
use coupon::campaign::Handout;
use coupon::code::CodeText;
use coupon::ids::{CampaignId, IssueRef, UserId};
use coupon::refusal::Refusal;
use router::Found;

use crate::coupon_view::CouponView;
use crate::erasures::must_be_a_person;
use crate::failure::{Failure, Result, WriteResult};
use crate::{Caller, Engine, Role};

/// How long a limit of one coupon is taken for the present one, after another process may have raised it. To read it
/// before each issue took a quarter of the time of an issue outside of the writer.
const LIMIT_KNOWN_FOR: Duration = Duration::from_secs(1);

impl Engine {
    /// Issues a named coupon to a user. In a bearer campaign, users put the code that they know
    /// into their own wallet.
    ///
    /// # Errors
    /// The refusals of `issue`, and `LimitPerUser`.
    pub async fn issue_code(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
    ) -> Result<WriteResult<CouponView>> {
        let to = caller.acts_for(user)?;
        must_be_a_person(&to)?;
        let found = self.find(text).await?;
        let campaign = match &found {
            Found::Coupon(address) => &address.owner.campaign,
            Found::Shared { campaign } => campaign,
        };
        let bearer = self.handout(campaign).await? == Handout::Bearer;
        match (&found, caller.role) {
            (_, Role::User) if !bearer => return Err(Failure::refused(Refusal::NotFound)),
            (Found::Shared { .. }, _) => return Err(Failure::refused(Refusal::NotIssuable)),
            (Found::Coupon(_), _) => {}
        }
        let action = Action::Issue { to, reference: None, expires_at: None };
        let applied = self.hot.apply(&found, self.change(caller, action)).await?;
        let done = self.settled(caller, applied)?;
        Ok(done.map(|snapshot| self.view_of(caller, &snapshot, true)))
    }

    /// Issues a coupon of a campaign's stock. The answer is final.
    ///
    /// # Errors
    /// The refusals of `issue`, `SoldOut`, `LimitPerUser`, `NotIssuable`, and `NameTaken` for an
    /// `issue_ref` that stands for something else.
    pub async fn issue(
        &self,
        caller: &Caller,
        campaign: &CampaignId,
        user: Option<UserId>,
        reference: Option<IssueRef>,
    ) -> Result<WriteResult<CouponView>> {
        let to = caller.acts_for(user)?;
        must_be_a_person(&to)?;
        if caller.role == Role::User && self.handout(campaign).await? != Handout::SelfService {
            return Err(Failure::Forbidden(
                "the shop hands out this campaign's coupons: its users cannot take one".into(),
            ));
        }
        if reference.is_none() {
            self.one_is_enough(campaign).await?;
        }
        if let Some(code) = reference.as_ref().and_then(IssueRef::replaces) {
            let parsed = code.parse::<CodeText>();
            parsed.map_err(|error| Failure::invalid("issue_ref", error.to_string()))?;
        }
        let action = Action::Issue { to, reference, expires_at: None };
        let applied = self.hot.issue(campaign, self.change(caller, action)).await?;
        let done = self.settled(caller, applied)?;
        Ok(done.map(|snapshot| self.view_of(caller, &snapshot, true)))
    }

    /// Refuses a request without an `issue_ref` unless the limit is one coupon: otherwise nothing
    /// tells a repeat from a second request.
    async fn one_is_enough(&self, campaign: &CampaignId) -> Result<()> {
        let known = self.known(campaign, LIMIT_KNOWN_FOR).await?;
        match (known.handout, known.per_user_limit) {
            (Handout::Bearer, _) | (_, Some(1)) => Ok(()),
            (_, limit) => {
                let limit = limit.map_or("no limit".into(), |limit| format!("limit {limit}"));
                let detail = format!("is missing: the campaign has {limit}, so name the request");
                Err(Failure::invalid("issue_ref", detail))
            }
        }
    }
}
