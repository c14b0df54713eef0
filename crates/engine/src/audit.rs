//! Who changed what besides coupons, and when.

use coupon::ids::{Actor, CampaignId, Reason};
use hot::audit::{Act, AuditEntry, AuditEvent, Audited};

use crate::failure::Result;
use crate::pages::PAGE_MAX;
use crate::{Caller, Engine, Role};

impl Engine {
    /// Entries of the audit, newest first, behind the place `after`: of one campaign and its batches, or all.
    /// `None`: the store keeps none.
    ///
    /// # Errors
    /// `Forbidden` for users and shops; `NotFound` for the campaign.
    pub async fn audit(
        &self,
        caller: &Caller,
        campaign: Option<&CampaignId>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Option<Vec<Audited>>> {
        caller.must_be(&[Role::Operator, Role::Admin])?;
        let Some(audit) = self.hot.audit() else { return Ok(None) };
        if let Some(id) = campaign {
            self.campaign_row(id).await?;
        }
        Ok(Some(audit.audit(campaign.cloned(), after, limit.min(PAGE_MAX)).await?))
    }

    /// Enters something that `caller` has done outside of the store. Does nothing if the store keeps no audit.
    pub async fn record(&self, caller: &Caller, event: AuditEvent) -> Result<()> {
        match self.hot.audit() {
            Some(audit) => {
                let act = self.act(caller, None);
                Ok(audit.record(AuditEntry { act, event }).await?)
            }
            None => Ok(()),
        }
    }

    /// The same for what has happened: where the audit takes no entry, the log says so.
    pub async fn record_done(&self, caller: &Caller, event: AuditEvent) {
        let kind = event.kind;
        if let Err(error) = self.record(caller, event).await {
            tracing::error!(?error, kind = kind.as_str(), "the audit has no entry of this");
        }
    }

    pub(crate) fn act(&self, caller: &Caller, reason: Option<Reason>) -> Act {
        Act { actor: Actor::new(&caller.to_string()), at: self.now(), reason }
    }
}
