//! What a backup says of itself, so that `restore` can say it before anything is lost.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use coupon::calendar::format_instant;
use engine::{Clock, Engine, PAGE_MAX, SystemClock};
use serde::{Deserialize, Serialize};

use crate::failure::CliError;
use crate::output::{Out, thousands};
use crate::settings::Settings;
use crate::{files, open};

const FILE: &str = "backup.toml";

/// Which store it is, and how much it had at one moment.
#[derive(Serialize, Deserialize)]
pub(crate) struct Label {
    /// The whole path of its data folder; empty if an earlier release made the backup.
    #[serde(default)]
    pub(super) store: String,
    pub(super) at: String,
    campaigns: u64,
    issued: u64,
    redeemed: u64,
}

impl Label {
    pub(crate) async fn of(settings: &Settings, engine: &Engine) -> Result<Label, CliError> {
        let (store, at) = (Label::store(settings), format_instant(SystemClock.now()));
        let mut label = Label { store, at, campaigns: 0, issued: 0, redeemed: 0 };
        let mut after = None;
        loop {
            let page = engine.campaigns(&open::caller(), after, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(label) };
            after = Some(last.campaign.id.clone());
            label.campaigns += page.len() as u64;
            for (counts, _) in page.iter().filter_map(|view| view.counts.as_ref()) {
                label.issued += counts.issued;
                label.redeemed += counts.redeemed;
            }
        }
    }

    pub(crate) fn counts(&self) -> String {
        let Label { campaigns, issued, redeemed, .. } = self;
        let [campaigns, issued, redeemed] = [*campaigns, *issued, *redeemed].map(thousands);
        format!("campaigns {campaigns}, issued coupons {issued}, redeemed {redeemed}")
    }

    /// How a label names the store of the settings.
    pub(super) fn store(settings: &Settings) -> String {
        files::whole(&settings.data.value)
    }

    /// Writes it durably into the folder of a backup.
    pub(super) fn write(&self, folder: &Path) -> Result<(), CliError> {
        let mut out = Out::file(&folder.join(FILE))?;
        out.put(&toml::to_string(self).map_err(CliError::of)?)?;
        out.finish()
    }

    /// The label in the folder of a backup; `None` if an earlier release made it.
    pub(crate) fn read(folder: &Path) -> Result<Option<Label>, CliError> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.map_err(CliError::cannot("read", &path))?,
        };
        let label = toml::from_str(&text).map(Some);
        label.map_err(|error| CliError::new(format!("{}: {}", path.display(), error.message())))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.at, self.counts())
    }
}
