//! People who may sign in to the console, as one short list that all processes share.
//!
//! The list is one fact of the store: each change replaces it if nobody else has changed it meanwhile. So it
//! works in the same way on SQLite and on a cluster, and a backup has it. The front end hashes passwords and
//! signs sessions; a session is good while the account has the *generation* that the session names.

mod restored;

use coupon::ids::UserId;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use hot::Fact;
use serde::{Deserialize, Serialize};

use crate::facts::FactKind;
use crate::failure::{Failure, Result, found};
use crate::{AuditEvent, AuditKind, Caller, Engine, Role, given};

pub use restored::end_restored_access;

/// Most people in the list: it is read for every page, so it stays within 100 KiB.
pub const STAFF_MAX: usize = 200;

/// Sessions of one person that the list remembers as ended. Whoever ends more within the life of a session is
/// signed out everywhere: no copy of a cookie may come back to life because the list is full.
const ENDED_MAX: usize = 8;

/// Who made a link that no admin made: `couponry console`, or the banner of `serve`.
const KEYS: &str = "the keys of the store";

const STAFF: FactKind<StaffList> = FactKind::deciding(Fact::Staff);

coupon::words! {
    /// What a person may do at the console, the weakest first. The console has the table of actions.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum StaffRole {
        /// Looks at everything.
        Viewer = "viewer",
        /// Runs campaigns.
        Marketer = "marketer",
        /// Helps customers.
        Support = "support",
        /// Looks after the store.
        Operator = "operator",
        /// Everything, other people's accounts too.
        Admin = "admin",
    }
    else BadStaffRole "is {0:?}, want viewer, marketer, support, operator or admin"
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaffMember {
    /// Their name, with which they sign in.
    pub name: String,
    pub role: StaffRole,
    /// The hash of their password; empty if they sign in at the company's identity provider.
    pub password_hash: String,
    /// Who they are at the identity provider, if they sign in there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Sessions that name another generation are over.
    pub generation: u64,
    /// When the account was made, in milliseconds since 1970.
    pub added_at: i64,
    /// Each session that was signed out before its end, with the time at which it would have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ended: Vec<(u64, i64)>,
}

impl StaffMember {
    /// Whether a session of theirs is over: it names another generation, or was signed out.
    pub fn has_ended(&self, session: u64, generation: u64) -> bool {
        generation != self.generation || self.ended.iter().any(|(ended, _)| *ended == session)
    }

    /// Gives them another role. Whoever is an admin no longer is signed out, and so the links that
    /// they made are over, even if they become an admin again.
    fn set_role(&mut self, role: StaffRole) {
        if self.role == StaffRole::Admin && role != StaffRole::Admin {
            self.end_all();
        }
        self.role = role;
    }

    fn end_all(&mut self) {
        self.generation += 1;
        self.ended.clear();
    }

    /// Ends one session, which would have ended at `until`.
    fn end(&mut self, session: u64, until: Millis, now: Millis) {
        self.ended.retain(|(_, until)| *until > now.0);
        if self.ended.iter().any(|(ended, _)| *ended == session) {
            return;
        }
        match self.ended.len() < ENDED_MAX {
            true => self.ended.push((session, until.0)),
            false => self.end_all(),
        }
    }
}

/// Everybody, and the one-time links that were used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaffList {
    people: Vec<StaffMember>,
    /// Each link that was used and would still be good, with the time at which it expires.
    used: Vec<(String, i64)>,
    /// Links that were made before this instant are over; 0 unless the store was restored.
    #[serde(default, skip_serializing_if = "is_zero")]
    links_from: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A one-time link, as it was checked by the front end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaffInvitation {
    /// Its own name, a UUID of version 7, which says when it was made: it is used once.
    pub id: String,
    pub expires_at: Millis,
    pub role: StaffRole,
    /// The name that the link is for. Only such a link may give an account that there is a new password: whoever
    /// got another one could otherwise take the name of an admin.
    pub name: Option<UserId>,
    /// Who made the link, and the generation of their account then. It is good while they are that admin still.
    /// `None`: somebody with the keys of the store.
    pub by: Option<(String, u64)>,
    /// Whether it is good only while nobody has an account.
    pub only_first: bool,
}

/// Somebody of whom the identity provider says who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentifiedStaff {
    /// Who they are there: the same text for the same person for ever, and for nobody else.
    pub identity: String,
    /// The name of an account that is made for them.
    pub name: UserId,
    pub role: StaffRole,
}

impl StaffList {
    /// In the order of their names.
    pub fn people(&self) -> &[StaffMember] {
        &self.people
    }

