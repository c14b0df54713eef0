//! People: what a user was given, and how they are forgotten, one row at a time.
//!
//! 1. The person is entered among those who are being erased ([`cql_session::ErasingPeople`]). When every process knows it,
//!    whatever has the name is of the person, and stays so until the next person of the name is admitted.
//! 2. The claims and the index rows of the person lead to their coupons. Each takes its next version with the erased name,
//!    and so does one that a call has begun to give them: its late write names a version that is gone.
//! 3. The claims are moved to the erased name, and the index rows are deleted.
//! 4. A pass over all tables finds what no claim leads to, and what was written too late for the steps before.
//!
//! Each step may be repeated, and two processes may do them at the same time. Before each write, and after the read that it
//! rests on, the list is read: a process that was frozen takes nothing of the next person along.

use async_trait::async_trait;
use coupon::calendar::format_instant;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::erasure::{Erasure, acting_user, erased_name};
use coupon::ids::{CampaignId, OperationId, UserId};
use coupon::time::Day;
use hot::audit::Act;
use hot::people::{Mention, MentionPage, NamedPeople, People, UserPage, next_place, place_of};
use hot::{Account, HotError, bounded_join};
use scylla::value::CqlTimestamp;
use serde_json::json;
use uuid::Uuid;

use crate::coupon_row::{CouponRow, coupon_rows};
use crate::coupons::{
    ChangedColumns, CouponKeyColumns, CouponTrace, CqlCoupon, GenesisColumns, PLAIN_ROW, PlainRow,
    Written,
};
use crate::values::parsed;
use crate::{CqlHot, CqlStore};
use cql_session::naming_rows::{ChangeNames, LineNames, NamingRow, RecordNames};
use cql_session::{ERASING_KNOWN, Result, StatementProfile};

const AT_ONCE: usize = 16;

/// Campaigns whose claims are looked for together.
const CAMPAIGNS_MAX: usize = 200;

/// How many places [`People::mentions`] reads, one after the other, and how many [`People::users`].
const PLACES: (usize, usize) = (5, 4);

const CLAIMS: &str = "SELECT DISTINCT campaign_id, user_id FROM claim";
const WALLETS: &str = "SELECT DISTINCT user_id FROM wallet";
const REPLACEMENTS: &str = "SELECT replaced, user_id FROM replacement";
const ACCOUNTS: &str = "SELECT login_id, user_id, password_hash FROM account";
const LOGINS: &str = "SELECT DISTINCT user_id FROM account_login";

#[async_trait]
impl People for CqlHot {
    async fn mentions(&self, user: &UserId, after: Option<String>) -> Result<MentionPage> {
        let store = &self.store;
        let (place, key) = place_of(after.as_deref())?;
        let key = Some(key).filter(|key| !key.is_empty());
        // What finds a person finds them as if they were erased.
        let person = Erasure { number: 0, user: user.clone(), name: erased_name(0) };
        let people = NamedPeople::of_all(std::slice::from_ref(&person))?;
        let (mentions, next) = match place {
            0 => (store.account_mention(user).await?, None),
            1 => store.given_once(&person, key).await?,
            2 => store.had_once(user, key).await?,
            3 => store.session.mentions::<LineNames>(&people, key).await?,
            _ => store.session.mentions::<RecordNames>(&people, key).await?,
        };
        Ok(MentionPage { mentions, next: next_place((place, next), PLACES.0) })
    }

    async fn users(&self, after: Option<String>) -> Result<UserPage> {
        let session = &self.store.session;
        let (place, key) = place_of(after.as_deref())?;
        let key = Some(key).filter(|key| !key.is_empty());
        let (users, next) = match place {
            0 => {
                session
                    .users_in(CLAIMS, key, |(_, user): &(String, String)| vec![user.clone()])
                    .await?
            }
            1 => session.users_in(LOGINS, key, |(user,): &(String,)| vec![user.clone()]).await?,
            2 => session.users_in(coupon_rows!(""), key, CouponRow::users).await?,
            _ => session.users_in(LineNames::SELECT, key, LineNames::users).await?,
        };
        Ok(UserPage { users, next: next_place((place, next), PLACES.1) })
    }

