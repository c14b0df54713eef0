//! Every route of the console with its action, and the headers of every answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use tower_http::catch_panic::CatchPanicLayer;

use crate::Console;
use crate::assets;
use crate::guard::guard;
use crate::roles::Action;
use crate::screens::{
    audit, calendar, campaign, campaigns, changes, codes, coupon, customer, events, identity,
    import, keys, new_campaign, overview, preferences, reports, search, sign_in, sql, staff, store,
    webhooks,
};
use crate::trouble::Trouble;

/// Nothing from elsewhere, nothing within a page, in nobody's frame.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'; object-src 'none'";

/// Every page of the console, below `/console`.
pub fn pages(console: Arc<Console>) -> Router {
    let pages = Routes { console, router: Router::new() };
    let pages = pages.open().campaigns().coupons().operations().people();
    let router = pages.router.route("/console/assets/{name}", get(assets::asset));
    router
        .layer(CatchPanicLayer::custom(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
        .layer(from_fn(with_headers))
}

struct Routes {
    console: Arc<Console>,
    router: Router,
}

impl Routes {
    fn route(mut self, action: Option<Action>, path: &str, methods: MethodRouter) -> Routes {
        let state = (Arc::clone(&self.console), action);
        self.router = self.router.route(path, methods.layer(from_fn_with_state(state, guard)));
        self
    }

    fn look(self, path: &str, methods: MethodRouter) -> Routes {
        self.route(Some(Action::Look), path, methods)
    }

    fn does(self, action: Action, path: &str, methods: MethodRouter) -> Routes {
        self.route(Some(action), path, methods)
    }

    /// What anyone may ask for.
    fn open(self) -> Routes {
        self.route(None, "/console/sign-in", get(sign_in::page).post(sign_in::sign_in))
            .route(None, "/console/sign-in/identity", get(identity::leave))
            .route(None, "/console/sign-in/back", get(identity::come_back))
            .route(None, "/console/sign-in/go-on", post(identity::go_on))
            .route(None, "/console/welcome", get(sign_in::welcome).post(sign_in::enroll))
            .route(None, "/console/preferences", post(preferences::save))
            .route(None, "/console/{*other}", get(async || Trouble::NotFound))
    }

    fn campaigns(self) -> Routes {
        self.look("/console", get(overview::page))
            .look("/console/live", get(overview::live))
            .look("/console/campaigns", get(campaigns::page))
            .look("/console/campaigns/{id}", get(campaign::page))
            .look("/console/campaigns/{id}/batches/{batch}", get(campaign::batch))
            .does(
                Action::Import,
                "/console/campaigns/{id}/batches/{batch}/rejected.csv",
                get(import::rejected),
            )
            .does(
                Action::CreateCampaign,
                "/console/new-campaign",
                get(new_campaign::page).post(new_campaign::create),
            )
            .does(
                Action::ChangeCampaign,
                "/console/campaigns/{id}/terms",
                get(changes::terms).post(changes::save_terms),
            )
            .does(
                Action::PauseCampaign,
                "/console/campaigns/{id}/pause",
                get(changes::pause).post(changes::save_pause),
            )
            .does(
                Action::PauseCampaign,
                "/console/campaigns/{id}/batches/{batch}/pause",
                post(changes::pause_batch),
            )
            .does(
                Action::AddStock,
                "/console/campaigns/{id}/stock",
                get(changes::stock).post(changes::save_stock),
            )
            .does(Action::DownloadCodes, "/console/campaigns/{id}/codes.csv", get(codes::download))
            .does(Action::DownloadCodes, "/console/campaigns/{id}/codes.xlsx", get(codes::workbook))
            .does(Action::DownloadCodes, "/console/campaigns/{id}/sheet", get(codes::sheet))
            .does(Action::Import, "/console/import", get(import::choose))
            .does(Action::Import, "/console/import/template.csv", get(import::template))
            .does(
                Action::Import,
                "/console/campaigns/{id}/import",
                get(import::page)
                    .post(import::send)
                    .layer(axum::extract::DefaultBodyLimit::disable()),
            )
    }

    fn coupons(self) -> Routes {
        self.look("/console/coupons", get(search::page))
            .look("/console/coupons/{code}", get(coupon::page))
            .look("/console/customers/{user}", get(customer::page))
            .does(Action::Issue, "/console/customers/{user}/give", post(customer::give))
            .does(
                Action::Issue,
                "/console/coupons/{code}/issue",
                get(coupon::ask).post(coupon::issue),
            )
            .does(
                Action::Revoke,
                "/console/coupons/{code}/revoke",
                get(coupon::ask).post(coupon::revoke),
            )
            .does(Action::Void, "/console/coupons/{code}/void", get(coupon::ask).post(coupon::void))
            .does(
                Action::Extend,
                "/console/coupons/{code}/extend",
                get(coupon::ask).post(coupon::extend),
            )
            .does(
                Action::CancelRedemption,
                "/console/coupons/{code}/cancel-redemption",
                get(coupon::ask).post(coupon::cancel_redemption),
            )
    }

    fn operations(self) -> Routes {
        self.look("/console/reports", get(reports::page))
            .does(Action::RunQuery, "/console/reports/sql", get(sql::page))
            .does(Action::RunQuery, "/console/reports/sql/{id}", get(sql::query))
            .does(Action::RunQuery, "/console/reports/sql/{id}/file.csv", get(sql::file))
            .does(Action::SaveQuery, "/console/reports/sql", post(sql::send))
            .does(Action::SaveQuery, "/console/reports/sql/{id}/delete", post(sql::delete))
            .does(
                Action::DownloadReport,
                "/console/reports/redemptions.csv",
                get(reports::download),
            )
            .look("/console/calendar", get(calendar::page))
            .look("/console/calendar/{day}", get(calendar::day))
            .look("/console/store", get(store::page))
            .does(Action::Compact, "/console/store/compact", post(store::compact))
            .does(Action::Compact, "/console/store/plan", get(store::plan))
            .look("/console/events", get(events::page))
            .look("/console/events/tail", get(events::tail))
            .look("/console/webhooks/{id}", get(webhooks::page))
            .does(Action::ManageWebhooks, "/console/webhooks/{id}/state", post(webhooks::set_state))
            .does(Action::ManageWebhooks, "/console/webhooks/{id}/test", post(webhooks::test))
            .does(
                Action::ManageWebhooks,
                "/console/webhooks/{id}/redeliver",
                post(webhooks::redeliver),
            )
    }

    fn people(self) -> Routes {
        self.does(Action::ReadAudit, "/console/audit", get(audit::page))
            .does(Action::ReadAudit, "/console/keys", get(keys::page))
            .does(Action::ManageStaff, "/console/staff", get(staff::page))
            .does(Action::ManageStaff, "/console/staff/invite", post(staff::invite))
            .does(Action::ManageStaff, "/console/staff/{name}/role", post(staff::change_role))
            .does(Action::ManageStaff, "/console/staff/{name}/sign-out", post(staff::sign_out))
            .does(Action::ManageStaff, "/console/staff/{name}/remove", post(staff::remove))
            .does(Action::SignOut, "/console/sign-out", post(sign_in::sign_out))
    }
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pages show customers: no proxy and no browser keeps them.
    let kept = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(kept);
    response
}
