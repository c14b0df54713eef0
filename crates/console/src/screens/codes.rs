//! The codes of a campaign as a file for a printer or a mailing.

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use engine::csv::BYTE_ORDER_MARK;
use engine::{CodesRequest, Lines};
use futures::stream::{StreamExt, once};
use std::sync::Arc;

use crate::desk::Desk;
use crate::roles::Action;
use crate::screens::campaign::campaign_id;
use crate::trouble::Trouble;

/// `GET /console/campaigns/{id}/codes.csv`: those that nobody has got.
pub(crate) async fn download(desk: Desk, Path(id): Path<String>) -> Result<Response, Trouble> {
    let id = campaign_id(&id)?;
    let caller = desk.caller(Action::DownloadCodes)?;
    let codes = Arc::clone(desk.engine()).codes(&caller, &id, CodesRequest::default()).await?;
    let codes = desk.engine().limited(codes.boxed());
    let head = once(async { Ok(format!("{BYTE_ORDER_MARK}code\n")) });
    Ok(file(&format!("codes-{id}.csv"), head.chain(codes).boxed()))
}

/// A CSV file as it comes. A failure in the middle breaks the connection, so that nobody takes it for the end.
pub(crate) fn file(name: &str, lines: Lines) -> Response {
    let lines = lines.map(|piece| {
        piece.map_err(|failure| {
            tracing::error!(?failure, "a download of the console broke off");
            "the store failed"
        })
    });
    let mut response = Body::from_stream(lines).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    // The names are made of ids, which have no quotes.
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}