    pub fn member(&self, name: &str) -> Option<&StaffMember> {
        self.people.iter().find(|member| member.name == name)
    }

    pub fn is_open(&self, link: &StaffInvitation) -> bool {
        let is_used = self.used.iter().any(|(used, _)| *used == link.id);
        let by_admin = link.by.as_ref().is_none_or(|(name, generation)| {
            self.member(name)
                .is_some_and(|by| by.role == StaffRole::Admin && by.generation == *generation)
        });
        !is_used
            && by_admin
            && made_at(link) >= self.links_from
            && (!link.only_first || self.people.is_empty())
    }

    fn member_mut(&mut self, name: &UserId) -> Result<&mut StaffMember> {
        found(self.people.iter_mut().find(|member| member.name == name.as_str()))
    }

    /// Adds somebody, in the place of whoever has the name.
    fn put(&mut self, member: StaffMember) -> Result<()> {
        self.people.retain(|known| known.name != member.name);
        if self.people.len() >= STAFF_MAX {
            let detail = format!("there are {STAFF_MAX} people, which is the most");
            return Err(Failure::invalid("name", detail));
        }
        self.people.push(member);
        self.people.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(())
    }

    fn must_have_an_admin(&self) -> Result<()> {
        match self.people.iter().any(|member| member.role == StaffRole::Admin) {
            true => Ok(()),
            false => Err(Failure::invalid("role", "is the last admin: make another one first")),
        }
    }
}

/// When a link was made, in milliseconds since 1970; 0 if its id does not say so.
fn made_at(link: &StaffInvitation) -> i64 {
    let made_at = uuid::Uuid::try_parse(&link.id).ok().and_then(|id| id.get_timestamp());
    made_at.map_or(0, |at| {
        let (seconds, nanos) = at.to_unix();
        i64::try_from(seconds).unwrap_or(0) * 1_000 + i64::from(nanos / 1_000_000)
    })
}

impl Engine {
    /// Everybody who may sign in. One read.
    ///
    /// # Errors
    /// Those of the store; damaged, if what it has is no such list.
    pub async fn staff(&self) -> Result<StaffList> {
        STAFF.load(self.hot()).await
    }

    /// Makes an account with a one-time link, or gives an account a new password and the role of the link.
    /// Signs the old sessions of the account out.
    ///
    /// # Errors
    /// `NameTaken` if the link was used, or names nobody and the name has an account; `Invalid` if there are too
    /// many people.
    pub async fn enroll_staff(
        &self,
        link: &StaffInvitation,
        name: UserId,
        password_hash: String,
    ) -> Result<StaffMember> {
        let now = self.now();
        if link.expires_at <= now {
            return Err(Failure::refused(Refusal::Expired));
        }
        let caller = Caller::staff(Role::Admin, name.clone());
        // Who answers for them: the admin of the link, or whoever has the keys of the store.
        let by = link.by.as_ref().map_or(KEYS, |(name, _)| name);
        let enroll = |list: &mut StaffList| {
            let known = list.member(name.as_str());
            let may = link.name.as_ref().map_or(known.is_none(), |named| *named == name);
            if !list.is_open(link) || !may {
                return Err(Failure::refused(Refusal::NameTaken));
            }
            let kind =
                if known.is_none() { AuditKind::StaffAdded } else { AuditKind::StaffUpdated };
            let member = StaffMember {
                name: name.to_string(),
                role: link.role,
                password_hash: password_hash.clone(),
                // They may go on signing in at the provider.
                identity: known.and_then(|it| it.identity.clone()),
                // By the clock, so that an account that was deleted and made again has another one than any
                // session that is still around.
                generation: generation_at(now).max(known.map_or(0, |it| it.generation + 1)),
                added_at: now.0,
                ended: Vec::new(),
            };
            list.used.retain(|(_, expires_at)| *expires_at > now.0);
            list.used.push((link.id.clone(), link.expires_at.0));
            list.put(member)?;
            list.must_have_an_admin()?;
            let mut event = staff_event(kind, name.as_str(), link.role);
            event.changes.extend([given("link", &link.id), given("invited_by", by)]);
            Ok(Some(event))
        };
        let list = STAFF.change_audited(self, &caller, enroll).await?;
        found(list.member(name.as_str())).cloned()
    }

