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
    /// Read everything that is known of a person, forget people, and see how far that is.
    ErasePeople,
    DownloadReport,
    /// Pause, resume, test webhooks and redeliver.
    ManageWebhooks,
    /// Create, change and delete webhooks, and change their secrets.
    ChangeWebhooks,
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

/// The table: an action, the role of the engine that it takes, and who may do it. A route refuses every role that
/// its row does not name.
pub const TABLE: [(ConsoleAction, Role, &[StaffRole]); 22] = [
    (ConsoleAction::Look, Role::Operator, EVERYBODY),
    (ConsoleAction::ReadAudit, Role::Operator, &[Operator, Admin]),
    (ConsoleAction::CreateCampaign, Role::Admin, &[Marketer, Admin]),
    (ConsoleAction::ChangeCampaign, Role::Admin, &[Marketer, Admin]),
    (ConsoleAction::PauseCampaign, Role::Admin, &[Marketer, Operator, Admin]),
    (ConsoleAction::AddStock, Role::Admin, &[Marketer, Admin]),
    (ConsoleAction::DownloadCodes, Role::Admin, &[Marketer, Admin]),
    (ConsoleAction::Import, Role::Admin, &[Marketer, Admin]),
    (ConsoleAction::Issue, Role::Admin, &[Support, Admin]),
    (ConsoleAction::Revoke, Role::Admin, &[Support, Admin]),
    (ConsoleAction::Void, Role::Admin, &[Support, Admin]),
    (ConsoleAction::Extend, Role::Admin, &[Support, Admin]),
    (ConsoleAction::CancelRedemption, Role::Admin, &[Support, Admin]),
    (ConsoleAction::ErasePeople, Role::Admin, &[Admin]),
    (ConsoleAction::DownloadReport, Role::Admin, &[Marketer, Support, Operator, Admin]),
    (ConsoleAction::ManageWebhooks, Role::Admin, &[Operator, Admin]),
    (ConsoleAction::ChangeWebhooks, Role::Admin, &[Admin]),
    (ConsoleAction::Compact, Role::Admin, &[Operator, Admin]),
    (ConsoleAction::RunQuery, Role::Admin, &[Marketer, Operator, Admin]),
    (ConsoleAction::SaveQuery, Role::Admin, &[Operator, Admin]),
    (ConsoleAction::ManageStaff, Role::Admin, &[Admin]),
    (ConsoleAction::SignOut, Role::Operator, EVERYBODY),
];

impl ConsoleAction {
    pub fn is_for(self, role: StaffRole) -> bool {
        self.engine_role(role).is_some()
    }

    /// The role of the engine with which somebody does it; `None` if they may not.
    pub(crate) fn engine_role(self, role: StaffRole) -> Option<Role> {
        let (_, engine_role, roles) = TABLE.into_iter().find(|(action, ..)| *action == self)?;
        roles.contains(&role).then_some(engine_role)
    }
}

#[cfg(test)]
mod tests {
    use coupon::imported::ImportedState;
    use coupon::time::Millis;
    use engine::StaffRole;

    use super::*;

    #[test]
    fn nobody_imports_what_they_may_not_do() {
        let holder: Option<coupon::ids::UserId> = "kim".parse().ok();
        let at = Millis(0);
        for role in StaffRole::ALL {
            let may = |action: ConsoleAction| action.is_for(role);
            let issued = holder.clone().map(|holder| ImportedState::Issued { holder, at: None });
            let redeemed = ImportedState::Redeemed {
                holder: None,
                issued_at: None,
                at,
                order: None,
                worth: None,
            };
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