    async fn erase(&self, erasure: &Erasure) -> Result<()> {
        let store = &self.store;
        store.may_write()?;
        if !store.session.begin_erasing(erasure).await? {
            return Ok(());
        }
        store.erasing.forget();
        // Until then another process may give them something. Also if they were entered before: whoever did that may still be
        // waiting.
        tokio::time::sleep(ERASING_KNOWN).await;
        let mut after: Option<CampaignId> = None;
        loop {
            let names = store.campaign_names(after.as_ref(), CAMPAIGNS_MAX).await?;
            let claims = names.iter().map(|id| store.erase_claim(id, erasure));
            bounded_join(AT_ONCE, claims).await?;
            after = names.last().cloned();
            if names.len() < CAMPAIGNS_MAX {
                break;
            }
        }
        store.erase_wallet(erasure).await?;
        store.erase_account(erasure).await
    }

    async fn settle(&self, erasures: &[Erasure]) -> Result<()> {
        let store = &self.store;
        store.may_write()?;
        // Statements that were under way when the last process read the list have ended by then.
        tokio::time::sleep(StatementProfile::Change.timeout()).await;
        let people = NamedPeople::of_all(erasures)?;
        let (session, limit) = (&store.session, store.options.call_limit);
        let claims = session.rows_of_users(CLAIMS, &people, |(_, user): &(String, String)| user);
        for ((campaign, _), erasure) in claims.await? {
            store.erase_claim(&parsed("campaign_id", &campaign)?, &erasure).await?;
        }
        for (_, erasure) in session.rows_of_users(WALLETS, &people, user_of).await? {
            store.erase_wallet(&erasure).await?;
        }
        for (_, erasure) in session.rows_of_users(LOGINS, &people, user_of).await? {
            store.erase_account(&erasure).await?;
        }
        // An account that a node has made once more, after it was deleted with its login.
        for ((login, _, password_hash), erasure) in
            session.rows_of_users(ACCOUNTS, &people, owner_of).await?
        {
            if session.erasing_now().await?.has(&erasure) {
                let (login_id, user_id) = (parsed("login_id", &login)?, erasure.user.clone());
                let account = Account { login_id, user_id, password_hash };
                session.delete_account(StatementProfile::Change, &account).await?.known()?;
            }
        }
        store.settle_coupons(&people).await?;
        for ((code, _), erasure) in session.rows_of_users(REPLACEMENTS, &people, by_whom).await? {
            if session.erasing_now().await?.has(&erasure) {
                // If it is refused, somebody else has done it.
                let cql = "UPDATE replacement SET user_id = ? WHERE replaced = ? IF user_id = ?";
                let values = (erasure.name.as_str(), code, erasure.user.as_str());
                session.change(StatementProfile::Change, cql, values).await?.known()?;
            }
        }
        session.settle::<LineNames>(&people, limit).await?;
        session.settle::<ChangeNames>(&people, limit).await?;
        session.settle::<RecordNames>(&people, limit).await
    }

    async fn admit(&self, erasure: &Erasure, act: &Act) -> Result<()> {
        if self.store.session.erasing_now().await?.has(erasure) {
            self.store.tell_erased(erasure, act).await?;
        }
        self.store.session.end_erasing(erasure).await?;
        self.store.erasing.forget();
        Ok(())
    }

    /// Does nothing: the cluster deletes what was replaced in its compactions, after the `gc_grace_seconds` of the table.
    async fn scrub(&self, _names: &[String]) -> Result<()> {
        Ok(())
    }
}

fn user_of((user,): &(String,)) -> &str {
    user
}

fn owner_of((_, user, _): &(String, String, String)) -> &str {
    user
}

fn by_whom((_, user): &(String, Option<String>)) -> &str {
    user.as_deref().unwrap_or_default()
}

type FoundMentions = (Vec<Mention>, Option<String>);

impl CqlStore {
    async fn account_mention(&self, user: &UserId) -> Result<Vec<Mention>> {
        let Some(account) = self.session.account_of(user).await? else { return Ok(Vec::new()) };
        let at = self.session.account_made_at(&account.login_id).await?.map(format_instant);
        let value = json!({"login_id": account.login_id.as_str(), "created_at": at});
        Ok(vec![Mention::Record { kind: "account".to_owned(), value }])
    }

