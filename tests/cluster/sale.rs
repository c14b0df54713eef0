//! The sale: campaigns with less stock than demand, the users who want it, and the faults.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Answer, Client, Dice, Lost, at_once};
use super::data::{PATIENCE, wait_until};
use super::services::{Caller, Services, until_good};

/// The last day of every coupon, and a later one: in another partition.
const LAST_DAY: &str = "2031-12-31";
const LATER_DAY: &str = "2032-02-29";

/// Pause after a request of which nothing came, before its repeat.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// Pause between two actions of the admin.
const ADMIN_EVERY: Duration = Duration::from_millis(60);

/// The admin revokes and extends more coupons than this.
pub(super) const CHANGED: usize = 20;

/// One of this many requests is sent twice, by two clients.
const TWICE_EVERY: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Minted,
    Imported,
    /// With a shared code. Its coupons are redeemed at once.
    Shared,
}

/// A campaign, and the demand for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Campaign {
    pub(super) id: &'static str,
    pub(super) kind: Kind,
    pub(super) stock: usize,
    pub(super) limit: usize,
    pub(super) users: usize,
    /// Requests of one user, each with its own name.
    pub(super) references: usize,
}

impl Campaign {
    fn word(&self) -> String {
        format!("WORD{}", self.id.to_ascii_uppercase())
    }

    /// Creates it. Returns the codes that can be known.
    pub(super) fn make(&self, admin: &mut Client) -> Vec<String> {
        let Campaign { id, kind, stock, limit, .. } = self;
        let mut body = json!({"campaign_id": id, "expires_on": LAST_DAY, "per_user_limit": limit});
        match kind {
            Kind::Minted => body["stock"] = json!(stock),
            Kind::Imported => {}
            Kind::Shared => {
                body["stock"] = json!(stock);
                body["handout"] = json!("shared");
                body["shared_code"] = json!(self.word());
            }
        }
        until_good(admin, "/v1/campaigns", Some(&body));
        if *kind == Kind::Imported {
            let codes: Vec<String> =
                (0..*stock).map(|nth| format!("OLD{}{nth:06}", id.to_ascii_uppercase())).collect();
            let path = format!("/v1/campaigns/{id}/batches?batch_id=old");
            let mut batch = Value::Null;
            wait_until("an import", || {
                let lines = codes.iter().map(|code| format!("{code}\n"));
                let file = std::iter::once("code\n".to_owned()).chain(lines);
                let answer = admin.upload(&path, file, None).expect("uploaded").expect("an answer");
                assert!(answer.is_good() || answer.status == 503, "{}", answer.text());
                batch = answer.json();
                answer.is_good()
            });
            let count = |name: &str| batch[name].as_u64().unwrap_or(0);
            let imported = count("imported") + count("already_there");
            assert_eq!(imported, *stock as u64, "{batch}");
            return codes;
        }
        self.untouched(admin)
    }

    /// Untouched minted codes.
    pub(super) fn untouched(&self, admin: &mut Client) -> Vec<String> {
        let path = format!("/v1/campaigns/{}/codes", self.id);
        let codes = until_good(admin, &path, None).text();
        codes.lines().skip(1).map(plain).collect()
    }

    pub(super) fn request(&self, user: &str, reference: usize) -> (String, Value) {
        let mut body = json!({"user_id": user});
        if self.kind == Kind::Shared {
            body["order_ref"] = json!(format!("o{reference}"));
            return (format!("/v1/coupons/{}/redeem", self.word()), body);
        }
        if self.limit > 1 {
            body["issue_ref"] = json!(format!("r{reference}"));
        }
        (format!("/v1/campaigns/{}/issue", self.id), body)
    }
}

/// A code without its hyphens.
pub(super) fn plain(code: &str) -> String {
    code.replace('-', "").to_ascii_uppercase()
}

/// A request for a coupon.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) campaign: usize,
    pub(super) user: String,
    pub(super) reference: usize,
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) ask: Ask,
    /// The start of its first try, and of the answered one.
    pub(super) first: Instant,
    pub(super) begun: Instant,
    pub(super) ended: Instant,
    /// The coupon, or the code of the refusal.
    pub(super) answer: Result<String, String>,
}

/// A revoke.
#[derive(Clone, Debug)]
pub(super) struct Revoked {
    pub(super) code: String,
    pub(super) user: String,
    pub(super) begun: Instant,
    pub(super) ended: Instant,
    /// Whether it was acknowledged. If not, it may have happened.
    pub(super) is_certain: bool,
}

