//! ID tokens: what an identity provider says of a person who has signed in there.

use serde_json::{Map, Value};

use super::TokenService;
use super::claims::BadToken;
use super::jwks::PublishedKey;
use super::raw::{TokenParts, all_claims};
use super::text::echo;

/// Longest ID token, in bytes: one with the names of many groups has more than a token of the API.
const ID_TOKEN_BYTES_MAX: usize = 16 * 1_024;

impl TokenService {
    /// What an ID token says, if the accepted provider made it for `client` in answer to the request
    /// with `nonce`, and it is valid at `now_ms` (OpenID Connect Core 1.0, section 3.1.3.7). `sub` is a
    /// string, and `email_verified` a boolean, if it is there.
    ///
    /// # Errors
    /// [`BadToken`], as [`TokenService::verify`]; also if no provider is set.
    pub async fn id_token(
        &self,
        token: &str,
        client: &str,
        nonce: &str,
        now_ms: i64,
    ) -> Result<Map<String, Value>, BadToken> {
        let parts = TokenParts::parse_within(ID_TOKEN_BYTES_MAX, token)?;
        let (kid, iss) = (parts.kid()?, parts.claims.issuer()?);
        let external = self.external.as_ref().filter(|external| external.issuer == iss);
        let external = external.ok_or_else(|| BadToken::Issuer {
            found: echo(iss),
            wanted: self.external.as_ref().map_or_else(String::new, |it| it.issuer.clone()),
        })?;
        let PublishedKey { key, .. } = external.key(kid, now_ms).await?;
        parts.check_signature(key.algorithm, &key.key)?;
        parts.claims.check_audience(client)?;
        parts.claims.check_time(now_ms)?;
        let mut claims = all_claims(token)?;
        // Some providers send it as a text. Whatever is not true is no promise.
        if let Some(said) = claims.get_mut("email_verified") {
            let is_verified = *said == Value::Bool(true) || said.as_str() == Some("true");
            *said = Value::Bool(is_verified);
        }
        // A token for several is for the one that asked.
        for (claim, wanted) in [("azp", client), ("nonce", nonce)] {
            let found = claims.get(claim);
            if found.is_none() && claim == "azp" {
                continue;
            }
            if found.and_then(Value::as_str) != Some(wanted) {
                return Err(BadToken::ClaimType { claim, wanted: "the one of the request" });
            }
        }
        match claims.get("sub").and_then(Value::as_str) {
            Some(subject) if !subject.is_empty() => Ok(claims),
            _ => Err(BadToken::Missing { claim: "sub" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::token::testkeys::TestKey;
    use crate::token::{ExternalIssuer, LocalKey, LocalKeys, PublicAlgorithm, PublicKey};

    const NOON: i64 = 1_763_596_800_000;

    #[tokio::test]
    async fn id_tokens() {
        let (key, other) = (TestKey::ed(), TestKey::ed());
        let pem = key.public_pem();
        let public = PublicKey::from_pem(PublicAlgorithm::EdDsa, pem.as_bytes()).unwrap();
        let external = ExternalIssuer::with_key("idp", "shop", public).unwrap();
        let local = LocalKeys::new(vec![LocalKey::active("l", &[7; 32], 0).unwrap()]).unwrap();
        let tokens = TokenService::new(local, Some(external)).unwrap();
        let exp = NOON / 1_000 + 1;
        let good = json!({"iss": "idp", "aud": "console", "sub": "1", "nonce": "n", "exp": exp});
        let with = |claim: &str, value: Value| {
            let mut claims = good.clone();
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(claim)),
                value => claims[claim] = value,
            }
            claims
        };
        let request = "the one of the request";
        let claim = |claim| Some(BadToken::ClaimType { claim, wanted: request });
        let audience =
            BadToken::Audience { found: "shop".to_owned(), wanted: "console".to_owned() };
        let issuer = |found: &str| BadToken::Issuer { found: found.into(), wanted: "idp".into() };
        let cases = [
            ("good", good.clone(), None),
            ("for several", with("aud", json!(["shop", "console"])), None),
            ("asked for by us", with("azp", json!("console")), None),
            ("asked for by another", with("azp", json!("shop")), claim("azp")),
            ("a token of the API", with("aud", json!("shop")), Some(audience)),
            ("of another request", with("nonce", json!("m")), claim("nonce")),
            ("of no request", with("nonce", Value::Null), claim("nonce")),
            ("of another issuer", with("iss", json!("idp2")), Some(issuer("idp2"))),
            ("ours", with("iss", json!("couponry")), Some(issuer("couponry"))),
            ("of nobody", with("sub", Value::Null), Some(BadToken::Missing { claim: "sub" })),
            ("empty", with("sub", json!("")), Some(BadToken::Missing { claim: "sub" })),
            ("for ever", with("exp", Value::Null), Some(BadToken::Missing { claim: "exp" })),
            (
                "expired",
                with("exp", json!(NOON / 1_000)),
                Some(BadToken::Expired { exp_s: NOON / 1_000, now_s: NOON / 1_000 }),
            ),
        ];
        for (name, claims, want) in cases {
            let token = key.token(&json!({"alg": "EdDSA"}), &claims);
            let found = tokens.id_token(&token, "console", "n", NOON).await;
            assert_eq!(found.err(), want, "{name}");
        }
        let verified = [
            ("true", json!(true), Some(true)),
            ("false", json!(false), Some(false)),
            ("a text", json!("true"), Some(true)),
            ("a text that says no", json!("false"), Some(false)),
            ("a number", json!(1), Some(false)),
            ("not there", Value::Null, None),
        ];
        for (name, said, want) in verified {
            let claims = with("email_verified", said);
            let token = key.token(&json!({"alg": "EdDSA"}), &claims);
            let found = tokens.id_token(&token, "console", "n", NOON).await.unwrap();
            let found = found.get("email_verified").map(|it| it.as_bool().expect("a boolean"));
            assert_eq!(found, want, "{name}");
        }
        let token = other.token(&json!({"alg": "EdDSA"}), &good);
        let found = tokens.id_token(&token, "console", "n", NOON).await;
        assert_eq!(found.err(), Some(BadToken::Signature));
    }
}
