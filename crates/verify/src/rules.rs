//! What must be true of one code in one partition. Pure: no store, no clock.

mod place;
mod view;

use std::cmp::Ordering;

use cold::ColdCopy;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::history_validity::invalid_history;
use coupon::time::{Day, Millis};
use hot::PartitionPlan;
use hot::inventory::{EntryIs, RowIs, RowItem};
use router::Owner;

use crate::finding::{Finding, FindingKind, Note, PlaceStatement, UNWRITTEN};
use view::cold_place;

pub(crate) use place::folder;
pub use view::{CodeHome, CodeView, TableAnswer};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleResults {
    /// What no protocol allows.
    pub findings: Vec<Finding>,
    /// What a protocol allows to stay behind.
    pub notes: Vec<Note>,
}

pub fn judge(view: &CodeView) -> RuleResults {
    let mut judge = CodeJudge { view, results: RuleResults::default() };
    judge.rows();
    judge.copies();
    judge.tiers();
    match view.coupon() {
        None => {}
        Some(coupon) if view.terms.is_none() => judge.stranger(coupon),
        Some(coupon) => {
            judge.place(coupon);
            judge.origin(coupon);
            judge.lists(coupon);
        }
    }
    judge.results
}

/// Tries the rules on one code, each of which is a method.
struct CodeJudge<'a> {
    view: &'a CodeView,
    results: RuleResults,
}

