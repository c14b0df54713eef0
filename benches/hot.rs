//! The cost of a redemption in the embedded store, beside the least possible with SQLite: a bare loop that
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
use coupon::campaign::{BatchKind, Campaign, Handout, MintedRun};
use coupon::code::Code;
use coupon::ids::{Actor, IssueRef, OperationId, OrderRef, UserId};
use coupon::minted::CodeKey;
use coupon::time::{Day, Millis};
use hot::{HotStore, MintOrder, NewCampaign};
use hot_sqlite::{FILE_NAME, Options, SqliteHot};
use router::{Address, Found, Owner};
use rusqlite::{Connection, params};

type Failure = Box<dyn Error + Send + Sync>;

const ROWS_DEFAULT: u64 = 2_000_000;

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
    let folder = tempfile::tempdir()?;
    let begun = Instant::now();
    let plan = Arc::new(runtime.block_on(build(folder.path(), rows))?);
    println!("{rows} issued coupons in {} s", begun.elapsed().as_secs());
    println!();
    println!(
        "| callers | bare loop, operations/s | HotStore::apply, operations/s | ratio | commits/s |"
    );
    println!("|---|---|---|---|---|");
    let mut redeemed = 0;
    for callers in CALLERS {
        let bare = bare(folder.path(), &plan, callers)?;
        let (hot, commits, count) = runtime.block_on(hot(folder.path(), &plan, callers))?;
        redeemed += count;
        println!("| {callers} | {bare:.0} | {hot:.0} | {:.2} | {commits:.0} |", hot / bare);
    }
    if plan.next.load(Ordering::Relaxed) >= plan.tickets.len() {
        return Err("ran out of coupons: set COUPONRY_BENCH_ROWS higher".into());
    }
    runtime.block_on(check(folder.path(), &plan, redeemed))
}

fn open(folder: &Path) -> Result<SqliteHot, Failure> {
    let options = Options { free_min_bytes: 0, ..Options::default() };
    Ok(SqliteHot::open(folder, vec![CodeKey::new(KEY)], Arc::new(hot::NoArchive), options)?)
}

