//! Imports: check a file, then import it while it arrives.
//!
//! The file is never stored here. A browser sends it once to check it, and once to import it; so any `serve`
//! can take either, and an import that broke off goes on when the same file is sent again.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::response::Response;
use coupon::calendar::Date;
use coupon::campaign::{Batch, Campaign};
use coupon::ids::{BatchId, CampaignId};
use coupon::text::clipped;
use engine::csv::BYTE_ORDER_MARK;
use engine::import::columns::{BadColumnMap, KnownColumn};
use engine::import::record::RowError;
use engine::import::states::StateWord;
use engine::import::{DryRun, ImportRequest, ParsedLine, TEMPLATE};
use engine::{Failure, PAGE_MAX};
use futures::stream::{StreamExt, once};
use serde_json::json;

use crate::desk::{PageContext, to};
use crate::extract::from_path;
use crate::fields::{FormFields, encoded};
use crate::import_columns::{ColumnChoices, ColumnTable, FileHead, HEAD_BYTES, LEAVE_OUT};
use crate::multipart::{FormUpload, UploadedFile};
use crate::phase::CampaignPhase;
use crate::roles::ConsoleAction;
use crate::screens::campaigns::named;
use crate::screens::codes::{CSV, attached, file};
use crate::short_name::proposed;
use crate::text::PageTexts;
use crate::trouble::{ConsoleError, ConsoleResult};

/// Campaigns that are offered without a search.
const OFFERED: usize = 100;

/// Most values that are listed to be explained. A column with more of them says no state.
const VALUES_MAX: usize = 20;

/// Rejected lines that are shown of a dry run: enough to see what they have in common.
const PROBLEMS: usize = 20;

/// Characters of a cell that are shown: enough to know what its column is.
const CELL_SHOWN: usize = 40;

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
    attached("import-template.csv", CSV, Body::from(format!("{BYTE_ORDER_MARK}{TEMPLATE}")))
}

coupon::words! {
    /// What a form with a file is sent for, in its address.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum UploadPurpose {
        /// Its columns are shown: only its beginning has to come.
        Columns = "columns",
        Check = "check",
        Import = "import",
    }
}

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage<'a> {
    d: &'a PageContext,
    campaign: String,
    name: String,
    fields: &'a FormFields,
    batch: String,
    /// Some of the file was imported into the batch before.
    is_begun: bool,
    table: Option<ColumnTable>,
    /// Values of the state, what they mean, and what they are taken for.
    values: Vec<(String, String, String)>,
    checked: Option<DryRun>,
    trouble: Option<String>,
    curl: String,
}

impl ImportPage<'_> {
    /// How many lines of the checked file an import would take.
    fn taken(&self) -> u64 {
        self.checked.as_ref().map_or(0, |found| found.counts.new + found.counts.unchecked)
    }

    fn names_erased(&self) -> bool {
        let mut rejected = self.checked.iter().flat_map(|found| &found.rejected);
        rejected.any(|line| line.reason == "ERASED")
    }

    fn state(&self, line: &ParsedLine) -> &'static str {
        let state = StateWord::ALL.into_iter().find(|it| it.as_str() == line.state());
        state.map_or(line.state(), |state| self.d.t.state_word(&state))
    }

    fn clipped(&self, cell: &str) -> String {
        clipped(cell, CELL_SHOWN)
    }
}

/// How loudly a notice says that lines were rejected: from half of them on, something is wrong with the file.
pub(crate) fn rejected_class(rejected: u64, lines: u64) -> &'static str {
    match rejected {
        0 => " good",
        rejected if rejected * 2 >= lines => " bad",
        _ => "",
    }
}

pub(crate) async fn page(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let view = desk.engine().campaign(&desk.reader()?, &from_path(&id)?).await?;
    show(&desk, &view.campaign, &desk.query, UploadResult::default()).await
}

/// What a page says about the file that came.
#[derive(Default)]
struct UploadResult {
    table: Option<ColumnTable>,
    checked: Option<DryRun>,
    trouble: Option<ConsoleError>,
}

async fn show(
    desk: &PageContext,
    campaign: &Campaign,
    fields: &FormFields,
    mut result: UploadResult,
) -> ConsoleResult {
    let (id, batch) = (&campaign.id, fields.shown("batch_id").to_owned());
    let is_begun = match batch.parse() {
        Ok(batch) => desk.engine().batch(&desk.reader()?, id, &batch).await.is_ok(),
        Err(_) => false,
    };
    let path = format!("/v1/campaigns/{id}/batches?batch_id={batch}");
    let curl = desk.curl("POST", &path, json!({}));
    let (status, trouble) = match &result.trouble {
        None => (StatusCode::OK, None),
        Some(trouble) => {
            let (status, said) = trouble.in_place(desk.t);
            (status, Some(said))
        }
    };
    let values = values(desk.t, fields, &result);
    if let Some(checked) = &mut result.checked {
        checked.rejected.truncate(PROBLEMS);
    }
    let page = ImportPage {
        d: desk,
        campaign: id.to_string(),
        name: campaign.name.clone(),
        values,
        fields,
        batch,
        is_begun,
        table: result.table,
        checked: result.checked,
        trouble,
        curl: curl
            .replace("application/json", "text/csv")
            .replace("-d '{}'", "--data-binary @codes.csv"),
    };
    desk.page_with(status, &page)
}

