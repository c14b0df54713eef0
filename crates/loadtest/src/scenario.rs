//! The requests of a scenario, and which answers are right.
//!
//! Each sender has a *book*. It chooses the next request and remembers the answers, so it notices at once
//! if a coupon is redeemed twice or issued to two users.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::stock::{self, UserOrder, mixed, shuffled};
use crate::wire::{self, HttpAnswer, ServerAddress};

/// The kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadScenario {
    /// Reads of single coupons
    LookUp,
    /// Redemptions, each coupon once; one in fifty is tried again
    Redeem,
    /// First come, first served from one campaign
    IssueRush,
    /// A shop's day: 70 % look-ups, 15 % issue, 12 % redeem, 2 % cancel, 1 % lists
    Mixed,
    /// The mixed day, with 50 times the rate for ten seconds
    Spike,
    /// Files of coupons
    Import,
    /// The mixed day for a long time, to see whether the times stay the same
    Soak,
}

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallKind {
    /// GET of one coupon.
    LookUp,
    /// The first redeem of a coupon.
    Redeem,
    /// The same redeem again: the answer must be the first one.
    RedeemAgain,
    /// The redeem of another order, which must be refused.
    RedeemByOther,
    /// A coupon for a new user.
    Issue,
    /// An issue for a user who has a coupon: the answer must be the same one.
    IssueAgain,
    /// A redemption is cancelled.
    Cancel,
    /// The coupons of one user.
    List,
}

/// The coupons and the campaign of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunGround {
    /// All coupons, for look-ups.
    pub coupons: Range<u64>,
    /// Their codes if they were minted, or else [`stock::code`].
    pub codes: Option<Arc<Vec<Box<str>>>>,
    /// The positions that are left, of the order in which every run redeems the coupons.
    pub turns: Range<u64>,
    /// The campaign that is issued from, new for this run.
    pub campaign: String,
    /// Its stock.
    pub stock: u64,
    /// How the names of users follow each other.
    pub users: UserOrder,
    /// The first user without a coupon of it.
    pub first_user: u64,
    /// The token of a shop's back end.
    pub token: String,
    /// Whether answers are checked.
    pub checked: bool,
}

/// What an answer is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerVerdict {
    /// The expected answer.
    Right,
    /// The server refused, and no coupon changed.
    Refused(String),
    /// An answer that must never happen.
    Wrong(String),
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadRequest {
    /// Its kind.
    pub kind: CallKind,
    /// The coupon, or the user who takes one.
    number: u64,
    /// The code that the user has.
    code: Option<Box<str>>,
}

/// One in this many requests is sent a second time.
const AGAIN_ONE_IN: u64 = 50;

/// How many redeemed coupons and users with coupons are remembered, for repeated requests.
const REMEMBERED: usize = 4_096;

/// The fields of an answer that are checked.
#[derive(Deserialize)]
struct CheckedFields<'a> {
    #[serde(borrow, default)]
    code: Option<&'a str>,
    #[serde(borrow, default)]
    holder: Option<&'a str>,
    #[serde(borrow, default)]
    order_ref: Option<&'a str>,
}

/// The answer to a request with many operations.
#[derive(Deserialize)]
struct BatchFields<'a> {
    #[serde(borrow)]
    results: Vec<BatchResultFields<'a>>,
}

#[derive(Deserialize)]
struct BatchResultFields<'a> {
    status: u16,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// A change, as the path of a call or as an operation among others.
struct LoadOperation<'a> {
    /// What `name` is in, in a path.
    list: &'static str,
    /// The field of `name` in an operation.
    field: &'static str,
    name: Cow<'a, str>,
    action: &'static str,
    body: String,
}

/// One sender's book.
#[derive(Debug)]
pub struct SenderBook {
    ground: Arc<RunGround>,
    target: Arc<ServerAddress>,
    scenario: LoadScenario,
    sender: u64,
    senders: u64,
    random: u64,
    /// Coupons and users taken so far.
    pub(crate) coupons: u64,
    users: u64,
    redeemed: VecDeque<u64>,
    served: VecDeque<(u64, Box<str>)>,
    /// What the campaign issued.
    pub given: IssuedCodes,
}

