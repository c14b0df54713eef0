//! `kill -9`: an acknowledged change is kept, a refused one never happened, and one without an
//! answer is permanently one or the other. The event feed and the counts say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use serde_json::{Value, json};
use testengines::times;

use super::client::{Client, Dice, Lost, at_once};
use super::data::Data;

/// Kills of a run, and in CI.
const ROUNDS: u64 = 12;
const ROUNDS_IN_CI: u64 = 25;
const CLIENTS: usize = 8;
/// A round is killed after at most this many answers.
const ANSWERS_MAX: u64 = 700;
/// Coupons that all clients of a round try to redeem.
const CONTENDED: usize = 6;
const SEED: u64 = 20_261_120;

/// A change of a coupon: the kind of its event, and the reference.
type Step = (&'static str, String);

/// What a client knows of a coupon that only this client changes.
#[derive(Clone, Debug, Default)]
struct ExpectedCoupon {
    user: String,
    /// The acknowledged changes, in order.
    happened: Vec<Step>,
    /// The changes without an answer.
    perhaps: Option<Step>,
    /// The order that holds it, by the last answer.
    held: Option<String>,
    held_perhaps: bool,
    refused: BTreeSet<String>,
}

impl ExpectedCoupon {
    fn state(&self) -> &'static str {
        match self.happened.last().map(|step| step.0) {
            Some("issued" | "redemption_cancelled" | "extended") => "issued",
            Some("redeemed") => "redeemed",
            Some("voided") => "void",
            other => panic!("no such event: {other:?}"),
        }
    }
}

/// What all clients know of a coupon that all of them want to redeem.
#[derive(Debug, Default)]
struct Contended {
    won: BTreeSet<String>,
    refused: BTreeSet<String>,
    perhaps: BTreeSet<String>,
}

/// The results of one client in a round.
#[derive(Default)]
struct Brought {
    known: BTreeMap<String, ExpectedCoupon>,
    /// An issue without an answer: user and issue_ref.
    issue: Option<(String, String)>,
}

/// One client: a new coupon every few steps, and random changes of it.
struct Player<'a> {
    client: Client,
    dice: Dice,
    name: String,
    contended: &'a [(String, Mutex<Contended>)],
    told: mpsc::Sender<()>,
    brought: Brought,
}

/// What an answer means.
enum Heard {
    Done(Value),
    Refused,
    Unknown,
}

