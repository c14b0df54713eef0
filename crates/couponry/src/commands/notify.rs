//! `couponry notify`: notifies holders before their coupons expire.

mod counts;
mod destination;
mod file;
mod memory;
mod notice;
mod options;
mod plan;
mod posts;
mod round;
mod rounds;
mod sorter;
mod webhook;

use std::path::PathBuf;

use clap::Args;
use command_line::{Progress, Work};
use engine::{Engine, NOTICE_DAYS_MAX};

use self::destination::NoticeDestination;
use self::round::Round;
use crate::failure::{CliError, Ended};
use crate::open::{self, Opened, Purpose};
use crate::output;
use crate::settings::Settings;

pub(crate) use options::days_of;
pub(crate) use rounds::Rounds;

/// Notify holders that their coupons expire soon
///
/// Finds issued coupons whose last day is so many days from today, in the time zone of the coupon.
/// Writes one JSON line for each holder, or posts it. Run it once a day, or as often as you like:
/// the folder `notices` of the data folder remembers, for each destination, which notices were
/// sent.
///
/// If no run takes place on a day, the next run makes up for it, with the days that are really left
/// (`days_left`); of several numbers that were missed it sends only the last. Nothing is sent for a
/// day before the first run, or before the holder got the coupon or its new expiry: the holder
/// learned the last day then. Coupons of a paused campaign or batch wait until it is resumed.
///
/// To a file (--to): appends and syncs. Never writes a notice of the file again, even after kill
/// -9, and removes an incomplete last line. Move the file away only while no run takes place.
///
/// To an address (--webhook): one POST for each notice, signed as in Standard Webhooks 1.0
/// (webhook-id, webhook-timestamp, webhook-signature), with Idempotency-Key. A notice that may have
/// arrived is sent again with the same key and body, so remember the keys. 2xx accepts the notice.
/// After 408, 409, 425, 429, 5xx or no answer, the run tries up to 5 times and the next run again.
/// Any other status refuses the notice, and the next run makes a new one.
///
/// To the webhooks of the store (--webhooks): each notice is queued once for each webhook that asks
/// for coupons.expiring, and `serve` posts it as it posts events. `serve` runs such a round once an
/// hour by itself as long as there is such a webhook.
///
/// To standard output: the notices count as sent when the run ends. After a run that was
/// interrupted, the next one prints all of them again, with the same notice_id.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 everything was sent, 1 failed, 2 usage error, 3 some notices did not arrive.

Examples:
  couponry notify --days 30,7,3,1 --to notices.jsonl
  couponry notify --days 7 --webhook https://shop.example/notices --webhook-secret-file secret
  couponry notify --days 7 --to notices-$(date +%F).jsonl --as mail
  couponry notify --dry-run")]
pub(crate) struct NotifyFlags {
    /// Days before the last day, 0 for the day itself; separate several with commas
    #[arg(
        long,
        value_name = "DAYS",
        value_delimiter = ',',
        default_value = "30,7,3,1",
        value_parser = clap::value_parser!(u16).range(0..=i64::from(NOTICE_DAYS_MAX))
    )]
    days: Vec<u16>,
    /// Append to this file instead of standard output
    #[arg(long, value_name = "FILE", conflicts_with = "webhook")]
    to: Option<PathBuf>,
    /// Post to this address: https, or http on this machine
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Hand them to the webhooks of /v1/webhooks that ask for coupons.expiring: `serve` posts them
    #[arg(long, conflicts_with_all = ["to", "webhook"])]
    webhooks: bool,
    /// File with the secret that signs the posts: whsec_ and base64, or 24 to 64 other characters.
    /// Two lines for two secrets, while one replaces the other [default: the environment variable
    /// COUPONRY_NOTIFY_SECRET]
    #[arg(long, env = "COUPONRY_NOTIFY_SECRET_FILE", value_name = "FILE", hide_env_values = true)]
    webhook_secret_file: Option<PathBuf>,
    /// Remember sent notices under this name, so that several files or addresses share the memory
    /// [default: one memory for each]
    #[arg(long = "as", value_name = "NAME", value_parser = options::name)]
    name: Option<String>,
    /// Count the notices, and send none
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(settings: &Settings, flags: &NotifyFlags) -> Result<Ended, CliError> {
    let days = options::days(&flags.days)?;
    let target = options::destination(flags)?;
    let work = async |opened: &Opened| {
        let target = target.map_or_else(|| options::webhooks(opened), Ok)?;
        sent(settings, flags, &days, &target, opened.engine()).await
    };
    open::with_opened(settings, Purpose::Write, work).await
}

async fn sent(
    settings: &Settings,
    flags: &NotifyFlags,
    days: &[u16],
    target: &NoticeDestination,
    engine: &Engine,
) -> Result<Ended, CliError> {
    let rows_shown = matches!(target, NoticeDestination::Standard) && output::is_terminal();
    let progress = Progress::new(Work::Notify, None, rows_shown);
    let round = Round {
        engine,
        data: &settings.data.value,
        days,
        target,
        name: flags.name.as_deref(),
        progress: &|sent, looked_at| progress.set(sent, looked_at),
    };
    let counts = match flags.dry_run {
        true => progress.during(round.dry_run()).await,
        false => progress.during(round.run()).await,
    };
    drop(progress);
    let counts = counts?;
    for line in &counts.shown {
        output::note(line);
    }
    output::note(&counts.summary(flags.dry_run));
    counts.ended()
}