impl CodeJudge<'_> {
    fn find(
        &mut self,
        kind: FindingKind,
        one: impl Into<PlaceStatement>,
        other: impl Into<PlaceStatement>,
    ) {
        self.results.findings.push(Finding::new(kind, &self.view.code, one, other));
    }

    fn note(&mut self, note: Note) {
        self.results.notes.push(note);
    }

    /// The rows of hot, each by itself.
    fn rows(&mut self) {
        let view = self.view;
        let says = |row: &RowItem| (view.hot_place(), said_of_row(&row.is));
        for row in &view.rows {
            if let Some(astray) = &row.astray {
                let code = ("its code", "leads elsewhere");
                self.find(FindingKind::WrongPartition, (view.hot_place(), astray), code);
            }
            match &row.is {
                RowIs::Coupon { coupon, differs } => {
                    self.one_coupon(&view.hot_place(), coupon, differs.as_deref());
                }
                RowIs::Unreadable(why) => {
                    self.find(FindingKind::RowUnreadable, (view.hot_place(), why), UNWRITTEN);
                }
                RowIs::ArchivedMarker { .. } | RowIs::Forwarding { .. } => {}
            }
        }
        if let [one, other, ..] = view.rows.as_slice() {
            self.find(FindingKind::Twice, says(one), says(other));
        }
        match (view.plan, view.rows.first()) {
            (None, Some(row)) => {
                let plan = ("the plan of the day", "there is none");
                self.find(FindingKind::WrongPartition, says(row), plan);
            }
            (Some(PartitionPlan { emptied: true, .. }), Some(row)) => {
                let plan = ("the plan of the day", "the partition was emptied");
                self.find(FindingKind::LeftBehind, says(row), plan);
            }
            (_, _) => {}
        }
    }

    /// Checks that a coupon is what its events say, and that the rules allow the events.
    fn one_coupon(&mut self, place: &str, coupon: &Coupon, differs: Option<&str>) {
        if let Some(differs) = differs {
            let events = ("its events", said_of_coupon(coupon));
            self.find(FindingKind::RowNotItsEvents, (place, differs), events);
        }
        if let Some(why) = invalid_history(coupon) {
            let rules = ("the rules", "admit no such change");
            self.find(FindingKind::EventsInvalid, (place, why), rules);
        }
    }

    /// The copies of a coupon in cold.
    fn copies(&mut self) {
        let copies = &self.view.copies;
        for copy in copies {
            match &copy.coupon {
                Ok(coupon) => self.one_coupon(&cold_place(copy), coupon, copy.differs.as_deref()),
                Err(why) => {
                    self.find(FindingKind::RowUnreadable, (cold_place(copy), why), UNWRITTEN);
                }
            }
        }
        for (at, copy) in copies.iter().enumerate() {
            for other in &copies[..at] {
                let (Ok(one), Ok(two)) = (&copy.coupon, &other.coupon) else { continue };
                let first = (cold_place(other), said_of_coupon(two));
                let second = (cold_place(copy), said_of_coupon(one));
                if one.version() == two.version() {
                    self.find(FindingKind::ColdTwice, first, second);
                } else if !is_earlier(one, two) && !is_earlier(two, one) {
                    self.find(FindingKind::CopiesDiffer, first, second);
                }
            }
        }
    }

    /// Hot against cold.
    fn tiers(&mut self) {
        let view = self.view;
        let copies = view.copies.iter();
        let readable = copies.filter_map(|copy| Some((copy, copy.coupon.as_deref().ok()?)));
        let newest = readable.max_by_key(|(_, coupon)| coupon.version());
        if let Some(version) = view.archived_marker() {
            self.archived_marker(version, newest);
        }
        if let Some(to) = view.forward_to() {
            self.moved(to);
        }
        let Some((copy, archived)) = newest else { return };
        let other = (cold_place(copy), said_of_coupon(archived));
        let Some(here) = view.hot_coupon() else {
            // A copy in a partition that is not its own has a finding of its own.
            let is_here = Day::expiry_day_of(archived.lasts_until()) == view.day;
            if view.rows.is_empty() && !view.is_sealed() && view.terms.is_some() && is_here {
                let one = (view.hot_place(), "neither a row nor an archived marker");
                self.find(FindingKind::RowMissing, one, other);
            }
            return;
        };
        let one = (view.hot_place(), said_of_coupon(here));
        let unfinished = view.plan.is_none_or(|it| it.archive_commit < view.cold_archive_commit);
        match here.version().cmp(&archived.version()) {
            Ordering::Less => self.find(FindingKind::HotOlder, one, other),
            Ordering::Greater if is_earlier(archived, here) => self.note(Note::HotNewer),
            Ordering::Greater => self.find(FindingKind::CopiesDiffer, one, other),
            Ordering::Equal if !is_same(here, archived) => {
                self.find(FindingKind::CopiesDiffer, one, other);
            }
            Ordering::Equal if unfinished => self.note(Note::ArchiveCommitUnfinished),
            Ordering::Equal => self.find(FindingKind::HotAndCold, one, other),
        }
    }

    /// An archived marker has a copy in cold of its version or a later one.
    fn archived_marker(&mut self, version: u64, newest: Option<(&ColdCopy, &Coupon)>) {
        let view = self.view;
        let unreadable = view.copies.iter().any(|copy| copy.coupon.is_err());
        if unreadable || newest.is_some_and(|(_, coupon)| coupon.version() >= version) {
            return;
        }
        let other: PlaceStatement = match (newest, view.cold_whole) {
            (None, false) => return self.note(Note::BehindDamage),
            (None, true) => {
                (format!("cold, partition {}", view.day), "there is no such coupon").into()
            }
            (Some((copy, coupon)), _) => (cold_place(copy), said_of_coupon(coupon)).into(),
        };
        let one = (view.hot_place(), format!("an archived marker for version {version}"));
        self.find(FindingKind::ArchivedMarkerAlone, one, other);
    }

    /// A coupon of a batch that hot does not know. An archived coupon may be one, after a restore; a coupon
    /// with a row may not.
    fn stranger(&mut self, coupon: &Coupon) {
        if self.view.hot_coupon().is_none() {
            return self.note(Note::Stranger);
        }
        let owner = coupon.genesis();
        let says = format!("of {}, batch {}", owner.campaign, owner.batch);
        let other = (format!("campaign {}", owner.campaign), "has no such batch");
        self.find(FindingKind::OriginDiffers, (self.view.hot_place(), says), other);
    }

    /// What its batch, or the line of its import, says.
    fn origin(&mut self, coupon: &Coupon) {
        let view = self.view;
        let genesis = coupon.genesis();
        let came = [genesis.valid_from, genesis.expires_at, genesis.created_at];
        let (of_batch, of_line);
        let (place, owner, dates, shown) = match &view.home {
            CodeHome::Minted { owner, dates: [from, end, made_at], earlier_ends, .. } => {
                let came_with = earlier_ends.iter().find(|end| **end == genesis.expires_at);
                of_batch = [*from, *came_with.unwrap_or(end), *made_at];
                ("the batch of its serial", owner, of_batch.as_slice(), 3)
            }
            CodeHome::Foreign => {
                let TableAnswer::Is(Some(entry)) = &view.entry else { return };
                let EntryIs::Coupon { owner, line, .. } = &entry.is else { return };
                of_line = line.as_ref().map(|(from, until, _)| [*from, *until]);
                ("the directory", owner, of_line.as_slice().as_flattened(), 2)
            }
        };
        let is_its = owner.campaign == genesis.campaign && owner.batch == genesis.batch;
        // Of an entry without a line, no date is compared.
        if !is_its || !came.starts_with(dates) {
            let its = Owner { campaign: genesis.campaign.clone(), batch: genesis.batch.clone() };
            let one = (view.tier_place(), said_of_owner(&its, &came[..shown]));
            self.find(FindingKind::OriginDiffers, one, (place, said_of_owner(owner, dates)));
        }
    }

    /// What leads to a coupon: the claim of its holder, and its index rows.
    fn lists(&mut self, coupon: &Coupon) {
        let view = self.view;
        let lies = || {
            let holder = coupon.holder().map_or("nobody", |holder| holder.as_str());
            (view.tier_place(), format!("{}, held by {holder}", said_of_coupon(coupon)))
        };
        if view.claimed == TableAnswer::Is(false) {
            let holder = coupon.holder().map_or("", |holder| holder.as_str());
            let claim = (format!("the claim of {holder}"), "does not name it");
            self.find(FindingKind::ClaimMissing, lies(), claim);
        }
        for index_row in &view.unindexed {
            let table = (format!("the table {}", index_row.as_str()), "does not have it");
            self.find(FindingKind::IndexRowMissing, lies(), table);
        }
    }
}

