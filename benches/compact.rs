//! The cost of archiving a partition, beside the least possible with Parquet: a bare `ArrowWriter` with the
//! same settings that writes the same rows from memory. Then a look-up in cold, and how long redemptions
//! in another partition take meanwhile.
//!
//! `cargo bench -p compactor`; `COUPONRY_BENCH_ROWS` for another size, `TMPDIR` for another disk,
//! `COUPONRY_COLD=s3://BUCKET/PREFIX` for a cold tier in a bucket: then without the bare writer, which
//! has a folder, and without the redemptions.

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use cold::{ColdOptions, ColdStore};
use compactor::{ClosedPolicy, CompactionProgress, CompactionSettings, Compactor};
use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::calendar::Zone;
use coupon::campaign::{Campaign, CampaignWorth, Handout};
use coupon::code::Code;
use coupon::ids::{Actor, CampaignId, OperationId};
use coupon::imported::{ImportRun, ImportedState};
use coupon::minted::CodeKey;
use coupon::time::{Day, Millis};
use engine::ColdArchive;
use hot::audit::Act;
use hot::{Campaigns, Coupons, HotStore, ImportLine, Imports, MintOrder, NewCampaign, Partitions};
use hot_sqlite::{FILE_NAME, SqliteHot, SqliteOptions};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use router::{Address, Found, Owner};

type Failure = Box<dyn Error + Send + Sync>;

const ROWS_DEFAULT: u64 = 2_000_000;

const KEY: [u8; 16] = *b"a key of 16 byte";

/// The partition that is over: 2026-03-01.
const OVER: Day = Day(20_513);

/// The partition of the coupons that are redeemed meanwhile: 2026-12-31.
const OPEN: Day = Day(20_818);

/// 2026-11-20, noon: long after the first, before the second.
const NOW: Millis = Millis(20_777 * 86_400_000 + 43_200_000);

/// Lines of one import transaction.
const GROUP: u64 = 4_096;

/// Callers that redeem, and the pause of each between two: 1,600 a second.
const CALLERS: u64 = 16;
const PAUSE: Duration = Duration::from_millis(10);

/// How long they are measured without a compaction.
const QUIET: Duration = Duration::from_secs(10);

/// Archived coupons that are looked up.
const LOOK_UPS: u64 = 200;

/// The state of the coupons.
#[derive(Clone, Copy)]
enum Kind {
    Untouched,
    Redeemed,
}

struct Stores {
    hot: Arc<SqliteHot>,
    cold: Arc<ColdStore>,
    folder: PathBuf,
}

