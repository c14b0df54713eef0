//! Settings: flags over `COUPONRY_*` over `couponry.toml` over defaults, each with its origin.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cold::{BadBucket, BucketAddress};
use hot_cql::KeyspaceAddress;
use serde::Deserialize;

use crate::cli::SettingFlags;
use crate::failure::CliError;
use crate::span::Every;

/// The file looked for where none is named.
const FILE: &str = "couponry.toml";

/// Never a flag: everybody on the machine could read it.
const CQL_PASSWORD: &str = "COUPONRY_CQL_PASSWORD";

/// One setting and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// Where a setting comes from.
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

/// Where the active coupons are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hot {
    /// In the data folder.
    Sqlite,
    /// On a cluster, which other processes work on too.
    Cluster(KeyspaceAddress),
}

impl fmt::Display for Hot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hot::Sqlite => f.write_str("sqlite"),
            Hot::Cluster(target) => target.fmt(f),
        }
    }
}

/// Where the finished coupons are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cold {
    /// In a folder.
    Folder(PathBuf),
    /// In a bucket, which the `AWS_*` variables say how to reach.
    Bucket(BucketAddress),
}

impl fmt::Display for Cold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cold::Folder(folder) => folder.display().fmt(f),
            Cold::Bucket(address) => address.fmt(f),
        }
    }
}

/// What nobody gets to see. Its text says only that it is there.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// For whoever has to have it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("set")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(set)")
    }
}

/// `couponry.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    listen: Option<String>,
    trusted_proxies: Option<String>,
    sign_up: Option<String>,
    hot: Option<String>,
    cold: Option<String>,
    cql_user: Option<String>,
    cql_password: Option<Secret>,
    cql_datacenter: Option<String>,
    cql_authority: Option<PathBuf>,
    cql_plain_password: Option<bool>,
    compact_every: Option<Every>,
    notify_webhook: Option<String>,
    notify_days: Option<String>,
    free_min_mib: Option<u64>,
    log: Option<String>,
    log_format: Option<String>,
    identity_issuer: Option<String>,
    identity_audience: Option<String>,
    identity_algorithm: Option<String>,
    identity_key: Option<PathBuf>,
    identity_jwks: Option<String>,
}

/// Everything that can be set.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) data: Setting<PathBuf>,
    pub(crate) listen: Setting<String>,
    pub(crate) trusted_proxies: Setting<String>,
    pub(crate) sign_up: Setting<String>,
    pub(crate) hot: Setting<Hot>,
    pub(crate) cold: Setting<Cold>,
    pub(crate) cql_user: Setting<Option<String>>,
    pub(crate) cql_password: Setting<Option<Secret>>,
    pub(crate) cql_datacenter: Setting<Option<String>>,
    pub(crate) cql_authority: Setting<Option<PathBuf>>,
    pub(crate) cql_plain_password: Setting<bool>,
    pub(crate) compact_every: Setting<Every>,
    pub(crate) notify_webhook: Setting<Option<String>>,
    pub(crate) notify_days: Setting<String>,
    pub(crate) free_min_mib: Setting<u64>,
    pub(crate) log: Setting<String>,
    pub(crate) log_format: Setting<String>,
    pub(crate) identity_issuer: Setting<Option<String>>,
    pub(crate) identity_audience: Setting<Option<String>>,
    pub(crate) identity_algorithm: Setting<Option<String>>,
    pub(crate) identity_key: Setting<Option<PathBuf>>,
    pub(crate) identity_jwks: Setting<Option<String>>,
}

