//! A recorded data folder, and the processes that work on it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::json;
use tempfile::TempDir;

use super::client::Client;
use super::data::{Data, Ran, Server};
use super::finished::{HEADER, copy_all, files};
use super::known::Known;
use super::recorder::Recorder;

/// A folder in memory: nothing here needs a disk that outlives the machine.
pub(super) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => TempDir::with_prefix_in("couponry-power-", memory),
        false => TempDir::with_prefix("couponry-power-"),
    };
    folder.expect("temporary folder")
}

/// The recorded folder: `data`, and the backups beside it.
pub(super) struct World {
    folder: TempDir,
    pub(super) data: Data,
    pub(super) recorder: Recorder,
    /// How much is known. Held while a note is written, so that the number is right.
    known: Mutex<usize>,
}

impl World {
    /// With what `before` has, which counts as durable.
    pub(super) fn new(before: Option<&World>) -> World {
        let folder = scratch();
        let root = folder.path().canonicalize().expect("a folder").join("root");
        fs::create_dir(&root).expect("a folder");
        let mut known = 0;
        if let Some(before) = before {
            copy_all(&before.root(), &root);
            let library = before.folder.path().join("recorder.so");
            fs::copy(library, folder.path().join("recorder.so")).expect("the library");
        }
        let recorder = Recorder::new(folder.path(), &root);
        if let Some(before) = before {
            for one in Known::all(&before.recorder.steps()) {
                recorder.note(&one.note());
                known += 1;
            }
        }
        World { folder, data: Data::within(&root), recorder, known: Mutex::new(known) }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.data.folder().to_owned()
    }

    /// Writes down that this is acknowledged.
    pub(super) fn tell(&self, known: &Known) {
        let mut count = self.known.lock().expect("lock");
        self.recorder.note(&known.note());
        *count += 1;
    }

    pub(super) fn known(&self) -> usize {
        *self.known.lock().expect("lock")
    }

    /// Runs a command to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.data.command(arguments);
        self.recorder.load_into(&mut command);
        self.data.run_command(command)
    }

    #[track_caller]
    pub(super) fn must_run(&self, arguments: &[&str]) {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    }

    /// A token of an admin. The keys are durable when it is printed.
    pub(super) fn token(&self) -> String {
        let token = ["token", "--role", "admin", "--user", "root"];
        let mut ran = self.run(&token);
        if ran.code != Some(0) {
            // Before the first start, or after one that failed, there may be no key.
            self.must_run(&["key", "add", "--kind", "token"]);
            ran = self.run(&token);
        }
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let text = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            (name.to_owned(), fs::read_to_string(path).expect("a key"))
        };
        let keys = files(&self.data.path().join("keys"), ".key");
        self.tell(&Known::Keys(keys.iter().map(text).collect::<BTreeMap<_, _>>()));
        ran.stdout.trim().to_owned()
    }

    /// `serve` that does not compact by itself, whose calls may fail.
    pub(super) fn serve(&self) -> Server {
        self.data.serve_with(|command| {
            command.args(["--compact-every", "0", "--free-min-mib", "0"]);
            self.recorder.load_failing_into(command);
        })
    }

    /// Imports lines under [`HEADER`] by the command, and tells their codes.
    pub(super) fn import(&self, batch: &str, lines: &[String]) {
        let path = self.folder.path().join(format!("{batch}.csv"));
        fs::write(&path, format!("{HEADER}{}", lines.concat())).expect("a file to import");
        let path = path.to_str().expect("UTF-8");
        self.must_run(&["import", path, "--campaign", "c", "--batch", batch]);
        self.tell(&Known::Imported { codes: codes(lines) });
    }

    /// Issues a coupon to `user`, who redeems it if `redeems`. Tells what was acknowledged.
    ///
    /// # Errors
    /// What was answered instead.
    pub(super) fn customer(
        &self,
        client: &mut Client,
        user: &str,
        redeems: bool,
    ) -> Result<(), String> {
        let mut asked = |path: &str, body: serde_json::Value| match client.try_call(
            "POST",
            path,
            Some(&body),
        ) {
            Ok(answer) if answer.is_good() => Ok(answer),
            Ok(answer) => Err(format!("{} {}", answer.status, answer.problem())),
            Err(lost) => Err(lost.to_string()),
        };
        let issued = asked("/v1/campaigns/c/issue", json!({"user_id": user}))?;
        let code = issued.field("code");
        self.tell(&Known::Issued { code: code.clone(), user: user.to_owned() });
        if redeems {
            let order = format!("order-{user}");
            let body = json!({"user_id": user, "order_ref": order});
            asked(&format!("/v1/coupons/{code}/redeem"), body)?;
            self.tell(&Known::Redeemed { code, order });
        }
        Ok(())
    }
}

/// The codes of lines to import.
pub(super) fn codes(lines: &[String]) -> Vec<String> {
    let code = |line: &String| line.split(',').next().unwrap_or_default().to_owned();
    lines.iter().map(code).collect()
}
