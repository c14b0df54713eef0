//! A data folder with coupons in both tiers, for another process.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsStr;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use compactor::ClosedPolicy;
use tempfile::TempDir;

use crate::world::World;

/// The key that signs tokens in these tests.
pub(crate) const TOKEN_KEY: [u8; 32] = [7; 32];

pub(crate) struct TestData {
    folder: TempDir,
}

impl TestData {
    /// Two settled partitions in cold, and an open one.
    pub(crate) fn new() -> TestData {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = runtime.block_on(async {
            let world = World::full().await;
            world.compact(ClosedPolicy::Now).await;
            world.folder
        });
        // Dropping it closes its connections, and the log is in the file.
        drop(runtime);
        let keys = folder.path().join("hot/keys");
        fs::create_dir_all(&keys).unwrap();
        let secret: String = TOKEN_KEY.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = format!(
            "kind = \"token\"\nid = \"t1\"\nmade_at = \"2026-01-01T00:00:00.000Z\"\n\
             secret = \"{secret}\"\n"
        );
        fs::write(keys.join("token-t1.key"), key).unwrap();
        TestData { folder }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Every byte of both stores.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for folder in ["cold", "hot"] {
            hash(&self.at(folder), &mut hasher);
        }
        hasher.finish()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_on(self.at("cold").as_os_str(), arguments)
    }

    /// With the cold tier elsewhere.
    pub(crate) fn command_on(&self, cold: &OsStr, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_couponry-history"));
        command
            .current_dir(self.folder.path())
            .env_clear()
            .arg("--data")
            .arg(self.at("hot"))
            .arg("--cold")
            .arg(cold)
            .args(["--log", "warn"])
            .args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ran::of(child.wait_with_output().unwrap())
    }
}

fn hash(path: &Path, hasher: &mut DefaultHasher) {
    if path.is_dir() {
        let mut inside: Vec<_> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        inside.sort();
        inside.iter().for_each(|path| hash(path, hasher));
        return;
    }
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    // Processes that share the file coordinate with this one. The log itself must be empty.
    if name.ends_with("-shm") {
        return;
    }
    let bytes = fs::read(path).unwrap();
    if !bytes.is_empty() {
        (path, bytes).hash(hasher);
    }
}

/// Without the lines such as "read 54 coupons, 10/s": a query that takes seconds, because the
/// machine stops, shows its progress.
fn without_progress(err: &str) -> String {
    let is_progress = |line: &str| line.starts_with("read ") && line.ends_with("/s\n");
    err.split_inclusive('\n').filter(|line| !is_progress(line)).collect()
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: without_progress(&String::from_utf8_lossy(&output.stderr)),
        }
    }
}
