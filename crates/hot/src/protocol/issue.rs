//! Issue: which coupon of a campaign a user gets, and when they get none.

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::campaign::{Campaign, Handout};
use coupon::code::{Code, CodeText};

use coupon::ids::{IssueRef, UserId};
use coupon::minted::CodeKey;
use coupon::refusal::Refusal;
use coupon::time::Millis;

use super::claim::{Claim, NamedEntry};
use super::irreplaceable::{Irreplaceable, irreplaceable};
use super::located::{Decision, Here, Located, NewEntry, with_issued_until};

/// Most names that requests of a user, not of a shop, may give to what the user has. A user who
/// has one coupon may ask for it under a new name each time, and each name that is kept is an entry
/// more to read. A client names an attempt to get a coupon: sixteen are several lost answers.
const NAMES_OF_USER_MAX: usize = 16;

/// Whether one more name for a user's one coupon is kept. If not, the answer is still that coupon.
fn keeps_name(change: &Change, names: usize) -> bool {
    !matches!(change.asker, Asker::User(_)) || names < NAMES_OF_USER_MAX
}

/// Who asks for a coupon, by which name.
#[derive(Clone, Debug)]
pub struct IssueAsk {
    pub to: UserId,
    pub reference: Option<IssueRef>,
    /// The coupon that it replaces, if the name says so.
    pub replaces: Option<Code>,
}

impl IssueAsk {
    /// What `change` asks for in a campaign of these terms.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if it is no issue, [`Refusal::NotIssuable`] if the campaign does not hand
    /// out, or if a user asks for a replacement: it does not count towards the limit, so it is for those
    /// who set the limit.
    pub fn of(terms: &Campaign, change: &Change, keys: &[CodeKey]) -> Result<IssueAsk, Refusal> {
        let Action::Issue { to, reference, .. } = &change.action else {
            return Err(Refusal::NotFound);
        };
        let replaces = replaced(keys, reference.as_ref());
        let is_of_user = matches!(change.asker, Asker::User(_));
        if terms.handout == Handout::Bearer || (replaces.is_some() && is_of_user) {
            return Err(Refusal::NotIssuable);
        }
        Ok(IssueAsk { to: to.clone(), reference: reference.clone(), replaces })
    }
}

/// What an issue depends on. `None`: not read yet.
#[derive(Debug)]
pub struct IssueFacts<H, S> {
    /// What the request of this name was given before.
    pub named: Option<Option<NamedEntry<H>>>,
    pub replaced: Option<Replaced<H>>,
    /// What the user has. The coupon that is to be replaced does not count.
    pub claim: Option<Claim<H, S>>,
}

impl<H, S> Default for IssueFacts<H, S> {
    fn default() -> Self {
        IssueFacts { named: None, replaced: None, claim: None }
    }
}

#[derive(Debug)]
pub struct Replaced<H> {
    /// Who has replaced it so far.
    pub by: ReplacedBy,
    /// The coupon, wherever it lies; `None` if there is none.
    pub coupon: Option<Located<H>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplacedBy {
    Nobody,
    /// This request, when it was sent before.
    ThisRequest,
    Another,
}

/// A fact of [`IssueFacts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueRead {
    Named,
    Replaced,
    Claim,
}

#[derive(Debug)]
pub enum IssueStep<H, S> {
    /// The store reads this and asks again. It may read more than it is asked for.
    Read(IssueRead),
    /// The answer; nothing is written.
    Decided(Box<Decision<H, S>>),
    /// The user gets no other coupon; this one answers for the name of the request from now on.
    Name(Box<Located<H>>, NewEntry<S>),
    /// The next coupon of the stock is given ([`give`]).
    HandOut,
}