    /// The account of somebody whom the identity provider has sent: made if there is none, and with the role that
    /// the provider says, also if nobody is admin then.
    ///
    /// # Errors
    /// `NameTaken` if the name is of somebody else; `Invalid` if there are too many people.
    pub async fn admit_staff(&self, person: &IdentifiedStaff) -> Result<StaffMember> {
        let IdentifiedStaff { identity, name, role } = person;
        let now = self.now();
        let is_them = |member: &StaffMember| member.identity.as_ref() == Some(identity);
        // Whoever has an account keeps its name, whatever the provider says now.
        let before = self.staff().await?;
        let known = before.people.iter().find(|member| is_them(member));
        let by = known.and_then(|member| member.name.parse().ok()).unwrap_or_else(|| name.clone());
        let admit = |list: &mut StaffList| {
            if let Some(member) = list.people.iter_mut().find(|member| is_them(member)) {
                if member.role == *role {
                    return Ok(None);
                }
                member.set_role(*role);
                return Ok(Some(staff_event(AuditKind::StaffUpdated, &member.name, *role)));
            }
            // Whoever chooses their name at the provider does not get the account of somebody else.
            if list.member(name.as_str()).is_some() {
                return Err(Failure::refused(Refusal::NameTaken));
            }
            list.put(StaffMember {
                name: name.to_string(),
                role: *role,
                password_hash: String::new(),
                identity: Some(identity.clone()),
                generation: generation_at(now),
                added_at: now.0,
                ended: Vec::new(),
            })?;
            Ok(Some(staff_event(AuditKind::StaffAdded, name.as_str(), *role)))
        };
        let list = STAFF.change_audited(self, &Caller::staff(Role::Admin, by), admit).await?;
        found(list.people.iter().find(|member| is_them(member))).cloned()
    }

    /// Enters that somebody has signed in.
    pub async fn staff_signed_in(&self, caller: &Caller) -> Result<()> {
        let event = staff_event(AuditKind::StaffSignedIn, caller.subject.as_str(), None);
        self.record(caller, event).await
    }

    /// Gives a person another role, from their next page on. Whoever is an admin no longer is signed
    /// out, and the links that they made are over.
    ///
    /// # Errors
    /// `Forbidden` unless an admin asks; `NotFound`; `Invalid` for the last admin.
    pub async fn change_staff_role(
        &self,
        caller: &Caller,
        name: &UserId,
        role: StaffRole,
    ) -> Result<()> {
        caller.must_be(&[Role::Admin])?;
        let change = |list: &mut StaffList| {
            list.member_mut(name)?.set_role(role);
            list.must_have_an_admin()?;
            Ok(Some(staff_event(AuditKind::StaffUpdated, name.as_str(), role)))
        };
        STAFF.change_audited(self, caller, change).await.map(drop)
    }

    /// Signs a person out everywhere. Anyone may do that for themselves.
    ///
    /// # Errors
    /// `Forbidden` unless an admin or they themselves ask; `NotFound`.
    pub async fn sign_staff_out(&self, caller: &Caller, name: &UserId) -> Result<()> {
        if caller.subject != *name {
            caller.must_be(&[Role::Admin])?;
        }
        let sign_out = |list: &mut StaffList| {
            list.member_mut(name)?.end_all();
            Ok(Some(staff_event(AuditKind::StaffUpdated, name.as_str(), None)))
        };
        STAFF.change_audited(self, caller, sign_out).await.map(drop)
    }

    /// Ends one session of a person, which would have ended at `until`. Whoever has a copy of its cookie is
    /// signed out too.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn end_staff_session(
        &self,
        caller: &Caller,
        session: u64,
        until: Millis,
    ) -> Result<()> {
        let now = self.now();
        let end = |list: &mut StaffList| {
            list.member_mut(&caller.subject)?.end(session, until, now);
            Ok(true)
        };
        STAFF.change(self.hot(), end).await.map(drop)
    }

    /// Enters that an admin has made a link with which somebody gets an account; `link` is its id.
    ///
    /// # Errors
    /// `Forbidden` unless an admin asks; those of the store.
    pub async fn staff_invited(
        &self,
        caller: &Caller,
        link: &str,
        name: Option<&str>,
        role: StaffRole,
    ) -> Result<()> {
        caller.must_be(&[Role::Admin])?;
        let mut changes = Vec::from_iter(name.map(|name| given("name", name)));
        changes.extend([given("role", role.as_str()), given("link", link)]);
        self.record(caller, AuditEvent::of_store(AuditKind::StaffInvited, changes)).await
    }

    /// Deletes an account. Its sessions are over with the next page.
    ///
    /// # Errors
    /// `Forbidden` unless an admin asks; `NotFound`; `Invalid` for the last admin.
    pub async fn remove_staff(&self, caller: &Caller, name: &UserId) -> Result<()> {
        caller.must_be(&[Role::Admin])?;
        let remove = |list: &mut StaffList| {
            list.member_mut(name)?;
            list.people.retain(|member| member.name != name.as_str());
            list.must_have_an_admin()?;
            Ok(Some(staff_event(AuditKind::StaffRemoved, name.as_str(), None)))
        };
        STAFF.change_audited(self, caller, remove).await.map(drop)
    }
}

