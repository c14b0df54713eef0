//! Settings: what a flag, an environment variable, `couponry.toml` or the default says, in this
//! order, each value with its origin.

pub(crate) mod help;
mod space;
mod space_name;
mod stores;
mod table;
mod value;

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::failure::{CliError, Result};
use value::Value;

pub(crate) use space::{SPACES, SpaceHosts};
pub(crate) use space_name::SpaceName;
pub(crate) use stores::{Cold, Hot};
pub use table::{SettingFlags, Settings};

/// The settings file of the working directory, read if no other is named and it exists.
pub(crate) const SETTINGS_FILE: &str = "couponry.toml";

#[derive(Clone, Debug)]
pub(crate) struct Setting<T> {
    name: &'static str,
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    FlagOrEnvironment,
    File(PathBuf),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::FlagOrEnvironment => f.write_str("flag or environment"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// Deliveries of webhooks are tried for three days.
const DELIVERIES_KEEP_MIN: Duration = Duration::from_secs(4 * 86_400);

/// Nobody can undo it: less than a quarter of a year is a slip.
const KEEP_ARCHIVED_MIN_DAYS: u64 = 90;

impl Settings {
    /// How many days after its own an expiry day is deleted; `None`: never.
    ///
    /// # Errors
    /// Usage: a time that is too short, or a cluster.
    pub(crate) fn keep_archived_days(&self) -> Result<Option<u16>> {
        let Some(keep) = self.keep_archived.value.every else { return Ok(None) };
        if !matches!(self.hot.value, Hot::Sqlite) {
            return Err(CliError::usage(
                "keep_archived is not for a cluster: it deletes no expiry days",
            ));
        }
        match keep.as_secs() / 86_400 {
            KEEP_ARCHIVED_MIN_DAYS.. => {}
            days => {
                let fault = format!(
                    "keep_archived is {days} days, want {KEEP_ARCHIVED_MIN_DAYS}d at least"
                );
                return Err(CliError::usage(fault).and("0 keeps everything for ever"));
            }
        }
        Ok(Some(u16::try_from(keep.as_secs() / 86_400).unwrap_or(u16::MAX)))
    }

    /// How long to keep deliveries of webhooks.
    pub(crate) fn deliveries_keep(&self) -> Duration {
        self.deliveries_keep.value.every.unwrap_or_default().max(DELIVERIES_KEEP_MIN)
    }

    /// Takes each setting from the first source that sets it. With the setting `space` these are the settings of that
    /// space.
    ///
    /// # Errors
    /// Usage: a settings file that cannot be read, a value that cannot be used, a user without a
    /// password, or a password that would cross the network unencrypted.
    pub(crate) fn resolve(flags: &SettingFlags) -> Result<Settings> {
        let named = flags.config.as_deref();
        let (path, file) = read(named.unwrap_or(Path::new(SETTINGS_FILE)), named.is_none())?;
        let settings = Settings::merged(flags, file, &path)?;
        settings.login_is_whole()?;
        settings.password_is_safe()?;
        settings.keep_archived_days()?;
        match settings.space.value.clone() {
            None => Ok(settings),
            Some(name) => settings.of_space(&name),
        }
    }

    /// Refuses to work on the data folder while the settings name a service elsewhere.
    pub(crate) fn names_no_other_service(&self) -> Result<()> {
        match &self.url.value {
            None => Ok(()),
            Some(url) => Err(CliError::usage(format!(
                "this command works where the data is, and the setting url ({}) names the service at {url}: \
                 leave it out",
                self.url.origin
            ))),
        }
    }

    /// Refuses a cluster, and says `why`.
    pub(crate) fn must_be_sqlite(&self, why: &str) -> Result<()> {
        match self.hot.value {
            Hot::Sqlite => Ok(()),
            Hot::Cql(_) => Err(CliError::usage(why)),
        }
    }

    fn login_is_whole(&self) -> Result<()> {
        match (&self.cql_user.value, &self.cql_password.value) {
            (None, None) | (Some(_), Some(_)) => Ok(()),
            (Some(_), None) => Err(CliError::usage(
                "cql_user is set and cql_password is not: put the password into \
                 COUPONRY_CQL_PASSWORD or the settings file",
            )),
            (None, Some(_)) => Err(CliError::usage(
                "cql_password is set and cql_user is not: name the user with --cql-user",
            )),
        }
    }

    /// Refuses to send a password over a network where others can read it.
    fn password_is_safe(&self) -> Result<()> {
        let is_encrypted = self.cql_authority.value.is_some();
        let stays_here = match &self.hot.value {
            Hot::Sqlite => true,
            Hot::Cql(target) => target.is_loopback(),
        };
        let is_allowed = is_encrypted || stays_here || self.cql_plain_password.value;
        if self.cql_password.value.is_none() || is_allowed {
            return Ok(());
        }
        Err(CliError::usage(format!(
            "the password for {} would cross the network unencrypted: encrypt the connections \
             with --cql-authority, or allow it with --cql-plain-password",
            self.hot.value
        )))
    }
}

impl<T> Setting<T> {
    pub(crate) fn unusable(&self, why: impl fmt::Display) -> CliError {
        unusable(self.name, &self.origin, why)
    }
}

impl Setting<String> {
    pub(crate) fn parsed<T>(&self) -> Result<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.value.parse().map_err(|error| self.unusable(error))
    }
}

/// A setting from its flag or variable, else from the settings file at `path`, else its default.
fn resolved<V: Value>(
    name: &'static str,
    flag: Option<V::Written>,
    (file, path): (Option<V::Written>, &Path),
    default: &str,
) -> Result<Setting<V>> {
    let origin = match (&flag, &file) {
        (Some(_), _) => Origin::FlagOrEnvironment,
        (None, Some(_)) => Origin::File(path.to_owned()),
        (None, None) => Origin::Default,
    };
    match V::read(flag.or(file), default) {
        Ok(value) => Ok(Setting { name, value, origin }),
        Err(why) => Err(unusable(name, &origin, why)),
    }
}

fn unusable(name: &str, origin: &Origin, why: impl fmt::Display) -> CliError {
    CliError::usage(format!("cannot use the setting {name} ({origin}): {why}"))
}

/// Reads a settings file, which may be missing if it `is_optional`.
fn read(path: &Path, is_optional: bool) -> Result<(PathBuf, SettingFlags)> {
    let path = path.to_owned();
    let unreadable = |why: String| {
        CliError::usage(format!("cannot read the settings file {}: {why}", path.display()))
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if is_optional && error.kind() == ErrorKind::NotFound => {
            return Ok((path, SettingFlags::default()));
        }
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let file = toml::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    Ok((path, file))
}
