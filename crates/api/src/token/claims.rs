//! What a token says, and why one is refused.

use coupon::ids::{BadName, UserId};
pub use engine::Role;

use super::key_rules::KID_BYTES_MAX;

pub(super) const LOCAL_ISSUER: &str = "couponry";

pub(super) const LOCAL_AUDIENCE: &str = "couponry";

/// Longest token looked at, in bytes. Ours have about 250; identity providers with many groups
/// stay below 2,000; hyper would let 64 KiB through to the JSON parser.
pub const TOKEN_BYTES_MAX: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenIssuer {
    Local,
    /// The configured identity provider.
    External,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenClaims {
    /// `sub`. Whether it may begin with `acc_` depends on `issuer` and is not decided here.
    pub subject: UserId,
    pub role: Role,
    /// Whose key the token was verified with.
    pub issuer: TokenIssuer,
    /// `exp`, exclusive.
    pub expires_at_ms: i64,
}

/// Why a token is refused. All but [`BadToken::KeysUnavailable`] mean 401. The text is for the
/// caller: it repeats what they sent, and says what they should have sent, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    #[error("token has {len} bytes, want at most {TOKEN_BYTES_MAX}")]
    TooLong { len: usize },
    /// Not `header.payload.signature` of base64url and JSON objects, or with an `alg` that nobody
    /// knows here, such as `none`.
    #[error("token is malformed: {what}")]
    Malformed { what: &'static str },
    #[error("token is not signed")]
    Unsigned,
    #[error("token is signed with {found:?}, want {wanted}")]
    Algorithm { found: String, wanted: String },
    /// Without `kid` there is no telling which of several keys is meant.
    #[error("token names no key, want a kid in its header")]
    NoKid,
    #[error("kid has {len} bytes, want at most {KID_BYTES_MAX}")]
    KidTooLong { len: usize },
    #[error("token is signed with an unknown key, kid {kid:?}")]
    UnknownKey { kid: String },
    #[error("token is signed with a retired key, kid {kid:?}; get a new token")]
    RetiredKey { kid: String },
    /// The token may be good: the identity provider's keys could not be fetched. 503, later.
    #[error("keys of the token's issuer cannot be fetched at the moment")]
    KeysUnavailable,
    #[error("signature of the token does not match")]
    Signature,
    /// A required claim is absent or null.
    #[error("token has no {claim}")]
    Missing { claim: &'static str },
    /// A claim has the wrong type or is out of range.
    #[error("{claim} of the token is not {wanted}")]
    ClaimType { claim: &'static str, wanted: &'static str },
    #[error("token is issued by {found:?}, want {wanted}")]
    Issuer { found: String, wanted: String },
    #[error("token is meant for {found:?}, want {wanted:?}")]
    Audience { found: String, wanted: String },
    #[error("sub {0}")]
    Subject(BadName),
    #[error("role is {found:?}, want user, shop, operator or admin")]
    Role { found: String },
    /// The claim with the role is absent, or a list without a role of ours.
    #[error(
        "token has no role in {claim}, want user, shop, operator or admin, or a list with one of them after couponry-"
    )]
    NoRole { claim: String },
    #[error("token expired at {exp_s}, it is {now_s} (seconds since 1970)")]
    Expired { exp_s: i64, now_s: i64 },
    #[error("token is not valid before {nbf_s}, it is {now_s} (seconds since 1970)")]
    NotYet { nbf_s: i64, now_s: i64 },
}
