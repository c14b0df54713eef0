//! Every copy of every coupon as it lies, for `verify`: a row that cannot be read, and a file that
//! cannot, is told of and does not hide the rest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};
use xxhash_rust::xxh3::xxh3_128;

use crate::bounds::may_hold;
use crate::cursor::{Cursor, Reading};
use crate::decode::{self, BadRow};
use crate::encode::MICROS;
use crate::error::ColdError;
use crate::files::ReadError;
use crate::log::{LiveFile, Table};
use crate::store::{ColdFile, ColdStore, Inner, Partition};
use crate::{holders, names};

/// One copy of a coupon.
#[derive(Clone, Debug, PartialEq)]
pub struct ColdCopy {
    /// The file that has it, within its table.
    pub file: Arc<str>,
    /// It, or why it cannot be read.
    pub coupon: Result<Box<Coupon>, String>,
    /// What its columns say that its events do not.
    pub differs: Option<String>,
}

/// All copies of one code in a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct ColdCode {
    /// The code as it is written there.
    pub code: String,
    /// One, or what may not be, more.
    pub copies: Vec<ColdCopy>,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    /// The file, within the place.
    pub file: String,
    /// What.
    pub what: String,
}

/// A row of the side table that does not agree with `coupons`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideFault {
    /// The coupon.
    pub code: String,
    /// Its holder.
    pub holder: String,
    /// What is wrong.
    pub is: SideIs,
}

/// Which of the two tables has a row that the other has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideIs {
    /// The coupon lies in `coupons`; its holder does not find it.
    Missing,
    /// The side table names what `coupons` does not have, or has otherwise.
    Alone,
}

/// What was found out about the side table of a partition.
#[derive(Clone, Debug, Default)]
pub struct SideAudit {
    /// Rows of it that were read.
    pub rows: u64,
    /// The last archive commit that is in it.
    pub archive_commit: u64,
    /// Archive commits that are in `coupons` and not in it yet.
    pub behind: u64,
    /// Rows that do not agree; at most [`SIDE_FAULTS_MAX`].
    pub faults: Vec<SideFault>,
    /// Files of it that cannot be read.
    pub files: Vec<FileFault>,
}

/// Rows named for one archive commit; past it, its side table is best made anew.
pub const SIDE_FAULTS_MAX: usize = 1_000;

/// Rows of an archive commit that are held in memory while it is found out which of them differ:
/// some 50 MB.
const SIDE_ROWS_MAX: usize = 200_000;

/// The columns of `coupons` that the side table repeats.
const REPEATED: &[&str] = &["code", "state", "version", "holder", "expires_at"];

impl ColdStore {
    /// Reads every copy of every code of one partition behind `after`, in the order of codes.
    /// Memory for one row group of each file.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`]. Damage is a fault.
    pub async fn audit_partition(
        &self,
        partition: &Partition,
        after: &str,
    ) -> Result<PartitionAudit, ColdError> {
        let mut audit = PartitionAudit {
            store: self.clone(),
            after: after.to_owned(),
            heads: Vec::new(),
            faults: Vec::new(),
        };
        for file in &partition.files {
            let is_behind = |ends: Option<&(String, String)>| {
                ends.is_none_or(|(_, last)| last.as_str() > after)
            };
            match self.audit_file(&file.live, is_behind, Reading::all(rows)).await? {
                Ok(cursor) => audit.heads.push(Head {
                    file: Arc::clone(&file.live),
                    name: file.path().into(),
                    cursor,
                    rows: VecDeque::new(),
                    last: None,
                    read: 0,
                    whole: after.is_empty(),
                }),
                Err(fault) => audit.faults.push(fault),
            }
        }
        Ok(audit)
    }

