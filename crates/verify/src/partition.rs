//! Partition by partition: hot and cold merged in the order of codes.

use std::collections::{BTreeSet, VecDeque};

use cold::{ColdCode, ColdCopy, ColdError, FileFault, PartitionAudit};
use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::time::Day;
use hot::PartitionPlan;
use hot::audit::{AuditRow, RowIs};
use router::Owner;

use crate::catalog::Serial;
use crate::finding::{Kind, Note, Said};
use crate::rules::{self, Asked, Home, View};
use crate::verifier::{ColdIs, Verifier, VerifyError};

/// How often a partition is begun again behind what was had, because a merge has replaced what was
/// being read and a sweep removed it. Merges of one partition are days apart.
const TRIES_MAX: usize = 3;

/// What both tiers have of one code, before anybody was asked about it.
pub(crate) struct Met {
    pub(crate) code: String,
    pub(crate) rows: Vec<AuditRow>,
    pub(crate) copies: Vec<ColdCopy>,
}

/// A partition, as it was when some of its codes were read.
#[derive(Clone, Copy)]
pub(crate) struct PartitionIs {
    pub(crate) day: Day,
    pub(crate) plan: Option<PartitionPlan>,
    pub(crate) cold_archive_commit: u64,
    pub(crate) cold_whole: bool,
}

/// Where a walk over one partition stands.
struct Walk {
    day: Day,
    after: String,
    rows: VecDeque<AuditRow>,
    hot_ended: bool,
    /// The partition's archive commit when cold was opened last.
    archive_commit: u64,
    cold: Option<PartitionAudit>,
    plan: Option<PartitionPlan>,
    whole: bool,
}

