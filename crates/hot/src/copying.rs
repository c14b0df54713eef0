//! Moving a store to another engine: everything that a store holds as plain values, walked page by
//! page on one side and put on the other.
//!
//! *Kind*: one sort of thing; kinds are copied in their order, since each needs those before it.
//! *Pass*: one walk over all kinds. The first fills a target in which there is nothing; every later
//! one brings what has changed since. Its *position* is kept in the target after each page, so that
//! a pass that was killed goes on where it stopped.
//!
//! What is put may be put again: of two versions the higher one stays, and nothing is undone that
//! somebody has changed in the target meanwhile.

mod checksums;

use std::collections::BTreeMap;

use async_trait::async_trait;
use coupon::campaign::{Campaign, ImportCounts, MintedRun};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{BatchId, CampaignId, IssueRef, OperationId, UserId};
use coupon::time::{Day, Millis};

use crate::{Account, HotError, RejectedLine};
use checksums::Sum;

/// Items of one page: some 500 KiB, and one transaction of some 30 ms where the target is SQLite.
pub const PAGE_ITEMS: usize = 2_000;

/// The setting that names a store among others; made when it is first asked for.
const STORE_ID: &str = "store_id";

/// The setting of a target that names the store it is a copy of, and how it stood when it was begun.
const COPIED_FROM: &str = "copied_from";

/// The setting of a target that says how far it has come.
const POSITION: &str = "copy_position";

/// The setting that every start of `serve` writes.
const TOUCHED_AT: &str = "touched_at";

/// In place of the position when a pass has come to its end.
const COMPLETE: &str = "complete";

/// A sort of thing that a store holds, in the order in which they are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The plans of days.
    Day,
    /// Campaigns with their batches and counts.
    Campaign,
    /// Logins.
    Account,
    /// Coupons that have rows, and archived markers.
    Coupon,
    /// Codes in the directory.
    Entry,
    /// Who became a holder, under which name.
    Claim,
    /// Coupons that were replaced.
    Replacement,
    /// Rejected lines of imports.
    Rejected,
    /// Settings that matter. Last: the marks of the cold tier keep `serve` from working with a
    /// target before all of it is there.
    Setting,
}

/// All kinds, in their order.
pub const KINDS: [Kind; 9] = [
    Kind::Day,
    Kind::Campaign,
    Kind::Account,
    Kind::Coupon,
    Kind::Entry,
    Kind::Claim,
    Kind::Replacement,
    Kind::Rejected,
    Kind::Setting,
];

impl Kind {
    /// One word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Day => "days",
            Kind::Campaign => "campaigns",
            Kind::Account => "accounts",
            Kind::Coupon => "coupons",
            Kind::Entry => "entries",
            Kind::Claim => "claims",
            Kind::Replacement => "replacements",
            Kind::Rejected => "rejected",
            Kind::Setting => "settings",
        }
    }

    /// Whether an item that was copied can be gone from the source in a later pass, without another
    /// item that says so.
    fn vanishes(self) -> bool {
        match self {
            Kind::Account | Kind::Replacement | Kind::Rejected => true,
            Kind::Day
            | Kind::Campaign
            | Kind::Coupon
            | Kind::Entry
            | Kind::Claim
            | Kind::Setting => false,
        }
    }
}

/// One thing that a store holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// The plan of a day.
    Day(CopiedPartition),
    /// A campaign.
    Campaign(Box<CopiedCampaign>),
    /// A login.
    Account {
        /// It.
        account: Account,
        /// When it was made.
        created_at: Millis,
    },
    /// A coupon that has a row.
    Coupon {
        /// Its partition.
        day: Day,
        /// It.
        coupon: Box<Coupon>,
    },
    /// A coupon that lies in cold.
    ArchivedMarker {
        /// Its partition.
        day: Day,
        /// Its code.
        code: Code,
        /// The version in cold.
        version: u64,
    },
    /// A code in the directory.
    Entry(CopiedEntry),
    /// One entry of a user's claim.
    Claim(CopiedClaim),
    /// A coupon that was replaced.
    Replacement(CopiedReplacement),
    /// A rejected line.
    Rejected {
        /// The campaign of its batch.
        campaign: CampaignId,
        /// The batch.
        batch: BatchId,
        /// It.
        line: RejectedLine,
        /// When it was kept.
        at: Millis,
    },
    /// A setting. Each of those that are copied only ever rises.
    Setting {
        /// Which.
        setting: CopiedSetting,
        /// Its value; 1 for a flag.
        value: u64,
    },
}

