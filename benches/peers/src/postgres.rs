//! PostgreSQL behind the front: a write is one statement, and so one round trip and one commit.

mod lines;
mod server;
mod statements;

pub(crate) use server::{CONNECTIONS, Server};

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use deadpool_postgres::{Object, Pool};
use futures::{SinkExt, Stream, StreamExt, TryStreamExt, stream};
use loadtest::stock::{self, UserOrder};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use crate::front::{self, Answer, Batch, Coupon, Redemption, Refusal};
use crate::terms::{Campaign, Campaigns, FreshCodes, Millis};
use crate::{Failure, Issue};

/// Lines that are made at a time: as many bytes as a socket takes at once.
const LINES_PART: u64 = 2_000;

/// The campaign of the coupons at the start, by the name that the sender uses.
const LOADED: &str = "load";

/// Coupons in a PostgreSQL that a [`Server`] runs.
pub(crate) struct Store {
    pool: Pool,
    issue: Issue,
    campaigns: Campaigns,
    codes: FreshCodes,
}

impl Store {
    fn new(pool: Pool, issue: Issue) -> Store {
        Store { pool, issue, campaigns: Campaigns::default(), codes: FreshCodes::new() }
    }

    /// Makes the tables, `coupons` issued coupons and the indexes, in the state of a database that
    /// has run for a while.
    async fn load(&self, coupons: u64) -> Result<(), Failure> {
        let mut client = self.pool.get().await?;
        client.batch_execute(include_str!("../schema/postgres.sql")).await?;
        let campaign = self.made(&client, LOADED, 0).await?;
        if let Some(campaign) = campaign {
            let parts = (0..coupons).step_by(LINES_PART as usize).map(|begin| {
                let numbers = begin..coupons.min(begin + LINES_PART);
                Ok(Bytes::from(
                    numbers.map(|number| UserOrder::Scattered.line(number)).collect::<String>(),
                ))
            });
            let header = stream::iter([Ok(Bytes::from(stock::HEADER))]);
            copy(&mut client, &campaign, header.chain(stream::iter(parts))).await?;
        }
        client.batch_execute(include_str!("../schema/postgres_indexes.sql")).await?;
        if self.issue == Issue::Pool {
            client.batch_execute(include_str!("../schema/postgres_pool_index.sql")).await?;
        }
        client.batch_execute("VACUUM ANALYZE").await?;
        client.batch_execute("CHECKPOINT").await?;
        Ok(())
    }

    /// The campaign, when it was made now.
    async fn made(
        &self,
        client: &Object,
        campaign_id: &str,
        stock: u64,
    ) -> Result<Option<Arc<Campaign>>, Failure> {
        let mut campaign = Campaign::new(campaign_id);
        let (from, until) = (campaign.valid_from.0, campaign.expires_at.0);
        let row = client
            .query_opt(statements::CAMPAIGN_MADE, &[&campaign_id, &from, &until, &(stock as i64)])
            .await?;
        let Some(row) = row else { return Ok(None) };
        campaign.number = row.get(0);
        Ok(Some(self.campaigns.keep(campaign)))
    }

    async fn campaign_of_id(
        &self,
        client: &Object,
        campaign_id: &str,
    ) -> Result<Option<Arc<Campaign>>, Failure> {
        if let Some(campaign) = self.campaigns.of_id(campaign_id) {
            return Ok(Some(campaign));
        }
        let row = client.query_opt(statements::CAMPAIGN_BY_ID, &[&campaign_id]).await?;
        Ok(row.map(|row| self.campaigns.keep(campaign_from(&row))))
    }

    async fn campaign_of_number(
        &self,
        client: &Object,
        number: i64,
    ) -> Result<Arc<Campaign>, Failure> {
        if let Some(campaign) = self.campaigns.of_number(number) {
            return Ok(campaign);
        }
        let row = client.query_one(statements::CAMPAIGN_BY_NUMBER, &[&number]).await?;
        Ok(self.campaigns.keep(campaign_from(&row)))
    }

