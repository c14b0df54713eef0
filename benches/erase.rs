//! The cost of an erasure in the cold tier: of one person, then of a thousand at once. The archive is that which
//! compactions leave: one archive commit in each partition, its side table and the holder index.
//!
//! `cargo bench -p compactor --bench erase`; `COUPONRY_BENCH_ROWS` for another size, `TMPDIR` for another disk.

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use cold::{ColdOptions, ColdStore};
use compactor::{CompactionSettings, Compactor, ErasedReport};
use coupon::calendar::Zone;
use coupon::coupon::{Coupon, Event, EventKind, Genesis};
use coupon::erasure::{Erasure, ErasureSet, erased_name};
use coupon::ids::{Actor, OperationId, UserId};
use coupon::minted::CodeKey;
use coupon::time::{DAY_MS, Day, Millis};
use engine::ColdArchive;
use hot::{ColdMark, Partitions};
use hot_sqlite::{SqliteHot, SqliteOptions};

type Failure = Box<dyn Error + Send + Sync>;

const ROWS_DEFAULT: u64 = 10_000_000;

/// The last of the partitions ends on 2026-09-30.
const PARTITIONS: u64 = 100;
const FIRST: Day = Day(20_627);

/// 2026-11-20, noon.
const NOW: Millis = Millis(20_777 * DAY_MS + DAY_MS / 2);

/// Seven of them have a holder.
const COUPONS_EACH: u64 = 10;
const CHUNK_ROWS: u64 = 16_384;

/// Rows of a call of the compactor.
const MERGED_AT_ONCE: u64 = 1_000_000;

fn main() -> Result<(), Failure> {
    let rows = std::env::var("COUPONRY_BENCH_ROWS").map_or(Ok(ROWS_DEFAULT), |it| it.parse())?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measured(rows))
}

async fn measured(rows: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let cold = Arc::new(ColdStore::on_folder(&folder.path().join("cold"), ColdOptions::default()));
    fill(&cold, rows).await?;
    let archive = Arc::new(ColdArchive(Arc::clone(&cold)));
    let (keys, options) = (vec![CodeKey::new([7; 16])], SqliteOptions::default());
    let hot = SqliteHot::open(folder.path(), keys, archive, options)?;
    let version = cold.version().await?;
    hot.raise_cold_mark(ColdMark { begun: version, committed: version }).await?;
    let (hot, settings) = (Arc::new(hot), CompactionSettings::default());
    let compactor = Compactor::new(hot, Arc::clone(&cold), settings, Arc::new(|_| {}));
    println!("| {rows} coupons | s | cpu s | MB read | MB written | files | rows | peak MiB |");
    println!("{}|", "|---".repeat(8));
    let mut last = 0;
    for (name, persons) in [("one person", 1), ("1,000 people", 1_000)] {
        let apart = rows / COUPONS_EACH / (persons + 1);
        let erasure = |at| {
            let (number, user) = (last + at, format!("user-{:09}", at * apart).parse()?);
            Ok(Erasure { number, user, name: erased_name(number) })
        };
        let pending = (1..=persons).map(erasure).collect::<Result<_, Failure>>()?;
        last += persons;
        cold.know_erasures(ErasureSet { last, pending });
        println!("| {name} | {} |", erased(&compactor, last).await?);
    }
    Ok(())
}

/// The clock, by which replaced files are deleted.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Erases the persons that the cold store knows of, the last of them under this number.
async fn erased(compactor: &Compactor, last: u64) -> Result<String, Failure> {
    // The highest memory so far. If this is not allowed, the figure is for the whole run.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let (before, begun) = (used(), Instant::now());
    let ErasedReport { through, files, rows } = compactor.erase(NOW).await?;
    let (seconds, after) = (begun.elapsed().as_secs_f64(), used());
    if through != Some(last) {
        return Err("not all are erased".into());
    }
    let [read, written, work] = [0, 1, 2].map(|at| after[at] - before[at]);
    let peak = kernel_number("status", "VmHWM:", 0) >> 10;
    Ok(format!("{seconds:.0} | {work} | {read} | {written} | {files} | {rows} | {peak}"))
}

