//! The console of `serve`: pages for people, beside the API.

use std::sync::Arc;

use ::console::{Console, Notices, Setup, SigningKeys};
use api::Access;

use crate::commands::notify::days_of;
use crate::failure::CliError;
use crate::keys::Keys;
use crate::open::Opened;
use crate::serve::machine::machine;
use crate::settings::Settings;

/// The console, unless a setting turns it off.
pub(super) fn console(
    settings: &Settings,
    opened: &Opened,
    access: &Access,
) -> Result<Option<Arc<Console>>, CliError> {
    if !is_on(settings)? {
        return Ok(None);
    }
    let (proxies, data) = (access.trusted_proxies.clone(), settings.data.value.clone());
    Ok(Some(Arc::new(Console::new(Setup {
        engine: Arc::clone(&opened.engine),
        keys: signing_keys(&opened.keys),
        passwords: access.passwords.clone(),
        attempts: access.attempts.clone(),
        webhooks: access.webhooks.clone(),
        machine: Box::new(move || machine(&data)),
        notices: Notices {
            days: days_of(settings)?,
            has_address: settings.notify_webhook.value.is_some(),
        },
        zone: settings.console_time_zone.parsed("console_time_zone")?,
        client: Box::new(move |from, headers| proxies.client(from, headers)),
    }))))
}

/// Whether the setting `console` is on.
pub(super) fn is_on(settings: &Settings) -> Result<bool, CliError> {
    match settings.console.value.as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        other => {
            let why = format!("it is {other:?}, want on or off");
            Err(settings.console.unusable("console", why))
        }
    }
}

/// The keys that sign sessions and links: the token keys in use, oldest first.
pub(crate) fn signing_keys(keys: &Keys) -> SigningKeys {
    let active = keys.token_keys().filter(|key| key.retired_at.is_none());
    SigningKeys::new(active.map(|key| (key.id.as_str(), key.secret(), key.made_at)))
}
