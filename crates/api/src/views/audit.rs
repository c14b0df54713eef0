//! Entries of the audit.

use coupon::calendar::format_instant;
use engine::{Audited, FieldChange};
use serde::Serialize;
use utoipa::ToSchema;

use crate::closed;

/// Something that was done to a campaign, a batch or the store itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct AuditBody {
    /// What was done.
    #[schema(value_type = closed::AuditType)]
    r#type: &'static str,
    /// When it was done.
    at: String,
    /// Who did it, `role:name`.
    actor: String,
    /// The campaign. Null: the store itself.
    campaign_id: Option<String>,
    /// The batch, if it was one.
    batch_id: Option<String>,
    /// Why, if the caller said it.
    reason: Option<String>,
    /// What is different now. A pause has none.
    #[schema(max_items = 50)]
    changes: Vec<FieldChangeBody>,
}

/// A field before and after a change: instants, numbers and JSON as text.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FieldChange)]
pub struct FieldChangeBody {
    /// The name of the field.
    field: String,
    /// Its value before. Null: it had none.
    from: Option<String>,
    /// Its value now. Null: it has none.
    to: Option<String>,
}

impl From<FieldChange> for FieldChangeBody {
    fn from(change: FieldChange) -> FieldChangeBody {
        FieldChangeBody { field: change.field, from: change.from, to: change.to }
    }
}

impl From<&Audited> for AuditBody {
    fn from(audited: &Audited) -> AuditBody {
        let (act, event) = (&audited.entry.act, &audited.entry.event);
        AuditBody {
            r#type: event.kind.as_str(),
            at: format_instant(act.at),
            actor: act.actor.as_str().to_owned(),
            campaign_id: event.campaign.as_ref().map(ToString::to_string),
            batch_id: event.batch.as_ref().map(ToString::to_string),
            reason: act.reason.as_ref().map(|reason| reason.as_str().to_owned()),
            changes: event.changes.iter().cloned().map(FieldChangeBody::from).collect(),
        }
    }
}