impl Player<'_> {
    fn ask(&mut self, path: &str, body: &Value) -> Heard {
        let heard = loop {
            let heard = self.client.try_call("POST", path, Some(body));
            // Nothing was written, because the store had stalled.
            if !heard.as_ref().is_ok_and(|it| it.problem() == "STORE_UNAVAILABLE") {
                break heard;
            }
        };
        match heard {
            Ok(answer) => {
                // There are enough answers for the kill.
                let _ = self.told.send(());
                match answer.status {
                    200 | 201 => Heard::Done(answer.json()),
                    409 => Heard::Refused,
                    _ => panic!("{path} {body}: {}", answer.text()),
                }
            }
            Err(Lost::NotSent(_) | Lost::NoAnswer(_)) => Heard::Unknown,
        }
    }

    fn play(mut self) -> Brought {
        for nth in 0_u64.. {
            let (user, reference) = (self.name.clone(), format!("{}-{nth}", self.name));
            let body = json!({"user_id": user, "issue_ref": reference});
            let code = match self.ask("/v1/campaigns/kept/issue", &body) {
                Heard::Done(coupon) => coupon["code"].as_str().expect("a code").to_owned(),
                Heard::Refused => panic!("an issue was refused"),
                Heard::Unknown => {
                    self.brought.issue = Some((user, reference));
                    return self.brought;
                }
            };
            let happened = vec![("issued", reference)];
            let known = ExpectedCoupon { user, happened, ..ExpectedCoupon::default() };
            self.brought.known.insert(code.clone(), known);
            for step in 0..self.dice.below(6) {
                if !self.touch(&code, nth, step) || !self.fight(nth, step) {
                    return self.brought;
                }
            }
        }
        unreachable!("a round ends with kill -9")
    }

    /// One change of a coupon of this client. `false` if the service has ended.
    fn touch(&mut self, code: &str, nth: u64, step: u64) -> bool {
        let mut known = self.brought.known[code].clone();
        let name = format!("{nth}.{step}");
        let order = format!("{}/{name}", self.name);
        let live = match known.happened.last() {
            Some(("redeemed", order)) => Some(order.clone()),
            _ => None,
        };
        let (call, body, step): (&str, Value, Option<Step>) = match self.dice.below(8) {
            0..=2 => {
                let body = json!({"user_id": known.user, "order_ref": order});
                ("redeem", body, Some(("redeemed", order.clone())))
            }
            3 => {
                let body = json!({"user_id": known.user, "order_ref": order, "seconds": 86_400});
                ("hold", body, None)
            }
            4 => {
                let order = known.held.clone().unwrap_or(order.clone());
                let body = json!({"user_id": known.user, "order_ref": order});
                ("redeem", body, Some(("redeemed", order)))
            }
            5 | 6 => {
                let order = live.clone().unwrap_or(order.clone());
                let body = json!({"order_ref": order});
                ("cancel-redemption", body, Some(("redemption_cancelled", order)))
            }
            _ => match self.dice.below(2) {
                0 => ("void", json!({"reason": name}), Some(("voided", name))),
                _ => {
                    let body =
                        json!({"expires_on": format!("2032-01-0{}", step + 1), "reason": name});
                    ("extend", body, Some(("extended", name)))
                }
            },
        };
        let replay = step.as_ref().is_some_and(|(kind, order)| match *kind {
            "redeemed" => live.as_ref() == Some(order),
            "voided" => known.happened.last().is_some_and(|last| last.0 == "voided"),
            _ => false,
        });
        let heard = self.ask(&format!("/v1/coupons/{code}/{call}"), &body);
        let gone = matches!(heard, Heard::Unknown);
        if let (Heard::Done(_), Some(held)) = (&heard, &known.held) {
            let by = step.as_ref().map_or(&order, |step| &step.1);
            assert_eq!(by, held, "{code} is held, but {call} {body} was accepted");
        }
        match (heard, step) {
            (Heard::Done(_), None) => known.held = Some(order),
            (Heard::Done(_), Some(_)) if replay => {}
            (Heard::Done(_), Some(step)) => {
                if step.0 != "redemption_cancelled" {
                    known.held = None;
                }
                known.happened.push(step);
            }
            (Heard::Refused, Some((_, order))) => {
                if !known.happened.iter().any(|step| step.1 == order) {
                    known.refused.insert(order);
                }
            }
            (Heard::Refused, None) => {
                known.refused.insert(order);
            }
            (Heard::Unknown, None) => known.held_perhaps = true,
            (Heard::Unknown, Some(step)) => {
                known.held_perhaps = true;
                known.perhaps = Some(step).filter(|_| !replay);
            }
        }
        self.brought.known.insert(code.to_owned(), known);
        !gone
    }

    /// Tries to redeem one of the shared coupons.
    fn fight(&mut self, nth: u64, step: u64) -> bool {
        let (code, contended) = &self.contended[self.dice.below(CONTENDED as u64) as usize];
        let order = format!("{}/fight-{nth}.{step}", self.name);
        let body = json!({"user_id": "crowd", "order_ref": order});
        let heard = self.ask(&format!("/v1/coupons/{code}/redeem"), &body);
        let mut contended = contended.lock().expect("lock");
        match heard {
            Heard::Done(_) => contended.won.insert(order),
            Heard::Refused => contended.refused.insert(order),
            Heard::Unknown => {
                contended.perhaps.insert(order);
                return false;
            }
        };
        true
    }
}

fn events(coupon: &Value) -> Vec<(String, String)> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let events = coupon["events"].as_array().expect("events");
    events.iter().map(|event| (text(event, "kind"), text(event, "reference"))).collect()
}

fn same(events: &[(String, String)], steps: &[Step]) -> bool {
    events.len() == steps.len()
        && events.iter().zip(steps).all(|(event, step)| event.0 == step.0 && event.1 == step.1)
}

/// Reads a coupon after the crash, and resolves the changes without an answer.
fn settle(admin: &mut Client, code: &str, known: &mut ExpectedCoupon, round: u64) {
    let coupon = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
    let found = events(&coupon);
    let perhaps = known.perhaps.take();
    let with: Vec<Step> = known.happened.iter().cloned().chain(perhaps).collect();
    if same(&found, &with) {
        known.happened = with;
    }
    let told = format!("round {round}: {code} has {found:?}, known is {known:?}");
    assert!(same(&found, &known.happened), "{told}");
    assert!(!found.iter().any(|event| known.refused.contains(&event.1)), "refused, yet {told}");
    assert_eq!(coupon["state"], known.state(), "{told}");
    if !known.held_perhaps && known.state() == "issued" {
        let held = known.held.as_ref().map_or(Value::Null, |order| json!(order));
        assert_eq!(coupon["order_ref"], held, "held, {told}");
    }
}

