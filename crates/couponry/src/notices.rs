//! Notices to holders before their coupons expire: `couponry notify` sends them, and `serve` by itself.

mod notice;
mod round;
mod rounds;

use engine::NOTICE_DAYS_MAX;

use crate::failure::CliError;
use crate::settings::Settings;

pub(crate) use round::{NoticeDestination, Round, WEBHOOKS};
pub(crate) use rounds::Rounds;

/// Most numbers of days: nobody wants more notices about one coupon.
const DAYS_COUNT_MAX: usize = 16;

/// The numbers of days, each once, the largest first.
pub(crate) fn days(given: &[u16]) -> Result<Vec<u16>, CliError> {
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

/// Those of the setting notify_days.
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
    if given.iter().all(|number| *number <= NOTICE_DAYS_MAX) { days(&given) } else { Err(wrong()) }
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
}
