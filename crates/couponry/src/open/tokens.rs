//! The keys that tokens may be signed with: those of the data folder, and those of the identity
//! provider that the settings name.

use std::path::Path;

use api::token::{
    BadKey, ExternalIssuer, Jwks, LocalKey, LocalKeys, PublicKey, RoleClaim, TokenService,
};

use crate::failure::{CliError, Result};
use crate::keys::Keys;
use crate::settings::Settings;

pub(crate) fn tokens(settings: &Settings, keys: &Keys) -> Result<TokenService> {
    TokenService::new(local_keys(keys)?, external(settings)?).map_err(CliError::of)
}

pub(crate) fn local_keys(keys: &Keys) -> Result<LocalKeys> {
    let local = keys.token_keys().map(|key| match key.retired_at {
        None => LocalKey::active(&key.id, &key.secret, key.made_at.0),
        Some(_) => LocalKey::retired(&key.id),
    });
    let local = local.collect::<Result<Vec<_>, _>>().map_err(CliError::of)?;
    LocalKeys::new(local).map_err(CliError::of)
}

/// # Errors
/// Usage: settings that do not go together, an address or a key that cannot be used.
pub(crate) fn external(settings: &Settings) -> Result<Option<ExternalIssuer>> {
    let (issuer, audience) = (&settings.identity_issuer.value, &settings.identity_audience.value);
    let (issuer, audience) = match (issuer, audience) {
        (None, None) => return Ok(None),
        (Some(issuer), Some(audience)) => (issuer, audience),
        (Some(_), None) => return Err(lacks("identity_issuer", "identity_audience")),
        (None, Some(_)) => return Err(lacks("identity_audience", "identity_issuer")),
    };
    let (path, algorithm) = (&settings.identity_key.value, &settings.identity_algorithm.value);
    let found = match (&settings.identity_jwks.value, path, algorithm) {
        (Some(address), None, None) => {
            let jwks = Jwks::new(address).map_err(|error| CliError::usage(error.to_string()))?;
            ExternalIssuer::with_jwks(issuer, audience, jwks)
        }
        (None, Some(path), Some(algorithm)) => {
            ExternalIssuer::with_key(issuer, audience, public_key(path, algorithm)?)
        }
        (Some(_), Some(_), _) => return Err(is_too_much("identity_key")),
        (Some(_), None, Some(_)) => return Err(is_too_much("identity_algorithm")),
        (None, Some(_), None) => return Err(lacks("identity_key", "identity_algorithm")),
        (None, None, Some(_)) => return Err(lacks("identity_algorithm", "identity_key")),
        (None, None, None) => {
            return Err(CliError::usage(
                "identity_issuer needs keys: set identity_jwks, or identity_key and \
                 identity_algorithm",
            ));
        }
    };
    let role_claim = RoleClaim::new(&settings.identity_role_claim.value);
    Ok(Some(found.map_err(usage)?.with_role_claim(role_claim)))
}

fn lacks(given: &str, missing: &str) -> CliError {
    CliError::usage(format!("{given} is set and {missing} is not: set both, or neither"))
}

fn is_too_much(given: &str) -> CliError {
    CliError::usage(format!(
        "identity_jwks and {given} are both set: leave out {given}, since the keys at identity_jwks \
         say their own algorithm"
    ))
}

fn public_key(path: &Path, algorithm: &str) -> Result<PublicKey> {
    let algorithm = algorithm.parse().map_err(usage)?;
    let pem = std::fs::read(path).map_err(CliError::cannot("read", path))?;
    PublicKey::from_pem(algorithm, &pem).map_err(usage)
}

fn usage(error: BadKey) -> CliError {
    CliError::usage(error.to_string())
}
