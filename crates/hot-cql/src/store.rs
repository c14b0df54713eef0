//! What the store says of itself, and what it keeps beside coupons.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use coupon::ids::UserId;
use coupon::time::{Day, Millis};
use hot::activity::Activities;
use hot::audit::Audit;
use hot::feed::Feed;
use hot::people::People;
use hot::records::RecordSource;
use hot::redemptions::Redemptions;
use hot::settings::{LONG_CODES, TOUCHED_AT};
use hot::tables::Tables;
use hot::{Account, Accounts, Gauge, HotStore};
use tokio::time::Instant;

use crate::CqlHot;
use crate::codes::SETTINGS_KNOWN;
use cql_session::{Result, StatementProfile};

#[async_trait]
impl Accounts for CqlHot {
    async fn create_account(&self, account: Account, now: Millis) -> Result<bool> {
        self.store.may_write()?;
        self.store.may_be_given([&account.user_id]).await?;
        self.store.session.make_account(&account, now, self.store.attempts("a new account")).await
    }

    async fn account_of_login(&self, login_id: &UserId) -> Result<Option<Account>> {
        self.store.session.account(login_id).await
    }

    async fn has_account(&self, user_id: &UserId) -> Result<bool> {
        Ok(self.store.session.account_of(user_id).await?.is_some())
    }

    async fn remove_account(&self, user_id: &UserId) -> Result<bool> {
        self.store.may_write()?;
        self.store.session.unmake_account(user_id, self.store.attempts("an account's end")).await
    }
}

#[async_trait]
impl HotStore for CqlHot {
    fn tables(&self) -> Arc<dyn Tables> {
        self.tables.clone()
    }

    fn feed(&self) -> Option<&dyn Feed> {
        self.store.feed()
    }

    fn audit(&self) -> Option<&dyn Audit> {
        self.records.as_deref().map(|records| records as &dyn Audit)
    }

    fn activities(&self) -> Option<&dyn Activities> {
        let records = self.records.as_deref().filter(|_| self.store.feed.is_some());
        records.map(|records| records as &dyn Activities)
    }

    /// A sum of all redemptions would be a row that each of them waits for.
    fn keeps_budgets(&self) -> bool {
        false
    }

    fn people(&self) -> &dyn People {
        self
    }

    fn redemptions(&self) -> Option<&dyn Redemptions> {
        let records = self.records.as_deref().filter(|_| self.store.feed.is_some());
        records.map(|records| records as &dyn Redemptions)
    }

    async fn begin_feed_epoch(&self) -> Result<()> {
        let Some(feed) = &self.store.feed else { return Ok(()) };
        self.store.begin_epoch(feed).await
    }

    async fn announce_long_codes(&self) -> Result<()> {
        let store = &self.store;
        let announce = || async {
            store.session.set(LONG_CODES, "yes").await?;
            // Until then another process may refuse such a code without a read. This process waits also
            // if the setting was there already: the process that wrote it may still be waiting.
            tokio::time::sleep(SETTINGS_KNOWN).await;
            *store.long_codes.lock() = Some((true, Instant::now()));
            Ok(())
        };
        store.announced.get_or_try_init(announce).await.copied()
    }

    async fn writable(&self) -> std::result::Result<(), String> {
        self.store.may_write().map_err(|error| error.to_string())?;
        // A read at a quorum: it answers, or it does not.
        let plan = self.store.plan(StatementProfile::Read, Day(0)).await;
        plan.map(drop).map_err(|error| error.to_string())
    }

    async fn touch(&self, now: Millis) -> Result<()> {
        // One small conditional update, whose time a caller may measure.
        let (store, touched) = (&self.store, |_| Some(now.0.unsigned_abs()));
        store.session.change_number(store.attempts("a setting"), TOUCHED_AT, touched).await
    }

    fn gauge(&self) -> Gauge {
        let (counts, resolved) = (&self.store.session.counts, &self.store.resolved);
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let reads = of(&counts.reads) + of(&counts.serial_reads);
        let writes = of(&counts.writes) + of(&counts.changes);
        Gauge {
            reads,
            statements: reads + writes,
            writes,
            commits: of(&counts.changes),
            resolved_applied: of(&resolved.applied),
            resolved_refused: of(&resolved.refused),
            left_unknown: of(&resolved.unknown),
            resent: of(&counts.again),
            events_aside: of(&self.store.feed_trouble.rows),
            // There is no queue before a cluster, and it says nothing of its disks.
            ..Gauge::default()
        }
    }
}
