//! The items of an inventory: one sort of value for each table.

mod campaign;
mod index_row;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{CampaignId, IssueRef, OperationId, UserId};
use coupon::time::{Day, Millis};
use router::Owner;

use super::Table;
use crate::Account;
pub use campaign::{BatchItem, CampaignItem, PartitionItem};
pub use index_row::{IndexRow, IndexRowKind};

#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Partition(PartitionItem),
    Campaign(Box<CampaignItem>),
    Row(RowItem),
    Entry(EntryItem),
    /// One entry of a user's claim.
    Claim(ClaimItem),
    /// A login or a replacement.
    Vanishing(Vanishing),
    /// One of the settings that are copied.
    Setting {
        name: &'static str,
        /// Its value: a number, unless it is a flag.
        value: String,
    },
    IndexRow(IndexRow),
    /// Something that is nothing where it cannot be read.
    Unreadable(Unreadable),
}

/// What can be gone from the source of a copy later, without another item that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vanishing {
    Account { account: Account, created_at: Millis },
    Replacement(ReplacementItem),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Where it stands, as it is written there.
    pub about: String,
    pub why: String,
}

impl Unreadable {
    pub fn row(of: Table, row: &str, why: impl std::fmt::Display) -> Unreadable {
        let about = format!("row {row} of the table {}", of.as_str());
        Unreadable { about, why: why.to_string() }
    }
}

impl Item {
    /// What of it cannot be read, if something cannot.
    pub(super) fn fault(&self) -> Option<Unreadable> {
        let (of, code, why) = match self {
            Item::Row(RowItem { code, is: RowIs::Unreadable(why), .. }) => {
                (Table::Coupons, code, Some(why))
            }
            Item::Row(RowItem { code, .. }) => (Table::Coupons, code, None),
            Item::Entry(EntryItem { code, is: EntryIs::Unreadable(why) }) => {
                (Table::Directory, code, Some(why))
            }
            Item::Entry(EntryItem { code, .. }) => (Table::Directory, code, None),
            Item::Unreadable(it) => return Some(it.clone()),
            // Of the others every part is a value that was read.
            _ => return None,
        };
        let is_code = || code.parse().is_ok_and(|it: Code| it.as_str() == code);
        match why {
            Some(why) => Some(Unreadable::row(of, code, why)),
            None if is_code() => None,
            None => Some(Unreadable::row(of, code, "its text is no code")),
        }
    }
}

/// What stands under a code in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowItem {
    pub day: Day,
    /// The code as it is written there, whether it is one or not.
    pub code: String,
    pub is: RowIs,
    /// Why it cannot stand where it does, whatever it is: a place that its code does not lead to.
    pub astray: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowIs {
    Coupon {
        /// The coupon, as its events say.
        coupon: Box<Coupon>,
        /// What the columns say that its events do not.
        differs: Option<String>,
    },
    /// In place of a coupon that lies in cold, in this version.
    ArchivedMarker { version: u64 },
    /// In place of a coupon that was moved to a later partition.
    Forwarding { to: Day },
    /// Nothing that can be read.
    Unreadable(String),
}

impl RowIs {
    /// The same, unless it stands under a code that is not in its bare form: nobody finds it there.
    pub fn written_as(self, code: &str) -> RowIs {
        match &self {
            RowIs::Coupon { coupon, .. } if coupon.code().as_str() != code => {
                let want = coupon.code();
                RowIs::Unreadable(format!("its code is written {code:?}, want {want}"))
            }
            _ => self,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryItem {
    /// The code as it is written there.
    pub code: String,
    pub is: EntryIs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryIs {
    /// A coupon of a campaign that the store does not know.
    Gone,
    /// A campaign's word.
    Shared { campaign: CampaignId },
    /// A coupon.
    Coupon {
        owner: Owner,
        day: Day,
        /// What the last line imported under the code said: valid_from, expires_at, and the
        /// imported state as JSON. `None` for a minted code that was moved.
        line: Option<(Millis, Millis, String)>,
    },
    /// Nothing that can be read.
    Unreadable(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimItem {
    pub campaign: CampaignId,
    pub user: UserId,
    /// Its place among the user's entries.
    pub slot: i64,
    /// The partition of its coupon: when the claim was written, or for a copy, now.
    pub day: Day,
    pub code: Code,
    pub reference: Option<IssueRef>,
    /// Which event of the coupon gave it to the user, from 1, if one issued it.
    pub issue: Option<i64>,
    /// Of an entry that is written before its coupon: what would make it true.
    pub begun: Option<Begun>,
}

/// An entry of a claim that may have come to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The event of this number, from 1, ...
    pub sequence: usize,
    /// ... of this change.
    pub operation: OperationId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacementItem {
    pub replaced: Code,
    /// Who got the other; empty where nobody knows.
    pub user: String,
    /// Which event of the replaced coupon had given it to the user; -1: whichever it was.
    pub issue: Option<i64>,
}
