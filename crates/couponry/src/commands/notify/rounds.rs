//! The rounds of notices that `serve` runs by itself: to the address of a setting, and to webhooks that
//! ask for notices.

use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, NOTICE_TYPE};
use webhooks::Webhooks;

use super::counts::NoticeCounts;
use super::destination::NoticeDestination;
use super::options;
use super::round::Round;
use crate::failure::CliError;
use crate::settings::Settings;

/// How often `serve` runs a round: a day begins at different hours in different time zones.
const ROUND_EVERY: Duration = Duration::from_secs(3_600);

/// How often `serve` looks whether a webhook asks for notices.
const LOOK_EVERY: Duration = Duration::from_secs(60);

pub(crate) struct Rounds {
    days: Vec<u16>,
    target: NoticeDestination,
}

impl Rounds {
    /// # Errors
    /// Usage: days, an address or a secret that cannot be used.
    pub(crate) fn of(settings: &Settings) -> Result<Option<Rounds>, CliError> {
        let Some(target) = options::destination_of(settings)? else { return Ok(None) };
        Ok(Some(Rounds { days: options::days_of(settings)?, target }))
    }

    /// The rounds to webhooks: each takes place if a webhook asks for notices at the time.
    pub(crate) fn to_webhooks(
        settings: &Settings,
        webhooks: Arc<Webhooks>,
    ) -> Result<Rounds, CliError> {
        let target = NoticeDestination::Webhooks(webhooks);
        Ok(Rounds { days: options::days_of(settings)?, target })
    }

    async fn has_takers(&self) -> bool {
        let NoticeDestination::Webhooks(webhooks) = &self.target else { return true };
        if !webhooks.leads() {
            return false;
        }
        webhooks.has_asked(NOTICE_TYPE).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read who asks for notices");
            false
        })
    }

    /// Runs one round after the other, until it is dropped.
    pub(crate) async fn go(self, settings: Settings, engine: Arc<Engine>) {
        loop {
            if !self.has_takers().await {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            let round = Round {
                engine: &engine,
                data: &settings.data.value,
                days: &self.days,
                target: &self.target,
                name: None,
                progress: &|_, _| {},
            };
            match round.run().await {
                Ok(NoticeCounts { sent, refused, failed, .. }) => {
                    tracing::info!(
                        sent,
                        refused,
                        failed,
                        "sent notices of coupons that expire soon"
                    );
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot send notices; the next round tries again");
                }
            }
            tokio::time::sleep(ROUND_EVERY).await;
        }
    }
}