/// The plan of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedPartition {
    /// The day.
    pub day: Day,
    /// How many bits name a bucket, where the source goes by them.
    pub bits: Option<u8>,
    /// The partition may be sealed after this instant.
    pub seal_after: Millis,
    /// Whether nothing may come to it any more.
    pub closing: bool,
    /// Whether nothing on it changes any more.
    pub sealed: bool,
    /// The last archive commit that was moved to cold.
    pub archive_commit: u64,
    /// Whether all of it was.
    pub emptied: bool,
    /// Serials below this one are taken.
    pub next_serial: u64,
    /// Partitions from which coupons were moved here, where the source knows.
    pub entered: Vec<Day>,
}

/// A campaign.
#[derive(Clone, Debug, PartialEq)]
pub struct CopiedCampaign {
    /// Its terms.
    pub terms: Campaign,
    /// The request that made it, in its normal form.
    pub created_as: String,
    /// In the order in which they were made.
    pub batches: Vec<CopiedBatch>,
    /// How many of its coupons are in which state.
    pub counts: CopiedCounts,
}

/// Counts of a campaign: issued, redeemed, void.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopiedCounts {
    /// All of them.
    pub all: [i64; 3],
    /// Those that lie in cold.
    pub cold: [i64; 3],
}

/// A batch of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedBatch {
    /// Its name.
    pub id: BatchId,
    /// Its serials, if it was minted.
    pub run: Option<MintedRun>,
    /// So many coupons have come into it, if it was imported.
    pub arrived: u64,
    /// Whether it is paused.
    pub paused: bool,
    /// And why.
    pub paused_reason: Option<String>,
    /// How its last import ended.
    pub import: ImportCounts,
    /// When it was made.
    pub created_at: Millis,
    /// Every serial below `first + offered` was offered once; if it is available it has a row.
    pub offered: u64,
}

/// What the directory says of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedEntry {
    /// The code.
    pub code: Code,
    /// What it stands for.
    pub is: EntryIs,
}

/// What a code in the directory stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryIs {
    /// A coupon of a campaign that the store does not know.
    Gone,
    /// A campaign's word.
    Shared {
        /// The campaign.
        campaign: CampaignId,
    },
    /// A coupon.
    Coupon {
        /// Its campaign.
        campaign: CampaignId,
        /// Its batch.
        batch: BatchId,
        /// The partition that it lies in.
        day: Day,
        /// What the last line imported under the code said: valid_from, expires_at, and the
        /// imported state as JSON. `None` for a minted code that was moved.
        line: Option<(Millis, Millis, String)>,
    },
}

/// One entry of a user's claim, of which it is certain that it came to something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedClaim {
    /// The campaign.
    pub campaign: CampaignId,
    /// The user.
    pub user: UserId,
    /// Its place among the user's entries.
    pub slot: i64,
    /// Where its coupon was then.
    pub day: Day,
    /// Its coupon.
    pub code: Code,
    /// The name of the request.
    pub reference: Option<IssueRef>,
    /// Which event of the coupon it is about.
    pub issue: Option<i64>,
}

/// A coupon that was replaced by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedReplacement {
    /// Its code.
    pub replaced: Code,
    /// Who got the other; empty where nobody knows.
    pub user: String,
    /// Which event of the replaced coupon had given it to the user; -1: whichever it was.
    pub issue: Option<i64>,
}

/// A setting that goes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CopiedSetting {
    /// There are foreign codes of 16 or more characters.
    LongCodes,
    /// From which serial on a new day begins.
    SerialFloor,
    /// The mark of what was begun in cold.
    ColdBegun,
    /// The mark of what was committed there.
    ColdCommitted,
}

