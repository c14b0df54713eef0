//! How large row groups of the cold tier should be, and what a look-up by code costs in a table
//! that grows.
//!
//! First the same coupons in files with row groups of several sizes: bytes per coupon, the footer on disk
//! and in memory, what a look-up reads and how long it takes, and two scans as an analyst's engine makes
//! them. Then look-ups in one table that grows.
//!
//! `cargo bench --package=cold --bench lookup`; `COUPONRY_BENCH_ROWS` coupons a file (1,000,000; with 0 not),
//! `COUPONRY_BENCH_TABLE` in the largest table (10,000,000), `TMPDIR` for another disk.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cold::{ColdOptions, ColdStore, CommitOutcome};
use coupon::calendar::Zone;
use coupon::code::Code;
use coupon::coupon::{Coupon, Event, EventKind, Genesis};
use coupon::ids::{Actor, IssueRef, OperationId};
use coupon::time::{DAY_MS, Day, Millis};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

type Failure = Box<dyn Error + Send + Sync>;

/// 2026-03-01 and the days after it.
const FIRST: Day = Day(20_513);

/// Coupons of a file, as the compactor writes them.
const FILE_ROWS: u64 = 10_000_000;

/// Coupons that are written at once.
const CHUNK: u64 = 8_192;

/// Look-ups of each line.
const LOOK_UPS: u64 = 400;

const MADE: Millis = Millis(1_760_000_000_123);

#[derive(Clone, Copy)]
enum Kind {
    Untouched,
    Redeemed,
}

fn main() -> Result<(), Failure> {
    let number =
        |name: &str, default: u64| std::env::var(name).map_or(Ok(default), |text| text.parse());
    let rows = number("COUPONRY_BENCH_ROWS", 1_000_000)?;
    let table = number("COUPONRY_BENCH_TABLE", 10_000_000)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if rows > 0 {
        runtime.block_on(sizes(rows))?;
    }
    runtime.block_on(growing(table))
}

async fn sizes(rows: u64) -> Result<(), Failure> {
    println!(
        "| {rows} coupons | rows of a group | bytes a coupon | footer, in memory | read by a look-up, at most | median, p99 | all columns, rows/s | two columns, rows/s |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for kind in [Kind::Untouched, Kind::Redeemed] {
        for (name, group_bytes) in [
            ("65,536 rows", 1 << 40),
            ("1 MiB", 1 << 20),
            ("512 KiB", 512 << 10),
            ("448 KiB", 448 << 10),
            ("384 KiB", 384 << 10),
            ("128 KiB", 128 << 10),
        ] {
            let folder = tempfile::tempdir()?;
            let counted = Arc::new(Counted::new(folder.path())?);
            let options = ColdOptions { group_bytes, ..ColdOptions::default() };
            let store = ColdStore::with_store(counted.clone(), "bench", options);
            store.create().await?;
            write(&store, FIRST, rows, kind).await?;
            let path = parquet_file(&folder.path().join("coupons"))?;
            let looked = look_up(&store, &counted, &[(FIRST, rows)]).await?;
            let (groups, footer) = about(&path)?;
            let [all, two] = [None, Some(["campaign_id", "state"])]
                .map(|columns| scanned(&path, columns.as_ref().map(<[_; 2]>::as_slice)));
            println!(
                "| {} in groups of {name} | {} | {:.1} | {} KB, {} KB | {} KB, {} KB | {:.2} ms, {:.2} ms | {:.0} | {:.0} |",
                match kind {
                    Kind::Untouched => "untouched",
                    Kind::Redeemed => "redeemed",
                },
                rows / groups,
                path.metadata()?.len() as f64 / rows as f64,
                footer / 1_000,
                store.footers().1 / 1_000,
                looked.mean / 1_000,
                looked.most / 1_000,
                looked.median.as_secs_f64() * 1e3,
                looked.p99.as_secs_f64() * 1e3,
                rows as f64 / all?.as_secs_f64(),
                rows as f64 / two?.as_secs_f64(),
            );
        }
    }
    Ok(())
}

