//! The console in a browser: `console/suite.mjs` opens every screen in Chromium and plays what people do there, and
//! `console/actions.mjs` does every action of every role. `console/tasks.mjs` plays twenty tasks and counts their clicks.
//! `console/identity.mjs` signs in at an identity provider.
//! The files in `console/` pin what drives the browser, which is downloaded once.
//!
//! `COUPONRY_SHOTS=FOLDER` opens all screens in every language, theme and size, and makes pictures of them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testengines::{Engine, may_run};

use super::data::Data;
use super::downloads::node_modules;
use super::finished::{campaign, issued, redeemed};
use super::visitor::Visitor;
use super::webhooks::Program;

const SUITE: &str = "console in a browser";
const PACKAGE: &str = include_str!("console/package.json");
const LOCK: &str = include_str!("console/package-lock.json");
const SCRIPT: &str = include_str!("console/suite.mjs");
const ACTIONS: &str = include_str!("console/actions.mjs");
const TASKS: &str = include_str!("console/tasks.mjs");
const SHOP: &str = include_str!("console/shop.mjs");
const IDENTITY: &str = include_str!("console/identity.mjs");

/// The browser of this machine.
fn chromium() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut paths = std::env::split_paths(&folders).flat_map(|it| names.map(|name| it.join(name)));
    paths.find(|path| path.is_file())
}

/// The browser, and what drives it; `None` if nobody asks for one.
fn driven() -> Option<(PathBuf, PathBuf)> {
    Engine::BROWSER.found(SUITE, || {
        let browser = chromium().ok_or("no Chromium, as Debian's package `chromium` has it")?;
        Ok((browser, node_modules("console", PACKAGE, LOCK)?))
    })
}

/// A script of the suite, in the folder of a store.
fn script(data: &Data, browser: &Path, name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(name).current_dir(data.folder()).env("CHROMIUM", browser);
    // The server is on this machine.
    command.env("NO_PROXY", "*").env("no_proxy", "*");
    command
}

/// `couponry-history serve` beside a new store, and its address; `None` if it was not built.
fn history(data: &Data) -> Option<(Program, String)> {
    let command = data.command(["serve", "--listen", "127.0.0.1:0"]);
    let program = Path::new(command.get_program()).with_file_name("couponry-history");
    let what = "couponry-history beside couponry, as `cargo build -p history` builds it";
    if !may_run("queries of the console", what, program.is_file()) {
        return None;
    }
    // It has the settings of couponry, and reads a store that is there.
    data.serve().stop();
    let mut history = Command::new(program);
    history.args(command.get_args()).current_dir(data.folder());
    history.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let history = Program::start(history);
    loop {
        if let Some((_, address)) = history.line().split_once("http://") {
            return Some((history, format!("http://{}", address.trim())));
        }
    }
}

/// Starts a server, and plays the first of these scripts with it; the others are what it imports. `more` adds what
/// the script wants to know of the store and the address.
fn played(
    data: &Data,
    arguments: &[&str],
    scripts: &[(&str, &str)],
    more: impl FnOnce(&mut Command, &str),
) {
    let Some((browser, modules)) = driven() else { return };
    let server = data.serve_with(|command| {
        command.args(["--compact-every", "0"]).args(arguments);
    });
    let address = format!("http://{}", server.address);
    symlink(modules, data.folder().join("node_modules")).expect("the packages");
    for (name, text) in scripts.iter().chain(&[("shop.mjs", SHOP)]) {
        fs::write(data.folder().join(name), text).expect("a script");
    }
    let mut command = script(data, &browser, scripts[0].0);
    command.stdin(Stdio::null()).env("COUPONRY", &address);
    command.env("TOKEN", data.token("admin", "root"));
    more(&mut command, &address);
    let ran = data.run_command(command);
    eprintln!("{}", ran.stdout);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    server.stop();
}

/// A one-time link for somebody who signs in.
fn link(data: &Data, address: &str, more: &[&str]) -> String {
    let link = data.run(&[&["console", "--address", address], more].concat());
    assert_eq!(link.code, Some(0), "{}", link.stderr);
    link.stdout.trim().to_owned()
}

#[test]
fn every_screen_and_the_stories() {
    if driven().is_none() {
        return;
    }
    let data = Data::new();
    let history = history(&data);
    let arguments = history.iter().flat_map(|(_, at)| ["--console-history", at.as_str()]);
    let scripts = [("suite.mjs", SCRIPT), ("actions.mjs", ACTIONS)];
    played(&data, &arguments.collect::<Vec<&str>>(), &scripts, |command, address| {
        command.env("LINK", link(&data, address, &[]));
        if history.is_some() {
            command.env("HISTORY", "1");
        }
        if let Some(shots) = std::env::var_os("COUPONRY_SHOTS") {
            command.env("SHOTS", shots);
        }
    });
}

