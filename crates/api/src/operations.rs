//! `POST /v1/batch`: many calls about coupons in one request. Each is the call that it names, with its limits and its
//! answer; they share the token and the way here.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use coupon::code::{Code, CodeText};
use coupon::language::Lang;
use engine::Caller;
use futures::channel::oneshot;
use futures::stream::{self, Stream, StreamExt};
use passwords::peer::Peer;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use crate::answer::{JsonAnswer, json_text};
use crate::app::App;
use crate::around::{RequestId, lang_of, over_the_rate};
use crate::extract::{
    AuthenticatedCaller, CAMPAIGN, CampaignInPath, CodeInPath, IdempotencyKey, Json, WhereFrom,
    is_type, json_of, no_such, no_such_coupon, whole_body,
};
use crate::guesses::ASKING_MAX;
use crate::handlers::{admin, campaigns, coupons};
use crate::problem::{FailureCause, Problem, Result};
use crate::problem_code::ApiErrorCode;

/// Operations of one request.
pub const OPERATIONS_MAX: usize = 1_000;

/// Longest body, in bytes: an operation has some 200.
pub const OPERATIONS_BYTES_MAX: usize = 1 << 20;

/// Operations that are under way: as many as one user may have.
const UNDER_WAY_MAX: usize = ASKING_MAX as usize;

/// One for each operation that is done at the moment, of all requests together: single calls beside them wait as beside
/// so many clients, however many send batches.
static PLACES: Semaphore = Semaphore::const_new(UNDER_WAY_MAX);

const NDJSON: &str = "application/x-ndjson";

/// Operations to do, 1 to 1,000.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BatchRequest)]
pub(crate) struct OperationsRequest {
    /// What to do, in this order for each coupon.
    #[schema(value_type = Vec<OperationRequest>, min_items = 1, max_items = 1_000)]
    operations: Vec<Box<RawValue>>,
}

/// One call, with the request that it takes by itself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Operation)]
pub(crate) struct OperationRequest {
    /// Which call.
    action: OperationAction,
    /// The code of the coupon. `issue` has either this or `campaign_id`.
    code: Option<String>,
    /// The campaign of which `issue` takes a coupon.
    campaign_id: Option<String>,
    /// The body of the call.
    #[schema(value_type = Option<Object>)]
    body: Option<Box<RawValue>>,
}

/// The last part of the path of a call: `redeem` is `POST /v1/coupons/{code}/redeem`.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OperationAction {
    Issue,
    Check,
    Hold,
    Release,
    Redeem,
    CancelRedemption,
    Revoke,
    Void,
    Extend,
}

/// The answers, in the order of the operations.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchResult)]
pub(crate) struct OperationsAnswer {
    /// One for each operation.
    results: Vec<OperationResult>,
}

/// What the call has answered.
#[derive(Serialize, ToSchema)]
pub(crate) struct OperationResult {
    /// The HTTP status.
    #[schema(minimum = 200, maximum = 599)]
    status: u16,
    /// Whether an earlier request had done it: then the answer is that one's.
    replayed: bool,
    /// The body that the call would have: with a status of 400 or more, a problem.
    #[schema(value_type = Object)]
    body: Box<RawValue>,
}

/// Do many operations
///
/// Each operation is one of the calls about a coupon, with the body of that call, and is answered by itself: with the
/// status and the body of the call. There is no transaction around them: some may succeed and others fail. Those with
/// one code are done one after the other, in their order; the others beside each other.
///
/// The status is 200 if the request could be read at all; look at that of each operation. Every operation may be sent
/// again, as the single call may: so repeat the whole request if you got no answer. Each operation counts as one request
/// for the limits of the server.
///
/// With `Content-Type: application/x-ndjson`, the request has an operation on each line, and the answer a result on
/// each line, which comes as soon as those before it. Every role may call it; who may do what is as for the single
/// calls.
#[utoipa::path(
    post, path = "/v1/batch", tag = "coupons",
    request_body = OperationsRequest,
    responses((status = 200, body = OperationsAnswer, description = "The answer to each operation"))
)]
pub(crate) async fn do_operations(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WhereFrom(peer): WhereFrom,
    Extension(request_id): Extension<RequestId>,
    request: Request,
) -> Result<Response> {
    let lang = lang_of(request.headers().get_all(header::ACCEPT_LANGUAGE));
    let is_ndjson = is_type(request.headers(), NDJSON);
    let texts = texts_of(request, is_ndjson).await?;
    let runner =
        Arc::new(OperationRunner { app, caller, peer, lang, request_id, cause: OnceLock::new() });
    let results = Arc::clone(&runner).results(texts);
    if is_ndjson {
        let lines = results.map(|result| {
            let mut line = json_text(&result)?;
            line.push(b'\n');
            serde_json::Result::Ok(line)
        });
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON))];
        return Ok((kind, Body::from_stream(lines)).into_response());
    }
    let answer = OperationsAnswer { results: results.collect().await };
    let mut response = JsonAnswer::ok(answer).into_response();
    if let Some(cause) = runner.cause.get() {
        response.extensions_mut().insert(FailureCause(cause.clone()));
    }
    Ok(response)
}