    /// Every copy of `codes` in one partition as it is now, same order; and the archive commit of
    /// the partition.
    ///
    /// # Errors
    /// As [`ColdStore::audit_partition`].
    pub async fn audit_copies(
        &self,
        day: Day,
        codes: &[Code],
    ) -> Result<(u64, Vec<Vec<ColdCopy>>), ColdError> {
        if self.version().await?.is_none() {
            return Ok((0, vec![Vec::new(); codes.len()]));
        }
        let partition = self.partition(day).await?;
        let mut found: BTreeMap<String, Vec<ColdCopy>> = BTreeMap::new();
        let wanted: Arc<BTreeSet<String>> = Arc::new(codes.iter().map(Code::to_string).collect());
        for file in &partition.files {
            let may =
                |ends: Option<&(String, String)>| wanted.iter().any(|code| may_hold(ends, code));
            let of = Arc::clone(&wanted);
            let reading = Reading::all(move |batch| {
                let mut rows = rows(batch)?;
                rows.retain(|row| of.contains(&row.code));
                Ok(rows)
            });
            let Ok(mut cursor) = self.audit_file(&file.live, may, reading).await? else { continue };
            let name: Arc<str> = file.path().into();
            loop {
                match self.next_of(file, &mut cursor).await? {
                    Err(_) | Ok(None) => break,
                    Ok(Some(rows)) => {
                        for row in rows {
                            found.entry(row.code.clone()).or_default().push(row.of(&name));
                        }
                    }
                }
            }
        }
        let copies = codes.iter().map(|code| found.get(code.as_str()).cloned().unwrap_or_default());
        Ok((partition.archive_commit, copies.collect()))
    }

    /// Compares the side table of a partition with `coupons`, commit by commit: first the sums over
    /// both, and where they differ row by row, in bounded memory.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`]. Damage is a fault.
    pub async fn audit_side(&self, day: Day) -> Result<SideAudit, ColdError> {
        let Inner { coupons, by_holder, .. } = &*self.inner;
        let mut audit = SideAudit::default();
        // The side table first: what is in it is in `coupons`, looked up later.
        let side = by_holder.newest().await?;
        let truth = coupons.newest().await?;
        audit.archive_commit = side.archive_commit(day);
        audit.behind = truth.archive_commit(day).saturating_sub(side.archive_commit(day));
        let archive_commits: BTreeSet<u64> = truth
            .files(day)
            .iter()
            .chain(side.files(day))
            .map(|file| file.origin.archive_commit)
            .collect();
        let has_files = |archive_commit: u64| {
            truth.files(day).iter().any(|file| file.origin.archive_commit == archive_commit)
        };
        for archive_commit in archive_commits
            .into_iter()
            .filter(|archive_commit| *archive_commit <= side.archive_commit(day))
        {
            // A merge takes an archive commit out of `coupons` first.
            if audit.behind > 0 && !has_files(archive_commit) {
                continue;
            }
            let of = |files: &[Arc<LiveFile>]| -> Vec<Arc<LiveFile>> {
                files
                    .iter()
                    .filter(|file| file.origin.archive_commit == archive_commit)
                    .cloned()
                    .collect()
            };
            let (from, to) = (of(truth.files(day)), of(side.files(day)));
            self.audit_archive_commit(day, &from, &to, &mut audit).await?;
        }
        Ok(audit)
    }

    /// Whether every entry of the logs of `coupons` and `coupons_by_holder` can be read; what is wrong with them.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`]. Damage is a fault.
    pub async fn audit_logs(&self) -> Result<Vec<FileFault>, ColdError> {
        let Inner { coupons, by_holder, .. } = &*self.inner;
        let mut faults = Vec::new();
        for table in [coupons, by_holder] {
            match self.damage_of(table.newest_if_any().await)? {
                Err(fault) => faults.push(fault),
                Ok(None) => faults.push(FileFault {
                    file: table.folder().to_string(),
                    what: "there is no such table".to_owned(),
                }),
                Ok(Some(_)) => {
                    if let Some((entry, what)) = table.broken_entry().await? {
                        faults.push(FileFault { file: entry.to_string(), what: what.to_string() });
                    }
                }
            }
        }
        Ok(faults)
    }

