//! The request that signs somebody up or in.

use serde::Deserialize;
use utoipa::ToSchema;

/// A login and its password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The login: 1 to 128 bytes of visible characters, for example an e-mail address.
    pub(crate) login_id: String,
    /// The password: 8 characters at least, and 128 bytes at most.
    #[schema(min_length = 8, max_length = 128, format = Password)]
    pub(crate) password: String,
}
