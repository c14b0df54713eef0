//! Requests about people.

use coupon::ids::{BatchId, Reason};
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
}

impl EraseRequest {
    pub(crate) fn read(&self) -> Result<Reason> {
        let mut reading = FieldReader::default();
        let reason = reading.must("reason", Some(&self.reason));
        if let Some(id) = self.erasure_id.as_deref() {
            let _: Option<BatchId> = reading.may("erasure_id", Some(id));
        }
        reading.done(reason)
    }
}
