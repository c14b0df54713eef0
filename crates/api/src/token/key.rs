//! Keys that tokens are signed and verified with. A key knows its own algorithm; nothing in a
//! token can change it.
//!
//! [`LocalKeys`] are ours: HS256 secrets, of which the newest active one signs. A [`PublicKey`]
//! belongs to an outside issuer and only verifies.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};

use super::visible;

/// Shortest secret accepted, in bytes: the output of SHA-256, as RFC 7518 wants for HS256. The
/// library below would take an empty one.
pub const SECRET_BYTES_MIN: usize = 32;

/// Longest key id, in bytes: an id is looked up and logged, and a hash in hex fits.
pub const KID_BYTES_MAX: usize = 64;

/// Shortest RSA modulus, in bytes (2,048 bits): ring verifies nothing below it, so a shorter key
/// would refuse every token without saying why.
const RSA_BYTES_MIN: usize = 256;

/// Shortest DER of such a key: 256 bytes of modulus, its sign byte, the exponent 3, and headers.
const RSA_DER_BYTES_MIN: usize = 268;

/// An uncompressed point of P-256: 0x04, x and y, in bytes.
const P256_POINT_BYTES: usize = 65;

/// An Ed25519 public key, in bytes.
const ED25519_BYTES: usize = 32;

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
    /// The name is not an algorithm that an outside issuer may use.
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
    /// The outside issuer is called as we are, or has no name.
    #[error("outside issuer is named {found:?}, want a name that is neither empty nor ours")]
    IssuerName {
        /// The name.
        found: String,
    },
    /// The outside issuer's audience is empty.
    #[error("audience of the outside issuer is empty")]
    AudienceName,
    /// The crypto provider does not sign, or does not verify what it signed.
    #[error("self-test of the token keys failed: {why}")]
    SelfTest {
        /// What happened.
        why: String,
    },
}

/// One of our keys.
#[derive(Clone)]
pub struct LocalKey {
    kid: String,
    state: LocalState,
}

#[derive(Clone)]
enum LocalState {
    Active { secret: Vec<u8>, made_at_ms: i64 },
    Retired,
}

impl LocalKey {
    /// A key that verifies, and signs when no other one is newer.
    ///
    /// # Errors
    /// [`BadKey::Kid`], [`BadKey::Secret`].
    pub fn active(kid: &str, secret: &[u8], made_at_ms: i64) -> Result<LocalKey, BadKey> {
        let kid = checked_kid(kid)?;
        if secret.len() < SECRET_BYTES_MIN {
            return Err(BadKey::Secret { kid, len: secret.len() });
        }
        Ok(LocalKey { kid, state: LocalState::Active { secret: secret.to_vec(), made_at_ms } })
    }

    /// A key that neither signs nor verifies; it is known so that its tokens are told apart from
    /// those of an unknown key. Needs no secret.
    ///
    /// # Errors
    /// [`BadKey::Kid`].
    pub fn retired(kid: &str) -> Result<LocalKey, BadKey> {
        Ok(LocalKey { kid: checked_kid(kid)?, state: LocalState::Retired })
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// All of our keys; at least one is active.
#[derive(Clone, Debug)]
pub struct LocalKeys {
    signing: Signing,
    verifying: HashMap<String, Found>,
}

#[derive(Clone, Debug)]
pub(super) struct Signing {
    pub(super) kid: String,
    pub(super) key: EncodingKey,
}

/// What a local key id stands for.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Active(DecodingKey),
    Retired,
}

impl LocalKeys {
    /// Takes the keys in any order; of two made in the same millisecond the later id signs.
    ///
    /// # Errors
    /// [`BadKey::Twice`], [`BadKey::NoneActive`].
    pub fn new(keys: Vec<LocalKey>) -> Result<LocalKeys, BadKey> {
        let mut verifying = HashMap::with_capacity(keys.len());
        for key in &keys {
            let found = match &key.state {
                LocalState::Active { secret, .. } => {
                    Found::Active(DecodingKey::from_secret(secret))
                }
                LocalState::Retired => Found::Retired,
            };
            if verifying.insert(key.kid.clone(), found).is_some() {
                return Err(BadKey::Twice { kid: key.kid.clone() });
            }
        }
        Ok(LocalKeys { signing: newest(keys).ok_or(BadKey::NoneActive)?, verifying })
    }

    pub(super) fn signing(&self) -> &Signing {
        &self.signing
    }

