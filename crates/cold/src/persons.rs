//! Names of persons: the only place where a read puts an erased name where a file has the old one.
//!
//! The name of a file says through which erasure it is clean: its rows name nobody whose erasure has that number or
//! a lower one. Until a compaction rewrites the others, each read shows their rows without the persons of later erasures.

use std::collections::HashSet;
use std::sync::Arc;

use coupon::coupon::Coupon;
use coupon::erasure::{Erasure, ErasureSet, acting_user};
use coupon::flat::Flat;
use coupon::ids::UserId;

/// What a store knows of erasures.
#[derive(Debug, Default)]
pub(crate) struct KnownErasures {
    pub(crate) set: Arc<ErasureSet>,
    /// The old names of the pending ones. Nearly no row has one, so one look into this set is all that it costs.
    users: HashSet<String>,
}

impl KnownErasures {
    pub(crate) fn of(set: ErasureSet) -> KnownErasures {
        let users = set.pending.iter().map(|it| it.user.to_string()).collect();
        KnownErasures { set: Arc::new(set), users }
    }
}

/// How to read the names in the rows of one file. The default shows them as they are stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct PersonNames {
    known: Arc<KnownErasures>,
    through: u64,
}

impl PersonNames {
    pub(crate) fn of(known: Arc<KnownErasures>, through: u64) -> PersonNames {
        PersonNames { known, through }
    }

    /// The erasures that the file may need.
    pub(crate) fn behind(&self) -> &[Erasure] {
        self.known.set.behind(self.through)
    }

    /// The erasure of a user of the file: the first one, because later ones are of later persons.
    fn erasure(&self, stored: &str) -> Option<&Erasure> {
        if !self.known.users.contains(stored) {
            return None;
        }
        self.behind().iter().find(|it| it.user.as_str() == stored)
    }

    pub(crate) fn renames(&self, stored: &str) -> bool {
        self.erasure(stored).is_some()
    }

    pub(crate) fn user(&self, stored: UserId) -> UserId {
        self.erasure(stored.as_str()).map_or(stored, |it| it.name.clone())
    }

    pub(crate) fn coupon(&self, stored: Coupon) -> Coupon {
        if self.known.users.is_empty() {
            return stored;
        }
        let names_one = stored.events().iter().any(|event| {
            let Flat { user, actor, .. } = Flat::of(event);
            user.into_iter().chain(acting_user(actor)).any(|it| self.renames(it))
        });
        let shown = names_one.then(|| self.known.set.of_coupon(&stored, self.through));
        shown.flatten().unwrap_or(stored)
    }

    /// The names under which the file may have rows of `holder`.
    pub(crate) fn stored<'a>(&'a self, holder: &'a UserId) -> Vec<&'a str> {
        let own = (!self.renames(holder.as_str())).then_some(holder.as_str());
        let of_holder = self.behind().iter().filter(|it| it.name == *holder);
        let old = of_holder.map(|it| it.user.as_str());
        let is_old = |old: &&str| self.erasure(old).is_some_and(|it| it.name == *holder);
        own.into_iter().chain(old.filter(is_old)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_holder_in_a_file() {
        let user = |name: &str| -> UserId { name.parse().unwrap() };
        let erasure =
            |number, of: &str, name: &str| Erasure { number, user: user(of), name: user(name) };
        let pending = vec![
            erasure(3, "ann", "erased:3"),
            erasure(5, "bob", "erased:5"),
            erasure(7, "ann", "erased:7"),
        ];
        let known = Arc::new(KnownErasures::of(ErasureSet { last: 7, pending }));
        let cases: [(&str, u64, &str, &[&str]); 9] = [
            ("somebody else", 0, "cay", &["cay"]),
            ("who was erased has no rows under the old name", 0, "ann", &[]),
            ("but under the erased one", 0, "erased:3", &["erased:3", "ann"]),
            ("the first erasure takes the rows of an old file", 0, "erased:7", &["erased:7"]),
            ("the second those of a later one", 3, "erased:7", &["erased:7", "ann"]),
            ("a file that is clean of the first", 3, "erased:3", &["erased:3"]),
            ("and not of another person", 3, "bob", &[]),
            ("a clean file", 7, "ann", &["ann"]),
            ("a clean file, an erased name", 7, "erased:3", &["erased:3"]),
        ];
        for (name, through, holder, want) in cases {
            let names = PersonNames::of(Arc::clone(&known), through);
            let holder = user(holder);
            let stored = names.stored(&holder);
            assert_eq!(stored, want, "{name}");
            assert!(stored.iter().all(|it| names.user(user(it)) == holder), "{name}");
        }
    }
}
