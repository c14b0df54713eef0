//! What is compared of two stores: a canonical text of each item, and the sum over its hashes, which
//! does not depend on their order.

use std::fmt::Write;

use coupon::coupon::Coupon;
use coupon::flat::Flat;
use coupon::time::Millis;
use xxhash_rust::xxh3::xxh3_128;

use super::{BatchItem, CampaignItem, EntryIs, EntryItem, Item, RowIs, RowItem};

/// Between two values: no value has it.
const NEXT: char = '\u{1f}';

/// How many items, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) count: u64,
    pub(super) hash: u128,
}

impl Sum {
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
            Item::Account { .. } => "accounts",
            Item::Row(RowItem { is: RowIs::Coupon { .. }, .. }) => "coupons",
            Item::Row(RowItem { is: RowIs::ArchivedMarker { .. }, .. }) => "archived markers",
            Item::Row(RowItem { is: RowIs::Forwarding { .. }, .. }) => "forwarding rows",
            Item::Row(RowItem { is: RowIs::Unreadable(_), .. }) | Item::Unreadable(_) => {
                "unreadable rows"
            }
            Item::Entry(_) => "directory entries",
            Item::Claim(_) => "claims",
            Item::Replacement(_) => "replacements",
            Item::Rejected { .. } => "rejected lines",
            Item::Setting { .. } => "settings",
            Item::IndexRow(_) => "index rows",
        }
    }
}

/// The text under construction.
struct Text(String);

impl Text {
    fn put(&mut self, value: impl std::fmt::Display) -> &mut Text {
        // Into a string: it cannot fail.
        let _ = write!(self.0, "{value}{NEXT}");
        self
    }

    fn maybe(&mut self, value: Option<impl std::fmt::Display>) -> &mut Text {
        match value {
            // So that nothing and an empty text differ.
            Some(value) => self.put(format_args!("+{value}")),
            None => self.put('-'),
        }
    }

    fn at(&mut self, at: Option<Millis>) -> &mut Text {
        self.maybe(at.map(|at| at.0))
    }
}

/// What an item says, without what one engine keeps and the other does not: buckets, leases, counts
/// that follow from the coupons, and by which operation something came about.
fn canonical(item: &Item) -> String {
    let mut text = Text(String::with_capacity(512));
    match item {
        Item::Partition(it) => {
            text.put(it.day.0).put(it.seal_after.0).put(it.closing).put(it.sealed);
            text.put(it.archive_commit).put(it.emptied).put(it.next_serial);
        }
        Item::Campaign(it) => campaign(&mut text, it),
        Item::Account { account, created_at } => {
            text.put(&account.login_id).put(&account.user_id).put(&account.password_hash);
            text.put(created_at.0);
        }
        Item::Row(it) => row(&mut text, it),
        Item::Entry(it) => entry(&mut text, it),
        Item::Claim(it) => {
            text.put(&it.campaign).put(&it.user).put(it.slot).put(it.day.0).put(&it.code);
            text.maybe(it.reference.as_ref()).maybe(it.issue);
        }
        Item::Replacement(it) => {
            text.put(&it.replaced).put(&it.user).maybe(it.issue);
        }
        Item::Rejected { campaign, batch, line, at } => {
            text.put(campaign).put(batch).put(line.line).put(&line.text).put(&line.word);
            text.put(&line.detail).put(at.0);
        }
        Item::Setting { setting, value } => {
            text.put(setting.name()).put(value);
        }
        Item::IndexRow(it) => {
            text.put(it.kind.as_str()).put(&it.code);
        }
        Item::Unreadable(it) => {
            text.put(&it.about);
        }
    }
    text.0
}

fn row(text: &mut Text, it: &RowItem) {
    text.put(it.day.0);
    match &it.is {
        RowIs::Coupon { coupon, .. } => coupon_text(text, coupon),
        RowIs::ArchivedMarker { version } => {
            text.put(&it.code).put(version);
        }
        // No copy takes these.
        RowIs::Forwarding { .. } | RowIs::Unreadable(_) => {
            text.put(&it.code);
        }
    }
}

fn campaign(text: &mut Text, it: &CampaignItem) {
    let terms = &it.terms;
    text.put(&terms.id).put(&terms.name).put(terms.handout.as_str());
    text.maybe(terms.shared_code.as_ref());
    text.maybe(terms.code_prefix.as_ref().map(|prefix| prefix.as_str()));
    text.put(terms.valid_from.0).put(terms.expires_at.0).put(terms.zone.name());
    text.maybe(terms.valid_days).at(terms.issue_from).at(terms.issue_until);
    text.maybe(terms.per_user_limit).put(terms.cancel_days).put(terms.extend_days);
    text.put(terms.paused).maybe(terms.metadata.as_ref()).put(terms.created_at.0);
    text.put(&it.created_as);
    for BatchItem { id, run, paused, paused_reason, import, created_at, .. } in &it.batches {
        text.put(id).put(paused).maybe(paused_reason.as_ref()).put(created_at.0);
        match run {
            Some(run) => text.put(run.key).put(run.day.0).put(run.first).put(run.count),
            None => text.put("imported"),
        };
        text.put(import.lines).put(import.imported).put(import.already_there).put(import.rejected);
    }
}

fn entry(text: &mut Text, it: &EntryItem) {
    text.put(&it.code);
    match &it.is {
        EntryIs::Gone => text.put("gone"),
        EntryIs::Shared { campaign } => text.put("shared").put(campaign),
        EntryIs::Unreadable(why) => text.put("unreadable").put(why),
        EntryIs::Coupon { owner, day, line } => {
            text.put("coupon").put(&owner.campaign).put(&owner.batch).put(day.0);
            match line {
                None => text.put('-'),
                Some((from, until, imported_state)) => {
                    text.put(from.0).put(until.0).put(imported_state)
                }
            }
        }
    };
}

fn coupon_text(text: &mut Text, coupon: &Coupon) {
    let genesis = coupon.genesis();
    text.put(&genesis.code).put(&genesis.campaign).put(&genesis.batch);
    text.put(genesis.valid_from.0).put(genesis.expires_at.0).put(genesis.created_at.0);
    text.put(coupon.version()).put(coupon.modified_at().0);
    match coupon.hold() {
        None => text.put('-'),
        Some(hold) => {
            text.put(&hold.by).put(&hold.order).put(hold.operation.0);
            text.put(hold.since.0).put(hold.until.0)
        }
    };
    for event in coupon.events() {
        let flat = Flat::of(event);
        text.put(flat.kind).put(flat.at.0).put(flat.actor).put(flat.operation.0);
        text.maybe(flat.user).maybe(flat.reference).maybe(flat.reason);
        text.at(flat.expires_at).maybe(flat.time_zone);
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
            let mut sum = Sum::default();
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
