//! Handing out a campaign's stock: by issue, and behind a shared word.

use std::collections::BTreeMap;

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::campaign::{Handout, MintedRun};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{CampaignId, IssueRef, UserId};
use coupon::minted::CodeKey;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use router::{Address, BucketKey};
use rusqlite::{OptionalExtension, params};

use super::campaigns;
use super::claims::{self, Claim, NewEntry};
use super::coupons::{Decision, Located, Writes, in_partition, locate, signed, untouched_of};
use super::partitions;
use super::rows;
use super::txn::{CampaignHere, Txn};
use hot::Applied;
use hot::protocol::{
    Irreplaceable, irreplaceable, is_of, keeps_name, replaced, whose, with_issued_until,
};

/// Serials that one transaction, or one snapshot of a dry run, looks at before others have their
/// turn: codes that were voided or issued by name lie in the way. Some 2 µs each.
const SKIP_MAX: u64 = 1_000;

/// What came of one transaction of an issue.
pub(super) enum Step {
    /// An answer, and what to write for it.
    Decided(Box<Decision>, Option<Cursor>),
    /// One more name for the coupon that a user has.
    Named(Box<Located>, NewEntry),
    /// Many serials in the way; the cursor has moved on, ask again.
    Again(Cursor),
}

/// What stock is taken from.
pub(super) struct Supply<'a> {
    /// They mint the codes of serials.
    keys: &'a [CodeKey],
    /// What a dry run has seen to be gone so far.
    walked: Option<&'a Walked>,
}

impl Supply<'_> {
    /// For a transaction that may be followed by another.
    pub(super) fn for_writing(keys: &[CodeKey]) -> Supply<'_> {
        Supply { keys, walked: None }
    }

    /// For a dry run that has walked so far.
    pub(super) fn for_dry_run<'a>(keys: &'a [CodeKey], walked: &'a Walked) -> Supply<'a> {
        Supply { keys, walked: Some(walked) }
    }
}

/// How far the serials of batches, by number, were seen to be gone.
#[derive(Default)]
pub(super) struct Walked(BTreeMap<i64, u64>);

impl Walked {
    /// Nothing before `cursor` is left.
    pub(super) fn to(&mut self, cursor: &Cursor) {
        self.0.insert(cursor.batch, cursor.next_offset);
    }
}

/// How far a batch's serials have been offered.
pub(super) struct Cursor {
    batch: i64,
    next_offset: u64,
}

impl Step {
    fn decided(decision: Decision) -> Step {
        Step::Decided(Box::new(decision), None)
    }

    /// The answer, for one who writes nothing; or how far all serials are gone, to ask again.
    pub(super) fn into_answer(self) -> Result<Applied, Cursor> {
        match self {
            Step::Decided(decision, _) => Ok(decision.applied),
            Step::Named(located, _) => Ok(Decision::replayed(&located).applied),
            Step::Again(cursor) => Err(cursor),
        }
    }
}

impl Cursor {
    /// What was seen to be gone stays gone: nobody need look at it again.
    pub(super) fn write(&self, txn: &Txn<'_>) -> rusqlite::Result<()> {
        txn.statement("UPDATE batch SET next_offset = max(next_offset, ?2) WHERE number = ?1")?
            .execute(params![self.batch, signed(self.next_offset)])
            .map(drop)
    }
}

