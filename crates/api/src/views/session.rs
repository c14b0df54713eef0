//! The session of somebody who signed in.

use serde::Serialize;
use utoipa::ToSchema;

/// A token for whoever signed in.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionBody {
    /// The user that the token is for.
    pub(crate) user_id: String,
    /// The token, for the header `Authorization: Bearer TOKEN`.
    pub(crate) token: String,
    /// When the token expires.
    pub(crate) expires_at: String,
}
