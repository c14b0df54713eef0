//! What comes into a campaign: minted batches, imported files, and the template of a file.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use coupon::ids::{BatchId, CampaignId};
use engine::import::columns::ColumnMap;
use engine::import::dates::DateOrder;
use engine::import::encoding::{BadEncoding, TextEncoding};
use engine::import::states::ValueMap;
use engine::import::{FileFormat, IgnoredColumns, ImportRequest, TEMPLATE};
use engine::{FieldFault, WriteResult};
use futures::stream::{BoxStream, StreamExt, once, try_unfold};
use serde::Deserialize;
use server::patient;
use utoipa::IntoParams;

use crate::answer::{JsonAnswer, csv};
use crate::bodies::{FieldReader, NewBatch, TRUE_OR_FALSE};
use crate::closed;
use crate::extract::{
    AuthenticatedCaller, CAMPAIGN, CampaignInPath, IdempotencyKey, Json, QueryParams, is_type,
    named, not_encoded,
};
use crate::problem::{Problem, Result};
use crate::problem_code::ApiErrorCode;
use crate::views::{BatchBody, BatchOrDryRun, DryRunBody};

const CSV_TYPE: &str = "text/csv";
const WORKBOOK_TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// Longest pause between two pieces of an imported file.
pub const IMPORT_IDLE: Duration = Duration::from_secs(30);

/// How to import a file. All of these parameters are for `text/csv`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportParams {
    /// With `text/csv`: the batch to import into. If it is left out, the server chooses an id. With
    /// JSON it is in the body.
    batch_id: Option<String>,
    /// With `text/csv`: which column of the file has which meaning, as in `code:쿠폰번호,expires_at:만료일` (names in the
    /// header) or `code:1,expires_at:3` (numbers from 1). The server skips all other columns, but refuses a file if one
    /// of them looks like a state or a use and is not in `ignore`. If it is left out, the server refuses a file with an
    /// unknown column, except for the exports of couponry, Voucherify, Talon.One, Shopify (Matrixify), WooCommerce,
    /// Magento and Stripe.
    #[param(example = "code:1,expires_at:3")]
    columns: Option<String>,
    /// With `text/csv`: the columns to skip, by name or number from 1; `rest` skips all unknown
    /// columns that do not look like a state or a use.
    #[param(example = "memo,rest")]
    ignore: Option<String>,
    /// With `text/csv`: what values of the state column mean, as in `회수:void,Y:redeemed`. The server
    /// knows common words in English and Korean.
    #[param(example = "Y:redeemed,N:available")]
    values: Option<String>,
    /// With `text/csv`: what comes first in dates like `03/04/2027`, `day-first` or `month-first`. If
    /// it is left out, the server rejects lines with such dates.
    #[param(value_type = Option<closed::DateOrder>)]
    dates: Option<String>,
    /// With `text/csv`: the encoding of the file, `utf-8`, `cp949`, `utf-16le`, `shift_jis` or
    /// another name of the Encoding Standard. If it is left out, the `charset` of the Content-Type
    /// counts; without that, the server recognises UTF-8, CP949 (EUC-KR) and UTF-16.
    #[param(min_length = 1, max_length = 40, example = "cp949")]
    encoding: Option<String>,
    /// With `text/csv`: `true` reads the file, returns what an import would do, and writes nothing.
    #[param(value_type = Option<bool>)]
    dry_run: Option<String>,
    /// With `text/csv`: `true` takes lines that name a person who was erased: it is a new person of that `user_id`. If it
    /// is left out, the server rejects such lines.
    #[param(value_type = Option<bool>)]
    again: Option<String>,
}

