//! Key pairs and hand-made tokens for tests.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use ring::{hmac, rsa};
use serde_json::{Value, json};

/// Made with `openssl genpkey` for these tests, used nowhere else: ring makes no RSA keys.
pub(crate) fn rsa_private_pem() -> &'static str {
    include_str!("fixtures/rsa_test_only.pem")
}

/// Prefixes of SubjectPublicKeyInfo in DER.
const P256_SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const ED25519_SPKI: &[u8] =
    &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

pub(crate) enum TestKey {
    Hmac(Vec<u8>),
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl TestKey {
    pub(crate) fn hmac(secret: &[u8]) -> TestKey {
        TestKey::Hmac(secret.to_vec())
    }

    pub(crate) fn rsa() -> TestKey {
        let body: String = rsa_private_pem().lines().filter(|line| !line.contains('-')).collect();
        let der = STANDARD.decode(body).unwrap();
        TestKey::Rsa(Box::new(RsaKeyPair::from_pkcs8(&der).unwrap()))
    }

    pub(crate) fn ec() -> TestKey {
        let random = SystemRandom::new();
        let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = EcdsaKeyPair::generate_pkcs8(scheme, &random).unwrap();
        TestKey::Ec(EcdsaKeyPair::from_pkcs8(scheme, der.as_ref(), &random).unwrap())
    }

    pub(crate) fn ed() -> TestKey {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        TestKey::Ed(Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap())
    }

    pub(crate) fn alg(&self) -> &'static str {
        match self {
            TestKey::Hmac(_) => "HS256",
            TestKey::Rsa(_) => "RS256",
            TestKey::Ec(_) => "ES256",
            TestKey::Ed(_) => "EdDSA",
        }
    }

    pub(crate) fn public_pem(&self) -> String {
        let (tag, der) = match self {
            TestKey::Hmac(_) => panic!("a secret has no public half"),
            TestKey::Rsa(key) => ("RSA PUBLIC KEY", key.public_key().as_ref().to_vec()),
            TestKey::Ec(key) => ("PUBLIC KEY", [P256_SPKI, key.public_key().as_ref()].concat()),
            TestKey::Ed(key) => ("PUBLIC KEY", [ED25519_SPKI, key.public_key().as_ref()].concat()),
        };
        let lines: Vec<String> = STANDARD
            .encode(der)
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect();
        format!("-----BEGIN {tag}-----\n{}\n-----END {tag}-----\n", lines.join("\n"))
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            TestKey::Hmac(secret) => json!({"kty": "oct", "kid": kid, "k": b64(secret)}),
            TestKey::Rsa(key) => {
                let parts: rsa::PublicKeyComponents<Vec<u8>> = key.public().into();
                json!({"kty": "RSA", "kid": kid, "n": b64(&parts.n), "e": b64(&parts.e)})
            }
            TestKey::Ec(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(x), "y": b64(y)})
            }
            TestKey::Ed(key) => {
                let x = b64(key.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x})
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            TestKey::Hmac(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
            TestKey::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            TestKey::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            TestKey::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// `header` and `claims` as they are, signed with this key whatever they say.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())))
    }
}

/// `header.payload`, without the second point.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}
