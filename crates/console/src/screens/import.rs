//! Imports: check a file, then import it while it arrives.
//!
//! The file is never stored here. A browser sends it once to check it, and once to import it; so any `serve`
//! can take either, and an import that broke off goes on when the same file is sent again.

use askama::Template;
use axum::extract::{Path, Request};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use coupon::calendar::Date;
use coupon::ids::{BatchId, CampaignId};
use engine::csv::BYTE_ORDER_MARK;
use engine::import::columns::ColumnMap;
use engine::import::dates::DateOrder;
use engine::import::encoding::TextEncoding;
use engine::import::states::ValueMap;
use engine::import::{DryRun, FileFormat, IgnoredColumns, ImportRequest, TEMPLATE};
use futures::stream::{StreamExt, once};
use serde_json::json;
use std::sync::Arc;

use crate::desk::{PageContext, to};
use crate::extract::from_path;
use crate::fields::{FormFields, encoded};
use crate::multipart::FormUpload;
use crate::phase::CampaignPhase;
use crate::roles::ConsoleAction;
use crate::screens::campaigns::named;
use crate::screens::codes::file;
use crate::text::IsolatedText;
use crate::trouble::ConsoleResult;

/// Campaigns that are offered without a search.
const OFFERED: usize = 100;

#[derive(Template)]
#[template(path = "import_choose.html")]
struct ChoosePage<'a> {
    d: &'a PageContext,
    campaigns: Vec<(String, String)>,
}

/// `GET /console/import`: into which campaign?
pub(crate) async fn choose(desk: PageContext) -> ConsoleResult {
    let listed = desk.all_campaigns().await?;
    let open = listed.campaigns.iter().filter(|it| desk.phase(it) != CampaignPhase::Ended);
    let campaigns = open.take(OFFERED).map(named).collect();
    desk.page(&ChoosePage { d: &desk, campaigns })
}

pub(crate) async fn template(_: PageContext) -> Response {
    let text = format!("{BYTE_ORDER_MARK}{TEMPLATE}");
    let kind = HeaderValue::from_static("text/csv; charset=utf-8");
    let name = HeaderValue::from_static("attachment; filename=\"import-template.csv\"");
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], text).into_response()
}

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage<'a> {
    d: &'a PageContext,
    campaign: String,
    name: String,
    batch: String,
    columns: String,
    ignore: String,
    values: String,
    dates: String,
    encoding: String,
    checked: Option<DryRun>,
    curl: String,
}

impl ImportPage<'_> {
    fn summary(&self, found: &DryRun) -> String {
        let (t, counts) = (self.d.t, found.counts);
        t.checked(
            t.number(counts.lines),
            t.number(counts.new),
            t.number(counts.known),
            t.number(counts.unchecked),
            t.number(counts.rejected),
        )
    }

    /// As what the file was read.
    fn format(&self, found: &DryRun) -> String {
        let t = self.d.t;
        let separator = match found.separator {
            Some('\t') => t.separator_tab(),
            Some(';') => t.separator_semicolon(),
            Some(_) | None => t.separator_comma(),
        };
        let columns = found.columns.iter().map(|it| it.map_or("–", |column| column.as_str()));
        let columns = columns.collect::<Vec<_>>().join(", ");
        t.file_format(found.encoding.name(), separator, IsolatedText(columns))
    }
}

pub(crate) async fn page(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    show(&desk, &from_path(&id)?, &desk.query.clone(), None).await
}

async fn show(
    desk: &PageContext,
    id: &CampaignId,
    fields: &FormFields,
    checked: Option<DryRun>,
) -> ConsoleResult {
    let view = desk.engine().campaign(&desk.reader()?, id).await?;
    let batch = match fields.get("batch_id") {
        Some(batch) => batch.to_owned(),
        None => format!("imp_{}", uuid::Uuid::now_v7()),
    };
    let path = format!("/v1/campaigns/{id}/batches?batch_id={batch}");
    let curl = desk.curl("POST", &path, json!({}));
    let page = ImportPage {
        d: desk,
        campaign: id.to_string(),
        name: view.campaign.name.clone(),
        columns: fields.shown("columns").to_owned(),
        ignore: fields.shown("ignore").to_owned(),
        values: fields.shown("values").to_owned(),
        dates: fields.shown("dates").to_owned(),
        encoding: fields.shown("encoding").to_owned(),
        checked,
        curl: curl
            .replace("application/json", "text/csv")
            .replace("-d '{}'", "--data-binary @codes.csv"),
        batch,
    };
    desk.page(&page)
}

pub(crate) async fn send(
    desk: PageContext,
    Path(id): Path<String>,
    request: Request,
) -> ConsoleResult {
    let id: CampaignId = from_path(&id)?;
    let caller = desk.caller(ConsoleAction::Import)?;
    let mut upload = FormUpload::of(request).await?;
    let (fields, pieces) = upload.read(&desk).await?;
    let batch: BatchId = fields.must("batch_id")?;
    let format = FileFormat {
        columns: fields.may::<ColumnMap>("columns")?,
        encoding: fields.may::<TextEncoding>("encoding")?,
        ignore: fields.may::<IgnoredColumns>("ignore")?.unwrap_or_default(),
        values: fields.may::<ValueMap>("values")?.unwrap_or_default(),
        dates: fields.may::<DateOrder>("dates")?.unwrap_or_default(),
    };
    let request =
        ImportRequest { campaign: id.clone(), batch: Some(batch.clone()), format, again: false };
    if fields.get("mode") != Some("import") {
        let found = desk.engine().dry_run_import(&caller, request, pieces).await?;
        return show(&desk, &id, &fields, Some(found)).await;
    }
    desk.engine().import(&caller, request, pieces, |_| {}).await?;
    desk.console.index.has_changed();
    let (id, batch) = (encoded(id.as_str()), encoded(batch.as_str()));
    Ok(to(&format!("/console/campaigns/{id}/batches/{batch}?done=imported")))
}

pub(crate) async fn rejected(
    desk: PageContext,
    Path((campaign, batch)): Path<(String, String)>,
) -> ConsoleResult {
    let campaign = from_path(&campaign)?;
    let batch: BatchId = from_path(&batch)?;
    let caller = desk.caller(ConsoleAction::Import)?;
    desk.engine().batch(&caller, &campaign, &batch).await?;
    let name = desk.file_name(Some(&campaign), "rejected", "csv");
    let mark = once(async { Ok(BYTE_ORDER_MARK.to_owned()) });
    let rows = Arc::clone(desk.engine()).rejected_rows(caller, campaign, batch);
    let rows = desk.engine().limited(rows.boxed());
    Ok(file(&name, mark.chain(rows).boxed()))
}
