//! `couponry serve` on a data folder, always at the same address, and requests to it.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::world::{stop, wait_until};

/// A port on which nobody listens.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A service that can be killed and started again.
pub(crate) struct Service {
    folder: TempDir,
    port: u16,
    settings: Vec<(&'static str, &'static str)>,
    child: Mutex<Option<Child>>,
    runtime: Runtime,
    client: Client,
    token: String,
}

impl Service {
    /// Starts one with these settings as environment variables.
    pub(crate) fn start(settings: &[(&'static str, &'static str)]) -> Service {
        let _earlier_one_stays = rustls::crypto::ring::default_provider().install_default();
        let folder = TempDir::with_prefix("couponry-kafka-test-").expect("a folder");
        let port = free_port();
        let client = Client::builder()
            .no_proxy()
            .tls_built_in_root_certs(false)
            .timeout(Duration::from_secs(30))
            .pool_idle_timeout(Duration::from_secs(4));
        let mut service = Service {
            folder,
            port,
            settings: settings.to_vec(),
            child: Mutex::new(None),
            runtime: Runtime::new().expect("a runtime"),
            client: client.build().expect("a client"),
            token: String::new(),
        };
        service.start_again();
        service.token = service.new_token("admin");
        std::fs::write(service.token_file(), &service.token).expect("the token");
        service
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"COUPONRY_") {
                command.env_remove(name);
            }
        }
        command.envs(self.settings.iter().copied());
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("COUPONRY_DATA", self.folder.path().join("data"));
        command
    }

    /// A token of this role.
    pub(crate) fn new_token(&self, role: &str) -> String {
        let made = self.command(&["token", "--role", role, "--user", "kafka"]).output();
        let made = made.expect("the command");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).expect("UTF-8").trim().to_owned()
    }

    /// Starts it after [`Service::kill`]. Returns when it answers.
    pub(crate) fn start_again(&self) {
        let log = File::options().create(true).append(true).open(self.log()).expect("a log");
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = self.command(&["serve", "--listen", &listen]);
        command.stdout(Stdio::null()).stderr(log);
        let mut child = command.spawn().expect("the service");
        wait_until("the service", || {
            let ended = child.try_wait().expect("its state");
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            assert!(ended.is_none(), "serve has ended: {log}");
            self.runtime.block_on(async {
                let ready = self.client.get(format!("{}/readyz", self.url())).send().await;
                ready.is_ok_and(|it| it.status() == StatusCode::OK)
            })
        });
        *self.child.lock().expect("a child") = Some(child);
    }

    /// `kill -9`.
    pub(crate) fn kill(&self) {
        let child = self.child.lock().expect("a child").take();
        let mut child = child.expect("it runs");
        child.kill().expect("SIGKILL");
        child.wait().expect("its end");
    }

    /// Kills it and keeps its data aside; starts it again.
    pub(crate) fn back_up(&self) {
        self.kill();
        self.copy("data", "kept");
        self.start_again();
    }

    /// Kills it and puts back the data of [`Service::back_up`]; starts it again.
    pub(crate) fn restore(&self) {
        self.kill();
        std::fs::remove_dir_all(self.folder.path().join("data")).expect("the data");
        self.copy("kept", "data");
        self.start_again();
    }

    fn copy(&self, from: &str, to: &str) {
        let copied =
            Command::new("cp").args(["-r", from, to]).current_dir(self.folder.path()).status();
        assert!(copied.expect("cp").success());
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// One request with an admin's token, while the service runs.
    pub(crate) fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        self.runtime.block_on(self.asks(method, path, body)).expect("an answer")
    }

    /// The same, for many at the same time.
    pub(crate) async fn asks(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value), reqwest::Error> {
        let request = self.client.request(method, format!("{}{path}", self.url()));
        let request = request.bearer_auth(&self.token);
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok((status, response.json().await?))
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(Method::GET, path, None);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// What it measures.
    pub(crate) fn metrics(&self) -> String {
        self.page(&format!("127.0.0.1:{}", self.port), "/metrics").1
    }

    /// Status and text of a page at another address, too. Status 0: nobody answers.
    pub(crate) fn page(&self, address: &str, path: &str) -> (u16, String) {
        let request = self.client.get(format!("http://{address}{path}"));
        let asked: reqwest::Result<(u16, String)> = self.runtime.block_on(async {
            let response = request.send().await?;
            Ok((response.status().as_u16(), response.text().await?))
        });
        asked.unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(Method::POST, path, Some(body));
        assert!((200..300).contains(&status), "{path}: {answer}");
        answer
    }

    /// Imports codes into a campaign.
    pub(crate) fn import(&self, campaign: &str, codes: &[String]) {
        let path = format!("{}/v1/campaigns/{campaign}/batches?batch_id=codes", self.url());
        let request = self.client.post(path).bearer_auth(&self.token);
        let csv = format!("code\n{}\n", codes.join("\n"));
        let request = request.header("content-type", "text/csv").body(csv);
        let answer = self.runtime.block_on(async { request.send().await }).expect("an answer");
        assert!(answer.status().is_success(), "import: {}", answer.status());
    }

    /// All events of the feed, also holds.
    pub(crate) fn events(&self, types: Option<&str>) -> Vec<Value> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let types = types.map(|it| format!("&type={it}")).unwrap_or_default();
            let page = self.get(&format!("/v1/events?limit=1000{types}{after}"));
            all.extend(page["data"].as_array().expect("events").iter().cloned());
            after = format!("&after={}", page["next_cursor"].as_str().expect("a cursor"));
            if page["has_more"] == false {
                return all;
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(child) = self.child.lock().expect("a child").take() {
            stop(child);
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            eprintln!("--- log of serve\n{}", crate::world::tail(&log));
        }
    }
}