/// All of them.
pub const SETTINGS: [CopiedSetting; 4] = [
    CopiedSetting::LongCodes,
    CopiedSetting::SerialFloor,
    CopiedSetting::ColdBegun,
    CopiedSetting::ColdCommitted,
];

impl CopiedSetting {
    /// Its name, which is the same in every store.
    pub fn name(self) -> &'static str {
        match self {
            CopiedSetting::LongCodes => "long_codes",
            CopiedSetting::SerialFloor => "serial_floor",
            CopiedSetting::ColdBegun => "cold_begun",
            CopiedSetting::ColdCommitted => "cold_committed",
        }
    }

    /// The value behind a text.
    pub fn value(self, text: &str) -> Result<u64, HotError> {
        match self {
            CopiedSetting::LongCodes => Ok(1),
            CopiedSetting::SerialFloor
            | CopiedSetting::ColdBegun
            | CopiedSetting::ColdCommitted => text
                .parse()
                .map_err(|why| HotError::Damaged(format!("{} is {text:?}: {why}", self.name()))),
        }
    }

    /// The text of a value.
    pub fn text(self, value: u64) -> String {
        match self {
            CopiedSetting::LongCodes => "yes".to_owned(),
            CopiedSetting::SerialFloor
            | CopiedSetting::ColdBegun
            | CopiedSetting::ColdCommitted => value.to_string(),
        }
    }
}

/// Some items, and where the next page of the kind begins; `None` at its end.
#[derive(Clone, Debug)]
pub struct Page {
    /// In the store's own stable order. There may be none, and a next page all the same.
    pub items: Vec<Item>,
    /// The store's own business, and text, so that it can be kept.
    pub next: Option<String>,
}

/// What a target may already have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Nothing of these items.
    First,
    /// Older versions of them, or the same.
    Again,
}

/// A store that can be copied. Reading changes nothing; what is put is durable before the call
/// returns, and may be put again.
///
/// # Errors
/// Any [`HotError`], from every method.
#[async_trait]
pub trait Copyable: Send + Sync + 'static {
    /// A page of some `limit` items of a kind, behind the position `after` of an earlier page.
    async fn items(
        &self,
        kind: Kind,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page, HotError>;

    /// Puts items of one kind in the place of what stands here of them, if that is older.
    async fn put(&self, items: Vec<Item>, pass: Pass) -> Result<(), HotError>;

    /// Which of these items, all of a kind that vanishes, are here; same order.
    async fn has(&self, items: &[Item]) -> Result<Vec<bool>, HotError>;

    /// Removes items of a kind that vanishes.
    async fn remove(&self, items: Vec<Item>) -> Result<(), HotError>;

    /// After the last page of a pass.
    async fn settle(&self) -> Result<(), HotError>;

    /// The value of a setting.
    async fn copy_setting(&self, name: &str) -> Result<Option<String>, HotError>;

    /// Sets one.
    async fn set_copy_setting(&self, name: &str, value: &str) -> Result<(), HotError>;
}

/// Why nothing is copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The target cannot be one.
    #[error("{0}")]
    Refused(&'static str),
    /// One of the two stores.
    #[error("{0}")]
    Store(#[from] HotError),
}

/// What a pass has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Items read, by what they are.
    pub read: BTreeMap<&'static str, u64>,
    /// Items of the target that are gone from the source.
    pub removed: u64,
    /// Whether it went on where another had stopped.
    pub resumed: bool,
    /// Whether an earlier pass had come to its end.
    pub again: bool,
}

/// What differs between two stores: how many there are of a sort on each side, and whether it is
/// their content that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// What is compared.
    pub what: &'static str,
    /// How many of it the source has.
    pub from: u64,
    /// And the target.
    pub to: u64,
    /// The sum over the hashes of the source's.
    pub from_hash: u128,
    /// And over the target's.
    pub to_hash: u128,
}

impl Compared {
    /// Whether both sides hold the same.
    pub fn is_same(&self) -> bool {
        self.from == self.to && self.from_hash == self.to_hash
    }
}

