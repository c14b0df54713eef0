//! A sale through three processes issues exactly the stock, one coupon to a user. One process is
//! killed while it has leases, one is frozen and resumed. After the sale, SOLD_OUT is fast.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use coupon::apply::{Action, Asker};
use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::coupon::{Coupon, EventKind};
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use futures::future::join_all;
use futures::{StreamExt, stream};
use hot::{Coupons, HotStore};
use router::Found;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::stage::{ChangeResult, StopPoint, TestStage, patiently};
use hot_conformance::kit::{
    ChangeOutcome, NOW, cancel, extend, give, of, order_of, redeem, reference, revoke, said,
};

/// Coupons.
const STOCK: usize = 140;

/// Users who want one.
const USERS: usize = 240;

/// Users who send requests at the same time.
const AT_ONCE: usize = 24;

/// Requests after which one process is killed and another frozen, and after which it is resumed.
const FROZEN_AT: usize = 50;
const THAWED_AT: usize = 130;

/// After this time without an answer a user asks another process.
const PATIENCE: Duration = Duration::from_millis(500);

/// Coupons that are revoked during the sale, and coupons that are extended.
const TAKEN_BACK: usize = 24;
const EXTENDED: usize = 24;

/// Clients of the rush.
const RUSH: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Minted,
    Imported,
    Shared,
}

/// The requests and all their answers.
struct Sale<'a> {
    stage: &'a TestStage,
    kind: Kind,
    campaign: Campaign,
    codes: Vec<Code>,
    word: Option<Found>,
    began: Instant,
    /// When each user sent the first request.
    asked: RefCell<HashMap<UserId, Instant>>,
    /// The spans of all requests with the answer SOLD_OUT.
    sold_out: RefCell<Vec<(Instant, Instant)>>,
    /// When a revoke was acknowledged, by the version of the coupon after it.
    back: RefCell<HashMap<(Code, u64), Instant>>,
    given: RefCell<Vec<(UserId, Code)>>,
    killed: Arc<dyn HotStore>,
    late: RefCell<Vec<(UserId, JoinHandle<ChangeResult>)>>,
}

impl<'a> Sale<'a> {
    async fn of(stage: &'a TestStage, kind: Kind, killed: Arc<dyn HotStore>) -> Sale<'a> {
        let kit = &stage.kit;
        let campaign = match kind {
            Kind::Minted | Kind::Imported => stage.draft(),
            Kind::Shared => Campaign {
                handout: Handout::Shared,
                shared_code: Some(kit.code()),
                ..stage.draft()
            },
        };
        let mut codes = Vec::new();
        match kind {
            Kind::Minted | Kind::Shared => codes = kit.stocked(&campaign, STOCK as u64).await,
            Kind::Imported => {
                kit.create(&campaign).await;
                for _ in 0..4 {
                    codes.extend(kit.imported(&campaign, STOCK / 4).await);
                }
            }
        }
        let word = match &campaign.shared_code {
            Some(word) => Some(kit.found(word).await),
            None => None,
        };
        Sale {
            stage,
            kind,
            campaign,
            codes,
            word,
            began: Instant::now(),
            asked: RefCell::default(),
            sold_out: RefCell::default(),
            back: RefCell::default(),
            given: RefCell::default(),
            killed,
            late: RefCell::default(),
        }
    }

    /// A request in a process, also after its caller gave up.
    fn request(&self, hot: &Arc<dyn HotStore>, user: &UserId) -> JoinHandle<ChangeResult> {
        self.asked.borrow_mut().entry(user.clone()).or_insert_with(Instant::now);
        let hot = Arc::clone(hot);
        let action = match self.kind {
            Kind::Minted | Kind::Imported => give(user, reference("a")),
            Kind::Shared => redeem(user, &order_of(user)),
        };
        let change = self.stage.kit.change(action, Asker::Shop, NOW);
        let (id, word) = (self.campaign.id.clone(), self.word.clone());
        tokio::spawn(async move {
            match &word {
                Some(word) => hot.apply(word, change).await,
                None => hot.issue(&id, change).await,
            }
        })
    }

    /// The last answer to a user. A request without an answer in time continues in `late` if its
    /// process was frozen, and ends if its process was killed.
    async fn buy(&self, hot: &Arc<dyn HotStore>, user: &UserId) -> ChangeOutcome {
        let mut request = self.request(hot, user);
        let began = Instant::now();
        let is_ours = Arc::ptr_eq(hot, &self.stage.kit.hot);
        let answer = match is_ours {
            true => request.await.unwrap(),
            false => match tokio::time::timeout(PATIENCE, &mut request).await {
                Ok(answer) => answer.unwrap(),
                Err(_) => {
                    match Arc::ptr_eq(hot, &self.killed) {
                        true => request.abort(),
                        false => self.late.borrow_mut().push((user.clone(), request)),
                    }
                    return Box::pin(self.buy(&self.stage.kit.hot, user)).await;
                }
            },
        };
        let Ok(applied) = answer else {
            return Box::pin(self.buy(&self.stage.kit.hot, user)).await;
        };
        match said(&applied) {
            ChangeOutcome::Refused(Refusal::SoldOut) => {
                self.sold_out.borrow_mut().push((began, Instant::now()));
            }
            ChangeOutcome::Refused(_) => {}
            ChangeOutcome::Accepted | ChangeOutcome::Replayed => {
                let code = of(&applied).code().clone();
                self.given.borrow_mut().push((user.clone(), code));
            }
        }
        said(&applied)
    }

    async fn change(&self, code: &Code, action: Action) -> Option<Coupon> {
        let kit = &self.stage.kit;
        let ask = async || {
            let found = kit.found(code).await;
            kit.hot.apply(&found, kit.change(action.clone(), Asker::Shop, NOW)).await
        };
        let applied = patiently(ask).await;
        (said(&applied) == ChangeOutcome::Accepted).then(|| of(&applied).clone())
    }

    /// Revokes coupons that were issued and extends others, some to a later partition.
    async fn meddle(&self, is_over: &Cell<bool>) {
        let (mut taken, mut extended) = (0, 0);
        while !is_over.get() && (taken < TAKEN_BACK || extended < EXTENDED) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let one = self.given.borrow().get(taken * 2).cloned();
            if let Some((user, code)) = one.filter(|_| taken < TAKEN_BACK) {
                taken += 1;
                self.change(&code, cancel(&order_of(&user))).await;
                if let Some(coupon) = self.change(&code, revoke(&user)).await {
                    self.back.borrow_mut().insert((code, coupon.version()), Instant::now());
                }
            }
            if extended < EXTENDED {
                let code = &self.codes[STOCK - 1 - extended * 3];
                let to = match extended % 3 {
                    0 => self.campaign.expires_at.plus_ms(1),
                    _ => self.campaign.expires_at.plus_days(2),
                };
                self.change(code, extend(to)).await;
                extended += 1;
            }
        }
    }