/// State and last event of each coupon, from the list: cheap enough to check all of them each time.
fn check_all(admin: &mut Client, all: &BTreeMap<String, ExpectedCoupon>, round: u64) {
    let mut cursor = String::new();
    let mut seen = 0;
    loop {
        let path = format!("/v1/coupons?campaign_id=kept&limit=1000{cursor}");
        let page = admin.get(&path).must(200).json();
        for coupon in page["data"].as_array().expect("data") {
            let code = coupon["code"].as_str().expect("a code");
            let Some(known) = all.get(code) else {
                panic!("round {round}: nobody issued {coupon}");
            };
            assert_eq!(coupon["state"], known.state(), "round {round}: {coupon}, {known:?}");
            if let Some(("redeemed", order)) = known.happened.last() {
                assert_eq!(coupon["order_ref"], order.as_str(), "round {round}: {coupon}");
            }
            seen += 1;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, all.len(), "round {round}: acknowledged coupons");
}

/// A reader of the event feed, who goes on behind each kill.
#[derive(Default)]
struct Follower {
    cursor: Option<String>,
    names: BTreeSet<String>,
    days: BTreeSet<String>,
    /// The events of each coupon: version, kind, reference.
    told: BTreeMap<String, Vec<(u64, String, String)>>,
}

impl Follower {
    fn follow(&mut self, admin: &mut Client) {
        loop {
            let after = self.cursor.as_ref().map_or(String::new(), |it| format!("&after={it}"));
            let page = admin.get(&format!("/v1/events?limit=1000{after}")).must(200).json();
            for event in page["data"].as_array().expect("events") {
                self.take(event);
            }
            self.cursor = page["next_cursor"].as_str().map(str::to_owned);
            if page["has_more"] == false {
                return;
            }
        }
    }

    fn take(&mut self, event: &Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        assert!(self.names.insert(text(&event["event_id"]).expect("a name")), "twice: {event}");
        self.days.extend(text(&event["at"]).map(|at| at[..10].to_owned()));
        let coupon = &event["coupon"];
        let Some(code) = text(&coupon["code"]) else { return };
        let kind = text(&event["type"]).expect("a type").replace("coupon.", "");
        let fields = ["order_ref", "issue_ref", "revoke_ref", "reason"];
        let reference = fields.iter().find_map(|field| text(&coupon[*field]));
        let version = coupon["version"].as_u64().expect("a version");
        let told = self.told.entry(code).or_default();
        assert!(told.last().is_none_or(|last| last.0 < version), "out of order: {event}");
        told.push((version, kind, reference.unwrap_or_default()));
    }

    /// The events of a coupon as the feed has told them.
    fn of(&self, code: &str) -> Vec<(String, String)> {
        let told = self.told.get(code).into_iter().flatten();
        told.map(|(_, kind, reference)| (kind.clone(), reference.clone())).collect()
    }

    /// The counts by the day have as many as the feed has told.
    fn compare_counts(&self, admin: &mut Client) {
        let (from, to) = (self.days.first().expect("a day"), self.days.last().expect("a day"));
        let counts = admin.get(&format!("/v1/counts?from={from}&to={to}")).must(200).json();
        let days = counts["data"].as_array().expect("days");
        let rows = [
            ("issued", "issued"),
            ("redeemed", "redeemed"),
            ("redemption_cancelled", "redemptions_cancelled"),
        ];
        for (kind, field) in rows {
            let told = self.told.values().flatten().filter(|(_, it, _)| it == kind).count() as u64;
            let counted: u64 = days.iter().filter_map(|day| day[field].as_u64()).sum();
            assert_eq!(counted, told, "{field}");
        }
    }
}

#[test]
fn kill_9_again_and_again() {
    let rounds = times(ROUNDS, ROUNDS_IN_CI);
    let data = Data::new();
    let token = data.token("admin", "root");
    let mut server = data.serve();
    let terms = json!({"campaign_id": "kept", "stock": 1_000_000, "per_user_limit": 100,
        "expires_on": "2031-12-31"});
    let mut admin = server.client(&token);
    admin.post("/v1/campaigns", &terms).must(201);
    let mut all: BTreeMap<String, ExpectedCoupon> = BTreeMap::new();
    let mut dice = Dice(SEED);
    let (mut answered, mut unknown) = (0, 0);
    let mut follower = Follower::default();
    for round in 0..rounds {
        let contended = contended(&mut admin, round);
        let (tell, told) = mpsc::channel();
        let enough = dice.below(ANSWERS_MAX);
        let moment = Duration::from_micros(dice.below(3_000));
        let seeds: Vec<u64> = (0..CLIENTS).map(|_| dice.below(u64::MAX)).collect();
        let (tell, address) = (Mutex::new(Some(tell)), server.address);
        let server_of_round = Mutex::new(Some(server));
        let waiting = Mutex::new(told);
        let killed = AtomicBool::new(false);
        let brought = at_once(CLIENTS + 1, |nth| {
            let tell_mine = tell.lock().expect("lock").clone();
            if nth == CLIENTS {
                let told = waiting.lock().expect("lock");
                for _ in 0..enough {
                    told.recv().expect("clients at work");
                }
                // Not always directly after an answer.
                std::thread::sleep(moment);
                killed.store(true, Ordering::SeqCst);
                server_of_round.lock().expect("lock").take().expect("a server").kill();
                return Brought::default();
            }
            let told = tell_mine.expect("a sender");
            let name = format!("r{round}c{nth}");
            let client = Client::new(address, &token);
            let dice = Dice(seeds[nth]);
            let brought = Brought::default();
            let player = Player { client, dice, name, contended: &contended, told, brought };
            let brought = player.play();
            assert!(killed.load(Ordering::SeqCst), "an answer was lost before the kill");
            brought
        });
        drop(tell.lock().expect("lock").take());
        answered += waiting.lock().expect("lock").iter().count() as u64 + enough;
        server = data.serve();
        admin = server.client(&token);
        for mut brought in brought {
            if let Some((user, reference)) = brought.issue.take() {
                unknown += 1;
                let body = json!({"user_id": user, "issue_ref": reference});
                let coupon = admin.post("/v1/campaigns/kept/issue", &body);
                assert!(coupon.is_good(), "round {round}: repeated: {}", coupon.text());
                let happened = vec![("issued", reference)];
                let known = ExpectedCoupon { user, happened, ..ExpectedCoupon::default() };
                brought.known.insert(coupon.field("code"), known);
            }
            for (code, known) in &mut brought.known {
                unknown += u64::from(known.perhaps.is_some());
                settle(&mut admin, code, known, round);
                assert!(!all.contains_key(code), "round {round}: {code} was issued before");
            }
            all.append(&mut brought.known);
        }
        follower.follow(&mut admin);
        check_contended(&mut admin, contended, round);
        check_all(&mut admin, &all, round);
    }
    eprintln!("{rounds} kills: {answered} answers, {unknown} unknown, {} coupons", all.len());
    assert!(answered > rounds && unknown > 0, "there was no load");
    for (code, known) in &mut all {
        settle(&mut admin, code, known, rounds);
        assert!(
            same(&follower.of(code), &known.happened),
            "{code}: the feed has {:?}, {known:?}",
            follower.of(code)
        );
    }
    follower.compare_counts(&mut admin);
    server.kill();
    let doctor = data.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "doctor: {}{}", doctor.stdout, doctor.stderr);
}

