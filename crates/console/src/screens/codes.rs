//! The codes of a campaign that nobody has got: as a file for a mailing, as a workbook, and as sheets to print.

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use coupon::campaign::Handout;
use coupon::code::CodeText;
use coupon::ids::CampaignId;
use engine::csv::{BYTE_ORDER_MARK, row};
use engine::{CampaignView, CodesFormat, CodesRequest, LineStream};
use futures::TryStreamExt;
use futures::stream::{StreamExt, once};
use tokio::sync::mpsc::channel;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::desk::PageContext;
use crate::extract::from_path;
use crate::qr;
use crate::roles::ConsoleAction;
use crate::trouble::{ConsoleError, ConsoleResult};
use crate::workbook::{self, ROWS_MAX};

/// Codes of one sheet to print: some 25 pages of paper, and less than 3 MB.
const SHEET: usize = 1_000;

/// Longest wait for the workbook of somebody else.
const TURN: Duration = Duration::from_secs(10);

/// Pieces of codes that wait for the writer of a workbook.
const WAITING: usize = 4;

#[derive(Template)]
#[template(path = "codes.html")]
struct CodesPage<'a> {
    d: &'a PageContext,
    view: CampaignView,
    is_bearer: bool,
    curl: String,
}

/// Whether a code that nobody has got works for whoever shows it. Every shop refuses those of other campaigns.
pub(crate) fn is_bearer(view: &CampaignView) -> bool {
    view.campaign.handout == Handout::Bearer
}

/// `GET /console/campaigns/{id}/codes`: what the files are for, before anybody takes one.
pub(crate) async fn page(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let id: CampaignId = from_path(&id)?;
    let view = desk.engine().campaign(&desk.reader()?, &id).await?;
    let curl = desk.curl_get(&format!("/v1/campaigns/{id}/codes"));
    desk.page(&CodesPage { d: &desk, is_bearer: is_bearer(&view), view, curl })
}

/// The codes of a campaign, or of one of its batches, as the query says.
async fn codes(
    desk: &PageContext,
    id: &CampaignId,
    format: CodesFormat,
) -> ConsoleResult<LineStream> {
    let caller = desk.caller(ConsoleAction::DownloadCodes)?;
    let (batch, after) = (desk.query.may("batch")?, desk.query.may::<CodeText>("after")?);
    let request = CodesRequest { batch, after, format };
    let codes = Arc::clone(desk.engine()).codes(&caller, id, request).await?;
    Ok(desk.engine().limited(codes.boxed()))
}

pub(crate) async fn download(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let id = from_path(&id)?;
    let beside = desk.beside(&desk.engine().campaign(&desk.reader()?, &id).await?);
    let codes = codes(&desk, &id, CodesFormat::Csv).await?;
    let head = iter::once(desk.t.code_column()).chain(beside.iter().map(|(column, _)| *column));
    let head = format!("{BYTE_ORDER_MARK}{}", row(head));
    let head = once(async move { Ok(head) });
    let line =
        move |code: &str| row(iter::once(code).chain(beside.iter().map(|(_, text)| &**text)));
    let codes = codes.map_ok(move |codes| codes.lines().map(&line).collect());
    Ok(file(&desk.file_name(Some(&id), "codes", "csv"), CSV, head.chain(codes).boxed()))
}

pub(crate) const CSV: &str = "text/csv; charset=utf-8";

/// A file as it comes. A failure in the middle breaks the connection, so that nobody takes it for the end.
pub(crate) fn file(name: &str, kind: &'static str, lines: LineStream) -> Response {
    let lines = lines.map(|piece| {
        piece.map_err(|failure| {
            tracing::error!(?failure, "a download of the console broke off");
            "the store failed"
        })
    });
    attached(name, kind, Body::from_stream(lines))
}

impl PageContext {
    /// What each line has beside its code, as a letter is made of one line: until when it works, and what it is worth.
    fn beside(&self, view: &CampaignView) -> Vec<(&'static str, String)> {
        let (t, campaign) = (self.t, &view.campaign);
        let worth = t.title(&campaign.worth).map(|worth| (t.worth_column(), worth));
        let until = (t.field_expires_on(), campaign.expires_on().to_string());
        iter::once(until).chain(worth).collect()
    }