    async fn coupon_from(&self, client: &Object, row: &Row) -> Result<Coupon, Failure> {
        let campaign = self.campaign_of_number(client, row.get(1)).await?;
        let expires_at: i64 = row.get(5);
        Ok(Coupon {
            code: row.get(0),
            campaign_id: campaign.campaign_id.clone(),
            state: row.get(2),
            expired: expires_at <= Millis::now().0,
            paused: false,
            holder: row.get(3),
            valid_from: Millis(row.get(4)),
            expires_at: Millis(expires_at),
            time_zone: "UTC",
            held_until: None,
            issued_at: row.get::<_, Option<i64>>(6).map(Millis),
            redeemed_at: row.get::<_, Option<i64>>(7).map(Millis),
            order_ref: row.get(8),
            created_at: Millis(row.get(9)),
            modified_at: Millis(row.get(10)),
            version: row.get(11),
            tier: "hot",
        })
    }

    /// Why redeems changed nothing, in their order. Read separately, because it is rare.
    async fn unredeemed(
        &self,
        client: &Object,
        redemptions: Vec<Redemption>,
    ) -> Result<Vec<Answer<Redemption>>, Failure> {
        let codes: Vec<&str> = redemptions.iter().map(|it| it.code.as_str()).collect();
        let mut found = HashMap::new();
        for row in all(client, statements::COUPONS, &[&codes]).await? {
            let coupon = self.coupon_from(client, &row).await?;
            found.insert(coupon.code.clone(), coupon);
        }
        let answers = redemptions.into_iter().map(|redemption| {
            let Some(coupon) = found.get(&redemption.code) else {
                return Answer::Refused(Refusal::NotFound);
            };
            if coupon.holder.as_deref() != Some(&redemption.user_id) {
                return Answer::Refused(Refusal::NotFound);
            }
            let Some(redeemed_at) = coupon.redeemed_at else {
                return Answer::Refused(Refusal::Expired);
            };
            if coupon.order_ref.as_deref() != Some(&redemption.order_ref) {
                return Answer::Refused(Refusal::AlreadyRedeemed);
            }
            let campaign_id = coupon.campaign_id.clone();
            Answer::Again(Redemption { campaign_id, redeemed_at, ..redemption })
        });
        Ok(answers.collect())
    }

