//! Handing out a campaign's stock: by issue, and behind a shared word.

use std::collections::BTreeMap;

use coupon::apply::{Change, Outcome};
use coupon::campaign::MintedRun;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::CampaignId;
use coupon::minted::CodeKey;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use hot::Applied;
use hot::protocol::{
    self, IssueAsk, IssueFacts, IssueRead, IssueStep, Left, NewEntry, Replaced, ReplacedBy,
    SharedAsk, give, is_on_offer,
};
use router::{Address, BucketKey};
use rusqlite::{OptionalExtension, params};

use super::campaigns;
use super::claims::{self, Claim, ClaimRows};
use super::coupons::{
    CLOCK_BOUND_MS, Decision, Here, Located, in_partition, locate, signed, untouched_of,
    write_decision,
};
use super::partitions;
use super::rows;
use super::txn::{CampaignHere, Txn};

/// Serials that one transaction, or one snapshot of a dry run, looks at before others have their
/// turn: codes that were voided or issued by name lie in the way. Some 2 µs each.
const SKIP_MAX: u64 = 1_000;

/// What came of one transaction of an issue.
pub(super) enum Step {
    /// An answer, and what to write for it.
    Decided(Box<Decision>, HandedOut),
    /// One more name for the coupon that a user has.
    Named(Box<Located>, NewEntry<i64>),
    /// Many serials in the way; the cursor has moved on, ask again.
    Again(Cursor),
}

/// What is written besides, where a coupon was handed out.
#[derive(Default)]
pub(super) struct HandedOut {
    /// How far the serials of its batch are gone.
    cursor: Option<Cursor>,
    /// The coupon that it replaces.
    replaced: Option<Box<Coupon>>,
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
        Step::Decided(Box::new(decision), HandedOut::default())
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
    decide: impl Fn(&Txn<'_>) -> rusqlite::Result<Step>,
) -> rusqlite::Result<Option<Applied>> {
    match decide(txn)? {
        Step::Decided(decision, HandedOut { cursor, replaced }) => {
            if let Some(cursor) = cursor {
                cursor.write(txn)?;
            }
            write_decision(txn, &decision)?;
            if let (Some(replaced), Outcome::Accepted(after)) =
                (replaced, &decision.applied.outcome)
                && let Some(user) = after.holder()
            {
                claims::keep_replacement(txn, &replaced, user)?;
            }
            Ok(Some(decision.applied))
        }
        Step::Named(located, entry) => {
            let number = located.here.campaign.number;
            claims::enter(txn, number, &entry, located.day, &located.coupon)?;
            Ok(Some(Decision::replayed(&located).applied))
        }
        Step::Again(cursor) => cursor.write(txn).map(|()| None),
    }
}

/// What a claim says of a request.
enum Plan {
    /// All there is to say, or one more name for a coupon.
    Said(Step),
    /// The next coupon of the stock is to be given.
    HandOut(CampaignHere, Claim, Option<Box<Coupon>>),
}

impl Plan {
    fn decided(decision: Decision) -> Plan {
        Plan::Said(Step::decided(decision))
    }

