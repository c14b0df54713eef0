//! A batch, or what an import into one would do.

use coupon::calendar::format_instant;
use coupon::campaign::{Batch, BatchKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::dry_run::DryRunBody;
use crate::closed;

/// Coupons that came into a campaign together.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Batch)]
pub struct BatchBody {
    /// The id of the batch, unique within its campaign.
    batch_id: String,
    /// The campaign that it belongs to.
    campaign_id: String,
    /// Where its codes come from.
    #[schema(value_type = closed::BatchKind)]
    kind: &'static str,
    /// How many coupons it has.
    count: u64,
    /// Whether it is paused.
    paused: bool,
    /// How many lines the last imported file has. In a minted batch, `lines`, `imported`,
    /// `already_there` and `rejected` are null.
    lines: Option<u64>,
    /// How many lines created a coupon, or moved one forward (available, issued, then redeemed or
    /// void).
    imported: Option<u64>,
    /// How many lines said nothing new.
    already_there: Option<u64>,
    /// How many lines were rejected. `imported`, `already_there` and `rejected` add up to `lines`.
    rejected: Option<u64>,
    /// When the batch was created.
    created_at: String,
}

impl From<&Batch> for BatchBody {
    fn from(batch: &Batch) -> BatchBody {
        let import = match batch.kind {
            BatchKind::Minted(_) => None,
            BatchKind::Imported => Some(batch.import),
        };
        BatchBody {
            batch_id: batch.id.to_string(),
            campaign_id: batch.campaign.to_string(),
            kind: batch.kind.as_str(),
            count: batch.count,
            paused: batch.paused,
            lines: import.map(|counts| counts.lines),
            imported: import.map(|counts| counts.imported),
            already_there: import.map(|counts| counts.already_there),
            rejected: import.map(|counts| counts.rejected),
            created_at: format_instant(batch.created_at),
        }
    }
}

/// A batch, or with `dry_run=true` what an import into one would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BatchOrDryRun)]
#[serde(untagged)]
pub enum BatchOrDryRun {
    /// The batch.
    Batch(BatchBody),
    /// What the dry run found.
    DryRun(DryRunBody),
}

impl From<&Batch> for BatchOrDryRun {
    fn from(batch: &Batch) -> BatchOrDryRun {
        BatchOrDryRun::Batch(BatchBody::from(batch))
    }
}
