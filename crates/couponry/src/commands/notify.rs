//! `couponry notify`: holders are told before their coupons expire.

mod file;
mod memory;
mod notice;
mod plan;
mod round;
mod signature;
mod sorter;
mod webhook;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use engine::{Engine, NOTICE_DAYS_MAX};

use crate::failure::{CliError, Ended};
use crate::open::{self, Purpose};
use crate::output::{self, thousands};
use crate::progress::{Progress, Work};
use crate::settings::Settings;
pub(crate) use round::{NoticeCounts, NoticeDestination, Round};
pub(crate) use webhook::Webhook;

/// Most numbers of days: each is told once, and nobody wants more messages about one coupon.
const DAYS_COUNT_MAX: usize = 16;

/// Longest --as, in characters: a part of the name of a folder.
const NAME_LEN_MAX: usize = 64;

/// Time between two rounds that `serve` goes by itself: days begin at other hours elsewhere.
const ROUND_EVERY: Duration = Duration::from_secs(3_600);

/// The file with the secret, for `serve`.
const SECRET_FILE: &str = "COUPONRY_NOTIFY_SECRET_FILE";

/// The secret, where no file is named.
const SECRET: &str = "COUPONRY_NOTIFY_SECRET";

/// Tell holders that their coupons are about to expire
///
/// Looks for issued coupons whose last day is so many days from today, as the coupon's own time
/// zone counts days, and writes one JSON line for each holder, or posts it. Run it once a day, or
/// as often as you like: what was told is remembered, in DATA/notices, for each place that
/// notices go to.
///
/// A day without a run is made up for by the next one, with the days that are really left
/// (`days_left`); of several numbers missed only the last is told. What had passed before the
/// first run, or before the holder had the coupon or its new expiry, is not: he was told of the
/// last day then. Coupons of a paused campaign or batch wait until it is resumed.
///
/// To a file (--to): appended and synced; what stands in it is never written again, also after
/// kill -9, and a line cut short is cut off. To move it away, wait until no run is at work.
///
/// To an address (--webhook): a POST each, signed as Standard Webhooks 1.0 has it (webhook-id,
/// webhook-timestamp, webhook-signature), with Idempotency-Key: keep the keys you have seen, since
/// a notice of which nobody knows whether it arrived is sent again with the same key and body. 2xx
/// is taken. 408, 409, 425, 429, 5xx and silence are tried again, 5 times in a run, then in the
/// next one; anything else is a no, and the next run asks anew.
///
/// To standard output: what a run has printed counts as told when it has come to its end; of one
/// that broke off everything is printed again, with the same notice_id.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 everybody who was to be told is told, 1 failed, 2 wrong call, 3 some notices did not
arrive.

Examples:
  couponry notify --days 30,7,3,1 --to notices.jsonl
  couponry notify --days 7 --webhook https://shop.example/notices --webhook-secret-file secret
  couponry notify --days 7 --to notices-$(date +%F).jsonl --as mail
  couponry notify --dry-run")]
