//! Prepares what a run needs, through the server's API: a campaign whose coupons are issued to users, and
//! a campaign to issue from.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::stock::{self, UserOrder};
use crate::wire::{self, HttpAnswer, HttpConnection, ServerAddress};

/// The campaign of the coupons to look up and redeem.
pub const CAMPAIGN: &str = "load";

/// Coupons of one file. A broken upload is sent again as a whole.
const FILE_LINES: u64 = 200_000;

/// Lines that are made at once.
const PART_LINES: u64 = 1_000;

/// Why a server is not ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// Nobody listens, or the connection broke.
    #[error("{target}: {source}")]
    Connection {
        /// The server.
        target: ServerAddress,
        /// Why.
        source: io::Error,
    },
    /// The server refused.
    #[error("{what} was answered {status}: {text}")]
    Refused {
        /// The request.
        what: String,
        /// The HTTP status.
        status: u16,
        /// Its answer.
        text: String,
    },
}

/// The result of an import.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ImportResult {
    /// Lines that were sent and accepted.
    pub lines: u64,
    /// Seconds.
    pub seconds: f64,
    /// Lines a second.
    pub per_second: f64,
}

#[derive(Deserialize)]
struct ImportedBatch {
    lines: u64,
    imported: u64,
}

#[derive(Deserialize)]
struct IssuedCode<'a> {
    code: &'a str,
}

/// Prepares a server, with an admin's token.
pub struct ServerPreparation {
    target: Arc<ServerAddress>,
    token: String,
    connection: HttpConnection,
    users: UserOrder,
}

impl ServerPreparation {
    /// For `target`, and coupons of these users.
    pub fn new(target: ServerAddress, token: &str, users: UserOrder) -> ServerPreparation {
        let target = Arc::new(target);
        let connection = HttpConnection::new(Arc::clone(&target));
        ServerPreparation { target, token: token.to_owned(), connection, users }
    }

    /// Creates a campaign with this name and stock that is valid until the end of next year, with
    /// handout `shop`. An existing one stays unchanged.
    pub async fn campaign(&mut self, name: &str, stock: u64) -> Result<(), NotReady> {
        let body = serde_json::json!({
            "campaign_id": name, "stock": stock, "expires_on": format!("{}-12-31", year() + 1),
        })
        .to_string();
        let mut request = Vec::new();
        let line = format_args!("POST /v1/campaigns");
        let kind = ("application/json", body.len());
        wire::head(&mut request, &self.target, &self.token, line, Some(kind));
        request.extend_from_slice(body.as_bytes());
        let answer = self.connection.ask(&request).await;
        must(answer.map_err(broken(&self.target))?, || format!("campaign {name}"))
    }

    /// Imports the coupons `first..end` in files, and calls `told` with the number of imported
    /// ones.
    ///
    /// # Errors
    /// [`NotReady`], also if a line was rejected.
    pub async fn coupons(
        &mut self,
        first: u64,
        end: u64,
        mut told: impl FnMut(u64),
    ) -> Result<ImportResult, NotReady> {
        let begun = Instant::now();
        let mut from = first;
        while from < end {
            let to = end.min(from + FILE_LINES);
            self.file(from, to).await?;
            from = to;
            told(from - first);
        }
        let (lines, seconds) = (end - first, begun.elapsed().as_secs_f64());
        Ok(ImportResult { lines, seconds, per_second: lines as f64 / seconds.max(1e-9) })
    }

