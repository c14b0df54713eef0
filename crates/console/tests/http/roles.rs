//! Every route for every role: the answer is the one of the table.

use console::roles::{Action, TABLE};
use engine::{STAFF_ROLES, StaffRole};

use crate::place::Place;

/// Every route with its action. `{issued}` and `{redeemed}` stand for codes, `{query}` for a saved query.
pub(crate) const ROUTES: [(Action, &str, &str); 67] = [
    (Action::Look, "GET", "/console"),
    (Action::Look, "GET", "/console/live"),
    (Action::Look, "GET", "/console/campaigns"),
    (Action::Look, "GET", "/console/campaigns/spring"),
    (Action::Look, "GET", "/console/campaigns/spring?by=hour"),
    (Action::Look, "GET", "/console/campaigns/spring/batches/first"),
    (Action::Import, "GET", "/console/campaigns/spring/batches/first/rejected.csv"),
    (Action::CreateCampaign, "GET", "/console/new-campaign"),
    (Action::CreateCampaign, "GET", "/console/new-campaign?like=spring"),
    (Action::CreateCampaign, "POST", "/console/new-campaign"),
    (Action::ChangeCampaign, "GET", "/console/campaigns/spring/terms"),
    (Action::ChangeCampaign, "POST", "/console/campaigns/spring/terms"),
    (Action::PauseCampaign, "GET", "/console/campaigns/spring/pause"),
    (Action::PauseCampaign, "POST", "/console/campaigns/spring/pause"),
    (Action::PauseCampaign, "POST", "/console/campaigns/spring/batches/first/pause"),
    (Action::AddStock, "GET", "/console/campaigns/spring/stock"),
    (Action::AddStock, "POST", "/console/campaigns/spring/stock"),
    (Action::DownloadCodes, "GET", "/console/campaigns/spring/codes.csv"),
    (Action::DownloadCodes, "GET", "/console/campaigns/spring/codes.xlsx"),
    (Action::DownloadCodes, "GET", "/console/campaigns/spring/sheet"),
    (Action::Import, "GET", "/console/import"),
    (Action::Import, "GET", "/console/import/template.csv"),
    (Action::Import, "GET", "/console/campaigns/spring/import"),
    (Action::Import, "POST", "/console/campaigns/spring/import"),
    (Action::Look, "GET", "/console/coupons"),
    (Action::Look, "GET", "/console/coupons?q=nobody"),
    (Action::Look, "GET", "/console/coupons/{issued}"),
    (Action::Look, "GET", "/console/coupons/{redeemed}"),
    (Action::Look, "GET", "/console/customers/ann"),
    (Action::Issue, "POST", "/console/customers/ann/give"),
    (Action::Issue, "GET", "/console/coupons/{issued}/issue"),
    (Action::Issue, "POST", "/console/coupons/{issued}/issue"),
    (Action::Revoke, "GET", "/console/coupons/{issued}/revoke"),
    (Action::Revoke, "POST", "/console/coupons/{issued}/revoke"),
    (Action::Void, "GET", "/console/coupons/{issued}/void"),
    (Action::Void, "POST", "/console/coupons/{issued}/void"),
    (Action::Extend, "GET", "/console/coupons/{issued}/extend"),
    (Action::Extend, "POST", "/console/coupons/{issued}/extend"),
    (Action::CancelRedemption, "GET", "/console/coupons/{redeemed}/cancel-redemption"),
    (Action::CancelRedemption, "POST", "/console/coupons/{redeemed}/cancel-redemption"),
    (Action::Look, "GET", "/console/reports"),
    (Action::Look, "GET", "/console/reports?campaign=spring&from=2026-11-01&to=2026-11-30"),
    (Action::DownloadReport, "GET", "/console/reports/redemptions.csv"),
    (Action::Look, "GET", "/console/calendar"),
    (Action::RunQuery, "GET", "/console/reports/sql"),
    (Action::RunQuery, "GET", "/console/reports/sql/{query}"),
    (Action::RunQuery, "GET", "/console/reports/sql/{query}/file.csv"),
    (Action::SaveQuery, "POST", "/console/reports/sql"),
    (Action::SaveQuery, "POST", "/console/reports/sql/none/delete"),
    (Action::Look, "GET", "/console/calendar?month=2027-03"),
    (Action::Look, "GET", "/console/calendar/2027-03-31"),
    (Action::Look, "GET", "/console/store"),
    (Action::Compact, "POST", "/console/store/compact"),
    (Action::Compact, "GET", "/console/store/plan"),
    (Action::Look, "GET", "/console/events"),
    (Action::Look, "GET", "/console/webhooks/shop"),
    (Action::ManageWebhooks, "POST", "/console/webhooks/shop/state"),
    (Action::ManageWebhooks, "POST", "/console/webhooks/shop/test"),
    (Action::ManageWebhooks, "POST", "/console/webhooks/shop/redeliver"),
    (Action::ReadAudit, "GET", "/console/audit"),
    (Action::ReadAudit, "GET", "/console/keys"),
    (Action::ManageStaff, "GET", "/console/staff"),
    (Action::ManageStaff, "POST", "/console/staff/invite"),
    (Action::ManageStaff, "POST", "/console/staff/nobody/role"),
    (Action::ManageStaff, "POST", "/console/staff/nobody/sign-out"),
    (Action::ManageStaff, "POST", "/console/staff/nobody/remove"),
    (Action::SignOut, "POST", "/console/sign-out"),
];

