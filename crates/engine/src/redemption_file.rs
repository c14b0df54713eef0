//! Redemptions as a file for a spreadsheet: the only place that has its columns.

use std::sync::Arc;

use coupon::calendar::{Zone, format_local};
use futures::stream::{BoxStream, StreamExt, once, try_unfold};

use crate::csv::{BYTE_ORDER_MARK, row, worth_cells};
use crate::failure::{Failure, Result};
use crate::history::{RedemptionEntry, RedemptionsRequest};
use crate::redemptions::{RedemptionListRequest, RedemptionListView};
use crate::{Caller, Engine};

/// Redemptions that a file reads at a time: some 2 MB. Each reads the statistics of the archive again.
const PIECE: usize = 10_000;

/// Most rows of a file. A sheet of a spreadsheet has 1,048,576.
const ROWS_MAX: usize = 1_000_000;

/// The columns. A new column is added after the last one.
const COLUMNS: &str = "code,campaign_id,campaign_name,batch_id,user_id,\
    order_ref,redeemed_at,cancelled_at,cancel_reason,time_zone,order_amount,discount,currency";

pub type LineStream = BoxStream<'static, Result<String>>;

struct RemainingRows {
    engine: Arc<Engine>,
    caller: Caller,
    request: RedemptionListRequest,
    rows: usize,
}

impl Engine {
    /// A list of redemptions as CSV, newest first, with at most 1,000,000 rows; `limit` and `after` do not count.
    /// `None`: the store cannot find them.
    ///
    /// # Errors
    /// Those of [`Engine::redemptions`], before the first line.
    pub async fn redemption_file(
        self: Arc<Engine>,
        caller: &Caller,
        request: RedemptionListRequest,
    ) -> Result<Option<LineStream>> {
        let request = RedemptionListRequest { after: None, limit: PIECE, ..request };
        // What goes wrong at once is an answer of its own, not a file that breaks off.
        let Some(first) = self.redemptions(caller, request.clone()).await? else {
            return Ok(None);
        };
        let begin = format!("{}{}", redemption_csv_header(), rows(&first));
        let rest = first.next.map(|after| RemainingRows {
            engine: Arc::clone(&self),
            caller: caller.clone(),
            request: RedemptionListRequest { after: Some(after), ..request },
            rows: first.redemptions.len(),
        });
        let rest = try_unfold(rest, |rest| async { RemainingRows::piece(rest).await });
        let rest = self.limited(rest.boxed());
        Ok(Some(once(async move { Ok(begin) }).chain(rest).boxed()))
    }

    /// The same file from every coupon of both tiers, in the order of the partitions: for a store that keeps no
    /// list of redemptions. Takes long on a large archive.
    pub async fn whole_redemption_file(
        self: Arc<Engine>,
        caller: &Caller,
        request: RedemptionsRequest,
    ) -> Result<LineStream> {
        let zone = self.zone_of_days(request.campaign.as_ref(), request.zone.clone()).await?;
        let engine = Arc::clone(&self);
        let history = self.every_redemption(caller, request).await?;
        let rest = try_unfold((history, zone), |(mut history, zone)| async move {
            let Some(found) = history.next().await? else { return Ok(None) };
            let lines = found.rows.iter().map(|entry| redemption_csv_row(entry, &zone)).collect();
            Ok::<_, Failure>(Some((lines, (history, zone))))
        });
        let rest = engine.limited(rest.boxed());
        Ok(once(async { Ok(redemption_csv_header()) }).chain(rest).boxed())
    }
}

impl RemainingRows {
    async fn piece(rest: Option<RemainingRows>) -> Result<Option<(String, Option<RemainingRows>)>> {
        let Some(mut rest) = rest.filter(|rest| rest.rows < ROWS_MAX) else { return Ok(None) };
        rest.request.limit = PIECE.min(ROWS_MAX - rest.rows);
        let view = rest.engine.redemptions(&rest.caller, rest.request.clone()).await?;
        let Some(mut view) = view else { return Ok(None) };
        rest.rows += view.redemptions.len();
        rest.request.after = view.next.take();
        let is_end = rest.request.after.is_none();
        Ok(Some((rows(&view), (!is_end).then_some(rest))))
    }
}

/// The first line of a file, with a byte-order mark.
pub fn redemption_csv_header() -> String {
    format!("{BYTE_ORDER_MARK}{COLUMNS}\n")
}

fn rows(view: &RedemptionListView) -> String {
    view.redemptions.iter().map(|entry| redemption_csv_row(entry, &view.zone)).collect()
}

/// The line of a redemption, with its code as people read it and the times that clocks of `zone` showed.
pub fn redemption_csv_row(entry: &RedemptionEntry, zone: &Zone) -> String {
    let made = &entry.redemption;
    let cancelled_at = made.cancelled_at.map(|at| format_local(at, zone));
    let [order_amount, discount, currency] = worth_cells(made.worth.as_ref());
    row([
        &*entry.code,
        entry.campaign.as_str(),
        &*entry.campaign_name,
        entry.batch.as_str(),
        made.by.as_ref().map_or("", |by| by.as_str()),
        made.order.as_str(),
        &*format_local(made.at, zone),
        cancelled_at.as_deref().unwrap_or_default(),
        entry.cancel_reason.as_ref().map_or("", |reason| reason.as_str()),
        zone.name(),
        &*order_amount,
        &*discount,
        &*currency,
    ])
}