pub(crate) struct NotifyFlags {
    /// How many days before the last day, 0 for the day itself; several with commas
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
    /// File with the secret that posts are signed with: whsec_ and base64, or 24 to 64 other
    /// characters; two lines for two secrets, while one replaces the other [default: the variable
    /// COUPONRY_NOTIFY_SECRET]
    #[arg(long, env = "COUPONRY_NOTIFY_SECRET_FILE", value_name = "FILE", hide_env_values = true)]
    webhook_secret_file: Option<PathBuf>,
    /// Remember what was told under this name, so that it counts for another file or address, too
    /// [default: for each its own]
    #[arg(long = "as", value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// Only count who would be told
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(settings: &Settings, flags: &NotifyFlags) -> Result<Ended, CliError> {
    let days = days(&flags.days)?;
    let target = target(flags)?;
    let work = async |engine: &Arc<Engine>| told(settings, flags, &days, &target, engine).await;
    open::with(settings, Purpose::Write, work).await
}

async fn told(
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
        progress: &|told, looked_at| progress.set(told, looked_at),
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
    output::note(&summary(&counts, flags.dry_run));
    ended(&counts)
}

/// The rounds that `serve` goes by itself.
pub(crate) struct Rounds {
    days: Vec<u16>,
    target: NoticeDestination,
}

impl Rounds {
    /// What the settings ask for, if anything.
    ///
    /// # Errors
    /// Wrong call: days, an address or a secret that cannot be used.
    pub(crate) fn of(settings: &Settings) -> Result<Option<Rounds>, CliError> {
        let Some(address) = &settings.notify_webhook.value else { return Ok(None) };
        let wrong =
            |text: &str| CliError::wrong_call(format!("notify_days is {text:?}, want 30,7,1"));
        let text = &settings.notify_days.value;
        let given = text.split(',').map(|number| number.trim().parse().ok());
        let given: Vec<u16> = given.collect::<Option<_>>().ok_or_else(|| wrong(text))?;
        if given.iter().any(|number| i64::from(*number) > i64::from(NOTICE_DAYS_MAX)) {
            return Err(wrong(text));
        }
        let path = std::env::var_os(SECRET_FILE).map(PathBuf::from);
        let secret = secret(path.as_deref())?;
        let target = NoticeDestination::Webhook(Box::new(Webhook::new(address, &secret)?));
        Ok(Some(Rounds { days: days(&given)?, target }))
    }

    /// Goes one round after the other, until it is dropped.
    pub(crate) async fn go(self, settings: Settings, engine: Arc<Engine>) {
        loop {
            let round = Round {
                engine: &engine,
                data: &settings.data.value,
                days: &self.days,
                target: &self.target,
                name: None,
                progress: &|_, _| {},
            };
            match round.run().await {
                Ok(NoticeCounts { told, refused, failed, .. }) => {
                    tracing::info!(told, refused, failed, "notices of coupons that end soon");
                }
                Err(cli_error) => {
                    tracing::warn!(error = %cli_error, "no notices; the next round is due")
                }
            }
            tokio::time::sleep(ROUND_EVERY).await;
        }
    }
}

/// Each once, the largest first.
fn days(given: &[u16]) -> Result<Vec<u16>, CliError> {
    let mut days = given.to_vec();
    days.sort_unstable_by(|a, b| b.cmp(a));
    days.dedup();
    let found = days.len();
    match found <= DAYS_COUNT_MAX {
        true => Ok(days),
        false => Err(CliError::wrong_call(format!(
            "--days has {found} numbers, want at most {DAYS_COUNT_MAX}"
        ))),
    }
}

fn target(flags: &NotifyFlags) -> Result<NoticeDestination, CliError> {
    match (&flags.to, &flags.webhook) {
        (Some(path), _) => Ok(NoticeDestination::File(path.clone())),
        (None, None) => Ok(NoticeDestination::Standard),
        (None, Some(address)) => {
            let secret = secret(flags.webhook_secret_file.as_deref())?;
            Ok(NoticeDestination::Webhook(Box::new(Webhook::new(address, &secret)?)))
        }
    }
}

/// Never a flag's value: everybody on the machine could read it.
fn secret(path: Option<&Path>) -> Result<String, CliError> {
    match (path, std::env::var(SECRET)) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path);
            text.map_err(|error| CliError::wrong_call(format!("{}: {error}", path.display())))
        }
        (None, Ok(text)) => Ok(text),
        (None, Err(_)) => Err(CliError::wrong_call(format!(
            "--webhook needs a secret to sign with: --webhook-secret-file, or {SECRET} in the \
             environment"
        ))),
    }
}

fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match (1..=NAME_LEN_MAX).contains(&text.len()) && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("want 1 to {NAME_LEN_MAX} characters of A-Z a-z 0-9 - _ .")),
    }
}

