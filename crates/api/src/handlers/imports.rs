//! What comes into a campaign: minted batches, imported files, and the template of a file.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use coupon::ids::BatchId;
use engine::import::columns::ColumnMap;
use engine::import::encoding::Encoding;
use engine::import::{FileFormat, ImportRequest, TEMPLATE};
use engine::{Done, Fault};
use futures::stream::{BoxStream, StreamExt, once, try_unfold};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::{Made, csv};
use crate::app::App;
use crate::bodies::{NewBatch, Reading};
use crate::extract::{CAMPAIGN, CampaignInPath, Json, Params, Who, is_type, named};
use crate::patient;
use crate::problem::{Code, Problem};
use crate::views::{BatchBody, BatchOrDryRun, DryRunBody};

/// Longest pause between two pieces of an imported file.
pub const IMPORT_IDLE: Duration = Duration::from_secs(30);

/// How a file is imported; all of these go with `text/csv`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportParams {
    /// With `text/csv`: the batch to import into. If it is left out, the server makes a name. With
    /// JSON it stands in the body.
    batch_id: Option<String>,
    /// With `text/csv`: which column of the file is which, by the name in its header or by its
    /// number from 1, as in `code:쿠폰번호,expires_at:만료일` or `code:1,expires_at:3`. Columns that are
    /// not mapped are skipped. If it is left out, a file with an unknown column is rejected.
    #[param(example = "code:1,expires_at:3")]
    columns: Option<String>,
    /// With `text/csv`: the encoding of the file, `utf-8`, `cp949`, `utf-16le`, `shift_jis` or
    /// another name of the Encoding Standard. If it is left out, UTF-8, CP949 (EUC-KR) and UTF-16
    /// are recognised.
    #[param(min_length = 1, max_length = 40, example = "cp949")]
    encoding: Option<String>,
    /// With `text/csv`: `true` reads the file, answers what an import would do, and writes nothing.
    dry_run: Option<bool>,
}

/// Mint or import a batch
///
/// With a JSON body, mints `count` coupons: one small write, whatever the number. If the same name
/// and count are sent again, answers 200 with the same batch.
///
/// With a `text/csv` body, imports the file and answers when every line is done. `imported`,
/// `already_there` and `rejected` add up to `lines`. If the connection breaks, send the same file
/// again: it finishes the rest. The same file twice changes nothing. If the store fails in the
/// middle, `detail` of the problem says how many lines are in; send the same file again.
///
/// The header names the columns, in any order: `code`, and where you have them `valid_from`,
/// `expires_at`, `state`, `user_id`, `issued_at`, `redeemed_at` and `order_ref`. Names of other
/// systems, in English or Korean, are understood as well; `columns` maps all others. Without a
/// header the columns are code, valid_from, expires_at. Commas, semicolons or tabs stand between
/// the cells. If the first line is neither a header of known columns nor a coupon, answers 422 and
/// imports nothing.
///
/// With `dry_run=true`, writes nothing and answers an `ImportDryRun`. Only an admin may call it.
#[utoipa::path(
    post, path = "/v1/campaigns/{campaign_id}/batches", tag = "batches",
    params(("campaign_id" = String, Path), ImportParams),
    request_body(content(
        (NewBatch = "application/json"),
        (String = "text/csv", example = "code,expires_at\nOLD-0001,2027-12-31\n"),
    )),
    responses(
        (status = 201, body = BatchBody, description = "The batch was made"),
        (status = 200, body = BatchOrDryRun,
            description = "The batch was there, or got another import; or what a dry run found"),
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
            let fault = |name: &str| Fault::new(name, "is for text/csv: leave it out");
            let faults = given.into_iter().map(|name| match name {
                "batch_id" => Fault::new(name, "stands in the body of a JSON request"),
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
/// Answers a CSV file with every column and one row of each state. The codes of its rows cannot be
/// codes, so an import rejects a row that was left in. Every role may call it.
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
