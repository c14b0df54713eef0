//! What each command does with a coupon, and its answer.

use api::views::{CancelledBody, CheckBody, CouponBody, CouponDetail, RedemptionBody};
use coupon::code::CodeText;
use coupon::ids::CampaignId;
use engine::{CouponView, Done, Engine, Failure};
use serde::Serialize;
use serde_json::Value;

use super::calls::Call;
use crate::failure::CliError;
use crate::open;

/// The answer to a command.
pub(super) struct Answer {
    /// The answer of the HTTP interface.
    pub(super) body: Value,
    /// The detail in a list of results.
    pub(super) detail: String,
}

impl Call {
    /// Does it with the coupon that has this code.
    pub(super) async fn to(
        &self,
        engine: &Engine,
        code: &CodeText,
    ) -> Result<Done<Answer>, Failure> {
        let by = open::caller();
        Ok(match self {
            Call::Show { user, .. } => {
                let view = engine.coupon(&by, code, user.clone()).await?;
                let detail = state_of(&view);
                Done::Created(Answer { body: json(&CouponDetail::from(&view)), detail })
            }
            Call::Check { user, order, .. } => {
                let view = engine.check(&by, code, Some(user.clone()), order.clone()).await?;
                let body = json(&CheckBody::from(&view));
                let detail = check_detail(&body);
                Done::Created(Answer { body, detail })
            }
            Call::Issue { user, .. } => {
                coupon(engine.issue_code(&by, code, Some(user.clone())).await?)
            }
            Call::Redeem { user, order, .. } => {
                let done = engine.redeem(&by, code, Some(user.clone()), order.clone()).await?;
                done.map(|view| bare(json(&RedemptionBody::from(&view))))
            }
            Call::Release { order, .. } => coupon(engine.release(&by, code, order.clone()).await?),
            Call::CancelRedemption { order, reason, .. } => {
                let done = engine.cancel_redemption(&by, code, order.clone(), reason.clone());
                done.await?.map(|(redemption, coupon)| {
                    let redemption = RedemptionBody::from(&redemption);
                    bare(json(&CancelledBody { redemption, coupon: CouponBody::from(&coupon) }))
                })
            }
            Call::Revoke { user, revoke_ref, why, .. } => {
                let (user, reference) = (user.clone(), revoke_ref.clone());
                coupon(engine.revoke(&by, code, user, reference, why.change()).await?)
            }
            Call::Void { why, .. } => coupon(engine.void(&by, code, why.change()).await?),
            Call::Extend { until, why, .. } => {
                coupon(engine.extend(&by, code, until.expiry()?, why.change()).await?)
            }
        })
    }

    /// Does it with the next coupon of a campaign's stock.
    pub(super) async fn to_stock(
        &self,
        engine: &Engine,
        campaign: &CampaignId,
    ) -> Result<Done<Answer>, CliError> {
        let Call::Issue { user, issue_ref, .. } = self else {
            return Err(CliError::usage("only `coupon issue` takes --campaign: name a code"));
        };
        let (by, user) = (open::caller(), Some(user.clone()));
        let done = engine.issue(&by, campaign, user, issue_ref.clone()).await;
        Ok(coupon(done.map_err(CliError::about(format!("campaign {campaign}")))?))
    }
}

/// What a check found, in a list of results.
pub(super) fn check_detail(body: &Value) -> String {
    match body["redeemable"] == true {
        true => "redeemable".to_owned(),
        false => body["refusal"].as_str().unwrap_or_default().to_owned(),
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
