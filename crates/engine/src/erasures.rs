//! Erasures: people who are to be forgotten, and how far that is.
//!
//! One fact of the store has those that are not finished: each with the old name, which is needed until the end. The steps,
//! in their sequence:
//!
//! 1. It is opened with a number. From here on readers of cold replace the name.
//! 2. *found*: whatever is found by the person in hot has the erased name. The caller is answered.
//! 3. *settled*: nothing in hot has the old name, so from here on it is a new person. The files of cold that are written
//!    after it name nobody any more ([`coupon::erasure::ErasureSet::last`]).
//! 4. *overwritten*: the files of hot have no byte of it.
//! 5. *archived*: a compaction has rewritten the files of cold.
//! 6. It is finished: the old name is deleted here, too.
//!
//! Each step may be repeated, so a process that is killed leaves a step that the next one does again.

mod record;
mod restored;

use std::collections::HashSet;
use std::sync::Arc;

use cold::{ColdStore, KeptName};
use coupon::erasure::{Erasure, erased_name, is_erased};
use coupon::ids::{Actor, Reason, UserId};
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use hot::audit::Act;
use hot::tables::{RecordKind, RecordPut, RecordRange, RecordSync, Tables};
use hot::{ColdMark, Fact, HotStore};

use record::ErasureLog;
pub use record::{ErasureRecord, ErasureState};
pub use restored::{RestoredErasures, bring_erasures, erase_restored};

use crate::erased::{ErasedPeople, person_hash};
use crate::facts::FactKind;
use crate::failure::{Failure, Result, found};
use crate::{AuditEvent, AuditKind, Caller, Engine, HotError, PAGE_MAX, Role, given};

/// Most erasures that are not finished: readers of cold look for all of them, and the list stays within 300 KiB.
pub const ERASURES_OPEN_MAX: usize = 1_000;

/// Most erased persons whose hashes a process keeps: some 20 MB. With more, it reads all of them each time.
const ERASED_KEPT_MAX: usize = 200_000;

const ERASURES: FactKind<ErasureLog> = FactKind::deciding(Fact::Erasures);

/// Finished erasures, by number, and the numbers of ids.
const FINISHED: RecordKind = RecordKind { name: "erasure", sync: RecordSync::AtOnce };

const BY_NUMBER: &[u8] = b"number";
const BY_ID: &[u8] = b"id";

/// What an admin asks for.
#[derive(Clone, Debug)]
pub struct ErasureRequest {
    /// Names the request: a repeat returns the same erasure.
    pub id: Option<String>,
    pub reason: Reason,
    /// Whether a compaction is to follow at once.
    pub is_urgent: bool,
}

/// How many erasures of a store are not finished. One read.
///
/// # Errors
/// Those of the store.
pub async fn open_erasures(hot: &dyn HotStore) -> Result<usize> {
    Ok(ERASURES.load(hot).await?.open.len())
}

impl Engine {
    /// Begins to forget a person, and returns when whatever is found by them in hot has another name. A request for a person
    /// who is being forgotten already returns that erasure.
    ///
    /// # Errors
    /// `Forbidden` for all but admins; `Invalid` for a person who was erased; `NameTaken` for the id of an erasure of somebody
    /// else; `Store` if too many are not finished.
    pub async fn erase_person(
        &self,
        caller: &Caller,
        user: &UserId,
        request: ErasureRequest,
    ) -> Result<ErasureRecord> {
        caller.must_be(&[Role::Admin])?;
        must_be_a_person(user)?;
        if let Some(id) = &request.id
            && let Some(finished) = self.finished_erasure(id).await?
        {
            let hashes = Arc::new(HashSet::from([finished.hash.clone()]));
            return match ErasedPeople::of(hashes, &self.router.keys()).hash_of(user) {
                Some(_) => Ok(finished),
                None => Err(Failure::refused(Refusal::NameTaken)),
            };
        }
        let made = || format!("era_{}", uuid::Uuid::now_v7().simple());
        let id = request.id.clone().unwrap_or_else(made);
        let log = ERASURES.change(self.hot(), |log| self.open(log, caller, user, &id, &request));
        let is_it = |it: &&ErasureRecord| it.id == id || is_under_way(it, user);
        let opened = log.await?.open.iter().find(is_it).cloned();
        let Some(mut opened) = opened else {
            let why = format!(
                "{ERASURES_OPEN_MAX} erasures are not finished: when `serve` has settled them, run `couponry compact`, \
                 and try again"
            );
            return Err(Failure::Store(HotError::Unavailable(why.into())));
        };
        if opened.id == id && opened.user.as_deref() != Some(user.as_str()) {
            return Err(Failure::refused(Refusal::NameTaken));
        }
        self.know_erasures().await?;
        if opened.found_at.is_none() {
            self.forget_notes(user).await?;
            let log = self.find_and_erase(&opened).await?;
            opened = log.open.into_iter().find(|it| it.number == opened.number).unwrap_or(opened);
            let changes = vec![given("erasure_id", &opened.id), given("name", &opened.name)];
            self.record(caller, AuditEvent::of_store(AuditKind::PersonErased, changes)).await?;
        }
        self.erasures_begun.notify_one();
        Ok(opened)
    }

