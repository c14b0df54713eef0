//! Requests that create and change batches.

use coupon::ids::{BatchId, Reason};
use engine::BatchRequest;
use serde::Deserialize;
use utoipa::ToSchema;

use super::FieldReader;
use crate::problem::Result;

/// A batch to mint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBatch {
    /// The id of the batch, unique within the campaign. If it is left out, the server chooses one.
    pub(crate) batch_id: Option<String>,
    /// How many coupons to mint: 1 to 100,000,000,000. This is one small write for any number.
    #[schema(minimum = 1)]
    count: u64,
}

impl NewBatch {
    pub(crate) fn into_request(self) -> Result<BatchRequest> {
        let mut reading = FieldReader::default();
        let id = reading.may::<BatchId>("batch_id", self.batch_id.as_deref());
        reading.done(Some(BatchRequest { id, count: self.count }))
    }
}

/// The changes of a batch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchChanges {
    /// `true` pauses the coupons of the batch, `false` resumes them.
    pub(crate) paused: bool,
    /// The reason, for people who read the audit later: 1 to 200 bytes.
    reason: Option<String>,
}

impl BatchChanges {
    pub(crate) fn reason(&self) -> Result<Option<Reason>> {
        let mut reading = FieldReader::default();
        let reason = reading.may("reason", self.reason.as_deref());
        reading.done(Some(reason))
    }
}