async fn growing(largest: u64) -> Result<(), Failure> {
    println!();
    println!(
        "| coupons in the table | files | bytes each | reads a look-up | bytes, at most | median, p99 | footers in memory |"
    );
    println!("|---|---|---|---|---|---|---|");
    let folder = tempfile::tempdir()?;
    let counted = Arc::new(Counted::new(folder.path())?);
    let store = ColdStore::with_store(counted.clone(), "bench", ColdOptions::default());
    store.create().await?;
    let mut partitions: Vec<(Day, u64)> = Vec::new();
    let mut size = 1_000_000_u64.min(largest);
    while size <= largest {
        let mut have: u64 = partitions.iter().map(|(_, rows)| rows).sum();
        while have < size {
            let rows = FILE_ROWS.min(size - have);
            let day = Day(FIRST.0 + i32::try_from(partitions.len())?);
            write(&store, day, rows, Kind::Untouched).await?;
            partitions.push((day, rows));
            have += rows;
        }
        let looked = look_up(&store, &counted, &partitions).await?;
        let bytes: u64 = store
            .partitions()
            .await?
            .iter()
            .flat_map(|partition| &partition.files)
            .map(|it| it.bytes())
            .sum();
        println!(
            "| {have} | {} | {:.1} | {:.2} | {} KB, {} KB | {:.2} ms, {:.2} ms | {} KB |",
            partitions.len(),
            bytes as f64 / have as f64,
            looked.reads,
            looked.mean / 1_000,
            looked.most / 1_000,
            looked.median.as_secs_f64() * 1e3,
            looked.p99.as_secs_f64() * 1e3,
            store.footers().1 / 1_000,
        );
        size *= 10;
    }
    Ok(())
}

