//! The kit of every case: a store, a router in front of it, and names that no other case uses.
//!
//! A case makes its own campaigns, users, codes and expiry days, so one store can serve all of
//! them, in any order and at the same time.

mod actions;
mod archive;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use coupon::apply::{Action, Asker, Change, Outcome, apply};
use coupon::calendar::Zone;
use coupon::campaign::{Batch, Campaign, CampaignCounts, CampaignWorth, Handout, MintedRun};
use coupon::code::{Code, CodeText};
use coupon::coupon::Coupon;
use coupon::erasure::{Erasure, erased_name};
use coupon::ids::{Actor, BatchId, CampaignId, IssueRef, OperationId, UserId};
use coupon::imported::{ImportRun, ImportedState};
use coupon::minted::CodeKey;
use coupon::time::{DAY_MS, Day, Millis};
use hot::audit::Act;
use hot::{
    Applied, CLOSED_BOUND_MS, CouponSnapshot, Emptying, HotStore, ImportLine, ImportOutcome,
    MintOrder, Named, NewCampaign, Residue,
};
use router::{Found, Router};

pub use actions::{
    ChangeOutcome, all_of, cancel, extend, extend_days, give, hold, of, order, order_of, redeem,
    redeem_worth, reference, release, revoke, run_of, said, void, with_worth,
};
pub use archive::MemoryArchive;

use crate::soundness::{Contradictions, contradictions};

/// The moment of every case: noon of 2026-11-20.
pub const NOW: Millis = Millis(20_777 * DAY_MS + DAY_MS / 2);

/// Who makes campaigns and batches in the cases, at [`NOW`].
pub static ACT: LazyLock<Act> = LazyLock::new(|| Act::of_system("test", NOW));

pub const MINUTE: i64 = 60_000;

/// The secret bytes of the keys that mint in the cases; the first is the newest.
pub const KEYS: [[u8; 16]; 2] = [*b"the suite's key.", *b"one from before."];

pub fn keys() -> Vec<CodeKey> {
    KEYS.map(CodeKey::new).into()
}

pub struct Kit {
    pub hot: Arc<dyn HotStore>,
    /// The cold tier of `hot`; the kit archives into it.
    pub archive: Arc<MemoryArchive>,
    pub router: Router,
    run: String,
    next: AtomicU32,
    first_day: i32,
    next_day: AtomicU32,
    /// Other cases run on the store now.
    pub(crate) is_shared: AtomicBool,
}

impl Kit {
    /// A kit whose names no earlier kit has used in the same store.
    pub fn new(hot: Arc<dyn HotStore>, archive: Arc<MemoryArchive>) -> Kit {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        Kit::numbered(hot, archive, nanos as u64)
    }

    /// A kit whose names follow from `number`: two runs of a case with one number make the same names.
    pub fn numbered(hot: Arc<dyn HotStore>, archive: Arc<MemoryArchive>, number: u64) -> Kit {
        let run = format!("{number:X}");
        Kit {
            hot,
            archive,
            router: Router::new(keys()),
            run,
            next: AtomicU32::new(0),
            // One of eight thousand days from 2027 on: what an earlier run left in the same store is on other days.
            first_day: 20_850 + (number / 1_000 % 8_000) as i32,
            next_day: AtomicU32::new(0),
            is_shared: AtomicBool::new(false),
        }
    }

    fn number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A user who is nobody else. No store may take their name for ASCII.
    pub fn user(&self, name: &str) -> UserId {
        format!("{name}:김철수:{}:{}", self.run, self.number()).parse().unwrap()
    }

    pub fn users<const N: usize>(&self) -> [UserId; N] {
        std::array::from_fn(|_| self.user("user"))
    }

    pub fn batch_id(&self) -> BatchId {
        format!("batch-{}", self.number()).parse().unwrap()
    }

    /// The next erasure of the store.
    pub fn erasure(&self, user: &UserId) -> Erasure {
        let number = u64::from(self.number()) + 1;
        let run = u64::from_str_radix(&self.run, 16).unwrap();
        Erasure { number, user: user.clone(), name: erased_name(run.wrapping_add(number)) }
    }

    /// A foreign code: shorter than a minted one, with a character that no minted code has.
    pub fn code(&self) -> Code {
        let run = &self.run[self.run.len().saturating_sub(8)..];
        format!("U{run}U{:X}", self.number()).parse().unwrap()
    }

    /// A day that no other case uses, like the ten days after it. Some of them are sealed.
    pub fn day(&self) -> Day {
        Day(self.first_day + self.next_day.fetch_add(1, Ordering::Relaxed) as i32 * 11)
    }

