//! What names a person, and whom a store names: the tables of a settling, read one page at a time.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use coupon::calendar::format_instant;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::erasure::{Erasure, erased_name};
use coupon::flat::Flat;
use coupon::ids::UserId;
use coupon::time::Millis;
use hot::audit::AuditEntry;
use hot::people::{Mention, MentionPage, NamedPeople, UserPage, next_place, place_of};
use rusqlite::{Result as SqlResult, Row, params};
use serde_json::json;

use super::settling::{self, AUDIT, COUPONS, KeyOf, LINES, ROWS_MAX, number, text};
use crate::columns::parsed;
use crate::coupons::{SqliteCoupon, number_of, numbered, row_at};
use crate::last_line::LastLine;
use crate::txn::Txn;
use crate::txn::audit::{entry, select_audit};
use crate::{Result, SqliteHot, directory};

/// How many places [`mentions`] reads, one after the other.
const PLACES: usize = 6;

/// Says what names the person in the row of a key.
type MentionAt<K> = fn(&Txn<'_>, &K, &Erasure) -> SqlResult<Option<Mention>>;

pub(super) async fn mentions(
    store: &SqliteHot,
    user: &UserId,
    after: Option<String>,
) -> Result<MentionPage> {
    let (place, key) = place_of(after.as_deref())?;
    // What finds a person finds them as if they were erased.
    let person = Erasure { number: 0, user: user.clone(), name: erased_name(0) };
    let (mentions, next) = match place {
        0 => store.readers.run(move |txn| account(txn, &person)).await?,
        1 => {
            let key = key.to_owned();
            store.readers.run(move |txn| given(txn, &person, &key)).await?
        }
        2 => page(store, person, (COUPONS, key, 0), number, coupon).await?,
        3 => page(store, person, (LINES, key, String::new()), text, line).await?,
        4 => page(store, person, (AUDIT, key, 0), number, audit_entry).await?,
        _ => store.records.mentions(person, key).await?,
    };
    Ok(MentionPage { mentions, next: next_place((place, next), PLACES) })
}

pub(super) async fn users(store: &SqliteHot, after: Option<String>) -> Result<UserPage> {
    let (place, key) = place_of(after.as_deref())?;
    let key = key.to_owned();
    let look = move |txn: &Txn<'_>| match place {
        0 => names(txn, CLAIMANTS, &key),
        1 => names(txn, ACCOUNTS, &key),
        2 => named_in_coupons(txn, key.parse().unwrap_or(0)),
        _ => named_in_lines(txn, &key),
    };
    let (users, next) = store.readers.run(look).await?;
    Ok(UserPage { users, next: next_place((place, next), 4) })
}

type FoundUsers = (Vec<UserId>, Option<String>);

const CLAIMANTS: &str =
    "SELECT DISTINCT user_id FROM claim WHERE user_id > ?1 ORDER BY user_id LIMIT ?2";

const ACCOUNTS: &str = "SELECT user_id FROM account WHERE user_id > ?1 ORDER BY user_id LIMIT ?2";

fn names(txn: &Txn<'_>, sql: &str, after: &str) -> SqlResult<FoundUsers> {
    let users: Vec<UserId> = txn.all(sql, params![after, ROWS_MAX], |row| parsed(row, 0))?;
    let next = users.last().filter(|_| is_full(&users)).map(ToString::to_string);
    Ok((users, next))
}

fn named_in_coupons(txn: &Txn<'_>, after: i64) -> SqlResult<FoundUsers> {
    let sql = "SELECT number FROM coupon WHERE number > ?1 ORDER BY number LIMIT ?2";
    let numbers: Vec<i64> = txn.all(sql, params![after, ROWS_MAX], |row| row.get(0))?;
    let mut users = BTreeSet::new();
    for number in &numbers {
        if let Some(SqliteCoupon { coupon, .. }) = row_at(txn, *number)? {
            let named =
                coupon.events().iter().filter_map(|event| Flat::of(event).user?.parse().ok());
            users.extend(named.chain(coupon.hold().map(|hold| hold.by.clone())));
        }
    }
    let next = numbers.last().filter(|_| is_full(&numbers)).map(ToString::to_string);
    Ok((users.into_iter().collect(), next))
}

fn named_in_lines(txn: &Txn<'_>, after: &str) -> SqlResult<FoundUsers> {
    let lines: Vec<(String, LastLine)> = txn.all(LINES, params![after, ROWS_MAX], |row| {
        Ok((row.get(0)?, LastLine::decode(row.get_ref(1)?.as_blob_or_null()?)?))
    })?;
    let next = lines.last().filter(|_| is_full(&lines)).map(|(code, _)| code.clone());
    let states = lines.into_iter().filter_map(|(_, line)| line.state);
    Ok((states.filter_map(|state| state.holder().cloned()).collect(), next))
}

