//! The session of a user who signed in.

use serde::Serialize;
use utoipa::ToSchema;

/// The token of a user who signed in.
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