    /// A shop campaign with limit 1 that is valid from yesterday to the end of a new day.
    pub fn draft(&self) -> Campaign {
        let number = self.number();
        Campaign {
            id: format!("campaign-{}-{number}", self.run).parse().unwrap(),
            name: "A campaign".into(),
            handout: Handout::Shop,
            shared_code: None,
            code_prefix: None,
            valid_from: NOW.plus_ms(-DAY_MS),
            expires_at: self.day().end(),
            earlier_ends: Vec::new(),
            zone: Zone::utc(),
            valid_days: None,
            issue_from: None,
            issue_until: None,
            per_user_limit: Some(1),
            cancel_days: 30,
            extend_days: 30,
            paused: false,
            metadata: None,
            worth: CampaignWorth::default(),
            created_at: NOW,
        }
    }

    pub fn order_of(&self, count: u64) -> MintOrder {
        MintOrder { id: self.batch_id(), count, key: self.router.keys()[0].id() }
    }

    pub async fn create(&self, campaign: &Campaign) {
        let new = NewCampaign {
            campaign: campaign.clone(),
            created_as: "a request".into(),
            first_batch: None,
        };
        let made = self.hot.create_campaign(new, &ACT).await.unwrap();
        assert!(matches!(made, Named::Created(_)), "{made:?}");
    }

    pub async fn mint(&self, campaign: &Campaign, count: u64) -> Batch {
        let order = self.order_of(count);
        match self.hot.mint(&campaign.id, order, &ACT).await.unwrap() {
            Named::Created(batch) => batch,
            other => panic!("{other:?}"),
        }
    }

    /// Creates the campaign with `stock` minted coupons. Returns their codes.
    pub async fn stocked(&self, campaign: &Campaign, stock: u64) -> Vec<Code> {
        self.create(campaign).await;
        let batch = self.mint(campaign, stock).await;
        self.codes(&batch)
    }

    pub fn codes(&self, batch: &Batch) -> Vec<Code> {
        let run = run_of(batch);
        (0..run.count).map(|offset| self.code_at(&run, offset)).collect()
    }

    pub fn code_at(&self, run: &MintedRun, offset: u64) -> Code {
        let keys = self.router.keys();
        keys.iter().find(|key| key.id() == run.key).unwrap().mint(run.day, run.first + offset)
    }

    pub async fn find(&self, code: &Code) -> Option<Found> {
        let text: CodeText = code.as_str().parse().unwrap();
        self.router.find(&text, self.hot.as_ref()).await.unwrap()
    }

    pub async fn found(&self, code: &Code) -> Found {
        self.find(code).await.unwrap_or_else(|| panic!("{code} is found"))
    }

    pub async fn see(&self, code: &Code) -> Option<CouponSnapshot> {
        match self.find(code).await? {
            Found::Coupon(address) => self.hot.read(&address).await.unwrap(),
            Found::Shared { .. } => panic!("{code} is a shared word"),
        }
    }

    pub async fn coupon(&self, code: &Code) -> Coupon {
        self.see(code).await.unwrap_or_else(|| panic!("{code} is there")).coupon
    }

    pub fn change(&self, action: Action, asker: Asker, at: Millis) -> Change {
        let operation = OperationId(u128::from(self.number()) + 1);
        Change { action, asker, actor: Actor::new("shop:till-4"), operation, at, if_version: None }
    }

    /// Makes a change as a shop at `at`, and checks that a read afterwards agrees with the answer.
    pub async fn at(&self, at: Millis, code: &Code, action: Action) -> Applied {
        let found = self.found(code).await;
        let change = self.change(action, Asker::Shop, at);
        let dry_run = self.hot.dry_run(&found, change.clone()).await.unwrap();
        let applied = self.hot.apply(&found, change).await.unwrap();
        assert_eq!(dry_run, applied, "a dry run predicts the answer");
        self.agrees(&applied).await;
        applied
    }

    pub async fn ask(&self, code: &Code, action: Action) -> Applied {
        self.at(NOW, code, action).await
    }

    pub async fn said(&self, code: &Code, action: Action) -> ChangeOutcome {
        said(&self.ask(code, action).await)
    }

    /// Makes a change that must be accepted. Returns the coupon after it.
    pub async fn done(&self, code: &Code, action: Action) -> Coupon {
        let applied = self.ask(code, action.clone()).await;
        assert_eq!(said(&applied), ChangeOutcome::Accepted, "{action:?}");
        of(&applied).clone()
    }