fn is_full<T>(page: &[T]) -> bool {
    page.len() == ROWS_MAX as usize
}

type FoundMentions = (Vec<Mention>, Option<String>);

/// One page of a table, and the key behind which the next one begins.
async fn page<K>(
    store: &SqliteHot,
    person: Erasure,
    (sql, key, first): (&'static str, &str, K),
    key_of: KeyOf<K>,
    show: MentionAt<K>,
) -> Result<FoundMentions>
where
    K: rusqlite::ToSql + Display + FromStr + Send + 'static,
{
    let key = key.parse().unwrap_or(first);
    let people = NamedPeople::of_all(&[person])?;
    let look = move |txn: &Txn<'_>| {
        let found = settling::naming(txn, &people, (sql, &key), key_of)?;
        let named =
            found.rows.iter().flat_map(|(key, persons)| persons.iter().map(move |it| (key, it)));
        let shown = named.filter_map(|(key, person)| show(txn, key, person).transpose());
        Ok((shown.collect::<SqlResult<_>>()?, found.next.map(|key| key.to_string())))
    };
    store.readers.run(look).await
}

fn account(txn: &Txn<'_>, person: &Erasure) -> SqlResult<FoundMentions> {
    let sql = "SELECT login_id, created_at FROM account WHERE user_id = ?1";
    let shown = |row: &Row<'_>| {
        let (login, at): (String, i64) = (row.get(0)?, row.get(1)?);
        Ok(record("account", json!({"login_id": login, "created_at": instant(at)})))
    };
    Ok((txn.all(sql, [person.user.as_str()], shown)?, None))
}

fn given(txn: &Txn<'_>, person: &Erasure, after: &str) -> SqlResult<FoundMentions> {
    let codes: Vec<Code> = txn.all(
        "SELECT DISTINCT code FROM claim WHERE user_id = ?1 AND code > ?2 ORDER BY code LIMIT ?3",
        params![person.user.as_str(), after, ROWS_MAX],
        |row| parsed(row, 0),
    )?;
    let next = codes.last().filter(|_| is_full(&codes)).map(ToString::to_string);
    let mut mentions = Vec::new();
    for code in codes {
        let row = number_of(txn, &code)?.map(|number| numbered(txn, number, &code)).transpose()?;
        // The others come with their rows.
        if row.flatten().is_none_or(|it| person.of_coupon(&it.coupon).is_none()) {
            mentions.push(Mention::Coupon(code));
        }
    }
    Ok((mentions, next))
}

fn coupon(txn: &Txn<'_>, number: &i64, person: &Erasure) -> SqlResult<Option<Mention>> {
    let found = row_at(txn, *number)?.map(|it| it.coupon);
    let is_past = |coupon: &Coupon| coupon.holder() != Some(&person.user);
    let named = found.filter(|coupon| is_past(coupon) && person.of_coupon(coupon).is_some());
    Ok(named.map(|coupon| Mention::Coupon(coupon.code().clone())))
}

fn line(txn: &Txn<'_>, code: &String, person: &Erasure) -> SqlResult<Option<Mention>> {
    let state = directory::last_line(txn, code)?.and_then(|line| line.state);
    let state = state.filter(|state| person.of_line(state).is_some());
    let user = person.user.as_str();
    let shown = |state: &str| json!({"code": code, "state": state, "user_id": user});
    Ok(state.map(|state| record("imported_line", shown(state.as_str()))))
}

fn audit_entry(txn: &Txn<'_>, number: &i64, person: &Erasure) -> SqlResult<Option<Mention>> {
    let found = txn.first(select_audit!("WHERE number = ?1"), [number], entry)?;
    let Some(AuditEntry { act, event }) = found.map(|it| it.entry) else { return Ok(None) };
    let user = Some(person.user.as_str());
    let named = event.changes.iter().any(|it| it.field == "user" && it.to.as_deref() == user);
    let shown = || {
        let (kind, actor) = (event.kind.as_str(), act.actor.as_str());
        let reason = act.reason.as_ref().map(|it| it.as_str());
        json!({"type": kind, "at": instant(act.at.0), "actor": actor, "reason": reason,
               "changes": event.changes})
    };
    Ok(named.then(|| record("audit", shown())))
}

fn record(kind: &str, value: serde_json::Value) -> Mention {
    Mention::Record { kind: kind.to_owned(), value }
}

fn instant(at: i64) -> String {
    format_instant(Millis(at))
}