    pub(super) fn find(&self, kid: &str) -> Option<&Found> {
        self.verifying.get(kid)
    }
}

fn newest(keys: Vec<LocalKey>) -> Option<Signing> {
    keys.into_iter()
        .filter_map(|key| match key.state {
            LocalState::Active { secret, made_at_ms } => Some((made_at_ms, key.kid, secret)),
            LocalState::Retired => None,
        })
        .max_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)))
        .map(|(_, kid, secret)| Signing { kid, key: EncodingKey::from_secret(&secret) })
}

fn checked_kid(kid: &str) -> Result<String, BadKey> {
    match visible(kid, KID_BYTES_MAX) {
        true => Ok(kid.to_owned()),
        false => Err(BadKey::Kid { len: kid.len() }),
    }
}

/// An algorithm of an outside issuer: asymmetric, so that verifying a token never means being
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
    fn to_jwt(self) -> Algorithm {
        match self {
            PublicAlgorithm::Rs256 => Algorithm::RS256,
            PublicAlgorithm::Es256 => Algorithm::ES256,
            PublicAlgorithm::EdDsa => Algorithm::EdDSA,
        }
    }

    fn to_jwk(self) -> KeyAlgorithm {
        match self {
            PublicAlgorithm::Rs256 => KeyAlgorithm::RS256,
            PublicAlgorithm::Es256 => KeyAlgorithm::ES256,
            PublicAlgorithm::EdDsa => KeyAlgorithm::EdDSA,
        }
    }
}

impl FromStr for PublicAlgorithm {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<PublicAlgorithm, BadKey> {
        match text {
            "RS256" => Ok(PublicAlgorithm::Rs256),
            "ES256" => Ok(PublicAlgorithm::Es256),
            "EdDSA" => Ok(PublicAlgorithm::EdDsa),
            _ => Err(BadKey::Algorithm { found: text.to_owned() }),
        }
    }
}

impl fmt::Display for PublicAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PublicAlgorithm::Rs256 => "RS256",
            PublicAlgorithm::Es256 => "ES256",
            PublicAlgorithm::EdDsa => "EdDSA",
        })
    }
}

/// A key of an outside issuer, bound to the one algorithm that it verifies.
#[derive(Clone, Debug)]
pub struct PublicKey {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl PublicKey {
    /// Reads `-----BEGIN PUBLIC KEY-----` (for RSA also `BEGIN RSA PUBLIC KEY`).
    ///
    /// # Errors
    /// [`BadKey::Private`], [`BadKey::Pem`] (also for an RSA key below 2,048 bits or another curve).
    pub fn from_pem(algorithm: PublicAlgorithm, pem: &[u8]) -> Result<PublicKey, BadKey> {
        let bad = BadKey::Pem { wanted: algorithm };
        let text = std::str::from_utf8(pem).map_err(|_| bad.clone())?;
        if text.contains("PRIVATE KEY-----") {
            return Err(BadKey::Private);
        }
        if !text.contains("PUBLIC KEY-----") {
            return Err(bad);
        }
        match algorithm {
            PublicAlgorithm::Rs256 => DecodingKey::from_rsa_pem(pem),
            PublicAlgorithm::Es256 => DecodingKey::from_ec_pem(pem),
            PublicAlgorithm::EdDsa => DecodingKey::from_ed_pem(pem),
        }
        .ok()
        .filter(|key| fits(algorithm, key))
        .map(|key| PublicKey { algorithm: algorithm.to_jwt(), key })
        .ok_or(bad)
    }

    /// The id and the key of one entry of a JWKS, or `None` when it is of no use here: symmetric,
    /// for encryption, another curve or algorithm, too short, or without an id.
    ///
    /// The algorithm follows from the key type; an `alg` that says otherwise makes it unusable.
    pub(crate) fn from_jwk(jwk: &Jwk) -> Option<(String, PublicKey)> {
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => PublicAlgorithm::Rs256,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
                PublicAlgorithm::Es256
            }
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                PublicAlgorithm::EdDsa
            }
            // The library's enum grows with new kinds of keys; none is of use unasked.
            _ => return None,
        };
        let common = &jwk.common;
        let kid = checked_kid(common.key_id.as_deref()?).ok()?;
        let signs =
            common.public_key_use.as_ref().is_none_or(|found| *found == PublicKeyUse::Signature);
        let agrees = common.key_algorithm.is_none_or(|found| found == algorithm.to_jwk());
        let key = DecodingKey::from_jwk(jwk).ok()?;
        (signs && agrees && fits(algorithm, &key))
            .then(|| (kid, PublicKey { algorithm: algorithm.to_jwt(), key }))
    }
}

