//! What must be true of one code in one partition. Pure: no store, no clock.

use cold::ColdCopy;
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::history_validity::invalid_history;
use coupon::time::{Day, Millis};
use hot::PartitionPlan;
use hot::audit::{Atomicity, AuditEntry, AuditEntryIs, AuditRow, IndexRowKind, RowIs};
use router::Owner;

use crate::finding::{Finding, Kind, Note, Said};

/// What a code says by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// It was minted: its batch and its first partition are inside it.
    Minted {
        /// Whose it is.
        owner: Owner,
        /// The partition that it was minted for.
        day: Day,
        /// What every coupon of the batch came with: when it begins and ceases to work, and when it
        /// was made.
        dates: [Millis; 3],
    },
    /// Only the directory knows it.
    Foreign,
}

/// What was asked of somebody else, if it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked<T> {
    /// It was not.
    Not,
    /// The answer.
    Is(T),
}

/// Everything that both tiers say of one code in one partition.
#[derive(Clone, Debug)]
pub struct View {
    /// The partition.
    pub day: Day,
    /// The code as it is written.
    pub code: String,
    /// The partition's plan, read before the rows.
    pub plan: Option<PartitionPlan>,
    /// What stands in hot.
    pub rows: Vec<AuditRow>,
    /// What lies in cold, looked up after hot.
    pub copies: Vec<ColdCopy>,
    /// The last archive commit that was made to the partition in cold.
    pub cold_archive_commit: u64,
    /// Whether all of the partition's files can be read.
    pub cold_whole: bool,
    /// What the code says by itself.
    pub home: Home,
    /// The terms of its coupon's campaign, if the store knows it.
    pub terms: Option<std::sync::Arc<Campaign>>,
    /// What the directory says.
    pub entry: Asked<Option<AuditEntry>>,
    /// Whether its holder's claim names it.
    pub claimed: Asked<bool>,
    /// Index rows that it should have and has not.
    pub unindexed: Vec<IndexRowKind>,
    /// How hot goes about the protocols.
    pub atomicity: Atomicity,
}

/// What is wrong, and what is allowed and worth a note.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// What no protocol allows.
    pub findings: Vec<Finding>,
    /// What one does.
    pub notes: Vec<Note>,
}

impl Judged {
    fn find(&mut self, kind: Kind, about: &str, one: Said, other: Said) {
        self.findings.push(Finding { kind, about: about.to_owned(), one, other });
    }
}

impl View {
    /// The coupon as it stands in hot.
    pub fn hot_coupon(&self) -> Option<&Coupon> {
        self.rows.iter().find_map(|row| match &row.is {
            RowIs::Coupon { coupon, .. } => Some(coupon.as_ref()),
            RowIs::ArchivedMarker { .. } | RowIs::Forwarding { .. } | RowIs::Unreadable(_) => None,
        })
    }

    fn archived_marker(&self) -> Option<u64> {
        self.rows.iter().find_map(|row| match row.is {
            RowIs::ArchivedMarker { version } => Some(version),
            RowIs::Coupon { .. } | RowIs::Forwarding { .. } | RowIs::Unreadable(_) => None,
        })
    }

    fn forward_to(&self) -> Option<Day> {
        self.rows.iter().find_map(|row| match row.is {
            RowIs::Forwarding { to } => Some(to),
            RowIs::Coupon { .. } | RowIs::ArchivedMarker { .. } | RowIs::Unreadable(_) => None,
        })
    }

    /// The newest copy in cold.
    pub fn cold_coupon(&self) -> Option<&Coupon> {
        let readable = self.copies.iter().filter_map(|copy| copy.coupon.as_deref().ok());
        readable.max_by_key(|coupon| coupon.version())
    }

    /// The coupon: of two versions the higher.
    pub fn coupon(&self) -> Option<&Coupon> {
        let both = self.hot_coupon().into_iter().chain(self.cold_coupon());
        both.max_by_key(|coupon| coupon.version())
    }

