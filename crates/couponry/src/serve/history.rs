//! `couponry-history serve`, which runs the queries of people at the console.

use std::sync::Arc;
use std::time::Duration;

use api::outbound::{self, BodyReadError, whole};
use api::token::{Role, TokenService};
use bytes::Bytes;
use console::{HistoryError, SqlRows, SqlRunner};
use engine::{Caller, Engine};
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::header::ACCEPT;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::failure::Result;
use crate::output::cell_text;
use crate::settings::Settings;

/// Longest time of one query: the program waits half as long as a query may take, and then runs it.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Longest answer, in bytes; the program cuts it at 32 MiB.
const ANSWER_BYTES_MAX: usize = 40 << 20;

/// How long a token is good, in milliseconds: longer than a query takes.
const TOKEN_MS: i64 = 60_000;

struct Program {
    address: Url,
    client: Client,
    tokens: Arc<TokenService>,
    engine: Arc<Engine>,
}

pub(super) fn program(
    settings: &Settings,
    tokens: &Arc<TokenService>,
    engine: &Arc<Engine>,
) -> Result<Option<Box<dyn SqlRunner>>> {
    let program = |(address, client)| -> Box<dyn SqlRunner> {
        let (tokens, engine) = (Arc::clone(tokens), Arc::clone(engine));
        Box::new(Program { address, client, tokens, engine })
    };
    Ok(address(settings)?.map(program))
}

/// Where it is, if the settings say so, and what asks it.
pub(super) fn address(settings: &Settings) -> Result<Option<(Url, Client)>> {
    let setting = &settings.console_history;
    let Some(address) = &setting.value else { return Ok(None) };
    let address = format!("{}/v1/history/query", address.trim_end_matches('/'));
    let address = outbound::checked(&address).map_err(|why| setting.unusable(why))?;
    let client = outbound::client(&address, TIMEOUT).build();
    Ok(Some((address, client.map_err(|error| setting.unusable(error))?)))
}

impl SqlRunner for Program {
    fn rows<'a>(
        &'a self,
        caller: &'a Caller,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<SqlRows, HistoryError>> {
        #[derive(Deserialize)]
        struct Found {
            columns: Vec<Column>,
            data: Vec<Map<String, Value>>,
            truncated: bool,
        }
        #[derive(Deserialize)]
        struct Column {
            name: String,
        }
        async move {
            let (_, body) = self.asked(caller, sql, "application/json").await?;
            let Found { columns, data, truncated } = serde_json::from_slice(&body)
                .map_err(|why| HistoryError::Away(format!("its answer: {why}")))?;
            let columns: Vec<String> = columns.into_iter().map(|column| column.name).collect();
            let cell = |value: &Value| (!value.is_null()).then(|| cell_text(value));
            let row = |row: Map<String, Value>| {
                columns.iter().map(|name| row.get(name).and_then(cell)).collect()
            };
            Ok(SqlRows { rows: data.into_iter().map(row).collect(), columns, truncated })
        }
        .boxed()
    }

    fn csv<'a>(
        &'a self,
        caller: &'a Caller,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<(Bytes, bool), HistoryError>> {
        async move {
            let (truncated, body) = self.asked(caller, sql, "text/csv").await?;
            Ok((body.into(), truncated))
        }
        .boxed()
    }
}

impl Program {
    /// The answer to a query, and whether it lacks rows.
    async fn asked(
        &self,
        caller: &Caller,
        sql: &str,
        form: &'static str,
    ) -> Result<(bool, Vec<u8>), HistoryError> {
        let now = self.engine.now().0;
        let minted = self.tokens.mint(caller.subject.as_str(), Role::Operator, TOKEN_MS, now);
        let (token, _) = minted.map_err(|why| HistoryError::Away(format!("no token: {why}")))?;
        let request = self.client.post(self.address.clone()).bearer_auth(token);
        let answer = request.header(ACCEPT, form).json(&json!({ "sql": sql })).send().await;
        let answer = answer.map_err(away)?;
        let (status, truncated) =
            (answer.status(), answer.headers().contains_key("x-truncated-at"));
        let body = whole(answer, ANSWER_BYTES_MAX).await.map_err(|unread| match unread {
            BodyReadError::BrokenOff(error) => away(error),
            long @ BodyReadError::TooLong(_) => HistoryError::Away(long.to_string()),
        })?;
        match status {
            StatusCode::OK => Ok((truncated, body)),
            StatusCode::BAD_REQUEST => Err(HistoryError::Sql(said(&body))),
            StatusCode::REQUEST_TIMEOUT => Err(HistoryError::Slow),
            StatusCode::SERVICE_UNAVAILABLE => Err(HistoryError::Busy),
            other => Err(HistoryError::Away(format!("{other} {}", said(&body)))),
        }
    }
}

fn said(body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let of_sql = &problem["errors"][0]["detail"];
    let text = of_sql.as_str().or_else(|| problem["detail"].as_str());
    text.unwrap_or_default().to_owned()
}

fn away(error: reqwest::Error) -> HistoryError {
    if error.is_timeout() { HistoryError::Slow } else { HistoryError::Away(error.to_string()) }
}
