//! People: what a user was given, and how they are forgotten.
//!
//! A claim or the index of holders leads to whatever a person has. A coupon that they had once may lead to nobody, if its
//! campaign has no limit: `settling` looks for it in every row.

mod mentions;
mod settling;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::{Coupon, EventKind};
use coupon::erasure::Erasure;
use coupon::ids::{IssueRef, UserId};
use hot::audit::Act;
use hot::people::{MentionPage, People, UserPage, in_json};
use rusqlite::{Result as SqlResult, params};

use crate::claims::erasing;
use crate::columns::parsed;
use crate::coupons::{SqliteCoupon, number_of, numbered, row_at, writing};
use crate::last_line::LineState;
use crate::txn::Txn;
use crate::{Result, SqliteHot, directory, orders, pages, settings};

/// Rows that one transaction changes, with those to which they lead: some 5 ms.
const ERASED_MAX: i64 = 100;

/// The setting with the number of the last erasure after which the next person of the name was admitted. They are admitted in
/// the sequence of the numbers.
const ADMITTED: &str = "erasures_admitted";

fn admitted(txn: &Txn<'_>) -> SqlResult<u64> {
    Ok(txn.setting_number(ADMITTED)?.unwrap_or(0))
}

#[async_trait]
impl People for SqliteHot {
    async fn mentions(&self, user: &UserId, after: Option<String>) -> Result<MentionPage> {
        mentions::mentions(self, user, after).await
    }

    async fn users(&self, after: Option<String>) -> Result<UserPage> {
        mentions::users(self, after).await
    }

    async fn erase(&self, erasure: &Erasure) -> Result<()> {
        let block = erasing(&erasure.user);
        let (name, number) = (block.clone(), erasure.number);
        let begin = move |txn: &Txn<'_>| match admitted(txn)? < number {
            true => settings::set(txn, &name, &number.to_string()),
            false => Ok(()),
        };
        self.writer.run(begin).await?;
        for some in [erase_claims, erase_held] {
            loop {
                let of = erasure.clone();
                let block = block.clone();
                // Somebody else may have gone on with it and admitted the next person of the name.
                let erase = move |txn: &Txn<'_>| match txn.setting(&block)? {
                    Some(_) => some(txn, &of),
                    None => Ok(0),
                };
                if self.background_write(erase).await? == 0 {
                    break;
                }
            }
        }
        let user = erasure.user.clone();
        let sql = "DELETE FROM account WHERE user_id = ?1 \
                   AND EXISTS (SELECT 1 FROM setting WHERE name = ?2)";
        self.writer.run(move |txn| txn.run(sql, [user.as_str(), &block])).await
    }

    async fn settle(&self, erasures: &[Erasure]) -> Result<()> {
        settling::settle(self, erasures).await
    }

    async fn admit(&self, erasure: &Erasure, act: &Act) -> Result<()> {
        let (block, number) = (erasing(&erasure.user), erasure.number);
        let (erasure, act) = (erasure.clone(), act.clone());
        let admit = move |txn: &Txn<'_>| {
            if admitted(txn)? < number {
                settings::set(txn, ADMITTED, &number.to_string())?;
                txn.tell_of_person(&erasure, &act)?;
            }
            // That of a later erasure stays.
            let sql = "DELETE FROM setting WHERE name = ?1 AND CAST(value AS INTEGER) <= ?2";
            txn.run(sql, params![block, number.cast_signed()])
        };
        self.writer.run(admit).await
    }

    async fn scrub(&self, names: &[String]) -> Result<()> {
        let forms = |name: &String| [name.clone(), in_json(name)];
        let names: Vec<String> = names.iter().flat_map(forms).collect();
        pages::scrub(self, &names).await?;
        self.records.scrub(names).await
    }
}