/// What a first-come campaign issued, by the answers.
#[derive(Debug, Default)]
pub struct IssuedCodes {
    /// The codes.
    pub codes: HashSet<Box<str>>,
    /// Requests with an unknown outcome.
    pub unknown: u64,
    /// Users who got SOLD_OUT.
    pub sold_out: u64,
}

impl IssuedCodes {
    /// Adds the coupons of another sender. Returns what is wrong with both together.
    pub fn add(&mut self, other: IssuedCodes) -> Option<String> {
        let both = self.codes.len() + other.codes.len();
        self.codes.extend(other.codes);
        self.unknown += other.unknown;
        self.sold_out += other.sold_out;
        let twice = both - self.codes.len();
        (twice > 0).then(|| format!("{twice} codes were issued to two users"))
    }

    /// What is wrong in the end with a campaign of `stock`.
    pub fn wrong(&self, stock: u64) -> Option<String> {
        let given = self.codes.len() as u64;
        if given > stock {
            return Some(format!("{given} coupons were issued from a stock of {stock}"));
        }
        (self.sold_out > 0 && given + self.unknown < stock)
            .then(|| format!("{} users got SOLD_OUT after {given} of {stock}", self.sold_out))
    }
}

impl LoadScenario {
    /// Whether all its requests are changes, so that many may go in one request.
    pub fn is_of_changes(self) -> bool {
        matches!(self, LoadScenario::Redeem | LoadScenario::IssueRush)
    }
}

impl RunGround {
    fn code(&self, number: u64) -> Cow<'_, str> {
        match &self.codes {
            Some(codes) => Cow::Borrowed(&codes[(number - self.coupons.start) as usize]),
            None => Cow::Owned(stock::code(number)),
        }
    }
}

impl SenderBook {
    /// The book of sender number `sender` of `senders`. No two of them share a coupon.
    pub fn new(
        ground: Arc<RunGround>,
        target: Arc<ServerAddress>,
        scenario: LoadScenario,
        sender: usize,
        senders: usize,
    ) -> SenderBook {
        SenderBook {
            ground,
            target,
            scenario,
            sender: sender as u64,
            senders: senders as u64,
            random: sender as u64,
            coupons: 0,
            users: 0,
            redeemed: VecDeque::new(),
            served: VecDeque::new(),
            given: IssuedCodes::default(),
        }
    }

    /// The next request. None if no coupon is left.
    pub fn choose(&mut self) -> Option<LoadRequest> {
        let dice = self.random();
        match self.scenario {
            LoadScenario::LookUp => Some(self.look_up()),
            LoadScenario::Redeem => self.redeem(dice),
            LoadScenario::IssueRush => Some(self.issue(dice)),
            LoadScenario::Mixed | LoadScenario::Spike | LoadScenario::Soak => match dice % 100 {
                0..70 => Some(self.look_up()),
                70..85 => Some(self.issue(dice / 100)),
                85..97 => self.redeem(dice / 100),
                97..99 => Some(self.cancel()),
                _ => {
                    let number = self.any();
                    Some(LoadRequest { kind: CallKind::List, number, code: None })
                }
            },
            LoadScenario::Import => None,
        }
    }

    fn random(&mut self) -> u64 {
        self.random = mixed(self.random);
        self.random
    }

    /// Any coupon of this run.
    fn any(&mut self) -> u64 {
        let Range { start, end } = self.ground.coupons;
        start + self.random() % (end - start)
    }

    fn look_up(&mut self) -> LoadRequest {
        LoadRequest { kind: CallKind::LookUp, number: self.any(), code: None }
    }

