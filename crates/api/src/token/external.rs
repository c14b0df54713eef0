//! An identity provider whose tokens are accepted beside ours.

use super::claims::{BadToken, LOCAL_ISSUER};
use super::jwks::{Jwks, NoKey, PublishedKey};
use super::key_rules::BadKey;
use super::public_key::PublicKey;
use super::role_claim::RoleClaim;
use super::text::echo;

#[derive(Debug)]
pub struct ExternalIssuer {
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) role_claim: RoleClaim,
    keys: ExternalKeys,
}

#[derive(Debug)]
enum ExternalKeys {
    /// `kid` is not looked at.
    One(PublicKey),
    Set(Jwks),
}

impl ExternalIssuer {
    /// # Errors
    /// [`BadKey::IssuerName`], [`BadKey::AudienceName`].
    pub fn with_key(
        issuer: &str,
        audience: &str,
        key: PublicKey,
    ) -> Result<ExternalIssuer, BadKey> {
        ExternalIssuer::new(issuer, audience, ExternalKeys::One(key))
    }

    /// # Errors
    /// [`BadKey::IssuerName`], [`BadKey::AudienceName`].
    pub fn with_jwks(issuer: &str, audience: &str, jwks: Jwks) -> Result<ExternalIssuer, BadKey> {
        ExternalIssuer::new(issuer, audience, ExternalKeys::Set(jwks))
    }

    fn new(issuer: &str, audience: &str, keys: ExternalKeys) -> Result<ExternalIssuer, BadKey> {
        if issuer.is_empty() || issuer == LOCAL_ISSUER {
            return Err(BadKey::IssuerName { found: issuer.to_owned() });
        }
        if audience.is_empty() {
            return Err(BadKey::AudienceName);
        }
        let (issuer, audience) = (issuer.to_owned(), audience.to_owned());
        Ok(ExternalIssuer { issuer, audience, role_claim: RoleClaim::default(), keys })
    }

    pub fn with_role_claim(self, role_claim: RoleClaim) -> ExternalIssuer {
        ExternalIssuer { role_claim, ..self }
    }

    pub(super) async fn key(
        &self,
        kid: Option<&str>,
        now_ms: i64,
    ) -> Result<PublishedKey, BadToken> {
        match &self.keys {
            ExternalKeys::One(key) => {
                Ok(PublishedKey { key: key.clone(), good_until_ms: i64::MAX })
            }
            ExternalKeys::Set(jwks) => {
                jwks.key(kid, now_ms).await.map_err(|none| match (none, kid) {
                    (NoKey::Unknown, Some(kid)) => BadToken::UnknownKey { kid: echo(kid) },
                    (NoKey::Unknown, None) => BadToken::NoKid,
                    (NoKey::Unavailable, _) => BadToken::KeysUnavailable,
                })
            }
        }
    }
}