/// Runs one step and writes it; `None` asks to be called again.
pub(super) fn step(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    decide: impl Fn(&Txn<'_>) -> rusqlite::Result<Step>,
) -> rusqlite::Result<Option<Applied>> {
    let (decision, cursor) = match decide(txn)? {
        Step::Decided(decision, cursor) => (Some(decision), cursor),
        Step::Again(cursor) => (None, Some(cursor)),
        Step::Named(located, entry) => {
            let Located { coupon, campaign, day, .. } = &*located;
            claims::enter(txn, campaign.number, &entry, *day, coupon)?;
            (Some(Box::new(Decision::replayed(&located))), None)
        }
    };
    if let Some(cursor) = cursor {
        cursor.write(txn)?;
    }
    let Some(decision) = decision else { return Ok(None) };
    decision.write(txn)?;
    keep_replacement(txn, keys, &decision)?;
    Ok(Some(decision.applied))
}

fn keep_replacement(txn: &Txn<'_>, keys: &[CodeKey], decision: &Decision) -> rusqlite::Result<()> {
    let (Some(Writes { entry: Some(_), .. }), Outcome::Accepted(after)) =
        (&decision.writes, &decision.applied.outcome)
    else {
        return Ok(());
    };
    let (Some(code), Some(user)) = (replaced(keys, after.issue_ref()), after.holder()) else {
        return Ok(());
    };
    match anywhere(txn, keys, &code)? {
        Some(replaced) => claims::keep_replacement(txn, &replaced.coupon, user),
        None => Ok(()),
    }
}

/// What a claim says of a request.
enum Plan {
    /// All there is to say, or one more name for a coupon.
    Said(Step),
    /// The next coupon of the stock is to be given.
    HandOut(CampaignHere, Claim),
}

impl Plan {
    fn decided(decision: Decision) -> Plan {
        Plan::Said(Step::decided(decision))
    }

    /// The answer, if nothing is to be written for it.
    fn without_writing(self) -> Option<Applied> {
        match self {
            Plan::Said(Step::Decided(decision, None)) if decision.writes.is_none() => {
                Some(decision.applied)
            }
            Plan::Said(_) | Plan::HandOut(..) => None,
        }
    }
}

/// `POST /v1/campaigns/{id}/issue`: section 4 of the protocols, in one transaction.
pub(super) fn issue(
    txn: &Txn<'_>,
    supply: &Supply<'_>,
    campaign: &CampaignId,
    change: &Change,
) -> rusqlite::Result<Step> {
    match plan(txn, supply.keys, campaign, change)? {
        Plan::Said(step) => Ok(step),
        Plan::HandOut(campaign, claim) => {
            hand_out(txn, supply, &campaign, claim, change, &|_, issued| Ok(issued))
        }
    }
}

/// The answer to an issue that writes nothing: a replay, or a refusal. It was true when the
/// snapshot was taken, which is after the request came.
pub(super) fn issue_without_writing(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    campaign: &CampaignId,
    change: &Change,
) -> rusqlite::Result<Option<Applied>> {
    Ok(plan(txn, keys, campaign, change)?.without_writing())
}

fn plan(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    campaign: &CampaignId,
    change: &Change,
) -> rusqlite::Result<Plan> {
    let Action::Issue { to, reference, .. } = &change.action else {
        return Ok(Plan::decided(Decision::not_found()));
    };
    let Some(campaign) = txn.campaign(campaign)? else {
        return Ok(Plan::decided(Decision::not_found()));
    };
    if campaign.terms.handout == Handout::Bearer {
        return Ok(Plan::decided(Decision::refused(Refusal::NotIssuable)));
    }
    let replaces = replaced(keys, reference.as_ref());
    if replaces.is_some() && matches!(change.asker, Asker::User(_)) {
        // It does not count towards the limit: it is for those who set the limit.
        return Ok(Plan::decided(Decision::refused(Refusal::NotIssuable)));
    }
    let mut claim = Claim::read(txn, &campaign, to)?;
    let said = said_before(txn, &claim, to, reference.as_ref(), replaces.as_ref())?;
    if let Some(decision) = said {
        return Ok(Plan::decided(decision));
    }
    if let Some(code) = &replaces {
        let replaced = anywhere(txn, keys, code)?;
        if let Some(decision) = not_to_be_replaced(replaced.as_ref(), to, change.at) {
            return Ok(Plan::decided(decision));
        }
    }
    claim.count(txn, replaces.as_ref())?;
    if !claim.is_full_beside(replaces.as_ref()) {
        return Ok(Plan::HandOut(campaign, claim));
    }
    let Some(located) = claim.only_one().filter(|_| replaces.is_none() && claim.has_room()) else {
        return Ok(Plan::decided(Decision::refused(Refusal::LimitPerUser)));
    };
    Ok(match reference.as_ref().filter(|_| keeps_name(change, claim.names())) {
        // The name is answered for by this coupon from now on, also when the limit is raised.
        Some(reference) => {
            let entry = claim.entry(Some(reference.clone()));
            Plan::Said(Step::Named(Box::new(located.clone()), entry))
        }
        None => Plan::decided(Decision::replayed(located)),
    })
}

/// The coupon of a code, of whatever campaign and wherever it lies.
fn anywhere(txn: &Txn<'_>, keys: &[CodeKey], code: &Code) -> rusqlite::Result<Option<Located>> {
    for key in keys {
        let Some(minted) = key.open(code) else { continue };
        let run = campaigns::run_of(txn, key.id(), minted.day, minted.serial)?;
        if let Some((owner, _)) = run {
            let bucket_key = BucketKey { expiry_day: minted.day, bucket: 0 };
            return locate(txn, &Address { code: code.clone(), bucket_key, owner, minted: true });
        }
    }
    match partitions::of_moved(txn, code)? {
        Some(day) => in_partition(txn, day, code),
        None => Ok(None),
    }
}

/// Why the coupon is not replaced, as an answer.
fn not_to_be_replaced(replaced: Option<&Located>, to: &UserId, at: Millis) -> Option<Decision> {
    let Some(located) = replaced else { return Some(Decision::not_found()) };
    match irreplaceable(&located.coupon, &located.campaign.terms, to, at)? {
        Irreplaceable::NotFound => Some(Decision::not_found()),
        Irreplaceable::Works => Some(Decision::replayed(located)),
        Irreplaceable::Refused(refusal) => Some(located.refused(refusal)),
    }
}

/// The answer to a reference that was used before.
fn said_before(
    txn: &Txn<'_>,
    claim: &Claim,
    to: &UserId,
    reference: Option<&IssueRef>,
    replaces: Option<&Code>,
) -> rusqlite::Result<Option<Decision>> {
    let Some(reference) = reference else { return Ok(None) };
    if let Some(entry) = claim.named(txn, reference)? {
        return Ok(Some(match entry.stands(to) {
            true => Decision::replayed(&entry.located),
            // Taken back since: the place under the limit is free, the name is spent.
            false => Decision::refused(Refusal::NameTaken),
        }));
    }
    // Under the very same name the claim would have it.
    if let Some(code) = replaces
        && claims::has_replacement(txn, code)?
    {
        return Ok(Some(Decision::refused(Refusal::NameTaken)));
    }
    Ok(None)
}

/// What else happens to a coupon that is handed out, in the same transaction.
type Then<'a> = &'a dyn Fn(&Located, Box<Coupon>) -> Result<Box<Coupon>, Box<Decision>>;

/// Takes the next coupon of the stock and gives it.
fn hand_out(
    txn: &Txn<'_>,
    supply: &Supply<'_>,
    campaign: &CampaignHere,
    claim: Claim,
    change: &Change,
    then: Then<'_>,
) -> rusqlite::Result<Step> {
    let change = with_issued_until(change, &campaign.terms);
    let mut offer = Offer { supply, campaign, at: change.at, looked_at: 0 };
    let (located, cursor) = match offer.next(txn)? {
        Next::Coupon(located, cursor) => (located, cursor),
        Next::Again(cursor) => return Ok(Step::Again(cursor)),
        Next::Nothing(refusal) => return Ok(Step::decided(Decision::refused(refusal))),
    };
    let after = match located.apply(&change) {
        Outcome::Accepted(after) => after,
        Outcome::Replayed => return Ok(Step::decided(Decision::replayed(&located))),
        Outcome::Refused(refusal) => return Ok(Step::decided(Decision::refused(refusal))),
    };
    let reference = after.issue_ref().cloned();
    Ok(match then(&located, after) {
        Ok(after) => {
            let entry = Some(claim.entry(reference));
            Step::Decided(Box::new(Decision::accepted(*located, after, entry)), cursor)
        }
        Err(decision) => Step::Decided(decision, None),
    })
}

enum Next {
    Coupon(Box<Located>, Option<Cursor>),
    Again(Cursor),
    Nothing(Refusal),
}

/// What a campaign can offer at a moment.
struct Offer<'a> {
    supply: &'a Supply<'a>,
    campaign: &'a CampaignHere,
    at: Millis,
    looked_at: u64,
}

