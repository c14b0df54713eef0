//! nginx and Caddy, started with what `docs/tls.md` says, and a client in front of them.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use testengines::Engine;

use super::super::data::{Data, LOOK_EVERY, PATIENCE, wait_until};
use super::super::engine::{free_port, root};

const SUITE: &str = "nginx and Caddy in front of the service";
const AROUND_NGINX: &str = include_str!("nginx.conf");
const AROUND_CADDY: &str = include_str!("Caddyfile");

/// The main store and the space of the page.
pub(super) const MAIN: &str = "coupons.example";
pub(super) const ACME: &str = "coupons.acme.example";

/// Most starts of a proxy: somebody else may take one of its ports before it does.
const STARTS_MAX: usize = 3;

/// The blocks of code of `docs/tls.md` in this language.
pub(super) fn page(language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/tls.md")).expect("docs/tls.md");
    let fence = format!("\n```{language}\n");
    let blocks = text.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(str::to_owned).collect()
}

/// Replaces a text that must be there.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from:?} in {text}");
    text.replace(from, to)
}

fn path(of: &Path) -> &str {
    of.to_str().expect("UTF-8")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Caddy,
    Nginx,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Caddy => "caddy",
            Kind::Nginx => "nginx",
        }
    }

    /// Its program, if somebody asks for it.
    pub(super) fn program(self) -> Option<PathBuf> {
        Engine::PROXIES.found(SUITE, || {
            let named = std::env::var_os("PATH").unwrap_or_default();
            // Debian has nginx where the PATH of a user does not lead.
            let folders = std::env::split_paths(&named).chain(["/usr/sbin".into()]);
            let mut programs = folders.map(|it| it.join(self.name()));
            let found = programs.find(|it| it.is_file());
            found.ok_or_else(|| format!("no {}, as Debian has it", self.name()))
        })
    }

    /// Its configuration on the page.
    pub(super) fn configuration(self) -> String {
        let language = match self {
            Kind::Caddy => "caddyfile",
            Kind::Nginx => "nginx",
        };
        let [block] = page(language).try_into().expect("one block");
        block
    }
}