    /// Issues the coupons `first..end` from the campaign [`CAMPAIGN`], one to each user, over this
    /// many connections. Returns their codes in that order. It may be repeated: users who have a
    /// coupon get the same one.
    pub async fn minted(
        &self,
        first: u64,
        end: u64,
        connections: u64,
    ) -> Result<Vec<Box<str>>, NotReady> {
        let mut lanes = tokio::task::JoinSet::new();
        for lane in 0..connections {
            let numbers = (first + lane..end).step_by(connections as usize);
            let (target, token, users) = (Arc::clone(&self.target), self.token.clone(), self.users);
            lanes.spawn(async move { (lane, issued(target, &token, users, numbers).await) });
        }
        let mut codes = vec![Box::default(); (end - first) as usize];
        while let Some(ended) = lanes.join_next().await {
            let (lane, of_lane) = ended.map_err(io::Error::other).map_err(broken(&self.target))?;
            for (nth, code) in of_lane?.into_iter().enumerate() {
                codes[lane as usize + nth * connections as usize] = code;
            }
        }
        Ok(codes)
    }

    async fn file(&mut self, from: u64, to: u64) -> Result<(), NotReady> {
        let line_bytes = self.users.line(from).len();
        let bytes = stock::HEADER.len() + line_bytes * (to - from) as usize;
        let path = format!("/v1/campaigns/{CAMPAIGN}/batches?batch_id=from-{from}-to-{to}");
        let mut head = Vec::new();
        let line = format_args!("POST {path}");
        wire::head(&mut head, &self.target, &self.token, line, Some(("text/csv", bytes)));
        head.extend_from_slice(stock::HEADER.as_bytes());
        let parts = (from..to).step_by(PART_LINES as usize).map(|begin| {
            let numbers = begin..to.min(begin + PART_LINES);
            numbers.map(|number| self.users.line(number)).collect::<String>().into_bytes()
        });
        let answer = self.connection.ask_in_parts(&head, parts).await;
        let answer = answer.map_err(broken(&self.target))?;
        let what = || format!("a file of {} coupons", to - from);
        must(answer, what)?;
        let batch: Result<ImportedBatch, _> = serde_json::from_slice(answer.body);
        match batch {
            Ok(batch) if batch.lines == to - from && batch.imported == batch.lines => Ok(()),
            // An earlier run used the same numbers: its coupons exist and may be used up.
            _ => Err(refused(answer, what())),
        }
    }
}

async fn issued(
    target: Arc<ServerAddress>,
    token: &str,
    users: UserOrder,
    numbers: impl Iterator<Item = u64>,
) -> Result<Vec<Box<str>>, NotReady> {
    let mut connection = HttpConnection::new(Arc::clone(&target));
    let (mut codes, mut request) = (Vec::new(), Vec::new());
    let write = |request: &mut Vec<u8>, number: u64| {
        let body = format!("{{\"user_id\":\"{}\"}}", users.user(number));
        let kind = ("application/json", body.len());
        request.clear();
        let line = format_args!("POST /v1/campaigns/{CAMPAIGN}/issue");
        wire::head(request, &target, token, line, Some(kind));
        request.extend_from_slice(body.as_bytes());
    };
    for number in numbers {
        write(&mut request, number);
        let answer = connection.ask(&request).await.map_err(broken(&target))?;
        let what = || format!("a coupon for {}", users.user(number));
        must(answer, what)?;
        let coupon: IssuedCode<'_> =
            serde_json::from_slice(answer.body).map_err(|_| refused(answer, what()))?;
        codes.push(coupon.code.into());
    }
    Ok(codes)
}

fn broken(target: &ServerAddress) -> impl FnOnce(io::Error) -> NotReady {
    move |source| NotReady::Connection { target: target.clone(), source }
}

fn must(answer: HttpAnswer<'_>, what: impl FnOnce() -> String) -> Result<(), NotReady> {
    match answer.status {
        200 | 201 => Ok(()),
        _ => Err(refused(answer, what())),
    }
}

fn refused(answer: HttpAnswer<'_>, what: String) -> NotReady {
    let text = String::from_utf8_lossy(answer.body).into_owned();
    NotReady::Refused { what, status: answer.status, text }
}

/// The present year, by average years: at the turn of the year it may be a day off.
fn year() -> u64 {
    const YEAR: Duration = Duration::from_secs(31_556_952);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    1970 + now.as_secs() / YEAR.as_secs()
}
