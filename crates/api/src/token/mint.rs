//! Local tokens: the only place that signs any.

use coupon::ids::{BadName, UserId};
use jsonwebtoken::{Algorithm, Header};
use serde_json::json;

use super::claims::{LOCAL_AUDIENCE, LOCAL_ISSUER, Role};
use super::local_keys::LocalKeys;

/// Longest life that [`super::TokenService::mint`] gives, in milliseconds: 366 days. A token cannot be
/// called back but by retiring its key, so a shop's back end gets a new one at least once a year.
pub const TTL_MS_MAX: i64 = 366 * 24 * 3_600 * 1_000;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMint {
    /// No token for such a name would verify.
    #[error("subject {0}")]
    Subject(BadName),
    /// Dead at once, or too long to be out of reach.
    #[error("token would live {ttl_ms} ms, want 1 to {TTL_MS_MAX}")]
    Ttl { ttl_ms: i64 },
    /// The crypto provider failed; cannot happen after the self-test.
    #[error("token could not be signed: {why}")]
    Signing { why: String },
}

/// A token, and its `exp` in milliseconds.
pub(super) fn sign(
    keys: &LocalKeys,
    subject: &str,
    role: Role,
    ttl_ms: i64,
    now_ms: i64,
) -> Result<(String, i64), BadMint> {
    let subject: UserId = subject.parse().map_err(BadMint::Subject)?;
    if !(1..=TTL_MS_MAX).contains(&ttl_ms) {
        return Err(BadMint::Ttl { ttl_ms });
    }
    let iat = now_ms.div_euclid(1_000);
    let exp = now_ms.saturating_add(ttl_ms).saturating_add(999).div_euclid(1_000);
    let signing = keys.signing();
    let header = Header { kid: Some(signing.kid.clone()), ..Header::new(Algorithm::HS256) };
    let claims = json!({
        "iss": LOCAL_ISSUER, "aud": LOCAL_AUDIENCE, "sub": subject.as_str(), "role": role.as_str(),
        "iat": iat, "exp": exp,
    });
    jsonwebtoken::encode(&header, &claims, &signing.key)
        .map(|token| (token, exp.saturating_mul(1_000)))
        .map_err(|error| BadMint::Signing { why: error.to_string() })
}