    /// A cursor over those row groups of a file of `coupons` that `may` matter.
    async fn audit_file(
        &self,
        file: &Arc<LiveFile>,
        may: impl Fn(Option<&(String, String)>) -> bool,
        reading: Reading<Row>,
    ) -> Result<Result<Cursor<Row>, FileFault>, ColdError> {
        let Inner { location, coupons, files, .. } = &*self.inner;
        let object = coupons.object(&file.path);
        // Bytes behind the end disturb nobody, but nobody of ours wrote them.
        if let Some(found) = location.size(&object).await?.filter(|found| *found != file.bytes) {
            let what = format!("it has {found} bytes, want {}", file.bytes);
            return Ok(Err(FileFault { file: object.to_string(), what }));
        }
        let footer = match files.footer(&object, file).await {
            Ok(footer) => footer,
            Err(error) => return self.fault_of(file, error).await.map(Err),
        };
        let groups = 0..footer.groups.len();
        let groups = groups.filter(|at| may(footer.groups[*at].bounds.code.as_ref())).collect();
        Ok(Ok(Cursor::new(location, files, object, file, footer, reading, groups)))
    }

    async fn next_of<T: Send + 'static>(
        &self,
        file: &ColdFile,
        cursor: &mut Cursor<T>,
    ) -> Result<Result<Option<Vec<T>>, FileFault>, ColdError> {
        match cursor.next().await {
            Ok(rows) => Ok(Ok(rows)),
            Err(error) => self.fault_of(&file.live, error).await.map(Err),
        }
    }

    /// Damage as a fault; that a file was merged away is an error.
    async fn fault_of(
        &self,
        file: &Arc<LiveFile>,
        error: ReadError,
    ) -> Result<FileFault, ColdError> {
        let error = self.unread(&ColdFile { live: Arc::clone(file) }, error).await;
        match self.damage_of::<()>(Err(error))? {
            Err(fault) => Ok(fault),
            Ok(()) => Ok(FileFault { file: file.path.clone(), what: "unread".to_owned() }),
        }
    }

    fn damage_of<T>(&self, read: Result<T, ColdError>) -> Result<Result<T, FileFault>, ColdError> {
        match read {
            Ok(read) => Ok(Ok(read)),
            Err(ColdError::Damaged { file, what, .. }) => {
                Ok(Err(FileFault { file: file.to_string(), what: what.to_string() }))
            }
            Err(error) => Err(error),
        }
    }

    async fn audit_archive_commit(
        &self,
        day: Day,
        from: &[Arc<LiveFile>],
        to: &[Arc<LiveFile>],
        audit: &mut SideAudit,
    ) -> Result<(), ColdError> {
        let Inner { coupons, by_holder, .. } = &*self.inner;
        let truth = Reading::of(REPEATED, move |batch| repeated(batch, day));
        let side = Reading::all(repeating);
        let (mut wanted, mut found) = (Sum::default(), Sum::default());
        let mut faults = Vec::new();
        let read = self.sum(coupons, from, &truth, &mut wanted, &mut Vec::new()).await?;
        let whole = self.sum(by_holder, to, &side, &mut found, &mut faults).await?;
        audit.rows += found.rows;
        audit.files.extend(faults);
        // A file of `coupons` that cannot be read is told of where that is read.
        if !read || !whole || wanted == found {
            return Ok(());
        }
        for (which, other, is) in [
            ((coupons, from, &truth), (by_holder, to, &side), SideIs::Missing),
            ((by_holder, to, &side), (coupons, from, &truth), SideIs::Alone),
        ] {
            self.differences(which, other, is, audit).await?;
        }
        Ok(())
    }

    /// Adds up all rows; whether all of them could be read.
    async fn sum(
        &self,
        table: &Table,
        files: &[Arc<LiveFile>],
        reading: &Reading<Said>,
        sum: &mut Sum,
        faults: &mut Vec<FileFault>,
    ) -> Result<bool, ColdError> {
        let before = faults.len();
        let is_side = table.folder() == self.inner.by_holder.folder();
        for file in files {
            let mut last: Option<(String, String)> = None;
            let mut cursor = match self.inner.cursor(table, file, reading.clone()).await {
                Ok(cursor) => cursor,
                Err(error) => {
                    faults.push(self.side_fault(table, file, error).await?);
                    continue;
                }
            };
            loop {
                match cursor.next().await {
                    Ok(None) => break,
                    Ok(Some(rows)) => {
                        for row in rows {
                            let key = (row.holder.clone(), row.code.clone());
                            if is_side && last.as_ref() >= Some(&key) {
                                let what = format!("{} is out of order", row.code);
                                let file = table.object(&file.path).to_string();
                                faults.push(FileFault { file, what });
                            }
                            last = Some(key);
                            sum.add(&row);
                        }
                    }
                    Err(error) => {
                        faults.push(self.side_fault(table, file, error).await?);
                        break;
                    }
                }
            }
        }
        Ok(faults.len() == before)
    }

    async fn side_fault(
        &self,
        table: &Table,
        file: &Arc<LiveFile>,
        error: ReadError,
    ) -> Result<FileFault, ColdError> {
        match error {
            ReadError::Cold(error) => match self.damage_of::<()>(Err(error))? {
                Err(fault) => Ok(fault),
                Ok(()) => Ok(FileFault { file: file.path.clone(), what: "unread".to_owned() }),
            },
            ReadError::Gone if table.newest().await?.is_live(file.origin.day, &file.path) => {
                let file = table.object(&file.path).to_string();
                Ok(FileFault { file, what: "it is missing".to_owned() })
            }
            ReadError::Gone => {
                Err(self.inner.location.unavailable(format!("{} was merged away", file.path)))
            }
        }
    }

    /// Which rows of one table the other has not: some of the first at a time, and for each of them
    /// all of the second.
    async fn differences(
        &self,
        (table, files, reading): (&Table, &[Arc<LiveFile>], &Reading<Said>),
        (others, against, other): (&Table, &[Arc<LiveFile>], &Reading<Said>),
        is: SideIs,
        audit: &mut SideAudit,
    ) -> Result<(), ColdError> {
        let mut some: BTreeMap<u128, (Said, i64)> = BTreeMap::new();
        let mut files = files.iter();
        loop {
            let file = files.next();
            if let Some(file) = file
                && let Ok(mut cursor) = self.inner.cursor(table, file, reading.clone()).await
            {
                while let Ok(Some(rows)) = cursor.next().await {
                    for row in rows {
                        some.entry(row.hash()).or_insert((row, 0)).1 += 1;
                    }
                    if some.len() >= SIDE_ROWS_MAX {
                        self.strike(others, against, other, &mut some).await?;
                        tell(&mut some, is, audit);
                    }
                }
            }
            if file.is_none() {
                self.strike(others, against, other, &mut some).await?;
                tell(&mut some, is, audit);
                return Ok(());
            }
        }
    }

    async fn strike(
        &self,
        table: &Table,
        files: &[Arc<LiveFile>],
        reading: &Reading<Said>,
        some: &mut BTreeMap<u128, (Said, i64)>,
    ) -> Result<(), ColdError> {
        for file in files {
            let Ok(mut cursor) = self.inner.cursor(table, file, reading.clone()).await else {
                continue;
            };
            while let Ok(Some(rows)) = cursor.next().await {
                for row in rows {
                    if let Some((_, count)) = some.get_mut(&row.hash()) {
                        *count -= 1;
                    }
                }
            }
        }
        Ok(())
    }
}

