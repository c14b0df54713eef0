//! How many copies of each row the keyspace has, and for how many a repair is confirmed.
//!
//! `ALTER KEYSPACE` adds replicas at once and copies no row. Until a repair has ended, two new ones may answer a read
//! or a conditional write for the one that has the rows: then a redeemed coupon is redeemed again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use hot::HotError;

use crate::{CqlSession, Result, WriteAttempts};

/// The setting that has the confirmed copies, as `dc1:3 dc2:3`.
pub(crate) const COPIES: &str = "copies";

/// Copies of each row, by data centre.
pub type CopyCounts = BTreeMap<String, u32>;

pub(crate) fn text_of(copies: &CopyCounts) -> String {
    let mut text = String::new();
    for (name, count) in copies {
        let _ = write!(text, "{}{name}:{count}", if text.is_empty() { "" } else { " " });
    }
    text
}

fn parsed(text: &str) -> Result<CopyCounts> {
    let one = |part: &str| {
        let (name, count) = part.rsplit_once(':')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    let all: Option<CopyCounts> = text.split(' ').map(one).collect();
    all.ok_or_else(|| HotError::Damaged(format!("setting {COPIES}: {text:?}")))
}

/// The first data centre that has more copies than are confirmed; of all, or the one that is named.
fn added<'a>(
    confirmed: &CopyCounts,
    copies: &'a CopyCounts,
    datacenter: Option<&str>,
) -> Option<(&'a str, u32, u32)> {
    let of_this = copies.iter().filter(|(name, _)| datacenter.is_none_or(|it| it == *name));
    let before = |name: &str| confirmed.get(name).copied().unwrap_or(0);
    let mut all = of_this.map(|(name, count)| (name.as_str(), before(name), *count));
    all.find(|(_, before, count)| before < count)
}

/// What a process knows of the copies.
#[derive(Default)]
pub struct CopyGuard(Mutex<(CopyCounts, Option<String>)>);

impl CopyGuard {
    /// Looks again. Reads one row, and writes one where copies were removed: adding them again needs a repair.
    ///
    /// # Errors
    /// Those of the store. Then what was known holds.
    pub async fn look(
        &self,
        session: &CqlSession,
        keyspace: &str,
        datacenter: Option<&str>,
        attempts: WriteAttempts,
    ) -> Result<()> {
        let copies = session.copies(keyspace).await?;
        let (before, refusal) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if before == copies && refusal.is_none() {
            return Ok(());
        }
        let seen = session.setting(COPIES).await?;
        let confirmed = seen.as_deref().map_or_else(|| Ok(copies.clone()), parsed)?;
        let kept =
            |(name, count): (&String, &u32)| Some((name.clone(), *count.min(copies.get(name)?)));
        let kept = text_of(&confirmed.iter().filter_map(kept).collect());
        if seen.as_deref() != Some(kept.as_str()) {
            session.replace_setting(attempts, COPIES, seen, Some(kept)).await?;
        }
        let refusal = added(&confirmed, &copies, datacenter).map(|(name, before, count)| {
            format!(
                "keyspace {keyspace} has {count} copies in {name}, {before} of them are confirmed: \
                 until every node is repaired a coupon could be redeemed twice; stop all processes, \
                 repair, and run `couponry schema repaired`; nothing is written until then"
            )
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (copies, refusal);
        Ok(())
    }

    /// Whether a repair is confirmed for all copies.
    ///
    /// # Errors
    /// A sentence for operators.
    pub fn check(&self) -> std::result::Result<(), String> {
        match &self.0.lock().unwrap_or_else(PoisonError::into_inner).1 {
            Some(refusal) => Err(refusal.clone()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_copies_are_found() {
        let rows = [
            ("the same", "dc1:3", "dc1:3", None, None),
            ("raised", "dc1:1", "dc1:3", None, Some(("dc1", 1, 3))),
            ("lowered", "dc1:3", "dc1:1", None, None),
            ("another data centre", "dc1:3", "dc1:3 dc2:3", Some("dc1"), None),
            ("moved to another one", "dc1:3", "dc1:3 dc2:3", Some("dc2"), Some(("dc2", 0, 3))),
            ("none is named", "dc1:3", "dc1:3 dc2:3", None, Some(("dc2", 0, 3))),
        ];
        for (name, confirmed, copies, datacenter, want) in rows {
            let [confirmed, copies] = [confirmed, copies].map(|text| parsed(text).unwrap());
            assert_eq!(added(&confirmed, &copies, datacenter), want, "{name}");
        }
    }

    #[test]
    fn texts() {
        for text in ["dc1:3", "dc1:3 dc2:1", "a:b:2"] {
            assert_eq!(text_of(&parsed(text).unwrap()), text);
        }
        assert!(matches!(parsed("dc1"), Err(HotError::Damaged(_))));
    }
}
