//! Whatever happens, in whatever order: nothing is lost, and the events of a code come in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};
use webhooks::{EndpointState, NewEndpoint, Options, Webhooks};

use crate::receiver::{Answer, Receiver};
use crate::world::{Running, World, endpoint, endpoint_until, quick};

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many events of this code.
    Push(usize, u8),
    /// From now on the receiver does this.
    Answer(Mood),
    Pause,
    Resume,
    /// The process is cut off, and another one starts.
    Restart,
    /// The process stops in good order, and another one starts.
    Stop,
    /// Nothing for some milliseconds.
    Rest(u64),
}

#[derive(Clone, Copy, Debug)]
enum Mood {
    Good,
    Bad,
    Closes,
    Gone,
    /// Fails each so-many-th time.
    Sometimes(usize),
    Slow(u64),
}

impl Mood {
    fn answer(self, nth: usize) -> Answer {
        match self {
            Mood::Good => Answer::Status(200),
            Mood::Bad => Answer::Status(500),
            Mood::Closes => Answer::Close,
            Mood::Gone => Answer::Status(410),
            Mood::Sometimes(of) => Answer::Status(if nth.is_multiple_of(of) { 503 } else { 200 }),
            Mood::Slow(pause) => Answer::Slow(Duration::from_millis(pause), 200),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mood = prop_oneof![
        Just(Mood::Good),
        Just(Mood::Bad),
        Just(Mood::Closes),
        Just(Mood::Gone),
        (2..5_usize).prop_map(Mood::Sometimes),
        (1..30_u64).prop_map(Mood::Slow),
    ];
    let step = prop_oneof![
        4 => (1..40_usize, 0..5_u8).prop_map(|(count, code)| Step::Push(count, code)),
        3 => mood.prop_map(Step::Answer),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
        2 => Just(Step::Restart),
        1 => Just(Step::Stop),
        4 => (0..40_u64).prop_map(Step::Rest),
    ];
    proptest::collection::vec(step, 5..25)
}

/// An endpoint, and the process that sends to it.
struct Scene {
    world: World,
    receiver: Receiver,
    process: Option<(Arc<Webhooks>, Running)>,
    codes: BTreeMap<String, u8>,
}

impl Scene {
    fn webhooks(&self) -> Arc<Webhooks> {
        Arc::clone(&self.process.as_ref().unwrap().0)
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Push(count, code) => {
                for _ in 0..count {
                    let id =
                        self.world.feed.push("coupon.redeemed", None, Some(&format!("CODE{code}")));
                    self.codes.insert(id, code);
                }
            }
            Step::Answer(mood) => self.receiver.change(move |_, nth| mood.answer(nth)),
            Step::Pause => drop(self.webhooks().pause("a").await.unwrap()),
            Step::Resume => drop(self.webhooks().resume("a").await.unwrap()),
            Step::Restart => {
                self.process.take().unwrap().1.abort().await;
                self.start();
            }
            Step::Stop => {
                self.process.take().unwrap().1.stop().await;
                self.start();
            }
            Step::Rest(pause) => tokio::time::sleep(Duration::from_millis(pause)).await,
        }
    }

    fn start(&mut self) {
        let webhooks = self.world.open();
        let running = self.world.run(&webhooks);
        self.process = Some((webhooks, running));
    }

    /// All is well again: everything arrives.
    async fn end(mut self) {
        self.receiver.change(|_, _| Answer::Status(200));
        // What the receiver has answered before may still disable the endpoint.
        while self.receiver.accepted().len() < self.codes.len() {
            let webhooks = self.webhooks();
            if webhooks.get("a").await.unwrap().state != EndpointState::Active {
                webhooks.resume("a").await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let all: BTreeSet<String> = self.codes.keys().cloned().collect();
        let accepted = self.receiver.accepted();
        assert_eq!(accepted.iter().cloned().collect::<BTreeSet<String>>(), all);
        let mut last: BTreeMap<u8, usize> = BTreeMap::new();
        for id in &accepted {
            let nth: usize = id.strip_prefix("event-").unwrap().parse().unwrap();
            let before = last.insert(self.codes[id], nth).unwrap_or_default();
            assert!(before < nth, "event-{before} came before {id}");
        }
        endpoint_until(&self.webhooks(), "a", |found| found.pending == 0).await;
        self.process.take().unwrap().1.stop().await;
    }
}

async fn run(steps: Vec<Step>) {
    let world = World::new(Options {
        page: 17,
        pending_max: 40,
        lease: Duration::from_millis(40),
        retry_pauses: vec![Duration::from_millis(3); 10_000],
        ..quick()
    });
    let receiver = Receiver::good().await;
    let new = NewEndpoint { ordered: true, ..endpoint("a", &receiver.url()) };
    world.open().create(new).await.unwrap();
    let mut scene = Scene { world, receiver, process: None, codes: BTreeMap::new() };
    scene.start();
    for step in steps {
        scene.step(step).await;
    }
    scene.end().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 20, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nothing_is_lost(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(60), run(steps)).await.unwrap();
        });
    }
}
