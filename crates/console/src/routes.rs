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
use crate::roles::ConsoleAction;
use crate::screens::{
    audit, calendar, campaign, campaigns, changes, codes, coupon, customer, erasures, events,
    identity, import, keys, new_campaign, overview, preferences, reports, search, sign_in, sql,
    staff, store, today, webhook_form, webhooks,
};
use crate::trouble::ConsoleError;
use ConsoleAction::{
    AddStock, CancelRedemption, ChangeCampaign, ChangeWebhooks, Compact, CreateCampaign,
    DownloadCodes, DownloadReport, ErasePeople, Extend, Import, Issue, ManageStaff, ManageWebhooks,
    PauseCampaign, ReadAudit, Revoke, RunQuery, SaveQuery, SignOut, Void,
};

/// Nothing from elsewhere, nothing within a page, in nobody's frame.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'; object-src 'none'";

/// Every page of the console, below `/console`.
pub fn pages(console: Arc<Console>) -> Router {
    let pages = RouteTable { console, router: Router::new() };
    let pages = pages.open().campaigns().coupons().operations().people();
    let router = pages.router.route("/console/assets/{name}", get(assets::asset));
    router
        .layer(CatchPanicLayer::custom(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
        .layer(from_fn(with_headers))
}

struct RouteTable {
    console: Arc<Console>,
    router: Router,
}

impl RouteTable {
    /// Adds one, of which the path begins behind `/console`.
    fn route(
        mut self,
        action: Option<ConsoleAction>,
        path: &str,
        methods: MethodRouter,
    ) -> RouteTable {
        let state = (Arc::clone(&self.console), action);
        let guarded = methods.layer(from_fn_with_state(state, guard));
        self.router = self.router.route(&format!("/console{path}"), guarded);
        self
    }

    fn look(self, path: &str, methods: MethodRouter) -> RouteTable {
        self.route(Some(ConsoleAction::Look), path, methods)
    }

    fn does(self, action: ConsoleAction, path: &str, methods: MethodRouter) -> RouteTable {
        self.route(Some(action), path, methods)
    }

    /// What anyone may ask for.
    fn open(self) -> RouteTable {
        self.route(None, "/sign-in", get(sign_in::page).post(sign_in::sign_in))
            .route(None, "/sign-in/identity", get(identity::leave))
            .route(None, "/sign-in/back", get(identity::come_back))
            .route(None, "/sign-in/go-on", post(identity::go_on))
            .route(None, "/welcome", get(sign_in::welcome).post(sign_in::enroll))
            .route(None, "/preferences", post(preferences::save))
            .route(None, "/{*other}", get(async || ConsoleError::NotFound))
    }

    fn campaigns(self) -> RouteTable {
        self.look("", get(overview::page))
            .look("/live", get(overview::live))
            .look("/today", get(today::page))
            .look("/campaigns", get(campaigns::page))
            .look("/campaigns/{id}", get(campaign::page))
            .look("/campaigns/{id}/batches/{batch}", get(campaign::batch))
            .does(Import, "/campaigns/{id}/batches/{batch}/rejected.csv", get(import::rejected))
            .does(
                CreateCampaign,
                "/new-campaign",
                get(new_campaign::page).post(new_campaign::create),
            )
            .does(
                ChangeCampaign,
                "/campaigns/{id}/terms",
                get(changes::terms).post(changes::save_terms),
            )
            .does(
                PauseCampaign,
                "/campaigns/{id}/pause",
                get(changes::pause).post(changes::save_pause),
            )
            .does(PauseCampaign, "/pause-campaigns", post(changes::pause_campaigns))
            .does(
                PauseCampaign,
                "/campaigns/{id}/batches/{batch}/pause",
                post(changes::pause_batch),
            )
            .does(AddStock, "/campaigns/{id}/stock", get(changes::stock).post(changes::save_stock))
            .does(DownloadCodes, "/campaigns/{id}/codes", get(codes::page))
            .does(DownloadCodes, "/campaigns/{id}/codes.csv", get(codes::download))
            .does(DownloadCodes, "/campaigns/{id}/codes.xlsx", get(codes::workbook))
            .does(DownloadCodes, "/campaigns/{id}/sheet", get(codes::sheet))
            .does(Import, "/import", get(import::choose))
            .does(Import, "/import/template.csv", get(import::template))
            .does(
                Import,
                "/campaigns/{id}/import",
                get(import::page)
                    .post(import::send)
                    .layer(axum::extract::DefaultBodyLimit::disable()),
            )
    }

    fn coupons(self) -> RouteTable {
        let ask_and_act = || get(coupon::ask).post(coupon::act);
        self.look("/coupons", get(search::page))
            .look("/coupons/{code}", get(coupon::page))
            .look("/customers/{user}", get(customer::page))
            .does(Issue, "/customers/{user}/give", post(customer::give))
            .does(ErasePeople, "/customers/{user}/erase", get(erasures::ask).post(erasures::erase))
            .does(ErasePeople, "/customers/{user}/data/{format}", get(customer::data))
            .does(ErasePeople, "/erasures", get(erasures::page))
            .does(Issue, "/coupons/{code}/issue", ask_and_act())
            .does(Revoke, "/coupons/{code}/revoke", ask_and_act())
            .does(Void, "/coupons/{code}/void", ask_and_act())
            .does(Extend, "/coupons/{code}/extend", ask_and_act())
            .does(CancelRedemption, "/coupons/{code}/cancel-redemption", ask_and_act())
    }

    fn operations(self) -> RouteTable {
        self.look("/reports", get(reports::page))
            .does(RunQuery, "/reports/sql", get(sql::page))
            .does(RunQuery, "/reports/sql/{id}", get(sql::query))
            .does(RunQuery, "/reports/sql/{id}/file.csv", get(sql::file))
            .does(SaveQuery, "/reports/sql", post(sql::send))
            .does(SaveQuery, "/reports/sql/{id}/delete", post(sql::delete))
            .does(DownloadReport, "/reports/redemptions.csv", get(reports::download))
            .look("/calendar", get(calendar::page))
            .look("/calendar/{day}", get(calendar::day))
            .look("/store", get(store::page))
            .does(Compact, "/store/compact", post(store::compact))
            .does(Compact, "/store/plan", get(store::plan))
            .look("/events", get(events::page))
            .look("/events/tail", get(events::tail))
            .look("/webhooks/{id}", get(webhooks::page))
            .does(
                ChangeWebhooks,
                "/new-webhook",
                get(webhook_form::page).post(webhook_form::create),
            )
            .does(
                ChangeWebhooks,
                "/webhooks/{id}/terms",
                get(webhook_form::terms).post(webhook_form::save),
            )
            .does(ChangeWebhooks, "/webhooks/{id}/secret", post(webhook_form::change_secret))
            .does(ChangeWebhooks, "/webhooks/{id}/delete", post(webhook_form::delete))
            .does(ManageWebhooks, "/webhooks/{id}/state", post(webhooks::set_state))
            .does(ManageWebhooks, "/webhooks/{id}/test", post(webhooks::test))
            .does(ManageWebhooks, "/webhooks/{id}/redeliver", post(webhooks::redeliver))
    }

    fn people(self) -> RouteTable {
        self.does(ReadAudit, "/audit", get(audit::page))
            .does(ReadAudit, "/keys", get(keys::page))
            .does(ManageStaff, "/staff", get(staff::page))
            .does(ManageStaff, "/staff/invite", post(staff::invite))
            .does(ManageStaff, "/staff/{name}/role", post(staff::change_role))
            .does(ManageStaff, "/staff/{name}/sign-out", post(staff::sign_out))
            .does(ManageStaff, "/staff/{name}/remove", post(staff::remove))
            .does(SignOut, "/sign-out", post(sign_in::sign_out))
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
