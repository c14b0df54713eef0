//! The cost of a redemption and an issue on a cluster, beside the least possible with a driver: bare loops
//! that send the same conditional statements to the same three nodes of Apache Cassandra in the same run,
//! 16 in flight.
//!
//! `cargo bench -p couponry --bench cluster`; `COUPONRY_BENCH_ROWS` for another size. The nodes, the
//! services and their clients share one machine: only the ratios mean something.

use std::error::Error;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cql_session::KeyspaceAddress;
use cql_session::{Keyspace, SchemaOptions};
use hot_cql::CqlOptions;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use serde_json::{Value, json};
use testcluster::TestCluster;

type Failure = Box<dyn Error + Send + Sync>;

const COUPONRY: &str = env!("CARGO_BIN_EXE_couponry");

/// Requests under way at a time. With 64, three nodes on a machine with two cores pass their own time limits.
const IN_FLIGHT: usize = 16;

/// Coupons of each line of the table.
const ROWS_DEFAULT: usize = 4_000;

/// Processes that issue from one campaign.
const PROCESSES: [usize; 3] = [1, 2, 4];

/// Parts of a measurement. The lines of a table take turns, part by part.
const ROUNDS: usize = 4;

/// Buckets of the day of the bare loops, as many as a partition of couponry has.
const PLACES: i32 = 4_096;

fn main() -> Result<(), Failure> {
    let rows = match std::env::var("COUPONRY_BENCH_ROWS") {
        Ok(text) => text.parse()?,
        Err(_) => ROWS_DEFAULT,
    };
    let Some(cluster) = TestCluster::start(3) else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(&cluster, rows))
}

async fn run(cluster: &TestCluster, rows: usize) -> Result<(), Failure> {
    let target: KeyspaceAddress = format!("cql://{}/bench", cluster.addresses()).parse()?;
    let options = CqlOptions::of(&target);
    Keyspace::connect(&options.connection).await?.apply(&SchemaOptions::default()).await?;
    let session = SessionBuilder::new()
        .known_nodes(&options.connection.nodes)
        .use_keyspace(&options.connection.keyspace, true)
        .build()
        .await?;
    let bare = Arc::new(Bare::new(session).await?);
    let folder = tempfile::tempdir()?;
    let (mut serves, mut callers) = (Vec::new(), Vec::new());
    for number in 0..PROCESSES[PROCESSES.len() - 1] {
        let serve = Serve::start(folder.path(), number, &target)?;
        callers.push(Caller::new(&serve).await?);
        serves.push(serve);
    }
    println!("{rows} coupons a line, {IN_FLIGHT} in flight, three nodes on this machine");
    println!();
    redeem(&bare, &callers, rows).await?;
    println!();
    issue(&bare, &callers, rows).await
}

/// The first process issued the coupons and knows their versions, the second one does not. All
/// lines take turns, a part of their rows each, because the nodes become faster while they run.
async fn redeem(bare: &Arc<Bare>, callers: &[Caller], rows: usize) -> Result<(), Failure> {
    let [knows, knows_not, ..] = callers else { return Err("two processes at least".into()) };
    knows.campaign("redeem", rows * 3).await?;
    let codes = knows.issue_many("redeem", rows * 2).await?;
    // Like the coupons of couponry, each by a conditional write.
    bare.inserts(0..rows * 2).await?;
    let before = (statements(&callers[..1]).await?, statements(&callers[1..2]).await?);
    let mut lines = [Line::default(); 4];
    for part in parts(rows) {
        let other = part.start + rows..part.end + rows;
        lines[0].add(part.len(), bare.updates(part.clone()).await?);
        lines[1].add(part.len(), bare.reads_and_updates(other.clone()).await?);
        lines[2].add(part.len(), knows.redeem_many(&codes, part).await?);
        lines[3].add(other.len(), knows_not.redeem_many(&codes, other).await?);
    }
    let after = (statements(&callers[..1]).await?, statements(&callers[1..2]).await?);
    let [update, both, known, unknown] = lines.map(|line| line.rate());
    println!("| redeem | operations/s | ratio |");
    println!("|---|---|---|");
    println!("| bare conditional update | {update:.0} | |");
    println!("| bare read, then conditional update | {both:.0} | |");
    println!("| `serve`, version known | {known:.0} | {:.2} of the update |", known / update);
    println!("| `serve`, version unknown | {unknown:.0} | {:.2} of the two |", unknown / both);
    println!();
    println!("Statements a redeem, version known: {}", difference(&before.0, &after.0, rows));
    println!("Statements a redeem, version unknown: {}", difference(&before.1, &after.1, rows));
    Ok(())
}