struct OpenBatch {
    number: i64,
    paused: bool,
    run: Option<MintedRun>,
    next_offset: u64,
}

impl OpenBatch {
    /// The run, while there are serials left in it.
    fn open_run(&self) -> Option<MintedRun> {
        self.run.filter(|run| self.next_offset < run.count)
    }
}

impl Offer<'_> {
    /// Whether anything of the batch could be handed out, if it were not paused.
    fn has_left(&self, txn: &Txn<'_>, batch: &OpenBatch) -> rusqlite::Result<bool> {
        let serials = batch.open_run().is_some() && self.at < self.campaign.terms.expires_at;
        Ok(serials || with_row(txn, batch, self.at)?.is_some())
    }

    /// The next coupon that is Available, in the order of the batches: what has rows first, since
    /// it came back or was imported, then the serials.
    fn next(&mut self, txn: &Txn<'_>) -> rusqlite::Result<Next> {
        let (mut only_paused, mut only_expired) = (false, false);
        for batch in batches(txn, self.campaign.number, self.supply.walked)? {
            if batch.paused {
                let left = self.has_left(txn, &batch)?;
                only_paused |= left;
                only_expired |= !left && has_any(txn, &batch)?;
                continue;
            }
            if let Some(located) = with_row(txn, &batch, self.at)? {
                return Ok(Next::Coupon(Box::new(located), None));
            }
            let Some(run) = batch.open_run() else {
                only_expired |= has_any(txn, &batch)?;
                continue;
            };
            if self.at >= self.campaign.terms.expires_at {
                only_expired = true;
                continue;
            }
            match self.next_serial(txn, &batch, run)? {
                Some(next) => return Ok(next),
                None => continue,
            }
        }
        Ok(Next::Nothing(match (only_paused, only_expired) {
            (true, _) => Refusal::Paused,
            (false, true) => Refusal::Expired,
            (false, false) => Refusal::SoldOut,
        }))
    }

    fn next_serial(
        &mut self,
        txn: &Txn<'_>,
        batch: &OpenBatch,
        run: MintedRun,
    ) -> rusqlite::Result<Option<Next>> {
        let Some(key) = self.supply.keys.iter().find(|key| key.id() == run.key) else {
            // Minted beside this process with a key that it has not read yet: in a moment it has.
            tracing::error!(key = %run.key, "a batch was minted with a code key unknown here");
            return Ok(Some(Next::Nothing(Refusal::Paused)));
        };
        for offset in batch.next_offset..run.count {
            let code = key.mint(run.day, run.first + offset);
            let cursor = Cursor { batch: batch.number, next_offset: offset + 1 };
            if !is_touched(txn, run.day, &code)? {
                let campaign = self.campaign.clone();
                let located = untouched_of(txn, code, campaign, batch.number, run.day)?;
                return Ok(Some(Next::Coupon(Box::new(located), Some(cursor))));
            }
            self.looked_at += 1;
            // At the end too: the next one need not walk there again.
            if self.looked_at >= SKIP_MAX || offset + 1 == run.count {
                return Ok(Some(Next::Again(cursor)));
            }
        }
        Ok(None)
    }
}

