//! Both bridges, the broker and the service are killed again and again under thousands of commands.
//!
//! Then every command must have an answer, and the right one; every coupon must be as its commands leave
//! it; the feed must tell each change once; and the topic of events must have each event of the feed
//! exactly once. Last, everything is read once more from the beginning: nothing may change.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::{Value, json};

use crate::bridge::Bridge;
use crate::broker::Broker;
use crate::script::{self, Life};
use crate::service::Service;
use crate::topics::{self, Reader, Record, Sender};
use crate::world::{Dice, number, unique, wait_until};

/// Partitions of the commands.
const PARTITIONS: i32 = 6;

/// Partitions of the events.
const EVENT_PARTITIONS: i32 = 3;

/// Whom the test kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Victim {
    Consumer,
    OtherConsumer,
    Publisher,
    Broker,
    Service,
}

const VICTIMS: [Victim; 5] =
    [Victim::Consumer, Victim::Broker, Victim::Service, Victim::Publisher, Victim::OtherConsumer];

/// Everything that can be killed. If the test fails, the logs are shown in this order.
struct World<'a> {
    broker: &'a Broker,
    publisher: Bridge,
    consumers: [Bridge; 2],
    service: Service,
}

impl World<'_> {
    fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Consumer | Victim::OtherConsumer => {
                let bridge = &mut self.consumers[usize::from(victim == Victim::OtherConsumer)];
                bridge.kill();
                bridge.start_again();
            }
            Victim::Publisher => {
                self.publisher.kill();
                self.publisher.start_again();
            }
            Victim::Broker => {
                self.broker.kill();
                self.broker.start_again();
            }
            Victim::Service => {
                self.service.kill();
                self.service.start_again();
            }
        }
    }
}

/// The commands of all lives, mixed, those of one life in order.
fn send(lives: &[Life], sender: &Sender, dice: &mut Dice) -> usize {
    let mut next: Vec<(usize, usize)> = (0..lives.len()).map(|life| (life, 0)).collect();
    let mut sent = 0;
    while !next.is_empty() {
        let at = dice.below(next.len() as u64) as usize;
        let (life, nth) = next[at];
        let step = &lives[life].steps[nth];
        let mut value = step.value.clone();
        value["command_id"] = format!("{life}-{nth}").into();
        sender.send(&step.key, &value.to_string());
        sent += 1;
        next[at].1 += 1;
        if next[at].1 == lives[life].steps.len() {
            next.swap_remove(at);
        }
    }
    sent
}

pub(crate) fn everything_is_killed(broker: &Broker) {
    let commands = number("COUPONRY_TEST_KAFKA_COMMANDS", 1_000);
    let kills = number("COUPONRY_TEST_KAFKA_KILLS", 5) as usize;
    let seed = number("COUPONRY_TEST_KAFKA_SEED", 1);
    println!("{commands} commands, {kills} kills, seed {seed}");
    let mut dice = Dice(seed);
    let (codes, users) = (commands * 9 / 50, commands / 30);
    let lives: Vec<Life> =
        (0..codes).map(script::life).chain((0..users).map(script::issues)).collect();

    let service = Service::start(&[]);
    script::prepare(&service, codes);
    let (topic, events) = (unique("commands"), unique("events"));
    topics::make(broker, &topic, PARTITIONS, &[]);
    topics::make(broker, &events, EVENT_PARTITIONS, &[]);
    topics::make(broker, &format!("{topic}.results"), PARTITIONS, &[]);
    let results = Reader::new(broker, &format!("{topic}.results"), PARTITIONS);
    let published = Reader::new(broker, &events, EVENT_PARTITIONS);
    let consume = || Bridge::start(broker, &service, "consume", &topic, &[]);
    let consumers = [consume(), consume()];
    let publisher = Bridge::start(broker, &service, "publish", &events, &[]);
    let mut world = World { broker, publisher, consumers, service };

    let sender = Sender::new(broker, &topic);
    let sent = send(&lives, &sender, &mut dice);
    let begun = Instant::now();
    let mut killed: HashMap<Victim, usize> = HashMap::new();
    for nth in 1..=kills {
        // Some time within this part of all commands.
        let part = sent as u64 / (kills as u64 + 1);
        let due = part * nth as u64 - dice.below(part.max(1));
        wait_until("the next kill", || results.answered() as u64 >= due);
        let victim = VICTIMS[nth % VICTIMS.len()];
        println!(
            "{:.1} s: {} of {sent} commands are answered, {} answers; kills {victim:?}",
            begun.elapsed().as_secs_f64(),
            results.answered(),
            results.count()
        );
        *killed.entry(victim).or_default() += 1;
        world.kill(victim);
    }
    sender.flush();
    wait_until("all answers", || results.answered() == sent);
    let took = begun.elapsed().as_secs_f64();
    let answers = answers_are_right(&lives, &results.records());
    println!("{sent} commands, {answers} answers, {took:.0} s, killed {killed:?}");

    coupons_are_right(&world.service, &lives);
    let feed = world.service.events(None);
    feed_is_right(&feed, &lives);
    events_are_there_once(&feed, &published);
    a_second_reading_changes_nothing(&world, &topic, &results, sent);
    assert_eq!(world.service.events(None).len(), feed.len(), "a second reading changed something");
    let World { consumers, publisher, .. } = world;
    consumers.into_iter().for_each(Bridge::stop);
    publisher.stop();
}

