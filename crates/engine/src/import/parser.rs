//! The parser of an import: what a line says, with the defaults of its campaign.

use coupon::campaign::Campaign;
use coupon::code::CodeText;
use coupon::imported::ImportedState;
use hot::ImportLine;

use super::lines::FileLine;
use super::record::{FileHeader, ImportRecord, RecordDefaults, RowError};
use crate::Engine;

pub(super) struct LineParser<'a> {
    engine: &'a Engine,
    defaults: RecordDefaults,
    /// `None` for a file of blank lines.
    header: Option<FileHeader>,
}

impl Engine {
    pub(super) fn parser(&self, campaign: &Campaign, header: Option<FileHeader>) -> LineParser<'_> {
        let defaults = RecordDefaults {
            valid_from: campaign.valid_from,
            expires_at: campaign.expires_at,
            zone: campaign.zone.clone(),
        };
        LineParser { engine: self, defaults, header }
    }
}

impl LineParser<'_> {
    /// The coupon of a line with its code as the line writes it, or the reason and the detail of its
    /// rejection.
    pub(super) fn read(
        &self,
        line: &FileLine,
    ) -> Result<(ImportLine, String), (&'static str, String)> {
        let parsed = line.text().and_then(|text| match &self.header {
            Some(header) => header.parse(text, &self.defaults),
            None => Err(RowError::Empty),
        });
        let read = parsed.map_err(|error| (error.as_str(), error.to_string()))?;
        let ImportRecord { code, written, valid_from, expires_at, imported_state } = read;
        let read = ImportLine { code, valid_from, expires_at, imported_state };
        if self.engine.router.looks_minted(&CodeText::from(read.code.clone())) {
            let detail = "a code of ours opens to the same place; give this coupon another code";
            return Err(("LOOKS_MINTED", detail.to_owned()));
        }
        if let ImportedState::Redeemed { at, .. } = &read.imported_state
            && *at > self.engine.now()
        {
            // The days in which it can be cancelled would count from that future instant.
            return Err(("BAD_DATE", "redeemed_at lies in the future".to_owned()));
        }
        Ok((read, written))
    }
}
