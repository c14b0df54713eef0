//! A disk that is almost full, full or read-only: writes are refused, reads work, and the service
//! recovers without a restart.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use testengines::Engine;

use super::client::Client;
use super::data::{Data, Server, despite_stalls, wait_until};

/// The checkpointer looks this often. If it is late, a log on a full disk has space again.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(50);

/// A disk in memory. It is removed when this is dropped.
pub(super) struct Disk {
    pub(super) at: PathBuf,
    _folder: TempDir,
}

pub(super) fn mount(arguments: &[&str]) -> bool {
    Command::new("mount").args(arguments).output().is_ok_and(|it| it.status.success())
}

pub(super) fn unmount(path: &Path) -> bool {
    Command::new("umount").arg(path).output().is_ok_and(|it| it.status.success())
}

impl Disk {
    /// `None` if this user may not mount.
    fn of(mib: u64) -> Option<Disk> {
        let folder = TempDir::with_prefix("couponry-disk-").expect("temporary folder");
        let at = folder.path().join("disk");
        fs::create_dir(&at).expect("mount point");
        let size = format!("size={mib}m");
        let mounted = mount(&["-t", "tmpfs", "-o", &size, "none", at.to_str().expect("UTF-8")]);
        mounted.then_some(Disk { at, _folder: folder })
    }

    /// Writes `mib` to it, or as much as fits. Returns the file.
    pub(super) fn ballast(&self, mib: u64) -> PathBuf {
        let path = self.at.join("ballast");
        let mut file = File::create(&path).expect("ballast");
        let page = vec![7; 4096];
        for _ in 0..mib << 8 {
            if file.write_all(&page).is_err() {
                break;
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let path = self.at.to_str().unwrap_or_default();
        // Lazily: the service may be on its way out.
        let _ = Command::new("umount").args(["-l", path]).output();
    }
}

pub(super) fn disk(mib: u64) -> Option<Disk> {
    Engine::ROOT.found("a disk that is full or read-only", || {
        Disk::of(mib).ok_or("it cannot be mounted".to_owned())
    })
}

/// The requests before, during and after the fault.
struct Scene {
    admin: Client,
    codes: Vec<String>,
}

const TERMS: &str = r#"{"campaign_id": "disk", "stock": 100000, "expires_on": "2031-12-31"}"#;

impl Scene {
    fn of(server: &Server, token: &str) -> Scene {
        let mut admin = server.client(token);
        let terms = serde_json::from_str(TERMS).expect("terms");
        admin.post("/v1/campaigns", &terms).must(201);
        let mut scene = Scene { admin, codes: Vec::new() };
        (0..20).for_each(|_| scene.issue());
        scene
    }

    fn ask(&mut self) -> super::client::Answer {
        let body = json!({"user_id": format!("u{}", self.codes.len())});
        self.admin.post("/v1/campaigns/disk/issue", &body)
    }

    fn issue(&mut self) {
        let code = self.ask().must(201).field("code");
        self.codes.push(code);
    }

    fn is_writable(&mut self) -> bool {
        let mut ready = Value::Null;
        // It is not ready if the store takes longer than two seconds.
        wait_until("a readable store", || {
            ready = self.admin.get("/readyz").json();
            ready["ready"] == true
        });
        ready["writable"].as_bool().expect("a flag")
    }

    /// Checks that writes are refused with the right problem, and reads work.
    fn refuses(&mut self, name: &str) {
        let refused = self.ask().refused(503, "STORE_FULL");
        assert_eq!(refused.field("retry"), "later", "{name}");
        let wait: Option<u64> = refused.header("retry-after").and_then(|text| text.parse().ok());
        assert!(wait.is_some_and(|seconds| seconds > 0), "{name}: {refused:?}");
        self.everything_is_there(name);
        assert!(!self.is_writable(), "{name}: /readyz says writable");
        self.admin.get("/healthz").must(200);
    }

    fn everything_is_there(&mut self, name: &str) {
        for (nth, code) in self.codes.clone().iter().enumerate() {
            let coupon = self.admin.get(&format!("/v1/coupons/{code}")).must(200).json();
            assert_eq!(coupon["holder"], format!("u{nth}"), "{name}");
        }
    }

    fn recovers(&mut self, name: &str) {
        wait_until("a writable disk", || self.is_writable());
        (0..20).for_each(|_| self.issue());
        self.everything_is_there(name);
    }
}

#[test]
fn short_of_space() {
    let Some(disk) = disk(320) else { return };
    let data = Data::within(&disk.at);
    let token = data.token("admin", "root");
    let server = data.serve();
    let mut scene = Scene::of(&server, &token);
    assert!(scene.is_writable());
    let ballast = disk.ballast(80);
    scene.refuses("below 256 MiB free");
    fs::remove_file(ballast).expect("ballast");
    scene.recovers("below 256 MiB free");
    server.stop();
    let server = data.serve();
    scene.admin = server.client(&token);
    scene.everything_is_there("after a restart");
    server.stop();
}

#[test]
fn really_full() {
    despite_stalls(CHECKPOINT_EVERY, really_full_once);
}

fn really_full_once() {
    let Some(disk) = disk(32) else { return };
    let data = Data::within(&disk.at);
    let token = data.token("admin", "root");
    let limit = |command: &mut Command| {
        command.args(["--free-min-mib", "0"]);
    };
    let server = data.serve_with(limit);
    let mut scene = Scene::of(&server, &token);
    let ballast = disk.ballast(64);
    // The log has free space from before. The disk is full when that is used.
    let mut full = None;
    for _ in 0..20_000 {
        let answer = scene.ask();
        match answer.status {
            201 => scene.codes.push(answer.field("code")),
            _ => {
                full = Some(answer);
                break;
            }
        }
    }
    full.expect("a full disk").refused(503, "STORE_FULL");
    for nth in 0..5 {
        let again = scene.ask();
        assert!(!again.is_good() || nth == 0, "{}", again.text());
        if again.is_good() {
            scene.codes.push(again.field("code"));
        }
    }
    scene.refuses("no byte left");
    fs::remove_file(ballast).expect("ballast");
    scene.recovers("no byte left");
    server.kill();
    let server = data.serve_with(limit);
    scene.admin = server.client(&token);
    scene.everything_is_there("after kill -9");
    server.stop();
}

/// A read-only mount over the folder: a remount of the disk itself is refused by the kernel while
/// a file on it is open for writing.
#[test]
fn read_only() {
    let Some(disk) = disk(320) else { return };
    let data = Data::within(&disk.at);
    let token = data.token("admin", "root");
    let server = data.serve();
    let mut scene = Scene::of(&server, &token);
    let path = data.path();
    let folder = path.to_str().expect("UTF-8");
    assert!(mount(&["--bind", folder, folder]), "bind mount");
    let read_only = mount(&["-o", "remount,bind,ro", folder]);
    if read_only {
        scene.refuses("read-only");
    }
    assert!(unmount(&path), "umount");
    assert!(read_only, "remount");
    scene.recovers("read-only");
    server.stop();
    // From the start it cannot even lock the folder; it says so and ends.
    assert!(mount(&["--bind", folder, folder]) && mount(&["-o", "remount,bind,ro", folder]));
    let ran = data.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(unmount(&path), "umount");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(folder), "{ran:?}");
    let server = data.serve();
    scene.admin = server.client(&token);
    scene.everything_is_there("after a restart");
    server.stop();
}
