//! People who may sign in to a store that was restored from a backup.

use coupon::time::Millis;
use hot::HotStore;

use super::{STAFF, StaffList, StaffMember, generation_at};
use crate::failure::Result;

/// Ends every session and every one-time link of a store that was restored from a backup: those
/// that were ended or used after the backup would come back to life. Returns everybody who may sign
/// in now, because whoever was removed since then may again, and old passwords are good again.
///
/// For `restore`, while no `serve` runs.
///
/// # Errors
/// Those of the store; damaged, if what it has is no list of staff.
pub async fn end_restored_access(hot: &dyn HotStore, now: Millis) -> Result<Vec<StaffMember>> {
    let list = STAFF.change(hot, |list: &mut StaffList| {
        list.links_from = now.0;
        for member in &mut list.people {
            member.end_all();
            // By the clock: generations since the backup may have been higher by more than one.
            member.generation = member.generation.max(generation_at(now));
        }
        Ok(true)
    });
    Ok(list.await?.people)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StaffRole;
    use crate::testing::{clock, opened};

    /// A session that was signed out after the backup, and a link that was used after it, would be
    /// good again: the backup knows neither.
    #[tokio::test]
    async fn nothing_of_before_a_restore_is_good() {
        let folder = tempfile::TempDir::new().unwrap();
        let (_, hot) = opened(folder.path(), cold::ColdOptions::default(), [7; 16], &clock());
        let now = Millis(1_800_000_000_000);
        assert_eq!(
            end_restored_access(hot.as_ref(), now).await.unwrap(),
            [],
            "a store without people"
        );
        let eva = StaffMember {
            name: "eva".into(),
            role: StaffRole::Admin,
            password_hash: "hash".into(),
            identity: None,
            generation: 3,
            added_at: 0,
            ended: vec![(1, i64::MAX)],
        };
        let people = vec![eva];
        let put = |list: &mut StaffList| {
            list.people.clone_from(&people);
            Ok(true)
        };
        STAFF.change(hot.as_ref(), put).await.unwrap();
        let back = end_restored_access(hot.as_ref(), now).await.unwrap();
        let names: Vec<&str> = back.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["eva"]);
        for generation in 3..10 {
            assert!(back[0].has_ended(2, generation), "a session of generation {generation}");
        }
        assert_eq!(STAFF.load(hot.as_ref()).await.unwrap().links_from, now.0);
    }
}