    /// Whether nothing of it stands in hot any more but, perhaps, an archived marker.
    pub fn is_in_cold_alone(&self) -> bool {
        !self.copies.is_empty()
            && self.rows.iter().all(|row| matches!(row.is, RowIs::ArchivedMarker { .. }))
    }

    fn hot_place(&self) -> String {
        format!("hot, partition {}", cold::day_text(self.day))
    }

    fn is_sealed(&self) -> bool {
        self.plan.is_some_and(|plan| plan.sealed)
    }
}

fn cold_place(copy: &ColdCopy) -> String {
    format!("cold, coupons/{}", copy.file)
}

/// Judges one view.
pub fn judge(view: &View) -> Judged {
    let mut judged = Judged::default();
    rows(view, &mut judged);
    copies(view, &mut judged);
    tiers(view, &mut judged);
    let Some(coupon) = view.coupon() else { return judged };
    if view.terms.is_none() {
        stranger(view, coupon, &mut judged);
        return judged;
    }
    place(view, coupon, &mut judged);
    origin(view, coupon, &mut judged);
    lists(view, coupon, &mut judged);
    judged
}

/// What was archived may be of a batch that a restored store does not know; what has a row may not.
fn stranger(view: &View, coupon: &Coupon, judged: &mut Judged) {
    if view.hot_coupon().is_none() {
        return judged.notes.push(Note::Stranger);
    }
    let owner = coupon.genesis();
    let says = format!("of {}, batch {}", owner.campaign, owner.batch);
    let other = Said::new(format!("campaign {}", owner.campaign), "has no such batch");
    judged.find(Kind::OriginDiffers, &view.code, Said::new(view.hot_place(), says), other);
}

/// Each row by itself.
fn rows(view: &View, judged: &mut Judged) {
    for row in &view.rows {
        if let Some(astray) = &row.astray {
            let other = Said::new("its code", "leads elsewhere");
            let one = Said::new(view.hot_place(), astray);
            judged.find(Kind::WrongPartition, &view.code, one, other);
        }
        match &row.is {
            RowIs::Coupon { coupon, differs } => {
                one_coupon(view, &view.hot_place(), coupon, differs.as_deref(), judged);
            }
            RowIs::Unreadable(why) => {
                let other = Said::new("this release", "cannot have written that");
                let one = Said::new(view.hot_place(), why);
                judged.find(Kind::RowUnreadable, &view.code, one, other);
            }
            RowIs::ArchivedMarker { .. } | RowIs::Forwarding { .. } => {}
        }
    }
    if let [one, other, ..] = view.rows.as_slice() {
        let says = |row: &AuditRow| Said::new(view.hot_place(), said_of(&row.is));
        judged.find(Kind::Twice, &view.code, says(one), says(other));
    }
    if let (None, Some(row)) = (view.plan, view.rows.first()) {
        let one = Said::new(view.hot_place(), said_of(&row.is));
        let other = Said::new("the plan of the day", "there is none");
        judged.find(Kind::WrongPartition, &view.code, one, other);
    }
    if let (Some(PartitionPlan { emptied: true, .. }), Some(row)) = (view.plan, view.rows.first()) {
        let one = Said::new(view.hot_place(), said_of(&row.is));
        let other = Said::new("the plan of the day", "the partition was emptied");
        judged.find(Kind::LeftBehind, &view.code, one, other);
    }
}

fn said_of(is: &RowIs) -> String {
    match is {
        RowIs::Coupon { coupon, .. } => said_of_coupon(coupon),
        RowIs::ArchivedMarker { version } => format!("an archived marker for version {version}"),
        RowIs::Forwarding { to } => format!("moved to partition {}", cold::day_text(*to)),
        RowIs::Unreadable(why) => format!("unreadable: {why}"),
    }
}

fn said_of_coupon(coupon: &Coupon) -> String {
    let (state, version) = (coupon.state().as_str(), coupon.version());
    format!("{state}, version {version}, {} events", coupon.events().len())
}

