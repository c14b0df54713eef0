//! Every route for every role: the answer is the one of the table.

use console::roles::{ConsoleAction, TABLE};
use engine::StaffRole;

use crate::place::Place;

/// Every route with its action. `{issued}` and `{redeemed}` stand for codes, `{query}` for a saved query.
pub(crate) const ROUTES: [(ConsoleAction, &str, &str); 83] = [
    (ConsoleAction::Look, "GET", "/console"),
    (ConsoleAction::Look, "GET", "/console/live"),
    (ConsoleAction::Look, "GET", "/console/today"),
    (ConsoleAction::Look, "GET", "/console/campaigns"),
    (ConsoleAction::Look, "GET", "/console/campaigns/spring"),
    (ConsoleAction::Look, "GET", "/console/campaigns/spring?by=hour"),
    (ConsoleAction::Look, "GET", "/console/campaigns/spring/batches/first"),
    (ConsoleAction::Import, "GET", "/console/campaigns/spring/batches/first/rejected.csv"),
    (ConsoleAction::CreateCampaign, "GET", "/console/new-campaign"),
    (ConsoleAction::CreateCampaign, "GET", "/console/new-campaign?like=spring"),
    (ConsoleAction::CreateCampaign, "GET", "/console/new-campaign?like=spring&handout=bearer"),
    (ConsoleAction::CreateCampaign, "POST", "/console/new-campaign"),
    (ConsoleAction::ChangeCampaign, "GET", "/console/campaigns/spring/terms"),
    (ConsoleAction::ChangeCampaign, "POST", "/console/campaigns/spring/terms"),
    (ConsoleAction::PauseCampaign, "GET", "/console/campaigns/spring/pause"),
    (ConsoleAction::PauseCampaign, "POST", "/console/campaigns/spring/pause"),
    (ConsoleAction::PauseCampaign, "POST", "/console/pause-campaigns"),
    (ConsoleAction::PauseCampaign, "POST", "/console/campaigns/spring/batches/first/pause"),
    (ConsoleAction::AddStock, "GET", "/console/campaigns/spring/stock"),
    (ConsoleAction::AddStock, "POST", "/console/campaigns/spring/stock"),
    (ConsoleAction::DownloadCodes, "GET", "/console/campaigns/spring/codes"),
    (ConsoleAction::DownloadCodes, "GET", "/console/campaigns/spring/codes.csv"),
    (ConsoleAction::DownloadCodes, "GET", "/console/campaigns/spring/codes.xlsx"),
    (ConsoleAction::DownloadCodes, "GET", "/console/campaigns/spring/sheet"),
    (ConsoleAction::Import, "GET", "/console/import"),
    (ConsoleAction::Import, "GET", "/console/import/template.csv"),
    (ConsoleAction::Import, "GET", "/console/campaigns/spring/import"),
    (ConsoleAction::Import, "POST", "/console/campaigns/spring/import"),
    (ConsoleAction::Look, "GET", "/console/coupons"),
    (ConsoleAction::Look, "GET", "/console/coupons?q=nobody"),
    (ConsoleAction::Look, "GET", "/console/coupons/{issued}"),
    (ConsoleAction::Look, "GET", "/console/coupons/{redeemed}"),
    (ConsoleAction::Look, "GET", "/console/customers/ann"),
    (ConsoleAction::Issue, "POST", "/console/customers/ann/give"),
    (ConsoleAction::ErasePeople, "GET", "/console/customers/ann/erase"),
    (ConsoleAction::ErasePeople, "POST", "/console/customers/ann/erase"),
    (ConsoleAction::ErasePeople, "GET", "/console/customers/ann/data/json"),
    (ConsoleAction::ErasePeople, "GET", "/console/customers/ann/data/csv"),
    (ConsoleAction::ErasePeople, "GET", "/console/erasures"),
    (ConsoleAction::Issue, "GET", "/console/coupons/{issued}/issue"),
    (ConsoleAction::Issue, "POST", "/console/coupons/{issued}/issue"),
    (ConsoleAction::Revoke, "GET", "/console/coupons/{issued}/revoke"),
    (ConsoleAction::Revoke, "POST", "/console/coupons/{issued}/revoke"),
    (ConsoleAction::Void, "GET", "/console/coupons/{issued}/void"),
    (ConsoleAction::Void, "POST", "/console/coupons/{issued}/void"),
    (ConsoleAction::Extend, "GET", "/console/coupons/{issued}/extend"),
    (ConsoleAction::Extend, "POST", "/console/coupons/{issued}/extend"),
    (ConsoleAction::CancelRedemption, "GET", "/console/coupons/{redeemed}/cancel-redemption"),
    (ConsoleAction::CancelRedemption, "POST", "/console/coupons/{redeemed}/cancel-redemption"),
    (ConsoleAction::Look, "GET", "/console/reports"),
    (ConsoleAction::Look, "GET", "/console/reports?campaign=spring&from=2026-11-01&to=2026-11-30"),
    (ConsoleAction::DownloadReport, "GET", "/console/reports/redemptions.csv"),
    (ConsoleAction::Look, "GET", "/console/calendar"),
    (ConsoleAction::RunQuery, "GET", "/console/reports/sql"),
    (ConsoleAction::RunQuery, "GET", "/console/reports/sql/{query}"),
    (ConsoleAction::RunQuery, "GET", "/console/reports/sql/{query}/file.csv"),
    (ConsoleAction::SaveQuery, "POST", "/console/reports/sql"),
    (ConsoleAction::SaveQuery, "POST", "/console/reports/sql/none/delete"),
    (ConsoleAction::Look, "GET", "/console/calendar?month=2027-03"),
    (ConsoleAction::Look, "GET", "/console/calendar/2027-03-31"),
    (ConsoleAction::Look, "GET", "/console/store"),
    (ConsoleAction::Compact, "POST", "/console/store/compact"),
    (ConsoleAction::Compact, "GET", "/console/store/plan"),
    (ConsoleAction::Look, "GET", "/console/events"),
    (ConsoleAction::Look, "GET", "/console/webhooks/shop"),
    (ConsoleAction::ChangeWebhooks, "GET", "/console/new-webhook"),
    (ConsoleAction::ChangeWebhooks, "POST", "/console/new-webhook"),
    (ConsoleAction::ChangeWebhooks, "GET", "/console/webhooks/shop/terms"),
    (ConsoleAction::ChangeWebhooks, "POST", "/console/webhooks/shop/terms"),
    (ConsoleAction::ChangeWebhooks, "POST", "/console/webhooks/shop/secret"),
    (ConsoleAction::ChangeWebhooks, "POST", "/console/webhooks/none/delete"),
    (ConsoleAction::ManageWebhooks, "POST", "/console/webhooks/shop/state"),
    (ConsoleAction::ManageWebhooks, "POST", "/console/webhooks/shop/test"),
    (ConsoleAction::ManageWebhooks, "POST", "/console/webhooks/shop/redeliver"),
    (ConsoleAction::ReadAudit, "GET", "/console/audit"),
    (ConsoleAction::ReadAudit, "GET", "/console/audit?actor=staff:eva&day=2026-11-20"),
    (ConsoleAction::ReadAudit, "GET", "/console/keys"),
    (ConsoleAction::ManageStaff, "GET", "/console/staff"),
    (ConsoleAction::ManageStaff, "POST", "/console/staff/invite"),
    (ConsoleAction::ManageStaff, "POST", "/console/staff/nobody/role"),
    (ConsoleAction::ManageStaff, "POST", "/console/staff/nobody/sign-out"),
    (ConsoleAction::ManageStaff, "POST", "/console/staff/nobody/remove"),
    (ConsoleAction::SignOut, "POST", "/console/sign-out"),
];

