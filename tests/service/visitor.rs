//! Somebody at the console without a browser: a session, and requests to any server of a store.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::client::connect;
use super::data::Data;

/// Somebody at the console.
pub(super) struct Visitor {
    session: String,
}

impl Visitor {
    /// Makes an account with a one-time link of the command, at this server.
    pub(super) fn enrolled(data: &Data, server: SocketAddr, name: &str) -> Visitor {
        let ran = data.run(&["console", "--role", "admin", "--name", name]);
        let (_, link) = ran.stdout.trim().split_once("link=").expect("a link");
        let mut visitor = Visitor { session: String::new() };
        let fields = [("link", link), ("name", name), ("password", "correct horse battery")];
        let answer = visitor.post(server, "/console/welcome", &fields);
        let cookie = answer.split("couponry_session=").nth(1).and_then(|it| it.split(';').next());
        visitor.session = cookie.unwrap_or_else(|| panic!("no session: {answer}")).to_owned();
        visitor
    }

    /// The whole answer: status line, headers and page.
    pub(super) fn get(&self, server: SocketAddr, path: &str) -> String {
        self.answer(server, "GET", path, "")
    }

    /// The whole answer to a form.
    pub(super) fn post(&self, server: SocketAddr, path: &str, fields: &[(&str, &str)]) -> String {
        let encoded =
            |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
        let pair = |(name, value): &(&str, &str)| format!("{name}={}", encoded(value));
        let body = fields.iter().map(pair).collect::<Vec<_>>().join("&");
        self.answer(server, "POST", path, &body)
    }

    /// The same with the token that a page of a server gives to forms.
    pub(super) fn submit(
        &self,
        server: SocketAddr,
        from: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> String {
        let page = self.get(server, from);
        let token = page.split("name=\"csrf\" value=\"").nth(1).and_then(|it| it.split('"').next());
        let token = token.unwrap_or_else(|| panic!("no form: {page}"));
        let mut all = vec![("csrf", token)];
        all.extend(fields);
        self.post(server, path, &all)
    }

    /// The status line of an answer that goes on for ever, which is read from the connection.
    pub(super) fn watch(&self, server: SocketAddr, path: &str) -> (String, BufReader<TcpStream>) {
        let mut answer = BufReader::new(self.sent(server, "GET", path, "keep-alive", ""));
        let mut status = String::new();
        answer.read_line(&mut status).expect("a status");
        (status, answer)
    }

    fn answer(&self, server: SocketAddr, method: &str, path: &str, body: &str) -> String {
        let mut answer = Vec::new();
        let read = self.sent(server, method, path, "close", body).read_to_end(&mut answer);
        read.and_then(|_| String::from_utf8(answer).map_err(io::Error::other)).expect("an answer")
    }

    fn sent(
        &self,
        server: SocketAddr,
        method: &str,
        path: &str,
        connection: &str,
        body: &str,
    ) -> TcpStream {
        let mut socket = connect(server).expect("connected");
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\
             Cookie: couponry_session={}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.session,
            body.len()
        )
        .expect("sent");
        socket
    }
}