/// What an issue comes to, as far as `facts` go.
pub fn issue<H: Here, S: Clone>(
    ask: &IssueAsk,
    change: &Change,
    facts: &IssueFacts<H, S>,
) -> IssueStep<H, S> {
    let decided = |decision| IssueStep::Decided(Box::new(decision));
    // The name first: a repeat gets what the first try got, whatever has changed since.
    if ask.reference.is_some() {
        let Some(named) = &facts.named else { return IssueStep::Read(IssueRead::Named) };
        if let Some(entry) = named {
            return decided(match entry.stands(&ask.to) {
                true => Decision::replayed(&entry.located),
                // Taken back since: the limit has room again, the name is spent.
                false => Decision::refused(Refusal::NameTaken),
            });
        }
    }
    if ask.replaces.is_some() {
        let Some(replaced) = &facts.replaced else { return IssueStep::Read(IssueRead::Replaced) };
        if replaced.by == ReplacedBy::Another {
            return decided(Decision::refused(Refusal::NameTaken));
        }
        if let Some(decision) = not_to_be_replaced(replaced.coupon.as_ref(), ask, change.at) {
            return decided(decision);
        }
    }
    let Some(claim) = &facts.claim else { return IssueStep::Read(IssueRead::Claim) };
    if let Some(refusal) = claim.end.unfinished {
        return decided(Decision::refused(refusal));
    }
    if !claim.is_full_beside(ask.replaces.as_ref()) {
        return IssueStep::HandOut;
    }
    // With more entries than are read, no further name may be kept.
    let only_one = claim.only_one().filter(|_| ask.replaces.is_none() && !claim.end.overflows);
    let Some(located) = only_one else {
        return decided(Decision::refused(Refusal::LimitPerUser));
    };
    match ask.reference.as_ref().filter(|_| keeps_name(change, claim.end.names)) {
        // This coupon answers for the name from now on, also when the limit is raised.
        Some(name) => IssueStep::Name(Box::new(located.clone()), claim.entry(Some(name.clone()))),
        None => decided(Decision::replayed(located)),
    }
}

/// Gives the coupon `offered` of the stock. `then` is a second change in the same write: what a shared
/// word is asked for. If the second change is refused, the issue is not written either.
pub fn give<H: Here, S: Clone>(
    offered: &Located<H>,
    issue: &Change,
    then: Option<&Change>,
    claim: &Claim<H, S>,
    clock_bound_ms: i64,
) -> Decision<H, S> {
    let issue = with_issued_until(issue, offered.terms());
    let issued = match offered.apply(&issue, clock_bound_ms) {
        Outcome::Accepted(issued) => issued,
        Outcome::Replayed => return Decision::replayed(offered),
        Outcome::Refused(refusal) => return Decision::refused(refusal),
    };
    let reference = issued.issue_ref().cloned();
    let after = match then {
        None => issued,
        Some(then) => {
            let taken = Located { coupon: *issued, ..offered.clone() };
            match taken.apply(then, clock_bound_ms) {
                Outcome::Accepted(after) => after,
                Outcome::Replayed => return Decision::replayed(&taken),
                Outcome::Refused(refusal) => return Decision::refused(refusal),
            }
        }
    };
    let entry = Some(claim.entry(reference));
    Decision::accepted(offered.clone(), after, entry, issue.actor.clone())
}

/// The code that a reference `replaces:CODE` names, with the prefix of a minted code or without it.
pub fn replaced(keys: &[CodeKey], reference: Option<&IssueRef>) -> Option<Code> {
    let text: CodeText = reference?.replaces()?.parse().ok()?;
    let minted = text.minted().filter(|code| router::home(keys, code).is_some());
    Some(minted.unwrap_or_else(|| text.foreign().clone()))
}

fn not_to_be_replaced<H: Here, S>(
    replaced: Option<&Located<H>>,
    ask: &IssueAsk,
    at: Millis,
) -> Option<Decision<H, S>> {
    let Some(located) = replaced else { return Some(Decision::not_found()) };
    match irreplaceable(&located.coupon, located.terms(), &ask.to, at)? {
        Irreplaceable::NotFound => Some(Decision::not_found()),
        Irreplaceable::Works => Some(Decision::replayed(located)),
        Irreplaceable::Refused(refusal) => Some(Decision::refused_at(located, refusal)),
    }
}

#[cfg(test)]
mod tests;