fn one_coupon(
    view: &View,
    place: &str,
    coupon: &Coupon,
    differs: Option<&str>,
    judged: &mut Judged,
) {
    if let Some(differs) = differs {
        let other = Said::new("its events", said_of_coupon(coupon));
        judged.find(Kind::RowNotItsEvents, &view.code, Said::new(place, differs), other);
    }
    if let Some(why) = invalid_history(coupon) {
        let other = Said::new("the rules", "admit no such change");
        judged.find(Kind::EventsUnlawful, &view.code, Said::new(place, why), other);
    }
}

/// Each copy by itself, and beside the others.
fn copies(view: &View, judged: &mut Judged) {
    for copy in &view.copies {
        match &copy.coupon {
            Ok(coupon) => {
                one_coupon(view, &cold_place(copy), coupon, copy.differs.as_deref(), judged);
            }
            Err(why) => {
                let other = Said::new("this release", "cannot have written that");
                let one = Said::new(cold_place(copy), why);
                judged.find(Kind::RowUnreadable, &view.code, one, other);
            }
        }
    }
    for (at, copy) in view.copies.iter().enumerate() {
        for other in &view.copies[..at] {
            let (Ok(one), Ok(two)) = (&copy.coupon, &other.coupon) else { continue };
            let says =
                |copy: &ColdCopy, it: &Coupon| Said::new(cold_place(copy), said_of_coupon(it));
            let (first, second) = (says(other, two), says(copy, one));
            if one.version() == two.version() {
                judged.find(Kind::ColdTwice, &view.code, first, second);
            } else if !is_earlier(one, two) && !is_earlier(two, one) {
                judged.find(Kind::CopiesDiffer, &view.code, first, second);
            }
        }
    }
}

/// Whether `early` may have become `late`: it came with the same, and what happened to it happened
/// to the other first.
fn is_earlier(early: &Coupon, late: &Coupon) -> bool {
    early.version() < late.version()
        && early.genesis() == late.genesis()
        && late.events().starts_with(early.events())
}

/// What stands in hot beside what lies in cold.
fn tiers(view: &View, judged: &mut Judged) {
    let newest = view.copies.iter().filter_map(|copy| Some((copy, copy.coupon.as_deref().ok()?)));
    let newest = newest.max_by_key(|(_, coupon)| coupon.version());
    let unreadable = view.copies.iter().any(|copy| copy.coupon.is_err());
    let code = &view.code;
    if let Some(version) = view.archived_marker()
        && !unreadable
        && newest.is_none_or(|(_, coupon)| coupon.version() < version)
    {
        let one = Said::new(view.hot_place(), format!("an archived marker for version {version}"));
        match (newest, view.cold_whole) {
            (None, false) => judged.notes.push(Note::BehindDamage),
            (None, true) => {
                let place = format!("cold, partition {}", cold::day_text(view.day));
                judged.find(
                    Kind::ArchivedMarkerAlone,
                    code,
                    one,
                    Said::new(place, "there is no such coupon"),
                );
            }
            (Some((copy, coupon)), _) => {
                let other = Said::new(cold_place(copy), said_of_coupon(coupon));
                judged.find(Kind::ArchivedMarkerAlone, code, one, other);
            }
        }
    }
    if let Some(to) = view.forward_to() {
        moved(view, to, judged);
    }
    let Some((copy, archived)) = newest else { return };
    let other = Said::new(cold_place(copy), said_of_coupon(archived));
    let unfinished = view.plan.is_none_or(|plan| plan.archive_commit < view.cold_archive_commit);
    let Some(here) = view.hot_coupon() else {
        // What lies in a partition that is not its own is told of as that.
        let is_here = Day::expiry_day_of(archived.lasts_until()) == view.day;
        if view.rows.is_empty() && !view.is_sealed() && view.terms.is_some() && is_here {
            let one = Said::new(view.hot_place(), "neither a row nor an archived marker");
            judged.find(Kind::RowMissing, code, one, other);
        }
        return;
    };
    let one = Said::new(view.hot_place(), said_of_coupon(here));
    match here.version().cmp(&archived.version()) {
        std::cmp::Ordering::Less => judged.find(Kind::HotOlder, code, one, other),
        std::cmp::Ordering::Greater if is_earlier(archived, here) => {
            judged.notes.push(Note::HotNewer);
        }
        std::cmp::Ordering::Greater => judged.find(Kind::CopiesDiffer, code, one, other),
        std::cmp::Ordering::Equal if !is_same(here, archived) => {
            judged.find(Kind::CopiesDiffer, code, one, other);
        }
        std::cmp::Ordering::Equal if unfinished => judged.notes.push(Note::ArchiveCommitUnfinished),
        std::cmp::Ordering::Equal => judged.find(Kind::HotAndCold, code, one, other),
    }
}

