//! The table of settings: the only place that declares one. The flags, the keys of
//! `couponry.toml`, [`Settings`], `couponry config` and `couponry help settings` follow from it.

use std::path::{Path, PathBuf};

use clap::Args;
use command_line::{RepeatInterval, SecretText};
use serde::Deserialize;

use super::space_name::SpaceName;
use super::stores::{Cold, Hot};
use super::value::{Value, variable};
use super::{Origin, Setting, resolved};
use crate::failure::Result;

/// One row of the table, for people.
pub(super) struct Row {
    /// The name, which is also the key in the settings file.
    pub(super) name: &'static str,
    /// Whether the settings file may set it.
    pub(super) is_key: bool,
    pub(super) env: &'static str,
    /// What stands for the value of the flag; `None` if there is no flag.
    pub(super) form: Option<&'static str>,
    /// Empty if there is none.
    pub(super) default: &'static str,
    pub(super) sentence: &'static str,
}

/// The one row that names the settings file, so it is no key in it.
const CONFIG: Row = Row {
    name: "config",
    is_key: false,
    env: "COUPONRY_CONFIG",
    form: Some("FILE"),
    default: "./couponry.toml",
    sentence: "Read settings from this file; without this setting the file may be missing",
};

macro_rules! first {
    ($first:expr $(, $other:expr)*) => {
        $first
    };
}

/// Takes one row a setting: `name: type = "default"`, or `"default" or computed` for a default
/// that depends on the settings above it; `for MACHINE` if all stores of a process share it, so that
/// the settings file of one space cannot set it; the environment variable; the flag with what stands
/// for its value and, `alone`, what it means without a value, or `no flag: skip`; and a sentence that
/// begins with a verb.
macro_rules! settings {
    ($(
        $name:ident: $value:ty = $default:literal $(or $computed:expr)?, $(for $machine:ident,)?
        env $env:literal,
        $(flag $form:literal $(alone $alone:literal)? $(with($($extra:tt)*))?,)?
        $(no flag: $skip:ident,)?
        $sentence:literal;
    )*) => {
        /// The settings that the command line and the environment give, or the settings file;
        /// every command takes them as flags.
        #[derive(Args, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct SettingFlags {
            #[arg(
                long,
                global = true,
                hide = true,
                env = CONFIG.env,
                value_name = "FILE",
                help = CONFIG.sentence
            )]
            #[serde(skip)]
            pub(super) config: Option<PathBuf>,
            $(
                $(
                    #[arg(
                        long,
                        global = true,
                        hide = true,
                        env = $env,
                        value_name = $form,
                        help = $sentence
                    )]
                    $(#[arg(num_args = 0..=1, require_equals = true, default_missing_value = $alone)])?
                    $(#[arg($($extra)*)])?
                )?
                $(#[arg($skip = variable::<<$value as Value>::Written>($env))])?
                pub(super) $name: Option<<$value as Value>::Written>,
            )*
        }

        #[derive(Clone, Debug)]
        pub struct Settings {
            $(pub(crate) $name: Setting<$value>,)*
        }

        impl SettingFlags {
            /// The name of one that is set and is for the whole machine.
            pub(super) fn of_machine(&self) -> Option<&'static str> {
                let set = [$(
                    $(self.$name.is_some().then_some(first!(stringify!($name), $machine)),)?
                )*];
                set.into_iter().flatten().next()
            }
        }

        impl Settings {
            /// Replaces what the settings file at `path` sets.
            pub(super) fn overlay(
                &mut self,
                file: SettingFlags,
                path: &Path,
            ) -> Result<()> {
                $(
                    if file.$name.is_some() {
                        let name = stringify!($name);
                        self.$name = resolved(name, None, (file.$name, path), $default)?;
                    }
                )*
                Ok(())
            }

            /// Takes each setting from `flags`, else from `file` at `path`, else from its default.
            pub(super) fn merged(
                flags: &SettingFlags,
                file: SettingFlags,
                path: &Path,
            ) -> Result<Settings> {
                $(
                    let default = first!($($computed,)? $default.to_owned());
                    let $name: Setting<$value> = resolved(
                        stringify!($name),
                        flags.$name.clone(),
                        (file.$name, path),
                        &default,
                    )?;
                )*
                Ok(Settings { $($name,)* })
            }

            /// Name, value and origin of each, for `couponry config`.
            pub(crate) fn lines(&self) -> Vec<(&'static str, String, &Origin)> {
                vec![$((stringify!($name), self.$name.value.shown(), &self.$name.origin),)*]
            }
        }

        pub(super) const TABLE: &[Row] = &[
            CONFIG,
            $(Row {
                name: stringify!($name),
                is_key: true,
                env: $env,
                form: first!($(Some($form),)? None),
                default: $default,
                sentence: $sentence,
            },)*
        ];
    };
}

