//! The order of syncs: a file of the cold tier is on the disk before it gets its name, the name
//! before hot is written, and the rows that it replaces are deleted after that. The system calls of
//! `couponry compact`, traced by `strace`, show it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testengines::Engine;

use super::data::{COUPONRY, Data};
use super::finished::{
    campaign, cold, day_that_is_over, files, import, left_over, redeemed, serve,
};

const TRACED: &str = "trace=openat,mkdir,mkdirat,fsync,fdatasync,link,linkat,rename,renameat,\
                      renameat2,write,writev,pwrite64,pwritev,pwritev2,ftruncate";
const WRITES: [&str; 6] = ["write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate"];
const SYNCS: [&str; 2] = ["fsync", "fdatasync"];
const NAMES: [&str; 5] = ["link", "linkat", "rename", "renameat", "renameat2"];
const FOLDERS: [&str; 2] = ["mkdir", "mkdirat"];

/// More bytes than a commit of marks writes, and fewer than the deletion of the coupons of these
/// tests.
const REMOVAL_BYTES: u64 = 64 << 10;

/// A system call that succeeded. The positions of its two lines in the trace are its times.
#[derive(Debug)]
struct Call {
    begun: usize,
    ended: usize,
    name: String,
    /// Its file, or the new name that it gives.
    path: PathBuf,
    /// The old name, if the call gives a new one.
    from: PathBuf,
    /// What it returned.
    bytes: u64,
}

impl Call {
    /// `None` for a line that is not a call, or for a failed call.
    fn parse(begun: usize, ended: usize, text: &str) -> Option<Call> {
        let (name, rest) = text.split_once('(')?;
        let (arguments, returned) = rest.rsplit_once(" = ")?;
        let returned = returned.split([' ', '<']).next()?;
        let bytes = returned.parse().ok()?;
        let quoted = || arguments.split('"').skip(1).step_by(2).map(PathBuf::from);
        let (from, path) = if NAMES.contains(&name) {
            (quoted().next()?, quoted().nth(1)?)
        } else if FOLDERS.contains(&name) || name == "openat" {
            (PathBuf::new(), quoted().next()?)
        } else {
            // `fsync(12</the/file>)`
            let path = arguments.split_once('<').map(|it| it.1)?.split('>').next()?;
            (PathBuf::new(), path.into())
        };
        Some(Call { begun, ended, name: name.to_owned(), path, from, bytes })
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }

    fn writes_to_hot(&self) -> bool {
        self.is_one_of(&WRITES) && self.path.ends_with("hot.db-wal")
    }
}

