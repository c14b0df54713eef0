//! What flags and settings of notices stand for: days, destination, secret, name.

use std::path::{Path, PathBuf};

use engine::NOTICE_DAYS_MAX;

use super::NotifyFlags;
use super::destination::NoticeDestination;
use super::webhook::Webhook;
use crate::failure::CliError;
use crate::open::Opened;
use crate::settings::Settings;

/// Most numbers of days: nobody wants more notices about one coupon.
const DAYS_COUNT_MAX: usize = 16;

/// Longest --as, in characters: it becomes a part of the name of a folder.
const NAME_LEN_MAX: usize = 64;

/// The variable that names the file with the secret, for `serve`.
const SECRET_FILE: &str = "COUPONRY_NOTIFY_SECRET_FILE";

/// The variable with the secret, if no file is named.
const SECRET: &str = "COUPONRY_NOTIFY_SECRET";

/// The numbers of days, each once, the largest first.
pub(super) fn days(given: &[u16]) -> Result<Vec<u16>, CliError> {
    let mut days = given.to_vec();
    days.sort_unstable_by(|a, b| b.cmp(a));
    days.dedup();
    let found = days.len();
    match found <= DAYS_COUNT_MAX {
        true => Ok(days),
        false => Err(CliError::usage(format!(
            "--days has {found} numbers, want at most {DAYS_COUNT_MAX}"
        ))),
    }
}

pub(crate) fn days_of(settings: &Settings) -> Result<Vec<u16>, CliError> {
    let text = &settings.notify_days.value;
    let wrong = || {
        let why = format!(
            "it is {text:?}, want numbers of days from 0 to {NOTICE_DAYS_MAX}, such as 30,7,1"
        );
        settings.notify_days.unusable("notify_days", why)
    };
    let given = text.split(',').map(|number| number.trim().parse().ok());
    let given: Vec<u16> = given.collect::<Option<_>>().ok_or_else(wrong)?;
    match given.iter().all(|number| *number <= NOTICE_DAYS_MAX) {
        true => days(&given),
        false => Err(wrong()),
    }
}

/// The destination that the flags name; `None` for the webhooks of the store.
pub(super) fn destination(flags: &NotifyFlags) -> Result<Option<NoticeDestination>, CliError> {
    match (&flags.to, &flags.webhook) {
        (Some(path), _) => Ok(Some(NoticeDestination::File(path.clone()))),
        (None, Some(address)) => webhook(address, flags.webhook_secret_file.as_deref()).map(Some),
        (None, None) if flags.webhooks => Ok(None),
        (None, None) => Ok(Some(NoticeDestination::Standard)),
    }
}

pub(super) fn webhooks(opened: &Opened) -> Result<NoticeDestination, CliError> {
    match opened.webhooks()? {
        Some(webhooks) => Ok(NoticeDestination::Webhooks(webhooks)),
        None => Err(CliError::usage(
            "--webhooks: this store has no webhooks, because it keeps no events \
             (docs/problems/NOT_KEPT.md)",
        )),
    }
}

pub(super) fn destination_of(settings: &Settings) -> Result<Option<NoticeDestination>, CliError> {
    let Some(address) = &settings.notify_webhook.value else { return Ok(None) };
    let path = std::env::var_os(SECRET_FILE).map(PathBuf::from);
    webhook(address, path.as_deref()).map(Some)
}

fn webhook(address: &str, secret_file: Option<&Path>) -> Result<NoticeDestination, CliError> {
    let webhook = Webhook::new(address, &secret(secret_file)?)?;
    Ok(NoticeDestination::Webhook(Box::new(webhook)))
}

/// No flag takes the secret, since other users of the machine can read command lines.
fn secret(path: Option<&Path>) -> Result<String, CliError> {
    match (path, std::env::var(SECRET)) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path);
            text.map_err(|error| {
                CliError::usage(format!("cannot read the secret in {}: {error}", path.display()))
            })
        }
        (None, Ok(text)) => Ok(text),
        (None, Err(_)) => Err(CliError::usage(format!(
            "--webhook needs a secret to sign with: name its file with --webhook-secret-file, or \
             set {SECRET}"
        ))),
    }
}

/// Parses --as.
pub(super) fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match (1..=NAME_LEN_MAX).contains(&text.len()) && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("want 1 to {NAME_LEN_MAX} characters of A-Z a-z 0-9 - _ .")),
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
}
