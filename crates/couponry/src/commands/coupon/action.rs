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

impl Call {
    /// Does it with the coupon that has this code.
    pub(super) async fn to(
        &self,
        engine: &Engine,
        code: &CodeText,
    ) -> Result<Done<Value>, Failure> {
        let by = open::caller();
        Ok(match self {
            Call::Show { user, .. } => {
                let view = engine.coupon(&by, code, user.clone()).await?;
                Done::Created(json(&CouponDetail::from(&view)))
            }
            Call::Check { user, order, .. } => {
                let view = engine.check(&by, code, Some(user.clone()), order.clone()).await?;
                Done::Created(json(&CheckBody::from(&view)))
            }
            Call::Issue { user, .. } => {
                coupon(engine.issue_code(&by, code, Some(user.clone())).await?)
            }
            Call::Redeem { user, order, .. } => {
                let done = engine.redeem(&by, code, Some(user.clone()), order.clone()).await?;
                done.map(|view| json(&RedemptionBody::from(&view)))
            }
            Call::Release { order, .. } => {
                coupon(engine.release(&by, code, None, order.clone()).await?)
            }
            Call::CancelRedemption { order, reason, .. } => {
                let done = engine.cancel_redemption(&by, code, None, order.clone(), reason.clone());
                done.await?.map(|(redemption, coupon)| {
                    let redemption = RedemptionBody::from(&redemption);
                    json(&CancelledBody { redemption, coupon: CouponBody::from(&coupon) })
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
    ) -> Result<Done<Value>, CliError> {
        let Call::Issue { user, issue_ref, .. } = self else {
            return Err(CliError::usage("only `coupon issue` takes --campaign: name a code"));
        };
        let (by, user) = (open::caller(), Some(user.clone()));
        let done = engine.issue(&by, campaign, user, issue_ref.clone()).await;
        Ok(coupon(done.map_err(CliError::about(format!("campaign {campaign}")))?))
    }
}

/// The detail of an answer in a list of results: the state of a coupon, or what a check found.
pub(super) fn detail(call: &Call, body: &Value) -> String {
    match call {
        Call::Show { .. } => {
            let mut words = vec![body["state"].as_str().unwrap_or_default()];
            words.extend((body["expired"] == true).then_some("expired"));
            words.extend((body["paused"] == true).then_some("paused"));
            words.extend(body["held_until"].is_string().then_some("held"));
            words.join(" ")
        }
        Call::Check { .. } if body["redeemable"] == true => "redeemable".to_owned(),
        Call::Check { .. } => body["refusal"].as_str().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

fn coupon(done: Done<CouponView>) -> Done<Value> {
    done.map(|view| json(&CouponBody::from(&view)))
}

/// An answer has only texts, numbers and maps of them, so it is always JSON.
fn json(body: &impl Serialize) -> Value {
    serde_json::to_value(body).unwrap_or_default()
}
