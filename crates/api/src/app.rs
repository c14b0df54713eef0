//! What every handler works with: the state of the service. It knows no handler and no route.

use std::str::FromStr;
use std::sync::Arc;

use attempts::AttemptLog;
use engine::Engine;
use passwords::Passwords;
use passwords::places::CallerPlaces;
use passwords::throttle::{SIGN_IN_WINDOW_MS, SIGN_INS_MAX, Throttle};
use server::cors::AllowedOrigins;
use server::peer::TrustedProxies;
use server::request_rate::RequestRate;
use server::traces::RequestTracer;
use webhooks::Webhooks;

use crate::guesses::GuessLimiter;
use crate::metrics::StoreMetrics;
use crate::reads::ReadLimiter;
use crate::token::TokenService;

/// Most users, and most logins, that are counted at a time: some 10 MB.
const COUNTED_MAX: usize = 100_000;

/// Accounts that one peer may make within [`SIGN_UP_WINDOW_MS`]. A household makes three, an
/// office or a phone network behind one address some dozens.
pub const SIGN_UPS_MAX: u32 = 30;

pub const SIGN_UP_WINDOW_MS: i64 = 10 * 60 * 1_000;

/// Streams of events at a time. Each looks for what happened twice a second: all together take a twentieth
/// of a core.
pub(crate) const EVENT_STREAMS_MAX: u32 = 256;

/// Of them, those of one caller: an eighth, more than a shop has systems that follow events.
pub(crate) const EVENT_STREAMS_OF_CALLER_MAX: u32 = 32;

/// Unknown codes of a second that are looked at more closely, 0.1 ms each.
const UNKNOWN_LOOKED_AT_MAX: u32 = 200;

/// What strangers may do, and where they are seen to come from.
#[derive(Clone, Debug, Default)]
pub struct AccessPolicy {
    pub trusted_proxies: TrustedProxies,
    pub cors_origins: AllowedOrigins,
    pub sign_up: SignUp,
    /// A process has one, so that all front ends together hash only a few at a time.
    pub passwords: Passwords,
    pub attempts: Option<Arc<AttemptLog>>,
    pub webhooks: Option<Arc<Webhooks>>,
    /// The name of this store, if it is one of several of a process, which write into one log.
    pub space: Option<String>,
    /// Whether requests become spans of the global tracer of OpenTelemetry.
    pub traced: bool,
    /// Whether the process adds the pages of the console to this service: `/` leads people there.
    pub has_console: bool,
    /// Whether lists and events are read as fast as they can be: whoever asks in their own process keeps nobody
    /// waiting.
    pub has_no_pace: bool,
    pub figures: Arc<StoreMetrics>,
    pub rate: Option<Arc<RequestRate>>,
}

impl AccessPolicy {
    /// `None` if requests are to be no spans.
    pub fn tracer(&self) -> Option<RequestTracer> {
        self.traced.then(|| RequestTracer::new(self.space.clone()))
    }
}

/// Whether anyone may make an account here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignUp {
    #[default]
    On,
    /// Existing accounts sign in as before.
    Off,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is {found:?}, want on or off")]
pub struct BadSignUp {
    found: String,
}

impl FromStr for SignUp {
    type Err = BadSignUp;

    fn from_str(text: &str) -> Result<SignUp, BadSignUp> {
        match text {
            "on" => Ok(SignUp::On),
            "off" => Ok(SignUp::Off),
            found => Err(BadSignUp { found: found.to_owned() }),
        }
    }
}

pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) tokens: Arc<TokenService>,
    pub(crate) access: AccessPolicy,
    /// By peer and login.
    pub(crate) wrong_passwords: Throttle,
    /// Accounts made, by peer.
    pub(crate) sign_ups: Throttle,
    pub(crate) event_streams: CallerPlaces,
    pub(crate) event_streams_of: CallerPlaces,
    pub(crate) reads: Arc<ReadLimiter>,
    pub(crate) unknown_looked_at: Throttle,
    pub(crate) guesses: GuessLimiter,
}

impl App {
    pub(crate) fn new(engine: Arc<Engine>, tokens: Arc<TokenService>, access: AccessPolicy) -> App {
        let reads = Arc::new(ReadLimiter::new(COUNTED_MAX, access.has_no_pace));
        App {
            engine,
            tokens,
            access,
            wrong_passwords: Throttle::new(SIGN_INS_MAX, SIGN_IN_WINDOW_MS, COUNTED_MAX),
            sign_ups: Throttle::new(SIGN_UPS_MAX, SIGN_UP_WINDOW_MS, COUNTED_MAX),
            event_streams: CallerPlaces::new(EVENT_STREAMS_MAX),
            event_streams_of: CallerPlaces::new(EVENT_STREAMS_OF_CALLER_MAX),
            reads,
            unknown_looked_at: Throttle::new(UNKNOWN_LOOKED_AT_MAX, 1_000, 1),
            guesses: GuessLimiter::new(COUNTED_MAX),
        }
    }
}
