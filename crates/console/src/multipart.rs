//! The form of an upload: short fields, then the file as a stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Multipart, Request};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, try_unfold};

use crate::desk::PageContext;
use crate::fields::FormFields;
use crate::session::is_token;
use crate::trouble::{ConsoleError, ConsoleResult};

/// Longest pause between two pieces of a file.
const IDLE: Duration = Duration::from_secs(30);

const FIELD_BYTES_MAX: usize = 4_096;

/// Most bytes before the file begins: a few short fields, and the first piece of the file.
const BEFORE_FILE_MAX: usize = 1 << 20;

/// The short fields, which come before the file. The form of the page has them in this order.
const SHORT: [&str; 7] = ["csrf", "encoding", "dates", "batch_id", "header", "columns", "values"];

/// Those of each column and of each value, as often as `columns` and `values` say.
const REPEATED: [(&str, &[&str]); 2] = [("columns", &["column"]), ("values", &["value", "means"])];

/// Most columns, and most values.
const COUNTED_MAX: usize = 100;

/// A file as it arrives.
pub(crate) struct UploadedFile<'a> {
    /// As the browser says it; empty if it says none.
    pub(crate) name: String,
    pub(crate) pieces: BoxStream<'a, Result<Bytes, String>>,
}

/// An upload whose token was checked.
pub(crate) struct FormUpload {
    multipart: Multipart,
    has_begun: Arc<AtomicBool>,
}

impl FormUpload {
    /// The upload of a request, which the guard has not read.
    pub(crate) async fn of(request: Request) -> ConsoleResult<FormUpload> {
        let (parts, body) = request.into_parts();
        let (has_begun, mut before) = (Arc::new(AtomicBool::new(false)), 0);
        let file_has_begun = Arc::clone(&has_begun);
        // A body without an end of its first part would be kept in memory as long as it comes.
        let body = body.into_data_stream().map(move |piece| {
            let piece = piece.map_err(std::io::Error::other)?;
            if !file_has_begun.load(Ordering::Relaxed) {
                before += piece.len();
                if before > BEFORE_FILE_MAX {
                    return Err(std::io::Error::other("no file begins in time"));
                }
            }
            Ok(piece)
        });
        let request = Request::from_parts(parts, Body::from_stream(body));
        let multipart = Multipart::from_request(request, &()).await;
        let multipart = multipart.map_err(|_| ConsoleError::field("file", "is missing"))?;
        Ok(FormUpload { multipart, has_begun })
    }

    /// The short fields and the file, which is the last part of the form.
    ///
    /// # Errors
    /// [`ConsoleError::SignedOut`] if the token is not that of the session; [`ConsoleError::FormFields`].
    pub(crate) async fn read(
        &mut self,
        desk: &PageContext,
    ) -> ConsoleResult<(FormFields, UploadedFile<'_>)> {
        let mut fields = FormFields::default();
        let read = tokio::time::timeout(IDLE, self.fields(&mut fields)).await;
        read.unwrap_or_else(|_| Err(ConsoleError::field("file", "did not begin in time")))?;
        let member = desk.member.as_ref().ok_or(ConsoleError::Forbidden)?;
        if !is_token(desk, member, fields.shown("csrf")) {
            return Err(ConsoleError::SignedOut(None));
        }
        let has_begun = Arc::clone(&self.has_begun);
        let file = tokio::time::timeout(IDLE, self.part("file")).await;
        let file =
            file.unwrap_or_else(|_| Err(ConsoleError::field("file", "did not begin in time")))?;
        has_begun.store(true, Ordering::Relaxed);
        let name = file.file_name().unwrap_or_default().to_owned();
        Ok((fields, UploadedFile { name, pieces: pieces(file) }))
    }

    async fn fields(&mut self, fields: &mut FormFields) -> ConsoleResult<()> {
        for name in SHORT {
            self.push(fields, name).await?;
        }
        for (count, names) in REPEATED {
            let count = fields.may::<usize>(count)?.unwrap_or(0);
            if count > COUNTED_MAX {
                return Err(ConsoleError::TooLong);
            }
            for name in (0..count).flat_map(|_| names) {
                self.push(fields, name).await?;
            }
        }
        self.push(fields, "again").await
    }

    async fn push(&mut self, fields: &mut FormFields, name: &str) -> ConsoleResult<()> {
        let mut part = self.part(name).await?;
        fields.0.push((name.to_owned(), short(&mut part).await?));
        Ok(())
    }

    /// The next part, which has to be this one.
    async fn part(&mut self, name: &str) -> ConsoleResult<Field<'_>> {
        let part = self.multipart.next_field().await;
        let part = part.map_err(|error| ConsoleError::field("file", error.to_string()))?;
        let is_it = |part: &Field<'_>| part.name() == Some(name);
        part.filter(is_it).ok_or_else(|| ConsoleError::field(name, "is missing"))
    }
}

async fn short(part: &mut Field<'_>) -> ConsoleResult<String> {
    let mut value = Vec::new();
    while let Ok(Some(piece)) = part.chunk().await {
        value.extend_from_slice(&piece);
        if value.len() > FIELD_BYTES_MAX {
            return Err(ConsoleError::TooLong);
        }
    }
    Ok(String::from_utf8_lossy(&value).into_owned())
}

/// The file piece by piece; a browser that falls silent is cut off.
fn pieces(part: Field<'_>) -> BoxStream<'_, Result<Bytes, String>> {
    try_unfold(part, |mut part| async move {
        match tokio::time::timeout(IDLE, part.chunk()).await {
            Err(_) => Err(format!("nothing arrived for {} s", IDLE.as_secs())),
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => Err(format!("the upload broke off: {error}")),
            Ok(Ok(Some(piece))) => Ok(Some((piece, part))),
        }
    })
    .boxed()
}