fn campaign(rows: u64) -> Result<NewCampaign, Failure> {
    let campaign = Campaign {
        id: "winter".parse()?,
        name: "Winter".into(),
        handout: Handout::Shop,
        shared_code: None,
        code_prefix: None,
        valid_from: Millis(0),
        expires_at: DAY.end(),
        zone: Zone::utc(),
        valid_days: None,
        issue_from: None,
        issue_until: None,
        per_user_limit: Some(1),
        cancel_days: 30,
        extend_days: 30,
        paused: false,
        metadata: None,
        created_at: NOW,
    };
    let order = MintOrder { id: "stock".parse()?, count: rows, key: CodeKey::new(KEY).id() };
    Ok(NewCampaign { campaign, created_as: String::new(), first_batch: Some(order) })
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

fn user(number: u64) -> String {
    format!("user-{number:09}")
}

/// A store with `rows` issued coupons. The store issues one, and the others are copies of its row
/// with their own codes and holders. They have no claims, because a redeem by a holder reads no
/// claim.
async fn build(folder: &Path, rows: u64) -> Result<Plan, Failure> {
    let store = open(folder)?;
    let new = campaign(rows)?;
    let id = new.campaign.id.clone();
    store.create_campaign(new).await?;
    let sample = user(0);
    let reference: Option<IssueRef> = Some("checkout-000000000".parse()?);
    let issue = Action::Issue { to: sample.parse()?, reference, expires_at: None };
    store.issue(&id, change(issue, 0)).await?;
    let batch = store.batches(&id, None, 1).await?.pop().ok_or("no batch")?;
    let BatchKind::Minted(run) = batch.kind else { return Err("not minted".into()) };
    drop(store);
    let mut codes = codes_of(&run)?;
    let users = (0..rows).map(|number| user(number).parse()).collect::<Result<Vec<UserId>, _>>()?;
    copy_rows(folder, &codes, &users, &sample)?;
    let mut tickets: Vec<Ticket> =
        codes.drain(..).zip(users).map(|(code, user)| Ticket { code, user }).collect();
    shuffle(&mut tickets);
    let owner = Owner { campaign: id, batch: batch.id };
    Ok(Plan { tickets, next: AtomicUsize::new(0), owner })
}

fn codes_of(run: &MintedRun) -> Result<Vec<Code>, Failure> {
    let mut codes: Vec<Result<Code, _>> = Vec::new();
    let count = usize::try_from(run.count)?;
    CodeKey::new(KEY).mint_run(run.day, run.first, count, &mut |text| codes.push(text.parse()));
    Ok(codes.into_iter().collect::<Result<_, _>>()?)
}

fn copy_rows(folder: &Path, codes: &[Code], users: &[UserId], sample: &str) -> Result<(), Failure> {
    let conn = Connection::open(folder.join(FILE_NAME))?;
    conn.pragma_update(None, "journal_mode", "DELETE")?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    let indexes = conn
        .prepare(
            "SELECT name, sql FROM sqlite_schema \
             WHERE type = 'index' AND tbl_name = 'coupon' AND sql IS NOT NULL",
        )?
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    conn.execute_batch("BEGIN")?;
    for (name, _) in &indexes {
        conn.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    conn.execute_batch("CREATE TEMP TABLE sample AS SELECT * FROM coupon; DELETE FROM coupon")?;
    let mut copy = conn.prepare(
        "INSERT INTO coupon SELECT NULL, expiry_day, ?1, campaign, batch, version, state, ?2, \
         valid_from, expires_at, made_expires_at, issued_at, redeemed_at, order_ref, hold, \
         replace(events, ?3, ?2), history_full, created_at, modified_at FROM sample",
    )?;
    // In the order of the serials, in which they are issued.
    for (code, user) in codes.iter().zip(users) {
        copy.execute(params![code.as_str(), user.as_str(), sample])?;
    }
    drop(copy);
    for (_, sql) in &indexes {
        conn.execute_batch(sql)?;
    }
    conn.execute("UPDATE campaign SET issued = stock", [])?;
    conn.execute("UPDATE batch SET next_offset = count", [])?;
    conn.execute_batch("COMMIT")?;
    Ok(())
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
        "UPDATE coupon SET version = version + 1, state = 'redeemed', redeemed_at = ?1, \
         order_ref = ?2, events = events || char(10) || ?3, modified_at = ?1 \
         WHERE expiry_day = ?4 AND code = ?5 AND version = 1 AND state = 'issued'",
    )?;
    let (mut begin, mut commit) = (conn.prepare("BEGIN IMMEDIATE")?, conn.prepare("COMMIT")?);
    let (begun, mut done) = (Instant::now(), 0_usize);
    while begun.elapsed() < EACH {
        begin.execute([])?;
        for _ in 0..group {
            let Some(ticket) = plan.next() else { break };
            let order = format!("order-{done:09}");
            let event = format!(
                "{{\"kind\":\"redeemed\",\"at\":{},\"actor\":\"shop:checkout-7\",\
                 \"operation\":\"{done:032x}\",\"user\":\"{}\",\"reference\":\"{order}\"}}",
                NOW.0, ticket.user
            );
            let changed =
                update.execute(params![NOW.0, order, event, DAY.0, ticket.code.as_str()])?;
            done += changed;
        }
        commit.execute([])?;
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

/// Runs the store with this many callers. Returns operations and commits a second, and operations.
async fn hot(folder: &Path, plan: &Arc<Plan>, callers: usize) -> Result<(f64, f64, u64), Failure> {
    let store = Arc::new(open(folder)?);
    let begun = Instant::now();
    let calling = (0..callers).map(|_| {
        let (store, plan) = (Arc::clone(&store), Arc::clone(plan));
        tokio::spawn(async move {
            let mut done = 0;
            while begun.elapsed() < EACH {
                let Some(ticket) = plan.next() else { break };
                let order: OrderRef = format!("order-{done:09}").parse()?;
                let redeem = Action::Redeem { by: ticket.user.clone(), order };
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
    Found::Coupon(Address { code, bucket_key: DAY.into(), owner, minted: true })
}

/// Checks that the counts of the store equal the redemptions.
async fn check(folder: &Path, plan: &Plan, redeemed: u64) -> Result<(), Failure> {
    let row = open(folder)?.campaign(&plan.owner.campaign, NOW).await?.ok_or("no campaign")?;
    match row.counts.redeemed == redeemed {
        true => Ok(()),
        false => Err(format!("counted {}, redeemed {redeemed}", row.counts.redeemed).into()),
    }
}
