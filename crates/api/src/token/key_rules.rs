//! Which keys can be used with which algorithms, and why one cannot.

use std::fmt;

use jsonwebtoken::Algorithm;

/// Shortest secret accepted, in bytes: the output of SHA-256, as RFC 7518 wants for HS256. The
/// library below would take an empty one.
pub const SECRET_BYTES_MIN: usize = 32;

/// Longest key id, in bytes: an id is looked up and logged, and a hash in hex fits.
pub(super) const KID_BYTES_MAX: usize = 64;

/// Found at start, so the text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("secret of key {kid:?} has {len} bytes, want at least {SECRET_BYTES_MIN}")]
    Secret { kid: String, len: usize },
    #[error("key id has {len} bytes, want 1 to {KID_BYTES_MAX} visible ASCII characters")]
    Kid { len: usize },
    /// Two keys with one id: a token would not say which one it means.
    #[error("two keys have the id {kid:?}")]
    Twice { kid: String },
    #[error("no key left to sign with, want one that is not retired")]
    NoneActive,
    #[error("algorithm is {found:?}, want RS256, ES256 or EdDSA")]
    Algorithm { found: String },
    #[error("not a public key for {wanted} in PEM form (BEGIN PUBLIC KEY)")]
    Pem { wanted: PublicAlgorithm },
    #[error("found a private key, want the public one: the private key stays with its issuer")]
    Private,
    #[error("outside issuer is named {found:?}, want a name that is neither empty nor ours")]
    IssuerName { found: String },
    #[error("audience of the outside issuer is empty")]
    AudienceName,
    #[error("self-test of the token keys failed: {why}")]
    SelfTest { why: String },
}

/// An algorithm of an external issuer: asymmetric, so that verifying a token never means being
/// able to make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2,048 to 8,192 bits.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl PublicAlgorithm {
    pub(super) fn to_jwt(self) -> Algorithm {
        match self {
            PublicAlgorithm::Rs256 => Algorithm::RS256,
            PublicAlgorithm::Es256 => Algorithm::ES256,
            PublicAlgorithm::EdDsa => Algorithm::EdDSA,
        }
    }
}

impl fmt::Display for PublicAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_jwt())
    }
}
