//! The PostgreSQL that the peer starts: its folder and settings.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use rustix::process::{Signal, geteuid};
use tempfile::TempDir;
use tokio_postgres::NoTls;

use super::Store;
use crate::child::{self, Child, End};
use crate::{Failure, Issue};

/// The best number that was tried: see README.md.
pub(crate) const CONNECTIONS: usize = 16;

/// Where PostgreSQL 15 may be.
const PLACES: [&str; 2] = ["/usr/lib/postgresql/15/bin", "/usr/local/bin"];

/// The user that runs it if this process is root, because PostgreSQL refuses to run as root.
const USER: &str = "postgres";

/// Longest start: it may have to recover.
const START_WAIT: Duration = Duration::from_secs(120);

/// Written after the load, so that an incomplete load is never measured.
const LOADED_MARK: &str = "peer-loaded";

/// Connections besides the pool, for psql.
const CONNECTIONS_SPARE: usize = 10;

/// What differs from the default. Each has its reason in README.md.
const SETTINGS: [(&str, &str); 28] = [
    ("listen_addresses", ""),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("wal_sync_method", "fdatasync"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("wal_compression", "lz4"),
    ("wal_buffers", "64MB"),
    ("max_wal_size", "16GB"),
    ("min_wal_size", "4GB"),
    ("checkpoint_timeout", "30min"),
    ("checkpoint_completion_target", "0.9"),
    ("shared_buffers", "4GB"),
    ("huge_pages", "try"),
    ("effective_cache_size", "16GB"),
    ("maintenance_work_mem", "1GB"),
    ("max_parallel_workers_per_gather", "0"),
    ("random_page_cost", "1.1"),
    ("effective_io_concurrency", "200"),
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("bgwriter_lru_maxpages", "0"),
    ("autovacuum_naptime", "1min"),
    ("autovacuum_vacuum_cost_limit", "2000"),
    ("update_process_title", "off"),
    ("track_activities", "off"),
    ("log_min_messages", "fatal"),
];

/// A PostgreSQL for this process. It ends with this value.
pub(crate) struct Server {
    // In drop order: the server before its folders.
    child: Child,
    sockets: TempDir,
    data: PathBuf,
    log: PathBuf,
    connections: usize,
    _temporary: Option<TempDir>,
}

impl Server {
    /// Starts a server in `data`, which becomes a database if it is not one.
    ///
    /// # Errors
    /// If there is no PostgreSQL 15, or it refuses the folder.
    pub(crate) fn start(data: Option<PathBuf>, connections: usize) -> Result<Server, Failure> {
        let bin = PLACES.iter().map(Path::new).find(|place| place.join("postgres").exists());
        let bin = bin.ok_or("there is no PostgreSQL 15 in /usr/lib/postgresql/15/bin")?;
        let user = geteuid().is_root().then_some(USER);
        let sockets = TempDir::with_prefix("peer-socket-")?;
        given(sockets.path(), user)?;
        let (data, temporary, end) = match data {
            Some(data) => (std::path::absolute(data)?, None, End::Orderly(Signal::INT)),
            None => {
                let folder = TempDir::with_prefix("peer-postgres-")?;
                (folder.path().to_owned(), Some(folder), End::AtOnce(Signal::QUIT))
            }
        };
        initialized(bin, &data, user)?;
        let arguments = arguments(&data, sockets.path(), connections);
        let log = sockets.path().join("log");
        let child = Child::start(&bin.join("postgres"), &arguments, user, end, &log)?;
        Ok(Server { child, sockets, data, log, connections, _temporary: temporary })
    }

    /// Its coupons: `coupons` of them, or those of an earlier load of the folder.
    ///
    /// # Errors
    /// If it does not start, or an earlier load did not finish.
    pub(crate) async fn store(&mut self, issue: Issue, coupons: u64) -> Result<Store, Failure> {
        let pool = self.pool()?;
        self.up(&pool).await?;
        let store = Store::new(pool, issue);
        let mark = self.data.join(LOADED_MARK);
        if !mark.exists() {
            store.load(coupons).await.map_err(|failure| {
                format!("{} cannot be loaded, take another folder: {failure}", self.data.display())
            })?;
            fs::write(mark, "")?;
        }
        Ok(store)
    }

    /// The process.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    fn pool(&self) -> Result<Pool, Failure> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.sockets.path()).user(USER).dbname("postgres");
        // Connections are not checked: they live as long as the server.
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config, NoTls, recycling);
        Ok(Pool::builder(manager).max_size(self.connections).build()?)
    }

    async fn up(&mut self, pool: &Pool) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            let told = match pool.get().await {
                Ok(_) => return Ok(()),
                Err(told) => told,
            };
            self.child.running().map_err(|ended| {
                format!("{ended}: {}", fs::read_to_string(&self.log).unwrap_or_default())
            })?;
            if begun.elapsed() > START_WAIT {
                return Err(told.into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn arguments(data: &Path, sockets: &Path, connections: usize) -> Vec<String> {
    let mut arguments = vec!["-D".to_owned(), data.display().to_string()];
    arguments.extend(["-k".to_owned(), sockets.display().to_string()]);
    let most = ("max_connections", (connections + CONNECTIONS_SPARE).to_string());
    let settings = SETTINGS.iter().map(|(name, value)| (*name, (*value).to_owned()));
    for (name, value) in settings.chain([most]) {
        arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    arguments
}

fn initialized(bin: &Path, data: &Path, user: Option<&str>) -> Result<(), Failure> {
    if data.join("PG_VERSION").exists() {
        return Ok(());
    }
    fs::create_dir_all(data)?;
    given(data, user)?;
    let made = child::as_user(&bin.join("initdb"), user, None)
        // Compared by byte, as in couponry. Large segments, so that few are made.
        .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--wal-segsize=64"])
        .args(["-U", USER, "-D"])
        .arg(data)
        .output()?;
    match made.status.success() {
        true => Ok(()),
        false => Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)).into()),
    }
}

/// Gives the folder to the user.
fn given(folder: &Path, user: Option<&str>) -> Result<(), Failure> {
    let Some(user) = user else { return Ok(()) };
    let status =
        std::process::Command::new("chown").arg(format!("{user}:")).arg(folder).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{} cannot be given to {user}", folder.display()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_reason() {
        let readme = include_str!("../../README.md");
        for (name, _) in SETTINGS {
            assert!(readme.contains(&format!("`{name}`")), "{name} is not in README.md");
        }
    }
}
