//! What every case works with: a store, a router in front of it, names that nobody else uses.
//!
//! A case makes its own campaigns, users, codes and expiry days, so one store can serve all of
//! them, in any order and at the same time.

use std::any::Any;
use std::collections::HashMap;
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::calendar::Zone;
use coupon::campaign::{Batch, BatchKind, Campaign, Handout, MintedRun, Tally};
use coupon::code::{Code, CodeText};
use coupon::coupon::Coupon;
use coupon::ids::{Actor, BatchId, CampaignId, IssueRef, OperationId, OrderRef, UserId};
use coupon::imported::{ImportRun, Standing};
use coupon::minted::CodeKey;
use coupon::refusal::Refusal;
use coupon::time::{DAY_MS, Day, Millis};
use futures::FutureExt;
use hot::{
    Applied, Archive, CLOSED_BOUND_MS, Emptying, Finding, HotStore, ImportLine, ImportOutcome,
    Kept, MintOrder, Named, NewCampaign, Sight,
};
use router::{Found, Router};

/// The moment of every case: noon of 2026-11-20.
pub(crate) const NOW: Millis = Millis(20_777 * DAY_MS + DAY_MS / 2);

pub(crate) const MINUTE: i64 = 60_000;

/// The secret bytes of the keys that mint in the cases; the first is the newest.
pub(crate) const KEYS: [[u8; 16]; 2] = [*b"the suite's key.", *b"one from before."];

pub(crate) fn keys() -> Vec<CodeKey> {
    KEYS.map(CodeKey::new).into()
}

/// How often a case is run in which the cluster itself gave no answer.
const RUNS_MAX: usize = 3;

/// Runs a case; what it said if it failed. One that failed because nodes that nobody had stopped did
/// not answer in time, as on a machine that stalls, shows nothing of couponry: it is run again.
pub(crate) async fn ran(name: &str, case: impl AsyncFn()) -> Result<(), String> {
    let mut runs = 0;
    loop {
        runs += 1;
        let run = AssertUnwindSafe(Box::pin(case())).catch_unwind().await;
        match run.map_err(|panic| said_by(&*panic)) {
            Err(said) if runs < RUNS_MAX && met_silence(&said) => {
                eprintln!("{name}, run again after: {said}");
            }
            run => return run,
        }
    }
}

