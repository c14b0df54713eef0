//! Actions on a coupon, and their answers.

use api::views::{CancelledBody, CouponBody, CouponDetail, RedemptionBody};
use coupon::code::CodeText;
use coupon::ids::{CampaignId, IssueRef, OrderRef, Reason, RevokeRef, UserId};
use engine::{AdminChange, CouponView, Done, Engine, Expiry, Failure};
use serde::Serialize;
use serde_json::Value;

use crate::failure::CliError;
use crate::open;

/// What a command does with a coupon.
pub(super) enum CouponAction {
    Show { user: Option<UserId> },
    Issue { user: UserId, reference: Option<IssueRef> },
    Redeem { user: UserId, order: OrderRef },
    Release { order: OrderRef },
    Cancel { order: OrderRef, reason: Option<Reason> },
    Revoke { user: UserId, reference: Option<RevokeRef>, with: AdminChange },
    Void { with: AdminChange },
    Extend { expiry: Expiry, with: AdminChange },
}

/// The answer to an action.
pub(super) struct Answer {
    /// The answer of the HTTP interface.
    pub(super) body: Value,
    /// The detail in a list of results.
    pub(super) detail: String,
}

impl CouponAction {
    /// Whether the action only reads the store.
    pub(super) fn only_reads(&self) -> bool {
        matches!(self, CouponAction::Show { .. })
    }

    /// Applies the action to the coupon with this code.
    pub(super) async fn to(
        &self,
        engine: &Engine,
        code: &CodeText,
    ) -> Result<Done<Answer>, Failure> {
        let by = open::caller();
        Ok(match self {
            CouponAction::Show { user } => {
                let view = engine.coupon(&by, code, user.clone()).await?;
                let detail = state_of(&view);
                Done::Created(Answer { body: json(&CouponDetail::from(&view)), detail })
            }
            CouponAction::Issue { user, .. } => {
                coupon(engine.issue_code(&by, code, Some(user.clone())).await?)
            }
            CouponAction::Redeem { user, order } => {
                let done = engine.redeem(&by, code, Some(user.clone()), order.clone()).await?;
                done.map(|view| bare(json(&RedemptionBody::from(&view))))
            }
            CouponAction::Release { order } => {
                coupon(engine.release(&by, code, order.clone()).await?)
            }
            CouponAction::Cancel { order, reason } => {
                let done = engine.cancel_redemption(&by, code, order.clone(), reason.clone());
                done.await?.map(|(redemption, coupon)| {
                    let redemption = RedemptionBody::from(&redemption);
                    bare(json(&CancelledBody { redemption, coupon: CouponBody::from(&coupon) }))
                })
            }
            CouponAction::Revoke { user, reference, with } => {
                let done = engine.revoke(&by, code, user.clone(), reference.clone(), with.clone());
                coupon(done.await?)
            }
            CouponAction::Void { with } => coupon(engine.void(&by, code, with.clone()).await?),
            CouponAction::Extend { expiry, with } => {
                coupon(engine.extend(&by, code, expiry.clone(), with.clone()).await?)
            }
        })
    }

    /// Applies the action to the next coupon of a campaign's stock.
    pub(super) async fn to_stock(
        &self,
        engine: &Engine,
        campaign: &CampaignId,
    ) -> Result<Done<Answer>, CliError> {
        let CouponAction::Issue { user, reference } = self else {
            return Err(CliError::usage("only `coupon issue` takes --campaign: name a code"));
        };
        let (by, user) = (open::caller(), Some(user.clone()));
        let done = engine.issue(&by, campaign, user, reference.clone()).await;
        Ok(coupon(done.map_err(CliError::about(format!("campaign {campaign}")))?))
    }
}

fn coupon(done: Done<CouponView>) -> Done<Answer> {
    done.map(|view| bare(json(&CouponBody::from(&view))))
}

fn bare(body: Value) -> Answer {
    Answer { body, detail: String::new() }
}

/// An answer has only texts, numbers and maps of them, so it is always JSON.
fn json(body: &impl Serialize) -> Value {
    serde_json::to_value(body).unwrap_or_default()
}

fn state_of(view: &CouponView) -> String {
    let mut words = vec![view.coupon.state().as_str()];
    words.extend(view.expired.then_some("expired"));
    words.extend(view.paused.then_some("paused"));
    words.extend(view.held_until.map(|_| "held"));
    words.join(" ")
}
