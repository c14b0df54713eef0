//! `couponry notify`: notifies holders before their coupons expire.

use clap::Args;
use command_line::{CommandProgress, WorkKind};
use engine::{Engine, NOTICE_DAYS_MAX, NOTICE_TYPE};

use crate::failure::{CliError, Ended, Result};
use crate::notices::{NoticeDestination, Round, WEBHOOKS, days, days_of};
use crate::open::{self, Opened, Purpose};
use crate::settings::Settings;
use crate::{clock, output};

/// Longest --as, in characters.
const NAME_LEN_MAX: usize = 64;

/// Notify holders that their coupons expire soon
///
/// Finds issued coupons whose last day is so many days from today, in the time zone of the coupon. Makes one notice for
/// each holder. Run it once a day, or as often as you like: the store remembers until when notices were sent.
///
/// If no run takes place on a day, the next run makes up for it, with the days that are really left
/// (`days_left`); of several numbers that were missed it sends only the last. Nothing is sent for a
/// day before the first run, or before the holder got the coupon or its new expiry: the holder
/// learned the last day then. Coupons of a paused campaign or batch wait until it is resumed.
///
/// To standard output: one JSON line for each notice. They count as sent when the run ends. After a
/// run that was interrupted, the next one prints all of them again, with the same notice_id. What
/// runs with other --days needs a name of its own (--as).
///
/// To the webhooks of the store (--webhooks): each notice is queued once for each webhook that asks
/// for coupons.expiring, and `serve` posts it as it posts events. `serve` runs such a round once an
/// hour by itself as long as there is such a webhook.
#[derive(Args)]
#[command(after_help = help_ending!("0 everything was sent, 1 failed, 2 usage error, 3 some webhooks had no room",
    "couponry notify --days 30,7,3,1 >> notices.jsonl",
    "couponry notify --days 7 --as mail | ./send-mails",
    "couponry notify --webhooks",
    "couponry notify --dry-run"))]
pub(crate) struct NotifyFlags {
    /// Days before the last day, 0 for the day itself; separate several with commas
    #[arg(
        long,
        value_name = "DAYS",
        value_delimiter = ',',
        default_value = "30,7,3,1",
        value_parser = clap::value_parser!(u16).range(0..=i64::from(NOTICE_DAYS_MAX)),
        conflicts_with = "webhooks"
    )]
    days: Vec<u16>,
    /// Hand them to the webhooks of /v1/webhooks that ask for coupons.expiring: `serve` posts them.
    /// The setting notify_days has the days
    #[arg(long)]
    webhooks: bool,
    /// Remember under this name until when notices were printed, so that several programs can get all of them
    #[arg(
        long = "as",
        value_name = "NAME",
        default_value = "stdout",
        value_parser = name,
        conflicts_with = "webhooks"
    )]
    name: String,
    /// Count the notices, and send none
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(settings: &Settings, flags: &NotifyFlags) -> Result<Ended> {
    let days = if flags.webhooks { days_of(settings)? } else { days(&flags.days)? };
    let work = async |opened: &Opened| {
        if let Some(warning) = clock::would_observe(opened.engine()).await?.warning() {
            let why = "no notice is sent while the clock is not trusted";
            return Err(CliError::new(warning).and(why));
        }
        let target = match flags.webhooks {
            true => webhooks(opened).await?,
            false => NoticeDestination::Standard(flags.name.clone()),
        };
        sent(flags, &days, &target, opened.engine()).await
    };
    open::with(settings, Purpose::Write, work).await
}

async fn webhooks(opened: &Opened) -> Result<NoticeDestination> {
    let Some(webhooks) = opened.webhooks()? else {
        return Err(CliError::usage(
            "--webhooks: this store has no webhooks, because it keeps no events \
             (docs/problems/NOT_KEPT.md)",
        ));
    };
    match webhooks.has_asked(NOTICE_TYPE).await.map_err(CliError::of)? {
        true => Ok(NoticeDestination::Webhooks(webhooks)),
        false => Err(CliError::new(format!("no webhook asks for {NOTICE_TYPE}"))
            .and("create one first (docs/webhooks.md)")),
    }
}

async fn sent(
    flags: &NotifyFlags,
    days: &[u16],
    target: &NoticeDestination,
    engine: &Engine,
) -> Result<Ended> {
    let rows_shown = !flags.webhooks && output::is_terminal();
    let progress = CommandProgress::new(WorkKind::Notify, None, rows_shown);
    let show = |sent, looked_at| progress.set(sent, looked_at);
    let round = Round { engine, days, target, progress: &show };
    let counts = match flags.dry_run {
        true => progress.during(round.dry_run()).await,
        false => progress.during(round.run()).await,
    };
    drop(progress);
    let counts = counts?;
    counts.shown.iter().for_each(|line| output::note(line));
    output::note(&counts.summary(flags.dry_run));
    counts.ended()
}

/// Parses --as.
fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match (1..=NAME_LEN_MAX).contains(&text.len()) && text.chars().all(plain) {
        true if text == WEBHOOKS => Err(format!("{WEBHOOKS} has a meaning: use --webhooks")),
        true => Ok(text.to_owned()),
        false => Err(format!("want 1 to {NAME_LEN_MAX} characters of A-Z a-z 0-9 - _ .")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
