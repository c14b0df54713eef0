//! Erasures that another store has to know: one that was restored from a backup, and the target of a copy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cold::ColdStore;
use coupon::ids::UserId;
use coupon::minted::CodeKey;
use hot::HotStore;
use hot::people::People;
use hot::tables::Tables;

use super::{ERASURES, ErasureLog, ErasureRecord, finished_before, keep_finished, read};
use crate::PAGE_MAX;
use crate::erased::ErasedPeople;
use crate::failure::Result;

/// What became of the erasures that a backup does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoredErasures {
    /// Persons of whom the store has something: their erasures are begun again.
    pub begun: usize,
    /// Erasures that were finished, of persons of whom it has nothing.
    pub finished: usize,
    /// The ids of those that were not finished: cold may name the persons, and nobody knows who they are.
    pub unknown: Vec<String>,
}

/// Begins again, in a store that was restored from a backup, the erasures that the backup does not know: of persons of
/// whom it has something. Of the others, those that were finished are entered as such. New erasures get higher numbers than
/// all that there were. To be called after what is archived is in hot again; `serve` goes on with them.
pub async fn erase_restored(
    hot: &dyn HotStore,
    cold: &ColdStore,
    keys: &[CodeKey],
) -> Result<RestoredErasures> {
    let mut restored = RestoredErasures::default();
    let known = ERASURES.load(hot).await?.last;
    let mut kept: BTreeMap<(u64, String), ErasureRecord> = BTreeMap::new();
    for text in cold.kept_erased(known).await? {
        let record = read(&text)?;
        let place = (record.number, record.hash.clone());
        if record.finished_at.is_some() || !kept.contains_key(&place) {
            kept.insert(place, record);
        }
    }
    let Some(last) = kept.keys().map(|(number, _)| *number).max() else { return Ok(restored) };
    let hashes = Arc::new(kept.keys().map(|(_, hash)| hash.clone()).collect());
    let erased = ErasedPeople::of(hashes, keys);
    let again = named(hot.people(), &erased).await?;
    restored.begun = again.len();
    for record in kept.values() {
        let is_begun = again.iter().any(|(hash, _)| *hash == record.hash);
        if record.finished_at.is_some() {
            keep_finished(&*hot.tables(), record).await?;
            restored.finished += usize::from(!is_begun);
        } else if !is_begun {
            restored.unknown.push(record.id.clone());
        }
    }
    let begin = |log: &mut ErasureLog| {
        log.last = log.last.max(last);
        for (hash, user) in &again {
            let of = kept.values().rfind(|it| it.hash == *hash);
            log.last += 1;
            log.open.extend(of.map(|of| ErasureRecord {
                number: log.last,
                user: Some(user.to_string()),
                reason: "restored from a backup".to_owned(),
                found_at: None,
                settled_at: None,
                overwritten_at: None,
                archived_at: None,
                finished_at: None,
                ..of.clone()
            }));
        }
        Ok(true)
    };
    ERASURES.change(hot, begin).await?;
    Ok(restored)
}

/// The erased persons whom a store names, each once.
async fn named(people: &dyn People, erased: &ErasedPeople) -> Result<BTreeSet<(String, UserId)>> {
    let (mut found, mut after) = (BTreeSet::new(), None);
    loop {
        let page = people.users(after).await?;
        let users = page.users.into_iter();
        found.extend(users.filter_map(|user| Some((erased.hash_of(&user)?, user))));
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

/// Brings what is known of finished erasures to the tables of another store, so that nothing brings the persons back there.
/// May be repeated.
pub async fn bring_erasures(from: &dyn HotStore, to: &dyn Tables) -> Result<()> {
    let mut before = u64::MAX;
    loop {
        let some = finished_before(from, before, PAGE_MAX).await?;
        let Some(last) = some.last() else { return Ok(()) };
        before = last.number;
        for record in &some {
            keep_finished(to, record).await?;
        }
    }
}
