//! Commands and their answers, without faults.

use serde_json::{Value, json};

use crate::bridge::{self, Bridge};
use crate::broker::Broker;
use crate::script::{self, Life};
use crate::service::{Service, free_port};
use crate::topics::{self, Reader, Record, Sender};
use crate::world::{unique, wait_until};

/// A topic of commands with its answers.
struct Desk {
    topic: String,
    sender: Sender,
    results: Reader,
    dead_letters: Reader,
}

impl Desk {
    fn new(broker: &Broker) -> Desk {
        let topic = unique("commands");
        for name in [topic.clone(), format!("{topic}.results"), format!("{topic}.dead-letter")] {
            topics::make(broker, &name, 2, &[]);
        }
        let reader = |ending: &str| Reader::new(broker, &format!("{topic}.{ending}"), 2);
        let (sender, results) = (Sender::new(broker, &topic), reader("results"));
        Desk { sender, results, dead_letters: reader("dead-letter"), topic }
    }
}

fn outcomes(records: &[Record]) -> Vec<String> {
    let of = |record: &Record| {
        let answer = record.json();
        let code = answer["problem"]["code"].as_str();
        code.or(answer["outcome"].as_str()).expect("an outcome").to_owned()
    };
    records.iter().map(of).collect()
}

fn of_key(records: Vec<Record>, key: &str) -> Vec<Record> {
    records.into_iter().filter(|record| record.key == key).collect()
}

