//! Nobody but their owner can open the files that couponry makes, whatever its caller allows.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::data::Data;
use super::finished::{campaign, cold, redeemed};

/// The same call from a shell that lets everybody open everything.
fn in_the_open(command: &Command) -> Command {
    let mut open = Command::new("sh");
    open.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(command.get_program());
    open.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => open.env(name, value),
            None => open.env_remove(name),
        };
    }
    open.current_dir(command.get_current_dir().expect("a folder"));
    open
}

fn run_in_the_open(data: &Data, arguments: &[&str]) {
    let ran = data.run_command(in_the_open(&data.command(arguments)));
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("there").permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

/// What others can open of that which is below a folder.
fn open_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(open_below(&path));
        }
        if mode(&path) & 0o077 != 0 {
            found.push(path);
        }
    }
    found
}

#[test]
fn whatever_the_caller_allows() {
    let data = Data::new();
    let file = |name: &str| data.folder().join(name).to_str().expect("UTF-8").to_owned();
    fs::create_dir(data.path()).expect("a data folder that is there");
    set_mode(&data.path(), 0o777);
    let server = data.serve_with(|command| {
        command.args(["--spaces", "acme=acme.example"]);
        *command = in_the_open(command);
    });
    let mut admin = server.client(&data.token("admin", "root"));
    campaign(&mut admin, "c", 20);
    redeemed(&mut admin, "c", "early", 2);
    admin.get("/v1/coupons/NONE-9999").refused(404, "NOT_FOUND");
    let hook = json!({"url": "https://hooks.example/", "types": ["coupon.redeemed"]});
    admin.post("/v1/webhooks", &hook).must(201);
    fs::write(data.folder().join("codes.csv"), "code\nx\n").expect("a file");
    let (codes, rejects) = (file("codes.csv"), file("rejects.csv"));
    let import = ["import", &codes, "--campaign", "c", "--batch", "a", "--rejects", &rejects];
    let ran = data.run_command(in_the_open(&data.command(import)));
    assert!(matches!(ran.code, Some(1 | 3)), "{ran:?}");
    let (exported, backup) = (file("out.csv"), file("backup"));
    let calls: [&[&str]; 5] = [
        &["compact", "--closed-now"],
        &["key", "add", "--kind", "token"],
        &["console"],
        &["export", "codes", "--campaign", "c", "--output", &exported],
        &["backup", &backup],
    ];
    for call in calls {
        run_in_the_open(&data, call);
    }
    server.stop();
    assert!(cold(&data).join("coupons/_delta_log").is_dir(), "something was archived");
    assert_eq!(open_below(&data.path()), Vec::<PathBuf>::new());
    for path in [&rejects, &exported, &backup] {
        assert_eq!(mode(Path::new(path)) & 0o077, 0, "{path}");
    }
    assert_eq!(open_below(Path::new(&backup)), Vec::<PathBuf>::new());
    run_in_the_open(&data, &["man", data.folder().to_str().expect("UTF-8")]);
    assert_eq!(mode(&data.folder().join("couponry.1")), 0o666, "manual pages are for all");
}

/// What an earlier release left open: `doctor` names it, and `serve` closes it.
#[test]
fn what_was_left_open() {
    let data = Data::new();
    data.serve().stop();
    let (cold, lock, link) =
        (cold(&data), data.path().join("serve.lock"), data.path().join("compact.lock"));
    fs::create_dir(&cold).expect("an archive");
    drop(fs::remove_file(&link));
    let elsewhere = data.folder().join("elsewhere");
    fs::write(&elsewhere, "").expect("a file");
    std::os::unix::fs::symlink(&elsewhere, &link).expect("a link");
    for path in [&cold, &lock, &elsewhere, &data.path()] {
        set_mode(path, 0o755);
    }
    let line = |data: &Data| {
        let ran = data.run(&["doctor", "--quick"]);
        let line = ran.stdout.lines().find(|line| line.contains("private files"));
        line.unwrap_or_else(|| panic!("{ran:?}")).to_owned()
    };
    let before = line(&data);
    assert!(before.starts_with("warn"), "{before}");
    for path in [&cold, &lock] {
        assert!(before.contains(path.to_str().expect("UTF-8")), "{before}");
    }
    data.serve().stop();
    assert_eq!((mode(&cold), mode(&lock), mode(&elsewhere)), (0o700, 0o700, 0o755));
    set_mode(&cold, 0o750);
    data.serve().stop();
    assert_eq!(mode(&cold), 0o750, "a group that somebody let in stays");
    set_mode(&data.path(), 0o700);
    set_mode(&cold, 0o755);
    assert!(line(&data).starts_with("ok"), "{}", line(&data));
}