    /// Enters an erasure unless the list has it.
    fn open(
        &self,
        log: &mut ErasureLog,
        caller: &Caller,
        user: &UserId,
        id: &str,
        ErasureRequest { reason, is_urgent, .. }: &ErasureRequest,
    ) -> Result<bool> {
        let is_it = |it: &&mut ErasureRecord| it.id == id || is_under_way(it, user);
        if let Some(it) = log.open.iter_mut().find(is_it) {
            let is_new = *is_urgent && !it.is_urgent && it.user.as_deref() == Some(user.as_str());
            it.is_urgent |= is_new;
            return Ok(is_new);
        }
        if log.open.len() >= ERASURES_OPEN_MAX {
            return Ok(false);
        }
        let (number, name) = (log.last + 1, erased_name(uuid::Uuid::new_v4().as_u64_pair().1));
        let erasure = Erasure { number, user: user.clone(), name: name.clone() };
        log.last = number;
        log.open.push(ErasureRecord {
            id: id.to_owned(),
            number,
            name: name.to_string(),
            user: Some(user.to_string()),
            hash: self.router.keys().first().map(|key| person_hash(key, user)).unwrap_or_default(),
            by: caller.to_string(),
            reason: erasure.of_text(reason.as_str()).unwrap_or_else(|| reason.as_str().to_owned()),
            is_urgent: *is_urgent,
            asked_at: self.now().0,
            found_at: None,
            settled_at: None,
            overwritten_at: None,
            archived_at: None,
            finished_at: None,
        });
        Ok(true)
    }

    async fn find_and_erase(&self, record: &ErasureRecord) -> Result<ErasureLog> {
        if let Some(erasure) = record.erasure() {
            self.hot.people().erase(&erasure).await?;
        }
        let is_it = |it: &ErasureRecord| it.number == record.number;
        self.note(is_it, |it, now| it.found_at = it.found_at.or(Some(now))).await
    }

    /// Enters that erasures have done a step. Returns all of them.
    async fn note(
        &self,
        is_done: impl Fn(&ErasureRecord) -> bool + Send + Sync,
        enter: fn(&mut ErasureRecord, i64),
    ) -> Result<ErasureLog> {
        let now = self.now().0;
        let note = |log: &mut ErasureLog| {
            let mut done = log.open.iter_mut().filter(|it| is_done(it)).peekable();
            let has_any = done.peek().is_some();
            done.for_each(|it| enter(it, now));
            Ok(has_any)
        };
        ERASURES.change(self.hot(), note).await
    }

    /// Lets the cold tier of this process know whom its readers must not name. One read.
    pub async fn know_erasures(&self) -> Result<()> {
        know_erasures(self.hot(), &self.cold).await
    }

    /// Without the reason, which is of no use there.
    async fn keep_in_cold(&self, record: &ErasureRecord, is_new: bool) -> Result<()> {
        let (number, is_finished) = (record.number, record.finished_at.is_some());
        let name = KeptName { number, hash: &record.hash, is_finished };
        let text = text_of(&ErasureRecord { reason: String::new(), ..record.clone() });
        Ok(self.cold.keep_erased(name, text.into(), is_new).await?)
    }

    /// Goes on with all erasures until nothing in hot has an old name. Returns those whose names are still in files, and in
    /// what others keep beside the store.
    pub async fn settle_erasures(&self) -> Result<Vec<Erasure>> {
        let people = self.hot.people();
        let log = ERASURES.load(self.hot()).await?;
        for record in log.open.iter().filter(|it| it.found_at.is_none()) {
            self.find_and_erase(record).await?;
        }
        let unsettled = log.that(|it| it.settled_at.is_none());
        if !unsettled.is_empty() {
            people.settle(&unsettled).await?;
            // Before files of cold have its number: a backup of before it may be restored at any time.
            let is_new = self.hot.cold_mark().await? == ColdMark::default();
            for record in log.open.iter().filter(|it| it.settled_at.is_none()) {
                self.keep_in_cold(&record.finished(None), is_new).await?;
            }
            let today = self.now().day().0;
            let tell = move |log: &mut ErasureLog| Ok(log.told_on.insert(today));
            ERASURES.change(self.hot(), tell).await?;
            self.note(is_of(&unsettled), |it, now| it.settled_at = Some(now)).await?;
        }
        // After it is noted: what is settled again would be a new person.
        let mut erased = Vec::new();
        for record in log.open.iter().filter(|it| it.overwritten_at.is_none()) {
            let act = Act { actor: Actor::new(&record.by), at: self.now(), reason: None };
            if let Some(erasure) = record.erasure() {
                people.admit(&erasure, &act).await?;
                erased.push(erasure);
            }
        }
        self.know_erasures().await?;
        Ok(erased)
    }