    async fn coupons(&self) -> Vec<Coupon> {
        let reads = self.codes.iter().map(|code| self.stage.kit.coupon(code));
        stream::iter(reads).buffer_unordered(AT_ONCE).collect().await
    }

    /// SOLD_OUT was never answered while a coupon was available from the start of the request to
    /// its end.
    fn was_sold_out_when_it_was_said(&self, coupons: &[Coupon]) {
        let asked = self.asked.borrow();
        for coupon in coupons {
            let mut free_since = Some(self.began);
            for (at, event) in (1_u64..).zip(coupon.events()) {
                match &event.kind {
                    EventKind::Issued { to, .. } => {
                        let until = asked[to];
                        if let Some(since) = free_since.take() {
                            for (from, to) in &*self.sold_out.borrow() {
                                let lied = since < *from && *to < until;
                                assert!(
                                    !lied,
                                    "SOLD_OUT was answered while {coupon:?} was available"
                                );
                            }
                        }
                    }
                    // Each event is a version, because there are no holds.
                    EventKind::Revoked { .. } => {
                        let code = coupon.code().clone();
                        free_since = self.back.borrow().get(&(code, at)).copied();
                    }
                    _ => {}
                }
            }
            assert!(coupon.holder().is_some(), "SOLD_OUT in the end, and {coupon:?} is available");
        }
    }
}

