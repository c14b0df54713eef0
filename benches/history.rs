//! Five everyday questions over archived coupons, beside DuckDB on the same files: whether the answers are
//! equal, and how long each takes. The files are those that the Expired pass leaves: one archive commit
//! per partition, written through `ColdStore`.
//!
//! `cargo bench -p history`; `COUPONRY_BENCH_ROWS` for another size, `TMPDIR` for another disk,
//! `COUPONRY_BENCH_PYTHON` names a Python that has DuckDB (without it there is no other side).

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cold::{ColdOptions, ColdStore};
use coupon::calendar::Zone;
use coupon::coupon::{Coupon, Event, EventKind, Genesis};
use coupon::ids::{Actor, OperationId};
use coupon::minted::CodeKey;
use coupon::time::{DAY_MS, Day, Millis};
use engine::{ColdArchive, Engine, SetClock};
use history::formats::{FormattedRows, OutputFormat};
use history::{History, QueryLimits};
use hot::{ColdMark, HotStore, Partitions};
use hot_sqlite::{SqliteHot, SqliteOptions};
use router::Router;

type Failure = Box<dyn Error + Send + Sync>;

const ROWS_DEFAULT: u64 = 20_000_000;

/// Partitions that they are in: 40 days, the last of them 2026-09-30.
const PARTITIONS: u64 = 40;
const FIRST: Day = Day(20_687);

/// 2026-11-20, noon.
const NOW: Millis = Millis(20_777 * DAY_MS + DAY_MS / 2);

/// How often each question is asked. The best time counts.
const TRIES: usize = 5;

/// Rows given to the writer at once.
const CHUNK: u64 = 16_384;

/// The questions: the SQL for couponry, and the same for DuckDB over `files`, where `expires_on` is
/// computed (all zones are UTC here).
const QUESTIONS: [(&str, &str, &str); 5] = [
    (
        "coupons by campaign and state, from a last day on",
        "select campaign_id, state, count(*) as n from coupons \
         where expires_on >= '2026-09-01' group by 1, 2 order by 1, 2",
        "select campaign_id, state, count(*) as n from files \
         where cast(expires_at - interval 1 millisecond as date) >= '2026-09-01' \
         group by 1, 2 order by 1, 2",
    ),
    (
        "redemptions a day",
        "select cast(redeemed_at as date) as day, count(*) as n from coupons \
         where state = 'redeemed' group by 1 order by 1",
        "select cast(redeemed_at as date) as day, count(*) as n from files \
         where state = 'redeemed' group by 1 order by 1",
    ),
    (
        "a person's coupons",
        "select code, state, order_ref from coupons where holder = 'user-000004711' order by 1",
        "select code, state, order_ref from files where holder = 'user-000004711' order by 1",
    ),
    (
        "ten people who redeemed most",
        "select holder, count(*) as n from coupons where redeemed_at is not null \
         group by 1 order by n desc, holder limit 10",
        "select holder, count(*) as n from files where redeemed_at is not null \
         group by 1 order by n desc, holder limit 10",
    ),
    (
        "how many orders of a fortnight, how many people",
        "select count(order_ref) as orders, count(distinct holder) as people from coupons \
         where expiry_day between '2026-09-01' and '2026-09-14'",
        "select count(order_ref) as orders, count(distinct holder) as people from files \
         where expiry_day between '2026-09-01' and '2026-09-14'",
    ),
];

/// Prints for each question a line with its best time in seconds, its rows as CSV, and an empty
/// line.
const DUCKDB: &str = r#"
import duckdb, json, sys, time
asked = json.load(sys.stdin)
db = duckdb.connect()
db.execute(f"set threads to {asked['cores']}; set timezone = 'UTC'; set preserve_insertion_order = false")
db.execute(f"create view files as select * from read_parquet({asked['files']}, hive_partitioning = true, hive_types = {{'expiry_day': DATE}})")
for sql in asked['questions']:
    best = None
    for _ in range(asked['tries']):
        begun = time.perf_counter()
        rows = db.execute(sql).fetchall()
        took = time.perf_counter() - begun
        best = took if best is None else min(best, took)
    print(best)
    for row in rows:
        print(','.join('' if cell is None else str(cell) for cell in row))
    print()
