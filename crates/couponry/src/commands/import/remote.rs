//! The same over HTTP.

use std::io::Write;
use std::sync::Arc;

use futures::StreamExt;
use tokio_util::io::ReaderStream;

use command_line::{Progress, Work};
use engine::import::dates::DateOrder;

use super::{ImportFlags, PIECE, ended, summary};
use crate::failure::{CliError, Ended};
use crate::files;
use crate::output::{self, Out};
use crate::remote::Remote;

pub(super) async fn run(remote: &Remote, flags: &ImportFlags) -> Result<Ended, CliError> {
    let campaign = flags.campaign.as_ref().map(|it| it.as_str()).unwrap_or_default();
    let (file, bytes) = files::readable(flags.file()).await?;
    // Before the import, so that a file that cannot be written fails at once.
    let rejects = flags.rejects.as_deref().map(Out::file).transpose()?;
    let progress = Arc::new(Progress::new(Work::Import, bytes, false));
    let seen = Arc::clone(&progress);
    let pieces = ReaderStream::with_capacity(file, PIECE).inspect(move |piece| {
        seen.read(piece.as_ref().map_or(0, |piece| piece.len()));
    });
    let path = ["campaigns", campaign, "batches"];
    let sent = progress.during(remote.upload(&path, &query(flags), pieces)).await;
    drop(progress);
    let found = sent.map_err(|refused| {
        let again = "import the file again with the same --batch: imported lines stay";
        CliError::from(refused).and(again)
    })?;
    if flags.dry_run {
        output::say_json(&found)?;
        return Ok(ended(found["rejected"].as_u64().unwrap_or_default()));
    }
    let batch = found["batch_id"].as_str().unwrap_or_default();
    let path = ["campaigns", campaign, "batches", batch];
    output::say(summary::of_answer(&found, flags.rejects.as_deref()).trim_end())?;
    if let Some(mut out) = rejects {
        let mut lines = remote.download(&path, &[]).await?;
        while let Some(piece) = lines.chunk().await.map_err(CliError::of)? {
            out.write_all(&piece).map_err(CliError::of)?;
        }
        out.finish()?;
    }
    Ok(ended(found["rejected"].as_u64().unwrap_or_default()))
}

fn query(flags: &ImportFlags) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    query.extend(flags.batch.as_ref().map(|it| ("batch_id", it.to_string())));
    query.extend(flags.columns.as_ref().map(|it| ("columns", it.to_string())));
    query.extend(flags.ignore.as_ref().map(|it| ("ignore", it.to_string())));
    query.extend(flags.values.as_ref().map(|it| ("values", it.to_string())));
    query.extend(flags.dates.and_then(DateOrder::as_str).map(|it| ("dates", it.to_owned())));
    query.extend(flags.encoding.as_ref().map(|it| ("encoding", it.to_string())));
    query.extend(flags.dry_run.then(|| ("dry_run", "true".to_owned())));
    query
}
