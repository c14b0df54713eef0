//! Callers: who asks, what their role allows, and for whom they may act.

use std::fmt;

use coupon::ids::UserId;

use crate::failure::{Failure, Result};

/// What stands before the name of a person at the console, in histories and in the audit.
const STAFF: &str = "staff";

coupon::words! {
    /// What a token lets its bearer do.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Role {
        /// A person, for themselves.
        User = "user",
        /// A shop's back end, for the users that it names.
        Shop = "shop",
        /// Reads everything but lists of codes, and changes nothing.
        Operator = "operator",
        Admin = "admin",
    }
    else BadRole "is {0:?}, want user, shop, operator or admin"
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub role: Role,
    /// Their name in the token, or their name in the console.
    pub subject: UserId,
    /// Whether it is a person at the console. Private: no token can say so.
    is_staff: bool,
}

impl fmt::Display for Caller {
    /// `role:name`, as a coupon's history shows it; `staff:name` of a person at the console.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_staff {
            true => write!(f, "{STAFF}:{}", self.subject),
            false => write!(f, "{}:{}", self.role, self.subject),
        }
    }
}

impl Caller {
    pub fn new(role: Role, subject: UserId) -> Caller {
        Caller { role, subject, is_staff: false }
    }

    /// A person at the console. The console decides which role of the engine their own role needs.
    pub fn staff(role: Role, name: UserId) -> Caller {
        Caller { role, subject: name, is_staff: true }
    }

    pub(crate) fn staff_name(&self) -> Option<&str> {
        self.is_staff.then(|| self.subject.as_str())
    }

    /// Refuses every other role.
    ///
    /// # Errors
    /// [`Failure::Forbidden`].
    pub fn must_be(&self, roles: &[Role]) -> Result<()> {
        match roles.contains(&self.role) {
            true => Ok(()),
            false => {
                let want = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" or ");
                let found = self.role;
                Err(Failure::Forbidden(format!("the token's role is {found}, want {want}")))
            }
        }
    }

    /// The user for whom they act: users act for themselves only, a shop or an admin for the user that they name.
    ///
    /// # Errors
    /// [`Failure::Invalid`] about `user_id`, [`Failure::Forbidden`] for an operator.
    pub(crate) fn acts_for(&self, named: Option<UserId>) -> Result<UserId> {
        self.must_be(&[Role::User, Role::Shop, Role::Admin])?;
        match (self.role, named) {
            (Role::User, None) => Ok(self.subject.clone()),
            (Role::User, Some(_)) => {
                Err(Failure::invalid("user_id", "users act for themselves: leave it out"))
            }
            (_, Some(user)) => Ok(user),
            (_, None) => Err(Failure::invalid(
                "user_id",
                "is missing: a shop or an admin must name the user",
            )),
        }
    }
}
