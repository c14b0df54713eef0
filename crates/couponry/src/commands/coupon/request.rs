//! The request of each command.

use coupon::ids::CampaignId;
use serde_json::{Value, json};

use super::calls::Call;
use crate::client::{Refused, Repeat, Reply, ServiceClient};
use crate::failure::CliError;

impl Call {
    /// Does it with the coupon that has this code.
    pub(super) async fn send(&self, service: &ServiceClient, code: &str) -> Result<Reply, Refused> {
        if let Call::Show { user, .. } = self {
            let query = user.iter().map(|it| ("user_id", it.to_string())).collect::<Vec<_>>();
            let body = service.get(&["coupons", code], &query).await?;
            return Ok(Reply { is_replay: false, body });
        }
        let (call, body) = self.request();
        let mut repeat = Repeat::Harmless;
        if let Call::Revoke { revoke_ref: None, .. } = self
            && body["version"].is_null()
        {
            // Its repeat could revoke the coupon from somebody who got it in between.
            repeat = Repeat::Harmful;
        }
        service.post(&["coupons", code, call], &body, repeat).await
    }

    /// Does it with the next coupon of a campaign's stock.
    pub(super) async fn send_to_stock(
        &self,
        service: &ServiceClient,
        campaign: &CampaignId,
    ) -> Result<Reply, CliError> {
        let Call::Issue { user, issue_ref, .. } = self else {
            return Err(CliError::usage("only `coupon issue` takes --campaign: name a code"));
        };
        let issue_ref = issue_ref.as_ref().map(|it| it.as_str());
        let body = json!({"user_id": user.as_str(), "issue_ref": issue_ref});
        let path = ["campaigns", campaign.as_str(), "issue"];
        let issued = service.post(&path, &body, Repeat::Harmless).await;
        issued.map_err(Refused::about(format!("campaign {campaign}")))
    }

    /// The last part of its path, and its body.
    fn request(&self) -> (&'static str, Value) {
        match self {
            Call::Show { .. } => ("", Value::Null),
            Call::Check { user, order, .. } => {
                ("check", json!({"user_id": user.as_str(), "order_ref": order.as_str()}))
            }
            Call::Issue { user, .. } => ("issue", json!({"user_id": user.as_str()})),
            Call::Redeem { user, order, .. } => {
                ("redeem", json!({"user_id": user.as_str(), "order_ref": order.as_str()}))
            }
            Call::Release { order, .. } => ("release", json!({"order_ref": order.as_str()})),
            Call::CancelRedemption { order, reason, .. } => {
                let reason = reason.as_ref().map(|it| it.as_str());
                ("cancel-redemption", json!({"order_ref": order.as_str(), "reason": reason}))
            }
            Call::Revoke { user, revoke_ref, why, .. } => {
                let mut body = why.body();
                body["user_id"] = json!(user.as_str());
                body["revoke_ref"] = json!(revoke_ref.as_ref().map(|it| it.as_str()));
                ("revoke", body)
            }
            Call::Void { why, .. } => ("void", why.body()),
            Call::Extend { until, why, .. } => {
                let mut body = why.body();
                until.write_into(&mut body);
                ("extend", body)
            }
        }
    }
}
