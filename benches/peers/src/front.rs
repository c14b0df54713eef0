//! The HTTP front of the peers with a store: the only place that knows couponry's requests and
//! answers.
//!
//! It reads and writes JSON as a plain axum service would, and nothing more: no tokens, no limits,
//! no metrics, no log. All of this favours the peers.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::Failure;
use crate::terms::{Campaign, Millis};

/// A coupon as in an answer. Its events are stored and not in the answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Coupon {
    pub(crate) code: String,
    pub(crate) campaign_id: String,
    pub(crate) state: String,
    pub(crate) expired: bool,
    pub(crate) paused: bool,
    pub(crate) holder: Option<String>,
    pub(crate) valid_from: Millis,
    pub(crate) expires_at: Millis,
    pub(crate) time_zone: &'static str,
    pub(crate) held_until: Option<Millis>,
    pub(crate) issued_at: Option<Millis>,
    pub(crate) redeemed_at: Option<Millis>,
    pub(crate) order_ref: Option<String>,
    pub(crate) created_at: Millis,
    pub(crate) modified_at: Millis,
    pub(crate) version: i32,
    pub(crate) tier: &'static str,
}

impl Coupon {
    /// A coupon that was issued to `holder` `now`.
    pub(crate) fn issued(code: String, campaign: &Campaign, holder: String, now: Millis) -> Coupon {
        Coupon {
            code,
            campaign_id: campaign.campaign_id.clone(),
            state: "issued".to_owned(),
            expired: false,
            paused: false,
            holder: Some(holder),
            valid_from: campaign.valid_from,
            expires_at: campaign.expires_at,
            time_zone: "UTC",
            held_until: None,
            issued_at: Some(now),
            redeemed_at: None,
            order_ref: None,
            created_at: now,
            modified_at: now,
            version: 1,
            tier: "hot",
        }
    }
}

/// A redemption as in an answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Redemption {
    pub(crate) code: String,
    pub(crate) campaign_id: String,
    pub(crate) user_id: String,
    pub(crate) order_ref: String,
    pub(crate) redeemed_at: Millis,
    pub(crate) cancelled_at: Option<Millis>,
}

impl Redemption {
    /// Of no campaign yet, now.
    pub(crate) fn new(code: String, user_id: String, order_ref: String) -> Redemption {
        let (campaign_id, redeemed_at) = (String::new(), Millis::now());
        Redemption { code, campaign_id, user_id, order_ref, redeemed_at, cancelled_at: None }
    }
}

/// The result of an import.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Batch {
    pub(crate) batch_id: String,
    pub(crate) lines: u64,
    pub(crate) imported: u64,
}

/// Why a write was refused. The first reason that holds, in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// There is none, or it belongs to another user.
    NotFound,
    AlreadyRedeemed,
    Expired,
    SoldOut,
    /// The file has a format that peers do not read.
    Invalid,
}

/// The answer of a store to a write.
pub(crate) enum Answer<T> {
    /// It happened now.
    Made(T),
    /// It had happened before, under the same name.
    Again(T),
    Refused(Refusal),
}

/// A store of coupons. An answered write is as durable as the settings of the store.
pub(crate) trait Store: Send + Sync + 'static {
    /// Redeems a coupon for one order, at most once.
    fn redeem(
        &self,
        code: String,
        user_id: String,
        order_ref: String,
    ) -> impl Future<Output = Result<Answer<Redemption>, Failure>> + Send;

    /// Issues one coupon of a campaign to a user, at most the stock and one each.
    fn issue(
        &self,
        campaign_id: &str,
        user_id: String,
    ) -> impl Future<Output = Result<Answer<Coupon>, Failure>> + Send;

    /// The coupon of this code.
    fn coupon(&self, code: &str) -> impl Future<Output = Result<Option<Coupon>, Failure>> + Send;

    /// Creates a campaign with `stock` coupons. An existing one stays unchanged.
    fn campaign(
        &self,
        campaign_id: &str,
        stock: u64,
    ) -> impl Future<Output = Result<Answer<()>, Failure>> + Send;

    /// Imports the lines of a file, all or none.
    fn import(
        &self,
        campaign_id: &str,
        batch_id: String,
        lines: Body,
    ) -> impl Future<Output = Result<Answer<Batch>, Failure>> + Send;
}

