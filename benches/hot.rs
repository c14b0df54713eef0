//! The cost of a coupon in the embedded store. First its bytes, in each state: in the file, and in each
//! table and index. Then the cost of a redemption, beside the least possible with SQLite: a bare loop that
//! commits one UPDATE per transaction, or groups them by hand. Same run, same file, same schema with all
//! its indexes, WAL and FULL; each coupon once, in random order.
//!
//! `cargo bench -p hot-sqlite`; `COUPONRY_BENCH_ROWS` for another size, `TMPDIR` for another disk.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::calendar::Zone;
use coupon::campaign::{Campaign, CampaignWorth, Handout};
use coupon::code::Code;
use coupon::ids::{Actor, BatchId, OperationId, OrderRef, UserId};
use coupon::imported::{ImportRun, ImportedState};
use coupon::minted::CodeKey;
use coupon::time::{Day, Millis};
use hot::audit::Act;
use hot::{Campaigns, Coupons, HotStore, ImportLine, Imports, NewCampaign};
use hot_sqlite::{FILE_NAME, SqliteHot, SqliteOptions};
use router::{Address, Found, Owner};
use rusqlite::{Connection, params};

type Failure = Box<dyn Error + Send + Sync>;

const ROWS_DEFAULT: u64 = 2_000_000;

/// Most coupons whose bytes are looked at.
const SIZED_ROWS: u64 = 500_000;

const KEY: [u8; 16] = *b"a key of 16 byte";

/// 2026-11-20, noon.
const NOW: Millis = Millis(20_777 * 86_400_000 + 43_200_000);

/// The partition: 2026-12-31.
const DAY: Day = Day(20_818);

/// How long each line of the table is measured.
const EACH: Duration = Duration::from_secs(8);

/// Callers, and the size of the groups of the bare loop beside them.
const CALLERS: [usize; 3] = [1, 64, 512];

/// The log of the bare loop is as long as that of couponry. A shorter one would make it slower.
const LOG_PAGES: i64 = 16_000;

/// One coupon to be redeemed.
struct Ticket {
    code: Code,
    user: UserId,
}

struct Plan {
    tickets: Vec<Ticket>,
    next: AtomicUsize,
    owner: Owner,
}