    fn redeem(&mut self, dice: u64) -> Option<LoadRequest> {
        if dice.is_multiple_of(AGAIN_ONE_IN)
            && let Some(number) = self.redeemed.pop_front()
        {
            self.redeemed.push_back(number);
            let same = (dice / AGAIN_ONE_IN).is_multiple_of(2);
            let kind = if same { CallKind::RedeemAgain } else { CallKind::RedeemByOther };
            return Some(LoadRequest { kind, number, code: None });
        }
        let nth = self.coupons * self.senders + self.sender;
        let turn = self.ground.turns.start + nth;
        if turn >= self.ground.turns.end {
            return None;
        }
        self.coupons += 1;
        let Range { start, end } = self.ground.coupons;
        let number = start + shuffled(turn, end - start);
        Some(LoadRequest { kind: CallKind::Redeem, number, code: None })
    }

    fn issue(&mut self, dice: u64) -> LoadRequest {
        if dice.is_multiple_of(AGAIN_ONE_IN)
            && let Some((number, code)) = self.served.pop_front()
        {
            self.served.push_back((number, code.clone()));
            return LoadRequest { kind: CallKind::IssueAgain, number, code: Some(code) };
        }
        let number = self.ground.first_user + self.users * self.senders + self.sender;
        self.users += 1;
        LoadRequest { kind: CallKind::Issue, number, code: None }
    }

    /// If nothing was redeemed yet, a look-up.
    fn cancel(&mut self) -> LoadRequest {
        match self.redeemed.pop_front() {
            Some(number) => LoadRequest { kind: CallKind::Cancel, number, code: None },
            None => self.look_up(),
        }
    }

    /// Writes the request to `to`, after emptying it.
    pub fn write(&self, ask: &LoadRequest, to: &mut Vec<u8>) {
        to.clear();
        match ask.kind {
            CallKind::LookUp => {
                self.get(to, format_args!("GET /v1/coupons/{}", self.ground.code(ask.number)));
            }
            CallKind::List => {
                let user = self.ground.users.user(ask.number);
                self.get(to, format_args!("GET /v1/coupons?user_id={user}"));
            }
            _ => {
                let LoadOperation { list, field: _, name, action, body } = self.operation(ask);
                self.post(to, format_args!("POST /v1/{list}/{name}/{action}"), &body);
            }
        }
    }

    /// Writes changes as the operations of one request to `to`, after emptying it.
    pub fn write_batch(&self, asks: &[LoadRequest], to: &mut Vec<u8>) {
        to.clear();
        let mut body = String::with_capacity(160 * asks.len());
        for ask in asks {
            body.push_str(if body.is_empty() { "{\"operations\":[" } else { "," });
            let LoadOperation { list: _, field, name, action, body: of_call } = self.operation(ask);
            // Writing to a string cannot fail.
            let _ = write!(
                body,
                "{{\"action\":\"{action}\",\"{field}\":\"{name}\",\"body\":{of_call}}}"
            );
        }
        body.push_str("]}");
        self.post(to, format_args!("POST /v1/batch"), &body);
    }