/// The record of the run.
#[derive(Default)]
pub(super) struct Story {
    pub(super) asked: Vec<Asked>,
    pub(super) revoked: Vec<Revoked>,
    pub(super) extended: usize,
    /// Tries of which nothing came, and the obstacle.
    pub(super) lost: BTreeMap<String, usize>,
}

/// A running sale.
pub(super) struct Sale<'a> {
    campaigns: &'a [Campaign],
    demand: Vec<Ask>,
    next: AtomicUsize,
    done: AtomicUsize,
    /// The percentage of the requests at which the clients wait for the next fault.
    limit: AtomicUsize,
    over: AtomicBool,
    lost: Mutex<BTreeMap<String, usize>>,
    given: Mutex<Vec<(Ask, String)>>,
}

impl<'a> Sale<'a> {
    pub(super) fn new(campaigns: &'a [Campaign], seed: u64) -> Sale<'a> {
        let mut demand = Vec::new();
        for (campaign, of) in campaigns.iter().enumerate() {
            for nth in 0..of.users * of.references {
                let (user, reference) = (format!("u{}", nth / of.references), nth % of.references);
                let times = if nth % TWICE_EVERY == 0 { 2 } else { 1 };
                demand.extend(vec![Ask { campaign, user, reference }; times]);
            }
        }
        // All campaigns at the same time. The requests of each are slightly out of order.
        let mut dice = Dice(seed);
        let total = |campaign: usize| demand.iter().filter(|it| it.campaign == campaign).count();
        let totals: Vec<usize> = (0..campaigns.len()).map(total).collect();
        let mut come = vec![0; campaigns.len()];
        let mut keyed: Vec<(u64, Ask)> = demand
            .into_iter()
            .map(|ask| {
                let share = come[ask.campaign] * 1_000_000 / totals[ask.campaign];
                come[ask.campaign] += 1;
                (share as u64 + dice.below(20_000), ask)
            })
            .collect();
        keyed.sort_by_key(|(at, _)| *at);
        Sale {
            campaigns,
            demand: keyed.into_iter().map(|(_, ask)| ask).collect(),
            next: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            lost: Mutex::default(),
            given: Mutex::default(),
        }
    }

    /// Whether this percentage of the requests is answered.
    pub(super) fn has_come_to(&self, percent: usize) -> bool {
        self.done.load(Ordering::Relaxed) * 100 >= self.demand.len() * percent
    }

    /// Lets the clients send this percentage of the requests, and no more.
    pub(super) fn go_on_to(&self, percent: usize) {
        self.limit.store(percent, Ordering::Relaxed);
    }

    /// Sends all requests through `clients`, with an admin and `faults` beside them.
    pub(super) fn run(
        &self,
        clients: usize,
        callers: impl Fn() -> Caller + Sync,
        extensible: &[String],
        faults: impl FnOnce(),
    ) -> Story {
        std::thread::scope(|scope| {
            let admin = scope.spawn(|| self.admin(&mut callers(), extensible));
            let asking = scope.spawn(|| {
                let _over = Over(&self.over);
                at_once(clients, |nth| self.client(&mut callers(), nth))
            });
            faults();
            let asked = asking.join().expect("the clients").into_iter().flatten().collect();
            let (revoked, extended) = admin.join().expect("the admin");
            Story { asked, revoked, extended, lost: self.lost() }
        })
    }

    fn lost(&self) -> BTreeMap<String, usize> {
        self.lost.lock().map(|lost| lost.clone()).unwrap_or_default()
    }

    fn client(&self, caller: &mut Caller, nth: usize) -> Vec<Asked> {
        let mut dice = Dice(nth as u64 + 1);
        let mut all = Vec::new();
        loop {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(ask) = self.demand.get(next) else { break };
            wait_until("the next fault", || {
                next * 100 <= self.demand.len() * self.limit.load(Ordering::Relaxed)
            });
            let asked = self.ask(caller, &mut dice, ask.clone());
            if let Ok(code) = &asked.answer
                && let Ok(mut given) = self.given.lock()
            {
                given.push((asked.ask.clone(), code.clone()));
            }
            all.push(asked);
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        all
    }

    /// Repeats a request until it is answered.
    pub(super) fn ask(&self, caller: &mut Caller, dice: &mut Dice, ask: Ask) -> Asked {
        let (path, body) = self.campaigns[ask.campaign].request(&ask.user, ask.reference);
        let (first, begun, answer) = self.until_answered(caller, dice, &path, &body);
        let ended = Instant::now();
        let answer = match (answer.status, answer.problem()) {
            (200 | 201, _) => Ok(plain(&answer.field("code"))),
            (409, word) => Err(word),
            _ => panic!("{ask:?}: {}", answer.text()),
        };
        Asked { ask, first, begun, ended, answer }
    }

    fn until_answered(
        &self,
        caller: &mut Caller,
        dice: &mut Dice,
        path: &str,
        body: &Value,
    ) -> (Instant, Instant, Answer) {
        let first = Instant::now();
        loop {
            let begun = Instant::now();
            let heard = caller.call(dice.below(2) as usize, path, Some(body));
            let word = match heard {
                Ok(answer) if answer.status != 503 => return (first, begun, answer),
                Ok(answer) => answer.problem(),
                Err(Lost::NotSent(_)) => "not sent".to_owned(),
                Err(Lost::NoAnswer(_)) => "no answer".to_owned(),
            };
            if let Ok(mut lost) = self.lost.lock() {
                *lost.entry(word).or_default() += 1;
            }
            assert!(first.elapsed() < 2 * PATIENCE, "no answer to {path} {body}");
            std::thread::sleep(TRY_AGAIN);
        }
    }

    /// Revokes some issued coupons and extends others to a later partition.
    fn admin(&self, caller: &mut Caller, extensible: &[String]) -> (Vec<Revoked>, usize) {
        let mut dice = Dice(7);
        let (mut revoked, mut extended) = (Vec::new(), 0);
        let begun = Instant::now();
        let are_few = |revoked: usize, extended: usize| {
            (revoked <= CHANGED || extended <= CHANGED) && begun.elapsed() < PATIENCE
        };
        while !self.over.load(Ordering::Relaxed) || are_few(revoked.len(), extended) {
            std::thread::sleep(ADMIN_EVERY);
            let Some((ask, code)) = self.any_given(&mut dice) else { continue };
            let of = &self.campaigns[ask.campaign];
            match dice.below(5) {
                0 | 1 if of.kind != Kind::Shared => {
                    let user = &ask.user;
                    let path = format!("/v1/coupons/{code}/revoke");
                    let body = json!({"user_id": user, "reason": "returned"});
                    let (begun, last, answer) =
                        self.until_answered(caller, &mut dice, &path, &body);
                    assert!(matches!(answer.status, 200 | 201 | 409), "{}", answer.text());
                    // A repeated revoke is refused if another user has the coupon now.
                    let may_be_done = answer.is_good() || begun != last;
                    let (user, is_certain) = (user.clone(), answer.is_good());
                    let ended = Instant::now();
                    revoked.extend(may_be_done.then_some(Revoked {
                        code,
                        user,
                        begun,
                        ended,
                        is_certain,
                    }));
                }
                2 => extended += self.extend(caller, &mut dice, &code),
                _ => {
                    let nth = dice.below(extensible.len() as u64) as usize;
                    extended += self.extend(caller, &mut dice, &extensible[nth]);
                }
            }
        }
        (revoked, extended)
    }

    fn any_given(&self, dice: &mut Dice) -> Option<(Ask, String)> {
        let given = self.given.lock().ok()?;
        let nth = dice.below(given.len().max(1) as u64) as usize;
        given.get(nth).cloned()
    }

    fn extend(&self, caller: &mut Caller, dice: &mut Dice, code: &str) -> usize {
        let path = format!("/v1/coupons/{code}/extend");
        let body = json!({"expires_on": LATER_DAY});
        let (_, _, answer) = self.until_answered(caller, dice, &path, &body);
        assert!(matches!(answer.status, 200 | 201 | 409), "{path}: {}", answer.text());
        usize::from(answer.is_good())
    }

    /// After the sale: new users ask each service until SOLD_OUT.
    pub(super) fn sell_out(&self, services: &Services) -> Vec<Asked> {
        let each = at_once(self.campaigns.len(), |campaign| {
            let mut caller = services.caller();
            let mut dice = Dice(campaign as u64);
            let (mut all, mut refused): (Vec<Asked>, usize) = (Vec::new(), 0);
            for nth in 0.. {
                let (user, reference) = (format!("late{nth}"), 0);
                let asked = self.ask(&mut caller, &mut dice, Ask { campaign, user, reference });
                refused += usize::from(asked.answer.is_err());
                all.push(asked);
                if refused == 6 {
                    break;
                }
            }
            all
        });
        each.into_iter().flatten().collect()
    }
}

/// Stops the admin when the clients end, in any way.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
