//! A browser without scripts: cookies, forms and their tokens.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, header};
use axum::response::Response;
use http_body_util::BodyExt;
use tower::ServiceExt;

pub(crate) struct Browser {
    app: Router,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) lang: &'static str,
    /// The address of the machine that it runs on.
    pub(crate) peer: IpAddr,
    /// Headers that this browser adds to each request.
    pub(crate) extra: Vec<(&'static str, &'static str)>,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Page {
    #[track_caller]
    pub(crate) fn must(self, status: u16) -> Page {
        assert_eq!(self.status, status, "{}: {}", self.path, self.text);
        self
    }

    pub(crate) fn to(&self) -> &str {
        self.headers.get(header::LOCATION).and_then(|it| it.to_str().ok()).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn has(&self, text: &str) -> &Page {
        assert!(self.text.contains(text), "{} lacks {text:?}: {}", self.path, self.text);
        self
    }

    /// The value of the first field of this name.
    pub(crate) fn value(&self, name: &str) -> String {
        let field = self.text.split(&format!("name=\"{name}\" value=\"")).nth(1);
        field.and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
    }
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_none_or(|kind| !kind.contains("spreadsheetml"))
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

impl Browser {
    pub(crate) fn new(app: Router) -> Browser {
        let peer = IpAddr::from([192, 0, 2, 7]);
        Browser { app, cookies: BTreeMap::new(), lang: "en", peer, extra: Vec::new() }
    }

    /// The same browser, whose next request goes to another process.
    pub(crate) fn at(&self, other: &Browser) -> Browser {
        let (cookies, extra) = (self.cookies.clone(), self.extra.clone());
        Browser { app: other.app.clone(), cookies, lang: self.lang, peer: self.peer, extra }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, None, Body::empty()).await
    }

    /// Sends a form as it is.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let pairs = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let kind = Some("application/x-www-form-urlencoded");
        self.send(Method::POST, path, kind, Body::from(body)).await
    }

    /// Sends a form with the token of this session.
    pub(crate) async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.csrf().await;
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend(fields);
        self.post(path, &all).await
    }

    /// The token of the forms of this session.
    pub(crate) async fn csrf(&mut self) -> String {
        self.get("/console/store").await.value("csrf")
    }

    /// Sends the form of an import, in which nothing was chosen.
    pub(crate) async fn upload(&mut self, path: &str, mode: &str, batch: &str, file: &str) -> Page {
        let csrf = self.csrf().await;
        self.upload_with(path, &csrf, mode, batch, file).await
    }

    pub(crate) async fn upload_with(
        &mut self,
        path: &str,
        csrf: &str,
        mode: &str,
        batch: &str,
        file: &str,
    ) -> Page {
        let choices = ["header", "columns", "values", "again"];
        let mut fields = vec![("csrf", csrf), ("encoding", ""), ("dates", ""), ("batch_id", batch)];
        fields.extend(choices.map(|name| (name, "")));
        self.upload_form(&format!("{path}?for={mode}"), &fields, "codes.csv", file).await
    }

    /// Sends the form of an import with all of its fields.
    pub(crate) async fn upload_form(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        name: &str,
        file: &str,
    ) -> Page {
        let mut body = String::new();
        for (name, value) in fields {
            body.push_str(&format!(
                "--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        }
        body.push_str(&format!(
            "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: text/csv\r\n\r\n{file}\r\n--cut--\r\n"
        ));
        let kind = Some("multipart/form-data; boundary=cut");
        self.send(Method::POST, path, kind, Body::from(body)).await
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        kind: Option<&str>,
        body: Body,
    ) -> Page {
        let response = self.answer(method, path, kind, body).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for cookie in headers.get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().expect("text").split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a pair");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        let text = match is_text(&headers) {
            true => String::from_utf8(bytes.to_vec()).expect("UTF-8"),
            false => String::from_utf8_lossy(&bytes).into_owned(),
        };
        Page { path: path.to_owned(), status, headers, text }
    }

    /// An answer whose body has not been read.
    pub(crate) async fn answer(
        &self,
        method: Method,
        path: &str,
        kind: Option<&str>,
        body: Body,
    ) -> Response {
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::HOST, "shop.example").header(header::COOKIE, cookies);
        request = request.header(header::ACCEPT_LANGUAGE, self.lang);
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        for (name, value) in &self.extra {
            request = request.header(*name, *value);
        }
        let peer = SocketAddr::new(self.peer, 5_000);
        let request = request.extension(ConnectInfo(peer)).body(body).expect("a request");
        self.app.clone().oneshot(request).await.expect("an answer")
    }
}
