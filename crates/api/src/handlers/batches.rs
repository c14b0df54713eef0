//! Batches: minting, importing, pausing, and their codes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use coupon::code::CodeText;
use coupon::ids::BatchId;
use engine::import::columns::ColumnMap;
use engine::import::encoding::Encoding;
use engine::import::{FileFormat, ImportRequest, TEMPLATE, record};
use engine::{Caller, CodesRequest, Done, Failure, RejectedLine};
use futures::stream::{BoxStream, StreamExt, once, try_unfold};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Answer, Made};
use crate::app::App;
use crate::bodies::{BatchChanges, NewBatch, Reading};
use crate::extract::{
    BATCH, BatchInPath, CAMPAIGN, CampaignInPath, Json, Params, Who, is_type, named,
};
use crate::handlers::lists::{Page, named_page};
use crate::patient;
use crate::problem::{Code, Problem};
use crate::views::{BatchBody, BatchOrDryRun, DryRunBody, List};

/// Longest pause between two pieces of an imported file.
pub const IMPORT_IDLE: Duration = Duration::from_secs(30);

/// How a file is imported. All of these are for `text/csv`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportParams {
    /// With `text/csv`: the batch to import into; made by us where it is left out. In JSON it
    /// stands in the body.
    batch_id: Option<String>,
    /// Which column of the file is which, by the name in its header or by its number from 1:
    /// `code:쿠폰번호,expires_at:만료일` or `code:1,expires_at:3`. Columns that are not mapped are
    /// skipped; without this parameter an unknown column refuses the file.
    #[param(example = "code:1,expires_at:3")]
    columns: Option<String>,
    /// The encoding of the file: `utf-8`, `cp949`, `utf-16le`, `shift_jis` or another name of the
    /// Encoding Standard. Without it UTF-8, CP949 (EUC-KR) and UTF-16 are recognised.
    #[param(example = "cp949")]
    encoding: Option<String>,
    /// `true`: reads the file, answers what an import would do, and writes nothing.
    dry_run: Option<bool>,
}

/// Mint or import a batch
///
/// With a JSON body it mints `count` coupons: one small write, whatever the count; the same name
/// and count again answers 200. With `text/csv` it imports the file, streaming, and answers when
/// every line is done: `imported`, `already_there` and `rejected` add up to `lines`. Sent again
/// after a broken connection it finishes the rest; the same file twice changes nothing. Columns
/// by header, in any order: `code`; optional `valid_from`, `expires_at`, `state`, `user_id`,
/// `issued_at`, `redeemed_at`, `order_ref`, or what other systems call them, in English or Korean;
/// without a header: code, valid_from, expires_at. If the first line is neither a header of known
/// columns nor a coupon, the answer is 422 and nothing is imported; `columns` maps other names. The
/// cells stand between commas, semicolons or tabs. With `dry_run=true` nothing is written, and the
/// answer is an ImportDryRun. If the store fails in the middle, `detail` says how many lines are in;
/// send the same file again. For an admin.
#[utoipa::path(
    post, path = "/v1/campaigns/{campaign_id}/batches", tag = "batches",
    params(("campaign_id" = String, Path), ImportParams),
    request_body(content(
        (NewBatch = "application/json"),
        (String = "text/csv", example = "code,expires_at\nOLD-0001,2027-12-31\n"),
    )),
    responses(
        (status = 201, body = BatchBody, description = "Made"),
        (status = 200, body = BatchOrDryRun,
            description = "Made before, or imported into again; or what a dry run found"),
    )
)]
pub(crate) async fn create_batch(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CampaignInPath(campaign): CampaignInPath,
    Params(params): Params<ImportParams>,
    request: Request,
) -> Result<Made<BatchOrDryRun>, Problem> {
    let is_dry_run = params.dry_run.unwrap_or(false);
    let given = params.given();
    let (batch, format) = params.read()?;
    if is_type(request.headers(), "application/json") {
        if !given.is_empty() {
            let fault = |name: &str| engine::Fault::new(name, "is for text/csv: leave it out");
            let faults = given.into_iter().map(|name| match name {
                "batch_id" => engine::Fault::new(name, "stands in the body of a JSON request"),
                _ => fault(name),
            });
            return Err(Problem::invalid(faults.collect()));
        }
        let Json(body) = Json::<NewBatch>::from_request(request, &()).await?;
        let done = app.engine.mint_batch(&caller, &campaign, body.into_request()?).await;
        let done = done.map_err(named(CAMPAIGN))?;
        return Ok(Made(done.map(|batch| BatchOrDryRun::from(&batch))));
    }
    if !is_type(request.headers(), "text/csv") {
        let detail = "send application/json to mint, or text/csv to import";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    let ask = ImportRequest { campaign, batch, format };
    let file = arriving(request.into_body());
    if is_dry_run {
        let found = app.engine.dry_run_import(&caller, ask, file).await;
        let found = found.map_err(named(CAMPAIGN))?;
        return Ok(Made(Done::Same(BatchOrDryRun::DryRun(DryRunBody::from(&found)))));
    }
    let done = app.engine.import(&caller, ask, file, |_| {}).await;
    let done = done.map_err(named(CAMPAIGN))?;
    Ok(Made(done.map(|batch| BatchOrDryRun::from(&batch))))
}

impl ImportParams {
    /// The names of those that were given.
    fn given(&self) -> Vec<&'static str> {
        let all = [
            ("batch_id", self.batch_id.is_some()),
            ("columns", self.columns.is_some()),
            ("encoding", self.encoding.is_some()),
            ("dry_run", self.dry_run.is_some()),
        ];
        all.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect()
    }

    fn read(&self) -> Result<(Option<BatchId>, FileFormat), Problem> {
        let mut reading = Reading::default();
        let batch = reading.may::<BatchId>("batch_id", self.batch_id.as_deref());
        let format = FileFormat {
            columns: reading.may::<ColumnMap>("columns", self.columns.as_deref()),
            encoding: reading.may::<Encoding>("encoding", self.encoding.as_deref()),
        };
        reading.done(Some((batch, format)))
    }
}