/// Whether ring would take the key at all: it tells only at the first token, and not why.
fn fits(algorithm: PublicAlgorithm, key: &DecodingKey) -> bool {
    match (algorithm, key.kind()) {
        (PublicAlgorithm::Rs256, DecodingKeyKind::SecretOrDer(der)) => {
            der.len() >= RSA_DER_BYTES_MIN
        }
        (PublicAlgorithm::Rs256, DecodingKeyKind::RsaModulusExponent { n, .. }) => {
            n.len() >= RSA_BYTES_MIN && n[0] != 0
        }
        (PublicAlgorithm::Es256, DecodingKeyKind::SecretOrDer(point)) => {
            point.len() == P256_POINT_BYTES
        }
        (PublicAlgorithm::EdDsa, DecodingKeyKind::SecretOrDer(raw)) => raw.len() == ED25519_BYTES,
        (
            PublicAlgorithm::Es256 | PublicAlgorithm::EdDsa,
            DecodingKeyKind::RsaModulusExponent { .. },
        ) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::testkeys::{TestKey, rsa_private_pem};

    #[test]
    fn local_keys() {
        let good = |kid, made_at_ms| LocalKey::active(kid, &[7; 32], made_at_ms).unwrap();
        let cases = [
            ("the newest signs", vec![good("a", 1), good("c", 3), good("b", 2)], Ok("c")),
            ("the later id of two", vec![good("b", 1), good("a", 1)], Ok("b")),
            ("a retired one never", vec![good("a", 1), LocalKey::retired("z").unwrap()], Ok("a")),
            ("none", vec![], Err(BadKey::NoneActive)),
            ("all retired", vec![LocalKey::retired("a").unwrap()], Err(BadKey::NoneActive)),
            (
                "one id twice",
                vec![good("a", 1), good("a", 2)],
                Err(BadKey::Twice { kid: "a".into() }),
            ),
        ];
        for (name, keys, want) in cases {
            let signs = LocalKeys::new(keys).map(|keys| keys.signing().kid.clone());
            assert_eq!(signs, want.map(str::to_owned), "{name}");
        }
    }

    #[test]
    fn local_key_limits() {
        let long = "k".repeat(KID_BYTES_MAX + 1);
        let cases = [
            ("32 bytes", "a", 32, None),
            ("31 bytes", "a", 31, Some(BadKey::Secret { kid: "a".into(), len: 31 })),
            ("an empty secret", "a", 0, Some(BadKey::Secret { kid: "a".into(), len: 0 })),
            ("an id of 64", &long[1..], 32, None),
            ("an id of 65", &long, 32, Some(BadKey::Kid { len: 65 })),
            ("no id", "", 32, Some(BadKey::Kid { len: 0 })),
            ("an id with a blank", "a b", 32, Some(BadKey::Kid { len: 3 })),
        ];
        for (name, kid, len, want) in cases {
            assert_eq!(LocalKey::active(kid, &vec![7; len], 0).err(), want, "{name}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let key = LocalKey::active("a", &[b'S'; 32], 0).unwrap();
        let keys = LocalKeys::new(vec![key.clone()]).unwrap();
        for text in [format!("{key:?}"), format!("{keys:?}")] {
            assert!(!text.contains("SSS") && !text.contains("83, 83"), "{text}");
        }
    }

    #[test]
    fn public_keys_from_pem() {
        let (rsa, ec, ed) = (TestKey::rsa(), TestKey::ec(), TestKey::ed());
        let pem = |wanted| Some(BadKey::Pem { wanted });
        let cases = [
            ("RSA", PublicAlgorithm::Rs256, rsa.public_pem(), None),
            ("P-256", PublicAlgorithm::Es256, ec.public_pem(), None),
            ("Ed25519", PublicAlgorithm::EdDsa, ed.public_pem(), None),
            (
                "RSA for ES256",
                PublicAlgorithm::Es256,
                rsa.public_pem(),
                pem(PublicAlgorithm::Es256),
            ),
            (
                "P-256 for EdDSA",
                PublicAlgorithm::EdDsa,
                ec.public_pem(),
                pem(PublicAlgorithm::EdDsa),
            ),
            (
                "Ed25519 for RS256",
                PublicAlgorithm::Rs256,
                ed.public_pem(),
                pem(PublicAlgorithm::Rs256),
            ),
            (
                "a private key",
                PublicAlgorithm::Rs256,
                rsa_private_pem().into(),
                Some(BadKey::Private),
            ),
            ("no key", PublicAlgorithm::Rs256, "hello".into(), pem(PublicAlgorithm::Rs256)),
        ];
        for (name, algorithm, text, want) in cases {
            assert_eq!(PublicKey::from_pem(algorithm, text.as_bytes()).err(), want, "{name}");
        }
    }
}
