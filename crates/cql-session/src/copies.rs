//! How many copies of each row the keyspace has, and for how many a repair is confirmed.
//!
//! `ALTER KEYSPACE` takes effect at once and copies no row. Until a repair has ended, two added replicas may answer a
//! read or a conditional write without the one that has the row, and the replicas that are left may be those without
//! it: then a redeemed coupon is redeemed again. What is confirmed is the comment of a table, since a row of ours
//! would be lost in the same way, and every node has the schema.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::{CqlSession, Result};

/// The table whose comment has the confirmed copies, as `copies dc1:3 dc2:3`.
pub(crate) const NOTED_AT: &str = "setting";

pub(crate) const REPLICATION: &str =
    "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";

pub(crate) const COMMENT: &str =
    "SELECT comment FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?";

/// Copies of each row, by data centre.
pub type CopyCounts = BTreeMap<String, u32>;

pub(crate) fn comment_of(copies: &CopyCounts) -> String {
    let parts = copies.iter().map(|(name, count)| format!(" {name}:{count}"));
    format!("copies{}", parts.collect::<String>())
}

/// What a comment confirms: nothing if it is another one.
pub(crate) fn confirmed_in(comment: &str) -> CopyCounts {
    let parts = comment.strip_prefix("copies ").unwrap_or_default().split(' ');
    let one = |part: &str| {
        let (name, count) = part.rsplit_once(':')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    parts.filter_map(one).collect()
}

/// The first data centre with other copies than are confirmed, and both numbers; of all, or the one that is named.
fn differing<'a>(
    confirmed: &CopyCounts,
    copies: &'a CopyCounts,
    datacenter: Option<&str>,
) -> Option<(&'a str, u32, u32)> {
    // SimpleStrategy has one number for all.
    let of_this = copies.iter().filter(|(name, _)| {
        datacenter.is_none_or(|it| it == *name || *name == "replication_factor")
    });
    let before = |name: &str| confirmed.get(name).copied().unwrap_or(0);
    let mut all = of_this.map(|(name, count)| (name.as_str(), before(name), *count));
    all.find(|(_, before, count)| before != count)
}

/// Why nothing may be written, and what to do: a sentence for operators. Nothing if the copies are confirmed.
pub(crate) fn refusal_of(
    confirmed: &CopyCounts,
    copies: &CopyCounts,
    datacenter: Option<&str>,
) -> Option<String> {
    let (name, before, count) = differing(confirmed, copies, datacenter)?;
    Some(format!(
        "{count} copies in {name}, and {before} are confirmed: until every node is repaired a coupon could be redeemed \
         twice; stop all processes, repair every node, and run `couponry schema repaired`; nothing is written until \
         then"
    ))
}

/// Whether the copies are those that are confirmed, as it was last seen.
#[derive(Default)]
pub struct CopyGuard(Mutex<Option<String>>);

impl CopyGuard {
    /// Looks again, at the schema as the node that answers has it.
    ///
    /// # Errors
    /// Those of a read. Then what was known holds.
    pub async fn look(
        &self,
        session: &CqlSession,
        keyspace: &str,
        datacenter: Option<&str>,
    ) -> Result<()> {
        let (copies, confirmed) = session.copies(keyspace).await?;
        let refusal = refusal_of(&confirmed, &copies, datacenter);
        let refusal = refusal.map(|why| format!("keyspace {keyspace}: {why}"));
        *self.0.lock() = refusal;
        Ok(())
    }

    pub fn check(&self) -> std::result::Result<(), String> {
        let refusal = self.0.lock();
        refusal.clone().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_copies_are_found() {
        let rows = [
            ("the same", "copies dc1:3", "dc1:3", None, None),
            ("raised", "copies dc1:1", "dc1:3", None, Some(("dc1", 1, 3))),
            ("lowered", "copies dc1:3", "dc1:1", None, Some(("dc1", 3, 1))),
            ("another data centre", "copies dc1:3", "dc1:3 dc2:3", Some("dc1"), None),
            ("moved there", "copies dc1:3", "dc1:3 dc2:3", Some("dc2"), Some(("dc2", 0, 3))),
            ("none is named", "copies dc1:3", "dc1:3 dc2:3", None, Some(("dc2", 0, 3))),
            (
                "for all data centres",
                "copies replication_factor:1",
                "replication_factor:3",
                Some("dc1"),
                Some(("replication_factor", 1, 3)),
            ),
            ("nothing is confirmed", "our coupons", "dc1:3", None, Some(("dc1", 0, 3))),
        ];
        for (name, comment, copies, datacenter, want) in rows {
            let copies = confirmed_in(&format!("copies {copies}"));
            assert_eq!(differing(&confirmed_in(comment), &copies, datacenter), want, "{name}");
        }
    }

    #[test]
    fn comments() {
        for text in ["copies", "copies dc1:3", "copies dc1:3 dc2:1", "copies a:b:2"] {
            assert_eq!(comment_of(&confirmed_in(text)), text);
        }
    }
}