/// What a client got.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// The status line and the headers.
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn read(text: &str) -> Reply {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer: {text:?}"));
        if status == 100 {
            return Reply::read(body);
        }
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    #[track_caller]
    pub(super) fn must(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// A proxy that runs. It ends when this is dropped.
pub(super) struct Front {
    kind: Kind,
    child: Child,
    folder: PathBuf,
}

impl Front {
    /// Starts it in front of `upstream`, with its configuration, of which `change` may make another one.
    pub(super) fn start(
        kind: Kind,
        data: &Data,
        upstream: SocketAddr,
        change: impl Fn(String) -> String,
    ) -> Front {
        let file = change(kind.configuration());
        let file = replaced(&file, "127.0.0.1:8080", &upstream.to_string());
        let folder = data.folder().join(kind.name());
        fs::create_dir(&folder).expect("a folder");
        for _ in 0..STARTS_MAX {
            let (plain, tls) = (free_port(), free_port());
            let mut command = match kind {
                Kind::Caddy => caddy(&folder, &file, plain, tls),
                Kind::Nginx => nginx(&folder, &file, plain, tls),
            };
            let log = fs::File::create(folder.join("output.log")).expect("a log");
            command.current_dir(&folder).stdin(Stdio::null());
            command.stdout(log.try_clone().expect("a log")).stderr(log);
            let child = command.spawn().expect("setpriv starts the proxy");
            let mut front = Front { kind, child, folder: folder.clone() };
            front.write_client_settings(plain, tls);
            if front.is_ready() {
                return front;
            }
            eprintln!("{kind:?} did not start: {}", front.log());
        }
        panic!("{kind:?} does not start");
    }

    /// What any `curl` here reads: the names of the page lead to this proxy, whose certificate is good.
    fn write_client_settings(&self, plain: u16, tls: u16) {
        let authority = match self.kind {
            Kind::Caddy => "data/caddy/pki/authorities/local/root.crt",
            Kind::Nginx => "fullchain.pem",
        };
        let lines = format!(
            "connect-to = \":443:127.0.0.1:{tls}\"\nconnect-to = \":80:127.0.0.1:{plain}\"\n\
             cacert = \"{}\"\nnoproxy = \"*\"\n",
            path(&self.folder.join(authority))
        );
        fs::write(self.folder.join(".curlrc"), lines).expect("settings of curl");
    }

    /// Waits until it answers; `false` if it has ended.
    fn is_ready(&mut self) -> bool {
        let address = format!("https://{MAIN}/healthz");
        let mut has_ended = false;
        wait_until("the proxy", || {
            has_ended = self.child.try_wait().expect("wait").is_some();
            let asked = self.client("curl").args(["-s", "-o", "/dev/null", &address]).status();
            has_ended || asked.expect("curl").success()
        });
        !has_ended
    }

    /// What it wrote.
    pub(super) fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        [read("output.log"), read("error.log")].concat()
    }

    /// A program that calls `curl`, or `curl` itself.
    pub(super) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("CURL_HOME", &self.folder).stdin(Stdio::null());
        command
    }

    /// Calls `curl`, which must get an answer.
    #[track_caller]
    pub(super) fn curl(&self, arguments: &[&str]) -> Reply {
        let output = self.client("curl").args(["-sSi"]).args(arguments).output().expect("curl");
        let (out, error) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        assert!(output.status.success(), "{arguments:?}: {error}{}", self.log());
        Reply::read(&out)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of {:?}\n{}", self.kind, self.log());
        }
        // The processes of nginx end when their first one is asked to end, and not when it is killed.
        let begun = std::time::Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < PATIENCE {
            let _has_ended = kill_process(Pid::from_child(&self.child), Signal::TERM);
            std::thread::sleep(LOOK_EVERY);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that ends when this process does, however that happens.
fn tied(kind: Kind) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(kind.program().expect("it is there"));
    command
}

fn caddy(folder: &Path, file: &str, plain: u16, tls: u16) -> Command {
    let around = replaced(AROUND_CADDY, "HTTPS_PORT", &tls.to_string());
    let around = replaced(&around, "HTTP_PORT", &plain.to_string());
    fs::write(folder.join("Caddyfile"), around + file).expect("a Caddyfile");
    let mut command = tied(Kind::Caddy);
    command.args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"]);
    command.env("HOME", folder).env("XDG_CONFIG_HOME", folder.join("config"));
    command.env("XDG_DATA_HOME", folder.join("data"));
    command
}

fn nginx(folder: &Path, file: &str, plain: u16, tls: u16) -> Command {
    let (certificate, key) = (folder.join("fullchain.pem"), folder.join("privkey.pem"));
    if !certificate.exists() {
        make_certificate(&certificate, &key);
    }
    let mut file = replaced(file, "/etc/ssl/coupons.example/fullchain.pem", path(&certificate));
    file = replaced(&file, "/etc/ssl/coupons.example/privkey.pem", path(&key));
    let has_v6 = TcpListener::bind("[::1]:0").is_ok();
    for (port, free) in [(443, tls), (80, plain)] {
        let (v4, v6) = (format!("listen {port}"), format!("listen [::]:{port}"));
        file = replaced(&file, &v4, &format!("listen 127.0.0.1:{free}"));
        let mine = if has_v6 { format!("listen [::1]:{free}") } else { format!("#{v6}") };
        file = replaced(&file, &v6, &mine);
    }
    fs::write(folder.join("couponry.conf"), file).expect("couponry.conf");
    fs::write(folder.join("nginx.conf"), AROUND_NGINX).expect("nginx.conf");
    let mut command = tied(Kind::Nginx);
    command.arg("-p").arg(folder).args(["-e", "error.log", "-c"]).arg(folder.join("nginx.conf"));
    command
}

fn make_certificate(certificate: &Path, key: &Path) {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    command.args(["-nodes", "-days", "2", "-subj", "/CN=couponry", "-addext"]);
    command.arg(format!("subjectAltName=DNS:{MAIN},DNS:{ACME}"));
    command.arg("-out").arg(certificate).arg("-keyout").arg(key);
    let made = command.output().expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