/// Values that somebody has explained, then those that nobody can know, then those that are only guessed.
fn values(
    t: PageTexts,
    fields: &FormFields,
    result: &UploadResult,
) -> Vec<(String, String, String)> {
    let of_head = || result.table.iter().flat_map(|table| table.values.iter().flatten());
    let guess = |value: &str| {
        let guesses = of_head().filter(|(known, _)| known == value).flat_map(|(_, it)| it);
        guesses.map(|it| t.state_word(it)).collect::<Vec<_>>().join(" / ")
    };
    let known = fields.meanings().filter(|(_, word)| !word.is_empty());
    let known = known.map(|(value, word)| (value.to_owned(), word.to_owned(), guess(value)));
    let mut values: Vec<(String, String, String)> = known.collect();
    let of_lines = result.checked.iter().flat_map(|it| &it.rejected);
    let of_lines = of_lines.filter_map(|line| match line.error.as_deref() {
        Some(RowError::BadState { found }) => Some(found),
        _ => None,
    });
    for value in of_head().map(|(value, _)| value).chain(of_lines) {
        if values.len() < VALUES_MAX && values.iter().all(|(known, ..)| known != value) {
            values.push((value.clone(), String::new(), guess(value)));
        }
    }
    values
}

pub(crate) async fn send(
    desk: PageContext,
    Path(id): Path<String>,
    request: Request,
) -> ConsoleResult {
    let id: CampaignId = from_path(&id)?;
    let mut upload = FormUpload::of(request).await?;
    let (mut fields, file) = upload.read(&desk).await?;
    let campaign = desk.engine().campaign(&desk.reader()?, &id).await?.campaign;
    if fields.get("batch_id").is_none() {
        let name = batch_name(&desk, &id, &file.name).await?;
        fields.set("batch_id", &name);
    }
    let mut result = UploadResult::default();
    match act(&desk, &campaign, &fields, file, &mut result).await {
        Ok(Some(batch)) => {
            // Of rejected lines the page says more than that it is done.
            let done = if batch.import.rejected > 0 { "" } else { "?done=imported" };
            let (id, batch) = (encoded(id.as_str()), encoded(batch.id.as_str()));
            return Ok(to(&format!("/console/campaigns/{id}/batches/{batch}{done}")));
        }
        Ok(None) => {}
        // Nothing leaves the page: the choices are in it, and the browser has the file.
        Err(trouble @ (ConsoleError::Fields(_) | ConsoleError::Failure(_))) => {
            result.trouble = Some(trouble);
        }
        Err(other) => return Err(other),
    }
    show(&desk, &campaign, &fields, result).await
}

/// The name of a file as that of a batch; of those that are free.
async fn batch_name(desk: &PageContext, id: &CampaignId, file: &str) -> ConsoleResult<String> {
    let batches = desk.engine().batches(&desk.reader()?, id, None, PAGE_MAX).await?;
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let is_taken = |name: &str| batches.iter().any(|batch| batch.id.as_str() == name);
    Ok(proposed(stem, "import", is_taken))
}

/// Does what the form was sent for; the batch, if the file was imported.
async fn act(
    desk: &PageContext,
    campaign: &Campaign,
    fields: &FormFields,
    mut file: UploadedFile<'_>,
    result: &mut UploadResult,
) -> ConsoleResult<Option<Batch>> {
    let purpose =
        UploadPurpose::ALL.into_iter().find(|it| desk.query.get("for") == Some(it.as_str()));
    let purpose = purpose.unwrap_or(UploadPurpose::Check);
    let caller = desk.caller(ConsoleAction::Import)?;
    let mut format = fields.file_format()?;
    let head = FileHead::read(&mut file.pieces).await;
    let table = ColumnTable::of(&head, &format, ColumnChoices::of(fields), campaign).await?;
    let table = result.table.insert(table);
    // What was only guessed is imported after somebody has seen it.
    if table.is_chosen || purpose == UploadPurpose::Columns {
        let wrong = |error: BadColumnMap| ConsoleError::field("columns", error.to_string());
        format = table.format(format).map_err(wrong)?;
    }
    let request = ImportRequest {
        campaign: campaign.id.clone(),
        batch: Some(fields.must("batch_id")?),
        format,
        again: fields.get("again") == Some("new"),
    };
    let pieces = head.with(file.pieces);
    match purpose {
        UploadPurpose::Columns => match &table.values {
            Ok(_) => Ok(None),
            Err(why) => Err(Failure::BadFile(why.clone()).into()),
        },
        UploadPurpose::Check => {
            result.checked = Some(desk.engine().dry_run_import(&caller, request, pieces).await?);
            Ok(None)
        }
        UploadPurpose::Import => {
            let imported = desk.engine().import(&caller, request, pieces, |_| {}).await;
            desk.console.index.has_changed();
            Ok(Some(imported?.into_inner()))
        }
    }
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
    Ok(file(&name, CSV, mark.chain(rows).boxed()))
}
