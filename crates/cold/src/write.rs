//! Writing the files of an archive commit. A second thread encodes while the caller reads the next
//! rows.

mod encoder;

use std::fmt;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::bounds::Bounds;
use crate::error::ColdError;
use crate::files::footer_bytes;
use crate::location::StoreLocation;
use crate::log::{LiveFile, Written};
use crate::names::Origin;
use crate::options::Options;
use crate::origins::Origins;
use crate::schema;
use encoder::Order;

/// Chunks that wait for the encoder: enough to hide one slow read.
const CHUNKS_MAX: usize = 4;

/// A file that is written and in no commit yet.
#[derive(Clone, Debug)]
pub struct NewFile {
    pub(crate) origin: Origin,
    pub(crate) written: Written,
}

impl NewFile {
    /// Its path within the table `coupons`.
    pub fn path(&self) -> &str {
        &self.written.path
    }

    /// The expiry day of the partition it was written for.
    pub fn day(&self) -> Day {
        self.origin.day
    }

    /// The archive commit it was written for.
    pub fn archive_commit(&self) -> u64 {
        self.origin.archive_commit
    }

    /// How many coupons it has.
    pub fn rows(&self) -> u64 {
        self.written.rows
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.written.bytes
    }

    /// The file as it will be after its commit.
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

/// Takes the coupons of one archive commit, in ascending order of their codes.
///
/// If it is dropped before [`PartitionWriter::finish`], a later sweep deletes any file it leaves.
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
        PartitionWriter {
            location: location.clone(),
            orders: Some(orders),
            encoder: Some(encoder::start(location, options, origin, received)),
            last: None,
            origins,
        }
    }

    /// Takes the next coupons. Waits only while the encoder is several chunks behind.
    ///
    /// # Errors
    /// [`ColdError::Order`] if a code is not above the one before it. Otherwise what went wrong
    /// with an earlier chunk, or on reading a file that is to be replaced. After an error nothing
    /// more can be written.
    pub async fn push(&mut self, coupons: Vec<Coupon>) -> Result<(), ColdError> {
        if let Err(error) = self.check_order(&coupons) {
            self.orders = None;
            return Err(error);
        }
        let archived_in = self.origins.of(&coupons).await?;
        self.send(Order::Rows(coupons, archived_in)).await
    }

    /// Ends the files and returns them; none if there were no coupons. They are durable and in no
    /// commit.
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
            return Err(self.location.unavailable("the writer has failed before"));
        };
        if orders.send(order).await.is_err() {
            // Before it receives `End`, the encoder stops only with an error.
            self.orders = None;
            return self.outcome().await.map(|_| ());
        }
        Ok(())
    }

    async fn outcome(&mut self) -> Result<Vec<NewFile>, ColdError> {
        match self.encoder.take() {
            Some(encoder) => encoder.await.map_err(|error| self.location.stopped(error))?,
            None => Err(self.location.unavailable("the writer has failed before")),
        }
    }
}
