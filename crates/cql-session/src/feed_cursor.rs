//! Cursors of the event feed: its epoch and a place in it.

use coupon::code::Code;

/// A row of a slot and a shard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardRow {
    /// The coupon; of an audit event, a hash of what was changed.
    pub code: Code,
    pub version: u64,
    /// Orders the rows of one version.
    pub number: i32,
}

/// A place between two rows: everything before it was read. Slots follow each other, in each the
/// shards, in each the rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedPosition {
    pub slot: i64,
    pub shard: i32,
    /// The last row that was read there; none at its beginning.
    pub after: Option<ShardRow>,
}

impl FeedPosition {
    /// Before the first row of a slot.
    pub fn at(slot: i64) -> FeedPosition {
        FeedPosition { slot, shard: 0, after: None }
    }

    pub fn cursor(&self, epoch: &str) -> String {
        let FeedPosition { slot, shard, after } = self;
        match after {
            None => format!("{epoch}-{slot}-{shard}"),
            Some(ShardRow { code, version, number }) => {
                format!("{epoch}-{slot}-{shard}-{code}-{version}-{number}")
            }
        }
    }

    /// `None` if the text is no cursor.
    pub fn parse(text: &str) -> Option<(&str, FeedPosition)> {
        let mut words = text.split('-');
        let (epoch, slot, shard) = (words.next()?, words.next()?, words.next()?);
        let (slot, shard) = (slot.parse().ok()?, shard.parse().ok()?);
        let after = match words.next() {
            None => None,
            Some(code) => {
                let (version, number) = (words.next()?, words.next()?);
                let (version, number) = (version.parse().ok()?, number.parse().ok()?);
                Some(ShardRow { code: code.parse().ok()?, version, number })
            }
        };
        words.next().is_none().then_some((epoch, FeedPosition { slot, shard, after }))
    }
}

/// Whether one cursor is behind another one; `true` also if that is none.
pub fn is_behind(cursor: &str, other: &str) -> bool {
    let place = |text| FeedPosition::parse(text).map(|(_, position)| position);
    place(cursor) > place(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back() {
        let code = "ABC123".parse().expect("a code");
        let behind = ShardRow { code, version: 7, number: 3 };
        let rows = [
            ("at a slot", FeedPosition::at(1_234)),
            ("at a shard", FeedPosition { shard: 5, ..FeedPosition::at(1) }),
            ("behind a row", FeedPosition { shard: 5, after: Some(behind), ..FeedPosition::at(1) }),
        ];
        for (name, position) in rows {
            let text = position.cursor("0a");
            assert_eq!(FeedPosition::parse(&text), Some(("0a", position)), "{name}: {text}");
        }
    }

    #[test]
    fn other_texts_are_no_cursors() {
        for text in
            ["", "0a", "0a-1", "0a-x-1", "0a-1-1-ABC123", "0a-1-1-ABC123-1-0-9", "0a-1-1-!-1-0"]
        {
            assert_eq!(FeedPosition::parse(text), None, "{text}");
        }
    }

    #[test]
    fn places_are_in_the_order_in_which_they_are_read() {
        let behind = |code: &str, version| {
            let code = code.parse().expect("a code");
            Some(ShardRow { code, version, number: 0 })
        };
        let mut rows = vec![
            FeedPosition::at(1),
            FeedPosition { after: behind("AAAAAA", 2), ..FeedPosition::at(1) },
            FeedPosition { after: behind("AAAAAA", 10), ..FeedPosition::at(1) },
            FeedPosition { after: behind("BBBBBB", 1), ..FeedPosition::at(1) },
            FeedPosition { shard: 1, ..FeedPosition::at(1) },
            FeedPosition::at(2),
        ];
        let want = rows.clone();
        rows.reverse();
        rows.sort();
        assert_eq!(rows, want);
    }
}
