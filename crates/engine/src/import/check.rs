//! What is decided of a line before the store is asked: the same in an import and in its dry run.

use coupon::campaign::Campaign;
use coupon::imported::ImportedState;
use coupon::time::Day;
use hot::{ImportLine, RejectedLine};

use super::lines::FileLine;
use super::parser::LineParser;
use super::record::FileHeader;
use super::rejected::rejected_line;
use super::repeats::{CodeRepeat, REPEATED_CODE, SeenCodes};
use crate::failure::Failure;
use crate::{Caller, Engine, StaffRole};

pub(super) struct LineCheck<'a> {
    parser: LineParser<'a>,
    /// The person at the console; `None` for a token, which is an admin's.
    staff: Option<StaffRole>,
    repeats: SeenCodes,
}

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
    ) -> Result<LineCheck<'_>, Failure> {
        let staff = match caller.staff_name() {
            // Nobody's role: they were removed just now.
            Some(name) => {
                Some(self.staff().await?.member(name).map_or(StaffRole::Viewer, |it| it.role))
            }
            None => None,
        };
        let (parser, repeats) = (self.parser(campaign, header), SeenCodes::default());
        Ok(LineCheck { parser, staff, repeats })
    }
}

impl LineCheck<'_> {
    /// The line as it was read, or why it is rejected whatever the store has.
    pub(super) fn check(&mut self, line: FileLine) -> Result<GoodLine, RejectedLine> {
        match self.decide(&line) {
            Ok((read, earlier)) => Ok(GoodLine { line, read, earlier }),
            Err((reason, detail)) => Err(rejected_line(&line, reason, detail)),
        }
    }

    fn decide(
        &mut self,
        line: &FileLine,
    ) -> Result<(ImportLine, Option<u64>), (&'static str, String)> {
        let (read, written) = self.parser.read(line)?;
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
        match self.repeats.take(line.number, &written, &read.code) {
            CodeRepeat::None => Ok((read, None)),
            CodeRepeat::Same { earlier } => Ok((read, Some(earlier))),
            CodeRepeat::OtherSpelling { earlier } => Err((
                REPEATED_CODE,
                format!(
                    "line {earlier} has the same code in another spelling: upper and lower case, \
                     hyphens and blanks make no difference"
                ),
            )),
        }
    }
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