async fn issue(bare: &Arc<Bare>, callers: &[Caller], rows: usize) -> Result<(), Failure> {
    for count in PROCESSES {
        callers[0].campaign(&format!("issue-{count}"), rows * 2).await?;
    }
    let before = statements(callers).await?;
    let mut insert = Line::default();
    let mut lines = PROCESSES.map(|_| Line::default());
    for part in parts(rows) {
        // After the coupons of the redemptions.
        let fresh = part.start + rows * 2..part.end + rows * 2;
        insert.add(part.len(), bare.inserts(fresh).await?);
        for (line, count) in lines.iter_mut().zip(PROCESSES) {
            let callers: Arc<[Caller]> = callers[..count].into();
            let began = Instant::now();
            at_once(part.clone(), |n| {
                let callers = Arc::clone(&callers);
                async move {
                    let caller = &callers[n % callers.len()];
                    caller.issue(&format!("issue-{}", callers.len()), n).await.map(drop)
                }
            })
            .await?;
            line.add(part.len(), began.elapsed());
        }
    }
    let after = statements(callers).await?;
    println!("| issue | operations/s | ratio |");
    println!("|---|---|---|");
    println!("| bare INSERT IF NOT EXISTS | {:.0} | |", insert.rate());
    for (line, count) in lines.iter().zip(PROCESSES) {
        let ratio = line.rate() / insert.rate();
        println!("| `serve`, {count} process(es) | {:.0} | {ratio:.2} |", line.rate());
    }
    println!();
    println!("Statements an issue: {}", difference(&before, &after, rows * PROCESSES.len()));
    Ok(())
}

/// The work of one round.
fn parts(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..ROUNDS).map(move |round| rows * round / ROUNDS..rows * (round + 1) / ROUNDS)
}

/// One line of a table, over all rounds.
#[derive(Clone, Copy, Default)]
struct Line {
    operations: usize,
    took: Duration,
}

impl Line {
    fn add(&mut self, operations: usize, took: Duration) {
        self.operations += operations;
        self.took += took;
    }

    /// Operations a second.
    fn rate(&self) -> f64 {
        self.operations as f64 / self.took.as_secs_f64()
    }
}

/// Runs a call for each of `calls`, at most `IN_FLIGHT` at the same time.
async fn at_once<F>(calls: Range<usize>, call: impl Fn(usize) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    let mut calls_left = calls.map(&call);
    for one in calls_left.by_ref().take(IN_FLIGHT) {
        tasks.spawn(one);
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
        if let Some(one) = calls_left.next() {
            tasks.spawn(one);
        }
    }
    Ok(())
}

/// The same statements, without couponry.
struct Bare {
    session: Session,
    read: PreparedStatement,
    update: PreparedStatement,
    insert: PreparedStatement,
}