/// Whether `early` may have become `late`: both came with the same, and the events of `late` begin with
/// those of `early`.
fn is_earlier(early: &Coupon, late: &Coupon) -> bool {
    early.version() < late.version()
        && early.genesis() == late.genesis()
        && late.events().starts_with(early.events())
}

/// Without the hold: an archived coupon has none.
fn is_same(hot: &Coupon, cold: &Coupon) -> bool {
    hot.genesis() == cold.genesis()
        && hot.events() == cold.events()
        && hot.modified_at() == cold.modified_at()
}

fn said_of_row(is: &RowIs) -> String {
    match is {
        RowIs::Coupon { coupon, .. } => said_of_coupon(coupon),
        RowIs::ArchivedMarker { version } => format!("an archived marker for version {version}"),
        RowIs::Forwarding { to } => format!("moved to partition {to}"),
        RowIs::Unreadable(why) => format!("unreadable: {why}"),
    }
}

fn said_of_coupon(coupon: &Coupon) -> String {
    let (state, version) = (coupon.state().as_str(), coupon.version());
    format!("{state}, version {version}, {} events", coupon.events().len())
}

fn said_of_owner(owner: &Owner, dates: &[Millis]) -> String {
    let dates: Vec<String> = dates.iter().map(|at| coupon::calendar::format_instant(*at)).collect();
    format!("{}, {}, {}", owner.campaign, owner.batch, dates.join(", "))
}

/// Whether a code in the partition `day` needs an entry in the directory.
pub fn needs_entry(home: &CodeHome, day: Day) -> bool {
    match home {
        CodeHome::Minted { day: home, .. } => *home != day,
        CodeHome::Foreign => true,
    }
}

/// The code, if the text is one in the form that stores have.
pub fn code_of(text: &str) -> Option<Code> {
    text.parse().ok().filter(|code: &Code| code.as_str() == text)
}

#[cfg(test)]
mod tests;