fn said_by(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn met_silence(said: &str) -> bool {
    let unanswered = [": Unavailable(", ": Unknown("];
    unanswered.iter().any(|value| said.contains(value))
}

pub(crate) struct Kit {
    pub(crate) hot: Arc<dyn HotStore>,
    /// What `hot` asks of cold, and where the kit puts what it archives.
    pub(crate) archive: Arc<MemoryArchive>,
    pub(crate) router: Router,
    run: String,
    next: AtomicU32,
    first_day: i32,
    next_day: AtomicU32,
}

/// A cold tier in memory, which can be out of order and remembers how often it was asked.
#[derive(Default)]
pub(crate) struct MemoryArchive {
    coupons: Mutex<HashMap<(Day, Code), Coupon>>,
    /// The last unit of each shelf.
    units: Mutex<HashMap<Day, u64>>,
    /// The last unit that was asked for.
    unit: AtomicU64,
    is_out: AtomicBool,
    calls: AtomicUsize,
    codes: AtomicUsize,
}

#[async_trait]
impl Archive for MemoryArchive {
    async fn coupons(
        &self,
        day: Day,
        unit: u64,
        codes: &[Code],
    ) -> Result<Vec<Option<Coupon>>, Box<dyn Error + Send + Sync>> {
        self.unit.store(unit, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.codes.fetch_add(codes.len(), Ordering::Relaxed);
        if self.is_out.load(Ordering::Relaxed) {
            return Err("the archive is out of order".into());
        }
        Ok(codes.iter().map(|code| self.coupon(day, code)).collect())
    }
}

impl MemoryArchive {
    /// Keeps a copy without its hold, which has lapsed; of two versions the higher one stays.
    pub(crate) fn keep(&self, day: Day, coupon: &Coupon) {
        let (genesis, events) = (coupon.genesis().clone(), coupon.events().to_vec());
        let copy = Coupon::of(genesis, events, None, coupon.version(), coupon.modified_at());
        let mut coupons = self.coupons.lock().unwrap();
        let here = coupons.entry((day, coupon.code().clone())).or_insert_with(|| copy.clone());
        if here.version() < copy.version() {
            *here = copy;
        } else if here.version() == copy.version() {
            assert_eq!(here, &copy, "what lies in cold is final");
        }
    }

    pub(crate) fn coupon(&self, day: Day, code: &Code) -> Option<Coupon> {
        self.coupons.lock().unwrap().get(&(day, code.clone())).cloned()
    }

    /// Loses a coupon, as no cold tier may.
    pub(crate) fn lose(&self, day: Day, code: &Code) -> Coupon {
        self.coupons.lock().unwrap().remove(&(day, code.clone())).expect("it was there")
    }

    /// Which unit of a shelf was asked for last.
    pub(crate) fn unit_asked(&self) -> u64 {
        self.unit.load(Ordering::Relaxed)
    }

    /// One more unit of a shelf is whole; its number.
    fn commit(&self, day: Day) -> u64 {
        let mut units = self.units.lock().unwrap();
        let unit = units.entry(day).or_default();
        *unit += 1;
        *unit
    }

    /// From now on it does not answer.
    pub(crate) fn goes_out(&self) {
        self.is_out.store(true, Ordering::Relaxed);
    }

    /// From now on it answers.
    pub(crate) fn comes_back(&self) {
        self.is_out.store(false, Ordering::Relaxed);
    }

    /// How often it was asked since this was called last, and for how many codes in all.
    pub(crate) fn asked(&self) -> (usize, usize) {
        (self.calls.swap(0, Ordering::Relaxed), self.codes.swap(0, Ordering::Relaxed))
    }
}

/// What came of a change, without the coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Accepted,
    Replayed,
    Refused(Refusal),
}

pub(crate) fn said(applied: &Applied) -> Said {
    match applied.outcome {
        Outcome::Accepted(_) => Said::Accepted,
        Outcome::Replayed => Said::Replayed,
        Outcome::Refused(refusal) => Said::Refused(refusal),
    }
}

/// The coupon of an answer that has one.
pub(crate) fn of(applied: &Applied) -> &Coupon {
    &applied.sight.as_ref().expect("the answer has a coupon").coupon
}

pub(crate) fn order(text: &str) -> OrderRef {
    text.parse().unwrap()
}

pub(crate) fn reference(text: &str) -> Option<IssueRef> {
    Some(text.parse().unwrap())
}

pub(crate) fn redeem(by: &UserId, at: &str) -> Action {
    Action::Redeem { by: by.clone(), order: order(at) }
}

pub(crate) fn hold(by: &UserId, at: &str, minutes: i64) -> Action {
    Action::Hold { by: by.clone(), order: order(at), until: NOW.plus_ms(minutes * MINUTE) }
}

pub(crate) fn release(at: &str) -> Action {
    Action::Release { order: order(at) }
}

pub(crate) fn cancel(at: &str) -> Action {
    Action::CancelRedemption { order: order(at), reason: "sent back".parse().ok() }
}

pub(crate) fn revoke(user: &UserId) -> Action {
    Action::Revoke { user: user.clone(), reference: None, reason: None }
}

pub(crate) fn void() -> Action {
    Action::Void { reason: "a misprint".parse().ok() }
}

pub(crate) fn extend(expires_at: Millis) -> Action {
    Action::Extend { expires_at, zone: Zone::utc(), reason: None }
}

pub(crate) fn give(to: &UserId, name: Option<IssueRef>) -> Action {
    Action::Issue { to: to.clone(), reference: name, expires_at: None }
}

impl Kit {
    pub(crate) fn new(hot: Arc<dyn HotStore>, archive: Arc<MemoryArchive>) -> Kit {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let run = format!("{:X}", nanos as u64);
        Kit {
            hot,
            archive,
            router: Router::new(keys()),
            run,
            next: AtomicU32::new(0),
            // From 2027 on, eight thousand days to choose from: what an earlier run has left in
            // the same store lies elsewhere.
            first_day: 20_850 + (nanos / 1_000 % 8_000) as i32,
            next_day: AtomicU32::new(0),
        }
    }

    fn number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn user(&self, name: &str) -> UserId {
        format!("{name}:{}:{}", self.run, self.number()).parse().unwrap()
    }

    pub(crate) fn users<const N: usize>(&self) -> [UserId; N] {
        std::array::from_fn(|_| self.user("user"))
    }

    pub(crate) fn batch_id(&self) -> BatchId {
        format!("batch-{}", self.number()).parse().unwrap()
    }

    /// A foreign code: shorter than a minted one, with a character that none of those has.
    pub(crate) fn code(&self) -> Code {
        let run = &self.run[self.run.len().saturating_sub(8)..];
        format!("U{run}U{:X}", self.number()).parse().unwrap()
    }

    /// A day that no other case uses, nor the ten after it: some of them are sealed.
    pub(crate) fn day(&self) -> Day {
        Day(self.first_day + self.next_day.fetch_add(1, Ordering::Relaxed) as i32 * 11)
    }

    /// A campaign for a shop, limit 1, that works from yesterday to the end of a fresh day.
    pub(crate) fn draft(&self) -> Campaign {
        let number = self.number();
        Campaign {
            id: format!("campaign-{}-{number}", self.run).parse().unwrap(),
            name: "A campaign".into(),
            handout: Handout::Shop,
            shared_code: None,
            code_prefix: None,
            valid_from: NOW.plus_ms(-DAY_MS),
            expires_at: self.day().end(),
            zone: Zone::utc(),
            valid_days: None,
            issue_from: None,
            issue_until: None,
            per_user_limit: Some(1),
            cancel_days: 30,
            extend_days: 30,
            paused: false,
            metadata: None,
            created_at: NOW,
        }
    }

    pub(crate) fn order_of(&self, count: u64) -> MintOrder {
        MintOrder { id: self.batch_id(), count, key: self.router.keys()[0].id() }
    }

    pub(crate) async fn create(&self, campaign: &Campaign) {
        let new = NewCampaign {
            campaign: campaign.clone(),
            created_as: "a request".into(),
            first_batch: None,
        };
        let made = self.hot.create_campaign(new).await.unwrap();
        assert!(matches!(made, Named::Created(_)), "{made:?}");
    }

    pub(crate) async fn mint(&self, campaign: &Campaign, count: u64) -> Batch {
        let order = self.order_of(count);
        match self.hot.mint(&campaign.id, order, NOW).await.unwrap() {
            Named::Created(batch) => batch,
            other => panic!("{other:?}"),
        }
    }

    /// Makes the campaign with `stock` minted coupons; their codes.
    pub(crate) async fn stocked(&self, campaign: &Campaign, stock: u64) -> Vec<Code> {
        self.create(campaign).await;
        let batch = self.mint(campaign, stock).await;
        self.codes(&batch)
    }

    pub(crate) fn codes(&self, batch: &Batch) -> Vec<Code> {
        let run = run_of(batch);
        (0..run.count).map(|offset| self.code_at(&run, offset)).collect()
    }

    pub(crate) fn code_at(&self, run: &MintedRun, offset: u64) -> Code {
        let keys = self.router.keys();
        keys.iter().find(|key| key.id() == run.key).unwrap().mint(run.day, run.first + offset)
    }

    pub(crate) async fn find(&self, code: &Code) -> Option<Found> {
        let text: CodeText = code.as_str().parse().unwrap();
        self.router.find(&text, self.hot.as_ref()).await.unwrap()
    }

    pub(crate) async fn found(&self, code: &Code) -> Found {
        self.find(code).await.unwrap_or_else(|| panic!("{code} is found"))
    }

    pub(crate) async fn see(&self, code: &Code) -> Option<Sight> {
        match self.find(code).await? {
            Found::Coupon(address) => self.hot.read(&address).await.unwrap(),
            Found::Shared { .. } => panic!("{code} is a shared word"),
        }
    }

    pub(crate) async fn coupon(&self, code: &Code) -> Coupon {
        self.see(code).await.unwrap_or_else(|| panic!("{code} is there")).coupon
    }

    pub(crate) fn change(&self, action: Action, asker: Asker, at: Millis) -> Change {
        let operation = OperationId(u128::from(self.number()) + 1);
        Change { action, asker, actor: Actor::new("shop:till-4"), operation, at, if_version: None }
    }

    /// Asks for a change as a shop, at `at`; the answer agrees with what is read afterwards.
    pub(crate) async fn at(&self, at: Millis, code: &Code, action: Action) -> Applied {
        let found = self.found(code).await;
        let change = self.change(action, Asker::Shop, at);
        let rehearsed = self.hot.rehearse(&found, change.clone()).await.unwrap();
        let applied = self.hot.apply(&found, change).await.unwrap();
        assert_eq!(rehearsed, applied, "what is rehearsed is what happens");
        self.agrees(&applied).await;
        applied
    }

    pub(crate) async fn ask(&self, code: &Code, action: Action) -> Applied {
        self.at(NOW, code, action).await
    }

    pub(crate) async fn said(&self, code: &Code, action: Action) -> Said {
        said(&self.ask(code, action).await)
    }

    /// Asks for a change that is accepted; the coupon after it.
    pub(crate) async fn done(&self, code: &Code, action: Action) -> Coupon {
        let applied = self.ask(code, action.clone()).await;
        assert_eq!(said(&applied), Said::Accepted, "{action:?}");
        of(&applied).clone()
    }

    pub(crate) async fn agrees(&self, applied: &Applied) {
        if let Outcome::Accepted(after) = &applied.outcome {
            assert_eq!(of(applied), after.as_ref());
        }
        if let Some(sight) = &applied.sight {
            let read = self.see(sight.coupon.code()).await.expect("what was answered is there");
            assert_eq!(&read, sight, "what is answered is what is kept");
        }
    }

    pub(crate) async fn issue_at(
        &self,
        at: Millis,
        campaign: &CampaignId,
        to: &UserId,
        name: Option<IssueRef>,
    ) -> Applied {
        let change = self.change(give(to, name), Asker::Shop, at);
        self.hot.issue(campaign, change).await.unwrap()
    }

    pub(crate) async fn issue(
        &self,
        campaign: &Campaign,
        to: &UserId,
        name: Option<IssueRef>,
    ) -> Applied {
        let applied = self.issue_at(NOW, &campaign.id, to, name).await;
        self.agrees(&applied).await;
        applied
    }

    /// Issues a coupon to `to`; its code.
    pub(crate) async fn issued(&self, campaign: &Campaign, to: &UserId, name: &str) -> Code {
        let applied = self.issue(campaign, to, reference(name)).await;
        assert_eq!(said(&applied), Said::Accepted);
        assert_eq!(of(&applied).holder(), Some(to));
        of(&applied).code().clone()
    }

    pub(crate) async fn open_import(&self, campaign: &Campaign) -> BatchId {
        let id = self.batch_id();
        let opened = self.hot.open_import(&campaign.id, &id, NOW).await.unwrap();
        assert!(matches!(opened, Named::Created(_)), "{opened:?}");
        id
    }

    pub(crate) fn line(&self, campaign: &Campaign, code: &Code, standing: Standing) -> ImportLine {
        ImportLine {
            code: code.clone(),
            valid_from: campaign.valid_from,
            expires_at: campaign.expires_at,
            standing,
        }
    }

    pub(crate) fn import_run(&self) -> ImportRun {
        let operation = OperationId(u128::from(self.number()) + 1);
        ImportRun { actor: Actor::new("admin:import"), operation, at: NOW }
    }

    pub(crate) async fn import(
        &self,
        campaign: &Campaign,
        batch: &BatchId,
        lines: Vec<ImportLine>,
    ) -> Vec<ImportOutcome> {
        self.hot.import(&campaign.id, batch, lines, self.import_run()).await.unwrap()
    }

    /// Imports `count` available coupons of the campaign's dates; their codes.
    pub(crate) async fn imported(&self, campaign: &Campaign, count: usize) -> Vec<Code> {
        let batch = self.open_import(campaign).await;
        let codes: Vec<Code> = (0..count).map(|_| self.code()).collect();
        let line = |code| self.line(campaign, code, Standing::Available);
        let outcomes = self.import(campaign, &batch, codes.iter().map(line).collect()).await;
        assert!(outcomes.iter().all(|it| *it == ImportOutcome::Imported), "{outcomes:?}");
        codes
    }

    pub(crate) async fn tally(&self, campaign: &Campaign) -> Tally {
        self.hot.campaign(&campaign.id, NOW).await.unwrap().expect("the campaign is there").tally
    }

    /// The first instant at which a shelf may be sealed.
    pub(crate) async fn time_to_seal(&self, day: Day) -> Millis {
        self.hot.shelf(day).await.unwrap().expect("the day has a plan").seal_after.plus_ms(1)
    }

    /// What the compactor does with closed coupons, a few at a time; how many it was.
    pub(crate) async fn archive_closed(&self, day: Day, now: Millis) -> u64 {
        let mut retired = 0;
        loop {
            let now = now.plus_ms(CLOSED_BOUND_MS);
            let codes = self.hot.closed_codes(day, now, 7).await.unwrap();
            if codes.is_empty() {
                return retired;
            }
            let coupons = self.hot.closed_coupons(day, codes, now).await.unwrap();
            coupons.iter().for_each(|coupon| self.archive.keep(day, coupon));
            let unit = self.archive.commit(day);
            let copied = coupons.iter().map(|it| (it.code().clone(), it.version())).collect();
            let some = self.hot.retire(day, copied).await.unwrap();
            assert_eq!(some, coupons.len() as u64, "what is closed does not change any more");
            retired += some;
            self.hot.finish_unit(day, unit, false).await.unwrap();
        }
    }

    /// What the compactor does with a shelf whose time is over; how many rows and stubs it had.
    pub(crate) async fn archive_shelf(&self, day: Day, now: Millis) -> u64 {
        assert!(self.hot.seal(day, now).await.unwrap(), "its time is over");
        self.copy_kept(day, 3).await;
        let unit = self.archive.commit(day);
        let mut emptying = Emptying::default();
        while let Some(further) = self.hot.remove_kept(day, emptying.clone()).await.unwrap() {
            emptying = further;
        }
        self.hot.finish_unit(day, unit, true).await.unwrap();
        emptying.removed
    }

    /// Copies a sealed shelf page by page; the codes in the order in which they came.
    pub(crate) async fn copy_kept(&self, day: Day, page: usize) -> Vec<Code> {
        let mut codes: Vec<Code> = Vec::new();
        loop {
            let kept = self.hot.kept(day, codes.last().cloned(), page).await.unwrap();
            assert!(kept.len() <= page);
            if kept.is_empty() {
                return codes;
            }
            for kept in kept {
                match &kept {
                    Kept::Coupon(coupon) => self.archive.keep(day, coupon),
                    Kept::Stub { code, version } => {
                        let copied = self.archive.coupon(day, code).expect("a stub has its coupon");
                        assert_eq!(copied.version(), *version);
                    }
                }
                codes.push(kept.code().clone());
            }
        }
    }

    /// Nothing in the store contradicts itself.
    pub(crate) async fn is_sound(&self) {
        for finding in self.hot.examine().await.unwrap() {
            assert!(matches!(finding, Finding::Sound(_)), "{finding:?}");
        }
    }
}

pub(crate) fn run_of(batch: &Batch) -> MintedRun {
    match batch.kind {
        BatchKind::Minted(run) => run,
        BatchKind::Imported => panic!("{batch:?} is minted"),
    }
}

/// To `days` days past the campaign's own end.
pub(crate) fn extend_days(campaign: &Campaign, days: u16) -> Action {
    extend(campaign.expires_at.plus_days(days))
}