fn contended(admin: &mut Client, round: u64) -> Vec<(String, Mutex<Contended>)> {
    let terms = json!({"campaign_id": format!("crowd-{round}"), "stock": CONTENDED,
        "per_user_limit": 100, "expires_on": "2031-12-31"});
    admin.post("/v1/campaigns", &terms).must(201);
    (0..CONTENDED)
        .map(|nth| {
            let body = json!({"user_id": "crowd", "issue_ref": format!("{round}.{nth}")});
            let path = format!("/v1/campaigns/crowd-{round}/issue");
            (admin.post(&path, &body).must(201).field("code"), Mutex::default())
        })
        .collect()
}

fn check_contended(admin: &mut Client, all: Vec<(String, Mutex<Contended>)>, round: u64) {
    for (code, known) in all {
        let known = known.into_inner().expect("lock");
        let found = events(&admin.get(&format!("/v1/coupons/{code}")).must(200).json());
        let told = format!("round {round}: {code} has {found:?}, known is {known:?}");
        let redeemed: Vec<&String> =
            found.iter().filter(|event| event.0 == "redeemed").map(|event| &event.1).collect();
        assert!(redeemed.len() <= 1 && known.won.len() <= 1, "twice: {told}");
        assert!(!redeemed.iter().any(|order| known.refused.contains(*order)), "refused: {told}");
        match known.won.first() {
            Some(order) => assert_eq!(redeemed, [order], "acknowledged: {told}"),
            None => assert!(redeemed.iter().all(|order| known.perhaps.contains(*order)), "{told}"),
        }
    }
}