async fn exactly(stage: &TestStage, kind: Kind) {
    let (killed, frozen) = tokio::join!(stage.process(), stage.process());
    let sale = Sale::of(stage, kind, killed.hot.clone()).await;
    let ours = &stage.kit.hot;
    let hots: [Arc<dyn HotStore>; 3] = [killed.hot.clone(), frozen.hot.clone(), ours.clone()];
    let number = Cell::new(0);
    let ask = async |at: usize| {
        let asked = number.replace(number.get() + 1);
        if asked == FROZEN_AT {
            killed.hand.stop_now();
            frozen.hand.stop_now();
        }
        if asked == THAWED_AT {
            frozen.hand.let_go();
        }
        sale.buy(&hots[at % 3], &stage.kit.user("user")).await
    };
    let is_over = Cell::new(false);
    let (answers, ()) = tokio::join!(
        async {
            let asks = stream::iter(0..USERS).map(ask).buffer_unordered(AT_ONCE);
            let answers: Vec<ChangeOutcome> = asks.collect().await;
            is_over.set(true);
            answers
        },
        sale.meddle(&is_over)
    );
    // The resumed process answers its old requests now. The answers are true.
    for (user, request) in sale.late.take() {
        if let Ok(applied) = request.await.unwrap()
            && applied.snapshot.is_some()
        {
            let now = stage.kit.coupon(of(&applied).code()).await;
            assert!(now.events().starts_with(of(&applied).events()), "{applied:?}: {now:?}");
            sale.given.borrow_mut().push((user, now.code().clone()));
        }
    }
    // Later requests get the revoked coupons until none is left.
    let mut more = 0;
    let sold_out = ChangeOutcome::Refused(Refusal::SoldOut);
    while let last = sale.buy(ours, &stage.kit.user("late")).await
        && last != sold_out
    {
        assert_eq!(last, ChangeOutcome::Accepted);
        more += 1;
    }
    let coupons = sale.coupons().await;
    sale.was_sold_out_when_it_was_said(&coupons);
    let mut holders: BTreeMap<&UserId, usize> = BTreeMap::new();
    for coupon in &coupons {
        *holders.entry(coupon.holder().unwrap()).or_default() += 1;
    }
    assert_eq!(holders.len(), STOCK, "one each: {holders:?}");
    let told = answers.iter().filter(|it| !matches!(it, ChangeOutcome::Refused(_))).count();
    let back = sale.back.borrow().len();
    assert!(answers.iter().all(|it| !matches!(it, ChangeOutcome::Refused(_)) || *it == sold_out));
    eprintln!("exactly {STOCK}, {kind:?}: {told} at first, {back} revoked, {more} afterwards");
    for (user, code) in &*sale.given.borrow() {
        let coupon = coupons.iter().find(|it| it.code() == code).expect("of this campaign");
        let to_user = |kind: &EventKind| matches!(kind, EventKind::Issued { to, .. } if to == user);
        let times = coupon.events().iter().filter(|event| to_user(&event.kind)).count();
        assert_eq!(times, 1, "{user} got {coupon:?}");
    }
}

pub(crate) async fn minted(stage: &TestStage) {
    exactly(stage, Kind::Minted).await;
}

pub(crate) async fn imported(stage: &TestStage) {
    exactly(stage, Kind::Imported).await;
}

pub(crate) async fn shared(stage: &TestStage) {
    exactly(stage, Kind::Shared).await;
}

/// A thousand clients on a campaign that is sold out share a few walks.
pub(crate) async fn rush_on_an_empty_stock(stage: &TestStage) {
    /// Coupons that a walk reads: a process was revoking them when it was killed.
    const OPEN: usize = 30;
    /// Reads of one client besides a walk: the claim before and after it, and the terms.
    const READS_EACH: u64 = 4;
    /// Walks that a rush may need. Each reads all open coupons twice.
    const WALKS_MAX: u64 = 20;
    let kit = &stage.kit;
    let dies = stage.process().await;
    let campaign = stage.draft();
    let codes = kit.stocked(&campaign, OPEN as u64).await;
    let ask = async |hot: Arc<dyn HotStore>| {
        let user = kit.user("user");
        let change = kit.change(give(&user, None), Asker::Shop, NOW);
        patiently(async || hot.issue(&campaign.id, change.clone()).await).await
    };
    for _ in 0..OPEN {
        assert_eq!(said(&ask(Arc::clone(&kit.hot)).await), ChangeOutcome::Accepted);
    }
    for code in &codes {
        let (found, holder) = (kit.found(code).await, kit.coupon(code).await.holder().cloned());
        let change = kit.change(revoke(&holder.unwrap()), Asker::Shop, NOW);
        dies.hand.stop(StopPoint::At("IF version = :before"));
        tokio::select! {
            biased;
            revoked = dies.hot.apply(&found, change) => panic!("{revoked:?}"),
            _ = dies.hand.is_stopped() => {}
        }
    }
    let (one, began) = (stage.process().await, Instant::now());
    let before = one.hot.gauge().reads;
    let hot: Arc<dyn HotStore> = one.hot.clone();
    let answers = join_all((0..RUSH).map(|_| ask(Arc::clone(&hot)))).await;
    let reads = one.hot.gauge().reads - before;
    let sold_out = ChangeOutcome::Refused(Refusal::SoldOut);
    assert!(answers.iter().all(|it| said(it) == sold_out));
    eprintln!("a rush of {RUSH}: {:?}, {reads} reads", began.elapsed());
    let most = RUSH as u64 * READS_EACH + WALKS_MAX * 2 * (OPEN as u64 * 2 + 8);
    assert!(reads <= most, "{reads} reads, want at most {most}");
}