fn summary(counts: &NoticeCounts, dry_run: bool) -> String {
    let NoticeCounts { told, coupons, already, refused, failed, .. } = counts;
    let [told, coupons, already] = [told, coupons, already].map(|it| thousands(*it));
    if dry_run {
        return format!(
            "would tell {told} notices of {coupons} coupons; {already} coupons were told of before"
        );
    }
    let mut text = format!(
        "told {told} notices of {coupons} coupons; {already} coupons were told of before; \
         refused {}, failed {}",
        thousands(*refused),
        thousands(*failed)
    );
    if counts.gave_up {
        text.push_str("; the receiver is down, the rest is left to the next run");
    }
    text
}

fn ended(counts: &NoticeCounts) -> Result<Ended, CliError> {
    let failed = counts.failed > 0 || counts.gave_up;
    match (failed, counts.told > 0 || counts.refused > 0) {
        (false, _) if counts.refused == 0 => Ok(Ended::Done),
        (false, _) | (true, true) => Ok(Ended::Partly),
        (true, false) => {
            let sentence = "the receiver has taken nothing: run it again when it does";
            Err(CliError::new(sentence))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_once_each() {
        let many = |count: u16| (0..count).collect::<Vec<u16>>();
        let most = DAYS_COUNT_MAX as u16;
        let cases = [
            ("as given", vec![30, 7, 3, 1], Some(4)),
            ("twice", vec![7, 1, 7, 1, 1], Some(2)),
            ("the most", many(most), Some(DAYS_COUNT_MAX)),
            ("one more", many(most + 1), None),
        ];
        for (name, given, want) in cases {
            assert_eq!(days(&given).ok().map(|days| days.len()), want, "{name}");
        }
        assert_eq!(days(&[1, 30, 7]).unwrap(), [30, 7, 1]);
    }

    #[test]
    fn names() {
        let cases = [
            ("mail", true),
            ("a-b_c.1", true),
            ("", false),
            ("a/b", false),
            ("a b", false),
            (&"x".repeat(NAME_LEN_MAX), true),
            (&"x".repeat(NAME_LEN_MAX + 1), false),
        ];
        for (text, good) in cases {
            assert_eq!(name(text).is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn endings() {
        let counts = |told, refused, failed, gave_up| NoticeCounts {
            told,
            refused,
            failed,
            gave_up,
            ..NoticeCounts::default()
        };
        let cases = [
            ("nobody to tell", counts(0, 0, 0, false), Some(Ended::Done)),
            ("all told", counts(5, 0, 0, false), Some(Ended::Done)),
            ("one refused", counts(5, 1, 0, false), Some(Ended::Partly)),
            ("all refused", counts(0, 5, 0, false), Some(Ended::Partly)),
            ("one failed", counts(5, 0, 1, false), Some(Ended::Partly)),
            ("given up half way", counts(5, 0, 20, true), Some(Ended::Partly)),
            ("all failed", counts(0, 0, 5, false), None),
            ("given up", counts(0, 0, 20, true), None),
        ];
        for (name, counts, want) in cases {
            assert_eq!(ended(&counts).ok(), want, "{name}");
        }
    }

    #[test]
    fn summaries() {
        let counts = NoticeCounts {
            told: 1_200,
            coupons: 1_300,
            already: 7,
            refused: 2,
            failed: 3,
            gave_up: true,
            ..NoticeCounts::default()
        };
        assert_eq!(
            summary(&counts, false),
            "told 1,200 notices of 1,300 coupons; 7 coupons were told of before; refused 2, \
             failed 3; the receiver is down, the rest is left to the next run"
        );
        assert_eq!(
            summary(&counts, true),
            "would tell 1,200 notices of 1,300 coupons; 7 coupons were told of before"
        );
    }

    /// Whoever runs rounds by himself does so in a task.
    #[test]
    fn a_round_fits_in_a_task() {
        fn fits<T: Send>(_: impl FnOnce(&'static Round<'static>) -> T) {}
        fits(|round| round.run());
    }
}