/// Every command is answered, as it must be, in the order of its life. Returns how many answers there are.
fn answers_are_right(lives: &[Life], results: &[Record]) -> usize {
    let mut seen: Vec<usize> = vec![0; lives.len()];
    for record in results {
        let answer = record.json();
        let id = answer["command_id"].as_str().expect("a command_id");
        let (life, nth) = id.split_once('-').expect("two numbers");
        let (life, nth): (usize, usize) = (life.parse().expect(id), nth.parse().expect(id));
        let step = &lives[life].steps[nth];
        assert_eq!(record.key, step.key, "{id}: the key of the command");
        let outcome = answer["outcome"].as_str().expect("an outcome");
        let code = answer["problem"]["code"].as_str();
        assert_eq!(code.unwrap_or(outcome), step.want, "{id}: {answer}");
        assert!(nth <= seen[life], "{id} is answered before the command in front of it");
        seen[life] = seen[life].max(nth + 1);
    }
    for (life, seen) in lives.iter().zip(seen) {
        assert_eq!(seen, life.steps.len(), "answers of {life:?}");
    }
    results.len()
}

fn coupons_are_right(service: &Service, lives: &[Life]) {
    let mut of_stock = std::collections::HashSet::new();
    for life in lives {
        let (state, holder, order) = &life.end;
        let found = match &life.code {
            Some(code) => vec![service.get(&format!("/v1/coupons/{code}"))],
            None => {
                let user = holder.as_deref().expect("a user");
                let list = service.get(&format!("/v1/coupons?user_id={user}"));
                list["data"].as_array().expect("coupons").clone()
            }
        };
        assert_eq!(found.len(), if life.code.is_some() { 1 } else { 2 }, "{life:?}");
        for coupon in found {
            let name = format!("{life:?}: {coupon}");
            assert_eq!(coupon["state"], *state, "{name}");
            assert_eq!(coupon["holder"].as_str(), holder.as_deref(), "{name}");
            assert_eq!(coupon["order_ref"].as_str(), order.as_deref(), "{name}");
            if life.code.is_none() {
                assert!(of_stock.insert(coupon["code"].to_string()), "issued twice: {name}");
            }
        }
    }
}

/// The feed tells the changes of each coupon once, in order.
fn feed_is_right(feed: &[Value], lives: &[Life]) {
    let mut told: HashMap<&str, Vec<&str>> = HashMap::new();
    for event in feed {
        let Some(code) = event["coupon"]["code"].as_str() else { continue };
        let kind = event["type"].as_str().expect("a type");
        told.entry(code).or_default().push(kind.strip_prefix("coupon.").expect("of a coupon"));
    }
    for life in lives {
        let Some(code) = &life.code else { continue };
        let found = told.get(code.as_str()).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(found, life.events, "the feed about {code}");
    }
}

