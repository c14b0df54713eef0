//! Requests about people.

use coupon::ids::BatchId;
use engine::ErasureRequest;
use serde::Deserialize;
use utoipa::ToSchema;

use super::FieldReader;
use crate::problem::Result;

/// Why a person is forgotten.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseRequest {
    /// Your name for the request. The server makes one if it is left out.
    pub(crate) erasure_id: Option<String>,
    /// Why, for who looks at the erasure later.
    reason: String,
    /// Whether the server compacts as soon as the hot store is done, in place of the next time.
    #[serde(default)]
    now: bool,
}

impl EraseRequest {
    pub(crate) fn read(self) -> Result<ErasureRequest> {
        let mut reading = FieldReader::default();
        let reason = reading.must("reason", Some(&self.reason));
        let _: Option<BatchId> = reading.may("erasure_id", self.erasure_id.as_deref());
        let (id, is_urgent) = (self.erasure_id, self.now);
        reading.done(reason.map(|reason| ErasureRequest { id, reason, is_urgent }))
    }
}