fn main() -> Result<(), Failure> {
    let rows = match std::env::var("COUPONRY_BENCH_ROWS") {
        Ok(text) => text.parse()?,
        Err(_) => ROWS_DEFAULT,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!(
        "| {rows} coupons | copied, rows/s | bare writer, rows/s | ratio | removed, rows/s | all of it, rows/s | ratio | bytes each | peak memory | hot.db before, after |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for kind in [Kind::Untouched, Kind::Redeemed] {
        let folder = tempfile::tempdir()?;
        let stores = open(folder.path())?;
        runtime.block_on(import(&stores, rows, kind))?;
        let line = runtime.block_on(moved(&stores, rows))?;
        let name = match kind {
            Kind::Untouched => "untouched",
            Kind::Redeemed => "issued and redeemed",
        };
        println!("| {name} | {line} |");
        let look_up = runtime.block_on(look_up(&stores, rows))?;
        println!("| a look-up of one of them | {look_up} |");
    }
    if in_bucket().is_some() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let stores = open(folder.path())?;
    runtime.block_on(beside(&stores, rows))
}

fn in_bucket() -> Option<String> {
    std::env::var("COUPONRY_COLD").ok()
}

fn open(folder: &Path) -> Result<Stores, Failure> {
    let cold = match in_bucket() {
        None => ColdStore::on_folder(&folder.join("cold"), ColdOptions::default()),
        Some(prefix) => {
            // A different one for each line.
            let name = folder.file_name().and_then(|it| it.to_str()).unwrap_or("bench");
            let address = format!("{prefix}/{name}").parse()?;
            ColdStore::on_bucket(&address, ColdOptions::default())?
        }
    };
    let cold = Arc::new(cold);
    let archive = Arc::new(ColdArchive(Arc::clone(&cold)));
    let options = SqliteOptions { free_min_bytes: 0, ..SqliteOptions::default() };
    let hot = SqliteHot::open(folder, vec![CodeKey::new(KEY)], archive, options)?;
    Ok(Stores { hot: Arc::new(hot), cold, folder: folder.to_owned() })
}

fn campaign(id: &str, day: Day, handout: Handout) -> Result<Campaign, Failure> {
    Ok(Campaign {
        id: id.parse()?,
        name: id.into(),
        handout,
        shared_code: None,
        code_prefix: None,
        valid_from: Millis(0),
        expires_at: day.end(),
        earlier_ends: Vec::new(),
        zone: Zone::utc(),
        valid_days: None,
        issue_from: None,
        issue_until: None,
        per_user_limit: None,
        cancel_days: 30,
        extend_days: 30,
        paused: false,
        metadata: None,
        worth: CampaignWorth::default(),
        created_at: NOW,
    })
}

/// 80 bits that look random: an odd multiplier gives each value once.
fn code(number: u64) -> Result<Code, Failure> {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let wide = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let text: String =
        (0..16).map(|at| ALPHABET[(wide >> (48 + 5 * at)) as usize & 31] as char).collect();
    Ok(text.parse()?)
}

/// Who makes the campaigns.
fn acts() -> Act {
    Act::of_system("bench", NOW)
}

/// Coupons as in a file of another system, in random order.
async fn import(stores: &Stores, rows: u64, kind: Kind) -> Result<(), Failure> {
    let (id, batch): (CampaignId, _) = ("past".parse()?, "file".parse()?);
    let new = campaign("past", OPEN, Handout::Bearer)?;
    let new = NewCampaign { campaign: new, created_as: String::new(), first_batch: None };
    stores.hot.create_campaign(new, &acts()).await?;
    stores.hot.open_import(&id, &batch, &acts()).await?;
    stores.hot.announce_long_codes().await?;
    for first in (0..rows).step_by(GROUP as usize) {
        let lines = (first..rows.min(first + GROUP)).map(|number| line(number, kind));
        let operation = OperationId(u128::from(first) << 64);
        let run = ImportRun { actor: Actor::new("admin:bench"), operation, at: NOW };
        let lines = lines.collect::<Result<_, Failure>>()?;
        stores.hot.import(&id, &batch, lines, run).await?;
    }
    Ok(())
}

fn line(number: u64, kind: Kind) -> Result<ImportLine, Failure> {
    let at = Millis(OVER.start().0 - (number % 30_000_000) as i64);
    let imported_state = match kind {
        Kind::Untouched => ImportedState::Available,
        Kind::Redeemed => ImportedState::Redeemed {
            holder: Some(format!("user-{:09}", number % 700_000).parse()?),
            issued_at: Some(Millis(at.0 - 86_400_000)),
            at,
            order: Some(format!("order-{number}").parse()?),
            worth: None,
        },
    };
    Ok(ImportLine {
        code: code(number)?,
        valid_from: Millis(0),
        expires_at: OVER.end(),
        imported_state,
    })
}

/// The first and the last report of each step of a compaction.
#[derive(Default)]
struct Steps {
    committed: Mutex<Option<Instant>>,
}

async fn moved(stores: &Stores, rows: u64) -> Result<String, Failure> {
    let file = || stores.folder.join(FILE_NAME).metadata().map(|about| about.len() >> 20);
    let before = file()?;
    forget_peak();
    let steps = Arc::new(Steps::default());
    let heard = Arc::clone(&steps);
    let begun = Instant::now();
    let compactor = Compactor::new(
        Arc::clone(&stores.hot) as Arc<dyn Partitions>,
        Arc::clone(&stores.cold),
        CompactionSettings::default(),
        Arc::new(move |step| {
            if let (CompactionProgress::Committed { .. }, Ok(mut at)) =
                (step, heard.committed.lock())
            {
                *at = Some(Instant::now());
            }
        }),
    );
    let report = compactor.run(NOW, ClosedPolicy::WhenWorthwhile).await?;
    let all = begun.elapsed();
    let peak = peak_mib();
    let bytes: u64 = report.partitions.iter().map(|partition| partition.bytes).sum();
    let copied = steps.committed.lock().ok().and_then(|at| *at).ok_or("nothing was committed")?;
    let (copy, remove) = (copied - begun, all - (copied - begun));
    let bare = match in_bucket() {
        None => Some(bare(&stores.folder)?),
        Some(_) => None,
    };
    // By then the checkpointer has copied the log into the file, which makes it shorter.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let rate = |took: Duration| rows as f64 / took.as_secs_f64();
    let to_bare = |took: Duration| {
        bare.map_or("".into(), |bare| format!("{:.2}", bare.as_secs_f64() / took.as_secs_f64()))
    };
    Ok(format!(
        "{:.0} | {} | {} | {:.0} | {:.0} | {} | {:.1} | {peak} MiB | {before}, {} MiB",
        rate(copy),
        bare.map_or("".into(), |bare| format!("{:.0}", rate(bare))),
        to_bare(copy),
        rate(remove),
        rate(all),
        to_bare(all),
        bytes as f64 / rows as f64,
        file()?
    ))
}

/// The same rows, written by only an `ArrowWriter` and synced.
fn bare(folder: &Path) -> Result<Duration, Failure> {
    let mut took = Duration::ZERO;
    for path in parquet_files(&folder.join("cold/coupons"))? {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path)?)?;
        let schema = Arc::clone(reader.schema());
        let groups = reader.metadata().num_row_groups().max(1);
        let group_rows =
            reader.metadata().file_metadata().num_rows().unsigned_abs() as usize / groups;
        let batches = reader.with_batch_size(8_192).build()?;
        let batches = batches.collect::<Result<Vec<RecordBatch>, _>>()?;
        let begun = Instant::now();
        let copy = File::create(folder.join("bare.parquet"))?;
        let mut writer =
            ArrowWriter::try_new(copy.try_clone()?, schema, Some(settings(group_rows)?))?;
        for batch in &batches {
            writer.write(batch)?;
        }
        writer.close()?;
        copy.sync_all()?;
        took += begun.elapsed();
        let (ours, bare) = (path.metadata()?.len(), copy.metadata()?.len());
        if ours.abs_diff(bare) * 50 > ours {
            return Err(format!("not the same settings: {ours} bytes beside {bare}").into());
        }
    }
    Ok(took)
}

