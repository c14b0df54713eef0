//! What a second binary over the same stores takes from here: the same settings, the stores opened
//! to read, a place for its rows, and how it ends.

use std::sync::Arc;

use api::token::Tokens;
use clap::Args;
use cold::Patience;
use engine::Engine;

use crate::cli::SettingFlags;
use crate::cluster::{self, NotOpen, Waiting};
use crate::open::{self, Purpose};
use crate::settings::{Hot, Settings};

pub use crate::failure::CliError;
pub use crate::output::{Out, is_terminal, thousands};
pub use crate::progress::{Progress, Work};
pub use crate::serve::stopped;

/// The flags that every command takes.
#[derive(Args)]
pub struct StoreFlags {
    #[command(flatten)]
    flags: SettingFlags,
}

/// Settings that are chosen.
pub struct Chosen {
    settings: Settings,
}

/// Both tiers, beside a running `serve` or without one.
pub struct Opened {
    opened: open::Opened,
    settings: Settings,
}

impl StoreFlags {
    /// Takes each setting from the first place that names it, and begins to log as they say.
    ///
    /// # Errors
    /// Wrong call.
    pub fn chosen(&self) -> Result<Chosen, CliError> {
        let settings = Settings::resolve(&self.flags)?;
        crate::start_log(&settings)?;
        Ok(Chosen { settings })
    }
}

impl Chosen {
    /// The address to listen on.
    pub fn listen(&self) -> &str {
        &self.settings.listen.value
    }

    /// Opens the stores. Makes nothing where there is nothing; a cluster that is away is waited for.
    ///
    /// # Errors
    /// No data in the folder; a store that cannot be used.
    pub async fn open(self) -> Result<Opened, CliError> {
        let settings = self.settings;
        let opened = match &settings.hot.value {
            Hot::Sqlite => {
                must_be_current(&settings)?;
                open::opened(&settings, Purpose::Read, Patience::Work)
                    .await
                    .map_err(NotOpen::cli_error)?
            }
            Hot::Cluster(target) => {
                let attempt = async || open::opened(&settings, Purpose::Read, Patience::Work).await;
                cluster::patiently(target, Waiting::Command, attempt).await?
            }
        };
        Ok(Opened { opened, settings })
    }
}

/// Refuses a store that would be upgraded if it were opened: who only reads does not do that to
/// others.
fn must_be_current(settings: &Settings) -> Result<(), CliError> {
    open::must_be_there(settings)?;
    let data = &settings.data.value;
    match hot_sqlite::is_current(data) {
        Ok(true) => Ok(()),
        Ok(false) => Err(CliError::new(format!(
            "the data in {} are of an earlier release: `couponry serve` upgrades them",
            data.display()
        ))),
        Err(error) => Err(CliError::new(error.to_string())),
    }
}

impl Opened {
    /// The use cases over both.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.opened.engine
    }

    /// Who may sign tokens.
    ///
    /// # Errors
    /// Wrong call: half a description of an identity provider.
    pub fn tokens(&self) -> Result<Tokens, CliError> {
        open::tokens(&self.settings, &self.opened.keys)
    }

    /// To be called at the end.
    pub async fn close(&self) {
        self.opened.close().await;
    }
}
