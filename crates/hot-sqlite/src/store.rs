//! What the store says of itself, and what it keeps beside coupons.

mod coupons;
mod order;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use coupon::time::Millis;
use hot::activity::Activities;
use hot::audit::Audit;
use hot::feed::Feed;
use hot::people::People;
use hot::redemptions::Redemptions;
use hot::settings::{LONG_CODES, TOUCHED_AT};
use hot::tables::Tables;
use hot::{Gauge, HotStore};

use crate::checkpointer::SETTINGS_KNOWN;
use crate::txn::Txn;
use crate::writer::{WriterTrouble, free_space};
use crate::{Result, SqliteHot, activity, events, settings};

/// How long a caller that asks whether the store is writable waits for a commit that shows it.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

#[async_trait]
impl HotStore for SqliteHot {
    fn tables(&self) -> Arc<dyn Tables> {
        self.records.clone()
    }

    fn feed(&self) -> Option<&dyn Feed> {
        self.options.events.then_some(self as &dyn Feed)
    }

    async fn forget_events(&self, before: Millis) -> Result<usize> {
        let counts = self.options.events;
        let forget = move |txn: &Txn<'_>| {
            // Events that are not counted yet stay; without a feed nobody counts them.
            let up_to = activity::counted(txn)?.max(if counts { 0 } else { i64::MAX });
            events::forget(txn, before, up_to)
        };
        self.background_write(forget).await
    }

    async fn begin_feed_epoch(&self) -> Result<()> {
        self.writer.run(events::begin_epoch).await
    }

    fn activities(&self) -> Option<&dyn Activities> {
        self.options.events.then_some(self as &dyn Activities)
    }

    fn audit(&self) -> Option<&dyn Audit> {
        Some(self)
    }

    fn keeps_budgets(&self) -> bool {
        true
    }

    fn redemptions(&self) -> Option<&dyn Redemptions> {
        Some(self)
    }

    fn people(&self) -> &dyn People {
        self
    }

    async fn announce_long_codes(&self) -> Result<()> {
        let announce = || async {
            self.writer.run(|txn| settings::set(txn, LONG_CODES, "yes")).await?;
            // Until then another process may refuse such a code without a read. This waits also if
            // the setting was there: the process that wrote it may still be waiting.
            tokio::time::sleep(SETTINGS_KNOWN).await;
            self.checkpointer.long_codes.store(true, Ordering::Relaxed);
            Ok(())
        };
        self.announced.get_or_try_init(announce).await.copied()
    }

    async fn writable(&self) -> Result<(), String> {
        free_space(&self.folder, self.options.free_min_bytes)?;
        match self.writer.well() {
            Ok(()) => Ok(()),
            // While this says no, no caller writes. So it must try a write by itself.
            Err(WriterTrouble::Failing(why)) if self.writer.may_probe() => {
                let probe = self.writer.run(settings::probe);
                match tokio::time::timeout(PROBE_LIMIT, probe).await {
                    Ok(probed) => probed.map_err(|error| error.to_string()),
                    Err(_) => Err(why),
                }
            }
            Err(WriterTrouble::Stuck(why) | WriterTrouble::Failing(why)) => Err(why),
        }
    }

    async fn touch(&self, now: Millis) -> Result<()> {
        self.writer.run(move |txn| settings::set(txn, TOUCHED_AT, &now.0.to_string())).await
    }

    fn gauge(&self) -> Gauge {
        let statements = self.statements.load(Ordering::Relaxed);
        let mut gauge = Gauge { reads: self.readers.count(), statements, ..Gauge::default() };
        self.writer.show(&mut gauge);
        gauge
    }
}