/// Mint or import a batch
///
/// With a JSON body, mints `count` coupons. This is one small write for any number. If you send the
/// same `batch_id` and `count` again, returns 200 with the same batch.
///
/// With a `text/csv` body, imports the file and answers after the last line. `imported`, `already_there` and `rejected`
/// add up to `lines`. If the connection breaks, send the same file again: the server imports the rest. A second import
/// of the same file changes nothing. If the store fails in the middle, `detail` of the problem says how many lines are
/// imported; send the same file again.
///
/// A workbook of Excel (`.xlsx`, at most 8 MiB, one sheet) is imported as the CSV that Excel would save. Send it as
/// `text/csv`, or with its own media type.
///
/// A line is a record of RFC 4180: a quoted cell may have line ends. Lines without any text do not count. If a quote is
/// not closed, the lines that may belong to its cell, at most 300, are rejected as one.
///
/// The header names the columns, in any order. `code` is required; `valid_from`, `expires_at`, `state`, `user_id`,
/// `issued_at`, `redeemed_at`, `order_ref`, `order_amount`, `discount` and `currency` are optional; amounts are whole
/// numbers of the currency's smallest unit. The server also knows common names of other systems, in
/// English and Korean; `columns` maps all others. Without a header the columns are code, valid_from, expires_at. The
/// cells are separated by commas, semicolons or tabs; a first line such as `sep=;` says which. If the first line is
/// neither a header of known columns nor a coupon, returns 422 and imports nothing.
///
/// With `dry_run=true`, writes nothing and returns an `ImportDryRun`. Only an admin may call it.
#[utoipa::path(
    post, path = "/v1/campaigns/{campaign_id}/batches", tag = "batches", params(ImportParams),
    request_body(content(
        (NewBatch = "application/json"),
        (String = "text/csv", example = "code,expires_at\nOLD-0001,2027-12-31\n"),
        (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    )),
    responses(
        (status = 201, body = BatchBody, description = "The batch was created"),
        (status = 200, body = BatchOrDryRun,
            description = "The batch already existed, or was imported into again; or the dry run"),
    )
)]
pub(crate) async fn create_batch(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    CampaignInPath(campaign): CampaignInPath,
    QueryParams(mut params): QueryParams<ImportParams>,
    key: IdempotencyKey,
    request: Request,
) -> Result<JsonAnswer<BatchOrDryRun>> {
    if is_type(request.headers(), "application/json") {
        let faults = params.faults_beside_json();
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let Json(mut body) = Json::<NewBatch>::from_request(request, &()).await?;
        key.fill("batch_id", &mut body.batch_id)?;
        let done = app.engine.mint_batch(&caller, &campaign, body.into_request()?).await;
        let done = done.map_err(named(CAMPAIGN))?;
        return Ok(JsonAnswer::created(done.map(|batch| BatchOrDryRun::from(&batch))));
    }
    if ![CSV_TYPE, WORKBOOK_TYPE].iter().any(|it| is_type(request.headers(), it)) {
        let detail = "send one type: application/json to mint, text/csv or a workbook to import";
        return Err(Problem::new(ApiErrorCode::UnsupportedMediaType, detail));
    }
    not_encoded(request.headers())?;
    key.fill("batch_id", &mut params.batch_id)?;
    let (mut ask, is_dry_run) = params.read(campaign)?;
    if ask.format.encoding.is_none() {
        ask.format.encoding = charset(request.headers())?;
    }
    let file = arriving(request.into_body());
    if is_dry_run {
        let found = app.engine.dry_run_import(&caller, ask, file).await;
        let found = found.map_err(named(CAMPAIGN))?;
        return Ok(JsonAnswer::created(WriteResult::Same(BatchOrDryRun::DryRun(
            DryRunBody::from(&found),
        ))));
    }
    let done = app.engine.import(&caller, ask, file, |_| {}).await;
    let done = done.map_err(named(CAMPAIGN))?;
    Ok(JsonAnswer::created(done.map(|batch| {
        app.access.figures.imported(batch.import);
        BatchOrDryRun::from(&batch)
    })))
}

impl ImportParams {
    fn faults_beside_json(&self) -> Vec<FieldFault> {
        const FILE_ONLY: &str = "is for text/csv: leave it out";
        let all = [
            ("batch_id", &self.batch_id, "stands in the body of a JSON request"),
            ("columns", &self.columns, FILE_ONLY),
            ("ignore", &self.ignore, FILE_ONLY),
            ("values", &self.values, FILE_ONLY),
            ("dates", &self.dates, FILE_ONLY),
            ("encoding", &self.encoding, FILE_ONLY),
            ("dry_run", &self.dry_run, FILE_ONLY),
            ("again", &self.again, FILE_ONLY),
        ];
        let given = all.into_iter().filter(|(_, text, _)| text.is_some());
        given.map(|(name, _, why)| FieldFault::new(name, why)).collect()
    }

    fn read(&self, campaign: CampaignId) -> Result<(ImportRequest, bool)> {
        let mut reading = FieldReader::default();
        let batch = reading.may::<BatchId>("batch_id", self.batch_id.as_deref());
        let format = FileFormat {
            columns: reading.may::<ColumnMap>("columns", self.columns.as_deref()),
            encoding: reading.may::<TextEncoding>("encoding", self.encoding.as_deref()),
            ignore: reading
                .may::<IgnoredColumns>("ignore", self.ignore.as_deref())
                .unwrap_or_default(),
            values: reading.may::<ValueMap>("values", self.values.as_deref()).unwrap_or_default(),
            dates: reading.may::<DateOrder>("dates", self.dates.as_deref()).unwrap_or_default(),
        };
        let [dry_run, again] = [("dry_run", &self.dry_run), ("again", &self.again)]
            .map(|(name, text)| reading.one_of(name, text.as_deref(), &TRUE_OR_FALSE));
        let again = again.unwrap_or(false);
        let ask = ImportRequest { campaign, batch, format, again };
        reading.done(Some((ask, dry_run.unwrap_or(false))))
    }
}

fn charset(headers: &HeaderMap) -> Result<Option<TextEncoding>> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let mut parameters = content_type.unwrap_or_default().split(';').skip(1);
    let name = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    let encoding = name.map(|name| {
        let unknown = |error| format!("the charset of the Content-Type {error}");
        name.parse().map_err(|error: BadEncoding| {
            Problem::new(ApiErrorCode::UnsupportedMediaType, unknown(error))
        })
    });
    encoding.transpose()
}

/// Download a template of an import
///
/// Returns a CSV file with every column and one example row for each state. Replace these rows:
/// their codes are not valid, so an import rejects them. Every role may call it.
#[utoipa::path(
    get, path = "/v1/import-template.csv", tag = "batches",
    responses((status = 200, body = String, content_type = "text/csv",
        description = "The template", example = "code,valid_from,expires_at\n"))
)]
pub(crate) async fn import_template(_any: AuthenticatedCaller) -> Response {
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
