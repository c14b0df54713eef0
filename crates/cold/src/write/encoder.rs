//! Encoding the files of an archive commit on a blocking thread.

use coupon::coupon::Coupon;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::NewFile;
use crate::error::ColdError;
use crate::location::StoreLocation;
use crate::names::{self, Origin};
use crate::options::Options;
use crate::upload::{Cut, Upload};
use crate::{encode, schema};

pub(super) enum Order {
    /// Coupons, and for each the archive commit that brought it to cold.
    Rows(Vec<Coupon>, Vec<u64>),
    /// The end of the rows. If the channel closes without it, the writer was dropped, and the
    /// encoder abandons the files.
    End,
}

/// Starts an encoder that takes orders from `received`. The task returns the files.
pub(super) fn start(
    location: &StoreLocation,
    options: &Options,
    origin: Origin,
    received: mpsc::Receiver<Order>,
) -> JoinHandle<Result<Vec<NewFile>, ColdError>> {
    let mut encoder = Encoder {
        location: location.clone(),
        runtime: Handle::current(),
        origin,
        file_rows_max: options.file_rows_max.max(1),
        group_bytes: options.group_bytes,
        open: None,
        files: Vec::new(),
    };
    spawn_blocking(move || {
        let outcome = encoder.run(received);
        if let Some(open) = encoder.open.take() {
            open.abandon();
        }
        outcome.map(|()| encoder.files)
    })
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
                self.location.unavailable(format!("coupons cannot be encoded: {error}"))
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