    /// Overwrites the old names in the files of hot. To be called with what [`Engine::settle_erasures`] returned.
    pub async fn overwrite_erased(&self, erasures: &[Erasure]) -> Result<()> {
        if erasures.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = erasures.iter().map(|it| it.user.to_string()).collect();
        self.hot.people().scrub(&names).await?;
        self.note(is_of(erasures), |it, now| it.overwritten_at = Some(now)).await.map(drop)
    }

    /// Whether there is anything to go on with. One read.
    pub async fn has_erasures(&self) -> Result<bool> {
        let log = ERASURES.load(self.hot()).await?;
        Ok(!log.open.is_empty() || log.is_unclean)
    }

    /// Notes which old names have gone with events, and with deliveries of them, that were told before an instant: what files
    /// have of them is to be overwritten.
    pub async fn forget_told(&self, before: Millis) -> Result<()> {
        let forget = |log: &mut ErasureLog| {
            let had = log.told_on.len();
            log.told_on.retain(|day| Day(*day).end() >= before);
            let has_forgotten = log.told_on.len() < had;
            log.is_unclean |= has_forgotten;
            Ok(has_forgotten)
        };
        ERASURES.change(self.hot(), forget).await.map(drop)
    }

    /// Whether an erasure waits for a compaction that is to follow at once.
    pub async fn wants_compaction(&self) -> Result<bool> {
        let log = ERASURES.load(self.hot()).await?;
        let waits = |it: &ErasureRecord| it.is_urgent && it.state() == ErasureState::Archive;
        Ok(log.open.iter().any(waits))
    }

    /// Enters that no file of cold names the persons of the erasures up to a number.
    pub async fn note_archived(&self, through: u64) -> Result<()> {
        let is_new = move |it: &ErasureRecord| it.number <= through && it.archived_at.is_none();
        self.note(is_new, |it, now| it.archived_at = Some(now)).await?;
        self.erasures_begun.notify_one();
        Ok(())
    }

    /// Deletes the old names of those that have done every step.
    pub async fn finish_erasures(&self) -> Result<()> {
        let log = ERASURES.load(self.hot()).await?;
        let is_over = |it: &&ErasureRecord| it.overwritten_at.and(it.archived_at).is_some();
        let over: Vec<ErasureRecord> = log.open.iter().filter(is_over).cloned().collect();
        if over.is_empty() && !log.is_unclean {
            return Ok(());
        }
        for record in &over {
            let finished = record.finished(Some(self.now().0));
            self.keep_in_cold(&finished, false).await?;
            keep_finished(&*self.tables(), &finished).await?;
        }
        let delete = |log: &mut ErasureLog| {
            log.open.retain(|it| !over.iter().any(|over| over.number == it.number));
            log.is_unclean = true;
            Ok(true)
        };
        ERASURES.change(self.hot(), delete).await?;
        self.know_erasures().await?;
        // The list has had the names until now. A process that was killed here knows them no more.
        let names: Vec<String> = over.into_iter().filter_map(|it| it.user).collect();
        self.hot.people().scrub(if log.is_unclean { &[] } else { &names }).await?;
        let clean = |log: &mut ErasureLog| {
            log.is_unclean = false;
            Ok(true)
        };
        ERASURES.change(self.hot(), clean).await.map(drop)
    }

    async fn finished_erasure(&self, id: &str) -> Result<Option<ErasureRecord>> {
        let tables = self.hot.tables();
        let number = tables.get(&FINISHED.part(BY_ID), id.as_bytes()).await?;
        let Some(number) = number else { return Ok(None) };
        let text = tables.get(&FINISHED.part(BY_NUMBER), &number).await?;
        text.map(|text| read(&text)).transpose()
    }

    /// The number of the last erasure, and the persons who were erased or are being erased. Reads the erasures that began
    /// since the last call, and all of them at first: nobody leaves them.
    pub(crate) async fn erased_people(&self) -> Result<(u64, ErasedPeople)> {
        let last = self.last_erasure().await?;
        let mut kept = self.erased.read().clone();
        if kept.0 != last || last == 0 {
            // Of a store that was restored, all are read.
            let since = if kept.0 < last { kept.0 } else { 0 };
            let mut hashes = erased_hashes(self.hot(), since).await?;
            hashes.extend(kept.1.iter().cloned());
            kept = (last, Arc::new(hashes));
            if kept.1.len() <= ERASED_KEPT_MAX {
                *self.erased.write() = kept.clone();
            }
        }
        Ok((last, ErasedPeople::of(kept.1, &self.router.keys())))
    }

