//! What is decided of a line before the store is asked: the same in an import and in its dry run.

use coupon::campaign::Campaign;
use coupon::code::CodeText;
use coupon::erasure::{Erasure, erased_name};
use coupon::imported::ImportedState;
use coupon::time::Day;
use hot::ImportLine;

use super::lines::FileLine;
use super::record::{FileHeader, ImportRecord, RecordDefaults, RowError};
use super::rejected::{RejectedLine, rejected_line};
use super::repeats::{REPEATED_CODE, SeenCodes};
use crate::erased::ErasedPeople;
use crate::failure::Result;
use crate::{Caller, Engine, StaffRole};

pub(super) struct LineCheck<'a> {
    engine: &'a Engine,
    defaults: RecordDefaults,
    /// `None` for a file of blank lines.
    header: Option<FileHeader>,
    /// The person at the console; `None` for a token, which is an admin's.
    staff: Option<StaffRole>,
    repeats: SeenCodes,
    /// The number of the last erasure, and everybody who was erased. `None`: lines may name them.
    erased: Option<(u64, ErasedPeople)>,
}

/// The reason of a rejection, and its detail.
type RejectReason = (&'static str, String);

/// A line that the store may get.
pub(super) struct GoodLine {
    pub(super) line: FileLine,
    pub(super) read: ImportLine,
    /// The earlier line of the file with the same code.
    pub(super) earlier: Option<u64>,
}

impl Engine {
    pub(super) async fn line_check(
        &self,
        caller: &Caller,
        campaign: &Campaign,
        header: Option<FileHeader>,
        again: bool,
    ) -> Result<LineCheck<'_>> {
        let staff = match caller.staff_name() {
            // Nobody's role: they were removed just now.
            Some(name) => {
                Some(self.staff().await?.member(name).map_or(StaffRole::Viewer, |it| it.role))
            }
            None => None,
        };
        let defaults = RecordDefaults {
            valid_from: campaign.valid_from,
            expires_at: campaign.expires_at,
            zone: campaign.zone.clone(),
            currency: campaign.worth.currency,
        };
        let erased = match again {
            true => None,
            false => Some(self.erased_people().await?),
        };
        let repeats = SeenCodes::default();
        Ok(LineCheck { engine: self, defaults, header, staff, repeats, erased })
    }
}

impl LineCheck<'_> {
    /// The line as it was read, or why it is rejected whatever the store has. `None`: the caller leaves it out.
    pub(super) fn check(&mut self, line: FileLine) -> Result<Option<GoodLine>, RejectedLine> {
        let record = match self.record(&line) {
            Ok(record) => record,
            Err(RowError::LeftOut) => return Ok(None),
            Err(error) => {
                let rejected = rejected_line(&line, error.as_str(), error.to_string());
                return Err(RejectedLine { error: Some(Box::new(error)), ..rejected });
            }
        };
        match self.decide(line.number, record) {
            Ok((read, _)) if self.is_erased(&read) => Err(erased_line(&line, &read)),
            Ok((read, earlier)) => Ok(Some(GoodLine { line, read, earlier })),
            Err((reason, detail)) => Err(rejected_line(&line, reason, detail)),
        }
    }

    fn is_erased(&self, read: &ImportLine) -> bool {
        let Some((_, erased)) = &self.erased else { return false };
        read.imported_state.holder().is_some_and(|user| erased.hash_of(user).is_some())
    }

    /// Takes the lines away whose persons were erased since the check began. One read if there are none.
    pub(super) async fn newly_erased(
        &mut self,
        good: &mut Vec<GoodLine>,
    ) -> Result<Vec<RejectedLine>> {
        let Some((known, _)) = self.erased else { return Ok(Vec::new()) };
        if self.engine.last_erasure().await? == known {
            return Ok(Vec::new());
        }
        self.erased = Some(self.engine.erased_people().await?);
        let erased = good.extract_if(.., |it| self.is_erased(&it.read));
        Ok(erased.map(|it| erased_line(&it.line, &it.read)).collect())
    }

    fn record(&self, line: &FileLine) -> Result<ImportRecord, RowError> {
        let header = self.header.as_ref().ok_or(RowError::Empty);
        line.text().and_then(|text| header?.parse(text, &self.defaults))
    }

    fn decide(
        &mut self,
        line: u64,
        record: ImportRecord,
    ) -> Result<(ImportLine, Option<u64>), RejectReason> {
        let ImportRecord { code, written, valid_from, expires_at, imported_state } = record;
        let read = ImportLine { code, valid_from, expires_at, imported_state };
        self.check_place(&read)?;
        if !Day::expiry_day_of(read.expires_at).can_be_archived() {
            let detail =
                "expires_at lies before the first or after the last day that can be archived";
            return Err(("BAD_DATE", detail.to_owned()));
        }
        if let Some(role) = self.staff
            && !role.may_import(&read.imported_state)
        {
            let (role, state) = (role.as_str(), read.imported_state.as_str());
            let detail = format!(
                "the line says {state}, and a {role} may not make coupons {state}: ask an admin to \
                 import it"
            );
            return Err(("FORBIDDEN", detail));
        }
        match self.repeats.take(line, &written, &read.code) {
            Ok(earlier) => Ok((read, earlier)),
            Err(earlier) => {
                let detail = format!(
                    "line {earlier} has the same code in another spelling: upper and lower case, \
                     hyphens and blanks make no difference"
                );
                Err((REPEATED_CODE, detail))
            }
        }
    }

    /// Whether its code and the instant of its redemption can be those of a coupon of this store.
    fn check_place(&self, read: &ImportLine) -> Result<(), RejectReason> {
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
        Ok(())
    }
}

/// The report must not keep the name either.
fn erased_line(line: &FileLine, read: &ImportLine) -> RejectedLine {
    let detail =
        "the person was erased: for a new one say again=true, or `couponry import --again`";
    let mut rejected = rejected_line(line, "ERASED", detail.to_owned());
    if let Some(user) = read.imported_state.holder() {
        let person = Erasure { number: 0, user: user.clone(), name: erased_name(0) };
        rejected.text = person.of_cells(&rejected.text).unwrap_or_default();
    }
    rejected
}

impl StaffRole {
    /// Whether they may make coupons what a line of an import says: whoever may not void a coupon
    /// may not import it as void. The table of actions of the console has the same roles.
    pub fn may_import(self, state: &ImportedState) -> bool {
        match state {
            ImportedState::Available => true,
            ImportedState::Issued { .. } | ImportedState::Void { .. } => {
                matches!(self, StaffRole::Support | StaffRole::Admin)
            }
            // Nobody redeems at the console.
            ImportedState::Redeemed { .. } => self == StaffRole::Admin,
        }
    }
}
