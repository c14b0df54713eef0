//! Public keys of an external issuer. A key knows its own algorithm; nothing in a token can change
//! it.

use std::str::FromStr;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

use super::key_rules::{BadKey, PublicAlgorithm};
use super::local_keys::checked_kid;

/// Shortest RSA modulus, in bytes (2,048 bits): ring verifies nothing below it, so a shorter key
/// would refuse every token without saying why.
const RSA_BYTES_MIN: usize = 256;

/// Shortest DER of such a key: 256 bytes of modulus, its sign byte, the exponent 3, and headers.
const RSA_DER_BYTES_MIN: usize = 268;

/// An uncompressed point of P-256: 0x04, x and y, in bytes.
const P256_POINT_BYTES: usize = 65;

const ED25519_BYTES: usize = 32;

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

/// A key of an external issuer, bound to the one algorithm that it verifies.
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

    /// The id, if it has one, and the key of one entry of a JWKS. `None` if it is of no use here:
    /// symmetric, for encryption, another curve or algorithm, too short, or with an id that is too
    /// long. The algorithm follows from the key type; an `alg` that says otherwise makes it unusable.
    pub(crate) fn from_jwk(jwk: &Jwk) -> Option<(Option<String>, PublicKey)> {
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
        let kid = common.key_id.as_deref().map(checked_kid).transpose().ok()?;
        let signs =
            common.public_key_use.as_ref().is_none_or(|found| *found == PublicKeyUse::Signature);
        let wanted = KeyAlgorithm::from(algorithm.to_jwt());
        let agrees = common.key_algorithm.is_none_or(|found| found == wanted);
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
