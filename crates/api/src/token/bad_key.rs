//! Why a key cannot be used.

use super::local_keys::{KID_BYTES_MAX, SECRET_BYTES_MIN};
use super::public_key::PublicAlgorithm;

/// Why a key cannot be used. Found at start, so the text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// The secret is short enough to be guessed.
    #[error("secret of key {kid:?} has {len} bytes, want at least {SECRET_BYTES_MIN}")]
    Secret {
        /// Whose secret.
        kid: String,
        /// How long it is.
        len: usize,
    },
    /// The id is empty, too long, or has blanks.
    #[error("key id has {len} bytes, want 1 to {KID_BYTES_MAX} visible ASCII characters")]
    Kid {
        /// How long it is.
        len: usize,
    },
    /// Two keys with one id: a token would not say which one it means.
    #[error("two keys have the id {kid:?}")]
    Twice {
        /// The id.
        kid: String,
    },
    /// Every key is retired, or there is none.
    #[error("no key left to sign with, want one that is not retired")]
    NoneActive,
    /// The name is not an algorithm that an external issuer may use.
    #[error("algorithm is {found:?}, want RS256, ES256 or EdDSA")]
    Algorithm {
        /// What was asked for.
        found: String,
    },
    /// The text is not a public key in PEM form for that algorithm.
    #[error("not a public key for {wanted} in PEM form (BEGIN PUBLIC KEY)")]
    Pem {
        /// What the key should be good for.
        wanted: PublicAlgorithm,
    },
    /// The file holds the other half of the key pair.
    #[error("found a private key, want the public one: the private key stays with its issuer")]
    Private,
    /// The external issuer has the name of this server, or none.
    #[error("outside issuer is named {found:?}, want a name that is neither empty nor ours")]
    IssuerName {
        /// The name.
        found: String,
    },
    /// The audience of the external issuer is empty.
    #[error("audience of the outside issuer is empty")]
    AudienceName,
    /// The crypto provider does not sign, or does not verify what it signed.
    #[error("self-test of the token keys failed: {why}")]
    SelfTest {
        /// What happened.
        why: String,
    },
}
