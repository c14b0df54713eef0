//! Pages of a list of another service, which could send the same ones for ever.

/// Pages that are read at most, of 1,000 entries: a list of a billion is read where the data is.
const PAGES_MAX: u64 = 1_000_000;

/// A list of a service that does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndlessPages {
    #[error("the service sends the same pages again and again")]
    Circle,
    #[error("the service has more than {PAGES_MAX} pages")]
    TooMany,
}

/// The cursors that a service has sent for one list. Remembers the last whose number is a power of
/// two, and so finds a circle of any length within three rounds (Brent's algorithm).
#[derive(Debug, Default)]
pub struct CursorCycleDetector {
    seen: u64,
    remembered: String,
}

impl CursorCycleDetector {
    /// Takes the cursor of the next page.
    ///
    /// # Errors
    /// The service goes round in a circle, or has too many pages.
    pub fn next(&mut self, cursor: &str) -> Result<(), EndlessPages> {
        if self.seen > 0 && self.remembered == cursor {
            return Err(EndlessPages::Circle);
        }
        self.seen += 1;
        if self.seen > PAGES_MAX {
            return Err(EndlessPages::TooMany);
        }
        if self.seen.is_power_of_two() {
            cursor.clone_into(&mut self.remembered);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many cursors are taken of at most two million.
    fn taken(cursor: impl Fn(u64) -> u64) -> u64 {
        let mut cursors = CursorCycleDetector::default();
        let is_taken = |nth: &u64| cursors.next(&cursor(*nth).to_string()).is_ok();
        (0..2 * PAGES_MAX).take_while(is_taken).count() as u64
    }

    #[test]
    fn circles_and_long_lists() {
        assert_eq!(taken(|nth| nth), PAGES_MAX, "no two are the same");
        assert_eq!(taken(|_| 7), 1, "always the same");
        for (name, before, length) in [("two", 0, 2), ("later", 100, 3), ("long", 5, 1_000)] {
            let found =
                taken(|nth| if nth < before { nth } else { before + (nth - before) % length });
            assert!(found <= 3 * (before + length), "{name}: {found}");
        }
    }
}