fn tell(some: &mut BTreeMap<u128, (Said, i64)>, is: SideIs, audit: &mut SideAudit) {
    for (row, count) in std::mem::take(some).into_values() {
        if count > 0 && audit.faults.len() < SIDE_FAULTS_MAX {
            audit.faults.push(SideFault { code: row.code, holder: row.holder, is });
        }
    }
}

/// What both tables say of a coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    holder: String,
    code: String,
    day: Day,
    expires_at: Millis,
    state: &'static str,
    version: u64,
}

impl Said {
    fn hash(&self) -> u128 {
        let Said { holder, code, day, expires_at, state, version } = self;
        let text = format!(
            "{holder}\u{1f}{code}\u{1f}{}\u{1f}{}\u{1f}{state}\u{1f}{version}",
            day.0, expires_at.0
        );
        xxh3_128(text.as_bytes())
    }
}

/// How many rows, and what their hashes add up to, in whatever order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    rows: u64,
    hash: u128,
}

impl Sum {
    fn add(&mut self, said: &Said) {
        self.rows += 1;
        self.hash = self.hash.wrapping_add(said.hash());
    }
}

/// What the rows of a batch of `coupons` that have a holder make of the side table.
fn repeated(batch: &RecordBatch, day: Day) -> Result<Vec<Said>, BadRow> {
    let held =
        holders::of_coupons(batch, day, &(std::ops::Bound::Unbounded, std::ops::Bound::Unbounded))?;
    Ok(held.into_iter().map(Said::of).collect())
}