"#;

fn main() -> Result<(), Failure> {
    let rows = match std::env::var("COUPONRY_BENCH_ROWS") {
        Ok(text) => text.parse()?,
        Err(_) => ROWS_DEFAULT,
    };
    let folder = match std::env::var_os("COUPONRY_BENCH_DATA") {
        Some(kept) => kept.into(),
        None => tempfile::tempdir()?.keep(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measured(&folder, rows))?;
    if std::env::var_os("COUPONRY_BENCH_DATA").is_none() {
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

async fn measured(folder: &Path, rows: u64) -> Result<(), Failure> {
    let cold = Arc::new(ColdStore::on_folder(&folder.join("cold"), ColdOptions::default()));
    if cold.version().await?.is_none() {
        filled(&cold, rows).await?;
    }
    let archive = Arc::new(ColdArchive(Arc::clone(&cold)));
    let options = SqliteOptions { free_min_bytes: 0, ..SqliteOptions::default() };
    let hot = SqliteHot::open(folder, vec![CodeKey::new([7; 16])], archive, options)?;
    let version = cold.version().await?;
    hot.raise_cold_mark(ColdMark { begun: version, committed: version }).await?;
    let engine = Engine::new(
        Arc::new(hot) as Arc<dyn HotStore>,
        Arc::clone(&cold),
        Router::new(vec![CodeKey::new([7; 16])]),
        Arc::new(SetClock::at(NOW)),
    );
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let limits = QueryLimits {
        time: Duration::from_secs(600),
        memory: 1 << 30,
        spill: 10 << 30,
        spill_folder: None,
        cores,
    };
    let history = History::new(Arc::new(engine), limits)?;
    let theirs = duckdb(&cold, folder, cores).await?;
    let mut theirs = theirs.iter();
    println!("{rows} coupons on {PARTITIONS} partitions, {cores} cores, best of {TRIES}\n");
    println!("| question | couponry-history, ms | DuckDB, ms | ratio | rows |");
    println!("|---|---|---|---|---|");
    for (name, sql, _) in QUESTIONS {
        let mut best = Duration::MAX;
        let mut ours = String::new();
        for _ in 0..TRIES {
            let begun = Instant::now();
            ours = answered(&history, sql).await?;
            best = best.min(begun.elapsed());
        }
        let milliseconds = best.as_secs_f64() * 1e3;
        let count = ours.lines().count();
        match theirs.next() {
            Some((seconds, rows)) => {
                let ratio = best.as_secs_f64() / seconds;
                println!(
                    "| {name} | {milliseconds:.0} | {:.0} | {ratio:.2} | {count} |",
                    seconds * 1e3
                );
                if *rows != ours {
                    return Err(format!("{name}: two answers\n{ours}\n{rows}").into());
                }
            }
            None => println!("| {name} | {milliseconds:.0} | | | {count} |"),
        }
    }
    Ok(())
}

/// Rows as CSV, without the header.
async fn answered(history: &History, sql: &str) -> Result<String, Failure> {
    let mut answer = history.ask(sql, None).await?;
    let mut rows = FormattedRows::begin(Vec::new(), OutputFormat::Csv, &answer.schema())?;
    while let Some(batch) = answer.next().await? {
        rows.put(&batch)?;
    }
    let text = String::from_utf8(rows.end()?)?;
    Ok(text.split_once('\n').map_or(String::new(), |(_, rows)| rows.to_owned()))
}

/// The best time of each question in DuckDB, in seconds, and its rows.
async fn duckdb(
    cold: &ColdStore,
    folder: &Path,
    cores: usize,
) -> Result<Vec<(f64, String)>, Failure> {
    let Some(python) = std::env::var_os("COUPONRY_BENCH_PYTHON") else { return Ok(Vec::new()) };
    let partitions = cold.partitions().await?;
    let files = partitions.iter().flat_map(|partition| &partition.files);
    let path = |name: &str| folder.join("cold/coupons").join(name).display().to_string();
    let asked = serde_json::json!({
        "files": files.map(|file| path(file.path())).collect::<Vec<_>>(),
        "questions": QUESTIONS.map(|(_, _, sql)| sql),
        "tries": TRIES,
        "cores": cores,
    });
    let mut command = Command::new(python);
    command.args(["-c", DUCKDB]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(asked.to_string().as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err("DuckDB did not answer".into());
    }
    let text = String::from_utf8(output.stdout)?;
    let answers = text.split("\n\n").filter(|answer| !answer.trim().is_empty());
    let answer = |answer: &str| {
        let (seconds, rows) = answer.trim_start().split_once('\n').unwrap_or((answer, ""));
        Ok((seconds.trim().parse()?, format!("{}\n", rows.trim_end())))
    };
    answers.map(answer).collect()
}

/// Makes the coupons, partition by partition, in the order of their codes.
async fn filled(cold: &ColdStore, rows: u64) -> Result<(), Failure> {
    cold.create().await?;
    let begun = Instant::now();
    let each = rows / PARTITIONS;
    for number in 0..PARTITIONS {
        let day = Day(FIRST.0 + i32::try_from(number)?);
        let partition = cold.partition(day).await?;
        let mut writer = cold.writer(day, 1, 0, &[]).await?;
        for first in (0..each).step_by(usize::try_from(CHUNK)?) {
            let numbers = first..each.min(first + CHUNK);
            let coupons = numbers.map(|row| coupon(day, number * each + row, row));
            writer.push(coupons.collect::<Result<_, Failure>>()?).await?;
        }
        let files = writer.finish().await?;
        cold.commit(&partition, 1, &files, &[], u64::MAX).await?;
    }
    eprintln!("{rows} coupons written in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Of ten coupons four are redeemed, three issued, two available and one void; of 20 campaigns.
fn coupon(day: Day, number: u64, row: u64) -> Result<Coupon, Failure> {
    // Scrambled, so that neighbours are unrelated.
    let wide = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    let genesis = Genesis {
        code: code(row, wide)?,
        campaign: format!("campaign-{:02}", wide % 20).parse()?,
        batch: "batch-1".parse()?,
        valid_from: Millis(day.start().0 - 200 * DAY_MS),
        expires_at: day.end(),
        zone: Zone::utc(),
        created_at: Millis(day.start().0 - 210 * DAY_MS),
    };
    let issued_at = Millis(day.start().0 - 100 * DAY_MS - (wide >> 20) as i64 % (90 * DAY_MS));
    let redeemed_at = Millis(day.start().0 - (wide >> 24) as i64 % (90 * DAY_MS));
    let event = |at: Millis, kind: EventKind| Event {
        at,
        actor: Actor::new("shop:checkout"),
        operation: OperationId(u128::from(wide) << 64 | u128::from(number)),
        kind,
    };
    let user = || format!("user-{:09}", (wide >> 7) % 700_000).parse();
    let issue = |at| {
        Ok::<_, Failure>(event(
            at,
            EventKind::Issued { to: user()?, reference: None, expires_at: None },
        ))
    };
    let events = match (wide >> 40) % 10 {
        0..4 => {
            let order = format!("order-{number}").parse()?;
            let redeem = EventKind::Redeemed { by: Some(user()?), order, worth: None };
            vec![issue(issued_at)?, event(redeemed_at, redeem)]
        }
        4..7 => vec![issue(issued_at)?],
        7..9 => Vec::new(),
        _ => vec![event(issued_at, EventKind::Voided { reason: "a misprint".parse().ok() })],
    };
    let version = events.len() as u64;
    let modified_at = events.last().map_or(genesis.created_at, |event| event.at);
    Ok(Coupon::of(genesis, events, None, version, modified_at))
}

/// Ascending with `row`, and random after the first half.
fn code(row: u64, wide: u64) -> Result<coupon::code::Code, Failure> {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let letters = |value: u64, count: u32| -> String {
        let letter = |at: u32| char::from(ALPHABET[(value >> (5 * at)) as usize & 31]);
        (0..count).rev().map(letter).collect()
    };
    Ok(format!("{}{}", letters(row * 67 + 11, 7), letters(wide, 9)).parse()?)
}
