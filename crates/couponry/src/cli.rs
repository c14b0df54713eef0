//! The command line: the commands, and what each of them takes.

use clap::{Parser, Subcommand};

use crate::commands;
use crate::settings::{SettingFlags, help};

/// The end of the help of a command: its exit codes, and examples.
macro_rules! help_ending {
    ($codes:literal, $example:literal) => {
        concat!("Exit codes: ", $codes, ".\n\nExample:\n  ", $example)
    };
    ($codes:literal, $($example:literal),+) => {
        concat!("Exit codes: ", $codes, ".\n\nExamples:", $("\n  ", $example),+)
    };
}

/// Store coupons, each of which can be redeemed at most once.
#[derive(Parser)]
#[command(
    version = env!("COUPONRY_VERSION"),
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the service: HTTP on one address, the data in one folder
    ///
    /// Needs no settings: the first start creates the folder, the keys and the store. SIGTERM or
    /// Ctrl-C stops the service after it has answered the requests that it accepted.
    #[command(after_help = help_ending!("0 stopped by a signal, 1 could not start or failed, 2 usage error",
        "couponry serve",
        "couponry serve --data /var/lib/couponry --listen 0.0.0.0:8080"))]
    Serve,
    /// Create, show and pause campaigns, and mint coupons for them
    ///
    /// You can run this while `serve` is running. Prints the same JSON as the HTTP interface:
    /// indented on a terminal, on one line elsewhere. `campaign list` prints a table on a terminal.
    #[command(subcommand)]
    Campaign(commands::campaign::CampaignCommand),
    /// Show and change coupons
    ///
    /// Acts as an admin on one CODE, or on every code of a --file. You can run this while `serve`
    /// is running.
    ///
    /// For one code, prints the answer of the HTTP interface as JSON; a refusal is one line on
    /// standard error. For a file, prints CSV with one line for each code: code, result, detail. The
    /// result is `ok`, `replay` (there was nothing to change), or the code of the refusal.
    #[command(subcommand)]
    Coupon(commands::coupon::Call),
    /// Show what is known of a person, and forget people
    ///
    /// Acts as an admin. You can run this while `serve` is running.
    #[command(subcommand)]
    Person(commands::person::PersonCommand),
    Import(commands::import::ImportFlags),
    /// Export codes, coupons or redemptions as CSV or JSON lines
    ///
    /// Needs constant memory for any number of rows. You can run this while `serve` is running.
    #[command(subcommand)]
    Export(commands::export::ExportCommand),
    /// Look up coupons, active and archived
    ///
    /// You can run this while `serve` is running.
    #[command(subcommand)]
    History(commands::history::HistoryCommand),
    Events(commands::events::EventsFlags),
    Compact(commands::compact::CompactArgs),
    Backup(commands::backup::BackupArgs),
    Restore(commands::restore::RestoreArgs),
    Copy(commands::copy::CopyArgs),
    /// Create the keyspace and the tables of a cluster, or compare them
    ///
    /// Only a cluster needs this. With SQLite, couponry creates the tables when it opens the store.
    #[command(subcommand)]
    Schema(commands::schema::SchemaCommand),
    Notify(commands::notify::NotifyFlags),
    Token(commands::token::TokenArgs),
    Console(commands::console::ConsoleArgs),
    /// List, add and retire keys
    ///
    /// A code key mints codes, and a token key signs tokens. couponry mints and signs with the newest
    /// key of each kind. The keys are in the folder `keys` of the data folder.
    #[command(subcommand)]
    Key(commands::key::KeyCommand),
    Doctor(commands::doctor::DoctorArgs),
    Verify(commands::verify::VerifyArgs),
    /// Check that a running service answers
    ///
    /// Requests /healthz at the setting `url`, or else at the address that `serve` listens on, and prints one line.
    /// Reads no data, needs no token, and waits at most 2 seconds.
    #[command(after_help = help_ending!(
        "0 it answers 2xx, 1 it answers otherwise or not at all, 2 usage error",
        "couponry healthcheck",
        "couponry healthcheck --url http://10.0.0.7:8080"))]
    Healthcheck,
    /// Try webhooks on your machine
    #[command(subcommand)]
    Webhook(commands::webhook::WebhookCommand),
    /// Print the settings that a command would use, and where each comes from
    ///
    /// Prints one line for each setting: name = value  # origin. Flags override COUPONRY_* variables,
    /// which override couponry.toml, which overrides the defaults.
    #[command(after_help = help_ending!("0 printed, 2 a setting cannot be used",
        "COUPONRY_LISTEN=0.0.0.0:8080 couponry config"))]
    Config,
    Openapi(commands::openapi::OpenapiArgs),
    Completion(commands::shell::CompletionArgs),
    Man(commands::shell::ManArgs),
    /// List the settings: flag, environment variable, key in the settings file, default
    #[command(hide = true, long_about = help::topic(), help_template = "{about}")]
    Settings,
}