    /// `coupon` as it becomes by changes that the store does not know.
    pub fn later(&self, campaign: &Campaign, coupon: Coupon, story: &[Action]) -> Coupon {
        let terms = campaign.terms(false, 0);
        story.iter().fold(coupon, |coupon, action| {
            let change = self.change(action.clone(), Asker::Shop, NOW);
            match apply(&coupon, &change, &terms) {
                Outcome::Accepted(after) => *after,
                other => panic!("{action:?}: {other:?}"),
            }
        })
    }

    pub async fn agrees(&self, applied: &Applied) {
        if let Outcome::Accepted(after) = &applied.outcome {
            assert_eq!(of(applied), after.as_ref());
        }
        if let Some(snapshot) = &applied.snapshot {
            let read =
                self.see(snapshot.coupon.code()).await.expect("the coupon of the answer is stored");
            assert_eq!(&read, snapshot, "the answer is the stored coupon");
        }
    }

    pub async fn issue_at(
        &self,
        at: Millis,
        campaign: &CampaignId,
        to: &UserId,
        name: Option<IssueRef>,
    ) -> Applied {
        let change = self.change(give(to, name), Asker::Shop, at);
        self.hot.issue(campaign, change).await.unwrap()
    }

    pub async fn issue(&self, campaign: &Campaign, to: &UserId, name: Option<IssueRef>) -> Applied {
        let applied = self.issue_at(NOW, &campaign.id, to, name).await;
        self.agrees(&applied).await;
        applied
    }

    /// Issues a coupon to `to`. Returns its code.
    pub async fn issued(&self, campaign: &Campaign, to: &UserId, name: &str) -> Code {
        let applied = self.issue(campaign, to, reference(name)).await;
        assert_eq!(said(&applied), ChangeOutcome::Accepted);
        assert_eq!(of(&applied).holder(), Some(to));
        of(&applied).code().clone()
    }

    /// Everything that can happen to a coupon, at [`NOW`]: its holder is first one and then the other user. The
    /// campaign allows to extend it by five days.
    pub async fn every_change(&self, campaign: &Campaign, [ann, bob]: [&UserId; 2]) -> Coupon {
        let code = self.issued(campaign, ann, "first").await;
        self.done(&code, hold(ann, "cart", 10)).await;
        self.done(&code, hold(ann, "cart", 20)).await;
        self.done(&code, release("cart")).await;
        self.done(&code, hold(ann, "cart", 10)).await;
        self.done(&code, redeem_worth(ann, "cart", "KRW 30000 3000")).await;
        // A replay and a refusal tell nothing.
        assert_eq!(self.said(&code, redeem(ann, "cart")).await, ChangeOutcome::Replayed);
        assert!(matches!(self.said(&code, redeem(ann, "other")).await, ChangeOutcome::Refused(_)));
        self.done(&code, cancel("cart")).await;
        self.done(&code, revoke(ann)).await;
        self.done(&code, give(bob, reference("again"))).await;
        self.done(&code, extend_days(campaign, 5)).await;
        self.done(&code, void()).await
    }

    pub async fn open_import(&self, campaign: &Campaign) -> BatchId {
        let id = self.batch_id();
        let opened = self.hot.open_import(&campaign.id, &id, &ACT).await.unwrap();
        assert!(matches!(opened, Named::Created(_)), "{opened:?}");
        id
    }

    pub fn line(
        &self,
        campaign: &Campaign,
        code: &Code,
        imported_state: ImportedState,
    ) -> ImportLine {
        ImportLine {
            code: code.clone(),
            valid_from: campaign.valid_from,
            expires_at: campaign.expires_at,
            imported_state,
        }
    }

    pub fn import_run(&self) -> ImportRun {
        let operation = OperationId(u128::from(self.number()) + 1);
        ImportRun { actor: Actor::new("admin:import"), operation, at: NOW }
    }

    /// Imports lines. A dry run before says how each line ends, if each has its own code.
    pub async fn import(
        &self,
        campaign: &Campaign,
        batch: &BatchId,
        lines: Vec<ImportLine>,
    ) -> Vec<ImportOutcome> {
        let codes: HashSet<&Code> = lines.iter().map(|line| &line.code).collect();
        let told = match codes.len() == lines.len() {
            true => Some(self.dry_run_import(campaign, lines.clone()).await),
            false => None,
        };
        let outcomes = self.import_only(campaign, batch, lines).await;
        assert!(told.as_ref().is_none_or(|told| *told == outcomes), "{told:?}, {outcomes:?}");
        outcomes
    }