    /// The answer, if nothing is to be written for it.
    fn without_writing(self) -> Option<Applied> {
        match self {
            Plan::Said(Step::Decided(decision, _)) if decision.writes.is_none() => {
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
        Plan::HandOut(campaign, claim, replaced) => {
            hand_out(txn, supply, &campaign, &claim, change, None, replaced)
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
    let Some(campaign) = txn.campaign(campaign)? else {
        return Ok(Plan::decided(Decision::not_found()));
    };
    let ask = match IssueAsk::of(&campaign.terms, change, keys) {
        Ok(ask) => ask,
        Err(refusal) => return Ok(Plan::decided(Decision::refused(refusal))),
    };
    let rows = ClaimRows::read(txn, &campaign, &ask.to)?;
    let mut facts = IssueFacts::<Here, i64>::default();
    loop {
        match protocol::issue(&ask, change, &facts) {
            IssueStep::Read(IssueRead::Named) => {
                facts.named = Some(match &ask.reference {
                    Some(reference) => rows.named(txn, &ask.to, reference)?,
                    None => None,
                });
            }
            IssueStep::Read(IssueRead::Replaced) => {
                facts.replaced = Some(to_be_replaced(txn, keys, ask.replaces.as_ref())?);
            }
            IssueStep::Read(IssueRead::Claim) => {
                facts.claim = Some(rows.count(txn, &ask.to, ask.replaces.as_ref(), change.at)?);
            }
            IssueStep::Decided(decision) => return Ok(Plan::decided(*decision)),
            IssueStep::Name(located, entry) => {
                return Ok(Plan::Said(Step::Named(located, entry)));
            }
            IssueStep::HandOut => {
                let IssueFacts { claim: Some(claim), replaced, .. } = facts else { continue };
                let replaced = replaced.and_then(|it| it.coupon).map(|it| Box::new(it.coupon));
                return Ok(Plan::HandOut(campaign, claim, replaced));
            }
        }
    }
}

/// The coupon that an issue is to replace.
fn to_be_replaced(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    code: Option<&Code>,
) -> rusqlite::Result<Replaced<Here>> {
    let Some(code) = code else { return Ok(Replaced { by: ReplacedBy::Nobody, coupon: None }) };
    // A replacement by this very request is in the claim, under its name.
    let by = match claims::replacement(txn, code)? {
        Some(_) => ReplacedBy::Another,
        None => ReplacedBy::Nobody,
    };
    Ok(Replaced { by, coupon: anywhere(txn, keys, code)? })
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

/// Takes the next coupon of the stock and gives it; `then` is what happens to it in the same write.
fn hand_out(
    txn: &Txn<'_>,
    supply: &Supply<'_>,
    campaign: &CampaignHere,
    claim: &Claim,
    issue: &Change,
    then: Option<&Change>,
    replaced: Option<Box<Coupon>>,
) -> rusqlite::Result<Step> {
    let mut offer = Offer { supply, campaign, at: issue.at, looked_at: 0 };
    let (located, cursor) = match offer.next(txn)? {
        Next::Coupon(located, cursor) => (located, cursor),
        Next::Again(cursor) => return Ok(Step::Again(cursor)),
        Next::Nothing(refusal) => return Ok(Step::decided(Decision::refused(refusal))),
    };
    let decision = give(&located, issue, then, claim, CLOCK_BOUND_MS);
    let handed_out = match decision.writes.is_some() {
        true => HandedOut { cursor, replaced },
        false => HandedOut::default(),
    };
    Ok(Step::Decided(Box::new(decision), handed_out))
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
        let mut met = Left::default();
        for batch in batches(txn, self.campaign.number, self.supply.walked)? {
            if batch.paused {
                let left = self.has_left(txn, &batch)?;
                met.paused |= left;
                met.expired |= !left && has_any(txn, &batch)?;
                continue;
            }
            if let Some(located) = with_row(txn, &batch, self.at)? {
                return Ok(Next::Coupon(Box::new(located), None));
            }
            let Some(run) = batch.open_run() else {
                met.expired |= has_any(txn, &batch)?;
                continue;
            };
            if self.at >= self.campaign.terms.expires_at {
                met.expired = true;
                continue;
            }
            match self.next_serial(txn, &batch, run)? {
                Some(next) => return Ok(next),
                None => continue,
            }
        }
        Ok(Next::Nothing(met.refusal()))
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
    let Some((day, code)) = found else { return Ok(None) };
    let located = in_partition(txn, day, &code)?;
    debug_assert!(located.iter().all(|it| at.0 == i64::MIN || is_on_offer(it, at)));
    Ok(located)
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

/// A shared word: `change` is about the user's own coupon of the campaign behind it. Redeem and hold
/// issue one to a user who has none that they can take.
pub(super) fn shared(
    txn: &Txn<'_>,
    supply: &Supply<'_>,
    campaign: &CampaignId,
    change: &Change,
) -> rusqlite::Result<Step> {
    let Some(ask) = SharedAsk::of(change) else { return Ok(Step::decided(Decision::not_found())) };
    match (shared_plan(txn, campaign, &ask, change)?, &ask.issue) {
        (Plan::HandOut(campaign, claim, _), Some(issue)) => {
            hand_out(txn, supply, &campaign, &claim, issue, Some(change), None)
        }
        (Plan::HandOut(..), None) => Ok(Step::decided(Decision::not_found())),
        (Plan::Said(step), _) => Ok(step),
    }
}

/// The answer behind a shared word that writes nothing, as [`issue_without_writing`].
pub(super) fn shared_without_writing(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    change: &Change,
) -> rusqlite::Result<Option<Applied>> {
    match SharedAsk::of(change) {
        Some(ask) => Ok(shared_plan(txn, campaign, &ask, change)?.without_writing()),
        None => Ok(Some(Decision::not_found().applied)),
    }
}

/// What there is to say without handing out another coupon.
fn shared_plan(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    ask: &SharedAsk,
    change: &Change,
) -> rusqlite::Result<Plan> {
    let Some(campaign) = txn.campaign(campaign)? else {
        return Ok(Plan::decided(Decision::not_found()));
    };
    let claim = ClaimRows::read(txn, &campaign, &ask.user)?.count_all(txn, &ask.user, change.at)?;
    Ok(match protocol::shared(ask, change, &claim, CLOCK_BOUND_MS) {
        Some(decision) => Plan::decided(decision),
        None => Plan::HandOut(campaign, claim, None),
    })
}