pub(crate) fn each_command_has_an_answer(broker: &Broker) {
    let (service, desk) = (Service::start(&[]), Desk::new(broker));
    let lives: Vec<Life> = (0..4).map(script::life).chain([script::issues(0)]).collect();
    script::prepare(&service, 4);
    let bridge = Bridge::start(broker, &service, "consume", &desk.topic, &["--in-flight", "3"]);
    let mut sent = 0;
    for life in &lives {
        for step in &life.steps {
            desk.sender.send(&step.key, &step.value.to_string());
            sent += 1;
        }
    }
    wait_until("all answers", || desk.results.count() == sent);
    for life in &lives {
        let answers = of_key(desk.results.records(), &life.steps[0].key);
        let want: Vec<&str> = life.steps.iter().map(|step| step.want).collect();
        assert_eq!(outcomes(&answers), want, "{life:?}");
    }
    let first = of_key(desk.results.records(), &lives[0].steps[0].key)[0].json();
    assert_eq!(first["answer"]["holder"], "ann0", "{first}");
    assert_eq!((&first["status"], &first["problem"]), (&json!(201), &Value::Null), "{first}");
    assert_eq!((&first["command"], &first["code"]), (&json!("issue"), &json!("KAFKA0000000")));
    assert_eq!(desk.dead_letters.count(), 0);
    // It commits while it runs, so after a kill nothing is answered again.
    let is_committed = |count: usize| {
        topics::committed(broker, "couponry", &desk.topic, 2) == i64::try_from(count).expect("few")
    };
    wait_until("the commit", || is_committed(sent));
    let mut bridge = bridge;
    bridge.kill();
    bridge.start_again();
    desk.sender.send("next", r#"{"command": "void", "code": "KAFKA0000000"}"#);
    wait_until("the next answer", || desk.results.count() > sent);
    // It commits when it ends.
    bridge.stop();
    assert!(is_committed(sent + 1), "an end commits");
    let bridge = Bridge::start(broker, &service, "consume", &desk.topic, &[]);
    desk.sender.send("last", r#"{"command": "void", "code": "KAFKA0000000"}"#);
    wait_until("the last answer", || desk.results.count() > sent + 1);
    assert_eq!(desk.results.count(), sent + 2, "only the new commands were answered");
    bridge.stop();
}

pub(crate) fn what_is_no_command_is_a_dead_letter(broker: &Broker) {
    let (service, desk) = (Service::start(&[]), Desk::new(broker));
    let bridge = Bridge::start(broker, &service, "consume", &desk.topic, &[]);
    let cases = [
        ("not JSON", "redeem ABCD", "it is no command"),
        ("another verb", r#"{"command": "delete", "code": "ABCD"}"#, "unknown variant"),
        ("no code", r#"{"command": "void"}"#, "code is missing"),
        ("no value", "", "it has no value"),
    ];
    for (name, text, _) in cases {
        desk.sender.send(name, text);
    }
    // Commands that couponry refuses are none of them.
    let refused = [
        ("no such code", r#"{"command": "void", "code": "NOSUCHCODE"}"#, "NOT_FOUND"),
        ("no order", r#"{"command": "redeem", "code": "NOSUCHCODE"}"#, "INVALID"),
    ];
    for (name, text, _) in refused {
        desk.sender.send(name, text);
    }
    wait_until("all dead letters", || desk.dead_letters.count() == cases.len());
    wait_until("all answers", || desk.results.count() == refused.len());
    for (name, text, reason) in cases {
        let found = of_key(desk.dead_letters.records(), name);
        assert_eq!((found.len(), found[0].value.as_str()), (1, text), "{name}");
        let why = &found[0].headers["couponry_reason"];
        assert!(why.contains(reason), "{name}: {why}");
        assert_eq!(found[0].headers["couponry_topic"], desk.topic, "{name}");
    }
    for (name, _, code) in refused {
        assert_eq!(outcomes(&of_key(desk.results.records(), name)), [code], "{name}");
    }
    bridge.stop();
}

/// Also for commands without a name of their own, and for refusals whose reason is gone.
pub(crate) fn a_second_reading_changes_nothing(broker: &Broker) {
    let (service, desk) = (Service::start(&[]), Desk::new(broker));
    script::prepare(&service, 8);
    let bridge = Bridge::start(broker, &service, "consume", &desk.topic, &[]);
    let code = "KAFKA0000000";
    let redeem = json!({"command": "redeem", "code": code,
                        "body": {"user_id": "ann", "order_ref": "1"}});
    let issue = json!({"command": "issue", "code": code, "body": {"user_id": "ann"}});
    let revoke = json!({"command": "revoke", "code": code, "body": {"user_id": "ann"}});
    for command in [&redeem, &issue, &revoke] {
        desk.sender.send(code, &command.to_string());
    }
    wait_until("three answers", || desk.results.count() == 3);
    let before = desk.results.records();
    assert_eq!(outcomes(&before), ["NOT_ISSUED", "accepted", "accepted"]);
    // Now the redeem would be accepted.
    service.post(&format!("/v1/coupons/{code}/issue"), json!({"user_id": "ann"}));
    let events = service.events(None).len();
    let again = Bridge::start(broker, &service, "consume", &desk.topic, &["--group", "again"]);
    wait_until("three answers again", || desk.results.count() == 6);
    let values = |records: &[Record]| records.iter().map(|it| it.value.clone()).collect::<Vec<_>>();
    assert_eq!(values(&desk.results.records()[3..]), values(&before), "the same answers");
    assert_eq!(service.events(None).len(), events, "nothing happened");
    again.stop();
    bridge.stop();
}

pub(crate) fn wrong_calls(broker: &Broker) {
    let service = Service::start(&[]);
    let (url, token_file) = (service.url(), service.token_file().display().to_string());
    let topic = unique("no-such-topic");
    let base = ["--url", &url, "--token-file", &token_file, "--brokers", broker.address()];
    let with = |command: &'static str, more: &[&str]| {
        let all = [&[command][..], &base, &["--topic", &topic], more].concat();
        bridge::run(&all)
    };
    let cached = unique("cursor");
    topics::make(broker, &cached, 1, &[("cleanup.policy", "delete")]);
    let cases = [
        ("no topic", with("consume", &[]), 1, "there is no topic"),
        ("a property", with("consume", &["--property", "group.id=x"]), 2, "cannot be changed"),
        ("no property", with("consume", &["--property", "no.such=x"]), 2, "librdkafka"),
        ("in flight", with("consume", &["--in-flight", "1025"]), 2, "1..=1024"),
        ("a cursor topic", with("publish", &["--cursor-topic", &cached]), 1, "want compact"),
        ("no command", bridge::run(&["listen"]), 2, "unrecognized"),
        (
            "no token",
            bridge::run(&["consume", "--token-file", "/none", "--brokers", "x", "--topic", "y"]),
            2,
            "cannot read /none",
        ),
        (
            "a server that others can listen to",
            bridge::run(
                &[
                    &["consume", "--url", "http://10.0.0.7:8080", "--token-file", &token_file][..],
                    &["--brokers", "x", "--topic", "y"],
                ]
                .concat(),
            ),
            2,
            "open to anybody on the way",
        ),
    ];
    for (name, (code, text), want, part) in cases {
        assert_eq!(code, Some(want), "{name}: {text}");
        assert!(text.contains(part), "{name}: {text}");
    }
}

/// After 20 unknown codes, couponry answers 429 to every request for that user, for ten minutes.
pub(crate) fn a_user_who_guesses_only_waits(broker: &Broker) {
    const UNKNOWN: usize = 20;
    let (service, desk) = (Service::start(&[]), Desk::new(broker));
    script::prepare(&service, 4);
    std::fs::write(service.token_file(), service.new_token("shop")).expect("a file");
    let bridge = Bridge::start(broker, &service, "consume", &desk.topic, &["--in-flight", "2"]);
    let redeem = |code: &str, user: &str| {
        let body = json!({"user_id": user, "order_ref": "1"});
        let redeem = json!({"command": "redeem", "code": code, "body": body});
        desk.sender.send(code, &redeem.to_string());
    };
    (0..UNKNOWN).for_each(|nth| redeem(&format!("NOSUCH{nth}"), "guesser"));
    wait_until("the refusals", || desk.results.count() == UNKNOWN);
    redeem("KAFKA0000000", "guesser");
    wait_until("the limit", || bridge.log().contains("TOO_MANY"));
    // Other codes go on, behind it in the same partition, too.
    (0..UNKNOWN).for_each(|nth| redeem("KAFKA0000001", &format!("user{nth}")));
    (0..UNKNOWN).for_each(|nth| redeem("KAFKA0000002", &format!("user{nth}")));
    wait_until("the other answers", || desk.results.count() == 3 * UNKNOWN);
    let answers = outcomes(&desk.results.records());
    assert_eq!(answers.iter().filter(|it| *it == "NOT_FOUND").count(), UNKNOWN, "{answers:?}");
    assert_eq!(answers.iter().filter(|it| *it == "NOT_ISSUED").count(), 2 * UNKNOWN, "{answers:?}");
    // It does not hold up the end. The command that waits is not lost: the next bridge has it.
    bridge.stop();
    let bridge = Bridge::start(broker, &service, "consume", &desk.topic, &[]);
    wait_until("the limit again", || bridge.log().contains("TOO_MANY"));
    assert!(of_key(desk.results.records(), "KAFKA0000000").is_empty(), "it has no answer yet");
    bridge.stop();
}

/// The token in the file has ended; later somebody writes a new one into it.
pub(crate) fn a_new_token_is_read(broker: &Broker) {
    let (service, desk) = (Service::start(&[]), Desk::new(broker));
    script::prepare(&service, 4);
    let events = unique("events");
    topics::make(broker, &events, 1, &[]);
    let published = Reader::new(broker, &events, 1);
    let token = service.new_token("admin");
    std::fs::write(service.token_file(), "an.old.token").expect("a file");
    let metrics = format!("127.0.0.1:{}", free_port());
    let consumer =
        Bridge::start(broker, &service, "consume", &desk.topic, &["--metrics", &metrics]);
    let says = |line: &str| service.page(&metrics, "/metrics").1.lines().any(|it| it == line);
    let publisher = Bridge::start(broker, &service, "publish", &events, &[]);
    desk.sender.send("KAFKA0000000", r#"{"command": "void", "code": "KAFKA0000000"}"#);
    wait_until("two refused tokens", || {
        let is_refused = |bridge: &Bridge, part: &str| bridge.log().contains(part);
        is_refused(&consumer, "UNAUTHENTICATED") && is_refused(&publisher, "not accepted")
    });
    assert_eq!((desk.results.count(), published.count()), (0, 0));
    wait_until("one behind", || says("couponry_kafka_behind_commands 1"));
    std::fs::write(service.token_file(), token).expect("a file");
    wait_until("an answer", || desk.results.count() == 1);
    assert_eq!(outcomes(&desk.results.records()), ["accepted"]);
    wait_until("none behind", || says("couponry_kafka_behind_commands 0"));
    for line in [
        "couponry_kafka_partitions 2",
        "couponry_kafka_taken_commands 0",
        "couponry_kafka_answers_total{outcome=\"accepted\"} 1",
        "couponry_kafka_answers_total{outcome=\"refused\"} 0",
    ] {
        assert!(says(line), "{line}: {}", service.page(&metrics, "/metrics").1);
    }
    assert!(!says("couponry_kafka_sent_again_total 0"), "the token was refused");
    assert_eq!(service.page(&metrics, "/").0, 404);
    wait_until("all events", || published.count() == service.events(None).len());
    consumer.stop();
    publisher.stop();
}
