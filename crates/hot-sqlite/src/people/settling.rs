//! One pass over every table that may name persons, for all of them together. Until they are admitted, whatever has such a
//! name is of the person who is forgotten.
//!
//! Readers look; only rows with a name are written, some at a time.

use std::sync::Arc;

use coupon::code::Code;
use coupon::erasure::Erasure;
use hot::people::{NamedPeople, erase_json};
use rusqlite::{Result as SqlResult, Row, params};

use super::{ERASED_MAX, erase_line, erase_row};
use crate::columns::parsed;
use crate::coupons::row_at;
use crate::failure::damaged;
use crate::txn::Txn;
use crate::{Result, SqliteHot};

/// Rows that one read looks at.
pub(super) const ROWS_MAX: i64 = 5_000;

/// Rows that may name somebody, by their keys, and where the next look begins; `None` at the end.
pub(super) struct NamingRows<K> {
    pub(super) rows: Vec<(K, Vec<Erasure>)>,
    pub(super) next: Option<K>,
}

pub(super) async fn settle(store: &SqliteHot, erasures: &[Erasure]) -> Result<()> {
    let people = Arc::new(NamedPeople::of_all(erasures)?);
    pass(store, &people, (COUPONS, 0), number, coupon).await?;
    pass(store, &people, (EVENTS, 0), number, event).await?;
    pass(store, &people, (LINES, String::new()), text, line).await?;
    pass(store, &people, (REPLACEMENTS, String::new()), text, replaced).await?;
    pass(store, &people, (AUDIT, 0), number, audit_entry).await?;
    for erasure in erasures {
        store.records.erase(erasure).await?;
    }
    Ok(())
}

/// Reads the key of a row: its first column.
pub(super) type KeyOf<K> = fn(&Row<'_>) -> SqlResult<K>;

/// Erases persons from the row of a key.
type EraseAt<K> = fn(&Txn<'_>, &K, &Erasure) -> SqlResult<()>;

/// One pass over a table. `sql` reads keys behind `?1`, at most `?2`, and after each what may name a person.
async fn pass<K>(
    store: &SqliteHot,
    people: &Arc<NamedPeople>,
    (sql, after): (&'static str, K),
    key: KeyOf<K>,
    erase: EraseAt<K>,
) -> Result<()>
where
    K: rusqlite::ToSql + Clone + Send + Sync + 'static,
{
    let mut next = Some(after);
    while let Some(after) = next {
        let people = Arc::clone(people);
        let look = move |txn: &Txn<'_>| naming(txn, &people, (sql, &after), key);
        let found = store.readers.run(look).await?;
        for some in found.rows.chunks(ERASED_MAX as usize) {
            let some = some.to_vec();
            let write = move |txn: &Txn<'_>| {
                some.iter().try_for_each(|(key, persons)| {
                    persons.iter().try_for_each(|person| erase(txn, key, person))
                })
            };
            store.background_write(write).await?;
        }
        next = found.next;
    }
    Ok(())
}

pub(super) fn naming<K: rusqlite::ToSql>(
    txn: &Txn<'_>,
    people: &NamedPeople,
    (sql, after): (&str, &K),
    key: KeyOf<K>,
) -> SqlResult<NamingRows<K>> {
    let mut statement = txn.statement(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query(params![after, ROWS_MAX])?;
    let (mut found, mut next, mut count) = (NamingRows { rows: Vec::new(), next: None }, None, 0);
    while let Some(row) = rows.next()? {
        count += 1;
        let mut persons = Vec::new();
        for column in 1..columns {
            if let Ok(bytes) = row.get_ref(column)?.as_bytes() {
                persons.extend(people.of(bytes));
            }
        }
        if !persons.is_empty() {
            found.rows.push((key(row)?, persons));
        }
        if count == ROWS_MAX {
            next = Some(key(row)?);
        }
    }
    Ok(NamingRows { next, ..found })
}

pub(super) fn number(row: &Row<'_>) -> SqlResult<i64> {
    row.get(0)
}

pub(super) fn text(row: &Row<'_>) -> SqlResult<String> {
    row.get(0)
}

pub(super) const COUPONS: &str =
    "SELECT number, holder, record FROM coupon WHERE number > ?1 ORDER BY number LIMIT ?2";

fn coupon(txn: &Txn<'_>, number: &i64, erasure: &Erasure) -> SqlResult<()> {
    match row_at(txn, *number)? {
        Some(located) => erase_row(txn, &located, erasure),
        None => Ok(()),
    }
}

pub(super) const LINES: &str =
    "SELECT code, last_line FROM directory WHERE code > ?1 ORDER BY code LIMIT ?2";

fn line(txn: &Txn<'_>, code: &String, erasure: &Erasure) -> SqlResult<()> {
    let read = |row: &Row<'_>| parsed::<Code>(row, 0);
    let code = txn.first("SELECT code FROM directory WHERE code = ?1", [code], read)?;
    code.map_or(Ok(()), |code| erase_line(txn, &code, erasure))
}

const REPLACEMENTS: &str = "SELECT replaced, user_id FROM replacement WHERE replaced > ?1 \
                            ORDER BY replaced LIMIT ?2";

fn replaced(txn: &Txn<'_>, code: &String, erasure: &Erasure) -> SqlResult<()> {
    let sql = "UPDATE replacement SET user_id = ?3 WHERE replaced = ?1 AND user_id = ?2";
    txn.run(sql, params![code, erasure.user.as_str(), erasure.name.as_str()])
}

/// Without what the feed says of persons who were erased before: it has their name for those who must forget them.
const EVENTS: &str = "SELECT number, user_id, actor FROM event WHERE number > ?1 AND kind <> 21 \
                      ORDER BY number LIMIT ?2";

fn event(txn: &Txn<'_>, number: &i64, erasure: &Erasure) -> SqlResult<()> {
    let sql = "SELECT user_id, iif(typeof(actor) = 'text', actor, NULL), ref, reason FROM event \
               WHERE number = ?1";
    let texts = |row: &Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]);
    let found: Option<[Option<String>; 4]> = txn.first(sql, [number], texts)?;
    let Some([user, actor, reference, reason]) = found else { return Ok(()) };
    let is_named = user.as_deref() == Some(erasure.user.as_str());
    let acted = actor.as_deref().and_then(|it| erasure.of_actor(it));
    if !is_named && acted.is_none() {
        return Ok(());
    }
    let user = if is_named { Some(erasure.name.as_str().to_owned()) } else { user };
    let text = |text: Option<String>| text.map(|it| erasure.of_text(&it).unwrap_or(it));
    txn.run(
        "UPDATE event SET user_id = ?2, actor = coalesce(?3, actor), ref = ?4, reason = ?5 \
         WHERE number = ?1",
        params![number, user, acted, text(reference), text(reason)],
    )
}

pub(super) const AUDIT: &str =
    "SELECT number, changes FROM audit WHERE number > ?1 ORDER BY number LIMIT ?2";

/// An entry names a user if somebody made a token for them.
fn audit_entry(txn: &Txn<'_>, number: &i64, erasure: &Erasure) -> SqlResult<()> {
    let changes: String = txn.one("SELECT changes FROM audit WHERE number = ?1", [number])?;
    let mut changes =
        serde_json::from_str(&changes).map_err(|why| damaged("audit.changes", why))?;
    if !erase_json(erasure, &mut changes) {
        return Ok(());
    }
    let sql = "UPDATE audit SET changes = ?2 WHERE number = ?1";
    txn.run(sql, params![number, changes.to_string()])
}
