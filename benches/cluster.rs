//! What a redemption and an issue cost on a cluster, beside the least that a driver can do it for:
//! bare loops that send the same conditional statements to the same three nodes of Apache Cassandra
//! in the same run, 64 in flight.
//!
//! `cargo bench -p couponry --bench cluster`; `COUPONRY_BENCH_ROWS` for another size. The nodes, the
//! services and their clients share one machine: only the ratios mean something.

use std::error::Error;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hot::cql::{Keyspace, Options, SchemaOptions, Target};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use serde_json::{Value, json};
use testcluster::Cluster;

type Failure = Box<dyn Error + Send + Sync>;

const COUPONRY: &str = env!("CARGO_BIN_EXE_couponry");

/// Requests under way at a time.
const IN_FLIGHT: usize = 64;

/// Coupons of each line of the table.
const ROWS_DEFAULT: usize = 4_000;

/// Places of the bare loops' day, as a day of couponry has.
const PLACES: i32 = 4_096;

fn main() -> Result<(), Failure> {
    let rows = match std::env::var("COUPONRY_BENCH_ROWS") {
        Ok(text) => text.parse()?,
        Err(_) => ROWS_DEFAULT,
    };
    let Some(cluster) = Cluster::start(3) else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(&cluster, rows))
}

async fn run(cluster: &Cluster, rows: usize) -> Result<(), Failure> {
    let target: Target = format!("cql://{}/bench", cluster.addresses()).parse()?;
    let options = Options::of(&target);
    Keyspace::connect(&options).await?.apply(&SchemaOptions::default()).await?;
    let session = SessionBuilder::new()
        .known_nodes(&options.nodes)
        .use_keyspace(&options.keyspace, true)
        .build()
        .await?;
    let bare = Arc::new(Bare::new(session).await?);
    println!("{rows} coupons a line, {IN_FLIGHT} in flight, three nodes on this machine");
    println!();

    // The nodes' own caches and compilers warm up on the first line, which is not shown.
    bare.fill(rows).await?;
    bare.updates(rows, 0).await?;

    let folder = tempfile::tempdir()?;
    let mut serves = vec![Serve::start(folder.path(), 0, &target)?];
    let caller = Caller::new(&serves[0]).await?;
    caller.campaign("redeem", rows * 3).await?;
    let codes = caller.issue_many("redeem", rows * 2).await?;

    println!("| redeem | operations/s | ratio |");
    println!("|---|---|---|");
    bare.fill(rows).await?;
    let update = bare.updates(rows, 0).await?;
    println!("| bare conditional update | {update:.0} | |");
    bare.fill(rows).await?;
    let both = bare.reads_and_updates(rows).await?;
    println!("| bare read, then conditional update | {both:.0} | |");
    let before = caller.statements().await?;
    let known = caller.redeem_many(&codes[..rows]).await?;
    let after = caller.statements().await?;
    println!("| `serve`, version known | {known:.0} | {:.2} of the update |", known / update);
    // A new process knows no version.
    drop(serves);
    let again = Serve::start(folder.path(), 0, &target)?;
    let caller = Caller::new(&again).await?;
    let cold_before = caller.statements().await?;
    let unknown = caller.redeem_many(&codes[rows..]).await?;
    let cold_after = caller.statements().await?;
    println!("| `serve`, version unknown | {unknown:.0} | {:.2} of the two |", unknown / both);
    println!();
    println!("Statements a redeem, version known: {}", difference(&before, &after, rows));
    println!(
        "Statements a redeem, version unknown: {}",
        difference(&cold_before, &cold_after, rows)
    );
    println!();

    println!("| issue | operations/s | ratio |");
    println!("|---|---|---|");
    let insert = bare.inserts(rows).await?;
    println!("| bare INSERT IF NOT EXISTS | {insert:.0} | |");
    serves = vec![again];
    for processes in [1, 2, 4] {
        while serves.len() < processes {
            serves.push(Serve::start(folder.path(), serves.len(), &target)?);
        }
        let mut callers = Vec::new();
        for serve in &serves {
            callers.push(Caller::new(serve).await?);
        }
        let campaign = format!("issue-{processes}");
        callers[0].campaign(&campaign, rows * 2).await?;
        let callers = Arc::new(callers);
        let began = Instant::now();
        at_once(rows, |n| {
            let (callers, campaign) = (Arc::clone(&callers), campaign.clone());
            async move { callers[n % callers.len()].issue(&campaign, n).await.map(drop) }
        })
        .await?;
        let rate = rows as f64 / began.elapsed().as_secs_f64();
        println!("| `serve`, {processes} process(es) | {rate:.0} | {:.2} |", rate / insert);
    }
    Ok(())
}