/// The table as people would say it: who may do what, written down a second time.
fn may(action: ConsoleAction, role: StaffRole) -> bool {
    use StaffRole::{Admin, Marketer, Operator, Support};
    match action {
        ConsoleAction::Look | ConsoleAction::SignOut => true,
        ConsoleAction::ReadAudit
        | ConsoleAction::ManageWebhooks
        | ConsoleAction::Compact
        | ConsoleAction::SaveQuery => {
            matches!(role, Operator | Admin)
        }
        ConsoleAction::RunQuery => matches!(role, Marketer | Operator | Admin),
        ConsoleAction::PauseCampaign => matches!(role, Marketer | Operator | Admin),
        ConsoleAction::CreateCampaign
        | ConsoleAction::ChangeCampaign
        | ConsoleAction::AddStock
        | ConsoleAction::DownloadCodes
        | ConsoleAction::Import => matches!(role, Marketer | Admin),
        ConsoleAction::Issue
        | ConsoleAction::Revoke
        | ConsoleAction::Void
        | ConsoleAction::Extend
        | ConsoleAction::CancelRedemption => matches!(role, Support | Admin),
        ConsoleAction::DownloadReport => matches!(role, Marketer | Support | Operator | Admin),
        ConsoleAction::ManageStaff | ConsoleAction::ErasePeople | ConsoleAction::ChangeWebhooks => {
            role == Admin
        }
    }
}

#[tokio::test]
async fn every_route_for_every_role() {
    let place = Place::new();
    let (issued, redeemed) = place.seeded().await;
    place.webhook().await;
    let query = place.query().await;
    for role in StaffRole::ALL {
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

/// Whoever may change nothing there meets no call.
#[tokio::test]
async fn calls_among_the_events() {
    let place = Place::new();
    for role in StaffRole::ALL {
        let page = place.signed_in(role).await.get("/console/events").await.must(200);
        let has_call = page.text.contains("curl");
        assert_eq!(has_call, may(ConsoleAction::ManageWebhooks, role), "{role:?}: {}", page.text);
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
    for (action, _, roles) in TABLE {
        assert_eq!(TABLE.iter().filter(|(other, ..)| *other == action).count(), 1, "{action:?}");
        assert!(ROUTES.iter().any(|(of, ..)| *of == action), "{action:?} has no route here");
        for role in StaffRole::ALL {
            assert_eq!(roles.contains(&role), may(action, role), "{action:?} {role:?}");
            assert_eq!(action.is_for(role), may(action, role), "{action:?} {role:?}");
        }
    }
}