fn batches(
    txn: &Txn<'_>,
    campaign: i64,
    walked: Option<&Walked>,
) -> rusqlite::Result<Vec<OpenBatch>> {
    let mut statement = txn.statement(
        "SELECT number, paused, key_id, expiry_day, first_serial, count, next_offset FROM batch \
         WHERE campaign = ?1 ORDER BY number",
    )?;
    let batches = statement.query_map([campaign], |row| {
        let run = match rows::parsed_or_null(row, 2)? {
            None => None,
            Some(key) => Some(MintedRun {
                key,
                day: Day(row.get(3)?),
                first: row.get::<_, i64>(4)?.unsigned_abs(),
                count: row.get::<_, i64>(5)?.unsigned_abs(),
            }),
        };
        let number = row.get(0)?;
        let walked = walked.and_then(|walked| walked.0.get(&number)).copied().unwrap_or(0);
        let next_offset = row.get::<_, Option<i64>>(6)?.unwrap_or(0).unsigned_abs().max(walked);
        Ok(OpenBatch { number, paused: row.get(1)?, run, next_offset })
    })?;
    batches.collect()
}

/// Whether anything of the batch is left, expired or not.
fn has_any(txn: &Txn<'_>, batch: &OpenBatch) -> rusqlite::Result<bool> {
    Ok(batch.open_run().is_some() || with_row(txn, batch, Millis(i64::MIN))?.is_some())
}

fn with_row(txn: &Txn<'_>, batch: &OpenBatch, at: Millis) -> rusqlite::Result<Option<Located>> {
    let found = txn
        .statement(
            "SELECT expiry_day, code FROM coupon \
             WHERE batch = ?1 AND state = 'available' AND history_full = 0 AND expires_at > ?2 \
             ORDER BY expires_at, version LIMIT 1",
        )?
        .query_row(params![batch.number, at.0], |row| {
            Ok((Day(row.get(0)?), rows::parsed::<Code>(row, 1)?))
        })
        .optional()?;
    match found {
        Some((day, code)) => in_partition(txn, day, &code),
        None => Ok(None),
    }
}