    /// The call of a change.
    fn operation(&self, ask: &LoadRequest) -> LoadOperation<'_> {
        let of_coupon = |action, body| {
            let name = self.ground.code(ask.number);
            LoadOperation { list: "coupons", field: "code", name, action, body }
        };
        let user = || self.ground.users.user(ask.number);
        match ask.kind {
            CallKind::Issue | CallKind::IssueAgain => LoadOperation {
                list: "campaigns",
                field: "campaign_id",
                name: Cow::Borrowed(&self.ground.campaign),
                action: "issue",
                body: format!("{{\"user_id\":\"{}\"}}", user()),
            },
            CallKind::Cancel => {
                let order = order(ask);
                let body = format!("{{\"order_ref\":\"{order}\",\"reason\":\"changed mind\"}}");
                of_coupon("cancel-redemption", body)
            }
            _ => {
                let order = order(ask);
                let body = format!("{{\"user_id\":\"{}\",\"order_ref\":\"{order}\"}}", user());
                of_coupon("redeem", body)
            }
        }
    }

    fn get(&self, to: &mut Vec<u8>, line: std::fmt::Arguments<'_>) {
        wire::head(to, &self.target, &self.ground.token, line, None);
    }

    fn post(&self, to: &mut Vec<u8>, line: std::fmt::Arguments<'_>, body: &str) {
        let kind = ("application/json", body.len());
        wire::head(to, &self.target, &self.ground.token, line, Some(kind));
        to.extend_from_slice(body.as_bytes());
    }

    /// Judges the answer to the operations of one request, each for itself.
    pub fn judge_batch(
        &mut self,
        asks: &[LoadRequest],
        answer: HttpAnswer<'_>,
    ) -> Vec<AnswerVerdict> {
        match serde_json::from_slice::<BatchFields<'_>>(answer.body) {
            Ok(seen) if answer.status == 200 && seen.results.len() == asks.len() => {
                let each = asks.iter().zip(&seen.results).map(|(ask, result)| {
                    let body = result.body.get().as_bytes();
                    self.judge(ask, HttpAnswer { status: result.status, body })
                });
                each.collect()
            }
            _ => asks.iter().map(|ask| self.judge(ask, answer)).collect(),
        }
    }

    /// Judges the answer to `ask`, and records it in the book.
    pub fn judge(&mut self, ask: &LoadRequest, answer: HttpAnswer<'_>) -> AnswerVerdict {
        if !self.ground.checked {
            return match answer.status {
                200..300 => AnswerVerdict::Right,
                status => AnswerVerdict::Refused(status.to_string()),
            };
        }
        if !(200..300).contains(&answer.status) {
            return self.judge_refusal(ask, answer);
        }
        let wrong = |what: &str| {
            let text = String::from_utf8_lossy(answer.body);
            AnswerVerdict::Wrong(format!("{what}: {:?} was answered {} {text}", ask, answer.status))
        };
        let seen = match serde_json::from_slice::<CheckedFields<'_>>(answer.body) {
            Ok(seen) => seen,
            Err(error) => return wrong(&error.to_string()),
        };
        let is_mine = |code: &str| seen.code.is_some_and(|seen| bare(seen) == bare(code));
        match (ask.kind, answer.status) {
            (CallKind::LookUp, 200) => {
                let mine = self.ground.code(ask.number);
                let right =
                    seen.holder == Some(&self.ground.users.user(ask.number)) && is_mine(&mine);
                if right { AnswerVerdict::Right } else { wrong("another coupon") }
            }
            (CallKind::List, 200) => AnswerVerdict::Right,
            (CallKind::Redeem, 201) => match seen.order_ref == Some(&order(ask)) {
                true => {
                    remember(&mut self.redeemed, ask.number);
                    AnswerVerdict::Right
                }
                false => wrong("redeemed for another order"),
            },
            (CallKind::Redeem, 200) => wrong("redeemed before this run (see --first and --used)"),
            (CallKind::RedeemAgain, 200) => match seen.order_ref == Some(&order(ask)) {
                true => AnswerVerdict::Right,
                false => wrong("another redemption"),
            },
            (CallKind::RedeemAgain | CallKind::RedeemByOther, _) => wrong("REDEEMED TWICE"),
            (CallKind::Cancel, 200) => AnswerVerdict::Right,
            (CallKind::Issue, 201) => {
                let Some(code) = seen.code else { return wrong("no code") };
                if seen.holder.is_some_and(|holder| holder != self.ground.users.user(ask.number)) {
                    return wrong("issued to another user");
                }
                if !self.given.codes.insert(code.into()) {
                    return wrong("GIVEN TO TWO USERS");
                }
                remember(&mut self.served, (ask.number, code.into()));
                AnswerVerdict::Right
            }
            (CallKind::IssueAgain, 200) => match seen.code == ask.code.as_deref() {
                true => AnswerVerdict::Right,
                false => wrong("the user has another coupon"),
            },
            _ => wrong("no such answer is due"),
        }
    }

    fn judge_refusal(&mut self, ask: &LoadRequest, answer: HttpAnswer<'_>) -> AnswerVerdict {
        let seen = serde_json::from_slice::<CheckedFields<'_>>(answer.body).ok();
        let code = seen.and_then(|seen| seen.code).unwrap_or("no problem document");
        match (ask.kind, answer.status, code) {
            (CallKind::RedeemByOther, 409, "ALREADY_REDEEMED") => AnswerVerdict::Right,
            (CallKind::Issue, 409, "SOLD_OUT") => {
                self.given.sold_out += 1;
                AnswerVerdict::Right
            }
            // Come again later, or slower: no coupon has changed, or the server says that it does
            // not know.
            (_, 408 | 429 | 500.., _) => {
                self.lost(ask, code == "OUTCOME_UNKNOWN");
                AnswerVerdict::Refused(format!("{} {code}", answer.status))
            }
            _ => {
                let text = String::from_utf8_lossy(answer.body);
                AnswerVerdict::Wrong(format!("{ask:?} was answered {} {text}", answer.status))
            }
        }
    }

    /// Records a request without an answer.
    pub fn unanswered(&mut self, ask: &LoadRequest) {
        self.lost(ask, true);
    }

    fn lost(&mut self, ask: &LoadRequest, is_unknown: bool) {
        if ask.kind == CallKind::Issue && is_unknown {
            self.given.unknown += 1;
        }
    }
}