/// Walks `from` once and puts into `to` what is not there yet. `told` hears the kind and how many
/// items of all have been read, after each page.
///
/// # Errors
/// [`CopyError`]: a target that has something of its own, is a copy of another store, or was in use
/// since it was begun.
pub async fn copy(
    from: &dyn Copyable,
    to: &dyn Copyable,
    told: impl Fn(Kind, u64) + Send + Sync,
) -> Result<Copied, CopyError> {
    begin(from, to).await?;
    let kept = to.copy_setting(POSITION).await?;
    let mut position = Position::of(kept.as_deref());
    let mut copied = Copied {
        again: position.pass == Pass::Again,
        resumed: position.resumed,
        ..Copied::default()
    };
    let mut count = 0;
    while let Some(kind) = position.kind {
        let page = from.items(kind, position.after.clone(), PAGE_ITEMS).await?;
        for item in &page.items {
            *copied.read.entry(item.what()).or_default() += 1;
        }
        count += page.items.len() as u64;
        // Of the page at which a pass was stopped some may be here already, in older versions.
        let pass = if position.resumed { Pass::Again } else { position.pass };
        if !page.items.is_empty() {
            to.put(page.items, pass).await?;
        }
        if page.next.is_none() && position.pass == Pass::Again && kind.vanishes() {
            copied.removed += remove_vanished(from, to, kind).await?;
        }
        position = position.behind(kind, page.next);
        match position.kind {
            Some(_) => to.set_copy_setting(POSITION, &position.text()).await?,
            None => to.settle().await?,
        }
        told(kind, count);
    }
    to.set_copy_setting(POSITION, COMPLETE).await?;
    Ok(copied)
}

