//! What flags and settings of notices stand for: days, and the name of a destination.

use engine::NOTICE_DAYS_MAX;

use super::round::WEBHOOKS;
use crate::failure::CliError;
use crate::settings::Settings;

/// Most numbers of days: nobody wants more notices about one coupon.
const DAYS_COUNT_MAX: usize = 16;

/// Longest --as, in characters.
const NAME_LEN_MAX: usize = 64;

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
        settings.notify_days.unusable(why)
    };
    let given = text.split(',').map(|number| number.trim().parse().ok());
    let given: Vec<u16> = given.collect::<Option<_>>().ok_or_else(wrong)?;
    match given.iter().all(|number| *number <= NOTICE_DAYS_MAX) {
        true => days(&given),
        false => Err(wrong()),
    }
}

/// Parses --as.
pub(super) fn name(text: &str) -> Result<String, String> {
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
