//! The arguments of `couponry-history`, with their help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use couponry::bootstrap::StoreFlags;

use crate::formats::OutputFormat;
use crate::query::QueryLimits;

/// SQL over both tiers of couponry
///
/// It has four tables: `coupons` (both tiers as one, each coupon once), `events`, `redemptions` and
/// `campaigns`. It never writes to a store. It takes the same settings as `couponry serve` and can run
/// beside it. A minted coupon that nothing has changed is missing, because it has no row in a store.
#[derive(Parser)]
#[command(
    name = "couponry-history",
    version = env!("COUPONRY_VERSION"),
    max_term_width = 100,
    subcommand_precedence_over_arg = true,
    after_help = "\
Exit codes: 0 done, 1 failed, 2 usage error or wrong SQL.

Examples:
  couponry-history \"select campaign_id, state, count(*) from coupons
    where expires_on >= '2026-10-01' group by 1, 2\"
  couponry-history --format parquet --output may.parquet \\
    \"select * from redemptions where redeemed_at >= '2026-05-01'\"
  couponry-history --file report.sql --format csv
  couponry-history serve --listen 127.0.0.1:8081"
)]
pub(super) struct HistoryCli {
    #[command(flatten)]
    pub(super) stores: StoreFlags,
    #[command(flatten)]
    pub(super) limits: LimitFlags,
    #[command(flatten)]
    pub(super) ask: QueryArgs,
    #[command(subcommand)]
    pub(super) command: Option<SqlCommand>,
}

#[derive(Subcommand)]
pub(super) enum SqlCommand {
    /// Answer SQL over HTTP: POST /v1/history/query, for operators and admins
    #[command(after_help = "\
Exit codes: 0 stopped by a signal, 1 failed, 2 usage error.

Example:
  couponry-history serve --listen 127.0.0.1:8081
  curl -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\
    -d '{\"sql\": \"select count(*) from coupons\"}' http://127.0.0.1:8081/v1/history/query")]
    Serve,
}

#[derive(Args)]
pub(super) struct QueryArgs {
    /// One statement; - reads it from standard input
    #[arg(value_name = "SQL", conflicts_with = "file")]
    pub(super) sql: Option<String>,
    /// Run the statements of a file, one after the other
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Write the rows in this format
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub(super) format: OutputFormat,
    /// Write to this file instead of standard output; it appears when it is complete, and only its
    /// owner can read it
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Read the cold tier at this version of its Delta table, without the hot tier, which has no
    /// versions
    #[arg(long, value_name = "VERSION")]
    pub(super) as_of: Option<u64>,
}

#[derive(Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitFlags {
    /// Seconds that a query may take [default: 600; serve: 10]
    #[arg(long, global = true, env = "COUPONRY_HISTORY_TIME_LIMIT", value_name = "SECONDS",
        hide_env_values = true, value_parser = clap::value_parser!(u64).range(1..))]
    time_limit: Option<u64>,
    /// Memory for sorting, grouping and joining, in MiB; what does not fit is spilled to disk
    /// [default: 1024; serve: 256 for each query]
    #[arg(long, global = true, env = "COUPONRY_HISTORY_MEMORY_LIMIT", value_name = "MIB",
        hide_env_values = true, value_parser = clap::value_parser!(u64).range(16..=1 << 20))]
    memory_limit: Option<u64>,
    /// Disk space for spilled data, in MiB [default: 10240; serve: 1024 for all queries]
    #[arg(long, global = true, env = "COUPONRY_HISTORY_SPILL_LIMIT", value_name = "MIB",
        hide_env_values = true, value_parser = clap::value_parser!(u64).range(0..=1 << 30))]
    spill_limit: Option<u64>,
    /// Folder of spilled data [default: the system's temporary folder]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_HISTORY_SPILL_FOLDER",
        value_name = "FOLDER",
        hide_env_values = true
    )]
    spill_folder: Option<PathBuf>,
}

impl LimitFlags {
    /// The limits, with these where the command line and the environment name none.
    pub(super) fn or(&self, seconds: u64, memory_mib: u64, spill_mib: u64) -> QueryLimits {
        QueryLimits {
            time: Duration::from_secs(self.time_limit.unwrap_or(seconds)),
            memory: usize::try_from(self.memory_limit.unwrap_or(memory_mib) << 20)
                .unwrap_or(usize::MAX),
            spill: self.spill_limit.unwrap_or(spill_mib) << 20,
            spill_folder: self.spill_folder.clone(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}