/// The rows of a batch of the side table.
fn repeating(batch: &RecordBatch) -> Result<Vec<Said>, BadRow> {
    Ok(holders::held(batch)?.into_iter().map(Said::of).collect())
}

impl Said {
    fn of(held: holders::Held) -> Said {
        let holders::HolderEntry { code, day, expires_at, state, version, .. } = held.entry;
        let (holder, code) = (held.holder.to_string(), code.to_string());
        Said { holder, code, day, expires_at, state, version }
    }
}

/// Every copy of every coupon of one partition, in the order of codes.
pub struct PartitionAudit {
    store: ColdStore,
    after: String,
    heads: Vec<Head>,
    faults: Vec<FileFault>,
}

struct Head {
    file: Arc<LiveFile>,
    name: Arc<str>,
    cursor: Cursor<Row>,
    rows: VecDeque<Row>,
    /// The last code that was taken.
    last: Option<String>,
    read: u64,
    /// Whether it is read from its first row on.
    whole: bool,
}

impl PartitionAudit {
    /// The next codes that do not lie behind `last`, at most `limit`.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also where a merge has replaced a file: begin again behind what
    /// was had.
    pub async fn up_to(
        &mut self,
        last: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ColdCode>, ColdError> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            self.fill().await?;
            let codes = self.heads.iter().filter_map(|head| head.rows.front());
            let Some(code) = codes.map(|row| row.code.as_str()).min() else { break };
            if last.is_some_and(|last| code > last) {
                break;
            }
            let code = code.to_owned();
            let mut copies = Vec::new();
            for head in &mut self.heads {
                while let Some(row) = head.rows.pop_front_if(|row| row.code == code) {
                    copies.push(row.of(&head.name));
                    head.last = Some(code.clone());
                    if head.rows.is_empty() {
                        // The same code may begin the next batch.
                        break;
                    }
                }
            }
            // A row group begins before what was asked for.
            if code > self.after {
                match taken.last_mut() {
                    Some(ColdCode { code: before, copies: had }) if *before == code => {
                        had.extend(copies);
                    }
                    Some(_) | None => taken.push(ColdCode { code, copies }),
                }
            }
        }
        Ok(taken)
    }

    /// What was wrong with files so far. The rest of such a file is left out.
    pub fn faults(&mut self) -> Vec<FileFault> {
        std::mem::take(&mut self.faults)
    }

    async fn fill(&mut self) -> Result<(), ColdError> {
        let mut at = 0;
        while let Some(head) = self.heads.get_mut(at) {
            if !head.rows.is_empty() {
                at += 1;
                continue;
            }
            let file = ColdFile { live: Arc::clone(&head.file) };
            let fault = match self.store.next_of(&file, &mut head.cursor).await? {
                Ok(Some(rows)) => {
                    head.read += rows.len() as u64;
                    let fault = head.take(rows);
                    if fault.is_none() {
                        at += 1;
                        continue;
                    }
                    fault
                }
                Ok(None) if head.whole && head.read != head.file.rows => {
                    Some(format!("it has {} rows, want {}", head.read, head.file.rows))
                }
                Ok(None) => None,
                Err(fault) => {
                    self.faults.push(fault);
                    None
                }
            };
            let head = self.heads.swap_remove(at);
            if let Some(what) = fault {
                let file = self.store.inner.coupons.object(&head.file.path).to_string();
                self.faults.push(FileFault { file, what });
            }
        }
        Ok(())
    }
}