/// Whether something has happened to a minted code of an open partition: a row or an archived
/// marker at home, or a later partition.
pub(super) fn is_touched(txn: &Txn<'_>, day: Day, code: &Code) -> rusqlite::Result<bool> {
    let home = txn
        .statement("SELECT 1 FROM coupon WHERE expiry_day = ?1 AND code = ?2")?
        .exists(params![day.0, code.as_str()])?;
    Ok(home
        || partitions::archived_marker(txn, day, code)?.is_some()
        || partitions::of_moved(txn, code)?.is_some())
}

/// Whether something has happened to a minted code, in whatever partition: a sealed one is empty,
/// so that cold knows.
pub(super) fn was_touched(txn: &Txn<'_>, day: Day, code: &Code) -> rusqlite::Result<bool> {
    if is_touched(txn, day, code)? {
        return Ok(true);
    }
    Ok(txn.is_sealed(day)? && txn.in_cold((day, code.clone()))?.is_some())
}

/// A shared word: `change` is about the user's own coupon of the campaign behind it. Redeem and
/// hold issue one to a user who has none that they can take.
pub(super) fn shared(
    txn: &Txn<'_>,
    supply: &Supply<'_>,
    campaign: &CampaignId,
    change: &Change,
) -> rusqlite::Result<Step> {
    let (campaign, claim) = match shared_plan(txn, campaign, change)? {
        Plan::Said(step) => return Ok(step),
        Plan::HandOut(campaign, claim) => (campaign, claim),
    };
    let Some((user, order, _)) = whose(change) else {
        return Ok(Step::decided(Decision::not_found()));
    };
    let issue = Change {
        action: Action::Issue {
            to: user,
            reference: Some(IssueRef::of_order(&order)),
            expires_at: None,
        },
        ..change.clone()
    };
    hand_out(txn, supply, &campaign, claim, &issue, &|before, issued| {
        let taken = Located { coupon: *issued, ..before.clone() };
        match taken.apply(change) {
            Outcome::Accepted(after) => Ok(after),
            Outcome::Replayed => Err(Box::new(Decision::replayed(&taken))),
            // Issued for nothing: the issue is not written either.
            Outcome::Refused(refusal) => Err(Box::new(Decision::refused(refusal))),
        }
    })
}

/// The answer behind a shared word that writes nothing, as [`issue_without_writing`].
pub(super) fn shared_without_writing(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    change: &Change,
) -> rusqlite::Result<Option<Applied>> {
    Ok(shared_plan(txn, campaign, change)?.without_writing())
}

/// What there is to say without handing out another coupon.
fn shared_plan(txn: &Txn<'_>, campaign: &CampaignId, change: &Change) -> rusqlite::Result<Plan> {
    let (Some((user, order, takes_new)), Some(campaign)) = (whose(change), txn.campaign(campaign)?)
    else {
        return Ok(Plan::decided(Decision::not_found()));
    };
    let mut claim = Claim::read(txn, &campaign, &user)?;
    claim.count_all(txn)?;
    let of_order = claim.looked().find(|it| is_of(&it.coupon, &user, &order, change.at));
    if let Some(located) = of_order {
        return Ok(Plan::decided(applied(located, change)));
    }
    if !takes_new {
        let newest = claim.counted().next_back();
        let decision = newest.map_or_else(Decision::not_found, |one| applied(one, change));
        return Ok(Plan::decided(decision));
    }
    let mut no = None;
    for located in claim.counted() {
        let decision = applied(located, change);
        match decision.applied.outcome {
            Outcome::Refused(_) => no = Some(decision),
            Outcome::Accepted(_) | Outcome::Replayed => return Ok(Plan::decided(decision)),
        }
    }
    if claim.is_full() {
        let one = claim.only_one().is_some();
        let limit = Decision::refused(Refusal::LimitPerUser);
        return Ok(Plan::decided(no.filter(|_| one).unwrap_or(limit)));
    }
    Ok(Plan::HandOut(campaign, claim))
}

fn applied(located: &Located, change: &Change) -> Decision {
    match located.apply(change) {
        Outcome::Accepted(after) => Decision::accepted(located.clone(), after, None),
        Outcome::Replayed => Decision::replayed(located),
        Outcome::Refused(refusal) => located.refused(refusal),
    }
}