/// The text of each operation.
async fn texts_of(request: Request, is_ndjson: bool) -> Result<Vec<Bytes>> {
    if !is_ndjson && !is_type(request.headers(), "application/json") {
        let detail = format!("send the body as one of `application/json` and `{NDJSON}`");
        return Err(Problem::new(ApiErrorCode::UnsupportedMediaType, detail));
    }
    let body = whole_body(request, OPERATIONS_BYTES_MAX).await?;
    let texts: Vec<Bytes> = match is_ndjson {
        true => {
            let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            lines.filter(|line| !line.is_empty()).map(|line| body.slice_ref(line)).collect()
        }
        false => {
            let OperationsRequest { operations } = json_of(&body)?;
            operations
                .into_iter()
                .map(|it| Bytes::from(String::from(Box::<str>::from(it))))
                .collect()
        }
    };
    match texts.len() {
        1..=OPERATIONS_MAX => Ok(texts),
        count => {
            Err(Problem::of_field("operations", format!("has {count}, want 1 to {OPERATIONS_MAX}")))
        }
    }
}

/// What all operations of one request share.
struct OperationRunner {
    app: Arc<App>,
    caller: Caller,
    peer: Peer,
    lang: Lang,
    request_id: RequestId,
    /// Why the first operation failed. The log has no other cause: a store that is away would fill it.
    cause: OnceLock<Box<str>>,
}

impl OperationRunner {
    /// In the order of the operations.
    fn results(self: Arc<Self>, texts: Vec<Bytes>) -> impl Stream<Item = OperationResult> + Send {
        let mut last: HashMap<Code, oneshot::Receiver<()>> = HashMap::new();
        let results = texts.into_iter().enumerate().map(move |(nth, text)| {
            let read = json_of::<OperationRequest>(&text);
            let code = read.as_ref().ok().and_then(|it| it.code.as_deref()?.parse().ok());
            let code =
                code.map(|text: CodeText| text.minted().unwrap_or_else(|| text.foreign().clone()));
            let (ended, ends) = oneshot::channel();
            let before = code.and_then(|code| last.insert(code, ends));
            let runner = Arc::clone(&self);
            async move {
                let _sent_when_dropped: oneshot::Sender<()> = ended;
                if let Some(before) = before {
                    let _is_dropped = before.await;
                }
                let answer = match read {
                    Ok(operation) => runner.run(nth, operation).await,
                    Err(problem) => Err(problem),
                };
                answer.unwrap_or_else(|problem| runner.failed(&problem))
            }
        });
        stream::iter(results).buffered(UNDER_WAY_MAX)
    }

    async fn run(&self, nth: usize, operation: OperationRequest) -> Result<OperationResult> {
        // The request itself has paid for the first.
        if let Some(rate) = self.app.access.rate.as_ref().filter(|_| nth > 0)
            && let Some(wait) = rate.take().refused
        {
            return Err(over_the_rate(rate, wait));
        }
        let _place = PLACES.acquire().await.ok();
        let OperationRequest { action, code, campaign_id, body } = operation;
        let body = body.as_ref().map_or("{}", |body| body.get()).as_bytes();
        let who = AuthenticatedCaller { app: Arc::clone(&self.app), caller: self.caller.clone() };
        let (from, key) = (WhereFrom(self.peer), IdempotencyKey::default());
        let code = match (action, code, campaign_id) {
            (_, Some(code), None) => CodeInPath(code.parse().map_err(|_| no_such_coupon())?),
            (OperationAction::Issue, None, Some(id)) => {
                let id = CampaignInPath(id.parse().map_err(|_| no_such(CAMPAIGN))?);
                return answered(campaigns::issue(who, from, id, key, json(body)?).await?);
            }
            (OperationAction::Issue, Some(_), Some(_)) => {
                return Err(Problem::of_field(
                    "campaign_id",
                    "is there beside code: leave one of them out",
                ));
            }
            (_, _, Some(_)) => return Err(Problem::of_field("campaign_id", "is only for issue")),
            (_, None, None) => return Err(Problem::of_field("code", "is missing")),
        };
        match action {
            OperationAction::Issue => {
                answered(coupons::issue_coupon(who, from, code, json(body)?).await?)
            }
            OperationAction::Check => answered(coupons::check(who, from, code, json(body)?).await?),
            OperationAction::Hold => answered(coupons::hold(who, from, code, json(body)?).await?),
            OperationAction::Release => answered(coupons::release(who, code, json(body)?).await?),
            OperationAction::Redeem => {
                answered(coupons::redeem(who, from, code, key, json(body)?).await?)
            }
            OperationAction::CancelRedemption => {
                answered(coupons::cancel_redemption(who, from, code, json(body)?).await?)
            }
            OperationAction::Revoke => answered(admin::revoke(who, code, key, json(body)?).await?),
            OperationAction::Void => answered(admin::void_coupon(who, code, json(body)?).await?),
            OperationAction::Extend => answered(admin::extend(who, code, json(body)?).await?),
        }
    }

    fn failed(&self, problem: &Problem) -> OperationResult {
        self.app.access.figures.problem(problem.code());
        if let Some(cause) = problem.cause()
            && self.cause.set(cause.into()).is_ok()
        {
            let (code, request_id) = (problem.code().as_str(), &*self.request_id.0);
            tracing::error!(cause, code, request_id, "an operation of a request failed");
        }
        let body = problem.body(self.lang, &self.request_id.0);
        OperationResult { status: problem.code().status(), replayed: false, body: raw(&body) }
    }
}

fn json<T: DeserializeOwned + ToSchema>(body: &[u8]) -> Result<Json<T>> {
    json_of(body).map(Json)
}

fn answered(answer: JsonAnswer<impl Serialize>) -> Result<OperationResult> {
    let JsonAnswer { status, replayed, body } = answer;
    Ok(OperationResult { status: status.as_u16(), replayed, body: raw(&body) })
}

fn raw(body: &impl Serialize) -> Box<RawValue> {
    to_raw_value(body).unwrap_or_else(|error| {
        tracing::error!(%error, "an answer is no JSON");
        RawValue::NULL.to_owned()
    })
}