impl Plan {
    fn next(&self) -> Option<&Ticket> {
        self.tickets.get(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

fn main() -> Result<(), Failure> {
    let rows = match std::env::var("COUPONRY_BENCH_ROWS") {
        Ok(text) => text.parse()?,
        Err(_) => ROWS_DEFAULT,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(sizes(rows.min(SIZED_ROWS)))?;
    let folder = tempfile::tempdir()?;
    let begun = Instant::now();
    let plan = runtime.block_on(import(&open(folder.path())?, rows, Line::Issued))?;
    let plan = Arc::new(plan);
    println!("{rows} issued coupons in {} s", begun.elapsed().as_secs());
    println!();
    println!(
        "| callers | bare loop, operations/s | HotStore::apply, operations/s | ratio | commits/s |"
    );
    println!("|---|---|---|---|---|");
    let mut redeemed = 0;
    for callers in CALLERS {
        let bare = bare(folder.path(), &plan, callers)?;
        let (hot, commits, count) = runtime.block_on(hot(folder.path(), &plan, callers, EACH))?;
        redeemed += count;
        println!("| {callers} | {bare:.0} | {hot:.0} | {:.2} | {commits:.0} |", hot / bare);
    }
    if plan.next.load(Ordering::Relaxed) >= plan.tickets.len() {
        return Err("ran out of coupons: set COUPONRY_BENCH_ROWS higher".into());
    }
    runtime.block_on(check(folder.path(), &plan, redeemed))
}

fn open(folder: &Path) -> Result<SqliteHot, Failure> {
    let options = SqliteOptions { free_min_bytes: 0, ..SqliteOptions::default() };
    Ok(SqliteHot::open(folder, vec![CodeKey::new(KEY)], Arc::new(hot::NoArchive), options)?)
}

fn campaign() -> Result<NewCampaign, Failure> {
    let campaign = Campaign {
        id: "winter".parse()?,
        name: "Winter".into(),
        handout: Handout::Shop,
        shared_code: None,
        code_prefix: None,
        valid_from: Millis(0),
        expires_at: DAY.end(),
        earlier_ends: Vec::new(),
        zone: Zone::utc(),
        valid_days: None,
        issue_from: None,
        issue_until: None,
        per_user_limit: Some(1),
        cancel_days: 30,
        extend_days: 30,
        paused: false,
        metadata: None,
        worth: CampaignWorth::default(),
        created_at: NOW,
    };
    Ok(NewCampaign { campaign, created_as: String::new(), first_batch: None })
}

fn change(action: Action, number: usize) -> Change {
    let operation = OperationId(u128::MAX / 3 + number as u128);
    Change {
        action,
        asker: Asker::Shop,
        actor: Actor::new("shop:checkout-7"),
        operation,
        at: NOW,
        if_version: None,
    }
}

/// What a line of an import says of a coupon.
#[derive(Clone, Copy)]
enum Line {
    Available,
    Issued,
    Redeemed,
}

/// Imports `rows` coupons, each with a user of its own, in random order.
async fn import(store: &SqliteHot, rows: u64, line: Line) -> Result<Plan, Failure> {
    let new = campaign()?;
    let (campaign, batch): (_, BatchId) = (new.campaign.id.clone(), "stock".parse()?);
    let act = Act::of_system("bench", NOW);
    store.create_campaign(new, &act).await?;
    store.open_import(&campaign, &batch, &act).await?;
    let ticket = |number| {
        let code = format!("{:010}", number * 7_368_787 % 10_000_000_019).parse()?;
        Ok(Ticket { code, user: format!("user-{number:09}").parse()? })
    };
    let mut tickets = (0..rows).map(ticket).collect::<Result<Vec<_>, Failure>>()?;
    shuffle(&mut tickets);
    let lines = tickets.iter().map(|Ticket { code, user }| {
        let (holder, at) = (user.clone(), Some(NOW));
        let imported_state = match line {
            Line::Available => ImportedState::Available,
            Line::Issued => ImportedState::Issued { holder, at },
            Line::Redeemed => {
                let (holder, order) = (Some(holder), Some(format!("order-{code}").parse()?));
                ImportedState::Redeemed { holder, issued_at: at, at: NOW, order, worth: None }
            }
        };
        let (valid_from, expires_at) = (Millis(0), DAY.end());
        Ok(ImportLine { code: code.clone(), valid_from, expires_at, imported_state })
    });
    let lines = lines.collect::<Result<Vec<_>, Failure>>()?;
    for (nth, lines) in lines.chunks(50_000).enumerate() {
        // An import sorts its lines by code, as many at a time.
        let mut lines = lines.to_vec();
        lines.sort_by(|one, other| one.code.cmp(&other.code));
        for lines in lines.chunks(store.import_lines_max()) {
            let operation = OperationId(nth as u128);
            let run = ImportRun { actor: Actor::new("admin:import"), operation, at: NOW };
            store.import(&campaign, &batch, lines.to_vec(), run).await?;
        }
    }
    shuffle(&mut tickets);
    Ok(Plan { tickets, next: AtomicUsize::new(0), owner: Owner { campaign, batch } })
}

/// The bytes of a coupon in each state.
async fn sizes(rows: u64) -> Result<(), Failure> {
    println!("| {rows} coupons | bytes each | in each table and index |");
    println!("|---|---|---|");
    for (name, line, redeems) in [
        ("imported", Line::Available, false),
        ("imported as issued", Line::Issued, false),
        ("imported as redeemed", Line::Redeemed, false),
        ("imported as issued, then redeemed", Line::Issued, true),
    ] {
        let folder = tempfile::tempdir()?;
        let store = open(folder.path())?;
        let plan = Arc::new(import(&store, rows, line).await?);
        drop(store);
        if redeems {
            hot(folder.path(), &plan, 64, Duration::MAX).await?;
        }
        println!("| {name} | {} |", bytes(folder.path(), rows)?);
    }
    println!();
    Ok(())
}

fn bytes(folder: &Path, rows: u64) -> Result<String, Failure> {
    let conn = Connection::open(folder.join(FILE_NAME))?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let mut statement = conn.prepare(
        "SELECT name, sum(pgsize) FROM dbstat GROUP BY name HAVING sum(pgsize) > 100000 \
         ORDER BY sum(pgsize) DESC",
    )?;
    let trees = statement.query_map([], |row| {
        Ok(format!("{} {}", row.get::<_, String>(0)?, row.get::<_, i64>(1)?.unsigned_abs() / rows))
    })?;
    let trees = trees.collect::<Result<Vec<_>, _>>()?.join(", ");
    let all = std::fs::metadata(folder.join(FILE_NAME))?.len() / rows;
    Ok(format!("{all} | {trees}"))
}

/// The same order in every run.
fn shuffle(tickets: &mut [Ticket]) {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    for at in (1..tickets.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        tickets.swap(at, (seed % (at as u64 + 1)) as usize);
    }
}

/// Runs the bare loop. Returns operations a second.
fn bare(folder: &Path, plan: &Plan, group: usize) -> Result<f64, Failure> {
    let conn = Connection::open(folder.join(FILE_NAME))?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    let mut update = conn.prepare(
        "UPDATE coupon SET version = version + 1, state = 2, ended_at = ?1, \
         record = CAST(record || ?2 AS BLOB) \
         WHERE number = (SELECT number FROM directory WHERE code = ?4) \
         AND expiry_day = ?3 AND code = ?4 AND version = 1 AND state = 1",
    )?;
    let (mut begin, mut commit) = (conn.prepare("BEGIN IMMEDIATE")?, conn.prepare("COMMIT")?);
    let (begun, mut done) = (Instant::now(), 0_usize);
    while begun.elapsed() < EACH {
        begin.execute([])?;
        for _ in 0..group {
            let Some(ticket) = plan.next() else { break };
            // As long as the event of a redemption.
            let event = [0_u8; 36];
            let changed = update.execute(params![NOW.0, event, DAY.0, ticket.code.as_str()])?;
            done += changed;
        }
        commit.execute([])?;
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

/// Runs the store with this many callers. Returns operations and commits a second, and operations.
async fn hot(
    folder: &Path,
    plan: &Arc<Plan>,
    callers: usize,
    limit: Duration,
) -> Result<(f64, f64, u64), Failure> {
    let store = Arc::new(open(folder)?);
    let begun = Instant::now();
    let calling = (0..callers).map(|_| {
        let (store, plan) = (Arc::clone(&store), Arc::clone(plan));
        tokio::spawn(async move {
            let mut done = 0;
            while begun.elapsed() < limit {
                let Some(ticket) = plan.next() else { break };
                let order: OrderRef = format!("order-{done:09}").parse()?;
                let redeem =
                    Action::Redeem { by: ticket.user.clone(), order, money: Default::default() };
                let applied = store.apply(&found(&plan, ticket), change(redeem, done)).await?;
                if !matches!(applied.outcome, Outcome::Accepted(_)) {
                    return Err(format!("{:?}", applied.outcome).into());
                }
                done += 1;
            }
            Ok::<usize, Failure>(done)
        })
    });
    let calling: Vec<_> = calling.collect();
    let mut done = 0;
    for caller in calling {
        done += caller.await??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let commits = store.gauge().commits as f64;
    Ok((done as f64 / seconds, commits / seconds, done as u64))
}

fn found(plan: &Plan, ticket: &Ticket) -> Found {
    let (code, owner) = (ticket.code.clone(), plan.owner.clone());
    Found::Coupon(Address { code, bucket_key: DAY.into(), owner, minted: false, hint: None })
}

/// Checks that the counts of the store equal the redemptions.
async fn check(folder: &Path, plan: &Plan, redeemed: u64) -> Result<(), Failure> {
    let row = open(folder)?.campaign(&plan.owner.campaign, NOW).await?.ok_or("no campaign")?;
    match row.counts.redeemed == redeemed {
        true => Ok(()),
        false => Err(format!("counted {}, redeemed {redeemed}", row.counts.redeemed).into()),
    }
}
