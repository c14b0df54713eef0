//! Notices to holders before their coupons expire: `couponry notify` sends them, and `serve` by itself, which posts the
//! report of each week as well.

mod notice;
mod round;
mod week;

use std::sync::Arc;
use std::time::Duration;

use coupon::calendar::{Date, Zone};
use engine::{Engine, NOTICE_DAYS_MAX, NOTICE_TYPE, REPORT_TYPE};
use webhooks::Webhooks;

use crate::clock;
use crate::failure::{CliError, Result};
use crate::settings::Settings;
use round::NoticeCounts;
use week::announce_week;

pub(crate) use round::{NoticeDestination, Round, WEBHOOKS};

/// Most numbers of days: nobody wants more notices about one coupon.
const DAYS_COUNT_MAX: usize = 16;

/// How often `serve` runs a round: a day begins at different hours in different time zones.
const ROUND_EVERY: Duration = Duration::from_secs(3_600);

/// How often `serve` looks whether a webhook asks for notices.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The same while this process does not lead: it begins to some seconds after its start, or when another one ends.
const LEAD_EVERY: Duration = Duration::from_secs(5);

/// The numbers of days, each once, the largest first.
pub(crate) fn days(given: &[u16]) -> Result<Vec<u16>> {
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

pub(crate) fn days_of(settings: &Settings) -> Result<Vec<u16>> {
    let text = &settings.notify_days.value;
    let wrong = || {
        settings.notify_days.unusable(format!(
            "it is {text:?}, want numbers of days from 0 to {NOTICE_DAYS_MAX}, such as 30,7,1"
        ))
    };
    let given = text.split(',').map(|number| number.trim().parse().ok());
    let given: Vec<u16> = given.collect::<Option<_>>().ok_or_else(wrong)?;
    if given.iter().all(|number| *number <= NOTICE_DAYS_MAX) { days(&given) } else { Err(wrong()) }
}

/// What `serve` announces by itself, to webhooks that ask for it: rounds of notices, and the report of each week.
pub(crate) struct Rounds {
    days: Vec<u16>,
    /// That of the weeks.
    zone: Zone,
    webhooks: Arc<Webhooks>,
}

impl Rounds {
    /// # Errors
    /// Usage: days that cannot be used.
    pub(crate) fn of(settings: &Settings, webhooks: Arc<Webhooks>) -> Result<Rounds> {
        let zone = settings.console_time_zone.parsed()?;
        Ok(Rounds { days: days_of(settings)?, zone, webhooks })
    }

    /// Whether it is for this process to announce, and the clock says what is due.
    async fn may_announce(&self, engine: &Engine) -> bool {
        let clock = clock::would_observe(engine).await;
        self.webhooks.leads() && !clock.is_ok_and(|record| record.jumped_at.is_some())
    }

    async fn is_asked(&self, event_type: &str) -> bool {
        self.webhooks.has_asked(event_type).await.unwrap_or_else(|error| {
            tracing::warn!(%error, event_type, "cannot read who asks for it");
            false
        })
    }

    /// Runs one round after the other, each if a webhook asks for it at the time, until it is dropped.
    pub(crate) async fn go(self, engine: Arc<Engine>) {
        let target = NoticeDestination::Webhooks(Arc::clone(&self.webhooks));
        let mut told = None;
        loop {
            let may_announce = self.may_announce(&engine).await;
            if may_announce && self.is_asked(REPORT_TYPE).await {
                told = self.announce_week(&engine, told).await;
            }
            if !may_announce || !self.is_asked(NOTICE_TYPE).await {
                let leads = self.webhooks.leads();
                tokio::time::sleep(if leads { LOOK_EVERY } else { LEAD_EVERY }).await;
                continue;
            }
            let (days, progress) = (self.days.as_slice(), &|_, _| {});
            let round = Round { engine: &engine, days, target: &target, progress };
            match round.run().await {
                Ok(NoticeCounts { sent, failed, .. }) => {
                    tracing::info!(sent, failed, "sent notices of coupons that expire soon");
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot send notices; the next round tries again");
                }
            }
            tokio::time::sleep(ROUND_EVERY).await;
        }
    }

    async fn announce_week(&self, engine: &Engine, told: Option<Date>) -> Option<Date> {
        let announced = announce_week(engine, &self.webhooks, &self.zone, told).await;
        announced.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot announce the report of the week; it is tried again");
            told
        })
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
}
