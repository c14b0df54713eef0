//! Who may do what at the console: the one table of roles and actions.
//!
//! Every route names its [`ConsoleAction`], and the guard asks this table before the handler runs. The engine is
//! called with the smallest of its roles that can do the action, so a route with a wrong row could still not
//! write for somebody who may only look.

use engine::{Role, StaffRole};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConsoleAction {
    /// Look at every screen but the two below.
    Look,
    /// Read the audit, and who has an account.
    ReadAudit,
    CreateCampaign,
    ChangeCampaign,
    /// Pause or resume a campaign or a batch.
    PauseCampaign,
    AddStock,
    DownloadCodes,
    /// Check or import a file.
    Import,
    Issue,
    Revoke,
    Void,
    Extend,
    CancelRedemption,
    DownloadReport,
    /// Pause, resume, test webhooks and redeliver.
    ManageWebhooks,
    Compact,
    RunQuery,
    /// Run any query, save and delete queries.
    SaveQuery,
    /// Invite and remove people, and change their roles.
    ManageStaff,
    /// Sign out, here or everywhere.
    SignOut,
}

use StaffRole::{Admin, Marketer, Operator, Support, Viewer};

const EVERYBODY: &[StaffRole] = &[Viewer, Marketer, Support, Operator, Admin];

/// The table. A route refuses every role that its row does not name.
pub const TABLE: [(ConsoleAction, &[StaffRole]); 20] = [
    (ConsoleAction::Look, EVERYBODY),
    (ConsoleAction::ReadAudit, &[Operator, Admin]),
    (ConsoleAction::CreateCampaign, &[Marketer, Admin]),
    (ConsoleAction::ChangeCampaign, &[Marketer, Admin]),
    (ConsoleAction::PauseCampaign, &[Marketer, Operator, Admin]),
    (ConsoleAction::AddStock, &[Marketer, Admin]),
    (ConsoleAction::DownloadCodes, &[Marketer, Admin]),
    (ConsoleAction::Import, &[Marketer, Admin]),
    (ConsoleAction::Issue, &[Support, Admin]),
    (ConsoleAction::Revoke, &[Support, Admin]),
    (ConsoleAction::Void, &[Support, Admin]),
    (ConsoleAction::Extend, &[Support, Admin]),
    (ConsoleAction::CancelRedemption, &[Support, Admin]),
    (ConsoleAction::DownloadReport, &[Marketer, Support, Operator, Admin]),
    (ConsoleAction::ManageWebhooks, &[Operator, Admin]),
    (ConsoleAction::Compact, &[Operator, Admin]),
    (ConsoleAction::RunQuery, &[Marketer, Operator, Admin]),
    (ConsoleAction::SaveQuery, &[Operator, Admin]),
    (ConsoleAction::ManageStaff, &[Admin]),
    (ConsoleAction::SignOut, EVERYBODY),
];

impl ConsoleAction {
    pub fn is_for(self, role: StaffRole) -> bool {
        TABLE.iter().any(|(action, roles)| *action == self && roles.contains(&role))
    }

    /// The role of the engine that it takes.
    pub(crate) fn engine_role(self) -> Role {
        match self {
            ConsoleAction::Look | ConsoleAction::ReadAudit | ConsoleAction::SignOut => {
                Role::Operator
            }
            ConsoleAction::CreateCampaign
            | ConsoleAction::ChangeCampaign
            | ConsoleAction::PauseCampaign
            | ConsoleAction::AddStock
            | ConsoleAction::DownloadCodes
            | ConsoleAction::Import
            | ConsoleAction::Issue
            | ConsoleAction::Revoke
            | ConsoleAction::Void
            | ConsoleAction::Extend
            | ConsoleAction::CancelRedemption
            | ConsoleAction::DownloadReport
            | ConsoleAction::ManageWebhooks
            | ConsoleAction::Compact
            | ConsoleAction::RunQuery
            | ConsoleAction::SaveQuery
            | ConsoleAction::ManageStaff => Role::Admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use coupon::imported::ImportedState;
    use coupon::time::Millis;
    use engine::STAFF_ROLES;

    use super::*;

    #[test]
    fn nobody_imports_what_they_may_not_do() {
        let holder: Option<coupon::ids::UserId> = "kim".parse().ok();
        let at = Millis(0);
        for role in STAFF_ROLES {
            let may = |action: ConsoleAction| action.is_for(role);
            let issued = holder.clone().map(|holder| ImportedState::Issued { holder, at: None });
            let redeemed =
                ImportedState::Redeemed { holder: None, issued_at: None, at, order: None };
            let cases = [
                (ImportedState::Available, true),
                (issued.expect("a user"), may(ConsoleAction::Issue)),
                (ImportedState::VOID, may(ConsoleAction::Void)),
                // No action of the console redeems.
                (redeemed, role == Admin),
            ];
            for (state, want) in cases {
                assert_eq!(role.may_import(&state), want, "{role:?}: {state:?}");
            }
        }
    }
}