/// The settings of `schema/cold.md`.
fn settings(group_rows: usize) -> Result<WriterProperties, Failure> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_dictionary_enabled(false)
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_row_count_limit(group_rows)
        .set_data_page_size_limit(1 << 30)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    let event = |name: &str| ["events", "list", "element", name].map(String::from).to_vec();
    for name in [
        "campaign_id",
        "batch_id",
        "state",
        "version",
        "valid_from",
        "expires_at",
        "made_expires_at",
        "time_zone",
        "made_time_zone",
        "created_at",
    ] {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), true);
    }
    for name in [
        "sequence",
        "kind",
        "at",
        "actor",
        "operation",
        "user_id",
        "reference",
        "reason",
        "expires_at",
        "time_zone",
    ] {
        let path = ColumnPath::new(event(name));
        properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    for name in ["kind", "actor", "reason", "time_zone"] {
        properties = properties.set_column_dictionary_enabled(ColumnPath::new(event(name)), true);
    }
    for name in ["issued_at", "redeemed_at", "modified_at"] {
        let path = ColumnPath::from(name);
        properties = properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    for name in ["sequence", "at", "expires_at"] {
        let path = ColumnPath::new(event(name));
        properties = properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    let code = ColumnPath::from("code");
    Ok(properties.set_column_encoding(code, Encoding::DELTA_BYTE_ARRAY).build())
}

fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(parquet_files(&path)?);
        } else if path.extension().is_some_and(|it| it == "parquet") {
            found.push(path);
        }
    }
    Ok(found)
}

async fn look_up(stores: &Stores, rows: u64) -> Result<String, Failure> {
    let mut took = Vec::new();
    for number in 0..LOOK_UPS {
        let code = code(number * (rows / LOOK_UPS))?;
        let begun = Instant::now();
        let found = stores.cold.find(OVER, std::slice::from_ref(&code)).await?;
        took.push(begun.elapsed());
        if found.first().is_none_or(Option::is_none) {
            return Err(format!("{code} is not in cold").into());
        }
    }
    Ok(format!("median {:.1} ms, p99 {:.1} ms", ms(&mut took, 50), ms(&mut took, 99)))
}

