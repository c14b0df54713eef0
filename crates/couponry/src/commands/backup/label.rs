//! What a backup says of itself, so that `restore` can say it before anything is lost.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use coupon::calendar::{format_instant, parse_instant};
use coupon::time::Millis;
use engine::{Engine, PAGE_MAX};
use serde::{Deserialize, Serialize};

use crate::failure::CliError;
use crate::open;
use crate::output::{Out, thousands};

/// Its file in the folder of the backup.
pub(super) const FILE: &str = "backup.toml";

/// How much a store has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contents {
    campaigns: u64,
    issued: u64,
    redeemed: u64,
}

impl Contents {
    /// Adds up the counts of the campaigns.
    pub(crate) async fn of(engine: &Engine) -> Result<Contents, CliError> {
        let (mut found, mut after) = (Contents::default(), None);
        loop {
            let page = engine.campaigns(&open::caller(), after, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.campaign.id.clone());
            found.campaigns += page.len() as u64;
            for (counts, _) in page.iter().filter_map(|view| view.counts.as_ref()) {
                found.issued += counts.issued;
                found.redeemed += counts.redeemed;
            }
        }
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [campaigns, issued, redeemed] =
            [self.campaigns, self.issued, self.redeemed].map(thousands);
        write!(f, "campaigns: {campaigns}, issued coupons: {issued}, redeemed: {redeemed}")
    }
}

/// The label of a backup.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Label {
    /// Every change that was acknowledged before is in the backup.
    made_at: String,
    release: String,
    #[serde(flatten)]
    pub(crate) contents: Contents,
}

impl Label {
    pub(super) fn new(made_at: Millis, contents: Contents) -> Label {
        let release = env!("CARGO_PKG_VERSION").to_owned();
        Label { made_at: format_instant(made_at), release, contents }
    }

    /// When the backup was made.
    pub(crate) fn made_at(&self) -> Option<Millis> {
        parse_instant(&self.made_at).ok()
    }

    /// Writes it durably into the folder of the backup.
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
