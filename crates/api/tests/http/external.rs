//! With an identity provider: its tokens, and what is off.

use api::token::{ExternalIssuer, PublicAlgorithm, PublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::service::{ANN, Nobody, Service, Who};

const ISSUER: &str = "https://id.example";

/// SubjectPublicKeyInfo of Ed25519 in DER, before the key.
const SPKI: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

fn key_pair() -> Ed25519KeyPair {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    Ed25519KeyPair::from_pkcs8(der.as_ref()).expect("the same key")
}

fn external(key: &Ed25519KeyPair) -> ExternalIssuer {
    let der = STANDARD.encode([SPKI, key.public_key().as_ref()].concat());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
    let algorithm: PublicAlgorithm = "EdDSA".parse().expect("an algorithm");
    let key = PublicKey::from_pem(algorithm, pem.as_bytes()).expect("a public key");
    ExternalIssuer::with_key(ISSUER, "shop", key).expect("an issuer")
}

fn token(key: &Ed25519KeyPair, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "EdDSA"})), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).as_ref());
    format!("{signed}.{signature}")
}

fn claims(service: &Service) -> Value {
    let exp = service.now().0 / 1_000 + 60;
    json!({"iss": ISSUER, "aud": "shop", "sub": "ann", "exp": exp, "role": "user"})
}

#[tokio::test]
async fn tokens_of_an_identity_provider() {
    let (key, other) = (key_pair(), key_pair());
    let service = Service::new().accepting(external(&key));
    let good = claims(&service);
    let with = |field: &str, value: Value| {
        let mut claims = good.clone();
        claims[field] = value;
        claims
    };
    let now = service.now().0 / 1_000;
    let cases = [
        ("good", &key, good.clone(), 200),
        ("of another key", &other, good.clone(), 401),
        ("of another issuer", &key, with("iss", json!("https://else.example")), 401),
        ("with our issuer", &key, with("iss", json!("couponry")), 401),
        ("for another service", &key, with("aud", json!("billing")), 401),
        ("expired this second", &key, with("exp", json!(now)), 401),
        ("without exp", &key, with("exp", Value::Null), 401),
        ("without role", &key, with("role", Value::Null), 401),
        ("with another role", &key, with("role", json!("root")), 401),
        ("without sub", &key, with("sub", Value::Null), 401),
        ("with an empty sub", &key, with("sub", json!("")), 401),
        ("with a long sub", &key, with("sub", json!("x".repeat(129))), 401),
        ("with the form of our accounts", &key, with("sub", json!("acc_ann")), 401),
    ];
    for (name, key, claims, want) in cases {
        let token = token(key, &claims);
        let answer = service.get(Who::Token(&token), "/v1/coupons").await;
        assert_eq!(answer.status, want, "{name}: {}", answer.text);
    }
    service.get(ANN, "/v1/coupons").await.is("200", "ours stay valid beside them");
}

#[tokio::test]
async fn accounts_are_off() {
    let service = Service::new();
    let login = json!({"login_id": "ann@example.com", "password": "correct horse"});
    let up = service.post(Nobody, "/v1/users", login.clone()).await;
    up.is("201", "before");
    let service = service.accepting(external(&key_pair()));
    for target in ["/v1/users", "/v1/sessions"] {
        service.post(Nobody, target, login.clone()).await.is("403 FORBIDDEN", target);
    }
}

#[tokio::test]
async fn our_form_without_our_account() {
    let service = Service::new();
    service
        .get(Who::User("acc_nobody"), "/v1/coupons")
        .await
        .is("401 UNAUTHENTICATED", "no account");
}
