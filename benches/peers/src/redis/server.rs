//! The Redis that the peer starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use super::Store;
use crate::child::{Child, End};
use crate::{Failure, Fsync};

/// Longest start: it may have a log to read.
const START_WAIT: Duration = Duration::from_secs(120);

/// A Redis for this process. It ends with this value.
pub(crate) struct Server {
    // In drop order: the server before its folders.
    child: Child,
    sockets: TempDir,
    log: PathBuf,
    _temporary: Option<TempDir>,
}

impl Server {
    /// Starts a server with its log of writes in `data`.
    ///
    /// # Errors
    /// If there is no `redis-server`, or it refuses the folder.
    pub(crate) fn start(data: Option<PathBuf>, fsync: Fsync) -> Result<Server, Failure> {
        let sockets = TempDir::with_prefix("peer-socket-")?;
        let (data, temporary, end) = match data {
            Some(data) => (std::path::absolute(data)?, None, End::Orderly(Signal::TERM)),
            None => {
                let folder = TempDir::with_prefix("peer-redis-")?;
                (folder.path().to_owned(), Some(folder), End::AtOnce(Signal::TERM))
            }
        };
        fs::create_dir_all(&data)?;
        let arguments = arguments(&data, &socket(&sockets), fsync);
        let log = sockets.path().join("log");
        let child = Child::start(Path::new("redis-server"), &arguments, None, end, &log)?;
        Ok(Server { child, sockets, log, _temporary: temporary })
    }

    /// Its coupons.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) async fn store(&mut self) -> Result<Store, Failure> {
        let client = redis::Client::open(format!("unix://{}", socket(&self.sockets).display()))?;
        let begun = Instant::now();
        loop {
            let told = match ready(&client).await {
                Ok(()) => return Store::open(&client).await,
                Err(told) => told,
            };
            self.child.running().map_err(|ended| {
                format!("{ended}: {}", fs::read_to_string(&self.log).unwrap_or_default())
            })?;
            if begun.elapsed() > START_WAIT {
                return Err(told);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The process.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

/// Waits until its log is read: before that it answers that it is loading.
async fn ready(client: &redis::Client) -> Result<(), Failure> {
    let mut connection = client.get_multiplexed_async_connection().await?;
    let () = redis::cmd("PING").query_async(&mut connection).await?;
    Ok(())
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("redis.sock")
}

fn arguments(data: &Path, socket: &Path, fsync: Fsync) -> Vec<String> {
    let fsync = match fsync {
        Fsync::Always => "always",
        Fsync::Everysec => "everysec",
    };
    let (data, socket) = (data.display().to_string(), socket.display().to_string());
    let settings = [
        ("--port", "0"),
        ("--unixsocket", &socket),
        ("--dir", &data),
        ("--appendonly", "yes"),
        ("--appendfsync", fsync),
        ("--save", ""),
        ("--daemonize", "no"),
    ];
    settings.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]).collect()
}
