//! One fetch of a JWKS: from which address, within which limits, and which of its keys are of use.

use std::collections::HashMap;
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::outbound::{self, BadAddress, BodyReadError};
use crate::token::PublicKey;

/// Shortest time between two fetches, successful or not, in milliseconds.
pub(super) const FETCH_EVERY_MS_MIN: i64 = 60_000;

/// Longest time for one fetch, name look-up to last byte.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer read, in bytes; a set of ten RSA keys with their certificates has 20 KiB.
pub(super) const JWKS_BYTES_MAX: usize = 256 * 1024;

/// Most keys taken from an answer; the rest is left out with a warning.
pub(super) const JWKS_KEYS_MAX: usize = 64;

/// Why the address or the machine cannot be used for fetching keys. Found at start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadJwks {
    #[error("the JWKS address {0}")]
    Address(#[from] BadAddress),
    /// No TLS set-up, for example no root certificates.
    #[error("HTTP client for the JWKS cannot be made")]
    Client(#[source] reqwest::Error),
}

/// Why a fetch changed nothing. Logged where it happens.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("JWKS could not be fetched")]
    Http(#[source] reqwest::Error),
    /// Redirects are not followed.
    #[error("JWKS address answered {found}, want 200 OK")]
    Status { found: StatusCode },
    #[error("JWKS has more than {JWKS_BYTES_MAX} bytes")]
    TooLarge,
    #[error("JWKS is not a JSON object with keys")]
    Json(#[source] serde_json::Error),
    /// A set from which not one key can be used would lock everybody out.
    #[error(
        "JWKS has {found} keys, none of them for RS256, ES256 or EdDSA with a kid, which several keys need"
    )]
    NoUsableKey { found: usize },
}

pub(super) fn client_for(url: &Url, timeout: Duration) -> Result<Client, BadJwks> {
    let client = outbound::client(url, timeout).pool_max_idle_per_host(0);
    client.build().map_err(BadJwks::Client)
}

pub(super) async fn get(client: &Client, url: &Url) -> Result<Vec<u8>, FetchError> {
    let request = client.get(url.clone());
    let answer = request.send().await.map_err(FetchError::Http)?;
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status { found: answer.status() });
    }
    outbound::whole(answer, JWKS_BYTES_MAX).await.map_err(|unread| match unread {
        BodyReadError::BrokenOff(error) => FetchError::Http(error),
        BodyReadError::TooLong(_) => FetchError::TooLarge,
    })
}

#[derive(Debug, Default)]
pub(super) struct UsableKeys {
    by_id: HashMap<String, PublicKey>,
    /// The key, if there is only one, and its id.
    only: Option<(Option<String>, PublicKey)>,
}

impl UsableKeys {
    /// Some providers have one key, and name it neither in the set nor in their tokens: then there is
    /// only one to try.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<&PublicKey> {
        let only = self.only.as_ref();
        match kid {
            Some(kid) => {
                let nameless = only.filter(|(id, _)| id.is_none()).map(|(_, key)| key);
                self.by_id.get(kid).or(nameless)
            }
            None => only.map(|(_, key)| key),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.by_id.len().max(usize::from(self.only.is_some()))
    }
}

/// One odd entry does not spoil the others: providers publish encryption keys and new kinds too.
pub(super) fn usable_keys(body: &[u8]) -> Result<UsableKeys, FetchError> {
    #[derive(Deserialize)]
    struct JwkSet {
        keys: Vec<Value>,
    }
    let set: JwkSet = serde_json::from_slice(body).map_err(FetchError::Json)?;
    let found = set.keys.len();
    if found > JWKS_KEYS_MAX {
        tracing::warn!(found, "JWKS has more than {JWKS_KEYS_MAX} keys, the rest is left out");
    }
    let entries = set.keys.into_iter().take(JWKS_KEYS_MAX);
    let mut keys: Vec<(Option<String>, PublicKey)> = entries
        .filter_map(|entry| PublicKey::from_jwk(&serde_json::from_value::<Jwk>(entry).ok()?))
        .collect();
    let only = if keys.len() == 1 { keys.first().cloned() } else { None };
    let by_id = keys.drain(..).filter_map(|(id, key)| Some((id?, key))).collect();
    let usable = UsableKeys { by_id, only };
    match usable.count() {
        0 => Err(FetchError::NoUsableKey { found }),
        _ => Ok(usable),
    }
}