    /// The number of the last erasure that began. One read.
    pub(crate) async fn last_erasure(&self) -> Result<u64> {
        Ok(ERASURES.load(self.hot()).await?.last)
    }

    /// One erasure.
    ///
    /// # Errors
    /// `Forbidden` for users and shops; `NotFound`.
    pub async fn erasure(&self, caller: &Caller, id: &str) -> Result<ErasureRecord> {
        caller.must_be(&[Role::Operator, Role::Admin])?;
        let log = ERASURES.load(self.hot()).await?;
        match log.open.into_iter().find(|it| it.id == id) {
            Some(open) => Ok(open),
            None => found(self.finished_erasure(id).await?),
        }
    }

    /// Erasures with a number below `before`, newest first.
    ///
    /// # Errors
    /// `Forbidden` for users and shops.
    pub async fn erasures(
        &self,
        caller: &Caller,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ErasureRecord>> {
        caller.must_be(&[Role::Operator, Role::Admin])?;
        let before = before.unwrap_or(u64::MAX);
        // Those that are not finished first: one that is finished meanwhile is in the other list, too.
        let log = ERASURES.load(self.hot()).await?;
        let mut all = finished_before(self.hot(), before, limit).await?;
        all.extend(log.open.into_iter().filter(|it| it.number < before));
        all.sort_by_key(|it| std::cmp::Reverse((it.number, it.finished_at)));
        all.dedup_by_key(|it| it.number);
        all.truncate(limit);
        Ok(all)
    }
}

/// Finished erasures with a number below `before`, newest first.
async fn finished_before(
    hot: &dyn HotStore,
    before: u64,
    limit: usize,
) -> Result<Vec<ErasureRecord>> {
    let range = RecordRange::last(limit).before(before.to_be_bytes());
    let rows = hot.tables().scan(&FINISHED.part(BY_NUMBER), range).await?;
    rows.iter().map(|row| read(&row.value)).collect()
}

/// The keyed hashes of everybody who was erased or is being erased by an erasure behind `since`.
async fn erased_hashes(hot: &dyn HotStore, since: u64) -> Result<HashSet<String>> {
    let log = ERASURES.load(hot).await?;
    let (mut hashes, mut before) = (HashSet::new(), u64::MAX);
    hashes.extend(log.open.into_iter().map(|it| it.hash));
    loop {
        let some = finished_before(hot, before, PAGE_MAX).await?;
        let Some(last) = some.last() else { return Ok(hashes) };
        before = last.number;
        hashes.extend(some.into_iter().map(|it| it.hash));
        if before <= since {
            return Ok(hashes);
        }
    }
}

/// Lets the cold tier know the erasures of a store.
pub async fn know_erasures(hot: &dyn HotStore, cold: &ColdStore) -> Result<()> {
    cold.know_erasures(ERASURES.load(hot).await?.set());
    Ok(())
}

async fn keep_finished(tables: &dyn Tables, finished: &ErasureRecord) -> Result<()> {
    let number = finished.number.to_be_bytes();
    let row = RecordPut::new(number, text_of(finished));
    tables.put(&FINISHED.part(BY_NUMBER), vec![row]).await?;
    let row = RecordPut::new(finished.id.as_bytes(), number);
    Ok(tables.put(&FINISHED.part(BY_ID), vec![row]).await?)
}

fn text_of(record: &ErasureRecord) -> String {
    serde_json::to_string(record).unwrap_or_default()
}

fn read(text: &[u8]) -> Result<ErasureRecord> {
    let damaged = |why| Failure::Store(HotError::Damaged(format!("an erasure: {why}")));
    serde_json::from_slice(text).map_err(damaged)
}

/// Whether a record is of one of these.
fn is_of(erasures: &[Erasure]) -> impl Fn(&ErasureRecord) -> bool + Send + Sync + '_ {
    |it| erasures.iter().any(|erasure| erasure.number == it.number)
}

/// Whether it forgets this person, and not one before them.
/// Nobody can be given what would be that of somebody who was erased.
pub(crate) fn must_be_a_person(user: &UserId) -> Result<()> {
    match is_erased(user) {
        true => Err(Failure::invalid("user_id", "is the name of a person who was erased")),
        false => Ok(()),
    }
}

fn is_under_way(record: &ErasureRecord, user: &UserId) -> bool {
    record.settled_at.is_none() && record.user.as_deref() == Some(user.as_str())
}
