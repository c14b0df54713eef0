//! Resolves names without a thread, so that silent name servers stop nothing else: `getaddrinfo` would block a
//! thread for each look-up, of those that tokio lends to passwords, files and downloads.
//!
//! - A look-up asks the hosts file, then the name servers of `resolv.conf` with its `search` and `options`. Both
//!   files are read for each look-up: a change needs no restart. Nothing else of `nsswitch.conf` is asked.
//! - A name has one look-up at a time. Callers that come meanwhile get its answer.
//! - Addresses are not kept. A failure is, for [`FAILURE_KEPT`].

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;
use parking_lot::Mutex;
use reqwest::dns::{Addrs, Resolve, Resolving};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use self::system::SystemNames;

mod system;

/// Longest look-up: three tries of [`TRY_MAX`] and some search domains. It leaves half of an attempt of 15 s to the
/// receiver.
const LOOK_UP_MAX: Duration = Duration::from_secs(8);

/// Longest try, after which all servers are asked again. `resolv.conf` may say less; its default of 5 s is for
/// programs that have nobody waiting.
const TRY_MAX: Duration = Duration::from_secs(2);

/// For how long a failure is the answer. Deliveries that wait for the same name ask once for all of them, and the
/// first retry of each (4 s at the earliest) asks again.
const FAILURE_KEPT: Duration = Duration::from_secs(3);

/// Most look-ups at a time; the next caller waits, within its own time limit. Each has a socket for each kind of
/// address and each of two servers, so this is a quarter of the files that a process may have open by default.
const LOOK_UPS_MAX: usize = 64;

/// Most names that are remembered, so that names which fail at once cannot fill the memory. With more, failures
/// are forgotten.
const NAMES_MAX: usize = 1_024;

/// Most addresses of a name that are used. Public names have a few; thousands would make a connection knock at all of
/// them.
const ADDRESSES_MAX: usize = 16;

const _: () = assert!(LOOK_UPS_MAX < NAMES_MAX);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot resolve {name}: {why}")]
pub struct UnresolvedName {
    pub name: String,
    /// What the name servers said, if they did.
    pub why: String,
}

/// Resolves names. Clones share their look-ups.
#[derive(Clone, Debug)]
pub struct NameResolver(Arc<ResolverState>);

#[derive(Debug)]
struct ResolverState {
    system: Mutex<Arc<SystemNames>>,
    places: Semaphore,
    look_ups: Mutex<HashMap<String, Arc<LookUp>>>,
}

/// One look-up; empty while it is under way. If the caller that drives it is gone, one that waits begins it again.
type LookUp = OnceCell<EndedLookUp>;

#[derive(Debug)]
struct EndedLookUp {
    answer: Result<Vec<IpAddr>, UnresolvedName>,
    at: Instant,
}

impl Default for NameResolver {
    /// Asks as the files of the system say.
    fn default() -> NameResolver {
        NameResolver::with(SystemNames::of(Default::default()))
    }
}

impl NameResolver {
    /// Asks this server alone, and no file.
    pub fn asking(server: SocketAddr) -> NameResolver {
        NameResolver::with(SystemNames::asking(server))
    }

    fn with(system: SystemNames) -> NameResolver {
        let (system, places) = (Mutex::new(Arc::new(system)), Semaphore::new(LOOK_UPS_MAX));
        NameResolver(Arc::new(ResolverState { system, places, look_ups: Mutex::default() }))
    }

    /// The addresses of a name, at least one. Waits at most 8 s, once it has begun.
    ///
    /// # Errors
    /// [`UnresolvedName`], also for a name that could not be resolved a moment ago.
    pub async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, UnresolvedName> {
        let look_up = self.0.look_up_of(name);
        look_up.get_or_init(|| self.0.look_up(name)).await.answer.clone()
    }
}

impl Resolve for NameResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let found = NameResolver::resolve(&names, name.as_str()).await?;
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

impl ResolverState {
    /// The look-up of a name that is under way or failed lately, or a new one.
    fn look_up_of(&self, name: &str) -> Arc<LookUp> {
        let mut look_ups = self.look_ups.lock();
        let answers = |it: &LookUp| it.get().is_none_or(|ended| ended.is_kept());
        if let Some(found) = look_ups.get(name).filter(|it| answers(it)) {
            return Arc::clone(found);
        }
        let keeps_failures = look_ups.len() < NAMES_MAX;
        look_ups.retain(|_, it| match it.get() {
            // If only the map has it, the caller that drove it is gone.
            None => Arc::strong_count(it) > 1,
            Some(ended) => keeps_failures && ended.is_kept(),
        });
        let new = Arc::new(LookUp::new());
        look_ups.insert(name.to_owned(), Arc::clone(&new));
        new
    }

    async fn look_up(&self, name: &str) -> EndedLookUp {
        // Nobody closes the semaphore.
        let _place = self.places.acquire().await;
        let asked = tokio::time::timeout(LOOK_UP_MAX, self.ask(name)).await;
        let why = match asked {
            Ok(Ok(found)) if !found.is_empty() => return EndedLookUp::now(Ok(found)),
            Ok(Ok(_)) => "it has no address".to_owned(),
            Ok(Err(NetError::Timeout)) | Err(_) => "no name server answered".to_owned(),
            Ok(Err(error)) if error.is_nx_domain() => "there is no such name".to_owned(),
            Ok(Err(error)) if error.is_no_records_found() => "it has no address".to_owned(),
            Ok(Err(error)) => error.to_string(),
        };
        EndedLookUp::now(Err(UnresolvedName { name: name.to_owned(), why }))
    }

    async fn ask(&self, name: &str) -> Result<Vec<IpAddr>, NetError> {
        let system = system::newest(&self.system);
        let name = Name::from_str_relaxed(name)?;
        let listed = system.listed(&name);
        if !listed.is_empty() {
            return Ok(listed);
        }
        let (config, options) = system.servers();
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = builder.with_options(options).build()?;
        Ok(resolver.lookup_ip(name).await?.iter().take(ADDRESSES_MAX).collect())
    }
}

impl EndedLookUp {
    fn now(answer: Result<Vec<IpAddr>, UnresolvedName>) -> EndedLookUp {
        EndedLookUp { answer, at: Instant::now() }
    }

    /// Whether it is the answer for later callers, too.
    fn is_kept(&self) -> bool {
        self.answer.is_err() && self.at.elapsed() < FAILURE_KEPT
    }
}

#[cfg(test)]
mod tests;