impl Head {
    /// Takes a batch; what is wrong with its order.
    fn take(&mut self, rows: Vec<Row>) -> Option<String> {
        let mut before = self.last.as_deref();
        for row in &rows {
            if before.is_some_and(|before| before > row.code.as_str()) {
                return Some(format!("{} is out of order", row.code));
            }
            before = Some(&row.code);
        }
        self.rows = rows.into();
        None
    }
}

/// A row as it was read.
#[derive(Clone, Debug)]
struct Row {
    code: String,
    coupon: Result<Box<Coupon>, String>,
    differs: Option<String>,
}

impl Row {
    fn of(self, file: &Arc<str>) -> ColdCopy {
        ColdCopy { file: Arc::clone(file), coupon: self.coupon, differs: self.differs }
    }
}

/// The rows of a batch; one that is no coupon says why.
fn rows(batch: &RecordBatch) -> Result<Vec<Row>, BadRow> {
    let codes = decode::texts(batch, "code")?;
    let whole = decode::coupons(batch);
    let mut rows = Vec::with_capacity(batch.num_rows());
    let mut coupons = whole.ok().map(Vec::into_iter);
    for row in 0..batch.num_rows() {
        let coupon = match &mut coupons {
            Some(coupons) => coupons.next().ok_or_else(|| decode::bad("code", row, "missing"))?,
            None => match decode::coupons(&batch.slice(row, 1)) {
                Ok(mut one) if one.len() == 1 => one.remove(0),
                Ok(_) => return Err(decode::bad("code", row, "missing")),
                Err(error) => {
                    let code = codes.needed(row)?.to_owned();
                    rows.push(Row { code, coupon: Err(error.to_string()), differs: None });
                    continue;
                }
            },
        };
        let differs = disagreement(batch, row, &coupon)?;
        let code = coupon.code().to_string();
        rows.push(Row { code, coupon: Ok(Box::new(coupon)), differs });
    }
    Ok(rows)
}

/// What a column says that the events do not. The state is looked at where the coupon is made.
fn disagreement(
    batch: &RecordBatch,
    row: usize,
    coupon: &Coupon,
) -> Result<Option<String>, BadRow> {
    let text = |name: &'static str| -> Result<Option<&str>, BadRow> {
        let column = batch.column_by_name(name).and_then(|it| it.as_string_opt::<i32>());
        let column = column.ok_or_else(|| decode::bad(name, row, "no text"))?;
        Ok(column.is_valid(row).then(|| column.value(row)))
    };
    let at = |name: &'static str| -> Result<Option<i64>, BadRow> {
        let column = batch
            .column_by_name(name)
            .and_then(|it| it.as_primitive_opt::<TimestampMicrosecondType>());
        let column = column.ok_or_else(|| decode::bad(name, row, "no instant"))?;
        Ok(column.is_valid(row).then(|| column.value(row).div_euclid(MICROS)))
    };
    let redemption = coupon.redemption();
    let texts = [
        ("holder", coupon.holder().map(|it| it.as_str())),
        ("time_zone", Some(coupon.zone().name())),
        ("order_ref", redemption.map(|it| it.order.as_str())),
    ];
    for (name, folded) in texts {
        let stored = text(name)?;
        if stored != folded {
            return Ok(Some(format!("{name} is {stored:?}, its events say {folded:?}")));
        }
    }
    let instants = [
        ("expires_at", Some(coupon.expires_at().0)),
        ("issued_at", coupon.issued_at().map(|it| it.0)),
        ("redeemed_at", redemption.map(|it| it.at.0)),
    ];
    for (name, folded) in instants {
        let stored = at(name)?;
        if stored != folded {
            return Ok(Some(format!("{name} is {stored:?}, its events say {folded:?}")));
        }
    }
    Ok(None)
}

/// A day as people and folders write it.
pub fn day_text(day: Day) -> String {
    names::iso(day)
}