/// Megabytes that this process has read and written, also from and to the page cache, and its processor time in seconds.
fn used() -> [u64; 3] {
    let [user, system] = [11, 12].map(|at| kernel_number("stat", ") ", at));
    let [read, written] = ["rchar:", "wchar:"].map(|name| kernel_number("io", name, 0) / 1_000_000);
    [read, written, (user + system) / 100]
}

async fn fill(cold: &ColdStore, rows: u64) -> Result<(), Failure> {
    cold.create().await?;
    let (begun, each) = (Instant::now(), rows / PARTITIONS);
    for number in 0..PARTITIONS {
        let day = Day(FIRST.0 + i32::try_from(number)?);
        let partition = cold.partition(day).await?;
        let mut writer = cold.writer(day, 1, 0, &[]).await?;
        for first in (0..each).step_by(usize::try_from(CHUNK_ROWS)?) {
            let numbers = first..each.min(first + CHUNK_ROWS);
            let coupons = numbers.map(|row| coupon(day, row, number * each + row, rows));
            writer.push(coupons.collect::<Result<_, Failure>>()?).await?;
        }
        let files = writer.finish().await?;
        cold.commit(&partition, 1, &files, &[], u64::MAX).await?;
        cold.commit_holders(day, 1).await?;
    }
    let [_, written, _] = used();
    eprintln!("{rows} coupons written in {:.0} s, {written} MB", begun.elapsed().as_secs_f64());
    let (begun, before) = (Instant::now(), written);
    // As runs of the compactor do.
    while !cold.merge_holders(MERGED_AT_ONCE).await?.is_done {
        cold.sweep_index(now()).await?;
    }
    let [_, written, _] = used();
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("their holders merged in {seconds:.0} s, {} MB", written - before);
    Ok(())
}

/// Of ten coupons seven were issued and redeemed.
fn coupon(day: Day, row: u64, number: u64, rows: u64) -> Result<Coupon, Failure> {
    // Scrambled, so that neighbours are unrelated.
    let wide = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    let (first, random) = (day.start().plus_ms(-200 * DAY_MS), (wide >> 20) as i64 % DAY_MS);
    let genesis = Genesis {
        // Ascending, as the writer wants them.
        code: format!("{row:07}{:09X}", wide % (1 << 36)).parse()?,
        campaign: format!("campaign-{:02}", wide % 20).parse()?,
        batch: "batch-1".parse()?,
        valid_from: first,
        expires_at: day.end(),
        zone: Zone::utc(),
        created_at: first,
    };
    let holder: UserId = format!("user-{:09}", (wide >> 7) % (rows / COUPONS_EACH)).parse()?;
    let order = format!("order-{number}").parse()?;
    let issue = EventKind::Issued { to: holder.clone(), reference: None, expires_at: None };
    let redeem = EventKind::Redeemed { by: Some(holder), order, worth: None };
    let events = [(issue, 50 * random), (redeem, 100 * random)].map(|(kind, after)| Event {
        at: first.plus_ms(after),
        actor: Actor::new("shop:checkout"),
        operation: OperationId(u128::from(wide) << 64 | u128::from(number)),
        kind,
    });
    let events = if (wide >> 40) % 10 < 7 { events.to_vec() } else { Vec::new() };
    let (version, modified_at) = (events.len() as u64, first.plus_ms(100 * random));
    Ok(Coupon::of(genesis, events, None, version, modified_at))
}

/// A number that the kernel has of this process: in this file, so many words behind this text.
fn kernel_number(file: &str, behind: &str, words: usize) -> u64 {
    let text = fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let rest = text.split_once(behind).map(|(_, rest)| rest).unwrap_or_default();
    rest.split_whitespace().nth(words).and_then(|it| it.parse().ok()).unwrap_or(0)
}