/// Runs `calls` calls, so many at a time as are allowed.
async fn at_once<F>(calls: usize, call: impl Fn(usize) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    let mut calls_left = (0..calls).map(&call);
    for _ in 0..IN_FLIGHT {
        if let Some(one) = calls_left.next() {
            tasks.spawn(one);
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
        next.fetch_add(1, Ordering::Relaxed);
        if let Some(one) = calls_left.next() {
            tasks.spawn(one);
        }
    }
    Ok(())
}

/// The same statements without anything around them.
struct Bare {
    session: Session,
    fill: PreparedStatement,
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
        // A day of its own, 2030-01-01.
        let fill = prepare(
            "INSERT INTO coupon (shelf_day, bucket, code, version, state, holder) \
             VALUES ('2030-01-01', ?, ?, 1, 'issued', 'somebody')",
        );
        let read = prepare(
            "SELECT version, state, holder, events, hold, sealed FROM coupon \
             WHERE shelf_day = '2030-01-01' AND bucket = ? AND code = ?",
        );
        let update = prepare(
            "UPDATE coupon SET version = 2, state = 'redeemed', holder = 'somebody', \
             events[2] = {kind: 'redeemed', at: 1795176000000, actor: 'shop:till', \
             operation: 018f3f3e-0000-7000-8000-000000000000, user_id: 'somebody', \
             reference: '991'} WHERE shelf_day = '2030-01-01' AND bucket = ? AND code = ? \
             IF version = 1 AND sealed = null",
        );
        let insert = prepare(
            "INSERT INTO coupon (shelf_day, bucket, code, version, state, holder) \
             VALUES ('2030-01-02', ?, ?, 1, 'issued', 'somebody') IF NOT EXISTS",
        );
        let (fill, read) = (fill.await?, read.await?);
        let (update, insert) = (update.await?, insert.await?);
        Ok(Bare { session, fill, read, update, insert })
    }

    async fn fill(self: &Arc<Bare>, rows: usize) -> Result<(), Failure> {
        at_once(rows, |n| {
            let bare = Arc::clone(self);
            async move {
                bare.session.execute_unpaged(&bare.fill, place(n)).await?;
                Ok(())
            }
        })
        .await
    }

    async fn updates(self: &Arc<Bare>, rows: usize, from: usize) -> Result<f64, Failure> {
        let began = Instant::now();
        at_once(rows, |n| {
            let bare = Arc::clone(self);
            async move {
                bare.session.execute_unpaged(&bare.update, place(from + n)).await?;
                Ok(())
            }
        })
        .await?;
        Ok(rows as f64 / began.elapsed().as_secs_f64())
    }

    async fn reads_and_updates(self: &Arc<Bare>, rows: usize) -> Result<f64, Failure> {
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
        Ok(rows as f64 / began.elapsed().as_secs_f64())
    }

    async fn inserts(self: &Arc<Bare>, rows: usize) -> Result<f64, Failure> {
        let began = Instant::now();
        at_once(rows, |n| {
            let bare = Arc::clone(self);
            async move {
                bare.session.execute_unpaged(&bare.insert, place(n)).await?;
                Ok(())
            }
        })
        .await?;
        Ok(rows as f64 / began.elapsed().as_secs_f64())
    }
}

fn place(n: usize) -> (i32, String) {
    // Spread as codes are.
    let bucket = (n as i64 * 2_654_435_761 % i64::from(PLACES)) as i32;
    (bucket, format!("CODE{n:012}"))
}

/// A process of couponry; ended when it is dropped.
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
    fn start(folder: &Path, number: usize, target: &Target) -> Result<Serve, Failure> {
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
        at_once(count, |n| {
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

    /// Redeems by their holders, in the order of their issue; operations a second.
    async fn redeem_many(&self, codes: &[String]) -> Result<f64, Failure> {
        let first = codes.first().cloned().unwrap_or_default();
        // Whose they are is looked up before the clock runs.
        let url = format!("{}/v1/coupons/{first}", self.address);
        let seen = self.client.get(url).bearer_auth(&self.token).send().await?;
        let seen: Value = seen.json().await?;
        let holder = seen["holder"].as_str().unwrap_or_default();
        let offset: usize = holder.trim_start_matches("user-").parse()?;
        let codes: Arc<Vec<String>> = Arc::new(codes.to_vec());
        let began = Instant::now();
        at_once(codes.len(), |n| {
            let (caller, codes) = (self.clone(), Arc::clone(&codes));
            async move {
                let body = json!({ "user_id": format!("user-{}", offset + n), "order_ref": "991" });
                let path = format!("/v1/coupons/{}/redeem", codes[n]);
                caller.post(&path, &body).await.map(drop)
            }
        })
        .await?;
        Ok(codes.len() as f64 / began.elapsed().as_secs_f64())
    }

    /// Statements that the service has sent to the cluster: reads, writes, conditional writes.
    async fn statements(&self) -> Result<[f64; 3], Failure> {
        // What is written once a second has been written.
        tokio::time::sleep(Duration::from_millis(2_200)).await;
        let text =
            self.client.get(format!("{}/metrics", self.address)).send().await?.text().await?;
        let of = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
            line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
        };
        Ok(["couponry_hot_reads_total", "couponry_hot_writes_total", "couponry_hot_commits_total"]
            .map(of))
    }
}

fn difference(before: &[f64; 3], after: &[f64; 3], rows: usize) -> String {
    let each = |at: usize| (after[at] - before[at]) / rows as f64;
    // Writes count the conditional ones too.
    let (reads, conditional) = (each(0), each(2));
    let plain = each(1) - conditional;
    format!("{reads:.2} reads, {conditional:.2} conditional writes, {plain:.2} plain writes")
}
