//! Who may do what at the console: the one table of roles and actions.
//!
//! Every route names its [`Action`], and the guard asks this table before the handler runs. The engine is
//! called with the smallest of its roles that can do the action, so a route with a wrong row could still not
//! write for somebody who may only look.

use engine::{Role, StaffRole};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
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
pub const TABLE: [(Action, &[StaffRole]); 20] = [
    (Action::Look, EVERYBODY),
    (Action::ReadAudit, &[Operator, Admin]),
    (Action::CreateCampaign, &[Marketer, Admin]),
    (Action::ChangeCampaign, &[Marketer, Admin]),
    (Action::PauseCampaign, &[Marketer, Operator, Admin]),
    (Action::AddStock, &[Marketer, Admin]),
    (Action::DownloadCodes, &[Marketer, Admin]),
    (Action::Import, &[Marketer, Admin]),
    (Action::Issue, &[Support, Admin]),
    (Action::Revoke, &[Support, Admin]),
    (Action::Void, &[Support, Admin]),
    (Action::Extend, &[Support, Admin]),
    (Action::CancelRedemption, &[Support, Admin]),
    (Action::DownloadReport, &[Marketer, Support, Operator, Admin]),
    (Action::ManageWebhooks, &[Operator, Admin]),
    (Action::Compact, &[Operator, Admin]),
    (Action::RunQuery, &[Marketer, Operator, Admin]),
    (Action::SaveQuery, &[Operator, Admin]),
    (Action::ManageStaff, &[Admin]),
    (Action::SignOut, EVERYBODY),
];

impl Action {
    pub fn is_for(self, role: StaffRole) -> bool {
        TABLE.iter().any(|(action, roles)| *action == self && roles.contains(&role))
    }

    /// The role of the engine that it takes.
    pub(crate) fn engine_role(self) -> Role {
        match self {
            Action::Look | Action::ReadAudit | Action::SignOut => Role::Operator,
            Action::CreateCampaign
            | Action::ChangeCampaign
            | Action::PauseCampaign
            | Action::AddStock
            | Action::DownloadCodes
            | Action::Import
            | Action::Issue
            | Action::Revoke
            | Action::Void
            | Action::Extend
            | Action::CancelRedemption
            | Action::DownloadReport
            | Action::ManageWebhooks
            | Action::Compact
            | Action::RunQuery
            | Action::SaveQuery
            | Action::ManageStaff => Role::Admin,
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
            let may = |action: Action| action.is_for(role);
            let issued = holder.clone().map(|holder| ImportedState::Issued { holder, at: None });
            let redeemed =
                ImportedState::Redeemed { holder: None, issued_at: None, at, order: None };
            let cases = [
                (ImportedState::Available, true),
                (issued.expect("a user"), may(Action::Issue)),
                (ImportedState::VOID, may(Action::Void)),
                // No action of the console redeems.
                (redeemed, role == Admin),
            ];
            for (state, want) in cases {
                assert_eq!(role.may_import(&state), want, "{role:?}: {state:?}");
            }
        }
    }
}
