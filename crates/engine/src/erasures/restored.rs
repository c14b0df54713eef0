//! Erasures that a backup does not know.

use cold::ColdStore;
use coupon::minted::CodeKey;
use hot::HotStore;

use super::{ERASURES, ErasureLog, ErasureRecord, keep_finished, read};
use crate::erased::ErasedPeople;
use crate::failure::Result;

/// Begins again, in a store that was restored from a backup, the erasures that the backup does not know: of persons of
/// whom it has something. The others are entered as finished. New erasures get higher numbers than all that there were.
/// Returns how many are begun, and how many had nothing to do. To be called after what is archived is in hot again; `serve`
/// goes on with them.
pub async fn erase_restored(
    hot: &dyn HotStore,
    cold: &ColdStore,
    keys: &[CodeKey],
) -> Result<(usize, usize)> {
    let Some(people) = hot.people() else { return Ok((0, 0)) };
    let known = ERASURES.load(hot).await?.last;
    let kept = cold.kept_erased(known).await?;
    let kept = kept.iter().map(|text| read(text)).collect::<Result<Vec<_>>>()?;
    let Some(last) = kept.iter().map(|it| it.number).max() else { return Ok((0, 0)) };
    let erased = ErasedPeople::of(kept.iter().map(|it| it.hash.clone()).collect(), keys);
    let (mut again, mut after) = (Vec::new(), None);
    loop {
        let page = people.users(after).await?;
        for user in &page.users {
            if let Some(hash) = erased.hash_of(user) {
                again.push((user.clone(), hash));
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    again.sort();
    again.dedup();
    for record in kept.iter().filter(|it| !again.iter().any(|(_, hash)| *hash == it.hash)) {
        keep_finished(hot, &record.finished(Some(record.asked_at))).await?;
    }
    let begin = |log: &mut ErasureLog| {
        log.last = log.last.max(last);
        for (user, hash) in &again {
            let of = kept.iter().rfind(|it| it.hash == *hash);
            log.last += 1;
            log.open.extend(of.map(|of| ErasureRecord {
                number: log.last,
                user: Some(user.to_string()),
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
    Ok((again.len(), kept.len() - again.len()))
}
