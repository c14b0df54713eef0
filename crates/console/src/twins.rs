//! Names that people take for each other: `аdmin` with a Cyrillic letter, in the audit.

use coupon::ids::UserId;
use engine::StaffList;
use unicode_security::confusable_detection::skeleton;

/// Whether somebody else has a name that looks like this one (UTS 39, section 4: their skeletons are the same).
pub(crate) fn has_twin(list: &StaffList, name: &UserId) -> bool {
    let name = name.as_str();
    let mut others = list.people().iter().filter(|it| it.name != name);
    others.any(|it| skeleton(&it.name).eq(skeleton(name)))
}