    /// The code that the user got now. None if they have one or none is left.
    async fn taken(
        &self,
        client: &Object,
        campaign: &Campaign,
        user_id: &str,
        now: i64,
    ) -> Result<Option<String>, Failure> {
        let event = issued_event(now);
        let (number, day, until) = (campaign.number, campaign.expiry_day(), campaign.expires_at.0);
        let code = self.codes.next();
        match self.issue {
            Issue::Counter => {
                let from = campaign.valid_from.0;
                let row: &[&(dyn ToSql + Sync)] =
                    &[&number, &user_id, &day, &code, &from, &until, &now, &event];
                let statement = client.prepare_cached(statements::ISSUE_COUNTER).await?;
                match client.execute(&statement, row).await {
                    Ok(rows) => Ok((rows == 1).then_some(code)),
                    Err(error) if is_past_stock(&error) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            // A fresh code is as good a place to begin as any, and behind the last one there may
            // be nothing: then from the first.
            Issue::Pool => {
                for begin in [code.as_str(), ""] {
                    let row: &[&(dyn ToSql + Sync)] =
                        &[&number, &user_id, &day, &begin, &until, &now, &event];
                    if let Some(row) = one(client, statements::ISSUE_POOL, row).await? {
                        return Ok(Some(row.get(0)));
                    }
                }
                Ok(None)
            }
        }
    }
}

impl front::Store for Store {
    async fn redeem(
        &self,
        code: String,
        user_id: String,
        order_ref: String,
    ) -> Result<Answer<Redemption>, Failure> {
        let client = self.pool.get().await?;
        let mut redemption = Redemption::new(code, user_id, order_ref);
        let (at, event) = (redemption.redeemed_at.0, redeemed_event(&redemption)?);
        let Redemption { code, user_id, order_ref, .. } = &redemption;
        let row: &[&(dyn ToSql + Sync)] = &[code, user_id, order_ref, &at, &event];
        let Some(row) = one(&client, statements::REDEEM, row).await? else {
            let answer = self.unredeemed(&client, vec![redemption]).await?.pop();
            return Ok(answer.unwrap_or(Answer::Refused(Refusal::NotFound)));
        };
        let campaign = self.campaign_of_number(&client, row.get(0)).await?;
        redemption.campaign_id.clone_from(&campaign.campaign_id);
        Ok(Answer::Made(redemption))
    }

    async fn issue(&self, campaign_id: &str, user_id: String) -> Result<Answer<Coupon>, Failure> {
        let client = self.pool.get().await?;
        let Some(campaign) = self.campaign_of_id(&client, campaign_id).await? else {
            return Ok(Answer::Refused(Refusal::NotFound));
        };
        let now = Millis::now();
        if let Some(code) = self.taken(&client, &campaign, &user_id, now.0).await? {
            return Ok(Answer::Made(Coupon::issued(code, &campaign, user_id, now)));
        }
        match one(&client, statements::CLAIMED, &[&campaign.number, &user_id]).await? {
            Some(row) => Ok(Answer::Again(self.coupon_from(&client, &row).await?)),
            None => Ok(Answer::Refused(Refusal::SoldOut)),
        }
    }

    async fn coupon(&self, code: &str) -> Result<Option<Coupon>, Failure> {
        let client = self.pool.get().await?;
        match one(&client, statements::COUPON, &[&code]).await? {
            Some(row) => Ok(Some(self.coupon_from(&client, &row).await?)),
            None => Ok(None),
        }
    }

    async fn campaign(&self, campaign_id: &str, stock: u64) -> Result<Answer<()>, Failure> {
        let mut client = self.pool.get().await?;
        let Some(campaign) = self.made(&client, campaign_id, stock).await? else {
            return Ok(Answer::Again(()));
        };
        if self.issue == Issue::Pool {
            let parts = (0..stock).step_by(LINES_PART as usize).map(|begin| {
                let numbers = begin..stock.min(begin + LINES_PART);
                let line = |_| format!("{},available,\n", self.codes.next());
                Ok(Bytes::from(numbers.map(line).collect::<String>()))
            });
            let header = stream::iter([Ok(Bytes::from(stock::HEADER))]);
            copy(&mut client, &campaign, header.chain(stream::iter(parts))).await?;
            // Without this it would be planned for an empty pool.
            client.batch_execute("ANALYZE coupon").await?;
        }
        Ok(Answer::Made(()))
    }

    async fn import(
        &self,
        campaign_id: &str,
        batch_id: String,
        lines: Body,
    ) -> Result<Answer<Batch>, Failure> {
        let mut client = self.pool.get().await?;
        let Some(campaign) = self.campaign_of_id(&client, campaign_id).await? else {
            return Ok(Answer::Refused(Refusal::NotFound));
        };
        let lines = lines.into_data_stream().map_err(Failure::from);
        match copy(&mut client, &campaign, lines).await? {
            Some(lines) => Ok(Answer::Made(Batch { batch_id, lines, imported: lines })),
            None => Ok(Answer::Refused(Refusal::Invalid)),
        }
    }
}

impl front::BatchStore for Store {
    async fn redeem_many(
        &self,
        asked: Vec<Redemption>,
    ) -> Result<Vec<Answer<Redemption>>, Failure> {
        let client = self.pool.get().await?;
        let texts = |of: fn(&Redemption) -> &str| asked.iter().map(of).collect::<Vec<&str>>();
        let events = asked.iter().map(redeemed_event).collect::<Result<Vec<String>, _>>()?;
        let row: &[&(dyn ToSql + Sync)] = &[
            &texts(|it| &it.code),
            &texts(|it| &it.user_id),
            &texts(|it| &it.order_ref),
            &Millis::now().0,
            &events,
        ];
        let mut redeemed = HashMap::new();
        for row in all(&client, statements::REDEEM_MANY, row).await? {
            let campaign = self.campaign_of_number(&client, row.get(1)).await?;
            redeemed.insert((row.get(0), row.get(2)), campaign);
        }
        let mut answers: Vec<Option<Answer<Redemption>>> = Vec::with_capacity(asked.len());
        let mut rest = Vec::new();
        for mut redemption in asked {
            let name = (redemption.code.clone(), redemption.order_ref.clone());
            match redeemed.remove(&name) {
                Some(campaign) => {
                    redemption.campaign_id.clone_from(&campaign.campaign_id);
                    answers.push(Some(Answer::Made(redemption)));
                }
                None => {
                    rest.push(redemption);
                    answers.push(None);
                }
            }
        }
        let rest = match rest.is_empty() {
            true => Vec::new(),
            false => self.unredeemed(&client, rest).await?,
        };
        Ok(filled(answers, rest))
    }

    /// By the counter: the pool has no statement for many.
    async fn issue_many(
        &self,
        campaign_id: &str,
        users: Vec<String>,
    ) -> Result<Vec<Answer<Coupon>>, Failure> {
        let client = self.pool.get().await?;
        let Some(campaign) = self.campaign_of_id(&client, campaign_id).await? else {
            return Ok(users.iter().map(|_| Answer::Refused(Refusal::NotFound)).collect());
        };
        let now = Millis::now();
        let codes: Vec<String> = users.iter().map(|_| self.codes.next()).collect();
        let (day, until) = (campaign.expiry_day(), campaign.expires_at.0);
        let row: &[&(dyn ToSql + Sync)] = &[
            &campaign.number,
            &users,
            &day,
            &codes,
            &campaign.valid_from.0,
            &until,
            &now.0,
            &issued_event(now.0),
        ];
        let mut issued: HashMap<String, String> =
            match all(&client, statements::ISSUE_MANY, row).await {
                Ok(rows) => rows.iter().map(|row| (row.get(0), row.get(1))).collect(),
                Err(error) if is_past_stock(&error) => HashMap::new(),
                Err(error) => return Err(error.into()),
            };
        let mut answers = Vec::with_capacity(users.len());
        let mut rest = Vec::new();
        for user_id in users {
            match issued.remove(&user_id) {
                Some(code) => {
                    let coupon = Coupon::issued(code, &campaign, user_id, now);
                    answers.push(Some(Answer::Made(coupon)));
                }
                None => {
                    rest.push(user_id);
                    answers.push(None);
                }
            }
        }
        let mut claimed = HashMap::new();
        for row in all(&client, statements::ALL_CLAIMED, &[&campaign.number, &rest]).await? {
            let coupon = self.coupon_from(&client, &row).await?;
            claimed.insert(coupon.holder.clone().unwrap_or_default(), coupon);
        }
        let rest = rest.iter().map(|user_id| match claimed.get(user_id) {
            Some(coupon) => Answer::Again(coupon.clone()),
            None => Answer::Refused(Refusal::SoldOut),
        });
        Ok(filled(answers, rest.collect()))
    }
}

/// The answers, with those of `rest` in the gaps.
fn filled<T>(answers: Vec<Option<Answer<T>>>, rest: Vec<Answer<T>>) -> Vec<Answer<T>> {
    let mut rest = rest.into_iter();
    answers.into_iter().filter_map(|answer| answer.or_else(|| rest.next())).collect()
}

/// Through JSON, since an order may have quotes in it.
fn redeemed_event(redemption: &Redemption) -> Result<String, Failure> {
    let (at, order) = (redemption.redeemed_at.0, serde_json::to_string(&redemption.order_ref)?);
    Ok(format!("{{\"kind\":\"redeemed\",\"at\":{at},\"reference\":{order}}}\n"))
}

fn issued_event(at: i64) -> String {
    format!("{{\"kind\":\"issued\",\"at\":{at},\"actor\":\"shop:peer\"}}\n")
}

/// The rows of a prepared statement, as in [`one`].
async fn all(
    client: &Object,
    statement: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let statement = client.prepare_cached(statement).await?;
    client.query(&statement, values).await
}

/// The row of a prepared statement, which this connection prepares once.
async fn one(
    client: &Object,
    statement: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Option<Row>, Failure> {
    let statement = client.prepare_cached(statement).await?;
    Ok(client.query_opt(&statement, values).await?)
}

/// Whether the counter row has refused more than the stock.
fn is_past_stock(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::CHECK_VIOLATION)
}

/// Sends lines into the table. Returns how many, or `None` if they are not plain.
async fn copy(
    client: &mut Object,
    campaign: &Campaign,
    parts: impl Stream<Item = Result<Bytes, Failure>> + Send,
) -> Result<Option<u64>, Failure> {
    let mut rows = lines::Rows::of(campaign, Millis::now());
    let mut parts = pin!(parts);
    let mut sink = pin!(client.copy_in(statements::COPY).await?);
    while let Some(part) = parts.next().await {
        match rows.from(&part?) {
            Some(rows) => sink.send(rows).await?,
            // A sink that is dropped without its end discards what it was sent.
            None => return Ok(None),
        }
    }
    match rows.rest() {
        Some(rest) => sink.send(rest).await?,
        None => return Ok(None),
    }
    Ok(Some(sink.finish().await?))
}

fn campaign_from(row: &Row) -> Campaign {
    Campaign {
        number: row.get(0),
        campaign_id: row.get(1),
        valid_from: Millis(row.get(2)),
        expires_at: Millis(row.get(3)),
    }
}