/// Counts and hashes of everything on both sides; some minutes for a hundred million coupons.
///
/// # Errors
/// Those of reading.
pub async fn compare(
    from: &dyn Copyable,
    to: &dyn Copyable,
    told: impl Fn(Kind, u64) + Send + Sync,
) -> Result<Vec<Compared>, HotError> {
    let mut compared = Vec::new();
    let mut count = 0;
    for kind in KINDS {
        let (mut here, mut there) = (BTreeMap::new(), BTreeMap::new());
        for (store, sums) in [(from, &mut here), (to, &mut there)] {
            let mut after = None;
            loop {
                let page = store.items(kind, after, PAGE_ITEMS).await?;
                count += page.items.len() as u64;
                add_up(sums, &page.items);
                told(kind, count);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        let names = here.keys().chain(there.keys()).copied();
        for what in names.collect::<std::collections::BTreeSet<_>>() {
            let of =
                |sums: &BTreeMap<&'static str, Sum>| sums.get(what).copied().unwrap_or_default();
            let (from, to) = (of(&here), of(&there));
            compared.push(Compared {
                what,
                from: from.count,
                to: to.count,
                from_hash: from.hash,
                to_hash: to.hash,
            });
        }
    }
    Ok(compared)
}

fn add_up(sums: &mut BTreeMap<&'static str, Sum>, items: &[Item]) {
    for item in items {
        sums.entry(item.what()).or_default().add(item);
    }
}

/// Finds out whether `to` may be filled from `from`, and writes down that it is.
async fn begin(from: &dyn Copyable, to: &dyn Copyable) -> Result<(), CopyError> {
    let source = id_of(from).await?;
    if to.copy_setting(STORE_ID).await?.as_deref() == Some(&source) {
        return Err(CopyError::Refused("the source and the target are the same store"));
    }
    let touched = to.copy_setting(TOUCHED_AT).await?.unwrap_or_default();
    let begun = format!("{source} {touched}");
    match to.copy_setting(COPIED_FROM).await? {
        Some(here) if here == begun => Ok(()),
        Some(here) if here.split(' ').next() == Some(&source) => Err(CopyError::Refused(
            "`serve` was started on the target since the copy was begun: it is the store now; to \
             begin anew, empty it",
        )),
        Some(_) => Err(CopyError::Refused("the target is a copy of another store")),
        None => {
            for kind in [Kind::Day, Kind::Campaign, Kind::Account] {
                let page = to.items(kind, None, 1).await?;
                if !page.items.is_empty() || page.next.is_some() {
                    return Err(CopyError::Refused(
                        "the target is not empty, and not the copy of this source",
                    ));
                }
            }
            Ok(to.set_copy_setting(COPIED_FROM, &begun).await?)
        }
    }
}

/// By what a store is known to its copies.
async fn id_of(store: &dyn Copyable) -> Result<String, HotError> {
    if let Some(id) = store.copy_setting(STORE_ID).await? {
        return Ok(id);
    }
    let id = OperationId(uuid::Uuid::now_v7().as_u128());
    store.set_copy_setting(STORE_ID, &format!("{:032x}", id.0)).await?;
    // Of two who ask at once, both say the one that stands.
    let there = store.copy_setting(STORE_ID).await?;
    there.ok_or_else(|| HotError::Damaged("a setting is not there after it was set".into()))
}

/// Removes from `to` what is not in `from` any more.
async fn remove_vanished(
    from: &dyn Copyable,
    to: &dyn Copyable,
    kind: Kind,
) -> Result<u64, HotError> {
    let (mut removed, mut after) = (0, None);
    loop {
        let page = to.items(kind, after, PAGE_ITEMS).await?;
        let there = from.has(&page.items).await?;
        let gone: Vec<Item> = page
            .items
            .into_iter()
            .zip(there)
            .filter_map(|(it, has)| (!has).then_some(it))
            .collect();
        removed += gone.len() as u64;
        if !gone.is_empty() {
            to.remove(gone).await?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(removed);
        }
    }
}

/// Where a pass stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Position {
    pass: Pass,
    /// `None` at its end.
    kind: Option<Kind>,
    after: Option<String>,
    /// Whether another process has stopped here.
    resumed: bool,
}

impl Position {
    /// From what was kept in the target.
    fn of(kept: Option<&str>) -> Position {
        let start = |pass| Position { pass, kind: Some(KINDS[0]), after: None, resumed: false };
        let Some(text) = kept else { return start(Pass::First) };
        let mut words = text.splitn(3, ' ');
        let pass = match words.next() {
            Some("first") => Pass::First,
            _ => Pass::Again,
        };
        let word = words.next().unwrap_or_default();
        match KINDS.into_iter().find(|kind| kind.as_str() == word) {
            Some(kind) => {
                let after = words.next().filter(|after| !after.is_empty()).map(str::to_owned);
                Position { pass, kind: Some(kind), after, resumed: true }
            }
            // Complete, or of another release: then all of it again.
            None => start(Pass::Again),
        }
    }

    fn behind(self, kind: Kind, next: Option<String>) -> Position {
        let kind = match next {
            Some(_) => Some(kind),
            None => KINDS.into_iter().find(|later| *later > kind),
        };
        Position { pass: self.pass, kind, after: next, resumed: false }
    }

    fn text(&self) -> String {
        let pass = match self.pass {
            Pass::First => "first",
            Pass::Again => "again",
        };
        let kind = self.kind.map_or(COMPLETE, Kind::as_str);
        format!("{pass} {kind} {}", self.after.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions() {
        let at = |pass, kind, after: Option<&str>, resumed| Position {
            pass,
            kind: Some(kind),
            after: after.map(str::to_owned),
            resumed,
        };
        let rows = [
            ("nothing yet", None, at(Pass::First, Kind::Day, None, false)),
            (
                "stopped",
                Some("first coupons 20777 3 ABC"),
                at(Pass::First, Kind::Coupon, Some("20777 3 ABC"), true),
            ),
            ("before a kind", Some("again claims "), at(Pass::Again, Kind::Claim, None, true)),
            ("complete", Some(COMPLETE), at(Pass::Again, Kind::Day, None, false)),
        ];
        for (name, kept, want) in rows {
            let position = Position::of(kept);
            assert_eq!(position, want, "{name}");
            if position.resumed {
                assert_eq!(Some(position.text().as_str()), kept, "{name}");
            }
        }
    }

    #[test]
    fn every_kind_has_its_turn() {
        let mut position = Position::of(None);
        let mut kinds = Vec::new();
        while let Some(kind) = position.kind {
            kinds.push(kind);
            position = position.behind(kind, None);
        }
        assert_eq!(kinds, KINDS);
    }
}