    /// Coupons that the claims of a person name and that do not name them, of some campaigns. The others come with their rows.
    async fn given_once(&self, person: &Erasure, after: Option<&str>) -> Result<FoundMentions> {
        let after = after.map(|id| parsed::<CampaignId>("position", id)).transpose()?;
        let campaigns = self.campaign_names(after.as_ref(), CAMPAIGNS_MAX).await?;
        let claims = campaigns.iter().map(|id| self.session.claimed_codes(id, &person.user));
        let codes = bounded_join(AT_ONCE, claims).await?.into_iter().flatten();
        let looks = codes.map(|code| async move {
            let located = self.in_hot(&code).await?;
            let names = located.is_some_and(|it| person.of_coupon(&it.coupon).is_some());
            Ok((!names).then_some(Mention::Coupon(code)))
        });
        let mentions = bounded_join(AT_ONCE, looks).await?.into_iter().flatten().collect();
        let next = campaigns.last().filter(|_| campaigns.len() == CAMPAIGNS_MAX);
        Ok((mentions, next.map(ToString::to_string)))
    }

    /// Coupons that name a person and are not theirs now.
    async fn had_once(&self, user: &UserId, after: Option<&str>) -> Result<FoundMentions> {
        let (rows, next) = self.session.scan_page::<CouponRow>(coupon_rows!(""), after).await?;
        let user = Some(user.as_str());
        let is_past = |row: &&CouponRow| row.is_coupon() && row.holder.as_deref() != user;
        let past = rows.iter().filter(is_past);
        let named = past
            .filter(|row| row.names().any(|name| Some(name) == user || acting_user(name) == user));
        let mentions = named.map(|row| row.code().map(Mention::Coupon)).collect::<Result<_>>()?;
        Ok((mentions, next))
    }

    /// A coupon that has a row, or that nobody has touched; `None` if it is in cold or nowhere.
    async fn in_hot(&self, code: &Code) -> Result<Option<CqlCoupon>> {
        let Some((owner, day)) = self.home(code).await? else { return Ok(None) };
        match (self.trace(day.into(), code).await?, owner) {
            (CouponTrace::Here(located), _) => Ok(Some(*located)),
            (CouponTrace::Nothing, Some(owner)) => {
                self.untouched_at(code, &owner, day.into()).await
            }
            (CouponTrace::Nothing, None) | (CouponTrace::InCold { .. }, _) => Ok(None),
        }
    }

    /// Erases the person from the coupon of a code. If a call has begun to give it to them, over the version `begun` or a
    /// lower one, that call fails.
    pub(crate) async fn erase_coupon(
        &self,
        code: &Code,
        erasure: &Erasure,
        begun: u64,
    ) -> Result<()> {
        let _lock = self.coupon_locks.lock(code).await?;
        let mut attempts = self.attempts("a coupon of a person who is erased");
        let again = Erasure { user: erasure.name.clone(), ..erasure.clone() };
        loop {
            let Some(located) = attempts.looked(self.in_hot(code).await)? else { return Ok(()) };
            let without = erasure.of_coupon(&located.coupon);
            // One that has the erased name has had its next version since.
            let is_begun = located.coupon.version() <= begun
                && !located.frozen
                && again.of_coupon(&located.coupon).is_none();
            let without = without.or_else(|| is_begun.then(|| located.coupon.clone()));
            let Some(without) = without else { return Ok(()) };
            if !attempts.looked(self.session.erasing_now().await)?.has(erasure) {
                return Ok(());
            }
            if attempts.looked(self.rewrite(&located, without, None).await)? == Written::Done {
                return Ok(());
            }
            attempts.again().await?;
        }
    }

    /// Erases a person from a row, and from the coupon that it forwards: a pass may have been there before the coupon.
    async fn erase_row(&self, row: &CouponRow, person: &Erasure) -> Result<()> {
        if let Some(to) = row.forward_to() {
            let before = self.as_stored(row).await?;
            if let Some(without) = person.of_coupon(&before.coupon)
                && self.session.erasing_now().await?.has(person)
                && self.rewrite(&before, without, Some(to)).await? == Written::Conflict
            {
                // Also by this process, for another person.
                return Err(HotError::Unavailable("a coupon was rewritten: try again".into()));
            }
        }
        self.erase_coupon(&row.code()?, person, 0).await
    }

