//! What a transaction that writes remembers of the stock that it hands out: the next issue of a campaign need not look
//! again for what the one before did not find, and how far a batch is gone is written once.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use coupon::campaign::MintedRun;
use rusqlite::{Result as SqlResult, params};

use super::Txn;
use crate::columns::signed;

#[derive(Default)]
pub(crate) struct OfferMemory {
    /// By the number of the campaign.
    pub(super) serials: RefCell<HashMap<i64, SerialOffer>>,
    /// By the number of the batch.
    pub(super) cursors: RefCell<BTreeMap<i64, NotedCursor>>,
}

/// The batch whose serials a campaign hands out: nothing that comes before them is left.
#[derive(Clone, Copy)]
pub(crate) struct SerialOffer {
    pub(crate) batch: i64,
    pub(crate) run: MintedRun,
    pub(crate) next_offset: u64,
}

pub(super) struct NotedCursor {
    next_offset: u64,
    is_written: bool,
}

impl Txn<'_> {
    /// The serials that the campaign offers, if nothing has changed since it was remembered.
    pub(crate) fn serial_offer(&self, campaign: i64) -> Option<SerialOffer> {
        let memory = self.seen.offers.as_ref()?;
        let mut offer = memory.serials.borrow().get(&campaign).copied()?;
        if let Some(cursor) = memory.cursors.borrow().get(&offer.batch) {
            offer.next_offset = offer.next_offset.max(cursor.next_offset);
        }
        Some(offer)
    }

    pub(crate) fn remember_offer(&self, campaign: i64, offer: SerialOffer) {
        if let Some(memory) = &self.seen.offers {
            memory.serials.borrow_mut().insert(campaign, offer);
        }
    }

    /// To be called when a coupon becomes available: it may come before what is offered.
    pub(crate) fn forget_offers(&self) {
        if let Some(memory) = &self.seen.offers {
            memory.serials.borrow_mut().clear();
        }
    }

    /// Notes that nothing of the batch before `next_offset` is left.
    pub(crate) fn note_cursor(&self, batch: i64, next_offset: u64) {
        if let Some(memory) = &self.seen.offers {
            let mut cursors = memory.cursors.borrow_mut();
            let noted = cursors.get(&batch).map_or(0, |noted| noted.next_offset);
            let next_offset = next_offset.max(noted);
            cursors.insert(batch, NotedCursor { next_offset, is_written: false });
        }
    }

    /// Writes how far batches are gone: before the commit, and before it is read.
    pub(crate) fn write_cursors(&self) -> SqlResult<()> {
        let Some(memory) = &self.seen.offers else { return Ok(()) };
        for (batch, cursor) in memory.cursors.borrow_mut().iter_mut() {
            if !cursor.is_written {
                let sql = "UPDATE batch SET next_offset = max(coalesce(next_offset, 0), ?2) \
                           WHERE number = ?1";
                self.run(sql, params![batch, signed(cursor.next_offset)])?;
                cursor.is_written = true;
            }
        }
        Ok(())
    }
}
