//! What is compared of two stores: a text of each item, and the sum over its hashes, which does not
//! depend on their order.

use xxhash_rust::xxh3::xxh3_128;

use super::{BatchItem, Item, RowIs, RowItem, Vanishing};

/// What a store has of one sort of item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ItemSum {
    pub count: u64,
    /// The sum over their hashes.
    pub hash: u128,
}

impl ItemSum {
    pub(super) fn add(&mut self, item: &Item) {
        self.count += 1;
        self.hash = self.hash.wrapping_add(xxh3_128(canonical(item).as_bytes()));
    }
}

impl Item {
    /// What it is, for counting.
    pub fn what(&self) -> &'static str {
        match self {
            Item::Partition(_) => "days",
            Item::Campaign(_) => "campaigns",
            Item::Row(RowItem { is: RowIs::Coupon { .. }, .. }) => "coupons",
            Item::Row(RowItem { is: RowIs::ArchivedMarker { .. }, .. }) => "archived markers",
            Item::Row(RowItem { is: RowIs::Forwarding { .. }, .. }) => "forwarding rows",
            Item::Row(RowItem { is: RowIs::Unreadable(_), .. }) | Item::Unreadable(_) => {
                "unreadable rows"
            }
            Item::Entry(_) => "directory entries",
            Item::Claim(_) => "claims",
            Item::Vanishing(Vanishing::Account { .. }) => "accounts",
            Item::Vanishing(Vanishing::Replacement(_)) => "replacements",
            Item::Setting { .. } => "settings",
            Item::IndexRow(_) => "index rows",
        }
    }
}

/// What an item says, without what each engine keeps in its own way: counts that follow from the
/// coupons, and columns of a row beside its events. The debug text of a value has all of its fields,
/// so no field is forgotten here; nobody stores the hash of it.
fn canonical(item: &Item) -> String {
    match item {
        Item::Campaign(it) => {
            let batches: Vec<BatchItem> = it.batches.iter().map(BatchItem::uncounted).collect();
            format!("{:?} {:?} {batches:?}", it.terms, it.created_as)
        }
        Item::Row(RowItem { day, is: RowIs::Coupon { coupon, .. }, .. }) => {
            format!("{day:?} {coupon:?}")
        }
        Item::Row(RowItem { day, code, is, .. }) => format!("{day:?} {code:?} {is:?}"),
        item => format!("{item:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archived_marker(code: &str, version: u64) -> Item {
        Item::Row(RowItem {
            day: coupon::time::Day(1),
            code: code.to_owned(),
            is: RowIs::ArchivedMarker { version },
            astray: None,
        })
    }

    #[test]
    fn the_order_does_not_matter_and_everything_else_does() {
        let sum = |items: &[Item]| {
            let mut sum = ItemSum::default();
            items.iter().for_each(|item| sum.add(item));
            sum
        };
        let (a, b) = (archived_marker("AAAAAA", 1), archived_marker("BBBBBB", 2));
        let both = sum(&[a.clone(), b.clone()]);
        assert_eq!(both, sum(&[b.clone(), a.clone()]));
        for (name, others) in [
            ("one is missing", vec![a.clone()]),
            ("one is there twice", vec![a.clone(), a.clone()]),
            ("another version", vec![a, archived_marker("BBBBBB", 3)]),
        ] {
            assert_ne!(both, sum(&others), "{name}");
        }
    }
}
