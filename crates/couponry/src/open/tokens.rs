//! The keys that tokens may be signed with: those of the data folder, and those of the identity
//! provider that the settings name.

use std::path::Path;

use api::jwks::Jwks;
use api::token::{BadKey, ExternalIssuer, LocalKey, LocalKeys, PublicKey, Tokens};

use crate::failure::CliError;
use crate::keys::Keys;
use crate::settings::Settings;

/// All keys that tokens may be signed with.
pub(crate) fn tokens(settings: &Settings, keys: &Keys) -> Result<Tokens, CliError> {
    Tokens::new(local_keys(keys)?, external(settings)?).map_err(CliError::of)
}

/// The token keys of the data folder.
pub(crate) fn local_keys(keys: &Keys) -> Result<LocalKeys, CliError> {
    let local = keys.token_keys().map(|key| match key.retired_at {
        None => LocalKey::active(&key.id, key.secret(), key.made_at.0),
        Some(_) => LocalKey::retired(&key.id),
    });
    let local = local.collect::<Result<Vec<_>, _>>().map_err(CliError::of)?;
    LocalKeys::new(local).map_err(CliError::of)
}

/// The identity provider, if the settings name one.
fn external(settings: &Settings) -> Result<Option<ExternalIssuer>, CliError> {
    let (issuer, audience) = (&settings.identity_issuer.value, &settings.identity_audience.value);
    let (issuer, audience) = match (issuer, audience) {
        (None, None) => return Ok(None),
        (Some(issuer), Some(audience)) => (issuer, audience),
        (Some(_), None) | (None, Some(_)) => {
            return Err(CliError::usage(
                "only one of identity_issuer and identity_audience is set: set both",
            ));
        }
    };
    let (path, algorithm) = (&settings.identity_key.value, &settings.identity_algorithm.value);
    let found = match (path, algorithm, &settings.identity_jwks.value) {
        (None, None, Some(address)) => {
            let jwks = Jwks::new(address).map_err(|error| CliError::usage(error.to_string()))?;
            ExternalIssuer::with_jwks(issuer, audience, jwks)
        }
        (Some(path), Some(algorithm), None) => {
            ExternalIssuer::with_key(issuer, audience, public_key(path, algorithm)?)
        }
        _ => {
            return Err(CliError::usage(
                "identity_issuer needs keys: set identity_jwks, or identity_key and \
                 identity_algorithm",
            ));
        }
    };
    found.map(Some).map_err(usage)
}

fn public_key(path: &Path, algorithm: &str) -> Result<PublicKey, CliError> {
    let algorithm = algorithm.parse().map_err(usage)?;
    let pem = std::fs::read(path).map_err(CliError::cannot("read", path))?;
    PublicKey::from_pem(algorithm, &pem).map_err(usage)
}

fn usage(error: BadKey) -> CliError {
    CliError::usage(error.to_string())
}
