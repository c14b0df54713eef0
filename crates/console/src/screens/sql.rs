//! SQL over both tiers: saved queries, and what they find.

use askama::Template;
use axum::body::Body;
use axum::extract::Path;
use bytes::Bytes;
use coupon::calendar::{Date, Zone};
use coupon::campaign::Campaign;
use coupon::ids::CampaignId;
use coupon::text::clipped;
use coupon::time::Millis;
use engine::csv::BYTE_ORDER_MARK;
use engine::{Caller, QUERY_BYTES_MAX, SavedQuery};
use serde_json::json;

use crate::desk::{PageContext, to};
use crate::fields::FormFields;
use crate::roles::ConsoleAction;
use crate::screens::codes::{CSV, attached};
use crate::sql::{HistoryError, SqlRows, SqlService};
use crate::text::{IsolatedText, PageTexts};
use crate::trouble::{ConsoleError, ConsoleResult};

/// Rows that a page shows; the file has more.
const SHOWN: usize = 500;

/// Characters of a cell that a page shows.
const CELL_CHARS: usize = 200;

#[derive(Template)]
#[template(path = "sql.html")]
struct SqlPage<'a> {
    d: &'a PageContext,
    saved: Vec<SavedQuery>,
    name: &'a str,
    sql: &'a str,
    found: Option<SqlOutcome>,
    curl: String,
}

enum SqlOutcome {
    Rows {
        columns: Vec<String>,
        rows: Vec<Vec<Option<String>>>,
        said: String,
        file: Option<String>,
    },
    Wrong(String),
}

/// `GET /console/reports/sql`: a query to write; or one that is there for each campaign, whose address names it.
pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let Some(id) = desk.query.may::<CampaignId>("campaign")? else {
        return show(&desk, "", "", None).await;
    };
    let caller = desk.caller(ConsoleAction::RunQuery)?;
    let campaign = desk.engine().campaign(&caller, &id).await?.campaign;
    let sql = uses_after_issue(&desk, &campaign);
    let found = run(&desk, &caller, None, &sql).await?;
    show(&desk, &desk.t.uses_of(&campaign.name), &sql, Some(found)).await
}

/// How many coupons of each day of issue were redeemed within some days: by their last holders, and without redemptions
/// that were cancelled. Days are those of the campaign, by its clocks of today: the program knows no zones.
fn uses_after_issue(desk: &PageContext, campaign: &Campaign) -> String {
    let (t, today) = (desk.t, Date::of(desk.now, &campaign.zone));
    let [utc, own] = [Zone::utc(), campaign.zone.clone()].map(|it| today.first_instant(&it).0);
    let ahead = (utc - own) / 1_000;
    let within = [1_u64, 7, 30].map(|days| {
        let name = t.days(days);
        format!(",\n  count(*) filter (where redeemed_at < issued_at + interval '{days} days') as \"{name}\"")
    });
    format!(
        "select cast(issued_at + interval '{ahead} seconds' as date) as \"{}\", count(*) as \"{}\"{}\n\
         from coupons where campaign_id = '{}' and issued_at is not null and state <> 'void'\n\
         group by 1 order by 1",
        t.day(),
        t.state_issued(),
        within.concat(),
        campaign.id,
    )
}

async fn show(
    desk: &PageContext,
    name: &str,
    sql: &str,
    found: Option<SqlOutcome>,
) -> ConsoleResult {
    program(desk)?;
    let asked = if sql.is_empty() { "select count(*) from coupons" } else { sql };
    let page = SqlPage {
        d: desk,
        saved: desk.engine().queries().await?,
        name,
        sql,
        found,
        curl: desk.curl("POST", "/v1/history/query", json!({"sql": asked})),
    };
    desk.page(&page)
}

fn program(desk: &PageContext) -> ConsoleResult<&SqlService> {
    desk.console.sql.as_ref().ok_or(ConsoleError::NotFound)
}

