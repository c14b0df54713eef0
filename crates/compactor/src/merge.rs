//! Rows of several sources in the order of their codes, each code once in its newest version.

use std::collections::VecDeque;
use std::sync::Arc;

use cold::{ColdFile, ColdStore, Rows};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};
use hot::{HotError, Kept, Shelves};

use crate::{CHUNK, CompactError};

/// Coupons handed to the writer at a time; a few such pieces wait for it.
const PIECE: usize = 4_096;

/// One source, in the order of codes.
pub(crate) enum Source {
    /// A file of the shelf.
    File(Box<Rows>),
    /// What stands on a sealed shelf.
    Kept(Ahead<Kept>),
    /// Coupons picked by their codes.
    Picked(Ahead<Coupon>),
}

/// What is read from hot, one chunk ahead of who uses it: reading and encoding go on at the same
/// time.
pub(crate) struct Ahead<T> {
    chunks: tokio::sync::mpsc::Receiver<Result<Vec<T>, HotError>>,
}

impl<T> Ahead<T> {
    /// The next chunk; the last one is empty. Without it the reader has died, which is not the end
    /// of the shelf: what it did not read would be removed uncopied.
    async fn next(&mut self) -> Result<Option<Vec<T>>, CompactError> {
        let died = || HotError::Unavailable("the reader of a shelf has died".into());
        let chunk = self.chunks.recv().await.ok_or_else(died)??;
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }
}

/// Everything that stands on a sealed shelf.
pub(crate) fn kept(hot: Arc<dyn Shelves>, day: Day) -> Source {
    let (sender, chunks) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        let mut after = None;
        loop {
            let chunk = hot.kept(day, after.take(), CHUNK).await;
            after = chunk.as_ref().ok().and_then(|rows| rows.last()).map(|row| row.code().clone());
            let last = after.is_none();
            // Whoever does not listen any more has stopped for a reason of its own.
            if sender.send(chunk).await.is_err() || last {
                return;
            }
        }
    });
    Source::Kept(Ahead { chunks })
}

/// The coupons of `codes`, which are in order, that are still closed at `now`.
pub(crate) fn picked(hot: Arc<dyn Shelves>, day: Day, codes: Vec<Code>, now: Millis) -> Source {
    let (sender, chunks) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        for some in codes.chunks(CHUNK) {
            let chunk = hot.closed_coupons(day, some.to_vec(), now).await;
            let failed = chunk.is_err();
            // A chunk of which nothing is left is not the end.
            let has_rows = chunk.as_ref().map_or(true, |rows| !rows.is_empty());
            if has_rows && (sender.send(chunk).await.is_err() || failed) {
                return;
            }
        }
        // Whoever does not listen any more has stopped for a reason of its own.
        let _ = sender.send(Ok(Vec::new())).await;
    });
    Source::Picked(Ahead { chunks })
}

/// The rows of `files`.
pub(crate) async fn files(
    cold: &ColdStore,
    files: &[ColdFile],
) -> Result<Vec<Source>, CompactError> {
    let mut sources = Vec::with_capacity(files.len());
    for file in files {
        sources.push(Source::File(Box::new(cold.rows(file).await?)));
    }
    Ok(sources)
}

/// A source and what was read of it.
struct Head {
    source: Source,
    rows: VecDeque<Kept>,
    ended: bool,
    is_hot: bool,
}

impl Head {
    async fn fill(&mut self) -> Result<(), CompactError> {
        while self.rows.is_empty() && !self.ended {
            let of = |coupon: Coupon| Kept::Coupon(Box::new(coupon));
            let chunk: Option<Vec<Kept>> = match &mut self.source {
                Source::File(rows) => {
                    rows.next().await?.map(|rows| rows.into_iter().map(of).collect())
                }
                Source::Kept(rows) => rows.next().await?,
                Source::Picked(rows) => {
                    rows.next().await?.map(|rows| rows.into_iter().map(of).collect())
                }
            };
            match chunk {
                Some(chunk) => self.rows.extend(chunk),
                None => self.ended = true,
            }
        }
        Ok(())
    }
}

/// All sources together.
pub(crate) struct Merge {
    day: Day,
    heads: Vec<Head>,
    /// Coupons that came from hot so far.
    pub(crate) from_hot: u64,
}

impl Merge {
    pub(crate) fn new(day: Day, sources: Vec<Source>) -> Merge {
        let head = |source: Source| Head {
            is_hot: !matches!(source, Source::File(_)),
            source,
            rows: VecDeque::new(),
            ended: false,
        };
        Merge { day, heads: sources.into_iter().map(head).collect(), from_hot: 0 }
    }

    /// Up to [`PIECE`] coupons more; none at the end.
    ///
    /// # Errors
    /// `StubAlone` where hot says that cold has a coupon which is in none of the files.
    pub(crate) async fn next(&mut self) -> Result<Vec<Coupon>, CompactError> {
        if let [only] = self.heads.as_mut_slice() {
            only.fill().await?;
            return self.all_of_one();
        }
        let mut merged = Vec::with_capacity(PIECE);
        while merged.len() < PIECE {
            let mut least: Option<&Code> = None;
            for head in &mut self.heads {
                head.fill().await?;
                let Some(row) = head.rows.front() else { continue };
                if least.is_none_or(|least| row.code() < least) {
                    least = Some(row.code());
                }
            }
            let Some(least) = least.cloned() else { break };
            merged.push(self.newest(&least)?);
        }
        Ok(merged)
    }

    /// Of one source no two rows are compared.
    fn all_of_one(&mut self) -> Result<Vec<Coupon>, CompactError> {
        let Some(only) = self.heads.first_mut() else { return Ok(Vec::new()) };
        let some = only.rows.len().min(PIECE);
        let rows: Vec<Kept> = only.rows.drain(..some).collect();
        if only.is_hot {
            self.from_hot += rows.len() as u64;
        }
        rows.into_iter()
            .map(|row| match row {
                Kept::Coupon(coupon) => Ok(*coupon),
                Kept::Stub { code, .. } => {
                    Err(CompactError::StubAlone { day: self.day, code: code.to_string() })
                }
            })
            .collect()
    }

    /// Takes every row of `code` and keeps the newest.
    fn newest(&mut self, code: &Code) -> Result<Coupon, CompactError> {
        let alone = || CompactError::StubAlone { day: self.day, code: code.to_string() };
        let (mut newest, mut promised): (Option<Box<Coupon>>, u64) = (None, 0);
        for head in &mut self.heads {
            match head.rows.pop_front_if(|row| row.code() == code) {
                Some(Kept::Coupon(coupon)) => {
                    self.from_hot += u64::from(head.is_hot);
                    if newest.as_ref().is_none_or(|known| known.version() < coupon.version()) {
                        newest = Some(coupon);
                    }
                }
                Some(Kept::Stub { version, .. }) => promised = version,
                None => {}
            }
        }
        let newest = newest.ok_or_else(alone)?;
        match newest.version() >= promised {
            true => Ok(*newest),
            false => Err(alone()),
        }
    }
}