impl Settings {
    /// Takes each setting from the first place that names it.
    ///
    /// # Errors
    /// Wrong call: a file that is not there or does not parse, a place that is none, half a login.
    pub(crate) fn resolve(flags: &SettingFlags) -> Result<Settings, CliError> {
        let (path, file) = read(flags.config.as_deref())?;
        let from = From { path: &path };
        let data = from.either(&flags.data, file.data, "./couponry-data".into());
        let beside = data.value.join("cold").display().to_string();
        let hot = hot_store(from.either(&flags.hot, file.hot, "sqlite".into()))?;
        // Of many nodes on one cluster each would do it.
        let compact_every = match hot.value {
            Hot::Sqlite => Every::hour(),
            Hot::Cluster(_) => Every::never(),
        };
        let cql_password = std::env::var(CQL_PASSWORD).ok().map(Secret);
        let settings = Settings {
            cold: cold_tier(from.either(&flags.cold, file.cold, beside))?,
            cql_user: from.maybe(&flags.cql_user, file.cql_user),
            cql_password: from.maybe(&cql_password, file.cql_password),
            cql_datacenter: from.maybe(&flags.cql_datacenter, file.cql_datacenter),
            cql_authority: from.maybe(&flags.cql_authority, file.cql_authority),
            cql_plain_password: from.either(
                &flags.cql_plain_password,
                file.cql_plain_password,
                false,
            ),
            compact_every: from.either(&flags.compact_every, file.compact_every, compact_every),
            notify_webhook: from.maybe(&flags.notify_webhook, file.notify_webhook),
            notify_days: from.either(&flags.notify_days, file.notify_days, "30,7,3,1".into()),
            data,
            listen: from.either(&flags.listen, file.listen, "127.0.0.1:8080".into()),
            trusted_proxies: from.either(
                &flags.trusted_proxies,
                file.trusted_proxies,
                String::new(),
            ),
            sign_up: from.either(&flags.sign_up, file.sign_up, "on".into()),
            hot,
            free_min_mib: from.either(
                &flags.free_min_mib,
                file.free_min_mib,
                hot_sqlite::FREE_MIN_BYTES >> 20,
            ),
            log: from.either(&flags.log, file.log, "info".into()),
            log_format: from.either(&flags.log_format, file.log_format, "auto".into()),
            identity_issuer: from.maybe(&flags.identity_issuer, file.identity_issuer),
            identity_audience: from.maybe(&flags.identity_audience, file.identity_audience),
            identity_algorithm: from.maybe(&flags.identity_algorithm, file.identity_algorithm),
            identity_key: from.maybe(&flags.identity_key, file.identity_key),
            identity_jwks: from.maybe(&flags.identity_jwks, file.identity_jwks),
        };
        match (&settings.cql_user.value, &settings.cql_password.value) {
            (None, None) => Ok(settings),
            (Some(_), Some(_)) => settings.password_is_safe(),
            (Some(_), None) => Err(CliError::wrong_call(format!(
                "cql_user is set, cql_password is not: put it into {CQL_PASSWORD} or the \
                 settings file"
            ))),
            (None, Some(_)) => Err(CliError::wrong_call("cql_password is set, cql_user is not")),
        }
    }

    /// Refuses a password that would cross a network for everybody to read.
    fn password_is_safe(self) -> Result<Settings, CliError> {
        let is_encrypted = self.cql_authority.value.is_some();
        let stays_here = match &self.hot.value {
            Hot::Sqlite => true,
            Hot::Cluster(target) => target.is_loopback(),
        };
        if is_encrypted || stays_here || self.cql_plain_password.value {
            return Ok(self);
        }
        Err(CliError::wrong_call(format!(
            "the password for {} would cross the network unencrypted: name the nodes' authority \
             with --cql-authority, or allow it with --cql-plain-password",
            self.hot.value
        )))
    }