/// A store that does many in one statement.
pub(crate) trait BatchStore: Store {
    /// Redeems coupons as [`Store::redeem`] does, each answered for itself.
    fn redeem_many(
        &self,
        asked: Vec<Redemption>,
    ) -> impl Future<Output = Result<Vec<Answer<Redemption>>, Failure>> + Send;

    /// Issues a coupon of one campaign to each user, as [`Store::issue`] does.
    fn issue_many(
        &self,
        campaign_id: &str,
        users: Vec<String>,
    ) -> impl Future<Output = Result<Vec<Answer<Coupon>>, Failure>> + Send;
}

/// Prints its address, and serves until `ended` returns.
///
/// # Errors
/// The error of `ended`, or of accepting connections.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    ended: impl Future<Output = Failure>,
) -> Result<(), Failure> {
    println!("listening on http://{}", listener.local_addr()?);
    // An answer is one small segment, so there is nothing to wait for.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    tokio::select! {
        served = async { axum::serve(listener, router).await } => Ok(served?),
        failure = ended => Err(failure),
    }
}

/// The calls, over `store`.
pub(crate) fn router<S: BatchStore>(store: Arc<S>) -> Router {
    let batches = Router::new().route("/v1/batch", post(batch::<S>));
    singles(Arc::clone(&store)).merge(batches.with_state(store))
}

/// The calls for one coupon each, over `store`.
pub(crate) fn singles<S: Store>(store: Arc<S>) -> Router {
    Router::new()
        .route("/v1/coupons/{code}", get(coupon::<S>))
        .route("/v1/coupons/{code}/redeem", post(redeem::<S>))
        .route("/v1/campaigns/{campaign_id}/issue", post(issue::<S>))
        .route("/v1/campaigns/{campaign_id}/batches", post(import::<S>))
        .route("/v1/campaigns", post(campaign::<S>))
        .route("/healthz", get(async || StatusCode::OK))
        .with_state(store)
}

#[derive(Deserialize)]
struct RedeemBody {
    user_id: String,
    order_ref: String,
}

#[derive(Deserialize)]
struct IssueBody {
    user_id: String,
}

#[derive(Deserialize)]
struct CampaignBody {
    campaign_id: String,
    stock: u64,
}

#[derive(Deserialize)]
struct BatchName {
    batch_id: String,
}

#[derive(Deserialize)]
struct BatchBody {
    operations: Vec<Operation>,
}

/// One of many calls in one request.
#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
enum Operation {
    Redeem { code: String, body: RedeemBody },
    Issue { campaign_id: String, body: IssueBody },
}

#[derive(Serialize)]
struct BatchAnswer<T> {
    results: Vec<BatchResult<T>>,
}

