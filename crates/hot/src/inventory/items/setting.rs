//! The settings that a copy takes along.

use crate::HotError;
use crate::settings::{COLD_BEGUN, COLD_COMMITTED, LONG_CODES, SERIAL_FLOOR};

/// A setting that goes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CopiedSetting {
    /// There are foreign codes of 16 or more characters.
    LongCodes,
    /// From which serial on a new day begins.
    SerialFloor,
    /// The mark of what was begun in cold.
    ColdBegun,
    /// The mark of what was committed there.
    ColdCommitted,
}

/// All of them.
pub const COPIED_SETTINGS: [CopiedSetting; 4] = [
    CopiedSetting::LongCodes,
    CopiedSetting::SerialFloor,
    CopiedSetting::ColdBegun,
    CopiedSetting::ColdCommitted,
];

impl CopiedSetting {
    /// Its name, which is the same in every store.
    pub fn name(self) -> &'static str {
        match self {
            CopiedSetting::LongCodes => LONG_CODES,
            CopiedSetting::SerialFloor => SERIAL_FLOOR,
            CopiedSetting::ColdBegun => COLD_BEGUN,
            CopiedSetting::ColdCommitted => COLD_COMMITTED,
        }
    }

    /// The value behind a text.
    pub fn value(self, text: &str) -> Result<u64, HotError> {
        match self {
            CopiedSetting::LongCodes => Ok(1),
            CopiedSetting::SerialFloor
            | CopiedSetting::ColdBegun
            | CopiedSetting::ColdCommitted => text
                .parse()
                .map_err(|why| HotError::Damaged(format!("{} is {text:?}: {why}", self.name()))),
        }
    }

    /// The text of a value.
    pub fn text(self, value: u64) -> String {
        match self {
            CopiedSetting::LongCodes => "yes".to_owned(),
            CopiedSetting::SerialFloor
            | CopiedSetting::ColdBegun
            | CopiedSetting::ColdCommitted => value.to_string(),
        }
    }
}
