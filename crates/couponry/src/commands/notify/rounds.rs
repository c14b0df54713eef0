//! The rounds of notices that `serve` runs by itself.

use std::sync::Arc;
use std::time::Duration;

use engine::Engine;

use super::counts::NoticeCounts;
use super::destination::NoticeDestination;
use super::options;
use super::round::Round;
use crate::failure::CliError;
use crate::settings::Settings;

/// How often `serve` runs a round: a day begins at different hours in different time zones.
const ROUND_EVERY: Duration = Duration::from_secs(3_600);

/// The rounds that the settings ask for.
pub(crate) struct Rounds {
    days: Vec<u16>,
    target: NoticeDestination,
}

impl Rounds {
    /// The rounds that the settings ask for, if any.
    ///
    /// # Errors
    /// Usage: days, an address or a secret that cannot be used.
    pub(crate) fn of(settings: &Settings) -> Result<Option<Rounds>, CliError> {
        let Some(target) = options::destination_of(settings)? else { return Ok(None) };
        Ok(Some(Rounds { days: options::days_of(settings)?, target }))
    }

    /// Runs one round after the other, until it is dropped.
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