impl Verifier<'_> {
    pub(crate) async fn partitions(&mut self) -> Result<(), VerifyError> {
        let mut next = Day(i32::MIN);
        // Looked up again after each: an extension may have brought a coupon to a new day.
        while let Some(day) = self.next_day(next).await? {
            self.partition(day).await?;
            if self.has_cold_log() {
                self.side(day).await?;
            }
            self.look_again_if_many().await?;
            next = Day(day.0.saturating_add(1));
        }
        Ok(())
    }

    async fn next_day(&mut self, from: Day) -> Result<Option<Day>, VerifyError> {
        let mut days: BTreeSet<Day> =
            self.hot.audit_partitions().await?.into_iter().map(|it| it.day).collect();
        if self.has_cold_log() {
            days.extend(self.cold.partitions().await?.into_iter().map(|partition| partition.day));
        }
        Ok(days.range(from..).next().copied())
    }

    async fn partition(&mut self, day: Day) -> Result<(), VerifyError> {
        let mut walk = Walk::begin(day, String::new());
        let mut tries = 0;
        loop {
            match walk.next(self).await {
                Ok(None) => return Ok(()),
                Ok(Some(met)) => {
                    walk.after = met.last().map_or(walk.after, |it| it.code.clone());
                    let partition = PartitionIs {
                        day,
                        plan: walk.plan,
                        cold_archive_commit: walk.archive_commit,
                        cold_whole: walk.whole,
                    };
                    self.meet(partition, met).await?;
                    self.look_again_if_many().await?;
                    self.tick();
                }
                Err(VerifyError::Cold(ColdError::Unavailable { .. })) if tries < TRIES_MAX => {
                    tries += 1;
                    walk = Walk::begin(day, walk.after);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Judges some codes of a partition; what looks wrong becomes a suspect.
    async fn meet(&mut self, partition: PartitionIs, met: Vec<Met>) -> Result<(), VerifyError> {
        for one in &met {
            self.report.cold_rows += one.copies.len() as u64;
            for row in &one.rows {
                match row.is {
                    RowIs::ArchivedMarker { .. } => self.report.archived_markers += 1,
                    RowIs::Coupon { .. } | RowIs::Forwarding { .. } | RowIs::Unreadable(_) => {
                        self.report.hot_rows += 1;
                    }
                }
            }
        }
        let views = self.views(partition, met, Ask::WhereNeeded).await?;
        for (view, serial) in views {
            self.count(&view, serial.as_ref());
            let judged = rules::judge(&view);
            for note in judged.notes {
                self.note(note);
            }
            if judged.findings.is_empty() {
                continue;
            }
            match rules::code_of(&view.code).filter(|_| !self.is_flooded(&judged.findings)) {
                Some(code) => self.recheck.add(partition.day, code),
                // Nobody can ask for it, or it is one of very many.
                None => judged.findings.into_iter().for_each(|finding| self.tell(finding)),
            }
        }
        Ok(())
    }

    /// Adds to the sums that are compared with the counts at the end.
    fn count(&mut self, view: &View, serial: Option<&Serial>) {
        if view.is_in_cold_alone()
            && let Some(coupon) = view.cold_coupon()
        {
            let counts = self.cold_states.entry(coupon.genesis().campaign.clone()).or_default();
            count_state(counts, coupon.state());
        }
        if let Some(coupon) = view.hot_coupon() {
            let counts = self.hot_states.entry(coupon.genesis().campaign.clone()).or_default();
            count_state(counts, coupon.state());
        }
        // Where it was moved to it is counted.
        let moved = view.rows.iter().any(|row| matches!(row.is, RowIs::Forwarding { .. }));
        if let Some(serial) = serial.filter(|_| !moved)
            && let Some(offered) = self.offered.get_mut(&(serial.run.day, serial.run.first))
            && serial.offset < offered.below
        {
            offered.seen += 1;
        }
    }

    /// Asks everybody about these codes.
    pub(crate) async fn views(
        &mut self,
        partition: PartitionIs,
        met: Vec<Met>,
        ask: Ask,
    ) -> Result<Vec<(View, Option<Serial>)>, VerifyError> {
        let mut views = Vec::with_capacity(met.len());
        for Met { code, rows, copies } in met {
            let parsed = rules::code_of(&code);
            let serial = match &parsed {
                Some(code) => self.catalog.serial(self.hot, self.keys, code).await?,
                None => None,
            };
            let mut view = View {
                day: partition.day,
                code,
                plan: partition.plan,
                rows,
                copies,
                cold_archive_commit: partition.cold_archive_commit,
                cold_whole: partition.cold_whole,
                home: Home::Foreign,
                terms: None,
                entry: Asked::Not,
                claimed: Asked::Not,
                unindexed: Vec::new(),
                atomicity: self.hot.atomicity(),
            };
            if let Some(coupon) = view.coupon() {
                let genesis = coupon.genesis();
                let owner =
                    Owner { campaign: genesis.campaign.clone(), batch: genesis.batch.clone() };
                self.catalog.look_up(self.hot, &owner).await?;
                view.terms = self.catalog.terms_of(&owner);
            }
            view.home = self.catalog.home(serial.as_ref());
            views.push((view, serial));
        }
        self.ask_directory(&mut views, ask).await?;
        self.ask_claims(&mut views).await?;
        self.ask_index_rows(&mut views).await?;
        Ok(views)
    }

    async fn ask_directory(
        &self,
        views: &mut [(View, Option<Serial>)],
        ask: Ask,
    ) -> Result<(), VerifyError> {
        let mut asked: Vec<(usize, Code)> = Vec::new();
        for (at, (view, _)) in views.iter().enumerate() {
            let moved = view.rows.iter().any(|row| matches!(row.is, RowIs::Forwarding { .. }));
            let needed = ask == Ask::All || moved || rules::needs_entry(&view.home, view.day);
            if let Some(code) = rules::code_of(&view.code).filter(|_| needed) {
                asked.push((at, code));
            }
        }
        let codes = asked.iter().map(|(_, code)| code.clone()).collect();
        let entries = self.hot.audit_entries_of(codes).await?;
        for ((at, _), entry) in asked.into_iter().zip(entries) {
            views[at].0.entry = Asked::Is(entry);
        }
        Ok(())
    }

    async fn ask_claims(&self, views: &mut [(View, Option<Serial>)]) -> Result<(), VerifyError> {
        let (mut at, mut asked) = (Vec::new(), Vec::new());
        for (nth, (view, _)) in views.iter().enumerate() {
            let limited = view.terms.as_ref().is_some_and(|it| it.per_user_limit.is_some());
            let held = view.coupon().filter(|_| limited).and_then(|coupon| {
                let holder = coupon.holder()?.clone();
                Some((coupon.genesis().campaign.clone(), holder, coupon.code().clone()))
            });
            if let Some(held) = held {
                at.push(nth);
                asked.push(held);
            }
        }
        let claimed = self.hot.audit_claimed(asked).await?;
        for (nth, claimed) in at.into_iter().zip(claimed) {
            views[nth].0.claimed = Asked::Is(claimed);
        }
        Ok(())
    }

    async fn ask_index_rows(
        &self,
        views: &mut [(View, Option<Serial>)],
    ) -> Result<(), VerifyError> {
        let (mut at, mut asked): (Vec<usize>, Vec<(Day, Coupon)>) = (Vec::new(), Vec::new());
        if self.hot.atomicity() == hot::audit::Atomicity::OneTransaction {
            return Ok(());
        }
        for (nth, (view, _)) in views.iter().enumerate() {
            // In a sealed partition they are removed with the rows, in whatever order.
            if view.plan.is_some_and(|plan| plan.sealed) {
                continue;
            }
            if let Some(coupon) = view.hot_coupon() {
                at.push(nth);
                asked.push((view.day, coupon.clone()));
            }
        }
        let unindexed = self.hot.audit_unindexed(asked).await?;
        for (nth, unindexed) in at.into_iter().zip(unindexed) {
            views[nth].0.unindexed = unindexed;
        }
        Ok(())
    }

    pub(crate) fn file_fault(&mut self, fault: FileFault) {
        self.cold_is = ColdIs::Damaged;
        let one = Said::new(format!("cold, {}", fault.file), fault.what);
        let other = Said::new("the log", "it is live");
        self.found(Kind::ColdFile, &fault.file, one, other);
    }

    /// The side table of a partition against its files.
    async fn side(&mut self, day: Day) -> Result<(), VerifyError> {
        let mut pauses = self.pauses().into_iter();
        loop {
            // First: an archive commit is finished after the side table has it.
            let finished = self.hot.partition(day).await?.map_or(0, |plan| plan.archive_commit);
            let audit = match self.cold.audit_side(day).await {
                Ok(audit) => audit,
                Err(error @ ColdError::Unavailable { .. }) => match pauses.next() {
                    Some(pause) => {
                        tokio::time::sleep(pause).await;
                        continue;
                    }
                    None => return Err(error.into()),
                },
                Err(error) => return Err(error.into()),
            };
            // A commit may have come in between.
            if !audit.faults.is_empty()
                && let Some(pause) = pauses.next()
            {
                tokio::time::sleep(pause).await;
                continue;
            }
            self.report.side_rows += audit.rows;
            if audit.archive_commit < finished {
                let one = Said::new("hot", format!("archive commit {finished} is finished"));
                let place = format!("cold, coupons_by_holder, partition {}", cold::day_text(day));
                let other = Said::new(
                    place,
                    format!("it has archive commit {} at the last", audit.archive_commit),
                );
                self.found(Kind::SideMissing, &cold::day_text(day), one, other);
            } else if audit.behind > 0 {
                self.note(Note::SideBehind);
            }
            audit.files.into_iter().for_each(|fault| self.file_fault(fault));
            for fault in audit.faults {
                let partition = format!("cold, coupons, partition {}", cold::day_text(day));
                let holder = format!("cold, coupons_by_holder, {}", fault.holder);
                let (kind, one, other) = match fault.is {
                    cold::SideIs::Missing => (Kind::SideMissing, "a coupon of his", "not there"),
                    cold::SideIs::Alone => (Kind::SideAlone, "not there, or otherwise", "a row"),
                };
                self.found(kind, &fault.code, Said::new(partition, one), Said::new(holder, other));
            }
            return Ok(());
        }
    }
}

fn count_state(counts: &mut [i64; 3], state: &State) {
    match state {
        State::Available => {}
        State::Issued { .. } => counts[0] += 1,
        State::Redeemed { .. } => counts[1] += 1,
        State::Void { .. } => counts[2] += 1,
    }
}

/// Whom to ask about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The directory only about codes that do not say themselves where they are.
    WhereNeeded,
    /// The directory about every code.
    All,
}

impl Walk {
    fn begin(day: Day, after: String) -> Walk {
        Walk {
            day,
            after,
            rows: VecDeque::new(),
            hot_ended: false,
            archive_commit: 0,
            cold: None,
            plan: None,
            whole: true,
        }
    }

    /// Some codes more; `None` at the end of the partition.
    async fn next(&mut self, verifier: &mut Verifier<'_>) -> Result<Option<Vec<Met>>, VerifyError> {
        let chunk = verifier.options.chunk;
        if self.rows.is_empty() && !self.hot_ended {
            self.plan = verifier.hot.partition(self.day).await?;
            let rows = verifier.hot.audit_rows(self.day, self.after.clone(), chunk).await?;
            self.hot_ended = rows.len() < chunk;
            self.rows = rows.into();
            self.open_cold(verifier).await?;
        }
        let last = match self.hot_ended && self.rows.is_empty() {
            true => None,
            false => self.rows.back().map(|row| row.code.clone()),
        };
        let mut cold = match &mut self.cold {
            Some(cold) => cold.up_to(last.as_deref(), chunk).await?,
            None => Vec::new(),
        };
        if let Some(audit) = &mut self.cold {
            for fault in audit.faults() {
                self.whole = false;
                verifier.file_fault(fault);
            }
        }
        if cold.is_empty() && self.rows.is_empty() {
            return Ok(None);
        }
        // A full chunk of cold may end before hot's does.
        let up_to = match cold.len() >= chunk {
            true => cold.last().map(|it| it.code.clone()),
            false => last,
        };
        Ok(Some(self.merged(&mut cold, up_to.as_deref())))
    }

    /// After hot was read: the same partition in cold, behind what was had.
    async fn open_cold(&mut self, verifier: &mut Verifier<'_>) -> Result<(), VerifyError> {
        if !verifier.has_cold_log() {
            self.whole = verifier.cold_is == ColdIs::Unused;
            if verifier.cold_is == ColdIs::Unused && verifier.cold.version().await?.is_some() {
                // The first archive commit of all was committed since this began.
                verifier.cold_is = ColdIs::Whole;
                self.whole = true;
            } else {
                return Ok(());
            }
        }
        let partition = verifier.cold.partition(self.day).await?;
        if self.cold.is_none() || self.archive_commit != partition.archive_commit {
            self.archive_commit = partition.archive_commit;
            self.cold = Some(verifier.cold.audit_partition(&partition, &self.after).await?);
        }
        Ok(())
    }

    /// Both up to a code, each code once.
    fn merged(&mut self, cold: &mut Vec<ColdCode>, up_to: Option<&str>) -> Vec<Met> {
        let mut met: Vec<Met> = Vec::new();
        let mut cold = cold.drain(..).peekable();
        let of_cold = |it: ColdCode| Met { code: it.code, rows: Vec::new(), copies: it.copies };
        while let Some(row) =
            self.rows.pop_front_if(|row| up_to.is_none_or(|up_to| row.code.as_str() <= up_to))
        {
            if let Some(last) = met.last_mut().filter(|last| last.code == row.code) {
                last.rows.push(row);
                continue;
            }
            while let Some(archived) = cold.next_if(|archived| archived.code < row.code) {
                met.push(of_cold(archived));
            }
            let archived = cold.next_if(|archived| archived.code == row.code);
            let copies = archived.map(|it| it.copies).unwrap_or_default();
            met.push(Met { code: row.code.clone(), rows: vec![row], copies });
        }
        met.extend(cold.map(of_cold));
        met
    }
}