async fn write(store: &ColdStore, day: Day, rows: u64, kind: Kind) -> Result<(), Failure> {
    let on = store.partition(day).await?;
    let mut writer = store.writer(day, on.archive_commit + 1, 0, &[]).await?;
    for first in (0..rows).step_by(CHUNK as usize) {
        let some = first..rows.min(first + CHUNK);
        let coupons = some.map(|nth| coupon(nth, rows, day, kind));
        writer.push(coupons.collect::<Result<_, Failure>>()?).await?;
    }
    let files = writer.finish().await?;
    match store.commit(&on, on.archive_commit + 1, &files, &[], u64::MAX).await? {
        CommitOutcome::Done { .. } => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// The `nth` of `rows` codes in ascending order, otherwise random.
fn code(nth: u64, rows: u64) -> Result<Code, Failure> {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let step = (1_u128 << 80) / u128::from(rows);
    let noise = u128::from(mixed(nth)) << 16 | u128::from(mixed(!nth) >> 48);
    let number = step * u128::from(nth) + noise % step;
    let text: String =
        (0..16).rev().map(|at| ALPHABET[(number >> (5 * at)) as usize & 31] as char).collect();
    Ok(text.parse()?)
}

/// A number that looks random.
fn mixed(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn coupon(nth: u64, rows: u64, day: Day, kind: Kind) -> Result<Coupon, Failure> {
    let random = mixed(nth.wrapping_add(u64::from(day.0.unsigned_abs()) << 40));
    let genesis = Genesis {
        code: code(nth, rows)?,
        campaign: format!("campaign-{}", random % 50).parse()?,
        batch: format!("batch-{}", random % 50).parse()?,
        valid_from: MADE,
        expires_at: day.end(),
        zone: Zone::utc(),
        created_at: Millis(MADE.0 + (random % 50) as i64 * 1_000),
    };
    if let Kind::Untouched = kind {
        return Ok(Coupon::untouched(genesis));
    }
    let event = |after: u64, kind: EventKind| Event {
        at: Millis(MADE.0 + ((random >> 8) % 30_000_000 + after) as i64),
        actor: Actor::new("shop:checkout-7"),
        operation: OperationId(u128::from(mixed(random)) << 64 | u128::from(random)),
        kind,
    };
    let holder = format!("user-{:09}", random % 50_000_000);
    let issued = EventKind::Issued {
        to: holder.parse()?,
        reference: Some(IssueRef::stored(&format!("req-{random:x}"))),
        expires_at: None,
    };
    let redeemed = EventKind::Redeemed {
        by: Some(holder.parse()?),
        order: format!("order-{}", random >> 24).parse()?,
        worth: None,
    };
    let events = vec![event(0, issued), event(DAY_MS as u64, redeemed)];
    let modified = events[1].at;
    Ok(Coupon::of(genesis, events, None, 2, modified))
}

/// The reads and times of look-ups.
struct Looked {
    reads: f64,
    mean: u64,
    most: u64,
    median: Duration,
    p99: Duration,
}

async fn look_up(
    store: &ColdStore,
    counted: &Counted,
    partitions: &[(Day, u64)],
) -> Result<Looked, Failure> {
    // The footers are read once.
    for (day, rows) in partitions {
        store.find(*day, &[code(0, *rows)?]).await?;
    }
    let (mut took, mut bytes) = (Vec::new(), Vec::new());
    let reads = counted.reads.load(Ordering::Relaxed);
    for nth in 0..LOOK_UPS {
        let random = mixed(nth + 7);
        let (day, rows) = partitions[(random % partitions.len() as u64) as usize];
        let code = code((random >> 20) % rows, rows)?;
        let before = counted.bytes.load(Ordering::Relaxed);
        let begun = Instant::now();
        let found = store.find(day, std::slice::from_ref(&code)).await?;
        took.push(begun.elapsed());
        bytes.push(counted.bytes.load(Ordering::Relaxed) - before);
        if found.first().is_none_or(Option::is_none) {
            return Err(format!("{code} is not found").into());
        }
    }
    took.sort_unstable();
    let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)];
    Ok(Looked {
        reads: (counted.reads.load(Ordering::Relaxed) - reads) as f64 / LOOK_UPS as f64,
        mean: bytes.iter().sum::<u64>() / LOOK_UPS,
        most: bytes.iter().copied().max().unwrap_or(0),
        median: at(50),
        p99: at(99),
    })
}

/// Row groups, and bytes of the footer.
fn about(path: &FilePath) -> Result<(u64, u64), Failure> {
    let bytes = std::fs::read(path)?;
    let length = bytes[bytes.len() - 8..][..4].try_into()?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    Ok((reader.metadata().num_row_groups() as u64, u64::from(u32::from_le_bytes(length))))
}

/// The whole file, decoded to columns.
fn scanned(path: &FilePath, columns: Option<&[&str]>) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(reader.parquet_schema(), columns.iter().copied());
        reader = reader.with_projection(mask);
    }
    for batch in reader.with_batch_size(8_192).build()? {
        std::hint::black_box(batch?);
    }
    Ok(begun.elapsed())
}

fn parquet_file(folder: &FilePath) -> Result<PathBuf, Failure> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "parquet") {
                return Ok(path);
            }
        }
    }
    Err("there is no file".into())
}

/// A folder that counts the reads of Parquet files.
#[derive(Debug)]
struct Counted {
    inner: LocalFileSystem,
    reads: AtomicU64,
    bytes: AtomicU64,
}

impl Counted {
    fn new(folder: &FilePath) -> Result<Counted, Failure> {
        let inner = LocalFileSystem::new_with_prefix(folder)?;
        Ok(Counted { inner, reads: AtomicU64::new(0), bytes: AtomicU64::new(0) })
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Counted {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> StoreResult<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        let is_read = !options.head && location.as_ref().ends_with(".parquet");
        let found = self.inner.get_opts(location, options).await?;
        if is_read {
            self.reads.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(found.range.end - found.range.start, Ordering::Relaxed);
        }
        Ok(found)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(locations)
    }

    /// In the order of the names, like an object store and unlike a disk.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        let listed = self.inner.list(prefix);
        stream::once(async move {
            let mut found: Vec<ObjectMeta> = listed.try_collect().await?;
            found.sort_unstable_by(|a, b| a.location.cmp(&b.location));
            Ok::<_, object_store::Error>(stream::iter(found.into_iter().map(Ok)))
        })
        .try_flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
