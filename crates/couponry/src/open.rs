//! From settings to the parts that do the work.

use std::sync::Arc;

use api::jwks::Jwks;
use api::token::{LocalKey, LocalKeys, Outside, PublicKey, Tokens};
use coupon::minted::CodeKey;
use engine::{Engine, SystemClock};
use hot::HotStore;
use hot::sqlite::{Options, SqliteHot};
use router::Router;

use crate::failure::Sorry;
use crate::keys::Keys;
use crate::settings::Settings;

/// The engine over the data folder. Other processes may work on the same folder.
///
/// # Errors
/// A folder that cannot be used; a batch whose key is missing.
pub(crate) async fn engine(settings: &Settings, keys: &Keys) -> Result<Engine, Sorry> {
    let options =
        Options { free_min_bytes: settings.free_min_mib.value << 20, ..Options::default() };
    let store = SqliteHot::open(&settings.data.value, Arc::new(keys.code_keys()), options);
    let store = store.map_err(|error| Sorry::new(error.to_string()))?;
    let router = Router::new(keys.code_keys());
    has_every_key(&store, router.keys(), settings).await?;
    Ok(Engine::new(Arc::new(store), router, Arc::new(SystemClock)))
}

/// Without its key a batch's codes are unknown, and would be refused as forgeries.
async fn has_every_key(
    store: &dyn HotStore,
    keys: &[CodeKey],
    settings: &Settings,
) -> Result<(), Sorry> {
    let used = store.keys_in_use().await.map_err(|error| Sorry::new(error.to_string()))?;
    let missing = used.iter().find(|id| !keys.iter().any(|key| key.id() == **id));
    match missing {
        None => Ok(()),
        Some(id) => Err(Sorry::new(format!(
            "a batch was minted with code key {id}, which is not in {}: put code-{id}.key back \
             from a backup",
            settings.data.value.join("keys").display()
        ))),
    }
}

/// Who may sign tokens: the keys here, and the identity provider that the settings name.
pub(crate) fn tokens(settings: &Settings, keys: &Keys) -> Result<Tokens, Sorry> {
    let bad = |error: api::token::BadKey| Sorry::new(error.to_string());
    let local = keys.token_keys().map(|key| match key.retired_at {
        None => LocalKey::active(&key.id, key.secret(), key.made_at.0),
        Some(_) => LocalKey::retired(&key.id),
    });
    let local = local.collect::<Result<Vec<_>, _>>().map_err(bad)?;
    Tokens::new(LocalKeys::new(local).map_err(bad)?, outside(settings)?).map_err(bad)
}

fn outside(settings: &Settings) -> Result<Option<Outside>, Sorry> {
    let wrong = |error: api::token::BadKey| Sorry::wrong_call(error.to_string());
    let (issuer, audience) = (&settings.identity_issuer.value, &settings.identity_audience.value);
    let (issuer, audience) = match (issuer, audience) {
        (None, None) => return Ok(None),
        (Some(issuer), Some(audience)) => (issuer, audience),
        _ => {
            let sentence = "identity_issuer and identity_audience go together";
            return Err(Sorry::wrong_call(sentence));
        }
    };
    let key = (&settings.identity_key.value, &settings.identity_algorithm.value);
    match (key, &settings.identity_jwks.value) {
        ((None, None), Some(address)) => {
            let jwks = Jwks::new(address).map_err(|error| Sorry::wrong_call(error.to_string()))?;
            Outside::with_jwks(issuer, audience, jwks).map(Some).map_err(wrong)
        }
        ((Some(path), Some(algorithm)), None) => {
            let algorithm = algorithm.parse().map_err(wrong)?;
            let cannot = format!("cannot read {}", path.display());
            let pem = std::fs::read(path).map_err(Sorry::because(cannot))?;
            let key = PublicKey::from_pem(algorithm, &pem).map_err(wrong)?;
            Outside::with_key(issuer, audience, key).map(Some).map_err(wrong)
        }
        _ => Err(Sorry::wrong_call(
            "identity_issuer needs identity_jwks, or identity_key and identity_algorithm",
        )),
    }
}