    /// Name, value and origin of each, for `couponry config`.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String, &Origin)> {
        fn line<'a, T>(
            name: &'static str,
            setting: &'a Setting<T>,
            text: impl Fn(&T) -> String,
        ) -> (&'static str, String, &'a Origin) {
            (name, text(&setting.value), &setting.origin)
        }
        let text = |it: &String| it.clone();
        let maybe = |it: &Option<String>| it.clone().unwrap_or_default();
        let path = |it: &Option<PathBuf>| {
            it.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
        };
        vec![
            line("data", &self.data, |it| it.display().to_string()),
            line("listen", &self.listen, text),
            line("trusted_proxies", &self.trusted_proxies, text),
            line("sign_up", &self.sign_up, text),
            line("hot", &self.hot, Hot::to_string),
            line("cold", &self.cold, Cold::to_string),
            line("cql_user", &self.cql_user, maybe),
            line("cql_password", &self.cql_password, |it| {
                it.as_ref().map(Secret::to_string).unwrap_or_default()
            }),
            line("cql_datacenter", &self.cql_datacenter, maybe),
            line("cql_authority", &self.cql_authority, path),
            line("cql_plain_password", &self.cql_plain_password, bool::to_string),
            line("compact_every", &self.compact_every, Every::to_string),
            line("notify_webhook", &self.notify_webhook, maybe),
            line("notify_days", &self.notify_days, text),
            line("free_min_mib", &self.free_min_mib, u64::to_string),
            line("log", &self.log, text),
            line("log_format", &self.log_format, text),
            line("identity_issuer", &self.identity_issuer, maybe),
            line("identity_audience", &self.identity_audience, maybe),
            line("identity_algorithm", &self.identity_algorithm, maybe),
            line("identity_key", &self.identity_key, path),
            line("identity_jwks", &self.identity_jwks, maybe),
        ]
    }
}

impl Setting<String> {
    /// The value as what it stands for.
    ///
    /// # Errors
    /// Wrong call: it stands for nothing.
    pub(crate) fn parsed<T>(&self, name: &str) -> Result<T, CliError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let bad = |error| {
            CliError::wrong_call(format!(
                "{name} is wrong ({origin}): {error}",
                origin = self.origin
            ))
        };
        self.value.parse().map_err(bad)
    }
}

/// Where the active coupons are.
fn hot_store(hot: Setting<String>) -> Result<Setting<Hot>, CliError> {
    let Setting { value, origin } = hot;
    let value = match value.as_str() {
        "sqlite" => Hot::Sqlite,
        text if text.starts_with("cql://") => {
            let target = text.parse();
            Hot::Cluster(target.map_err(|error: hot_cql::BadKeyspaceAddress| {
                CliError::wrong_call(format!("hot is wrong ({origin}): {error}"))
            })?)
        }
        other => {
            return Err(CliError::wrong_call(format!(
                "hot is {other:?} ({origin}), want sqlite or cql://HOST:PORT,HOST:PORT/KEYSPACE"
            )));
        }
    };
    Ok(Setting { value, origin })
}

/// Where the finished coupons are.
fn cold_tier(cold: Setting<String>) -> Result<Setting<Cold>, CliError> {
    let Setting { value, origin } = cold;
    let value = match value.split_once("://") {
        None => Cold::Folder(value.into()),
        Some(("s3", _)) => {
            let address = value.parse();
            Cold::Bucket(address.map_err(|error: BadBucket| {
                CliError::wrong_call(format!("cold is wrong ({origin}): {error}"))
            })?)
        }
        Some(_) => {
            return Err(CliError::wrong_call(format!(
                "cold is {value:?} ({origin}), want a folder or s3://BUCKET/PREFIX"
            )));
        }
    };
    Ok(Setting { value, origin })
}

fn read(named: Option<&Path>) -> Result<(PathBuf, File), CliError> {
    let path = named.unwrap_or(Path::new(FILE)).to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok((path, File::default()));
        }
        Err(error) => return Err(CliError::wrong_call(format!("{}: {error}", path.display()))),
    };
    let file = toml::from_str(&text);
    let file =
        file.map_err(|error| CliError::wrong_call(format!("{}: {error}", path.display())))?;
    Ok((path, file))
}

struct From<'a> {
    path: &'a Path,
}

impl From<'_> {
    fn either<T: Clone>(&self, flag: &Option<T>, file: Option<T>, default: T) -> Setting<T> {
        let Setting { value, origin } = self.maybe(flag, file);
        Setting { value: value.unwrap_or(default), origin }
    }

    fn maybe<T: Clone>(&self, flag: &Option<T>, file: Option<T>) -> Setting<Option<T>> {
        match (flag, file) {
            (Some(value), _) => {
                Setting { value: Some(value.clone()), origin: Origin::FlagOrEnvironment }
            }
            (None, Some(value)) => {
                Setting { value: Some(value), origin: Origin::File(self.path.to_owned()) }
            }
            (None, None) => Setting { value: None, origin: Origin::Default },
        }
    }
}