/// The calls of a trace, in the order in which they began.
fn calls(trace: &str) -> Vec<Call> {
    let mut open: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    let mut calls = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((process, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(begun) = text.strip_suffix("<unfinished ...>") {
            open.insert(process, (at, begun));
        } else if let Some(resumed) = text.strip_prefix("<... ") {
            let begun = open.remove(process);
            let whole = begun.zip(resumed.split_once(" resumed>"));
            calls.extend(whole.and_then(|((begun, head), (_, tail))| {
                Call::parse(begun, at, &format!("{head}{tail}"))
            }));
        } else {
            calls.extend(Call::parse(at, at, text));
        }
    }
    calls.sort_by_key(|call| call.begun);
    calls
}

#[test]
fn parsed() {
    let trace = "7 mkdir(\"/d/cold\", 0777) = 0\n\
                 7 fsync(4</d/cold/.staging/a#1> <unfinished ...>\n\
                 8 pwrite64(9</d/hot.db-wal>, \"\"..., 32, 0) = 32\n\
                 8 linkat(AT_FDCWD</d>, \"/d/x\", AT_FDCWD</d>, \"/d/y\", 0) = -1 EEXIST (File exists)\n\
                 7 <... fsync resumed>)     = 0\n\
                 7 linkat(AT_FDCWD</d>, \"/d/a\", AT_FDCWD</d>, \"/d/b\", 0) = 0\n\
                 8 +++ exited with 0 +++\n";
    let found: Vec<String> = calls(trace)
        .iter()
        .map(|it| {
            let (from, path) = (it.from.display(), it.path.display());
            format!("{}-{} {} {from} {path} {}", it.begun, it.ended, it.name, it.bytes)
        })
        .collect();
    let want = [
        "0-0 mkdir  /d/cold 0",
        "1-4 fsync  /d/cold/.staging/a#1 0",
        "2-2 pwrite64  /d/hot.db-wal 32",
        "5-5 linkat /d/a /d/b 0",
    ];
    assert_eq!(found, want);
}

/// One run of `couponry compact`, call by call.
struct Traced {
    calls: Vec<Call>,
    cold: PathBuf,
}

impl Traced {
    fn run(data: &Data, more: &[&str]) -> Traced {
        let trace = data.folder().join("trace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-s", "0", "-e", TRACED, "-o"]).arg(&trace).arg(COUPONRY);
        let ours = data.command(["compact"].iter().chain(more));
        strace.args(ours.get_args()).current_dir(data.folder());
        for (name, value) in ours.get_envs() {
            match value {
                Some(value) => strace.env(name, value),
                None => strace.env_remove(name),
            };
        }
        let output = strace.output().expect("strace runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let trace = fs::read_to_string(&trace).expect("the trace");
        Traced { calls: calls(&trace), cold: cold(data) }
    }

    /// The calls of [`Traced::named`] without the index and the list of complete days, which are written later.
    fn committed(&self) -> Vec<&Call> {
        let beside = ["holder_index", "complete_days"].map(|name| self.cold.join(name));
        let is_beside = |call: &Call| beside.iter().any(|it| call.path.starts_with(it));
        self.named().filter(|call| !is_beside(call)).collect()
    }

    /// The calls that gave a file of the cold tier its name.
    fn named(&self) -> impl Iterator<Item = &Call> {
        let here = |call: &&Call| call.is_one_of(&NAMES) && call.path.starts_with(&self.cold);
        self.calls.iter().filter(here)
    }

    /// Whether `path` was synced after `from` and before `until`.
    fn synced(&self, path: &Path, from: usize, until: usize) -> bool {
        let within = |call: &Call| call.begun > from && call.ended < until;
        self.calls.iter().any(|it| it.is_one_of(&SYNCS) && it.path == path && within(it))
    }

    /// When hot is written to for the first time after `from`.
    fn hot_written(&self, from: usize) -> usize {
        let later = self.calls.iter().find(|call| call.writes_to_hot() && call.begun > from);
        later.map_or(usize::MAX, |call| call.begun)
    }

    /// The bytes are on the disk before the file has its name, and the name before hot is written.
    fn files_are_synced(&self) {
        for call in self.named() {
            let (from, to) = (&call.from, &call.path);
            let writes = self.calls.iter().filter(|it| it.is_one_of(&WRITES) && it.path == *from);
            let written = writes.map(|it| it.ended).max();
            let written = written.unwrap_or_else(|| panic!("nobody wrote {}", to.display()));
            assert!(written < call.begun, "{} was written after it had its name", to.display());
            let kept = self.synced(from, written, call.begun);
            assert!(kept, "{} has its name before its bytes are synced", to.display());
            let folder = to.parent().expect("a folder");
            let kept = self.synced(folder, call.ended, self.hot_written(call.ended));
            assert!(kept, "hot is written before the name of {} is synced", to.display());
        }
    }

    /// The same for every new folder, except the one in which no file stays.
    fn folders_are_synced(&self) {
        let made = |call: &&Call| call.is_one_of(&FOLDERS) && call.path.starts_with(&self.cold);
        for call in self.calls.iter().filter(made).filter(|it| !it.path.ends_with(".staging")) {
            let parent = call.path.parent().expect("a folder");
            let kept = self.synced(parent, call.ended, self.hot_written(call.ended));
            assert!(kept, "hot is written before the folder {} is synced", call.path.display());
        }
    }

    /// Each commit to `coupons` is durably announced in hot before.
    fn commits_are_announced(&self) {
        let log = self.cold.join("coupons/_delta_log");
        let commits = self.named().filter(|call| call.path.starts_with(&log));
        let mut before = 0;
        for call in commits.filter(|it| it.path.extension().is_some_and(|it| it == "json")) {
            let told = self.calls.iter().any(|it| {
                it.writes_to_hot()
                    && (before..call.begun).contains(&it.begun)
                    && self.synced(&it.path, it.ended, call.begun)
            });
            assert!(told, "{} was committed before hot knew of it", call.path.display());
            before = call.ended;
        }
    }

    /// Bytes that were written to hot between two moments.
    fn hot_bytes(&self, from: usize, until: usize) -> u64 {
        let within = |call: &&Call| call.begun > from && call.ended < until;
        self.calls.iter().filter(|it| it.writes_to_hot()).filter(within).map(|it| it.bytes).sum()
    }

    fn checked(&self) {
        self.files_are_synced();
        self.folders_are_synced();
        self.commits_are_announced();
    }
}

fn traced_a_command() -> Result<(), String> {
    // It may exist without the right to trace.
    let tried = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    let tried = tried.map_err(|error| error.to_string())?;
    let said = || String::from_utf8_lossy(&tried.stderr).into_owned();
    tried.status.success().then_some(()).ok_or_else(said)
}

#[test]
fn cold_is_synced_before_hot_is_touched() {
    let suite = "the order of the syncs";
    if Engine::STRACE.found(suite, traced_a_command).is_none() {
        return;
    }
    let data = Data::new();
    let server = serve(&data);
    let mut admin = server.client(&data.token("admin", "root"));
    campaign(&mut admin, "c", 1_000);
    let day = day_that_is_over(0);
    let lines: String = (0..3_000).map(|n| left_over(&format!("LEFT{n:06}"), &day)).collect();
    import(&data, "c", "old", &lines);
    let mut on_disk = BTreeSet::new();
    let mut given = BTreeSet::new();

    // A partition that is over: tables, folders and files are all new.
    let run = Traced::run(&data, &[]);
    run.checked();
    let all = run.committed();
    assert_eq!(all.len(), 2 + 1 + 2, "two tables, one file, two commits: {all:#?}");
    let last = all.iter().map(|call| call.ended).max().expect("a file");
    let (before, after) = (run.hot_bytes(0, last), run.hot_bytes(last, usize::MAX));
    assert!(before < REMOVAL_BYTES && REMOVAL_BYTES < after, "{before} B before, {after} B after");
    given.extend(run.named().map(|call| call.path.clone()));

    // A partition that stays open, nine times: the last one merges.
    for archive_commit in 1..=9 {
        redeemed(&mut admin, "c", &format!("u{archive_commit}"), 30);
        let run = Traced::run(&data, &["--closed-now"]);
        run.checked();
        let all = run.committed();
        // The ninth makes room first.
        let commits = if archive_commit == 9 { 2 } else { 1 };
        assert_eq!(
            all.len(),
            commits * (2 + 2),
            "archive commit {archive_commit}: files and commits: {all:#?}"
        );
        given.extend(run.named().map(|call| call.path.clone()));
    }
    on_disk.extend(files(&cold(&data), ""));
    assert!(on_disk.is_subset(&given), "not seen in a trace: {:?}", &on_disk - &given);
    server.stop();
}
