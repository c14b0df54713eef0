//! Merging the files of one partition in the order of codes.

use std::collections::VecDeque;
use std::sync::Arc;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;

use crate::cursor::Cursor;
use crate::error::ColdError;
use crate::log::LiveFile;
use crate::store::ColdStore;

/// The files of one partition, merged in the order of codes.
pub(super) struct Merge {
    day: Day,
    heads: Vec<Head>,
}

pub(super) struct Head {
    file: Arc<LiveFile>,
    cursor: Cursor<Coupon>,
    rows: VecDeque<Coupon>,
}

impl Merge {
    pub(super) fn new(day: Day, heads: Vec<Head>) -> Merge {
        Merge { day, heads }
    }

    pub(super) fn day(&self) -> Day {
        self.day
    }

    /// The next code.
    pub(super) async fn next_code(&mut self, store: &ColdStore) -> Result<Option<Code>, ColdError> {
        self.fill(store).await?;
        let codes = self.heads.iter().filter_map(|head| head.rows.front().map(Coupon::code));
        Ok(codes.min().cloned())
    }

    /// The coupon with the next code, in its newest version.
    pub(super) async fn next(&mut self, store: &ColdStore) -> Result<Option<Coupon>, ColdError> {
        let Some(code) = self.next_code(store).await? else { return Ok(None) };
        let copies = self.heads.iter_mut().filter_map(|head| head.take(&code));
        Ok(copies.max_by_key(Coupon::version))
    }

    async fn fill(&mut self, store: &ColdStore) -> Result<(), ColdError> {
        let mut at = 0;
        while let Some(head) = self.heads.get_mut(at) {
            if head.rows.is_empty() {
                match head.cursor.next().await {
                    Ok(Some(rows)) => head.rows = rows.into(),
                    Ok(None) => {
                        self.heads.swap_remove(at);
                        continue;
                    }
                    Err(error) => return Err(store.unread(&head.file, error).await),
                }
            }
            at += 1;
        }
        Ok(())
    }
}

impl Head {
    pub(super) fn new(file: Arc<LiveFile>, cursor: Cursor<Coupon>) -> Head {
        Head { file, cursor, rows: VecDeque::new() }
    }

    fn take(&mut self, code: &Code) -> Option<Coupon> {
        self.rows.pop_front_if(|coupon| coupon.code() == code)
    }
}
