//! What a token says, and why one is refused.

use coupon::ids::{BadName, UserId};
pub use engine::Role;

use super::local_keys::KID_BYTES_MAX;

/// The `iss` of local tokens.
pub const LOCAL_ISSUER: &str = "couponry";

/// The `aud` of local tokens.
pub const LOCAL_AUDIENCE: &str = "couponry";

/// Longest token looked at, in bytes. Ours have about 250; identity providers with many groups
/// stay below 2,000; hyper would let 64 KiB through to the JSON parser.
pub const TOKEN_BYTES_MAX: usize = 4096;

/// Who signed a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Issuer {
    /// We did.
    Local,
    /// The configured identity provider did.
    External,
}

/// What a valid token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `sub`. Whether it may begin with `acc_` depends on `issuer` and is not decided here.
    pub subject: UserId,
    /// `role`.
    pub role: Role,
    /// Whose key the token was verified with.
    pub issuer: Issuer,
    /// `exp`, exclusive.
    pub expires_at_ms: i64,
}

/// Why a token is refused. All but [`BadToken::KeysUnavailable`] mean 401. The text is for the
/// caller: it repeats what they sent, and says what they should have sent, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Not looked at any further.
    #[error("token has {len} bytes, want at most {TOKEN_BYTES_MAX}")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// Not `header.payload.signature` of base64url and JSON objects, or with an `alg` that nobody
    /// knows here, such as `none`.
    #[error("token is malformed: {what}")]
    Malformed {
        /// Where it went wrong.
        what: &'static str,
    },
    /// The signature is empty.
    #[error("token is not signed")]
    Unsigned,
    /// `alg` is not the one of the key.
    #[error("token is signed with {found:?}, want {wanted}")]
    Algorithm {
        /// `alg` of the token.
        found: String,
        /// The algorithm of the key.
        wanted: String,
    },
    /// Without `kid` there is no telling which of several keys is meant.
    #[error("token names no key, want a kid in its header")]
    NoKid,
    /// Not looked up.
    #[error("kid has {len} bytes, want at most {KID_BYTES_MAX}")]
    KidTooLong {
        /// Its length.
        len: usize,
    },
    /// The issuer has no such key.
    #[error("token is signed with an unknown key, kid {kid:?}")]
    UnknownKey {
        /// The id.
        kid: String,
    },
    /// The key was one of ours, once.
    #[error("token is signed with a retired key, kid {kid:?}; get a new token")]
    RetiredKey {
        /// The id.
        kid: String,
    },
    /// The token may be good: the identity provider's keys could not be fetched. 503, later.
    #[error("keys of the token's issuer cannot be fetched at the moment")]
    KeysUnavailable,
    /// Signed by somebody else, or changed since.
    #[error("signature of the token does not match")]
    Signature,
    /// A required claim is absent or null.
    #[error("token has no {claim}")]
    Missing {
        /// Its name.
        claim: &'static str,
    },
    /// A claim has the wrong type or is out of range.
    #[error("{claim} of the token is not {wanted}")]
    ClaimType {
        /// Its name.
        claim: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// `iss` is nobody whose tokens are accepted here.
    #[error("token is issued by {found:?}, want {wanted}")]
    Issuer {
        /// `iss` of the token.
        found: String,
        /// Those accepted.
        wanted: String,
    },
    /// The token is meant for another service.
    #[error("token is meant for {found:?}, want {wanted:?}")]
    Audience {
        /// `aud` of the token.
        found: String,
        /// The one accepted.
        wanted: String,
    },
    /// `sub` is no `user_id`.
    #[error("sub {0}")]
    Subject(BadName),
    /// `role` is none of ours.
    #[error("role is {found:?}, want user, shop, operator or admin")]
    Role {
        /// `role` of the token.
        found: String,
    },
    /// The claim with the role is absent, or a list without a role of ours.
    #[error(
        "token has no role in {claim}, want user, shop, operator or admin, or a list with one of them after couponry-"
    )]
    NoRole {
        /// Its name.
        claim: String,
    },
    /// `exp` has come.
    #[error("token expired at {exp_s}, it is {now_s} (seconds since 1970)")]
    Expired {
        /// `exp`.
        exp_s: i64,
        /// The clock.
        now_s: i64,
    },
    /// `nbf` has not come.
    #[error("token is not valid before {nbf_s}, it is {now_s} (seconds since 1970)")]
    NotYet {
        /// `nbf`.
        nbf_s: i64,
        /// The clock.
        now_s: i64,
    },
}