/// Download a template of an import
///
/// A CSV file with every column and one row of each state. The codes of its rows are none, so that
/// a row that was left in is rejected. For anyone with a token.
#[utoipa::path(
    get, path = "/v1/import-template.csv", tag = "batches",
    responses((status = 200, body = String, content_type = "text/csv",
        description = "The template", example = "code,valid_from,expires_at\n"))
)]
pub(crate) async fn import_template(Who(_any): Who) -> Response {
    let name = HeaderValue::from_static("attachment; filename=\"import-template.csv\"");
    let mut response = csv(once(async { Ok(TEMPLATE.to_owned()) }).boxed());
    response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    response
}

/// The body piece by piece; a client that falls silent is cut off.
fn arriving(body: Body) -> BoxStream<'static, Result<bytes::Bytes, String>> {
    let pieces = body.into_data_stream();
    try_unfold(pieces, |mut pieces| async move {
        match patient::timeout(IMPORT_IDLE, pieces.next()).await {
            None => Err(format!("nothing arrived for {} s", IMPORT_IDLE.as_secs())),
            Some(None) => Ok(None),
            Some(Some(Err(error))) => Err(format!("the body broke off: {error}")),
            Some(Some(Ok(piece))) => Ok(Some((piece, pieces))),
        }
    })
    .boxed()
}

/// List the batches of a campaign
///
/// In the order in which they were made. For operator and admin.
#[utoipa::path(
    get, path = "/v1/campaigns/{campaign_id}/batches", tag = "batches",
    params(("campaign_id" = String, Path), Page),
    responses((status = 200, body = List<BatchBody>, description = "One page"))
)]
pub(crate) async fn list_batches(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CampaignInPath(campaign): CampaignInPath,
    Params(page): Params<Page>,
) -> Result<Answer<List<BatchBody>>, Problem> {
    let query = format!("batches of {campaign}");
    let (after, limit) = page.read::<BatchId>(&query)?;
    let batches = app.engine.batches(&caller, &campaign, after, limit).await;
    let batches = batches.map_err(named(CAMPAIGN))?;
    Ok(Answer(named_page(&query, &batches, limit, |batch| batch.id.as_str())))
}