/// People who have read no docs do what they have to, with no more clicks than before.
#[test]
fn twenty_tasks() {
    let data = Data::new();
    played(&data, &[], &[("tasks.mjs", TASKS)], |command, address| {
        for role in ["admin", "marketer", "support", "operator"] {
            let link = link(&data, address, &["--role", role, "--name", role]);
            command.env(role.to_uppercase(), link);
        }
    });
}

/// People sign in at an identity provider of their company: a real one, in a real browser.
#[test]
fn company_accounts() {
    let Some((browser, modules)) = driven() else { return };
    let data = Data::new();
    symlink(modules, data.folder().join("node_modules")).expect("the packages");
    fs::write(data.folder().join("identity.mjs"), IDENTITY).expect("the script");
    let secret = data.folder().join("client-secret");
    fs::write(&secret, "a secret: +%&\n").expect("the secret");
    let mut command = script(&data, &browser, "identity.mjs");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut ended = Ended(command.spawn().expect("node starts"));
    let node = &mut ended.0;
    let mut said = BufReader::new(node.stdout.take().expect("piped"));
    let mut issuer = String::new();
    said.read_line(&mut issuer).expect("the address of the provider");
    let issuer = issuer.trim();
    let server = data.serve_with(|command| {
        command.args(["--identity-issuer", issuer, "--identity-audience", "shop"]);
        command.args(["--identity-jwks", &format!("{issuer}/jwks")]);
        command.args(["--console-client", "console & more", "--console-client-secret"]);
        command.arg(&secret).env("NO_PROXY", "*");
    });
    let mut stdin = node.stdin.take().expect("piped");
    writeln!(stdin, "http://{}", server.address).expect("the address of the console");
    let (mut out, mut error) = (String::new(), String::new());
    said.read_to_string(&mut out).expect("its output");
    node.stderr.take().expect("piped").read_to_string(&mut error).expect("its errors");
    let status = node.wait().expect("it ends");
    eprintln!("{out}");
    assert!(status.success(), "{out}{error}{}", server.log());
    server.stop();
}

/// Saved SQL over both tiers, which `couponry-history serve` runs.
#[test]
fn queries() {
    let data = Data::new();
    let Some((history, address)) = history(&data) else { return };
    let server = data.serve_with(|command| {
        command.args(["--console-history", &address]);
    });
    let mut admin = server.client(&data.token("admin", "root"));
    campaign(&mut admin, "spring", 5);
    issued(&mut admin, "spring", "ann");
    let (eva, at) = (Visitor::enrolled(&data, server.address, "eva"), server.address);
    let (from, path) = ("/console/store", "/console/reports/sql");
    let sql = "select holder, state, 1 = 2 as no, null as nothing from coupons";
    let page = eva.submit(at, from, path, &[("do", "run"), ("sql", sql)]);
    for text in ["holder", ">ann<", ">issued<", ">false<", "Rows: 1"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let saved = eva.submit(at, from, path, &[("do", "save"), ("name", "Who <has>"), ("sql", sql)]);
    let id = saved.split("/console/reports/sql/").nth(1).and_then(|it| it.split('?').next());
    let id = id.unwrap_or_else(|| panic!("not saved: {saved}"));
    let page = eva.get(at, &format!("{path}/{id}"));
    assert!(page.contains("Who &#60;has&#62;") && page.contains(">ann<"), "{page}");
    let file = eva.get(at, &format!("{path}/{id}/file.csv"));
    assert!(file.ends_with("\u{feff}holder,state,no,nothing\nann,issued,false,\n"), "{file}");
    // How soon coupons are redeemed, of each day on which they were issued: both of them today, and one of them at once.
    redeemed(&mut admin, "spring", "bea", 1);
    let page = eva.get(at, &format!("{path}?campaign=spring"));
    let cells = ["2", "1", "1", "1"].map(|it| format!("<td><bdi>{it}</bdi></td>")).concat();
    assert!(page.contains("Rows: 1") && page.contains(&cells), "{page}");
    let wrong = [
        ("a writer", "delete from coupons", "cannot be run"),
        ("no SQL", "selec 1", "cannot be run"),
        ("another table", "select * from secrets", "cannot be run"),
    ];
    for (name, sql, said) in wrong {
        let page = eva.submit(at, from, path, &[("do", "run"), ("sql", sql)]);
        assert!(page.contains(said), "{name}: {page}");
    }
    drop(history);
    let page = eva.get(at, &format!("{path}/{id}"));
    assert!(page.contains("couponry-history does not answer"), "{page}");
    let audit = eva.get(at, "/console/audit");
    assert_eq!(audit.matches("Query run").count(), 8, "{audit}");
    server.stop();
}

/// A process that does not stay behind when a test fails.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Less than running requests get at the end of the service, and much more than it takes.
const SOON: Duration = Duration::from_secs(6);

#[test]
fn a_live_view_ends_with_the_service() {
    let data = Data::new();
    let mut server = data.serve();
    let eva = Visitor::enrolled(&data, server.address, "eva");
    let (status, _tail) = eva.watch(server.address, "/console/events/tail");
    assert!(status.contains("200"), "{status}");
    let began = Instant::now();
    server.terminate();
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
    assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
}