    /// Writes a coupon whose names were replaced over the one that it was made of.
    async fn rewrite(
        &self,
        before: &CqlCoupon,
        without: Coupon,
        forward_to: Option<Day>,
    ) -> Result<Written> {
        if before.frozen {
            return self.rewrite_sealed(before, &without, forward_to).await;
        }
        let (after, operation) = (without.rewritten(), OperationId(Uuid::now_v7().as_u128()));
        let written = match forward_to {
            Some(to) => self.write_forwarding(before, &after, operation, to).await,
            None => {
                // A reader finds redemptions by a hash of their order, which may have lost the name.
                self.tell_brought(&[(&before.terms().id, &after)]).await?;
                self.write_coupon(before, &after, operation, None).await
            }
        };
        match written {
            // The next read shows what is left to do.
            Err(HotError::Unknown(_)) => Ok(Written::Conflict),
            written => written,
        }
    }

    /// The same in a bucket in which nothing changes any more, in the same version: by a plain write with the time of the
    /// seal, which is deleted with the rest of the bucket.
    async fn rewrite_sealed(
        &self,
        before: &CqlCoupon,
        without: &Coupon,
        forward_to: Option<Day>,
    ) -> Result<Written> {
        let (day, bucket) = (before.day, before.here.bucket);
        if forward_to.is_none() {
            self.write_wallet(without, day).await?;
        }
        let operation = without.events().last().map(|event| event.operation);
        let row = PlainRow {
            written: self.sealed_at(day, bucket).await?,
            change: ChangedColumns::of(without, Some(&before.coupon), operation, forward_to),
            genesis: GenesisColumns::of(without.genesis()),
            key: CouponKeyColumns::of(day, bucket, without.code()),
        };
        self.session.write(PLAIN_ROW, row).await.map(|()| Written::Done)
    }

    /// Follows the index rows of a person, and deletes them. A campaign without a limit keeps no claims of imports and of
    /// bearer coupons.
    async fn erase_wallet(&self, erasure: &Erasure) -> Result<()> {
        let cql = "SELECT expires_at, tie, code, WRITETIME(expiry_day) AS written FROM wallet \
                   WHERE user_id = ?";
        let user = erasure.user.as_str();
        let rows: Vec<(CqlTimestamp, i64, String, Option<i64>)> =
            self.session.scan(cql, (user,)).await?;
        // After the rows, as everywhere.
        if !self.session.erasing_now().await?.has(erasure) {
            return Ok(());
        }
        let erases = rows.into_iter().map(|(at, tie, code, written)| async move {
            // It was written before its coupon, whatever the coupon says.
            self.erase_coupon(&parsed("wallet.code", &code)?, erasure, u64::MAX).await?;
            // As old as the row: that of the next person of the name stays.
            let cql = "DELETE FROM wallet USING TIMESTAMP ? WHERE user_id = ? AND expires_at = ? \
                       AND tie = ? AND code = ?";
            self.session.write(cql, (written.unwrap_or(0), user, at, tie, code)).await
        });
        bounded_join(AT_ONCE, erases).await.map(drop)
    }

    async fn erase_account(&self, erasure: &Erasure) -> Result<()> {
        let (session, user) = (&self.session, &erasure.user);
        let mut attempts = self.attempts("the account of a person who is erased");
        loop {
            let written = attempts.looked(session.login_written(user).await)?;
            let account = attempts.looked(session.account_of(user).await)?;
            // After both: they may be of the next person of the name.
            if !attempts.looked(session.erasing_now().await)?.has(erasure) {
                return Ok(());
            }
            let Some(account) = account else {
                let Some(written) = written else { return Ok(()) };
                return session.forget_login(user, written).await;
            };
            let cas = session.delete_account(attempts.profile(), &account).await;
            // The next look shows whether it is gone.
            attempts.wrote(cas).await?;
        }
    }

    async fn settle_coupons(&self, people: &NamedPeople) -> Result<()> {
        let mut next = Some(None);
        while let Some(after) = next {
            let page =
                self.session.scan_page::<CouponRow>(coupon_rows!(""), after.as_deref()).await?;
            let rows = page.0.iter().filter(|row| row.code.is_some());
            let named = rows.flat_map(|row| {
                let persons = people.of_texts(row.names().map(str::as_bytes));
                persons.into_iter().map(move |person| (row, person))
            });
            let erases =
                named.map(|(row, person)| async move { self.erase_row(row, &person).await });
            bounded_join(AT_ONCE, erases).await?;
            next = page.1.map(Some);
        }
        Ok(())
    }
}