impl Bare {
    async fn new(session: Session) -> Result<Bare, Failure> {
        let prepare = async |cql: &str| -> Result<PreparedStatement, Failure> {
            let mut prepared = session.prepare(cql).await?;
            prepared.set_consistency(Consistency::LocalQuorum);
            prepared.set_serial_consistency(Some(SerialConsistency::LocalSerial));
            Ok(prepared)
        };
        // Another day.
        let insert = prepare(
            "INSERT INTO coupon (expiry_day, bucket, code, version, state, holder, events) \
             VALUES ('2030-01-01', ?, ?, 1, 'issued', 'somebody', {1: {kind: 'issued', \
             at: 1795176000000, actor: 'shop:till', \
             operation: 018f3f3e-0000-7000-8000-000000000001, user_id: 'somebody', \
             reference: '990'}}) IF NOT EXISTS",
        );
        let read = prepare(
            "SELECT version, state, holder, events, hold, sealed FROM coupon \
             WHERE expiry_day = '2030-01-01' AND bucket = ? AND code = ?",
        );
        let update = prepare(
            "UPDATE coupon SET version = 2, state = 'redeemed', holder = 'somebody', \
             events[2] = {kind: 'redeemed', at: 1795176000000, actor: 'shop:till', \
             operation: 018f3f3e-0000-7000-8000-000000000000, user_id: 'somebody', \
             reference: '991'} WHERE expiry_day = '2030-01-01' AND bucket = ? AND code = ? \
             IF version = 1 AND sealed = null",
        );
        let (read, update, insert) = (read.await?, update.await?, insert.await?);
        Ok(Bare { session, read, update, insert })
    }

    async fn inserts(self: &Arc<Bare>, rows: Range<usize>) -> Result<Duration, Failure> {
        let began = Instant::now();
        at_once(rows, |n| {
            let bare = Arc::clone(self);
            async move {
                bare.session.execute_unpaged(&bare.insert, place(n)).await?;
                Ok(())
            }
        })
        .await?;
        Ok(began.elapsed())
    }

    async fn updates(self: &Arc<Bare>, rows: Range<usize>) -> Result<Duration, Failure> {
        let began = Instant::now();
        at_once(rows, |n| {
            let bare = Arc::clone(self);
            async move {
                bare.session.execute_unpaged(&bare.update, place(n)).await?;
                Ok(())
            }
        })
        .await?;
        Ok(began.elapsed())
    }

    async fn reads_and_updates(self: &Arc<Bare>, rows: Range<usize>) -> Result<Duration, Failure> {
        let began = Instant::now();
        at_once(rows, |n| {
            let bare = Arc::clone(self);
            async move {
                bare.session.execute_unpaged(&bare.read, place(n)).await?;
                bare.session.execute_unpaged(&bare.update, place(n)).await?;
                Ok(())
            }
        })
        .await?;
        Ok(began.elapsed())
    }
}

fn place(n: usize) -> (i32, String) {
    // Spread as codes are.
    let bucket = (n as i64 * 2_654_435_761 % i64::from(PLACES)) as i32;
    (bucket, format!("CODE{n:012}"))
}

/// A process of couponry. It ends when this is dropped.
struct Serve {
    process: Child,
    address: String,
    token: String,
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Serve {
    fn start(folder: &Path, number: usize, target: &KeyspaceAddress) -> Result<Serve, Failure> {
        let data = folder.join(format!("node-{number}"));
        let first = folder.join("node-0").join("keys");
        if number > 0 && !data.join("keys").exists() {
            copy_keys(&first, &data.join("keys"))?;
        }
        let command = |arguments: &[&str]| {
            let mut command = Command::new(COUPONRY);
            command.args(arguments).arg("--data").arg(&data).env("COUPONRY_LOG", "warn");
            command
        };
        if !data.join("keys").exists() {
            command(&["key", "add", "--kind", "token"]).output()?;
        }
        let token = command(&["token", "--role", "admin", "--user", "bench"]).output()?;
        let token = String::from_utf8(token.stdout)?.trim().to_owned();
        let target = target.to_string();
        let mut process = command(&["serve", "--listen", "127.0.0.1:0", "--hot", &target])
            .arg("--cold")
            .arg(folder.join("cold"))
            .stdout(Stdio::piped())
            .spawn()?;
        let banner = BufReader::new(process.stdout.take().ok_or("no banner")?);
        for line in banner.lines() {
            let line = line?;
            if let Some(address) = line.trim().strip_prefix("address") {
                let address = address.trim().to_owned();
                return Ok(Serve { process, address, token });
            }
        }
        Err("the service did not start".into())
    }
}

/// A second process reads the codes and tokens of the first.
fn copy_keys(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to)?;
    for file in std::fs::read_dir(from)? {
        let file = file?;
        std::fs::copy(file.path(), to.join(file.file_name()))?;
    }
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700))?;
    Ok(())
}

