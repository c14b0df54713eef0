//! The spaces that `serve` serves beside the main store. One that cannot be served stops nobody else: its hosts
//! answer 503, and the log and the banner say why.

use std::collections::BTreeSet;
use std::convert::Infallible;

use futures::future::{join_all, pending};
use server::spaces::{HttpService, Space, by_host};
use tracing::{Instrument, Span, error_span};

use super::store::{Machine, Served, Store};
use crate::cql::Waiting;
use crate::failure::{CliError, Result};
use crate::settings::{Settings, SpaceHosts, SpaceName};

/// Spaces that are open and not yet served.
#[derive(Default)]
pub(super) struct Spaces(Vec<OneSpace>);

struct OneSpace {
    name: SpaceName,
    hosts: Vec<String>,
    store: Result<Store>,
}

pub(super) struct ServedSpaces(Vec<OneServed>);

struct OneServed {
    name: SpaceName,
    hosts: Vec<String>,
    /// `None` where it cannot be served.
    served: Option<Served>,
    space: Space,
}

/// Opens the spaces of `hosts`, one after the other.
pub(super) async fn open(main: &Settings, hosts: SpaceHosts, machine: &Machine) -> Spaces {
    let mut identities = Identities::default();
    // Nobody has been there before it.
    let _ = identities.enter(main);
    let mut spaces = Spaces::default();
    for (name, hosts) in hosts.0 {
        let span = span(&name);
        let opened = async {
            let settings = main.of_space(&name)?;
            identities.enter(&settings)?;
            // A cluster that does not have this one must not keep the others waiting for ever.
            Store::open(&settings, machine, Waiting::Command).await
        };
        let store = opened.instrument(span.clone()).await;
        if let Err(why) = &store {
            span.in_scope(|| tracing::error!(%why, "this space is not served"));
        }
        spaces.0.push(OneSpace { name, hosts, store });
    }
    spaces
}

/// What the log says of a space in front of its messages.
fn span(name: &SpaceName) -> Span {
    error_span!("store", space = name.as_str())
}

/// What the stores of this process say of the identity provider. A token, or the role of a person, must be good for
/// one store only.
#[derive(Default)]
struct Identities(BTreeSet<(String, String)>);

impl Identities {
    fn enter(&mut self, settings: &Settings) -> Result<()> {
        let Some(issuer) = &settings.identity_issuer.value else { return Ok(()) };
        let audience = settings.identity_audience.value.iter();
        // The two of one store may be the same.
        let own: BTreeSet<(String, String)> = audience
            .chain(&settings.console_client.value)
            .map(|known| (issuer.clone(), known.clone()))
            .collect();
        if let Some((issuer, known)) = own.intersection(&self.0).next() {
            return Err(CliError::usage(format!(
                "another store of this process has the audience or the client {known:?} at \
                 {issuer}: tokens for one would be good for both"
            )));
        }
        self.0.extend(own);
        Ok(())
    }
}

impl Spaces {
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|OneSpace { name, hosts, store }| {
            let hosts = hosts.join(", ");
            match store {
                Ok(store) => format!("{name} at {hosts}, in {}", store.data().display()),
                Err(why) => format!("{name} at {hosts}: NOT SERVED, {why}"),
            }
        })
    }

    pub(super) fn start(self, machine: &Machine) -> ServedSpaces {
        let start = |OneSpace { name, hosts, store }: OneSpace| {
            let started = store.ok().map(|store| span(&name).in_scope(|| store.start(machine)));
            let closed = api::closed_space(name.as_str());
            let (served, service) = match started {
                Some((served, service)) => (Some(served), service),
                None => (None, closed.clone()),
            };
            let space = Space::new(name.as_str(), service, closed);
            OneServed { name, hosts, served, space }
        };
        ServedSpaces(self.0.into_iter().map(start).collect())
    }
}

impl ServedSpaces {
    /// `main`, with these in front of it.
    pub(super) fn before(&self, main: HttpService) -> HttpService {
        if self.0.is_empty() {
            return main;
        }
        by_host(main, self.0.iter().map(|it| (it.hosts.clone(), it.space.clone())).collect())
    }

    /// Closes each space whose store turns out to be another one; never ends.
    pub(super) async fn close_where_wrong(&self) -> Infallible {
        let close = async |it: &OneServed| {
            if let Some(served) = &it.served {
                let why = served.wrong_store().await;
                it.space.close();
                span(&it.name).in_scope(|| tracing::error!(%why, "this space is no longer served"));
            }
        };
        join_all(self.0.iter().map(close)).await;
        pending().await
    }

    /// Ends what pages of their consoles follow.
    pub(super) fn end_consoles(&self) {
        self.0.iter().filter_map(|it| it.served.as_ref()).for_each(Served::end_console);
    }

    /// Ends their tasks, and writes what is only in memory.
    pub(super) async fn stop(self) {
        join_all(self.0.into_iter().filter_map(|it| it.served).map(Served::stop)).await;
    }
}