/// In cold nothing is held any more.
fn is_same(hot: &Coupon, cold: &Coupon) -> bool {
    hot.genesis() == cold.genesis()
        && hot.events() == cold.events()
        && hot.modified_at() == cold.modified_at()
}

/// A coupon that was moved is in the directory under its new partition, or will be by whoever meets
/// it.
fn moved(view: &View, to: Day, judged: &mut Judged) {
    let Asked::Is(entry) = &view.entry else { return };
    let arrived = entry
        .as_ref()
        .is_some_and(|entry| matches!(&entry.is, AuditEntryIs::Coupon { day, .. } if *day >= to));
    match (arrived, view.is_sealed()) {
        (true, _) => {}
        (false, false) => judged.notes.push(Note::MoveUnfinished),
        (false, true) => {
            let one = Said::new(view.hot_place(), format!("moved to {}", cold::day_text(to)));
            let other = Said::new("the directory", entry_says(entry.as_ref()));
            judged.find(Kind::MoveLost, &view.code, one, other);
        }
    }
}

fn entry_says(entry: Option<&AuditEntry>) -> String {
    match entry.map(|entry| &entry.is) {
        None => "nothing".to_owned(),
        Some(AuditEntryIs::Gone) => "gone, with a campaign that is not known here".to_owned(),
        Some(AuditEntryIs::Shared { campaign }) => format!("the word of campaign {campaign}"),
        Some(AuditEntryIs::Coupon { day, owner, .. }) => {
            let day = cold::day_text(*day);
            format!("a coupon of {}, {} in partition {day}", owner.campaign, owner.batch)
        }
        Some(AuditEntryIs::Unreadable(why)) => format!("unreadable: {why}"),
    }
}

/// Whether the coupon lies where its expiry, its code and the directory say.
fn place(view: &View, coupon: &Coupon, judged: &mut Judged) {
    let lies = match (view.hot_coupon(), view.copies.first()) {
        (Some(_), _) | (None, None) => view.hot_place(),
        (None, Some(copy)) => cold_place(copy),
    };
    let lies = Said::new(lies, format!("a row in partition {}", cold::day_text(view.day)));
    let partition = Day::expiry_day_of(coupon.lasts_until());
    if partition != view.day {
        let other = Said::new("its expiry", format!("partition {}", cold::day_text(partition)));
        return judged.find(Kind::WrongPartition, &view.code, lies, other);
    }
    let Asked::Is(entry) = &view.entry else { return };
    let entered = match entry.as_ref().map(|entry| &entry.is) {
        Some(AuditEntryIs::Coupon { day, .. }) => Some(*day),
        _ => None,
    };
    let other = Said::new("the directory", entry_says(entry.as_ref()));
    match (&view.home, entered) {
        (_, Some(day)) if day == view.day => {}
        (Home::Minted { day, .. }, None) if *day == view.day => {}
        (home, entered) if is_on_its_way(view, home, entered) => {
            judged.notes.push(Note::MoveUnfinished);
        }
        (_, None) => judged.find(Kind::EntryMissing, &view.code, lies, other),
        (_, Some(_)) => judged.find(Kind::WrongPartition, &view.code, lies, other),
    }
}

