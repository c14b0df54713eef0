//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::span::Every;

/// The store for coupons that are worth money exactly once.
#[derive(Parser)]
#[command(version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags over `COUPONRY_*` over `couponry.toml` over defaults.
#[derive(Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct SettingFlags {
    /// Folder of the data and the keys [default: ./couponry-data]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_DATA",
        value_name = "FOLDER",
        hide_env_values = true
    )]
    pub(crate) data: Option<PathBuf>,
    /// Hot store: sqlite, or cql://HOST:PORT,HOST:PORT/KEYSPACE on ScyllaDB or Apache Cassandra
    /// [default: sqlite]
    #[arg(long, global = true, env = "COUPONRY_HOT", value_name = "STORE", hide_env_values = true)]
    pub(crate) hot: Option<String>,
    /// Cold tier: a folder, or s3://BUCKET/PREFIX reached as the AWS_* variables say
    /// [default: DATA/cold]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_COLD",
        value_name = "PLACE",
        hide_env_values = true
    )]
    pub(crate) cold: Option<String>,
    /// User at the cluster; the password comes from COUPONRY_CQL_PASSWORD or the settings file
    #[arg(
        long,
        global = true,
        env = "COUPONRY_CQL_USER",
        value_name = "USER",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) cql_user: Option<String>,
    /// The data centre whose replicas have to agree, where the cluster has several
    #[arg(
        long,
        global = true,
        env = "COUPONRY_CQL_DATACENTER",
        value_name = "NAME",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) cql_datacenter: Option<String>,
    /// Encrypt the connections to the cluster: file with the certificates that sign those of its
    /// nodes (PEM)
    #[arg(
        long,
        global = true,
        env = "COUPONRY_CQL_AUTHORITY",
        value_name = "FILE",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) cql_authority: Option<PathBuf>,
    /// Send the password to the cluster over connections that are not encrypted, also to other
    /// machines [default: false]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_CQL_PLAIN_PASSWORD",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) cql_plain_password: Option<bool>,
    /// Time between two compactions by `serve`: 15m, 1h, 1d; 0 for never [default: 1h; never on a
    /// cluster, where one node does it, or none]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_COMPACT_EVERY",
        value_name = "TIME",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) compact_every: Option<Every>,
    /// Address that `serve` posts notices to by itself, once an hour; on a cluster set it for one
    /// node [default: none]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_NOTIFY_WEBHOOK",
        value_name = "URL",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) notify_webhook: Option<String>,
    /// How many days before the last day it does so [default: 30,7,3,1]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_NOTIFY_DAYS",
        value_name = "DAYS",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) notify_days: Option<String>,
    /// Address that `serve` listens on [default: 127.0.0.1:8080]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_LISTEN",
        value_name = "HOST:PORT",
        hide_env_values = true
    )]
    pub(crate) listen: Option<String>,
    /// Proxies whose X-Forwarded-For or Forwarded says where a client is: IP addresses and networks
    /// such as 10.0.0.0/8, with commas; their own connections are not limited [default: none]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_TRUSTED_PROXIES",
        value_name = "LIST",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) trusted_proxies: Option<String>,
    /// Whether anyone may make an account with POST /v1/users: on or off [default: on]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_SIGN_UP",
        value_name = "on|off",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) sign_up: Option<String>,
    /// Settings file [default: ./couponry.toml, if it is there]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_CONFIG",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub(crate) config: Option<PathBuf>,
    /// Free space below which writes are refused, in MiB; not on a cluster [default: 256]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_FREE_MIN_MIB",
        value_name = "MIB",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) free_min_mib: Option<u64>,
    /// What to log: error, warn, info, debug, or a filter such as `hot=debug` [default: info]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_LOG",
        value_name = "FILTER",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) log: Option<String>,
    /// auto (text on a terminal, JSON elsewhere), text or json [default: auto]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_LOG_FORMAT",
        value_name = "FORMAT",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) log_format: Option<String>,
    /// Accept tokens of this issuer (`iss`) too; accounts made here are off then
    #[arg(
        long,
        global = true,
        env = "COUPONRY_IDENTITY_ISSUER",
        value_name = "ISS",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) identity_issuer: Option<String>,
    /// The audience (`aud`) that its tokens must name
    #[arg(
        long,
        global = true,
        env = "COUPONRY_IDENTITY_AUDIENCE",
        value_name = "AUD",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) identity_audience: Option<String>,
    /// Algorithm of its public key: RS256, ES256 or EdDSA
    #[arg(
        long,
        global = true,
        env = "COUPONRY_IDENTITY_ALGORITHM",
        value_name = "ALG",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) identity_algorithm: Option<String>,
    /// File with its public key (PEM)
    #[arg(
        long,
        global = true,
        env = "COUPONRY_IDENTITY_KEY",
        value_name = "FILE",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) identity_key: Option<PathBuf>,
    /// Address of its keys (JWKS), instead of one key
    #[arg(
        long,
        global = true,
        env = "COUPONRY_IDENTITY_JWKS",
        value_name = "URL",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub(crate) identity_jwks: Option<String>,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the service: HTTP on one address, the data in one folder
    ///
    /// Needs no settings: the first start makes the folder, its keys and the store. Ends on
    /// SIGTERM or Ctrl-C, when what was taken is answered.
    #[command(after_help = "\
Exit codes: 0 stopped by a signal, 1 it could not start or broke off, 2 wrong call.

Examples:
  couponry serve
  couponry serve --data /var/lib/couponry --listen 0.0.0.0:8080")]
    Serve,
    Campaign(commands::campaign::CampaignArgs),
    Coupon(commands::coupon::CouponArgs),
    Import(commands::import::ImportFlags),
    Export(commands::export::ExportArgs),
    History(commands::history::HistoryArgs),
    Compact(commands::compact::CompactArgs),
    Backup(commands::backup::BackupArgs),
    Restore(commands::restore::RestoreArgs),
    Copy(commands::copy::CopyArgs),
    Schema(commands::schema::SchemaArgs),
    Notify(commands::notify::NotifyFlags),
    Token(commands::token::TokenArgs),
    Key(commands::key::KeyArgs),
    /// Look for what is wrong with the data, the keys and the machine
    ///
    /// Prints one line for each thing it looks at: `ok`, `warn` (works, but look at it) or
    /// `FAIL`. Reads the whole store, so it takes a while on a large one; a running `serve` goes
    /// on meanwhile. Repairs nothing.
    #[command(after_help = "\
Exit codes: 0 nothing failed, 1 something did, 2 wrong call.

Example:
  couponry doctor --data /var/lib/couponry")]
    Doctor,
    Verify(commands::verify::VerifyArgs),
    Healthcheck(commands::healthcheck::HealthArgs),
    /// Print the settings that a command would run with, and where each comes from
    ///
    /// One a line: name = value  # origin. Flags go over COUPONRY_* in the environment, these
    /// over couponry.toml, this over the defaults.
    #[command(after_help = "\
Exit codes: 0 printed, 2 a setting cannot be used.

Example:
  COUPONRY_LISTEN=0.0.0.0:8080 couponry config")]
    Config,
    /// Print the OpenAPI document of the HTTP interface
    ///
    /// JSON, the same that a running service has at /openapi.json.
    #[command(after_help = "\
Exit codes: 0 printed, 2 wrong call.

Example:
  couponry openapi > openapi.json")]
    Openapi,
    Completion(commands::completion::CompletionArgs),
}
