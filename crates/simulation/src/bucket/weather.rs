//! The rates of a bucket's faults, and what they decide for one request.

use std::time::Duration;

use simulated_cluster::rng::Rng;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BucketVerb {
    Get,
    List,
    Put,
    /// A put that succeeds only if there is no such object.
    Create,
    Delete,
    Begin,
    Part,
    Complete,
    Abort,
}

/// Rates of faults in permille of requests, and ranges of times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketWeather {
    /// The time of a request to the bucket, and that of an answer.
    pub way_ms: (u64, u64),
    /// Answers that come late.
    pub slow: u32,
    /// Pages of a list that come late.
    pub slow_list: u32,
    /// How late.
    pub slow_ms: (u64, u64),
    /// Objects of one page of a list.
    pub page: usize,
    /// Requests that are answered with 503 and not done.
    pub unavailable: u32,
    /// Requests that never arrive.
    pub request_lost: u32,
    /// Changes that are done, and whose answer never comes.
    pub answer_lost: u32,
    /// When the client gives a request up whose answer does not come.
    pub gives_up_ms: (u64, u64),
    /// Changes that are done after [`BucketWeather::late_ms`], when the client may have given up.
    pub done_late: u32,
    /// How much later.
    pub late_ms: (u64, u64),
    /// Changes whose answer is lost, and which the client sends again by itself. Then a conditional
    /// put finds its own object, and a completed upload is unknown.
    pub own_retry: u32,
    /// Bodies that end too early, with an error.
    pub body_cut: u32,
}

impl BucketWeather {
    /// No faults.
    pub fn calm() -> BucketWeather {
        BucketWeather {
            way_ms: (1, 3),
            page: 1_000,
            gives_up_ms: (5_000, 10_000),
            ..BucketWeather::default()
        }
    }

    /// Faults of all kinds. Some seeds have none of some kind.
    pub fn drawn(rng: &mut Rng) -> BucketWeather {
        let mut rate = |max: u64| match rng.below(3) {
            0 => 0,
            _ => u32::try_from(rng.below(max + 1)).unwrap_or(0),
        };
        BucketWeather {
            slow: rate(60),
            slow_list: rate(200),
            unavailable: rate(20),
            request_lost: rate(10),
            answer_lost: rate(20),
            done_late: rate(10),
            own_retry: rate(20),
            body_cut: rate(10),
            way_ms: (1, rng.between(3, 40)),
            slow_ms: (100, rng.between(200, 20_000)),
            page: usize::try_from(rng.between(1, 50)).unwrap_or(1),
            gives_up_ms: (1_000, rng.between(2_000, 90_000)),
            late_ms: (100, rng.between(200, 120_000)),
        }
    }

    pub(super) fn draw(&self, rng: &mut Rng, verb: BucketVerb) -> RequestFate {
        let mut some = |(low, high)| Duration::from_millis(rng.between(low, high));
        let (there, back, gives_up) =
            (some(self.way_ms), some(self.way_ms), some(self.gives_up_ms));
        let (slow, late) = (some(self.slow_ms), some(self.late_ms));
        let slow_rate = if verb == BucketVerb::List { self.slow_list } else { self.slow };
        let slow = rng.chance(slow_rate).then_some(slow);
        let fault = self.fault(rng, verb, late);
        let is_cut = verb == BucketVerb::Get && rng.chance(self.body_cut);
        RequestFate { there, back, gives_up, slow, fault, is_cut }
    }

    fn fault(&self, rng: &mut Rng, verb: BucketVerb, late: Duration) -> Option<BucketFault> {
        let reads = matches!(verb, BucketVerb::Get | BucketVerb::List);
        let is_seen_again = matches!(verb, BucketVerb::Create | BucketVerb::Complete);
        let kinds = [
            (self.unavailable, BucketFault::Unavailable, true),
            (self.request_lost, BucketFault::RequestLost, true),
            (self.answer_lost, BucketFault::AnswerLost, !reads),
            (self.done_late, BucketFault::DoneLate(late), !reads),
            (self.own_retry, BucketFault::OwnRetry, is_seen_again),
        ];
        let hit = |(rate, fault, may): (u32, BucketFault, bool)| {
            (may && rng.chance(rate)).then_some(fault)
        };
        kinds.into_iter().find_map(hit)
    }
}

/// What happens to one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestFate {
    pub(super) there: Duration,
    pub(super) back: Duration,
    pub(super) gives_up: Duration,
    pub(super) slow: Option<Duration>,
    pub(super) fault: Option<BucketFault>,
    pub(super) is_cut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BucketFault {
    Unavailable,
    RequestLost,
    AnswerLost,
    DoneLate(Duration),
    OwnRetry,
}

impl BucketFault {
    pub(super) fn kind(self) -> &'static str {
        match self {
            BucketFault::Unavailable => "bucket: 503",
            BucketFault::RequestLost => "bucket: request lost",
            BucketFault::AnswerLost => "bucket: answer lost",
            BucketFault::DoneLate(_) => "bucket: done late",
            BucketFault::OwnRetry => "bucket: the client's own retry",
        }
    }

    /// Whether the client waits until it gives up.
    pub(super) fn is_silent(self) -> bool {
        matches!(
            self,
            BucketFault::RequestLost | BucketFault::AnswerLost | BucketFault::DoneLate(_)
        )
    }
}