/// Redemptions in an open partition, by themselves and beside a compaction.
async fn beside(stores: &Stores, rows: u64) -> Result<(), Failure> {
    import(stores, rows, Kind::Untouched).await?;
    let id: CampaignId = "live".parse()?;
    let order = MintOrder { id: "stock".parse()?, count: 4_000_000, key: CodeKey::new(KEY).id() };
    let campaign = campaign("live", OPEN, Handout::Bearer)?;
    let new = NewCampaign { campaign, created_as: String::new(), first_batch: Some(order) };
    stores.hot.create_campaign(new, &acts()).await?;
    let owner = Owner { campaign: id, batch: "stock".parse()? };
    let next = Arc::new(AtomicU64::new(0));
    println!();
    println!("| redemptions by {CALLERS} callers, {} a second | median | p99 | longest |", 1_600);
    println!("|---|---|---|---|");
    let stop = Arc::new(AtomicBool::new(false));
    let quiet =
        tokio::spawn(redeem(Arc::clone(&stores.hot), owner.clone(), next.clone(), stop.clone()));
    tokio::time::sleep(QUIET).await;
    stop.store(true, Ordering::Relaxed);
    let alone = quiet.await??;
    stop.store(false, Ordering::Relaxed);
    let busy = tokio::spawn(redeem(Arc::clone(&stores.hot), owner, next, stop.clone()));
    let (hot, cold) = (Arc::clone(&stores.hot) as Arc<dyn Partitions>, Arc::clone(&stores.cold));
    let compactor = Compactor::new(hot, cold, CompactionSettings::default(), Arc::new(|_| {}));
    compactor.run(NOW, ClosedPolicy::WhenWorthwhile).await?;
    stop.store(true, Ordering::Relaxed);
    let compacting = busy.await??;
    for (name, mut took) in [("by themselves", alone), ("beside a compaction", compacting)] {
        let [median, p99, longest] = [50, 99, 100].map(|part| ms(&mut took, part));
        println!("| {name} | {median:.2} ms | {p99:.2} ms | {longest:.1} ms |");
    }
    Ok(())
}

async fn redeem(
    hot: Arc<SqliteHot>,
    owner: Owner,
    next: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Result<Vec<Duration>, Failure> {
    let callers = (0..CALLERS).map(|_| {
        let (hot, owner) = (Arc::clone(&hot), owner.clone());
        let (next, stop) = (Arc::clone(&next), Arc::clone(&stop));
        tokio::spawn(async move {
            let key = CodeKey::new(KEY);
            let mut took = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let code = key.mint(OPEN, number);
                let (owner, bucket_key) = (owner.clone(), OPEN.into());
                let address = Address { code, bucket_key, owner, minted: true, hint: None };
                let (by, order) = (format!("u{number}").parse()?, format!("o{number}").parse()?);
                let change = Change {
                    action: Action::Redeem { by, order, money: Default::default() },
                    asker: Asker::Shop,
                    actor: Actor::new("shop:checkout-7"),
                    operation: OperationId(u128::from(number)),
                    at: NOW,
                    if_version: None,
                };
                let begun = Instant::now();
                let applied = hot.apply(&Found::Coupon(address), change).await?;
                took.push(begun.elapsed());
                if !matches!(applied.outcome, Outcome::Accepted(_)) {
                    return Err(format!("{:?}", applied.outcome).into());
                }
                tokio::time::sleep(PAUSE).await;
            }
            Ok::<_, Failure>(took)
        })
    });
    let mut all = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        all.extend(caller.await??);
    }
    Ok(all)
}

/// A percentile, in milliseconds.
fn ms(took: &mut [Duration], part: usize) -> f64 {
    took.sort_unstable();
    let at = (took.len() * part / 100).min(took.len().saturating_sub(1));
    took.get(at).map_or(0.0, |took| took.as_secs_f64() * 1e3)
}

/// Resets the highest memory that the kernel has counted.
fn forget_peak() {
    // If this is not allowed, the figure is for the whole run.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()).and_then(|kib| kib.parse().ok());
    kib.unwrap_or(0_u64) >> 10
}
