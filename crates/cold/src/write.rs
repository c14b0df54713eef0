//! Writing the files of an archive commit: encoding goes on while the caller reads the next rows.

use std::fmt;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::bounds::Bounds;
use crate::error::ColdError;
use crate::files::footer_bytes;
use crate::location::StoreLocation;
use crate::log::{LiveFile, Written};
use crate::names::Origin;
use crate::options::Options;
use crate::origins::Origins;
use crate::upload::{Cut, Upload};
use crate::{encode, names, schema};

/// Chunks that wait for the encoder. Enough to hide one slow read, and no more memory than that.
const CHUNKS_MAX: usize = 4;

/// A file that is written and in no commit yet.
#[derive(Clone, Debug)]
pub struct NewFile {
    pub(crate) origin: Origin,
    pub(crate) written: Written,
}

impl NewFile {
    /// Its name within the table `coupons`.
    pub fn path(&self) -> &str {
        &self.written.path
    }

    /// The partition it was written for.
    pub fn day(&self) -> Day {
        self.origin.day
    }

    /// The archive commit it was written for.
    pub fn archive_commit(&self) -> u64 {
        self.origin.archive_commit
    }

    /// Its coupons.
    pub fn rows(&self) -> u64 {
        self.written.rows
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.written.bytes
    }

    /// As it will be once it is committed.
    pub(crate) fn as_live(&self) -> LiveFile {
        LiveFile {
            schema: &schema::COUPONS,
            path: self.written.path.clone(),
            origin: self.origin,
            rows: self.written.rows,
            footer_bytes: footer_bytes(&schema::COUPONS, self.written.bytes),
            bytes: self.written.bytes,
            bounds: Bounds::default(),
        }
    }
}

enum Order {
    /// With the archive commits that brought them to cold.
    Rows(Vec<Coupon>, Vec<u64>),
    /// Nothing more comes. Without it the writer was dropped, and the files are abandoned.
    End,
}

/// Takes the coupons of one archive commit in ascending order of their codes.
///
/// Dropped before [`PartitionWriter::finish`], it leaves no file of its own that is not removed by
/// a later sweep.
pub struct PartitionWriter {
    location: StoreLocation,
    orders: Option<mpsc::Sender<Order>>,
    encoder: Option<JoinHandle<Result<Vec<NewFile>, ColdError>>>,
    last: Option<Code>,
    origins: Origins,
}

impl fmt::Debug for PartitionWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionWriter").field("last", &self.last).finish_non_exhaustive()
    }
}

impl PartitionWriter {
    pub(crate) fn new(
        location: &StoreLocation,
        options: &Options,
        origin: Origin,
        origins: Origins,
    ) -> PartitionWriter {
        let (orders, received) = mpsc::channel(CHUNKS_MAX);
        let mut encoder = Encoder {
            location: location.clone(),
            runtime: Handle::current(),
            origin,
            file_rows_max: options.file_rows_max.max(1),
            group_bytes: options.group_bytes,
            open: None,
            files: Vec::new(),
        };
        let encoder = spawn_blocking(move || {
            let outcome = encoder.run(received);
            if let Some(open) = encoder.open.take() {
                open.abandon();
            }
            outcome.map(|()| encoder.files)
        });
        PartitionWriter {
            location: location.clone(),
            orders: Some(orders),
            encoder: Some(encoder),
            last: None,
            origins,
        }
    }

    /// Takes the next coupons. Waits only while the encoder is several chunks behind.
    ///
    /// # Errors
    /// [`ColdError::Order`] if a code is not above the one before it; nothing can be written
    /// after that. Otherwise what went wrong with an earlier chunk, or with reading a file that is
    /// to be replaced.
    pub async fn push(&mut self, coupons: Vec<Coupon>) -> Result<(), ColdError> {
        if let Err(error) = self.check_order(&coupons) {
            self.orders = None;
            return Err(error);
        }
        let archived_in = self.origins.of(&coupons).await?;
        self.send(Order::Rows(coupons, archived_in)).await
    }

    /// Ends the archive commit's files, none if there were no coupons. They are safe on disk, and
    /// in no commit yet.
    ///
    /// # Errors
    /// What went wrong with any chunk.
    pub async fn finish(mut self) -> Result<Vec<NewFile>, ColdError> {
        self.send(Order::End).await?;
        self.outcome().await
    }

    fn check_order(&mut self, coupons: &[Coupon]) -> Result<(), ColdError> {
        let mut last = self.last.as_ref();
        for coupon in coupons {
            if let Some(last) = last.filter(|last| *last >= coupon.code()) {
                return Err(ColdError::Order { last: last.clone(), found: coupon.code().clone() });
            }
            last = Some(coupon.code());
        }
        self.last = last.cloned();
        Ok(())
    }

    async fn send(&mut self, order: Order) -> Result<(), ColdError> {
        let Some(orders) = &self.orders else {
            return Err(self.location.unavailable("the writer has been given up"));
        };
        if orders.send(order).await.is_err() {
            // The encoder leaves only with an error before it has seen the end.
            self.orders = None;
            return self.outcome().await.map(|_| ());
        }
        Ok(())
    }

    async fn outcome(&mut self) -> Result<Vec<NewFile>, ColdError> {
        match self.encoder.take() {
            Some(encoder) => encoder.await.map_err(|error| self.location.stopped(error))?,
            None => Err(self.location.unavailable("the writer has been given up")),
        }
    }
}

struct Encoder {
    location: StoreLocation,
    runtime: Handle,
    origin: Origin,
    file_rows_max: u64,
    group_bytes: usize,
    open: Option<Upload>,
    files: Vec<NewFile>,
}

impl Encoder {
    fn run(&mut self, mut orders: mpsc::Receiver<Order>) -> Result<(), ColdError> {
        loop {
            match orders.blocking_recv() {
                Some(Order::Rows(coupons, archived_in)) => self.take(&coupons, &archived_in)?,
                Some(Order::End) => return self.close(),
                None => return Err(self.location.unavailable("the writer was dropped")),
            }
        }
    }

    fn take(&mut self, mut coupons: &[Coupon], mut archived_in: &[u64]) -> Result<(), ColdError> {
        while !coupons.is_empty() {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.begin()?,
            };
            let room = usize::try_from(self.file_rows_max - open.rows()).unwrap_or(usize::MAX);
            let (now, later) = coupons.split_at(room.min(coupons.len()));
            let (archive_commits, later_archive_commits) = archived_in.split_at(now.len());
            let batch = encode::batch(now, archive_commits).map_err(|error| {
                self.location.unavailable(format!("coupons do not make a row: {error}"))
            })?;
            let wrote = open.write(&batch);
            let is_full = open.rows() >= self.file_rows_max;
            self.open = Some(open);
            wrote?;
            if is_full {
                self.close()?;
            }
            (coupons, archived_in) = (later, later_archive_commits);
        }
        Ok(())
    }

    fn begin(&self) -> Result<Upload, ColdError> {
        let path = names::coupons_file(self.origin);
        let columns = schema::coupons_arrow();
        let cut = Cut::at(self.group_bytes);
        Upload::begin(&self.location, &self.runtime, &schema::COUPONS, columns, path, cut)
    }

    fn close(&mut self) -> Result<(), ColdError> {
        if let Some(open) = self.open.take() {
            let written = open.finish()?;
            self.files.push(NewFile { origin: self.origin, written });
        }
        Ok(())
    }
}