    pub async fn dry_run_import(
        &self,
        campaign: &Campaign,
        lines: Vec<ImportLine>,
    ) -> Vec<ImportOutcome> {
        self.hot.dry_run_import(&campaign.id, lines, self.import_run()).await.unwrap()
    }

    /// Imports lines without a dry run, which asks cold too.
    pub async fn import_only(
        &self,
        campaign: &Campaign,
        batch: &BatchId,
        lines: Vec<ImportLine>,
    ) -> Vec<ImportOutcome> {
        self.hot.import(&campaign.id, batch, lines, self.import_run()).await.unwrap()
    }

    /// Imports `count` available coupons with the campaign's dates. Returns their codes.
    pub async fn imported(&self, campaign: &Campaign, count: usize) -> Vec<Code> {
        let batch = self.open_import(campaign).await;
        let codes: Vec<Code> = (0..count).map(|_| self.code()).collect();
        let line = |code| self.line(campaign, code, ImportedState::Available);
        let outcomes = self.import_only(campaign, &batch, codes.iter().map(line).collect()).await;
        assert!(outcomes.iter().all(|it| *it == ImportOutcome::Imported), "{outcomes:?}");
        codes
    }

    pub async fn counts(&self, campaign: &Campaign) -> CampaignCounts {
        self.hot.campaign(&campaign.id, NOW).await.unwrap().expect("the campaign is there").counts
    }

    /// The first instant at which a partition may be sealed.
    pub async fn time_to_seal(&self, day: Day) -> Millis {
        self.hot.partition(day).await.unwrap().expect("the day has a plan").seal_after.plus_ms(1)
    }

    /// Archives closed coupons as the compactor does, a few at a time. Returns how many.
    pub async fn archive_closed(&self, day: Day, now: Millis) -> u64 {
        let mut evicted = 0;
        loop {
            let now = now.plus_ms(CLOSED_BOUND_MS);
            let codes = self.hot.closed_codes(day, now, 7).await.unwrap();
            if codes.is_empty() {
                return evicted;
            }
            let coupons = self.hot.closed_coupons(day, codes, now).await.unwrap();
            coupons.iter().for_each(|coupon| self.archive.keep(day, coupon));
            let archive_commit = self.archive.commit(day);
            let copied = coupons.iter().map(|it| (it.code().clone(), it.version())).collect();
            let some = self.hot.evict(day, copied).await.unwrap();
            assert_eq!(some, coupons.len() as u64, "a closed coupon does not change");
            evicted += some;
            self.hot.finish_archive_commit(day, archive_commit, None).await.unwrap();
        }
    }

    /// Archives a partition whose time is over, as the compactor does. Returns how many rows and
    /// archived markers it had.
    pub async fn archive_partition(&self, day: Day, now: Millis) -> u64 {
        assert!(self.hot.seal(day, now).await.unwrap(), "its time is over");
        self.copy_residue(day, 3).await;
        let archive_commit = self.archive.commit(day);
        let mut emptying = Emptying::default();
        while let Some(further) = self.hot.remove_residue(day, emptying.clone()).await.unwrap() {
            emptying = further;
        }
        self.hot.finish_archive_commit(day, archive_commit, Some(now)).await.unwrap();
        emptying.removed
    }

    /// Copies a sealed partition page by page. Returns the codes in the order of the pages.
    pub async fn copy_residue(&self, day: Day, page: usize) -> Vec<Code> {
        let mut codes: Vec<Code> = Vec::new();
        loop {
            let residue = self.hot.residue(day, codes.last().cloned(), page).await.unwrap();
            assert!(residue.len() <= page);
            if residue.is_empty() {
                return codes;
            }
            for residue in residue {
                match &residue {
                    Residue::Coupon(coupon) => self.archive.keep(day, coupon),
                    Residue::ArchivedMarker { code, version } => {
                        let copied = self
                            .archive
                            .coupon(day, code)
                            .expect("an archived marker has its coupon");
                        assert_eq!(copied.version(), *version);
                    }
                }
                codes.push(residue.code().clone());
            }
        }
    }

    /// Nothing in the store contradicts itself. For cases that have it for themselves: what
    /// another case is amid would look like damage.
    pub async fn is_sound(&self) {
        assert!(!self.is_shared.load(Ordering::Relaxed), "name the case in `run::ALONE`");
        let Contradictions { faults, drifts } = contradictions(&*self.hot).await;
        assert!(faults.is_empty() && drifts.is_empty(), "{faults:#?} {drifts:#?}");
    }
}