settings! {
    data: PathBuf = "./couponry-data", for MACHINE, env "COUPONRY_DATA", flag "FOLDER",
        "Keep the keys and the locks in this folder, and with SQLite the coupons too";
    listen: String = "127.0.0.1:8080", for MACHINE, env "COUPONRY_LISTEN", flag "HOST:PORT",
        "Listen on this address; put a proxy with TLS in front of any other than 127.0.0.1";
    trusted_proxies: String = "", for MACHINE, env "COUPONRY_TRUSTED_PROXIES", flag "LIST",
        "Believe the X-Forwarded-For and Forwarded headers of these proxies: IP addresses, and \
         networks such as 10.0.0.0/8, separated by commas; their connections are not limited";
    cors_origins: String = "", env "COUPONRY_CORS_ORIGINS", flag "LIST",
        "Let pages of these other origins call the API from a browser: such as https://shop.example, \
         separated by commas";
    sign_up: String = "on", env "COUPONRY_SIGN_UP", flag "on|off",
        "Let anyone make an account with POST /v1/users: on or off";
    console: String = "on", env "COUPONRY_CONSOLE", flag "on|off",
        "Serve pages for people at /console: on or off";
    console_time_zone: String = "UTC", env "COUPONRY_CONSOLE_TIME_ZONE", flag "ZONE",
        "Show times of the console in this zone, such as Asia/Seoul, to whoever has chosen no other";
    gifts_per_day: u64 = "50", env "COUPONRY_GIFTS_PER_DAY", flag "NUMBER",
        "Let each person at the console give customers at most this many coupons on a day";
    hot: Hot = "sqlite", for MACHINE, env "COUPONRY_HOT", flag "STORE",
        "Keep active coupons here: sqlite, in the data folder, or \
         cql://HOST:PORT,HOST:PORT/KEYSPACE, on ScyllaDB or Apache Cassandra";
    cold: Cold = "DATA/cold" or data.value.join("cold").display().to_string(),
        for MACHINE, env "COUPONRY_COLD", flag "LOCATION",
        "Keep finished coupons here: a folder, or s3://BUCKET/PREFIX, for which the AWS_* \
         variables are read";
    cql_user: Option<String> = "", for MACHINE, env "COUPONRY_CQL_USER", flag "USER",
        "Sign in to the cluster as this user";
    cql_password: Option<SecretText> = "", for MACHINE, env "COUPONRY_CQL_PASSWORD", no flag: skip,
        "Sign in to the cluster with this password; there is no flag, since other users of the \
         machine can read command lines";
    cql_datacenter: Option<String> = "", for MACHINE, env "COUPONRY_CQL_DATACENTER", flag "NAME",
        "Let the replicas of this data centre decide; needed if the cluster has several, and the \
         same for every process";
    cql_authority: Option<PathBuf> = "", for MACHINE, env "COUPONRY_CQL_AUTHORITY", flag "FILE",
        "Encrypt the connections to the cluster, and trust nodes whose certificates are signed by \
         one in this file (PEM)";
    cql_plain_password: bool = "false", for MACHINE, env "COUPONRY_CQL_PLAIN_PASSWORD",
        flag "BOOL" alone "true",
        "Send the password unencrypted, also to other machines";
    compact_every: RepeatInterval = "1h; 0 on a cluster" or hot.value.compact_every().to_owned(),
        env "COUPONRY_COMPACT_EVERY", flag "TIME",
        "Let serve compact this often: 15m, 1h or 1d; 0 for never. On a cluster set it for one \
         machine, or run the command compact";
    events_keep: RepeatInterval = "7d", env "COUPONRY_EVENTS_KEEP", flag "TIME",
        "Keep the events of GET /v1/events for this long: 12h or 7d; 0 to keep none";
    orders_keep: RepeatInterval = "400d", env "COUPONRY_ORDERS_KEEP", flag "TIME",
        "Let GET /v1/redemptions find what an order has redeemed for this long: 90d or 400d; 0 for \
         never";
    attempts_keep: RepeatInterval = "30d", env "COUPONRY_ATTEMPTS_KEEP", flag "TIME",
        "Keep the refused attempts of GET /v1/attempts for this long: 12h or 30d; 0 to keep none";
    keep_archived: RepeatInterval = "0", env "COUPONRY_KEEP_ARCHIVED", flag "TIME",
        "Let compact delete coupons this long after their expiry day, from both tiers: 1826d; 0 to keep them for ever; \
         not on a cluster";
    deliveries_keep: RepeatInterval = "30d", env "COUPONRY_DELIVERIES_KEEP", flag "TIME",
        "Keep the deliveries of webhooks for this long: 7d or 30d; at least 4d, because a delivery is \
         tried for three days";
    post_webhooks: bool = "true", env "COUPONRY_POST_WEBHOOKS", flag "BOOL" alone "true",
        "Let serve post events to webhooks. On a cluster the processes for which it is true share that";
    webhook_allow_private: bool = "false", env "COUPONRY_WEBHOOK_ALLOW_PRIVATE",
        flag "BOOL" alone "true",
        "Let webhooks have private addresses, and http; then whoever may create one reaches what \
         this machine reaches";
    notify_days: String = "30,7,3,1", env "COUPONRY_NOTIFY_DAYS", flag "DAYS",
        "Let serve post a notice to webhooks this many days before the last day of a coupon";
    spaces: String = "", for MACHINE, env "COUPONRY_SPACES", flag "LIST",
        "Serve these spaces too, stores of other brands with keys and people of their own: NAME=HOST, \
         separated by commas; requests to that host go there";
    space: Option<SpaceName> = "", for MACHINE, env "COUPONRY_SPACE", flag "NAME",
        "Work with this space instead of the main store";
    url: Option<String> = "", for MACHINE, env "COUPONRY_URL", flag "URL",
        "Let campaign, coupon, person, import, export, history and events work over HTTP with the service at this \
         address, such as https://coupons.example, instead of the data folder";
    token: Option<SecretText> = "", for MACHINE, env "COUPONRY_TOKEN",
        flag "TOKEN" with(hide_env_values = true),
        "Show the service at url this token; better by the variable, since other users of the machine \
         can read command lines";
    requests_per_s: u64 = "0", env "COUPONRY_REQUESTS_PER_S", flag "NUMBER",
        "Answer at most this many requests in a second, of all callers together; 0 for no limit";
    store_max_mib: u64 = "0", env "COUPONRY_STORE_MAX_MIB", flag "MIB",
        "Take no more campaigns, imports, issues and accounts when the hot store has this size, in \
         MiB; 0 for no limit; not on a cluster";
    free_min_mib: u64 = "256", env "COUPONRY_FREE_MIN_MIB", flag "MIB",
        "Refuse writes while the disk has less free space than this, in MiB; not on a cluster";
    join_wal_writes: bool = "true", env "COUPONRY_JOIN_WAL_WRITES", flag "BOOL" alone "true",
        "Write the changes of a group to SQLite's WAL with one call; false for two calls for each page, as \
         SQLite does by itself; not on a cluster";
    log: String = "info", for MACHINE, env "COUPONRY_LOG", flag "FILTER",
        "Log messages of this level and above: error, warn, info or debug; or a filter such as \
         hot_sqlite=debug";
    log_format: String = "auto", for MACHINE, env "COUPONRY_LOG_FORMAT", flag "FORMAT",
        "Log to standard error as text, as json, or as auto: text on a terminal, JSON elsewhere";
    traces: Option<String> = "", for MACHINE, env "COUPONRY_TRACES", flag "URL",
        "Let serve send traces to this collector of OpenTelemetry, by OTLP over HTTP: such as \
         http://collector.example:4318";
    traces_percent: u64 = "100", for MACHINE, env "COUPONRY_TRACES_PERCENT", flag "PERCENT",
        "Record this many of a hundred requests that come without traceparent, and of compactions and \
         posts to webhooks";
    identity_issuer: Option<String> = "", env "COUPONRY_IDENTITY_ISSUER", flag "ISS",
        "Accept tokens of this issuer (`iss`) too; sign-up and sign-in are then off";
    identity_audience: Option<String> = "", env "COUPONRY_IDENTITY_AUDIENCE", flag "AUD",
        "Require this audience (`aud`) in tokens of the issuer";
    identity_algorithm: Option<String> = "", env "COUPONRY_IDENTITY_ALGORITHM", flag "ALG",
        "Verify tokens of the issuer with this algorithm: RS256, ES256 or EdDSA";
    identity_key: Option<PathBuf> = "", env "COUPONRY_IDENTITY_KEY", flag "FILE",
        "Verify tokens of the issuer with the public key in this file (PEM)";
    identity_jwks: Option<String> = "", env "COUPONRY_IDENTITY_JWKS", flag "URL",
        "Verify tokens of the issuer with the keys at this address (JWKS), instead of one key";
    identity_role_claim: String = "role", env "COUPONRY_IDENTITY_ROLE_CLAIM", flag "CLAIM",
        "Find the role of a caller in this claim of the tokens of the issuer, or within others, such \
         as realm_access.roles: a role, or a list that has couponry-shop and so on";
    console_history: Option<String> = "", env "COUPONRY_CONSOLE_HISTORY", flag "URL",
        "Run the queries of people at the console with `couponry-history serve` at this address";
    console_client: Option<String> = "", env "COUPONRY_CONSOLE_CLIENT", flag "ID",
        "Let people sign in to the console at the issuer (OpenID Connect), as this client of it";
    console_client_secret: Option<PathBuf> = "", env "COUPONRY_CONSOLE_CLIENT_SECRET", flag "FILE",
        "Show the issuer the secret in this file, if it has given the client one";
    console_role_claim: String = "roles", env "COUPONRY_CONSOLE_ROLE_CLAIM", flag "CLAIM",
        "Find the roles of people in this claim of their ID token: couponry-viewer, \
         couponry-marketer, couponry-support, couponry-operator or couponry-admin";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the table calls a default is what a store without any settings has.
    #[test]
    fn defaults() {
        let flags = SettingFlags::default();
        let settings =
            Settings::merged(&flags, SettingFlags::default(), Path::new("none")).unwrap();
        let lines = settings.lines();
        assert_eq!(lines.len() + 1, TABLE.len());
        for (row, (name, value, origin)) in TABLE.iter().skip(1).zip(lines) {
            let want = match row.name {
                "cold" => "./couponry-data/cold",
                "compact_every" => "1h",
                _ => row.default,
            };
            assert_eq!((row.name, want, &Origin::Default), (name, value.as_str(), origin));
        }
        assert_eq!(settings.free_min_mib.value, hot_sqlite::FREE_MIN_BYTES >> 20);
    }

    #[test]
    fn on_a_cluster() {
        let flags =
            SettingFlags { hot: Some("cql://db/shop".to_owned()), ..SettingFlags::default() };
        let settings =
            Settings::merged(&flags, SettingFlags::default(), Path::new("none")).unwrap();
        assert_eq!(settings.compact_every.value.every, None);
    }

    /// `docs/operations.md` lists the settings with their variables and defaults.
    #[test]
    fn documented() {
        let page = include_str!("../../../../docs/operations.md");
        let section = page.split("\n## Settings\n").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let plain = |cell: &str| cell.trim().replace('`', "");
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let found: Vec<Vec<String>> =
            rows.map(|row| row.split('|').skip(1).take(3).map(plain).collect()).collect();
        let want: Vec<Vec<String>> = TABLE
            .iter()
            .map(|row| [row.name, row.env, row.default].map(str::to_owned).to_vec())
            .collect();
        assert_eq!(found, want);
    }
}
