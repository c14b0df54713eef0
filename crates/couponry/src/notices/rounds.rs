//! The rounds of notices that `serve` runs by itself, to webhooks that ask for notices.

use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, NOTICE_TYPE};
use webhooks::Webhooks;

use super::days_of;
use super::round::{NoticeCounts, NoticeDestination, Round};
use crate::clock;
use crate::failure::CliError;
use crate::settings::Settings;

/// How often `serve` runs a round: a day begins at different hours in different time zones.
const ROUND_EVERY: Duration = Duration::from_secs(3_600);

/// How often `serve` looks whether a webhook asks for notices.
const LOOK_EVERY: Duration = Duration::from_secs(60);

pub(crate) struct Rounds {
    days: Vec<u16>,
    webhooks: Arc<Webhooks>,
}

impl Rounds {
    /// # Errors
    /// Usage: days that cannot be used.
    pub(crate) fn of(settings: &Settings, webhooks: Arc<Webhooks>) -> Result<Rounds, CliError> {
        Ok(Rounds { days: days_of(settings)?, webhooks })
    }

    /// Whether somebody gets notices, and the clock says when they are due.
    async fn may_begin(&self, engine: &Engine) -> bool {
        let clock = clock::would_observe(engine).await;
        if !self.webhooks.leads() || clock.is_ok_and(|record| record.jumped_at.is_some()) {
            return false;
        }
        self.webhooks.has_asked(NOTICE_TYPE).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read who asks for notices");
            false
        })
    }

    /// Runs one round after the other, each if a webhook asks for notices at the time, until it is dropped.
    pub(crate) async fn go(self, engine: Arc<Engine>) {
        let target = NoticeDestination::Webhooks(Arc::clone(&self.webhooks));
        loop {
            if !self.may_begin(&engine).await {
                tokio::time::sleep(LOOK_EVERY).await;
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
}