/// Read a batch
///
/// With `Accept: text/csv` the rejected lines of its last import, kept for 30 days. For operator
/// and admin.
#[utoipa::path(
    get, path = "/v1/campaigns/{campaign_id}/batches/{batch_id}", tag = "batches",
    params(("campaign_id" = String, Path), ("batch_id" = String, Path)),
    responses((status = 200, description = "The batch, or its rejected lines", content(
        (BatchBody = "application/json"),
        (String = "text/csv", example = "line,text,reason,detail\n"),
    )))
)]
pub(crate) async fn read_batch(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CampaignInPath(campaign): CampaignInPath,
    BatchInPath(id): BatchInPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let batch = app.engine.batch(&caller, &campaign, &id).await.map_err(named(BATCH))?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if !accept.is_some_and(|accept| accept.contains("text/csv")) {
        return Ok(Answer(BatchBody::from(&batch)).into_response());
    }
    let of = Rejects { app, caller, batch: batch.id, campaign, after: 0 };
    let header = once(async { Ok(record::REJECT_HEADER.to_owned()) });
    Ok(csv(header.chain(try_unfold(of, Rejects::page)).boxed()))
}

struct Rejects {
    app: Arc<App>,
    caller: Caller,
    campaign: coupon::ids::CampaignId,
    batch: BatchId,
    after: u64,
}

impl Rejects {
    async fn page(mut self) -> Result<Option<(String, Rejects)>, Failure> {
        let Rejects { app, caller, campaign, batch, after } = &self;
        let lines = app.engine.rejected_lines(caller, campaign, batch, *after).await?;
        let Some(last) = lines.last() else { return Ok(None) };
        self.after = last.line;
        let row = |line: &RejectedLine| {
            record::reject_row(line.line, &line.text, &line.word, &line.detail)
        };
        Ok(Some((lines.iter().map(row).collect(), self)))
    }
}

/// Pause or resume a batch
///
/// For an admin.
#[utoipa::path(
    patch, path = "/v1/campaigns/{campaign_id}/batches/{batch_id}", tag = "batches",
    params(("campaign_id" = String, Path), ("batch_id" = String, Path)),
    request_body = BatchChanges,
    responses((status = 200, body = BatchBody, description = "As it is now"))
)]
pub(crate) async fn change_batch(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CampaignInPath(campaign): CampaignInPath,
    BatchInPath(id): BatchInPath,
    Json(body): Json<BatchChanges>,
) -> Result<Answer<BatchBody>, Problem> {
    let reason = body.reason()?;
    let batch = app.engine.pause_batch(&caller, &campaign, &id, body.paused, reason).await;
    let batch = batch.map_err(named(BATCH))?;
    Ok(Answer(BatchBody::from(&batch)))
}

/// Which codes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CodesParams {
    /// Only those of one batch.
    batch_id: Option<String>,
    /// Only those behind this code, in the order of the list: to go on where a download broke off.
    after: Option<String>,
}

/// Download the codes of a campaign
///
/// A stream of the minted codes that nothing has happened to yet, one a line, in printed form.
/// For an admin.
#[utoipa::path(
    get, path = "/v1/campaigns/{campaign_id}/codes", tag = "batches",
    params(("campaign_id" = String, Path), CodesParams),
    responses((status = 200, body = String, content_type = "text/csv",
        description = "A header, `code`, and the codes", example = "code\n7K2M-9QXD-4TRB-H0VE\n"))
)]
pub(crate) async fn list_codes(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CampaignInPath(campaign): CampaignInPath,
    Params(params): Params<CodesParams>,
) -> Result<Response, Problem> {
    let mut reading = Reading::default();
    let ask = CodesRequest {
        batch: reading.may("batch_id", params.batch_id.as_deref()),
        after: reading.may::<CodeText>("after", params.after.as_deref()),
    };
    let ask = reading.done(Some(ask))?;
    let codes = Arc::clone(&app.engine).codes(&caller, &campaign, ask).await;
    let mut codes = app.turns.share(codes.map_err(named(BATCH))?.boxed());
    // What goes wrong at once is an answer of its own, not a list that breaks off.
    let first = codes.next().await.transpose()?.unwrap_or_default();
    let begin = once(async move { Ok(format!("code\n{first}")) });
    Ok(csv(begin.chain(codes).boxed()))
}

/// CSV as it comes; a failure in the middle breaks the connection, so that it is not taken for
/// the end.
fn csv(rows: BoxStream<'static, Result<String, Failure>>) -> Response {
    let rows = rows.map(|piece| piece.map_err(|failure| format!("{failure:?}")));
    let mut response = Body::from_stream(rows).into_response();
    let kind = HeaderValue::from_static("text/csv; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