#[derive(Serialize)]
struct BatchResult<T> {
    status: u16,
    body: ResultBody<T>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ResultBody<T> {
    Done(T),
    Refused(Problem),
}

#[derive(Serialize)]
struct Problem {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: String,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: String) -> Problem {
        Problem { r#type: "about:blank", title, status: status.as_u16(), code, detail }
    }
}

async fn redeem<S: Store>(
    State(store): State<Arc<S>>,
    Path(code): Path<String>,
    Json(body): Json<RedeemBody>,
) -> Response {
    answered(store.redeem(code, body.user_id, body.order_ref).await)
}

async fn issue<S: Store>(
    State(store): State<Arc<S>>,
    Path(campaign_id): Path<String>,
    Json(body): Json<IssueBody>,
) -> Response {
    answered(store.issue(&campaign_id, body.user_id).await)
}

async fn coupon<S: Store>(State(store): State<Arc<S>>, Path(code): Path<String>) -> Response {
    answered(store.coupon(&code).await.map(|found| match found {
        Some(coupon) => Answer::Again(coupon),
        None => Answer::Refused(Refusal::NotFound),
    }))
}

async fn campaign<S: Store>(
    State(store): State<Arc<S>>,
    Json(body): Json<CampaignBody>,
) -> Response {
    let shown = serde_json::json!({"campaign_id": body.campaign_id, "stock": body.stock});
    answered(store.campaign(&body.campaign_id, body.stock).await.map(|answer| match answer {
        Answer::Made(()) => Answer::Made(shown),
        Answer::Again(()) => Answer::Again(shown),
        Answer::Refused(refusal) => Answer::Refused(refusal),
    }))
}

async fn import<S: Store>(
    State(store): State<Arc<S>>,
    Path(campaign_id): Path<String>,
    Query(name): Query<BatchName>,
    lines: Body,
) -> Response {
    answered(store.import(&campaign_id, name.batch_id, lines).await)
}

/// Redemptions only, or issues of one campaign only: the sender mixes nothing.
async fn batch<S: BatchStore>(
    State(store): State<Arc<S>>,
    Json(body): Json<BatchBody>,
) -> Response {
    let (mut redemptions, mut users, mut campaign) = (Vec::new(), Vec::new(), String::new());
    for operation in body.operations {
        match operation {
            Operation::Redeem { code, body } => {
                redemptions.push(Redemption::new(code, body.user_id, body.order_ref));
            }
            Operation::Issue { campaign_id, body } => {
                users.push(body.user_id);
                campaign = campaign_id;
            }
        }
    }
    match users.is_empty() {
        true => all_answered(store.redeem_many(redemptions).await),
        false => all_answered(store.issue_many(&campaign, users).await),
    }
}

fn all_answered<T: Serialize>(answers: Result<Vec<Answer<T>>, Failure>) -> Response {
    let answers = match answers {
        Ok(answers) => answers,
        Err(failure) => return answered::<T>(Err(failure)),
    };
    let results = answers.into_iter().map(|answer| match answer {
        Answer::Made(made) => BatchResult { status: 201, body: ResultBody::Done(made) },
        Answer::Again(made) => BatchResult { status: 200, body: ResultBody::Done(made) },
        Answer::Refused(refusal) => {
            let (status, code, title) = status_of(refusal);
            let problem = Problem::new(status, code, title, title.to_owned());
            BatchResult { status: status.as_u16(), body: ResultBody::Refused(problem) }
        }
    });
    Json(BatchAnswer { results: results.collect() }).into_response()
}

fn answered<T: Serialize>(answer: Result<Answer<T>, Failure>) -> Response {
    match answer {
        Ok(Answer::Made(made)) => (StatusCode::CREATED, Json(made)).into_response(),
        Ok(Answer::Again(made)) => Json(made).into_response(),
        Ok(Answer::Refused(refusal)) => {
            let (status, code, title) = status_of(refusal);
            problem(status, code, title, title.to_owned())
        }
        Err(failure) => {
            // Rare, and the only record of an error in a run.
            eprintln!("peer: {failure}");
            let title = "the store did not answer as it should";
            problem(StatusCode::SERVICE_UNAVAILABLE, "OUTCOME_UNKNOWN", title, failure.to_string())
        }
    }
}

fn status_of(refusal: Refusal) -> (StatusCode, &'static str, &'static str) {
    match refusal {
        Refusal::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such coupon"),
        Refusal::AlreadyRedeemed => {
            (StatusCode::CONFLICT, "ALREADY_REDEEMED", "it was redeemed for another order")
        }
        Refusal::Expired => (StatusCode::CONFLICT, "EXPIRED", "it has expired"),
        Refusal::SoldOut => (StatusCode::CONFLICT, "SOLD_OUT", "none is left"),
        Refusal::Invalid => {
            (StatusCode::BAD_REQUEST, "INVALID", "want plain lines of code,state,user_id")
        }
    }
}

fn problem(
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
) -> Response {
    let problem = Problem::new(status, code, title, detail);
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, Json(problem)).into_response()
}