/// A reader of committed records sees each event of the feed exactly once, in order for each key.
pub(crate) fn events_are_there_once(feed: &[Value], published: &Reader) {
    wait_until(&format!("{} events", feed.len()), || published.count() >= feed.len());
    let records = published.records();
    assert_eq!(records.len(), feed.len(), "each event once");
    let mut by_key: HashMap<&str, Vec<&Record>> = HashMap::new();
    for record in &records {
        by_key.entry(&record.key).or_default().push(record);
    }
    let mut next: HashMap<String, usize> = HashMap::new();
    for event in feed {
        let of = ["coupon", "change"].map(|it| &event[it]);
        let key = of[0]["code"].as_str().or(of[1]["campaign_id"].as_str()).unwrap_or("store");
        let nth = next.entry(key.to_owned()).or_default();
        let record = by_key.get(key).and_then(|records| records.get(*nth));
        let record = record.unwrap_or_else(|| panic!("event {nth} of {key} is missing"));
        assert_eq!(&record.json(), event, "event {nth} of {key}");
        assert_eq!(record.headers["ce_id"], event["event_id"], "event {nth} of {key}");
        *nth += 1;
    }
}

/// Another group reads the topic from its beginning: each command gets the answer that it had.
fn a_second_reading_changes_nothing(world: &World<'_>, topic: &str, results: &Reader, sent: usize) {
    let before = results.count();
    let again =
        Bridge::start(world.broker, &world.service, "consume", topic, &["--group", "again"]);
    wait_until("all answers once more", || results.count() >= before + sent);
    again.stop();
    let mut first: HashMap<(i32, i64), String> = HashMap::new();
    for (nth, record) in results.records().into_iter().enumerate() {
        let known = first.entry(record.source()).or_insert_with(|| record.value.clone());
        assert!(
            nth < before || *known == record.value,
            "{known} was answered, now {}",
            record.value
        );
    }
    assert_eq!(first.len(), sent);
}

/// Longer than a transaction may take: its events are sent again in another one.
const AWAY: std::time::Duration = std::time::Duration::from_secs(100);

pub(crate) fn the_broker_is_away(broker: &Broker) {
    let service = Service::start(&[]);
    script::prepare(&service, 200);
    let (topic, events) = (unique("commands"), unique("events"));
    for (name, partitions) in
        [(topic.clone(), 2), (format!("{topic}.results"), 2), (events.clone(), 1)]
    {
        topics::make(broker, &name, partitions, &[]);
    }
    let results = Reader::new(broker, &format!("{topic}.results"), 2);
    let published = Reader::new(broker, &events, 1);
    let consumer = Bridge::start(broker, &service, "consume", &topic, &[]);
    let publisher = Bridge::start(broker, &service, "publish", &events, &[]);
    let sender = Sender::new(broker, &topic);
    let issue = |nth: u64| {
        let code = script::life(nth).code.expect("a code");
        service.post(&format!("/v1/coupons/{code}/issue"), json!({"user_id": code}));
    };
    let command = |nth: u64| {
        let life = script::life(nth);
        sender.send(&life.steps[0].key, &life.steps[0].value.to_string());
    };
    (0..20).for_each(command);
    wait_until("the first answers", || results.count() == 20);
    broker.kill();
    (20..40).for_each(command);
    (100..150).for_each(issue);
    // It must be away for a time: there is nothing to wait for.
    std::thread::sleep(AWAY);
    broker.start_again();
    wait_until("all answers", || results.answered() == 40);
    events_are_there_once(&service.events(None), &published);
    (150..200).for_each(issue);
    events_are_there_once(&service.events(None), &published);
    consumer.stop();
    publisher.stop();
}