/// The order that redeems the coupon, or another one that is too late.
fn order(ask: &LoadRequest) -> String {
    let attempt = if ask.kind == CallKind::RedeemByOther { 2 } else { 1 };
    format!("o{}-{attempt}", ask.number)
}

/// A code without hyphens.
fn bare(code: &str) -> String {
    code.chars().filter(|it| *it != '-').collect()
}

fn remember<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == REMEMBERED {
        list.pop_front();
    }
    list.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(scenario: LoadScenario) -> SenderBook {
        let ground = RunGround {
            coupons: 10..1_020,
            codes: None,
            turns: 10..1_010,
            campaign: "c".into(),
            stock: 5,
            users: UserOrder::Ascending,
            first_user: 0,
            token: "t".into(),
            checked: true,
        };
        let target = "http://127.0.0.1:1".parse().expect("a target");
        SenderBook::new(Arc::new(ground), Arc::new(target), scenario, 0, 1)
    }

    fn ask(kind: CallKind) -> LoadRequest {
        LoadRequest { kind, number: 7, code: Some("CODE".into()) }
    }

    #[test]
    fn verdicts() {
        let mine = format!(
            "{{\"code\":\"{}\",\"holder\":\"{}\"}}",
            stock::code(7),
            UserOrder::Ascending.user(7)
        );
        let done = "{\"order_ref\":\"o7-1\"}";
        let other = "{\"order_ref\":\"o7-2\"}";
        let problem = |code: &str| format!("{{\"code\":\"{code}\"}}");
        let (right, wrong, refused) = ("right", "wrong", "refused");
        let rows: [(CallKind, u16, &str, &str); 22] = [
            (CallKind::LookUp, 200, &mine, right),
            (CallKind::LookUp, 200, "{\"code\":\"X\",\"holder\":\"u0000000007\"}", wrong),
            (CallKind::LookUp, 404, &problem("NOT_FOUND"), wrong),
            (CallKind::LookUp, 503, &problem("STORE_UNAVAILABLE"), refused),
            (CallKind::Redeem, 201, done, right),
            (CallKind::Redeem, 201, other, wrong),
            (CallKind::Redeem, 200, done, wrong),
            (CallKind::Redeem, 409, &problem("ALREADY_REDEEMED"), wrong),
            (CallKind::Redeem, 429, &problem("TOO_MANY"), refused),
            (CallKind::RedeemAgain, 200, done, right),
            (CallKind::RedeemAgain, 201, done, wrong),
            (CallKind::RedeemAgain, 409, &problem("ALREADY_REDEEMED"), wrong),
            (CallKind::RedeemByOther, 409, &problem("ALREADY_REDEEMED"), right),
            (CallKind::RedeemByOther, 201, other, wrong),
            (CallKind::RedeemByOther, 200, other, wrong),
            (CallKind::Issue, 201, "{\"code\":\"NEW\",\"holder\":\"u0000000007\"}", right),
            (CallKind::Issue, 201, "{\"code\":\"NEW\",\"holder\":\"u0000000008\"}", wrong),
            (CallKind::Issue, 409, &problem("SOLD_OUT"), right),
            (CallKind::IssueAgain, 200, "{\"code\":\"CODE\"}", right),
            (CallKind::IssueAgain, 200, "{\"code\":\"OTHER\"}", wrong),
            (CallKind::Cancel, 409, &problem("CANCEL_CLOSED"), wrong),
            (CallKind::List, 200, "<html>", wrong),
        ];
        for (kind, status, body, want) in rows {
            let answer = HttpAnswer { status, body: body.as_bytes() };
            let found = match book(LoadScenario::Mixed).judge(&ask(kind), answer) {
                AnswerVerdict::Right => right,
                AnswerVerdict::Wrong(_) => wrong,
                AnswerVerdict::Refused(_) => refused,
            };
            assert_eq!(found, want, "{kind:?} {status} {body}");
        }
    }

    #[test]
    fn a_code_for_two_users_is_seen() {
        let mut book = book(LoadScenario::IssueRush);
        let answer = HttpAnswer { status: 201, body: b"{\"code\":\"NEW\"}" };
        assert_eq!(book.judge(&ask(CallKind::Issue), answer), AnswerVerdict::Right);
        assert!(matches!(book.judge(&ask(CallKind::Issue), answer), AnswerVerdict::Wrong(_)));
        let mut given =
            IssuedCodes { codes: HashSet::from(["A".into()]), ..IssuedCodes::default() };
        let other = IssuedCodes { codes: HashSet::from(["A".into()]), ..IssuedCodes::default() };
        assert!(given.add(other).is_some());
    }

    #[test]
    fn stocks() {
        let given = |codes: usize, unknown: u64, sold_out: u64| IssuedCodes {
            codes: (0..codes).map(|it| it.to_string().into()).collect(),
            unknown,
            sold_out,
        };
        for (name, given, is_wrong) in [
            ("some", given(3, 0, 0), false),
            ("all", given(5, 0, 9), false),
            ("more than the stock", given(6, 0, 0), true),
            ("SOLD_OUT too early", given(4, 0, 1), true),
            ("perhaps SOLD_OUT", given(4, 1, 1), false),
        ] {
            assert_eq!(given.wrong(5).is_some(), is_wrong, "{name}");
        }
    }

    #[test]
    fn each_coupon_once_and_no_more() {
        let mut book = book(LoadScenario::Redeem);
        let mut numbers = HashSet::new();
        while let Some(ask) = book.choose() {
            assert_eq!(ask.kind, CallKind::Redeem, "nothing was redeemed yet");
            assert!((10..1_020).contains(&ask.number));
            assert!(numbers.insert(ask.number));
        }
        assert_eq!(numbers.len(), 1_000);
    }

    #[test]
    fn a_shops_day() {
        let mut book = book(LoadScenario::Mixed);
        let mut kinds = std::collections::BTreeMap::new();
        for _ in 0..5_000 {
            let ask = book.choose().expect("coupons are left");
            if ask.kind == CallKind::Redeem {
                remember(&mut book.redeemed, ask.number);
            }
            *kinds.entry(ask.kind).or_insert(0_u32) += 1;
        }
        for (kind, percent) in [
            (CallKind::LookUp, 70),
            (CallKind::Issue, 15),
            (CallKind::Redeem, 12),
            (CallKind::Cancel, 2),
            (CallKind::List, 1),
        ] {
            let found = kinds[&kind];
            assert!(found.abs_diff(percent * 50) < 40 + percent * 5, "{kind:?}: {found}");
        }
    }
}