/// Erases the person from some claims, and from the rows to which these lead. Returns how many claims they had left.
fn erase_claims(txn: &Txn<'_>, erasure: &Erasure) -> SqlResult<usize> {
    type ClaimKey = (i64, i64, i64);
    let (old, new) = (erasure.user.as_str(), erasure.name.as_str());
    let claims: Vec<(ClaimKey, Code, Option<String>)> = txn.all(
        "SELECT indexed, campaign, entry, code, ref FROM claim WHERE user_id = ?1 \
         ORDER BY indexed, campaign, entry LIMIT ?2",
        params![old, ERASED_MAX],
        |row| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), parsed(row, 3)?, row.get(4)?)),
    )?;
    for ((indexed, campaign, entry), code, reference) in &claims {
        if let Some(number) = number_of(txn, code)?
            && let Some(located) = numbered(txn, number, code)?
        {
            erase_row(txn, &located, erasure)?;
        }
        erase_line(txn, code, erasure)?;
        let sql = "UPDATE replacement SET user_id = ?3 WHERE replaced = ?1 AND user_id = ?2";
        txn.run(sql, params![code.as_str(), old, new])?;
        let reference = reference.as_deref().map(|it| erasure.of_issue_ref(&IssueRef::stored(it)));
        let reference = reference.as_ref().map(IssueRef::as_str);
        txn.run(
            "UPDATE claim SET user_id = ?5, ref = ?6 \
             WHERE user_id = ?1 AND indexed = ?2 AND campaign = ?3 AND entry = ?4",
            params![old, indexed, campaign, entry, new, reference],
        )?;
    }
    Ok(claims.len())
}

/// The same for some rows that no claim leads to: a campaign without a limit keeps none of imports and of bearer coupons.
fn erase_held(txn: &Txn<'_>, erasure: &Erasure) -> SqlResult<usize> {
    let sql = "SELECT number FROM coupon WHERE holder = ?1 AND indexed LIMIT ?2";
    let asked = params![erasure.user.as_str(), ERASED_MAX];
    let numbers: Vec<i64> = txn.all(sql, asked, |row| row.get(0))?;
    for number in &numbers {
        if let Some(located) = row_at(txn, *number)? {
            erase_row(txn, &located, erasure)?;
        }
    }
    Ok(numbers.len())
}

/// Erases the person from a row that may name them.
fn erase_row(txn: &Txn<'_>, located: &SqliteCoupon, erasure: &Erasure) -> SqlResult<()> {
    let (before, here) = (&located.coupon, &located.here);
    let line = match &here.said {
        LineState::Available | LineState::First => None,
        LineState::Now | LineState::Other(_) => erasure.of_line(&here.said.line(before)),
    };
    let coupon = erasure.of_coupon(before);
    if coupon.is_none() && line.is_none() {
        return Ok(());
    }
    // A version of its own: what was decided on the row as it was is not written any more.
    let after = coupon.unwrap_or_else(|| before.clone()).rewritten();
    let said = match line {
        Some(line) => LineState::of(&line, &after),
        None => here.said.after(before, &after),
    };
    writing::update_as(txn, located, (&after, &said), here.indexed, located.day)?;
    erase_orders(txn, before, &after)
}

/// A reader finds the redemptions of an order by a hash of it.
fn erase_orders(txn: &Txn<'_>, before: &Coupon, after: &Coupon) -> SqlResult<()> {
    let code = before.code().as_str();
    for (old, new) in before.events().iter().zip(after.events()) {
        if let (EventKind::Redeemed { order, .. }, EventKind::Redeemed { order: now, .. }) =
            (&old.kind, &new.kind)
            && order != now
        {
            orders::move_entry(txn, (order.as_str(), now.as_str()), code)?;
        }
    }
    Ok(())
}

/// Erases the person from what the last imported line of a coupon without a row said.
fn erase_line(txn: &Txn<'_>, code: &Code, erasure: &Erasure) -> SqlResult<()> {
    let state = directory::last_line(txn, code.as_str())?.and_then(|line| line.state);
    let state = state.and_then(|state| erasure.of_line(&state));
    state.map_or(Ok(()), |state| directory::keep_line(txn, code, &state))
}
