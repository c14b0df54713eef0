//! One thing that is done with a coupon.

use api::views::{CancelledBody, CouponBody, CouponDetail, RedemptionBody};
use coupon::code::CodeText;
use coupon::ids::{CampaignId, IssueRef, OrderRef, Reason, RevokeRef, UserId};
use engine::{AdminChange, CouponView, Done, Engine, Expiry, Failure};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Sorry;
use crate::open;

/// What is done.
pub(super) enum Deed {
    Show { user: Option<UserId> },
    Issue { user: UserId, reference: Option<IssueRef> },
    Redeem { user: UserId, order: OrderRef },
    Release { order: OrderRef },
    Cancel { order: OrderRef, reason: Option<Reason> },
    Revoke { user: UserId, reference: Option<RevokeRef>, with: AdminChange },
    Void { with: AdminChange },
    Extend { expiry: Expiry, with: AdminChange },
}

/// What came of it.
pub(super) struct Answer {
    /// As the HTTP interface answers it.
    pub(super) body: Value,
    /// A word about it, for a list.
    pub(super) detail: String,
}

impl Deed {
    /// Whether the store is only read.
    pub(super) fn only_reads(&self) -> bool {
        matches!(self, Deed::Show { .. })
    }

    /// Does it to the coupon behind `code`.
    pub(super) async fn to(
        &self,
        engine: &Engine,
        code: &CodeText,
    ) -> Result<Done<Answer>, Failure> {
        let by = open::caller();
        Ok(match self {
            Deed::Show { user } => {
                let view = engine.coupon(&by, code, user.clone()).await?;
                let detail = standing(&view);
                Done::Created(Answer { body: json(&CouponDetail::from(&view)), detail })
            }
            Deed::Issue { user, .. } => {
                coupon(engine.issue_code(&by, code, Some(user.clone())).await?)
            }
            Deed::Redeem { user, order } => {
                let done = engine.redeem(&by, code, Some(user.clone()), order.clone()).await?;
                done.map(|view| bare(json(&RedemptionBody::from(&view))))
            }
            Deed::Release { order } => coupon(engine.release(&by, code, order.clone()).await?),
            Deed::Cancel { order, reason } => {
                let done = engine.cancel_redemption(&by, code, order.clone(), reason.clone());
                done.await?.map(|(redemption, coupon)| {
                    let redemption = RedemptionBody::from(&redemption);
                    bare(json(&CancelledBody { redemption, coupon: CouponBody::from(&coupon) }))
                })
            }
            Deed::Revoke { user, reference, with } => {
                let done = engine.revoke(&by, code, user.clone(), reference.clone(), with.clone());
                coupon(done.await?)
            }
            Deed::Void { with } => coupon(engine.void(&by, code, with.clone()).await?),
            Deed::Extend { expiry, with } => {
                coupon(engine.extend(&by, code, expiry.clone(), with.clone()).await?)
            }
        })
    }

    /// Does it to the next coupon of a campaign's stock.
    pub(super) async fn to_stock(
        &self,
        engine: &Engine,
        campaign: &CampaignId,
    ) -> Result<Done<Answer>, Sorry> {
        let Deed::Issue { user, reference } = self else {
            return Err(Sorry::wrong_call("only issue takes from the stock of a campaign"));
        };
        let (by, user) = (open::caller(), Some(user.clone()));
        let done = engine.issue(&by, campaign, user, reference.clone()).await;
        Ok(coupon(done.map_err(Sorry::about(format!("campaign {campaign}")))?))
    }
}

fn coupon(done: Done<CouponView>) -> Done<Answer> {
    done.map(|view| bare(json(&CouponBody::from(&view))))
}

fn bare(body: Value) -> Answer {
    Answer { body, detail: String::new() }
}

/// An answer is made of texts, numbers and maps of them, so it is JSON.
fn json(body: &impl Serialize) -> Value {
    serde_json::to_value(body).unwrap_or_default()
}

fn standing(view: &CouponView) -> String {
    let mut words = vec![view.coupon.state().word()];
    words.extend(view.expired.then_some("expired"));
    words.extend(view.paused.then_some("paused"));
    words.extend(view.held_until.map(|_| "held"));
    words.join(" ")
}
