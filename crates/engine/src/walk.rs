//! Every coupon of both tiers that something has happened to or that was imported, once each,
//! shelf by shelf in the order of codes, also while a compaction runs.
//!
//! Of each shelf a chunk of hot is read, and then what cold has between the same codes, at a
//! version looked up after it: what was moved in between is in the second, what was not is in the
//! first, and of two versions of a code the higher is the coupon. Memory for one chunk of hot and
//! one row group of each file.

use std::collections::VecDeque;
use std::sync::Arc;

use cold::ShelfRows;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::{HotError, Kept, Sight, Tier};

use crate::Engine;
use crate::failure::Failure;

/// Coupons read, and handed out, at a time.
const CHUNK: usize = 4_096;

/// A walk on its way.
pub struct Walk {
    engine: Arc<Engine>,
    days: VecDeque<Day>,
    shelf: Option<ShelfWalk>,
}

/// Where a walk stands on one shelf.
struct ShelfWalk {
    day: Day,
    after: Option<Code>,
    kept: VecDeque<Kept>,
    hot_ended: bool,
    cold: Option<ColdSide>,
}

struct ColdSide {
    unit: u64,
    rows: ShelfRows,
}

impl Engine {
    /// Begins a walk over the shelves from `from` on.
    ///
    /// # Errors
    /// Those of both stores.
    pub async fn walk(self: Arc<Engine>, from: Option<Day>) -> Result<Walk, Failure> {
        // Hot first: a shelf that comes into being later has nothing that is asked for.
        let mut days: Vec<Day> = self.hot.shelves().await?.iter().map(|shelf| shelf.day).collect();
        if self.has_cold().await? {
            days.extend(self.cold.shelves().await?.iter().map(|shelf| shelf.day));
        }
        days.retain(|day| from.is_none_or(|from| *day >= from));
        days.sort_unstable();
        days.dedup();
        Ok(Walk { engine: self, days: days.into(), shelf: None })
    }
}

impl Walk {
    /// Some coupons more; `None` behind the last one.
    ///
    /// # Errors
    /// Those of both stores; a coupon that should be in cold and is not.
    pub async fn next(&mut self) -> Result<Option<Vec<Sight>>, Failure> {
        loop {
            if self.shelf.is_none() {
                let Some(day) = self.days.pop_front() else { return Ok(None) };
                self.shelf = Some(ShelfWalk::begin(day));
            }
            let Some(shelf) = &mut self.shelf else { return Ok(None) };
            match shelf.next(&self.engine).await? {
                Some(coupons) if coupons.is_empty() => {}
                Some(coupons) => return Ok(Some(self.engine.sights_of(coupons).await?)),
                None => self.shelf = None,
            }
        }
    }
}

impl ShelfWalk {
    fn begin(day: Day) -> ShelfWalk {
        ShelfWalk { day, after: None, kept: VecDeque::new(), hot_ended: false, cold: None }
    }

    /// Some coupons more, perhaps none; `None` at the end of the shelf.
    async fn next(&mut self, engine: &Engine) -> Result<Option<Vec<(Coupon, Tier)>>, Failure> {
        if self.kept.is_empty() && !self.hot_ended {
            let kept = engine.hot.kept(self.day, self.after.clone(), CHUNK).await?;
            self.hot_ended = kept.len() < CHUNK;
            self.kept = kept.into();
            self.look_at_cold(engine).await?;
        }
        let last = self.kept.back().map(|kept| kept.code().clone());
        let cold = match &mut self.cold {
            Some(side) => side.rows.up_to(last.as_ref(), CHUNK).await?,
            None => Vec::new(),
        };
        if cold.is_empty() && self.kept.is_empty() {
            return Ok(None);
        }
        // A full chunk of cold may end before hot's does.
        let up_to = match cold.len() == CHUNK {
            true => cold.last().map(|coupon| coupon.code().clone()),
            false => last,
        };
        let merged = self.merged(cold, up_to.as_ref())?;
        self.after = up_to;
        Ok(Some(merged))
    }

    /// After hot was read: the same shelf in cold, behind what was handed out.
    async fn look_at_cold(&mut self, engine: &Engine) -> Result<(), Failure> {
        if !engine.has_cold().await? {
            return Ok(());
        }
        let shelf = engine.cold.shelf(self.day).await?;
        if self.cold.as_ref().is_none_or(|side| side.unit != shelf.unit) {
            let rows = engine.cold.shelf_rows(&shelf, self.after.as_ref()).await?;
            self.cold = Some(ColdSide { unit: shelf.unit, rows });
        }
        Ok(())
    }

    /// Both up to a code, each code once.
    fn merged(
        &mut self,
        cold: Vec<Coupon>,
        up_to: Option<&Code>,
    ) -> Result<Vec<(Coupon, Tier)>, Failure> {
        let mut cold = cold.into_iter().peekable();
        let mut merged = Vec::new();
        while let Some(kept) =
            self.kept.pop_front_if(|kept| up_to.is_none_or(|up_to| kept.code() <= up_to))
        {
            while let Some(archived) = cold.next_if(|archived| archived.code() < kept.code()) {
                merged.push((archived, Tier::Cold));
            }
            let archived = cold.next_if(|archived| archived.code() == kept.code());
            merged.push(newer(kept, archived)?);
        }
        merged.extend(cold.map(|archived| (archived, Tier::Cold)));
        Ok(merged)
    }
}

/// Of one code what stands in hot and what lies in cold: the higher version is the coupon.
fn newer(kept: Kept, archived: Option<Coupon>) -> Result<(Coupon, Tier), Failure> {
    match (kept, archived) {
        (Kept::Coupon(coupon), Some(archived)) if archived.version() > coupon.version() => {
            Ok((archived, Tier::Cold))
        }
        (Kept::Coupon(coupon), _) => Ok((*coupon, Tier::Hot)),
        (Kept::Stub { version, .. }, Some(archived)) if archived.version() >= version => {
            Ok((archived, Tier::Cold))
        }
        (Kept::Stub { code, .. }, _) => {
            let why = format!("{code} was moved to cold and is not there");
            Err(Failure::Store(HotError::Cold(why.into())))
        }
    }
}
