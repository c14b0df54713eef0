//! What a second binary over the same stores uses: the settings, the stores opened for reading, the
//! output, and the exit codes.

use cold::BucketPatience;

use crate::cql::Waiting;
use crate::files;
use crate::open::{self, Purpose};
use crate::settings::{Hot, SettingFlags, Settings};

pub use crate::failure::CliError;
use crate::failure::Result;
pub use crate::open::Opened;
pub use crate::output::{Out, is_terminal};
pub use crate::serve::stopped;
pub use crate::settings::help::parsed;
pub use crate::settings::{SettingFlags as StoreFlags, Settings as StoreSettings};
pub use command_line::{CommandProgress, WorkKind, thousands};

impl SettingFlags {
    /// Takes each setting from the first source that sets it, and starts the log. From now on the
    /// files of this process are private.
    pub fn chosen(&self) -> Result<Settings> {
        files::keep_private();
        let settings = Settings::resolve(self)?;
        crate::start_log(&settings, true)?;
        Ok(settings)
    }
}

impl Settings {
    pub fn listen(&self) -> &str {
        &self.listen.value
    }

    /// Opens the stores, with or without a running `serve`. Never makes one; waits for a cluster that does not answer.
    ///
    /// # Errors
    /// A folder without data; a store that cannot be opened.
    pub async fn open(self) -> Result<Opened> {
        match self.hot.value {
            Hot::Sqlite => must_be_current(&self)?,
            Hot::Cql(_) => {}
        }
        let attempt = async || open::opened(&self, Purpose::Read, BucketPatience::Work).await;
        open::patiently(&self, Waiting::Command, attempt).await
    }
}

/// Refuses a store that opening it would upgrade: a program that only reads must not change it.
fn must_be_current(settings: &Settings) -> Result<()> {
    open::must_be_there(settings)?;
    let data = &settings.data.value;
    match hot_sqlite::is_current(data).map_err(CliError::of)? {
        true => Ok(()),
        false => Err(CliError::new(format!(
            "the data in {} are of an earlier release: `couponry serve` upgrades them",
            data.display()
        ))),
    }
}
