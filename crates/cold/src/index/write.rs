//! Writing files of the holder index. A second thread encodes while the caller reads the next rows.

use coupon::ids::UserId;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::Row;
use crate::error::ColdError;
use crate::location::StoreLocation;
use crate::log::Written;
use crate::schema::{self, HOLDER_INDEX};
use crate::upload::{Cut, Upload};
use crate::{encode, names};

/// Rows handed to the writer at a time.
pub(super) const PIECE: usize = 2_048;

/// Chunks that wait for the encoder.
const CHUNKS_MAX: usize = 2;

/// Rows encoded at a time.
const SLICE: usize = 512;

/// A file ends at the end of a holder, unless that holder alone fills this many files.
const ONE_HOLDER_FILES: u64 = 4;

enum Order {
    Rows(Vec<Row>),
    /// The end of the rows. If the channel closes without it, the writer was dropped, and the
    /// encoder abandons the files.
    End,
}

/// Takes rows in the order of the index, and cuts them into files of one level.
pub(crate) struct IndexWriter {
    location: StoreLocation,
    orders: mpsc::Sender<Order>,
    encoder: JoinHandle<Result<Vec<Written>, ColdError>>,
}

impl IndexWriter {
    pub(crate) fn new(
        location: &StoreLocation,
        level: u8,
        archive_commit: u64,
        file_bytes: u64,
    ) -> IndexWriter {
        let (orders, received) = mpsc::channel(CHUNKS_MAX);
        let mut encoder = Encoder {
            location: location.clone(),
            runtime: Handle::current(),
            level,
            archive_commit,
            file_bytes,
            open: None,
            last: None,
            files: Vec::new(),
        };
        let encoder = spawn_blocking(move || {
            let outcome = encoder.run(received);
            if let Some(open) = encoder.open.take() {
                open.abandon();
            }
            outcome.map(|()| encoder.files)
        });
        IndexWriter { location: location.clone(), orders, encoder }
    }

    /// Takes the next rows. Returns `false` after an error; [`IndexWriter::finish`] returns the
    /// error.
    pub(crate) async fn push(&self, rows: Vec<Row>) -> bool {
        rows.is_empty() || self.orders.send(Order::Rows(rows)).await.is_ok()
    }

    /// Ends the files and returns them. They are durable and in no commit.
    pub(crate) async fn finish(self) -> Result<Vec<Written>, ColdError> {
        // Before it receives `End`, the encoder stops only with an error, which is returned below.
        let _ = self.orders.send(Order::End).await;
        self.encoder.await.map_err(|error| self.location.stopped(error))?
    }
}

struct Encoder {
    location: StoreLocation,
    runtime: Handle,
    level: u8,
    archive_commit: u64,
    file_bytes: u64,
    open: Option<Upload>,
    /// The holder of the last row.
    last: Option<UserId>,
    files: Vec<Written>,
}

impl Encoder {
    fn run(&mut self, mut orders: mpsc::Receiver<Order>) -> Result<(), ColdError> {
        loop {
            match orders.blocking_recv() {
                Some(Order::Rows(rows)) => self.take(&rows)?,
                Some(Order::End) => return self.close(),
                None => return Err(self.location.unavailable("the writer was dropped")),
            }
        }
    }

    fn take(&mut self, mut rows: &[Row]) -> Result<(), ColdError> {
        while !rows.is_empty() {
            let bytes = self.open.as_ref().map_or(0, Upload::bytes);
            let is_last = |row: &&Row| row.coupon.holder() == self.last.as_ref();
            let some = match bytes >= self.file_bytes {
                true => rows.iter().take(SLICE).take_while(is_last).count(),
                false => rows.len().min(SLICE),
            };
            let (now, later) = rows.split_at(some);
            if now.is_empty() || bytes >= self.file_bytes.saturating_mul(ONE_HOLDER_FILES) {
                self.close()?;
                continue;
            }
            self.write(now)?;
            rows = later;
        }
        Ok(())
    }

    fn write(&mut self, rows: &[Row]) -> Result<(), ColdError> {
        let batch = encode::indexed(rows).map_err(|error| {
            self.location.unavailable(format!("coupons cannot be encoded: {error}"))
        })?;
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        let wrote = open.write(&batch);
        self.open = Some(open);
        self.last = rows.last().and_then(|row| row.coupon.holder().cloned());
        wrote
    }

    fn begin(&self) -> Result<Upload, ColdError> {
        let path = names::index_file(self.level, self.archive_commit);
        let cut = Cut::at(HOLDER_INDEX.group_bytes);
        let columns = schema::holder_index_arrow();
        Upload::begin(&self.location, &self.runtime, &HOLDER_INDEX, columns, path, cut)
    }

    fn close(&mut self) -> Result<(), ColdError> {
        if let Some(open) = self.open.take() {
            self.files.push(open.finish()?);
        }
        Ok(())
    }
}