#[derive(Clone)]
struct Caller {
    client: reqwest::Client,
    address: String,
    token: String,
}

impl Caller {
    async fn new(serve: &Serve) -> Result<Caller, Failure> {
        let client = reqwest::Client::builder().pool_max_idle_per_host(IN_FLIGHT).build()?;
        Ok(Caller { client, address: serve.address.clone(), token: serve.token.clone() })
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let url = format!("{}{path}", self.address);
        let sent = self.client.post(url).bearer_auth(&self.token).json(body).send().await?;
        let status = sent.status();
        let answer: Value = sent.json().await?;
        match status.is_success() {
            true => Ok(answer),
            false => Err(format!("{path}: {status}: {answer}").into()),
        }
    }

    async fn campaign(&self, id: &str, stock: usize) -> Result<(), Failure> {
        let body = json!({
            "campaign_id": id, "name": id, "stock": stock, "expires_on": "2029-12-31",
        });
        self.post("/v1/campaigns", &body).await.map(drop)
    }

    async fn issue(&self, campaign: &str, n: usize) -> Result<String, Failure> {
        let body = json!({ "user_id": format!("user-{n}"), "issue_ref": format!("ref-{n}") });
        let answer = self.post(&format!("/v1/campaigns/{campaign}/issue"), &body).await?;
        Ok(answer["code"].as_str().unwrap_or_default().to_owned())
    }

    async fn issue_many(&self, campaign: &str, count: usize) -> Result<Vec<String>, Failure> {
        let codes = Arc::new(std::sync::Mutex::new(vec![String::new(); count]));
        at_once(0..count, |n| {
            let (caller, campaign, codes) = (self.clone(), campaign.to_owned(), Arc::clone(&codes));
            async move {
                let code = caller.issue(&campaign, n).await?;
                codes.lock().map_err(|_| "poisoned")?[n] = code;
                Ok(())
            }
        })
        .await?;
        let codes = codes.lock().map_err(|_| "poisoned")?.clone();
        Ok(codes)
    }

    /// Redeems some of the coupons that [`Caller::issue_many`] has issued.
    async fn redeem_many(
        &self,
        codes: &[String],
        which: Range<usize>,
    ) -> Result<Duration, Failure> {
        let codes: Arc<[String]> = codes.into();
        let began = Instant::now();
        at_once(which, |n| {
            let (caller, codes) = (self.clone(), Arc::clone(&codes));
            async move {
                let body = json!({ "user_id": format!("user-{n}"), "order_ref": "991" });
                let path = format!("/v1/coupons/{}/redeem", codes[n]);
                caller.post(&path, &body).await.map(drop)
            }
        })
        .await?;
        Ok(began.elapsed())
    }

    async fn metrics(&self) -> Result<String, Failure> {
        let sent = self.client.get(format!("{}/metrics", self.address)).send().await?;
        Ok(sent.text().await?)
    }
}

/// Statements that services have sent to the cluster: reads, writes, conditional writes.
async fn statements(of: &[Caller]) -> Result<[f64; 3], Failure> {
    // The writes of each second are done.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let mut sum = [0.0; 3];
    for caller in of {
        let text = caller.metrics().await?;
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
            line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
        };
        sum[0] += value("couponry_hot_reads_total");
        sum[1] += value("couponry_hot_writes_total");
        sum[2] += value("couponry_hot_commits_total");
    }
    Ok(sum)
}

fn difference(before: &[f64; 3], after: &[f64; 3], rows: usize) -> String {
    let each = |at: usize| (after[at] - before[at]) / rows as f64;
    // Writes include the conditional ones.
    let (reads, conditional) = (each(0), each(2));
    let plain = each(1) - conditional;
    format!("{reads:.2} reads, {conditional:.2} conditional writes, {plain:.2} plain writes")
}