fn staff_event(kind: AuditKind, name: &str, role: impl Into<Option<StaffRole>>) -> AuditEvent {
    let mut changes = vec![given("name", name)];
    changes.extend(role.into().map(|role| given("role", role.as_str())));
    AuditEvent::of_store(kind, changes)
}

/// The generation of an account that is new at an instant: higher than that of any account before.
fn generation_at(now: Millis) -> u64 {
    u64::try_from(now.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Millis = Millis(1_763_596_800_000);

    fn eva() -> StaffMember {
        StaffMember {
            name: "eva".into(),
            role: StaffRole::Viewer,
            password_hash: String::new(),
            identity: None,
            generation: 3,
            added_at: 0,
            ended: Vec::new(),
        }
    }

    #[test]
    fn sessions_that_have_ended() {
        let mut eva = eva();
        eva.end(1, NOON.plus_ms(1_000), NOON);
        let cases = [
            ("the one that ended", 1, 3, true),
            ("another one", 2, 3, false),
            ("one of an older generation", 2, 2, true),
        ];
        for (name, session, generation, want) in cases {
            assert_eq!(eva.has_ended(session, generation), want, "{name}");
        }
        // Twice, as with two tabs, takes one place; and what is over anyway takes none.
        eva.end(1, NOON.plus_ms(1_000), NOON);
        assert_eq!(eva.ended.len(), 1);
        eva.end(2, NOON.plus_ms(9_000), NOON.plus_ms(1_000));
        assert_eq!(eva.ended, [(2, NOON.0 + 9_000)]);
    }

    #[test]
    fn more_ends_than_the_list_remembers_end_all() {
        let mut eva = eva();
        for session in 0..=ENDED_MAX as u64 {
            assert!(!eva.has_ended(99, 3), "{session}");
            eva.end(session, NOON.plus_ms(1_000), NOON);
        }
        for session in [0, 1, 99] {
            assert!(eva.has_ended(session, 3), "{session}");
        }
        assert!(!eva.has_ended(99, 4), "a new session is good");
    }

    fn of(people: Vec<StaffMember>) -> StaffList {
        StaffList { people, ..StaffList::default() }
    }

    fn link(by: Option<(String, u64)>) -> StaffInvitation {
        StaffInvitation {
            id: uuid::Uuid::now_v7().simple().to_string(),
            expires_at: Millis(i64::MAX),
            role: StaffRole::Admin,
            name: None,
            by,
            only_first: false,
        }
    }

    #[test]
    fn links_of_an_admin_who_was_demoted_stay_over() {
        use StaffRole::{Admin, Support, Viewer};
        let cases: [(&str, &[StaffRole], bool); 5] = [
            ("an admin still", &[], true),
            ("given the same role", &[Admin], true),
            ("demoted", &[Viewer], false),
            ("demoted and promoted", &[Viewer, Admin], false),
            ("by way of another role", &[Support, Viewer, Admin], false),
        ];
        for (name, roles, want) in cases {
            let mut eva = StaffMember { role: Admin, ..eva() };
            let link = link(Some(("eva".into(), eva.generation)));
            roles.iter().for_each(|role| eva.set_role(*role));
            assert_eq!(of(vec![eva]).is_open(&link), want, "{name}");
        }
    }

    #[test]
    fn links_of_before_a_restore_are_over() {
        let (before, made) = (link(None), made_at(&link(None)));
        let after = made_at(&before) + 1;
        let cases = [
            ("never restored", 0, true),
            ("restored before it was made", made_at(&before), true),
            ("restored after", after, false),
        ];
        for (name, links_from, want) in cases {
            let list = StaffList { links_from, ..StaffList::default() };
            assert_eq!(list.is_open(&before), want, "{name}");
        }
        assert!(made > 1_700_000_000_000, "{made}");
        let nameless = StaffInvitation { id: "link".into(), ..before };
        let list = StaffList { links_from: 1, ..StaffList::default() };
        assert!(!list.is_open(&nameless), "a link that does not say when it was made");
    }

    #[test]
    fn a_list_of_an_older_release() {
        let text = r#"{"people":[{"name":"eva","role":"viewer","password_hash":"","generation":3,"added_at":0}],"used":[]}"#;
        let list = STAFF.read(Some(text)).unwrap();
        assert_eq!(list.people(), [eva()]);
        assert_eq!(serde_json::to_string(&list).unwrap(), text);
    }
}