/// `POST /console/reports/sql`: runs a query that somebody has typed, or saves it.
pub(crate) async fn send(desk: PageContext, fields: FormFields) -> ConsoleResult {
    let (name, sql) = (fields.shown("name"), fields.shown("sql"));
    let caller = desk.caller(ConsoleAction::SaveQuery)?;
    program(&desk)?;
    if fields.get("do") == Some("save") {
        let saved = desk.engine().save_query(&caller, name, sql).await?;
        return Ok(to(&format!("/console/reports/sql/{}?done=saved", saved.id)));
    }
    if sql.trim().is_empty() || sql.len() > QUERY_BYTES_MAX {
        return Err(ConsoleError::field("sql", format!("has 1 to {QUERY_BYTES_MAX} bytes")));
    }
    let found = run(&desk, &caller, None, sql).await?;
    show(&desk, name, sql, Some(found)).await
}

async fn saved(desk: &PageContext, id: &str) -> ConsoleResult<SavedQuery> {
    let queries = desk.engine().queries().await?;
    queries.into_iter().find(|query| query.id == id).ok_or(ConsoleError::NotFound)
}

/// `GET /console/reports/sql/{id}`: runs a saved query.
pub(crate) async fn query(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let caller = desk.caller(ConsoleAction::RunQuery)?;
    program(&desk)?;
    let query = saved(&desk, &id).await?;
    let found = run(&desk, &caller, Some(&query), &query.sql).await?;
    show(&desk, &query.name, &query.sql, Some(found)).await
}

async fn run(
    desk: &PageContext,
    caller: &Caller,
    saved: Option<&SavedQuery>,
    sql: &str,
) -> ConsoleResult<SqlOutcome> {
    let t = desk.t;
    // Before the rows: without the entry there is no answer.
    desk.engine().query_runs(caller, saved.map(|it| it.name.as_str()), sql).await?;
    Ok(match program(desk)?.rows(caller, sql).await? {
        Ok(SqlRows { columns, mut rows, truncated }) => {
            let count = t.number(rows.len() as u64);
            let said = match truncated || rows.len() > SHOWN {
                true => t.sql_first_rows(t.number(SHOWN.min(rows.len()) as u64), count),
                false => t.sql_rows(count),
            };
            rows.truncate(SHOWN);
            for cell in rows.iter_mut().flatten().flatten() {
                *cell = clipped(cell, CELL_CHARS);
            }
            let file = saved.map(|it| format!("/console/reports/sql/{}/file.csv", it.id));
            SqlOutcome::Rows { columns, rows, said, file }
        }
        Err(error) => SqlOutcome::Wrong(wrong(t, &error)),
    })
}

fn wrong(t: PageTexts, error: &HistoryError) -> String {
    match error {
        HistoryError::Sql(why) => t.sql_wrong(IsolatedText(why)),
        HistoryError::Slow => t.sql_slow().to_owned(),
        HistoryError::Busy => t.sql_busy().to_owned(),
        HistoryError::Away(why) => {
            tracing::warn!(why, "a query of the console has no answer");
            t.sql_away().to_owned()
        }
    }
}

pub(crate) async fn file(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    let caller = desk.caller(ConsoleAction::RunQuery)?;
    program(&desk)?;
    let query = saved(&desk, &id).await?;
    // Before the rows: without the entry there is no answer.
    desk.engine().query_runs(&caller, Some(&query.name), &query.sql).await?;
    let (rows, truncated) = match program(&desk)?.csv(&caller, &query.sql).await? {
        Ok(found) => found,
        Err(error) => return Err(ConsoleError::field("sql", wrong(desk.t, &error))),
    };
    // A file that lacks rows would be taken for all of them.
    if truncated {
        return Err(ConsoleError::field("sql", desk.t.sql_too_many()));
    }
    let name = format!("query-{id}.csv");
    let rows = [Bytes::from_static(BYTE_ORDER_MARK.as_bytes()), rows].concat();
    Ok(attached(&name, CSV, Body::from(rows)))
}

pub(crate) async fn delete(desk: PageContext, Path(id): Path<String>) -> ConsoleResult {
    desk.engine().delete_query(&desk.caller(ConsoleAction::SaveQuery)?, &id).await?;
    Ok(to("/console/reports/sql?done=deleted"))
}