    /// Whose, what and of which day, as `spring-codes-2026-11-26.csv`: people find it again among others.
    pub(crate) fn file_name(&self, of: Option<&CampaignId>, what: &str, kind: &str) -> String {
        let whose = of.map(|id| format!("{id}-")).unwrap_or_default();
        format!("{whose}{what}-{}.{kind}", self.today())
    }
}

/// A body that a browser saves as a file.
pub(crate) fn attached(name: &str, kind: &'static str, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // The names are made of ids, which have no quotes.
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// `GET /console/campaigns/{id}/codes.xlsx`: all of them, or none if a workbook has not so many rows.
pub(crate) async fn workbook(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let id = from_path(&id)?;
    let too_small =
        || ConsoleError::field("xlsx", desk.t.workbook_too_small(desk.t.number(ROWS_MAX as u64)));
    // A count may be some seconds old: below each row is counted.
    let view = desk.engine().campaign(&desk.reader()?, &id).await?;
    if view.counts().available() > ROWS_MAX as u64 {
        return Err(too_small());
    }
    let beside = desk.beside(&view);
    // The memory and the disk of one at a time.
    let permit = timeout(TURN, Arc::clone(&desk.console.workbooks).acquire_owned()).await;
    let permit = permit.map_err(|_| ConsoleError::Busy)?.map_err(|_| ConsoleError::Broken)?;
    let mut codes = codes(&desk, &id, CodesFormat::Xlsx).await?;
    let (sender, receiver) = channel(WAITING);
    let t = desk.t;
    let written = spawn_blocking(move || {
        let written = workbook::written(t.code_column(), &beside, receiver);
        drop(permit);
        written
    });
    let mut rows = 0;
    while let Some(piece) = codes.try_next().await? {
        rows += piece.lines().count();
        if rows > ROWS_MAX {
            return Err(too_small());
        }
        // A writer that has ended says why below.
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    drop(sender);
    let bytes = written.await.map_err(|_| ConsoleError::Broken)?.map_err(|error| {
        tracing::error!(%error, "a workbook of codes");
        ConsoleError::Broken
    })?;
    let kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    Ok(attached(&desk.file_name(Some(&id), "codes", "xlsx"), kind, Body::from(bytes)))
}

#[derive(Template)]
#[template(path = "sheet.html")]
struct SheetPage<'a> {
    d: &'a PageContext,
    view: CampaignView,
    is_bearer: bool,
    worth: Option<String>,
    /// The last day on which the codes work.
    until: String,
    /// Each code and its picture.
    codes: Vec<(String, String)>,
    shown: String,
    next: Option<String>,
}

/// `GET /console/campaigns/{id}/sheet`: codes with pictures for a camera, to print.
pub(crate) async fn sheet(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let id = from_path(&id)?;
    let view = desk.engine().campaign(&desk.reader()?, &id).await?;
    let mut pieces = codes(&desk, &id, CodesFormat::Sheet).await?;
    let mut codes: Vec<String> = Vec::new();
    while codes.len() <= SHEET
        && let Some(piece) = pieces.try_next().await?
    {
        codes.extend(piece.lines().map(str::to_owned));
    }
    let has_more = codes.len() > SHEET;
    codes.truncate(SHEET);
    let last = codes.last().filter(|_| has_more);
    let next = last.map(|last| desk.with("after", last));
    let count = codes.len() as u64;
    // Half a millisecond each, in which eight masks are compared: not on a thread that others wait for.
    let drawn = spawn_blocking(move || {
        let drawn = codes.into_iter().map(|code| {
            let svg = qr::drawn(&code);
            (code, svg)
        });
        drawn.collect()
    });
    let page = SheetPage {
        d: &desk,
        is_bearer: is_bearer(&view),
        worth: desk.t.title(&view.campaign.worth),
        until: desk.t.works_until(desk.t.date(view.campaign.expires_on())),
        view,
        codes: drawn.await.map_err(|_| ConsoleError::Broken)?,
        shown: desk.t.sheet_has(count),
        next,
    };
    desk.page(&page)
}
