//! The console in a browser: `console/suite.mjs` opens every screen in Chromium and plays what people do there, and
//! `console/actions.mjs` does every action of every role.
//! The files in `console/` pin what drives the browser, which is downloaded once.
//!
//! `COUPONRY_SHOTS=FOLDER` opens all screens in every language, theme and size, and makes pictures of them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::client::connect;
use super::data::{Data, may_run};
use super::downloads::{node_modules, or_not_run};
use super::finished::serve;

const SUITE: &str = "console in a browser";
const PACKAGE: &str = include_str!("console/package.json");
const LOCK: &str = include_str!("console/package-lock.json");
const SCRIPT: &str = include_str!("console/suite.mjs");
const ACTIONS: &str = include_str!("console/actions.mjs");

/// The browser of this machine.
fn chromium() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut paths = std::env::split_paths(&folders).flat_map(|it| names.map(|name| it.join(name)));
    paths.find(|path| path.is_file())
}

#[test]
fn every_screen_and_the_stories() {
    if std::env::var("COUPONRY_BROWSER").is_ok_and(|it| it == "none") {
        return eprintln!("NOT RUN: {SUITE}: there is no Chromium on this machine");
    }
    let browser = chromium();
    if !may_run(SUITE, "Chromium, as Debian's package `chromium` has it", browser.is_some()) {
        return;
    }
    let what = "`node` with `npm`, and the packages that it installs";
    let modules = node_modules("console", PACKAGE, LOCK);
    let (Some(modules), Some(browser)) = (or_not_run(SUITE, what, modules), browser) else {
        return;
    };
    let data = Data::new();
    let server = serve(&data);
    let address = format!("http://{}", server.address);
    let link = data.run(&["console", "--address", &address]);
    assert_eq!(link.code, Some(0), "{}", link.stderr);
    symlink(modules, data.folder().join("node_modules")).expect("the packages");
    fs::write(data.folder().join("suite.mjs"), SCRIPT).expect("the suite");
    fs::write(data.folder().join("actions.mjs"), ACTIONS).expect("the actions");
    let mut command = Command::new("node");
    command.arg("suite.mjs").current_dir(data.folder()).stdin(Stdio::null());
    command.env("COUPONRY", &address).env("LINK", link.stdout.trim());
    command.env("TOKEN", data.token("admin", "root")).env("CHROMIUM", browser);
    if let Some(shots) = std::env::var_os("COUPONRY_SHOTS") {
        command.env("SHOTS", shots);
    }
    // The server is on this machine.
    command.env("NO_PROXY", "*").env("no_proxy", "*");
    let ran = data.run_command(command);
    eprintln!("{}", ran.stdout);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    server.stop();
}

/// Less than running requests get at the end of the service, and much more than it takes.
const SOON: Duration = Duration::from_secs(6);

#[test]
fn a_live_view_ends_with_the_service() {
    let data = Data::new();
    let mut server = data.serve();
    let ran = data.run(&["console"]);
    let (_, link) = ran.stdout.trim().split_once("link=").expect("a link");
    let form = format!("link={link}&name=eva&password=correct+horse+battery");
    let mut socket = connect(server.address).expect("connected");
    write!(
        socket,
        "POST /console/welcome HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    )
    .expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let cookie = answer.split("couponry_session=").nth(1).and_then(|rest| rest.split(';').next());
    let cookie = cookie.unwrap_or_else(|| panic!("no session: {answer}"));
    let mut socket = connect(server.address).expect("connected");
    write!(
        socket,
        "GET /console/events/tail HTTP/1.1\r\nHost: x\r\nCookie: couponry_session={cookie}\r\n\r\n"
    )
    .expect("sent");
    let mut tail = BufReader::new(socket);
    let mut status = String::new();
    tail.read_line(&mut status).expect("a status");
    assert!(status.contains("200"), "{status}");
    let began = Instant::now();
    server.terminate();
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
    assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
}