/// On a cluster a coupon stands in its new partition for a moment before the directory says so;
/// after a killed process until somebody meets the old row.
fn is_on_its_way(view: &View, home: &Home, entered: Option<Day>) -> bool {
    let from = match home {
        Home::Minted { day, .. } => entered.or(Some(*day)),
        Home::Foreign => entered,
    };
    view.atomicity == Atomicity::StepByStep
        && !view.is_sealed()
        && from.is_some_and(|day| day < view.day)
}

/// Whether it is the coupon that came into its batch.
fn origin(view: &View, coupon: &Coupon, judged: &mut Judged) {
    let genesis = coupon.genesis();
    let came = [genesis.valid_from, genesis.expires_at, genesis.created_at];
    let said = |owner: &str, batch: &str, dates: &[Millis]| {
        let dates: Vec<String> =
            dates.iter().map(|at| coupon::calendar::format_instant(*at)).collect();
        format!("{owner}, {batch}, {}", dates.join(", "))
    };
    let one = |dates: &[Millis]| {
        let place = if view.hot_coupon().is_some() { "hot" } else { "cold" };
        let place = format!("{place}, partition {}", cold::day_text(view.day));
        Said::new(place, said(genesis.campaign.as_str(), genesis.batch.as_str(), dates))
    };
    match &view.home {
        Home::Minted { owner, dates, .. } => {
            let is_its = owner.campaign == genesis.campaign && owner.batch == genesis.batch;
            if !is_its || *dates != came {
                let says = said(owner.campaign.as_str(), owner.batch.as_str(), dates);
                let other = Said::new("the batch of its serial", says);
                judged.find(Kind::OriginDiffers, &view.code, one(&came), other);
            }
        }
        Home::Foreign => {
            let Asked::Is(Some(entry)) = &view.entry else { return };
            let AuditEntryIs::Coupon { owner, line, .. } = &entry.is else { return };
            let is_its = owner.campaign == genesis.campaign && owner.batch == genesis.batch;
            let dates = line.is_none_or(|(from, until)| [from, until] == came[..2]);
            if !is_its || !dates {
                let dates: Vec<Millis> =
                    line.iter().flat_map(|(from, until)| [*from, *until]).collect();
                let says = said(owner.campaign.as_str(), owner.batch.as_str(), &dates);
                let other = Said::new("the directory", says);
                judged.find(Kind::OriginDiffers, &view.code, one(&came[..2]), other);
            }
        }
    }
}

/// Whether it is found by those who should find it.
fn lists(view: &View, coupon: &Coupon, judged: &mut Judged) {
    let lies = || {
        let tier = if view.hot_coupon().is_some() { "hot" } else { "cold" };
        let place = format!("{tier}, partition {}", cold::day_text(view.day));
        let holder = coupon.holder().map_or("nobody", |holder| holder.as_str());
        Said::new(place, format!("{}, held by {holder}", said_of_coupon(coupon)))
    };
    if view.claimed == Asked::Is(false) {
        let holder = coupon.holder().map_or("", |holder| holder.as_str());
        let other = Said::new(format!("the claim of {holder}"), "does not name it");
        judged.find(Kind::ClaimMissing, &view.code, lies(), other);
    }
    for index_row in &view.unindexed {
        let other = Said::new(format!("the table {}", index_row.as_str()), "does not have it");
        judged.find(Kind::IndexRowMissing, &view.code, lies(), other);
    }
}

/// Whether the directory has to be asked about a code that lies on `day`.
pub fn needs_entry(home: &Home, day: Day) -> bool {
    match home {
        Home::Minted { day: home, .. } => *home != day,
        Home::Foreign => true,
    }
}

/// The code of a text that is one.
pub fn code_of(text: &str) -> Option<Code> {
    text.parse().ok().filter(|code: &Code| code.as_str() == text)
}

#[cfg(test)]
mod tests;