/// The table as people would say it: who may do what, written down a second time.
fn may(action: Action, role: StaffRole) -> bool {
    use StaffRole::{Admin, Marketer, Operator, Support};
    match action {
        Action::Look | Action::SignOut => true,
        Action::ReadAudit | Action::ManageWebhooks | Action::Compact | Action::SaveQuery => {
            matches!(role, Operator | Admin)
        }
        Action::RunQuery => matches!(role, Marketer | Operator | Admin),
        Action::PauseCampaign => matches!(role, Marketer | Operator | Admin),
        Action::CreateCampaign
        | Action::ChangeCampaign
        | Action::AddStock
        | Action::DownloadCodes
        | Action::Import => matches!(role, Marketer | Admin),
        Action::Issue
        | Action::Revoke
        | Action::Void
        | Action::Extend
        | Action::CancelRedemption => matches!(role, Support | Admin),
        Action::DownloadReport => matches!(role, Marketer | Support | Operator | Admin),
        Action::ManageStaff => role == Admin,
    }
}

#[tokio::test]
async fn every_route_for_every_role() {
    let place = Place::new();
    let (issued, redeemed) = place.seeded().await;
    place.webhook().await;
    let query = place.query().await;
    for role in STAFF_ROLES {
        let browser = place.signed_in(role).await;
        for (action, method, path) in ROUTES {
            let path = path.replace("{issued}", &issued).replace("{redeemed}", &redeemed);
            let path = path.replace("{query}", &query);
            let mut browser = browser.at(&browser);
            // Empty forms: what may be done is refused for its fields, after its role.
            let page = match (method, path.ends_with("/import")) {
                ("GET", _) => browser.get(&path).await,
                (_, true) => browser.upload(&path, "check", "b1", "code\n").await,
                (_, false) => browser.submit(&path, &[]).await,
            };
            let is_refused = page.status == 403;
            assert_eq!(is_refused, !may(action, role), "{role:?} {method} {path}: {}", page.status);
            assert!(page.status != 500, "{role:?} {method} {path}: {}", page.text);
            assert!(page.status < 500 || page.status == 501, "{role:?} {method} {path}");
            if !is_refused && method == "GET" {
                assert_eq!(page.status, 200, "{role:?} {method} {path}: {}", page.text);
            }
        }
    }
}

#[tokio::test]
async fn nobody_sees_anything() {
    let place = Place::new();
    place.seeded().await;
    for (action, method, path) in ROUTES {
        let mut browser = place.browser();
        let page = match method {
            "GET" => browser.get(path).await,
            _ => browser.post(path, &[]).await,
        };
        assert!(matches!(page.status, 303 | 401), "{action:?} {method} {path}: {}", page.status);
        assert!(!page.text.contains("Bold"), "{path}");
    }
}

#[test]
fn the_table_has_every_action_once() {
    for (action, roles) in TABLE {
        assert_eq!(TABLE.iter().filter(|(other, _)| *other == action).count(), 1, "{action:?}");
        assert!(ROUTES.iter().any(|(of, ..)| *of == action), "{action:?} has no route here");
        for role in STAFF_ROLES {
            assert_eq!(roles.contains(&role), may(action, role), "{action:?} {role:?}");
            assert_eq!(action.is_for(role), may(action, role), "{action:?} {role:?}");
        }
    }
}
